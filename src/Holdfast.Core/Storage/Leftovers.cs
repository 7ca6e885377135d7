using System.Runtime.InteropServices;
using Holdfast.Core.Retention;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Nameless files whose writer was killed. A writer holds a lock on its file for as long as it lives, whatever ends it: a file that nobody holds is nobody's.</summary>
public static class Leftovers
{
    /// <summary>Between making a file and locking it lies a moment; on a disk of this machine no more than that.</summary>
    static readonly TimeSpan Settled = TimeSpan.FromMinutes(1);

    /// <summary>Where locks of other machines may not show, a session's life has to be over.</summary>
    static readonly TimeSpan Forgotten = TimeSpan.FromSeconds(LockRules.SessionLife);

    /// <summary>Marks a file as being written by this process; gives it back.</summary>
    internal static SafeFileHandle Hold(SafeFileHandle file)
    {
        // Where the file system has no locks, age alone decides.
        if (OperatingSystem.IsLinux())
            _ = Libc.FileLock(file, Libc.LockShared);
        return file;
    }

    /// <summary>Discards files that match and that no running process is writing.</summary>
    public static void Sweep(Disk disk, string folder, string pattern)
    {
        try
        {
            FolderOwner.Act(folder, () => SweepOwn(disk, folder, pattern));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another time, or by someone who may.
        }
    }

    static bool SweepOwn(Disk disk, string folder, string pattern)
    {
        // Held open, and reached through no link of its own: whoever owns the folder above could put another in its place between two files.
        using var above = OperatingSystem.IsLinux() ? HeldFolder.Open(Path.GetDirectoryName(folder)!) : null;
        using var held = above?.Folder(Path.GetFileName(folder));
        if (OperatingSystem.IsLinux() && held is null)
            return false;
        var all = new DirectoryInfo(held is null ? folder : $"/proc/self/fd/{held.File.DangerousGetHandle()}");
        if (!all.Exists)
            return false;
        var age = IsLocal(folder) ? Settled : Forgotten;
        foreach (var file in all.EnumerateFiles(pattern))
        {
            if (TimeProvider.System.GetUtcNow() - file.LastWriteTimeUtc > age && !IsHeld(file.FullName, out var isSure)
                && (isSure || TimeProvider.System.GetUtcNow() - file.LastWriteTimeUtc > Forgotten))
                disk.Discard(file.FullName);
        }
        return true;
    }

    static bool IsLocal(string folder) => new DriveInfo(folder).DriveType is DriveType.Fixed or DriveType.Ram or DriveType.Removable;

    /// <param name="path">The file.</param>
    /// <param name="isSure">False where the file system does not tell.</param>
    static bool IsHeld(string path, out bool isSure)
    {
        isSure = true;
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, OperatingSystem.IsLinux() ? FileShare.ReadWrite | FileShare.Delete : FileShare.None);
            if (!OperatingSystem.IsLinux() || Libc.FileLock(file, Libc.LockAlone) == 0)
                return false;
            isSure = Marshal.GetLastPInvokeError() == Libc.WouldBlock;
            return isSure;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true; // or gone, or another user's
        }
    }
}
