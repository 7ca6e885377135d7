using System.Diagnostics;
using System.Globalization;
using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>The password of the user who owns the vault's folder, without root, against the guard, which is root's. The controls are the same as the same user, on a copy without a guard.</summary>
sealed class OwnerAttacks(Stage stage)
{
    const string Who = "owner, not root";

    public IEnumerable<Attack> All()
    {
        Directory.CreateDirectory(stage["guard"]);
        var (guard, _) = stage.Tools.Serve(["guard", "--vault", stage.Main.Vault, "--state", stage["guard/state"]], stage["guard"], stage.Names("guard"), null, 1); // its first look is over
        foreach (var (id, tries, script) in new[]
        {
            ("delete", "rm -rf packs and objects", "rm -rf \"$VAULT/packs\" \"$VAULT/objects\""),
            ("overwrite", "write over a pack", "dd if=/dev/urandom of=\"$PACKFILE\" bs=1000 count=1 seek=1 conv=notrunc status=none"),
            ("truncate", "cut a pack short", "truncate -s 100 \"$PACKFILE\""),
            ("rename", "rename a pack", "mv \"$PACKFILE\" \"$PACKFILE.old\""),
            ("replace", "put another file in a pack's place", "printf junk >junk; mv -f junk \"$PACKFILE\" || cp --remove-destination junk \"$PACKFILE\""),
            ("move-aside", "move the whole vault aside", "mv \"$VAULT\" \"$VAULT.gone\""),
            ("chattr", "take the flags off, then remove", "chattr -R -i -a \"$VAULT\"; rm -rf \"$VAULT/packs\""),
            ("user-namespace", "the same as root of a user namespace", "unshare -r -m sh -c 'chattr -R -i -a \"$VAULT\"; rm -rf \"$VAULT/packs\"' || rm -rf \"$VAULT/packs\""),
            ("link", "write to a pack by a second name", "ln \"$PACKFILE\" second && printf junk | dd of=second conv=notrunc status=none; chmod 666 \"$PACKFILE\"; printf junk | dd of=\"$PACKFILE\" conv=notrunc status=none"),
            ("kill-guard", "kill the guard, then remove", "kill -KILL \"$PID\"; sleep 0.2; rm -rf \"$VAULT/packs\""),
        })
        {
            yield return new Attack($"owner.{id}", Who, tries, Expectation.Refused)
            {
                Script = script,
                On = () => At(stage.Main.Vault, guard, () => guard.HasExited ? new Finding(true, false, "the guard is gone") : stage.Main.Look()),
                Control = "a copy of the vault that the same user owns, without a guard",
                ControlOn = Unguarded,
                Missing = id is "user-namespace" && !Tools.Has("unshare") ? "needs unshare (Debian: util-linux)" : !Tools.Has("chattr") ? "needs chattr (Debian: e2fsprogs)" : null,
            };
        }
        yield return new Attack("owner.expire", Who, "set the clock ten years ahead and expire all", Expectation.Refused)
        {
            Missing = Tools.FakeTime is null ? "needs libfaketime (Debian: libfaketime)" : null,
            Script = ClockAttacks.Expire,
            ControlScript = ClockAttacks.Find,
            On = () => At(stage.Main.Vault, guard, () => stage.Main.Look()),
            Control = "a copy without locks, whose files are removed by age (find -mtime)",
            ControlOn = Unguarded,
        };
    }

    Target Unguarded()
    {
        var vault = stage.Copy(stage.Pristine);
        var process = stage.Tools.Start("sleep", ["60"], stage.Folder, stage.Owner);
        return At(vault, process, () => stage.Plain.Look(vault));
    }

    Target At(string vault, Process process, Func<Finding> look)
    {
        var folder = stage.Lair(stage.Owner);
        return new Target(new Dictionary<string, string>
        {
            ["VAULT"] = vault,
            ["PACKFILE"] = Stage.FilePath(vault, "packs", stage.PlainPack),
            ["PID"] = process.Id.ToString(CultureInfo.InvariantCulture),
            ["LIAR"] = Tools.FakeTime ?? "",
            ["HOLDFAST"] = Tools.Self,
            ["HOLDFAST_STATE_DIR"] = Path.Combine(folder, "state"),
            ["HOME"] = folder,
        }, look)
        { Folder = folder, Uid = stage.Owner };
    }
}
