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

    static readonly int[] Offsets = [.. Enumerable.Range(0, PackFormat.MaxChunk / BlockSize).Select(i => i * BlockSize)];
    static readonly int[] Lengths = [.. Offsets.Select(_ => BlockSize)];

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
            block = whole % Lanes.Count > Lanes.StepCost ? whole : whole - whole % Lanes.Count;
            Lanes.Hash(chunk, Offsets.AsSpan(0, block), Lengths.AsSpan(0, block), digests);
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
}
