using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>A folder as a source.</summary>
public static class FileSource
{
    /// <exception cref="HoldfastException"><c>SourceMissing</c>, <c>SourceUnreadable</c>.</exception>
    public static ISource Open(string root, FileSourceOptions options)
    {
        if (!Directory.Exists(root))
            throw new HoldfastException(ErrorCode.SourceMissing, File.Exists(root) ? "The source is a file, not a folder." : "The source folder does not exist.",
                File.Exists(root) ? "Name the folder that holds it, or send the file through a pipe: holdfast backup --stdin --name NAME < FILE." : "Check the path; where it is a mounted share, check that it is mounted.");
        return OperatingSystem.IsLinux() ? Linux.LinuxFileSource.Open(root, options) : new Portable.PortableFileSource(root, options);
    }
}
