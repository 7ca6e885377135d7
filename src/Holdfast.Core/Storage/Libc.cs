using System.Runtime.InteropServices;

namespace Holdfast.Core.Storage;

/// <summary>The few system calls that .NET has no word for. Linux only; callers ask <see cref="OperatingSystem.IsLinux"/> first.</summary>
static partial class Libc
{
    public const int AtFdcwd = -100;
    public const uint RenameNoReplace = 1;
    const int ReadOnlyFolder = 0x10000 | 0x80000; // O_RDONLY | O_DIRECTORY | O_CLOEXEC, x86 and arm64 differ only in O_DIRECTORY
    const int ReadOnlyFolderArm = 0x4000 | 0x80000;
    static readonly bool IsArm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;
    public static readonly int OpenFolder = IsArm ? ReadOnlyFolderArm : ReadOnlyFolder;
    public const int Exist = 17; // EEXIST
    public const int NoMemory = 12; // ENOMEM
    public const int TooManyOpenInSystem = 23; // ENFILE
    public const int TooManyOpen = 24; // EMFILE
    public const int FileTooLarge = 27; // EFBIG
    public const int NoSpace = 28; // ENOSPC
    public const int ReadOnlyFileSystem = 30; // EROFS
    public const int InvalidArgument = 22; // EINVAL
    public const int NotSupported = 95; // EOPNOTSUPP
    public const int NotFolder = 20; // ENOTDIR
    public const int NotEmpty = 39; // ENOTEMPTY
    public const int QuotaReached = 122; // EDQUOT
    public const uint StartWriting = 2; // SYNC_FILE_RANGE_WRITE
    public const int WriteCreateNew = 1 | 0x40 | 0x80 | 0x80000; // O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
    public const int WriteAtEnd = 1 | 0x40 | 0x400 | 0x80000; // O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
    public const int TakeLock = 2 | 0x40 | 0x80000 | 0x800; // O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK
    public static readonly int NoFollow = IsArm ? 0x8000 : 0x20000; // O_NOFOLLOW
    public static readonly int ReadAtOnce = NoFollow | 0x80000 | 0x800; // O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
    public const int SetLease = 1024; // F_SETLEASE
    public const int ReadLease = 0; // F_RDLCK
    public const int NoLease = 2; // F_UNLCK
    public const int WillNeed = 3; // POSIX_FADV_WILLNEED
    public const int DontNeed = 4; // POSIX_FADV_DONTNEED
    public const int LockShared = 1 | 4; // LOCK_SH | LOCK_NB
    public const int LockAlone = 2 | 4; // LOCK_EX | LOCK_NB
    public const int WouldBlock = 11; // EWOULDBLOCK
    public const int MayWriteAndEnter = 2 | 1; // W_OK | X_OK
    public const int MayEnter = 1; // X_OK
    public const int AccessDenied = 13; // EACCES

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RenameAt2(int fromFolder, string from, int toFolder, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Link(string from, string to);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Fcntl(SafeHandle file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "getxattr", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint GetXattr(string path, string name, byte[] value, nint size);

    /// <summary>Of the calling thread alone; gives the one before.</summary>
    [LibraryImport("libc", EntryPoint = "setfsuid")]
    public static partial int SetFileUser(uint user);

    /// <summary>Of the calling thread alone; gives the one before.</summary>
    [LibraryImport("libc", EntryPoint = "setfsgid")]
    public static partial int SetFileGroup(uint group);

    /// <summary>Of all threads.</summary>
    [LibraryImport("libc", EntryPoint = "setgroups", SetLastError = true)]
    public static partial int SetGroups(nuint count, nint groups);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int FileLock(SafeHandle file, int operation);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Fsync(int file);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    public static partial int SyncFileRange(SafeHandle file, long offset, long count, uint flags);

    [LibraryImport("libc", EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Access(string path, int mode);

    [LibraryImport("libc", EntryPoint = "realpath", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint RealPath(string path, [Out] byte[] resolved);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    public static partial int Advise(SafeHandle file, long offset, long count, int advice);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int IoControl(SafeHandle file, nuint request, ref int argument);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int StatX(SafeHandle file, string path, int flags, uint mask, ref uint result);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int StatX(int folder, string path, int flags, uint mask, ref uint result);

    /// <summary>openat2(2): the C library has no word for it.</summary>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint OpenAt2(nint number, SafeHandle folder, string path, ReadOnlySpan<ulong> how, nint size);
}
