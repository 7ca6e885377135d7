using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>The inode flags of Linux that stop even root until they are cleared: <c>chattr +i</c> (nobody changes, renames or removes the file) and <c>chattr +a</c> (names may be added
/// to the folder, and not taken away; nor is the folder itself renamed or removed). Setting and clearing needs CAP_LINUX_IMMUTABLE (ioctl_iflags(2)).</summary>
static class FileFlags
{
    const nuint GetFlags = 0x80086601; // FS_IOC_GETFLAGS
    const nuint SetFlags = 0x40086602; // FS_IOC_SETFLAGS
    const int Immutable = 0x10; // FS_IMMUTABLE_FL
    const int AppendOnly = 0x20; // FS_APPEND_FL
    const int NoSuchRequest = 25; // ENOTTY
    const int NoSuchCall = 38; // ENOSYS

    /// <summary>False too where the file cannot be opened, or its file system has no such flag.</summary>
    public static bool IsImmutable(string path)
    {
        if (Libc.Open(path, Libc.ReadAtOnce) is var descriptor && descriptor < 0)
            return false;
        using var file = new SafeFileHandle(descriptor, ownsHandle: true);
        return TryGet(file, out var flags) && (flags & Immutable) != 0;
    }

    /// <summary>Makes a plain file of the owner immutable, or lets it go; any other stays as it is.</summary>
    /// <param name="folder">A folder above it.</param>
    /// <param name="path">The file, below that folder.</param>
    /// <param name="isSet">Set or cleared.</param>
    /// <param name="owner">User id that the file must have; a hard link to somebody else's file is not the vault's.</param>
    /// <param name="isWritten">A process has it open for writing. The flag stops whom opens it from now on; whether it stops that process is the file system's matter: ext4 does, XFS and
    /// Btrfs do not (tried on Linux 6.18).</param>
    /// <returns>False where there is no such file, or it is to be let go and has other names.</returns>
    /// <exception cref="HoldfastException"><c>NoPermission</c>: without the privilege; <c>StoreUnavailable</c>: the file system has no such flag.</exception>
    public static bool SetFile(HeldFolder folder, string path, bool isSet, uint owner, out bool isWritten)
    {
        isWritten = false;
        using var file = folder.OpenFile(path, out var stat);
        if (file is null || stat.User != owner)
            return false;
        if (!isSet && stat.Links != 1)
            return false; // a flag is the file's, not the name's: under another name it may be locked
        Set(file, Immutable, isSet);
        isWritten = isSet && IsWritten(file);
        return true;
    }

    /// <summary>A read lease is given where nobody has the file open for writing (fcntl(2), F_SETLEASE). It is given back at once; nobody can ask for it to be broken, for an immutable file
    /// is not opened for writing. True too where the process may take no lease: it lacks CAP_LEASE.</summary>
    static bool IsWritten(SafeFileHandle file)
    {
        if (Libc.Fcntl(file, Libc.SetLease, Libc.ReadLease) != 0)
            return true;
        _ = Libc.Fcntl(file, Libc.SetLease, Libc.NoLease);
        return false;
    }

    /// <summary>Makes a folder of the owner append-only, or lets it go; another user's stays as it is.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>: without the privilege; <c>StoreUnavailable</c>: the file system has no such flag.</exception>
    public static bool SetFolder(HeldFolder folder, bool isSet, uint owner)
    {
        if (folder.Stat.User != owner)
            return false;
        Set(folder.File, AppendOnly, isSet);
        return true;
    }

    static void Set(SafeFileHandle file, int flag, bool isSet)
    {
        if (!TryGet(file, out var flags))
            throw Fault();
        var wanted = isSet ? flags | flag : flags & ~flag;
        if (wanted != flags && Libc.IoControl(file, SetFlags, ref wanted) != 0)
            throw Fault();
    }

    static bool TryGet(SafeFileHandle file, out int flags)
    {
        flags = 0;
        return Libc.IoControl(file, GetFlags, ref flags) == 0;
    }

    /// <summary>Refuses a process that cannot set flags, where the system tells what it can.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>.</exception>
    public static void RequirePrivilege()
    {
        const string effective = "CapEff:"; // capabilities(7), a mask in hexadecimal
        const int immutable = 9; // CAP_LINUX_IMMUTABLE
        string? line;
        try
        {
            line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith(effective, StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return; // then it shows at the first flag
        }
        if (line is not null && ulong.TryParse(line.AsSpan(effective.Length).Trim(), System.Globalization.NumberStyles.HexNumber, System.Globalization.CultureInfo.InvariantCulture, out var mask) && (mask >> immutable & 1) == 0)
            throw NoPrivilege();
    }

    static HoldfastException NoPrivilege() => new(ErrorCode.NoPermission, "The flags of the vault's files cannot be changed: the process lacks the privilege CAP_LINUX_IMMUTABLE.",
        "Run `holdfast guard` as root, best as a service; in a container, grant CAP_LINUX_IMMUTABLE.");

    static HoldfastException Fault() => Marshal.GetLastPInvokeError() switch
    {
        1 or 13 => NoPrivilege(), // EPERM, EACCES
        NoSuchRequest or NoSuchCall or Libc.NotSupported or Libc.InvalidArgument => new HoldfastException(ErrorCode.StoreUnavailable, "The file system has no immutable flag for files.",
            "Keep the vault on ext4, XFS or Btrfs of this machine; NFS, SMB and most FUSE file systems have no such flag."),
        var error => DiskFault.OfErrno(error),
    };
}
