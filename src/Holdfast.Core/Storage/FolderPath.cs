using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Where folders lie to each other, symlinks followed: a folder has many spellings.</summary>
public static class FolderPath
{
    /// <summary>Bytes of a path that Linux takes at once, the zero at its end counted (PATH_MAX).</summary>
    public const int MaxPath = 4_096;

    /// <summary>The full path of a folder that a person named, who may have ended it with a separator.</summary>
    public static string Full(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));

    /// <summary>The path without symlinks, of a folder that need not be there yet.</summary>
    public static string Real(string path)
    {
        path = Full(path);
        if (!OperatingSystem.IsLinux())
            return path;
        var rest = "";
        for (var at = path; ; at = Path.GetDirectoryName(at)!)
        {
            var buffer = new byte[MaxPath];
            if (Libc.RealPath(at, buffer) != 0)
                return Path.TrimEndingDirectorySeparator(Path.Combine(Encoding.UTF8.GetString(buffer.AsSpan(0, buffer.AsSpan().IndexOf((byte)0))), rest));
            if (Path.GetDirectoryName(at) is null)
                return path;
            rest = Path.Combine(Path.GetFileName(at), rest);
        }
    }

    /// <summary>The first folder on the way to a path that this user may not enter; null where the way is open as far as it goes. Below such a folder nobody can tell what is not there from
    /// what may not be looked at.</summary>
    public static string? ClosedOnTheWay(string path)
    {
        string? closed = null;
        for (var at = OperatingSystem.IsLinux() ? Path.GetDirectoryName(Path.GetFullPath(path)) : null; at is not null; at = Path.GetDirectoryName(at))
        {
            if (Libc.Access(at, Libc.MayEnter) != 0 && Marshal.GetLastPInvokeError() == Libc.AccessDenied && Directory.Exists(at)) // of a file the same is said
                closed = at;
        }
        return closed;
    }

    /// <summary>True where a folder is the other one, or lies somewhere below it.</summary>
    public static bool IsWithin(string inner, string outer)
    {
        var (i, o) = (Real(inner), Real(outer));
        return i == o || i.StartsWith(Path.EndsInDirectorySeparator(o) ? o : o + Path.DirectorySeparatorChar, StringComparison.Ordinal);
    }

    /// <summary>True where two paths lead to one and the same folder, by whatever mounts: a copy is another folder, even where its files are hard links.</summary>
    public static bool AreOne(string a, string b) => OperatingSystem.IsLinux() && Identity(a) is { } one && Identity(b) == one;

    static (ulong Inode, ulong Device)? Identity(string folder)
    {
        var descriptor = Libc.Open(folder, Libc.OpenFolder);
        if (descriptor < 0)
            return null;
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        Span<uint> stat = stackalloc uint[64]; // struct statx: 32-bit words 8 and 9 are the inode, 34 and 35 the device
        return Libc.StatX(handle, "", 0x1000, 0x7FF, ref MemoryMarshal.GetReference(stat)) == 0 ? (stat[8] | (ulong)stat[9] << 32, stat[34] | (ulong)stat[35] << 32) : null;
    }

    /// <summary>True where both lie on one mounted disk; where a folder is not there yet, it counts as where it would be made.</summary>
    public static bool AreOnOneDisk(string a, string b)
    {
        var drives = DriveInfo.GetDrives().Select(d => d.RootDirectory.FullName).OrderByDescending(r => r.Length).ToList();
        return Of(Real(a)) == Of(Real(b));

        string? Of(string path) => drives.Find(r => path == r || path.StartsWith(Path.EndsInDirectorySeparator(r) ? r : r + Path.DirectorySeparatorChar, StringComparison.Ordinal));
    }
}
