using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;

namespace Holdfast.Tests.Core.Chunking;

public sealed class BlockDigestTests
{
    /// <summary>As docs/format.md says it, and no faster.</summary>
    static Hash32 Plain(ReadOnlySpan<byte> chunk)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData("holdfast/v1/block-digest"u8);
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, chunk.Length);
        sha.AppendData(length);
        for (; !chunk.IsEmpty; chunk = chunk[Math.Min(16_384, chunk.Length)..])
            sha.AppendData(SHA256.HashData(chunk[..Math.Min(16_384, chunk.Length)]));
        return new Hash32(sha.GetHashAndReset());
    }

    [Fact]
    public void With_and_without_lanes_it_is_what_the_format_says_at_every_number_of_blocks()
    {
        var data = TestVault.Noise(7, PackFormat.MaxChunk + 1);
        var lengths = new List<int> { 1, 63, 64, PackFormat.MaxChunk, PackFormat.MaxChunk - 1, 1_100_003 };
        for (var blocks = 1; blocks <= 50; blocks++)
            lengths.AddRange([blocks * 16_384 - 1, blocks * 16_384, blocks * 16_384 + 1]);
        foreach (var length in lengths)
        {
            foreach (var start in (int[])[0, 1]) // whatever its place in memory
            {
                var chunk = data.AsSpan(start, length);
                var expected = Plain(chunk);
                Assert.Equal(expected, BlockDigest.Of(chunk, inLanes: false));
                if (Lanes.AreUsable)
                    Assert.Equal(expected, BlockDigest.Of(chunk, inLanes: true));
            }
        }
    }

    [Fact]
    public void A_chunk_longer_than_any_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => BlockDigest.Of(new byte[PackFormat.MaxChunk + 1]));
    }
}
