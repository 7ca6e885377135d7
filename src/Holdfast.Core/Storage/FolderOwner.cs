namespace Holdfast.Core.Storage;

/// <summary>In whose name this process changes a folder. The administrator may run a command on a vault, or with keys, of another user: what that left behind would shut the owner out, who could
/// neither replace nor read it; and whoever owns a folder can put a link in place of any part of it at any moment, so that the administrator would write, or remove, somewhere else. So every change
/// below such a folder is made in the name of the folder's owner, with that user's rights and no others.</summary>
/// <remarks>In that name from the start (setfsuid(2), of the calling thread alone), and never a second time in the administrator's own: what the owner may not do there is not done. Reading
/// goes on with the administrator's rights. Linux only; elsewhere, and for everybody else, all this does nothing. Safe for concurrent use.</remarks>
public static class FolderOwner
{
    static readonly bool IsAdministrator = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;
    static readonly Lock Gate = new();
    static volatile Known[] _known = [];

    readonly record struct Known(string Folder, uint User, uint Group);

    /// <summary>Looks whose a vault's, a key's or a state folder is; from here on what lies below is changed in that user's name. One that is not there yet will be this process's own.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="like">Another folder whose owner counts in its place: a vault's further folders are changed in the name of the vault's owner, whatever its list of them says.</param>
    public static void Know(string folder, string? like = null)
    {
        if (!IsAdministrator)
            return;
        folder = Full(folder);
        var isThere = FileStat.TryRead(Entered(like ?? folder), out var stat);
        if (Link(like ?? folder) is { } link)
            (isThere, stat) = (true, link); // whoever owns a link on the way decides where it leads
        if (!isThere || stat.User == 0)
        {
            if (Find(folder) is not null)
                Replace(folder, null);
            return;
        }
        if (Find(folder) is { } known && known == new Known(folder, stat.User, stat.Group))
            return;
        _ = Libc.SetGroups(0, 0); // the administrator's further groups are not the owner's
        Replace(folder, new Known(folder, stat.User, stat.Group));
    }

    /// <summary>Makes a change, at once and on this thread.</summary>
    /// <param name="path">What is changed.</param>
    /// <param name="act">Must not wait for another thread.</param>
    public static T Act<T>(string path, Func<T> act)
    {
        if (_known.Length == 0 || Find(Full(path)) is not { } owner)
            return act();
        // Group first and back last: only who is an administrator for files may change it.
        var group = Libc.SetFileGroup(owner.Group);
        var user = Libc.SetFileUser(owner.User);
        try
        {
            return act();
        }
        finally
        {
            _ = Libc.SetFileUser((uint)user);
            _ = Libc.SetFileGroup((uint)group);
        }
    }

    /// <summary>Makes a folder and those above it where they are missing.</summary>
    /// <param name="path">One that is there stays as it is.</param>
    /// <param name="mode">Of what is made; not used on Windows.</param>
    public static DirectoryInfo MakeFolder(string path, UnixFileMode mode) =>
        Act(path, () => OperatingSystem.IsWindows() ? Directory.CreateDirectory(path) : Directory.CreateDirectory(path, mode));

    /// <summary>The innermost folder known that holds the path, or is it.</summary>
    static Known? Find(string path)
    {
        Known? found = null;
        foreach (var known in _known)
        {
            if (path.StartsWith(known.Folder, StringComparison.Ordinal) && (path.Length == known.Folder.Length || path[known.Folder.Length] == Path.DirectorySeparatorChar || known.Folder.Length == 1)
                && known.Folder.Length >= (found?.Folder.Length ?? 0))
                found = known;
        }
        return found;
    }

    static void Replace(string folder, Known? known)
    {
        lock (Gate)
            _known = [.. _known.Where(k => k.Folder != folder), .. known is { } one ? [one] : Array.Empty<Known>()];
    }

    /// <summary>The first link of another user's on the way to a folder.</summary>
    static FileStat? Link(string folder)
    {
        FileStat? found = null;
        for (var at = Full(folder); Path.GetDirectoryName(at) is { } above; at = above)
        {
            if (FileStat.TryRead(at, out var stat) && stat is { IsLink: true, User: not 0 })
                found = stat;
        }
        return found;
    }

    static string Full(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));

    /// <summary>The folder behind a link: it is what was named.</summary>
    static string Entered(string folder) => folder + "/.";
}
