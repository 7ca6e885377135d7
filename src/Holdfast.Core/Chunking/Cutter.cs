using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Holdfast.Core.Chunking;

/// <summary>Cuts content into chunks at places that depend on the content alone, so that an insertion moves cuts near it and no others
/// (docs/format.md, section 6.2). Immutable and safe for concurrent use.</summary>
/// <remarks>Two stages: a multiply over every 4-byte word keeps one position in 1,024 as a candidate, eight words at a time; a keyed PRF over the
/// 64 bytes before it decides. A keyed rolling hash alone would leak its key through chunk lengths (eprint 2025/558, 2025/532).</remarks>
public sealed class Cutter : IDisposable
{
    public const int Min = 256 << 10; // bytes
    public const int Average = 1 << 20;
    public const int Max = 4 << 20;

    /// <summary>A file up to this many bytes is one chunk: it is hashed once, for its chunk and for itself.</summary>
    public const int WholeLimit = 2 << 20;

    const uint Multiplier = 0x9E3779B1;
    const uint Offset = 0x27D4EB2F; // keeps runs of one byte from being candidates
    const int CandidateShift = 22; // the 10 highest bits are zero
    const ulong HardMask = (1 << 11) - 1; // before the average: 1 position in 2^21
    const ulong SoftMask = (1 << 8) - 1; // after it: 1 in 2^18

    readonly CutDecision _decision;
    readonly bool _vectors;

    /// <param name="key">The domain's cutter key, 16 bytes.</param>
    public Cutter(ReadOnlySpan<byte> key) : this(key, allowIntrinsics: true)
    {
    }

    internal Cutter(ReadOnlySpan<byte> key, bool allowIntrinsics)
    {
        _decision = new CutDecision(key, allowIntrinsics);
        _vectors = allowIntrinsics && Vector256.IsHardwareAccelerated;
    }

    /// <summary>Length of the chunk that starts where the data starts.</summary>
    /// <param name="data">From the start of the chunk on.</param>
    /// <param name="isLast">True where nothing follows the data.</param>
    /// <returns>1 to <see cref="Max"/>; 0 where more data is needed to tell.</returns>
    public int Next(ReadOnlySpan<byte> data, bool isLast)
    {
        if (data.Length > Min)
        {
            var average = Math.Min(data.Length, Average);
            var cut = Scan(data, Min, average, HardMask);
            if (cut == 0)
                cut = Scan(data, average, Math.Min(data.Length, Max), SoftMask);
            if (cut != 0)
                return cut;
        }
        return data.Length >= Max ? Max : isLast ? data.Length : 0;
    }

    /// <summary>The first cut length in (from, to], or 0. A cut of length n looks at the 64 bytes before n; from is at least 256 KiB.</summary>
    int Scan(ReadOnlySpan<byte> data, int from, int to, ulong mask)
    {
        var length = from + 1; // candidate lengths; the word ends just before
        if (_vectors)
        {
            ref var start = ref MemoryMarshal.GetReference(data);
            var offset = Vector256.Create(Offset);
            var multiplier = Vector256.Create(Multiplier);
            // Lengths length .. length + 31: words that start at length - 4 + 0..31; the last ends at length + 31.
            for (; length + 31 <= to; length += 32)
            {
                var at = (nuint)(length - 4);
                var w0 = (Vector256.LoadUnsafe(ref start, at).AsUInt32() ^ offset) * multiplier;
                var w1 = (Vector256.LoadUnsafe(ref start, at + 1).AsUInt32() ^ offset) * multiplier;
                var w2 = (Vector256.LoadUnsafe(ref start, at + 2).AsUInt32() ^ offset) * multiplier;
                var w3 = (Vector256.LoadUnsafe(ref start, at + 3).AsUInt32() ^ offset) * multiplier;
                var least = Vector256.Min(Vector256.Min(w0, w1), Vector256.Min(w2, w3));
                if (Vector256.EqualsAny(least >>> CandidateShift, Vector256<uint>.Zero) && FirstCut(data, length, 32, mask) is var cut and not 0)
                    return cut;
            }
        }
        return length <= to ? FirstCut(data, length, to - length + 1, mask) : 0;
    }

    int FirstCut(ReadOnlySpan<byte> data, int length, int count, ulong mask)
    {
        for (var n = length; n < length + count; n++)
        {
            var word = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(data[(n - 4)..]);
            if (((word ^ Offset) * Multiplier) >> CandidateShift == 0
                && (_decision.Value(data.Slice(n - CutDecision.Window, CutDecision.Window)) & mask) == 0)
                return n;
        }
        return 0;
    }

    public void Dispose() => _decision.Dispose();
}
