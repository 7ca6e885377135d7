using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Landing;

/// <summary>Where things lie in a landing. Everything is root's; an account enters <c>drop/NAME</c>, which is all that it sees, and may make files in <c>in</c>, which it cannot list.</summary>
public sealed class LandingFolder(string path)
{
    /// <summary>Below so many free bytes the reserve is given up: what is moved, and the notes on it, need some room.</summary>
    const long Tight = 8 << 20;
    static readonly string[] Rooms = ["drop", "taken"]; // with a folder for each drop point
    const int ReserveSize = 4 << 20; // bytes

    public string Path { get; } = FolderPath.Full(path);

    public string Plan => In("landing.conf");
    public string Sshd => In("sshd_config");
    public string HostKey => In("ssh_host_ed25519_key");
    public string Keys => In("keys");
    public string State => In("state");
    public string Units => In("units");

    string Reserve => System.IO.Path.Combine(State, "reserve");

    public string In(string name) => System.IO.Path.Combine(Path, name);
    public string Room(DropPoint drop) => System.IO.Path.Combine(Path, "drop", drop.Name);
    public string Inbox(DropPoint drop) => System.IO.Path.Combine(Room(drop), "in");
    public string Taken(DropPoint drop) => System.IO.Path.Combine(Path, "taken", drop.Name);
    public string History(DropPoint drop) => System.IO.Path.Combine(State, drop.Name);

    public long Free => new DriveInfo(Path).AvailableFreeSpace;
    public long Size => new DriveInfo(Path).TotalSize;

    /// <summary>Names that no plan has, of which something lies here: a drop point that was taken out of it, or renamed.</summary>
    public IReadOnlyList<string> Strays(IReadOnlyCollection<string> planned)
    {
        var rooms = Rooms.Select(In).Where(Directory.Exists).SelectMany(Directory.GetDirectories).Where(HoldsSomething);
        var histories = Directory.Exists(State) ? Directory.GetFiles(State).Where(f => f != Reserve && !System.IO.Path.GetFileName(f).Contains('.', StringComparison.Ordinal)) : [];
        return [.. rooms.Concat(histories).Select(p => System.IO.Path.GetFileName(p)).Except(planned).Order(StringComparer.Ordinal)];
    }

    /// <summary>Anything but folders; a link is looked at, and not followed.</summary>
    static bool HoldsSomething(string folder)
    {
        try
        {
            return new DirectoryInfo(folder).EnumerateFileSystemInfos("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None })
                .Any(f => (f.Attributes & (FileAttributes.Directory | FileAttributes.ReparsePoint)) != FileAttributes.Directory);
        }
        catch (DirectoryNotFoundException)
        {
            return false; // gone meanwhile
        }
    }

    /// <summary>On a disk that an account has filled, nothing could be noted, and so nothing be stored and removed.</summary>
    public void OpenReserve()
    {
        if (Free < Tight)
            Disk.Real.Discard(Reserve);
    }

    public void KeepReserve()
    {
        if (new FileInfo(Reserve) is { Exists: true, Length: ReserveSize } || Free < 2 * Tight)
            return;
        Disk.Real.Discard(Reserve);
        using var file = Disk.Real.Create(Reserve);
        var zeros = new byte[1 << 16];
        for (var at = 0; at < ReserveSize; at += zeros.Length)
            file.Append(zeros);
        file.Sync();
    }

    /// <summary>Keeps a second pass out while one runs.</summary>
    /// <exception cref="HoldfastException"><c>VaultBusy</c>.</exception>
    public IDisposable Lock() => FolderLock.Take(State, TimeSpan.FromSeconds(1)) ?? throw new HoldfastException(ErrorCode.VaultBusy, "Another run takes what is in the landing, or it cannot be locked.", "Wait for its end; `landing take` runs once at a time.");
}
