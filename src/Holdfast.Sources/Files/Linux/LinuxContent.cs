using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

sealed unsafe class LinuxContent : IContent
{
    /// <summary>Bytes: from here on the system is told to read ahead, and a file is looked at once more when it is opened.</summary>
    public const long LargeFrom = 4 << 20;

    const int MaxMisses = 64; // of a file's data, each gone before its end was found

    readonly int _file;
    readonly LinuxFileSource? _source;
    (long Size, long, uint, long, uint, ulong, ulong) _seen; // size, times, and which file it is
    bool _disposed;

    /// <param name="file">Open for reading; closed with this.</param>
    /// <param name="batch">Where the row lies.</param>
    /// <param name="row">With what the walk saw.</param>
    /// <param name="source">What it is read from; null where it is never refreshed.</param>
    public LinuxContent(int file, EntryBatch batch, int row, LinuxFileSource? source)
        : this(file, (Math.Max(0, batch.Size[row]), batch.MtimeSeconds[row], batch.MtimeNanoseconds[row], batch.CtimeSeconds[row], batch.CtimeNanoseconds[row], batch.Device[row], batch.Inode[row])) => _source = source;

    /// <param name="file">Open for reading; closed with this.</param>
    /// <param name="stat">What it is now.</param>
    public LinuxContent(int file, in StatX stat) : this(file, Seen(stat))
    {
    }

    LinuxContent(int file, (long Size, long, uint, long, uint, ulong, ulong) seen)
    {
        _file = file;
        _seen = seen;
        if (seen.Size >= LargeFrom)
            _ = Native.Advise(file, 0, 0, Native.Sequential);
    }

    /// <summary>Open until this is disposed of.</summary>
    public int Descriptor => _file;

    public int Read(Span<byte> destination, long offset)
    {
        fixed (byte* p = destination)
        {
            while (true)
            {
                var read = Native.Read(_file, p, (nuint)destination.Length, offset);
                if (read >= 0)
                    return (int)read;
                if (Native.Error != Native.EIntr)
                    throw new IOException(Native.Describe(Native.Error), Native.Error);
            }
        }
    }

    /// <summary>Has what is read from now on come from the disk: where writing it failed, the system's memory may hold what the disk never got, and nobody is told of it twice.</summary>
    /// <returns>False where it cannot be written there now.</returns>
    public bool IsOnDisk()
    {
        if (Native.SyncData(_file) != 0 && Native.Error is not (Native.EInval or Native.ENoSys))
            return false;
        _ = Native.Advise(_file, 0, 0, Native.DontNeed);
        return true;
    }

    public Extent[]? DataExtents() => Extents(_seen.Size, (at, whence) => Native.Seek(_file, at, whence));

    /// <param name="size">Bytes of the file.</param>
    /// <param name="seek">lseek(2) with SEEK_DATA and SEEK_HOLE.</param>
    internal static Extent[]? Extents(long size, Func<long, int, long> seek)
    {
        var extents = new List<Extent>();
        var misses = 0;
        for (long at = 0; at < size;)
        {
            var data = seek(at, Native.SeekData);
            if (data < 0)
            {
                if (Native.Error == Native.ENxio)
                    break; // no data from here to the end
                return null; // the file system does not know holes
            }
            var hole = seek(data, Native.SeekHole);
            if (hole < 0)
                return null;
            if (hole > size)
                hole = size;
            if (data >= size)
                break;
            if (hole <= data) // punched since, where the data was
            {
                if (++misses > MaxMisses)
                    return null; // it goes on: all is read, and holes are zeros
                at = data;
                continue;
            }
            if (extents.Count > 0 && extents[^1].Offset + extents[^1].Length == data)
                extents[^1] = extents[^1] with { Length = hole - extents[^1].Offset };
            else
                extents.Add(new Extent(data, hole - data));
            at = hole;
        }
        return extents.Count == 1 && extents[0].Offset == 0 && extents[0].Length == size ? null : [.. extents];
    }

    public bool HasChanged() => !TryLook(out var now) || Seen(now) != _seen;

    public void Refresh(EntryBatch batch, int row)
    {
        if (!TryLook(out var now))
            throw new IOException("no longer a file");
        _seen = Seen(now);
        var saysNothing = batch.Size[row] < 0 && now.Size == 0; // and has content all the same
        _source!.Refresh(batch, row, now, _file);
        if (saysNothing)
            batch.Size[row] = -1;
    }

    /// <summary>False where it cannot be asked, or is no file: another kind may have taken the name since the walk.</summary>
    bool TryLook(out StatX now)
    {
        byte nul = 0;
        fixed (StatX* p = &now)
            return Native.StatX(_file, &nul, Native.AtEmptyPath, Native.BasicStats, p) == 0 && now.Type == Native.TypeFile;
    }

    static (long, long, uint, long, uint, ulong, ulong) Seen(in StatX stat) =>
        ((long)stat.Size, stat.Modified.Seconds, stat.Modified.Nanoseconds, stat.Changed.Seconds, stat.Changed.Nanoseconds, stat.Device, stat.Inode);

    public void Dispose()
    {
        if (!_disposed)
            _ = Native.Close(_file);
        _disposed = true;
    }
}
