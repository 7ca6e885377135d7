using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>Looks in snapshots for what is about to be entered in the erasure register: whether it is there, and how much of it.</summary>
/// <param name="named">Paths of the source, and SHA-256.</param>
sealed class ErasureLook(IReadOnlyList<(ErasureOf Of, byte[] Bytes)> named)
{
    readonly bool[] _seen = new bool[named.Count];
    readonly HashSet<Hash32> _digests = [.. named.Where(n => n.Of == ErasureOf.Content).Select(n => new Hash32(n.Bytes))];
    bool _hasLarge;

    /// <summary>All of a tree has to be read.</summary>
    public bool IsThrough => _digests.Count > 0;

    public bool HasAll => _seen.All(s => s);

    /// <summary>All that was not found is a SHA-256, and there are files that have none in the tree.</summary>
    public bool MayBeLarge => _hasLarge && Missing != ErasureOf.Path;

    /// <summary>What was not found: a path, where it is one.</summary>
    public ErasureOf Missing => named.Where((_, i) => !_seen[i]).Select(n => n.Of).DefaultIfEmpty().Min();

    /// <summary>Counts the entries of one snapshot that are named, each once.</summary>
    /// <param name="rows">Gives the snapshot's rows, at least those at and below a path; of null all.</param>
    public long Count(Func<byte[]?, IEnumerable<EntryBatch>> rows)
    {
        if (IsThrough)
            return rows(null).Sum(batch => Count(batch, null));
        var tops = named.Select(n => n.Bytes).Where(p => !named.Any(n => TreePath.IsBelow(p, n.Bytes))).DistinctBy(p => Convert.ToHexString(p));
        return tops.Sum(top => rows(top).Sum(batch => Count(batch, top)));
    }

    long Count(EntryBatch batch, byte[]? below)
    {
        var count = 0L;
        for (var row = 0; row < batch.Count; row++)
            count += (below is null || IsAt(batch.Path(row), below)) && IsNamed(batch, row) ? 1 : 0;
        return count;
    }

    bool IsNamed(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        var isFile = batch.Kind[row] == EntryKind.File;
        _hasLarge |= isFile && batch.Digest[row].IsNone && batch.Size[row] > 0;
        var isNamed = false;
        for (var i = 0; i < named.Count; i++)
        {
            if (named[i].Of == ErasureOf.Path ? !IsAt(path, named[i].Bytes) : !isFile || batch.Digest[row] != new Hash32(named[i].Bytes))
                continue;
            _seen[i] = isNamed = true;
        }
        return isNamed;
    }

    static bool IsAt(ReadOnlySpan<byte> path, byte[] named) => path.SequenceEqual(named) || TreePath.IsBelow(path, named);
}
