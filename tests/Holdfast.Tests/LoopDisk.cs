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

    /// <summary>Where the disk's blocks lie in memory that has no room for all of them; null otherwise.</summary>
    string? _below;

    /// <param name="fileSystem">Its kind.</param>
    /// <param name="room">Bytes after which writing fails, as it does on a disk that breaks: a program that wrote to the page cache hears of it from a sync alone. 0 for none.</param>
    /// <returns>Null where this user may not mount, or the file system is not known here.</returns>
    public static LoopDisk? TryMake(string fileSystem, long room = 0)
    {
        var disk = new LoopDisk();
        if (room > 0)
        {
            Directory.CreateDirectory(disk._folder["below"]);
            if (Run("mount", "-t", "tmpfs", "-o", $"size={room}", "none", disk._folder["below"]))
                disk._below = disk._folder["below"];
        }
        var image = System.IO.Path.Combine(disk._below ?? disk._folder.Path, "image");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(disk._folder.Path, (UnixFileMode)0x1C9); // 0711: others get through to what is mounted in it
        Directory.CreateDirectory(disk.Path);
        if (room > 0 == disk._below is not null && Run("truncate", "-s", "512M", image) && Run($"mkfs.{fileSystem}", "-q", image) && Run("mount", "-o", "loop", image, disk.Path))
            return disk;
        disk.Dispose();
        return null;
    }

    /// <summary>From now on it gives nothing: what memory does not hold is answered with an I/O error.</summary>
    public void Break() => Run("truncate", "-s", "0", System.IO.Path.Combine(_below ?? _folder.Path, "image"));

    public static bool Run(string program, params string[] arguments)
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
        if (_below is not null)
            Run("umount", _below);
        _folder.Dispose();
    }
}
