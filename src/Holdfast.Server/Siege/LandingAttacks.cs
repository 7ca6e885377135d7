using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>The key of an account at a landing, with OpenSSH's own server and clients: in a mount namespace of its own, where /etc/passwd has the accounts and /mnt is a disk in memory. The machine's sshd and users are not touched.</summary>
sealed class LandingAttacks(Stage stage)
{
    const string Who = "landing account";
    const string Share = "a plain SFTP share, where the same account may do what it likes";

    static readonly string[] Needed = ["sftp", "ssh", "ssh-keygen", "sshd", "unshare", "nsenter", "gzip"];

    /// <summary>s COMMANDS speaks SFTP with the account's key; take is what the landing's unit runs; kept is what lies there under the name $N.</summary>
    const string Speak = """
        o="-q -i $ID -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
        s() { printf '%b\n' "$1" | timeout 60 sftp -b - $o -P "$PORT" "$WHO@127.0.0.1" >spoken 2>&1; }
        inside() { nsenter -t "$NS" -m -- "$@"; }
        take() { inside "$HOLDFAST" landing take /mnt/landing --json --vault "$VAULT" --keys "$KEYS" >told 2>&1 || [ $? = 59 ] || { cat told; exit 9; }; }
        echo other >other; : >empty; echo "dump of $N" | gzip >dump

        """;

    const string Put = Speak + "s \"put dump $N\" || { cat spoken; exit 9; }\n";
    const string Kept = "; inside cat \"$IN/$N\" >now 2>/dev/null; true";

    int _landing, _plain; // ports
    Process _namespace = null!;
    Baseline _vault = null!;

    public IEnumerable<Attack> All()
    {
        var missing = !Tools.IsRoot ? "needs root: sshd shuts accounts into a root folder of their own" : Array.Find(Needed, t => !Tools.Has(t)) is { } tool ? $"needs {tool} (Debian: openssh-server openssh-client util-linux)" : null;
        if (missing is null && !Build())
            missing = "mount namespaces are not allowed here";
        Attack Row(string id, string tries, string script, Func<Target, Finding> judge) => new($"landing.{id}", Who, tries, Expectation.Refused)
        {
            Missing = missing,
            Script = script,
            On = () => At(isPlain: false, "epr"),
            Judge = (target, _) => judge(target),
            Control = Share,
            ControlOn = () => At(isPlain: true, "epr"),
        };
        yield return Row("read", "read a dump that was dropped before", Put + "s \"get $N got\"; true", t => File.Exists(t["got"]) && IsSame(t, "got") ? new Finding(true, false, "the dump came back to the account") : new Finding(false, false, "no byte of it came back"));
        yield return Row("delete", "remove a dump that was dropped before", Put + "s \"rm $N\"" + Kept, Lies);
        yield return Row("overwrite", "write over a dump that was dropped before", Put + "s \"put other $N\"" + Kept, Lies);
        yield return Row("truncate", "cut a dump that was dropped before to nothing", Put + "s \"put empty $N\"" + Kept, Lies);
        yield return Row("rename", "rename another file over a dump that was dropped before", Put + "s \"put other $N.x\\nrename $N.x $N\"" + Kept, Lies);
        yield return Row("link", "make a link that leads out of the folder, and read by it", Put + "s \"ln -s $LOOT $N.s\"; s \"get $N.s got\"; inside test -L \"$IN/$N.s\" && echo made >made; true",
            t => File.Exists(t["made"]) || File.Exists(t["got"]) ? new Finding(true, false, $"the link is there{(File.Exists(t["got"]) ? ", and what it leads to was read" : "")}") : new Finding(false, false, "no link came about"));
        yield return Row("outside", "write outside of its folder", Put + "s \"put other ../$N.out\"; inside test -e \"$IN/../$N.out\" && echo made >made; true", t => new Finding(File.Exists(t["made"]), false, File.Exists(t["made"]) ? "the file is there" : "nothing is there"));
        yield return Row("shell", "have a shell", Put + "timeout 20 ssh $o -p \"$PORT\" \"$WHO@127.0.0.1\" id >got 2>/dev/null </dev/null; true", t => File.ReadAllText(t["got"]).Contains("uid=", StringComparison.Ordinal) ? new Finding(true, false, "a command ran") : new Finding(false, false, "no command ran"));
        yield return new Attack("landing.taken", Who, "remove, rename and write over a dump that was taken", Expectation.Refused)
        {
            Missing = missing,
            Script = Put + "take; s \"-rm $N\\n-rename $N $N.x\\n-put other $N\"; take",
            On = () => At(isPlain: false, "epr"),
            Judge = (target, _) => Stored(target),
            Control = Share,
            ControlScript = Put + "s \"-rm $N\\n-rename $N $N.x\\n-put other $N\"" + Kept,
            ControlOn = () => At(isPlain: true, "epr"),
            ControlJudge = (target, _) => Lies(target),
        };
        yield return new Attack("landing.poison", Who, "displace the newest good dump by one that is none", Expectation.Refused)
        {
            Missing = missing,
            Script = Put + "take; s \"put other $N.2\" || exit 9; take",
            On = () => At(isPlain: false, "epr"),
            Judge = (target, _) => Newest(target, "landing-epr"),
            Control = "a drop point of which no format is checked",
            ControlOn = () => At(isPlain: false, "any"),
            ControlJudge = (target, _) => Newest(target, "landing-any"),
        };
        yield return new Attack("landing.fill", Who, "fill the disk: three files of 1.1 MB where 1 MiB may lie", Expectation.Refused)
        {
            Missing = missing,
            Script = Speak + "head -c 1100000 /dev/urandom >big; for i in 1 2 3; do s \"put big $N.$i\"; take; done; inside sh -c \"cat $IN/$N.*\" | wc -c >found",
            On = () => At(isPlain: false, "full"),
            Judge = (target, _) => Filled(target),
            Control = Share,
            ControlOn = () => At(isPlain: true, "full"),
        };
    }

    /// <summary>False where no such namespace can be made.</summary>
    bool Build()
    {
        var folder = stage["landing"];
        Directory.CreateDirectory(folder);
        const string setup = """
            set -e
            for f in passwd group shadow; do cp /etc/$f own.$f; done
            u=64990; for a in epr any full; do u=$((u + 1)); echo "drop-$a:x:$u:$u::/:/bin/sh" >>own.passwd; echo "drop-$a:x:$u:" >>own.group; echo "drop-$a:*:19000:0:99999:7:::" >>own.shadow; done
            for f in passwd group shadow; do mount --bind own.$f /etc/$f; done
            mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/sshd
            mount -t tmpfs -o mode=755,size=64m tmpfs /mnt
            touch ready; exec sleep 600
            """;
        _namespace = stage.Tools.Start("unshare", ["--mount", "--propagation", "private", "bash", "-c", setup], folder);
        while (!File.Exists(stage["landing/ready"]))
        {
            if (_namespace.WaitForExit(50))
                return false;
        }
        stage.Holdfast(["init", stage["landing/vault"], "--keys", stage["landing/keys"], "--lock", "2d"]);
        _vault = new Baseline(stage, stage["landing/vault"], stage["landing/keys"], new Dictionary<string, string>());
        (_landing, _plain) = (Stage.FreePort(), Stage.FreePort());
        Stage.Write(stage["landing/plan"], "drop epr\n account drop-epr\n format gzip\n quiet 0s\n shrink 0\ndrop any\n account drop-any\n quiet 0s\n shrink 0\ndrop full\n account drop-full\n quiet 1h\n quota 1MiB\n"u8);
        Inside("""
            set -e
            "$HOLDFAST" landing init /mnt/landing >/dev/null; cp plan /mnt/landing/landing.conf; "$HOLDFAST" landing init /mnt/landing --listen "127.0.0.1:$1" --keys "$PWD/keys" >/dev/null
            ssh-keygen -q -t ed25519 -N '' -f /mnt/landing/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f id
            for a in epr any full; do install -m 644 id.pub /mnt/landing/keys/drop-$a; done; mkdir -p /mnt/plain/in; chmod -R 777 /mnt/plain
            sed -e '/^Match/,$d' -e '/^ForceCommand/d; /^Disable/d; /^PermitTTY/d' -e "s/^Port .*/Port $2/; s,^Subsystem.*,Subsystem sftp internal-sftp -d /mnt/plain/in," /mnt/landing/sshd_config >plain_config
            """, Port(_landing), Port(_plain));
        foreach (var (configuration, port) in new[] { ("/mnt/landing/sshd_config", _landing), (stage["landing/plain_config"], _plain) })
        {
            var server = stage.Tools.Start("nsenter", ["-t", Port(_namespace.Id), "-m", "--", "/usr/sbin/sshd", "-D", "-e", "-f", configuration], stage.Folder);
            while (!Answers(port))
            {
                if (server.WaitForExit(50))
                    throw Tools.Broken("sshd ended at its start");
            }
        }
        return true;
    }

    void Inside(string script, params string[] arguments) => stage.Tools.Must("nsenter", ["-t", Port(_namespace.Id), "-m", "--", "sh", "-c", $"cd '{stage["landing"]}'; {script}", "sh", .. arguments], stage["landing"], new Dictionary<string, string>(stage.Names("judge")) { ["HOLDFAST"] = Tools.Self });

    static string Port(int number) => number.ToString(CultureInfo.InvariantCulture);

    static bool Answers(int port)
    {
        using var client = new TcpClient();
        try
        {
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    Target At(bool isPlain, string drop)
    {
        var target = Net.At(stage, "", "", () => new Finding(false, false, ""), ("ID", stage["landing/id"]), ("PORT", Port(isPlain ? _plain : _landing)), ("WHO", $"drop-{drop}"), ("NS", Port(_namespace.Id)),
            ("IN", isPlain ? "/mnt/plain/in" : $"/mnt/landing/drop/{drop}/in"), ("VAULT", _vault.Vault), ("KEYS", _vault.Keys), ("LOOT", stage[$"ward7/source/{Stage.Planted}.txt"]));
        return target with { Names = new Dictionary<string, string>(target.Names) { ["N"] = $"dump-{Path.GetFileName(target.Folder)}" } };
    }

    static bool IsSame(Target target, string file) => File.ReadAllBytes(target["dump"]).AsSpan().SequenceEqual(File.ReadAllBytes(target[file]));

    static Finding Lies(Target target) => IsSame(target, "now") ? new Finding(false, false, "the dump lies there byte for byte") : new Finding(true, false, "the dump is gone, or another");

    /// <summary>Whether a snapshot has the dump as it was dropped.</summary>
    Finding Stored(Target target) => _vault.Locks(_vault.Vault)?.Keys.Any(s => Has(s, target)) == true ? new Finding(false, false, "a snapshot has it byte for byte") : new Finding(true, false, "no snapshot has it");

    bool Has(string snapshot, Target target)
    {
        var restored = stage.Fresh("dump");
        var file = Path.Combine(restored, "files", target.Names["N"]);
        return stage.Try(["restore", snapshot, restored, "--vault", _vault.Vault, "--keys", stage.Forgetful(_vault)]).Status == 0 && File.Exists(file) && File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(target["dump"]));
    }

    Finding Newest(Target target, string source)
    {
        var restored = stage.Fresh("newest");
        stage.Holdfast(["restore", "latest", restored, "--name", source, "--vault", _vault.Vault, "--keys", stage.Forgetful(_vault)]);
        return Directory.GetFiles(Path.Combine(restored, "files")).Select(Path.GetFileName).Contains(target.Names["N"]) ? new Finding(false, false, "the newest snapshot of the source is the good dump") : new Finding(true, false, "the newest snapshot of the source is what the attacker dropped");
    }

    static Finding Filled(Target target)
    {
        var bytes = long.Parse(File.ReadAllText(target["found"]), CultureInfo.InvariantCulture);
        return bytes == 0 ? throw new InvalidOperationException("nothing was taken") : new Finding(bytes > 2_000_000, false, string.Create(CultureInfo.InvariantCulture, $"{bytes / 100_000 / 10.0} MB lie there"));
    }
}
