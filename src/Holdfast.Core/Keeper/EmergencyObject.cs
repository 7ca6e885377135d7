using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Keeper;

/// <summary>What happened to an emergency restore. On disk; numbers never change (docs/format.md, section 11.9).</summary>
public enum EmergencyStep : byte
{
    /// <summary>One person began to restore into an isolated place.</summary>
    Begun = 1,

    /// <summary>It left isolation, as somebody else had approved.</summary>
    Released = 2,

    /// <summary>It left isolation on one person's word, for a clinical emergency.</summary>
    Overridden = 3,

    /// <summary>It is not needed any more; what was restored goes no further.</summary>
    Closed = 4,
}

/// <summary>A step of an emergency restore, with ids alone; who, why and where is sealed.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Domain">Trust domain of the snapshot.</param>
/// <param name="Salt">Random.</param>
/// <param name="Emergency">Random.</param>
/// <param name="Step">What happened.</param>
/// <param name="Snapshot">Which is restored.</param>
/// <param name="Place">Random: the isolated place.</param>
/// <param name="Approver">The approver who did it; none for anybody else.</param>
/// <param name="Proof">Of the first step SHA-256 of a secret that lies in the place alone; of a later one that secret, or zero where it was not at hand.</param>
/// <param name="At">Seconds since 1970, by the clock of the machine where it was done: the log may hear of it later.</param>
/// <param name="Words">Sealed words (11.4) with the person's name and the reason.</param>
public sealed record EmergencyObject(Id16 Vault, Id16 Domain, Hash32 Salt, Id16 Emergency, EmergencyStep Step, Id16 Snapshot, Id16 Place, Id16 Approver, Hash32 Proof, ulong At, byte[] Words)
{
    public const int MaxSize = 1 << 15; // bytes
    const int MaxWords = 1 << 14;

    public byte[] ToArray()
    {
        var body = new ByteWriter(256 + Words.Length);
        body.Hash(Salt);
        body.Id(Emergency);
        body.U8((byte)Step);
        body.Id(Snapshot);
        body.Id(Place);
        body.Id(Approver);
        body.Hash(Proof);
        body.U64(At);
        body.Bytes(Words);
        return ObjectHeader.Wrap(ObjectType.Emergency, Vault, Domain, body);
    }

    /// <summary>Total.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out EmergencyObject? emergency)
    {
        emergency = null;
        if (bytes.Length > MaxSize || !ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Emergency || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new EmergencyObject(header.Vault, header.Domain, reader.Hash(), reader.Id(), (EmergencyStep)reader.U8(), reader.Id(), reader.Id(), reader.Id(), reader.Hash(), reader.U64(), reader.Bytes(MaxWords).ToArray());
        reader.Require(parsed.Step is >= EmergencyStep.Begun and <= EmergencyStep.Closed && !parsed.Emergency.IsNone && !parsed.Place.IsNone);
        if (!reader.IsDone)
            return false;
        emergency = parsed;
        return true;
    }
}

/// <summary>An emergency restore that the log tells of.</summary>
/// <param name="Begun">How it began.</param>
/// <param name="Entered">Vault time when the log heard of it.</param>
public sealed record EmergencyRecord(EmergencyObject Begun, ulong Entered)
{
    public Id16 Id => Begun.Emergency;

    /// <summary>Vault time when somebody else's approval of its release came into force; 0 without one.</summary>
    public ulong Approved { get; private set; }

    /// <summary>How many people that approval is of; the most, where there were several.</summary>
    public int ApprovedBy { get; private set; }

    internal void Allow(ulong time, int people) => (Approved, ApprovedBy) = (time, Math.Max(ApprovedBy, people));

    /// <summary>How it ended, if it has, and when the log heard of that.</summary>
    public EmergencyObject? End { get; internal set; }
    public ulong Ended { get; internal set; }

    public bool IsOpen => End is null;

    /// <summary>Whoever made a later step has the place.</summary>
    public bool IsProvedBy(EmergencyObject step) => new Hash32(SHA256.HashData(step.Proof.ToArray())) == Begun.Proof;
}

/// <summary>A step whose object is missing or damaged, as its leaf alone tells it.</summary>
/// <param name="Emergency">Id.</param>
/// <param name="Step">What happened.</param>
/// <param name="At">By the clock of the machine where it was done.</param>
public sealed record LostStep(Id16 Emergency, EmergencyStep Step, ulong At);

/// <summary>Emergency restores: all who look at a vault see them until they are released or closed.</summary>
public sealed partial class Projection
{
    readonly List<EmergencyRecord> _emergencies = [];

    /// <summary>In the order of their leaves.</summary>
    public IReadOnlyList<EmergencyRecord> Emergencies => _emergencies;

    /// <summary>Steps whose object is missing or damaged.</summary>
    public IReadOnlyList<LostStep> LostEmergencies => _lostSteps;

    readonly List<LostStep> _lostSteps = [];

    bool HasLost(Id16 emergency) => _lostSteps.Exists(l => l.Emergency == emergency);

    public EmergencyRecord? Emergency(Id16 id) => _emergencies.Find(e => e.Id == id);

    /// <summary>Why a step cannot follow what the log has; null where it can. The same for the keeper and for each reader.</summary>
    internal string? Fault(EmergencyObject step, bool isReader = false)
    {
        var known = Emergency(step.Emergency);
        return step.Vault != Genesis!.Vault || !Genesis.Domains.Contains(step.Domain) ? "it is another vault's"
            : step.Step == EmergencyStep.Begun ? known is not null ? "that emergency began before" : Find(step.Snapshot) is null ? "there is no such snapshot" : null
            : known is null ? "the log has no such emergency"
            : !known.IsOpen && !(step.Step == EmergencyStep.Overridden && known.End!.Step == EmergencyStep.Closed) ? "that emergency is over" // care goes first: who closes it does not keep a patient waiting
            : step.Snapshot != known.Begun.Snapshot || step.Place != known.Begun.Place ? "it is of another place or snapshot"
            : step.Step != EmergencyStep.Released || IsReleaseApproved(known, isReader) ? null
            : known.Approved == 0 ? "nobody else has approved of its release" : "it is of a source that is marked as sensitive, and fewer people have approved of its release than that takes";
    }

    void Step(ulong ordinal, Leaf leaf)
    {
        if (TryRead<EmergencyObject>(leaf.Payload, EmergencyObject.TryParse, out var step) == 0)
        {
            _lostSteps.Add(new LostStep(leaf.Subject, (EmergencyStep)leaf.A, leaf.B));
            return;
        }
        if (step!.Emergency != leaf.Subject || (ulong)step.Step != leaf.A || Fault(step, isReader: true) is not null)
        {
            if (step.Step == EmergencyStep.Released && !HasLost(leaf.Subject))
                NotApproved(ordinal, leaf);
            return;
        }
        if (step.Step == EmergencyStep.Begun)
            _emergencies.Add(new EmergencyRecord(step, leaf.VaultTime));
        else
        {
            (Emergency(step.Emergency)!.End, Emergency(step.Emergency)!.Ended) = (step, leaf.VaultTime);
            Lapse();
        }
    }
}
