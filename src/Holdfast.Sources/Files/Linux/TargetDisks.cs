using System.Collections.Concurrent;

namespace Holdfast.Sources.Files.Linux;

/// <summary>What a file system does of what it says it does.</summary>
/// <param name="SharesInodes">The names of one file show one number, as everywhere but on some FUSE and network file systems.</param>
/// <param name="KeepsOwners">The owner that it takes is the one it shows then. Not so on NTFS, CIFS and FAT as they are often mounted: they take any, and have one for all files.</param>
/// <param name="KeepsModes">Likewise of permissions.</param>
readonly record struct DiskTraits(bool SharesInodes, bool KeepsOwners, bool KeepsModes);

/// <summary>The file systems of a target, each tried out once with a file of its own, so that nothing need be looked at again for each entry where all is as usual.</summary>
sealed unsafe class TargetDisks(ApartNames names)
{
    readonly ConcurrentDictionary<ulong, DiskTraits> _traits = new(); // by device
    readonly bool _isRoot = Native.EffectiveUser() == 0;

    /// <summary>Of one that could not be tried out it is not known whether it keeps anything.</summary>
    public DiskTraits Of(ulong device) => _traits.TryGetValue(device, out var traits) ? traits : new DiskTraits(SharesInodes: true, KeepsOwners: false, KeepsModes: false);

    /// <summary>Finds out before anything else whether files can be made in a target at all: one word then, instead of one for each file.</summary>
    /// <returns>Whose a file is that this user makes there: on a file system that knows no owners, it may be another's.</returns>
    /// <exception cref="Core.HoldfastException">Nothing can be written there.</exception>
    public uint Require(int root)
    {
        var name = stackalloc byte[ApartNames.Length + 1];
        var file = Make(root, name);
        if (file < 0)
            throw TargetFaults.Fault("Nothing can be written into the target folder");
        try
        {
            TargetFiles.WriteAt(file, new byte[4_096], 0);
            return TryOut(root, file, name);
        }
        finally
        {
            Remove(root, file, name);
        }
    }

    /// <summary>Another file system, in which this user may be able to make a file or not.</summary>
    public void Meet(int folder)
    {
        var name = stackalloc byte[ApartNames.Length + 1];
        var file = Make(folder, name);
        if (file < 0)
            return;
        TryOut(folder, file, name);
        Remove(folder, file, name);
    }

    int Make(int folder, byte* name)
    {
        FolderHandle.Terminate(names.Next(), name);
        return Native.OpenAt(folder, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
    }

    static void Remove(int folder, int file, byte* name)
    {
        _ = Native.Close(file);
        _ = Native.Unlink(folder, name, 0);
    }

    uint TryOut(int folder, int file, byte* name)
    {
        if (!Native.Look(file, out var stat))
            return Native.EffectiveUser();
        var sharesInodes = SharesInodes(folder, name, stat);
        var keepsModes = KeepsMode(file, 0x1A0) && KeepsMode(file, 0x184); // one of them may be what every file has there
        var traits = new DiskTraits(sharesInodes, KeepsOwners(file, stat, keepsModes), keepsModes);
        _traits[stat.Device] = traits;
        if (Native.Look(folder, out var above)) // overlayfs may show another device for folders
            _traits[above.Device] = traits;
        return stat.Uid;
    }

    bool SharesInodes(int folder, byte* name, in StatX stat)
    {
        var link = stackalloc byte[ApartNames.Length + 1];
        FolderHandle.Terminate(names.Next(), link);
        if (Native.MakeLink(folder, name, folder, link, 0) != 0)
            return true;
        StatX linked;
        var isShared = Native.StatX(folder, link, Native.AtNoFollow, Native.BasicStats, &linked) != 0 || (linked.Device, linked.Inode) == (stat.Device, stat.Inode);
        _ = Native.Unlink(folder, link, 0);
        return isShared;
    }

    /// <summary>What is refused is told each time, and needs no second look.</summary>
    static bool KeepsMode(int file, uint mode) => Native.ChangeMode(file, mode) != 0 || (Native.Look(file, out var stat) && (stat.Mode & 0xFFF) == mode);

    /// <summary>Who is not root may give nothing away, and sees by the file's own owner, and by its permissions, what to think of it.</summary>
    bool KeepsOwners(int file, in StatX made, bool keepsModes)
    {
        if (!_isRoot)
            return keepsModes && made.Uid == Native.EffectiveUser();
        var (user, group) = (made.Uid ^ 1, made.Gid ^ 1);
        return Native.ChangeOwner(file, user, group) != 0 || (Native.Look(file, out var stat) && (stat.Uid, stat.Gid) == (user, group));
    }
}
