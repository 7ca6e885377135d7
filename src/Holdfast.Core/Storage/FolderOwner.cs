namespace Holdfast.Core.Storage;

/// <summary>In whose name this process changes a folder. The administrator may run a command on a vault, or with keys, of another user: what that left behind would shut the owner out, who could
/// neither replace nor read it; and whoever owns a folder can put a link in place of any part of it at any moment, so that the administrator would write, or remove, somewhere else. So every change
/// below such a folder is made in the name of the folder's owner, with that user's rights and no others.</summary>
/// <remarks>In that name from the start (setfsuid(2), of the calling thread alone), and never a second time in the administrator's own: what the owner may not do there is not done. An owner
/// once known stays the owner for as long as the process runs, whatever stands there later. Keys are read in that name too (<see cref="KeptFile"/>); the rest is read with the
/// administrator's rights. Linux only; elsewhere, and for everybody else, all this does nothing. Safe for concurrent use.</remarks>
public static class FolderOwner
{
    static readonly bool IsAdministrator = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;
    static readonly Lock Gate = new();
    static volatile Known[] _known = [];
    static bool _hasDropped; // the further groups

    static readonly Lazy<bool> HasAllUsers = new(SeesAllUsers);
    const uint Overflow = 65_534; // who a user that a namespace does not know is shown as (user_namespaces(7))
    const uint GroupMayWrite = 0x10;
    const uint OthersMayWrite = 0x2;
    const uint Sticky = 0x200; // what lies there is renamed and removed by its own owner alone, and by the folder's
    const int MostLinks = 40; // as the system follows (path_resolution(7))

    /// <summary>A folder, the one whose owner counts for it, and that owner; 0 while it is the administrator's, or not there.</summary>
    /// <param name="IsAbove">It is the administrator's, or was not there, and lies in that user's.</param>
    readonly record struct Known(string Folder, string Like, uint User, uint Group, bool IsAbove = false);

    /// <summary>Refused because a folder of the administrator's lies in another user's.</summary>
    internal sealed class AtMercyException(Exception refused) : UnauthorizedAccessException(refused.Message, refused);

    /// <summary>Looks whose a vault's, a key's or a state folder is; from here on what lies below is changed in that user's name. One that is not there yet will be this process's own.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="like">Another folder whose owner counts in its place: a vault's further folders are changed in the name of the vault's owner, whatever its list of them says.</param>
    public static void Know(string folder, string? like = null)
    {
        if (!IsAdministrator)
            return;
        folder = Full(folder);
        lock (Gate)
        {
            if (!Array.Exists(_known, k => k.Folder == folder))
                _known = [.. _known, new Known(folder, like is null ? folder : Full(like), 0, 0)];
        }
        Look(Array.Find(_known, k => k.Folder == folder));
    }

    /// <summary>Looks again at a folder that was the administrator's, or not there. One that was another user's is not looked at twice: that user could have put a folder of the
    /// administrator's there meanwhile, or nothing.</summary>
    /// <returns>The owner, if there is one to act for; and whether anything is there.</returns>
    static (Known? Owner, bool IsThere) Look(Known known)
    {
        if (known.User != 0)
            return (known, true);
        var owner = OwnerOf(known.Like, out var isThere, out var isAbove);
        if (owner is null && known.Like != known.Folder)
            owner = OwnerOf(known.Folder, out _, out isAbove); // a folder of the administrator's vault may lie where another user rules
        if (owner is not { } stat)
            return (null, isThere);
        _hasDropped |= Libc.SetGroups(0, 0) == 0; // the administrator's further groups are not the owner's
        var owned = known with { User = stat.User, Group = stat.Group, IsAbove = isAbove };
        lock (Gate)
            _known = [.. _known.Where(k => k.Folder != known.Folder), owned];
        return (owned, true);
    }

    /// <summary>The user, other than the administrator, in whose power a folder is; null where it is in nobody's. That is whoever owns a link on the way, who decides where it leads; then the folder's
    /// owner; then, for one that is the administrator's or not there, whoever owns a folder on the way, who can put another in its place at any moment.</summary>
    static FileStat? OwnerOf(string folder, out bool isThere, out bool isAbove)
    {
        isThere = FileStat.TryRead(Entered(folder), out var stat);
        var (link, above, _) = OnTheWay(folder);
        isAbove = link is null && (!isThere || stat.User == 0) && above is not null;
        return link ?? (isThere && stat.User != 0 ? stat : above);
    }

    /// <summary>True for the administrator where a folder is in another user's power.</summary>
    /// <param name="folder">It need not be there.</param>
    public static bool IsAnothers(string folder) => IsAdministrator && OwnerOf(Full(folder), out _, out _) is not null;

    /// <summary>True where a folder that the administrator owns, or would make, lies in one of another user's, who can put another in its place at any moment.</summary>
    /// <param name="folder">It need not be there.</param>
    public static bool IsAtMercy(string folder) => IsAdministrator && OwnerOf(Full(folder), out _, out var isAbove) is not null && isAbove;

    /// <summary>For the administrator: the folder itself, where others may write to it, or one of the administrator's on the way to it, in which others may put something else in the place of what
    /// lies there; null where there is none. Members of a group count as others, those of the administrator's own do not.</summary>
    /// <param name="folder">It need not be there.</param>
    public static string? OpenToOthers(string folder)
    {
        if (!IsAdministrator)
            return null;
        folder = Full(folder);
        return FileStat.TryRead(Entered(folder), out var stat) && MayOthersWrite(folder, stat) ? folder : OnTheWay(folder).Open;
    }

    /// <summary>The first folder above another in which somebody else than this user and the administrator may put something else in the place of what lies there, where links lead and where they lie; null
    /// where there is none. Members of a group count as others, but for one of the user's own number.</summary>
    /// <param name="folder">It need not be there.</param>
    public static string? ExchangedByOthers(string folder)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        var me = (uint)Libc.SetFileUser(uint.MaxValue); // asked for what is none, it gives what is
        foreach (var way in new[] { FolderPath.Real(folder), Full(folder) }.Distinct())
        {
            for (var at = Path.GetDirectoryName(way); at is not null; at = Path.GetDirectoryName(at))
            {
                if (FileStat.TryRead(Entered(at), out var stat) && !IsOutside(stat) && ((stat.User != 0 && stat.User != me) || ((stat.Mode & Sticky) == 0 && MayOthersWrite(at, stat) && !IsOwn(at, stat))))
                    return at;
            }
        }
        return null;

        bool IsOwn(string at, FileStat stat) => (stat.Mode & OthersMayWrite) == 0 && me != 0 && stat.User == me && stat.Group == me && !AccessList.MayOthersWrite(at);
    }

    static bool MayOthersWrite(string folder, FileStat stat) => !IsOutside(stat)
        && ((stat.Mode & OthersMayWrite) != 0 || ((stat.Mode & GroupMayWrite) != 0 && (stat.Group != 0 || AccessList.MayOthersWrite(folder))));

    /// <summary>Makes a change, at once and on this thread.</summary>
    /// <param name="path">What is changed.</param>
    /// <param name="act">Must not wait for another thread.</param>
    /// <exception cref="DirectoryNotFoundException">A folder that is known is not there, and what lies below it is to be changed.</exception>
    /// <exception cref="UnauthorizedAccessException">The owner may not.</exception>
    public static T Act<T>(string path, Func<T> act) => Act(path, act, isReading: false);

    /// <summary>Reads what belongs to a folder's owner with that user's rights; what is the administrator's own is read wherever it lies.</summary>
    /// <inheritdoc cref="Act{T}(string, Func{T})"/>
    public static T Read<T>(string path, Func<T> act) => Act(path, act, isReading: true);

    static T Act<T>(string path, Func<T> act, bool isReading)
    {
        if (_known.Length == 0 || Find(Full(path)) is not { } known)
            return act();
        var (found, isThere) = Look(known);
        if (!isThere && Full(path) != known.Folder)
            throw new DirectoryNotFoundException(); // whoever took it away may bring it back in a moment, as another user's
        if (found is not { } owner || (isReading && owner.IsAbove))
            return act();
        // Group first and back last: only who is an administrator for files may change it.
        var group = Libc.SetFileGroup(owner.Group);
        var user = Libc.SetFileUser(owner.User);
        try
        {
            // Neither says that it failed, as it does without CAP_SETUID and CAP_SETGID; asked for what is none, both give what is.
            if ((uint)Libc.SetFileUser(uint.MaxValue) != owner.User || (uint)Libc.SetFileGroup(uint.MaxValue) != owner.Group || !_hasDropped)
                throw new UnauthorizedAccessException();
            return act();
        }
        catch (UnauthorizedAccessException e) when (owner.IsAbove)
        {
            throw new AtMercyException(e);
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
    public static DirectoryInfo MakeFolder(string path, UnixFileMode mode)
    {
        if (_known.Length > 0 && Find(Full(path)) is { User: 0 } known && known.Folder != Full(path) && !Directory.Exists(known.Folder))
            Act(known.Folder, () => Make(known.Folder, mode));
        return Act(path, () => Make(path, mode));
    }

    /// <summary>Each on the way by itself: .NET gives the mode to the last folder alone, and to the others what the umask leaves.</summary>
    static DirectoryInfo Make(string path, UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows())
            return Directory.CreateDirectory(path);
        if (Path.GetDirectoryName(Full(path)) is { } above && !Directory.Exists(above))
            Make(above, mode);
        return Directory.CreateDirectory(path, mode);
    }

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

    /// <summary>The first link, and the first folder, of another user's on the way to a folder, also on the way that links of the administrator's lead; and the first folder there in which others may
    /// exchange what is not theirs.</summary>
    static (FileStat? Link, FileStat? Above, string? Open) OnTheWay(string folder)
    {
        var ahead = new Stack<string>(Parts(Full(folder)).Reverse());
        var at = "/";
        FileStat? above = null;
        string? open = null;
        for (var links = 0; ahead.TryPop(out var part);)
        {
            if (part == "..")
            {
                at = Path.GetDirectoryName(at) ?? "/";
                continue;
            }
            var next = Path.Combine(at, part);
            if (!FileStat.TryRead(next, out var stat))
                break;
            if (!stat.IsLink)
            {
                at = next;
                if (stat.User != 0 && !IsOutside(stat))
                    above ??= stat;
                if ((stat.Mode & Sticky) == 0 && MayOthersWrite(at, stat))
                    open ??= at;
                continue;
            }
            if (stat.User != 0 || ++links > MostLinks)
                return (stat, above, open);
            if (new FileInfo(next).LinkTarget is not { } target)
                break;
            if (Path.IsPathRooted(target))
                at = "/";
            foreach (var one in Parts(target).Reverse())
                ahead.Push(one);
        }
        return (null, above, open);
    }

    /// <summary>True for what belongs to nobody of this user namespace: its host has more power over what lies there than any administrator here.</summary>
    static bool IsOutside(FileStat stat) => stat.User == Overflow && !HasAllUsers.Value;

    static bool SeesAllUsers()
    {
        try
        {
            return File.ReadAllText("/proc/self/uid_map").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [_, _, "4294967295"];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    static IEnumerable<string> Parts(string path) => path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(p => p != ".");

    static string Full(string path) => FolderPath.Full(path);

    /// <summary>The folder behind a link: it is what was named.</summary>
    static string Entered(string folder) => folder + "/.";
}
