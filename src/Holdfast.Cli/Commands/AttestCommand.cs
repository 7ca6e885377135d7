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
    const int Shown = 10; // names a kind; --json has them all

    static readonly Argument<string?> Snapshot = new("SNAPSHOT") { Description = "Id, its first letters, or `latest`; without it, every snapshot not attested yet, and those with defects.", Arity = ArgumentArity.ZeroOrOne };
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
            var records = session.Parsed.GetValue(Snapshot) is { } which ? [SnapshotArgument.Find(session, vault, keys, which)] : Due(vault, full, older);
            var closed = records.Where(r => r.Object is null).ToList();
            var found = new List<Finding>();
            var unread = new List<SnapshotRecord>();
            HoldfastException? fault = null; // why the first of these was not
            foreach (var record in records.Where(r => r.Object is not null))
            {
                // Only a look at everything clears defects: the next sample may miss what the last one hit.
                var whole = full || record.Defects > 0;
                try
                {
                    var finding = new Finding(record, vault.Attest(record, keys, whole, Id16.None, session.Stop));
                    found.Add(finding);
                    Tell(session, vault, finding);
                }
                catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.KeyTooNarrow)
                {
                    fault ??= e;
                    session.Finding($"{Text.Id(record.Snapshot)}  NOT ATTESTED: {e.Message}"); // the others are not held up
                    unread.Add(record);
                }
            }
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
            var problems = isWhole && session.Parsed.GetValue(Snapshot) is null ? vault.Health().Problems : [];
            if (records.Count == 0 && problems.Count == 0)
                session.Step(vault.State.Snapshots.Exists(s => !s.IsRemoved) ? "Every snapshot is attested already, and none has defects." : "There is no snapshot in this vault yet.");
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
            var code = bad.Count == 0 ? ErrorCode.ObjectMissing : bad.Min(f => f.Code);
            return session.Fail(code, $"{Text.Count(bad.Count + closed.Count, "snapshot is", "snapshots are")} not what was signed, or not whole. The log has a record of it.",
                bad.Count == 0 ? ProblemReport.Advice(code) : string.Join(" ", bad.SelectMany(f => f.Attestation.IsReadable ? [HowToHeal(vault, f)] : f.Advice).Distinct()) + Elsewhere([.. bad.Where(f => f is { IsOfPacks: true, Attestation.IsReadable: false })]));
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
    static List<SnapshotRecord> Due(Vault vault, bool full, ulong? older)
    {
        var before = older is { } age ? vault.Keeper.Clock.Now - Math.Min(vault.Keeper.Clock.Now, age) : 0;
        var healed = vault.Health().Healed.ToHashSet();
        // This machine's clock is behind: an expiry by what has passed for the vault has given them up, and what is gone is no defect.
        bool IsOver(SnapshotRecord s) => s.AwaitedAt > 0 && s.AwaitedAt <= vault.Keeper.Clock.Passed + RetentionPolicy.Day;
        return [.. vault.State.Snapshots.Where(s => !s.IsRemoved && !IsOver(s) && (s.Object is null || (healed.Contains(s) ? s.DefectsFound < before : s.Defects > 0 || (full ? s.FullyAttested : s.Attested) is var last && (last == 0 || last < before))))];
    }

    static void Tell(Session session, Vault vault, Finding finding)
    {
        var attestation = finding.Attestation;
        Action<string> tell = attestation.IsGood || attestation.IsHealed ? session.Step : session.Finding;
        tell(string.Create(CultureInfo.InvariantCulture,
            $"{Text.Id(finding.Record.Snapshot)}  {(attestation.IsGood ? "intact" : attestation.IsHealed ? "healed" : attestation.IsReadable ? "NOT HEALED" : "DEFECTS")}: {Text.Count((long)attestation.Chunks, "chunk")} placed in {Text.Count((long)attestation.Packs, "pack")}, {Text.Bytes(attestation.BytesRead)} read ({(attestation.IsFull ? "all" : "a sample")}), root {finding.Root}"));
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
        var (toLock, toAttest, loose) = Holding.Missing(vault.State, record, finding.Attestation.Defects.Where(d => d.Kind == AttestationDefect.PackSetWrong).Select(d => d.Name));
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

    sealed record Finding(SnapshotRecord Record, AttestationObject Attestation)
    {
        bool Has(AttestationDefect kind) => Attestation.Defects.Any(d => d.Kind == kind);

        /// <summary>Where the only sound copy of something lay in a pack that is damaged, that is what happened to it.</summary>
        bool IsPackMissing => Attestation.Defects.Any(d => d.Kind == AttestationDefect.PackMissing && (!d.Name.IsNone || !Has(AttestationDefect.PackDamaged)));

        public bool IsOfPacks => Has(AttestationDefect.PackMissing) || Has(AttestationDefect.PackDamaged);

        bool HasLoss => Attestation.Defects.Any(d => IsLoss(d.Kind));

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
