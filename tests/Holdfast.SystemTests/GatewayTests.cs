using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Holdfast.SystemTests;

/// <summary>Keeper, gateway and agents as their users run them: machines are folders here, and all that goes between them is connections on loopback.</summary>
public sealed class GatewayTests : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _keeper = new();
    readonly Cli _gateway = new();
    readonly Cli _agent = new();
    readonly Cli _other = new();
    readonly int _keeperPort = FreePort();
    readonly int _port = FreePort();
    Process? _keeping;
    Process? _serving;
    string _fingerprint = "";

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    string Url => $"https://127.0.0.1:{_port}/";

    /// <summary>A vault with its keeper, and a gateway that is the keeper's client.</summary>
    GatewayTests Made()
    {
        _keeper.Init();
        _keeping = _keeper.StartProgram(Program, null, "keeper", "serve", "--listen", $"127.0.0.1:{_keeperPort}");
        _keeping.StandardOutput.ReadLine();
        var keeper = _keeping.StandardOutput.ReadLine()!.Split(' ')[1];
        _ = _keeping.StandardError.ReadToEndAsync();
        _keeper.Run("key", "issue", "--out", _gateway["keys"]).Expect(0);
        _gateway.Environment["HOLDFAST_VAULT"] = $"https://127.0.0.1:{_keeperPort}/";
        var own = _gateway.Run("join", _gateway.Environment["HOLDFAST_VAULT"], keeper, "--name", "gateway").Expect(0).Out.Trim();
        _keeper.Run("keeper", "allow", "gateway", own, "--role", "backup").Expect(0);
        foreach (var agent in new[] { _agent, _other })
            agent.Environment.Remove("HOLDFAST_VAULT");
        Serve();
        return this;
    }

    void Serve()
    {
        _serving = _gateway.StartProgram(Program, null, "gateway", "serve", "--listen", $"127.0.0.1:{_port}");
        Assert.Equal($"Listening on {Url.TrimEnd('/')}", _serving.StandardOutput.ReadLine());
        _fingerprint = _serving.StandardOutput.ReadLine()!.Split(' ')[1];
        _ = _serving.StandardError.ReadToEndAsync();
    }

    void Kill()
    {
        _gateway.Shell($"kill -KILL {_serving!.Id}");
        _serving.WaitForExit();
        _serving.Dispose();
        _serving = null;
    }

    void Enrol(Cli agent, string name)
    {
        File.WriteAllText(agent["token"], _keeper.Run("keeper", "token", name).Expect(0).Out);
        agent.Run("agent", "enrol", Url, _fingerprint, "--token-file", agent["token"]).Expect(0);
    }

    void AssertRestores(Cli agent, string snapshot, string target)
    {
        _keeper.Run("restore", snapshot, _keeper[target]).Expect(0);
        _keeper.Shell($"diff -r '{agent["source"]}' '{_keeper[target]}'");
    }

    static string Stored(Result backup) => backup.Out.Split("Snapshot ")[1].Split(' ')[0];

    public void Dispose()
    {
        if (_serving is not null)
            Kill();
        if (_keeping is not null)
        {
            _keeper.Shell($"kill -TERM {_keeping.Id}");
            _keeping.WaitForExit();
            _keeping.Dispose();
        }
        foreach (var cli in new[] { _keeper, _gateway, _agent, _other })
            cli.Dispose();
    }

    [Fact]
    public void Machines_back_up_through_a_gateway_and_read_nothing()
    {
        Made();
        Enrol(_agent, "ward-7");
        Enrol(_other, "ward-8");
        _agent.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        _agent.Write("scan.dcm", Cli.Noise(1, 9_000_000));
        var first = _agent.Run("backup", _agent["source"], "--name", "ward-7").Expect(0);
        AssertRestores(_agent, Stored(first), "back1");
        _agent.Write("notes/ward.txt", "bed 3: obs every two hours\n"u8.ToArray());
        var second = _agent.Run("backup", _agent["source"], "--name", "ward-7").Expect(0);
        Assert.Contains("1 changed", second.Out, StringComparison.Ordinal);
        AssertRestores(_agent, Stored(second), "back2");
        var stream = _agent.Run("backup", "--stdin", "--name", "dump", "--", "printf", "a dump").Expect(0);
        Assert.Equal("a dump", _keeper.Run("cat", Stored(stream), "dump").Expect(0).Out);

        // What it got for them, anybody can check where the vault is.
        var receipts = Directory.GetFiles(_agent["keys/receipts"]);
        Assert.Equal(3, receipts.Length);
        foreach (var receipt in receipts)
            _keeper.Run("log", "verify", "--since", receipt).Expect(0);

        // The same bytes from another machine are stored once; that they were there it is not told.
        _other.Write("scan.dcm", Cli.Noise(1, 9_000_000));
        var before = PackBytes();
        var third = _other.Run("backup", _other["source"], "--name", "ward-8").Expect(0);
        Assert.Contains("8.58 MiB sent", third.Out, StringComparison.Ordinal);
        Assert.InRange(PackBytes() - before, 1, 1_000_000);
        AssertRestores(_other, Stored(third), "back3");
        Assert.Equal(15, _other.Run("backup", _other["source"], "--name", "ward-7").Status);
        foreach (var call in new[] { "snapshots", "ls latest", "restore latest out", "cat latest dump", "find *", "verify", "status", "diff latest latest", "attest", "log verify" })
        {
            var refused = _agent.Run([.. call.Split(' '), "--vault", Url]);
            Assert.NotEqual(0, refused.Status);
            Assert.DoesNotContain("ward.txt", refused.Out + refused.Error, StringComparison.Ordinal);
        }
        _keeper.Run("attest", "--full").Expect(0);
        _keeper.Run("verify", "--full").Expect(0);

        var agents = _keeper.Run("keeper", "agents").Expect(0).Out.Split('\n');
        var id = agents.First(l => l.Contains("2 sources", StringComparison.Ordinal)).Split(' ')[0];
        _keeper.Run("keeper", "revoke", id).Expect(0);
        Assert.Equal(15, _agent.Run("backup", _agent["source"], "--name", "ward-7").Status);
        _other.Run("backup", _other["source"], "--name", "ward-7").Expect(0); // in its place
    }

    long PackBytes() => Directory.GetFiles(Path.Combine(_keeper["vault"], "packs"), "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);

    /// <summary>The gateway is killed again and again while a machine backs up: in the end all is there, and what was stored is not sent again.</summary>
    [Fact]
    public void A_gateway_that_is_killed_costs_time_alone()
    {
        Made();
        Enrol(_agent, "ward-7");
        for (var i = 0; i < 30; i++)
            _agent.Write($"noise/{i}", Cli.Noise(i, 8_000_000));
        var random = new Random(1);
        Result? done = null;
        for (var run = 0; run < 12 && done is null; run++)
        {
            var backup = _agent.StartProgram(Program, null, "backup", _agent["source"], "--name", "ward-7");
            if (run < 6)
            {
                Thread.Sleep(random.Next(300, 1_500));
                Kill();
                Serve();
            }
            var result = Cli.Finish(backup);
            Assert.Contains(result.Status, new[] { 0, 61, 66 }); // 61: killed before it had ever answered, and long to start again
            done = result.Status == 0 ? result : null;
        }
        Assert.NotNull(done);
        AssertRestores(_agent, Stored(done), "back");
        _keeper.Run("verify", "--full").Expect(0);
    }

    /// <summary>Everything that lies on the hosts of console, gateway and keeper, in one attacker's hands: the vault with the log's key, the gateway's put key, what a client that manages has. Only the opening key, which is on none of them, opens a name or a byte.</summary>
    [Fact]
    public void Console_gateway_and_keeper_stolen_together_read_no_name_and_no_content()
    {
        const string name = "Zzyzx-Quartermain", number = "9434765919", finding = "allergic to penicillin";
        Made();
        Enrol(_agent, "ward-7");
        _agent.Write($"{name}/NHS {number}.txt", Text($"{name} {number} {finding}"));
        _agent.Write($"{name}/scan-{number}", [.. Text(string.Concat(Enumerable.Repeat($"{name} {number} {finding}; ", 20_000))), .. Cli.Noise(1, 200_000)]);
        var snapshot = Stored(_agent.Run("backup", _agent["source"], "--name", $"{name}-ward").Expect(0));
        var console = _other.Environment["HOLDFAST_VAULT"] = _gateway.Environment["HOLDFAST_VAULT"];
        _keeper.Shell($"mkdir -p '{_other["keys"]}'");
        var fingerprint = File.ReadAllText(Path.Combine(_gateway["keys"], "keeper.access")).Split('\n')[2];
        var own = _other.Run("join", console, fingerprint, "--name", "console").Expect(0).Out.Trim();
        _keeper.Run("keeper", "allow", "console", own, "--role", "manage").Expect(0);
        _other.Run("status").Expect(0);
        _other.Run("snapshots").Expect(0);

        // The opening key and its secret are kept elsewhere, as the manual says.
        Directory.CreateDirectory(_keeper["safe"]);
        foreach (var key in new[] { "opening.key", "opening.secret" })
            File.Move(Path.Combine(_keeper["keys"], key), Path.Combine(_keeper["safe"], key));

        // All files of the three hosts, as bytes and by name; the agent's own machine is not among them.
        var files = new[] { _keeper, _gateway, _other }.SelectMany(h => new[] { "vault", "keys", "state" }.Select(p => h[p])).Where(Directory.Exists).SelectMany(f => Directory.EnumerateFiles(f, "*", SearchOption.AllDirectories)).ToList();
        Assert.Contains(files, f => f.EndsWith("keeper/log.key", StringComparison.Ordinal));
        Assert.Contains(files, f => f.StartsWith(_gateway["keys"], StringComparison.Ordinal) && f.EndsWith("put.key", StringComparison.Ordinal));
        Assert.Contains(files, f => f.StartsWith(_other["keys"], StringComparison.Ordinal) && f.EndsWith("keeper.access", StringComparison.Ordinal));
        foreach (var file in files)
        {
            Assert.DoesNotContain(name, file, StringComparison.OrdinalIgnoreCase);
            var bytes = File.ReadAllBytes(file).AsSpan();
            foreach (var planted in new[] { name, number, finding })
                Assert.True(bytes.IndexOf(Text(planted)) < 0, file);
        }

        // And all that the program itself makes of those keys, put together in one folder.
        Directory.CreateDirectory(_keeper["loot"]);
        foreach (var folder in new[] { _keeper["keys"], _gateway["keys"], _other["keys"] })
            _keeper.Shell($"cp -rn '{folder}/.' loot/");
        _keeper.Environment["HOLDFAST_KEYS"] = _keeper["loot"];
        foreach (var call in new string[][] { ["ls", snapshot], ["find", "*"], ["cat", snapshot, $"{name}/NHS {number}.txt"], ["restore", snapshot, _keeper["out"]], ["restore", snapshot, _keeper["out"], "--unverified"], ["attest", "--full"], ["verify", "--full"], ["key", "scope", "--class", "tree", "--out", _keeper["scoped"]] })
        {
            var got = _keeper.Run(call);
            Assert.NotEqual(0, got.Status);
            Assert.DoesNotContain(finding, got.Out + got.Error, StringComparison.Ordinal);
            Assert.DoesNotContain(name, call.Contains($"{name}/NHS {number}.txt") ? "" : got.Out + got.Error, StringComparison.OrdinalIgnoreCase);
        }
        Assert.False(Directory.Exists(_keeper["out"]) && Directory.EnumerateFiles(_keeper["out"], "*", SearchOption.AllDirectories).Any());

        // The control: with the opening key beside them, all of it is there.
        _keeper.Shell("cp safe/* loot/");
        Assert.Contains(name, _keeper.Run("ls", snapshot).Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains(finding, _keeper.Run("cat", snapshot, $"{name}/NHS {number}.txt").Expect(0).Out, StringComparison.Ordinal);
    }

    static byte[] Text(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    /// <summary>All that an agent's machine has, in an attacker's hands, with tools that are not ours.</summary>
    [Fact]
    public void A_stolen_agent_reaches_neither_keeper_nor_vault()
    {
        Assert.SkipUnless(Cli.Has("curl") && Cli.Has("openssl"), "needs curl and openssl");
        Made();
        Enrol(_agent, "ward-7");
        _agent.Write("a.txt", Cli.Noise(1, 300_000));
        _agent.Run("backup", _agent["source"], "--name", "ward-7").Expect(0);
        Assert.Equal(["agent.key", "gateway.access", "gateway.seen", "receipts"], Directory.EnumerateFileSystemEntries(_agent["keys"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        var pack = Directory.GetFiles(Path.Combine(_keeper["vault"], "packs"), "*", SearchOption.AllDirectories).Select(Path.GetFileName).First()!;
        _agent.Shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.crt -subj /CN=ward-7 -days 1 2>/dev/null; cat own.crt own.key >own.pem; printf '\\001\\001' >hello; printf '\\001\\004' >begin");
        string Curl(string more) => _agent.Shell($"curl -sk --cert own.pem --max-time 20 -o answer -w '%{{http_code}}' {more} || true").Out.Trim();
        Assert.Equal("200", Curl($"-X POST --data-binary @hello {Url}v1/agent")); // the control: it is answered
        Assert.Equal("403", Curl($"-X POST --data-binary @begin {Url}v1/agent"));
        foreach (var attack in new[] { $"{Url}v1/packs/{pack}", $"{Url}v1/vault", $"{Url}v1/log", $"{Url}v1/list/packs", $"-X DELETE {Url}v1/packs/{pack}", $"-X PUT --data-binary x {Url}v1/packs/{pack}", $"-X POST --data-binary x {Url}v1/ask", $"{Url}v1/agent", $"-X TRACE {Url}v1/agent" })
            Assert.Equal("404", Curl(attack).Replace("405", "404", StringComparison.Ordinal));
        Assert.Equal("000", Curl($"https://127.0.0.1:{_keeperPort}/v1/vault")); // the keeper knows no agent
        _keeper.Run("verify").Expect(0);
    }
}
