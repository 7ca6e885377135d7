using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Whose a new file is. The administrator may run a command on a vault, or with keys, of another user: what that left behind would shut the owner out, who could neither
/// replace nor read it. So it is made in the name of the user whom its folder belongs to.</summary>
/// <remarks>In that user's name from the start (setfsuid(2), of this thread alone), not given away afterwards: whoever owns the folder can put a link in its place at any moment, and
/// would get a file in a folder that is not theirs. Made in their name, it is made nowhere that they could not make it themselves. Where their name is not enough (a share that knows no
/// owners, a folder its owner may not write to), it is made as ever.</remarks>
public static class FolderOwner
{
    const int AccessDenied = 13; // EACCES
    const int NotPermitted = 1; // EPERM

    static readonly bool IsAdministrator = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;

    /// <summary>open(2) of a new file; its error is kept for <see cref="Marshal.GetLastPInvokeError"/>.</summary>
    internal static int Open(string path, int flags, uint mode)
    {
        if (OtherOwner(path) is { } owner)
        {
            var (file, error) = InNameOf(owner, () => (Libc.Open(path, flags, mode), Marshal.GetLastPInvokeError()));
            if (file >= 0 || error is not (AccessDenied or NotPermitted))
            {
                Marshal.SetLastPInvokeError(error);
                return file;
            }
        }
        return Libc.Open(path, flags, mode);
    }

    /// <summary>Makes something, at once and on this thread.</summary>
    /// <param name="path">What is made.</param>
    /// <param name="make">Called again where it failed for want of a permission.</param>
    public static T Make<T>(string path, Func<T> make)
    {
        if (OtherOwner(path) is { } owner)
        {
            try
            {
                return InNameOf(owner, make);
            }
            catch (UnauthorizedAccessException)
            {
                // As ever.
            }
        }
        return make();
    }

    /// <summary>Makes a folder and those above it where they are missing.</summary>
    /// <param name="path">Full path.</param>
    /// <param name="mode">Of what is made; not used on Windows.</param>
    /// <param name="give">Each in the name of the owner of the one that it lies in.</param>
    public static void MakeFolder(string path, UnixFileMode mode, bool give = true)
    {
        var missing = new Stack<string>();
        for (var at = Path.GetFullPath(path); give && IsAdministrator && !Directory.Exists(at) && Path.GetDirectoryName(at) is { } parent; at = parent)
            missing.Push(at);
        foreach (var folder in missing)
            Make(folder, () => MakeOwn(folder, mode));
        MakeOwn(path, mode);
    }

    static DirectoryInfo MakeOwn(string path, UnixFileMode mode) => OperatingSystem.IsWindows() ? Directory.CreateDirectory(path) : Directory.CreateDirectory(path, mode);

    /// <summary>Gives a folder that was just made, in one that nobody but the administrator changes, to the owner of another.</summary>
    public static void Give(string path, string like)
    {
        const uint sticky = 0x200, othersWrite = 0x12; // S_ISVTX, S_IWGRP | S_IWOTH
        if (!IsAdministrator || Path.GetDirectoryName(path) is not { } parent || !FileStat.TryRead(Entered(parent), out var around) || around.User != 0
            || ((around.Mode & othersWrite) != 0 && (around.Mode & sticky) == 0) || !FileStat.TryRead(Entered(like), out var owner))
            return;
        if (Libc.Open(path, Libc.OpenFolder | Libc.NoFollow) is not (>= 0 and var descriptor))
            return;
        using var folder = new SafeFileHandle(descriptor, ownsHandle: true);
        _ = Libc.ChangeOwner(folder, owner.User, owner.Group);
    }

    /// <summary>Who owns the folder of a file that is to be made; null where this process makes it in its own name.</summary>
    static FileStat? OtherOwner(string path) =>
        IsAdministrator && Path.GetDirectoryName(path) is { Length: > 0 } folder && FileStat.TryRead(Entered(folder), out var stat) && stat.User != 0 ? stat : null;

    static T InNameOf<T>(FileStat owner, Func<T> make)
    {
        // Group first and back last: only who is an administrator for files may change it.
        var group = Libc.SetFileGroup(owner.Group);
        var user = Libc.SetFileUser(owner.User);
        try
        {
            return make();
        }
        finally
        {
            _ = Libc.SetFileUser((uint)user);
            _ = Libc.SetFileGroup((uint)group);
        }
    }

    /// <summary>The folder behind a link, as a file made in it lies there.</summary>
    static string Entered(string folder) => folder + "/.";
}
