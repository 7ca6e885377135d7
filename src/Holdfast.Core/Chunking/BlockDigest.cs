using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Crypto;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Chunking;

/// <summary>The digest of a piece of a large file: SHA-256 over the SHA-256 of its blocks (docs/format.md, section 6.1), so that one chunk keeps all lanes of a
/// processor busy. As in BEP 52, which has blocks of the same size. Safe for concurrent use.</summary>
static class BlockDigest
{
    public const int BlockSize = 16_384; // bytes

    /// <summary>This many blocks too few for all lanes are hashed faster one by one.</summary>
    const int Few = Lanes.Count / 2;

    public static Hash32 Of(ReadOnlySpan<byte> chunk) => Of(chunk, Lanes.AreUsable);

    internal static Hash32 Of(ReadOnlySpan<byte> chunk, bool inLanes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunk.Length, PackFormat.MaxChunk);
        var label = Labels.BlockDigest;
        var head = label.Length + sizeof(uint);
        Span<byte> message = stackalloc byte[head + (chunk.Length + BlockSize - 1) / BlockSize * Hash32.Size];
        label.CopyTo(message);
        BinaryPrimitives.WriteInt32LittleEndian(message[label.Length..], chunk.Length);
        var digests = message[head..];
        var whole = chunk.Length / BlockSize;
        var block = 0;
        if (inLanes)
        {
            for (; whole - block >= Lanes.Count; block += Lanes.Count)
                HashLanes(chunk, block, digests);
            if (block > 0 && whole - block > Few)
            {
                HashLanes(chunk, whole - Lanes.Count, digests); // the last sixteen: some once more, to fill the lanes
                block = whole;
            }
        }
        for (; block * BlockSize < chunk.Length; block++)
        {
            var rest = chunk[(block * BlockSize)..];
            SHA256.HashData(rest[..Math.Min(BlockSize, rest.Length)], digests[(block * Hash32.Size)..]);
        }
        Span<byte> hash = stackalloc byte[Hash32.Size];
        SHA256.HashData(message, hash);
        return new Hash32(hash);
    }

    static void HashLanes(ReadOnlySpan<byte> chunk, int first, Span<byte> digests) =>
        Lanes.Hash(chunk.Slice(first * BlockSize, Lanes.Count * BlockSize), digests.Slice(first * Hash32.Size, Lanes.Count * Hash32.Size));
}
