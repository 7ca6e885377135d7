using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>Chooses entries of a tree: an entry that matches, everything below it, and the folders above it.</summary>
/// <param name="matches">True for paths that were asked for; null for all.</param>
public sealed class PathFilter(PathFilter.Matcher? matches)
{
    /// <summary>Says whether a path was asked for.</summary>
    public delegate bool Matcher(ReadOnlySpan<byte> path);

    readonly EntryBatch _above = new(matches is null ? 1 : TreePath.MaxDepth + 1); // folders above the row at hand
    const long AboveBytes = 64 << 20; // of their attributes: a writer may claim 2 MiB for each of thousands of nested folders

    long _aboveBytes;
    int _given; // how many of the folders above have been given out
    byte[]? _inside;

    /// <summary>Entries that matched by themselves.</summary>
    public long Matched { get; private set; }

    /// <summary>The rows to take, in tree order; each holds until the next is asked for. Those on the way are folders that were not asked for, above what was.</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: folders above have more attributes than memory should be filled with.</exception>
    public IEnumerable<(EntryBatch Rows, int Row, bool IsOnWay)> Choose(EntryBatch rows)
    {
        for (var row = 0; row < rows.Count; row++)
        {
            if (matches is null)
            {
                yield return (rows, row, false);
                continue;
            }
            if (IsInside(rows.Path(row)))
            {
                matches(rows.Path(row)); // who asks may want to know which of its patterns matched
                yield return (rows, row, false);
                continue;
            }
            var above = AboveCount(rows.Path(row));
            for (var i = above; i < _above.Count; i++)
                _aboveBytes -= _above.Xattrs[i]?.Length ?? 0;
            _above.KeepPrefix(above);
            if (matches(rows.Path(row)))
            {
                Matched++;
                _inside = rows.Path(row).ToArray();
                for (var i = _given; i < _above.Count; i++)
                    yield return (_above, i, true);
                _given = _above.Count;
                yield return (rows, row, false);
            }
            else if (rows.Kind[row] == EntryKind.Directory)
            {
                _above.AddCopy(rows, row);
                _aboveBytes += rows.Xattrs[row]?.Length ?? 0;
                if (_aboveBytes > AboveBytes)
                {
                    throw new HoldfastException(ErrorCode.TargetUnsafe, "The snapshot was refused: the extended attributes of folders in each other would fill this machine's memory.",
                        "This tree was hardly written by a sound Holdfast. Treat its writer as suspect and restore from an earlier snapshot.");
                }
            }
        }
    }

    int AboveCount(ReadOnlySpan<byte> path)
    {
        var count = _above.Count;
        while (count > 0 && !IsAbove(_above.Path(count - 1), path))
            count--;
        _given = Math.Min(_given, count);
        return count;
    }

    bool IsInside(ReadOnlySpan<byte> path) => _inside is not null && (path.SequenceEqual(_inside) || IsAbove(_inside, path));

    static bool IsAbove(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> path) =>
        folder.IsEmpty ? !path.IsEmpty : path.Length > folder.Length && path[folder.Length] == '/' && path.StartsWith(folder);
}
