using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

static class AttestCommand
{
    const int Shown = 10; // names a kind; --json has them all

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
            var round = new Round(session, vault, keys);
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
        // This machine's clock is behind: an expiry by what has passed for the vault has given them up, and what is gone is no defect.
        bool IsOver(SnapshotRecord s) => s.AwaitedAt > 0 && s.AwaitedAt <= vault.Keeper.Clock.Passed + RetentionPolicy.Day;
        return [.. vault.State.Snapshots.Where(s => !s.IsRemoved && !IsOver(s) && (sources is null || MayBeOf(s, sources)) && (s.Object is null || (healed.Contains(s) ? s.DefectsFound < before : s.Defects > 0 || (full ? s.FullyAttested : s.Attested) is var last && (last == 0 || last < before))))];
    }

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

    static void Tell(Session session, Vault vault, Finding finding)
    {
        var attestation = finding.Attestation;
        Action<string> tell = attestation.IsGood || attestation.IsHealed ? session.Step : session.Finding;
        tell(string.Create(CultureInfo.InvariantCulture,
            $"{Text.Id(finding.Record.Snapshot)}  {(attestation.IsGood ? "intact" : attestation.IsHealed ? "healed" : attestation.IsReadable ? "NOT HEALED" : "DEFECTS")}: {Text.Count((long)attestation.Chunks, "chunk")} placed in {Text.Count((long)attestation.Packs, "pack")}, {Text.Bytes(attestation.BytesRead)} read ({(!attestation.IsFull ? "a sample" : finding.HasLoss ? "all that is there" : "all")}), root {finding.Root}"));
        foreach (var kind in attestation.Defects.GroupBy(d => d.Kind))
        {
            foreach (var (_, name) in kind.Take(Shown))
                tell($"          {Describe(vault, finding, kind.Key, name)}");
            if (kind.Count() > Shown)
                tell($"          and {Text.Count(kind.Count() - Shown, "more", "more")} of these (--json)");
        }
        if (attestation.IsHealed)
            tell("          healed elsewhere: all of it was read all the same, since other packs hold what these should; a restore gives everything");
        if (attestation.IsReadable)
            tell("          all of it could be read today, but from packs that no snapshot holds for as long as this one: it does not count as healed");
    }

    /// <summary>What is missing for a snapshot of which all could be read to count as healed.</summary>
    static string HowToHeal(Vault vault, Finding finding)
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
    static string Elsewhere(IReadOnlyList<Finding> found)
    {
        if (found.Count == 0)
            return "";
        var sampled = found.Where(f => !f.Attestation.IsFull).Select(f => $"`holdfast attest --full {Text.Id(f.Record.Snapshot)}`").ToList();
        return " Where there is no such copy: a backup stores anew what its source still has. "
            + (sampled.Count == 0 ? "After one, `holdfast attest` shows which of these snapshots are whole again by that."
                : $"Only a sample was read here; after a backup, {string.Join(", ", sampled.Take(Shown))}{(sampled.Count > Shown ? $" and {Text.Count(sampled.Count - Shown, "more", "more")}" : "")} shows whether all of it is whole again by that.");
    }

    static string Describe(Vault vault, Finding finding, AttestationDefect kind, Hash32 name) => Describe(vault, finding.Record, finding.Attestation.IsReadable, kind, name);

    static string Describe(Vault vault, SnapshotRecord record, bool isReadable, AttestationDefect kind, Hash32 name) => kind switch
    {
        AttestationDefect.PackSetWrong when isReadable => $"read from pack {name}, which no snapshot holds for as long",
        AttestationDefect.PackMissing when name.IsNone => "a piece of data that the snapshot needs is in no sound pack",
        AttestationDefect.PackMissing => $"missing pack {name}",
        AttestationDefect.PackDamaged => $"damaged pack {name}",
        AttestationDefect.ContentWrong => $"wrong content in pack {name}, written by {Writer(vault, name)}",
        AttestationDefect.RootWrong => $"content root wrong: the tree is not what agent {record.Agent} signed",
        AttestationDefect.PackSetWrong => $"pack set wrong: it leaves out pack {name}, which the snapshot needs; signed by agent {record.Agent}",
        AttestationDefect.SampleWrong => $"wrong content: a file is not what its SHA-256 in the tree says; signed by agent {record.Agent}",
        AttestationDefect.RecordWrong => $"record wrong: the log's leaf of it, its object, its parent or its pack set do not agree; a restore refuses it. Signed by agent {record.Agent}",
        AttestationDefect.ObjectMissing => $"missing or damaged object {name}: which packs the snapshot needs cannot be told without it",
        _ => $"a defect of a kind that this version does not know ({(byte)kind})",
    };

    static string Writer(Vault vault, Hash32 pack) => vault.WriterOf(pack) is var (writer, epoch) ? string.Create(CultureInfo.InvariantCulture, $"writer {writer} (epoch {epoch})") : "an unknown writer";

    static void Write(System.Text.Json.Utf8JsonWriter w, Vault vault, Finding finding)
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
            w.WriteString("message", Describe(vault, finding, kind, name));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteEndObject();
    }

    /// <summary>The attestations of one run.</summary>
    sealed class Round(Session session, Vault vault, OpeningKeys keys)
    {
        public List<Finding> Found { get; } = [];

        public List<SnapshotRecord> Unread { get; } = [];

        /// <summary>Why the first of those was not read.</summary>
        public HoldfastException? Fault { get; private set; }

        /// <summary>One that could not be attested does not hold up the others.</summary>
        public void Attest(SnapshotRecord record, bool whole)
        {
            try
            {
                var finding = new Finding(record, vault.Attest(record, keys, whole, Id16.None, session.Stop));
                Found.RemoveAll(f => f.Record.Snapshot == record.Snapshot);
                Found.Add(finding);
                Tell(session, vault, finding);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.KeyTooNarrow)
            {
                Fault ??= e;
                session.Finding($"{Text.Id(record.Snapshot)}  NOT ATTESTED: {e.Message}");
                Unread.Add(record);
            }
        }

        /// <summary>What was read before another was found to have lost packs says nothing of these: it is read once more.</summary>
        /// <param name="withOthers">Also those that have lost packs of which the log does not know.</param>
        public void Settle(bool withOthers)
        {
            var open = Unsettled();
            if (open.Count == 0)
                return;
            var untold = Untold(vault);
            if (untold.Count == 0 ? Found.Count > 1 : withOthers)
            {
                session.Step("Packs of other snapshots are lost, which was not known when some of these were read: they are read once more, after what lost those packs.");
                foreach (var record in untold.Concat(open).DistinctBy(r => r.Snapshot).ToList())
                    Attest(record, whole: true);
                untold = Untold(vault);
            }
            foreach (var record in Unsettled())
                session.Finding($"{Text.Id(record.Snapshot)}  does not count as healed yet: {(untold.Count > 0 ? $"packs that it may have been read from are lost, of which no attestation has told. Run {string.Join(", ", untold.Take(Shown).Select(s => $"`holdfast attest --full {Text.Id(s.Snapshot)}`"))}, then this again" : "run `holdfast attest --full` again")}");
        }

        List<SnapshotRecord> Unsettled() => AttestCommand.Unsettled(vault, Found.Select(f => (f.Record, f.Attestation)));
    }

    sealed record Finding(SnapshotRecord Record, AttestationObject Attestation)
    {
        bool Has(AttestationDefect kind) => Attestation.Defects.Any(d => d.Kind == kind);

        /// <summary>Where the only sound copy of something lay in a pack that is damaged, that is what happened to it.</summary>
        bool IsPackMissing => Attestation.Defects.Any(d => d.Kind == AttestationDefect.PackMissing && (!d.Name.IsNone || !Has(AttestationDefect.PackDamaged)));

        public bool IsOfPacks => Has(AttestationDefect.PackMissing) || Has(AttestationDefect.PackDamaged);

        public bool HasLoss => Attestation.Defects.Any(d => IsLoss(d.Kind));

        static bool IsLoss(AttestationDefect kind) => kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged or AttestationDefect.ObjectMissing;

        public ErrorCode Code => IsPackMissing ? ErrorCode.PackMissing : Has(AttestationDefect.PackDamaged) ? ErrorCode.PackDamaged
            : Has(AttestationDefect.ObjectMissing) ? ErrorCode.ObjectMissing : ErrorCode.SnapshotDefective;

        public string Root => Attestation.RootMatches ? "as signed" : HasLoss && !Has(AttestationDefect.RootWrong) ? "NOT READABLE" : "NOT AS SIGNED";

        /// <summary>What is lost can be brought back; what was made wrong cannot, and whoever made it is the question.</summary>
        public IEnumerable<string> Advice
        {
            get
            {
                if (Has(AttestationDefect.ObjectMissing))
                    yield return ProblemReport.Advice(ErrorCode.ObjectMissing);
                if (IsOfPacks)
                    yield return "Bring the missing and damaged packs (packs/XX/NAME, XX the first two letters of the name) back from another copy of the vault, then run `holdfast attest` again: it re-checks what has defects.";
                if (!HasLoss || Attestation.Defects.Any(d => !IsLoss(d.Kind)))
                    yield return "What was written wrong no other copy mends: take another snapshot for restores, and look into the writer or agent that is named (its machine and its key files) as you would after a break-in.";
            }
        }
    }
}
