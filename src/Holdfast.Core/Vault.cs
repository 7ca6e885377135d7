using Holdfast.Core.Backup;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>How a new vault is made.</summary>
/// <param name="Kind">Real, or a trial.</param>
/// <param name="Policy">What commits get at first.</param>
/// <param name="ShortestLock">Seconds.</param>
/// <param name="LongestLock">Seconds.</param>
/// <param name="Reserve">Bytes kept free for the keeper.</param>
public sealed record NewVault(VaultKind Kind, RetentionPolicy Policy, ulong ShortestLock, ulong LongestLock, ulong Reserve)
{
    /// <summary>Whose cosignatures count for its log, until approvers put others in their place.</summary>
    public IReadOnlyList<Log.CosignerKey> Witnesses { get; init; } = [];

    /// <summary>By which law or rule locks may be as long as they may; null for none.</summary>
    public string? LegalBasis { get; init; }

    /// <summary>Who approves what weakens protection.</summary>
    public Approvals.ApproverSet Approvers { get; init; } = Approvals.ApproverSet.Nobody;
}

/// <summary>The keys that come with a new vault. None of them is in it.</summary>
public sealed record NewVaultKeys(PutKey Put, AgentKey Agent, SecretBytes OpeningSeed) : IDisposable
{
    public void Dispose()
    {
        Put.Dispose();
        Agent.Dispose();
        OpeningSeed.Dispose();
    }
}

/// <summary>A vault: the front door to everything the engine does. For one thread at a time; several processes may have one vault open.</summary>
public sealed partial class Vault : IDisposable
{
    DirectoryInfo? _temporary;

    Vault(VaultKeeper keeper) => Keeper = keeper;

    public VaultKeeper Keeper { get; }
    public Id16 Id => Keeper.Vault;
    public Projection State => Keeper.State;

    /// <summary>Bytes of memory the chunk index may use.</summary>
    public long IndexCeiling { get; set; } = ChunkIndex.DefaultCeiling;

    /// <summary>Makes a vault and its keys.</summary>
    /// <param name="folder">Empty or absent; what a making that was cut short has left may be in it.</param>
    /// <param name="settings">What it is bound to.</param>
    /// <param name="keep">Keeps the keys, durably: called before the folder becomes a vault. Killed between the two, there are keys that open nothing, never a vault that nobody opens.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="place">The object store that packs and objects go to; null for the vault's own folder.</param>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>TargetNotEmpty</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>DiskFull</c>; whatever <paramref name="keep"/> throws, and then there is no vault.</exception>
    public static (Vault Vault, NewVaultKeys Keys) Create(string folder, NewVault settings, Action<NewVaultKeys> keep, Disk? disk = null, IMachineTime? machine = null, ObjectStorePlace? place = null)
    {
        machine ??= MachineTime.System;
        var id = Id16.New();
        var domain = DomainKeys.Create();
        var seed = SecretBytes.Random(OpeningKeyFile.SeedSize);
        var sealing = Enum.GetValues<KeyClass>().Select(c => SealingKey.Create(seed, id, 1, domain.Domain, c, Id16.None)).ToList();
        var keyring = Keyring.Create(id, 1, machine.Wall / 1_000, seed, sealing, [domain], new Dictionary<uint, SecretBytes>());
        var agent = AgentKey.Create(id);
        var writer = Id16.New();
        var genesis = new Genesis
        {
            Salt = Hash32.None,
            Vault = id,
            Kind = settings.Kind,
            Created = 0,
            ShortestLock = settings.ShortestLock,
            LongestLock = settings.LongestLock,
            Policy = settings.Policy,
            Reserve = settings.Reserve,
            LogKey = "",
            Domains = [domain.Domain],
            Quorum = settings.Approvers.Quorum,
            Approvers = [.. settings.Approvers.People.Select(p => (p.Id, p.PublicKey))],
            Witnesses = [.. settings.Witnesses.Select(w => w.ToString())],
            TimeSources = [],
            LegalBasis = settings.LegalBasis,
            SuccessionKey = settings.Approvers.IsNobody ? null : SuccessionOf(seed, id),
        };
        NewVaultKeys? keys = null;
        try
        {
            var keeper = VaultKeeper.Create(folder, genesis, keyring,
                [
                    new Enrolment(id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent.Agent, 1, agent.Signer.PublicKey.ToArray(), domain.Domain),
                    new Enrolment(id, VaultKeeper.Salt(), EnrolmentKind.Writer, writer, 1, new byte[Ed25519Signer.PublicKeySize], domain.Domain),
                ],
                FormatDocument.Text, logKey => keep(keys = new NewVaultKeys(new PutKey(id, logKey, domain, sealing, writer, 1), agent, seed)), disk ?? Disk.Real, machine, place);
            return (new Vault(keeper), keys!);
        }
        catch
        {
            domain.Dispose();
            agent.Dispose();
            seed.Dispose();
            throw;
        }
    }

    static byte[] SuccessionOf(SecretBytes seed, Id16 vault)
    {
        using var signer = Approvals.SuccessionKey.Of(seed, vault);
        return signer.PublicKey.ToArray();
    }

    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>LogDamaged</c>, <c>LogForked</c>, <c>NoPermission</c>, <c>FormatNewer</c>.</exception>
    public static Vault Open(string folder, Disk? disk = null, IMachineTime? machine = null, Func<Log.Checkpoint?>? seen = null, IObjectStores? stores = null) => new(VaultKeeper.Open(folder, disk, machine, seen, stores));

    /// <summary>Refuses keys of another vault, and a log signed by another key than these name.</summary>
    /// <exception cref="HoldfastException"><c>WrongVault</c>, <c>LogForked</c>.</exception>
    public void Require(PutKey put)
    {
        if (put.Vault != Id)
            throw WrongVault();
        if (put.LogKey != Keeper.File.LogKey)
            throw new HoldfastException(ErrorCode.LogForked, "The vault's log is signed by another key than the put key file names.",
                "Someone may have put another vault in its place. Do not back up to it before you know.");
    }

    HoldfastException WrongVault() => new(ErrorCode.WrongVault, $"This key is of another vault; the vault here is {Id}.", "Use the key files that were made with this vault (--keys FOLDER).");

    /// <summary>Backs up a source: walk, chunks, packs, tree, commit.</summary>
    /// <exception cref="HoldfastException">See docs/errors.md; nothing is committed then, and what was stored is used by the next run.</exception>
    public BackupResult BackUp(ISource source, BackupRequest request, PutKey put, AgentKey agent, BackupProgress progress, CancellationToken ct)
    {
        Require(put);
        if (agent.Vault != Id)
            throw WrongVault();
        using var index = OpenIndexForBackup(put.Domain, ct);
        try
        {
            return BackupRun.Run(Keeper, index, source, request, put, agent, progress, ct);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.IndexDamaged)
        {
            throw Emptied(index, e, "Run the backup again.");
        }
    }

    /// <summary>Begins a session: the chunk index without what no backup builds on.</summary>
    internal ChunkIndex OpenIndexForBackup(DomainKeys domain, CancellationToken ct)
    {
        Keeper.BeginSession();
        var index = OpenIndex(domain, ct);
        try
        {
            LeaveOutDamaged(index, domain);
            return index;
        }
        catch
        {
            index.Dispose();
            throw;
        }
    }

    /// <summary>Reads packs and objects and checks them: names without keys, contents with them.</summary>
    /// <param name="keys">Null: names only.</param>
    /// <param name="choose">Which packs; null for all.</param>
    /// <param name="progress">How far it is.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="ct">Stops it.</param>
    public VerifyResult Verify(ReadingKeys? keys, Func<Hash32, bool>? choose, VerifyProgress progress, int threads, CancellationToken ct)
    {
        return new Verifier(Keeper.Store, keys, EndsOf(keys), progress, threads > 0 ? threads : Environment.ProcessorCount + 1, ct).Run(Needed, choose, Note);
    }

    HashSet<(StoreKind, Hash32)> Needed()
    {
        if (Keeper.LogFault is null)
            Keeper.Refresh();
        var (packs, objects) = VaultHealth.Needed(Keeper);
        return [.. packs.Keys.Select(p => (StoreKind.Pack, p)), .. objects.Select(o => (StoreKind.Object, o))];
    }

    Dictionary<Hash32, Id16> EndsOf(ReadingKeys? keys) =>
        (keys?.Domains ?? []).SelectMany(d => ChunkIndex.Ends(IndexFolder(d.Domain), Id, d)).GroupBy(e => e.Key).ToDictionary(e => e.Key, e => e.First().Value);

    /// <summary>Re-opens a snapshot and logs what it found.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: these keys do not open it, and another may.</exception>
    public AttestationObject Attest(SnapshotRecord record, ReadingKeys keys, bool full, Id16 actor, CancellationToken ct) => Attest(record, keys, full ? AttestationDepth.Full : AttestationDepth.Sample, actor, ct);

    /// <inheritdoc cref="Attest(SnapshotRecord, ReadingKeys, bool, Id16, CancellationToken)"/>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open both of its classes.</param>
    /// <param name="depth">How much of it.</param>
    /// <param name="actor">The clean room; none for a person.</param>
    /// <param name="ct">Stops it.</param>
    /// <param name="progress">Told how much was read of packs that are opened.</param>
    public AttestationObject Attest(SnapshotRecord record, ReadingKeys keys, AttestationDepth depth, Id16 actor, CancellationToken ct, VerifyProgress? progress = null)
    {
        var snapshot = Whole(record);
        var domain = keys.Domain(snapshot.Domain);
        using var index = OpenIndex(domain, ct);
        try
        {
            return Attest(record, snapshot, index, domain, keys, depth, actor, progress ?? new VerifyProgress(), ct);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.IndexDamaged)
        {
            throw Emptied(index, e, "Attest the snapshot again.");
        }
    }

    AttestationObject Attest(SnapshotRecord record, SnapshotObject snapshot, ChunkIndex index, DomainKeys domain, ReadingKeys keys, AttestationDepth depth, Id16 actor, VerifyProgress progress, CancellationToken ct)
    {
        TellEpoch(keys);
        var isOpened = depth is not (AttestationDepth.SampleAndPacks or AttestationDepth.FullAndPacks) || OpenPacks(record, keys, progress, ct);
        var known = LastReads();
        var damaged = known.Damaged.Keys.ToHashSet();
        AttestationObject found;
        IReadOnlyList<Hash32> doubtful, elsewhere;
        do
        {
            using var chunks = new ChunkReader(Keeper.Store, index, keys, domain);
            var attestor = new Attestor(Keeper, chunks, keys, known, damaged, ct);
            found = attestor.Attest(record, snapshot, depth);
            Note(attestor.Found(found.IsFull)); // dedup does not build on what is damaged from now on
            (doubtful, elsewhere) = (attestor.Doubtful, attestor.Elsewhere);
            damaged.UnionWith(doubtful);
        }
        while (found.IsHealed && doubtful.Count > 0); // once more without them
        if (!isOpened && found.Defects.Count == 0) // when they were asked for: by now they are there, and nobody looked into them
            throw new HoldfastException(ErrorCode.StoreUnavailable, $"Not every pack of snapshot {record.Snapshot} could be opened: some were not there, or not as they were written, for a while.", "Attest the snapshot again. Where it goes on, look at the disks of the vault (dmesg shows what the system saw). Nothing was recorded.") { IsTransient = true };
        if (found.Defects.Count > 0)
            RequireThere(record, found);
        try
        {
            return Keeper.RecordAttestation(record.Snapshot, actor, found, elsewhere);
        }
        catch (HoldfastException e) when (!found.IsGood)
        {
            throw new HoldfastException(e.Code, $"Defects were found ({found.Defects.Count}), and the log has no record of them: {e.Message}", e.Guidance, e) { IsTransient = e.IsTransient };
        }
    }

    /// <summary>What an expiry removed while it was read is no defect.</summary>
    void RequireThere(SnapshotRecord record, AttestationObject found)
    {
        if (Keeper.LogFault is null)
            Keeper.Refresh();
        if (State.Find(record.Snapshot) is { IsRemoved: false } && !found.Defects.Any(d => d.Kind == AttestationDefect.PackMissing && State.WasRemoved(StoreKind.Pack, d.Name)))
            return;
        throw new HoldfastException(ErrorCode.SnapshotMissing, $"Snapshot {record.Snapshot}, or what it needs, expired while it was attested. Nothing was recorded.", "Nothing is to be done: its lock was over.");
    }

    /// <summary>What is known to be wrong, without reading a pack.</summary>
    public VaultHealth Health() => VaultHealth.Of(Keeper, LastReads());

    /// <summary>Who wrote a pack, as its header says; null where that cannot be read.</summary>
    public (Id16 Writer, uint Epoch)? WriterOf(Hash32 pack) => HeaderOf(pack) is { } header ? (header.Writer, header.WriterEpoch) : null;

    internal Packs.PackHeader? HeaderOf(Hash32 pack) => Packs.PackHeader.Read(Keeper.Store, pack);

    public void Dispose()
    {
        Keeper.Dispose();
        try
        {
#pragma warning disable RS0030 // our own temporary folder, with a cache
            _temporary?.Delete(recursive: true);
#pragma warning restore RS0030
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A cache that nobody can read but its owner stays behind.
        }
    }
}
