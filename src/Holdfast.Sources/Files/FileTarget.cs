using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>A folder to restore into.</summary>
public static class FileTarget
{
    const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Makes the folder where it is not there, and finds out whether anything can be written into it.</summary>
    /// <exception cref="HoldfastException"><c>TargetNotEmpty</c>, <c>TargetMissing</c>, <c>TargetUnsafe</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>DiskFull</c>, <c>StoreUnavailable</c>.</exception>
    public static ITreeWriter Create(string target, FileTargetOptions options)
    {
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        RequireOutside(target, options.Forbidden);
        var wasThere = Directory.Exists(target);
        try
        {
            Prepare(target, options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fault(e);
        }
        return OperatingSystem.IsLinux() ? new Linux.LinuxFileTarget(target, wasThere, options) : new Portable.PortableFileTarget(target, wasThere, options);
    }

    static void Prepare(string target, FileTargetOptions options)
    {
        if (!Directory.Exists(target) && (File.Exists(target) || new FileInfo(target).LinkTarget is not null))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "The target is a file, or a link that leads nowhere, and no folder; nothing was written.", "Name a folder that is empty or does not exist yet.");
        if (Directory.Exists(target))
        {
            if (options.Existing == ExistingFiles.Refuse && Directory.EnumerateFileSystemEntries(target).Any())
            {
                throw new HoldfastException(ErrorCode.TargetNotEmpty, "The target folder is not empty; nothing was written.",
                    "Choose an empty folder. To go on with an interrupted restore add --resume; to replace what is there add --overwrite.");
            }
            return;
        }
        if (Path.GetDirectoryName(target) is { } parent && !Directory.Exists(parent))
        {
            throw new HoldfastException(ErrorCode.TargetMissing, "The folder in which the target should be made is not there; nothing was written.",
                "Check the path, and that the disk or share is mounted; then make the folder (mkdir -p) or name another.");
        }
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(target);
        else
            Directory.CreateDirectory(target, Private); // the snapshot's own permissions come last
    }

    /// <summary>Whatever symlinks lead there: a vault or a key folder is no place for what comes back.</summary>
    static void RequireOutside(string target, IReadOnlyList<string> forbidden)
    {
        var real = Real(target);
        foreach (var folder in forbidden.Select(Real))
        {
            if (IsWithin(real, folder))
                throw Inside();
        }
    }

    internal static HoldfastException Inside() => new(ErrorCode.TargetUnsafe, "The target lies in the vault, in one of its store folders, or in the key folder; nothing was written.",
        "Name a folder outside them, best on another disk.");

    /// <summary>At or below it; both without symlinks.</summary>
    internal static bool IsWithin(string path, string folder) =>
        path == folder || path.StartsWith(folder.EndsWith(Path.DirectorySeparatorChar) ? folder : folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>The path without symlinks, as far as it is there.</summary>
    internal static string Real(string path)
    {
        const int maxLinks = 40;
        path = Path.GetFullPath(path);
        for (var links = 0; links < maxLinks; links++)
        {
            var at = Path.GetPathRoot(path)!;
            string? followed = null;
            var names = path[at.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries);
            for (var i = 0; i < names.Length && followed is null; i++)
            {
                var next = Path.Combine(at, names[i]);
                if (new FileInfo(next).LinkTarget is { } link)
                    followed = Path.GetFullPath(Path.Combine([at, link, .. names[(i + 1)..]]));
                at = next;
            }
            if (followed is null)
                return at;
            path = followed;
        }
        return path;
    }

    static HoldfastException Fault(Exception e) => Core.Storage.DiskFault.Of(e).Code switch
    {
        ErrorCode.NoPermission => new(ErrorCode.NoPermission, "The system refuses access to the target, or to the folder it should be made in; nothing was written.",
            "Restore into a folder that this user may write, or run as one who may.", e),
        ErrorCode.ReadOnlyMedia => new(ErrorCode.ReadOnlyMedia, "The target's disk is mounted read-only; nothing was written.", "Restore into a folder on another disk, or mount this one for writing.", e),
        ErrorCode.DiskFull => new(ErrorCode.DiskFull, "The target's disk is full; nothing was written.", "Free space there, or restore into a folder on another disk.", e),
        _ => new(ErrorCode.StoreUnavailable, "The target folder cannot be made or read; nothing was written.", "Look at the target's disk (dmesg shows what the system saw), or restore into a folder on another one.", e),
    };
}
