using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>A folder to restore into.</summary>
public static class FileTarget
{
    /// <exception cref="HoldfastException"><c>TargetNotEmpty</c>, <c>NoPermission</c>.</exception>
    public static ITreeWriter Create(string target, FileTargetOptions options)
    {
        if (File.Exists(target))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "The target is a file.", "Name a folder that is empty or does not exist yet.");
        if (options.Existing == ExistingFiles.Refuse && Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any())
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "The target folder is not empty; nothing was written.",
                "Choose an empty folder. To go on with an interrupted restore add --resume; to replace what is there add --overwrite.");
        try
        {
            Directory.CreateDirectory(target);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Core.Storage.DiskFault.Of(e);
        }
        return OperatingSystem.IsLinux() ? new Linux.LinuxFileTarget(target, options) : new Portable.PortableFileTarget(target, options);
    }
}
