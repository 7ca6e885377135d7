using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests;

/// <summary>A folder whose files have locks as objects in an object store have them: shows what the keeper asks of a medium. The real one is tried where Ceph is there.</summary>
sealed class LockingFolder(string folder) : ILockingStore, IObjectStores, IRemover
{
    readonly FolderStore _store = Made(folder);
    readonly Dictionary<(StoreKind, Hash32), ulong> _locks = [];
    int _calls;

    /// <summary>By name, until when.</summary>
    public IReadOnlyDictionary<(StoreKind Kind, Hash32 Name), ulong> Locks => _locks;

    /// <summary>Locks that were lengthened or asked to be.</summary>
    public int Calls => _calls;

    /// <summary>The call that fails, the first being 1; 0 for none.</summary>
    public int FailsAt { get; set; }

    /// <summary>The medium's own clock, seconds since 1970.</summary>
    public ulong Now { get; set; }

    /// <summary>This user may remove what no lock holds.</summary>
    public bool HasRemover { get; set; } = true;

    public ulong EntryLock { get; set; }

    public string Name(string place) => place;

    public void RequireCredential(string file)
    {
        // There is none to have.
    }

    static FolderStore Made(string folder)
    {
        Directory.CreateDirectory(folder);
        FolderStore.Create(folder, Disk.Real);
        return new FolderStore([folder]);
    }

    public void Lock(StoreKind kind, Hash32 name, ulong until)
    {
        lock (_locks)
        {
            var before = BeforeLock;
            BeforeLock = null;
            before?.Invoke();
            if (++_calls == FailsAt)
                throw new HoldfastException(ErrorCode.StoreUnavailable, "The object store did not answer (a test).", "none");
            if (!_locks.ContainsKey((kind, name)))
                throw new HoldfastException(kind == StoreKind.Pack ? ErrorCode.PackMissing : ErrorCode.ObjectMissing, "It is not in the object store (a test).", "none");
            Assert.True(until > Now, "a lock that is over");
            _locks[(kind, name)] = Math.Max(_locks[(kind, name)], until);
        }
    }

    /// <summary>Takes a lock away, as only whoever owns the medium can.</summary>
    public void Loosen(StoreKind kind, Hash32 name) => _locks[(kind, name)] = 1;

    /// <summary>Loses it.</summary>
    public void Forget(Hash32 name)
    {
        foreach (var kind in new[] { StoreKind.Pack, StoreKind.Object })
            _locks.Remove((kind, name));
    }

    /// <summary>What it tells of its clock.</summary>
    public ulong Says { get; set; } = Holdfast.Core.Retention.LockRules.LastEnd;

    public ulong TimeThere() => Tells?.Invoke() ?? Says;

    /// <summary>Asked for it; null to say what it says.</summary>
    public Func<ulong>? Tells { get; set; }

    /// <summary>Called before the next lock is lengthened.</summary>
    public Action? BeforeLock { get; set; }

    public ulong? LockedUntil(StoreKind kind, Hash32 name)
    {
        lock (_locks)
            return _locks.TryGetValue((kind, name), out var until) ? until : null;
    }

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name)
    {
        lock (_locks)
        {
            Assert.True(EntryLock > Now, "no lock at birth");
            _locks.TryAdd((kind, name), EntryLock);
        }
        return _store.Enter(staged, kind, name);
    }

    public int Remove(StoreKind kind, Hash32 name)
    {
        lock (_locks)
        {
            if (_locks[(kind, name)] > Now)
                return 1;
        }
        File.Delete(_store.Find(kind, name, 0)!);
        return 0;
    }

    public IStaged Stage(bool large = false) => _store.Stage(large);
    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => _store.EnterCopy(staged, kind, name);
    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) => _store.Open(kind, name, copy);
    public IEnumerable<StoredName> List(StoreKind kind) => _store.List(kind);

    HoldfastException? IObjectStores.Check(string place, ReadOnlySpan<byte> credential)
    {
        Assert.Equal("test:", place);
        return null;
    }

    IStore IObjectStores.Open(string place, string vault, Disk disk) => this;
    IRemover? IObjectStores.Remover(string place, string vault) => HasRemover ? this : null;
}
