using System.Diagnostics;

namespace Holdfast.Tests;

/// <summary>A disk of a test's own, in a file: for what differs from one file system to the next. Gone afterwards.</summary>
sealed class LoopDisk : IDisposable
{
    readonly TempFolder _folder = new();

    LoopDisk()
    {
    }

    public string Path => _folder["disk"];

    /// <returns>Null where this user may not mount, or the file system is not known here.</returns>
    public static LoopDisk? TryMake(string fileSystem)
    {
        var disk = new LoopDisk();
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(disk._folder.Path, (UnixFileMode)0x1C9); // 0711: others get through to what is mounted in it
        Directory.CreateDirectory(disk.Path);
        if (Run("truncate", "-s", "512M", disk._folder["image"]) && Run($"mkfs.{fileSystem}", "-q", disk._folder["image"]) && Run("mount", "-o", "loop", disk._folder["image"], disk.Path))
            return disk;
        disk._folder.Dispose();
        return null;
    }

    static bool Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // not installed
        }
    }

    public void Dispose()
    {
        Run("umount", Path);
        _folder.Dispose();
    }
}
