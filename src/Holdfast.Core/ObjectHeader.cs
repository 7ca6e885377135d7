using System.Buffers.Binary;
using Holdfast.Core.Codec;

namespace Holdfast.Core;

/// <summary>Numbers are written to disk and never change (docs/format.md, section 4).</summary>
public enum ObjectType : byte
{
    Pack = 1,
    Snapshot = 2,
    Keyring = 3,
    IndexRun = 4,
    Genesis = 5,
    Policy = 6,
    ExpiryList = 7,
    Attestation = 8,
    Enrolment = 9,
    Payload = 10,
    Request = 11,
    Approval = 12,
    Erasure = 13,
    Emergency = 14,
}

/// <summary>The 64 bytes every pack, object and index run starts with.</summary>
/// <param name="Type">What follows.</param>
/// <param name="Vault">Vault id.</param>
/// <param name="Domain">Trust domain, none for objects of the vault as a whole.</param>
/// <param name="BodyLength">Bytes that follow; 0 in a pack.</param>
public readonly record struct ObjectHeader(ObjectType Type, Id16 Vault, Id16 Domain, ulong BodyLength)
{
    public const int Size = 64; // bytes
    public const ushort FormatVersion = 1;
    public const byte Suite = 1;

    const byte Newest = (byte)ObjectType.Emergency;

    static ReadOnlySpan<byte> Magic => "HOLDFAST"u8;

    /// <summary>Features that may be ignored, that forbid writing, that forbid reading: of version 1 there are none.</summary>
    public uint Compatible { get; init; }
    public uint ReadOnlyFeatures { get; init; }
    public uint Incompatible { get; init; }

    public void Write(ByteWriter writer)
    {
        writer.Raw(Magic);
        writer.U16(FormatVersion);
        writer.U8(Suite);
        writer.U8((byte)Type);
        writer.U32(Compatible);
        writer.U32(ReadOnlyFeatures);
        writer.U32(Incompatible);
        writer.Id(Vault);
        writer.Id(Domain);
        writer.U64(BodyLength);
    }

    /// <summary>An object: header, then body.</summary>
    public static byte[] Wrap(ObjectType type, Id16 vault, Id16 domain, ByteWriter body)
    {
        var whole = new ByteWriter(Size + body.Length);
        new ObjectHeader(type, vault, domain, (ulong)body.Length).Write(whole);
        whole.Raw(body.Span);
        return whole.ToArray();
    }

    /// <summary>Total. Accepts only what this version of the program can read.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out ObjectHeader header)
    {
        var reader = new ByteReader(bytes.Length > Size ? bytes[..Size] : bytes);
        reader.Require(reader.Raw(Magic.Length).SequenceEqual(Magic));
        reader.Require(reader.U16() == FormatVersion);
        reader.Require(reader.U8() == Suite);
        var type = reader.U8();
        reader.Require(type is >= 1 and <= Newest);
        var compatible = reader.U32();
        var readOnly = reader.U32();
        var incompatible = reader.U32();
        reader.Require(incompatible == 0);
        header = new ObjectHeader((ObjectType)type, reader.Id(), reader.Id(), reader.U64())
        {
            Compatible = compatible,
            ReadOnlyFeatures = readOnly,
            Incompatible = incompatible,
        };
        return reader.IsDone;
    }

    /// <summary>Parses, and tells apart what a person must do about a refusal.</summary>
    /// <exception cref="HoldfastException"><c>FormatNewer</c>, <c>WrongVault</c>, <c>ObjectDamaged</c>.</exception>
    public static ObjectHeader Parse(ReadOnlySpan<byte> bytes, ObjectType type, Id16 vault)
    {
        if (bytes.Length >= 24 && bytes[..8].SequenceEqual(Magic)
            && (BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]) > FormatVersion || bytes[10] > Suite || bytes[11] > Newest
                || BinaryPrimitives.ReadUInt32LittleEndian(bytes[20..]) != 0))
            throw new HoldfastException(ErrorCode.FormatNewer,
                "This was written by a newer version of the program, or uses a feature this version does not know.",
                "Use the newest release of holdfast; it reads every earlier format.");
        if (!TryParse(bytes, out var header) || header.Type != type)
            throw new HoldfastException(ErrorCode.ObjectDamaged,
                $"The header of a {type.ToString().ToLowerInvariant()} is damaged.",
                "Run `holdfast verify` to see how far the damage goes; another copy of the same name is used where there is one.");
        if (header.Vault != vault)
            throw new HoldfastException(ErrorCode.WrongVault,
                $"This {type.ToString().ToLowerInvariant()} belongs to vault {header.Vault}, not to {vault}.",
                "Check the path of the vault and the folder of its keys: they belong together.");
        return header;
    }
}
