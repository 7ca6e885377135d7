using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;

namespace Holdfast.Tests.Core.Chunking;

public sealed class LanesTests
{
    const string Needs = "needs a processor with AVX-512, and clang when it was built";

    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../../.."));

    static bool HasClang => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, "clang")));

    static byte[] Hash(byte[] memory, int[] offsets, int[] lengths)
    {
        var digests = new byte[offsets.Length * Hash32.Size];
        Lanes.Hash(memory, offsets, lengths, digests);
        return digests;
    }

    static void AssertRight(byte[] memory, int[] offsets, int[] lengths)
    {
        var digests = Hash(memory, offsets, lengths);
        for (var i = 0; i < offsets.Length; i++)
            Assert.Equal(SHA256.HashData(memory.AsSpan(offsets[i], lengths[i])), digests.AsSpan(i * Hash32.Size, Hash32.Size).ToArray());
    }

    [Fact]
    public void Every_bit_of_every_lane_counts()
    {
        Assert.SkipUnless(Lanes.AreUsable, Needs);
        const int length = 16_384;
        var memory = TestVault.Noise(8, Lanes.Count * length);
        int[] offsets = [.. Enumerable.Range(0, Lanes.Count).Select(i => i * length)];
        int[] lengths = [.. offsets.Select(_ => length)];
        foreach (var at in (int[])[0, 1, 63, 64, 4_095, 8_192, 16_383])
        {
            for (var lane = 0; lane < Lanes.Count; lane++)
            {
                memory[lane * length + at] ^= (byte)(1 << (lane + at) % 8);
                AssertRight(memory, offsets, lengths);
            }
        }
    }

    /// <summary>Any number of messages, of any lengths, in any order, anywhere in memory and over each other: lanes end, wait and take the next one at all sorts of times.</summary>
    [Fact]
    public void Messages_of_all_lengths_are_hashed_side_by_side()
    {
        Assert.SkipUnless(Lanes.AreUsable, Needs);
        var memory = TestVault.Noise(9, 40_000);
        for (var count = 0; count <= 50; count++)
        {
            var lengths = new int[count];
            var offsets = new int[count];
            for (var i = 0; i < count; i++)
            {
                lengths[i] = (i % 3) switch { 0 => i * 7 % 200, 1 => count * i * 13 % 9_000, _ => 64 * (i % 5) - (i % 2) + 1 };
                offsets[i] = i * 577 % (memory.Length - lengths[i] + 1);
            }
            AssertRight(memory, offsets, lengths);
        }
        for (var length = 0; length <= 200; length++) // every place where a message can end in a block
            AssertRight(memory, [0, 1, memory.Length - length], [length, length, length]);
        AssertRight([], [0], [0]);
    }

    [Theory]
    [InlineData(1, 100)]
    [InlineData(101, 0)]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(50, int.MaxValue)]
    [InlineData(int.MinValue, int.MaxValue)]
    public void Nothing_is_read_outside_of_the_memory(int offset, int length)
    {
        Assert.SkipUnless(Lanes.AreUsable, Needs);
        Assert.Throws<ArgumentOutOfRangeException>(() => Hash(new byte[100], [0, offset], [100, length]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Lanes.Hash(new byte[100], [0], [1, 2], new byte[64]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Lanes.Hash(new byte[100], [0, 1], [1, 2], new byte[63]));
    }

    /// <summary>With and without lanes, whichever the shares of the two: each message has its digest, at its own place.</summary>
    [Fact]
    public void A_hasher_gives_each_message_its_digest()
    {
        using var hasher = new MessageHasher();
        int[][] all =
        [
            [], [0], [1], [200_000], [.. Enumerable.Repeat(5_000, 40)], [.. Enumerable.Range(0, 300)], [.. Enumerable.Range(0, 300).Reverse()], [500_000, .. Enumerable.Repeat(3_000, 60), 400_000, 1, 0, 63],
            [.. Enumerable.Repeat(0, 40)], [.. Enumerable.Range(0, 30).Select(i => 1 << i % 17)],
        ];
        foreach (var lengths in all)
        {
            var joined = TestVault.Noise(lengths.Length, lengths.Sum());
            var expected = new List<Hash32>();
            var at = 0;
            foreach (var length in lengths)
            {
                expected.Add(new Hash32(SHA256.HashData(joined.AsSpan(at, length))));
                at += length;
            }
            foreach (var inLanes in (bool[])[false, Lanes.AreUsable])
            {
                var digests = new Hash32[lengths.Length];
                hasher.HashAll(joined, lengths, digests, inLanes);
                Assert.Equal(expected, digests);
            }
        }
    }

    /// <summary>A library as it should be; one that is wrong in one lane alone; and one that is wrong only where a lane takes a second message.</summary>
    [Theory]
    [InlineData("0", true)]
    [InlineData("i == 0", false)]
    [InlineData("i == 15", false)]
    [InlineData("i == 143", false)]
    [InlineData("lengths[i] == 55", false)]
    [InlineData("lengths[i] == 56", false)]
    [InlineData("lengths[i] == 64", false)]
    [InlineData("lengths[i] == 0", false)]
    public unsafe void Lanes_that_hash_wrongly_are_not_used(string wrong, bool used)
    {
        Assert.SkipUnless(Lanes.AreUsable && HasClang, Needs);
        using var folder = new TempFolder();
        File.WriteAllText(folder["lanes.c"], $$"""
            #define holdfast_lanes right
            #include "{{Root()}}/src/Holdfast.Core/Chunking/lanes.c"
            #undef holdfast_lanes
            void holdfast_lanes(const uint8_t *base, const int32_t *offsets, const int32_t *lengths, int32_t count, uint8_t *digests)
            {
                right(base, offsets, lengths, count, digests);
                for (int i = 0; i < count; i++)
                    if ({{wrong}})
                        digests[i * 32 + 31] ^= 1;
            }
            """);
        using (var clang = System.Diagnostics.Process.Start("clang", ["-O1", "-shared", "-fPIC", "-o", folder[Lanes.File], folder["lanes.c"]]))
        {
            clang.WaitForExit();
            Assert.Equal(0, clang.ExitCode);
        }
        Assert.Equal(used, Lanes.Load(folder.Path) is not null);
        Assert.True(Lanes.Load(Path.GetRelativePath(Environment.CurrentDirectory, folder.Path)) is null, "from a place that depends on where the program is started");
        Assert.True(Lanes.Load("") is null);
    }

    [Fact]
    public void Lanes_are_used_where_they_can_be()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64 && File.ReadAllText("/proc/cpuinfo").Contains("avx512bw", StringComparison.Ordinal)
            && HasClang, Needs);
        Assert.True(Lanes.AreUsable);
    }
}
