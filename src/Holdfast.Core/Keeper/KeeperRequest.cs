using System.Diagnostics.CodeAnalysis;
using Holdfast.Core.Codec;
using Holdfast.Core.Retention;

namespace Holdfast.Core.Keeper;

/// <summary>A change that a client asks of a keeper (docs/protocol.md). Encoded as objects are (docs/format.md, section 2): version, kind, then its fields.</summary>
public abstract record KeeperRequest
{
    /// <summary>Bytes of the largest: a snapshot's object, or an attestation's.</summary>
    public const int MaxSize = Storage.StoreExtensions.MaxObject + 4_096;

    const int MaxSmall = 1 << 16; // bytes, of those that have no object of a client's making but an enrolment
    const int MaxAttested = 4 << 20; // bytes: an attestation of who may record nothing else
    const int MaxApproval = Approvals.ApprovalRequest.MaxSize + 4_096; // bytes
    const byte Version = 1;

    enum Kind : byte
    {
        Commit = 1,
        Extend = 2,
        SetPolicy = 3,
        Record = 4,
        RecordAttestation = 5,
        RequireWritable = 6,
        Enrol = 7,
        Decide = 8,
        Hold = 9,
        Erase = 10,
        Emergency = 11,
        Mark = 12,
    }

    /// <summary>Commit a snapshot whose packs are stored. Answered with nothing: the leaf is in the log.</summary>
    /// <param name="Snapshot">Its object.</param>
    public sealed record Commit(byte[] Snapshot) : KeeperRequest;

    /// <summary>Lengthen a lock.</summary>
    /// <param name="Snapshot">Whose.</param>
    /// <param name="Expiry">Seconds since 1970.</param>
    /// <param name="Actor">Who asks.</param>
    public sealed record Extend(Id16 Snapshot, ulong Expiry, Id16 Actor) : KeeperRequest;

    /// <summary>Raise a policy. Answered with one byte: 1 where something was changed.</summary>
    /// <param name="Source">Whose; none for all that have no policy of their own.</param>
    /// <param name="Change">What of it.</param>
    /// <param name="Actor">Who asks.</param>
    public sealed record SetPolicy(Id16 Source, PolicyChange Change, Id16 Actor) : KeeperRequest;

    /// <summary>Record something that happened.</summary>
    /// <param name="Type">What; see <see cref="KeeperDesk"/> for which.</param>
    /// <param name="Subject">What it is about.</param>
    /// <param name="Actor">Who did it.</param>
    /// <param name="A">By type.</param>
    /// <param name="B">By type.</param>
    /// <param name="C">By type.</param>
    /// <param name="Payload">An object; empty for none.</param>
    public sealed record Record(LeafType Type, Id16 Subject, Id16 Actor, ulong A, ulong B, ulong C, byte[] Payload) : KeeperRequest;

    /// <summary>Record what an attestation found. Answered with the object that was written.</summary>
    /// <param name="Snapshot">Which was attested.</param>
    /// <param name="Actor">Who asks.</param>
    /// <param name="Found">An attestation object.</param>
    /// <param name="Elsewhere">Packs outside the snapshot's own set that it was read from.</param>
    public sealed record RecordAttestation(Id16 Snapshot, Id16 Actor, byte[] Found, IReadOnlyList<Hash32> Elsewhere) : KeeperRequest;

    /// <summary>Whether a change would be taken now: asked before work whose end is one.</summary>
    public sealed record RequireWritable : KeeperRequest;

    /// <summary>Enrol an agent by a token that was given for one: what allows it is the token, whoever carries it here.</summary>
    /// <param name="Token">As it was given.</param>
    /// <param name="Enrolment">The agent's.</param>
    public sealed record Enrol(byte[] Token, byte[] Enrolment) : KeeperRequest;

    /// <summary>Take an approval, or an objection: what allows it are its signatures, whoever carries it here.</summary>
    /// <param name="Approval">An approval object.</param>
    public sealed record Decide(byte[] Approval) : KeeperRequest;

    /// <summary>Set, renew or lift a legal hold.</summary>
    /// <param name="Snapshots">Which are to be held.</param>
    /// <param name="Change">Which of these.</param>
    /// <param name="Until">Seconds since 1970, where it is renewed.</param>
    /// <param name="Actor">Who asks.</param>
    public sealed record Hold(IReadOnlyList<Id16> Snapshots, HoldChange Change, ulong Until, Id16 Actor) : KeeperRequest;

    /// <summary>Take an entry into the erasure register.</summary>
    /// <param name="Entry">The entry's object.</param>
    /// <param name="Words">The object that it names; empty for none.</param>
    public sealed record EnterErasure(byte[] Entry, byte[] Words) : KeeperRequest;

    /// <summary>Mark a source as sensitive. Answered with one byte: 1 where something was changed.</summary>
    /// <param name="Source">Which; none for all.</param>
    /// <param name="Actor">Who asks.</param>
    public sealed record Mark(Id16 Source, Id16 Actor) : KeeperRequest;

    /// <summary>Record a step of an emergency restore.</summary>
    /// <param name="Step">Its object.</param>
    public sealed record EnterEmergency(byte[] Step) : KeeperRequest;

    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.U8(Version);
        switch (this)
        {
            case Commit commit:
                writer.U8((byte)Kind.Commit);
                writer.Bytes(commit.Snapshot);
                break;
            case Extend extend:
                writer.U8((byte)Kind.Extend);
                writer.Id(extend.Snapshot);
                writer.U64(extend.Expiry);
                writer.Id(extend.Actor);
                break;
            case SetPolicy policy:
                writer.U8((byte)Kind.SetPolicy);
                writer.Id(policy.Source);
                writer.Id(policy.Actor);
                foreach (var value in new[] { policy.Change.Base, policy.Change.Weeks, policy.Change.Months, policy.Change.Years, policy.Change.DailyQuota, policy.Change.LockedQuota })
                {
                    writer.U8(value is null ? (byte)0 : (byte)1);
                    if (value is { } given)
                        writer.U64(given);
                }
                break;
            case Record record:
                writer.U8((byte)Kind.Record);
                writer.U8((byte)record.Type);
                writer.Id(record.Subject);
                writer.Id(record.Actor);
                writer.U64(record.A);
                writer.U64(record.B);
                writer.U64(record.C);
                writer.Bytes(record.Payload);
                break;
            case RecordAttestation attestation:
                writer.U8((byte)Kind.RecordAttestation);
                writer.Id(attestation.Snapshot);
                writer.Id(attestation.Actor);
                writer.Bytes(attestation.Found);
                writer.Var((ulong)attestation.Elsewhere.Count);
                foreach (var pack in attestation.Elsewhere)
                    writer.Hash(pack);
                break;
            case RequireWritable:
                writer.U8((byte)Kind.RequireWritable);
                break;
            case Enrol enrol:
                writer.U8((byte)Kind.Enrol);
                writer.Raw(enrol.Token);
                writer.Bytes(enrol.Enrolment);
                break;
            case Decide decide:
                writer.U8((byte)Kind.Decide);
                writer.Bytes(decide.Approval);
                break;
            case Hold hold:
                writer.U8((byte)Kind.Hold);
                writer.U8((byte)hold.Change);
                writer.U64(hold.Until);
                writer.Id(hold.Actor);
                writer.Var((ulong)hold.Snapshots.Count);
                foreach (var snapshot in hold.Snapshots)
                    writer.Id(snapshot);
                break;
            case EnterErasure erase:
                writer.U8((byte)Kind.Erase);
                writer.Bytes(erase.Entry);
                writer.Bytes(erase.Words);
                break;
            case EnterEmergency emergency:
                writer.U8((byte)Kind.Emergency);
                writer.Bytes(emergency.Step);
                break;
            case Mark mark:
                writer.U8((byte)Kind.Mark);
                writer.Id(mark.Source);
                writer.Id(mark.Actor);
                break;
        }
        return writer.ToArray();
    }

    Kind Which => this switch
    {
        Commit => Kind.Commit,
        Extend => Kind.Extend,
        SetPolicy => Kind.SetPolicy,
        Record => Kind.Record,
        RecordAttestation => Kind.RecordAttestation,
        Enrol => Kind.Enrol,
        Decide => Kind.Decide,
        Hold => Kind.Hold,
        EnterErasure => Kind.Erase,
        EnterEmergency => Kind.Emergency,
        Mark => Kind.Mark,
        _ => Kind.RequireWritable,
    };

    /// <summary>Whether a client of this role may ask for it at all.</summary>
    public bool IsFor(KeeperRole role) => Most(role, Which) > 0 && (role == KeeperRole.Manage || this is not Record { Type: not (LeafType.Restore or LeafType.Verify or LeafType.ErasedAsked or LeafType.Granted or LeafType.GrantEnded) });

    /// <summary>Bytes that a request may have which begins so, of a client of this role; 0: that is none of its requests.</summary>
    /// <param name="role">Of the client.</param>
    /// <param name="head">The first two bytes.</param>
    public static int Most(KeeperRole role, ReadOnlySpan<byte> head) => head is [Version, var kind] ? Most(role, (Kind)kind) : 0;

    static int Most(KeeperRole role, Kind kind) => kind switch
    {
        Kind.Commit => role is KeeperRole.Backup or KeeperRole.Manage ? MaxSize : 0,
        Kind.RecordAttestation => role switch { KeeperRole.Attest => MaxAttested, KeeperRole.Manage => MaxSize, _ => 0 },
        Kind.Record or Kind.Emergency => role is KeeperRole.Read or KeeperRole.Manage ? MaxSmall : 0,
        Kind.Decide or Kind.Erase => role == KeeperRole.Manage ? MaxApproval : 0,
        Kind.Extend or Kind.SetPolicy or Kind.Hold or Kind.Mark => role == KeeperRole.Manage ? MaxSmall : 0,
        Kind.RequireWritable => MaxSmall,
        Kind.Enrol => role is KeeperRole.Backup or KeeperRole.Manage ? MaxSmall : 0,
        _ => 0,
    };

    /// <summary>Total: any bytes are a request, or are none.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out KeeperRequest? request)
    {
        var reader = new ByteReader(bytes);
        reader.Require(reader.U8() == Version);
        const int most = Storage.StoreExtensions.MaxObject;
        request = (Kind)reader.U8() switch
        {
            Kind.Commit => new Commit(reader.Bytes(most).ToArray()),
            Kind.Extend => new Extend(reader.Id(), reader.U64(), reader.Id()),
            Kind.SetPolicy => Policy(ref reader),
            Kind.Record => new Record((LeafType)reader.U8(), reader.Id(), reader.Id(), reader.U64(), reader.U64(), reader.U64(), reader.Bytes(most).ToArray()),
            Kind.RecordAttestation => new RecordAttestation(reader.Id(), reader.Id(), reader.Bytes(most).ToArray(), Hashes(ref reader)),
            Kind.RequireWritable => new RequireWritable(),
            Kind.Enrol => new Enrol(reader.Raw(EnrolmentTokens.Size).ToArray(), reader.Bytes(MaxSmall).ToArray()),
            Kind.Decide => new Decide(reader.Bytes(MaxApproval).ToArray()),
            Kind.Hold => Held(ref reader),
            Kind.Erase => new EnterErasure(reader.Bytes(MaxSmall).ToArray(), reader.Bytes(Keys.SealedWords.MaxSize).ToArray()),
            Kind.Mark => new Mark(reader.Id(), reader.Id()),
            Kind.Emergency => new EnterEmergency(reader.Bytes(EmergencyObject.MaxSize).ToArray()),
            _ => null,
        };
        if (!reader.IsDone)
            request = null;
        return request is not null;
    }

    static SetPolicy Policy(ref ByteReader reader)
    {
        var (source, actor) = (reader.Id(), reader.Id());
        return new SetPolicy(source, new PolicyChange(Long(ref reader), Short(ref reader), Short(ref reader), Short(ref reader), Long(ref reader), Long(ref reader)), actor);
    }

    static Hold Held(ref ByteReader reader)
    {
        var (change, until, actor) = ((HoldChange)reader.U8(), reader.U64(), reader.Id());
        var count = reader.Count(reader.Remaining / Id16.Size);
        reader.Require(Enum.IsDefined(change) && count is > 0 and <= Approvals.ApprovalRequest.MostSnapshots);
        var snapshots = new List<Id16>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            snapshots.Add(reader.Id());
        return new Hold(snapshots, change, until, actor);
    }

    static ulong? Long(ref ByteReader reader)
    {
        var isGiven = reader.U8();
        reader.Require(isGiven <= 1);
        return isGiven == 1 ? reader.U64() : null;
    }

    static uint? Short(ref ByteReader reader)
    {
        var value = Long(ref reader);
        reader.Require(value is null or <= uint.MaxValue);
        return (uint?)value;
    }

    static List<Hash32> Hashes(ref ByteReader reader)
    {
        var count = reader.Count(reader.Remaining / Hash32.Size);
        var all = new List<Hash32>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            all.Add(reader.Hash());
        return all;
    }
}
