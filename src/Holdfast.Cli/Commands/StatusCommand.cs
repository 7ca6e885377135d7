using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class StatusCommand
{
    public static Command Create() => Session.Command("status", "Show what protects the vault, what is proven, and when space runs out.", command => KeyFolder.AddTo(command, reading: false), Run);

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var status = VaultStatus.Of(vault);
        session.Json(w =>
        {
            w.WriteString("vault", vault.Id.ToString());
            w.WriteString("kind", status.IsTrial ? "TRIAL - NOT PROTECTION" : "real");
            w.WriteNumber("protectionLevel", 1);
            w.WriteString("vaultTime", Text.Iso(status.Now));
            w.WriteNumber("wallClockOffsetSeconds", status.ClockOffset);
            w.WriteNumber("snapshots", status.Snapshots);
            w.WriteNumber("neverTested", status.NeverTested);
            w.WriteNumber("packs", status.Packs);
            w.WriteNumber("packBytes", status.PackBytes);
            w.WriteNumber("lockedBytes", status.LockedBytes);
            w.WriteNumber("freeBytes", status.Free);
            if (status.FullOn is { } full)
                w.WriteString("spaceRunsOut", Text.Iso(full));
            w.WriteStartArray("freedByDay");
            foreach (var (day, bytes) in status.Freed)
            {
                w.WriteStartObject();
                w.WriteString("day", Text.Iso(day)[..10]);
                w.WriteNumber("bytes", bytes);
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteNumber("logSize", vault.Keeper.Log.Size);
            w.WriteNumber("refusals", vault.State.Refusals);
            w.WriteNumber("unreadPacks", status.NeverRead);
            if (status.OldestRead is { } oldest)
                w.WriteString("oldestRead", Text.Iso(oldest));
            w.WriteNumber("keyEpoch", vault.State.KeyEpoch);
            w.WriteStartArray("scopedKeys");
            foreach (var key in vault.State.ScopedKeys)
            {
                w.WriteStartObject();
                w.WriteString("id", key.Key.ToString());
                w.WriteString("class", key.Class.ToString());
                w.WriteBoolean("allPacks", key.Packs == ScopedKeyRecord.AllPacks);
                if (key.Packs != ScopedKeyRecord.AllPacks)
                    w.WriteNumber("packs", key.Packs);
                w.WriteString("cut", Text.Iso(key.Cut));
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteBoolean("recoveryKitPrinted", vault.State.KitPrinted > 0);
            w.WriteNumber("recoveryKitEpoch", vault.State.KitEpoch);
        });
        if (status.IsTrial)
            session.Line("TRIAL - NOT PROTECTION. This vault is for trying out; its locks last a day.\n");
        session.Line($"Vault {vault.Id}, made {Text.Time(vault.State.Genesis!.Created)}");
        session.Line("Protection level 1 of 4: change is detected. Whoever owns this machine can still delete its files.");
        session.Line("  next level: keep the vault on a host of its own, that no administrator of the protected hosts can log in to");
        session.Line();
        session.Line($"Snapshots    {status.Snapshots}, {(status.Latest is { } latest ? "the latest from " + Text.Time(latest) : "none yet")}");
        session.Line(status.NeverTested > 0 ? $"Proof        {status.NeverTested} NEVER TESTED: run holdfast attest --keys FOLDER" : status.Snapshots > 0 ? "Proof        every snapshot was re-opened or restored" : "Proof        NOTHING TO TEST YET");
        session.Line($"Last read    {(status.NeverRead > 0 ? string.Create(CultureInfo.InvariantCulture, $"{status.NeverRead:#,0} of {status.Packs:#,0} packs NEVER READ BACK: run holdfast verify") : status.OldestRead is { } read ? "every pack since " + Text.Time(read) : "no pack yet")}");
        session.Line($"Locks        {Text.Bytes(status.LockedBytes)} of {Text.Bytes(status.PackBytes)} locked now; policy: {Policy(vault.State.PolicyFor(Id16.None))}");
        session.Line($"Space        {Text.Bytes(status.Free)} free{(status.FullOn is { } date ? $"; at the pace of the last weeks it lasts until {Text.Time(date)[..10]}" : "")}");
        foreach (var (day, bytes) in status.Freed.Take(5))
            session.Line($"             may be removed from {Text.Iso(day)[..10]}: {Text.Bytes(bytes)}");
        session.Line($"Log          {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")}{(vault.State.Refusals > 0 ? $"; {vault.State.Refusals} requests REFUSED" : "")}");
        session.Line($"Recovery kit {(vault.State.KitPrinted > 0 ? "printed " + Text.Time(vault.State.KitPrinted) : "NEVER PRINTED: run holdfast recovery-kit")}");
        if (vault.State.IsKitOld)
            session.Line($"             RECOVERY KIT IS OLD: it does not open what is backed up since the rotation of {Text.Time(vault.State.KeyEpochBegan)[..10]}: run holdfast recovery-kit");
        session.Line($"Keys         put.key and agent.key back up and read nothing; {(vault.State.ScopedKeys.Count == 0 ? "no scoped keys are out" : Text.Count(vault.State.ScopedKeys.Count, "scoped key is", "scoped keys are") + " out")}");
        foreach (var key in vault.State.ScopedKeys)
            session.Line($"             {Text.Id(key.Key)}, cut {Text.Time(key.Cut)[..10]}: stolen, it reads the {key.Class.ToString().ToLowerInvariant()} class of {(key.Packs == ScopedKeyRecord.AllPacks ? "all packs of its key epochs, later ones too" : Text.Count((long)key.Packs, "pack"))}{(key.Class == KeyClass.Content ? "" : ", no content")}{(key.Expiry > 0 ? "; replace it by " + Text.Time(key.Expiry)[..10] : "")}");
        session.Line($"             key epoch {vault.State.KeyEpoch}; older seeds open what was sealed up to their own epoch");
        if (Math.Abs(status.ClockOffset) > 3600)
            session.Line($"Clock        IN DOUBT: this machine's clock is {Text.Duration(TimeSpan.FromSeconds(Math.Abs(status.ClockOffset)))} {(status.ClockOffset > 0 ? "ahead of" : "behind")} the vault's; backups go on, nothing expires");
        foreach (var folder in vault.Keeper.Store.Folders.Skip(1))
            session.Line($"Also in      {folder}{(Directory.Exists(folder) ? "" : "  NOT THERE")}");
        return 0;
    }

    public static string Policy(RetentionPolicy policy) =>
        Text.Span(policy.Base) + (policy.Weeks > 0 ? $", a week's for {policy.Weeks} weeks" : "") + (policy.Months > 0 ? $", a month's for {policy.Months} months" : "") + (policy.Years > 0 ? $", a year's for {policy.Years} years" : "");
}

/// <summary>The numbers behind `status`.</summary>
sealed record VaultStatus(bool IsTrial, ulong Now, long ClockOffset, int Snapshots, int NeverTested, ulong? Latest, long Packs, long PackBytes, long LockedBytes, long Free,
    ulong? FullOn, IReadOnlyList<(ulong Day, long Bytes)> Freed, long NeverRead, ulong? OldestRead)
{
    const ulong Pace = 28 * RetentionPolicy.Day;

    public static VaultStatus Of(Vault vault)
    {
        var state = vault.State;
        var now = vault.Keeper.Clock.Now;
        var locks = state.PackLocks();
        var packs = vault.Keeper.Store.List(StoreKind.Pack).Where(p => !p.Name.IsNone).ToList();
        var there = state.Snapshots.Where(s => !s.IsRemoved).ToList();
        var (free, _) = vault.Keeper.Store.Space();
        var freed = packs.Where(p => locks.ContainsKey(p.Name)).GroupBy(p => (locks[p.Name] + LockRules.Margin) / RetentionPolicy.Day * RetentionPolicy.Day)
            .Select(g => (Day: g.Key, Bytes: g.Sum(p => p.Size))).OrderBy(g => g.Day).ToList();
        var reads = vault.LastReads().Times;
        var read = packs.Where(p => reads.ContainsKey(p.Name)).Select(p => reads[p.Name]).ToList();
        return new VaultStatus(state.Genesis!.Kind == VaultKind.Trial, now, vault.Keeper.Clock.WallOffset, there.Count, there.Count(s => s is { Attested: 0, Restored: 0 }),
            there.Count > 0 ? there.Max(s => s.Committed) : null, packs.Count, packs.Sum(p => p.Size), packs.Where(p => locks.GetValueOrDefault(p.Name) > now).Sum(p => p.Size),
            free, Full(there, now, free, freed), freed, packs.Count - read.Count, read.Count > 0 ? read.Min() : null);
    }

    /// <summary>When the disk is full if new packs come at the pace of the last four weeks and old ones go as their locks allow; null where there is no pace yet.</summary>
    static ulong? Full(List<SnapshotRecord> snapshots, ulong now, long free, List<(ulong Day, long Bytes)> freed)
    {
        var recent = snapshots.Where(s => s.Committed + Pace > now).ToList();
        if (recent.Count < 2)
            return null;
        var days = Math.Max(1.0, (now - recent.Min(s => s.Committed)) / (double)RetentionPolicy.Day);
        var daily = recent.Skip(1).Sum(s => (double)(s.Object?.NewBytes ?? 0)) / days; // the first one brought the bulk
        if (daily < 1)
            return null;
        double room = free;
        var next = 0;
        for (ulong day = 1; day < 3660; day++)
        {
            var at = now + day * RetentionPolicy.Day;
            room -= daily;
            for (; next < freed.Count && freed[next].Day <= at; next++)
                room += freed[next].Bytes;
            if (room < 0)
                return at;
        }
        return null;
    }
}
