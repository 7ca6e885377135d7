using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>A vault and its witnesses, each a process of its own, over real sockets.</summary>
public sealed class WitnessTests
{
    /// <summary>A vault with witnesses that follow it, and one snapshot that is cosigned.</summary>
    static Cli Sample(params WitnessProcess[] witnesses) => Sample(new Cli(), witnesses);

    static Cli Sample(Cli cli, params WitnessProcess[] witnesses)
    {
        cli.Run(["init", cli["vault"], "--lock", "1d", .. witnesses.SelectMany(w => new[] { "--witness", w.Named })]).Expect(0);
        foreach (var witness in witnesses)
            cli.Run("witness", "add", witness.Folder, LogKey(cli)).Expect(0);
        Back(cli, "first").Expect(0);
        return cli;
    }

    static string LogKey(Cli cli) => File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..];

    static Result Back(Cli cli, string state)
    {
        cli.Write("notes.txt", Encoding.UTF8.GetBytes(state));
        return cli.Run("backup", cli["source"], "--name", "ward");
    }

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    static List<JsonElement> Witnesses(Cli cli, int status = 0) => [.. Json(cli.Run("status", "--json").Expect(status)).GetProperty("witnesses").EnumerateArray()];

    static long LogSize(Cli cli) => Json(cli.Run("status", "--json")).GetProperty("logSize").GetInt64();

    [Fact]
    public void What_is_committed_is_cosigned_by_each_witness_and_status_says_how_far()
    {
        using var cli = new Cli();
        using WitnessProcess one = new WitnessProcess(cli, "w1").Start(), two = new WitnessProcess(cli, "w2").Start();
        Sample(cli, one, two);
        var before = Witnesses(cli);
        Assert.Equal([one.Key, two.Key], before.Select(w => w.GetProperty("key").GetString()));
        Assert.All(before, w => Assert.Equal(1, w.GetProperty("commitsNotCosigned").GetInt32()));
        Assert.Equal(2, cli.Run("status").Expect(0).Out.Split("NEVER COSIGNED").Length - 1);

        var cosign = cli.Run("log", "cosign").Expect(0).Out;
        Assert.Contains("witness.example/w1: cosigned", cosign, StringComparison.Ordinal);
        Assert.Contains("witness.example/w2: cosigned", cosign, StringComparison.Ordinal);
        Assert.All(Witnesses(cli), w => Assert.Equal((0, LogSize(cli), true), (w.GetProperty("commitsNotCosigned").GetInt32(), w.GetProperty("size").GetInt64(), w.GetProperty("ofThisLog").GetBoolean())));
        Assert.Equal(2, cli.Run("status").Expect(0).Out.Split("every commit is cosigned").Length - 1);

        Back(cli, "second").Expect(0);
        Assert.All(Witnesses(cli), w => Assert.Equal(1, w.GetProperty("commitsNotCosigned").GetInt32()));
        Assert.Contains("1 commit not yet cosigned", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "cosign").Expect(0); // the same again, at a later time
        Assert.All(Witnesses(cli), w => Assert.Equal(0, w.GetProperty("commitsNotCosigned").GetInt32()));
        var verify = cli.Run("log", "verify").Expect(0).Out;
        Assert.Contains($"Witness witness.example/w1: cosigned {LogSize(cli)} leaves", verify, StringComparison.Ordinal);
        Assert.DoesNotContain("not asked", verify, StringComparison.Ordinal);
        Assert.Equal(3, File.ReadAllLines(cli["vault/log/cosigned"]).Count(l => l.StartsWith('—'))); // the log, and both

        // What a witness of ours cosigned, in the eyes of a person with curl.
        Assert.SkipUnless(Cli.Has("curl"), "needs curl");
        var origin = File.ReadLines(cli["vault/log/checkpoint"]).First();
        Assert.Equal(File.ReadAllText(Directory.GetFiles(Path.Combine(one.Folder, "state"))[0]),
            cli.Shell($"curl -sf {one.Url}/$(printf %s '{origin}' | sha256sum | cut -d' ' -f1)/checkpoint").Out);
        Assert.Equal("409 text/x.tlog.size", cli.Shell($"printf 'old 0\\n\\n' > body; cat vault/log/checkpoint >> body; curl -s -o /dev/null -w '%{{http_code}} %{{content_type}}' --data-binary @body {one.Url}/add-checkpoint").Out);
        Assert.Equal("405", cli.Shell($"curl -s -o /dev/null -w '%{{http_code}}' {one.Url}/add-checkpoint").Out);
        Assert.Equal("404", cli.Shell($"curl -s -o /dev/null -w '%{{http_code}}' {one.Url}/").Out);
        Assert.Equal("400", cli.Shell($"curl -s -o /dev/null -w '%{{http_code}}' --data-binary @vault/vault {one.Url}/add-checkpoint").Out);
        Assert.Equal(0, one.Stop());
        Assert.Equal(0, two.Stop("INT"));
    }

    /// <summary>By the bytes of the specifications alone, with none of our code: key ids, the log's signature, the cosignature with its time.</summary>
    [Fact]
    public void Another_implementation_reads_our_keys_and_cosignatures()
    {
        Assert.SkipUnless(Cli.Has("python3") && Cli.Has("openssl"), "needs python3 and openssl");
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        cli.Run("log", "cosign").Expect(0);
        File.WriteAllText(cli["check.py"], """
            import base64, hashlib, subprocess, sys, time
            note, log, witness = open(sys.argv[1], encoding="utf-8", newline="").read(), sys.argv[2], sys.argv[3]

            def key(text, kind):
                name, keyid, rest = text.split("+", 2)
                raw = base64.b64decode(rest, validate=True)
                assert raw[0] == kind and len(raw) == 33
                assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == keyid
                return name, bytes.fromhex(keyid), raw[1:]

            def holds(public, message, signature):
                open("pub.der", "wb").write(bytes.fromhex("302a300506032b6570032100") + public)
                open("message", "wb").write(message)
                open("signature", "wb").write(signature)
                return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "pub.der", "-rawin", "-in", "message", "-sigfile", "signature"], capture_output=True).returncode == 0

            body, lines = note.split("\n\n")
            body += "\n"
            found = {}
            for line in lines.splitlines():
                dash, name, sig = line.split(" ")
                assert dash == "\u2014"
                found[name] = base64.b64decode(sig, validate=True)
            name, keyid, public = key(log, 1)
            assert body.startswith(name + "\n") and found[name][:4] == keyid and len(found[name]) == 68
            assert holds(public, body.encode(), found[name][4:])
            name, keyid, public = key(witness, 4)
            sig = found[name]
            assert sig[:4] == keyid and len(sig) == 4 + 8 + 64
            when = int.from_bytes(sig[4:12], "big")
            assert abs(time.time() - when) < 3600
            assert holds(public, f"cosignature/v1\ntime {when}\n{body}".encode(), sig[12:])
            assert not holds(public, f"cosignature/v1\ntime {when + 1}\n{body}".encode(), sig[12:])
            print("holds")
            """);
        Assert.Equal("holds\n", cli.Shell($"python3 check.py vault/log/cosigned '{LogKey(cli)}' '{witness.Key}'").Out);

        // And the other way: a witness that is none of ours, made of the same bytes.
        File.WriteAllText(cli["cosign.py"], """
            import base64, hashlib, http.server, subprocess, sys, time
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-outform", "DER", "-out", "priv.der"], check=True)
            public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", "priv.der", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
            name = "other.example/python"
            keyid = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
            seen = {}

            class Witness(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    request = self.rfile.read(int(self.headers["Content-Length"])).decode()
                    head, note = request.split("\n\n", 1)
                    body = note.split("\n\n")[0] + "\n"
                    origin, size, root = body.splitlines()[:3]
                    last = seen.get(origin, "0")
                    if head.splitlines()[0] != "old " + last:
                        return self.answer(409, last + "\n", "text/x.tlog.size")
                    seen[origin] = size
                    when = int(time.time())
                    open("m", "wb").write(f"cosignature/v1\ntime {when}\n{body}".encode())
                    sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-keyform", "DER", "-inkey", "priv.der", "-rawin", "-in", "m"], check=True, capture_output=True).stdout
                    line = "\u2014 " + name + " " + base64.b64encode(keyid + when.to_bytes(8, "big") + sig).decode() + "\n"
                    self.answer(200, "\u2014 someone.else AAAAAAAA\n" + line, "text/plain")

                def answer(self, status, text, kind):
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(text.encode())))
                    self.end_headers()
                    self.wfile.write(text.encode())

                def do_GET(self):
                    self.answer(404, "no\n", "text/plain")

                def log_message(self, *words):
                    pass

            server = http.server.HTTPServer(("127.0.0.1", 0), Witness)
            print(name + "+" + keyid.hex() + "+" + base64.b64encode(b"\x04" + public).decode() + "=http://127.0.0.1:" + str(server.server_port), flush=True)
            server.serve_forever()
            """);
        using var other = cli.StartProgram("python3", cli.Folder, "cosign.py");
        try
        {
            var named = other.StandardOutput.ReadLine()!;
            cli.Run("init", cli["second"], "--keys", cli["keys2"], "--lock", "1d", "--witness", named).Expect(0);
            for (var i = 0; i < 3; i++)
            {
                cli.Run("backup", cli["source"], "--vault", cli["second"], "--keys", cli["keys2"]).Expect(0);
                cli.Run("log", "cosign", "--vault", cli["second"], "--keys", cli["keys2"]).Expect(0);
            }
            Assert.Contains("every commit is cosigned", cli.Run("status", "--vault", cli["second"], "--keys", cli["keys2"]).Expect(0).Out, StringComparison.Ordinal);
            Assert.Contains("it shows no checkpoint", cli.Run("log", "verify", "--vault", cli["second"], "--keys", cli["keys2"]).Expect(0).Out, StringComparison.Ordinal);
            Assert.DoesNotContain("someone.else", File.ReadAllText(cli["second/log/cosigned"]), StringComparison.Ordinal);
        }
        finally
        {
            other.Kill();
            other.WaitForExit();
        }
    }

    [Fact]
    public void A_witness_that_is_away_or_does_not_follow_the_log_costs_the_others_nothing()
    {
        using var cli = new Cli();
        using WitnessProcess one = new WitnessProcess(cli, "w1").Start(), away = new WitnessProcess(cli, "w2"), stranger = new WitnessProcess(cli, "w3").Start();
        cli.Run("init", cli["vault"], "--lock", "1d", "--witness", one.Named, "--witness", away.Named, "--witness", stranger.Named).Expect(0);
        cli.Run("witness", "add", one.Folder, LogKey(cli)).Expect(0);
        Back(cli, "first").Expect(0);
        var cosign = cli.Run("log", "cosign").Expect(49);
        Assert.Contains("witness.example/w1: cosigned", cosign.Out, StringComparison.Ordinal);
        Assert.Contains("nothing answers there", cosign.Error, StringComparison.Ordinal);
        Assert.Contains("does not follow this log", cosign.Error, StringComparison.Ordinal);
        Assert.Equal([0, 1, 1], Witnesses(cli).Select(w => w.GetProperty("commitsNotCosigned").GetInt32()));
        cli.Run("log", "verify").Expect(0);
        Back(cli, "second").Expect(0); // and no commit cares

        away.Start();
        cli.Run("witness", "add", away.Folder, LogKey(cli)).Expect(0);
        cli.Run("witness", "add", stranger.Folder, LogKey(cli)).Expect(0); // while it runs
        cli.Run("log", "cosign").Expect(0);
        Assert.All(Witnesses(cli), w => Assert.Equal(0, w.GetProperty("commitsNotCosigned").GetInt32()));
    }

    [Fact]
    public void As_a_service_it_has_each_commit_cosigned_until_it_is_stopped()
    {
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        using var service = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "log", "cosign", "--every", "1s");
        for (var i = 0; i < 3; i++)
        {
            Back(cli, $"state {i}").Expect(0);
            while (Witnesses(cli)[0].GetProperty("commitsNotCosigned").GetInt32() > 0)
                Assert.False(service.HasExited);
        }
        witness.Stop("KILL"); // it is away for a while, and its state is what it was
        Back(cli, "meanwhile").Expect(0);
        witness.Start();
        while (Witnesses(cli)[0].GetProperty("commitsNotCosigned").GetInt32() > 0)
            Assert.False(service.HasExited);
        cli.Shell($"kill -TERM {service.Id}");
        service.WaitForExit();
        Assert.Equal(0, service.ExitCode);
    }

    [Fact]
    public void A_vault_that_root_put_back_is_told_by_its_witness()
    {
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        cli.Run("log", "cosign").Expect(0);
        cli.Shell("cp -a vault older; cp -a keys older-keys");
        Back(cli, "the one that matters").Expect(0);
        cli.Run("log", "cosign").Expect(0);
        cli.Shell("rm -r vault keys; mv older vault; mv older-keys keys"); // vault, keys, all that this machine knows
        cli.Run("status").Expect(0); // nothing here tells
        var verify = cli.Run("log", "verify").Expect(40);
        Assert.Contains("PUT BACK", verify.Error, StringComparison.Ordinal);
        Assert.Contains("witness.example/w1", verify.Error, StringComparison.Ordinal);
        var kept = Directory.GetFiles(cli["keys"], "checkpoint.fork-*").Order().ToList();
        Assert.Equal(2, kept.Count);
        cli.Run("log", "verify").Expect(40);
        Assert.Equal(2, Directory.GetFiles(cli["keys"], "checkpoint.fork-*").Length); // the same evidence once
        Assert.Equal(40, cli.Run("log", "verify", "--since", kept.Single(k => k.EndsWith(".witnessed", StringComparison.Ordinal))).Status);

        // Elsewhere, without what the vault says of itself: an auditor with the witness's key on paper.
        cli.Shell("cp -a vault elsewhere; rm elsewhere/keeper/witnesses; rm -r elsewhere/log/cosigned*");
        Assert.Contains("not asked", cli.Run("log", "verify", "--vault", cli["elsewhere"], "--keys", "").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("PUT BACK", cli.Run("log", "verify", "--vault", cli["elsewhere"], "--keys", "", "--witness", witness.Named).Expect(40).Error, StringComparison.Ordinal);

        // Files that anybody can put there make none of it right.
        cli.Shell("cp -a vault forged; mkdir -p forged/log/cosigned.by; cp keys/checkpoint.fork-*.witnessed forged/log/cosigned.by/x.before-1");
        Assert.Contains("nobody has signed them", cli.Run("log", "verify", "--vault", cli["forged"], "--keys", "", "--witness", witness.Named).Expect(40).Error, StringComparison.Ordinal);

        // Once the keeper has heard of it, it signs nothing, and everything is read.
        Assert.Contains("PUT BACK", cli.Run("log", "cosign").Expect(40).Error, StringComparison.Ordinal);
        Assert.Contains("put back", Back(cli, "over it").Expect(40).Error, StringComparison.Ordinal);
        cli.Run("lock", "latest", "--until", "2030-01-01", "--confirm-locked-until", "2030-01-01").Expect(40);
        cli.Run("expire").Expect(40);
        cli.Run("status").Expect(40);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        Assert.Equal("first", File.ReadAllText(cli["r/notes.txt"]));
        cli.Run("verify", "--full").Expect(0);
        Assert.Contains("NOT THIS LOG", cli.Run("status").Expect(40).Out, StringComparison.Ordinal);

        // It was the owner who brought it back, knowingly: that costs the witness.
        var id = File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("id ", StringComparison.Ordinal))[3..11];
        Assert.Contains("never cosign this log again", cli.Run("log", "accept", "--confirm", id).Expect(0).Error, StringComparison.Ordinal);
        Back(cli, "and on").Expect(0);
        Assert.Contains("given up", cli.Run("log", "cosign").Expect(49).Error, StringComparison.Ordinal);
        Back(cli, "and on").Expect(0);
    }

    [Fact]
    public void A_second_history_is_told_by_its_witness()
    {
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        cli.Run("log", "cosign").Expect(0);
        cli.Shell("cp -a vault older; cp -a keys older-keys");
        Back(cli, "true").Expect(0);
        cli.Run("log", "cosign").Expect(0);
        cli.Shell("rm -r vault keys; mv older vault; mv older-keys keys");
        Back(cli, "false").Expect(0); // as many leaves, signed by the log's own key, in root's hands
        cli.Run("status").Expect(0);
        var verify = cli.Run("log", "verify").Expect(40);
        Assert.Contains("TWO HISTORIES", verify.Error, StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetFiles(cli["keys"], "checkpoint.fork-*").Length);
        Assert.Contains("TWO HISTORIES", cli.Run("log", "cosign").Expect(40).Error, StringComparison.Ordinal);
        Back(cli, "more").Expect(40);
        var evidence = Assert.Single(Directory.GetFiles(Path.Combine(witness.Folder, "state"), "*.fork")); // the witness has both as well
        Assert.Contains("holdfast/", File.ReadAllText(evidence), StringComparison.Ordinal);

        // A longer false history: the witness has nothing that proves it by itself, and the two together do.
        cli.Shell("rm -r vault/log/cosigned.by vault/log/cosigned");
        Back(cli, "longer").Expect(0);
        Back(cli, "and longer").Expect(0);
        Assert.Contains("TWO HISTORIES", cli.Run("log", "cosign").Expect(40).Error, StringComparison.Ordinal);
        Back(cli, "more").Expect(40);
    }

    /// <summary>It may be an older state that is looked at, with the network cut, so that no witness can say so.</summary>
    [Fact]
    public void Nobody_outside_has_seen_the_log_for_long()
    {
        Cli.RequireFakeTime();
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "verify", "--offline").Expect(0);
        witness.Stop();
        cli.FakeTime("+2d");
        var verify = cli.Run("log", "verify").Expect(49);
        Assert.Contains("No witness has cosigned this log since", verify.Error, StringComparison.Ordinal);
        Assert.Contains("nothing answers there", verify.Out, StringComparison.Ordinal);
        Assert.Contains("No witness has cosigned this log since", cli.Run("status").Expect(49).Out, StringComparison.Ordinal);
        Back(cli, "second").Expect(0); // backups go on
        cli.FakeTime(null);
        witness.Start();
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "verify").Expect(0);
        cli.Run("status").Expect(0);

        // The log stands still, and its witness sees that it does: told, and nobody's fault.
        witness.Stop();
        cli.FakeTime("+3d");
        witness.Start();
        cli.Run("log", "cosign").Expect(0);
        Assert.Contains("The log has not grown since", cli.Run("log", "verify").Expect(0).Out, StringComparison.Ordinal);
        cli.FakeTime(null);
        Assert.Contains("One of the two clocks is wrong", cli.Run("log", "verify").Expect(49).Error, StringComparison.Ordinal); // a time that has yet to come says nothing of today
    }

    /// <summary>One that goes along with whoever put the log back must not speak for the other.</summary>
    [Fact]
    public void One_witness_does_not_hide_that_another_is_kept_away()
    {
        Cli.RequireFakeTime();
        using var cli = new Cli();
        using WitnessProcess one = new WitnessProcess(cli, "w1").Start(), two = new WitnessProcess(cli, "w2").Start();
        Sample(cli, one, two);
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "verify").Expect(0);
        one.Stop();
        two.Stop();
        cli.FakeTime("+2d");
        one.Start();
        cli.Run("log", "cosign").Expect(49);
        foreach (var told in new[] { cli.Run("log", "verify").Expect(49).Error, cli.Run("status").Expect(49).Out })
        {
            Assert.Contains("he witness witness.example/w2 has not cosigned this log since", told, StringComparison.Ordinal);
            Assert.DoesNotContain("witness.example/w1 has not", told, StringComparison.Ordinal);
        }
    }

    /// <summary>What lies beside the log, and what other witnesses say, is nothing to who goes by this one.</summary>
    [Fact]
    public void A_witness_that_somebody_names_has_to_show_the_log_as_it_is_now()
    {
        using var cli = new Cli();
        using WitnessProcess one = new WitnessProcess(cli, "w1").Start(), stranger = new WitnessProcess(cli, "w2").Start();
        Sample(cli, one);
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "verify", "--witness", one.Named).Expect(0);
        cli.Run("log", "verify", "--witness", one.Named, "--offline").Expect(2);
        Assert.Contains("does not show", cli.Run("log", "verify", "--witness", one.Named, "--witness", stranger.Named).Expect(49).Error, StringComparison.Ordinal);
        one.Stop();
        cli.Run("log", "verify").Expect(0);
        Assert.Contains("does not show", cli.Run("log", "verify", "--witness", one.Named).Expect(49).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_witness_under_attack_stays_small_and_answers_afterwards()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /proc");
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1").Start();
        Sample(cli, witness);
        cli.Run("log", "cosign").Expect(0);
        var sockets = new List<TcpClient>();
        try
        {
            // Half a request each, and no end of it; more of them than are taken.
            for (var i = 0; i < 400; i++)
            {
                var socket = new TcpClient();
                sockets.Add(socket);
                socket.Connect("127.0.0.1", witness.Port);
                Send(socket, (i % 3) switch
                {
                    0 => "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nX: ",
                    1 => $"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 130000\r\n\r\n{new string('x', 100_000)}",
                    _ => $"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{new string('x', 100_000)}\r\n",
                });
            }
            Assert.InRange(Peak(witness), 0, 200_000);
        }
        finally
        {
            sockets.ForEach(s => s.Dispose());
        }
        foreach (var (request, status) in new[]
        {
            ("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 99999999999\r\n\r\n", "413"),
            ("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 200000\r\n\r\n", "413"),
            ($"GET /{new string('a', 5_000)} HTTP/1.1\r\nHost: w\r\n\r\n", "414"),
            ($"GET / HTTP/1.1\r\nHost: w\r\nX: {new string('a', 20_000)}\r\n\r\n", "431"),
            ("GARBAGE\r\n\r\n", "400"),
        })
        {
            using var socket = new TcpClient();
            Eventually(() => socket.Connect("127.0.0.1", witness.Port));
            Send(socket, request);
            var line = FirstLine(socket);
            Assert.True(line is null || line.Contains($" {status} ", StringComparison.Ordinal) || line.Contains(" 400 ", StringComparison.Ordinal), $"{request.Split('\r')[0]}: {line}");
        }
        Back(cli, "second").Expect(0);
        var cosigned = 0;
        for (var attempt = 0; attempt < 20 && (cosigned = cli.Run("log", "cosign").Status) != 0; attempt++)
            Thread.Sleep(1_000); // until the last of these connections is over
        Assert.Equal(0, cosigned);
        Assert.InRange(Peak(witness), 0, 200_000);
        Assert.Equal(0, witness.Stop());

        static void Eventually(Action connect)
        {
            try
            {
                connect();
            }
            catch (SocketException)
            {
                // It had enough of us.
            }
        }

        static void Send(TcpClient socket, string text)
        {
            try
            {
                socket.GetStream().Write(Encoding.ASCII.GetBytes(text));
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                // Likewise.
            }
        }

        static string? FirstLine(TcpClient socket)
        {
            try
            {
                using var reader = new StreamReader(socket.GetStream());
                return reader.ReadLine();
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                return null; // it still counts those before, and took none
            }
        }

        static long Peak(WitnessProcess process) => long.Parse(File.ReadLines($"/proc/{process.Id}/status").Single(l => l.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2],
            System.Globalization.CultureInfo.InvariantCulture); // kB
    }

    [Fact]
    public void With_tls_a_certificate_is_believed_that_the_system_believes()
    {
        Assert.SkipUnless(Cli.Has("openssl"), "needs openssl");
        using var cli = new Cli();
        cli.Shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=witness -addext subjectAltName=IP:127.0.0.1 2>/dev/null");
        using var witness = new WitnessProcess(cli, "w1", "--certificate", cli["cert.pem"], "--key", cli["key.pem"]).Start();
        Sample(cli, witness);
        Assert.Contains("certificate is not believed", cli.Run("log", "cosign").Expect(49).Error, StringComparison.Ordinal);
        cli.Environment["SSL_CERT_FILE"] = cli["cert.pem"];
        cli.Run("log", "cosign").Expect(0);
        cli.Run("log", "verify").Expect(0);
    }

    [Fact]
    public void What_cannot_be_right_is_refused_with_a_word()
    {
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w1");
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(witness.Folder, "witness.key")));
        cli.Run("witness", "init", witness.Folder, "--name", "again").Expect(11);
        cli.Run("witness", "init", cli["w2"], "--name", "a b").Expect(2);
        cli.Run("witness", "init", cli["w2"], "--name", "a+b").Expect(2);
        cli.Run("witness", "add", witness.Folder, witness.Key).Expect(2);
        cli.Run("witness", "add", cli["nowhere"], witness.Key).Expect(17);
        cli.Run("witness", "serve", cli["nowhere"]).Expect(17);
        foreach (var listen in new[] { "8443", "localhost:1", "127.0.0.1", "127.0.0.1:99999", "::1", "[::1]" })
            cli.Run("witness", "serve", witness.Folder, "--listen", listen).Expect(2);
        cli.Run("witness", "serve", witness.Folder, "--certificate", cli["x"]).Expect(2);
        foreach (var named in new[] { witness.Key, $"{witness.Key}=ftp://x/", $"{witness.Key}=http://x/?y", $"x=http://x/", $"{witness.Key[..^2]}=http://x/" })
            cli.Run("init", cli["vault"], "--witness", named).Expect(2);
        cli.Run("init", cli["vault"], "--witness", witness.Named, "--witness", witness.Named).Expect(2);
        Assert.False(Directory.Exists(cli["vault"]));
        cli.Init();
        Assert.Contains("no witnesses", cli.Run("log", "cosign").Expect(2).Error, StringComparison.Ordinal);
        Assert.Empty(Witnesses(cli));
        cli.Run("log", "cosign", "--every", "5w").Expect(2);
        witness.Start();
        var taken = cli.Run("witness", "serve", witness.Folder, "--listen", "127.0.0.1:0").Expect(18);
        Assert.Contains("runs this witness already", taken.Error, StringComparison.Ordinal);
        using var second = new WitnessProcess(cli, "w2");
        Assert.Contains("Nothing can listen", cli.Run("witness", "serve", second.Folder, "--listen", $"127.0.0.1:{witness.Port}").Expect(2).Error, StringComparison.Ordinal);
    }
}
