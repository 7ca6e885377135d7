using System.Numerics;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>A pack as commits named it.</summary>
/// <param name="LockEnd">Seconds since 1970.</param>
/// <param name="Size">Bytes.</param>
/// <param name="IsNeeded">True where a snapshot that has not been given up has it in its set.</param>
public readonly record struct NamedPack(ulong LockEnd, long Size, bool IsNeeded);

/// <summary>Every pack that a commit named, and the snapshots that cannot say which they need.</summary>
public sealed record NamedPacks(IReadOnlyDictionary<Hash32, NamedPack> Packs, IReadOnlySet<SnapshotRecord> Untold);

/// <summary>Which snapshots have which pack in their set, added up along each line of snapshots from one difference to the next: a pack is looked at when it comes and when it goes,
/// not once a snapshot. Takes in commits as they come.</summary>
/// <param name="packsOf">The set of a snapshot that goes on from an older one than the last of its line.</param>
sealed class PackSpans(Func<SnapshotRecord, PackSet?> packsOf)
{
    readonly Dictionary<Hash32, Span> _spans = [];
    readonly Dictionary<Hash32, Line> _tips = []; // by the name of their last snapshot
    readonly List<Line> _lines = [];
    readonly HashSet<SnapshotRecord> _untold = [];
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
                if (_tips.Remove(snapshot.Parent, out var line) && Extend(line, record, snapshot.Packs))
                {
                    _tips[record.Name] = line;
                    continue;
                }
                if (packsOf(record) is { } set)
                {
                    _tips[record.Name] = Begin(record, set);
                    continue;
                }
            }
            _untold.Add(record);
        }
    }

    /// <summary>True where a snapshot has it in its set.</summary>
    public bool Has(Hash32 pack) => _spans.ContainsKey(pack);

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
            var (expiry, isNeeded) = (0ul, false);
            for (var span = newest; span is not null; span = span.Earlier)
            {
                expiry = Math.Max(expiry, span.Line.Latest(span.From, span.End));
                isNeeded |= span.Line.IsAnyThere(span.From, span.End);
            }
            packs[name] = new NamedPack(LockRules.PackEnd(name, expiry, quantum), newest.Size, isNeeded);
        }
        return new NamedPacks(packs, _untold.ToHashSet());
    }

    /// <summary>Of these packs, those whose locks are over by a moment, with the margin; one that no set has is among them.</summary>
    public List<Hash32> Over(IEnumerable<Hash32> names, ulong moment, ulong quantum)
    {
        foreach (var line in _lines)
            line.Look(_ => false);
        return [.. names.Where(name =>
        {
            if (!_spans.TryGetValue(name, out var span))
                return true;
            var expiry = 0ul;
            for (; span is not null; span = span.Earlier)
                expiry = Math.Max(expiry, span.Line.Latest(span.From, span.End));
            return LockRules.PackEnd(name, expiry, quantum) + LockRules.Margin < moment;
        })];
    }

    /// <summary>The snapshots that have one of these packs in their set.</summary>
    public IEnumerable<SnapshotRecord> With(IEnumerable<Hash32> names)
    {
        var steps = new Dictionary<Line, int[]>(); // how many more or fewer of them from a snapshot on
        foreach (var name in names)
        {
            for (var span = _spans.GetValueOrDefault(name); span is not null; span = span.Earlier)
            {
                if (!steps.TryGetValue(span.Line, out var step))
                    steps[span.Line] = step = new int[span.Line.Records.Count + 1];
                step[span.From]++;
                step[Math.Min(span.End, span.Line.Records.Count)]--;
            }
        }
        foreach (var (line, step) in steps)
        {
            for (int at = 0, count = 0; at < line.Records.Count; at++)
            {
                if ((count += step[at]) > 0)
                    yield return line.Records[at];
            }
        }
    }

    Line Begin(SnapshotRecord record, PackSet set)
    {
        var line = new Line { Records = { record }, Bytes = set.Bytes };
        _lines.Add(line);
        foreach (var pack in set.Packs)
            Add(line, pack, 0);
        return line;
    }

    void Add(Line line, PackRef pack, int from)
    {
        _spans.TryGetValue(pack.Name, out var earlier);
        line.Open[pack.Name] = _spans[pack.Name] = new Span(line, from, pack.Size, earlier);
    }

    /// <returns>False where the difference does not fit what went before; the line is then as it was.</returns>
    bool Extend(Line line, SnapshotRecord record, PackSetDelta packs)
    {
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
        }
        foreach (var pack in added)
            Add(line, pack, end);
        line.Records.Add(record);
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

        /// <summary>The same pack in another line, or before it left this one.</summary>
        public Span? Earlier => earlier;
    }

    /// <summary>Snapshots that each go on from the one before.</summary>
    sealed class Line
    {
        ulong[][] _latest = []; // per level k: the latest expiry of 2^k snapshots from each on
        int[] _there = []; // how many before each have not been given up

        public List<SnapshotRecord> Records { get; } = [];

        /// <summary>Packs of the last one's set.</summary>
        public Dictionary<Hash32, Span> Open { get; } = [];
        public long Bytes { get; set; }

        /// <summary>Looks at the snapshots as they are now.</summary>
        public void Look(Predicate<SnapshotRecord> isGone)
        {
            _there = new int[Records.Count + 1];
            _latest = new ulong[BitOperations.Log2((uint)Records.Count) + 1][];
            _latest[0] = new ulong[Records.Count];
            for (var at = 0; at < Records.Count; at++)
            {
                _there[at + 1] = _there[at] + (isGone(Records[at]) ? 0 : 1);
                _latest[0][at] = Records[at].Expiry;
            }
            for (var level = 1; level < _latest.Length; level++)
            {
                var (below, half) = (_latest[level - 1], 1 << (level - 1));
                _latest[level] = new ulong[Records.Count - 2 * half + 1];
                for (var at = 0; at < _latest[level].Length; at++)
                    _latest[level][at] = Math.Max(below[at], below[at + half]);
            }
        }

        public ulong Latest(int from, int end)
        {
            end = Math.Min(end, Records.Count);
            var level = BitOperations.Log2((uint)(end - from));
            return Math.Max(_latest[level][from], _latest[level][end - (1 << level)]);
        }

        public bool IsAnyThere(int from, int end) => _there[Math.Min(end, Records.Count)] > _there[from];
    }
}
