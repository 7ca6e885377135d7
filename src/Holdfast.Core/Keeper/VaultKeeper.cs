using System.Security.Cryptography;
using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
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
public sealed class VaultKeeper : IDisposable
{
    readonly string _folder;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    readonly RefusalTally _refusals;
    MerkleLog _log;
    Projection _projection;
    VaultClock? _clock;
    Ed25519Signer? _signer;

    VaultKeeper(string folder, VaultFile file, FolderStore store, Disk disk, IMachineTime machine, MerkleLog log)
    {
        _folder = folder;
        File = file;
        Store = store;
        _disk = disk;
        _machine = machine;
        _refusals = new RefusalTally(KeeperPath(folder, "refusals"), disk);
        _log = log;
        _projection = new Projection(store);
    }

    public VaultFile File { get; }
    public Id16 Vault => File.Vault;
    public FolderStore Store { get; }
    public MerkleLog Log => _log;
    public Projection State => _projection;
    public string Folder => _folder;

    /// <summary>Set where this is a copy of a vault that goes on elsewhere: thrown by whatever would change it.</summary>
    public HoldfastException? Closed { get; set; }

    /// <summary>What of the log is damaged, where it is read all the same.</summary>
    public HoldfastException? LogFault { get; private init; }

    /// <summary>False where all that changes need is gone, and with it the list of further folders; reading goes on without.</summary>
    public bool HasKeeperFolder => Directory.Exists(Path.Combine(_folder, "keeper"));

    /// <summary>False where the key that signs the log is gone: nothing can be written.</summary>
    public bool HasLogKey => System.IO.File.Exists(KeeperPath(_folder, "log.key"));

    /// <summary>Bytes of disk to be kept free for the keeper, and bytes that are.</summary>
    public (ulong Wanted, ulong Kept) Reserve => (_projection.Genesis!.Reserve, ReserveOf(_folder, _disk).Kept);

    /// <summary>Requests that were refused: those the log tells of, and those of this hour.</summary>
    public ulong Refusals => _projection.Refusals + _refusals.Read().Where(r => !_projection.Tells(r.Key)).Aggregate(0UL, (sum, r) => sum + r.Value);

    /// <summary>Those of them that were backups over their quota.</summary>
    public ulong OverQuota => _projection.OverQuota + _refusals.Read().Where(r => r.Key.Request == RefusedRequest.Quota && !_projection.Tells(r.Key)).Aggregate(0UL, (sum, r) => sum + r.Value);

    static KeeperReserve ReserveOf(string folder, Disk disk) => new(KeeperPath(folder, "reserve"), disk);

    static string KeeperPath(string folder, string name) => Path.Combine(folder, "keeper", name);

    /// <summary>Refuses a folder that a vault cannot be made in: one that holds a vault or anything else, or cannot be written to. Changes nothing.</summary>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>TargetNotEmpty</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>Usage</c>.</exception>
    public static void RequireFree(string folder)
    {
        FreePlace.Require(folder);
        if (FolderOwner.IsAtMercy(folder))
            throw new HoldfastException(ErrorCode.NoPermission, "The new vault would be root's, in a folder of another user's, who could put another vault in its place.",
                "Nothing was made. Name a folder in one of root's, best on a disk of its own; or make the folder for that user first (sudo install -d -o USER FOLDER): then the vault is that user's.");
        try
        {
            Disk.RequireWritable(folder);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.NoPermission or ErrorCode.ReadOnlyMedia)
        {
            throw new HoldfastException(e.Code, e.Code == ErrorCode.NoPermission ? "This user may not make a vault in that place." : "The disk for the new vault is mounted read-only.",
                "Nothing was made, no keys either. Name a folder that you may write to, on a disk that takes writes; or have access to this one granted (chown, chmod).", e);
        }
    }

    /// <summary>The id that a making which was cut short in this folder has given its vault, or none: keys of that id open nothing, and never will.</summary>
    public static Id16 Unfinished(string folder) => FreePlace.Unfinished(folder);

    /// <summary>Makes a vault: folders, log with its genesis, keyring and enrolments. All there or, without the file <c>vault</c>, not a vault.</summary>
    /// <param name="folder">Empty or absent; what a making that was cut short has left may be in it.</param>
    /// <param name="genesis">Its log key and salt are filled in here.</param>
    /// <param name="keyring">The keyring object of epoch 1.</param>
    /// <param name="enrolments">The first agent and writer.</param>
    /// <param name="formatText">docs/format.md, for the vault's own copy.</param>
    /// <param name="keep">Gets the log's verifier key when all but the file <c>vault</c> is durable, and keeps the vault's keys durably: a vault whose keys nobody has must not be.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="machine">The machine's clocks.</param>
    public static VaultKeeper Create(string folder, Genesis genesis, byte[] keyring, IEnumerable<Enrolment> enrolments, ReadOnlySpan<byte> formatText, Action<string> keep, Disk disk, IMachineTime machine)
    {
        folder = Path.GetFullPath(folder);
        RequireFree(folder);
        FolderOwner.Know(folder);
        disk.MakeDurable(folder);
        FolderStore.Create(folder, disk);
        foreach (var part in new[] { "keeper", "cache" })
            disk.MakeFolder(Path.Combine(folder, part));
        var store = new FolderStore([folder], disk);

        using var seed = SecretBytes.Random(Ed25519Signer.SeedSize);
        using var signer = new Ed25519Signer(seed.Span);
        var key = new VerifierKey($"holdfast/{genesis.Vault}", signer.PublicKey.ToArray());
        disk.Replace(KeeperPath(folder, "log.key"), LogKeyFile.Write(genesis.Vault, seed));
        var clock = VaultClock.Create(KeeperPath(folder, "clock"), disk, machine);
        var now = clock.Now;
        genesis = genesis with { LogKey = key.ToString(), Created = now, Salt = Salt() };
        var name = store.PutObject(genesis.ToArray());

        var leaves = new List<byte[]> { new Leaf(LeafType.Genesis, now, genesis.Vault, Id16.None, genesis.ShortestLock, genesis.LongestLock, (ulong)genesis.Kind, name).ToArray() };
        foreach (var enrolment in enrolments)
        {
            var payload = store.PutObject(enrolment.ToArray());
            leaves.Add(enrolment.Kind == EnrolmentKind.Writer
                ? new Leaf(LeafType.WriterEnrolled, now, enrolment.Id, Id16.None, enrolment.Epoch, 0, 1, payload).ToArray()
                : new Leaf(LeafType.AgentEnrolled, now, enrolment.Id, Id16.None, 1, 0, 0, payload).ToArray());
        }
        leaves.Add(new Leaf(LeafType.KeyEpoch, now, Id16.New(), Id16.None, 1, 0, 0, store.PutObject(keyring)).ToArray());
        // An earlier attempt may have left a log behind; without the file `vault` it was never one.
        var log = MerkleLog.Create(Path.Combine(folder, "log"), disk, key);
        log.Append(leaves, signer);
        disk.Replace(Path.Combine(folder, "format.md"), formatText);
        ReserveOf(folder, disk).Make(genesis.Reserve);
        keep(key.ToString());
        disk.Replace(Path.Combine(folder, VaultFile.Name), new VaultFile(genesis.Vault, key.ToString(), name).ToArray());
        return Open(folder, disk, machine);
    }

    /// <summary>Opens a vault for reading; the first change asks for more.</summary>
    /// <param name="folder">The vault.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="seen">Gives a checkpoint of its log that was kept elsewhere; asked for where the log's own is gone.</param>
    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>LogDamaged</c>, <c>LogForked</c>, <c>NoPermission</c>.</exception>
    public static VaultKeeper Open(string folder, Disk? disk = null, IMachineTime? machine = null, Func<Checkpoint?>? seen = null)
    {
        folder = Path.GetFullPath(folder);
        disk ??= Disk.Real;
        var file = VaultFile.Read(folder);
        if (!VerifierKey.TryParse(file.LogKey, out var key))
            throw new HoldfastException(ErrorCode.LogDamaged, "The file `vault` names no readable log key.", "Put the file back from another copy of the vault, or from a put key file's vault.");
        var store = new FolderStore([folder, .. FolderList.Read(folder)], disk) { More = () => [folder, .. FolderList.Read(folder)] };
        var (log, fault) = OpenLog(Path.Combine(folder, "log"), disk, key, seen);
        var keeper = new VaultKeeper(folder, file, store, disk, machine ?? MachineTime.System, log) { Closed = fault, LogFault = fault };
        keeper.Project();
        return keeper;
    }

    /// <summary>The log, and where leaves or the checkpoint of it are damaged why nothing is written to it.</summary>
    static (MerkleLog Log, HoldfastException? Fault) OpenLog(string folder, Disk disk, VerifierKey key, Func<Checkpoint?>? seen)
    {
        try
        {
            return (MerkleLog.Open(folder, disk, key), null);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogDamaged)
        {
            var log = MerkleLog.Salvage(folder, disk, key, Leaf.Size, seen?.Invoke());
            // Without its genesis nothing says what the vault is; and a log that is damaged elsewhere than in its leaves has lost none.
            if (log.Lost.Count == 0 ? !log.IsAsSeen : log.Lost[0] == 0)
                throw;
            return (log, new HoldfastException(e.Code, log.Lost.Count == 0
                ? $"The checkpoint of the vault's log is damaged or gone: the log is read as far as these keys have seen it, {log.Size} leaves{(log.IsCutShort ? "; more lie there, which nothing vouches for" : "")}. Nothing is written to it."
                : $"{log.Lost.Count} of the {log.Size} leaves of the vault's log cannot be read ({(log.Lost.Count == 1 ? "number" : "numbers")} {string.Join(", ", log.Lost.Take(10))}{(log.Lost.Count > 10 ? " ..." : "")}); nothing is written to it.",
                (log.Lost.Count == 0 ? "" : "What the other leaves say is what was signed, and can be read and restored; what the lost ones said is not known. ") + e.Guidance, e));
        }
    }

    /// <summary>What is wrong with the vault's list of folders; null where nothing is.</summary>
    public HoldfastException? FolderListFault
    {
        get
        {
            _ = FolderList.Read(_folder, out var bad);
            return bad > 0 ? BadList(bad) : null;
        }
    }

    /// <summary>The further folders that the vault in another place names, as far as it can be read.</summary>
    public static IReadOnlyList<string> FurtherFoldersOf(string folder)
    {
        try
        {
            return FolderList.Read(folder);
        }
        catch (HoldfastException)
        {
            return [];
        }
    }

    internal static HoldfastException BadList(int lines) => new(ErrorCode.StoreUnavailable, $"{lines} lines of the vault's list of folders (keeper/folders) name no folder, or come after the first {FolderList.Most}: they are passed over.",
        "See who wrote them: `holdfast store` writes one absolute path a line. Put the list back as it was.");

    /// <summary>The vault clock, as it stands.</summary>
    public VaultClock Clock => _clock ??= VaultClock.Open(KeeperPath(_folder, "clock"), _disk, _machine, _projection.TimeOfLeaves);

    /// <summary>Takes in what other processes have written.</summary>
    public void Refresh()
    {
        Store.Look();
        _log.Refresh();
        Project();
    }

    /// <summary>Commits a snapshot whose packs are durable.</summary>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>, <c>QuotaExceeded</c>, <c>PackMissing</c>, <c>DiskFull</c>.</exception>
    public CommitReceipt Commit(SnapshotObject snapshot) => Changing(() =>
    {
        if (_projection.Find(snapshot.Snapshot) is { } already)
            return new CommitReceipt((long)already.Ordinal, already.Committed, already.Expiry, _log.Prove((long)already.Ordinal));
        var bytes = snapshot.ToArray();
        var judge = new CommitJudge(Vault, _projection, Store, Clock);
        var set = Counting(RefusedRequest.Commit, Known(snapshot.Agent), () => judge.Check(snapshot, bytes));
        var policy = _projection.PolicyFor(snapshot.Source);
        var from = Clock.LockFrom;
        var size = set.Bytes;
        var earlier = _projection.Snapshots.Where(s => s.Source == snapshot.Source).ToList();
        var today = Clock.Now / RetentionPolicy.Day;
        // Places are told by vault time, as those taken before are; the lock's length counts from where no doubt about the clock can make it short.
        var expiry = from - Clock.Now + Places.Expiry(Clock.Now, policy, earlier.Select(s => new PlaceHolder(s.Committed, s.Expiry - Math.Min(s.Expiry, s.Committed), s.Attested > 0, (s.Attested > 0 || s.Committed / RetentionPolicy.Day == today) && _projection.BytesOf(s) >= size / 2)));
        var longest = Math.Min(from + _projection.Genesis!.LongestLock, LockRules.LastEnd);
        expiry = Math.Clamp(expiry, Math.Min(from + _projection.Genesis.ShortestLock, longest), longest);
        var fresh = judge.NewBytes(snapshot, set);
        Counting(RefusedRequest.Quota, snapshot.Agent, () =>
        {
            judge.CheckQuotas(snapshot, policy, fresh + bytes.Length);
            return 0;
        });

        Store.SyncNames(StoreKind.Pack, set.ToList().Select(p => p.Name).Where(n => !_projection.IsCommitted(n)));
        var name = Store.PutObject(bytes);
        var now = Clock.Now;
        var leaf = new Leaf(LeafType.Commit, now, snapshot.Snapshot, snapshot.Agent, expiry, (ulong)fresh, (ulong)set.Count, name);
        var ordinal = Append(leaf);
        return new CommitReceipt(ordinal, now, expiry, _log.Prove(ordinal));
    });

    /// <summary>Lengthens a snapshot's lock. It is never shortened: a request to do so is refused and counted in the log.</summary>
    /// <exception cref="HoldfastException"><c>LockRefused</c>, <c>LockTooLong</c>, <c>SnapshotMissing</c>.</exception>
    public void Extend(Id16 snapshot, ulong expiry, Id16 actor) => Changing(() =>
    {
        var record = _projection.Find(snapshot) ?? throw SnapshotMissing(snapshot.ToString());
        if (!record.IsRemoved && record.Object is null)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"The object of snapshot {snapshot} is missing or damaged: which packs a longer lock would hold cannot be told.",
                "Bring the object that `holdfast status` names back from another copy of the vault, then lengthen the lock; or lock another snapshot.");
        if (record.IsRemoved || _projection.PacksOf(record) is null)
            throw new HoldfastException(ErrorCode.LockRefused, $"The lock of snapshot {snapshot} has ended, and data of it has been given up: a lock would hold nothing.",
                "Lock a later snapshot (`holdfast snapshots` lists them).");
        if (expiry < record.Expiry)
        {
            Count(RefusedRequest.ShorterLock, actor);
            throw new HoldfastException(ErrorCode.LockRefused, "A lock is never shortened. The request was refused and counted; when the hour is over the log has a record of it.",
                "Name a later date, or leave the lock as it is.");
        }
        if (expiry > Math.Min(Clock.LockFrom + _projection.Genesis!.LongestLock, LockRules.LastEnd))
            throw new HoldfastException(ErrorCode.LockTooLong, "The lock asked for is longer than this vault allows.",
                $"The longest lock of this vault is {_projection.Genesis.LongestLock / RetentionPolicy.Day} days from now; that was fixed when it was made.");
        return Append(new Leaf(LeafType.LockExtension, Clock.Now, snapshot, actor, expiry, 0, 0, Hash32.None));
    });

    /// <summary>Raises a policy, for what is committed from now on. It is never weakened here: a request to do so is refused and counted.</summary>
    /// <param name="source">None: all sources that have no policy of their own.</param>
    /// <param name="raise">What it should be, given the one in force.</param>
    /// <param name="actor">Who asks.</param>
    /// <returns>False where that is in force already.</returns>
    /// <exception cref="HoldfastException"><c>LockRefused</c>, <c>LockTooLong</c>; <c>ObjectMissing</c> where the one in force cannot be read, and its leaf says nothing of it.</exception>
    public bool SetPolicy(Id16 source, Func<RetentionPolicy, RetentionPolicy> raise, Id16 actor) => Changing(() =>
    {
        if (_projection.LostPoliciesFor(source).FirstOrDefault(l => l.Told is null) is { } lost)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"Object {lost.Name}, of a policy that may be the one in force, is missing or damaged, and the log does not say what it set: what would be weaker cannot be told. Nothing was changed.",
                "Bring that object back from another copy of the vault, then set the policy. Until then each lock is as long as the log shows that one was.");
        var now = _projection.PolicyFor(source);
        var wanted = raise(now);
        if (wanted.IsWeakerThan(now))
        {
            Count(RefusedRequest.WeakerPolicy, actor);
            throw new HoldfastException(ErrorCode.LockRefused, "The policy asked for keeps something less long than the one in force, or has a smaller quota (no quota is the largest). It was refused and counted; nothing was changed.",
                "Leave every lock, place and quota as large as it is, or larger (holdfast policy show). A quota where there is none is given when the vault is made (holdfast init), and only raised later. Weakening a policy needs the approval of several people, which this version has no way to give.");
        }
        if (wanted.Longest > Math.Min(_projection.Genesis!.LongestLock, LockRules.LastEnd - Math.Min(LockRules.LastEnd, Clock.LockFrom)))
            throw new HoldfastException(ErrorCode.LockTooLong, "The policy asked for locks longer than this vault allows.",
                $"The longest lock of this vault is {_projection.Genesis.LongestLock / RetentionPolicy.Day} days from now; that was fixed when it was made.");
        if (wanted == now)
            return false;
        var policy = Id16.New();
        var (a, b, c) = LostPolicy.Tell(wanted);
        Append(new Leaf(LeafType.Policy, Clock.Now, policy, actor, a, b, c, Store.PutObject(new PolicyObject(Vault, Salt(), policy, source, wanted).ToArray())));
        return true;
    });

    /// <summary>Writes the log's files of hashes anew that are not what its leaves give.</summary>
    /// <returns>How many.</returns>
    public int MendTiles() => Changing(_log.MendTiles);

    /// <summary>Refuses a vault that this process cannot change: asked before work whose end is a leaf, such as making key material.</summary>
    /// <exception cref="HoldfastException"><c>ReadOnlyMedia</c>, <c>NoPermission</c>, <c>KeyFileBad</c>, <c>VaultBusy</c>.</exception>
    public void RequireWritable()
    {
        RequireOpen();
        Disk.RequireWritable(Path.Combine(_folder, "log"));
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        _signer ??= LogKeyFile.Read(KeeperPath(_folder, "log.key"), Vault);
    }

    /// <summary>Records something that happened; see docs/format.md, section 11.3, for which numbers a type has.</summary>
    public long Record(LeafType type, Id16 subject, Id16 actor, ulong a, ulong b, ulong c, byte[]? payload = null) => Changing(() =>
    {
        var name = payload is null ? Hash32.None : Store.PutObject(payload);
        return Append(new Leaf(type, Clock.Now, subject, actor, a, b, c, name));
    });

    /// <summary>Records what an attestation found.</summary>
    /// <param name="snapshot">Which was attested.</param>
    /// <param name="actor">Who asked for it.</param>
    /// <param name="judge">What to write, by what the log says under the vault's lock.</param>
    public AttestationObject RecordAttestation(Id16 snapshot, Id16 actor, Func<Projection, AttestationObject> judge) => Changing(() =>
    {
        var found = judge(_projection);
        Append(new Leaf(LeafType.Attestation, Clock.Now, snapshot, actor, found.IsFull ? 2u : 1u, found.BytesRead,
            (ulong)found.Defects.Count + (found.IsGood || found.Defects.Count > 0 ? 0u : 1u), Store.PutObject(found.ToArray())));
        return found;
    });

    /// <summary>Begins a key epoch. Looked at under the vault's lock: of two rotations at once one wins, and the other has changed nothing.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c> where <paramref name="epoch"/> is not the next one any more.</exception>
    public long BeginEpoch(uint epoch, byte[] keyring) => Changing(() => _projection.KeyEpoch + 1 == epoch
        ? Append(new Leaf(LeafType.KeyEpoch, Clock.Now, Id16.New(), Id16.None, epoch, 0, 0, Store.PutObject(keyring)))
        : throw new HoldfastException(ErrorCode.WrongKey, $"The vault is in key epoch {_projection.KeyEpoch} already: another rotation was first, and this one has changed nothing.",
            "Go on with the key files of that rotation; with them a further one can be begun. The old ones open what was backed up before it."));

    /// <summary>Adds a folder, best on another disk, to the vault while it is in use.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>WrongVault</c>, <c>TargetNotEmpty</c>: another kind of folder; nothing was changed.</exception>
    public void AddFolder(string folder) => Changing(() =>
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var extra = FolderList.Read(_folder).ToList();
        StorePlace.Require(folder, [_folder, .. extra], Vault);
        if (extra.Count >= FolderList.Most)
            throw new HoldfastException(ErrorCode.Usage, $"A vault has at most {FolderList.Most} folders besides its own.", "Add a larger disk, and retire small ones (docs/manual/operate.md, A folder or disk more).");
        if (!FolderOwner.IsAnothers(_folder) && FolderOwner.IsAtMercy(folder))
            throw new HoldfastException(ErrorCode.NoPermission, "The folder lies in one of another user's, who could put another in its place while root changes it.", "Name a folder in folders of root's own, or run this as that user, with a vault of that user's.");
        FolderOwner.Know(folder, like: _folder);
        MakeShelf(folder);
        FolderStore.Create(folder, _disk);
        _disk.Replace(Path.Combine(folder, VaultFile.Name), File.ToArray());
        FolderList.Write(_folder, extra.Append(folder), _disk);
        return Append(new Leaf(LeafType.StoreChanged, Clock.Now, Id16.New(), Id16.None, 1, 0, 0, Hash32.None));
    });

    void MakeShelf(string folder)
    {
        try
        {
            _disk.MakeFolder(folder);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.NoPermission)
        {
            throw new HoldfastException(e.Code, "The folder cannot be made there by the user who owns the vault, who would have to write to it.",
                "Make it for that user (sudo install -d -o USER FOLDER), then run this again.", e);
        }
    }

    /// <summary>Says where a folder of the vault lies now, or that what it held lies in the others. Changes the list of folders alone: no leaf, so that a copy without the log's key can be told too.</summary>
    /// <param name="old">As the list has it.</param>
    /// <param name="folder">Of this vault; null: the line goes.</param>
    /// <param name="check">Gets the folders as they would be, before anything is changed.</param>
    internal void MoveFolder(string old, string? folder, Action<IReadOnlyList<string>> check)
    {
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        var extra = FolderList.Read(_folder).ToList();
        var at = extra.FindIndex(f => FolderPath.Real(f) == FolderPath.Real(old));
        if (at < 0)
            throw new HoldfastException(ErrorCode.Usage, "That is none of the vault's further folders.", "`holdfast store list` shows them; name it as it is written there. The vault's first folder is simply named with --vault, wherever it lies.");
        extra.RemoveAt(at);
        if (folder is not null)
            extra.Insert(at, folder);
        Refresh(); // what was committed meanwhile is needed too
        check([_folder, .. extra]);
        FolderList.Write(_folder, extra, _disk);
    }

    /// <summary>Removes what no lock has held for 14 days by every source of time; nothing else is ever removed.</summary>
    /// <param name="dryRun">Only says what would go.</param>
    public ExpiryResult Expire(bool dryRun)
    {
        if (dryRun)
            return new Expiry(_projection, Store, Clock, KeeperPath(_folder, "unclaimed"), _disk).Plan(note: false);
        return Changing(() =>
        {
            var expiry = new Expiry(_projection, Store, Clock, KeeperPath(_folder, "unclaimed"), _disk);
            var plan = expiry.Plan(note: true);
            if (plan.Names.Count > 0)
            {
                // The leaf goes first: what it names is given up from here on, and a crash leaves files that the next run removes.
                var list = new ExpiryList(Vault, Salt(), plan.Names).ToArray();
                Append(new Leaf(LeafType.Expiry, Clock.Now, Id16.New(), Id16.None, Clock.Now, (ulong)plan.Bytes, (ulong)plan.Names.Count(n => n.Kind == StoreKind.Pack), Store.PutObject(list)));
            }
            return plan with { Stuck = expiry.Remove() };
        });
    }

    /// <summary>True where the vault's files have been made immutable.</summary>
    public bool IsGuarded => OperatingSystem.IsLinux() && FileFlags.IsImmutable(Path.Combine(_folder, VaultFile.Name));

    /// <summary>Parent for the next snapshot of a source: its newest one that is still there.</summary>
    public SnapshotRecord? Newest(Id16 source) => _projection.Snapshots.LastOrDefault(s => s.Source == source && s.Object is not null && !s.IsRemoved);

    /// <summary>The pack set of a new snapshot as it should be told: the difference to its parent's, or, every 64 snapshots and where there is no parent, or one that is wrong about sizes, all of it.</summary>
    public PackSetDelta Tell(PackSet set, SnapshotRecord? parent) =>
        parent is not null && _projection.DifferencesTo(parent, CommitJudge.MaxDifferences) < CommitJudge.MaxDifferences && !_projection.HasOtherSizes(parent) && _projection.PacksOf(parent) is { } known
            ? set.DeltaFrom(known) : set.Whole();

    internal static Hash32 Salt()
    {
        Span<byte> salt = stackalloc byte[Hash32.Size];
        RandomNumberGenerator.Fill(salt);
        return new Hash32(salt);
    }

    internal static HoldfastException SnapshotMissing(string which) => new(ErrorCode.SnapshotMissing, $"There is no snapshot {which} in this vault.",
        "`holdfast snapshots` lists what there is; a snapshot may be named by the first letters of its id, as `latest`, or as `latest~1` for the one before (~2 and so on).");

    /// <summary>Only ids that the log enrolled: others can be made up without end.</summary>
    Id16 Known(Id16 agent) => _projection.Agent(agent) is null ? Id16.None : agent;

    /// <summary>Counts a refusal of what is looked at.</summary>
    T Counting<T>(RefusedRequest request, Id16 identity, Func<T> look)
    {
        try
        {
            return look();
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.CommitRefused or ErrorCode.QuotaExceeded)
        {
            Count(request, identity);
            throw;
        }
    }

    void Count(RefusedRequest request, Id16 identity) => _refusals.Add(new RefusalKey(identity, request, Clock.Now / RefusalKey.Length * RefusalKey.Length));

    /// <summary>Puts the counts of hours that are over into the log. Should it end between leaf and note, the next time finds the leaf.</summary>
    void TellRefusals()
    {
        var counts = _refusals.Read();
        var over = counts.Keys.Where(k => k.IsOver(Clock.Now)).ToList();
        if (over.Count == 0)
            return;
        foreach (var key in over)
        {
            counts.Remove(key, out var count);
            if (!_projection.Tells(key))
                Append(new Leaf(LeafType.Refusals, Clock.Now, key.Identity, Id16.None, (ulong)key.Request, key.Hour, count, Hash32.None));
        }
        _refusals.Write(counts);
    }

    long Append(Leaf leaf)
    {
        _signer ??= LogKeyFile.Read(KeeperPath(_folder, "log.key"), Vault);
        var bytes = leaf.ToArray();
        var ordinal = _log.Append([bytes], _signer);
        Project();
        return ordinal;
    }

    void RequireOpen()
    {
        if (Closed is { } closed)
            throw new HoldfastException(closed.Code, closed.Message, closed.Guidance);
    }

    /// <summary>Runs one change under the vault's lock, on the newest state; a full disk gets the reserve's room and one more try.</summary>
    T Changing<T>(Func<T> change)
    {
        RequireOpen();
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        _clock = null;
        Refresh();
        _ = Clock;
        T result;
        try
        {
            TellRefusals();
            result = change();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull && ReserveOf(_folder, _disk).Release())
        {
            Reopen();
            try
            {
                TellRefusals();
                result = change();
            }
            catch
            {
                Reopen();
                throw;
            }
        }
        catch
        {
            Reopen(); // what is in memory may be ahead of what is on disk
            throw;
        }
        Clock.Save();
        ReserveOf(_folder, _disk).Make(_projection.Genesis!.Reserve);
        return result;
    }

    void Reopen()
    {
        try
        {
            _log = MerkleLog.Open(Path.Combine(_folder, "log"), _disk, _log.Key);
            _projection = new Projection(Store);
            Project();
        }
        catch (HoldfastException)
        {
            // The fault that led here is the one to tell.
        }
    }

    void Project()
    {
        ApplyAll();
        if (_projection.IsTimeBack)
        {
            _projection = new Projection(Store, TimesAfterExpiries());
            ApplyAll();
        }
    }

    void ApplyAll()
    {
        while ((long)_projection.Size < _log.Size)
            _projection.Apply(_log.Leaf((long)_projection.Size));
    }

    /// <summary>By the ordinal of each expiry leaf, the earliest time that a leaf after it has.</summary>
    Dictionary<ulong, ulong> TimesAfterExpiries()
    {
        var (times, earliest) = (new Dictionary<ulong, ulong>(), ulong.MaxValue);
        for (var at = _log.Size - 1; at >= 0; at--)
        {
            if (!Leaf.TryParse(_log.Leaf(at), out var leaf))
                continue;
            if (leaf.Type == LeafType.Expiry)
                times[(ulong)at] = earliest;
            earliest = Math.Min(earliest, leaf.VaultTime);
        }
        return times;
    }

    public void Dispose() => _signer?.Dispose();
}
