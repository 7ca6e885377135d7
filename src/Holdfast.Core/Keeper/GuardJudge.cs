using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What the guard does with a stored file.</summary>
enum Verdict
{
    /// <summary>Nothing gave it up, or its lock is over by one clock and not yet by another.</summary>
    Kept,

    /// <summary>The log gives it up, and its lock is not over.</summary>
    Locked,

    /// <summary>The log gave it up, and no lock holds it.</summary>
    Free,
}

/// <summary>Judges what may go, by what the guard keeps in a folder of its own: a copy of the log, the latest end seen of each lock, a clock, and which vault belongs where. Whoever owns
/// the vault, and holds the log's key, can add to the log and lengthen locks by it; nothing that they write, hide or put back makes a lock end sooner that was seen once.</summary>
sealed class GuardJudge
{
    readonly string _vault;
    readonly VaultFile _file;
    readonly string _state;
    readonly VerifierKey _key;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    readonly VaultClock? _clock;
    readonly GuardMemory _memory;
    readonly HoldfastException? _damage;

    MerkleLog? _log;
    MerkleLog? _copy;
    FolderStore _store;
    Projection _projection;
    Dictionary<Hash32, ulong> _unclaimed = [];
    bool _mayJudge;
    HashSet<Id16> _early = []; // see Projection.Undone
    bool _isBlocked;
    ulong _movedFor; // how far approvers had set the clock forward in all, seconds, when the ends in memory were moved
    ulong _step; // by which they were
    ulong _witnessed; // seconds since 1970; no limit where the vault has no witnesses
    const ulong MostForgotten = 86_400; // seconds
    ulong _looked; // seconds since 1970 when the log was last taken in whole; what is new in it was written later

    /// <param name="vault">Full path of the vault's folder.</param>
    /// <param name="file">Its file <c>vault</c>.</param>
    /// <param name="inode">Of that folder.</param>
    /// <param name="state">Full path of the folder for the guard's own.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="disk">Where the guard's own is written.</param>
    /// <param name="limit">Bytes that the memory may have.</param>
    public GuardJudge(string vault, VaultFile file, ulong inode, string state, IMachineTime machine, Disk disk, int limit)
    {
        (_vault, _file, _machine, _disk, _memory) = (vault, file, machine, disk, new GuardMemory(limit));
        _state = Path.Combine(state, file.Vault.ToString());
        if (!VerifierKey.TryParse(file.LogKey, out _key!))
            throw new HoldfastException(ErrorCode.LogDamaged, VaultFile.LogKeyFault, VaultFile.LogKeyAdvice);
        _store = new FolderStore([vault], _disk);
        _projection = Anew();
        var pins = GuardPins.Load(state);
        if (pins is null)
        {
            _damage = Damaged();
            return;
        }
        pins.Require(vault, file, inode);
        var earlier = new EarlierGuard(_state);
        try
        {
            if (GuardMemory.Load(Path.Combine(_state, GuardMemory.Name), limit) is { } memory)
            {
                _memory = memory;
                _copy = OpenCopy();
                _clock = OpenClock();
                if ((ulong)_copy.Size < memory.Seen || _clock.Now < memory.Clock)
                    throw Damaged();
                _looked = memory.Seen > 0 ? memory.Clock : 0; // a first look that did not come to its end has seen nothing
            }
            else if (earlier.IsThere)
            {
                RequireReal();
                earlier.Require(_log!);
                _clock = OpenClock();
                pins.Add(state, vault, file, inode, _disk);
                _copy = Copy();
                _memory.Note(earlier.Unclaimed());
                Remember();
            }
            else if (FileFlags.IsImmutable(Path.Combine(vault, VaultFile.Name)))
            {
                throw Damaged(); // only a guard makes files immutable; one that did, and now has no memory, has lost it
            }
            else
            {
                RequireReal();
                _disk.MakeDurable(state, ownerOnly: true);
                pins.Add(state, vault, file, inode, _disk);
                _disk.MakeDurable(_state, ownerOnly: true);
                _clock = VaultClock.Create(Path.Combine(_state, "clock"), _disk, machine);
                _copy = Copy();
                Remember();
                return;
            }
            pins.Add(state, vault, file, inode, _disk);
            if (earlier.IsThere)
                earlier.Retire(_disk);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.GuardStateDamaged or ErrorCode.FormatNewer || (earlier.IsThere && e.Code is ErrorCode.LogDamaged or ErrorCode.LogForked))
        {
            _damage = e; // it guards on, and lets nothing go
        }
    }

    MerkleLog Copy()
    {
        var copy = MerkleLog.Create(Path.Combine(_state, "log"), _disk, _key);
        copy.Follow(_log!);
        return copy;
    }

    /// <exception cref="HoldfastException"><c>GuardStateDamaged</c>.</exception>
    MerkleLog OpenCopy()
    {
        try
        {
            return MerkleLog.Open(Path.Combine(_state, "log"), _disk, _key);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.LogDamaged or ErrorCode.LogForked)
        {
            throw Damaged();
        }
    }

    /// <exception cref="HoldfastException"><c>GuardStateDamaged</c>: a clock that cannot be read would begin in 1970, and no lock would ever end.</exception>
    VaultClock OpenClock()
    {
        var clock = VaultClock.Open(Path.Combine(_state, "clock"), _disk, _machine, latestLeaf: _ => 0);
        return clock.Now > 0 ? clock : throw Damaged();
    }

    /// <summary>Makes the memory durable, and before it the clock: a clock behind what the memory has seen is taken for one that was put back.</summary>
    /// <param name="hasLooked">The log was taken in whole just now: a guard that is started anew is to know of that, to within a day, even where there was nothing new.</param>
    void Remember(bool hasLooked = false)
    {
        var now = _clock!.Now;
        if (!_memory.IsChanged && !(hasLooked && now - Math.Min(now, _memory.Clock) >= MostForgotten))
            return;
        _clock.Save();
        _memory.Save(Path.Combine(_state, GuardMemory.Name), _disk, now);
    }

    /// <summary>The vault's folders, as its list names them now; its own is the first.</summary>
    public IReadOnlyList<string> Folders => _store.Folders;

    /// <summary>Leaves that the guard has a copy of.</summary>
    public long LogSize => _copy?.Size ?? 0;

    /// <summary>Seconds since 1970 that have passed for certain by the guard's own clock.</summary>
    public ulong Passed => _clock?.Passed ?? 0;

    /// <summary>Takes in what was logged since.</summary>
    /// <returns>What is wrong: then nothing is free until the next call.</returns>
    public HoldfastException? Follow()
    {
        _mayJudge = false;
        _unclaimed = [];
        try
        {
            List();
            if (_damage is not null)
                return _damage;
            _log ??= MerkleLog.Open(Path.Combine(_vault, "log"), _disk, _key);
            _log.Refresh();
            _copy ??= OpenCopy();
            _copy.Follow(_log);
            if (_projection.CanHeal)
                _projection = Anew();
            Project();
            _witnessed = Witnessed();
            Learn(); // first: what is new moves with the clock too
            GoForward();
            Remember(hasLooked: true); // before a flag is set: what is immutable has a guard that remembers it
            _looked = _clock!.Now;
            _mayJudge = true;
            return null;
        }
        catch (HoldfastException e)
        {
            _log = null; // what is in memory may be more than was ever signed
            if (_damage is null && _copy?.Size != _copy?.Checkpoint?.Size)
                _copy = null; // and here more than is on the disk
            _projection = Anew();
            return e;
        }
    }

    /// <summary>Makes durable what was seen since.</summary>
    public void Save()
    {
        _memory.Note(_unclaimed);
        Remember();
        _clock!.Save();
    }

    /// <summary>How many names are locked of which no file is among these. 0 where nothing can be judged.</summary>
    public int CountMissing(IReadOnlySet<Hash32> guarded)
    {
        if (!_mayJudge)
            return 0;
        var (now, wall) = (_clock!.Now, _machine.Wall / 1_000);
        var over = Math.Min(now, wall);
        return _memory.LockedAfter(over - Math.Min(over, LockRules.Margin)).Count(n => !guarded.Contains(n));
    }

    public Verdict Judge(StoreKind kind, Hash32 name)
    {
        if (!_mayJudge)
            return Verdict.Kept;
        var isTold = _memory.TryEnd(name, out var end);
        if (!isTold)
        {
            if (kind != StoreKind.Pack)
                return _projection.WasGivenUp(kind, name) ? Verdict.Locked : Verdict.Kept; // keyrings, policies and the like stay for as long as the vault
            // No commit names it: of a session that is still writing, or that never came to its end.
            var first = _memory.FirstSeen(name, _clock!.Now);
            _unclaimed[name] = first;
            end = first + LockRules.SessionLife;
        }
        if (!_projection.WasGivenUp(kind, name))
            return Verdict.Kept;
        if (_projection.WasRemoved(kind, name) && !_isBlocked && IsOver(end))
            return Verdict.Free;
        // The guard may have begun later than the keeper, and its clock may be behind: only a lock that the calendar too says is not over makes a liar of the log.
        return (isTold ? _machine.Wall / 1_000 <= end + LockRules.Margin : _isBlocked) ? Verdict.Locked : Verdict.Kept;
    }

    bool IsOver(ulong end) => _clock!.HasPassed(end + LockRules.Margin) && _witnessed > end + LockRules.Margin;

    /// <summary>What all witnesses say has passed, by cosignatures of the log that the guard has. Whoever owns the vault can take these away, and then nothing goes; he can make none.</summary>
    ulong Witnessed()
    {
        var witnesses = _projection.WitnessKeys;
        return VaultTime.Of(witnesses, new CosignedCheckpoints(Path.Combine(_vault, "log"), _disk, _key, witnesses), _copy!).Select(w => w.Says).DefaultIfEmpty(ulong.MaxValue).Min();
    }

    /// <summary>Lines of the vault's list of folders that name none.</summary>
    public int BadLines { get; private set; }

    /// <summary>A folder more in the list may hold what could not be read before.</summary>
    void List()
    {
        var folders = new List<string> { _vault };
        try
        {
            folders.AddRange(FolderList.Read(_vault, out var bad).Distinct().Where(f => f != _vault));
            BadLines = bad;
        }
        finally
        {
            if (!folders.SequenceEqual(_store.Folders))
            {
                _store = new FolderStore(folders, _disk);
                _projection = Anew();
            }
        }
    }

    /// <summary>As a keeper has it, by the guard's own clock: what needs time to come into force is not in force sooner, nor after an objection.</summary>
    Projection Anew(IReadOnlyDictionary<ulong, ulong>? latest = null) => new(_store.ReadObject, Moment, latest, _early);

    ulong Moment() => Math.Min(_clock?.Passed ?? ulong.MaxValue, _machine.Wall / 1_000) + RetentionPolicy.Day;

    void Project()
    {
        ApplyAll();
        if (!_projection.IsToBeAnew)
            return;
        _early = [];
        do
        {
            _early = [.. _early, .. _projection.Undone];
            _projection = Anew(Projection.TimesAfterExpiries(_copy!));
            ApplyAll();
        }
        while (!_projection.Undone.IsSubsetOf(_early));
    }

    void ApplyAll()
    {
        while ((long)_projection.Size < _copy!.Size)
            _projection.Apply(_copy.Leaf((long)_projection.Size));
    }

    /// <summary>Goes forward by what approvers have set the clock forward, whose signatures were checked here, and no further than the calendar. Every end that was seen moves as far as this clock does, so that none
    /// comes sooner: a quorum that lies lets nothing go. A guard that dies in the middle moves them again, and holds them the longer.</summary>
    void GoForward()
    {
        var (forward, passed, wall) = (_projection.SetForward, _clock!.Passed, _machine.Wall / 1_000);
        if (_clock.Behind(forward) == 0)
            return;
        if (_movedFor < forward)
        {
            _step = _looked == 0 ? 0 : Math.Min(_clock.Behind(forward), wall - Math.Min(wall, passed)); // a clock that began after that has it
            foreach (var (ordinal, least) in _memory.Untold.ToList())
                _memory.Doubt(ordinal, Math.Max(least, Record(ordinal)?.Expiry ?? 0));
            _memory.Move(_step);
        }
        _movedFor = forward; // once, however often the disk refuses it
        var quantum = LockRules.Quantum(_projection.Genesis!.Policy.Base);
        foreach (var record in _projection.Snapshots.Where(s => s.Ordinal < _memory.Seen && !s.IsRemoved)) // by the log's reckoning too
            Learn(record, quantum, _memory.Untold.GetValueOrDefault(record.Ordinal));
        _memory.Save(Path.Combine(_state, GuardMemory.Name), _disk, _clock.Now);
        _clock.GoForward(forward, _step);
        _clock.Save();
    }

    /// <summary>Takes in the lock ends of new leaves, and of commits that could not say what they need and now can.</summary>
    void Learn()
    {
        var quantum = LockRules.Quantum(_projection.Genesis!.Policy.Base);
        if (Holding(quantum).Any(r => r.ToldBy().Any(n => _projection.Unreadable.Contains(n) && IsReadable(n))))
        {
            _projection = Anew();
            Project();
        }
        foreach (var record in Holding(quantum))
            Learn(record, quantum, _memory.Untold[record.Ordinal]);
        for (var ordinal = _memory.Seen; ordinal < (ulong)_copy!.Size; ordinal++)
        {
            if (!Leaf.TryParse(_copy.Leaf((long)ordinal), out var leaf))
                continue;
            if (leaf.Type == LeafType.Commit && Record(ordinal) is { } commit)
                Learn(commit, quantum, EndAtLeast(commit));
            else if (leaf.Type == LeafType.LockExtension && _projection.Find(leaf.Subject) is { } extended)
                Learn(extended, quantum, _memory.Untold.GetValueOrDefault(extended.Ordinal));
        }
        _memory.TakeIn((ulong)_copy.Size);
        // What cannot say which packs it needs may need any; that the log gave it up is the keeper's word.
        _isBlocked = _projection.IsTimeUntold || Holding(quantum).Count > 0;
    }

    /// <summary>Snapshots that cannot say what they need, and whose locks are not over.</summary>
    List<SnapshotRecord> Holding(ulong quantum) => [.. from untold in _memory.Untold let record = Record(untold.Key) where record is not null && !IsOver(Math.Max(record.Expiry, untold.Value) + quantum) select record];

    SnapshotRecord? Record(ulong ordinal)
    {
        var (low, high) = (0, _projection.Snapshots.Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_projection.Snapshots[middle].Ordinal < ordinal)
                low = middle + 1;
            else
                high = middle;
        }
        return low < _projection.Snapshots.Count && _projection.Snapshots[low].Ordinal == ordinal ? _projection.Snapshots[low] : null;
    }

    /// <summary>The end of a lock that began by a clock far behind the guard's: as long as it says, from when the guard last looked, for it was written since. The keeper's clock may make up for
    /// some of it (<see cref="VaultClock.MostMissed"/>), and the guard asks for no more than that leaves.</summary>
    /// <returns>0 where the leaf's own is right.</returns>
    ulong EndAtLeast(SnapshotRecord commit)
    {
        var looked = Math.Min(_looked, _machine.Wall / 1_000);
        return looked - Math.Min(looked, commit.Committed) <= VaultClock.DoubtAfter || commit.Expiry < commit.Committed ? 0
            : Math.Min(looked - VaultClock.MostMissed + (commit.Expiry - commit.Committed), LockRules.LastEnd);
    }

    /// <param name="record">Of a commit.</param>
    /// <param name="quantum">By which ends of packs' locks are rounded.</param>
    /// <param name="least">Its lock ends no sooner.</param>
    void Learn(SnapshotRecord record, ulong quantum, ulong least = 0)
    {
        var expiry = Math.Max(record.Expiry, least);
        // The end of a pack's lock is rounded up by less than the quantum; what says that it is needed stays for as long.
        var needed = Math.Min(expiry + quantum, LockRules.LastEnd);
        foreach (var name in record.ToldBy())
            _memory.Lengthen(name, needed);
        if (_projection.PacksOf(record) is not { } set)
        {
            _memory.Doubt(record.Ordinal, least);
            return;
        }
        _memory.Resolve(record.Ordinal);
        foreach (var pack in set.Packs)
            _memory.Lengthen(pack.Name, Math.Min(LockRules.PackEnd(pack.Name, record.Expiry, quantum) + (expiry - record.Expiry), LockRules.LastEnd));
    }

    bool IsReadable(Hash32 name)
    {
        try
        {
            return Snapshots.SnapshotObject.TryParse(_store.ReadObject(name), out _); // another object than a snapshot never becomes one
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    void RequireReal()
    {
        _log = MerkleLog.Open(Path.Combine(_vault, "log"), _disk, _key);
        _projection.Apply(_log.Leaf(0));
        if (_projection.Genesis!.Kind == VaultKind.Trial)
            throw new HoldfastException(ErrorCode.Usage, "This is a trial vault: it is meant to be removed.", "Guard a real vault (holdfast init).");
    }

    internal static HoldfastException Damaged() => new(ErrorCode.GuardStateDamaged, "The guard's own memory of this vault is missing or damaged: it lets nothing go.",
        "Bring the guard's state folder back from a backup of this host. Where it is lost for good: as root, move what is left of it away, take the flag off the vault's file `vault` (chattr -i), and start the guard again; it then learns the locks anew from the log, so look first whether that log is the right one (holdfast log verify).");
}
