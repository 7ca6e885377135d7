namespace Holdfast.Core.Storage;

/// <summary>A store whose medium itself holds locks: what is locked is removed before its time by nobody who comes through the medium's own interface, whatever credential he has.
/// Locks are only ever lengthened; there is no call that shortens one.</summary>
/// <remarks>Safe for concurrent use, as all of <see cref="IStore"/>.</remarks>
public interface ILockingStore : IStore
{
    /// <summary>Seconds since 1970 UTC: what is entered from now on is locked until then at birth. 0, as at first: it is not locked. The keeper sets it before it enters anything.</summary>
    /// <exception cref="HoldfastException"><c>LockTooLong</c>: later than any lock ends (docs/format.md, section 12.1).</exception>
    ulong EntryLock { get; set; }

    /// <summary>Lengthens the lock of every copy of a name that is known to be sound to at least <paramref name="until"/> (seconds since 1970 UTC), and reads it back from the medium. One
    /// that is locked for longer stays as it is.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnsafe</c>: the medium did not take it, or says something else now. <c>ClockInDoubt</c>: the moment is past by the medium's clock.
    /// <c>LockTooLong</c>. <c>PackMissing</c>, <c>ObjectMissing</c>: there is no sound copy. <c>StoreUnavailable</c>.</exception>
    void Lock(StoreKind kind, Hash32 name, ulong until);

    /// <summary>Until when the medium says now that the name is locked, in seconds since 1970 UTC, rounded down: the sound copy that is locked longest counts. 0 for a copy without a lock;
    /// null where there is no copy.</summary>
    ulong? LockedUntil(StoreKind kind, Hash32 name);

    /// <summary>What the medium's own clock says now, in seconds since 1970 UTC; 0 where it does not tell.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>.</exception>
    ulong TimeThere();
}
