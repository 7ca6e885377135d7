using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>What is made when all files are there: symlinks (so that nothing is ever written through one), special files, further names.</summary>
sealed unsafe class LateEntries(TargetFolders folders, TargetNotes notes, TargetReport report, TargetAttributes attributes, TargetFiles files, FileTargetOptions options, TargetDisks disks, uint ownUser)
{
    const int CopySize = 64 << 10; // bytes
    const string Replaced = "something else took the place of its first name";

    /// <summary>A symlink or a special file; false where it does not stand there as the snapshot has it.</summary>
    public bool Make(Noted entry)
    {
        var path = notes.PathOf(entry);
        var folder = folders.Open(TreePath.Parent(path));
        if (folder < 0)
        {
            report.Missed(entry, TreePath.Parent(path), Native.Error);
            return false;
        }
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var made = MakeOne(entry, folder, name);
        if (made != 0 && Native.Error == Native.EExist && options.Existing != ExistingFiles.Refuse)
            made = Native.Unlink(folder, name, 0) == 0 ? MakeOne(entry, folder, name) : -1;
        if (made != 0)
        {
            if (Native.Error == Native.EPerm)
                report.Problem(entry, Native.EPerm); // of its kind: this user or this file system makes none
            else
                report.Missed(entry, TreePath.Parent(path), Native.Error);
            return false;
        }
        var handle = Native.OpenAt(folder, name, Native.PathOnly | Native.NoFollow | Native.CloseOnExec, 0);
        try
        {
            if (handle < 0 || !IsAsMade(handle, entry))
            {
                report.Problem(entry, TargetFault.InTheWay, "something else took its place as it was made");
                return false;
            }
            entry.IsThere = true;
            return attributes.SetLate(handle, entry);
        }
        finally
        {
            if (handle >= 0)
                _ = Native.Close(handle);
        }
    }

    /// <summary>Who owns the folder can exchange the entry for a file of root's, to be given its owner and permissions. Nothing that passes here gives away more than
    /// the entry itself.</summary>
    bool IsAsMade(int handle, Noted entry)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(handle, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || stat.Type != TypeOf(entry.Kind) || stat.Uid != ownUser || stat.LinkCount > 1
            || (entry.Kind is not (EntryKind.Symlink or EntryKind.Fifo) && stat.RawDevice != entry.RawDevice))
        {
            return false;
        }
        entry.Which = (stat.Device, stat.Inode);
        return true;
    }

    static int TypeOf(EntryKind kind) => kind switch
    {
        EntryKind.Symlink => Native.TypeSymlink,
        EntryKind.Fifo => Native.TypeFifo,
        EntryKind.CharacterDevice => Native.TypeCharacter,
        _ => Native.TypeBlock,
    };

    static int MakeOne(Noted entry, int folder, byte* name)
    {
        switch (entry.Kind)
        {
            case EntryKind.Symlink:
                fixed (byte* target = (byte[])[.. entry.Target!, 0])
                    return Native.MakeSymlink(target, folder, name);
            case EntryKind.Fifo:
                return Native.MakeNode(folder, name, Native.TypeFifo | 0x180, 0);
            default:
                var (major, minor) = (entry.RawDevice >> 32, entry.RawDevice & uint.MaxValue);
                var device = (major & 0xFFF) << 8 | (minor & 0xFF) | (minor & ~0xFFUL) << 12 | (major & ~0xFFFUL) << 32; // makedev(3) of glibc
                return Native.MakeNode(folder, name, (uint)TypeOf(entry.Kind) | 0x180, device);
        }
    }

    /// <summary>A further name of a file that is there already; false where it could not be made.</summary>
    public bool MakeName(Noted entry, Noted first)
    {
        if (!first.IsThere)
        {
            report.Problem(entry, TargetFault.FirstNameMissing, "another name of a file that was not restored");
            return false;
        }
        var path = notes.PathOf(entry);
        var from = notes.PathOf(first);
        using var source = folders.Another();
        var fromFolder = source.Open(TreePath.Parent(from));
        var folder = fromFolder < 0 ? -1 : folders.Open(TreePath.Parent(path));
        if (folder < 0)
        {
            report.Missed(entry, TreePath.Parent(path), Native.Error);
            return false;
        }
        var fromName = stackalloc byte[TreePath.MaxName + 1];
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(from), fromName);
        FolderHandle.Terminate(TreePath.Name(path), name);
        var made = Native.MakeLink(fromFolder, fromName, folder, name, 0);
        if (made != 0 && Native.Error == Native.EExist && options.Existing != ExistingFiles.Refuse)
            made = Native.Unlink(folder, name, 0) == 0 ? Native.MakeLink(fromFolder, fromName, folder, name, 0) : -1;
        if (made == 0 && IsSame(folder, name, first))
            return entry.IsThere = true;
        if (made == 0)
        {
            _ = Native.Unlink(folder, name, 0);
            report.Problem(entry, TargetFault.InTheWay, Replaced);
            return false;
        }
        if (Native.Error is Native.EPerm or Native.EOpNotSupp or Native.ENoSys or Native.EMLink or Native.EXDev)
            return CopyFirst(entry, first, fromFolder, fromName, Native.Error);
        report.Missed(entry, TreePath.Parent(path), Native.Error);
        return false;
    }

    /// <summary>The name leads to the file that was restored, and not to what somebody has put in the place of its first name.</summary>
    bool IsSame(int folder, byte* name, Noted first)
    {
        StatX stat;
        return Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) == 0
            && (disks.Of(stat.Device).SharesInodes ? (stat.Device, stat.Inode) == first.Which : first.Kind != EntryKind.File || ((stat.Uid, stat.Gid, stat.Mode & 0xFFFu) == first.Got && stat.Type == Native.TypeFile && (long)stat.Size == first.Size));
    }

    /// <summary>Where no link can be made the content comes all the same, as a file of its own.</summary>
    /// <remarks>Not of what somebody has put in the first name's place since: a copy of it might be for others to read.</remarks>
    bool CopyFirst(Noted entry, Noted firstName, int fromFolder, byte* fromName, int why)
    {
        var first = Native.OpenAt(fromFolder, fromName, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        StatX stat;
        byte nul = 0;
        if (first < 0 || Native.StatX(first, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || stat.Type != Native.TypeFile)
        {
            if (first >= 0)
                _ = Native.Close(first);
            report.Problem(entry, why);
            return false;
        }
        var isAlike = (entry.Uid, entry.Gid, entry.Mode) == (firstName.Uid, firstName.Gid, firstName.Mode);
        if (!isAlike || (stat.Uid, stat.Gid, stat.Mode & 0xFFFu) != firstName.Got)
        {
            _ = Native.Close(first);
            report.Problem(entry, isAlike ? TargetFault.InTheWay : TargetFault.NotHeld, isAlike ? Replaced : "no hard link can be made here, and its first name has another owner or other permissions in the snapshot; restore it by itself with --include");
            return false;
        }
        using var content = new LinuxContent(first, stat);
        using var writer = files.Open(entry);
        if (writer is null)
            return false;
        try
        {
            if ((long)stat.Size != entry.Size)
                throw new IOException();
            var buffer = new byte[CopySize];
            foreach (var data in content.DataExtents() ?? [new Extent(0, entry.Size)]) // holes are not read, which may be larger than any disk
            {
                for (var at = data.Offset; at < data.Offset + data.Length;)
                {
                    options.Stop.ThrowIfCancellationRequested();
                    var count = content.Read(buffer.AsSpan(0, (int)Math.Min(buffer.Length, data.Offset + data.Length - at)), at);
                    if (count == 0)
                        throw new IOException();
                    if (buffer.AsSpan(0, count).ContainsAnyExcept((byte)0))
                        writer.Write(buffer.AsSpan(0, count), at);
                    at += count;
                }
            }
        }
        catch (IOException)
        {
            report.Problem(entry, Native.EIo);
            return false;
        }
        if (!writer.Complete())
            return false;
        report.Refusal("hard links", why);
        return true;
    }
}
