using Holdfast.Core.Chunking;

namespace Holdfast.Core.Snapshots;

/// <summary>Up to <see cref="MaxRows"/> entries of a tree, in tree order, as columns: no object per entry.</summary>
/// <remarks>The source fills a row's path and attributes; the engine fills what it found in the content. Filled by one thread at a time;
/// different rows may be filled by different threads. Reused after <see cref="Clear"/>.</remarks>
/// <param name="capacity">Rows it has room for; more than <see cref="MaxRows"/> for those who do not write nodes.</param>
public sealed class EntryBatch(int capacity)
{
    public const int MaxRows = 1_024;

    public EntryBatch() : this(MaxRows)
    {
    }

    byte[] _paths = new byte[64 * capacity];
    readonly int[] _pathEnds = new int[capacity];

    public int Count { get; private set; }

    /// <summary>Bytes of all paths; a source closes a batch early where these grow past a mebibyte.</summary>
    public int PathBytes => Count == 0 ? 0 : _pathEnds[Count - 1];

    public bool IsFull => Count == capacity || PathBytes > 1 << 20;

    public EntryKind[] Kind { get; } = new EntryKind[capacity];

    /// <summary>Permission, set-id and sticky bits: 0 to 0o7777.</summary>
    public uint[] Mode { get; } = new uint[capacity];
    public uint[] Uid { get; } = new uint[capacity];
    public uint[] Gid { get; } = new uint[capacity];

    /// <summary>Bytes; 0 for what is not a file. Logical size, holes counted.</summary>
    public long[] Size { get; } = new long[capacity];

    /// <summary>Seconds since 1970 UTC, may be negative; nanoseconds 0 to 999,999,999.</summary>
    public long[] MtimeSeconds { get; } = new long[capacity];
    public uint[] MtimeNanoseconds { get; } = new uint[capacity];
    public long[] CtimeSeconds { get; } = new long[capacity];
    public uint[] CtimeNanoseconds { get; } = new uint[capacity];

    public ulong[] Device { get; } = new ulong[capacity];
    public ulong[] Inode { get; } = new ulong[capacity];
    public uint[] LinkCount { get; } = new uint[capacity];

    /// <summary>Of a device entry: major in the upper 32 bits, minor in the lower.</summary>
    public ulong[] RawDevice { get; } = new ulong[capacity];

    /// <summary>True where the file holds fewer blocks than its size needs: worth asking for its extents.</summary>
    public bool[] MayBeSparse { get; } = new bool[capacity];

    /// <summary>Of a symlink; null otherwise.</summary>
    public byte[]?[] LinkTarget { get; } = new byte[capacity][];

    /// <summary>Extended attributes with ACLs as the kernel gives them, encoded by <see cref="XattrList"/>; null where there are none.</summary>
    public byte[]?[] Xattrs { get; } = new byte[capacity][];

    // What the engine found in the content.

    /// <summary>SHA-256 of the whole file; <see cref="Hash32.None"/> where it is still to come (a file over 64 MiB) or there is no content.</summary>
    public Hash32[] Digest { get; } = new Hash32[capacity];

    /// <summary>Chunks in file order; null where the file is one chunk (then <see cref="Digest"/> names it and its length is the size), is empty, or was read from a
    /// tree that keeps its list apart. <see cref="ChunksOf"/> gives them in every case.</summary>
    public ChunkRef[]?[] Chunks { get; } = new ChunkRef[capacity][];

    /// <summary>Where the list of chunks is too long for a node: the chunks that hold the list. Null otherwise.</summary>
    public ChunkRef[]?[] ChunkLists { get; } = new ChunkRef[capacity][];

    /// <summary>Of the digests in <see cref="Chunks"/>, or in the lists kept apart.</summary>
    public DigestKind[] ListedKind { get; } = new DigestKind[capacity];

    /// <summary>How many chunks the lists of <see cref="ChunkLists"/> name together, as the node says.</summary>
    public int[] ListedChunks { get; } = new int[capacity];

    /// <summary>Reads a row's lists, piece by piece: they may name more chunks than fit memory. Set by who reads a tree.</summary>
    public Func<EntryBatch, int, IEnumerable<ChunkRef>>? ListReader { get; set; }

    /// <summary>Data ranges of a sparse file, ascending, not touching; null where there are no holes. Chunks then hold the ranges' bytes, joined.</summary>
    public Extent[]?[] Extents { get; } = new Extent[capacity][];

    public ContentState[] State { get; } = new ContentState[capacity];

    // What this machine remembers of the content besides; not part of a tree.

    /// <summary>First half of the id of each chunk: in <see cref="ChunkId"/> for a file of one chunk, in <see cref="ChunkIds"/> otherwise.</summary>
    public UInt128[] ChunkId { get; } = new UInt128[capacity];
    public UInt128[]?[] ChunkIds { get; } = new UInt128[capacity][];

    public ContentKind[] ContentKind { get; } = new ContentKind[capacity];

    public ReadOnlySpan<byte> Path(int row)
    {
        var start = row == 0 ? 0 : _pathEnds[row - 1];
        return _paths.AsSpan(start, _pathEnds[row] - start);
    }

    /// <summary>Adds a row with this path, every column zero or null, and returns its number.</summary>
    public int Add(ReadOnlySpan<byte> path)
    {
        var row = Count;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, capacity);
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
        ListedChunks[row] = 0;
        ListedKind[row] = DigestKind.Whole;
        Extents[row] = null;
        State[row] = ContentState.None;
        ChunkId[row] = 0;
        ChunkIds[row] = null;
        ContentKind[row] = Snapshots.ContentKind.Unknown;
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
        CopyContent(from, row, to);
        return to;
    }

    /// <summary>Takes over what is known of another row's content.</summary>
    public void CopyContent(EntryBatch from, int row, int to)
    {
        EntryContent.Of(from, row).CopyTo(this, to);
        ListReader ??= from.ListReader;
    }

    /// <summary>The chunks of a file in file order, without holes.</summary>
    /// <exception cref="HoldfastException"><c>ObjectDamaged</c>, <c>ChunkMissing</c>, <c>PackDamaged</c> while it is enumerated: a list kept apart cannot be read.</exception>
    public IEnumerable<ChunkRef> ChunksOf(int row) => Chunks[row] switch
    {
        { } chunks => chunks,
        null when ChunkLists[row] is not null => ListReader?.Invoke(this, row) ?? throw new InvalidOperationException("Only who reads a tree can read lists kept apart."),
        _ => Size[row] == 0 || Extents[row] is not null ? [] : [new ChunkRef(Digest[row], (int)Size[row])],
    };

    /// <summary>How many <see cref="ChunksOf"/> gives.</summary>
    public int ChunkCount(int row) => Chunks[row]?.Length ?? (ChunkLists[row] is not null ? ListedChunks[row] : Size[row] == 0 || Extents[row] is not null ? 0 : 1);

    /// <summary>Forgets all rows, with what they hold: a batch that waits in a pool takes no more than an empty one.</summary>
    public void Clear() => KeepPrefix(0);

    /// <summary>Forgets all rows but the first so many, with what they hold.</summary>
    public void KeepPrefix(int count)
    {
        for (; Count > count; Count--)
        {
            LinkTarget[Count - 1] = null;
            Xattrs[Count - 1] = null;
            Chunks[Count - 1] = null;
            ChunkLists[Count - 1] = null;
            Extents[Count - 1] = null;
            ChunkIds[Count - 1] = null;
        }
    }
}

/// <summary>What is known of one file's content.</summary>
readonly record struct EntryContent(long Size, Hash32 Digest, ChunkRef[]? Chunks, ChunkRef[]? ChunkLists, int ListedChunks, DigestKind ListedKind, Extent[]? Extents, ContentState State,
    UInt128 ChunkId, UInt128[]? ChunkIds, ContentKind Kind)
{
    public static EntryContent Of(EntryBatch rows, int row) => new(rows.Size[row], rows.Digest[row], rows.Chunks[row], rows.ChunkLists[row], rows.ListedChunks[row], rows.ListedKind[row], rows.Extents[row],
        rows.State[row], rows.ChunkId[row], rows.ChunkIds[row], rows.ContentKind[row]);

    /// <summary>True where the other one has the same bytes.</summary>
    public bool HasSame(EntryContent other) => Size == other.Size
        && (Digest.IsNone || other.Digest.IsNone ? Chunks.AsSpan().SequenceEqual(other.Chunks) && Extents.AsSpan().SequenceEqual(other.Extents) : Digest == other.Digest);

    public void CopyTo(EntryBatch rows, int row)
    {
        rows.Size[row] = Size;
        rows.Digest[row] = Digest;
        rows.Chunks[row] = Chunks;
        rows.ChunkLists[row] = ChunkLists;
        rows.ListedChunks[row] = ListedChunks;
        rows.ListedKind[row] = ListedKind;
        rows.Extents[row] = Extents;
        rows.State[row] = State;
        rows.ChunkId[row] = ChunkId;
        rows.ChunkIds[row] = ChunkIds;
        rows.ContentKind[row] = Kind;
    }
}

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
