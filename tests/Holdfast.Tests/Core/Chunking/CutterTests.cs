using Holdfast.Core.Chunking;

namespace Holdfast.Tests.Core.Chunking;

public sealed class CutterTests
{
    static readonly byte[] Key = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];

    static List<int> Cuts(Cutter cutter, ReadOnlySpan<byte> data)
    {
        var cuts = new List<int>();
        for (var at = 0; at < data.Length;)
        {
            var length = cutter.Next(data[at..], isLast: true);
            Assert.InRange(length, 1, Cutter.Max);
            cuts.Add(at += length);
        }
        return cuts;
    }

    [Fact]
    public void Both_code_paths_cut_alike()
    {
        using var fast = new Cutter(Key);
        using var plain = new Cutter(Key, allowIntrinsics: false);
        for (var seed = 0; seed < 4; seed++)
        {
            var data = TestVault.Noise(seed, 20_000_000 + seed * 13);
            Assert.Equal(Cuts(plain, data), Cuts(fast, data));
        }
    }

    [Fact]
    public void Cuts_are_those_of_the_format()
    {
        // Computed from docs/format.md, section 6.2, for SHA-256 in counter mode of "holdfast" as data.
        var data = new byte[8_000_000];
        for (var i = 0; i < data.Length / 32; i++)
            System.Security.Cryptography.SHA256.HashData([.. "holdfast"u8, .. BitConverter.GetBytes(i)]).CopyTo(data, i * 32);
        using var cutter = new Cutter(Key);
        Assert.Equal(Reference(data), Cuts(cutter, data));
    }

    /// <summary>The document's words as code, one position at a time.</summary>
    static List<int> Reference(byte[] data)
    {
        using var aes = System.Security.Cryptography.Aes.Create();
        aes.Key = Key;
        var cuts = new List<int>();
        for (var start = 0; start < data.Length;)
        {
            var end = Math.Min(data.Length - start, 4_194_304);
            var cut = end;
            for (var n = 262_145; n <= end; n++)
            {
                var w = BitConverter.ToUInt32(data, start + n - 4);
                if (unchecked((w ^ 0x27D4EB2F) * 0x9E3779B1) >> 22 != 0)
                    continue;
                var d = BitConverter.ToUInt64(aes.EncryptCbc(data.AsSpan(start + n - 64, 64), new byte[16], System.Security.Cryptography.PaddingMode.None), 48);
                if (d % (n <= 1_048_576 ? 2048u : 256u) != 0)
                    continue;
                cut = n;
                break;
            }
            cuts.Add(start += cut);
        }
        return cuts;
    }

    [Fact]
    public void Chunks_have_the_average_that_was_meant()
    {
        using var cutter = new Cutter(Key);
        var cuts = Cuts(cutter, TestVault.Noise(3, 100_000_000));
        Assert.InRange(100_000_000 / cuts.Count, 900_000, 1_600_000);
    }

    [Fact]
    public void An_insertion_moves_only_cuts_near_it()
    {
        using var cutter = new Cutter(Key);
        var data = TestVault.Noise(4, 60_000_000);
        var before = Cuts(cutter, data).Select(c => data.Length - c).ToHashSet();
        byte[] changed = [.. data.AsSpan(0, 10_000_000), 42, .. data.AsSpan(10_000_000)];
        var after = Cuts(cutter, changed).Select(c => changed.Length - c).ToList();
        Assert.True(after.Count(c => !before.Contains(c)) <= 14 + 4, "cuts before the insertion move by it, and a few after it");
        Assert.True(after.Where(c => c < 45_000_000).All(before.Contains));
    }

    [Fact]
    public void Another_key_cuts_elsewhere()
    {
        var data = TestVault.Noise(5, 40_000_000);
        using var one = new Cutter(Key);
        using var two = new Cutter(new byte[16]);
        Assert.True(Cuts(one, data).Intersect(Cuts(two, data)).Count() <= 2);
    }

    [Fact]
    public void Runs_of_one_byte_are_cut_at_the_maximum()
    {
        using var cutter = new Cutter(Key);
        for (var value = 0; value < 256; value++)
            Assert.Equal(Cutter.Max, cutter.Next(Enumerable.Repeat((byte)value, Cutter.Max + 1).ToArray(), isLast: false));
    }

    [Fact]
    public void It_asks_for_more_where_it_cannot_tell()
    {
        using var cutter = new Cutter(Key);
        Assert.Equal(0, cutter.Next(TestVault.Noise(6, 200_000), isLast: false));
        Assert.Equal(200_000, cutter.Next(TestVault.Noise(6, 200_000), isLast: true));
    }
}
