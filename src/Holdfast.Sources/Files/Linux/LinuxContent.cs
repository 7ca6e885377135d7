using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

sealed unsafe class LinuxContent : IContent
{
    const ulong LargeFrom = 4 << 20; // bytes: from here on the system is told to read ahead

    readonly int _file;
    StatX _stat;
    bool _disposed;

    public LinuxContent(int file, StatX stat)
    {
        _file = file;
        _stat = stat;
        if (stat.Size >= LargeFrom)
            _ = Native.Advise(file, 0, 0, Native.Sequential);
    }

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

    public Extent[]? DataExtents()
    {
        var extents = new List<Extent>();
        var size = (long)_stat.Size;
        for (long at = 0; at < size;)
        {
            var data = Native.Seek(_file, at, Native.SeekData);
            if (data < 0)
            {
                if (Native.Error == Native.ENxio)
                    break; // no data from here to the end
                return null; // the file system does not know holes
            }
            var hole = Native.Seek(_file, data, Native.SeekHole);
            if (hole < 0)
                return null;
            if (hole > size)
                hole = size;
            if (data >= size)
                break;
            if (extents.Count > 0 && extents[^1].Offset + extents[^1].Length == data)
                extents[^1] = extents[^1] with { Length = hole - extents[^1].Offset };
            else
                extents.Add(new Extent(data, hole - data));
            at = hole;
        }
        return extents.Count == 1 && extents[0].Offset == 0 && extents[0].Length == size ? null : [.. extents];
    }

    public bool HasChanged()
    {
        StatX now;
        byte nul = 0;
        return Native.StatX(_file, &nul, Native.AtEmptyPath, Native.BasicStats, &now) != 0 || now.Size != _stat.Size
            || now.Modified.Seconds != _stat.Modified.Seconds || now.Modified.Nanoseconds != _stat.Modified.Nanoseconds
            || now.Changed.Seconds != _stat.Changed.Seconds || now.Changed.Nanoseconds != _stat.Changed.Nanoseconds;
    }

    public void Refresh(EntryBatch batch, int row)
    {
        StatX now;
        byte nul = 0;
        if (Native.StatX(_file, &nul, Native.AtEmptyPath, Native.BasicStats, &now) != 0)
            return;
        _stat = now;
        LinuxFileSource.FillContent(batch, row, now);
    }

    public void Dispose()
    {
        if (!_disposed)
            _ = Native.Close(_file);
        _disposed = true;
    }
}
