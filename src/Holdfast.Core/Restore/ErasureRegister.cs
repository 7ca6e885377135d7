using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>What the erasure register had to say of what was brought back.</summary>
/// <param name="LeftOut">Entries that were asked for and left out: erased at the source.</param>
/// <param name="LeftOutPaths">The first of them (<see cref="TargetProblem.Listed"/>); for the user's eyes only.</param>
/// <param name="Corrected">Entries that were corrected at the source, and are as they were before.</param>
/// <param name="CorrectedPaths">As above.</param>
/// <param name="Brought">Erased ones that were brought all the same, since that was asked for.</param>
/// <param name="NotCompared">Files without a SHA-256 in the tree, where the register names some by theirs.</param>
/// <param name="Unknown">Entries of the register that cannot be read here, of whatever source they may be.</param>
/// <param name="Unproved">Entries that nobody made who had the key: they count for nothing.</param>
public sealed record ErasureReport(long LeftOut, IReadOnlyList<byte[]> LeftOutPaths, long Corrected, IReadOnlyList<byte[]> CorrectedPaths, long Brought, long NotCompared, int Unknown, int Unproved)
{
    public static ErasureReport None { get; } = new(0, [], 0, [], 0, 0, 0, 0);

    /// <summary>Somebody has to look: not all that the register is for could be done, or something was left out, or is not as it is at the source now.</summary>
    public bool Applies => LeftOut + Corrected + Brought + NotCompared + Unknown + Unproved > 0;
}

/// <summary>Applies the erasure register to the entries of one snapshot (docs/format.md, section 11.8). It keeps nothing from being restored that it cannot judge, and says so. For one thread; entries are given in tree order.</summary>
sealed class ErasureRegister : IDisposable
{
    readonly List<(ErasureKey Key, Dictionary<Hash32, ErasureKind> Paths, Dictionary<Hash32, ErasureKind> Contents)> _keys = [];
    readonly bool _bringErased;
    readonly int _unknown;
    readonly int _unproved;
    readonly List<byte[]> _leftOutPaths = [];
    readonly List<byte[]> _correctedPaths = [];
    readonly bool _hasPaths;
    readonly bool _hasContents;
    byte[] _last = []; // of which path every folder above was looked at
    byte[]? _erased; // the folder, or file, below which all is erased
    byte[]? _corrected;
    long _leftOut;
    long _correctedCount;
    long _brought;
    long _notCompared;

    /// <param name="state">The log.</param>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Those that open it.</param>
    /// <param name="bringErased">What was erased is brought all the same, and counted.</param>
    public ErasureRegister(Projection state, SnapshotRecord record, ReadingKeys keys, bool bringErased)
    {
        _bringErased = bringErased;
        _unknown = state.LostErasures + (state.HasLostLeaves ? 1 : 0);
        var mine = state.Erasures.Where(e => e.Entry.Source == record.Source && record.Object?.Domain == e.Entry.Domain).ToList();
        foreach (var ofEpoch in mine.GroupBy(e => e.Entry.Epoch))
        {
            if (keys.ErasureKey(record.Object!.Domain, ofEpoch.Key, record.Source) is not { } key)
            {
                _unknown += ofEpoch.Count();
                continue;
            }
            _unproved += ofEpoch.Count(e => !IsProved(e.Entry, key));
            // Withdrawn by who has a key of that source, of whichever epoch.
            var there = ofEpoch.Where(e => e.Entry.Kind != ErasureKind.Withdrawn && record.Ordinal < e.Ordinal && record.Committed <= e.Entry.Through && IsProved(e.Entry, key) && !IsWithdrawn(mine, e, keys)).Select(e => e.Entry).ToList();
            _keys.Add((key, By(there, ErasureOf.Path), By(there, ErasureOf.Content)));
        }
        (_hasPaths, _hasContents) = (_keys.Exists(k => k.Paths.Count > 0), _keys.Exists(k => k.Contents.Count > 0));
    }

    /// <summary>The same thing erased and corrected is erased.</summary>
    static Dictionary<Hash32, ErasureKind> By(IEnumerable<ErasureEntry> entries, ErasureOf of) => entries.Where(e => e.Of == of).GroupBy(e => e.Reference).ToDictionary(g => g.Key, g => g.Min(e => e.Kind));

    public static bool IsProved(ErasureEntry entry, ErasureKey key) => key.Tag(entry.Tagged()) == entry.Tag;

    public static bool IsWithdrawn(IEnumerable<ErasureRecord> all, ErasureRecord entry, ReadingKeys keys) => all.Any(w =>
    {
        if (w.Entry.Kind != ErasureKind.Withdrawn || w.Entry.Entry != entry.Entry.Entry || w.Entry.Source != entry.Entry.Source || w.Entry.Domain != entry.Entry.Domain)
            return false;
        using var key = keys.ErasureKey(w.Entry.Domain, w.Entry.Epoch, w.Entry.Source);
        return key is not null && IsProved(w.Entry, key);
    });

    /// <summary>Nothing is left out, or said to be as it was before, whatever the snapshot has.</summary>
    public bool IsEmpty => !_hasPaths && !_hasContents;

    /// <summary>True where an entry is to be left out. It is counted then, and where it was corrected.</summary>
    public bool LeavesOut(EntryBatch rows, int row)
    {
        if (IsEmpty)
            return false;
        var path = rows.Path(row);
        var kind = Below(path, _erased) ? ErasureKind.Erased : _hasPaths ? OfPath(path) : Below(path, _corrected) ? ErasureKind.Corrected : 0;
        if (_hasContents && kind != ErasureKind.Erased && rows.Kind[row] == EntryKind.File)
            kind = OfContent(rows, row) is var said && said != 0 && (kind == 0 || said < kind) ? said : kind;
        switch (kind)
        {
            case ErasureKind.Erased when _bringErased:
                _brought++;
                return false;
            case ErasureKind.Erased:
                Count(ref _leftOut, _leftOutPaths, path);
                return true;
            case ErasureKind.Corrected:
                Count(ref _correctedCount, _correctedPaths, path);
                return false;
            default:
                return false;
        }
    }

    static bool Below(ReadOnlySpan<byte> path, byte[]? folder) => folder is not null && (path.SequenceEqual(folder) || TreePath.IsBelow(path, folder));

    static void Count(ref long count, List<byte[]> paths, ReadOnlySpan<byte> path)
    {
        count++;
        if (paths.Count < TargetProblem.Listed)
            paths.Add(path.ToArray());
    }

    /// <summary>Looks at the path, and at each folder above that was not looked at with one before: their rows need not have come.</summary>
    ErasureKind OfPath(ReadOnlySpan<byte> path)
    {
        var same = path.CommonPrefixLength(_last);
        for (var end = 0; end < path.Length && !Below(path, _erased);)
        {
            end = path[(end + 1)..].IndexOf((byte)'/') is var more and >= 0 ? end + 1 + more : path.Length;
            if (end < same || (end == same && (same == _last.Length || _last[same] == '/')))
                continue;
            Look(path[..end]);
        }
        _last = path.ToArray();
        return Below(path, _erased) ? ErasureKind.Erased : Below(path, _corrected) ? ErasureKind.Corrected : 0;
    }

    void Look(ReadOnlySpan<byte> path)
    {
        foreach (var (key, paths, _) in _keys)
        {
            if (paths.Count == 0 || !paths.TryGetValue(key.Reference((byte)ErasureOf.Path, path), out var kind))
                continue;
            if (kind == ErasureKind.Erased)
                _erased = path.ToArray();
            else if (!Below(path, _corrected))
                _corrected = path.ToArray();
        }
    }

    ErasureKind OfContent(EntryBatch rows, int row)
    {
        if (rows.Digest[row].IsNone)
        {
            _notCompared += rows.Size[row] > 0 ? 1 : 0;
            return 0;
        }
        Span<byte> digest = stackalloc byte[Hash32.Size];
        rows.Digest[row].CopyTo(digest);
        foreach (var (key, _, contents) in _keys)
        {
            if (contents.Count > 0 && contents.TryGetValue(key.Reference((byte)ErasureOf.Content, digest), out var kind))
                return kind;
        }
        return 0;
    }

    public ErasureReport Report => new(_leftOut, _leftOutPaths, _correctedCount, _correctedPaths, _brought, _notCompared, _unknown, _unproved);

    public void Dispose() => _keys.ForEach(k => k.Key.Dispose());
}
