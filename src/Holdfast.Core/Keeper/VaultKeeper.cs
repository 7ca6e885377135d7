using System.Security.Cryptography;
using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What an agent gets for a commit, and keeps.</summary>
/// <param name="Ordinal">Index of the leaf.</param>
/// <param name="Committed">Vault time.</param>
/// <param name="Expiry">Seconds since 1970: nothing of the snapshot is removed before.</param>
/// <param name="Proof">Leaf, audit path and signed checkpoint.</param>
public sealed record CommitReceipt(long Ordinal, ulong Committed, ulong Expiry, LogProof Proof);

/// <summary>Keeps the log, the clock and the locks of one vault. Holds no data key: it sees sizes, names that are hashes, and ids.</summary>
/// <remarks>The order of a commit: packs are durable, the snapshot object is durable, the leaf is durable, then it is acknowledged. Several processes may have a
/// keeper of one vault; each change takes the vault's lock and looks at the log again first. For one thread at a time.</remarks>
public sealed partial class VaultKeeper : IDisposable
{
    readonly string _folder;
    readonly IObjectStores? _stores; // where the vault lies in one
    readonly Disk _disk;
    readonly IMachineTime _machine;
    readonly RefusalTally _refusals;
    readonly Func<Hash32, byte[]> _read; // an object
    MerkleLog _log;
    Projection _projection;
    VaultClock? _clock;
    IRemover? _remover;
    Ed25519Signer? _signer;
    bool _hasKeptTwice;
    bool _isAppending; // a leaf is on its way, or was when something went wrong
    bool _isStale; // what is in memory may be ahead of what is on disk, and that could not be read

    VaultKeeper(string folder, VaultFile file, IStore store, IObjectStores? stores, Disk disk, IMachineTime machine, MerkleLog log)
    {
        _stores = stores;
        _folder = folder;
        File = file;
        Store = store;
        _disk = disk;
        _machine = machine;
        _refusals = new RefusalTally(KeeperPath(folder, "refusals"), disk);
        _log = log;
        _read = store is FolderStore ? store.ReadObject : new ObjectCache(Path.Combine(folder, "cache", "objects"), store, disk).Read;
        _projection = Projected();
    }

    public VaultFile File { get; private set; }
    public Id16 Vault => File.Vault;
    public IStore Store { get; }

    /// <summary>The store, where it is one in folders; null for an object store.</summary>
    public FolderStore? FolderStore => Store as FolderStore;

    /// <summary>The keeper's own process, where it is another one; null where this is it.</summary>
    public IRemoteKeeper? Remote => Store as IRemoteKeeper;

    /// <summary>Where that object store is; null for a vault in folders, or with another keeper.</summary>
    public string? ObjectStore => FolderStore is null && Remote is null ? ObjectPlace.Read(_folder) : null;

    /// <summary>The same of a vault that is not open.</summary>
    public static bool IsInObjectStore(string folder) => ObjectPlace.Read(folder) is not null;

    /// <summary>Folders of the vault, its own first.</summary>
    public IReadOnlyList<string> Folders => FolderStore?.Folders ?? [_folder];

    /// <summary>Those whose disk is not there.</summary>
    public IReadOnlyList<string> Away => FolderStore?.Away ?? [];
    public MerkleLog Log => _log;
    public Projection State => _projection;
    public string Folder => _folder;

    /// <summary>Set where this is a copy of a vault that goes on elsewhere: thrown by whatever would change it.</summary>
    public HoldfastException? Closed { get; set; }

    /// <summary>What of the log, or of the file that names its vault, is damaged, where it is read all the same.</summary>
    public HoldfastException? LogFault { get; private set; }

    /// <summary>False where all that changes need is gone, and with it the list of further folders; reading goes on without.</summary>
    public bool HasKeeperFolder => Directory.Exists(Path.Combine(_folder, "keeper"));

    /// <summary>False where the key that signs the log is gone: nothing can be written.</summary>
    public bool HasLogKey => Remote is not null || HasLogKeyIn(_folder);

    /// <summary>Why the log's key, which is there, signs nothing: damaged, or another vault's. Null where it is right, or this user may not read it.</summary>
    public HoldfastException? LogKeyFault
    {
        get
        {
            if (Remote is not null)
                return null;
            try
            {
                using var signer = LogKeyFile.Read(KeeperPath(_folder, "log.key"), Vault);
                return signer.PublicKey.SequenceEqual(_log.Key.PublicKey) ? null
                    : new HoldfastException(ErrorCode.WrongVault, "The vault's log key is not the one that its log is signed with.", "Put back the keeper folder that belongs to this vault.");
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.KeyFileBad or ErrorCode.WrongVault)
            {
                return e;
            }
            catch (HoldfastException)
            {
                return null;
            }
        }
    }

    /// <summary>The same of a vault that is not open.</summary>
    public static bool HasLogKeyIn(string folder) => System.IO.File.Exists(KeeperPath(folder, "log.key"));

    /// <summary>Bytes of disk to be kept free for the keeper, and bytes that are.</summary>
    /// <remarks>Of another process's disk nothing is known here: none.</remarks>
    public (ulong Wanted, ulong Kept) Reserve => Remote is not null ? (0, 0) : (_projection.Genesis!.Reserve, ReserveOf(_folder, _disk).Kept);

    /// <summary>Bytes that a change of the log has on its disk, with what the reserve would give.</summary>
    public long OwnRoom => new DriveInfo(_folder).AvailableFreeSpace + (long)Reserve.Kept;

    /// <summary>What to do where that is not enough: the log lies in the vault's own folder, and no other folder helps it.</summary>
    public string HowToMakeRoom => $"Make room on the disk of {_folder} from what is not the vault's. Never delete a file of the vault."
        + (Folders.Count > 1 && !IsGuarded ? $" A pack may lie in any folder of the vault: `mv {_folder}/packs/XX/NAME OTHER/packs/XX/` moves one to another disk (make OTHER/packs/XX where it is missing)." : "");

    static KeeperReserve ReserveOf(string folder, Disk disk) => new(KeeperPath(folder, "reserve"), disk);

    static string KeeperPath(string folder, string name) => Path.Combine(folder, "keeper", name);

    /// <summary>The vault clock, as it stands.</summary>
    public VaultClock Clock => _clock ??= _told is { } told ? VaultClock.Told(told.Now, told.Passed, _disk, _machine) : VaultClock.Open(KeeperPath(_folder, "clock"), _disk, _machine, _projection.TimeOfLeaves, _projection.SetForward);

    /// <summary>Takes in what other processes have written.</summary>
    public void Refresh()
    {
        Store.Look();
        if (_isStale)
        {
            OpenAnew();
            return;
        }
        if (_projection.CanHeal)
        {
            OpenAnew();
            return;
        }
        Follow();
        _log.Refresh();
        if (_projection.IsAwaiting)
            _passed = Math.Max(_passed, Clock.Passed);
        var forward = _projection.SetForward;
        Project();
        if (_projection.SetForward > forward)
            _clock = null; // another process set it forward
    }

    /// <summary>Writes the log's files of hashes anew that are not what its leaves give.</summary>
    /// <returns>How many.</returns>
    public int MendTiles() => Changing(_log.MendTiles);

    /// <summary>Refuses a vault that this process cannot change: asked before work whose end is a leaf, such as making key material.</summary>
    /// <exception cref="HoldfastException"><c>ReadOnlyMedia</c>, <c>NoPermission</c>, <c>KeyFileBad</c>, <c>VaultBusy</c>.</exception>
    public void RequireWritable()
    {
        RequireOpen();
        RequireWitnessed();
        if (Remote is not null)
        {
            Asking(new KeeperRequest.RequireWritable());
            return;
        }
        Disk.RequireWritable(Path.Combine(_folder, "log"));
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        _signer ??= LogKeyFile.Read(KeeperPath(_folder, "log.key"), Vault);
    }

    /// <summary>An enrolment of an id that no leaf has named: of two for one id the newest counts, and would take the place of another's key.</summary>
    internal bool IsNew(Enrolment enrolment)
    {
        if (enrolment.Vault != Vault || enrolment.Epoch != 1)
            return false;
        for (var at = 0L; at < _log.Size; at++)
        {
            if (Leaf.TryParse(_log.Leaf(at), out var leaf) && leaf.Type is LeafType.AgentEnrolled or LeafType.WriterEnrolled && leaf.Subject == enrolment.Id)
                return false;
        }
        return true;
    }

    /// <summary>Enrols an agent by a token (<see cref="EnrolmentTokens"/>), which is worth nothing from then on.</summary>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>: there is no such token, or the id is taken.</exception>
    public void EnrolAgent(byte[] token, Enrolment enrolment)
    {
        if (Remote is not null)
        {
            Asking(new KeeperRequest.Enrol(token, enrolment.ToArray()));
            return;
        }
        Refresh();
        if (_projection.Agent(enrolment.Id) is { } known && known.PublicKey.AsSpan().SequenceEqual(enrolment.PublicKey))
            return; // asked twice
        if (!EnrolmentTokens.IsGood(_folder, token, Clock.Now))
            throw TokenBad(); // before anything else is done for whoever asks
        var isUsed = false;
        Changing(() =>
        {
            if (enrolment.Kind != EnrolmentKind.Agent || !_projection.Genesis!.Domains.Contains(enrolment.Domain) || !IsNew(enrolment))
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent as an enrolment is none of this vault's, or its agent is enrolled already. Nothing was changed.", "Use the same release of holdfast on all machines.");
            var name = Store.PutTwice(enrolment.ToArray());
            isUsed = isUsed || EnrolmentTokens.Use(_folder, token, Clock.Now, _disk); // once, though all this is done again on a full disk
            return isUsed ? Append(new Leaf(LeafType.AgentEnrolled, Clock.Now, enrolment.Id, Id16.None, 1, 0, 0, name)) : throw TokenBad();
        });
    }

    static HoldfastException TokenBad() => new(ErrorCode.CommitRefused, "That token enrols nobody: it was used before, has expired, or was never given. Nothing was changed.", "Have `holdfast keeper token` on the keeper's machine make another one.");

    /// <summary>Believes an agent no longer: nothing that it signs is committed from then on, and its sources may go on under another's.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: there is none such; <c>QuorumMissing</c>: there are approvers, who have to approve of it.</exception>
    public void RevokeAgent(Id16 agent)
    {
        RequireHere();
        Refresh();
        RequireEnrolled(agent);
        if (!_projection.Approvers.IsNobody)
            throw new HoldfastException(ErrorCode.QuorumMissing, "To revoke an agent takes approvals in this vault. Nothing was changed.", $"`holdfast approval request revoke {agent} --out FILE` makes a request for the approvers.");
        Record(LeafType.AgentEnrolled, agent, Id16.None, 2, 0, 0);
    }

    void RequireEnrolled(Id16 agent)
    {
        if (_projection.Agent(agent) is null && _projection.LostAgent(agent).IsNone)
            throw new HoldfastException(ErrorCode.Usage, "No agent of that id is enrolled.", "`holdfast keeper agents` lists those that are.");
    }

    /// <summary>Records something that happened; see docs/format.md, section 11.3, for which numbers a type has.</summary>
    public void Record(LeafType type, Id16 subject, Id16 actor, ulong a, ulong b, ulong c, byte[]? payload = null)
    {
        if (Remote is not null)
        {
            Asking(new KeeperRequest.Record(type, subject, actor, a, b, c, payload ?? []));
            return;
        }
        Changing(() =>
        {
            var name = payload is null ? Hash32.None : Store.PutTwice(payload);
            return Append(new Leaf(type, Clock.Now, subject, actor, a, b, c, name));
        });
    }

    /// <summary>Records what an attestation found.</summary>
    /// <param name="snapshot">Which was attested.</param>
    /// <param name="actor">Who asked for it.</param>
    /// <param name="found">What was found.</param>
    /// <param name="elsewhere">Packs outside the snapshot's own set that it was read from: those that nothing holds for as long, by what the log says under the vault's lock, are written down as defects.</param>
    /// <returns>What was written.</returns>
    public AttestationObject RecordAttestation(Id16 snapshot, Id16 actor, AttestationObject found, IReadOnlyCollection<Hash32> elsewhere) => Remote is not null ? Written(Asking(new KeeperRequest.RecordAttestation(snapshot, actor, found.ToArray(), [.. elsewhere]))) : Changing(() =>
    {
        var record = _projection.Find(snapshot) ?? throw SnapshotMissing(snapshot.ToString());
        if (found.IsHealed)
            found = found.NotHeld(Holding.NotHeld(_projection, record, elsewhere));
        Append(new Leaf(LeafType.Attestation, Clock.Now, snapshot, actor, (byte)found.Depth, found.BytesRead,
            (ulong)found.Defects.Count + (found.IsGood || found.Defects.Count > 0 ? 0u : 1u), Store.PutObject(found.ToArray())));
        return found;
    });

    /// <summary>Begins a key epoch. Looked at under the vault's lock: of two rotations at once one wins, and the other has changed nothing.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c> where <paramref name="epoch"/> is not the next one any more.</exception>
    public long BeginEpoch(uint epoch, byte[] keyring) => Changing(() => _projection.KeyEpoch + 1 == epoch
        ? Append(new Leaf(LeafType.KeyEpoch, Clock.Now, Id16.New(), Id16.None, epoch, 0, 0, Store.PutTwice(keyring)))
        : throw new HoldfastException(ErrorCode.WrongKey, $"The vault is in key epoch {_projection.KeyEpoch} already: another rotation was first, and this one has changed nothing.",
            "Go on with the key files of that rotation; with them a further one can be begun. The old ones open what was backed up before it."));

    /// <summary>True where the vault's files have been made immutable.</summary>
    public bool IsGuarded => OperatingSystem.IsLinux() && FileFlags.IsImmutable(Path.Combine(_folder, VaultFile.Name));

    internal static Hash32 Salt()
    {
        Span<byte> salt = stackalloc byte[Hash32.Size];
        RandomNumberGenerator.Fill(salt);
        return new Hash32(salt);
    }

    internal static HoldfastException SnapshotMissing(string which) => new(ErrorCode.SnapshotMissing, $"There is no snapshot {which} in this vault.",
        "`holdfast snapshots` lists what there is; a snapshot may be named by the first letters of its id (4 at least), as `latest`, or as `latest~1` for the one before (~2 and so on).");

    long Append(Leaf leaf) => Append([leaf]);

    /// <summary>Before a session stores anything: what killed ones left in staging goes, and what is stored from now on is locked by the medium for as long as the session may live.</summary>
    public void BeginSession()
    {
        Refresh();
        Store.SweepStaging(); // a run that was killed for want of room gives it back
        BirthLock();
    }

    void BirthLock()
    {
        var now = Clock.LockFrom;
        if (Store is ILockingStore locking)
            locking.EntryLock = MediumLocks.AtBirth(Math.Max(now, _machine.Wall / 1_000));
    }

    /// <summary>What a long session stores late is locked for no less than what it stored first. From any thread.</summary>
    internal void RenewBirthLock()
    {
        if (Store is ILockingStore locking && MediumLocks.AtBirth(_machine.Wall / 1_000) is var end && end > locking.EntryLock + RetentionPolicy.Day / 24)
            locking.EntryLock = end;
    }

    long Append(IReadOnlyList<Leaf> leaves)
    {
        var later = leaves.FirstOrDefault(l => l.Type == LeafType.InForce && l.A == (ulong)Approvals.RequestKind.Time).B;
        OnMedium.Hold(leaves.Where(l => l.Type != LeafType.Commit).Select(l => l.Payload), later);
        _signer ??= LogKeyFile.Read(KeeperPath(_folder, "log.key"), Vault);
        _isAppending = true;
        var ordinal = _log.Append([.. leaves.Select(l => l.ToArray())], _signer);
        Project();
        _isAppending = false;
        return ordinal;
    }

    void RequireOpen()
    {
        if (Closed is { } closed)
            throw new HoldfastException(closed.Code, closed.Message, closed.Guidance);
    }

    /// <summary>Called when the log has grown, outside the vault's lock; throws nothing.</summary>
    public Action? Grown { get; set; }

    /// <summary>Runs one change under the vault's lock, on the newest state; a full disk gets the reserve's room and one more try.</summary>
    T Changing<T>(Func<T> change)
    {
        RequireHere();
        var before = _log.Size;
        var result = Alone(change);
        if (_log.Size > before)
            Grown?.Invoke();
        return result;
    }

    T Alone<T>(Func<T> change)
    {
        RequireOpen();
        var reserve = ReserveOf(_folder, _disk);
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        _clock = null;
        Refresh();
        RequireWitnessed();
        BirthLock();
        T result;
        try
        {
            TellRefusals();
            PutInForce();
            result = change();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull && reserve.Release())
        {
            Reopen();
            if (_isStale)
                throw; // a leaf more than the log has would be signed with the next
            try
            {
                TellRefusals();
                PutInForce();
                result = change();
            }
            catch (Exception again)
            {
                Reopen();
                reserve.Make(_projection.Genesis!.Reserve); // what it was let go for did not come about
                if (again is HoldfastException { Code: ErrorCode.DiskFull } full && Folders.Count > 1)
                    throw OfTheLog(full);
                throw;
            }
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull && Folders.Count > 1)
        {
            Reopen();
            throw OfTheLog(e);
        }
        catch
        {
            // What is in memory may be ahead of what is on disk; but a request that was refused has changed nothing, and reading all anew costs a keeper that serves many what whoever sends it likes.
            if (_isAppending)
                Reopen();
            throw;
        }
        SaveClock(reserve);
        reserve.Make(_projection.Genesis!.Reserve);
        KeepTwice();
        return result;
    }

    HoldfastException OfTheLog(HoldfastException full) => new(full.Code, full.Message, $"{HowToMakeRoom} Then run the same command again.", full);

    /// <summary>What was asked for is in the log by now, and its leaf has the time: where the clock's file cannot be written, that is no failure of it.</summary>
    void SaveClock(KeeperReserve reserve)
    {
        try
        {
            try
            {
                Clock.Save();
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull && reserve.Release())
            {
                Clock.Save();
            }
        }
        catch (HoldfastException)
        {
            // The next that opens the vault takes the time from the leaves.
        }
    }

    /// <summary>Without its genesis a vault cannot be opened, and without its keyring nothing in it: where a copy of these was lost, another is written.</summary>
    void KeepTwice()
    {
        if (_hasKeptTwice)
            return;
        _hasKeptTwice = true; // looked at once a run
        try
        {
            Store.KeepTwice(File.Genesis);
            Store.KeepTwice(_projection.Keyring);
        }
        catch (HoldfastException)
        {
            // What was asked for is done; the next run tries again.
        }
    }

    void Reopen()
    {
        try
        {
            OpenAnew();
        }
        catch (HoldfastException)
        {
            _isStale = true; // the fault that led here is the one to tell
        }
    }

    void OpenAnew()
    {
        _isStale = true; // until all of it was read
        _log = MerkleLog.Open(Path.Combine(_folder, "log"), _disk, _log.Key);
        _projection = Projected();
        Project();
        (_isStale, _isAppending) = (false, false);
    }

    Projection Projected(IReadOnlyDictionary<ulong, ulong>? latest = null, IReadOnlySet<Id16>? early = null) => new(_read, Moment, latest, early);

    void Project()
    {
        try
        {
            ApplyAll();
            var early = new HashSet<Id16>();
            for (var again = _projection.IsToBeAnew; again; again = !_projection.Undone.IsSubsetOf(early))
            {
                early.UnionWith(_projection.Undone); // without these others may show that were put in force too early
                _projection = Projected(Projection.TimesAfterExpiries(_log), early);
                ApplyAll();
            }
        }
        catch
        {
            _projection = Projected(); // a leaf that was taken in by half must not count as taken in
            throw;
        }
    }

    /// <summary>Whoever has the log's key may write a leaf of next century: what this machine's clock says, to a day, bounds what is believed.</summary>
    ulong Moment() => Math.Max(_machine.Wall / 1_000, _passed) + RetentionPolicy.Day;

    ulong _passed; // seconds since 1970 that had passed for certain when the clock was looked at last: a wall clock that is set back takes nothing out of force

    void ApplyAll()
    {
        while ((long)_projection.Size < _log.Size)
            _projection.Apply(_log.Leaf((long)_projection.Size), _log.IsLost((long)_projection.Size));
    }

    public void Dispose()
    {
        _signer?.Dispose();
        (Store as IDisposable)?.Dispose();
        (_remover as IDisposable)?.Dispose();
    }
}
