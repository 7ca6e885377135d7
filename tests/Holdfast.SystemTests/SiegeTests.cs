using System.Diagnostics;
using System.Text.Json;
using Holdfast.Tests.Storage;

namespace Holdfast.SystemTests;

/// <summary>The attack test, whole. That its rows can fail, and its controls too, is for <c>VerdictTests</c>.</summary>
public abstract class SiegeRuns : IDisposable
{
    internal static readonly string[] OverTheNetwork =
    [
        "stranger.delete", "stranger.certificate", "stranger.read", "stranger.memory.gateway", "stranger.memory.keeper", "network.between",
        "agent.delete", "agent.overwrite", "agent.change", "agent.truncate", "agent.rename", "agent.read", "agent.keeper", "agent.others-chunks", "agent.others-source", "agent.memory", "agent.replay",
        "gateway.delete", "gateway.overwrite", "gateway.change", "gateway.truncate", "gateway.rename", "gateway.further-copy",
        "manage.delete", "manage.overwrite", "manage.change", "manage.truncate", "manage.rename", "manage.further-copy",
        "cleanroom.delete", "cleanroom.overwrite", "cleanroom.change", "cleanroom.truncate", "cleanroom.rename", "cleanroom.further-copy",
        "gateway.wrong-name", "gateway.names", "gateway.shorten", "manage.shorten", "cleanroom.shorten", "manage.policy", "manage.expiry", "manage.clock", "manage.commit", "manage.approval", "manage.in-force", "manage.takeover", "cleanroom.commit", "cleanroom.restore",
        "approver.policy", "approver.alone",
    ];

    internal static readonly string[] Floods = ["all-agents.displace", "agent.flood", "gateway.flood"];

    private protected readonly Cli _cli = new();

    public void Dispose()
    {
        _cli.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected string Besiege(string[] expected, params string[] options)
    {
        Cli.RequireFakeTime();
        Assert.SkipUnless(Cli.Has("curl") && Cli.Has("openssl"), "needs curl and openssl");
        Directory.CreateDirectory(_cli["siege"]);
        _cli.Shell("chmod 711 . siege");
        var done = _cli.Run(["siege", "--json", "--folder", _cli["siege"], .. options]);
        var report = JsonDocument.Parse(done.Out).RootElement;
        var rows = report.GetProperty("rows").EnumerateArray().ToList();
        Assert.All(rows, r => Assert.True(r.GetProperty("verdict").GetString() == "as expected", r.ToString()));
        Assert.Equal(expected, rows.Select(r => r.GetProperty("id").GetString()));
        Assert.All(rows, r => Assert.All(new[] { "command", "controlCommand", "evidence", "controlEvidence" }, name => Assert.NotEmpty(r.GetProperty(name).GetString()!)));
        done.Expect(0);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_cli["siege"]));
        Assert.DoesNotContain(_cli.Folder, done.Out, StringComparison.Ordinal);
        return done.Out + done.Error;
    }
}

/// <summary>Vaults in folders.</summary>
public sealed class SiegeTests : SiegeRuns
{
    static readonly string[] OnFolders =
    [
        "gateway.forge", "gateway.omit", "gateway.replay", "gateway.poison", "witness.ahead", "witness.behind", "witness.made-up", "witness.rollback", "witness.fork",
        "control.twice", "control.command", "control.configuration", "control.read",
        "landing.read", "landing.delete", "landing.overwrite", "landing.truncate", "landing.rename", "landing.link", "landing.outside", "landing.shell", "landing.taken", "landing.poison", "landing.fill",
    ];

    static readonly string[] Owner = ["owner.delete", "owner.overwrite", "owner.truncate", "owner.rename", "owner.replace", "owner.move-aside", "owner.chattr", "owner.user-namespace", "owner.link", "owner.kill-guard", "owner.expire"];

    /// <summary>All rows run: one that cannot would be no test.</summary>
    static void Require() => Assert.SkipUnless(Environment.UserName == "root" && Array.TrueForAll(["python3", "sqlite3", "setpriv", "unshare", "nsenter", "sftp", "ssh-keygen"], Cli.Has) && File.Exists("/usr/sbin/sshd"), "needs root, python3, sqlite3, setpriv, unshare, nsenter, openssh-server and openssh-client");

    [Fact]
    public void On_a_folder()
    {
        Require();
        Besiege([.. OverTheNetwork, .. OnFolders, "clock.ahead", "clock.back", .. Floods, "disk.read", "root.flip", "owner.delete", "root.rollback", "root.fork", "root.delete"]);
    }

    [Fact]
    public void On_a_folder_with_a_guard()
    {
        Require();
        Assert.SkipUnless(Cli.Has("chattr"), "needs chattr");
        Besiege([.. OverTheNetwork, .. OnFolders, .. Owner, "clock.ahead", "clock.back", .. Floods, "disk.read", "root.flip", "root.rollback", "root.fork", "root.delete"], "--guard");
    }

    [Fact]
    public void Interrupted_it_leaves_nothing_behind()
    {
        Directory.CreateDirectory(_cli["siege"]);
        using var process = _cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "siege", "--folder", _cli["siege"]);
        _ = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        while (process.StandardOutput.ReadLine() is { } line && !line.StartsWith("stranger.delete", StringComparison.Ordinal))
        {
            // It attacks from then on.
        }
        _ = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        _cli.Shell($"kill -INT {process.Id}");
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)));
        Assert.Equal(130, process.ExitCode);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_cli["siege"]));
        Assert.DoesNotContain(Process.GetProcesses(), p => CommandLine(p.Id).Contains(_cli["siege"], StringComparison.Ordinal));
    }

    static string CommandLine(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline");
        }
        catch (IOException)
        {
            return ""; // gone meanwhile
        }
    }

    [Fact]
    public void Wrong_calls_are_told()
    {
        _cli.Run("siege", "--store", "s3:http://127.0.0.1:9/bucket").Expect(2);
        _cli.Run("siege", "--attacker-key", "f").Expect(2);
        _cli.Run("siege", "--guard", "--store", "s3:http://127.0.0.1:9/bucket", "--store-key", "f").Expect(2);
        _cli.Run("siege", "--folder", _cli["none"]).Expect(2);
        Assert.Contains("Attack test", _cli.Run("siege", "--help").Expect(0).Out, StringComparison.Ordinal);
    }
}

/// <summary>A vault in a bucket of a real Ceph.</summary>
[Collection(nameof(CephFixture))]
public sealed class SiegeInBucketTests(CephFixture ceph) : SiegeRuns
{
    [Fact]
    public async Task On_a_bucket_with_object_lock()
    {
        var place = $"s3:{ceph.Cluster.Endpoint}{ceph.Bucket}/{Guid.NewGuid():n}";
        string[] storage = [.. new[] { "keeper", "owner" }.SelectMany(w => new[] { "delete", "shorten", "hide", "overwrite" }.Select(a => $"storage.{w}.{a}")), "storage.both.wrap"];
        var said = Besiege([.. OverTheNetwork, .. storage, "clock.ahead", .. Floods, "disk.read", "root.delete"], "--store", place, "--store-key", Credential("keeper", CephCluster.Keeper), "--attacker-key", Credential("owner", CephCluster.Owner));
        Assert.DoesNotContain(CephCluster.Keeper.SecretKey, said, StringComparison.Ordinal);
        Assert.DoesNotContain(CephCluster.Owner.SecretKey, said, StringComparison.Ordinal);
        foreach (var user in new[] { ceph.Owner, ceph.Keeper })
            Assert.DoesNotContain((await user.ListBucketsAsync(TestContext.Current.CancellationToken)).Buckets ?? [], b => b.BucketName.StartsWith("holdfast-siege-", StringComparison.Ordinal));
    }

    string Credential(string name, (string Id, string AccessKey, string SecretKey) user)
    {
        File.WriteAllText(_cli[name], $"{user.AccessKey}\n{user.SecretKey}\n");
        _cli.Shell($"chmod 600 {name}");
        return _cli[name];
    }
}
