using System.Runtime.InteropServices;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>Which snapshots have which pack in their set, from the differences alone, along lines of snapshots and their branches (<see cref="PackLine"/>): a pack is looked at when it comes and when it goes,
/// not once a snapshot. Takes in commits as they come. What it holds is in proportion to what their objects say, however they build on each other.</summary>
/// <remarks>Counts and bytes of sets have to add up; their roots, which a keeper looks at before it commits, are not computed: a set is what its objects say, and those have names that are hashes.
/// Not safe for concurrent use.</remarks>
sealed class PackSpans
{
    readonly Dictionary<Hash32, PackSpan> _spans = []; // the newest of each pack
    PackLineOrder _lines = new();
    readonly Dictionary<Hash32, (PackLine Line, int At)> _places = []; // of snapshots, by name
    readonly HashSet<SnapshotRecord> _untold = [];
    readonly Dictionary<SnapshotRecord, int> _otherwise = []; // how many packs they name by other sizes than those that named them first
    readonly List<HeldBy> _held = [];
    Dictionary<Hash32, long>? _signed; // sizes as the first snapshot that its agent signed gives them; null as long as nobody gives another
    int _taken;
    int _learned; // of how many the signatures have been looked at

    /// <summary>Names that were looked at to take in sets told whole: a few times what their objects say, and no more.</summary>
    public long Looked { get; private set; }

    /// <summary>Takes in the commits that are new.</summary>
    /// <param name="snapshots">All, in the order of their commits.</param>
    public void Take(IReadOnlyList<SnapshotRecord> snapshots)
    {
        if (_signed is not null && Learn(snapshots))
            Forget();
        for (; _taken < snapshots.Count; _taken++)
        {
            var record = snapshots[_taken];
            if (record.Object is not { Packs: var packs } snapshot || !(packs.IsWhole ? TakeWhole(record, packs, snapshot.Parent) : record.BuildsOn is not null && TakeDifference(record, packs, snapshot.Parent)))
                _untold.Add(record);
            if (_signed is not null || _otherwise.Count == 0)
                continue;
            // Which is right is told by signatures, which nobody had to look at before: whoever has the log's key alone can have been first, where who was first before has expired.
            _signed = [];
            _ = Learn(snapshots);
            Forget();
            _taken = -1;
        }
    }

    /// <summary>Looks at the signatures of the commits that are new.</summary>
    /// <returns>True where a pack turns out to have another size than was taken for it.</returns>
    bool Learn(IReadOnlyList<SnapshotRecord> snapshots)
    {
        var isOther = false;
        foreach (var record in snapshots.Skip(_learned).Where(s => s.IsSigned))
        {
            foreach (var pack in record.Object!.Packs.Added)
                isOther |= _signed!.TryAdd(pack.Name, pack.Size) && _spans.TryGetValue(pack.Name, out var span) && span.First != pack.Size;
        }
        _learned = snapshots.Count;
        return isOther;
    }

    /// <summary>All commits are to be taken in anew.</summary>
    void Forget()
    {
        _spans.Clear();
        _places.Clear();
        _untold.Clear();
        _otherwise.Clear();
        (_lines, _taken) = (new PackLineOrder(), 0);
    }

    /// <summary>Takes in that a snapshot's lock was lengthened.</summary>
    public void Lengthen(SnapshotRecord record)
    {
        if (_places.TryGetValue(record.Name, out var place))
            place.Line.Lengthen(place.At, record.Expiry);
    }

    /// <summary>True where a snapshot has it in its set.</summary>
    public bool Has(Hash32 pack) => _spans.ContainsKey(pack);

    /// <summary>Bytes of a pack as the first snapshot that has it gave them, of those that an agent signed if any: what comes later, whoever signed it, makes no pack look damaged. Null where none has it.</summary>
    public long? SizeOf(Hash32 pack) => _spans.TryGetValue(pack, out var span) ? span.First : null;

    /// <summary>A pack of its set has another size there.</summary>
    public bool IsOtherwise(SnapshotRecord record) => _otherwise.ContainsKey(record);

    /// <summary>It cannot say which packs it needs.</summary>
    public bool IsUntold(SnapshotRecord record) => _untold.Contains(record);

    /// <summary>All of them, by what extensions and expiries have made of the snapshots meanwhile.</summary>
    /// <param name="isGone">Whether a snapshot has been given up.</param>
    /// <param name="quantum">Of lock ends.</param>
    public NamedPacks Named(Predicate<SnapshotRecord> isGone, ulong quantum)
    {
        var packs = new Dictionary<Hash32, NamedPack>(_spans.Count);
        var there = new int[_lines.Count + 1]; // how many in the lines before each have not been given up
        for (var place = 0; place < _lines.Count; place++)
            there[place + 1] = there[place] + _lines[place].Look(isGone);
        foreach (var (name, newest) in _spans)
        {
            var expiry = Expiry(newest);
            var isNeeded = _held.Exists(h => h.Line?.IsAnyThere(h.From, h.End) ?? there[h.End] > there[h.From]);
            packs[name] = new NamedPack(LockRules.PackEnd(name, expiry, quantum), newest.First, isNeeded);
        }
        return new NamedPacks(packs, _untold.Concat(_otherwise.Keys).ToHashSet());
    }

    /// <summary>Of these packs, those whose locks are over by a moment, with the margin; one that no set has is among them.</summary>
    public List<Hash32> Over(IEnumerable<Hash32> names, ulong moment, ulong quantum) =>
        [.. names.Where(n => !_spans.TryGetValue(n, out var span) || LockRules.PackEnd(n, Expiry(span), quantum) + LockRules.Margin < moment)];

    ulong Expiry(PackSpan newest)
    {
        PackLineOrder.Find(newest, _held);
        var expiry = 0ul;
        foreach (var (line, from, end) in _held)
            expiry = Math.Max(expiry, line?.Expiries.Max(from, end) ?? _lines.Expiry(from, end));
        return expiry;
    }

    /// <summary>The snapshots that have one of these packs in their set, each once.</summary>
    /// <param name="names">The packs.</param>
    /// <param name="isFirst">Only those that no earlier call with this has given: all calls together then look at each snapshot once.</param>
    public List<SnapshotRecord> With(IEnumerable<Hash32> names, bool isFirst)
    {
        var found = new List<SnapshotRecord>();
        var seen = new Dictionary<PackLine, NextIndex>();
        var whole = new NextIndex(); // lines of this call, by place
        foreach (var name in names)
        {
            PackLineOrder.Find(_spans.GetValueOrDefault(name), _held);
            foreach (var (line, from, end) in _held)
            {
                if (line is not null)
                {
                    Give(line, from, end);
                    continue;
                }
                while (isFirst && _lines.NotGiven(from, end) is { } all)
                {
                    Give(all, 0, all.Records.Count);
                    all.Place!.SetGiven(true);
                }
                for (var place = whole.From(from); !isFirst && place < end; place = whole.From(place))
                {
                    var all = _lines[place];
                    Give(all, 0, all.Records.Count);
                    whole.Take(place);
                }
            }
        }
        return found;

        void Give(PackLine line, int from, int end)
        {
            var next = isFirst ? line.Given : CollectionsMarshal.GetValueRefOrAddDefault(seen, line, out _) ??= new NextIndex();
            for (var at = next.From(from); at < end; at = next.From(at))
            {
                found.Add(line.Records[at]);
                next.Take(at);
            }
        }
    }

    /// <summary>True where a snapshot has a pack in its set; never where it cannot say which it needs.</summary>
    public bool IsIn(SnapshotRecord record, Hash32 pack) => _places.TryGetValue(record.Name, out var place) && place.Line.Find(pack, place.At) is not null;

    /// <summary>A set told whole goes on from its parent's where that is the last of a line: what both have is not written down again. Else, and where the line has had far more than the two have, it begins a line:
    /// each costs no more than its object says.</summary>
    bool TakeWhole(SnapshotRecord record, PackSetDelta packs, Hash32 parent)
    {
        if (packs.Added.Length != packs.Count || packs.Added.Sum(p => p.Size) != packs.Bytes)
            return false;
        Looked += packs.Added.Length;
        if (_places.TryGetValue(parent, out var place) && !place.Line.IsBranch && place.At == place.Line.Records.Count - 1
            && place.Line.Known <= 2L * (place.Line.Records[^1].Object!.Packs.Count + packs.Added.Length)
            && !Array.Exists(packs.Added, p => place.Line.Find(p.Name, place.At) is { } span && span.Size != p.Size))
        {
            Looked += place.Line.Known;
            var kept = new HashSet<Hash32>(packs.Added.Length);
            kept.UnionWith(packs.Added.Select(p => p.Name));
            GoOn(place.Line, record, [.. packs.Added.Where(p => place.Line.Find(p.Name, place.At) is null)], [.. place.Line.Names.Where(n => !kept.Contains(n))], _otherwise.GetValueOrDefault(place.Line.Records[^1]));
        }
        else
        {
            var line = new PackLine(null, 0);
            GoOn(line, record, packs.Added, [], 0);
            _lines.Add(line, null);
        }
        return true;
    }

    /// <returns>False where the difference does not fit what went before.</returns>
    bool TakeDifference(SnapshotRecord record, PackSetDelta packs, Hash32 parent)
    {
        if (!_places.TryGetValue(parent, out var place))
            return false;
        var (trunk, at) = place;
        var before = trunk.Records[at];
        var removed = Array.ConvertAll(packs.Removed, n => trunk.Find(n, at));
        if (Array.Exists(removed, s => s is null) || Array.Exists(packs.Added, p => trunk.Find(p.Name, at) is not null)
            || before.Object!.Packs.Count + packs.Added.Length - removed.Length != packs.Count || before.Object.Packs.Bytes + packs.Added.Sum(p => p.Size) - removed.Sum(s => s!.Size) != packs.Bytes)
            return false;
        var otherwise = _otherwise.GetValueOrDefault(before);
        if (at == trunk.Records.Count - 1)
        {
            GoOn(trunk, record, packs.Added, packs.Removed, otherwise);
            return true;
        }
        if (trunk.Depth == PackLine.MaxDepth)
            return false;
        var line = new PackLine(trunk, at);
        GoOn(line, record, packs.Added, packs.Removed, otherwise);
        _lines.Add(line, trunk);
        return true;
    }

    /// <param name="line">Gets one more snapshot.</param>
    /// <param name="record">The snapshot.</param>
    /// <param name="added">Packs that its set has, and the one before has not.</param>
    /// <param name="removed">Packs that the one before has.</param>
    /// <param name="otherwise">How many packs of that one have another size than where they were named first.</param>
    void GoOn(PackLine line, SnapshotRecord record, PackRef[] added, Hash32[] removed, int otherwise)
    {
        var end = line.Records.Count;
        foreach (var name in removed)
        {
            var span = line.Find(name, end - 1)!;
            if (span.Line != line)
                span = Add(line, name, 0, span.Size, isInherited: true);
            span.End = end;
            otherwise -= span.IsOtherwise ? 1 : 0;
        }
        foreach (var pack in added)
            otherwise += Add(line, pack.Name, end, pack.Size, isInherited: false).IsOtherwise ? 1 : 0;
        line.Add(record);
        _places[record.Name] = (line, end);
        if (otherwise > 0)
            _otherwise[record] = otherwise;
    }

    PackSpan Add(PackLine line, Hash32 name, int from, long size, bool isInherited)
    {
        var span = _spans[name] = new PackSpan(line, from, size, _signed?.GetValueOrDefault(name) ?? 0, _spans.GetValueOrDefault(name), isInherited);
        line.Add(name, span);
        return span;
    }
}
