using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Files under a name of their own until they are whole: so nothing half-written ever stands under a name of the snapshot.</summary>
sealed unsafe class ApartFiles(TargetFolders folders, TargetNotes notes, TargetReport report, ApartNames apartNames, ExistingFiles existing)
{
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
        var name = stackalloc byte[ApartNames.Length + 1];
        for (var i = 0; i < names.Count; i++)
        {
            if (!ApartNames.IsApart(names[i]))
                continue;
            FolderHandle.Terminate(names[i], name);
            _ = Native.Unlink(list, name, 0);
        }
        _ = Native.Close(list);
    }

    /// <summary>-1 where that fails for this file or this folder alone.</summary>
    public int Open(Noted entry, out byte[] apart)
    {
        apart = apartNames.Next();
        var parent = TreePath.Parent(notes.PathOf(entry));
        var folder = folders.Open(parent);
        var file = -1;
        if (folder >= 0)
        {
            var name = stackalloc byte[ApartNames.Length + 1];
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
        var from = stackalloc byte[ApartNames.Length + 1];
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
        if (Native.MakeLink(folder, from, folder, to, 0) == 0)
            return Native.Unlink(folder, from, 0);
        return (Native.Error is Native.EPerm or Native.EOpNotSupp or Native.ENoSys) && IsFree(folder, to) ? Native.Rename(folder, from, folder, to) : -1;
    }

    /// <summary>Where the file system has no links either (exFAT). What comes between look and renaming is replaced all the same.</summary>
    static bool IsFree(int folder, byte* name)
    {
        StatX stat;
        if (Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) != 0)
            return true;
        System.Runtime.InteropServices.Marshal.SetLastPInvokeError(Native.EExist);
        return false;
    }

    /// <summary>It will not be whole.</summary>
    public void Remove(Noted entry, byte[] apart)
    {
        var folder = folders.TryOpen(TreePath.Parent(notes.PathOf(entry)));
        if (folder < 0)
            return;
        var name = stackalloc byte[ApartNames.Length + 1];
        FolderHandle.Terminate(apart, name);
        _ = Native.Unlink(folder, name, 0);
    }
}
