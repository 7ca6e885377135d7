using System.CommandLine;
using System.Globalization;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class VerifyCommand
{
    static readonly Option<bool> FullOption = new("--full") { Description = "Open every frame and check every chunk; needs the opening key, or a scoped key for what that opens. Otherwise every byte is hashed and checked against names, without any key." };
    static readonly Option<double> SampleOption = new("--sample") { Description = "Only so many percent of the packs, those read longest ago first.", HelpName = "PERCENT", DefaultValueFactory = _ => 100 };
    static readonly Option<bool> RebuildOption = new("--rebuild-index") { Description = "Throw the chunk index away first; it is rebuilt from the packs." };

    public static Command Create() => Session.Command("verify", "Read what is stored and check it.", command =>
    {
        foreach (var option in new Option[] { FullOption, SampleOption, RebuildOption, ThreadsArgument.Option })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var threads = ThreadsArgument.Get(session);
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        var isFull = session.Parsed.GetValue(FullOption);
        if (isFull)
            folder.Remember(vault);
        else if (folder.RememberIfOurs(vault) is { } isNotOurs) // names are checked with no key
            session.Warn($"holdfast: {isNotOurs}");
        using var keys = isFull ? folder.OpenReading(vault) : null;
        if (session.Parsed.GetValue(RebuildOption))
            vault.ForgetIndex();
        var progress = new VerifyProgress();
        VerifyResult result;
        TimeSpan elapsed;
        var reads = vault.LastReads();
        if (reads.IsUnreadable)
            session.Warn($"holdfast: {ReadsWords.Fault}. {ReadsWords.Advice}");
        var sample = Sample(session, vault, reads);
        using (var line = new ProgressLine(session, time => ProgressLine.Rate(progress.Bytes, progress.All, time)))
        {
            result = vault.Verify(keys, sample, progress, threads, session.Stop);
            elapsed = line.Elapsed;
        }
        var madeGood = vault.Health().MadeGood;
        var (audit, unaudited) = Audit(vault, session.Stop);
        var lost = result.Defects.Where(d => d.Kind != DefectKind.Foreign && !d.HasGoodCopy).ToList();
        var bad = lost.Where(d => !madeGood.Contains(d.Name)).ToList();
        var level = keys is null ? VerifyLevel.Names : result.ClosedPacks > 0 ? VerifyLevel.Part : VerifyLevel.Contents;
        try
        {
            if (folder is not { IsGiven: true, NotCompared: null }) // nobody can tell a copy of a vault from the vault then, and what is written to a copy parts it from the vault
                session.Note($"Not noted in the log: {(folder.NotCompared is null ? "that needs the key folder (--keys)" : "it was not compared with what these keys saw")}.");
            else
                vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, (ulong)level, (ulong)result.Bytes, (ulong)lost.Count(d => !lost.Exists(u => u.Kind == DefectKind.Unread && u.Name == d.Name)));
        }
        catch (HoldfastException e)
        {
            session.Note($"The verify could not be noted in the log: {e.Message}");
        }
        var share = result.AllPacks == 0 ? 100 : 100.0 * result.Packs / result.AllPacks;
        session.Json(w =>
        {
            w.WriteString("level", level switch { VerifyLevel.Names => "names", VerifyLevel.Contents => "contents", _ => "part" });
            w.WriteNumber("packs", result.Packs);
            w.WriteNumber("packsOpened", result.OpenedPacks);
            w.WriteNumber("packsInVault", result.AllPacks);
            w.WriteNumber("packsReadPercent", Math.Round(share, 2));
            w.WriteNumber("objects", result.Objects);
            w.WriteNumber("chunks", result.Chunks);
            w.WriteNumber("bytes", result.Bytes);
            w.WriteNumber("seconds", elapsed.TotalSeconds);
            if (audit is not null)
            {
                w.WriteNumber("locksReadBack", audit.Names);
                w.WriteNumber("locksShort", audit.Short.Count);
                w.WriteNumber("locksSetAgain", audit.Again.Count);
            }
            w.WriteStartArray("defects");
            foreach (var defect in result.Defects)
            {
                w.WriteStartObject();
                w.WriteString("kind", defect.Kind.ToString());
                w.WriteString("store", defect.Store.ToString());
                w.WriteString("name", defect.Name.ToString());
                w.WriteNumber("copy", defect.Copy);
                w.WriteBoolean("hasGoodCopy", defect.HasGoodCopy);
                if (defect.Path is { } path)
                    w.WriteString("path", path);
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        var isSample = sample is not null && result.Packs < result.AllPacks;
        session.Step(string.Create(CultureInfo.InvariantCulture,
            $"Read {(isSample ? $"{result.Packs:#,0} of {Text.Count(result.AllPacks, "pack")} ({share:0.#} %), those read longest ago," : Text.Count(result.Packs, "pack"))} and {Text.Count(result.Objects, "object")}, {Text.Bytes(result.Bytes)}, in {Text.Duration(elapsed)}{(keys is null ? "" : $"; {Text.Count(result.Chunks, "chunk")} opened and compared")}."));
        if (vault.Keeper.Folders is { Count: > 1 } folders)
            session.Step($"  in               {string.Join(", ", folders.Except(vault.Keeper.Away))}");
        if (audit is not null)
            session.Step($"  locks            {Text.Count(audit.Names, "lock")} read back from {vault.Keeper.ObjectStore}; {(audit.Short.Count + audit.Again.Count == 0 ? "each is as long as the log says" : $"{audit.Short.Count} NOT HELD, {audit.Again.Count} WERE NOT HELD and are again")}");
        if (unaudited is not null)
            session.Warn($"holdfast: the locks were not read back: {unaudited.Message} {unaudited.Guidance}");
        foreach (var (kind, name) in audit?.Short ?? [])
            session.Finding($"  {(kind == StoreKind.Pack ? "pack" : "object")} {name}: the object store does not lock it for as long as the log says, and takes no longer lock");
        foreach (var defect in result.Defects)
            session.Finding($"  {Describe(defect)}{(madeGood.Contains(defect.Name) ? "; no snapshot loses data by it: an attestation read what it held from other packs" : "")}");
        var refused = VaultHealth.Refused(vault.Keeper);
        if (refused is not null)
            session.Finding($"  {ProblemReport.Describe(refused)}");
        var unread = bad.Where(d => d.Kind == DefectKind.Unread).DistinctBy(d => d.Name).ToList();
        bad.RemoveAll(d => unread.Exists(u => u.Name == d.Name)); // the copy that did not answer may be sound
        var isRead = unread.Count == 0 ? "What was read is sound." : $"What was read is sound; {Text.Count(unread.Count, "file")} did not answer.";
        if (bad.Count == 0 && vault.Keeper.LogFault is { } damaged)
            return session.Fail(damaged.Code, $"{isRead} {damaged.Message}", damaged.Guidance);
        var tiles = TilesReport.Mend(session, vault, mayWrite: folder is { IsGiven: true, NotCompared: null });
        if (tiles is not null && bad.Count == 0)
            return session.Fail(tiles.Code, $"{isRead} {tiles.Message}", tiles.Guidance);
        if (tiles is not null)
            session.Finding($"  {tiles.Message}");
        if (bad.Count == 0 && refused is not null)
            return session.Fail(refused.Code, ProblemReport.Describe(refused) + ".", ProblemReport.Advice(refused.Code));
        if (bad.Count == 0 && unread.Count > 0)
        {
            return session.Fail(ErrorCode.StoreUnavailable, $"{Text.Count(unread.Count, "file")} of the vault could not be read, as {(unread.Count == 1 ? "it" : "they")} did not answer when asked twice: whether {(unread.Count == 1 ? "it is" : "they are")} whole is not known, and nothing is noted of {(unread.Count == 1 ? "it" : "them")}.",
                "Look at the disks of the vault, their cables or mounts (dmesg shows what the system saw), then run this again.");
        }
        if (bad.Count == 0 && audit is not null && audit.Short.Count + audit.Again.Count is var loose and > 0)
        {
            return session.Fail(ErrorCode.StoreUnsafe, $"{isRead} But the object store did not lock {Text.Count(loose, "file")} of the vault for as long as the log says; {audit.Again.Count} of them it locks again now.",
                "Locks do not end early in a store with Object Lock that works, unless the bucket was moved: find out who administers it, and what was done. Where some are still not held, see whether they are there, and whether the keeper's user may lengthen locks; then run this again.");
        }
        if (bad.Count == 0 && unaudited is not null)
            return session.Fail(unaudited.Code, $"{isRead} Whether the object store locks it was not read back: {unaudited.Message}", unaudited.Guidance);
        if (bad.Count == 0)
        {
            session.Step(Verdict(level, result, madeGood.Count > 0) + (isSample ? " The rest of the packs are there; they were not read." : ""));
            return folder.NotCompared is { } fault ? session.Fail(fault.Code, fault.Message, fault.Guidance) : 0;
        }
        if (vault.Keeper.Lost is { Count: > 0 } gone)
        {
            return session.Fail(ErrorCode.StoreUnavailable, $"{(gone.Count == 1 ? "A folder" : "Folders")} of the vault went away while this ran, or {(gone.Count == 1 ? "does" : "do")} not answer any more: {string.Join(", ", gone)}. What is called missing or damaged above may be there and sound.",
                "Look at the disk, its cable or its mount (dmesg shows what the system saw), then run this again.");
        }
        var code = bad.Min(Code);
        return session.Fail(code, $"{Text.Count(bad.Count, "file")} of the vault of which no good copy was found{(bad.Exists(d => d.Store == StoreKind.Object) ? ". Where that is a snapshot's object, which packs it needs cannot be told: more may be missing" : "")}. Whether data is lost by that, this did not look at.{(unread.Count > 0 ? $" {Text.Count(unread.Count, "more file", "more files")} did not answer: nothing is known of {(unread.Count == 1 ? "it" : "them")}." : "")}",
            (vault.Keeper.Away.Count > 0 ? "First mount the disk of the folder that is not there (`holdfast status` names it), and run this again. Where that is not it: " : "")
            + "Bring the files named from another copy of the vault into place (same names), then run this again. Until then the next backup stores again what it can still read, and restores use every place a chunk lies in. `holdfast status` names the snapshots that are hit; `holdfast attest --full SNAPSHOT` shows whether all of one can be read all the same.");
    }

    /// <summary>The locks as the object store has them. Where it does not say, hours of reading are not lost for it.</summary>
    static (LockAudit? Audit, HoldfastException? Fault) Audit(Vault vault, CancellationToken stop)
    {
        try
        {
            return (vault.Keeper.AuditLocks(stop), null);
        }
        catch (HoldfastException e)
        {
            return (null, e);
        }
    }

    static string Verdict(VerifyLevel level, VerifyResult result, bool isHealed) => level switch
    {
        _ when isHealed => "Healed: but for what is listed, all that was read is as it was written; no snapshot needs the rest.",
        VerifyLevel.Names => "Intact: all bytes read give the names they are stored under.",
        VerifyLevel.Contents => "Intact: all bytes read open, and are what the index says.",
        _ => string.Create(CultureInfo.InvariantCulture, $"Intact in part: this key opens {result.OpenedPacks:#,0} of the {Text.Count(result.Packs, "pack")} read; what it opens is what the index says. The bytes of the others give their names; whether they open was NOT looked at."),
    };

    static ErrorCode Code(Defect defect) => (defect.Store, defect.Kind) switch
    {
        (StoreKind.Pack, DefectKind.Missing) => ErrorCode.PackMissing,
        (StoreKind.Pack, _) => ErrorCode.PackDamaged,
        (_, DefectKind.Missing) => ErrorCode.ObjectMissing,
        _ => ErrorCode.ObjectDamaged,
    };

    /// <summary>The packs read longest ago, so that samples come round to all.</summary>
    static Func<Hash32, bool>? Sample(Session session, Vault vault, ReadTimes reads)
    {
        var percent = session.Parsed.GetValue(SampleOption);
        if (!(percent is > 0 and <= 100))
            throw new HoldfastException(ErrorCode.Usage, "The sample is out of range.", "Give a percentage above 0 and up to 100.");
        if (percent == 100)
            return null;
        var all = vault.Keeper.Store.List(StoreKind.Pack).Where(p => !p.Name.IsNone).Select(p => p.Name).Distinct().ToList();
        var chosen = all.OrderBy(n => reads.Times.GetValueOrDefault(n)).ThenBy(n => n).Take((int)Math.Ceiling(all.Count * percent / 100)).ToHashSet();
        return chosen.Contains;
    }

    static string Describe(Defect defect) => defect.Kind switch
    {
        DefectKind.Foreign => $"{(defect.Name.IsNone ? $"the file {Text.Name(Encoding.UTF8.GetBytes(defect.Path ?? ""))}" : $"the file {defect.Name} in {(defect.Store == StoreKind.Pack ? "packs" : "objects")}/")} does not belong to the vault; it is left alone",
        DefectKind.Unread => $"not read, as it did not answer: {defect.Store} {defect.Name}{(defect.Copy > 0 ? $" (copy {defect.Copy})" : "")}{(defect.HasGoodCopy ? "; another copy is sound" : "")}",
        DefectKind.Missing => $"missing: {defect.Store} {defect.Name}",
        _ => $"{(defect.Kind == DefectKind.Damaged ? "damaged" : "wrong content")}: {defect.Store} {defect.Name}{(defect.Copy > 0 ? $" (copy {defect.Copy})" : "")}{(defect.HasGoodCopy ? "; another copy is sound, and is used" : "")}",
    };
}
