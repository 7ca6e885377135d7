using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>A folder that is held open: what is looked at through it lies in this folder, whatever its path leads to by now. No link is followed, and no mounted file system entered:
/// one that a user mounted may never answer. Linux only.</summary>
sealed class HeldFolder : IDisposable
{
    const nint OpenAt2 = 437; // the same on all processors; Linux 5.6
    const ulong Resolve = 0x01 | 0x02 | 0x04 | 0x08; // RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    const int NotPermitted = 1; // EPERM
    const int NoSuchCall = 38; // ENOSYS

    HeldFolder(SafeFileHandle file, FileStat stat)
    {
        File = file;
        Stat = stat;
    }

    public SafeFileHandle File { get; }
    public FileStat Stat { get; }

    /// <summary>Null where there is no such folder. Links above it are followed.</summary>
    public static HeldFolder? Open(string path)
    {
        var file = Libc.Open(path, Libc.OpenFolder);
        return file < 0 ? null : Held(new SafeFileHandle(file, ownsHandle: true));
    }

    /// <summary>A folder below this one; null where there is none, or a link or a mounted file system stands on the way.</summary>
    public HeldFolder? Folder(string path) => TryOpen(path, Libc.OpenFolder) is { } file ? Held(file) : null;

    /// <summary>A plain file below this folder; null where there is none.</summary>
    public SafeFileHandle? OpenFile(string path, out FileStat stat)
    {
        stat = default;
        var file = TryOpen(path, Libc.ReadAtOnce);
        if (file is null || (FileStat.TryRead(file, out stat) && stat.IsFile))
            return file;
        file.Dispose();
        return null;
    }

    /// <summary>Names in the folder itself.</summary>
    public IEnumerable<string> Names()
    {
        // Through the open folder, not through its path.
        var all = Directory.EnumerateFileSystemEntries($"/proc/self/fd/{File.DangerousGetHandle()}", "*", new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = false });
        using var names = all.GetEnumerator();
        while (DiskFault.Translated(names.MoveNext))
            yield return Path.GetFileName(names.Current);
        GC.KeepAlive(this);
    }

    SafeFileHandle? TryOpen(string path, int flags)
    {
        ReadOnlySpan<ulong> how = [(ulong)(flags | Libc.NoFollow), 0, Resolve];
        var file = Libc.OpenAt2(OpenAt2, File, path, how, 3 * sizeof(ulong));
        if (file >= 0)
            return new SafeFileHandle(file, ownsHandle: true);
        if (Marshal.GetLastPInvokeError() is NotPermitted or NoSuchCall)
            throw new HoldfastException(ErrorCode.StoreUnavailable, "The system has no openat2, by which the guard keeps to the vault's own folders.",
                "Run the guard on Linux 5.6 or newer; in a container, allow the system call openat2.");
        return null;
    }

    static HeldFolder? Held(SafeFileHandle file)
    {
        if (FileStat.TryRead(file, out var stat) && stat.IsFolder)
            return new HeldFolder(file, stat);
        file.Dispose();
        return null;
    }

    public void Dispose() => File.Dispose();
}
