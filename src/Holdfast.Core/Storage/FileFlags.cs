using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>The inode flags of Linux that stop even root until they are cleared: <c>chattr +i</c> (nobody changes, renames or removes the file) and <c>chattr +a</c>
/// (names may be added to the folder, and not taken away). Setting and clearing needs CAP_LINUX_IMMUTABLE (ioctl_iflags(2)).</summary>
static class FileFlags
{
    const nuint GetFlags = 0x80086601; // FS_IOC_GETFLAGS
    const nuint SetFlags = 0x40086602; // FS_IOC_SETFLAGS
    const int Immutable = 0x10; // FS_IMMUTABLE_FL
    const int AppendOnly = 0x20; // FS_APPEND_FL

    /// <summary>False too where the file cannot be opened, or its file system has no such flag.</summary>
    public static bool IsImmutable(string path)
    {
        using var file = Open(path, isFolder: false);
        return file is not null && TryGet(file, out var flags) && (flags & Immutable) != 0;
    }

    /// <summary>Makes a file immutable, or a folder append-only, or neither any more. A symlink is never followed, and what is no file of the owner stays as it is.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="isFolder">Which of both.</param>
    /// <param name="isSet">Set or cleared.</param>
    /// <param name="owner">User id that the file must have; a hard link to somebody else's file is not the vault's.</param>
    /// <returns>False where there is no such file of that owner, or it is to be let go and has other names.</returns>
    /// <exception cref="HoldfastException"><c>NoPermission</c>: without the privilege; <c>StoreUnavailable</c>: the file system has no such flag.</exception>
    public static bool Set(string path, bool isFolder, bool isSet, uint owner)
    {
        using var file = Open(path, isFolder);
        if (file is null || !TryLook(file, out var user, out var links) || user != owner)
            return false;
        if (!isSet && !isFolder && links != 1)
            return false; // a flag is the file's, not the name's: under another name it may be locked
        if (!TryGet(file, out var flags))
            throw Fault();
        var flag = isFolder ? AppendOnly : Immutable;
        var wanted = isSet ? flags | flag : flags & ~flag;
        if (wanted != flags && Libc.IoControl(file, SetFlags, ref wanted) != 0)
            throw Fault();
        return true;
    }

    /// <summary>User id of a file's owner.</summary>
    public static bool TryOwner(string path, out uint user)
    {
        using var file = Open(path, isFolder: false);
        user = 0;
        return file is not null && TryLook(file, out user, out _);
    }

    static bool TryLook(SafeFileHandle file, out uint user, out uint links)
    {
        Span<uint> stat = stackalloc uint[64]; // struct statx: the link count and the user id are its fifth and sixth 32-bit words
        user = links = 0;
        if (Libc.StatX(file, "", 0x1000, 0x7FF, ref MemoryMarshal.GetReference(stat)) != 0)
            return false;
        (links, user) = (stat[4], stat[5]);
        return true;
    }

    static SafeFileHandle? Open(string path, bool isFolder)
    {
        var isArm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;
        var flags = (isArm ? 0x8000 : 0x20000) | 0x80000 | 0x800; // O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
        if (isFolder)
            flags |= isArm ? 0x4000 : 0x10000; // O_DIRECTORY
        var file = Libc.Open(path, flags);
        return file < 0 ? null : new SafeFileHandle(file, ownsHandle: true);
    }

    static bool TryGet(SafeFileHandle file, out int flags)
    {
        flags = 0;
        return Libc.IoControl(file, GetFlags, ref flags) == 0;
    }

    static HoldfastException Fault() => Marshal.GetLastPInvokeError() is 1 or 13 // EPERM, EACCES
        ? new HoldfastException(ErrorCode.NoPermission, "The flags of the vault's files cannot be changed: the process lacks the privilege CAP_LINUX_IMMUTABLE.",
            "Run `holdfast guard` as root, best as a service; in a container, grant CAP_LINUX_IMMUTABLE.")
        : new HoldfastException(ErrorCode.StoreUnavailable, "The vault's file system has no immutable flag for files.",
            "Keep the vault on ext4, XFS or Btrfs of this machine; NFS, SMB and most FUSE file systems have no such flag.");
}
