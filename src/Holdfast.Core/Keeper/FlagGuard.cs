using System.Globalization;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <param name="Guarded">Files and folders that are flagged now.</param>
/// <param name="Cleared">Files that expiry gave up, and whose locks are over by the guard's own reckoning: they may be removed.</param>
/// <param name="Refused">Files that the log gives up although their locks are not over: somebody holds the log's key who should not.</param>
public sealed record GuardLook(int Guarded, int Cleared, int Refused)
{
    /// <summary>Folders of the vault that could not be guarded, and why; what lies in the others is.</summary>
    public IReadOnlyList<FolderFault> Faults { get; init; } = [];

    /// <summary>Files that a process has opened for writing before they were made immutable. On ext4 it cannot write any more; on XFS and Btrfs it can.</summary>
    public int Written { get; init; }

    /// <summary>Names whose locks are not over, and of which there is no file, or one that cannot be made immutable: its disk is away, it was removed before it was seen, it is another
    /// user's, or a process keeps everyone from opening it (a lease).</summary>
    public int Missing { get; init; }
}

/// <param name="Folder">As the vault's list of folders has it.</param>
/// <param name="Fault">What went wrong in it.</param>
public sealed record FolderFault(string Folder, HoldfastException Fault);

/// <summary>Makes the vault's files immutable, and lets go only of what no lock holds. It takes nobody's word: what it judges by lies in a folder that the vault's owner cannot write
/// to (<see cref="GuardJudge"/>). Nobody can ask it for anything (docs/threat-model.md).</summary>
/// <remarks>For one thread. Needs CAP_LINUX_IMMUTABLE; Linux only.</remarks>
public sealed class FlagGuard
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    readonly string _folder;
    readonly VaultFile _file;
    readonly ulong _inode;
    readonly uint _owner;
    readonly GuardJudge _judge;
    readonly HashSet<string> _guarded = [];
    readonly HashSet<Hash32> _found = []; // in the look at hand: names of which a file is immutable
    readonly HashSet<Hash32> _kept = []; // and those of which a file could not be made immutable
    readonly Dictionary<string, Seen> _ours = []; // what was the vault's once stays guarded, whatever the list says now
    int _written;

    /// <param name="First">Inode of the folder that was found at a path first.</param>
    /// <param name="Inode">Of the one that is there now.</param>
    /// <param name="Device">Its file system.</param>
    readonly record struct Seen(ulong First, ulong Inode, ulong Device);

    /// <summary>Refuses a process that cannot set the flags, before it looks at anything.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>.</exception>
    public static void RequirePrivilege() => FileFlags.RequirePrivilege();

    /// <param name="vault">The vault's folder.</param>
    /// <param name="state">The guard's own folder, apart from the vault; made where it is missing, for its user alone.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <exception cref="HoldfastException"><c>VaultMissing</c>; <c>WrongVault</c>, <c>LogForked</c> where this is not the vault that was seen at that path; <c>Usage</c> for a trial
    /// vault, or a state folder inside the vault; <c>NoPermission</c> for one that others could write to, or put another in the place of.</exception>
    public FlagGuard(string vault, string state, IMachineTime? machine = null)
        : this(vault, state, machine ?? MachineTime.System, Disk.Real)
    {
    }

    /// <param name="vault">As above.</param>
    /// <param name="state">As above.</param>
    /// <param name="machine">As above.</param>
    /// <param name="disk">Where the guard's own is written.</param>
    /// <param name="limit">Bytes that its memory of the vault may have.</param>
    internal FlagGuard(string vault, string state, IMachineTime machine, Disk disk, int limit = GuardMemory.MaxSize)
    {
        _folder = FolderPath.Full(vault);
        state = FolderPath.Full(state);
        RequireOwn(_folder, state);
        _file = VaultFile.Read(_folder);
        using var root = HeldFolder.Open(_folder) ?? throw Missing();
        using (root.OpenFile(VaultFile.Name, out var stat) ?? throw Missing())
            _owner = stat.User;
        _inode = root.Stat.Inode;
        _judge = new GuardJudge(_folder, _file, _inode, state, machine, disk, limit);
    }

    /// <summary>The guard judges by what lies in its folder, and whoever could change it there would have it let go of anything. Who owns the folder is asked for the administrator alone.</summary>
    static void RequireOwn(string vault, string state)
    {
        const string reason = "could change what the guard judges by: no file would be safe from them";
        const string guidance = "Nothing was made. Name a folder of root's, in folders of root's that nobody else may write to: --state /var/lib/holdfast/guard.";
        if (FolderPath.IsWithin(state, vault))
            throw new HoldfastException(ErrorCode.Usage, $"The guard's own folder would lie inside the vault, and be open to the vault's owner, who {reason}.", guidance);
        if (FolderOwner.IsAnothers(state))
            throw new HoldfastException(ErrorCode.NoPermission, $"The guard's own folder is another user's, or lies in a folder of another user's, who {reason}.", guidance);
        if (FolderOwner.OpenToOthers(state) is { } open)
            throw new HoldfastException(ErrorCode.NoPermission, $"The guard's own folder is open to other users, who may write to {open}, and {reason}.", guidance);
    }

    /// <summary>Looks at the log and at the files once. Where something is wrong with the log or with the guard's own memory, nothing is let go; what is stored is made immutable all the
    /// same.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c> where the log does not go on from what was seen before; <c>GuardStateDamaged</c>, <c>GuardStateFull</c>; <c>WrongVault</c>
    /// where another folder has taken the vault's place. Where none of the vault's folders can be guarded: <c>NoPermission</c> without the privilege, <c>StoreUnavailable</c> without
    /// flags.</exception>
    public GuardLook Look()
    {
        var fault = _judge.Follow();
        var (cleared, refused) = (0, 0);
        var faults = new List<FolderFault>();
        _found.Clear();
        _kept.Clear();
        _written = 0;
        foreach (var path in _judge.Folders.Union(_ours.Keys).ToList())
        {
            using var folder = HeldFolder.Open(path);
            if (path == _folder && folder?.Stat.Inode != _inode)
                throw new HoldfastException(ErrorCode.WrongVault, "Another folder has taken the place of the vault's since the guard was started.",
                    "Treat it as an attack until shown otherwise, and look for the folder that was there: its files are immutable still.");
            if (folder is null || !IsOurs(path, folder))
                continue; // its disk may be away
            try
            {
                Guard(path, folder, ref cleared, ref refused);
                if (_ours[path] is var seen && seen.Inode != seen.First)
                    throw Swapped();
            }
            catch (HoldfastException e)
            {
                faults.Add(new FolderFault(path, e)); // the next one may have what this one has not
            }
        }
        if (faults.Count > 0 && _guarded.Count == 0)
            throw faults[0].Fault;
        if (_judge.BadLines > 0)
            faults.Add(new FolderFault(Path.Combine(_folder, "keeper", "folders"), VaultKeeper.BadList(_judge.BadLines)));
        if (fault is not null)
            throw fault;
        _judge.Save();
        _found.ExceptWith(_kept);
        return new GuardLook(_guarded.Count, cleared, refused) { Faults = faults, Written = _written, Missing = _judge.CountMissing(_found) };
    }

    void Guard(string path, HeldFolder folder, ref int cleared, ref int refused)
    {
        foreach (var kind in new[] { "packs", "objects" })
        {
            Shelves(path, folder, kind, ref cleared, ref refused);
            GuardFolder(path, folder, kind);
        }
        foreach (var name in new[] { VaultFile.Name, "format.md" })
            GuardFile(path, folder, name);
        if (path == _folder)
            Tiles(path, folder);
        if (!_guarded.Contains(path) && FileFlags.SetFolder(folder, isSet: true, _owner))
            _guarded.Add(path);
    }

    /// <summary>A folder is the vault's where its own file says so: the list of folders may have been written by somebody else. It is asked once, for its owner can keep anyone from
    /// opening it, by a lease.</summary>
    bool IsOurs(string path, HeldFolder folder)
    {
        var (inode, device) = (folder.Stat.Inode, folder.Stat.Device);
        var isKnown = _ours.TryGetValue(path, out var seen);
        if (isKnown && (seen.Inode, seen.Device) == (inode, device))
            return true;
        if (path != _folder && !(isKnown && seen.Inode == inode) && !Says(path))
            return false;
        // What was guarded here lies somewhere else now: a folder above was moved, or a disk mounted. Of what is here nothing counts as guarded.
        if (isKnown)
            _guarded.RemoveWhere(p => p == path || p.StartsWith(path + Path.DirectorySeparatorChar, StringComparison.Ordinal));
        _ours[path] = new Seen(isKnown ? seen.First : inode, inode, device);
        return true;
    }

    bool Says(string folder)
    {
        try
        {
            return VaultFile.Read(folder).Vault == _file.Vault;
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    void Shelves(string path, HeldFolder root, string kind, ref int cleared, ref int refused)
    {
        for (var i = 0; i < 256; i++)
        {
            var at = string.Create(CultureInfo.InvariantCulture, $"{kind}/{i:x2}");
            using var shelf = root.Folder(at);
            if (shelf is null || shelf.Stat.User != _owner)
                continue;
            var place = Path.Combine(path, at);
            var leaving = new List<string>();
            foreach (var file in shelf.Names())
            {
                if (file.Length < 2 * Hash32.Size || !Hash32.TryParse(file.AsSpan(0, 2 * Hash32.Size), out var name) || !(file.AsSpan(2 * Hash32.Size) is [] or ['.', >= '1' and <= '9']))
                    continue; // not ours
                var verdict = _judge.Judge(kind == "packs" ? StoreKind.Pack : StoreKind.Object, name);
                if (verdict == Verdict.Free)
                {
                    leaving.Add(file);
                    continue;
                }
                refused += verdict == Verdict.Locked ? 1 : 0;
                (GuardFile(place, shelf, file) ? _found : _kept).Add(name);
            }
            // An append-only folder lets no name go: it is open for as long as something is to be removed from it. What stays in it is immutable meanwhile.
            if (leaving.Count == 0)
            {
                if (!_guarded.Contains(place) && FileFlags.SetFolder(shelf, isSet: true, _owner))
                    _guarded.Add(place);
                continue;
            }
            FileFlags.SetFolder(shelf, isSet: false, _owner);
            _guarded.Remove(place);
            foreach (var file in leaving)
            {
                if (FileFlags.SetFile(shelf, file, isSet: false, _owner, out _))
                    cleared++;
                _guarded.Remove(Path.Combine(place, file));
            }
        }
    }

    /// <returns>True where it is immutable.</returns>
    bool GuardFile(string place, HeldFolder folder, string name)
    {
        var path = Path.Combine(place, name);
        if (_guarded.Contains(path))
            return true;
        if (!FileFlags.SetFile(folder, name, isSet: true, _owner, out var isWritten))
            return false;
        if (isWritten)
            _written++; // looked at again until it is not
        else
            _guarded.Add(path);
        return true;
    }

    void GuardFolder(string place, HeldFolder root, string name)
    {
        var path = Path.Combine(place, name);
        if (_guarded.Contains(path))
            return;
        using var folder = root.Folder(name);
        if (folder is not null && FileFlags.SetFolder(folder, isSet: true, _owner))
            _guarded.Add(path);
    }

    /// <summary>Tiles and bundles of the log that are full and covered by a checkpoint: nothing writes them again. The folders they are written in stay as they are, for a tile gets
    /// its name by renaming.</summary>
    void Tiles(string path, HeldFolder root)
    {
        const string tiles = "log/tile";
        using var folder = root.Folder(tiles);
        if (folder is null)
            return;
        foreach (var level in folder.Names())
        {
            var height = level == "entries" ? 0 : int.TryParse(level, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed < 7 ? parsed : -1;
            for (var tile = 0L; height >= 0 && (tile + 1) << (8 * (height + 1)) <= _judge.LogSize; tile++)
                GuardFile(path, root, $"{tiles}/{level}/{MerkleLog.TilePath(tile)}");
        }
        GuardFolder(path, root, tiles);
    }

    /// <summary>Looks every ten seconds, until it is stopped. Nobody can ask it for anything.</summary>
    /// <param name="look">Looks.</param>
    /// <param name="failed">Gets what went wrong; the next look tries again.</param>
    /// <param name="ct">Ends it.</param>
    public static void Serve(Action look, Action<HoldfastException> failed, CancellationToken ct)
    {
        while (!ct.WaitHandle.WaitOne(Interval))
        {
            try
            {
                look();
            }
            catch (HoldfastException e)
            {
                failed(e);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // A guard that ends protects nothing more: whatever it met, it looks again.
                failed(new HoldfastException(ErrorCode.Internal, $"A defect in Holdfast: a look of the guard ended with {e.GetType().Name}.", "Please report it. The guard looks again; what is immutable stays so.", e));
            }
        }
    }

    static HoldfastException Swapped() => new(ErrorCode.WrongVault, "Another folder has taken the place of the one that the guard found there first. What is there now is guarded.",
        "Was this part of the vault copied to another disk? Then start the guard anew. If not, treat it as an attack, look for the folder that was there (its files are immutable still), and run holdfast verify --full.");

    static HoldfastException Missing() => new(ErrorCode.VaultMissing, "The vault's file `vault` cannot be looked at.", "Check the folder, and that nothing but a plain file stands there.");
}
