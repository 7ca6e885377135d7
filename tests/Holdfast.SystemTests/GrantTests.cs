using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Holdfast.SystemTests;

/// <summary>A restore to the host of an agent, as its users run it: keeper, clean room and the agent's host are folders here, and all that goes between them is connections on loopback.</summary>
public sealed class GrantTests : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _keeper = new();
    readonly Cli _cleanroom = new();
    readonly Cli _gateway = new();
    readonly Cli _agent = new();
    readonly Cli _other = new();
    readonly List<(Cli Of, Process Process)> _running = [];
    string _url = "";
    string _fingerprint = "";
    string _code = "";

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    /// <summary>Starts what serves; its second line has its fingerprint.</summary>
    (Process Process, string Url, string Fingerprint) Serving(Cli cli, params string[] call)
    {
        var process = cli.StartProgram("env", null, ["--default-signal=HUP", Program, .. call]); // whoever runs the tests may have it ignored, as nohup does
        _running.Add((cli, process));
        var (url, fingerprint) = (process.StandardOutput.ReadLine(), process.StandardOutput.ReadLine());
        Assert.True(url is not null && fingerprint is not null, url is null ? process.StandardError.ReadToEnd() : url);
        return (process, url!["Listening on ".Length..] + "/", fingerprint!.Split(' ')[1]);
    }

    /// <summary>A vault with its keeper, a gateway that is its client, two agents, and a clean room with the opening key that reads through the keeper.</summary>
    GrantTests Made()
    {
        _keeper.Init();
        var keeper = Serving(_keeper, "keeper", "serve", "--listen", "127.0.0.1:0");
        _ = keeper.Process.StandardError.ReadToEndAsync();
        _keeper.Run("key", "issue", "--out", _gateway["keys"]).Expect(0);
        Directory.CreateDirectory(_cleanroom["keys"]);
        foreach (var file in new[] { "opening.key", "opening.secret" })
            File.Move(Path.Combine(_keeper["keys"], file), Path.Combine(_cleanroom["keys"], file));
        foreach (var (client, name, role) in new[] { (_gateway, "gateway", "backup"), (_cleanroom, "cleanroom", "read") })
        {
            client.Environment["HOLDFAST_VAULT"] = keeper.Url;
            var own = client.Run("join", keeper.Url, keeper.Fingerprint, "--name", name).Expect(0).Out.Trim();
            _keeper.Run("keeper", "allow", name, own, "--role", role).Expect(0);
        }
        var gateway = Serving(_gateway, "gateway", "serve", "--listen", "127.0.0.1:0");
        _ = gateway.Process.StandardError.ReadToEndAsync();
        foreach (var agent in new[] { _agent, _other })
        {
            agent.Environment.Remove("HOLDFAST_VAULT");
            File.WriteAllText(agent["token"], _keeper.Run("keeper", "token", "ward").Expect(0).Out);
            agent.Run("agent", "enrol", gateway.Url, gateway.Fingerprint, "--token-file", agent["token"]).Expect(0);
        }
        return this;
    }

    string AgentId(Cli agent) => System.Text.Json.JsonDocument.Parse(_keeper.Run("keeper", "agents", "--json").Expect(0).Out).RootElement.GetProperty("agents").EnumerateArray()
        .Select(a => a.GetProperty("agent").GetString()!).Single(id => File.ReadAllText(agent["own-id"]).Trim() == id);

    Process Grant(string snapshot, Cli agent, params string[] more)
    {
        var (process, url, fingerprint) = Serving(_cleanroom, ["cleanroom", "grant", snapshot, "--agent", AgentId(agent), "--listen", $"127.0.0.1:{FreePort()}", .. more]);
        (_url, _fingerprint, _code) = (url, fingerprint, process.StandardOutput.ReadLine()!["Code ".Length..]);
        return process;
    }

    string[] RestoreCall(Cli agent, string target, params string[] more)
    {
        File.WriteAllText(agent["code"], _code + "\n");
        return ["agent", "restore", _url, _fingerprint, agent[target], "--code-file", agent["code"], .. more];
    }

    Result Ended(Process grant)
    {
        _running.RemoveAll(r => r.Process == grant);
        return Cli.Finish(grant);
    }

    static string Stored(Result backup) => backup.Out.Split("Snapshot ")[1].Split(' ')[0];

    string BackUp()
    {
        var backup = _agent.Run("backup", _agent["source"], "--name", "ward").Expect(0);
        var before = _other.Run("backup", _other["source"], "--name", "other").Expect(0);
        // Which id is whose: by what they backed up.
        var agents = _keeper.Run("log", "entries", "--json").Expect(0).Out;
        foreach (var (agent, stored) in new[] { (_agent, Stored(backup)), (_other, Stored(before)) })
        {
            File.WriteAllText(agent["own-id"], System.Text.Json.JsonDocument.Parse(agents).RootElement.GetProperty("entries").EnumerateArray()
                .Single(e => e.GetProperty("type").GetString() == "Commit" && e.GetProperty("subject").GetString()!.StartsWith(stored, StringComparison.Ordinal)).GetProperty("actor").GetString());
        }
        return Stored(backup);
    }

    public void Dispose()
    {
        foreach (var (cli, process) in Enumerable.Reverse(_running))
        {
            if (!process.HasExited)
                cli.Shell($"kill -TERM {process.Id}");
            process.WaitForExit();
            process.Dispose();
        }
        foreach (var cli in new[] { _keeper, _cleanroom, _gateway, _agent, _other })
            cli.Dispose();
    }

    static void RequireRsync() => Assert.SkipUnless(Cli.Has("rsync") && Cli.Has("setfattr") && OperatingSystem.IsLinux(), "needs rsync and setfattr");

    void AssertSame(string target) => Assert.Equal("", _agent.Shell($"rsync -aHAXn --checksum --delete --itemize-changes source/ '{target}/'").Out);

    void FillSource()
    {
        _other.Write("of-another.txt", "another ward"u8.ToArray());
        _agent.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        _agent.Write("empty", []);
        for (var i = 0; i < 8; i++)
            _agent.Write($"scans/{i}.dcm", Cli.Noise(i, 9_000_000));
        for (var i = 0; i < 300; i++)
            _agent.Write($"many/{i:d3}", Cli.Noise(i, i * 41));
        _agent.Shell("cd source && ln -s ../notes/ward.txt many/link && ln -s /nowhere dangling && ln scans/1.dcm notes/same.dcm && ln notes/ward.txt many/again && truncate -s 30M holes && printf abc | dd of=holes bs=1 seek=20000000 conv=notrunc status=none && mkfifo pipe && mkdir -m 0700 private && touch -d 2001-02-03 private && chmod 0640 many/007 && setfattr -n user.ward -v seven many/008");
    }

    [Fact]
    public void A_machine_that_only_sends_gets_back_what_was_granted_to_it()
    {
        RequireRsync();
        Made();
        FillSource();
        var snapshot = BackUp();
        var size = long.Parse(_agent.Shell("du -sb source | cut -f1").Out.Trim(), System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(size, 70_000_000, 200_000_000);

        var grant = Grant(snapshot, _agent);
        Assert.Contains("OPEN until", _keeper.Run("status").Out, StringComparison.Ordinal);

        // Another agent, the right one with another code: nothing.
        Assert.Equal(15, _other.Run(RestoreCall(_other, "stolen")).Status);
        var code = _code;
        _code = "0123-4567-89ab-cdef-0123-4567-89ab-cdef".Replace("-", "", StringComparison.Ordinal);
        Assert.Equal(15, _agent.Run(RestoreCall(_agent, "wrong")).Status);
        _code = code;
        Assert.False(Directory.Exists(_other["stolen"]) || Directory.Exists(_agent["wrong"]));
        Assert.Equal(54, _agent.Run(RestoreCall(_agent, "keys/in-it")).Status);

        var back = _agent.Run(RestoreCall(_agent, "back")).Expect(0);
        Assert.Contains("Restored 311 files", back.Out, StringComparison.Ordinal);
        AssertSame("back");
        var ended = Ended(grant).Expect(0);
        Assert.Contains("WRONG CODE", ended.Error, StringComparison.Ordinal);
        Assert.Contains("all of it stands there", ended.Out, StringComparison.Ordinal);
        Assert.NotEqual(0, _agent.Run(RestoreCall(_agent, "again")).Status); // once
        Assert.False(Directory.Exists(_agent["again"]));

        var log = _keeper.Run("log", "entries").Expect(0).Out;
        Assert.Contains("GRANTED to the host of agent", log, StringComparison.Ordinal);
        Assert.Contains("used, and all of it stands there", log, StringComparison.Ordinal);
        _keeper.Run("log", "verify").Expect(0);

        // What the agent's host has still reads nothing.
        Assert.Equal(15, _agent.Run("snapshots", "--vault", _cleanroom.Environment["HOLDFAST_VAULT"]).Status);
    }

    [Fact]
    public void An_agent_that_is_killed_goes_on()
    {
        RequireRsync();
        Made();
        FillSource();
        var grant = Grant(BackUp(), _agent);
        var random = new Random(7);
        for (var run = 0; run < 5; run++)
        {
            var restore = _agent.StartProgram(Program, null, RestoreCall(_agent, "back", run == 0 ? [] : ["--resume"]));
            Thread.Sleep(random.Next(300, 1_200));
            if (!restore.HasExited)
                _agent.Shell($"kill -KILL {restore.Id} || true");
            if (Cli.Finish(restore).Status == 0)
                break;
            Assert.All(Directory.Exists(_agent["back/scans"]) ? Directory.GetFiles(_agent["back/scans"], "?.dcm") : [], f => Assert.Equal(9_000_000, new FileInfo(f).Length));
        }
        if (!grant.HasExited)
        {
            var last = _agent.Run(RestoreCall(_agent, "back", "--resume"));
            Assert.Contains(last.Status, new[] { 0, 15, 61 });
        }
        AssertSame("back");
        Ended(grant);
    }

    [Fact]
    public void A_clean_room_that_is_killed_leaves_whole_files_alone()
    {
        RequireRsync();
        Made();
        FillSource();
        var snapshot = BackUp();
        var grant = Grant(snapshot, _agent);
        var restore = _agent.StartProgram(Program, null, RestoreCall(_agent, "back"));
        SpinWait.SpinUntil(() => restore.HasExited || Directory.Exists(_agent["back/scans"]), 30_000);
        _cleanroom.Shell($"kill -KILL {grant.Id}");
        Ended(grant);
        var result = Cli.Finish(restore);
        if (result.Status != 0)
        {
            Assert.Equal(61, result.Status);
            Assert.Contains("clean room", result.Error, StringComparison.Ordinal);
            Assert.Contains("--resume", result.Error, StringComparison.Ordinal);
            foreach (var file in Directory.EnumerateFiles(_agent["back"], "*.dcm", SearchOption.AllDirectories))
                Assert.Equal(9_000_000, new FileInfo(file).Length);
        }
        var again = Grant(snapshot, _agent);
        _agent.Run(RestoreCall(_agent, "back", "--resume")).Expect(0);
        AssertSame("back");
        Ended(again).Expect(0);
    }

    [Fact]
    public void Time_and_whoever_gave_it_end_a_grant_and_a_revoked_agent_has_none()
    {
        Made();
        _agent.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        _other.Write("of-another.txt", "another ward"u8.ToArray());
        var snapshot = BackUp();
        var brief = Grant(snapshot, _agent, "--for", "1s");
        Assert.Contains("its time was over", Ended(brief).Expect(3).Out, StringComparison.Ordinal);
        var stopped = Grant(snapshot, _agent);
        _cleanroom.Shell($"kill -TERM {stopped.Id}");
        Assert.Contains("taken back", Ended(stopped).Expect(130).Out, StringComparison.Ordinal);
        var closed = Grant(snapshot, _agent); // a terminal that goes
        _cleanroom.Shell($"kill -HUP {closed.Id}");
        Ended(closed).Expect(130);
        // Through a keeper elsewhere, the log has how each ended, and nothing stands.
        var ends = System.Text.Json.JsonDocument.Parse(_keeper.Run("log", "entries", "--json").Expect(0).Out).RootElement.GetProperty("entries").EnumerateArray()
            .Where(e => e.GetProperty("type").GetString() == "GrantEnded").Select(e => e.GetProperty("end").GetString()!).ToList();
        Assert.Equal(["timeOver", "withdrawn", "withdrawn"], ends.Order(StringComparer.Ordinal));
        Assert.DoesNotContain("OPEN until", _keeper.Run("status").Out, StringComparison.Ordinal);
        var part = Grant(snapshot, _agent, "--include", "nothing-of-that-name");
        Assert.Equal(27, _agent.Run(RestoreCall(_agent, "part")).Status);
        Ended(part);

        var revoked = Grant(snapshot, _agent);
        _keeper.Run("keeper", "revoke", AgentId(_agent)).Expect(0);
        Assert.Equal(15, _agent.Run(RestoreCall(_agent, "back")).Status);
        Assert.False(Directory.Exists(_agent["back"]));
        _cleanroom.Shell($"kill -TERM {revoked.Id}");
        Ended(revoked);
        Assert.Equal(2, _cleanroom.Run("cleanroom", "grant", snapshot, "--agent", new string('a', 32)).Status);
    }
}
