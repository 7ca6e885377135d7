using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.CleanRooms;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

static class StatusCommand
{
    const int ShownDays = 5;

    public static Command Create() => Session.Command("status", """
        Show what protects the vault, what is proven, and when space runs out.

        Needs no key, and so cannot tell which snapshots were taken without some entries: that is sealed. `holdfast snapshots`, with a key that opens names, shows those as INCOMPLETE.
        """, command => KeyFolder.AddTo(command, reading: false), Run);

    static int Run(Session session)
    {
        var trial = string.IsNullOrEmpty(session.Parsed.GetValue(KeyFolder.VaultOption)) ? TrialPlaces.Only("holdfast status --vault FOLDER") ?? throw new HoldfastException(
            ErrorCode.Usage, "No vault was named.", "Add --vault FOLDER, or set HOLDFAST_VAULT. A trial that `holdfast up FOLDER` made is found by itself.") : null;
        if (trial is not null)
            session.Note($"holdfast: no vault was named; this is the trial of {trial.Source}, in {trial.Vault}");
        using var vault = trial is null ? KeyFolder.OpenVault(session) : KeyFolder.OpenVault(session, trial.Vault);
        var keys = new KeyFolder(session, trial?.Keys);
        var warning = keys.RememberIfOurs(vault);
        if (keys.NotCompared is null)
            EmergencyRecords.EnterKept(session, vault);
        var health = vault.Health();
        var status = VaultStatus.Of(vault, health);
        var obstacles = Obstacle.Of(vault, status.Free, keys);
        if (vault.Keeper.Closed is null && !keys.IsOfNamedVault && keys.NotCompared is { Code: ErrorCode.KeyFileBad } gone) // a backup that runs with the same variables ends so
            obstacles.Add(new(gone.Code, "the key folder that HOLDFAST_KEYS names is not there", gone.Guidance));
        var witnesses = new WitnessReport(session, vault, keys);
        if (witnesses.Problem() is { } unseen)
            obstacles.Add(unseen);
        var waiting = vault.State.CleanRoom.Last > 0 ? CleanRoomQueue.Waiting(vault) : null;
        if (!CleanRoomQueue.IsGivenUp(vault) && waiting?.Count(s => CleanRoomQueue.IsLate(vault, s)) is > 0 and var late)
            obstacles.Add(new(ErrorCode.AttestationLate, $"{Text.Count(late, "snapshot")} {(late == 1 ? "has" : "have")} waited for more than a day for the clean room to attest {(late == 1 ? "it" : "them")}", "See that it runs (`holdfast cleanroom serve`), and what it says (`holdfast cleanroom status`, with its own keys)."));
        session.Json(w => Write(w, vault, health, obstacles, status, warning));
        session.Json(witnesses.WriteAll);
        ProblemReport.Print(session, health);
        Obstacle.Print(session, obstacles);
        if (warning is not null)
            session.Warn($"holdfast: {warning}");
        if (status.IsTrial)
            session.Line("TRIAL - NOT PROTECTION. This vault is for trying out; its locks last a day.\n");
        session.Line($"Vault {vault.Id}, made {Text.Time(vault.State.Genesis!.Created)}");
        session.Line(vault.Keeper.Remote is not null
            ? "Protection level 2 of 4, where the keeper's host is one that no administrator of the protected hosts can log in to: no credential of this machine removes or shortens anything there. Whoever owns that host can, and change is detected."
            : vault.Keeper.FolderStore is null
            ? "Protection level 3 of 4, where the object store is run by others and keeps its word (`holdfast verify` reads each lock back): no credential of this machine removes what is locked there. Whoever administers that store itself can, and change is detected."
            : "Protection level 1 of 4: change is detected. Whoever owns this machine can still delete its files.");
        session.Line(vault.Keeper.Remote is not null
            ? "  next level: have the keeper's vault in an object store with Object Lock that others run; and copies of it elsewhere"
            : vault.Keeper.FolderStore is null
            ? "  next level: a further copy, offline; and copy the log in the vault's folder elsewhere after each backup"
            : "  next level: keep the vault on a host of its own, that no administrator of the protected hosts can log in to");
        session.Line();
        session.Line($"Snapshots    {Number(status.Snapshots)}, {(status.Latest is { } latest ? "the latest from " + Text.Time(latest) : vault.Keeper.Log.IsInPart ? "that what can be read of the log names; what the rest of it named is not known" : "none yet")}");
        if (status.Sources.Count > 1)
            session.Line($"Sources      {Number(status.Sources.Count)}; the one backed up longest ago on {Text.Time(status.Sources[0].Latest)} (id {Text.Id(status.Sources[0].Source)})");
        if (status.Snapshots > 0)
            session.Line("             whether entries were left out of one is sealed: holdfast snapshots, with a key that opens names, shows it as INCOMPLETE");
        // What is noted in the log cannot be done here: in a copy, or without the log's key.
        var elsewhere = vault.Keeper switch { { Closed.Code: ErrorCode.VaultIsCopy } => "at the vault itself", { HasLogKey: false } => "where keeper/log.key is", _ => null };
        session.Line($"Proof        {Proof(status, health, !vault.Keeper.Log.IsInPart, elsewhere is not null ? $"{keys.Line("verify", vault)} here, attest {elsewhere}" : keys.Line("attest", vault, opens: true) + keys.AlsoNeeds)}");
        if (status.NeverTested > 0)
            session.Line($"             {RestoreReport.WhatCounts}");
        if (waiting is not null)
            session.Line($"Clean room   last attestation {Text.Time(vault.State.CleanRoom.Last)}; waiting: {CleanroomCommand.Words(vault, waiting)}");
        if (health.Healed.Count > 0)
            session.Line($"Healed       {Text.Count(health.Healed.Count, "snapshot")}: sound again since {Text.Time(health.Healed.Min(s => s.DefectsFound))}, when all of {(health.Healed.Count == 1 ? "it" : "them")} was read from other packs than the {(health.Replaced.Count == 0 ? "ones lost or damaged then; these are there again" : Text.Count(health.Replaced.Count, "pack") + " lost or damaged")}");
        session.Line($"Last read    {LastRead(status, keys.Line("verify", vault))}{(health.Missing.Count > 0 ? $"; {Text.Count(health.Missing.Count, "pack")} MISSING" : "")}");
        session.Line($"Files        {Files(vault.Keeper)}");
        session.Line($"Locks        {Text.Bytes(status.LockedBytes)} of {Text.Bytes(status.PackBytes)} locked now; policy: {Policy(vault.State.PolicyFor(Id16.None))}{(vault.State.Policies.Keys.Count(s => !s.IsNone) is var own and > 0 ? $"; {Text.Count(own, "source has one of its", "sources have one of their")} own (holdfast policy show)" : "")}");
        PolicyDoubt.Print(session, vault.State.LostPolicies, "             ");
        foreach (var (title, text) in GovernanceReport.Lines(vault))
            session.Line($"{title,-12} {text}");
        session.Line($"Space        {(status.Free is { } free ? $"{Text.Bytes(free)} free; {Forecast(status)}" : vault.Keeper.Remote is not null ? "what is free where the vault is kept, `holdfast status` there says" : "what is free in the object store is not known here: ask those who run it")}");
        if (status.Reserve.Wanted > 0 && vault.Keeper is { HasLogKey: true, Closed: not { Code: ErrorCode.VaultIsCopy } }) // a copy needs none
            session.Line($"             {Text.Bytes(status.Reserve.Wanted)} more are kept free, so that locks can be extended on a full disk: {(status.IsReserveWhole ? "intact" : "NOT INTACT; free some space, the next change makes it whole")}");
        foreach (var (day, bytes) in status.Freed.Take(ShownDays))
            session.Line($"             may be removed from {Text.Iso(day)[..10]}: {Text.Bytes(bytes)}");
        if (status.Freed.Skip(ShownDays).ToList() is { Count: > 0 } later)
            session.Line($"             and on {Text.Count(later.Count, "more day")}: {Text.Bytes(later.Sum(f => f.Bytes))}, the last of it from {Text.Iso(later[^1].Day)[..10]}");
        if (status.Freed.Any(f => f.Day <= status.Now) && vault.Lasts().Any(s => vault.Keeper.Clock.HasPassed(s.Expiry + LockRules.Margin)))
            session.Line($"             of that, the last snapshot of each source stays all the same: {keys.Line("expire --dry-run", vault)} shows what would go");
        session.Line($"Log          {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")}{(vault.Keeper.Refusals is var refusals and > 0 ? $"; {Text.Count((long)refusals, "request")} REFUSED{(vault.Keeper.OverQuota is var over and > 0 ? $", {(over == 1 ? "one" : Number((long)over))} of them {(over == 1 ? "a backup over its" : "backups over their")} quota" : "")} (`holdfast log entries` has them when their hour is over)" : "")}");
        foreach (var (line, i) in witnesses.Lines().Select((l, i) => (l, i)))
            session.Line($"{(i == 0 ? "Witnesses" : ""),-12} {line}");
        var kit = elsewhere is not null ? "print it " + elsewhere : $"run {keys.Line("recovery-kit --out kit.pdf", vault, opens: true)}{keys.AlsoNeeds}";
        session.Line($"Recovery kit {(vault.State.KitPrinted > 0 ? "printed " + Text.Time(vault.State.KitPrinted) : $"NEVER PRINTED: {kit}")}");
        if (vault.State.IsKitOld)
            session.Line($"             RECOVERY KIT IS OLD: it does not open what is backed up since the rotation of {Text.Time(vault.State.KeyEpochBegan)[..10]}: {kit}");
        session.Line($"Keys         put.key and agent.key back up and read nothing; {(vault.State.ScopedKeys.Count == 0 ? "no scoped keys are out" : Text.Count(vault.State.ScopedKeys.Count, "scoped key is", "scoped keys are") + " out")}");
        foreach (var key in vault.State.ScopedKeys)
            session.Line($"             {Text.Id(key.Key)}, cut {Text.Time(key.Cut)[..10]}: stolen, it reads the {key.Class.ToString().ToLowerInvariant()} class of {(key.Packs == ScopedKeyRecord.AllPacks ? "all packs of its key epochs, later ones too" : Text.Count((long)key.Packs, "pack"))}{(key.Class == KeyClass.Content ? "" : ", no content")}{(key.Expiry > 0 ? (key.Expiry <= status.Now ? "; REPLACE IT, that was due on " : "; replace it by ") + Text.Time(key.Expiry)[..10] : "")}");
        session.Line($"             key epoch {vault.State.KeyEpoch}{(vault.State.KeyEpoch > 1 ? "; an opening key, a share or a scoped key of an earlier epoch opens what was sealed up to its own" : "")}");
        foreach (var (line, i) in TimeReport.Lines(status.Time).Select((l, i) => (l, i)))
            session.Line($"{(i == 0 ? "Time" : ""),-12} {line}");
        if (vault.State.SetForward > 0)
            session.Line($"             set forward by approval, {Text.Duration(TimeSpan.FromSeconds(vault.State.SetForward))} in all: locks that were there then end so much later");
        if (TimeReport.Advice(status.Time, vault) is { } step)
            session.Line($"             what to do: {step}");
        if (status.IsClockInDoubt)
        {
            session.Line($"Clock        IN DOUBT: {ClockOffset(status)}");
            session.Line($"             expiry goes by both clocks: nothing is removed that either still protects. Backups go on; locks come out longer, never shorter");
            session.Line($"             what to do: {ClockAdvice(status)}");
        }
        foreach (var folder in vault.Keeper.Folders.Skip(1))
            session.Line($"Also in      {folder}{(Directory.Exists(folder) ? "" : "  NOT THERE")}");
        if (health.Foreign > 0)
            session.Line($"Foreign      {Text.Count(health.Foreign, "file")} in packs/ {(health.Foreign == 1 ? "does" : "do")} not belong to the vault; left alone");
        if (health.Problems.Count > 0)
        {
            var away = obstacles.Find(o => o is { Code: ErrorCode.StoreUnavailable, IsOfNote: false });
            return session.Fail(health.Problems[0].Code, ProblemReport.Summary(health.Problems) + (away is null ? "" : $" And {away.Message}."), ClockWords.First(vault.Keeper.Clock) + (away is null ? "" : $"{away.Advice} Then run this again; what is missing still: ") + ProblemReport.Advice(health.Problems[0].Code));
        }
        return obstacles.Count == 0 ? 0 : session.Fail(obstacles[0].Code, $"{Obstacle.Verdict(obstacles)}: {string.Join("; ", obstacles.Select(o => o.Message))}.", obstacles[0].Advice);
    }

    static string Proof(VaultStatus status, VaultHealth health, bool isLogWhole, string attest)
    {
        if (status.Snapshots == 0)
            return isLogWhole ? "NOTHING TO TEST YET" : "NOT KNOWN: what was proven stood in the log";
        var parts = new List<string>();
        if (status.Defective > 0)
            parts.Add($"{Number(status.Defective)} with DEFECTS");
        if (status.Hit > 0)
            parts.Add($"{Number(status.Hit)} NOT WHOLE (see PROBLEMS)");
        if (status.NeverTested > 0)
            parts.Add($"{Number(status.NeverTested)} NEVER TESTED: run {attest}");
        return parts.Count == 0 && health.Problems.Count == 0 ? "every snapshot was re-opened or restored" : parts.Count == 0 ? "see PROBLEMS" : string.Join("; ", parts);
    }

    static string Number(long count) => count.ToString("#,0", CultureInfo.InvariantCulture);

    static string LastRead(VaultStatus status, string verify) => status switch
    {
        { NeverRead: > 0 } => $"{Number(status.NeverRead)} of {Text.Count(status.Packs, "pack")} NEVER READ BACK: run {verify}",
        { OldestRead: { } read } => "every pack that is there since " + Text.Time(read),
        _ => "no pack yet",
    } + (status.DamagedPacks > 0 ? $"; {Text.Count(status.DamagedPacks, "pack was", "packs were")} found DAMAGED" : "");

    static string Files(VaultKeeper keeper) => keeper.Remote is { } remote ? $"with the keeper at {remote.Place}; how it keeps them, `holdfast status` there says"
        : keeper.FolderStore is null
        ? $"in {keeper.ObjectStore}, locked there by Object Lock (compliance mode)"
        : keeper.IsGuarded
        ? "made immutable by a guard (see that it runs: holdfast guard)"
        : "not immutable (holdfast guard, as root, makes them so)";

    static string Forecast(VaultStatus status) => status.Forecast switch
    {
        { FullOn: { } date } => $"at the pace of the last {status.Forecast.Days} days it lasts until {Text.Time(date)[..10]}",
        { Days: >= SpaceForecast.MinDays } => $"at the pace of the last {status.Forecast.Days} days it lasts for ten years and more",
        _ => $"no forecast yet: that takes {SpaceForecast.MinDays} days of backups, and there are {status.Forecast.Days}",
    };

    static string ClockOffset(VaultStatus status) => status.IsLogAhead
        ? $"the log has leaves {Text.Duration(TimeSpan.FromSeconds(status.Unseen))} ahead of what any clock says: a clock was wrong when they were written, or the log's key is in other hands"
        : $"this machine's clock is {Text.Duration(TimeSpan.FromSeconds(Math.Abs(status.ClockOffset)))} {(status.ClockOffset > 0 ? "ahead of" : "behind")} the vault's ({Text.Time(status.Now)})";

    static string ClockAdvice(VaultStatus status) => status.IsLogAhead ? "`holdfast log entries` shows who wrote those leaves and what they do. Locks begin by their time, and so end late; there is no way to take them back" : "set this machine's clock right (timedatectl status, chronyc tracking)"
        + (status.ClockOffset > 0 ? ". Where it is right, the machine was off for that long: the vault's clock does not count such time, and nothing has to be mended" : "");

    static void Write(System.Text.Json.Utf8JsonWriter w, Vault vault, VaultHealth health, IReadOnlyList<Problem> obstacles, VaultStatus status, string? warning)
    {
        ProblemReport.Write(w, health, obstacles);
        w.WriteString("vault", vault.Id.ToString());
        if (warning is not null)
            w.WriteString("warning", warning);
        w.WriteString("kind", status.IsTrial ? "TRIAL - NOT PROTECTION" : "real");
        w.WriteNumber("protectionLevel", vault.Keeper.Remote is not null ? 2 : vault.Keeper.FolderStore is null ? 3 : 1);
        if (vault.Keeper.Remote is { } remote)
            w.WriteString("keeper", remote.Place);
        w.WriteString("vaultTime", Text.Iso(status.Now));
        w.WriteNumber("wallClockOffsetSeconds", status.ClockOffset);
        w.WriteStartObject("clock");
        w.WriteBoolean("inDoubt", status.IsClockInDoubt);
        w.WriteNumber("offsetSeconds", status.ClockOffset);
        if (status.IsClockInDoubt)
        {
            w.WriteString("stops", "expiry");
            w.WriteString("advice", ClockAdvice(status));
        }
        w.WriteEndObject();
        TimeReport.Write(w, status.Time);
        w.WriteNumber("snapshots", status.Snapshots);
        if (status.Latest is { } latest)
            w.WriteString("latest", Text.Iso(latest));
        w.WriteStartArray("sources");
        foreach (var source in status.Sources)
        {
            w.WriteStartObject();
            w.WriteString("source", source.Source.ToString());
            w.WriteString("latest", Text.Iso(source.Latest));
            w.WriteNumber("snapshots", source.Snapshots);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteNumber("neverTested", status.NeverTested);
        w.WriteNumber("defective", status.Defective);
        if (vault.State.CleanRoom.Last > 0)
        {
            var waiting = CleanRoomQueue.Waiting(vault);
            w.WriteStartObject("cleanRoom");
            w.WriteString("lastAttestation", Text.Iso(vault.State.CleanRoom.Last));
            w.WriteNumber("waiting", waiting.Count);
            w.WriteNumber("late", waiting.Count(s => CleanRoomQueue.IsLate(vault, s)));
            w.WriteEndObject();
        }
        w.WriteNumber("notWhole", status.Hit);
        w.WriteStartArray("healed");
        foreach (var record in health.Healed)
        {
            w.WriteStartObject();
            w.WriteString("snapshot", record.Snapshot.ToString());
            w.WriteString("since", Text.Iso(record.DefectsFound));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteNumber("packs", status.Packs);
        w.WriteNumber("packBytes", status.PackBytes);
        w.WriteNumber("lockedBytes", status.LockedBytes);
        PolicyDoubt.Write(w, vault.State.LostPolicies);
        if (status.Free is { } free)
            w.WriteNumber("freeBytes", free);
        else
            w.WriteNull("freeBytes");
        w.WriteStartObject("reserve");
        w.WriteNumber("bytes", status.Reserve.Wanted);
        w.WriteBoolean("intact", status.IsReserveWhole);
        w.WriteEndObject();
        w.WriteNumber("forecastDaysOfHistory", status.Forecast.Days);
        if (status.Forecast.FullOn is { } full)
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
        w.WriteBoolean("filesImmutable", vault.Keeper.IsGuarded);
        GovernanceReport.Write(w, vault);
        w.WriteNumber("refusals", vault.Keeper.Refusals);
        w.WriteNumber("refusedOverQuota", vault.Keeper.OverQuota);
        w.WriteNumber("unreadPacks", status.NeverRead);
        w.WriteNumber("foreignFiles", health.Foreign);
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
            if (key.Expiry > 0)
                w.WriteString("replaceBy", Text.Iso(key.Expiry));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteBoolean("recoveryKitPrinted", vault.State.KitPrinted > 0);
        w.WriteNumber("recoveryKitEpoch", vault.State.KitEpoch);
    }

    public static string Policy(RetentionPolicy policy) =>
        Text.Span(policy.Base) + (policy.Weeks > 0 ? $", a week's for {Text.Count(policy.Weeks, "week")}" : "") + (policy.Months > 0 ? $", a month's for {Text.Count(policy.Months, "month")}" : "") + (policy.Years > 0 ? $", a year's for {Text.Count(policy.Years, "year")}" : "");
}

/// <summary>The numbers behind `status`.</summary>
/// <param name="NeverTested">Snapshots that were neither attested nor restored; those with defects are worse, and not among them.</param>
/// <param name="Free">Bytes free where new packs go; null for an object store, which does not say.</param>
/// <param name="Hit">Snapshots that miss a pack or an object, or need a damaged one, and are not among those with defects.</param>
/// <param name="Sources">The one backed up longest ago first. Snapshots whose object cannot be read are of none of them: which source they are of stands in it.</param>
sealed record VaultStatus(bool IsTrial, ulong Now, long ClockOffset, VaultTime Time, int Snapshots, int NeverTested, int Defective, int Hit, ulong? Latest, IReadOnlyList<SourceStatus> Sources, long Packs, long PackBytes, long LockedBytes, long? Free,
    (ulong Wanted, ulong Kept) Reserve, SpaceForecast Forecast, IReadOnlyList<(ulong Day, long Bytes)> Freed, long NeverRead, long DamagedPacks, ulong? OldestRead)
{
    public bool IsClockInDoubt => IsLogAhead || Math.Abs(ClockOffset) > (long)VaultTime.Doubt;
    public ulong Unseen => Time.Unseen;
    public bool IsLogAhead => Unseen > VaultTime.Doubt;
    public bool IsReserveWhole => Reserve.Kept >= Reserve.Wanted;

    public static VaultStatus Of(Vault vault, VaultHealth health)
    {
        var state = vault.State;
        var now = vault.Keeper.Clock.Now;
        var passed = vault.Keeper.Clock.Passed;
        var packs = health.Stored;
        var there = state.Snapshots.Where(s => !s.IsRemoved).ToList();
        var free = vault.Keeper.FolderStore?.Free;
        var sized = packs.Where(p => p.Size <= PackFormat.MaxSize).ToList(); // a longer file is no pack, and who can write to the disk can make it as long as no sum holds
        var freed = sized.Where(p => health.Named.ContainsKey(p.Name)).GroupBy(p => (health.Named[p.Name].LockEnd + LockRules.Margin) / RetentionPolicy.Day * RetentionPolicy.Day)
            .Select(g => (Day: g.Key, Bytes: g.Sum(p => p.Size))).OrderBy(g => g.Day).ToList();
        var reads = vault.LastReads();
        var names = packs.Select(p => p.Name).ToHashSet();
        var damaged = names.Count(n => reads.Damaged.ContainsKey(n) || health.Damaged.Contains(n));
        var read = names.Where(n => !health.Damaged.Contains(n) && reads.Times.ContainsKey(n)).Select(n => reads.Times[n]).ToList();
        return new VaultStatus(state.Genesis!.Kind == VaultKind.Trial, now, vault.Keeper.Clock.WallOffset, vault.Keeper.TimeAsKnown(), there.Count, there.Count(s => s is { Attested: 0, Restored: 0, Defects: 0 }),
            there.Count(s => s.Defects > 0 && !health.Healed.Contains(s)), there.Count(s => s.Defects == 0 && health.Of(s).Count > 0), there.Count > 0 ? there.Max(s => s.Committed) : null, SourceStatus.Of(there), names.Count, sized.Sum(p => p.Size),
            sized.Where(p => health.Named.TryGetValue(p.Name, out var named) && named.LockEnd > passed).Sum(p => p.Size), free, vault.Keeper.Reserve, SpaceForecast.Of(there, now, free, freed), freed,
            names.Count - read.Count - damaged, damaged, read.Count > 0 ? read.Min() : null);
    }
}

/// <summary>One source among the snapshots that are there.</summary>
/// <param name="Latest">Vault time of its newest commit.</param>
sealed record SourceStatus(Id16 Source, ulong Latest, int Snapshots)
{
    public static IReadOnlyList<SourceStatus> Of(IEnumerable<SnapshotRecord> snapshots) =>
        [.. snapshots.Where(s => s.Object is not null).GroupBy(s => s.Source).Select(of => new SourceStatus(of.Key, of.Max(s => s.Committed), of.Count())).OrderBy(s => s.Latest).ThenBy(s => s.Source)];
}

/// <summary>When the disk is full if new packs come at the pace of the last weeks and old ones go as their locks allow.</summary>
/// <param name="Days">Whole days of backups the pace is taken from.</param>
/// <param name="FullOn">Seconds since 1970; null where that is not in sight, or there are too few days to say.</param>
sealed record SpaceForecast(int Days, ulong? FullOn)
{
    /// <summary>A pace taken from fewer days says nothing.</summary>
    public const int MinDays = 7;

    const ulong Pace = 28 * RetentionPolicy.Day;
    const ulong Sight = 3_660; // days

    public static SpaceForecast Of(IReadOnlyList<SnapshotRecord> snapshots, ulong now, long? free, IReadOnlyList<(ulong Day, long Bytes)> freed)
    {
        var recent = snapshots.Where(s => s.Committed + Pace > now).ToList();
        var days = recent.Count == 0 ? 0 : (now - Math.Min(now, recent.Min(s => s.Committed))) / (double)RetentionPolicy.Day;
        if (days < MinDays || free is null)
            return new SpaceForecast((int)days, null);
        var daily = recent.Where(s => s.Object is { Parent.IsNone: false }).Sum(s => (double)s.Object!.NewBytes) / days; // a source's first one brings its bulk, once
        double room = free.Value;
        var next = 0;
        for (ulong day = 1; day < Sight && daily >= 1; day++)
        {
            var at = now + day * RetentionPolicy.Day;
            room -= daily;
            for (; next < freed.Count && freed[next].Day <= at; next++)
                room += freed[next].Bytes;
            if (room < 0)
                return new SpaceForecast((int)days, at);
        }
        return new SpaceForecast((int)days, null);
    }
}
