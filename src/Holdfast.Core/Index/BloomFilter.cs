using System.Runtime.InteropServices;

namespace Holdfast.Core.Index;

/// <summary>Blocked Bloom filter over id halves: one cache line a question (docs/format.md, section 8.1).</summary>
static class BloomFilter
{
    /// <summary>Bytes for so many chunks: a multiple of 64, at least 64.</summary>
    public static long SizeFor(long chunks) =>
        Math.Max(1, (chunks * IndexFormat.FilterBits + IndexFormat.FilterBlock * 8 - 1) / (IndexFormat.FilterBlock * 8)) * IndexFormat.FilterBlock;

    public static void Add(Span<byte> filter, UInt128 id)
    {
        var block = Block(filter, id);
        var bits = (ulong)id;
        for (var k = 0; k < IndexFormat.FilterProbes; k++, bits >>= 9)
            block[(int)(bits & 511) >> 3] |= (byte)(1 << (int)(bits & 7));
    }

    public static bool MayContain(ReadOnlySpan<byte> filter, UInt128 id)
    {
        var block = Block(MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(filter), filter.Length), id);
        var bits = (ulong)id;
        for (var k = 0; k < IndexFormat.FilterProbes; k++, bits >>= 9)
        {
            if ((block[(int)(bits & 511) >> 3] & (1 << (int)(bits & 7))) == 0)
                return false;
        }
        return true;
    }

    static Span<byte> Block(Span<byte> filter, UInt128 id)
    {
        var blocks = (ulong)filter.Length / IndexFormat.FilterBlock;
        var block = Math.BigMul((ulong)(id >> 64), blocks, out _);
        return filter.Slice((int)(block * IndexFormat.FilterBlock), IndexFormat.FilterBlock);
    }
}
