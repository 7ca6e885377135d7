using System.Buffers.Binary;

namespace Holdfast.Core.Codec;

/// <summary>Reads the encoding of <see cref="ByteWriter"/> from hostile bytes.</summary>
/// <remarks>Total: after the first fault every read gives zero or empty and <see cref="Failed"/> stays true, so that a parser reads a
/// whole record and asks once. It never reads past its end and never allocates.</remarks>
public ref struct ByteReader(ReadOnlySpan<byte> bytes)
{
    readonly ReadOnlySpan<byte> _bytes = bytes;

    /// <summary>Bytes read so far.</summary>
    public int Position { get; private set; }

    public bool Failed { get; private set; }

    /// <summary>Bytes left.</summary>
    public readonly int Remaining => _bytes.Length - Position;

    /// <summary>True when nothing failed and nothing is left: what a decoder must end with.</summary>
    public readonly bool IsDone => !Failed && Remaining == 0;

    public void Fail() => Failed = true;

    /// <summary>Marks the input as refused where the claim does not hold.</summary>
    public void Require(bool claim) => Failed |= !claim;

    public ReadOnlySpan<byte> Raw(int count)
    {
        if (Failed || count < 0 || count > Remaining)
        {
            Failed = true;
            return default;
        }
        var span = _bytes.Slice(Position, count);
        Position += count;
        return span;
    }

    public byte U8() => Raw(1) is { IsEmpty: false } s ? s[0] : (byte)0;
    public ushort U16() => Raw(2) is { IsEmpty: false } s ? BinaryPrimitives.ReadUInt16LittleEndian(s) : (ushort)0;
    public uint U32() => Raw(4) is { IsEmpty: false } s ? BinaryPrimitives.ReadUInt32LittleEndian(s) : 0;
    public ulong U64() => Raw(8) is { IsEmpty: false } s ? BinaryPrimitives.ReadUInt64LittleEndian(s) : 0;
    public long I64() => (long)U64();

    /// <summary>Unsigned LEB128; a longer spelling than needed is refused.</summary>
    public ulong Var()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var b = U8();
            if (Failed || (shift == 63 && b > 1) || (b == 0 && shift > 0))
                break;
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        Failed = true;
        return 0;
    }

    public long VarSigned()
    {
        var value = Var();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    /// <summary>A varint no larger than <paramref name="limit"/>, for lengths and counts: the limit comes before any allocation.</summary>
    public int Count(int limit)
    {
        var value = Var();
        if (value > (ulong)limit)
            Failed = true;
        return Failed ? 0 : (int)value;
    }

    public Id16 Id() => Raw(Id16.Size) is { IsEmpty: false } s ? new Id16(s) : Id16.None;
    public Hash32 Hash() => Raw(Hash32.Size) is { IsEmpty: false } s ? new Hash32(s) : Hash32.None;

    public ReadOnlySpan<byte> Bytes(int limit) => Raw(Count(limit));
}
