using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Holdfast.Core;

/// <summary>A 16-byte id: of a vault, a domain, a snapshot, an agent... Random, or a keyed derivation; it tells nothing about what it names.</summary>
/// <remarks>A value, never null. <c>default</c> is <see cref="None"/> (16 zero bytes) and names nothing.</remarks>
public readonly record struct Id16 : IComparable<Id16>
{
    public const int Size = 16; // bytes
    public static readonly Id16 None;

    readonly ulong _a, _b; // big-endian words

    public Id16(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Size);
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
    }

    /// <summary>A fresh random id.</summary>
    public static Id16 New()
    {
        Span<byte> bytes = stackalloc byte[Size];
        RandomNumberGenerator.Fill(bytes);
        return new Id16(bytes);
    }

    public bool IsNone => this == None;

    public static bool TryParse(ReadOnlySpan<char> hex, out Id16 id)
    {
        Span<byte> bytes = stackalloc byte[Size];
        var ok = !hex.ContainsAnyInRange('A', 'F') && Convert.FromHexString(hex, bytes, out _, out var written) is OperationStatus.Done && written == Size;
        id = ok ? new Id16(bytes) : None;
        return ok;
    }

    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
    }

    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    public int CompareTo(Id16 other) => _a != other._a ? _a.CompareTo(other._a) : _b.CompareTo(other._b);
    public override int GetHashCode() => SeededHash.Of(_a, _b);
    public override string ToString() => $"{_a:x16}{_b:x16}";

    public static bool operator <(Id16 left, Id16 right) => left.CompareTo(right) < 0;
    public static bool operator >(Id16 left, Id16 right) => left.CompareTo(right) > 0;
    public static bool operator <=(Id16 left, Id16 right) => left.CompareTo(right) <= 0;
    public static bool operator >=(Id16 left, Id16 right) => left.CompareTo(right) >= 0;
}
