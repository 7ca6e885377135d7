using System.Globalization;

namespace Holdfast.Core.Storage;

/// <summary>What the system says of a disk, in words a person can act on. Names of files are left out.</summary>
public static class DiskFault
{
    const int Win32DiskFull = unchecked((int)0x80070070);
    const int Win32HandleDiskFull = unchecked((int)0x80070027);
    const int AccessDenied = 13; // EACCES
    const int NotPermitted = 1; // EPERM
    const int NotThere = 2; // ENOENT
    const long Block = 64 << 10; // bytes: any small file, with its folder

    /// <param name="action">Uses the disk.</param>
    /// <param name="folder">Where: named where a disk is full or mounted read-only.</param>
    public static T Translated<T>(Func<T> action, string? folder = null)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Of(e, folder);
        }
    }

    /// <summary>True of what the system throws where it refuses a file; .NET makes an <see cref="ArgumentOutOfRangeException"/> of EFBIG.</summary>
    public static bool IsOfFile(Exception fault) => fault is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    /// <param name="fault">As the system reports it.</param>
    /// <param name="folder">What was written to: named where its disk is full or mounted read-only.</param>
    /// <param name="needed">Bytes that have to be free at least.</param>
    public static HoldfastException Of(Exception fault, string? folder = null, long needed = Block) => fault switch
    {
        FolderOwner.AtMercyException => AtMercy(fault),
        UnauthorizedAccessException => NoPermission(fault, folder),
        ArgumentOutOfRangeException => Of(Libc.FileTooLarge, fault, folder, needed), // what .NET makes of EFBIG
        DirectoryNotFoundException or FileNotFoundException => Unavailable("a folder of the vault is gone", fault),
        _ => Of(fault.HResult, fault, folder, needed),
    };

    public static HoldfastException OfErrno(int error, string? folder = null) => error is AccessDenied or NotPermitted ? NoPermission(null, folder) : Of(error, null, folder, Block);

    static HoldfastException Of(int code, Exception? fault, string? folder, long needed) => code switch
    {
        Libc.NoSpace or Libc.QuotaReached or Win32DiskFull or Win32HandleDiskFull => new(ErrorCode.DiskFull,
            $"The disk is full{(folder is null ? "" : Room(folder, needed))}: what was being written is not in the vault; everything that was there before is.",
            "Free space on that disk, or add a folder on another one with `holdfast store add FOLDER`, then run the same command again.", fault),
        Libc.ReadOnlyFileSystem => new(ErrorCode.ReadOnlyMedia,
            $"The disk{(folder is null ? "" : $" of {folder}")} is mounted read-only.",
            "Reading, listing, restoring and verifying work as they are. To write, mount it for writing (mount -o remount,rw).", fault),
        NotThere => Unavailable("a folder of the vault is gone", fault),
        Libc.FileTooLarge => new(ErrorCode.DiskFull,
            $"A file has reached the size that the process, or the file system{(folder is null ? "" : $" of {folder}")}, may give it: what was being written is not in the vault; everything that was there before is.",
            "Raise the limit where the command is started (ulimit -f, LimitFSIZE= of a unit), or use a file system that holds larger files; then run the same command again.", fault),
        Libc.TooManyOpen or Libc.TooManyOpenInSystem => TooFewFiles(code == Libc.TooManyOpen ? "This process may open no more files" : "The whole system has as many files open as it may", fault),
        Libc.NoMemory => TooLittleMemory(fault),
        _ => Unavailable($"the system reports error {code & 0xFFFF}", fault),
    };

    /// <summary>How much room there is in a folder, and how much is needed, for a message.</summary>
    public static string Room(string folder, long needed = Block)
    {
        try
        {
            return string.Create(CultureInfo.InvariantCulture, $" ({ByteCount.Words(new DriveInfo(folder).AvailableFreeSpace)} are free in {folder}, and {ByteCount.Words(Math.Max(needed, Block))} at least are needed)");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return $" ({folder})";
        }
    }

    /// <param name="what">Begins a sentence.</param>
    /// <param name="fault">If it has shown in one.</param>
    public static HoldfastException TooFewFiles(string what, Exception? fault = null) => new(ErrorCode.SystemLimit,
        $"{what}: its limit is too low.",
        "Raise it where the command is started (`ulimit -n 1024`, LimitNOFILE= of a unit, fs.file-max of the system), then run the same command again. Nothing says that the vault is damaged.", fault)
    { IsTransient = true };

    public static HoldfastException TooLittleMemory(Exception? fault = null) => new(ErrorCode.SystemLimit,
        "The system does not give this process the memory, or the threads, it needs.",
        "Raise the limit where the command is started (`ulimit -v` and `-u`, MemoryMax= and TasksMax= of a unit, those of a container), or free some; fewer --threads need less. Then run the same command again: nothing half-done counts.", fault)
    { IsTransient = true };

    static HoldfastException NoPermission(Exception? fault, string? folder) => new(ErrorCode.NoPermission,
        $"The system refuses access to a folder or file of the vault{(folder is null ? "" : $", in {folder}")}.",
        "Run as the user who owns the vault's folder, or let that user grant access (chmod or setfacl). Where files in it have come to belong to somebody else, `sudo chown -R --reference=VAULT VAULT`, with the vault's folder for VAULT, gives all of them to its owner (it says `Operation not permitted` of what a guard has made immutable or append-only: that was its owner's already, or `chattr -i -a` comes first).", fault);

    static HoldfastException AtMercy(Exception fault) => new(ErrorCode.NoPermission,
        "A folder of root's lies in one of another user's, who could put another in its place while root changes it: root changes nothing there, and that user may not.",
        "Move it into a folder of root's, or give it to that user, folder and files (sudo chown -R USER FOLDER).", fault);

    static HoldfastException Unavailable(string what, Exception? fault) => new(ErrorCode.StoreUnavailable,
        $"The disk does not answer as it should: {what}.",
        "Look at the disk, its cable or its mount (dmesg shows what the system saw), then run the same command again.", fault)
    { IsTransient = true };
}
