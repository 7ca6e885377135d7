using System.Globalization;
using System.Text;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <param name="Guarded">Files that are immutable now.</param>
/// <param name="Cleared">Files that expiry gave up, and whose locks are over by the guard's own reckoning: they may be removed.</param>
/// <param name="Refused">Names that the log gives up although their locks are not over: somebody holds the log's key who should not.</param>
public sealed record GuardLook(int Guarded, int Cleared, int Refused);

/// <summary>Makes the vault's files immutable, and lets go only of what no lock holds. It takes nobody's word: it replays the log with a clock and a memory of its own, in a folder
/// that the keeper's user cannot write to. Nobody can ask it for anything (docs/threat-model.md).</summary>
/// <remarks>For one thread. Needs CAP_LINUX_IMMUTABLE; Linux only.</remarks>
public sealed class FlagGuard : IDisposable
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    readonly VaultKeeper _keeper;
    readonly string _state;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    readonly uint _owner;
    readonly HashSet<string> _guarded = [];

    /// <param name="vault">The vault's folder.</param>
    /// <param name="state">The guard's own folder, apart from the vault; made where it is missing, for its user alone.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>LogForked</c>, <c>Usage</c> for a trial vault.</exception>
    public FlagGuard(string vault, string state, IMachineTime? machine = null)
    {
        _disk = Disk.Real;
        _machine = machine ?? MachineTime.System;
        _keeper = VaultKeeper.Open(vault, _disk, _machine);
        if (_keeper.State.Genesis!.Kind == VaultKind.Trial)
            throw new HoldfastException(ErrorCode.Usage, "This is a trial vault: it is meant to be removed.", "Guard a real vault (holdfast init).");
        _state = Path.Combine(Path.GetFullPath(state), _keeper.Vault.ToString());
        _disk.MakeDurable(_state, ownerOnly: true);
        if (!FileFlags.TryOwner(Path.Combine(_keeper.Folder, VaultFile.Name), out _owner))
            throw new HoldfastException(ErrorCode.VaultMissing, "The vault's file `vault` cannot be looked at.", "Check the folder, and that nothing but a plain file stands there.");
    }

    string StatePath(string name) => Path.Combine(_state, name);

    /// <summary>Looks at the log and at the files once.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c> where the log does not go on from what was seen before; nothing is cleared then. <c>NoPermission</c> without the
    /// privilege.</exception>
    public GuardLook Look()
    {
        _keeper.Refresh();
        Remember();
        var clock = Clock();
        var given = _keeper.State.Removed as IReadOnlySet<Hash32> ?? _keeper.State.Removed.ToHashSet();
        var free = new Expiry(_keeper.State, _keeper.Store, clock, StatePath("unclaimed"), _disk).Plan(note: true, again: true).Names
            .Where(n => given.Contains(n.Name)).Select(n => n.Name).ToHashSet();
        clock.Save();
        var (cleared, refused) = (0, 0);
        foreach (var folder in _keeper.Store.Folders.Where(IsOurs))
        {
            foreach (var kind in new[] { "packs", "objects" })
                Shelves(Path.Combine(folder, kind), given, free, ref cleared, ref refused);
            foreach (var name in new[] { VaultFile.Name, "format.md" })
                Guard(Path.Combine(folder, name));
        }
        foreach (var tile in WholeTiles())
            Guard(tile);
        return new GuardLook(_guarded.Count, cleared, refused);
    }

    /// <summary>A folder is the vault's where its own file says so: the list of folders may have been written by somebody else.</summary>
    bool IsOurs(string folder)
    {
        try
        {
            return VaultFile.Read(folder).Vault == _keeper.Vault;
        }
        catch (HoldfastException)
        {
            return false; // its disk may be away
        }
    }

    void Shelves(string root, IReadOnlySet<Hash32> given, HashSet<Hash32> free, ref int cleared, ref int refused)
    {
        for (var i = 0; i < 256; i++)
        {
            var shelf = Path.Combine(root, i.ToString("x2", CultureInfo.InvariantCulture));
            // Not through a link: what it leads to is not the vault.
            if (new DirectoryInfo(shelf) is not { Exists: true, LinkTarget: null } || new DirectoryInfo(root).LinkTarget is not null)
                continue;
            var leaving = new List<string>();
            foreach (var path in Directory.EnumerateFiles(shelf))
            {
                var file = Path.GetFileName(path.AsSpan());
                if (file.Length < 2 * Hash32.Size || !Hash32.TryParse(file[..(2 * Hash32.Size)], out var name) || (file.Length > 2 * Hash32.Size && file[2 * Hash32.Size] != '.'))
                    continue; // not ours
                if (free.Contains(name))
                {
                    leaving.Add(path);
                    continue;
                }
                refused += given.Contains(name) ? 1 : 0;
                Guard(path);
            }
            // An append-only folder lets no name go: it is open for as long as something is to be removed from it. What stays in it is immutable meanwhile.
            if (leaving.Count == 0)
            {
                if (_guarded.Add(shelf))
                    FileFlags.Set(shelf, isFolder: true, isSet: true, _owner);
                continue;
            }
            FileFlags.Set(shelf, isFolder: true, isSet: false, _owner);
            _guarded.Remove(shelf);
            foreach (var path in leaving)
            {
                if (FileFlags.Set(path, isFolder: false, isSet: false, _owner))
                    cleared++;
                _guarded.Remove(path);
            }
        }
    }

    void Guard(string path)
    {
        if (!_guarded.Contains(path) && FileFlags.Set(path, isFolder: false, isSet: true, _owner))
            _guarded.Add(path);
    }

    /// <summary>Tiles and bundles of the log that are full and covered by the checkpoint: nothing writes them again.</summary>
    IEnumerable<string> WholeTiles()
    {
        var root = Path.Combine(_keeper.Folder, "log", "tile");
        foreach (var level in Directory.Exists(root) ? Directory.GetDirectories(root) : [])
        {
            var name = Path.GetFileName(level);
            var height = name == "entries" ? 0 : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed < 7 ? parsed : -1;
            for (var tile = 0L; height >= 0 && (tile + 1) << (8 * (height + 1)) <= _keeper.Log.Size; tile++)
                yield return Path.Combine(level, MerkleLog.TilePath(tile));
        }
    }

    /// <summary>The log must go on from what this guard saw last: one that was put back would make locks look shorter.</summary>
    void Remember()
    {
        var path = StatePath("checkpoint");
        if (File.Exists(path) && Checkpoint.TryParse(File.ReadAllText(path), out var earlier))
            _keeper.Log.RequireExtends(earlier);
        _disk.Replace(path, Encoding.UTF8.GetBytes(_keeper.Log.Checkpoint!.Note));
    }

    /// <summary>Not moved on by the log's leaves, as the keeper's is: their times are the keeper's word.</summary>
    VaultClock Clock()
    {
        var path = StatePath("clock");
        return File.Exists(path) ? VaultClock.Open(path, _disk, _machine, latestLeaf: 0) : VaultClock.Create(path, _disk, _machine);
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
        }
    }

    public void Dispose() => _keeper.Dispose();
}
