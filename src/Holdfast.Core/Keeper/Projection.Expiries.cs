using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What expiries give up, by all that the log has: the locks that they say are over, and what later commits and extensions take back.</summary>
public sealed partial class Projection
{
    readonly HashSet<(StoreKind, Hash32)> _named = [];
    readonly Dictionary<(StoreKind Kind, Hash32 Name), Given> _removed = [];
    readonly HashSet<SnapshotRecord> _revived = []; // an extension came after the expiry that gave them up

    /// <summary>How something was given up.</summary>
    /// <param name="Judged">By which time.</param>
    /// <param name="Expiry">The place of its expiry among them.</param>
    /// <param name="HasMoved">That time, and its lock, moved with the vault's clock. The end of a pack's lock is rounded anew then, and may be later by less than the quantum.</param>
    readonly record struct Given(ulong Judged, int Expiry, bool HasMoved)
    {
        public ulong Over(ulong quantum) => Judged + (HasMoved ? quantum : 0);
    }

    /// <summary>The latest moment an expiry was judged by, and that of those whose moment had come.</summary>
    ulong _judged;
    ulong _given;

    /// <summary>An expiry was by a time that had not come, or a request in force by one, and now it may have: then all leaves are to be taken in anew.</summary>
    public bool IsDue => _awaited <= _moment();

    /// <summary>Something waits for its time.</summary>
    public bool IsAwaiting => _awaited < ulong.MaxValue;

    ulong _awaited = ulong.MaxValue;

    /// <summary>A leaf is earlier than an expiry before it was judged by: that expiry lied about the time. Then all leaves are to be taken in anew, with what is known now.</summary>
    public bool IsTimeBack { get; private set; }

    /// <summary>All leaves are to be taken in anew: with <see cref="TimesAfterExpiries"/>, and without what is <see cref="Undone"/>.</summary>
    internal bool IsToBeAnew => IsTimeBack || IsDue || Undone.Count > 0;

    /// <summary>By the ordinal of each expiry leaf, the earliest time that a leaf after it has.</summary>
    internal static Dictionary<ulong, ulong> TimesAfterExpiries(MerkleLog log)
    {
        var (times, earliest) = (new Dictionary<ulong, ulong>(), ulong.MaxValue);
        for (var at = log.Size - 1; at >= 0; at--)
        {
            if (!Leaf.TryParse(log.Leaf(at), out var leaf))
                continue;
            if (leaf.Type == LeafType.Expiry)
                times[(ulong)at] = earliest;
            earliest = Math.Min(earliest, leaf.VaultTime);
        }
        return times;
    }

    /// <summary>Every expiry, and the moment it was judged by.</summary>
    public List<(ulong Ordinal, Leaf Leaf, ulong Judged)> Expiries { get; } = [];

    /// <summary>An expiry gave it up, and its lock was over by then, by all that is in the log: what a later commit needs, or an extension holds, is given up no more. No sound keeper writes such a log; but an expiry that
    /// was dated ahead counts for nothing until its time comes, and by then the vault has gone on.</summary>
    public bool WasRemoved(StoreKind kind, Hash32 name) => RemovedAt(kind, name) > 0;

    /// <summary>The vault time by which that was judged; 0 where it was not given up.</summary>
    public ulong RemovedAt(StoreKind kind, Hash32 name) => _removed.TryGetValue((kind, name), out var removed) && IsOver(kind, name, removed.Over(LockRules.Quantum(Genesis!.Policy.Base))) ? removed.Judged : 0;

    /// <summary>An expiry that was judged later than one moment, and no later than another, gave something up.</summary>
    internal bool HasGivenUp(ulong after, ulong until) => _removed.Any(r => r.Value.Judged > after && r.Value.Judged <= until && WasRemoved(r.Key.Kind, r.Key.Name));

    bool IsOver(StoreKind kind, Hash32 name, ulong moment)
    {
        _spans.Take(Snapshots);
        var quantum = LockRules.Quantum(Genesis!.Policy.Base);
        return kind == StoreKind.Object ? IsObjectOver(name, moment, quantum)
            : _spans.Over([name], moment, quantum).Count > 0 && (_spans.Has(name) || !(_byName.ContainsKey(name) || _objects.Contains(name)));
    }

    /// <summary>Expiries of what was not locked then, and is now: a commit or an extension came after them, before their time.</summary>
    public IReadOnlyList<RefusedLeaf> Overtaken()
    {
        if (_removed.Count == 0)
            return [];
        var (packs, objects, quantum) = (NamedPacks().Packs, ObjectLocks(), LockRules.Quantum(Genesis!.Policy.Base));
        return [.. _removed.Where(r => End(r.Key.Kind, r.Key.Name) is > 0 and var end && end + LockRules.Margin >= r.Value.Over(quantum)).GroupBy(r => r.Value.Expiry)
            .Select(g => new RefusedLeaf(Expiries[g.Key].Ordinal, Expiries[g.Key].Leaf, LeafFault.ExpiryOvertaken, [.. g.Select(r => r.Key.Name).Order()]))];

        ulong End(StoreKind kind, Hash32 name)
        {
            var (asPack, asObject) = (packs.TryGetValue(name, out var pack), objects.TryGetValue(name, out var end));
            if (kind == StoreKind.Pack ? asPack : asObject && !_objects.Contains(name))
                return kind == StoreKind.Pack ? pack.LockEnd : end;
            return asPack || asObject || _objects.Contains(name) ? LockRules.LastEnd : 0; // it has turned out to be of the other kind
        }
    }

    /// <summary>An expiry leaf lists it, whether that counts or not.</summary>
    public bool WasGivenUp(StoreKind kind, Hash32 name) => _named.Contains((kind, name));

    /// <summary>Until when each snapshot object is needed: until its last pack has been given up, or as long as a later one whose pack set builds on it.</summary>
    public Dictionary<Hash32, ulong> ObjectLocks()
    {
        var quantum = LockRules.Quantum(Genesis!.Policy.Base);
        var locks = new Dictionary<Hash32, ulong>();
        for (var i = Snapshots.Count - 1; i >= 0; i--)
        {
            var record = Snapshots[i];
            // Pack locks are rounded up by less than the quantum: without its object a pack would look as if no commit had named it.
            var needed = Math.Max(locks.GetValueOrDefault(record.Name), Math.Min(record.Expiry + quantum, LockRules.LastEnd));
            locks[record.Name] = needed;
            if (record.BuildsOn is { } parent)
                locks[parent.Name] = Math.Max(locks.GetValueOrDefault(parent.Name), needed);
        }
        return locks;
    }

    /// <summary>Of a snapshot that is locked again nothing is given up: the expiry was dated ahead, or was when the lock was lengthened.</summary>
    void Revive(SnapshotRecord record)
    {
        record.AwaitedAt = 0;
        if (!record.IsRemoved || record.Expiry + LockRules.Margin < record.RemovedAt)
            return;
        (record.IsRemoved, record.RemovedAt) = (false, 0);
        _revived.Add(record);
    }

    /// <summary>Takes an expiry at its word only where the locks that it says are over were over: whoever has the log's key could name anything (docs/format.md, section 12.5). A snapshot is
    /// gone when its object is, or any of its packs: the object stays longer, for what builds on it.</summary>
    void GiveUp(ulong ordinal, Leaf leaf, ExpiryList list)
    {
        var judged = Math.Min(Math.Min(Math.Min(leaf.A, leaf.VaultTime), long.MaxValue), _latest.GetValueOrDefault(ordinal, ulong.MaxValue));
        _judged = Math.Max(_judged, judged);
        Expiries.Add((ordinal, leaf, judged));
        _named.UnionWith(list.Names);
        var isAwaited = judged > _moment();
        if (isAwaited)
            _awaited = Math.Min(_awaited, judged);
        var isLater = judged >= _given; // as in every log of a sound keeper: then a snapshot that is gone was gone before
        _given = isAwaited ? _given : Math.Max(_given, judged);
        var quantum = LockRules.Quantum(Genesis!.Policy.Base);
        _spans.Take(Snapshots);
        var packs = _spans.Over(list.Names.Where(n => n.Kind == StoreKind.Pack).Select(n => n.Name), judged, quantum)
            .FindAll(n => _spans.Has(n) || !(_byName.ContainsKey(n) || _objects.Contains(n)));
        var objects = list.Names.Where(n => n.Kind == StoreKind.Object).Select(n => n.Name).Where(n => IsObjectOver(n, judged, quantum)).ToList();
        if (IsTimeUntold)
        {
            packs.Clear();
            objects.Clear();
        }
        HashSet<(StoreKind, Hash32)> over = [.. packs.Select(n => (StoreKind.Pack, n)), .. objects.Select(n => (StoreKind.Object, n))];
        foreach (var name in over)
        {
            // One that a later commit or extension took back is given up anew.
            var given = new Given(judged, Expiries.Count - 1, HasMoved: false);
            if (!isAwaited && !_removed.TryAdd(name, given) && !WasRemoved(name.Item1, name.Item2))
                _removed[name] = given;
        }
        var revived = _revived.Where(r => packs.Exists(p => _spans.IsIn(r, p)));
        foreach (var record in _spans.With(packs, isFirst: isLater && !isAwaited).Concat(revived.ToList()).Concat(objects.Select(n => _byName.GetValueOrDefault(n)).OfType<SnapshotRecord>()))
        {
            if (isAwaited)
            {
                record.AwaitedAt = Math.Max(record.AwaitedAt, judged);
                continue;
            }
            _revived.Remove(record);
            record.RemovedAt = record.IsRemoved ? Math.Min(record.RemovedAt, judged) : judged;
            record.IsRemoved = true;
        }
        if (list.Names.Count > over.Count)
            Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.ExpiryOfLocked, [.. list.Names.Where(n => !over.Contains(n)).Select(n => n.Name)]));
    }

    /// <summary>Objects of other types than snapshots are never given up. One that no leaf names may go: nothing says what it was for. Of a snapshot, its own lock and those of all whose pack set builds on it
    /// are over by a moment: as <see cref="ObjectLocks"/> has it, without a look at the other snapshots.</summary>
    bool IsObjectOver(Hash32 name, ulong moment, ulong quantum)
    {
        bool IsOver(SnapshotRecord record) => Math.Min(record.Expiry + quantum, LockRules.LastEnd) + LockRules.Margin < moment;

        if (_objects.Contains(name))
            return false;
        if (!_byName.TryGetValue(name, out var own))
            return !_spans.Has(name);
        var look = new Stack<SnapshotRecord>([own]); // those that were committed last come first: their locks are likely to be the last
        while (look.TryPop(out var record))
        {
            if (!IsOver(record))
                return false;
            foreach (var child in _builtOn.GetValueOrDefault(record) ?? [])
                look.Push(child);
        }
        return true;
    }
}
