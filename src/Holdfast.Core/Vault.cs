using System.Globalization;
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
public sealed record NewVault(VaultKind Kind, RetentionPolicy Policy, ulong ShortestLock, ulong LongestLock, ulong Reserve);

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
public sealed class Vault : IDisposable
{
    DirectoryInfo? _temporary;

    Vault(VaultKeeper keeper) => Keeper = keeper;

    public VaultKeeper Keeper { get; }
    public Id16 Id => Keeper.Vault;
    public Projection State => Keeper.State;

    /// <summary>Bytes of memory the chunk index may use.</summary>
    public long IndexCeiling { get; init; } = ChunkIndex.DefaultCeiling;

    /// <summary>Makes a vault and its keys.</summary>
    /// <param name="folder">Empty or absent; what a making that was cut short has left may be in it.</param>
    /// <param name="settings">What it is bound to.</param>
    /// <param name="keep">Keeps the keys, durably: called before the folder becomes a vault. Killed between the two, there are keys that open nothing, never a vault that nobody opens.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>TargetNotEmpty</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>DiskFull</c>; whatever <paramref name="keep"/> throws, and then there is no vault.</exception>
    public static (Vault Vault, NewVaultKeys Keys) Create(string folder, NewVault settings, Action<NewVaultKeys> keep, Disk? disk = null, IMachineTime? machine = null)
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
            Quorum = 0,
            Approvers = [],
            Witnesses = [],
            TimeSources = [],
        };
        NewVaultKeys? keys = null;
        try
        {
            var keeper = VaultKeeper.Create(folder, genesis, keyring,
                [
                    new Enrolment(id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent.Agent, 1, agent.Signer.PublicKey.ToArray(), domain.Domain),
                    new Enrolment(id, VaultKeeper.Salt(), EnrolmentKind.Writer, writer, 1, new byte[Ed25519Signer.PublicKeySize], domain.Domain),
                ],
                FormatDocument.Text, logKey => keep(keys = new NewVaultKeys(new PutKey(id, logKey, domain, sealing, writer, 1), agent, seed)), disk ?? Disk.Real, machine);
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

    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>LogDamaged</c>, <c>LogForked</c>, <c>NoPermission</c>, <c>FormatNewer</c>.</exception>
    public static Vault Open(string folder, Disk? disk = null, IMachineTime? machine = null, Func<Log.Checkpoint?>? seen = null) => new(VaultKeeper.Open(folder, disk, machine, seen));

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
        Keeper.Refresh();
        Keeper.Store.SweepStaging(); // before anything is written: a run that was killed for want of room gives it back
        using var index = OpenIndex(put.Domain, ct);
        index.Drop(DamagedPacks());
        try
        {
            return BackupRun.Run(Keeper, index, source, request, put, agent, progress, ct);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.IndexDamaged)
        {
            ForgetIndex();
            throw new HoldfastException(e.Code, "The chunk index was damaged. It has been emptied, and is made anew from the packs.", "Run the backup again.", e) { IsTransient = true };
        }
    }

    /// <summary>Says where a folder of the vault lies now: after its disk was replaced, or in a copy of the vault. One that is among the vault's folders already has taken in what the old one held.</summary>
    /// <returns>True where the list is one folder shorter.</returns>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>TargetMissing</c>, <c>WrongVault</c>; <c>PackMissing</c>: something that is needed would not be found any more. Nothing was changed then.</exception>
    public bool MoveFolder(string old, string folder)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var isMerged = Keeper.Store.Folders.Any(f => FolderPath.Real(f) == FolderPath.Real(folder) && FolderPath.Real(f) != FolderPath.Real(old));
        if (!isMerged)
            StorePlace.RequireOf(folder, Id);
        Keeper.MoveFolder(old, isMerged ? null : folder, folders =>
        {
            var after = new FolderStore(folders);
            var needed = VaultHealth.Needed(Keeper);
            var lost = needed.Packs.Keys.Count(p => IsLost(StoreKind.Pack, p)) + needed.Objects.Count(o => IsLost(StoreKind.Object, o));
            if (lost > 0)
            {
                throw new HoldfastException(ErrorCode.PackMissing, $"{lost} files that the vault needs lie in the old folder and would not be found any more. Nothing was changed.",
                    "Copy them first (rsync -a --ignore-existing OLD/packs OLD/objects NEW/), then run this again.");
            }

            bool IsLost(StoreKind kind, Hash32 name) => SizesOf(Keeper.Store, kind, name).Except(SizesOf(after, kind, name)).Any(); // one cut short is none

            static IEnumerable<long> SizesOf(FolderStore store, StoreKind kind, Hash32 name) => store.FindAll(kind, name).Select(p => new FileInfo(p).Length);
        });
        return isMerged;
    }

    /// <summary>Opens the newest keyring that the opening seed opens: an older epoch's seed opens what was sealed up to then.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c>.</exception>
    public OpeningKeys Unlock(SecretBytes seed)
    {
        HoldfastException? fault = null;
        foreach (var name in State.Keyrings.Reverse())
        {
            try
            {
                if (!Keyring.TryParse(Keeper.Store.ReadObject(name), out var keyring))
                    throw new HoldfastException(ErrorCode.ObjectDamaged, "The vault's keyring cannot be read.", "Bring the object it names back from another copy of the vault.");
                return OpeningKeys.Open(keyring!, seed);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.WrongKey or ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing)
            {
                fault ??= e;
            }
        }
        throw fault!;
    }

    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch.</exception>
    public void RequireNewest(OpeningKeys keys)
    {
        if (keys.Keyring.Epoch != State.KeyEpoch)
            throw new HoldfastException(ErrorCode.WrongKey, $"This opening key is of epoch {keys.Keyring.Epoch}; the vault is in epoch {State.KeyEpoch}.", "Rotate with the newest opening key, and the secret that opens it.");
    }

    /// <summary>Starts a new key epoch: new data is sealed to new keys. The new seed opens everything; the old one what was sealed up to now.</summary>
    /// <param name="keys">Of the newest epoch.</param>
    /// <param name="put">A put key, which gets the new public keys; null where it lies elsewhere, and goes on sealing to the old epoch.</param>
    /// <param name="keep">Keeps the new seed where it will be found again, before anything is sealed to it: a seed that exists only in memory would lock everybody out.</param>
    /// <returns>The new epoch, and the put key that goes on with it.</returns>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch, or another rotation was first.</exception>
    public (uint Epoch, PutKey? Put) Rotate(OpeningKeys keys, PutKey? put, Action<SecretBytes, uint> keep)
    {
        Keeper.Refresh();
        RequireNewest(keys);
        var epoch = keys.Keyring.Epoch + 1;
        using var seed = SecretBytes.Random(OpeningKeyFile.SeedSize);
        keep(seed, epoch);
        var fresh = keys.Keyring.SealingKeys.Select(k => (k.Domain, k.Class, k.Source)).Distinct().Select(k => SealingKey.Create(seed, Id, epoch, k.Domain, k.Class, k.Source)).ToList();
        List<SealingKey> all = [.. keys.Keyring.SealingKeys, .. fresh];
        Keeper.BeginEpoch(epoch, Keyring.Create(Id, epoch, Keeper.Clock.Now, seed, all, keys.Domains, keys.Seeds));
        return (epoch, put is null ? null : put with { SealingKeys = [.. all.Where(k => k.Domain == put.Domain.Domain)] });
    }

    /// <summary>Enrols a new writer and agent, for another machine or in place of lost key files.</summary>
    /// <param name="keys">Opening keys.</param>
    /// <param name="keep">Keeps the new keys, durably, before the log has them: an enrolment whose key was lost on the way would stand there for good.</param>
    public (PutKey Put, AgentKey Agent) IssueKeys(OpeningKeys keys, Action<PutKey, AgentKey> keep)
    {
        var domain = keys.Domains.First();
        var agent = AgentKey.Create(Id);
        var writer = Id16.New();
        var put = new PutKey(Id, Keeper.File.LogKey, Copy(domain), [.. keys.Keyring.SealingKeys.Where(k => k.Domain == domain.Domain)], writer, 1);
        keep(put, agent);
        Keeper.Record(LeafType.AgentEnrolled, agent.Agent, Id16.None, 1, 0, 0,
            new Enrolment(Id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent.Agent, 1, agent.Signer.PublicKey.ToArray(), domain.Domain).ToArray());
        Keeper.Record(LeafType.WriterEnrolled, writer, Id16.None, 1, 0, 1,
            new Enrolment(Id, VaultKeeper.Salt(), EnrolmentKind.Writer, writer, 1, new byte[Ed25519Signer.PublicKeySize], domain.Domain).ToArray());
        return (put, agent);
    }

    /// <summary>Logs that a key for an unattended job is out, then gives it. In this order: should its file not get written, `status` lists one key too many, never one too few.</summary>
    /// <param name="keys">What it is cut from.</param>
    /// <param name="keyClass">What it opens.</param>
    /// <param name="source">Of this source only, as it is today; null for the whole domain.</param>
    /// <param name="expiry">When it should be replaced, seconds since 1970.</param>
    public ScopedKeys CutKey(OpeningKeys keys, KeyClass keyClass, Id16? source, ulong expiry)
    {
        var seeds = new Dictionary<Id16, SecretBytes>();
        var objects = new Dictionary<Id16, SecretBytes>();
        if (source is null)
        {
            foreach (var key in keys.Keyring.SealingKeys.Where(k => k.Class == keyClass && keys.Seeds.ContainsKey(k.Epoch)))
                seeds[key.KeyId] = SealingKey.Seed(keys.Seeds[key.Epoch], Id, key.Epoch, key.Domain, key.Class, key.Source);
        }
        else
        {
            CutObjects(keys, keyClass, source.Value, objects);
        }
        var packs = source is null ? ScopedKeyRecord.AllPacks : (ulong)objects.Keys.Except(State.Snapshots.Select(s => s.Snapshot)).Count();
        var scoped = new ScopedKeys(Id, Id16.New(), keyClass, expiry, keys.Domains.Select(Copy), seeds, objects);
        Keeper.Record(LeafType.ScopedKey, scoped.Key, Id16.None, (ulong)keyClass, expiry, packs);
        return scoped;
    }

    /// <summary>The keys of the packs and sections that a source's snapshots need today, and of nothing else.</summary>
    void CutObjects(OpeningKeys keys, KeyClass keyClass, Id16 source, Dictionary<Id16, SecretBytes> objects)
    {
        var records = State.Snapshots.Where(s => !s.IsRemoved && s.Source == source).ToList();
        foreach (var record in records)
        {
            if (record.Object is null)
                continue;
            var snapshot = Whole(record);
            foreach (var section in snapshot.Sections.Where(s => s.Number != SnapshotSection.References && SnapshotSection.ClassOf(s.Number) == keyClass))
                objects[record.Snapshot] = keys.SectionKey(snapshot.SealOf(section), section.Number, record.Snapshot);
        }
        foreach (var name in records.SelectMany(s => State.PacksOf(s)?.ToList() ?? []).Select(p => p.Name).Distinct())
        {
            using var pack = Packs.PackReader.OpenFooter(Keeper.Store, name, Id, keys.Domains.First());
            if (pack.Header.Seal.Class == keyClass)
                objects[pack.Header.Salt] = keys.PackKey(pack.Header.Seal, pack.Header.Salt) ?? throw Unreadable();
        }
    }

    static DomainKeys Copy(DomainKeys domain)
    {
        var bytes = new Codec.ByteWriter();
        domain.Write(bytes);
        var reader = new Codec.ByteReader(bytes.Span);
        return DomainKeys.TryRead(ref reader, out var copy) ? copy! : throw new InvalidOperationException("Domain keys read what they write.");
    }

    /// <summary>Finds a snapshot by id, by the first letters of its id, as "latest", or as "latest~1" for the one before that (~2 and so on); of one source where it is given.
    /// "latest" counts every snapshot that a listing shows: one that cannot be read is never passed over in silence for an older one.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotMissing</c>; <c>ObjectMissing</c> where "latest" or "latest~N" is one that cannot be read, or may be.</exception>
    public SnapshotRecord Find(string which, Id16? source = null)
    {
        var all = State.Snapshots.Where(s => !s.IsRemoved).ToList();
        var there = all.Where(s => source is null || s.Source == source).ToList();
        if (which == "latest" || which.StartsWith("latest~", StringComparison.Ordinal))
        {
            var before = 0;
            if (there.Count == 0 && Keeper.LogFault is { } damaged)
                throw damaged;
            if ((which != "latest" && !int.TryParse(which["latest~".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out before)) || before >= there.Count)
                throw VaultKeeper.SnapshotMissing(which);
            var chosen = there[there.Count - 1 - before];
            // Of which source a snapshot is, its object says: one without may be of any.
            var unread = chosen.Object is null ? chosen : all.LastOrDefault(s => s.Object is null && s.Ordinal > chosen.Ordinal && source is not null);
            if (Keeper.Log.IsCutShort || Keeper.Log.Lost.Any(l => (ulong)l > chosen.Ordinal))
                throw new HoldfastException(ErrorCode.LogDamaged, $"`{which}` would be snapshot {chosen.Snapshot} of {Moment(chosen.Committed)}; but the log is damaged after it, and may have named a newer one. It was not taken in its place.",
                    "Bring the log back from another copy of the vault. Where this state will do, ask for it by its id; `holdfast snapshots` lists those that are known.");
            return unread is null ? chosen : throw Unread(which, unread, there);
        }
        var found = there.Where(s => s.Snapshot.ToString().StartsWith(which, StringComparison.OrdinalIgnoreCase)).ToList();
        return found.Count == 1 && which.Length > 0 ? found[0] : throw VaultKeeper.SnapshotMissing(found.Count > 1 ? $"{which} (it fits {found.Count}; give more letters)" : source is null ? which : $"{which} of that source");
    }

    /// <summary>What comes before all other advice on something that is missing.</summary>
    string AwayFirst => Keeper.Store.Away is { Count: > 0 } away ? $"A folder of the vault is not there ({string.Join(", ", away)}): mount its disk, or say where it is now (`holdfast store move OLD NEW`), and run this again. If that is not it: " : "";

    HoldfastException Unread(string which, SnapshotRecord unread, List<SnapshotRecord> there)
    {
        var older = there.FindLastIndex(s => s.Object is not null && s.Ordinal < unread.Ordinal);
        // Among snapshots of one source, one that may be of it has no number.
        var number = there.Contains(unread) ? $", or as latest~{there.Count - 1 - older}" : "";
        return new HoldfastException(ErrorCode.ObjectMissing,
            $"`{which}` {(there.Contains(unread) ? "is" : "may be")} snapshot {unread.Snapshot} of {Moment(unread.Committed)}, and its object is missing or damaged. No older snapshot was taken in its place.",
            AwayFirst + (older < 0 ? "There is no older one. " : $"The one before is {there[older].Snapshot} of {Moment(there[older].Committed)}: where an older state will do, ask for it by that id{number}. ")
            + "For this one, bring the object that `holdfast status` names back from another copy of the vault.");
    }

    static string Moment(ulong seconds) => DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(seconds, 253_402_300_799)).ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) + " UTC";

    /// <summary>The sealed description of a snapshot.</summary>
    public TreeSection Describe(SnapshotRecord record, ReadingKeys keys) =>
        TreeSection.TryParse(Whole(record).Open(SnapshotSection.Tree, keys), out var tree) ? tree! : throw Unreadable();

    /// <summary>Told why a snapshot is not what its leaf and its agent's signature say, and it is read all the same. Null: it is refused.</summary>
    public Action<string>? Unverified { get; set; }

    /// <summary>Opens a snapshot to read it, and checks who vouches for it.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotRefused</c>, and as <see cref="Describe"/>.</exception>
    TreeSection Checked(SnapshotRecord record, ReadingKeys keys, bool packs)
    {
        var tree = Describe(record, keys);
        if (SnapshotCheck.Fault(State, record, tree, Id, packs) is not { } fault)
            return tree;
        if (Unverified is null)
        {
            throw new HoldfastException(ErrorCode.SnapshotRefused, $"Snapshot {record.Snapshot} was refused: {fault}.",
                "Choose another snapshot, and find out who made this one. Where there is no other, `restore`, `ls` and `cat` read it with --unverified: then nobody vouches for what it says.");
        }
        Unverified(fault);
        return tree;
    }

    /// <summary>What changed in the run that made a snapshot.</summary>
    public RunStatistics Statistics(SnapshotRecord record, ReadingKeys keys) =>
        RunStatistics.TryParse(Whole(record).Open(SnapshotSection.Features, keys), out var statistics) ? statistics! : throw Unreadable();

    SnapshotObject Whole(SnapshotRecord record) => Keeper.State.Whole(record) ?? throw new HoldfastException(
        ErrorCode.ObjectMissing, $"The object of snapshot {record.Snapshot} is missing or damaged.", AwayFirst + "Bring it back from another copy of the vault; until then choose another snapshot.");

    static HoldfastException Unreadable() => new(ErrorCode.ObjectDamaged, "The snapshot's sealed description makes no sense.", "It was not written by a sound Holdfast. Choose another snapshot.");

    /// <summary>Rows of a snapshot in tree order; each batch holds until the next.</summary>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="ct">Stops it.</param>
    /// <param name="below">Only nodes that may have this path, or what lies below it; they have others too. Null: all.</param>
    public IEnumerable<EntryBatch> Rows(SnapshotRecord record, ReadingKeys keys, CancellationToken ct, byte[]? below = null)
    {
        var tree = Checked(record, keys, packs: false);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = new ChunkReader(Keeper.Store, index, keys, domain);
        foreach (var batch in new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries).Rows(below))
            yield return batch;
    }

    /// <summary>Writes a file's content to a stream.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotMissing</c> where the snapshot has no such file.</exception>
    public void Cat(SnapshotRecord record, ReadingKeys keys, byte[] path, Stream output, CancellationToken ct)
    {
        var tree = Checked(record, keys, packs: false);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = new ChunkReader(Keeper.Store, index, keys, domain);
        foreach (var rows in new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries).Rows(path))
        {
            if (TreePath.Compare(rows.Path(rows.Count - 1), path) < 0)
                continue;
            for (var row = 0; row < rows.Count; row++)
            {
                if (rows.Kind[row] == EntryKind.File && rows.Path(row).SequenceEqual(path))
                {
                    FileContent.CopyTo(rows, row, chunks, output, ct);
                    return;
                }
            }
            break;
        }
        throw new HoldfastException(ErrorCode.SnapshotMissing, "There is no such file in the snapshot.", "`holdfast ls` and `holdfast find` show what it has; paths are relative to the source's root.");
    }

    public RestoreResult Restore(SnapshotRecord record, ReadingKeys keys, ITreeWriter target, PathFilter filter, RestoreProgress progress, int threads, CancellationToken ct)
    {
        var tree = Checked(record, keys, packs: true);
        target.SetOwnerNames(tree.Users, tree.Groups);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = new ChunkReader(Keeper.Store, index, keys, domain);
        var result = new Restorer(Keeper.Store, chunks, keys, target, progress, threads > 0 ? threads : Environment.ProcessorCount, ct)
            .Run(new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries), filter);
        HashSet<Hash32> damaged = [.. chunks.Failed.Where(f => f.Value).Select(f => f.Key)];
        if (damaged.Count > 0)
            Note(new ReadFindings { Damaged = damaged }); // status tells of it from now on, and the next backup does not build on it
        return result;
    }

    /// <summary>Reads packs and objects and checks them: names without keys, contents with them.</summary>
    /// <param name="keys">Null: names only.</param>
    /// <param name="choose">Which packs; null for all.</param>
    /// <param name="progress">How far it is.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="ct">Stops it.</param>
    public VerifyResult Verify(ReadingKeys? keys, Func<Hash32, bool>? choose, VerifyProgress progress, int threads, CancellationToken ct)
    {
        var needed = VaultHealth.Needed(Keeper);
        return new Verifier(Keeper.Store, keys, EndsOf(keys), progress, threads > 0 ? threads : Environment.ProcessorCount + 1, ct).Run([.. needed.Packs.Keys.Select(p => (StoreKind.Pack, p)), .. needed.Objects.Select(o => (StoreKind.Object, o))], choose, Note);
    }

    Dictionary<Hash32, Id16> EndsOf(ReadingKeys? keys) =>
        (keys?.Domains ?? []).SelectMany(d => ChunkIndex.Ends(IndexFolder(d.Domain), Id, d)).GroupBy(e => e.Key).ToDictionary(e => e.Key, e => e.First().Value);

    void Note(ReadFindings found) => ReadTimes.Update(ReadsPath, found, Keeper.Clock.Now);

    string ReadsPath => Path.Combine(Keeper.Folder, "keeper", "reads");

    /// <summary>Re-opens a snapshot and logs what it found.</summary>
    public AttestationObject Attest(SnapshotRecord record, OpeningKeys keys, bool full, Id16 actor, CancellationToken ct)
    {
        var snapshot = Whole(record);
        var domain = keys.Domain(snapshot.Domain);
        using var index = OpenIndex(domain, ct);
        var known = LastReads();
        var damaged = known.Damaged.Keys.ToHashSet();
        AttestationObject found;
        IReadOnlyList<Hash32> doubtful, elsewhere;
        do
        {
            using var chunks = new ChunkReader(Keeper.Store, index, keys, domain);
            var attestor = new Attestor(Keeper, chunks, keys, known, damaged, ct);
            found = attestor.Attest(record, snapshot, full);
            Note(attestor.Found(full)); // dedup does not build on what is damaged from now on
            (doubtful, elsewhere) = (attestor.Doubtful, attestor.Elsewhere);
            damaged.UnionWith(doubtful);
        }
        while (found.IsHealed && doubtful.Count > 0); // once more without them
        return Keeper.RecordAttestation(record.Snapshot, actor, state => found.IsHealed ? found.NotHeld(Holding.NotHeld(state, state.Find(record.Snapshot)!, elsewhere)) : found);
    }

    /// <summary>When each pack was last read whole and found right, and which were found damaged.</summary>
    public ReadTimes LastReads() => ReadTimes.Load(ReadsPath);

    /// <summary>What is known to be wrong, without reading a pack.</summary>
    public VaultHealth Health() => VaultHealth.Of(Keeper, LastReads());

    /// <summary>Who wrote a pack, as its header says; null where that cannot be read.</summary>
    public (Id16 Writer, uint Epoch)? WriterOf(Hash32 pack)
    {
        try
        {
            using var item = Keeper.Store.Open(StoreKind.Pack, pack);
            var header = new byte[Packs.PackFormat.HeaderSize];
            item?.Read(0, header);
            return Packs.PackHeader.TryParse(header, out var parsed) ? (parsed!.Writer, parsed.WriterEpoch) : null;
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.Truncated or ErrorCode.StoreUnavailable)
        {
            return null;
        }
    }

    /// <summary>Packs that no backup builds on: found damaged when they were read, or of no copy that has the size they were written with.</summary>
    HashSet<Hash32> DamagedPacks()
    {
        HashSet<Hash32> damaged = [.. LastReads().Damaged.Keys];
        var named = State.NamedPacks().Packs;
        var whole = Keeper.Store.List(StoreKind.Pack).Where(p => named.TryGetValue(p.Name, out var pack) && pack.Size == p.Size).Select(p => p.Name).ToHashSet();
        damaged.UnionWith(named.Keys.Where(n => !whole.Contains(n)));
        return damaged;
    }

    /// <summary>Empties the chunk index; the next that needs it rebuilds it from the footers.</summary>
    public void ForgetIndex()
    {
        foreach (var domain in State.Genesis!.Domains)
            ChunkIndex.Empty(IndexFolder(domain));
    }

    string IndexFolder(Id16 domain) => Path.Combine(Keeper.Folder, "cache", "index", domain.ToString());

    /// <summary>The chunk index, brought up to date with the packs that are there.</summary>
    internal ChunkIndex OpenIndex(DomainKeys domain, CancellationToken ct, IProgress<(int Done, int All)>? progress = null)
    {
        var folder = IndexFolder(domain.Domain);
        var packs = Keeper.Store.List(StoreKind.Pack).Where(p => p is { Copy: 0, Name.IsNone: false } && !State.WasRemoved(p.Name)).Select(p => p.Name).ToHashSet();
        try
        {
            return Fill(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Read-only media, or a folder this user may not write: the index is a cache and may lie anywhere.
            return Fill(PrivateCache(Path.Combine("index", Id.ToString(), domain.Domain.ToString())));
        }

        ChunkIndex Fill(string at)
        {
            // Nothing is written through a link that somebody put in the vault: then the index lies elsewhere too.
            if (at == folder && OperatingSystem.IsLinux() && new[] { Path.Combine(Keeper.Folder, "cache"), Path.GetDirectoryName(at)!, at }.Any(f => FileStat.TryRead(f, out var stat) && !stat.IsFolder))
                throw new IOException();
            var index = ChunkIndex.Open(at, Id, domain, IndexCeiling);
            try
            {
                index.AddMissing(Keeper.Store, packs, progress, ct);
                index.Drop(index.Packs().Select(p => p.Name).Where(p => !packs.Contains(p)));
                return index;
            }
            catch
            {
                index.Dispose();
                throw;
            }
        }
    }

    /// <summary>A folder of this user's own: never one with a name that another user of the machine could have taken first.</summary>
    string PrivateCache(string name)
    {
        try
        {
            var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
                : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, ".cache") : throw new IOException();
            var folder = Path.Combine(Path.GetFullPath(root), "holdfast", name);
            return FolderOwner.IsAnothers(folder) ? throw new UnauthorizedAccessException() : Directory.CreateDirectory(folder).FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No home either: for as long as this vault is open.
            _temporary ??= Directory.CreateTempSubdirectory("holdfast-");
            return Directory.CreateDirectory(Path.Combine(_temporary.FullName, name)).FullName;
        }
    }

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
