using System.Buffers;
using System.Buffers.Binary;

namespace Holdfast.Core;

/// <summary>A 32-byte digest or name: SHA-256 of something, or an HMAC. Ordinal order of its bytes.</summary>
/// <remarks>A value, never null. <c>default</c> is <see cref="None"/> (32 zero bytes) and names nothing.</remarks>
public readonly record struct Hash32 : IComparable<Hash32>
{
    public const int Size = 32; // bytes
    public static readonly Hash32 None;

    readonly ulong _a, _b, _c, _d; // big-endian words, so that comparing them compares the bytes

    public Hash32(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Size);
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
    }

    /// <summary>The first 16 bytes as one big-endian number: what an index sorts by.</summary>
    public UInt128 Prefix => new(_a, _b);

    public bool IsNone => this == None;

    public static bool TryParse(ReadOnlySpan<char> hex, out Hash32 hash)
    {
        Span<byte> bytes = stackalloc byte[Size];
        var ok = !hex.ContainsAnyInRange('A', 'F') && Convert.FromHexString(hex, bytes, out _, out var written) is OperationStatus.Done && written == Size;
        hash = ok ? new Hash32(bytes) : None;
        return ok;
    }

    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], _d);
    }

    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    public int CompareTo(Hash32 other) =>
        _a != other._a ? _a.CompareTo(other._a) :
        _b != other._b ? _b.CompareTo(other._b) :
        _c != other._c ? _c.CompareTo(other._c) : _d.CompareTo(other._d);

    public override int GetHashCode() => SeededHash.Of(_a, _b, _c, _d);
    public override string ToString() => $"{_a:x16}{_b:x16}{_c:x16}{_d:x16}";

    public static bool operator <(Hash32 left, Hash32 right) => left.CompareTo(right) < 0;
    public static bool operator >(Hash32 left, Hash32 right) => left.CompareTo(right) > 0;
    public static bool operator <=(Hash32 left, Hash32 right) => left.CompareTo(right) <= 0;
    public static bool operator >=(Hash32 left, Hash32 right) => left.CompareTo(right) >= 0;
}
