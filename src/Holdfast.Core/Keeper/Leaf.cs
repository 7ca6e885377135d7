using Holdfast.Core.Codec;

namespace Holdfast.Core.Keeper;

/// <summary>What a leaf of the log records (docs/format.md, section 11.3).</summary>
public enum LeafType : byte
{
    Genesis = 1,
    Commit = 2,
    LockExtension = 3,
    Policy = 4,
    Approval = 5,
    Expiry = 6,
    RestoreTest = 7,
    IncidentDecision = 8,
    AgentEnrolled = 9,
    WriterEnrolled = 10,
    KeyEpoch = 11,
    Attestation = 12,
    Refusals = 13,
    StoreChanged = 14,
    TimeEvidence = 15,
    Takeover = 16,
    Verify = 17,
    RecoveryKit = 18,
    Restore = 19,
    ScopedKey = 20,
    SourceEnrolled = 21,
    InForce = 22,
    Hold = 23,
    Erasure = 24,
    ErasedAsked = 25,
    Emergency = 26,
    Sensitive = 27,
    Granted = 28,
    GrantEnded = 29,
}

/// <summary>What a verify looked at.</summary>
public enum VerifyLevel : byte
{
    /// <summary>Bytes against names.</summary>
    Names = 1,

    /// <summary>Every frame and chunk of what was read.</summary>
    Contents = 2,

    /// <summary>Frames and chunks of what its key opens, bytes against names of the rest.</summary>
    Part = 3,
}

/// <summary>One entry of the log: random ids, times and sizes, and the name of an object. No text, no names of anything real.</summary>
/// <param name="Type">What happened; types this version does not know are kept and ignored.</param>
/// <param name="VaultTime">Seconds since 1970, by the vault clock.</param>
/// <param name="Subject">What it is about.</param>
/// <param name="Actor">Who did it.</param>
/// <param name="A">By type.</param>
/// <param name="B">By type.</param>
/// <param name="C">By type.</param>
/// <param name="Payload">Name of an object, or none.</param>
public readonly record struct Leaf(LeafType Type, ulong VaultTime, Id16 Subject, Id16 Actor, ulong A, ulong B, ulong C, Hash32 Payload)
{
    public const int Size = 100; // bytes
    const byte Version = 1;

    public byte[] ToArray()
    {
        var writer = new ByteWriter(Size);
        writer.U8(Version);
        writer.U8((byte)Type);
        writer.U16(0);
        writer.U64(VaultTime);
        writer.Id(Subject);
        writer.Id(Actor);
        writer.U64(A);
        writer.U64(B);
        writer.U64(C);
        writer.Hash(Payload);
        return writer.ToArray();
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out Leaf leaf)
    {
        var reader = new ByteReader(bytes);
        reader.Require(reader.U8() == Version);
        var type = reader.U8();
        reader.Require(reader.U16() == 0);
        leaf = new Leaf((LeafType)type, reader.U64(), reader.Id(), reader.Id(), reader.U64(), reader.U64(), reader.U64(), reader.Hash());
        return reader.IsDone;
    }
}
