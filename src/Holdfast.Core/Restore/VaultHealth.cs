using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>One kind of thing that is known to be wrong.</summary>
/// <param name="Code"><c>PackMissing</c>, <c>PackDamaged</c>, <c>ObjectMissing</c>, <c>ObjectDamaged</c>, <c>SnapshotDefective</c> or <c>LeafRefused</c>.</param>
/// <param name="Names">The packs or objects, ascending; the snapshots' objects for a defect, what the leaves name for leaves that are not believed.</param>
/// <param name="Snapshots">The snapshots it hits, oldest first; none where it takes no data with it.</param>
public sealed record VaultProblem(ErrorCode Code, IReadOnlyList<Hash32> Names, IReadOnlyList<SnapshotRecord> Snapshots)
{
    /// <summary>Indexes of the leaves that are not believed.</summary>
    public IReadOnlyList<ulong> Leaves { get; init; } = [];
}

/// <summary>What is known to be wrong with a vault, without reading a pack: what the log says must be there against a listing of what is, with what earlier reads and
/// attestations found. One listing of packs and one of objects, whatever the number of snapshots.</summary>
public sealed class VaultHealth
{
    static readonly IReadOnlyDictionary<ErrorCode, int> Nothing = new Dictionary<ErrorCode, int>();

    readonly Dictionary<SnapshotRecord, Dictionary<ErrorCode, int>> _hits = [];

    readonly IReadOnlySet<SnapshotRecord> _untold;
    readonly Needs _needs;

    VaultHealth(List<StoredName> stored, NamedPacks named, Needs needs)
    {
        _needs = needs;
        Stored = stored;
        Named = named.Packs;
        _untold = named.Untold;
    }

    /// <summary>The worst first; empty where nothing is known to be wrong.</summary>
    public List<VaultProblem> Problems { get; } = [];

    /// <summary>The packs that lie in the vault's folders, each copy.</summary>
    public IReadOnlyList<StoredName> Stored { get; }

    /// <summary>The packs that commits named.</summary>
    public IReadOnlyDictionary<Hash32, NamedPack> Named { get; }

    /// <summary>Packs that a snapshot needs and that are nowhere.</summary>
    public HashSet<Hash32> Missing { get; } = [];

    /// <summary>Packs that a snapshot needs and that do not hold what was written.</summary>
    public HashSet<Hash32> Damaged { get; } = [];

    /// <summary>Files among the packs that do not belong there.</summary>
    public int Foreign { get; private init; }

    /// <summary>Snapshots of which packs are missing or damaged, and that are whole all the same: since an attestation read all of them from sound packs that other snapshots hold as long, nothing more was lost and nothing expired.</summary>
    public IReadOnlyList<SnapshotRecord> Healed { get; private set; } = [];

    /// <summary>Missing and damaged packs in the sets of healed snapshots, of other snapshots too.</summary>
    public HashSet<Hash32> Replaced { get; } = [];

    /// <summary>Missing and damaged packs whose snapshots are all healed: nothing is lost by them.</summary>
    public HashSet<Hash32> MadeGood { get; } = [];

    /// <summary>How many things of each kind hit a snapshot.</summary>
    public IReadOnlyDictionary<ErrorCode, int> Of(SnapshotRecord record) => _hits.TryGetValue(record, out var found) ? found : Nothing;

    /// <summary>What the log says must be there: packs by name, and objects.</summary>
    internal static (Dictionary<Hash32, NamedPack> Packs, HashSet<Hash32> Objects) Needed(VaultKeeper keeper)
    {
        var needs = new Needs(keeper);
        return (keeper.State.NamedPacks(needs.IsGone).Packs.Where(p => needs.Has(p.Key, p.Value)).ToDictionary(), needs.Objects());
    }

    /// <summary>What must be there by every source of time: whoever has the log's key may write a leaf of next century.</summary>
    sealed class Needs(VaultKeeper keeper)
    {
        const ulong Doubt = RetentionPolicy.Day; // clocks of sound machines are not further apart

        readonly ulong _now = keeper.Clock.Passed;
        readonly ulong _wall = (ulong)Math.Max(0, (long)keeper.Clock.Passed + keeper.Clock.WallOffset);

        bool HasPassed(ulong moment) => _now > moment && _wall > moment;

        /// <summary>Whether a time that a leaf gives has come.</summary>
        public bool HasCome(ulong time) => time <= _wall + Doubt;

        public bool IsGone(SnapshotRecord record) => record.IsRemoved && HasCome(record.RemovedAt);

        bool IsGone(StoreKind kind, Hash32 name) => keeper.State.WasRemoved(kind, name) && HasCome(keeper.State.RemovedAt(kind, name));

        /// <summary>Until expiry may take it, a pack is to be there.</summary>
        public bool Has(Hash32 name, NamedPack pack) => pack.IsNeeded && !HasPassed(pack.LockEnd + LockRules.Margin) && !IsGone(StoreKind.Pack, name);

        public HashSet<Hash32> Objects()
        {
            var state = keeper.State;
            var needed = new HashSet<Hash32>(state.Objects) { keeper.File.Genesis };
            var locks = state.ObjectLocks();
            foreach (var record in state.Snapshots.Where(s => !IsGone(s)))
            {
                foreach (var name in record.ToldBy())
                {
                    if (!HasPassed(locks.GetValueOrDefault(name) + LockRules.Margin) && !IsGone(StoreKind.Object, name))
                        needed.Add(name);
                }
            }
            return needed;
        }
    }

    public static VaultHealth Of(VaultKeeper keeper, ReadTimes reads)
    {
        var all = keeper.Store.List(StoreKind.Pack).ToList();
        var needs = new Needs(keeper);
        var health = new VaultHealth([.. all.Where(p => !p.Name.IsNone)], keeper.State.NamedPacks(needs.IsGone), needs) { Foreign = all.Count(p => p.Name.IsNone) };
        health.LookAtPacks(keeper, reads);
        health.LookAtObjects(keeper, reads);
        var defective = keeper.State.Snapshots.Where(s => s.Defects > 0 && !needs.IsGone(s) && !health.Healed.Contains(s)).ToList();
        foreach (var record in defective)
            health.Hit(record, ErrorCode.SnapshotDefective, (int)Math.Min(record.Defects, int.MaxValue));
        health.Add(ErrorCode.SnapshotDefective, [.. defective.Select(s => s.Name)]);
        if (Refused(keeper) is { } refused)
            health.Problems.Add(refused);
        health.Problems.Sort((l, r) => l.Code.CompareTo(r.Code));
        return health;
    }

    /// <summary>The leaves of the log that no sound keeper writes: those that the log itself shows to be false, and expiries by a time that has not come.</summary>
    public static IReadOnlyList<RefusedLeaf> RefusedLeaves(VaultKeeper keeper)
    {
        var needs = new Needs(keeper);
        return [.. keeper.State.Refused, .. keeper.State.Overtaken(), .. keeper.State.Expiries.Where(e => !needs.HasCome(e.Judged)).Select(e => new RefusedLeaf(e.Ordinal, e.Leaf, LeafFault.ExpiryInFuture, []))];
    }

    /// <summary>Those leaves as a problem; null where there are none.</summary>
    public static VaultProblem? Refused(VaultKeeper keeper)
    {
        var leaves = RefusedLeaves(keeper);
        if (leaves.Count == 0)
            return null;
        var needs = new Needs(keeper);
        var hit = keeper.State.Having([.. leaves.SelectMany(l => l.Names)]).Concat(leaves.Select(l => l.Fault != LeafFault.SecondCommit ? null : keeper.State.Find(l.Leaf.Subject) ?? keeper.State.Find(l.Leaf.Payload)).OfType<SnapshotRecord>());
        return new VaultProblem(ErrorCode.LeafRefused, [.. leaves.Select(l => l.Leaf.Payload).Distinct().Order()], [.. hit.Where(s => !needs.IsGone(s)).Distinct().OrderBy(s => s.Ordinal)])
        {
            Leaves = [.. leaves.Select(l => l.Ordinal).Distinct().Order()],
        };
    }

    void LookAtPacks(VaultKeeper keeper, ReadTimes reads)
    {
        var names = new HashSet<Hash32>(Stored.Count);
        var whole = new HashSet<Hash32>(Stored.Count);
        foreach (var pack in Stored)
        {
            names.Add(pack.Name);
            if (Named.TryGetValue(pack.Name, out var named) && named.Size == pack.Size)
                whole.Add(pack.Name);
        }
        foreach (var (name, pack) in Named)
        {
            if (whole.Contains(name) && !reads.Damaged.ContainsKey(name))
                continue;
            if (_needs.Has(name, pack))
                (names.Contains(name) ? Damaged : Missing).Add(name);
        }
        if (Missing.Count + Damaged.Count > 0 || keeper.State.Snapshots.Exists(s => s.Defects > 0))
        {
            // Healed stays healed where a pack is put back: nothing needs it.
            Healed = [.. keeper.State.Snapshots.Where(s => s.Defects > 0 && !_needs.IsGone(s) && IsHealed(keeper.State, s, reads))];
            foreach (var record in Healed)
                Replaced.UnionWith(Common(keeper.State.PacksOf(record)!, [.. Missing, .. Damaged]));
            MadeGood.UnionWith(Replaced);
            foreach (var record in keeper.State.Snapshots.Where(s => !_needs.IsGone(s)).Except(Healed))
            {
                if (keeper.State.PacksOf(record) is not { } set)
                    continue;
                MadeGood.ExceptWith(Common(set, MadeGood));
                Hit(record, ErrorCode.PackMissing, Common(set, Missing).Count);
                Hit(record, ErrorCode.PackDamaged, Common(set, Damaged).Count);
            }
        }
        Add(ErrorCode.PackMissing, [.. Missing.Except(MadeGood)]);
        Add(ErrorCode.PackDamaged, [.. Damaged.Except(MadeGood)]);
    }

    /// <summary>What was read from sound packs counts as long as these are there: not after an expiry, nor where a pack was lost that no attestation up to that one had found lost.</summary>
    bool IsHealed(Projection state, SnapshotRecord record, ReadTimes reads)
    {
        var (ordinal, found) = record.DefectsIn;
        if (found is not { IsHealed: true } || state.PacksOf(record) is not { } set || state.Expiries.Exists(e => e.Ordinal > ordinal) || !Holding.IsHeldStill(state, record))
            return false;
        var named = found.Defects.Select(d => d.Name).ToHashSet();
        if (named.All(n => reads.Times.TryGetValue(n, out var read) && read >= record.DefectsFound) && Common(set, [.. Missing, .. Damaged]).Count == 0)
            return true; // what it had lost is back, and was read: it needs nothing from elsewhere
        return Missing.Concat(Damaged).All(p => set.Contains(p) ? named.Contains(p) : state.Lost.TryGetValue(p, out var first) && first < ordinal);
    }

    static List<Hash32> Common(Snapshots.PackSet set, HashSet<Hash32> names) => names.Count < set.Count ? [.. names.Where(set.Contains)] : [.. set.ToList().Select(p => p.Name).Where(names.Contains)];

    void LookAtObjects(VaultKeeper keeper, ReadTimes reads)
    {
        var state = keeper.State;
        var there = keeper.Store.List(StoreKind.Object).Where(o => !o.Name.IsNone).Select(o => o.Name).ToHashSet();
        var needed = _needs.Objects();
        HashSet<Hash32> missing = [.. needed.Where(n => !there.Contains(n))], damaged = [];
        foreach (var name in needed.Where(there.Contains))
        {
            if (state.Unreadable.Contains(name) || reads.Damaged.ContainsKey(name) || (name == state.Keyring && !IsSound(keeper.Store, name)))
                damaged.Add(name);
        }
        foreach (var record in state.Snapshots.Where(s => !_needs.IsGone(s)))
        {
            var objects = record.ToldBy().Append(state.Keyring).Append(keeper.File.Genesis).ToList();
            Hit(record, ErrorCode.ObjectMissing, objects.Count(missing.Contains));
            Hit(record, ErrorCode.ObjectDamaged, objects.Count(damaged.Contains));
            if (_untold.Contains(record) && !objects.Exists(o => missing.Contains(o) || damaged.Contains(o)) && needed.Contains(record.Name) && !state.BuildsOnLostLeaf(record))
            {
                damaged.Add(record.Name); // it is what was committed, and does not add up
                Hit(record, ErrorCode.ObjectDamaged, 1);
            }
        }
        Add(ErrorCode.ObjectMissing, missing);
        Add(ErrorCode.ObjectDamaged, damaged);
    }

    static bool IsSound(IStore store, Hash32 name)
    {
        try
        {
            store.ReadObject(name);
            return true;
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing)
        {
            return false;
        }
    }

    void Hit(SnapshotRecord record, ErrorCode code, int count)
    {
        if (count == 0)
            return;
        if (!_hits.TryGetValue(record, out var found))
            _hits[record] = found = [];
        found[code] = found.GetValueOrDefault(code) + count;
    }

    void Add(ErrorCode code, HashSet<Hash32> names)
    {
        if (names.Count > 0)
            Problems.Add(new VaultProblem(code, [.. names.Order()], [.. _hits.Where(h => h.Value.ContainsKey(code)).Select(h => h.Key).OrderBy(s => s.Ordinal)]));
    }
}
