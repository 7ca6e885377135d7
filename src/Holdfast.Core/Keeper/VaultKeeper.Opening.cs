using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>How a vault is made and opened, and what of a damaged log is read all the same.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Refuses a folder that a vault cannot be made in: one that holds a vault or anything else, or cannot be written to. Changes nothing.</summary>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>TargetNotEmpty</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>Usage</c>.</exception>
    public static void RequireFree(string folder)
    {
        RequireName(folder);
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

    /// <summary>Refuses a folder whose place could not be remembered: its path has control characters.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static void RequireName(string folder) => StorePlace.RequireName(folder);

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
    /// <param name="place">The object store that packs and objects go to; null for the vault's own folder.</param>
    public static VaultKeeper Create(string folder, Genesis genesis, byte[] keyring, IEnumerable<Enrolment> enrolments, ReadOnlySpan<byte> formatText, Action<string> keep, Disk disk, IMachineTime machine, ObjectStorePlace? place = null)
    {
        folder = FolderPath.Full(folder);
        RequireFree(folder);
        FolderOwner.Know(folder);
        disk.MakeDurable(folder);
        foreach (var part in new[] { "keeper", "cache" })
            disk.MakeFolder(Path.Combine(folder, part));
        if (place is null && ObjectPlace.Read(folder) is not null)
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "A making of a vault in an object store was cut short in this folder; no vault was made.", "Name another folder, or make it in that object store again (--store).");
        if (place is null)
            FolderStore.Create(folder, disk);
        else
            place.Make(folder, disk);
        var store = StoreOf(folder, disk, place?.Stores);

        using var seed = SecretBytes.Random(Ed25519Signer.SeedSize);
        using var signer = new Ed25519Signer(seed.Span);
        var key = new VerifierKey($"holdfast/{genesis.Vault}", signer.PublicKey.ToArray());
        disk.Replace(KeeperPath(folder, "log.key"), LogKeyFile.Write(genesis.Vault, seed));
        var clock = VaultClock.Create(KeeperPath(folder, "clock"), disk, machine);
        var now = clock.Now;
        genesis = genesis with { LogKey = key.ToString(), Created = now, Salt = Salt() };
        if (store is ILockingStore locking)
            locking.EntryLock = Math.Max(MediumLocks.AtBirth(now), Math.Min(now + genesis.Policy.Longest, LockRules.LastEnd));
        var name = store.PutTwice(genesis.ToArray());

        var leaves = new List<byte[]> { new Leaf(LeafType.Genesis, now, genesis.Vault, Id16.None, genesis.ShortestLock, genesis.LongestLock, (ulong)genesis.Kind, name).ToArray() };
        foreach (var enrolment in enrolments)
        {
            var payload = store.PutTwice(enrolment.ToArray());
            leaves.Add(enrolment.Kind == EnrolmentKind.Writer
                ? new Leaf(LeafType.WriterEnrolled, now, enrolment.Id, Id16.None, enrolment.Epoch, 0, 1, payload).ToArray()
                : new Leaf(LeafType.AgentEnrolled, now, enrolment.Id, Id16.None, 1, 0, 0, payload).ToArray());
        }
        leaves.Add(new Leaf(LeafType.KeyEpoch, now, Id16.New(), Id16.None, 1, 0, 0, store.PutTwice(keyring)).ToArray());
        // An earlier attempt may have left a log behind; without the file `vault` it was never one.
        var log = MerkleLog.Create(Path.Combine(folder, "log"), disk, key);
        log.Append(leaves, signer);
        disk.Replace(Path.Combine(folder, "format.md"), formatText);
        ReserveOf(folder, disk).Make(genesis.Reserve);
        keep(key.ToString());
        disk.Replace(Path.Combine(folder, VaultFile.Name), new VaultFile(genesis.Vault, key.ToString(), name).ToArray());
        return Open(folder, disk, machine, stores: place?.Stores);
    }

    /// <summary>Opens a vault for reading; the first change asks for more.</summary>
    /// <param name="folder">The vault.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="seen">Gives a checkpoint of its log that was kept elsewhere; asked for where the log's own is gone.</param>
    /// <param name="stores">Opens the object store, where the vault lies in one.</param>
    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>LogDamaged</c>, <c>LogForked</c>, <c>NoPermission</c>, <c>StoreUnavailable</c>.</exception>
    public static VaultKeeper Open(string folder, Disk? disk = null, IMachineTime? machine = null, Func<Checkpoint?>? seen = null, IObjectStores? stores = null)
    {
        folder = FolderPath.Full(folder);
        disk ??= Disk.Real;
        var file = VaultFile.Read(folder);
        if (!VerifierKey.TryParse(file.LogKey, out var key))
            throw new HoldfastException(ErrorCode.LogDamaged, VaultFile.LogKeyFault, VaultFile.LogKeyAdvice);
        var store = StoreOf(folder, disk, stores);
        RemoteLog? told = null;
        if (store is IRemoteKeeper remote)
            told = Follow(Path.Combine(folder, "log"), disk, key, remote);
        var (log, fault) = OpenLog(Path.Combine(folder, "log"), disk, key, seen, () => GenesisLeaf(store, file));
        var keeper = new VaultKeeper(folder, file, store, stores, disk, machine ?? MachineTime.System, log) { Closed = fault, LogFault = fault, _told = told };
        keeper.Project();
        if (keeper._projection.IsAwaiting)
        {
            keeper._passed = keeper.Clock.Passed;
            keeper.Project();
        }
        keeper.TakeNames();
        keeper.Closed ??= keeper.WitnessFault;
        return keeper;
    }

    static IStore StoreOf(string folder, Disk disk, IObjectStores? stores) => ObjectPlace.Read(folder) switch
    {
        null => new FolderStore([folder, .. FolderList.Read(folder)], disk) { More = () => [folder, .. FolderList.Read(folder)] },
        { } place => stores?.Open(place, folder, disk) ?? throw new HoldfastException(ErrorCode.StoreUnavailable, "The vault's packs lie in an object store, which this program cannot open.", "Use the program `holdfast` with it; nothing was changed."),
    };

    /// <summary>The log is signed and says which vault this is, and which object its genesis; the file `vault` is not. Where they differ, the vault is read as what it is, and nothing is written.</summary>
    void TakeNames()
    {
        var told = File with { Vault = _projection.Genesis!.Vault, Genesis = Leaf.TryParse(_log.Leaf(0), out var first) ? first.Payload : File.Genesis };
        if (told == File)
            return;
        List<(string Name, string Text)> wrong = [];
        if (told.Vault != File.Vault)
            wrong.Add(("id", $"`id {told.Vault}`"));
        if (told.Genesis != File.Genesis)
            wrong.Add(("genesis", $"`genesis {told.Genesis}`"));
        File = told;
        LogFault ??= new HoldfastException(ErrorCode.LogDamaged, $"The file `vault` is damaged: its {(wrong.Count == 1 ? $"line `{wrong[0].Name}` says" : "lines `id` and `genesis` say")} something else than the signed log does. Nothing is written to this vault.",
            $"{VaultFile.PutBack($"{(wrong.Count == 1 ? "line" : "lines")} by hand, to {string.Join(" and ", wrong.Select(w => w.Text))}")} Until then the vault is read by what its log says.");
        Closed ??= LogFault;
    }

    /// <summary>Null where the object cannot be read.</summary>
    static byte[]? GenesisLeaf(IStore store, VaultFile file)
    {
        try
        {
            return Genesis.TryParse(store.ReadObject(file.Genesis), out var genesis)
                ? new Leaf(LeafType.Genesis, genesis!.Created, genesis.Vault, Id16.None, genesis.ShortestLock, genesis.LongestLock, (ulong)genesis.Kind, file.Genesis).ToArray()
                : null;
        }
        catch (HoldfastException)
        {
            return null;
        }
    }

    /// <summary>The log, and where leaves or the checkpoint of it are damaged why nothing is written to it.</summary>
    /// <param name="folder">The log.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="key">The log's key.</param>
    /// <param name="seen">Gives a checkpoint of it that was kept elsewhere.</param>
    /// <param name="genesis">Makes its first leaf anew: all that leaf says is in an object.</param>
    static (MerkleLog Log, HoldfastException? Fault) OpenLog(string folder, Disk disk, VerifierKey key, Func<Checkpoint?>? seen, Func<byte[]?> genesis)
    {
        try
        {
            return (MerkleLog.Open(folder, disk, key), null);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogDamaged)
        {
            var log = MerkleLog.Salvage(folder, disk, key, Leaf.Size, seen?.Invoke());
            // Without its genesis nothing says what the vault is; and a log that is damaged elsewhere than in its leaves has lost none.
            var lost = log.Lost.ToList();
            if (lost.Count == 0 ? !log.IsAsSeen : lost[0] == 0 && !(genesis() is { } leaf && log.TryPutBack(0, leaf)))
                throw;
            return (log, new HoldfastException(e.Code, lost.Count == 0
                ? $"The checkpoint of the vault's log is damaged or gone: the log is read as far as these keys have seen it, {log.Size} leaves{(log.IsCutShort ? "; more lie there, which nothing vouches for" : "")}. Nothing is written to it."
                : $"{lost.Count} of the {log.Size} leaves of the vault's log cannot be read ({(lost.Count == 1 ? "number" : "numbers")} {string.Join(", ", lost.Take(10))}{(lost.Count > 10 ? " ..." : "")}); nothing is written to it.",
                lost.Count > 0 ? "What the other leaves say is what was signed, and can be read and restored; what the lost ones said is not known. " + e.Guidance
                : log.IsCutShort ? "Leave `log/checkpoint` as it is: the file `checkpoint` of the key folder is older than what lies there, and with it in that place nothing could be read any more. " + MerkleLog.BringBack
                : "Copy the file `checkpoint` of the key folder to `log/checkpoint`: it covers all that lies there, and the vault is written to again. Where it is damaged besides: " + MerkleLog.BringBack, e));
        }
    }
}
