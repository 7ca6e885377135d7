using System.Runtime.InteropServices;

namespace Holdfast.Sources.Files.Linux;

/// <summary>statx(2): the same layout on every architecture.</summary>
[StructLayout(LayoutKind.Sequential)]
struct StatX
{
    public uint Mask, BlockSize;
    public ulong Attributes;
    public uint LinkCount, Uid, Gid;
    public ushort Mode, Spare0;
    public ulong Inode, Size, Blocks, AttributesMask;
    public StatXTime Accessed, Born, Changed, Modified;
    public uint RawDeviceMajor, RawDeviceMinor, DeviceMajor, DeviceMinor;
    public ulong MountId;
    public ulong S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12;

    public readonly ulong Device => (ulong)DeviceMajor << 32 | DeviceMinor;
    public readonly ulong RawDevice => (ulong)RawDeviceMajor << 32 | RawDeviceMinor;
    public readonly int Type => Mode & 0xF000;
    public readonly bool IsMountRoot => (Attributes & 0x2000) != 0; // STATX_ATTR_MOUNT_ROOT
}

[StructLayout(LayoutKind.Sequential)]
struct StatXTime
{
    public long Seconds;
    public uint Nanoseconds;
    public int Spare;
}

[StructLayout(LayoutKind.Sequential)]
struct TimeSpec
{
    public long Seconds, Nanoseconds;
}

[StructLayout(LayoutKind.Sequential)]
struct OpenHow
{
    public ulong Flags, Mode, Resolve;
}

/// <summary>System calls on bytes: names need not be UTF-8. Each gives -1 and sets the error, as in the manual.</summary>
static unsafe partial class Native
{
    public const int TypeFile = 0x8000, TypeFolder = 0x4000, TypeSymlink = 0xA000, TypeFifo = 0x1000, TypeCharacter = 0x2000, TypeBlock = 0x6000, TypeSocket = 0xC000;

    public const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2, Create = 0x40, Exclusive = 0x80, NoTerminal = 0x100, NonBlocking = 0x800,
        NoAtime = 0x40000, CloseOnExec = 0x80000, PathOnly = 0x200000;

    static readonly bool Arm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64;
    public static readonly int Folder = Arm ? 0x4000 : 0x10000;
    public static readonly int Direct = Arm ? 0x10000 : 0x4000;
    public static readonly int NoFollow = Arm ? 0x8000 : 0x20000;

    public const int AtEmptyPath = 0x1000, AtNoFollow = 0x100, AtNoAutomount = 0x800, AtCurrent = -100;
    public const int WriteAccess = 2, ExecuteAccess = 1, AtEffective = 0x200;
    public const uint NoReplace = 1;
    public const uint BasicStats = 0x7FF;
    public const ulong BeneathNoLinks = 0x08 | 0x04; // RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
    public const int SeekData = 3, SeekHole = 4;
    public const int Sequential = 2; // POSIX_FADV_SEQUENTIAL
    public const int DontNeed = 4;

    public const int SetLease = 1024, ReadLease = 0, NoLease = 2; // F_SETLEASE, F_RDLCK, F_UNLCK

    public const int EPerm = 1, ENoEnt = 2, EIntr = 4, EIo = 5, ENxio = 6, E2Big = 7, EAgain = 11, EAcces = 13, EExist = 17, EXDev = 18, ENotDir = 20, EIsDir = 21, EInval = 22,
        ENFile = 23, EMFile = 24, EFBig = 27, ENoSpc = 28, ERofs = 30, EMLink = 31, ERange = 34, ENameTooLong = 36, ENoSys = 38, ENotEmpty = 39, ELoop = 40, ENoData = 61, EOverflow = 75, EIlSeq = 84, EOpNotSupp = 95, EStale = 116, EDQuot = 122;

    public static int Error => Marshal.GetLastPInvokeError();

    [LibraryImport("libc", EntryPoint = "openat", SetLastError = true)]
    public static partial int OpenAt(int folder, byte* path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, long a, byte* b, OpenHow* c, long d);

    /// <summary>openat2(2): the same number on every architecture.</summary>
    public static int OpenAt2(int folder, byte* path, OpenHow how) => (int)SystemCall(437, folder, path, &how, sizeof(OpenHow));

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int FileControl(int file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true)]
    public static partial int StatX(int folder, byte* path, int flags, uint mask, StatX* result);

    [LibraryImport("libc", EntryPoint = "getdents64", SetLastError = true)]
    public static partial nint GetEntries(int folder, byte* buffer, nuint size);

    [LibraryImport("libc", EntryPoint = "readlinkat", SetLastError = true)]
    public static partial nint ReadLink(int folder, byte* path, byte* buffer, nuint size);

    [LibraryImport("libc", EntryPoint = "llistxattr", SetLastError = true)]
    public static partial nint ListXattrs(byte* path, byte* list, nuint size);

    [LibraryImport("libc", EntryPoint = "lgetxattr", SetLastError = true)]
    public static partial nint GetXattr(byte* path, byte* name, byte* value, nuint size);

    [LibraryImport("libc", EntryPoint = "flistxattr", SetLastError = true)]
    public static partial nint ListXattrs(int file, byte* list, nuint size);

    [LibraryImport("libc", EntryPoint = "fgetxattr", SetLastError = true)]
    public static partial nint GetXattr(int file, byte* name, byte* value, nuint size);

    [LibraryImport("libc", EntryPoint = "setxattr", SetLastError = true)]
    public static partial int SetXattr(byte* path, byte* name, byte* value, nuint size, int flags);

    [LibraryImport("libc", EntryPoint = "fsetxattr", SetLastError = true)]
    public static partial int SetXattr(int file, byte* name, byte* value, nuint size, int flags);

    [LibraryImport("libc", EntryPoint = "removexattr", SetLastError = true)]
    public static partial int RemoveXattr(byte* path, byte* name);

    [LibraryImport("libc", EntryPoint = "fremovexattr", SetLastError = true)]
    public static partial int RemoveXattr(int file, byte* name);

    [LibraryImport("libc", EntryPoint = "getxattr", SetLastError = true)]
    public static partial nint GetXattrOf(byte* path, byte* name, byte* value, nuint size);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    public static partial nint Read(int file, byte* buffer, nuint size, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    public static partial nint Write(int file, byte* buffer, nuint size, long offset);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(int file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int SyncData(int file);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    public static partial int Advise(int file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    public static partial int Allocate(int file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int Truncate(int file, long length);

    [LibraryImport("libc", EntryPoint = "mkdirat", SetLastError = true)]
    public static partial int MakeFolder(int folder, byte* path, uint mode);

    [LibraryImport("libc", EntryPoint = "symlinkat", SetLastError = true)]
    public static partial int MakeSymlink(byte* target, int folder, byte* path);

    [LibraryImport("libc", EntryPoint = "linkat", SetLastError = true)]
    public static partial int MakeLink(int fromFolder, byte* from, int toFolder, byte* to, int flags);

    [LibraryImport("libc", EntryPoint = "mknodat", SetLastError = true)]
    public static partial int MakeNode(int folder, byte* path, uint mode, ulong device);

    [LibraryImport("libc", EntryPoint = "renameat", SetLastError = true)]
    public static partial int Rename(int fromFolder, byte* from, int toFolder, byte* to);

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true)]
    public static partial int RenameNew(int fromFolder, byte* from, int toFolder, byte* to, uint flags);

    [LibraryImport("libc", EntryPoint = "faccessat", SetLastError = true)]
    public static partial int Access(int folder, byte* path, int mode, int flags);

    [LibraryImport("libc", EntryPoint = "unlinkat", SetLastError = true)]
    public static partial int Unlink(int folder, byte* path, int flags);

    [LibraryImport("libc", EntryPoint = "fchown", SetLastError = true)]
    public static partial int ChangeOwner(int file, uint uid, uint gid);

    [LibraryImport("libc", EntryPoint = "fchownat", SetLastError = true)]
    public static partial int ChangeOwner(int folder, byte* path, uint uid, uint gid, int flags);

    [LibraryImport("libc", EntryPoint = "fchmod", SetLastError = true)]
    public static partial int ChangeMode(int file, uint mode);

    [LibraryImport("libc", EntryPoint = "fchmodat", SetLastError = true)]
    public static partial int ChangeMode(int folder, byte* path, uint mode, int flags);

    [LibraryImport("libc", EntryPoint = "futimens", SetLastError = true)]
    public static partial int SetTimes(int file, TimeSpec* times);

    [LibraryImport("libc", EntryPoint = "utimensat", SetLastError = true)]
    public static partial int SetTimes(int folder, byte* path, TimeSpec* times, int flags);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint EffectiveUser();

    [LibraryImport("libc", EntryPoint = "getegid")]
    public static partial uint EffectiveGroup();

    [LibraryImport("libc", EntryPoint = "getgroups", SetLastError = true)]
    private static partial int GetGroups(int size, uint* groups);

    static readonly Lazy<HashSet<uint>> Groups = new(() =>
    {
        const int most = 65_536; // NGROUPS_MAX
        var groups = new uint[most];
        fixed (uint* list = groups)
            return [EffectiveGroup(), .. groups.AsSpan(0, Math.Max(0, GetGroups(most, list)))];
    });

    /// <summary>True for root, which may do what a group's members may.</summary>
    public static bool IsInGroup(uint group) => EffectiveUser() == 0 || Groups.Value.Contains(group);

    [LibraryImport("libc", EntryPoint = "getpwuid_r")]
    public static partial int GetUser(uint uid, byte** passwd, byte* buffer, nuint size, out byte** result);

    [LibraryImport("libc", EntryPoint = "getgrgid_r")]
    public static partial int GetGroup(uint gid, byte** group, byte* buffer, nuint size, out byte** result);

    [LibraryImport("libc", EntryPoint = "getpwnam_r")]
    public static partial int GetUser(byte* name, byte** passwd, byte* buffer, nuint size, out byte** result);

    [LibraryImport("libc", EntryPoint = "getgrnam_r")]
    public static partial int GetGroup(byte* name, byte** group, byte* buffer, nuint size, out byte** result);

    [LibraryImport("libc", EntryPoint = "fstatfs", SetLastError = true)]
    public static partial int StatFs(int file, long* result);

    /// <summary>Writes what the page cache has of a file system; fails also where writing it failed since the file was opened.</summary>
    [LibraryImport("libc", EntryPoint = "syncfs", SetLastError = true)]
    public static partial int SyncFileSystem(int file);

    /// <summary>False where what a handle is open on cannot be looked at.</summary>
    public static bool Look(int handle, out StatX stat)
    {
        byte nul = 0;
        fixed (StatX* result = &stat)
            return StatX(handle, &nul, AtEmptyPath, BasicStats, result) == 0;
    }

    /// <summary>What the manual calls an error, in a few words without names.</summary>
    public static string Describe(int error) => Marshal.GetPInvokeErrorMessage(error);
}
