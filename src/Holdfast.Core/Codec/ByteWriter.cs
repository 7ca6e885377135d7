using System.Buffers.Binary;

namespace Holdfast.Core.Codec;

/// <summary>Writes the one deterministic encoding of docs/format.md, section 2: little-endian fixed integers, minimal LEB128
/// varints, length-prefixed bytes. Grows; not safe for concurrent use.</summary>
public sealed class ByteWriter(int capacity = 256)
{
    byte[] _buffer = new byte[capacity];

    /// <summary>Bytes written so far.</summary>
    public int Length { get; private set; }

    public ReadOnlySpan<byte> Span => _buffer.AsSpan(0, Length);
    internal Span<byte> MutableSpan => _buffer.AsSpan(0, Length);
    public ReadOnlyMemory<byte> Memory => _buffer.AsMemory(0, Length);
    public byte[] ToArray() => Span.ToArray();
    public void Clear() => Length = 0;

    /// <summary>Forgets everything from <paramref name="length"/> (bytes) on.</summary>
    public void Rewind(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    public Span<byte> Reserve(int count)
    {
        if (_buffer.Length - Length < count)
            Array.Resize(ref _buffer, Math.Max(checked(Length + count), (int)Math.Min(Array.MaxLength, 2L * _buffer.Length)));
        var span = _buffer.AsSpan(Length, count);
        Length += count;
        return span;
    }

    public void U8(byte value) => Reserve(1)[0] = value;
    public void U16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Reserve(2), value);
    public void U32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Reserve(4), value);
    public void U64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Reserve(8), value);
    public void I64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Reserve(8), value);

    /// <summary>Unsigned LEB128, minimal, 1 to 10 bytes.</summary>
    public void Var(ulong value)
    {
        while (value >= 0x80)
        {
            U8((byte)(value | 0x80));
            value >>= 7;
        }
        U8((byte)value);
    }

    /// <summary>Signed as zigzag LEB128.</summary>
    public void VarSigned(long value) => Var((ulong)(value << 1) ^ (ulong)(value >> 63));

    /// <summary>Bytes as they are, without a length.</summary>
    public void Raw(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

    public void Id(Id16 id) => id.CopyTo(Reserve(Id16.Size));
    public void Hash(Hash32 hash) => hash.CopyTo(Reserve(Hash32.Size));

    /// <summary>A varint length, then the bytes.</summary>
    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        Var((ulong)bytes.Length);
        Raw(bytes);
    }
}
