using System.Text;

namespace Holdfast.Core.Storage;

/// <summary>Where folders lie to each other, symlinks followed: a folder has many spellings.</summary>
public static class FolderPath
{
    const int MaxPath = 4_096; // bytes, PATH_MAX

    /// <summary>The path without symlinks, of a folder that need not be there yet.</summary>
    public static string Real(string path)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
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

    /// <summary>True where a folder is the other one, or lies somewhere below it.</summary>
    public static bool IsWithin(string inner, string outer)
    {
        var (i, o) = (Real(inner), Real(outer));
        return i == o || i.StartsWith(Path.EndsInDirectorySeparator(o) ? o : o + Path.DirectorySeparatorChar, StringComparison.Ordinal);
    }
}
