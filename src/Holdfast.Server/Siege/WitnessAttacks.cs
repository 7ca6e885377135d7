using System.Globalization;
using Holdfast.Cli.Siege;
using Holdfast.Core.Log;

namespace Holdfast.Server.Siege;

/// <summary>Who has a witness's key: a witness that says what it likes, by the specification's own bytes (C2SP tlog-witness), beside one that is honest. Alone, with the log's key, and with root on the keeper besides.</summary>
sealed class WitnessAttacks(Stage stage)
{
    const string Who = "witness";
    const string WithRoot = "witness, root on keeper";
    const string Name = "stolen.example/w1";

    /// <summary>The witness: cosigns whatever it is shown, at the time that $LATER gives; where $SHOWN names a checkpoint, that is the newest that it says it has seen.</summary>
    const string Liar = """
        cat >liar.py <<'END'
        import base64, hashlib, http.server, os, subprocess, time
        name, key, shown = os.environ["NAME"], os.environ["KEY"], os.environ.get("SHOWN", "")
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
        keyid = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
        last = open(shown, encoding="utf-8", newline="").read() if shown else ""

        def line(body):
            when = int(time.time()) + int(os.environ["LATER"])
            open("message", "wb").write(f"cosignature/v1\ntime {when}\n{body}".encode())
            signed = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", "message"], check=True, capture_output=True).stdout
            return "\u2014 " + name + " " + base64.b64encode(keyid + when.to_bytes(8, "big") + signed).decode() + "\n"

        class Witness(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                head, note = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\n\n", 1)
                if shown:
                    self.answer(409, last.split("\n")[1] + "\n", "text/x.tlog.size")
                else:
                    self.answer(200, line(note.split("\n\n")[0] + "\n"), "text/plain")

            def do_GET(self):
                self.answer(200, last + line(last.split("\n\n")[0] + "\n") if shown else "up\n", "text/plain")

            def answer(self, status, text, kind):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *words):
                pass

        http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Witness).serve_forever()
        END
        python3 liar.py >/dev/null 2>&1 & liar=$!; trap 'kill $liar' EXIT
        for i in $(seq 100); do curl -s --max-time 5 -o up "http://127.0.0.1:$PORT/" && break; sleep 0.1; done; [ -e up ] || exit 9

        """;

    /// <summary>Has the keeper ask for cosignatures, as it does every five minutes.</summary>
    const string Cosign = "\"$HOLDFAST\" log cosign --vault \"$VAULT\" --keys '' >said 2>&1\n";
    const string Cosigned = Cosign + "grep -q \"$NAME: cosigned\" said || { cat said; exit 9; }\n";

    /// <summary>The time that it gives, in the eyes of who takes it at its word.</summary>
    const string Asked = """
        { printf 'old 0\n\n'; cat "$VAULT/log/checkpoint"; } >body
        at=$(printf %d "0x$(curl -s --max-time 10 --data-binary @body "http://127.0.0.1:$PORT/add-checkpoint" | cut -d' ' -f3 | base64 -d | dd bs=1 skip=4 count=8 status=none | od -An -v -tx1 | tr -d ' \n')") || exit 9

        """;

    /// <summary>A larger log than there is, signed by $SIGNER in the log's name.</summary>
    const string MadeUp = """
        origin=$(head -1 "$VAULT/log/checkpoint")
        { echo "$origin"; echo 1000000; head -c 32 /dev/urandom | base64; } >text
        openssl pkeyutl -sign -inkey "$SIGNER" -rawin -in text -out signature
        { cat text; echo; printf '\342\200\224 %s ' "$origin"; { cat "$LOGID"; cat signature; } | base64 -w0; echo; } >shown

        """;

    const string Back = "rm -rf \"$VAULT\"; cp -a \"$OLDER\" \"$VAULT\"\n";
    const string GoOn = "mkdir other; for i in 1 2 3 4 5 6 7 8; do echo $i >other/x; \"$HOLDFAST\" backup other --name other --vault \"$VAULT\" --keys keys --quiet; done\n";
    const string Play = "cp \"$VAULT/log/checkpoint\" shown\n" + Liar + "\"$HOLDFAST\" log verify --vault \"$VAULT\" --keys '' --witness \"$ASKED\" >told 2>&1; echo $? >status\n";

    readonly string _key = stage["attacker/witness.pem"];
    readonly int _port = Stage.FreePort();
    string _stolen = "", _honest = "";
    Baseline _vault = null!;

    public IEnumerable<Attack> All()
    {
        var missing = Tools.Has("python3") ? null : "needs python3";
        if (missing is null)
            Build();
        const string byAge = "a copy without locks, whose files are removed by age, by the witness's time";
        yield return new Attack("witness.ahead", Who, "cosign at a time ten years ahead, so that all locks are over", Expectation.Refused)
        {
            Missing = missing,
            Script = Liar + Cosigned + "\"$HOLDFAST\" expire --vault \"$VAULT\" --with-last all >over 2>&1 || { cat over; exit 9; }",
            On = () => OnCopy("315360000"),
            Control = byAge,
            ControlScript = Liar + Asked + "find \"$VAULT/packs\" \"$VAULT/objects\" -type f ! -newermt \"@$((at - 172800))\" -delete",
            ControlOn = () => OnCopy("315360000"),
        };
        yield return new Attack("witness.behind", Who, "cosign at a time 400 days ago, so that what is backed up now has expired at birth", Expectation.Refused)
        {
            Missing = missing,
            Script = Liar + Cosigned + "\"$HOLDFAST\" backup \"$KEPT\" --name late --vault \"$VAULT\" --keys keys --quiet || exit 9; \"$HOLDFAST\" expire --vault \"$VAULT\" --with-last all >over 2>&1 || { cat over; exit 9; }",
            On = () => OnCopy("-34560000"),
            Judge = (target, _) => Held(target),
            Control = "a copy dated by the witness's time, removed by age (find -mtime)",
            ControlScript = Liar + Asked + "cp -a \"$KEPT\" late; touch -d \"@$at\" late && [ -d late ] || exit 9; find . -maxdepth 1 -name late -mtime +2 -exec rm -r {} +",
            ControlOn = () => OnCopy("-34560000"),
            ControlJudge = (target, _) => Directory.Exists(target["late"]) ? new Finding(false, false, "the copy is there") : new Finding(true, false, "the copy is gone"),
        };
        yield return new Attack("witness.made-up", Who, "have the keeper stop, by a larger history that the log never signed", Expectation.Refused)
        {
            Missing = missing,
            Script = MadeUp + Liar + Cosign,
            On = () => OnCopy("0", ("SHOWN", "shown"), ("SIGNER", _key)),
            Judge = (target, _) => GoesOn(target),
            Control = "the same, signed with the log's key, stolen as well",
            ControlOn = () => OnCopy("0", ("SHOWN", "shown"), ("SIGNER", stage["attacker/log.pem"])),
        };
        foreach (var (id, tries, script) in new[] { ("witness.rollback", "put the vault back to an older state, and have it cosigned as the newest", Back), ("witness.fork", "go on from it with another history, signed with the log's key, and have that cosigned", Back + GoOn) })
        {
            yield return new Attack(id, WithRoot, tries, Expectation.Detected)
            {
                Missing = missing,
                Script = script + Play,
                On = () => OnCopy("0", ("SHOWN", "shown"), ("ASKED", _honest)),
                Judge = (target, _) => Gone(target),
                Control = "who asks the stolen witness alone",
                ControlOn = () => OnCopy("0", ("SHOWN", "shown"), ("ASKED", _stolen)),
            };
        }
    }

    /// <summary>A vault with two witnesses, whose key the attacker has of the one; and a copy of it from before its newest snapshot.</summary>
    void Build()
    {
        stage.Tools.Must("openssl", ["genpkey", "-algorithm", "ed25519", "-out", _key], stage.Folder);
        var spki = stage.Fresh("witness");
        stage.Tools.Must("openssl", ["pkey", "-in", _key, "-pubout", "-outform", "DER", "-out", spki], stage.Folder);
        _stolen = string.Create(CultureInfo.InvariantCulture, $"{new CosignerKey(Name, File.ReadAllBytes(spki)[^32..])}=http://127.0.0.1:{_port}");

        var (folder, vault, keys) = (stage["second/witness"], stage["witnessed/vault"], stage["witnessed/keys"]);
        Directory.CreateDirectory(stage["witnessed"]);
        var honest = stage.Holdfast(["witness", "init", folder, "--name", "second.example/w2"], "second").Out.Trim();
        var (_, said) = stage.Tools.Serve(["witness", "serve", folder, "--listen", "127.0.0.1:0"], stage["second"], stage.Names("second"), null, 1);
        _honest = $"{honest}={said[0]["Listening on ".Length..]}";
        stage.Holdfast(["init", vault, "--keys", keys, "--lock", "2d", "--witness", _stolen, "--witness", _honest]);
        var log = File.ReadLines(Path.Combine(vault, "vault")).First(l => l.StartsWith("log ", StringComparison.Ordinal))[4..];
        stage.Holdfast(["witness", "add", folder, log], "second");

        var sources = new Dictionary<string, string>();
        foreach (var (name, source) in new[] { ("ward8", "ward8-first"), ("ward7", "ward7-second") })
        {
            if (sources.Count > 0)
                stage.Tools.Must("cp", ["-a", "--", vault, stage["witnessed/older"]], stage.Folder);
            var done = stage.Holdfast(["backup", stage[$"judge/{source}"], "--name", name, "--json", "--vault", vault, "--keys", keys]);
            using var parsed = System.Text.Json.JsonDocument.Parse(done.Out);
            sources[parsed.RootElement.GetProperty("snapshot").GetString()!] = stage[$"judge/{source}"];
        }
        var cosigned = stage.Try(["log", "cosign", "--vault", vault, "--keys", ""]); // by the honest one: the other is not there yet
        if (!cosigned.Out.Contains("second.example/w2: cosigned", StringComparison.Ordinal))
            throw Tools.Broken("the witness does not cosign");
        _vault = new Baseline(stage, vault, keys, sources).Noted();

        // What the keeper's machine gives away: docs/format.md, 13.1, as of an agent's key; vault (16), seed (32).
        var body = Convert.FromBase64String(string.Concat(File.ReadLines(Path.Combine(vault, "keeper/log.key")).Skip(1)));
        Stage.WritePrivateKey(stage["attacker/log.pem"], body.AsSpan(16, 32));
        Stage.Write(stage["attacker/log.id"], VerifierKey.TryParse(log, out var key) ? key.KeyId : throw Tools.Broken("the log's key makes no sense"));
    }

    Target OnCopy(string later, params (string, string)[] more)
    {
        var vault = stage.Copy(_vault.Vault, owner: null); // this vault has no guard
        var target = Net.At(stage, "", "", () => _vault.Look(vault), [("VAULT", vault), ("OLDER", stage["witnessed/older"]), ("KEPT", stage["judge/ward8-first"]), ("LATER", later), ("KEY", _key), ("NAME", Name), ("LOGID", stage["attacker/log.id"]), ("PORT", _port.ToString(CultureInfo.InvariantCulture)), .. more]);
        stage.CopyKeys(_vault.Keys, target["keys"], "put.key", "agent.key");
        return target;
    }

    Finding Held(Target target)
    {
        var late = _vault.Locks(target.Names["VAULT"])?.Where(l => !_vault.Known(l.Key)).ToList() ?? [];
        return late is not [var one] ? throw new InvalidOperationException("no snapshot came")
            : one.Value < TimeProvider.System.GetUtcNow().AddDays(1.9) ? new Finding(true, false, "the new snapshot's lock is shorter than two days")
            : target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the new snapshot is locked for two days by the true clock");
    }

    /// <summary>Whether the keeper still takes backups; it read what the witness showed.</summary>
    Finding GoesOn(Target target)
    {
        if (!File.ReadAllText(target["said"]).Contains(Name, StringComparison.Ordinal))
            throw new InvalidOperationException("the witness was not asked");
        var backup = stage.Try(["backup", stage["judge/ward8-first"], "--name", "after", "--vault", target.Names["VAULT"], "--keys", target["keys"]]);
        return target.Look() is { IsHarm: true } harm && backup.Status == 0 ? harm : new Finding(backup.Status != 0, backup.Status != 0, $"a backup ends with {backup.Status}{(backup.Status == 0 ? "" : $": {Stage.Code(backup)}; what is there is restored")}");
    }

    Finding Gone(Target target)
    {
        var listed = _vault.Locks(target.Names["VAULT"]);
        var isGone = listed is null || _vault.Sources.Keys.Any(s => !listed.ContainsKey(s));
        var told = new Ran(int.Parse(File.ReadAllText(target["status"]), CultureInfo.InvariantCulture), "", File.ReadAllText(target["told"]));
        return new Finding(isGone, told.Status != 0, $"{(isGone ? "a snapshot is gone" : "all snapshots are there")}; `holdfast log verify` ends with {told.Status}{(told.Status == 0 ? "" : $": {Stage.Code(told)}")}");
    }
}
