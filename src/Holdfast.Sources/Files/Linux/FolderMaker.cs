using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Makes the folders of a tree, open to their owner alone until all that they hold is there, and gives them their attributes at the end.</summary>
sealed unsafe class FolderMaker(TargetFolders folders, TargetNotes notes, TargetReport report, TargetAttributes attributes, ExistingFiles existing)
{
    const int Executable = 0x1C0; // rwx------ while restoring

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

    /// <summary>Null where files can be made in it.</summary>
    public ShutFolder? Make(ReadOnlySpan<byte> path)
    {
        var parent = TreePath.Parent(path);
        var folder = folders.Open(parent);
        if (folder < 0)
            return report.Shut(path, Native.Error, isThere: false);
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        if (Native.MakeFolder(folder, name, Executable) == 0)
            return null;
        var error = Native.Error;
        if (TargetFaults.IsOfTheDisk(error))
            throw TargetFaults.Fault("A folder cannot be made", error);
        var there = Native.OpenAt(folder, name, Native.PathOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec, 0);
        if (there < 0)
        {
            if (Native.Error is Native.ENotDir or Native.ELoop)
            {
                throw new HoldfastException(ErrorCode.TargetUnsafe, "Something that is no folder stands where the snapshot has a folder.",
                    "Move it away, or restore into an empty folder.");
            }
            return TargetFaults.IsOfTheFolder(error) ? report.Shut(parent, error, isThere: false) : report.Shut(path, error, isThere: false);
        }
        if (existing != ExistingFiles.Refuse)
            MakeReady(there);
        _ = Native.Close(there);
        return Native.Access(folder, name, Native.WriteAccess | Native.ExecuteAccess, Native.AtEffective | Native.AtNoFollow) == 0 ? null : report.Shut(path, Native.Error, isThere: true);
    }

    public bool Finish(Noted entry)
    {
        var path = notes.PathOf(entry);
        var handle = folders.Open(path);
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var file = handle < 0 ? -1 : Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (file < 0)
        {
            report.Problem(entry, Native.Error);
            return false;
        }
        var whole = attributes.Set(file, entry, isNew: existing == ExistingFiles.Refuse && path.Length > 0);
        _ = Native.Close(file);
        return whole;
    }
}
