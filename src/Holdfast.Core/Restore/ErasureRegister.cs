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
/// <param name="Unproved">Entries that nobody made who had the key, or who had it no longer: they count for nothing.</param>
public sealed record ErasureReport(long LeftOut, IReadOnlyList<byte[]> LeftOutPaths, long Corrected, IReadOnlyList<byte[]> CorrectedPaths, long Brought, long NotCompared, int Unknown, int Unproved)
{
    public static ErasureReport None { get; } = new(0, [], 0, [], 0, 0, 0, 0);

    /// <summary>Of those left out: something of that name was in the target before, and stays there.</summary>
    public long Standing { get; init; }

    /// <summary>As above.</summary>
    public IReadOnlyList<byte[]> StandingPaths { get; init; } = [];

    /// <summary>Something is said of what was asked for: it was left out, or is not as it is at the source now, or that cannot be told.</summary>
    public bool SaysSomething => LeftOut + Corrected + Brought + NotCompared > 0;

    /// <summary>Somebody has to look: that, or not all of the register could be read and believed.</summary>
    public bool Applies => SaysSomething || Unknown + Unproved > 0;
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
    readonly List<byte[]> _standingPaths = [];
    readonly bool _hasPaths;
    readonly bool _hasContents;
    byte[] _last = []; // of which path every folder above was looked at
    byte[]? _erased; // the folder, or file, below which all is erased
    byte[]? _corrected;
    long _leftOut;
    long _correctedCount;
    long _brought;
    long _notCompared;
    long _standing;

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
            var key = keys.ErasureKey(record.Object!.Domain, ofEpoch.Key, record.Source);
            var proved = ofEpoch.ToLookup(e => IsProved(e, key));
            _unknown += proved[null].Count();
            _unproved += proved[false].Count();
            if (key is null)
                continue;
            var there = proved[true].Where(e => e.Entry.Kind != ErasureKind.Withdrawn && record.Ordinal < e.Ordinal && record.Committed <= e.Entry.Through && IsWithdrawn(state, e, keys) == false).Select(e => e.Entry).ToList();
            _keys.Add((key, By(there, ErasureOf.Path), By(there, ErasureOf.Content)));
        }
        (_hasPaths, _hasContents) = (_keys.Exists(k => k.Paths.Count > 0), _keys.Exists(k => k.Contents.Count > 0));
    }

    /// <summary>The same thing erased and corrected is erased.</summary>
    static Dictionary<Hash32, ErasureKind> By(IEnumerable<ErasureEntry> entries, ErasureOf of) => entries.Where(e => e.Of == of).GroupBy(e => e.Reference).ToDictionary(g => g.Key, g => g.Min(e => e.Kind));

    /// <summary>Whoever made it had the key of the epoch that was the newest then.</summary>
    /// <param name="entry">An entry, or a withdrawal.</param>
    /// <param name="key">Of its source and epoch; null where these keys do not have it.</param>
    /// <returns>Null where that cannot be told.</returns>
    public static bool? IsProved(ErasureRecord entry, ErasureKey? key) => entry.IsInForce == false ? false : key is null ? null : key.Tag(entry.Entry.Tagged()) == entry.Entry.Tag;

    /// <summary>As above.</summary>
    public static bool? IsProved(ErasureRecord entry, ReadingKeys keys)
    {
        using var key = keys.ErasureKey(entry.Entry.Domain, entry.Entry.Epoch, entry.Entry.Source);
        return IsProved(entry, key);
    }

    /// <summary>By who had a key of that source, of whichever epoch. Null where that cannot be told: then it is brought.</summary>
    public static bool? IsWithdrawn(Projection state, ErasureRecord entry, ReadingKeys keys)
    {
        var proved = state.Erasures.Where(w => w.Withdraws(entry)).Select(w => IsProved(w, keys)).ToList();
        return proved.Contains(true) ? true : proved.Contains(null) || state.MayBeWithdrawn(entry.Entry.Entry) ? null : false;
    }

    /// <summary>Nothing is left out, or said to be as it was before, whatever the snapshot has.</summary>
    public bool IsEmpty => !_hasPaths && !_hasContents;

    /// <summary>Something may be left out, where the snapshot has it.</summary>
    public bool HasErased => _keys.Exists(k => k.Paths.ContainsValue(ErasureKind.Erased) || k.Contents.ContainsValue(ErasureKind.Erased));

    /// <summary>What is left out stands in the target: somebody, or an earlier restore, put it there.</summary>
    public void Stands(ReadOnlySpan<byte> path) => Count(ref _standing, _standingPaths, path);

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
        ErasureKind said = 0; // of all epochs: erased in one and corrected in another is erased
        foreach (var (key, _, contents) in _keys)
        {
            if (contents.Count > 0 && contents.TryGetValue(key.Reference((byte)ErasureOf.Content, digest), out var kind) && (said == 0 || kind < said))
                said = kind;
        }
        return said;
    }

    public ErasureReport Report => new(_leftOut, _leftOutPaths, _correctedCount, _correctedPaths, _brought, _notCompared, _unknown, _unproved) { Standing = _standing, StandingPaths = _standingPaths };

    public void Dispose() => _keys.ForEach(k => k.Key.Dispose());
}
