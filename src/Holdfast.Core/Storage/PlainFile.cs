using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Opens plain files of a vault, and nothing else that may stand under their names: whoever owns the folder can put a pipe there that no read returns from, a link, or a
/// file without end. A file's size is known, and within a limit, before a byte of it is read (docs/format.md, section 3).</summary>
static class PlainFile
{
    const int NoFile = 2; // ENOENT
    const int NotAFolder = 20; // ENOTDIR
    const int NoDevice = 6; // ENXIO: a socket
    const int Loop = 40; // ELOOP: a link
    const int SetFlags = 4; // F_SETFL
    const uint Anyone = 0x1B6; // rw-rw-rw-, less what the process masks

    /// <returns>Null where something else than a plain file has the name.</returns>
    /// <exception cref="IOException">As <see cref="File.OpenHandle"/>; no name is told.</exception>
    public static SafeFileHandle? Open(string path)
    {
        if (!OperatingSystem.IsLinux())
            return (File.GetAttributes(path) & (FileAttributes.ReparsePoint | FileAttributes.Directory | FileAttributes.Device)) != 0 ? null
                : File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var descriptor = Libc.Open(path, Libc.ReadAtOnce);
        if (descriptor < 0)
        {
            return Marshal.GetLastPInvokeError() switch
            {
                Loop or NoDevice => null,
                NoFile => throw new FileNotFoundException(),
                NotAFolder => throw new DirectoryNotFoundException(),
                1 or 13 => throw new UnauthorizedAccessException(), // EPERM, EACCES
                var error => throw new IOException($"error {error}", error),
            };
        }
        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        if (FileStat.TryRead(file, out var stat) && stat.IsFile && Libc.Fcntl(file, SetFlags, 0) == 0) // from here on as any other: it is none that blocks
            return file;
        file.Dispose();
        return null;
    }

    /// <summary>Makes a new file: nothing that stands under the name is opened, or written through.</summary>
    /// <exception cref="IOException">Something has the name.</exception>
    public static SafeFileHandle CreateNew(string path) =>
        OperatingSystem.IsLinux() ? FolderOwner.Act(path, () => Opened(Libc.Open(path, Libc.WriteCreateNew | Libc.NoFollow, Anyone))) : File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.None);

    /// <summary>Takes a lock file for this process alone, and makes it where it is missing; through no link.</summary>
    /// <exception cref="IOException">Somebody has it, or something else than a plain file has the name.</exception>
    public static SafeFileHandle Take(string path)
    {
        if (!OperatingSystem.IsLinux())
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        var file = FolderOwner.Act(path, () => Opened(Libc.Open(path, Libc.TakeLock | Libc.NoFollow, Anyone)));
        if (FileStat.TryRead(file, out var stat) && stat.IsFile && Libc.FileLock(file, Libc.LockAlone) == 0)
            return file;
        var isTaken = stat.IsFile && Marshal.GetLastPInvokeError() == Libc.WouldBlock;
        file.Dispose();
        throw isTaken ? new IOException("taken", Libc.WouldBlock) : new IOException("no plain file, or no locks", Loop);
    }

    /// <summary>True where <see cref="Take"/> failed as somebody else has the file.</summary>
    public static bool IsTaken(IOException fault) => !OperatingSystem.IsLinux() ? fault is not (FileNotFoundException or DirectoryNotFoundException) : fault.HResult == Libc.WouldBlock;

    static SafeFileHandle Opened(int descriptor)
    {
        if (descriptor >= 0)
            return new SafeFileHandle(descriptor, ownsHandle: true);
        throw Marshal.GetLastPInvokeError() switch
        {
            NoFile or NotAFolder => new DirectoryNotFoundException(),
            1 or 13 => new UnauthorizedAccessException(), // EPERM, EACCES
            var error => new IOException($"error {error}", error),
        };
    }

    /// <summary>Reads a small file whole.</summary>
    /// <returns>Null where something else than a plain file of at most so many bytes has the name.</returns>
    /// <exception cref="IOException">As <see cref="File.ReadAllBytes(string)"/>.</exception>
    public static byte[]? ReadAll(string path, int limit)
    {
        using var file = Open(path);
        if (file is null || RandomAccess.GetLength(file) is var length && length > limit)
            return null;
        var bytes = new byte[length];
        var read = 0;
        while (read < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(read), read) is var more and > 0)
            read += more;
        return read == bytes.Length ? bytes : bytes[..read];
    }

    /// <summary>Lines of a note that is a convenience: none where it is missing, too long, or no plain file.</summary>
    /// <param name="path">The note.</param>
    /// <param name="shortest">Characters of a line: what has fewer is none.</param>
    /// <param name="longest">Characters of a line: what has more is none.</param>
    /// <param name="most">How many lines are given at most.</param>
    /// <exception cref="IOException">As <see cref="ReadAll"/>.</exception>
    public static NoteLines ReadNote(string path, int shortest, int longest, int most) => new(IsOne(path) ? Open(path) : null, shortest, longest, most);

    /// <summary>True where a plain file has the name. It may be another one a moment later: <see cref="Open"/> looks again.</summary>
    public static bool IsOne(string path) => !OperatingSystem.IsLinux() ? File.Exists(path) : FileStat.TryRead(path, out var stat) && stat.IsFile;
}

/// <summary>What kind of thing stands under a name, whose it is, and how many names it has. Linux only.</summary>
readonly record struct FileStat(uint Links, uint User, uint Group, bool IsFile, bool IsFolder, bool IsLink, ulong Inode, ulong Device, uint Mode)
{
    const int EmptyPath = 0x1000; // AT_EMPTY_PATH
    const int NoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
    const uint Basic = 0x7FF; // STATX_BASIC_STATS

    public static bool TryRead(SafeFileHandle file, out FileStat stat)
    {
        Span<uint> words = stackalloc uint[64];
        return Of(Libc.StatX(file, "", EmptyPath, Basic, ref MemoryMarshal.GetReference(words)), words, out stat);
    }

    /// <summary>Of the name itself: a link is not followed.</summary>
    public static bool TryRead(string path, out FileStat stat)
    {
        Span<uint> words = stackalloc uint[64];
        return Of(Libc.StatX(Libc.AtFdcwd, path, NoFollow, Basic, ref MemoryMarshal.GetReference(words)), words, out stat);
    }

    /// <summary>Two names of one file; false where that cannot be told.</summary>
    public static bool AreOne(string path, string other) =>
        OperatingSystem.IsLinux() && TryRead(path, out var one) && TryRead(other, out var two) && (one.Device, one.Inode) == (two.Device, two.Inode);

    /// <summary>struct statx (statx(2)) in 32-bit words: links, user, group, then the mode, then the inode; the device at byte 136.</summary>
    static bool Of(int result, ReadOnlySpan<uint> words, out FileStat stat)
    {
        var kind = words[7] & 0xF000;
        stat = new FileStat(words[4], words[5], words[6], kind == 0x8000, kind == 0x4000, kind == 0xA000, words[8] | (ulong)words[9] << 32, words[34] | (ulong)words[35] << 32, words[7] & 0xFFF);
        return result == 0;
    }
}
