using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;

namespace Holdfast.Tests.Core.Chunking;

public sealed class BlockDigestTests
{
    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../../.."));

    static bool HasClang => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, "clang")));

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
    public void Every_bit_of_every_lane_counts()
    {
        Assert.SkipUnless(Lanes.AreUsable, "needs AVX-512, and clang when it was built");
        var blocks = TestVault.Noise(8, Lanes.Count * BlockDigest.BlockSize);
        var digests = new byte[Lanes.Count * Hash32.Size];
        foreach (var at in (int[])[0, 1, 63, 64, 4_095, 8_192, 16_383])
        {
            for (var lane = 0; lane < Lanes.Count; lane++)
            {
                blocks[lane * BlockDigest.BlockSize + at] ^= (byte)(1 << (lane + at) % 8);
                Lanes.Hash(blocks, digests);
                for (var l = 0; l < Lanes.Count; l++)
                    Assert.Equal(SHA256.HashData(blocks.AsSpan(l * BlockDigest.BlockSize, BlockDigest.BlockSize)), digests.AsSpan(l * Hash32.Size, Hash32.Size).ToArray());
            }
        }
    }

    /// <summary>A library as it should be, and one that is wrong in one lane alone.</summary>
    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(15)]
    public unsafe void Lanes_that_hash_wrongly_are_not_used(int wrong)
    {
        Assert.SkipUnless(Lanes.AreUsable && HasClang, "needs a processor with AVX-512, and clang");
        using var folder = new TempFolder();
        File.WriteAllText(folder["lanes.c"], $$"""
            #define holdfast_lanes right
            #include "{{Root()}}/src/Holdfast.Core/Chunking/lanes.c"
            #undef holdfast_lanes
            void holdfast_lanes(const uint8_t *blocks, uint8_t *digests)
            {
                right(blocks, digests);
                if ({{wrong}} >= 0)
                    digests[{{Math.Max(0, wrong)}} * 32 + 31] ^= 1;
            }
            """);
        using (var clang = System.Diagnostics.Process.Start("clang", ["-O1", "-shared", "-fPIC", "-o", folder[Lanes.File], folder["lanes.c"]]))
        {
            clang.WaitForExit();
            Assert.Equal(0, clang.ExitCode);
        }
        Assert.Equal(wrong < 0, Lanes.Load(folder.Path) is not null);
        Assert.True(Lanes.Load(Path.GetRelativePath(Environment.CurrentDirectory, folder.Path)) is null, "from a place that depends on where the program is started");
        Assert.True(Lanes.Load("") is null);
    }

    [Fact]
    public void Lanes_are_used_where_they_can_be()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64 && File.ReadAllText("/proc/cpuinfo").Contains("avx512bw", StringComparison.Ordinal)
            && HasClang, "needs a processor with AVX-512, and clang");
        Assert.True(Lanes.AreUsable);
    }

    [Fact]
    public void A_chunk_longer_than_any_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => BlockDigest.Of(new byte[PackFormat.MaxChunk + 1]));
    }
}
