using System.Security.Cryptography;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Room that only the keeper uses, so that a full disk never keeps a lock from being extended: a file that is let go when a change finds the disk full.</summary>
sealed class KeeperReserve(string path, Disk disk)
{
    const ulong Left = 1 << 20; // bytes that a part of it leaves free: what is written next may be in need of them
    const ulong Least = 1 << 20; // bytes; less is not worth keeping

    /// <summary>Bytes that are kept.</summary>
    public ulong Kept => new FileInfo(path) is { Exists: true } file ? (ulong)file.Length : 0;

    /// <returns>False where there was none.</returns>
    public bool Release()
    {
        if (Kept == 0)
            return false;
        disk.Discard(path);
        try
        {
            disk.Create(path).Dispose(); // an empty one tells whoever comes next, should this process be killed before it makes it again
        }
        catch (HoldfastException)
        {
            // What it was let go for counts.
        }
        return true;
    }

    bool WasReleased => new FileInfo(path) is { Exists: true, Length: 0 };

    /// <summary>Makes it whole, if there is room. Where it was let go and there is none, as much of it as there is room for: else packs would take that.</summary>
    /// <param name="size">Bytes.</param>
    public void Make(ulong size)
    {
        var kept = Kept;
        if (size == 0 || (kept >= size && !(IsOfZeros() && Free() > 2 * size)))
            return;
        if (kept < size && Free() is > 0 and var free && free < size + Left)
        {
            if (!WasReleased || free < Least + Left)
                return; // no room now; the next change tries again
            size = free - Left;
        }
        Leftovers.Sweep(disk, Path.GetDirectoryName(path)!, "reserve.*.new");
        var apart = $"{path}.{Id16.New()}.new";
        try
        {
            using (var file = disk.Create(apart))
            {
                var noise = new byte[1 << 20]; // a file system that compresses keeps no room for what repeats
                for (var left = (long)size; left > 0; left -= noise.Length)
                {
                    RandomNumberGenerator.Fill(noise);
                    file.Append(noise.AsSpan(0, (int)Math.Min(left, noise.Length)));
                }
            }
            disk.Rename(apart, path, replace: true);
        }
        catch (HoldfastException)
        {
            disk.Discard(apart); // no room now; the next change tries again
        }
    }

    /// <summary>Bytes of room on its disk; 0 where nobody can say. An attempt beyond them would take the room from who is writing just now.</summary>
    ulong Free()
    {
        try
        {
            return (ulong)new DriveInfo(Path.GetDirectoryName(path)!).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return 0;
        }
    }

    /// <summary>As earlier versions made it: it may take no room on the disk.</summary>
    bool IsOfZeros()
    {
        try
        {
            using var file = PlainFile.Open(path);
            Span<byte> start = stackalloc byte[64];
            return file is not null && RandomAccess.Read(file, start, 0) == start.Length && !start.ContainsAnyExcept((byte)0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
