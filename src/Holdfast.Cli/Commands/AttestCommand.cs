using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

static class AttestCommand
{
    const int Shown = AttestRound.Shown;

    static readonly Argument<string?> Snapshot = new("SNAPSHOT") { Description = "Id, its first letters (4 at least), or `latest`; without it, every snapshot (of a source: --name) not attested yet, and those with defects.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Option<bool> FullOption = new("--full") { Description = "All contents, not a sample; very large files get their SHA-256." };
    static readonly Option<string?> OlderOption = new("--older-than") { Description = "Also those attested longer ago than this, such as 30d.", HelpName = "TIME" };

    public static Command Create() => Session.Command("attest", "Re-open snapshots from the vault and log whether they are what was signed.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Options.Add(FullOption);
        command.Options.Add(OlderOption);
        command.Options.Add(SnapshotArgument.NameOption);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run);

    static int Run(Session session)
    {
        var older = Older(session);
        var (vault, keys) = SnapshotArgument.OpenAll(session);
        using (vault)
        using (keys)
        {
            var full = session.Parsed.GetValue(FullOption);
            var which = session.Parsed.GetValue(Snapshot);
            var sources = which is null && session.Parsed.GetValue(SnapshotArgument.NameOption) is { } name ? SnapshotArgument.SourcesOf(session, vault, keys, name) : null;
            var records = which is not null ? [SnapshotArgument.Find(session, vault, keys, which)] : Due(vault, sources, full, older);
            var closed = records.Where(r => r.Object is null).ToList();
            var round = new AttestRound(session, vault, keys);
            foreach (var record in records.Where(r => r.Object is not null))
                round.Attest(record, whole: full || record.Defects > 0); // only a look at everything clears defects: the next sample may miss what the last one hit
            round.Settle(withOthers: which is null && sources is null);
            var (found, unread, fault) = (round.Found, round.Unread, round.Fault);
            foreach (var record in closed)
                session.Finding($"{Text.Id(record.Snapshot)}  CANNOT BE ATTESTED: its object is missing or damaged (holdfast status names it)");
            session.Json(w =>
            {
                w.WriteStartArray("attestations");
                foreach (var finding in found)
                    Write(w, vault, finding);
                w.WriteEndArray();
                w.WriteStartArray("notAttested");
                foreach (var record in closed.Concat(unread))
                    w.WriteStringValue(record.Snapshot.ToString());
                w.WriteEndArray();
            });
            // Without a snapshot's name the question is whether all is well, and what was attested before may be lost since.
            var isWhole = closed.Count == 0 && unread.Count == 0 && found.TrueForAll(f => f.Attestation.IsGood || f.Attestation.IsHealed);
            var problems = isWhole && which is null ? vault.Health().Problems.FindAll(p => sources is null || p.Snapshots.Any(s => MayBeOf(s, sources))) : [];
            if (records.Count == 0 && problems.Count == 0)
                session.Step(vault.State.Snapshots.Exists(s => !s.IsRemoved) ? $"Every snapshot{(sources is null ? "" : " of that source")} is attested already, and none has defects." : "There is no snapshot in this vault yet.");
            var bad = found.Where(f => f.Attestation is { IsGood: false, IsHealed: false }).ToList();
            if (bad.Count == 0 && closed.Count == 0 && fault is { Code: not ErrorCode.StoreUnavailable })
                return session.Fail(fault.Code, $"{Text.Count(unread.Count, "snapshot")} could not be attested: {fault.Message}", fault.Guidance);
            if (bad.Count == 0 && closed.Count == 0 && unread.Count > 0)
                return session.Fail(ErrorCode.StoreUnavailable, $"{Text.Count(unread.Count, "snapshot")} could not be attested: a disk did not answer. Whether all of that is whole is not known.",
                    "Look at the disks of the vault (dmesg shows what the system saw), then run this again.");
            if (bad.Count == 0 && closed.Count == 0 && problems.Count > 0)
                return session.Fail(problems[0].Code, $"{(found.Count == 0 ? "There is nothing to attest" : $"{Text.Count(found.Count, "snapshot is", "snapshots are")} what was signed")}, but {ProblemReport.Summary(problems)}", ProblemReport.Advice(problems[0].Code));
            if (bad.Count == 0 && closed.Count == 0)
                return VaultHealth.Refused(vault.Keeper) is { } refused ? session.Fail(refused.Code, ProblemReport.Describe(refused) + ".", ProblemReport.Advice(refused.Code)) : 0;
            if (bad.Count == 0)
                return session.Fail(ErrorCode.ObjectMissing, $"{Text.Count(closed.Count, "snapshot")} could not be attested: the object that says what {(closed.Count == 1 ? "it is" : "they are")} is missing or damaged{(sources is null ? "" : closed.Count == 1 ? "; it may be of that source" : "; they may be of that source")}.", ProblemReport.Advice(ErrorCode.ObjectMissing));
            return session.Fail(bad.Min(f => f.Code), $"{Text.Count(bad.Count + closed.Count, "snapshot is", "snapshots are")} not what was signed, or not whole. The log has a record of it.",
                string.Join(" ", bad.SelectMany(f => f.Attestation.IsReadable ? [HowToHeal(vault, f)] : f.Advice).Distinct()) + Elsewhere([.. bad.Where(f => f is { IsOfPacks: true, Attestation.IsReadable: false })]));
        }
    }

    static ulong? Older(Session session)
    {
        var age = InitCommand.Length(session, OlderOption);
        if (age is not null && session.Parsed.GetValue(Snapshot) is not null)
            throw new HoldfastException(ErrorCode.Usage, "One snapshot was named, and --older-than chooses among all.", "Leave out one of the two.");
        return age;
    }

    /// <summary>What was never attested (in full, where that is asked for), what has defects, and what was attested too long ago.</summary>
    /// <param name="vault">Its snapshots count.</param>
    /// <param name="sources">Only theirs; null for all.</param>
    /// <param name="full">All contents are asked for.</param>
    /// <param name="older">Seconds.</param>
    internal static List<SnapshotRecord> Due(Vault vault, IReadOnlyCollection<Id16>? sources, bool full, ulong? older)
    {
        var before = older is { } age ? vault.Keeper.Clock.Now - Math.Min(vault.Keeper.Clock.Now, age) : 0;
        var healed = vault.Health().Healed.ToHashSet();
        return [.. vault.State.Snapshots.Where(s => !s.IsRemoved && !IsOver(vault, s) && (sources is null || MayBeOf(s, sources)) && (s.Object is null || (healed.Contains(s) ? s.DefectsFound < before : s.Defects > 0 || (full ? s.FullyAttested : s.Attested) is var last && (last == 0 || last < before))))];
    }

    /// <summary>This machine's clock is behind: an expiry by what has passed for the vault has given it up, and what is gone is no defect.</summary>
    internal static bool IsOver(Vault vault, SnapshotRecord record) => record.AwaitedAt > 0 && record.AwaitedAt <= vault.Keeper.Clock.Passed + RetentionPolicy.Day;

    /// <summary>Of which source a snapshot is, its object says: one without may be of any.</summary>
    static bool MayBeOf(SnapshotRecord record, IReadOnlyCollection<Id16> sources) => record.Object is null || sources.Contains(record.Source);

    /// <summary>Of what was attested, the snapshots that count as healed, or would, only by what the log has learned since they were read, or has not learned yet.</summary>
    internal static List<SnapshotRecord> Unsettled(Vault vault, IEnumerable<(SnapshotRecord Record, AttestationObject Attestation)> found)
    {
        var told = found.Where(f => f.Attestation.IsHealed || f.Attestation.IsReadable).ToList();
        if (told.Count == 0)
            return [];
        var healed = vault.Health().Healed.Select(s => s.Snapshot).ToHashSet();
        return [.. told.Where(f => f.Attestation.IsHealed ? !healed.Contains(f.Record.Snapshot) : !IsShort(f.Record, f.Attestation)).Select(f => f.Record)];

        bool IsShort(SnapshotRecord record, AttestationObject attestation) =>
            vault.State.Find(record.Snapshot) is not { } now || Lacks(vault, now, attestation) is not { Lock.Count: 0, Attest.Count: 0, Loose: 0 };
    }

    /// <summary>Snapshots that have lost packs of which no attestation has told: as long as none has, what healed others may have been read from these packs.</summary>
    internal static List<SnapshotRecord> Untold(Vault vault)
    {
        var health = vault.Health();
        var lost = health.Missing.Concat(health.Damaged).Where(p => !vault.State.Lost.ContainsKey(p)).ToList();
        return [.. vault.State.Having(lost).Where(s => s is { IsRemoved: false, Object: not null }).OrderBy(s => s.Ordinal)];
    }

    static (List<SnapshotRecord> Lock, List<SnapshotRecord> Attest, int Loose) Lacks(Vault vault, SnapshotRecord record, AttestationObject attestation) =>
        Holding.Missing(vault.State, record, attestation.Defects.Where(d => d.Kind == AttestationDefect.PackSetWrong).Select(d => d.Name));

    /// <summary>What is missing for a snapshot of which all could be read to count as healed.</summary>
    static string HowToHeal(Vault vault, AttestFinding finding)
    {
        var record = vault.State.Find(finding.Record.Snapshot)!;
        var (toLock, toAttest, loose) = Lacks(vault, record, finding.Attestation);
        var until = DateTimeOffset.FromUnixTimeSeconds((long)((record.Expiry + RetentionPolicy.Day - 1) / RetentionPolicy.Day * RetentionPolicy.Day));
        List<string> steps = [];
        if (loose > 0)
            steps.Add("run the backup of its source again with --read-all (packs that it was read from are in no snapshot yet)");
        steps.AddRange(toLock.Take(Shown).Select(s => string.Create(CultureInfo.InvariantCulture, $"run `holdfast lock {s.Snapshot} --until {until:yyyy-MM-dd}`")));
        if (toLock.Count > Shown)
            steps.Add($"lock {Text.Count(toLock.Count - Shown, "more snapshot")} for as long, which the next attestation names");
        steps.AddRange(toAttest.Take(Shown).Select(s => $"run `holdfast attest --full {s.Snapshot}` (it was not looked at since packs of it were lost)"));
        steps.Add($"run `holdfast attest --full {record.Snapshot}` again");
        return $"All of snapshot {Text.Id(record.Snapshot)} could be read today. For it to count as healed, snapshots that are locked as long (until {Text.Time(record.Expiry)}) must have what it was read from: {string.Join("; then ", steps)}.";
    }

    /// <summary>What else mends a lost pack, where there is no other copy of the vault.</summary>
    static string Elsewhere(IReadOnlyList<AttestFinding> found)
    {
        if (found.Count == 0)
            return "";
        var sampled = found.Where(f => !f.Attestation.IsFull).Select(f => $"`holdfast attest --full {Text.Id(f.Record.Snapshot)}`").ToList();
        return " Where there is no such copy: a backup stores anew what its source still has. "
            + (sampled.Count == 0 ? "After one, `holdfast attest` shows which of these snapshots are whole again by that."
                : $"Only a sample was read here; after a backup, {string.Join(", ", sampled.Take(Shown))}{(sampled.Count > Shown ? $" and {Text.Count(sampled.Count - Shown, "more", "more")}" : "")} shows whether all of it is whole again by that.");
    }

    static void Write(System.Text.Json.Utf8JsonWriter w, Vault vault, AttestFinding finding)
    {
        var (record, attestation) = finding;
        w.WriteStartObject();
        w.WriteString("snapshot", record.Snapshot.ToString());
        w.WriteBoolean("good", attestation.IsGood);
        w.WriteBoolean("full", attestation.IsFull);
        w.WriteBoolean("healedElsewhere", attestation.IsHealed);
        w.WriteBoolean("readableToday", attestation.IsGood || attestation.IsHealed || attestation.IsReadable);
        w.WriteBoolean("rootMatches", attestation.RootMatches);
        w.WriteBoolean("packSetMatches", attestation.PackSetMatches);
        w.WriteBoolean("sampleMatches", attestation.SampleMatches);
        w.WriteNumber("chunks", attestation.Chunks);
        w.WriteNumber("bytesRead", attestation.BytesRead);
        w.WriteNumber("defects", attestation.Defects.Count);
        w.WriteStartArray("found");
        foreach (var (kind, name) in attestation.Defects)
        {
            w.WriteStartObject();
            w.WriteString("kind", kind.ToString());
            if (!name.IsNone)
                w.WriteString("name", name.ToString());
            w.WriteString("message", AttestRound.Describe(vault, finding, kind, name));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteEndObject();
    }
}
