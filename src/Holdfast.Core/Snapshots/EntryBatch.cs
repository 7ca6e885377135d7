namespace Holdfast.Core.Snapshots;

/// <summary>Up to <see cref="MaxRows"/> entries of a tree, in tree order, as columns: no object per entry.</summary>
/// <remarks>The source fills a row's path and attributes; the engine fills what it found in the content. Filled by one thread at a time;
/// different rows may be filled by different threads. Reused after <see cref="Clear"/>.</remarks>
public sealed class EntryBatch
{
    public const int MaxRows = 1_024;

    byte[] _paths = new byte[64 * MaxRows];
    readonly int[] _pathEnds = new int[MaxRows];

    public int Count { get; private set; }

    /// <summary>Bytes of all paths; a source closes a batch early where these grow past a mebibyte.</summary>
    public int PathBytes => Count == 0 ? 0 : _pathEnds[Count - 1];

    public bool IsFull => Count == MaxRows || PathBytes > 1 << 20;

    public EntryKind[] Kind { get; } = new EntryKind[MaxRows];

    /// <summary>Permission, set-id and sticky bits: 0 to 0o7777.</summary>
    public uint[] Mode { get; } = new uint[MaxRows];
    public uint[] Uid { get; } = new uint[MaxRows];
    public uint[] Gid { get; } = new uint[MaxRows];

    /// <summary>Bytes; 0 for what is not a file. Logical size, holes counted.</summary>
    public long[] Size { get; } = new long[MaxRows];

    /// <summary>Seconds since 1970 UTC, may be negative; nanoseconds 0 to 999,999,999.</summary>
    public long[] MtimeSeconds { get; } = new long[MaxRows];
    public uint[] MtimeNanoseconds { get; } = new uint[MaxRows];
    public long[] CtimeSeconds { get; } = new long[MaxRows];
    public uint[] CtimeNanoseconds { get; } = new uint[MaxRows];

    public ulong[] Device { get; } = new ulong[MaxRows];
    public ulong[] Inode { get; } = new ulong[MaxRows];
    public uint[] LinkCount { get; } = new uint[MaxRows];

    /// <summary>Of a device entry: major in the upper 32 bits, minor in the lower.</summary>
    public ulong[] RawDevice { get; } = new ulong[MaxRows];

    /// <summary>True where the file holds fewer blocks than its size needs: worth asking for its extents.</summary>
    public bool[] MayBeSparse { get; } = new bool[MaxRows];

    /// <summary>Of a symlink; null otherwise.</summary>
    public byte[]?[] LinkTarget { get; } = new byte[MaxRows][];

    /// <summary>Extended attributes with ACLs as the kernel gives them, encoded by <see cref="XattrList"/>; null where there are none.</summary>
    public byte[]?[] Xattrs { get; } = new byte[MaxRows][];

    // What the engine found in the content.

    /// <summary>SHA-256 of the whole file; <see cref="Hash32.None"/> where it is still to come (a file over 64 MiB) or there is no content.</summary>
    public Hash32[] Digest { get; } = new Hash32[MaxRows];

    /// <summary>Chunks in file order; null where the file is one chunk (then <see cref="Digest"/> names it and its length is the size) or empty.</summary>
    public ChunkRef[]?[] Chunks { get; } = new ChunkRef[MaxRows][];

    /// <summary>Where the list of chunks is too long for a node: the chunks that hold the list. Null otherwise.</summary>
    public ChunkRef[]?[] ChunkLists { get; } = new ChunkRef[MaxRows][];

    /// <summary>Data ranges of a sparse file, ascending, not touching; null where there are no holes. Chunks then hold the ranges' bytes, joined.</summary>
    public Extent[]?[] Extents { get; } = new Extent[MaxRows][];

    public ContentState[] State { get; } = new ContentState[MaxRows];

    public ReadOnlySpan<byte> Path(int row)
    {
        var start = row == 0 ? 0 : _pathEnds[row - 1];
        return _paths.AsSpan(start, _pathEnds[row] - start);
    }

    /// <summary>Adds a row with this path, every column zero or null, and returns its number.</summary>
    public int Add(ReadOnlySpan<byte> path)
    {
        var row = Count;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, MaxRows);
        var start = PathBytes;
        if (start + path.Length > _paths.Length)
            Array.Resize(ref _paths, Math.Max(start + path.Length, 2 * _paths.Length));
        path.CopyTo(_paths.AsSpan(start));
        _pathEnds[row] = start + path.Length;
        Count = row + 1;

        Kind[row] = EntryKind.None;
        Mode[row] = Uid[row] = Gid[row] = LinkCount[row] = MtimeNanoseconds[row] = CtimeNanoseconds[row] = 0;
        Size[row] = MtimeSeconds[row] = CtimeSeconds[row] = 0;
        Device[row] = Inode[row] = RawDevice[row] = 0;
        MayBeSparse[row] = false;
        LinkTarget[row] = null;
        Xattrs[row] = null;
        Digest[row] = Hash32.None;
        Chunks[row] = null;
        ChunkLists[row] = null;
        Extents[row] = null;
        State[row] = ContentState.None;
        return row;
    }

    /// <summary>Copies a row of another batch, path and all columns.</summary>
    public int AddCopy(EntryBatch from, int row)
    {
        var to = Add(from.Path(row));
        Kind[to] = from.Kind[row];
        Mode[to] = from.Mode[row];
        Uid[to] = from.Uid[row];
        Gid[to] = from.Gid[row];
        Size[to] = from.Size[row];
        MtimeSeconds[to] = from.MtimeSeconds[row];
        MtimeNanoseconds[to] = from.MtimeNanoseconds[row];
        CtimeSeconds[to] = from.CtimeSeconds[row];
        CtimeNanoseconds[to] = from.CtimeNanoseconds[row];
        Device[to] = from.Device[row];
        Inode[to] = from.Inode[row];
        LinkCount[to] = from.LinkCount[row];
        RawDevice[to] = from.RawDevice[row];
        MayBeSparse[to] = from.MayBeSparse[row];
        LinkTarget[to] = from.LinkTarget[row];
        Xattrs[to] = from.Xattrs[row];
        Digest[to] = from.Digest[row];
        Chunks[to] = from.Chunks[row];
        ChunkLists[to] = from.ChunkLists[row];
        Extents[to] = from.Extents[row];
        State[to] = from.State[row];
        return to;
    }

    public void Clear() => Count = 0;
}

/// <summary>One chunk of a file: SHA-256 of its bytes and its length in bytes (1 to 4 MiB).</summary>
public readonly record struct ChunkRef(Hash32 Digest, int Length);

/// <summary>A range of bytes of a file.</summary>
public readonly record struct Extent(long Offset, long Length);

/// <summary>How far a row's content is known.</summary>
public enum ContentState : byte
{
    /// <summary>Not looked at yet, or nothing to look at.</summary>
    None = 0,

    /// <summary>Taken from the last run: attributes say it has not changed.</summary>
    Unchanged = 1,

    /// <summary>Read in this run.</summary>
    Read = 2,

    /// <summary>Could not be read; the row is left out of the snapshot and listed to the user.</summary>
    Failed = 3,

    /// <summary>Read, but it changed each time while being read; stored as last read, and listed to the user.</summary>
    Unsettled = 4,
}
