using System.Security.Cryptography;

namespace Holdfast.Core.Log;

/// <summary>The hashes of RFC 6962, section 2.1, with SHA-256: leaves and nodes have prefixes of their own, so that neither passes for the other.</summary>
public static class LogHash
{
    public static readonly Hash32 Empty = new(SHA256.HashData([]));

    public static Hash32 Leaf(ReadOnlySpan<byte> data)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData([0]);
        sha.AppendData(data);
        return new Hash32(sha.GetHashAndReset());
    }

    public static Hash32 Node(Hash32 left, Hash32 right)
    {
        Span<byte> bytes = stackalloc byte[1 + 2 * Hash32.Size];
        bytes[0] = 1;
        left.CopyTo(bytes[1..]);
        right.CopyTo(bytes[(1 + Hash32.Size)..]);
        Span<byte> hash = stackalloc byte[Hash32.Size];
        SHA256.HashData(bytes, hash);
        return new Hash32(hash);
    }
}

/// <summary>A Merkle tree over leaf hashes that only grows (RFC 6962, section 2.1). Keeps the hash of every complete subtree: 64 bytes a leaf.</summary>
public sealed class MerkleTree
{
    readonly List<List<Hash32>> _levels = [[]];

    public long Size => _levels[0].Count;

    public void Add(Hash32 leaf)
    {
        var hash = leaf;
        for (var level = 0; ; level++)
        {
            if (level == _levels.Count)
                _levels.Add([]);
            _levels[level].Add(hash);
            var count = _levels[level].Count;
            if (count % 2 != 0)
                return;
            hash = LogHash.Node(_levels[level][count - 2], _levels[level][count - 1]);
        }
    }

    public Hash32 Leaf(long index) => _levels[0][(int)index];

    /// <summary>Hash of the complete subtree of 2^<paramref name="level"/> leaves with this number.</summary>
    public Hash32 Subtree(int level, long number) => _levels[level][(int)number];

    /// <summary>The root when the tree had so many leaves.</summary>
    public Hash32 Root(long size) => size == 0 ? LogHash.Empty : Range(0, size);

    /// <summary>Hash over the leaves in [start, end); start is a multiple of the largest power of two below the length.</summary>
    Hash32 Range(long start, long end)
    {
        var length = end - start;
        if (System.Numerics.BitOperations.IsPow2(length))
        {
            var level = System.Numerics.BitOperations.Log2((ulong)length);
            return _levels[level][(int)(start >> level)];
        }
        var split = Split(length);
        return LogHash.Node(Range(start, start + split), Range(start + split, end));
    }

    /// <summary>The largest power of two below n.</summary>
    static long Split(long n) => 1L << System.Numerics.BitOperations.Log2((ulong)(n - 1));

    /// <summary>Audit path of a leaf in a tree of so many leaves (RFC 6962, section 2.1.1).</summary>
    public List<Hash32> ProveInclusion(long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, Size);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var path = new List<Hash32>();
        var (start, end) = (0L, size);
        while (end - start > 1)
        {
            var split = start + Split(end - start);
            if (index < split)
            {
                path.Add(Range(split, end));
                end = split;
            }
            else
            {
                path.Add(Range(start, split));
                start = split;
            }
        }
        path.Reverse();
        return path;
    }

    /// <summary>Proof that the tree of <paramref name="old"/> leaves is a beginning of the tree of <paramref name="size"/> (RFC 6962, section 2.1.2).</summary>
    public List<Hash32> ProveConsistency(long old, long size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, Size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(old, size);
        var path = new List<Hash32>();
        if (old == 0 || old == size)
            return path;
        var (start, end) = (0L, size);
        var whole = true; // the old tree so far is a complete subtree from the start
        while (old != end)
        {
            var split = start + Split(end - start);
            if (old <= split)
            {
                path.Add(Range(split, end));
                end = split;
            }
            else
            {
                path.Add(Range(start, split));
                start = split;
                whole = false;
            }
        }
        if (!whole)
            path.Add(Range(start, end));
        path.Reverse();
        return path;
    }

    /// <summary>Checks an audit path (RFC 9162, section 2.1.3.2).</summary>
    public static bool VerifyInclusion(long index, long size, Hash32 leaf, IReadOnlyList<Hash32> path, Hash32 root)
    {
        if (index < 0 || index >= size)
            return false;
        var (node, last) = (index, size - 1);
        var hash = leaf;
        foreach (var sibling in path)
        {
            if (last == 0)
                return false;
            if ((node & 1) == 1 || node == last)
            {
                hash = LogHash.Node(sibling, hash);
                while ((node & 1) == 0 && node != 0)
                {
                    node >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                hash = LogHash.Node(hash, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        return last == 0 && hash == root;
    }

    /// <summary>Checks a consistency proof (RFC 9162, section 2.1.4.2).</summary>
    public static bool VerifyConsistency(long old, long size, IReadOnlyList<Hash32> path, Hash32 oldRoot, Hash32 root)
    {
        if (old < 0 || old > size)
            return false;
        if (old == size)
            return path.Count == 0 && oldRoot == root;
        if (old == 0)
            return path.Count == 0 && oldRoot == LogHash.Empty;
        if (path.Count == 0)
            return false;
        IEnumerable<Hash32> rest = path;
        Hash32 first;
        if (System.Numerics.BitOperations.IsPow2(old))
            first = oldRoot;
        else
            (first, rest) = (path[0], path.Skip(1));
        var (node, last) = (old - 1, size - 1);
        while ((node & 1) == 1)
        {
            node >>= 1;
            last >>= 1;
        }
        var (before, after) = (first, first);
        foreach (var hash in rest)
        {
            if (last == 0)
                return false;
            if ((node & 1) == 1 || node == last)
            {
                before = LogHash.Node(hash, before);
                after = LogHash.Node(hash, after);
                while ((node & 1) == 0 && node != 0)
                {
                    node >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                after = LogHash.Node(after, hash);
            }
            node >>= 1;
            last >>= 1;
        }
        return last == 0 && before == oldRoot && after == root;
    }
}
