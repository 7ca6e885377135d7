using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class ExpireCommand
{
    const int ShownSnapshots = 20;

    static readonly Option<bool> DryRunOption = new("--dry-run") { Description = "Only say what would be removed." };

    static readonly Option<string[]> LastOption = new("--with-last") { Description = "Also remove this snapshot, the last one of its source; `all` for every one of these.", HelpName = "SNAPSHOT" };

    const string All = "all";

    public static Command Create() => Session.Command("expire", """
        Remove what no lock has held for 14 days. Nothing else is ever removed.

        The last snapshot of a source stays all the same, as a backup that does not run any more would lose its last copy by it, unless --with-last names it.
        """, command =>
    {
        command.Options.Add(DryRunOption);
        command.Options.Add(LastOption);
        KeyFolder.AddTo(command, reading: false);
    }, Run);

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var dry = session.Parsed.GetValue(DryRunOption);
        var keys = new KeyFolder(session);
        keys.Remember(vault, toChange: !dry || vault.Keeper.LogFault is not null); // what a lost leaf lengthened would be told as free
        var before = vault.State.Snapshots.Where(s => !s.IsRemoved).ToList();
        var lasts = vault.Lasts().Select(s => s.Snapshot).ToHashSet();
        var named = session.Parsed.GetValue(LastOption) ?? [];
        var givenUp = (named.Contains(All) ? [] : named).Select(n => vault.Find(n).Snapshot).ToList();
        foreach (var snapshot in givenUp.Except(lasts))
            session.Warn($"holdfast: {Text.Id(snapshot)} is not the last snapshot of its source: --with-last changes nothing for it, it goes when its lock has been over for 14 days");
        var held = named.Contains(All) ? [] : lasts.Except(givenUp).ToList();
        var result = vault.Keeper.Expire(dry, held);
        var names = result.Names.Select(n => n.Name).ToHashSet();
        var ended = before.Where(s => dry ? Loses(vault, s, names) : vault.State.Find(s.Snapshot) is { IsRemoved: true }).ToList();
        var gone = ended.Select(s => s.Snapshot).ToHashSet();
        var staying = vault.State.Snapshots.Where(s => !s.IsRemoved && !gone.Contains(s.Snapshot)).ToList();
        var packs = result.Names.Count(n => n.Kind == StoreKind.Pack);
        session.Json(w =>
        {
            w.WriteBoolean("dryRun", dry);
            w.WriteNumber("packs", packs);
            w.WriteNumber("objects", result.Names.Count - packs);
            w.WriteNumber("bytes", result.Bytes);
            w.WriteStartArray("snapshots");
            foreach (var snapshot in ended)
                w.WriteStringValue(snapshot.Snapshot.ToString());
            w.WriteEndArray();
            w.WriteStartArray("last"); // of their sources: those that are gone, or would go
            foreach (var snapshot in ended.Where(s => lasts.Contains(s.Snapshot)))
                w.WriteStringValue(snapshot.Snapshot.ToString());
            w.WriteEndArray();
            w.WriteStartArray("lastKept");
            foreach (var snapshot in result.Held)
                w.WriteStringValue(snapshot.Snapshot.ToString());
            w.WriteEndArray();
            w.WriteNumber("snapshotsStaying", staying.Count);
            w.WriteNumber("stuck", result.Stuck);
            w.WriteBoolean("clockInDoubt", result.Time.State != TimeState.Sure);
            TimeReport.Write(w, result.Time);
            w.WriteBoolean("blocked", result.IsBlocked);
        });
        Action<string> tell = dry ? session.Line : session.Step; // what would go is what a dry run is asked for
        tell(result.Names.Count == 0
            ? result.IsBlocked ? "Nothing is given up." : result.Held.Count > 0 ? "Nothing else may be given up yet." : "Nothing may be given up yet: every pack is locked, or its lock ended less than 14 days ago."
            : $"{(dry ? "Would give up" : "Gave up")} {Text.Count(packs, "pack")} and {Text.Count(result.Names.Count - packs, "object")}, {Text.Bytes(result.Bytes)}{(ended.Count > 0 ? $", and with them {Text.Count(ended.Count, "snapshot")}:" : "; no snapshot needs them.")}");
        foreach (var snapshot in ended.Take(ShownSnapshots))
            tell($"  {Text.Id(snapshot.Snapshot)}  committed {Text.Time(snapshot.Committed)}, locked until {Text.Time(snapshot.Expiry)}{(lasts.Contains(snapshot.Snapshot) ? $"  THE LAST of source {Text.Id(snapshot.Source)}" : "")}");
        if (ended.Count > ShownSnapshots)
            tell($"  and {Text.Count(ended.Count - ShownSnapshots, "more", "more")}; --json lists them all");
        if (staying.Count > 0)
            tell($"{Text.Count(staying.Count, "snapshot")} {(staying.Count == 1 ? "stays" : "stay")}: the first lock ends {Text.Time(staying.Min(s => s.Expiry))}, the last {Text.Time(staying.Max(s => s.Expiry))}. What no lock holds goes 14 days later at the earliest.");
        if (result is { IsBlocked: false, Held.Count: > 0 })
        {
            tell($"{Text.Count(result.Held.Count, "snapshot")} {(result.Held.Count == 1 ? "is" : "are")} kept though no lock holds {(result.Held.Count == 1 ? "it" : "them")}: each is the last of its source, which may no longer be backed up.");
            foreach (var snapshot in result.Held.Take(ShownSnapshots))
                tell($"  {Text.Id(snapshot.Snapshot)}  committed {Text.Time(snapshot.Committed)}, locked until {Text.Time(snapshot.Expiry)}, of source {Text.Id(snapshot.Source)}; to remove it: {keys.Line("expire --with-last " + Text.Id(snapshot.Snapshot), vault)}");
            if (result.Held.Count > ShownSnapshots)
                tell($"  and {Text.Count(result.Held.Count - ShownSnapshots, "more", "more")}; --json lists them all");
        }
        if (dry)
            tell("This was a dry run: nothing was written, and nothing was removed.");
        if (result.Stuck > 0 && vault.Keeper.FolderStore is null)
            session.Warn($"holdfast: {Text.Count(result.Stuck, "name")} given up {(result.Stuck == 1 ? "is" : "are")} still in the object store: it says that they are locked, it did not answer, or there is no keeper/remover.key of a user who may remove versions (docs/manual/operate.md, In an object store). The next run tries again");
        else if (result.Stuck > 0)
            session.Warn($"holdfast: {Text.Count(result.Stuck, "file")} {(result.Stuck == 1 ? "was" : "were")} given up and {(result.Stuck == 1 ? "is" : "are")} still there: immutable, on a disk that refuses, or the vault was busy. Run `holdfast guard` as root where there is one (it lets go of what it finds to be over itself), then this again");
        if (ClockWords.Doubt(vault.Keeper.Clock) is { } doubt)
            session.Warn(doubt);
        foreach (var silent in result.Time.Silent)
            session.Warn($"holdfast: {TimeReport.Frozen(silent)}");
        if (result.IsBlocked && vault.Keeper.IsTimeUntold)
            return session.Fail(ErrorCode.ClockInDoubt, "Nothing is given up: the vault's clock was set forward by approval, and the log does not tell (any more) that all locks were lengthened with it.",
                "Where the log was put back, bring the newer one back (holdfast log verify). Where that is lost, the vault keeps what it has; begin a new one in time.");
        if (result.IsBlocked)
            return session.Fail(vault.Health().Problems.Find(p => p.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged)?.Code ?? (vault.Keeper.Away.Count > 0 ? ErrorCode.StoreUnavailable : ErrorCode.ObjectDamaged),
                "Nothing is given up: a snapshot that stays cannot say what it needs, and it may need anything. An object that says so is missing or damaged, or its list does not add up.", "Where a folder of the vault is away, mount its disk first. `holdfast verify` and `holdfast status` name the object: bring it back from another copy of the vault, then run this again.");
        // A vault that is busy and a disk that refuses are what the words above are of, and pass.
        return result.Fault is { Code: not (ErrorCode.VaultBusy or ErrorCode.StoreUnavailable) } fault ? session.Fail(fault.Code, $"{Text.Count(result.Stuck, "file")} of what was given up could not be removed: {fault.Message}", fault.Guidance) : 0;
    }

    /// <summary>Whether a snapshot is gone once these names are given up.</summary>
    static bool Loses(Vault vault, SnapshotRecord record, HashSet<Hash32> names) =>
        names.Count > 0 && (names.Contains(record.Name) || (vault.Keeper.Clock.HasPassed(record.Expiry) && vault.State.PacksOf(record) is { } set && names.Any(set.Contains)));
}
