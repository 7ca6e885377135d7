namespace Holdfast.Core.Keeper;

/// <summary>A pack is in the sets of these snapshots of a line, and of the branches that leave it there, but for those where it has a span that is inherited.</summary>
/// <param name="line">Their line.</param>
/// <param name="from">The first of them.</param>
/// <param name="size">Bytes, as they have it.</param>
/// <param name="earlier">The same pack in another line, or before it left this one.</param>
/// <param name="isInherited">The branch had it from the snapshot that it leaves, and has given it up: what is kept of a pack in a branch begins there.</param>
sealed class PackSpan(PackLine line, int from, long size, PackSpan? earlier, bool isInherited)
{
    public PackLine Line => line;
    public int From => from;

    /// <summary>The first that does not have it any more.</summary>
    public int End { get; set; } = int.MaxValue;
    public long Size => size;

    /// <summary>Its size where it was named first.</summary>
    public long First { get; } = earlier?.First ?? size;
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
    List<PackLine>? _branches;
    int[] _there = []; // how many before each have not been given up

    public int Leaves => leaves;
    public bool IsBranch => trunk is not null;
    public int Depth { get; } = trunk is null ? 0 : trunk.Depth + 1;
    public List<SnapshotRecord> Records { get; } = [];

    /// <summary>Ends of their locks.</summary>
    public RangeMaximum Expiries { get; } = new();

    /// <summary>Those that <see cref="PackSpans.With"/> has given.</summary>
    public NextIndex Given { get; } = new();

    /// <summary>Its place among all lines, and the first behind it that is no branch of it or of its branches: see <see cref="PackLineOrder"/>.</summary>
    public int Place { get; set; }
    public int PlaceAfter { get; set; }

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
        Expiries.Raise(Records.Count - 1, record.Expiry);
    }

    /// <summary>Gets a branch.</summary>
    public void Add(PackLine branch) => (_branches ??= []).Add(branch);

    /// <summary>Its branches, by where they leave it.</summary>
    public IReadOnlyList<PackLine> Sort()
    {
        _branches?.Sort(static (l, r) => l.Leaves.CompareTo(r.Leaves));
        return _branches ?? [];
    }

    /// <summary>The place of the first branch that leaves it at a snapshot or after it.</summary>
    public int PlaceOfBranch(int at)
    {
        var (low, high) = (0, _branches?.Count ?? 0);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = _branches![middle].Leaves < at ? (middle + 1, high) : (low, middle);
        }
        return _branches is not null && low < _branches.Count ? _branches[low].Place : PlaceAfter;
    }

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

/// <summary>All lines, each before its branches, and these by where they leave it, each before its own. So the branches that leave a part of a line, with theirs, are a run of places.</summary>
sealed class PackLineOrder
{
    readonly List<PackLine> _roots = [];
    readonly List<PackLine> _lines = [];
    RangeMaximum _expiries = new(); // the largest of each line
    bool _isSorted = true;

    public int Count => Lines.Count;
    public PackLine this[int place] => Lines[place];

    /// <summary>In their order. Looked at anew where a branch has come.</summary>
    List<PackLine> Lines
    {
        get
        {
            if (_isSorted)
                return _lines;
            (_isSorted, _expiries) = (true, new RangeMaximum());
            _lines.Clear();
            _roots.ForEach(Append);
            return _lines;
        }
    }

    /// <summary>Takes a line in, with the snapshot that it begins with.</summary>
    public void Add(PackLine line, PackLine? trunk)
    {
        if (trunk is null)
        {
            _roots.Add(line);
            if (_isSorted)
                Append(line);
        }
        else
        {
            trunk.Add(line);
            _isSorted = false;
        }
    }

    void Append(PackLine line)
    {
        line.Place = _lines.Count;
        _lines.Add(line);
        _expiries.Raise(line.Place, line.Expiries.Max(0, line.Records.Count));
        foreach (var branch in line.Sort())
            Append(branch);
        line.PlaceAfter = _lines.Count;
    }

    /// <summary>A lock of a line ends later than before, or it has one more.</summary>
    public void Raise(PackLine line, ulong expiry)
    {
        if (_isSorted)
            _expiries.Raise(line.Place, expiry);
    }

    /// <summary>The largest end of a lock in the lines of a run of places.</summary>
    public ulong Expiry(int from, int end) => Lines.Count == 0 ? 0 : _expiries.Max(from, end);

    /// <summary>Where the snapshots are whose sets have a pack.</summary>
    /// <param name="newest">Of its spans.</param>
    /// <param name="held">Gets it, in place of what it had.</param>
    public void Find(PackSpan? newest, List<HeldBy> held)
    {
        held.Clear();
        _ = Lines;
        List<PackLine>? inherited = null;
        for (var span = newest; span is not null; span = span.Earlier)
        {
            if (span.IsInherited)
                (inherited ??= []).Add(span.Line);
        }
        inherited?.Sort(static (l, r) => l.Place.CompareTo(r.Place));
        for (var span = newest; span is not null; span = span.Earlier)
        {
            held.Add(new HeldBy(span.Line, span.From, Math.Min(span.End, span.Line.Records.Count)));
            var end = span.Line.PlaceOfBranch(span.End);
            for (var place = span.Line.PlaceOfBranch(span.From); place < end;)
            {
                // A branch that gave the pack up says itself how long it had it, for its branches too.
                var cut = First(inherited, place);
                var until = Math.Min(cut?.Place ?? end, end);
                if (place < until)
                    held.Add(new HeldBy(null, place, until));
                place = until < end ? cut!.PlaceAfter : end;
            }
        }
    }

    /// <summary>The first of some lines from a place on.</summary>
    static PackLine? First(List<PackLine>? lines, int place)
    {
        var (low, high) = (0, lines?.Count ?? 0);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = lines![middle].Place < place ? (middle + 1, high) : (low, middle);
        }
        return low < (lines?.Count ?? 0) ? lines![low] : null;
    }
}

/// <summary>Snapshots of a line, or, without one, all snapshots of the lines of a run of places.</summary>
readonly record struct HeldBy(PackLine? Line, int From, int End);
