using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Makes the folders of a tree, open to their owner alone until all that they hold is there, and gives them their attributes at the end.</summary>
/// <remarks>Who owns a folder on the way, or may write to it, can put any folder of the same file system in a name's place, root's own too, and would be given what lies in it, or what is
/// written there. So a folder that was there gets an owner and permissions only where nobody but this user and its own owner had a say on the way, or nothing lies in it; and one to which
/// others have the way is the same from first to last, or nothing more is written (docs/design/0011).</remarks>
/// <param name="ownUser">Whose a folder is that this user makes there.</param>
sealed unsafe class FolderMaker(TargetFolders folders, TargetNotes notes, TargetReport report, TargetAttributes attributes, TargetDisks disks, ExistingFiles existing, uint ownUser)
{
    const int Executable = 0x1C0; // rwx------ while restoring
    const uint Sticky = 0x200; // what lies there is renamed by its own owner alone, and by the folder's
    const uint GroupMayWrite = 0x10;
    const uint OthersMayWrite = 0x2;

    /// <summary>A folder that an earlier run may have finished: its owner may write into it again, and files that the run did not finish go.</summary>
    public static void MakeReady(int folder)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && (stat.Mode & Executable) != Executable)
        {
            fixed (byte* path = FolderHandle.ProcPath(folder))
                _ = Native.ChangeMode(Native.AtCurrent, path, (stat.Mode & 0xFFFu) | Executable, 0); // where it is refused, the next write says so
        }
        ApartFiles.RemoveLeft(folder);
    }

    /// <summary>The way to what lies in the target itself, which is whose this user chose.</summary>
    public FolderWay Way()
    {
        StatX stat;
        byte nul = 0;
        return Native.StatX(folders.Root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 ? Through(default, folders.Root, stat) : default(FolderWay).Through(uint.MaxValue);
    }

    bool IsOwn(uint user) => user == ownUser || user == Native.EffectiveUser();

    FolderWay Through(FolderWay way, int folder, in StatX stat)
    {
        way = IsOwn(stat.Uid) ? way : way.Through(stat.Uid);
        return MayOthersExchange(folder, stat) ? way.Through(uint.MaxValue) : way;
    }

    /// <summary>Others than the owner may put something else in the place of what lies in a folder. A group whose number is the owner's own is that user's alone.</summary>
    static bool MayOthersExchange(int folder, in StatX stat) => (stat.Mode & Sticky) == 0
        && ((stat.Mode & OthersMayWrite) != 0 || ((stat.Mode & GroupMayWrite) != 0 && (stat.Gid != stat.Uid || AccessLists.LetOthersWrite(folder))));

    /// <param name="path">The folder's path.</param>
    /// <param name="owner">Whose it is to be.</param>
    /// <param name="way">Whose are the folders above it.</param>
    /// <param name="staysAsItIs">Where it is there.</param>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: somebody put another in the place of the one that was made.</exception>
    public MadeFolder Make(ReadOnlySpan<byte> path, uint owner, FolderWay way, bool staysAsItIs)
    {
        var parent = TreePath.Parent(path);
        var folder = folders.Open(parent);
        if (folder < 0)
            return new MadeFolder(report.Shut(path, Native.Error, isThere: false), way, null);
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var isMade = Native.MakeFolder(folder, name, Executable) == 0;
        if (isMade && way.IsOwn)
            return new MadeFolder(null, way, null);
        var error = Native.Error;
        if (!isMade && TargetFaults.IsOfTheDisk(error))
            throw TargetFaults.Fault("A folder cannot be made", error);
        if (!isMade && error == Native.EExist && existing == ExistingFiles.Refuse)
            return new MadeFolder(report.Shut(path, error, isThere: false), way, null); // it came meanwhile, or is another of the snapshot's where case does not count
        var there = Native.OpenAt(folder, name, Native.PathOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec, 0);
        if (there < 0)
        {
            if (Native.Error is Native.ENotDir or Native.ELoop)
                return new MadeFolder(report.Shut(path, Native.ENotDir, isThere: false), way, null); // never followed
            var shut = isMade ? report.Shut(path, Native.Error, isThere: false) : report.Shut(TargetFaults.IsOfTheFolder(error) ? parent : path, error, isThere: false);
            return new MadeFolder(shut, way, null);
        }
        StatX stat;
        byte nul = 0;
        var isSeen = Native.StatX(there, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0;
        if (isSeen && folders.IsForbidden(stat))
        {
            _ = Native.Close(there);
            return new MadeFolder(report.Shut(path, TargetFaults.Forbidden, isThere: false), way, null);
        }
        if (!isMade && existing != ExistingFiles.Refuse)
            MakeReady(there);
        if (isSeen && folders.Meet(there, stat.Device))
            disks.Meet(there);
        var isOnlyOne = way.IsOwn || (isSeen && folders.Pin(path, stat.Device, stat.Inode));
        if (isMade && !(isOnlyOne && IsEmpty(there) && (IsOwn(stat.Uid) || stat.Device != folders.Device))) // on another disk it may get another owner
        {
            _ = Native.Close(there);
            throw TargetFaults.Fault("A folder that was made cannot be written into", Native.EXDev);
        }
        MetFolder? met = null;
        if (!isMade && staysAsItIs)
        {
            met = MetFolder.Untouched(stat);
        }
        else if (!way.IsOwn)
        {
            var isFree = isSeen && isOnlyOne && (way.IsOf(stat.Uid) || ((stat.Uid == owner || IsOwn(stat.Uid)) && IsEmpty(there)));
            met = isSeen ? new MetFolder(stat.Device, stat.Inode, stat.Mode & 0xFFFu, isFree) : new MetFolder(0, 0, 0, IsFree: false);
        }
        var wayOn = isSeen ? Through(way, there, stat) : way.Through(uint.MaxValue);
        _ = Native.Close(there);
        var isOpen = Native.Access(folder, name, Native.WriteAccess | Native.ExecuteAccess, Native.AtEffective | Native.AtNoFollow) == 0;
        return new MadeFolder(isOpen ? null : report.Shut(path, Native.Error, isThere: true), wayOn, met);
    }

    static bool IsEmpty(int folder)
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var list = Native.OpenAt(folder, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (list < 0)
            return false;
        var names = new NameList();
        var isRead = names.Read(list);
        _ = Native.Close(list);
        return isRead && names.Count == 0;
    }

    const string Replaced = "another folder has taken its place";

    public bool Finish(Noted entry, MetFolder? met)
    {
        var path = notes.PathOf(entry);
        var handle = folders.TryOpen(path);
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var file = handle < 0 ? -1 : Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (file < 0)
        {
            if (Native.Error is Native.EXDev or Native.ELoop or Native.ENotDir)
                report.Problem(entry, TargetFault.InTheWay, Replaced);
            else
                report.Problem(entry, Native.Error);
            return false;
        }
        try
        {
            if (met is null || met.IsFree && met.Is(file))
            {
                if (existing != ExistingFiles.Refuse)
                    attributes.RemoveOthers(file, entry);
                return attributes.Set(file, entry);
            }
            if (met.Is(file) && met.IsUntouched)
            {
                _ = Native.ChangeMode(file, met.Mode);
                return true;
            }
            if (met.Is(file))
            {
                attributes.Keep(file, entry, met.Mode);
                return true;
            }
            report.Problem(entry, TargetFault.InTheWay, Replaced);
            return false;
        }
        finally
        {
            _ = Native.Close(file);
        }
    }
}

/// <summary>Who else than this user owns a folder on the way to an entry: nobody, one user, or several.</summary>
readonly record struct FolderWay(uint? Other, bool IsOfSeveral)
{
    public bool IsOwn => Other is null;

    /// <summary>At most this one.</summary>
    public bool IsOf(uint user) => !IsOfSeveral && (Other is null || Other == user);

    public FolderWay Through(uint owner) => new(owner, IsOfSeveral || Other is { } other && other != owner);
}

/// <summary>A folder in which entries can be made, or is said to be shut.</summary>
/// <param name="Shut">Null where files can be made in it.</param>
/// <param name="Way">The way to what lies in it.</param>
/// <param name="Met">Null where nobody else can have put it there.</param>
readonly record struct MadeFolder(ShutFolder? Shut, FolderWay Way, MetFolder? Met);

/// <summary>A folder to which another user's folders lead, as it was when its turn came: at the end another may stand there.</summary>
/// <param name="Device">With the inode: which it is.</param>
/// <param name="Inode">Its number.</param>
/// <param name="Mode">The permissions it had.</param>
/// <param name="IsFree">It may be given what the snapshot says.</param>
sealed unsafe record MetFolder(ulong Device, ulong Inode, uint Mode, bool IsFree)
{
    /// <summary>It stays as it was: it is only on the way, or the snapshot says nothing of it but its name.</summary>
    public bool IsUntouched { get; private init; }

    public static MetFolder Untouched(in StatX stat) => new(stat.Device, stat.Inode, stat.Mode & 0xFFFu, IsFree: false) { IsUntouched = true };

    /// <summary>Null where it cannot be looked at.</summary>
    public static MetFolder? Untouched(int folder)
    {
        StatX stat;
        byte nul = 0;
        return Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 ? Untouched(stat) : null;
    }

    public bool Is(int folder)
    {
        StatX stat;
        byte nul = 0;
        return Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && (stat.Device, stat.Inode) == (Device, Inode);
    }
}
