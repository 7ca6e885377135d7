namespace Holdfast.Core.Keeper;

/// <summary>A pack is in the sets of these snapshots of a line, and of the branches that leave it there, but for those where it has a span that is inherited.</summary>
/// <param name="line">Their line.</param>
/// <param name="from">The first of them.</param>
/// <param name="size">Bytes, as they have it.</param>
/// <param name="signed">Bytes as a signed snapshot has it; 0 where that was not looked at, or there is none.</param>
/// <param name="earlier">The same pack in another line, or before it left this one.</param>
/// <param name="isInherited">The branch had it from the snapshot that it leaves, and has given it up: what is kept of a pack in a branch begins there.</param>
sealed class PackSpan(PackLine line, int from, long size, long signed, PackSpan? earlier, bool isInherited)
{
    public PackLine Line => line;
    public int From => from;

    /// <summary>The first that does not have it any more.</summary>
    public int End { get; set; } = int.MaxValue;
    public long Size => size;

    /// <summary>Its size where it was named first, by a signed snapshot if any.</summary>
    public long First { get; } = signed > 0 ? signed : earlier?.First ?? size;
    public bool IsOtherwise => size != First;
    public PackSpan? Earlier => earlier;
    public bool IsInherited => isInherited;
}

/// <summary>Snapshots that each go on from the one before. One whose set is told as a difference to that of a snapshot which another goes on from already begins a branch: of the set that it leaves nothing is
/// written down again, only what it adds and gives up. So the lines together take what the snapshot objects say, however many share a large set.</summary>
/// <param name="trunk">The line that it leaves; null where its first set is told whole.</param>
/// <param name="leaves">The snapshot there that its first one is a difference to.</param>
sealed class PackLine(PackLine? trunk, int leaves)
{
    /// <summary>Branches of branches that readers follow: no row of differences that a keeper takes is longer.</summary>
    public const int MaxDepth = 64;

    readonly Dictionary<Hash32, PackSpan> _newest = [];
    Dictionary<Hash32, List<PackSpan>>? _older; // of packs that left it and came back
    Dictionary<int, PackLine>? _branches; // the first of those that leave it at one snapshot
    readonly RangeMaximum _leaving = new(); // by where they leave it, what is larger the earlier that is
    int[] _there = []; // how many before each have not been given up

    public int Leaves => leaves;
    public bool IsBranch => trunk is not null;
    public int Depth { get; } = trunk is null ? 0 : trunk.Depth + 1;
    public List<SnapshotRecord> Records { get; } = [];

    /// <summary>Ends of their locks.</summary>
    public RangeMaximum Expiries { get; } = new();

    /// <summary>Those that <see cref="PackSpans.With"/> has given.</summary>
    public NextIndex Given { get; } = new();

    /// <summary>Its place among all lines.</summary>
    public PackLinePlace? Place { get; set; }

    /// <summary>The last of its branches in their order, which is by where they leave it; null where it has none.</summary>
    public PackLine? LastBranch { get; private set; }

    /// <summary>How many packs it has had: what looking at all of them takes.</summary>
    public int Known => _newest.Count;

    /// <summary>Packs of the last one's set; not of a branch, which does not list those that it has from its trunk.</summary>
    public IEnumerable<Hash32> Names => _newest.Where(s => s.Value.End == int.MaxValue).Select(s => s.Key);

    /// <summary>The span of a pack that is in the set of one of its snapshots; null where that does not have it.</summary>
    public PackSpan? Find(Hash32 name, int at)
    {
        for (var line = this; ; line = line.Trunk(ref at)!)
        {
            if (line.Latest(name, at) is { } span)
                return at < span.End ? span : null;
            if (!line.IsBranch)
                return null;
        }
    }

    PackLine? Trunk(ref int at)
    {
        at = leaves;
        return trunk;
    }

    /// <summary>The last span of a pack in this line that begins no later.</summary>
    PackSpan? Latest(Hash32 name, int at)
    {
        if (!_newest.TryGetValue(name, out var newest) || newest.From <= at)
            return newest;
        if (_older?.GetValueOrDefault(name) is not { } older)
            return null;
        var (low, high) = (0, older.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = older[middle].From <= at ? (middle + 1, high) : (low, middle);
        }
        return low > 0 ? older[low - 1] : null;
    }

    public void Add(Hash32 name, PackSpan span)
    {
        if (_newest.TryGetValue(name, out var before))
            (System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_older ??= [], name, out _) ??= []).Add(before);
        _newest[name] = span;
    }

    public void Add(SnapshotRecord record)
    {
        Records.Add(record);
        Lengthen(Records.Count - 1, record.Expiry);
        Place?.SetGiven(false);
    }

    /// <summary>A lock ends later than before.</summary>
    public void Lengthen(int at, ulong expiry)
    {
        Expiries.Raise(at, expiry);
        Place?.Raise(expiry);
    }

    /// <summary>Gets a branch: the first of all that leave it there or later.</summary>
    public void Add(PackLine branch)
    {
        if (LastBranch is null || branch.Leaves > LastBranch.Leaves)
            LastBranch = branch;
        (_branches ??= [])[branch.Leaves] = branch;
        _leaving.Raise(branch.Leaves, ulong.MaxValue - (ulong)branch.Leaves);
    }

    /// <summary>The first branch that leaves it at a snapshot or after it.</summary>
    public PackLine? BranchFrom(int at) => LastBranch is { } last && at <= last.Leaves ? _branches![(int)(ulong.MaxValue - _leaving.Max(at, last.Leaves + 1))] : null;

    /// <summary>Looks at which snapshots have been given up.</summary>
    /// <returns>How many have not.</returns>
    public int Look(Predicate<SnapshotRecord> isGone)
    {
        _there = new int[Records.Count + 1];
        for (var at = 0; at < Records.Count; at++)
            _there[at + 1] = _there[at] + (isGone(Records[at]) ? 0 : 1);
        return _there[^1];
    }

    public bool IsAnyThere(int from, int end) => _there[end] > _there[from];
}
