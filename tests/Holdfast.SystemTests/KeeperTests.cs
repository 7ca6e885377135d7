using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Holdfast.SystemTests;

/// <summary>A keeper and its clients as their users run them: two machines are two folders here, and all that goes between them is a connection on loopback.</summary>
public sealed class KeeperTests : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _keeper = new();
    readonly Cli _client = new();
    int _port = FreePort();
    Process? _serving;
    string _fingerprint = "";

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    string Url => $"https://127.0.0.1:{_port}/";

    /// <summary>A vault on the keeper's machine, and its backup keys alone on the client's.</summary>
    KeeperTests Made()
    {
        _keeper.Init();
        _client.Environment["HOLDFAST_VAULT"] = Url;
        Directory.CreateDirectory(_client["keys"]);
        foreach (var key in new[] { "put.key", "agent.key" })
            File.Copy(Path.Combine(_keeper["keys"], key), Path.Combine(_client["keys"], key));
        Serve();
        return this;
    }

    void Serve()
    {
        _serving = _keeper.StartProgram(Program, null, "keeper", "serve", "--listen", $"127.0.0.1:{_port}");
        Assert.Equal($"Listening on {Url.TrimEnd('/')}", _serving.StandardOutput.ReadLine());
        _fingerprint = _serving.StandardOutput.ReadLine()!.Split(' ')[1];
        _ = _serving.StandardError.ReadToEndAsync();
    }

    void Stop(string signal)
    {
        _keeper.Shell($"kill -{signal} {_serving!.Id}");
        _serving.WaitForExit();
        Assert.Equal(signal == "TERM" ? 0 : 137, _serving.ExitCode);
        _serving.Dispose();
        _serving = null;
    }

    void Join(string name, string role, string keys = "keys")
    {
        var own = _client.Run("join", Url, _fingerprint, "--keys", _client[keys], "--name", name).Expect(0).Out.Trim();
        _keeper.Run("keeper", "allow", name, own, "--role", role).Expect(0);
    }

    public void Dispose()
    {
        if (_serving is not null)
            Stop("KILL");
        _client.Dispose();
        _keeper.Dispose();
    }

    [Fact]
    public void Another_machine_backs_up_and_a_third_restores()
    {
        Made();
        _client.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        _client.Write("scan.dcm", Cli.Noise(1, 9_000_000));
        Assert.Contains("holdfast join", _client.Run("backup", _client["source"], "--name", "ward").Expect(17).Error, StringComparison.Ordinal);
        Join("ward-7", "backup");
        _client.Run("backup", _client["source"], "--name", "ward").Expect(0);
        _client.Write("notes/ward.txt", "bed 3: obs every two hours\n"u8.ToArray());
        Assert.Contains("1 changed", _client.Run("backup", _client["source"], "--name", "ward").Expect(0).Out, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("Protection level 2", _client.Run("status").Out, StringComparison.Ordinal);

        // The machine that restores has the opening key, and is let in to read.
        _client.Shell($"cp -a '{_keeper["keys"]}' reader; rm -f reader/checkpoint*");
        Join("desk-1", "read", "reader");
        string[] asReader = ["--keys", _client["reader"]];
        _client.Run(["restore", "latest", _client["back"], .. asReader]).Expect(0);
        _client.Shell($"diff -r source \"$(find back -type d -name source | head -1 | grep . || echo back)\"");
        _client.Run(["verify", "--full", .. asReader]).Expect(0);
        Assert.Contains("ward.txt", _client.Run(["find", "*ward*", .. asReader]).Expect(0).Out, StringComparison.Ordinal);
        _client.Run(["log", "verify", .. asReader]).Expect(0);

        // What they did stands in the vault's own log, and in place all is as it is for them.
        var entries = _keeper.Run("log", "entries").Expect(0).Out;
        Assert.Contains("restore of snapshot", entries, StringComparison.Ordinal);
        Assert.Contains("verify", entries, StringComparison.Ordinal);
        Assert.Equal(2, _keeper.Run("snapshots").Expect(0).Out.Split('\n').Count(l => l.Contains("ward", StringComparison.Ordinal)));
    }

    /// <summary>Everything that a client's machine has, in an attacker's hands: its keys, its certificate, and tools that are not ours.</summary>
    [Fact]
    public void A_stolen_client_removes_nothing()
    {
        Assert.SkipUnless(Cli.Has("curl"), "needs curl");
        Made();
        _client.Write("a.txt", Cli.Noise(1, 300_000));
        Join("ward-7", "backup");
        _client.Run("backup", _client["source"]).Expect(0);
        var before = Files(_keeper["vault"]);
        _client.Shell("tail -n +4 keys/keeper.access >client.pem");
        var pack = Directory.GetFiles(Path.Combine(_keeper["vault"], "packs"), "*", SearchOption.AllDirectories).Select(Path.GetFileName).First()!;
        string Curl(string more) => _client.Shell($"curl -sk --cert client.pem --max-time 20 -o answer -w '%{{http_code}}' {more} || true").Out.Trim();
        Assert.Equal("200", Curl($"{Url}v1/vault")); // the control: this client is let in
        Assert.Equal("206", Curl($"{Url}v1/packs/{pack}"));
        foreach (var attack in new[]
        {
            $"-X DELETE {Url}v1/packs/{pack}", $"-X PUT --data-binary x {Url}v1/packs/{pack}", $"-X PATCH --data-binary x {Url}v1/packs/{pack}", $"-X POST --data-binary x {Url}v1/packs/{pack}", $"-X MOVE {Url}v1/packs/{pack}",
            $"-X PUT --data-binary x '{Url}v1/packs/{pack}?further=1'", $"-X PUT --data-binary x --path-as-is {Url}v1/packs/../../keeper/clients", $"-X PUT --data-binary x {Url}v1/vault", $"-X PUT --data-binary x {Url}v1/log", $"-X POST --data-binary x {Url}v1/ask",
            $"-X TRACE {Url}v1/packs/{pack}", $"-H 'X-HTTP-Method-Override: DELETE' -X POST {Url}v1/packs/{pack}",
        })
            Assert.Contains(Curl(attack), new[] { "400", "403", "404", "405", "409" });
        foreach (var call in new[] { "expire", "policy set --lock 400d --confirm-locked-until 2099-01-01", "lock latest --for 2d", "key issue --out other", "store list", "guard", "log cosign" })
            Assert.NotEqual(0, _client.Run(call.Split(' ')).Status);
        Assert.Equal(before, Files(_keeper["vault"]));
        _keeper.Run("verify").Expect(0);
    }

    /// <summary>Names and contents; but for the keeper's own notes of what it did itself.</summary>
    static string Files(string vault) => string.Join('\n', new[] { "packs", "objects", "log", "vault" }.Select(p => Path.Combine(vault, p)).SelectMany(p => File.Exists(p) ? [p] : Directory.GetFiles(p, "*", SearchOption.AllDirectories))
        .Order(StringComparer.Ordinal).Select(f => $"{f} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(f)))}"));

    [Fact]
    public void Without_a_certificate_that_is_known_there_is_no_answer()
    {
        Assert.SkipUnless(Cli.Has("curl") && Cli.Has("openssl"), "needs curl and openssl");
        Made();
        Join("ward-7", "backup");
        _client.Shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout other.key -out other.crt -subj /CN=ward-7 -days 30 2>/dev/null; cat other.crt other.key >other.pem; tail -n +4 keys/keeper.access >client.pem");
        string Curl(string more) => _client.Shell($"curl -sk --max-time 20 -w '%{{http_code}}' {more} {Url}v1/vault || true").Out;
        Assert.EndsWith("200", Curl("--cert client.pem"), StringComparison.Ordinal); // the control
        foreach (var without in new[] { "", "--cert other.pem", "--cert client.pem --tls-max 1.2" })
            Assert.Equal("000", Curl(without));
        _keeper.Run("keeper", "deny", "ward-7").Expect(0);
        Assert.Equal("000", Curl("--cert client.pem"));
    }

    /// <summary>The keeper is killed again and again while a backup runs: nothing that was stored is lost, nothing half-committed, and the backup comes to its end.</summary>
    [Fact]
    public void A_backup_rides_over_a_keeper_that_is_killed()
    {
        Made();
        for (var i = 0; i < 6; i++)
            _client.Write($"f{i}", Cli.Noise(i, 40_000_000));
        Join("ward-7", "backup");
        using var backup = _client.Start("backup", _client["source"], "--name", "ward");
        var kills = 0;
        for (; kills < 4; kills++)
        {
            if (kills == 0)
                SpinWait.SpinUntil(() => backup.HasExited || Directory.EnumerateFiles(_keeper["vault/staging"]).Any(), TimeSpan.FromSeconds(60)); // it has been answered: from then on it is patient
            else
                Thread.Sleep(700);
            if (backup.HasExited)
                break;
            Stop("KILL");
            Thread.Sleep(300);
            Serve();
        }
        Cli.Finish(backup).Expect(0);
        Assert.True(kills > 0, "it was over before the keeper could be killed");
        _keeper.Run("verify").Expect(0);
        Assert.Single(_keeper.Run("snapshots").Expect(0).Out.Split('\n'), l => l.Contains("ward", StringComparison.Ordinal));
        _keeper.Run("restore", "latest", _keeper["back"]).Expect(0);
        _keeper.Shell($"for i in 0 1 2 3 4 5; do cmp \"$(find back -name f$i)\" '{_client["source"]}'/f$i; done");
    }

    [Fact]
    public void Two_clients_back_up_at_once()
    {
        Made();
        Join("ward-7", "backup");
        _client.Shell("cp -a keys keys2; rm keys2/keeper.access");
        Join("ward-8", "backup", "keys2");
        _client.Write("a", Cli.Noise(1, 20_000_000));
        using var one = _client.Start("backup", _client["source"], "--name", "one");
        using var two = _client.Start("backup", _client["source"], "--name", "two", "--keys", _client["keys2"]);
        Cli.Finish(one).Expect(0);
        Cli.Finish(two).Expect(0);
        var listed = _keeper.Run("snapshots").Expect(0).Out;
        Assert.Contains("one", listed, StringComparison.Ordinal);
        Assert.Contains("two", listed, StringComparison.Ordinal);
        _keeper.Run("verify", "--full").Expect(0);
    }

    /// <summary>Root on the keeper's machine puts the vault back: the client's key folder has seen more.</summary>
    [Fact]
    public void A_vault_that_was_put_back_on_the_keepers_machine_is_told()
    {
        Made();
        Join("ward-7", "backup");
        _client.Write("a", "one"u8.ToArray());
        _client.Run("backup", _client["source"]).Expect(0);
        Stop("TERM");
        _keeper.Shell("cp -a vault older");
        Serve();
        _client.Write("a", "two"u8.ToArray());
        _client.Run("backup", _client["source"]).Expect(0);
        Stop("TERM");
        _keeper.Shell("mv vault newer; cp -a older vault");
        Serve();
        _client.Write("a", "three"u8.ToArray());
        _client.Run("backup", _client["source"]).Expect(40);
        _client.Run("status").Expect(40);
        _client.Shell("rm -rf state"); // the cache: the key folder knows all the same
        _client.Run("backup", _client["source"]).Expect(40);
        Stop("TERM");
        _keeper.Shell("mv vault older2; cp -a newer vault");
        Serve();
        _client.Run("backup", _client["source"]).Expect(0);

        // Where it was put back knowingly: the message says which folder to move away, and then each key folder goes on by a person's word.
        Stop("TERM");
        _keeper.Shell("mv vault newest; cp -a older vault");
        Serve();
        var told = _client.Run("backup", _client["source"]).Expect(40).Error;
        var copy = Path.Combine(Directory.GetDirectories(_client["state/keepers"]).Single(), "log");
        Assert.Contains(copy, told, StringComparison.Ordinal);
        Directory.Move(copy, copy + ".before");
        _client.Run("backup", _client["source"]).Expect(40);
        var id = _keeper.Shell("sed -n 's/^id //p' vault/vault").Out.Trim();
        Assert.Contains(Url, _client.Run("log", "accept", "--confirm", id).Expect(0).Out, StringComparison.Ordinal);
        _client.Run("backup", _client["source"]).Expect(0);
    }

    /// <summary>A key folder that knows the vault in its folder, or at another address, goes on with it where it was joined to; and with none that has less than it saw.</summary>
    [Fact]
    public void A_vault_that_moved_behind_a_keeper_is_the_same_vault()
    {
        Made();
        _keeper.Write("a", "zero"u8.ToArray());
        _keeper.Run("backup", _keeper["source"], "--name", "x").Expect(0);
        _client.Shell($"cp -a '{_keeper["keys"]}' all"); // with what they remember: the vault in a folder
        Join("desk", "manage", "all");
        _client.Write("a", "one"u8.ToArray());
        _client.Run("backup", _client["source"], "--name", "x", "--keys", _client["all"]).Expect(0);
        Assert.Equal(Url + "\n", File.ReadAllText(Path.Combine(_client["all"], "checkpoint.place")));
        _client.Run("attest", "--keys", _client["all"]).Expect(0);

        // At another address.
        Stop("TERM");
        var old = Url;
        _port = FreePort();
        Serve();
        _client.Run("status", "--keys", _client["all"], "--vault", Url).Expect(2);
        Assert.Contains(old, _client.Run("join", Url, _fingerprint, "--keys", _client["all"]).Expect(0).Error, StringComparison.Ordinal);
        _client.Run("backup", _client["source"], "--name", "x", "--keys", _client["all"], "--vault", Url).Expect(0);

        // One that was put back is none of theirs, at whatever address.
        _keeper.Shell("cp -a vault older");
        _client.Run("backup", _client["source"], "--name", "x", "--keys", _client["all"], "--vault", Url).Expect(0);
        Stop("TERM");
        _keeper.Shell("mv vault newer; cp -a older vault");
        _port = FreePort();
        Serve();
        _client.Run("join", Url, _fingerprint, "--keys", _client["all"]).Expect(0);
        Assert.Contains(_client.Run("backup", _client["source"], "--name", "x", "--keys", _client["all"], "--vault", Url).Status, new[] { 40, 45 });
    }

    [Fact]
    public void Wrong_calls_are_told()
    {
        Made();
        _client.Run("join", "http://127.0.0.1:1", _fingerprint).Expect(2);
        _client.Run("join", Url + "path", _fingerprint).Expect(2);
        _client.Run("join", Url, "sha256:12").Expect(2);
        _client.Run("join", Url, _fingerprint, "--name", "two words").Expect(2);
        var own = _client.Run("join", Url, _fingerprint, "--name", "a").Expect(0).Out.Trim();
        Assert.Equal(own, _client.Run("join", Url, _fingerprint, "--name", "a").Expect(0).Out.Trim()); // who it is stays
        _keeper.Run("keeper", "allow", "a", own, "--role", "owner").Expect(2);
        _keeper.Run("keeper", "allow", "a b", own, "--role", "read").Expect(2);
        _keeper.Run("keeper", "allow", "a", "md5:1", "--role", "read").Expect(2);
        _keeper.Run("keeper", "allow", "a", own, "--role", "read").Expect(0);
        _keeper.Run("keeper", "allow", "b", own, "--role", "manage").Expect(2);
        Assert.Contains(own, _keeper.Run("keeper", "list").Expect(0).Out, StringComparison.Ordinal);
        _keeper.Run("keeper", "deny", "b").Expect(2);
        _keeper.Run("keeper", "serve", "--listen", $"127.0.0.1:{_port}").Expect(2);
        _client.Run("keeper", "serve").Expect(2);
        _client.Run("status", "--vault", $"https://127.0.0.1:{FreePort()}/").Expect(2);
        _client.Run("join", $"https://127.0.0.1:{FreePort()}", _fingerprint).Expect(0);
        _client.Run("status", "--vault", File.ReadAllLines(Path.Combine(_client["keys"], "keeper.access"))[1]).Expect(61);
        Assert.Equal("600\n600\n", _client.Shell($"stat -c %a keys/keeper.access '{_keeper["vault"]}/keeper/tls.pem'").Out);
    }
}
