using System.Security.Cryptography;

namespace Holdfast.Core.Chunking;

/// <summary>SHA-256 of whole messages. One per thread: it keeps its context, where making one anew costs more than hashing a small message.</summary>
sealed class MessageHasher : IDisposable
{
    const int Block = 64; // bytes, FIPS 180-4

    readonly IncrementalHash _context = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    readonly List<(int Length, int Offset, int Number)> _longest = [];
    int[] _offsets = [];
    int[] _lengths = [];
    byte[] _digests = [];

    public Hash32 Hash(ReadOnlySpan<byte> message)
    {
        Span<byte> digest = stackalloc byte[Hash32.Size];
        _context.AppendData(message);
        _context.GetHashAndReset(digest);
        return new Hash32(digest);
    }

    /// <summary>Hashes messages that lie one after the other: sixteen at once where the processor can, and where they are many enough.</summary>
    /// <param name="joined">Their bytes.</param>
    /// <param name="lengths">Of each, bytes, 0 or more.</param>
    /// <param name="digests">Filled with that of each.</param>
    public void HashAll(ReadOnlySpan<byte> joined, ReadOnlySpan<int> lengths, Span<Hash32> digests) => HashAll(joined, lengths, digests, Lanes.AreUsable);

    internal void HashAll(ReadOnlySpan<byte> joined, ReadOnlySpan<int> lengths, Span<Hash32> digests, bool inLanes)
    {
        _longest.Clear();
        for (int i = 0, at = 0; i < lengths.Length; at += lengths[i], i++)
            _longest.Add((lengths[i], at, i));
        var alone = _longest.Count;
        if (inLanes)
        {
            _longest.Sort(static (a, b) => b.CompareTo(a));
            alone = Alone();
        }
        foreach (var (length, offset, number) in _longest.Take(alone))
            digests[number] = Hash(joined.Slice(offset, length));
        var together = _longest.Count - alone;
        if (together == 0)
            return;
        if (_offsets.Length < together)
            (_offsets, _lengths, _digests) = (new int[together], new int[together], new byte[together * Hash32.Size]);
        for (var i = 0; i < together; i++)
            (_lengths[i], _offsets[i], _) = _longest[alone + i];
        Lanes.Hash(joined, _offsets.AsSpan(0, together), _lengths.AsSpan(0, together), _digests);
        for (var i = 0; i < together; i++)
            digests[_longest[alone + i].Number] = new Hash32(_digests.AsSpan(i * Hash32.Size, Hash32.Size));
    }

    /// <summary>How many of the longest are hashed one by one, so that the whole takes the least time: a long one among short ones would keep fifteen lanes idle.</summary>
    int Alone()
    {
        var left = _longest.Sum(m => Blocks(m.Length)); // in lanes
        var (best, least) = (_longest.Count, left);
        var before = 0L;
        for (var i = 0; i < _longest.Count; i++)
        {
            var steps = Math.Max(Blocks(_longest[i].Length), (left + Lanes.Count - 1) / Lanes.Count);
            if (before + Lanes.StepCost * steps < least)
                (best, least) = (i, before + Lanes.StepCost * steps);
            before += Blocks(_longest[i].Length);
            left -= Blocks(_longest[i].Length);
        }
        return best;
    }

    static long Blocks(int length) => (length + 9L + Block - 1) / Block; // with the padding

    public void Dispose() => _context.Dispose();
}
