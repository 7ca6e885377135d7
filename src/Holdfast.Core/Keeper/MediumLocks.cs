using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <param name="Names">Packs and objects whose lock was asked for.</param>
/// <param name="Short">Those that the medium does not hold for as long as the log says, and did not take a longer lock for; one that is not there is among them.</param>
/// <param name="Again">Those that it did not hold for as long, and holds again.</param>
public sealed record LockAudit(int Names, IReadOnlyList<(StoreKind Kind, Hash32 Name)> Short, IReadOnlyList<(StoreKind Kind, Hash32 Name)> Again);

/// <summary>Has the medium hold what a leaf is about to promise: all locks are lengthened and read back before it is written. In a vault in folders there is nothing to do: its locks are the log's alone.</summary>
/// <param name="store">The vault's.</param>
/// <param name="state">What the log promised so far: the medium holds it.</param>
/// <param name="wall">Seconds since 1970 by this machine's wall clock, which the medium would not talk to if it were not right: a vault clock that lags asks for ends that are past there.</param>
sealed class MediumLocks(IStore store, Projection state, ulong wall)
{
    public const int AtOnce = 32; // requests: what an object store takes is waiting, most of it

    readonly ulong _quantum = LockRules.Quantum(state.Genesis!.Policy.Base);

    /// <summary>What a session stores is locked for as long as it may live from the first byte on, by whatever the clock says.</summary>
    public static ulong AtBirth(ulong now) => Math.Min(now + LockRules.SessionLife + LockRules.Margin, LockRules.LastEnd);

    /// <summary>Holds a snapshot: its packs, the objects that tell them, and the objects of other kinds that leaves name.</summary>
    /// <param name="packs">Of its set.</param>
    /// <param name="objects">Its own, and those that its set builds on.</param>
    /// <param name="expiry">When it expires.</param>
    /// <exception cref="HoldfastException">What kept the medium from it; some may be held by then, and nothing was promised.</exception>
    public void Hold(IEnumerable<Hash32> packs, IEnumerable<Hash32> objects, ulong expiry)
    {
        if (store is not ILockingStore locking)
            return;
        var (known, told) = (state.NamedPacks().Packs, state.ObjectLocks());
        var others = state.Snapshots.Aggregate(0UL, (latest, s) => Math.Max(latest, s.Expiry));
        var needed = Math.Min(expiry + _quantum, LockRules.LastEnd); // as ObjectLocks has it
        // Ends of objects' locks are rounded up as those of packs are: most commits then lengthen few.
        List<(StoreKind Kind, Hash32 Name, ulong Until)> wanted =
        [
            .. packs.Select(p => (StoreKind.Pack, p, AtLeast(LockRules.PackEnd(p, expiry, _quantum)))).Where(w => !known.TryGetValue(w.p, out var pack) || pack.LockEnd < w.Item3),
            .. Later(objects, o => told.GetValueOrDefault(o), needed),
            .. Later(state.Objects, _ => others, expiry),
        ];
        All(locking, wanted, mayBeGone: state.Objects.Contains);
    }

    /// <summary>Holds all that the log is about to say is locked for so much longer.</summary>
    /// <param name="seconds">By which the vault's clock is set forward.</param>
    /// <param name="counted">What had passed by then: what was given up by a later time than that is locked again.</param>
    /// <param name="held">By name, until when it holds something already: that is not asked for again.</param>
    /// <returns>Until when it holds all that is locked.</returns>
    public IReadOnlyDictionary<(StoreKind, Hash32), ulong> HoldAll(ulong seconds, ulong counted, IReadOnlyDictionary<(StoreKind, Hash32), ulong> held)
    {
        if (store is not ILockingStore locking)
            return held;
        var last = state.Snapshots.Where(s => !s.IsRemoved || s.RemovedAt > counted).Aggregate(0UL, (latest, s) => Math.Max(latest, s.Expiry));
        List<(StoreKind Kind, Hash32 Name, ulong Until)> wanted =
        [
            .. state.NamedPacks().Packs.Select(p => (StoreKind.Pack, p.Key, p.Value.LockEnd)),
            .. state.ObjectLocks().Where(o => !state.Objects.Contains(o.Key)).Select(o => (StoreKind.Object, o.Key, o.Value)),
            .. state.Objects.Select(o => (StoreKind.Object, o, last)),
        ];
        wanted.RemoveAll(w => state.RemovedAt(w.Kind, w.Name) is > 0 and var judged && judged <= counted);
        wanted = wanted.ConvertAll(w => (w.Kind, w.Name, LockRules.PackEnd(w.Name, w.Until + seconds, _quantum)));
        // What is lost already stops no clock from being set right: nothing new is promised of it, and it is told by VaultHealth.
        All(locking, [.. wanted.Where(w => held.GetValueOrDefault((w.Kind, w.Name)) < w.Until).Select(w => (w.Kind, w.Name, AtLeast(w.Until)))], _ => true);
        return wanted.ToDictionary(w => (w.Kind, w.Name), w => w.Until);
    }

    /// <summary>What the vault's clock has end in the past of the wall clock is asked for a day more: the log says that it is locked, so the medium is to.</summary>
    ulong AtLeast(ulong until) => Math.Min(Math.Max(until, wall + RetentionPolicy.Day), LockRules.LastEnd);

    /// <summary>Holds objects that a leaf is about to name for as long as any snapshot is held.</summary>
    /// <param name="objects">Their names.</param>
    /// <param name="later">Seconds by which these leaves lengthen all locks.</param>
    public void Hold(IEnumerable<Hash32> objects, ulong later)
    {
        if (store is not ILockingStore locking)
            return;
        var latest = state.Snapshots.Aggregate(0UL, (latest, s) => Math.Max(latest, s.Expiry));
        All(locking, [.. Later(objects, _ => 0, Math.Min(latest + later, LockRules.LastEnd))], _ => false);
    }

    IEnumerable<(StoreKind, Hash32, ulong)> Later(IEnumerable<Hash32> objects, Func<Hash32, ulong> before, ulong end) =>
        objects.Where(o => !o.IsNone).Select(o => (StoreKind.Object, o, AtLeast(LockRules.PackEnd(o, end, _quantum)))).Where(w => LockRules.PackEnd(w.o, before(w.o), _quantum) < w.Item3);

    /// <summary>Asks the medium for the lock of all that the log says is locked now, and has it hold again what it does not; null where the medium keeps none.</summary>
    /// <param name="now">By the clock that counts least: what is over by it is not asked for.</param>
    /// <param name="ct">Stops it.</param>
    public LockAudit? Audit(ulong now, CancellationToken ct)
    {
        if (store is not ILockingStore locking)
            return null;
        var last = state.Snapshots.Where(s => !s.IsRemoved).Aggregate(0UL, (latest, s) => Math.Max(latest, s.Expiry));
        List<(StoreKind Kind, Hash32 Name, ulong Until)> told =
        [
            .. state.NamedPacks().Packs.Select(p => (StoreKind.Pack, p.Key, p.Value.LockEnd)),
            .. state.ObjectLocks().Where(o => !state.Objects.Contains(o.Key)).Select(o => (StoreKind.Object, o.Key, o.Value)),
            .. state.Objects.Select(o => (StoreKind.Object, o, last)),
        ];
        told.RemoveAll(t => t.Until <= now || state.WasRemoved(t.Kind, t.Name));
        var (brief, again) = (new List<(StoreKind, Hash32)>(), new List<(StoreKind, Hash32)>());
        Workers.Each(AtOnce, "holdfast locks", told, one =>
        {
            ct.ThrowIfCancellationRequested();
            if (locking.LockedUntil(one.Kind, one.Name) is { } until && until >= one.Until)
                return;
            var isHeld = IsLocked(locking, one);
            lock (brief)
                (isHeld ? again : brief).Add((one.Kind, one.Name));
        });
        return new LockAudit(told.Count, [.. brief.Order()], [.. again.Order()]);
    }

    bool IsLocked(ILockingStore store, (StoreKind Kind, Hash32 Name, ulong Until) one)
    {
        try
        {
            store.Lock(one.Kind, one.Name, AtLeast(one.Until));
            return true;
        }
        catch (HoldfastException e) when (!e.IsTransient)
        {
            return false;
        }
    }

    /// <param name="store">The store.</param>
    /// <param name="wanted">What is to be locked.</param>
    /// <param name="mayBeGone">Objects without which the snapshot can be had all the same: one that was lost stops no backup, and is told by whoever looks for it.</param>
    static void All(ILockingStore store, List<(StoreKind Kind, Hash32 Name, ulong Until)> wanted, Predicate<Hash32> mayBeGone) => Workers.Each(AtOnce, "holdfast locks", wanted, one =>
    {
        try
        {
            store.Lock(one.Kind, one.Name, one.Until);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectMissing or ErrorCode.PackMissing && mayBeGone(one.Name))
        {
            // Told by VaultHealth.
        }
    });
}
