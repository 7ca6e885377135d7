using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Makes the folders of a tree, open to their owner alone until all that they hold is there, and gives them their attributes at the end.</summary>
/// <remarks>Who owns a folder on the way, or may write to it, can put any folder of the same file system in a name's place, root's own too, and would be given what lies in it, or what is
/// written there. So a folder that was there gets an owner and permissions only where nobody but this user and its own owner had a say on the way, or nothing lies in it. Folders of this
/// user's are shut for others to write while the restore runs; below another user's, a path leads to the same folder from first to last, or nothing more is written (docs/design/0011).</remarks>
/// <param name="ownUser">Whose a folder is that this user makes there.</param>
sealed unsafe class FolderMaker(TargetFolders folders, TargetNotes notes, TargetReport report, TargetAttributes attributes, TargetDisks disks, ExistingFiles existing, uint ownUser)
{
    const uint Executable = 0x1C0; // rwx------ while restoring
    const uint Sticky = 0x200; // what lies there is renamed by its own owner alone, and by the folder's
    const uint GroupMayWrite = 0x10;
    const uint OthersMayWrite = 0x2;
    const uint OthersMayAnything = 0x3F;
    const uint SetGroup = 0x400;
    const string Replaced = "another folder has taken its place";

    byte[]? _inDoubt; // the last folder that was kept as others may have put it there; folders are finished from the last one to the first

    /// <summary>A folder that was there: its owner may write into it (an earlier run may have finished it), and nobody else, so that what is made there stays what it is.</summary>
    /// <returns>The permissions that it has now; null where they are as they were.</returns>
    /// <param name="folder">A handle on it.</param>
    /// <param name="ownUser">Whose a folder is that this user makes there.</param>
    public static uint? MakeReady(int folder, uint ownUser)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0)
            return null;
        var (mode, ready) = (stat.Mode & 0xFFFu, stat.Mode & 0xFFFu | Executable);
        if ((stat.Uid == ownUser || stat.Uid == Native.EffectiveUser()) && (stat.Mode & Sticky) == 0)
            ready &= ~(GroupMayWrite | OthersMayWrite);
        // Who is not in its group would lose the set-group-id bit by it, and could not give it back (chmod(2)).
        if (ready == mode || ((mode & SetGroup) != 0 && !Native.IsInGroup(stat.Gid)))
            return null;
        fixed (byte* path = FolderHandle.ProcPath(folder))
            return Native.ChangeMode(Native.AtCurrent, path, ready, 0) == 0 && Native.Look(folder, out stat) ? stat.Mode & 0xFFFu : null; // where it is refused, the next write says so
    }

    /// <summary>The way to what lies in the target itself, which is whose this user chose.</summary>
    /// <param name="met">As it was before.</param>
    public FolderWay Way(MetFolder? met)
    {
        StatX stat;
        byte nul = 0;
        return met is not null && Native.StatX(folders.Root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 ? Through(default, folders.Root, stat, met.Mode) : default(FolderWay).Through(uint.MaxValue);
    }

    bool IsOwn(uint user) => user == ownUser || user == Native.EffectiveUser();

    /// <param name="way">To it.</param>
    /// <param name="folder">A handle on it.</param>
    /// <param name="stat">Of it.</param>
    /// <param name="mode">As it was before it was made ready.</param>
    FolderWay Through(FolderWay way, int folder, in StatX stat, uint mode)
    {
        way = IsOwn(stat.Uid) ? way : way.Through(stat.Uid);
        if (!MayOthersExchange(folder, stat, mode))
            return way;
        var isShut = Native.Look(folder, out var now) && !MayOthersExchange(folder, now, now.Mode);
        return way.ThroughOpen(isLoose: !isShut && disks.Of(stat.Device).KeepsModes);
    }

    /// <summary>The target as it is met.</summary>
    public MetFolder Target(MetFolder met) => met with { IsUntouched = false, IsFree = true, IsSure = true, IsOpen = IsOpenToOthers(folders.Root, met.Mode) };

    bool IsOpenToOthers(int folder, uint mode) => !Native.Look(folder, out var stat) || !IsOwn(stat.Uid) || MayOthersExchange(folder, stat, mode);

    /// <summary>Others than the owner may have put something else in the place of what lies in a folder. A group whose number is the owner's own is that user's alone, as far as this goes.</summary>
    static bool MayOthersExchange(int folder, in StatX stat, uint mode) => (mode & Sticky) == 0
        && ((mode & OthersMayWrite) != 0 || ((mode & GroupMayWrite) != 0 && (stat.Gid != stat.Uid || AccessLists.LetOthersWrite(folder))));

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
        if (isMade && !way.IsLoose)
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
        var isOnlyOne = !way.IsLoose || (isSeen && folders.Pin(path, stat));
        if (isMade && !(isOnlyOne && IsAsMade(there, stat, folder)))
        {
            _ = Native.Close(there);
            throw TargetFaults.Fault("A folder that was made cannot be written into", Native.EXDev);
        }
        uint? ready = null;
        if (!isMade && existing != ExistingFiles.Refuse)
        {
            ready = MakeReady(there, ownUser);
            ApartFiles.RemoveLeft(there);
        }
        if (isSeen && folders.Meet(there, stat.Device))
            disks.Meet(there);
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
        else if (!isMade && isSeen)
        {
            met = new MetFolder(stat.Device, stat.Inode, stat.Mode & 0xFFFu, IsFree: true);
        }
        if (met is not null && !isMade)
            met = met with { Ready = ready, IsOpen = IsOpenToOthers(there, met.Mode), IsSure = !way.IsLoose };
        var wayOn = isSeen ? Through(way, there, stat, stat.Mode & 0xFFFu) : way.Through(uint.MaxValue);
        _ = Native.Close(there);
        var isOpen = Native.Access(folder, name, Native.WriteAccess | Native.ExecuteAccess, Native.AtEffective | Native.AtNoFollow) == 0;
        return new MadeFolder(isOpen ? null : report.Shut(path, Native.Error, isThere: true), wayOn, met);
    }

    /// <summary>What was just made, and nothing that was put in its place since: empty, on the same file system, and, where that is the target's and it keeps such things, this user's and shut.</summary>
    bool IsAsMade(int there, in StatX stat, int parent)
    {
        StatX above;
        byte nul = 0;
        if (Native.StatX(parent, &nul, Native.AtEmptyPath, Native.BasicStats, &above) != 0 || above.Device != stat.Device || !IsEmpty(there))
            return false;
        return stat.Device != folders.Device || (IsOwn(stat.Uid) && ((stat.Mode & OthersMayAnything) == 0 || !disks.Of(stat.Device).KeepsModes));
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

    public bool Finish(Noted entry, MetFolder? met)
    {
        if (met is { IsUntouched: true })
        {
            PutBack(notes.PathOf(entry), met);
            return true;
        }
        var path = notes.PathOf(entry);
        var handle = folders.TryOpen(path);
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var file = handle < 0 ? -1 : Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (file < 0 && TargetFaults.IsOfTheDisk(Native.Error))
            throw TargetFaults.Fault("A folder of the target cannot be opened");
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
            if (met is { IsFree: true, IsOpen: true } && IsAboveDoubt(path) && met.Is(file) && !TargetAttributes.IsAsSaid(file, entry, met.Mode))
            {
                // Who goes on with this must judge what lies in it as this run did.
                PutBack(file, met);
                report.InDoubt("owners and permissions", entry);
                return true;
            }
            if (met is null || met.IsFree && met.Is(file))
            {
                if (existing != ExistingFiles.Refuse)
                    attributes.RemoveOthers(file, entry);
                return attributes.Set(file, entry);
            }
            if (met.Is(file))
            {
                if (!attributes.Keep(file, entry, met.Mode))
                    _inDoubt = path.ToArray();
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

    bool IsAboveDoubt(ReadOnlySpan<byte> path) => _inDoubt is not null && (path.IsEmpty || TreePath.IsBelow(_inDoubt, path));

    /// <summary>Gives a folder that stays as it is the permissions that it had before it was made ready, unless somebody gave it others since.</summary>
    public void PutBack(ReadOnlySpan<byte> path, MetFolder met)
    {
        if (met.Ready is not null && folders.TryOpen(path) is >= 0 and var folder)
            PutBack(folder, met);
    }

    /// <param name="folder">A handle on what may be it.</param>
    /// <param name="met">As it was.</param>
    public static void PutBack(int folder, MetFolder met)
    {
        if (met.Ready is not { } ready || !met.Is(folder) || !Native.Look(folder, out var stat) || (stat.Mode & 0xFFFu) != ready)
            return;
        fixed (byte* name = (byte[])[.. FolderHandle.ProcPath(folder)[..^1], (byte)'/', (byte)'.', 0])
            _ = Native.ChangeMode(Native.AtCurrent, name, met.Mode, 0);
    }
}

/// <summary>Who else than this user had a say on the way to an entry: nobody, one user, or several.</summary>
/// <param name="Other">Who owns a folder there.</param>
/// <param name="IsOfSeveral">More than one, or whoever may write to an open folder.</param>
/// <param name="IsLoose">Somebody may exchange what lies there while the restore runs: a folder of another user's cannot be shut for its owner.</param>
readonly record struct FolderWay(uint? Other, bool IsOfSeveral, bool IsLoose)
{
    public bool IsOwn => Other is null && !IsOfSeveral;

    /// <summary>At most this one.</summary>
    public bool IsOf(uint user) => !IsOfSeveral && (Other is null || Other == user);

    public FolderWay Through(uint owner) => new(owner, IsOfSeveral || (Other is { } other && other != owner), IsLoose: true);

    /// <summary>Through one of this user's, to which others could write before.</summary>
    public FolderWay ThroughOpen(bool isLoose) => this with { IsOfSeveral = true, IsLoose = IsLoose || isLoose };
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
    /// <summary>The permissions that it was given for the time of the restore; null where it has its own.</summary>
    public uint? Ready { get; init; }

    /// <summary>It stays as it was: it is only on the way, or the snapshot says nothing of it but its name.</summary>
    public bool IsUntouched { get; init; }

    /// <summary>Nobody else can put another in its place while the restore runs: it is not compared, as numbers of folders do not last everywhere.</summary>
    public bool IsSure { get; init; }

    /// <summary>Others than this user could put something into it before.</summary>
    public bool IsOpen { get; init; }

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
        return IsSure || (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && (stat.Device, stat.Inode) == (Device, Inode));
    }
}
