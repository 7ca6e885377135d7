using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Snapshots;

/// <summary>One pack that a snapshot needs.</summary>
/// <param name="Name">SHA-256 of the pack.</param>
/// <param name="Size">Bytes, a multiple of 65,536.</param>
public readonly record struct PackRef(Hash32 Name, long Size);

/// <summary>All packs a snapshot needs. Its root depends on the set alone (docs/format.md, section 10.4). Immutable.</summary>
public sealed class PackSet
{
    const int LeafNames = 64;

    public static readonly PackSet Empty = new([], sorted: true);

    readonly PackRef[] _packs;

    /// <param name="packs">In any order, a name at most once.</param>
    public PackSet(IEnumerable<PackRef> packs) : this([.. packs], sorted: false)
    {
    }

    PackSet(PackRef[] packs, bool sorted)
    {
        if (!sorted)
            Array.Sort(packs, static (l, r) => l.Name.CompareTo(r.Name));
        _packs = packs;
        Bytes = packs.Sum(p => p.Size);
        Root = Node(packs, 0);
    }

    public Hash32 Root { get; }
    public int Count => _packs.Length;
    public long Bytes { get; }

    /// <summary>Ascending by name.</summary>
    public ReadOnlySpan<PackRef> Packs => _packs;
    public IReadOnlyList<PackRef> ToList() => _packs;

    public bool Contains(Hash32 name) => IndexOf(name) >= 0;

    int IndexOf(Hash32 name)
    {
        var (low, high) = (0, _packs.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            var order = _packs[middle].Name.CompareTo(name);
            if (order == 0)
                return middle;
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return ~low;
    }

    public PackSetDelta DeltaFrom(PackSet parent) => new(Root, Count, Bytes, IsWhole: false,
        [.. _packs.Where(p => !parent.Contains(p.Name))], [.. parent._packs.Where(p => !Contains(p.Name)).Select(p => p.Name)]);

    public PackSetDelta Whole() => new(Root, Count, Bytes, IsWhole: true, _packs, []);

    /// <summary>The set after a difference; null where it does not lead to the root, count and size it names.</summary>
    public PackSet? Apply(PackSetDelta delta)
    {
        var removed = delta.Removed.ToHashSet();
        if (delta.IsWhole ? removed.Count > 0 : removed.Any(r => !Contains(r)) || delta.Added.Any(a => Contains(a.Name)))
            return null;
        var set = new PackSet(delta.IsWhole ? delta.Added : _packs.Where(p => !removed.Contains(p.Name)).Concat(delta.Added));
        return set.Root == delta.Root && set.Count == delta.Count && set.Bytes == delta.Bytes ? set : null;
    }

    static Hash32 Node(ReadOnlySpan<PackRef> packs, int depth)
    {
        if (packs.IsEmpty)
            return Hash32.None;
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> bytes = stackalloc byte[Hash32.Size];
        if (packs.Length <= LeafNames)
        {
            sha.AppendData(Labels.PackSetLeaf);
            foreach (var pack in packs)
            {
                pack.Name.CopyTo(bytes);
                sha.AppendData(bytes);
            }
        }
        else
        {
            var split = 0;
            while (split < packs.Length && !Bit(packs[split].Name, depth))
                split++;
            sha.AppendData(Labels.PackSetNode);
            Node(packs[..split], depth + 1).CopyTo(bytes);
            sha.AppendData(bytes);
            Node(packs[split..], depth + 1).CopyTo(bytes);
            sha.AppendData(bytes);
        }
        return new Hash32(sha.GetHashAndReset());
    }

    static bool Bit(Hash32 name, int depth)
    {
        Span<byte> bytes = stackalloc byte[Hash32.Size];
        name.CopyTo(bytes);
        return (bytes[depth >> 3] >> (7 - (depth & 7)) & 1) != 0;
    }
}

/// <summary>A pack set as a snapshot carries it: the difference to its parent's, or all of it.</summary>
public sealed record PackSetDelta(Hash32 Root, int Count, long Bytes, bool IsWhole, PackRef[] Added, Hash32[] Removed)
{
    const int MaxPacks = 1 << 26;

    public void Write(ByteWriter writer)
    {
        writer.Hash(Root);
        writer.U64((ulong)Count);
        writer.U64((ulong)Bytes);
        writer.U8(IsWhole ? (byte)1 : (byte)0);
        writer.Var((ulong)Added.Length);
        foreach (var pack in Added)
        {
            writer.Hash(pack.Name);
            writer.Var((ulong)(pack.Size / PackFormat.Quantum));
        }
        writer.Var((ulong)Removed.Length);
        foreach (var name in Removed)
            writer.Hash(name);
    }

    public static PackSetDelta? Read(ref ByteReader reader)
    {
        var root = reader.Hash();
        var count = reader.U64();
        var bytes = reader.U64();
        var mode = reader.U8();
        reader.Require(count <= MaxPacks && bytes <= long.MaxValue && mode <= 1);
        var added = new PackRef[reader.Count(reader.Remaining / Hash32.Size)];
        for (var i = 0; i < added.Length && !reader.Failed; i++)
        {
            added[i] = new PackRef(reader.Hash(), (long)reader.Count(PackFormat.MaxSize / PackFormat.Quantum) * PackFormat.Quantum);
            reader.Require(added[i].Size > 0 && (i == 0 || added[i - 1].Name < added[i].Name));
        }
        var removed = new Hash32[reader.Count(reader.Remaining / Hash32.Size)];
        for (var i = 0; i < removed.Length && !reader.Failed; i++)
        {
            removed[i] = reader.Hash();
            reader.Require(i == 0 || removed[i - 1] < removed[i]);
        }
        reader.Require(mode == 0 || removed.Length == 0);
        return reader.Failed ? null : new PackSetDelta(root, (int)count, (long)bytes, mode == 1, added, removed);
    }
}
