using System.Security.Cryptography;

namespace Holdfast.Core.Chunking;

/// <summary>HMAC-SHA-256 (RFC 2104) of digests behind one prefix, sixteen at once in the lanes: beside so short a message, setting up the system's HMAC is most of its cost. One per thread.</summary>
sealed class LaneHmac : IDisposable
{
    /// <summary>Fewer are faster one by one.</summary>
    public const int Least = 4;
    const int Block = 64; // bytes, FIPS 180-4
    const int Room = 256; // messages at a time

    readonly byte[] _inner; // Room times: key XOR ipad, prefix, digest
    readonly byte[] _outer; // Room times: key XOR opad, inner hash
    readonly byte[] _hashes = new byte[Room * Hash32.Size];
    readonly (int[] Offsets, int[] Lengths) _innerParts;
    readonly (int[] Offsets, int[] Lengths) _outerParts;
    readonly int _innerStride;
    const int OuterStride = Block + Hash32.Size;

    /// <param name="key">Up to 64 bytes.</param>
    /// <param name="prefix">Of each message.</param>
    public LaneHmac(ReadOnlySpan<byte> key, ReadOnlySpan<byte> prefix)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(key.Length, Block); // a longer one would be hashed first
        _innerStride = Block + prefix.Length + Hash32.Size;
        _inner = GC.AllocateArray<byte>(Room * _innerStride, pinned: true); // a key that the collector moves would leave copies of it
        _outer = GC.AllocateArray<byte>(Room * OuterStride, pinned: true);
        for (var i = 0; i < Room; i++)
        {
            Pad(key, 0x36, _inner.AsSpan(i * _innerStride, Block));
            Pad(key, 0x5c, _outer.AsSpan(i * OuterStride, Block));
            prefix.CopyTo(_inner.AsSpan(i * _innerStride + Block));
        }
        _innerParts = Parts(_innerStride);
        _outerParts = Parts(OuterStride);
    }

    /// <summary>HMAC of the prefix and each digest.</summary>
    /// <param name="digests">Any number.</param>
    /// <param name="macs">Filled with that of each.</param>
    public void Hash(ReadOnlySpan<Hash32> digests, Span<Hash32> macs)
    {
        for (; !digests.IsEmpty; digests = digests[Math.Min(Room, digests.Length)..], macs = macs[Math.Min(Room, macs.Length)..])
        {
            var count = Math.Min(Room, digests.Length);
            for (var i = 0; i < count; i++)
                digests[i].CopyTo(_inner.AsSpan((i + 1) * _innerStride - Hash32.Size));
            Lanes.Hash(_inner, _innerParts.Offsets.AsSpan(0, count), _innerParts.Lengths.AsSpan(0, count), _hashes);
            for (var i = 0; i < count; i++)
                _hashes.AsSpan(i * Hash32.Size, Hash32.Size).CopyTo(_outer.AsSpan(i * OuterStride + Block));
            Lanes.Hash(_outer, _outerParts.Offsets.AsSpan(0, count), _outerParts.Lengths.AsSpan(0, count), _hashes);
            for (var i = 0; i < count; i++)
                macs[i] = new Hash32(_hashes.AsSpan(i * Hash32.Size, Hash32.Size));
        }
    }

    static void Pad(ReadOnlySpan<byte> key, byte pad, Span<byte> block)
    {
        block.Fill(pad);
        for (var i = 0; i < key.Length; i++)
            block[i] ^= key[i];
    }

    static (int[], int[]) Parts(int stride) => ([.. Enumerable.Range(0, Room).Select(i => i * stride)], [.. Enumerable.Repeat(stride, Room)]);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_inner);
        CryptographicOperations.ZeroMemory(_outer);
    }
}
