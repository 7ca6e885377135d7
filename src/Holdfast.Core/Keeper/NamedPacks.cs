using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>A pack as commits named it.</summary>
/// <param name="LockEnd">Seconds since 1970.</param>
/// <param name="Size">Bytes, as the first of them gave it.</param>
/// <param name="IsNeeded">True where a snapshot that has not been given up has it in its set.</param>
public readonly record struct NamedPack(ulong LockEnd, long Size, bool IsNeeded);

/// <summary>Every pack that a commit named, and the snapshots that cannot say which they need, or give a pack another size than the first did.</summary>
public sealed record NamedPacks(IReadOnlyDictionary<Hash32, NamedPack> Packs, IReadOnlySet<SnapshotRecord> Untold);

/// <summary>Which snapshots have which pack in their set, added up along each line of snapshots from one difference to the next: a pack is looked at when it comes and when it goes,
/// not once a snapshot. Takes in commits as they come.</summary>
/// <param name="packsOf">The set of a snapshot that goes on from an older one than the last of its line.</param>
sealed class PackSpans(Func<SnapshotRecord, PackSet?> packsOf)
{
    readonly Dictionary<Hash32, Span> _spans = [];
    readonly Dictionary<Hash32, Line> _tips = []; // by the name of their last snapshot
    readonly List<Line> _lines = [];
    readonly Dictionary<SnapshotRecord, (Line Line, int At)> _places = [];
    readonly HashSet<SnapshotRecord> _untold = [];
    readonly HashSet<SnapshotRecord> _otherwise = []; // they name packs by other sizes than those that named them first
    int _taken;

    /// <summary>Takes in the commits that are new.</summary>
    /// <param name="snapshots">All, in the order of their commits.</param>
    public void Take(IReadOnlyList<SnapshotRecord> snapshots)
    {
        for (; _taken < snapshots.Count; _taken++)
        {
            var record = snapshots[_taken];
            if (record.Object is { } snapshot)
            {
                if (!_tips.Remove(snapshot.Parent, out var line) || !Extend(line, record, snapshot.Packs))
                    line = packsOf(record) is { } set ? Begin(record, set) : null;
                if (line is not null)
                {
                    _tips[record.Name] = line;
                    _places[record] = (line, line.Records.Count - 1);
                    if (line.Otherwise > 0)
                        _otherwise.Add(record);
                    continue;
                }
            }
            _untold.Add(record);
        }
    }

    /// <summary>Takes in that a snapshot's lock was lengthened.</summary>
    public void Lengthen(SnapshotRecord record)
    {
        if (_places.TryGetValue(record, out var place))
            place.Line.Expiries.Raise(place.At, record.Expiry);
    }

    /// <summary>True where a snapshot has it in its set.</summary>
    public bool Has(Hash32 pack) => _spans.ContainsKey(pack);

    /// <summary>Bytes of a pack as the first snapshot that has it gave them: what comes later, whoever signed it, makes no pack look damaged. Null where none has it.</summary>
    public long? SizeOf(Hash32 pack) => _spans.TryGetValue(pack, out var span) ? span.First : null;

    /// <summary>A pack of its set has another size there.</summary>
    public bool IsOtherwise(SnapshotRecord record) => _otherwise.Contains(record);

    /// <summary>It cannot say which packs it needs.</summary>
    public bool IsUntold(SnapshotRecord record) => _untold.Contains(record);

    /// <summary>All of them, by what extensions and expiries have made of the snapshots meanwhile.</summary>
    /// <param name="isGone">Whether a snapshot has been given up.</param>
    /// <param name="quantum">Of lock ends.</param>
    public NamedPacks Named(Predicate<SnapshotRecord> isGone, ulong quantum)
    {
        var packs = new Dictionary<Hash32, NamedPack>(_spans.Count);
        foreach (var line in _lines)
            line.Look(isGone);
        foreach (var (name, newest) in _spans)
        {
            var isNeeded = false;
            for (var span = newest; span is not null; span = span.Earlier)
                isNeeded |= span.Line.IsAnyThere(span.From, span.End);
            packs[name] = new NamedPack(LockRules.PackEnd(name, Expiry(newest), quantum), newest.First, isNeeded);
        }
        return new NamedPacks(packs, _untold.Concat(_otherwise).ToHashSet());
    }

    /// <summary>Of these packs, those whose locks are over by a moment, with the margin; one that no set has is among them.</summary>
    public List<Hash32> Over(IEnumerable<Hash32> names, ulong moment, ulong quantum) =>
        [.. names.Where(n => !_spans.TryGetValue(n, out var span) || LockRules.PackEnd(n, Expiry(span), quantum) + LockRules.Margin < moment)];

    static ulong Expiry(Span? span)
    {
        var expiry = 0ul;
        for (; span is not null; span = span.Earlier)
            expiry = Math.Max(expiry, span.Line.Expiries.Max(span.From, Math.Min(span.End, span.Line.Records.Count)));
        return expiry;
    }

    /// <summary>The snapshots that have one of these packs in their set, each once.</summary>
    /// <param name="names">The packs.</param>
    /// <param name="isFirst">Only those that no earlier call with this has given: all calls together then look at each snapshot once.</param>
    public List<SnapshotRecord> With(IEnumerable<Hash32> names, bool isFirst)
    {
        var found = new List<SnapshotRecord>();
        var seen = new Dictionary<Line, NextIndex>();
        foreach (var name in names)
        {
            for (var span = _spans.GetValueOrDefault(name); span is not null; span = span.Earlier)
            {
                var next = isFirst ? span.Line.Given : System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(seen, span.Line, out _) ??= new NextIndex();
                var end = Math.Min(span.End, span.Line.Records.Count);
                for (var at = next.From(span.From); at < end; at = next.From(at))
                {
                    found.Add(span.Line.Records[at]);
                    next.Take(at);
                }
            }
        }
        return found;
    }

    Line Begin(SnapshotRecord record, PackSet set)
    {
        var line = new Line { Bytes = set.Bytes };
        line.Add(record);
        _lines.Add(line);
        foreach (var pack in set.Packs)
            Add(line, pack, 0);
        return line;
    }

    void Add(Line line, PackRef pack, int from)
    {
        _spans.TryGetValue(pack.Name, out var earlier);
        var span = line.Open[pack.Name] = _spans[pack.Name] = new Span(line, from, pack.Size, earlier);
        line.Otherwise += span.IsOtherwise ? 1 : 0;
    }

    /// <returns>False where the difference does not fit what went before; the line is then as it was.</returns>
    bool Extend(Line line, SnapshotRecord record, PackSetDelta packs)
    {
        if (packs.IsWhole && Array.Exists(packs.Added, p => line.Open.TryGetValue(p.Name, out var span) && span.Size != p.Size))
            return false;
        var removed = packs.IsWhole ? Left(line, packs.Added) : packs.Removed;
        var added = packs.IsWhole ? [.. packs.Added.Where(p => !line.Open.ContainsKey(p.Name))] : packs.Added;
        var bytes = line.Bytes + added.Sum(p => p.Size) - removed.Sum(n => line.Open.GetValueOrDefault(n)?.Size ?? 0);
        if (added.Any(p => line.Open.ContainsKey(p.Name)) || !removed.All(line.Open.ContainsKey) || line.Open.Count + added.Length - removed.Length != packs.Count || bytes != packs.Bytes)
            return false;
        var end = line.Records.Count;
        foreach (var name in removed)
        {
            line.Open.Remove(name, out var span);
            span!.End = end;
            line.Otherwise -= span.IsOtherwise ? 1 : 0;
        }
        foreach (var pack in added)
            Add(line, pack, end);
        line.Add(record);
        line.Bytes = bytes;
        return true;
    }

    static Hash32[] Left(Line line, PackRef[] whole)
    {
        var kept = whole.Select(p => p.Name).ToHashSet();
        return [.. line.Open.Keys.Where(n => !kept.Contains(n))];
    }

    /// <summary>A pack is in the sets of these snapshots of a line.</summary>
    sealed class Span(Line line, int from, long size, Span? earlier)
    {
        public Line Line => line;
        public int From => from;

        /// <summary>The first that does not have it any more.</summary>
        public int End { get; set; } = int.MaxValue;
        public long Size => size;

        /// <summary>Its size where it was named first.</summary>
        public long First { get; } = earlier?.First ?? size;
        public bool IsOtherwise => size != First;

        /// <summary>The same pack in another line, or before it left this one.</summary>
        public Span? Earlier => earlier;
    }

    /// <summary>Snapshots that each go on from the one before.</summary>
    sealed class Line
    {
        int[] _there = []; // how many before each have not been given up

        public List<SnapshotRecord> Records { get; } = [];

        /// <summary>Ends of their locks.</summary>
        public RangeMaximum Expiries { get; } = new();

        /// <summary>Those that <see cref="With"/> has given.</summary>
        public NextIndex Given { get; } = new();

        /// <summary>Packs of the last one's set.</summary>
        public Dictionary<Hash32, Span> Open { get; } = [];
        public long Bytes { get; set; }

        /// <summary>How many of these have another size than where they were named first.</summary>
        public int Otherwise { get; set; }

        public void Add(SnapshotRecord record)
        {
            Records.Add(record);
            Expiries.Raise(Records.Count - 1, record.Expiry);
        }

        /// <summary>Looks at which snapshots have been given up.</summary>
        public void Look(Predicate<SnapshotRecord> isGone)
        {
            _there = new int[Records.Count + 1];
            for (var at = 0; at < Records.Count; at++)
                _there[at + 1] = _there[at] + (isGone(Records[at]) ? 0 : 1);
        }

        public bool IsAnyThere(int from, int end) => _there[Math.Min(end, Records.Count)] > _there[from];
    }
}

/// <summary>Numbers that only grow, and the largest of any that follow each other: log n steps for each change and each question.</summary>
sealed class RangeMaximum
{
    ulong[] _tree = new ulong[2]; // a tree in a heap's order: node k is above 2k and 2k + 1, and the second half holds the numbers

    /// <summary>Raises a number; those that were never raised are 0.</summary>
    public void Raise(int index, ulong value)
    {
        while (index >= _tree.Length / 2)
            Grow();
        for (var at = index + _tree.Length / 2; at > 0; at /= 2)
            _tree[at] = Math.Max(_tree[at], value);
    }

    void Grow()
    {
        var (half, tree) = (_tree.Length / 2, new ulong[2 * _tree.Length]);
        // Each level becomes the left half of the one below where it was; the root stays the largest of all.
        for (var level = 1; level <= half; level *= 2)
            Array.Copy(_tree, level, tree, 2 * level, level);
        tree[1] = _tree[1];
        _tree = tree;
    }

    /// <summary>The largest from one index up to another, which is not among them.</summary>
    public ulong Max(int from, int end)
    {
        var largest = 0ul;
        for (var (low, high) = (from + _tree.Length / 2, end + _tree.Length / 2); low < high; (low, high) = (low / 2, high / 2))
        {
            if (low % 2 == 1)
                largest = Math.Max(largest, _tree[low++]);
            if (high % 2 == 1)
                largest = Math.Max(largest, _tree[--high]);
        }
        return largest;
    }
}

/// <summary>Indexes that are taken one by one, and the next from any on that is not: nearly no steps for each, however many were taken (union-find with path halving; Tarjan, 1975).</summary>
sealed class NextIndex
{
    readonly List<int> _next = [];

    public int From(int index)
    {
        while (index < _next.Count && _next[index] != index)
        {
            var next = _next[index];
            if (next < _next.Count)
                next = _next[index] = _next[next];
            index = next;
        }
        return index;
    }

    public void Take(int index)
    {
        while (_next.Count <= index)
            _next.Add(_next.Count);
        _next[index] = index + 1;
    }
}
