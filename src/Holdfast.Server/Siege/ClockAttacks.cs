using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>The clock of the vault's machine, as libfaketime shows it to every process; the boot clock is the kernel's.</summary>
sealed class ClockAttacks(Stage stage)
{
    const string Who = "the machine's clock";
    const string Lie = "export LD_PRELOAD=\"$LIAR\" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME=";

    internal const string Expire = Lie + "+10y; \"$HOLDFAST\" expire --vault \"$VAULT\" --with-last all >said 2>&1; " + Seen;
    const string Seen = "unset LD_PRELOAD; grep -q 'refuses this machine.s clock' said || { grep -q 'of the vault.s' said && grep -q 'may be given up\\|is given up\\|ave up' said; } || { cat said; exit 9; }"; // it saw the lie, and came to its judgement; or the object store saw it
    internal const string Find = Lie + "+10y; find \"$VAULT/packs\" \"$VAULT/objects\" -type f -mtime +2 -delete";

    public IEnumerable<Attack> All()
    {
        var missing = Tools.FakeTime is null ? "needs libfaketime (Debian: libfaketime)" : null;
        yield return new Attack("clock.ahead", Who, "set it ten years ahead and expire all", Expectation.Refused)
        {
            Missing = missing,
            Script = Expire,
            ControlScript = Find,
            On = () => stage.IsInBucket ? At(stage.Main) : OnCopy(),
            Control = "a copy without locks, whose files are removed by age (find -mtime)",
            ControlOn = OnCopy,
        };
        if (stage.IsInBucket)
            yield break; // the object store takes nothing that is signed with such a date
        yield return new Attack("clock.back", Who, "set it 400 days back, so that what is backed up now has expired at birth", Expectation.Refused)
        {
            Missing = missing,
            Script = Lie + "-400d; \"$HOLDFAST\" backup \"$KEPT\" --name late --vault \"$VAULT\" --keys keys >taken 2>&1; \"$HOLDFAST\" status --vault \"$VAULT\" >said 2>&1; grep -q 'behind the vault.s' said || exit 9; unset LD_PRELOAD; \"$HOLDFAST\" expire --vault \"$VAULT\" --with-last all >over 2>&1; grep -q 'may be given up\\|is given up\\|ave up' over || { cat over; exit 9; }",
            On = () => Late(OnCopy()),
            Judge = (target, _) => Held(target),
            Control = "a dated copy, removed by age (find -mtime)",
            ControlScript = "cp -a \"$KEPT\" late; " + Lie + "-400d; touch -d \"$(date +%FT%T)\" late; unset LD_PRELOAD; find . -maxdepth 1 -name late -mtime +2 -exec rm -r {} +",
            ControlOn = () => Late(OnCopy()),
            ControlJudge = (target, _) => Directory.Exists(target["late"]) ? new Finding(false, false, "the copy is there") : new Finding(true, false, "the copy is gone"),
        };
    }

    Target OnCopy() => At(stage.Plain, stage.Copy(stage.Pristine));

    Target At(Baseline of, string? copy = null)
    {
        var vault = copy ?? of.Vault;
        return Net.At(stage, "", stage.PlainPack, () => of.Look(vault), ("VAULT", vault), ("LIAR", Tools.FakeTime ?? ""), ("KEPT", stage["judge/ward8-first"]));
    }

    Target Late(Target target)
    {
        stage.CopyKeys(stage.Plain.Keys, target["keys"], "put.key", "agent.key");
        return target;
    }

    Finding Held(Target target)
    {
        var locks = stage.Plain.Locks(target.Names["VAULT"]);
        var now = TimeProvider.System.GetUtcNow();
        var late = locks?.Where(l => !stage.Plain.Known(l.Key)).ToList() ?? [];
        return late is [var one] && one.Value > now.AddDays(1.9) ? target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the new snapshot is locked for two days by the true clock, too")
            : late.Count > 0 ? new Finding(true, false, "the new snapshot's lock is shorter than two days") : throw new InvalidOperationException("no snapshot came");
    }
}
