using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>A clean room as its users run it: at another machine than the vault, killed, without rights, under `serve`.</summary>
public sealed class CleanRoomTests : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    readonly Cli _keeper = new();
    readonly Cli _room = new();
    readonly List<Process> _processes = [];
    readonly int _port = FreePort();

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    string Url => $"https://127.0.0.1:{_port}/";

    public void Dispose()
    {
        foreach (var process in _processes.Where(p => !p.HasExited))
        {
            process.Kill();
            process.WaitForExit();
        }
        _processes.ForEach(p => p.Dispose());
        _keeper.Dispose();
        _room.Dispose();
    }

    Process Start(Cli cli, params string[] arguments)
    {
        var process = cli.StartProgram(Program, null, arguments);
        _processes.Add(process);
        return process;
    }

    static void Drain(Process process)
    {
        _ = process.StandardOutput.ReadToEndAsync();
        _ = process.StandardError.ReadToEndAsync();
    }

    static void Kill(Process process)
    {
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>A vault behind a keeper, and a clean room that was let in and has its two keys alone.</summary>
    void Made()
    {
        _keeper.Init();
        _keeper.Run("cleanroom", "key", "--out", _room["keys"]).Expect(0);
        var keeper = Start(_keeper, "keeper", "serve", "--listen", $"127.0.0.1:{_port}");
        Assert.Equal($"Listening on {Url.TrimEnd('/')}", keeper.StandardOutput.ReadLine());
        var fingerprint = keeper.StandardOutput.ReadLine()!.Split(' ')[1];
        Drain(keeper);
        _room.Environment["HOLDFAST_VAULT"] = Url;
        var own = _room.Run("join", Url, fingerprint, "--name", "cleanroom").Expect(0).Out.Trim();
        _keeper.Run("keeper", "allow", "cleanroom", own, "--role", "attest").Expect(0);
        Assert.Equal(["cleanroom-content.key", "cleanroom-tree.key", "keeper.access"], Directory.GetFiles(_room["keys"]).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
    }

    static JsonElement Status(Cli cli, params string[] more) => JsonDocument.Parse(cli.Run(["cleanroom", "status", "--json", .. more]).Out).RootElement;

    static void Attested(Cli cli, params string[] more)
    {
        for (var began = Stopwatch.StartNew(); Status(cli, more).GetProperty("waiting").GetInt32() > 0;)
        {
            Assert.True(began.Elapsed < Patience, "it was not attested");
            Thread.Sleep(200);
        }
    }

    [Fact]
    public void It_attests_what_comes_and_killed_at_any_moment_it_goes_on()
    {
        Made();
        _keeper.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        _keeper.Write("scan.dcm", Cli.Noise(1, 9_000_000));
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        Assert.Equal(1, Status(_room).GetProperty("waiting").GetInt32());
        Drain(Start(_room, "cleanroom", "serve"));
        Attested(_room);
        Kill(_processes[^1]);
        var entries = _keeper.Run("log", "entries").Expect(0).Out;
        Assert.Contains("all packs opened, sound", entries, StringComparison.Ordinal);
        for (var i = 0; i < 4; i++)
        {
            _keeper.Write($"scan-{i}.dcm", Cli.Noise(10 + i, 20_000_000));
            _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
            var serving = Start(_room, "cleanroom", "serve");
            Drain(serving);
            Thread.Sleep(300 + 350 * i); // while it starts, reads, or is done
            Kill(serving);
        }
        // What it was at when it was killed comes after all others, and after a pause: an hour later that is over.
        Cli.RequireFakeTime();
        _room.FakeTime("+1h");
        _room.Run("cleanroom", "serve", "--once").Expect(0);
        _room.FakeTime(null);
        Attested(_room);
        Assert.Equal(0, Status(_room).GetProperty("withDefects").GetInt32());
        Assert.Contains("Clean room", _keeper.Run("status").Out, StringComparison.Ordinal);

        // It is let in for that alone.
        Assert.NotEqual(0, _room.Run("expire").Status);
        _room.Run("lock", "latest", "--until", DateTime.UtcNow.AddDays(20).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)).Expect(15);
        _room.Run("restore", "latest", _room["back"]).Expect(17); // there is no opening key here
    }

    [Fact]
    public void It_runs_without_any_right_on_its_machine()
    {
        Made();
        _keeper.Write("a", "1"u8.ToArray());
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        _room.Environment["HOLDFAST_STATE_DIR"] = _room["keys/state"];
        _room.Shell("chmod 711 . && mkdir -p keys/state && chown -R 65534:65534 keys");
        _room.RunAsNobody("cleanroom", "serve", "--once").Expect(0);
        Assert.True(JsonDocument.Parse(_keeper.Run("status", "--json").Out).RootElement.GetProperty("cleanRoom") is var room && room.GetProperty("waiting").GetInt32() == 0);
    }

    [Fact]
    public void Damage_ends_it_with_its_code_and_the_rest_is_attested()
    {
        _keeper.Init();
        _keeper.Run("cleanroom", "key", "--out", _keeper["room"]).Expect(0);
        string[] room = ["--keys", _keeper["room"]];
        _keeper.Write("scan.dcm", Cli.Noise(1, 3_000_000));
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        _keeper.Shell("f=$(find vault/packs -type f -size +2M | head -1); chmod u+w $f; printf X | dd of=$f bs=1 seek=1500000 conv=notrunc 2>/dev/null");
        _keeper.Shell("mkdir other; echo sound > other/f");
        _keeper.Run("backup", _keeper["other"], "--name", "office").Expect(0);
        var found = _keeper.Run(["cleanroom", "serve", "--once", .. room]).Expect(29);
        Assert.Contains("damaged pack", found.Error + found.Out, StringComparison.Ordinal);
        var status = Status(_keeper, room);
        Assert.Equal((0, 1), (status.GetProperty("waiting").GetInt32(), status.GetProperty("withDefects").GetInt32()));
        _keeper.Run(["cleanroom", "serve", "--once", .. room]).Expect(0); // it is looked at again tomorrow
    }

    [Fact]
    public void What_waits_for_more_than_a_day_and_keys_that_are_too_old_are_told()
    {
        _keeper.Init();
        _keeper.Run("cleanroom", "key", "--out", _keeper["room"]).Expect(0);
        string[] room = ["--keys", _keeper["room"]];
        _keeper.Write("a", "1"u8.ToArray());
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        _keeper.Run(["cleanroom", "serve", "--once", .. room]).Expect(0);
        _keeper.Run("key", "rotate").Expect(0);
        _keeper.Write("b", "2"u8.ToArray());
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        _keeper.Run(["cleanroom", "serve", "--once", .. room]).Expect(19);
        var status = _keeper.Run(["cleanroom", "status", .. room]).Expect(19);
        Assert.Contains("DO NOT OPEN THE NEWEST KEY EPOCH", status.Out, StringComparison.Ordinal);
        Assert.Contains("KeyTooNarrow", status.Out, StringComparison.Ordinal);
        _keeper.Run("cleanroom", "key", "--out", _keeper["room"]).Expect(0); // in place of the old ones
        File.Delete(_keeper["room/cleanroom.notes"]);
        Assert.Equal(0, _keeper.Run(["cleanroom", "status", .. room]).Status);
        _keeper.RunLater(2, ["cleanroom", "status", .. room]).Expect(72);
        Assert.Contains("\"code\":\"AttestationLate\"", _keeper.RunLater(2, "status", "--json").Out.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        _keeper.Run(["cleanroom", "serve", "--once", .. room]).Expect(0);
        _keeper.Run(["cleanroom", "status", .. room]).Expect(0);
    }

    [Fact]
    public void Under_serve_it_is_a_role_with_keys_of_its_own()
    {
        _keeper.Init();
        _keeper.Run("cleanroom", "key", "--out", _keeper["room"]).Expect(0);
        _keeper.Write("a", "1"u8.ToArray());
        _keeper.Run("backup", _keeper["source"], "--name", "ward").Expect(0);
        File.WriteAllText(_keeper["serve.yaml"], $"vault: {_keeper["vault"]}\nkeys: {_keeper["keys"]}\ndatabase: {{ file: {_keeper["control.db"]} }}\nroles:\n  cleanroom: {{ }}\njobs: {{ }}\n");
        Assert.Contains("cleanroom.keys", _keeper.Run("serve", "--config", _keeper["serve.yaml"]).Expect(2).Error, StringComparison.Ordinal); // never those of other roles
        File.WriteAllText(_keeper["serve.yaml"], File.ReadAllText(_keeper["serve.yaml"]).Replace("{ }\njobs", $"{{ keys: {_keeper["room"]} }}\njobs", StringComparison.Ordinal));
        var serving = Start(_keeper, "serve", "--config", _keeper["serve.yaml"]);
        Drain(serving);
        Attested(_keeper, "--keys", _keeper["room"]);
        _keeper.Shell($"kill -TERM {serving.Id}");
        Assert.True(serving.WaitForExit(Patience));
        Assert.Equal(0, serving.ExitCode);
    }

    [Fact]
    public void Wrong_calls_are_told()
    {
        _keeper.Init();
        Assert.Contains("other keys of the vault", _keeper.Run("cleanroom", "key", "--out", _keeper["keys"]).Expect(2).Error, StringComparison.Ordinal);
        Assert.NotEqual(0, _keeper.Run("cleanroom", "key", "--out", _keeper["vault/room"]).Status);
        Assert.Contains("cleanroom key", _keeper.Run("cleanroom", "serve", "--once").Expect(17).Error, StringComparison.Ordinal); // the folder has other keys
        _keeper.Run("cleanroom", "key", "--out", _keeper["room"]).Expect(0);
        _keeper.Run("init", _keeper["other"], "--lock", "1d", "--keys", _keeper["other-keys"]).Expect(0);
        _keeper.Run("cleanroom", "status", "--vault", _keeper["other"], "--keys", _keeper["room"]).Expect(13);
        _keeper.Shell("cp room/cleanroom-tree.key room/cleanroom-content.key");
        _keeper.Run("cleanroom", "serve", "--once", "--keys", _keeper["room"]).Expect(19);
        _keeper.Shell("head -c 100 /dev/urandom > room/cleanroom-content.key");
        _keeper.Run("cleanroom", "serve", "--once", "--keys", _keeper["room"]).Expect(17);
    }
}
