using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>The control plane, `holdfast serve`: who writes to its database, to its configuration, or has what its jobs hold. It runs for each row anew, in the attacker's folder, on a copy of the vault.</summary>
sealed class ControlAttacks(Stage stage)
{
    const string Database = "control plane's database";
    const string Host = "control plane's host";

    /// <summary>Begins `holdfast serve` with the jobs in the file `jobs`; q SQL asks its database; ended waits for a run that has, with an outcome where one is given: a run begun again may come out as it likes, for what came of it is judged.</summary>
    const string Serve = """
        { printf 'vault: %s\nkeys: %s/keys\ndatabase: { file: %s/control.db }\nroles: {}\njobs:\n' "$VAULT" "$PWD" "$PWD"; cat jobs; } >serve.yaml
        "$HOLDFAST" serve --config serve.yaml >said 2>&1 & serve=$!; trap 'kill $serve; wait $serve' EXIT
        q() { sqlite3 -cmd '.timeout 5000' control.db "$1"; }
        ended() { for i in $(seq 300); do [ "$(q "SELECT COUNT(*) FROM holdfast_runs WHERE state = 2 ${1:+AND outcome = $1}" 2>/dev/null)" = 1 ] && return; sleep 0.1; done; cat said; exit 9; }

        """;

    const string Backup = "printf '  ward: { do: backup, source: %s, name: console, every: 52w }\\n' \"$KEPT\" >jobs\n" + Serve + "ended 1\n";
    const string Again = "q \"UPDATE holdfast_runs SET state = 0, outcome = 0, attempts = 0, begins = 0, node = NULL, lease = NULL, token = 0";

    public IEnumerable<Attack> All()
    {
        var missing = !File.Exists(Path.Combine(Path.GetDirectoryName(Tools.Self)!, "control/holdfast-control")) ? "needs the program control/holdfast-control, which belongs beside this one"
            : !Tools.Has("sqlite3") ? "needs sqlite3" : !Tools.Has("setpriv") ? "needs setpriv (Debian: util-linux)" : null;
        yield return new Attack("control.twice", Database, "replay a run that was done, so that it is committed twice", Expectation.Refused)
        {
            Missing = missing,
            Script = Backup + Again + "\"; ended",
            On = OnCopy,
            Judge = (target, _) => Committed(target),
            Control = "a runner that goes by its table alone (sqlite3 and sh)",
            ControlScript = """
                q() { sqlite3 control.db "$1"; }
                run() { [ "$(q 'SELECT state FROM runs')" = 0 ] && "$HOLDFAST" backup "$KEPT" --name console --vault "$VAULT" --keys keys --quiet && q 'UPDATE runs SET state = 2'; }
                q 'CREATE TABLE runs (state INTEGER); INSERT INTO runs VALUES (0)'; run
                q 'UPDATE runs SET state = 0'; run
                """,
            ControlOn = OnCopy,
        };
        yield return new Attack("control.command", Database, "have a command of its own run, written wherever the database has room for words", Expectation.Refused)
        {
            Missing = missing,
            Script = Backup + """
                w="; touch $PWD/ran; \$(touch $PWD/ran)"
                q "UPDATE holdfast_runs SET state = 0, outcome = 0, attempts = 0, begins = 0, lease = NULL, token = 0, run = '$w', node = '$w'; INSERT INTO holdfast_jobs VALUES ('$w', 0); INSERT INTO holdfast_runs (job, due, run, state, begins) VALUES ('$w', 0, '$w', 0, 0); INSERT INTO holdfast_nodes VALUES ('$w', '$w', 0, 9000000000000)"
                ended
                """,
            On = OnCopy,
            Judge = (target, _) => Ran(target),
            Control = "a runner that has its commands in the table (sqlite3 and sh)",
            ControlScript = "w=\"; touch $PWD/ran\"; sqlite3 control.db \"CREATE TABLE runs (run TEXT); INSERT INTO runs VALUES ('true'); UPDATE runs SET run = run || '$w'\"; sqlite3 control.db 'SELECT run FROM runs' | sh",
            ControlOn = OnCopy,
        };
        yield return new Attack("control.configuration", Host, "write a job into the configuration that removes a pack, with the keys and the certificate that jobs have", Expectation.Refused)
        {
            Missing = missing,
            Script = """
                echo "curl -sk --cert '$WHO' --max-time 15 -X DELETE -o '$PWD/answer' -w '%{http_code}' '$URL/v1/packs/$PACK' | tee '$PWD/code'" >job.sh
                printf '  ward: { do: backup, command: [sh, %s/job.sh], name: console, every: 52w }\n' "$PWD" >jobs

                """ + Serve + "ended 1; cat code",
            On = () => Asking(Net.Keeper(stage, ("WHO", stage["gateway/client.pem"]))),
            Control = "a share of the same files",
            ControlOn = () => Asking(Net.Share(stage, ("WHO", stage["gateway/client.pem"]))),
        };
        yield return new Attack("control.read", Host, "restore what is backed up, with the keys that its jobs have", Expectation.Refused)
        {
            Script = "\"$HOLDFAST\" restore latest out --name ward8 --vault \"$VAULT\" --keys keys >said 2>&1; echo $? >status; \"$HOLDFAST\" status --vault \"$VAULT\" >there 2>&1 || exit 9",
            On = OnCopy,
            Judge = (target, _) => Read(target),
            Control = "the same, with the opening key",
            ControlOn = () => OnCopy("opening.key", "opening.secret"),
        };
    }

    Target OnCopy() => OnCopy([]);

    Target OnCopy(params string[] more)
    {
        var vault = stage.Copy(stage.Pristine);
        var target = Net.At(stage, "", stage.PlainPack, () => stage.Plain.Look(vault), ("VAULT", vault), ("KEPT", stage["judge/ward8-first"]));
        stage.CopyKeys(stage.Plain.Keys, target["keys"], ["put.key", "agent.key", .. more]);
        return target;
    }

    /// <summary>The same with a vault for the job to be of: what it is sent at stands as it is.</summary>
    Target Asking(Target target)
    {
        var vault = stage.Copy(stage.Pristine);
        stage.CopyKeys(stage.Plain.Keys, target["keys"], "put.key", "agent.key");
        return target with { Names = new Dictionary<string, string>(target.Names) { ["VAULT"] = vault } };
    }

    Finding Committed(Target target) => stage.Plain.Locks(target.Names["VAULT"])?.Keys.Count(s => !stage.Plain.Known(s)) switch
    {
        1 => target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the run was begun twice, and the log has one commit of it"),
        > 1 => new Finding(true, false, "the log has two commits of one run"),
        _ => throw new InvalidOperationException("no snapshot came"),
    };

    static Finding Ran(Target target) => File.Exists(target["ran"]) ? new Finding(true, false, "the command ran") : target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the run was begun again under its own name, and nothing else ran");

    static Finding Read(Target target)
    {
        var isRead = Directory.Exists(target["out"]) && Directory.EnumerateFiles(target["out"], $"{Stage.Planted}*", SearchOption.AllDirectories).Any();
        var status = File.ReadAllText(target["status"]).Trim();
        return isRead ? new Finding(true, false, "the planted file came back") : status == "0" ? throw new InvalidOperationException("it ended well, and nothing came") : new Finding(false, false, $"`holdfast restore` ends with {status}, and no file came back");
    }
}
