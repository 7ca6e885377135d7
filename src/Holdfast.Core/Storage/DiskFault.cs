namespace Holdfast.Core.Storage;

/// <summary>What the system says of a disk, in words a person can act on. Names of files are left out.</summary>
public static class DiskFault
{
    const int Win32DiskFull = unchecked((int)0x80070070);
    const int Win32HandleDiskFull = unchecked((int)0x80070027);
    const int AccessDenied = 13; // EACCES
    const int NotPermitted = 1; // EPERM

    public static T Translated<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Of(e);
        }
    }

    public static HoldfastException Of(Exception fault) => fault switch
    {
        UnauthorizedAccessException => NoPermission(fault),
        DirectoryNotFoundException or FileNotFoundException => Unavailable("a folder of the vault is gone", fault),
        _ => Of(fault.HResult, fault),
    };

    public static HoldfastException OfErrno(int error) => error is AccessDenied or NotPermitted ? NoPermission(null) : Of(error, null);

    static HoldfastException Of(int code, Exception? fault) => code switch
    {
        Libc.NoSpace or Libc.QuotaReached or Win32DiskFull or Win32HandleDiskFull => new(ErrorCode.DiskFull,
            "The disk is full: what was being written is not in the vault; everything that was there before is.",
            "Free space on that disk, or add a folder on another one with `holdfast store add FOLDER`, then run the same command again: it goes on where it stopped.", fault),
        Libc.ReadOnlyFileSystem => new(ErrorCode.ReadOnlyMedia,
            "The disk is mounted read-only.",
            "Reading, listing, restoring and verifying work as they are. To write, mount it for writing (mount -o remount,rw).", fault),
        _ => Unavailable($"the system reports error {code & 0xFFFF}", fault),
    };

    static HoldfastException NoPermission(Exception? fault) => new(ErrorCode.NoPermission,
        "The system refuses access to a folder or file of the vault.",
        "Run as the user who owns the vault's folder, or let that user grant access (chown, chmod or setfacl on the folder).", fault);

    static HoldfastException Unavailable(string what, Exception? fault) => new(ErrorCode.StoreUnavailable,
        $"The disk does not answer as it should: {what}.",
        "Look at the disk, its cable or its mount (dmesg shows what the system saw), then run the same command again.", fault)
    { IsTransient = true };
}
