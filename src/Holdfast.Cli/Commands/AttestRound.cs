using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;

namespace Holdfast.Cli.Commands;

/// <summary>The attestations of one run.</summary>
sealed class AttestRound(Session session, Vault vault, ReadingKeys keys)
{
    public const int Shown = 10; // names a kind; --json has them all

    /// <summary>The clean room that attests; none for a person.</summary>
    public Id16 Actor { get; init; }

    /// <summary>Each pack that was not opened before is opened.</summary>
    public bool OpensPacks { get; init; }

    public List<AttestFinding> Found { get; } = [];

    public List<SnapshotRecord> Unread { get; } = [];

    /// <summary>Why the first of those was not read.</summary>
    public HoldfastException? Fault { get; private set; }

    /// <summary>One that could not be attested does not hold up the others.</summary>
    public void Attest(SnapshotRecord record, bool whole)
    {
        try
        {
            var depth = OpensPacks ? whole ? AttestationDepth.FullAndPacks : AttestationDepth.SampleAndPacks : whole ? AttestationDepth.Full : AttestationDepth.Sample;
            var finding = new AttestFinding(record, vault.Attest(record, keys, depth, Actor, session.Stop));
            Found.RemoveAll(f => f.Record.Snapshot == record.Snapshot);
            Found.Add(finding);
            Tell(session, vault, finding);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.KeyTooNarrow or ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged or ErrorCode.IndexDamaged or ErrorCode.FormatNewer or ErrorCode.SnapshotMissing)
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
        var untold = AttestCommand.Untold(vault);
        if (untold.Count == 0 ? Found.Count > 1 : withOthers)
        {
            session.Step("Packs of other snapshots are lost, which was not known when some of these were read: they are read once more, after what lost those packs.");
            foreach (var record in untold.Concat(open).DistinctBy(r => r.Snapshot).ToList())
                Attest(record, whole: true);
            untold = AttestCommand.Untold(vault);
        }
        foreach (var record in Unsettled())
            session.Finding($"{Text.Id(record.Snapshot)}  does not count as healed yet: {(untold.Count > 0 ? $"packs that it may have been read from are lost, of which no attestation has told. Run {string.Join(", ", untold.Take(Shown).Select(s => $"`holdfast attest --full {Text.Id(s.Snapshot)}`"))}, then this again" : "run `holdfast attest --full` again")}");
    }

    List<SnapshotRecord> Unsettled() => AttestCommand.Unsettled(vault, Found.Select(f => (f.Record, f.Attestation)));

    static void Tell(Session session, Vault vault, AttestFinding finding)
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

    public static string Describe(Vault vault, AttestFinding finding, AttestationDefect kind, Hash32 name) => Describe(vault, finding.Record, finding.Attestation.IsReadable, kind, name);

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
}

/// <summary>What an attestation of one snapshot found, and what that means for people.</summary>
sealed record AttestFinding(SnapshotRecord Record, AttestationObject Attestation)
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
                yield return "What was written wrong no other copy mends: take another snapshot for restores, and look into the writer or agent that is named (its machine and its key files) as you would after a break-in. `holdfast key issue` makes a new writer for a gateway, which backups build on again.";
        }
    }
}
