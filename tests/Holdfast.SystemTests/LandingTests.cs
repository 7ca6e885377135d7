using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>A landing with OpenSSH's own server and clients, in a mount namespace of the test's own: there /etc/passwd has two accounts more, and /mnt is a disk in memory that root alone writes to, as sshd wants the
/// way to a landing. Accounts have a shell, so that it is the configuration that refuses it.</summary>
public sealed class LandingTests : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _cli = new();
    readonly int _port = FreePort();
    readonly int _controlPort = FreePort();
    Process? _namespace;
    readonly List<Process> _servers = [];

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    LandingTests Made(string plan, string size = "256m", bool serves = true)
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root: sshd shuts accounts into a root folder of their own");
        Assert.SkipUnless(Cli.Has("unshare") && Cli.Has("nsenter"), "needs unshare and nsenter");
        Assert.SkipUnless(File.Exists("/usr/sbin/sshd") && Cli.Has("sftp") && Cli.Has("ssh-keygen"), "needs openssh-server and openssh-client");
        _cli.Init();
        var setup = $"""
            set -e
            cd '{_cli.Folder}'
            for f in passwd group shadow; do cp /etc/$f own.$f; done
            for a in epr:39001 sw:39002; do
                echo "drop-${"{"}a%%:*{"}"}:x:${"{"}a##*:{"}"}:${"{"}a##*:{"}"}::/:/bin/sh" >> own.passwd
                echo "drop-${"{"}a%%:*{"}"}:x:${"{"}a##*:{"}"}:" >> own.group
                echo "drop-${"{"}a%%:*{"}"}:*:19000:0:99999:7:::" >> own.shadow
            done
            for f in passwd group shadow; do mount --bind own.$f /etc/$f; done
            mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd
            mount -t tmpfs -o mode=755,size={size} tmpfs /mnt
            echo ready
            exec sleep 600
            """;
        _namespace = _cli.StartProgram("unshare", null, "--mount", "--propagation", "private", "bash", "-c", setup);
        var said = _namespace.StandardOutput.ReadLine();
        Assert.SkipUnless(said == "ready", "mount namespaces are not allowed here");
        Inside($"'{Program}' landing init /mnt/landing");
        File.WriteAllText(_cli["plan"], plan);
        Inside($"cp plan /mnt/landing/landing.conf; '{Program}' landing init /mnt/landing --listen 127.0.0.1:{_port}; ssh-keygen -q -t ed25519 -N '' -f /mnt/landing/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f id; for a in drop-epr drop-sw; do install -m 644 id.pub /mnt/landing/keys/$a; done");
        if (serves)
            Serve("/mnt/landing/sshd_config");
        return this;
    }

    void Serve(string configuration)
    {
        var server = _cli.StartProgram("nsenter", null, "-t", $"{_namespace!.Id}", "-m", "/usr/sbin/sshd", "-D", "-e", "-f", configuration);
        _servers.Add(server);
        for (var line = ""; line?.Contains("Server listening", StringComparison.Ordinal) != true;)
        {
            line = server.StandardError.ReadLine();
            Assert.NotNull(line);
        }
        _ = server.StandardError.ReadToEndAsync();
    }

    Result Try(string script) => Cli.Finish(_cli.StartProgram("nsenter", null, "-t", $"{_namespace!.Id}", "-m", "bash", "-c", $"cd '{_cli.Folder}'; {script}"));

    Result Inside(string script) => Try("set -e; " + script).Expect(0);

    const string Options = "-q -i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes";

    static string Sftp(int port, string commands, string account = "drop-epr") => $"printf '%b' '{commands.Replace("\n", "\\n", StringComparison.Ordinal)}\\n' | timeout 60 sftp -b - {Options} -P {port} {account}@127.0.0.1";

    Result Take() => Try($"'{Program}' landing take /mnt/landing --json");

    static List<string> Alarms(Result result) => [.. JsonDocument.Parse(result.Out).RootElement.GetProperty("alarms").EnumerateArray().Select(a => a.GetProperty("kind").GetString()!)];

    const string Plan = "drop epr\n account drop-epr\n quiet 0s\n shrink 0\ndrop sw\n account drop-sw\n quiet 0s\n";

    public void Dispose()
    {
        foreach (var process in _servers.Append(_namespace).OfType<Process>())
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
        }
        _cli.Dispose();
    }

    /// <summary>What the account does with a file DUMP that it dropped before, and what shows that it worked.</summary>
    static readonly (string Attack, string How, string Worked)[] Attacks =
    [
        ("list", "sftp:ls", "grep -q DUMP out"),
        ("read", "sftp:get DUMP got", "cmp -s got dump"),
        ("remove", "sftp:rm DUMP", "[ ! -e $IN/DUMP ]"),
        ("overwrite", "sftp:put other DUMP", "cmp -s $IN/DUMP other"),
        ("rename over", "sftp:put other DUMP.x\nrename DUMP.x DUMP", "cmp -s $IN/DUMP other"),
        ("change the mode", "sftp:chmod 644 DUMP", "[ $(stat -c %a $IN/DUMP) = 644 ]"),
        ("make a folder", "sftp:mkdir d", "[ -d $IN/d ]"),
        ("link", "sftp:ln -s /etc/passwd s", "[ -L $IN/s ]"),
        ("link twice", "sftp:ln DUMP h", "[ -e $IN/h ]"),
        ("write outside", "sftp:put other ../outside", "[ -e $IN/../outside ]"),
        ("write to another account's", "sftp:put other ../../sw/in/x", "[ -e $IN/../../sw/in/x ]"),
        ("go on with a file", "sftp:reput other DUMP", "[ $(stat -c %s $IN/DUMP) != 5 ]"),
        ("have a shell", "ssh:id", "grep -q uid= out"),
        ("have a terminal", "ssh:-tt id", "grep -q uid= out"),
        ("reach another port", "ssh:-W 127.0.0.1:PORT", "grep -q SSH-2.0 out"),
    ];

    [Fact]
    public void What_an_account_may_not_do_is_refused_and_works_at_a_plain_share()
    {
        Made(Plan);
        Inside($"""
            printf dump1 > dump; printf other-longer > other; mkdir -p /mnt/plain/epr/in /mnt/plain/sw/in; chmod -R 777 /mnt/plain
            sed -e '/^Match/,$d' -e '/^ForceCommand/d; /^Disable/d; /^PermitTTY/d; s/^Port .*/Port {_controlPort}/; s,^Subsystem.*,Subsystem sftp internal-sftp -d /mnt/plain/epr/in,' /mnt/landing/sshd_config > /mnt/plain/sshd_config
            """);
        Serve("/mnt/plain/sshd_config");

        var number = 0;
        foreach (var attack in Attacks)
        {
            number++;
            Assert.False(Works(attack, $"dump-{number}", "/mnt/landing/drop/epr/in", _port), $"{attack.Attack}: it works at the landing");
            Assert.True(Works(attack, $"dump-{number}", "/mnt/plain/epr/in", _controlPort), $"{attack.Attack}: it does not work at the plain share either, so nothing is shown");
        }
    }

    bool Works((string Attack, string How, string Worked) attack, string dump, string inbox, int port)
    {
        Inside(Sftp(port, $"put dump {dump}"));
        var (kind, what) = attack.How.Split(':', 2) is [var k, var w] ? (k, w.Replace("DUMP", dump, StringComparison.Ordinal).Replace("PORT", $"{port}", StringComparison.Ordinal)) : throw new UnreachableException();
        var asked = kind == "sftp" ? Sftp(port, what)
            : what.StartsWith('-') ? $"timeout 5 ssh {Options} -p {port} {what.Replace(" id", " drop-epr@127.0.0.1 id", StringComparison.Ordinal)}{(what.EndsWith("id", StringComparison.Ordinal) ? "" : " drop-epr@127.0.0.1")}"
            : $"timeout 5 ssh {Options} -p {port} drop-epr@127.0.0.1 {what}";
        Try($"rm -f got; {{ {asked}; }} > out 2>/dev/null </dev/null");
        return Try($"IN={inbox}; sed -i '/^sftp>/d' out; {attack.Worked.Replace("DUMP", dump, StringComparison.Ordinal)}").Status == 0;
    }

    [Theory]
    [InlineData("put", "SFTP:put dump a.bak")]
    [InlineData("put and rename", "SFTP:put dump a.bak.filepart\nrename a.bak.filepart a.bak")]
    [InlineData("put with times, which are not kept", "SFTP:put -p dump a.bak")]
    [InlineData("scp", "timeout 60 scp -s OPTIONS -P PORT dump drop-epr@127.0.0.1:a.bak")]
    [InlineData("curl", "timeout 60 curl -sS -k --key id --pubkey id.pub -T dump sftp://drop-epr@127.0.0.1:PORT/in/a.bak")]
    public void What_a_client_puts_there_is_stored_and_comes_back(string client, string how)
    {
        Assert.SkipWhen(client == "curl" && !(Cli.Has("curl") && _cli.Shell("curl --version").Out.Contains("sftp", StringComparison.Ordinal)), "needs a curl that has sftp");
        Made(Plan);
        File.WriteAllBytes(_cli["dump"], Cli.Noise(3, 3_000_000));

        Inside(how.StartsWith("SFTP:", StringComparison.Ordinal) ? Sftp(_port, how[5..]) : how.Replace("PORT", $"{_port}", StringComparison.Ordinal).Replace("OPTIONS", Options, StringComparison.Ordinal));
        Take().Expect(0);

        Inside("[ -z \"$(ls -A /mnt/landing/drop/epr/in)\" ] && [ -z \"$(ls -d /mnt/landing/taken/epr/batch-* 2>/dev/null)\" ]");
        _cli.Run("restore", "latest", _cli["back"]).Expect(0);
        _cli.Shell("cmp dump back/files/a.bak");
        Assert.Contains("\"whole\"", File.ReadAllText(_cli["back/report.json"]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_that_breaks_off_leaves_what_is_told_and_stored()
    {
        Made("drop epr\n account drop-epr\n quiet 0s\n format gzip\ndrop sw\n account drop-sw\n");
        File.WriteAllBytes(_cli["noise"], Cli.Noise(4, 4_000_000));
        _cli.Shell("gzip -k noise");
        var client = _cli.StartProgram("nsenter", null, "-t", $"{_namespace!.Id}", "-m", "bash", "-c", $"cd '{_cli.Folder}'; exec sftp -l 4000 -b <(echo put noise.gz) {Options} -P {_port} drop-epr@127.0.0.1");
        while (Try("[ -s /mnt/landing/drop/epr/in/noise.gz ]").Status != 0)
            Assert.False(client.HasExited, "it ended before it was there");

        Take().Expect(0); // still being written: not a word, and not touched
        Inside("[ -e /mnt/landing/drop/epr/in/noise.gz ]");
        client.Kill();
        client.WaitForExit();
        client.Dispose();
        var told = Take();
        for (var tries = 0; told.Status == 0 && tries < 100; tries++) // until sshd has closed it
            told = Take();

        Assert.Equal(["Format"], Alarms(told.Expect(59)));
        Inside("[ -z \"$(ls -A /mnt/landing/drop/epr/in)\" ]");
        _cli.Run("restore", "latest", _cli["back"]).Expect(0);
        _cli.Shell("cmp -n $(stat -c %s back/files/noise.gz) noise.gz back/files/noise.gz");
    }

    /// <summary>Killed at each renaming, making and removing in turn: whatever it had done, the dump is in the vault after the next run, and nothing is left in the landing.</summary>
    [Fact]
    public void Killed_anywhere_it_loses_nothing()
    {
        Assert.SkipUnless(Cli.Has("strace"), "needs strace");
        Made(Plan, serves: false);
        var kills = 0;
        for (var n = 1; ; n++)
        {
            Assert.True(n < 200, "it never ends");
            Inside($"cd /mnt/landing/drop/epr/in; printf 'dump {n}' > dump-{n}; chown 39001:39001 dump-{n}; chmod 0 dump-{n}");
            var killed = Try($"strace -f -qq -o trace -e trace=renameat2,rename,renameat,unlinkat,unlink,rmdir,mkdir,mkdirat,fsync -e inject=renameat2,rename,renameat,unlinkat,unlink,rmdir,mkdir,mkdirat,fsync:signal=KILL:when={n} '{Program}' landing take /mnt/landing --quiet");
            Take().Expect(0);

            Assert.Equal($"dump {n}", _cli.Run("cat", "latest", $"files/dump-{n}", "--name", "landing-epr").Expect(0).Out);
            Inside("[ -z \"$(ls -A /mnt/landing/drop/epr/in)\" ] && [ \"$(cd /mnt/landing/taken/epr && find . | sort | tr '\\n' ' ')\" = '. ./hold ./odd ' ]");
            Assert.Equal($"{n + 1}", Inside("wc -l < /mnt/landing/state/epr").Out.Trim()); // a first line, and each dump once
            if (killed.Status == 0)
                break;
            kills++;
        }
        Assert.True(kills >= 15, $"only {kills} places to kill it at");
    }

    [Fact]
    public void A_disk_that_an_account_has_filled_is_emptied_into_the_vault()
    {
        Made(Plan, size: "40m");
        File.WriteAllBytes(_cli["flood"], Cli.Noise(5, 48_000_000));

        Assert.NotEqual(0, Try(Sftp(_port, "put flood")).Status);
        Assert.Equal("0", Inside("stat -f -c %a /mnt").Out.Trim()); // not a block is left
        var told = Take();
        for (var tries = 0; told.Status == 0 && JsonDocument.Parse(told.Out).RootElement.GetProperty("stored").GetArrayLength() == 0 && tries < 100; tries++) // until sshd has closed it
            told = Take();

        Assert.Equal(1, JsonDocument.Parse(told.Out).RootElement.GetProperty("stored").GetArrayLength());
        Inside("[ -z \"$(ls -A /mnt/landing/drop/epr/in)\" ] && [ -e /mnt/landing/state/reserve ]");
        Inside(Sftp(_port, "put dump-free", "drop-sw").Replace("printf", "echo free > dump-free; printf", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_as_much_lies_as_may_nothing_more_is_let_in_until_it_is_stored()
    {
        Made("drop epr\n account drop-epr\n quiet 1h\n quota 1MiB\ndrop sw\n account drop-sw\n quiet 0s\n");
        File.WriteAllBytes(_cli["dump"], Cli.Noise(6, 2_000_000));
        Inside(Sftp(_port, "put dump"));

        Assert.Equal(["Full"], Alarms(Take().Expect(59)));
        Assert.NotEqual(0, Try(Sftp(_port, "put dump second")).Status);
        Inside(Sftp(_port, "put dump", "drop-sw")); // the other account's own
        Inside("sed -i 's/quiet 1h/quiet 0s/' /mnt/landing/landing.conf");
        Take().Expect(0);
        Inside(Sftp(_port, "put dump second"));
    }

    /// <summary>Names of files are personal data: no output, alarm or state has one.</summary>
    [Fact]
    public void No_name_of_a_file_is_told()
    {
        Made("drop epr\n account drop-epr\n quiet 0s\n format zip\n files *.zip\n every 1m\ndrop sw\n account drop-sw\n");
        File.WriteAllText(_cli["note"], "9434765919");
        Inside(Sftp(_port, "put note JANE-DOE-9434765919.filepart\nput note JANE-DOE-9434765919"));

        var said = new[] { Take(), Try($"'{Program}' landing take /mnt/landing"), Try($"'{Program}' landing status /mnt/landing"), Inside("cat /mnt/landing/state/epr /mnt/landing/state/sw") };

        Assert.Equal(["Format", "Name"], Alarms(said[0].Expect(59)));
        Assert.All(said, r => Assert.DoesNotContain("9434765919", r.Out + r.Error, StringComparison.Ordinal));
        Assert.Contains("ALARM epr: ", said[1].Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Agents_take_through_their_gateway_in_the_same_way()
    {
        Made(Plan);
        var port = FreePort();
        using var keeper = new Cli();
        keeper.Init();
        var serving = new List<Process>();
        try
        {
            string Serve(Cli cli, params string[] arguments)
            {
                var process = cli.StartProgram(Program, null, arguments);
                serving.Add(process);
                process.StandardOutput.ReadLine();
                var fingerprint = process.StandardOutput.ReadLine()!.Split(' ')[1];
                _ = process.StandardError.ReadToEndAsync();
                return fingerprint;
            }

            var fingerprint = Serve(keeper, "gateway", "serve", "--listen", $"127.0.0.1:{port}");
            File.WriteAllText(_cli["token"], keeper.Run("keeper", "token", "landing").Expect(0).Out);
            _cli.Environment.Remove("HOLDFAST_VAULT");
            _cli.Environment["HOLDFAST_KEYS"] = _cli["agent"];
            _cli.Run("agent", "enrol", $"https://127.0.0.1:{port}/", fingerprint, "--token-file", _cli["token"]).Expect(0);
            File.WriteAllText(_cli["dump"], "through a gateway");
            Inside(Sftp(_port, "put dump"));

            Take().Expect(0);

            Assert.Equal("through a gateway", keeper.Run("cat", "latest", "files/dump").Expect(0).Out);
            Inside("[ -z \"$(ls -A /mnt/landing/drop/epr/in)\" ]");
            serving[0].Kill();
            serving[0].WaitForExit();
            Inside(Sftp(_port, "put dump"));
            Assert.NotEqual(0, Take().Status); // nobody takes it
            Assert.Equal("through a gateway", Inside("cat /mnt/landing/taken/epr/batch-*/files/dump").Out);
        }
        finally
        {
            foreach (var process in serving)
            {
                if (!process.HasExited)
                    process.Kill();
                process.WaitForExit();
                process.Dispose();
            }
        }
    }
}
