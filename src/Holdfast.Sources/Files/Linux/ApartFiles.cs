using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Files under a name of their own until they are whole: so nothing half-written ever stands under a name of the snapshot.</summary>
sealed unsafe class ApartFiles(TargetFolders folders, TargetNotes notes, TargetReport report, ExistingFiles existing)
{
    const string Prefix = ".holdfast-restoring-"; // then a number of the run, and one of the file
    const int RunDigits = 16;
    const int CountDigits = 12;
    const int NameLength = 20 + RunDigits + CountDigits;

    readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(RunDigits / 2));
    long _count;

    static ReadOnlySpan<byte> PrefixBytes => ".holdfast-restoring-"u8;

    /// <summary>False where each name of a file has a number of its own, which then tells nothing.</summary>
    public bool IsInodeShared { get; private set; } = true;

    byte[] NewName() => System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Prefix}{_run}{Interlocked.Increment(ref _count):x12}"));

    /// <summary>Finds out before anything else whether files can be made here at all: one word then, instead of one for each file.</summary>
    /// <remarks>And whether the names of one file show one inode number, as everywhere but on some FUSE and network file systems: <see cref="IsInodeShared"/>.</remarks>
    /// <returns>Whose a file is that this user makes there: on a file system that knows no owners, it may be another's.</returns>
    public uint Probe()
    {
        var name = stackalloc byte[NameLength + 1];
        FolderHandle.Terminate(NewName(), name);
        var file = Native.OpenAt(folders.Root, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
        if (file < 0)
            throw TargetFaults.Fault("Nothing can be written into the target folder");
        try
        {
            TargetFiles.WriteAt(file, new byte[4_096], 0);
            StatX stat, linked;
            byte nul = 0;
            if (Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0)
                return Native.EffectiveUser();
            var link = stackalloc byte[NameLength + 1];
            FolderHandle.Terminate(NewName(), link);
            if (Native.MakeLink(folders.Root, name, folders.Root, link, 0) == 0)
            {
                IsInodeShared = Native.StatX(folders.Root, link, Native.AtNoFollow, Native.BasicStats, &linked) != 0 || (linked.Device, linked.Inode) == (stat.Device, stat.Inode);
                _ = Native.Unlink(folders.Root, link, 0);
            }
            return stat.Uid;
        }
        finally
        {
            _ = Native.Close(file);
            _ = Native.Unlink(folders.Root, name, 0);
        }
    }

    /// <summary>What an earlier run did not finish goes.</summary>
    public static void RemoveLeft(int folder)
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var list = Native.OpenAt(folder, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (list < 0)
            return;
        var names = new NameList();
        _ = names.Read(list);
        names.Sort();
        var name = stackalloc byte[NameLength + 1];
        for (var i = 0; i < names.Count; i++)
        {
            if (!IsApart(names[i]))
                continue;
            FolderHandle.Terminate(names[i], name);
            _ = Native.Unlink(list, name, 0);
        }
        _ = Native.Close(list);
    }

    static bool IsApart(ReadOnlySpan<byte> name)
    {
        if (name.Length != NameLength || !name.StartsWith(PrefixBytes))
            return false;
        foreach (var digit in name[PrefixBytes.Length..])
        {
            if (!char.IsAsciiHexDigitLower((char)digit))
                return false;
        }
        return true;
    }

    /// <summary>-1 where that fails for this file or this folder alone.</summary>
    public int Open(Noted entry, out byte[] apart)
    {
        apart = NewName();
        var parent = TreePath.Parent(notes.PathOf(entry));
        var folder = folders.Open(parent);
        var file = -1;
        if (folder >= 0)
        {
            var name = stackalloc byte[NameLength + 1];
            FolderHandle.Terminate(apart, name);
            file = Native.OpenAt(folder, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
        }
        if (file < 0)
            report.Missed(entry, parent, Native.Error);
        return file;
    }

    /// <summary>The file is whole, and gets the name that the snapshot gives it.</summary>
    public bool Take(Noted entry, byte[] apart)
    {
        var path = notes.PathOf(entry);
        var folder = folders.Open(TreePath.Parent(path));
        if (folder < 0)
        {
            report.Missed(entry, TreePath.Parent(path), Native.Error);
            return false;
        }
        var from = stackalloc byte[NameLength + 1];
        var to = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(apart, from);
        FolderHandle.Terminate(TreePath.Name(path), to);
        if (Rename(folder, from, to) == 0)
            return entry.IsThere = true;
        var error = Native.Error;
        _ = Native.Unlink(folder, from, 0);
        return report.WriteFailed(entry, error);
    }

    static volatile bool _hasNoReplace = true;

    /// <summary>Into an empty target nothing is replaced: what stands there has come meanwhile, or differs in case alone where case does not count.</summary>
    int Rename(int folder, byte* from, byte* to)
    {
        if (existing != ExistingFiles.Refuse)
            return Native.Rename(folder, from, folder, to);
        if (_hasNoReplace)
        {
            if (Native.RenameNew(folder, from, folder, to, Native.NoReplace) == 0)
                return 0;
            if (Native.Error is not (Native.ENoSys or Native.EInval))
                return -1;
            _hasNoReplace = false; // an old kernel, or a file system that does not know it
        }
        return Native.MakeLink(folder, from, folder, to, 0) == 0 ? Native.Unlink(folder, from, 0) : Native.Error is Native.EPerm or Native.EOpNotSupp or Native.ENoSys ? Native.Rename(folder, from, folder, to) : -1;
    }

    /// <summary>It will not be whole.</summary>
    public void Remove(Noted entry, byte[] apart)
    {
        var folder = folders.TryOpen(TreePath.Parent(notes.PathOf(entry)));
        if (folder < 0)
            return;
        var name = stackalloc byte[NameLength + 1];
        FolderHandle.Terminate(apart, name);
        _ = Native.Unlink(folder, name, 0);
    }
}
