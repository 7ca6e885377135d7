using System.Text;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Files;

/// <summary>A folder as a source.</summary>
public static class FileSource
{
    /// <summary>What is told of a socket, which is left out.</summary>
    public const string Socket = "socket";

    /// <summary>The user that files are read as, as setfacl(1) takes it: its name, or its number where the system has no name for it.</summary>
    public static string User => Environment.UserName is { Length: > 0 } name ? name : OperatingSystem.IsLinux() ? Linux.Native.EffectiveUser().ToString(System.Globalization.CultureInfo.InvariantCulture) : "USER";

    /// <summary>Tells a folder that is not there from one in a folder that this user may not enter.</summary>
    /// <exception cref="HoldfastException"><c>SourceUnreadable</c>.</exception>
    public static void RequireReachable(string root)
    {
        if (FolderPath.ClosedOnTheWay(root) is { } closed)
            throw new HoldfastException(ErrorCode.SourceUnreadable, $"The source folder cannot be reached: this user may not enter {closed}.",
                $"Run as a user who may, or let this user through: setfacl -m u:USER:x {closed} (and setfacl -R -m u:USER:rX FOLDER for the source itself).");
    }

    /// <exception cref="HoldfastException"><c>SourceMissing</c>, <c>SourceUnreadable</c>; <c>Usage</c> where the system takes no path as long.</exception>
    public static ISource Open(string root, FileSourceOptions options)
    {
        if (OperatingSystem.IsLinux() && Encoding.UTF8.GetByteCount(root) >= FolderPath.MaxPath) // else it would be told as missing
            throw new HoldfastException(ErrorCode.Usage, $"The path of the folder has more than the {FolderPath.MaxPath - 1} bytes that this system takes.", "Name the folder by a shorter path: mount it elsewhere (mount --bind), or make a symlink to it.");
        RequireReachable(root);
        if (!Directory.Exists(root))
            throw new HoldfastException(ErrorCode.SourceMissing, File.Exists(root) ? "The source is a file, not a folder." : "The source folder does not exist.",
                File.Exists(root) ? "Name the folder that holds it, or send the file through a pipe: holdfast backup --stdin --name NAME < FILE." : "Check the path; where it is a mounted share, check that it is mounted.");
        return OperatingSystem.IsLinux() ? Linux.LinuxFileSource.Open(root, options) : new Portable.PortableFileSource(root, options);
    }
}
