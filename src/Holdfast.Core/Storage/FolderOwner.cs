using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Whose a new file is. The administrator may run a command on a vault, or with keys, of another user: what that leaves behind would shut the owner out, who could
/// neither replace nor read it. So it belongs to whom its folder belongs to.</summary>
/// <remarks>Of files and folders that this process has just made, and of nothing else: taking what was there for one's own is never right. Where it cannot be done, the file stays
/// as it is; it may be a share that knows no owners.</remarks>
public static class FolderOwner
{
    static readonly bool IsAdministrator = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;

    /// <summary>Gives a file that was just made to the owner of its folder; gives it back.</summary>
    public static SafeFileHandle Give(SafeFileHandle file, string path)
    {
        if (IsAdministrator && Path.GetDirectoryName(path) is { } folder && FileStat.TryRead(Entered(folder), out var stat) && (stat.User, stat.Group) is not (0, 0))
            _ = Libc.ChangeOwner(file, stat.User, stat.Group);
        return file;
    }

    /// <summary>Makes a folder and those above it where they are missing.</summary>
    /// <param name="path">Full path.</param>
    /// <param name="mode">Of what is made; not used on Windows.</param>
    /// <param name="give">Gives each to the owner of the one that it lies in.</param>
    public static void MakeFolder(string path, UnixFileMode mode, bool give = true)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
            return;
        }
        var made = new Stack<string>();
        for (var at = Path.GetFullPath(path); give && IsAdministrator && !Directory.Exists(at) && Path.GetDirectoryName(at) is { } parent; at = parent)
            made.Push(at);
        Directory.CreateDirectory(path, mode);
        foreach (var folder in made)
            GiveFolder(folder, folder);
    }

    /// <summary>Gives a folder that was just made to the owner of the one that <paramref name="sibling"/> lies in.</summary>
    public static void GiveFolder(string path, string sibling)
    {
        if (!IsAdministrator || Libc.Open(path, Libc.OpenFolder | Libc.NoFollow) is not (>= 0 and var descriptor))
            return;
        using var folder = new SafeFileHandle(descriptor, ownsHandle: true);
        Give(folder, sibling);
    }

    /// <summary>The folder behind a link, as a file made in it lies there.</summary>
    static string Entered(string folder) => folder + "/.";
}
