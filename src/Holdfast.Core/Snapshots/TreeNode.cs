using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>Rows of a tree as one node of level 0, in columns (docs/format.md, section 9.1).</summary>
public static class TreeNode
{
    public const int MaxBytes = 4 << 20;
    public const int MaxExtents = 65_536; // a file
    public const int MaxInlineChunks = 4_096; // a file; more go into list chunks
    const int MaxTarget = 65_535; // bytes of a symlink
    const int MaxLists = 65_536;
    const int MaxListed = 67_108_864; // chunks of a file

    [Flags]
    enum RowFlags : byte
    {
        None = 0,
        Digest = 1,
        Chunks = 2,
        Sparse = 4,
        HardLink = 8,
        Xattrs = 16,
        Unsettled = 32,
        Blocks = 64,
    }

    public static void Write(EntryBatch rows, ByteWriter writer)
    {
        var n = rows.Count;
        writer.U8(0);
        writer.Var((ulong)n);
        for (var i = 0; i < n; i++)
        {
            var path = rows.Path(i);
            var shared = i == 0 ? 0 : path.CommonPrefixLength(rows.Path(i - 1));
            writer.Var((ulong)shared);
            writer.Bytes(path[shared..]);
        }
        for (var i = 0; i < n; i++)
            writer.U8((byte)rows.Kind[i]);
        for (var i = 0; i < n; i++)
            writer.U8((byte)FlagsOf(rows, i));
        WriteOwners(rows, writer);
        var second = 0L;
        for (var i = 0; i < n; i++)
        {
            writer.VarSigned(rows.MtimeSeconds[i] - second);
            second = rows.MtimeSeconds[i];
        }
        for (var i = 0; i < n; i++)
            writer.Var(rows.MtimeNanoseconds[i]);
        for (var i = 0; i < n; i++)
        {
            if (rows.Kind[i] == EntryKind.File)
                writer.Var((ulong)rows.Size[i]);
        }
        for (var i = 0; i < n; i++)
        {
            if (!rows.Digest[i].IsNone)
                writer.Hash(rows.Digest[i]);
        }
        for (var i = 0; i < n; i++)
        {
            if (rows.ChunkLists[i] is { } lists)
                WriteLists(rows.Chunks[i]?.Length ?? rows.ListedChunks[i], lists, writer);
            else if (rows.Chunks[i] is { } chunks)
                WriteChunks(chunks, writer);
        }
        for (var i = 0; i < n; i++)
        {
            if (rows.Extents[i] is { } extents)
                WriteExtents(extents, writer);
        }
        for (var i = 0; i < n; i++)
        {
            if (!IsHardLink(rows, i))
                continue;
            writer.Var(rows.Device[i]);
            writer.Var(rows.Inode[i]);
            writer.Var(rows.LinkCount[i]);
        }
        for (var i = 0; i < n; i++)
        {
            if (rows.Kind[i] == EntryKind.Symlink)
                writer.Bytes(rows.LinkTarget[i]);
        }
        for (var i = 0; i < n; i++)
        {
            if (rows.Kind[i] is not (EntryKind.CharacterDevice or EntryKind.BlockDevice))
                continue;
            writer.Var(rows.RawDevice[i] >> 32);
            writer.Var((uint)rows.RawDevice[i]);
        }
        for (var i = 0; i < n; i++)
        {
            if (rows.Xattrs[i] is { } xattrs)
                writer.Bytes(xattrs);
        }
        writer.Var(0);
    }

    /// <summary>Reads a node into an empty batch. Total: whatever <see cref="Write"/> would not have written is refused.</summary>
    /// <param name="bytes">The node.</param>
    /// <param name="rows">Filled.</param>
    /// <param name="mostPaths">Bytes of all paths together, of a reader that has many to read at once.</param>
    public static bool TryRead(ReadOnlySpan<byte> bytes, EntryBatch rows, int mostPaths = int.MaxValue)
    {
        rows.Clear();
        var reader = new ByteReader(bytes);
        reader.Require(reader.U8() == 0);
        var n = reader.Count(EntryBatch.MaxRows);
        reader.Require(n > 0);
        if (!ReadPaths(ref reader, rows, n, mostPaths))
            return false;
        for (var i = 0; i < n; i++)
        {
            rows.Kind[i] = (EntryKind)reader.U8();
            reader.Require(rows.Kind[i] is >= EntryKind.File and <= EntryKind.BlockDevice);
        }
        Span<byte> flags = stackalloc byte[n];
        reader.Raw(n).CopyTo(flags);
        ReadOwners(ref reader, rows);
        var second = 0L;
        for (var i = 0; i < n; i++)
            rows.MtimeSeconds[i] = second = unchecked(second + reader.VarSigned());
        for (var i = 0; i < n; i++)
            rows.MtimeNanoseconds[i] = (uint)reader.Count(999_999_999);
        for (var i = 0; i < n; i++)
        {
            if (rows.Kind[i] != EntryKind.File)
                continue;
            var size = reader.Var();
            reader.Require(size <= long.MaxValue);
            rows.Size[i] = (long)size;
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            var f = (RowFlags)flags[i];
            reader.Require((flags[i] & 0x80) == 0 && (f & (RowFlags.Blocks | RowFlags.Chunks)) != RowFlags.Blocks && (rows.Kind[i] == EntryKind.File || (f & ~(RowFlags.HardLink | RowFlags.Xattrs)) == 0));
            if (f.HasFlag(RowFlags.Digest))
                rows.Digest[i] = reader.Hash();
            if (f.HasFlag(RowFlags.Unsettled))
                rows.State[i] = ContentState.Unsettled;
            if (f.HasFlag(RowFlags.Blocks))
                rows.ListedKind[i] = DigestKind.Blocks;
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (((RowFlags)flags[i]).HasFlag(RowFlags.Chunks))
                ReadChunks(ref reader, rows, i);
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (((RowFlags)flags[i]).HasFlag(RowFlags.Sparse))
                rows.Extents[i] = ReadExtents(ref reader, rows.Size[i]);
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (!((RowFlags)flags[i]).HasFlag(RowFlags.HardLink))
                continue;
            rows.Device[i] = reader.Var();
            rows.Inode[i] = reader.Var();
            rows.LinkCount[i] = (uint)Math.Min(reader.Var(), uint.MaxValue);
            reader.Require(rows.LinkCount[i] > 1 && rows.Kind[i] != EntryKind.Directory);
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (rows.Kind[i] == EntryKind.Symlink)
                rows.LinkTarget[i] = reader.Bytes(MaxTarget).ToArray();
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (rows.Kind[i] is not (EntryKind.CharacterDevice or EntryKind.BlockDevice))
                continue;
            var major = reader.Var();
            var minor = reader.Var();
            reader.Require(major <= uint.MaxValue && minor <= uint.MaxValue);
            rows.RawDevice[i] = major << 32 | minor;
        }
        for (var i = 0; i < n && !reader.Failed; i++)
        {
            if (!((RowFlags)flags[i]).HasFlag(RowFlags.Xattrs))
                continue;
            rows.Xattrs[i] = reader.Bytes(XattrList.MaxBytes).ToArray();
            reader.Require(XattrList.IsValid(rows.Xattrs[i]));
        }
        reader.Require(reader.Var() == 0);
        return reader.IsDone && AreSound(rows);
    }

    static RowFlags FlagsOf(EntryBatch rows, int i) =>
        (rows.Digest[i].IsNone ? RowFlags.None : RowFlags.Digest)
        | (rows.Chunks[i] is null && rows.ChunkLists[i] is null ? RowFlags.None : RowFlags.Chunks)
        | (rows.ListedKind[i] == DigestKind.Blocks ? RowFlags.Blocks : RowFlags.None)
        | (rows.Extents[i] is null ? RowFlags.None : RowFlags.Sparse)
        | (IsHardLink(rows, i) ? RowFlags.HardLink : RowFlags.None)
        | (rows.Xattrs[i] is null ? RowFlags.None : RowFlags.Xattrs)
        | (rows.State[i] == ContentState.Unsettled ? RowFlags.Unsettled : RowFlags.None);

    static bool IsHardLink(EntryBatch rows, int i) => rows.LinkCount[i] > 1 && rows.Kind[i] != EntryKind.Directory;

    static void WriteOwners(EntryBatch rows, ByteWriter writer)
    {
        var known = new Dictionary<(uint, uint, uint), int>();
        var numbers = new int[rows.Count];
        var list = new List<(uint Mode, uint Uid, uint Gid)>();
        for (var i = 0; i < rows.Count; i++)
        {
            var owner = (rows.Mode[i], rows.Uid[i], rows.Gid[i]);
            if (!known.TryGetValue(owner, out numbers[i]))
            {
                known[owner] = numbers[i] = list.Count;
                list.Add(owner);
            }
        }
        writer.Var((ulong)list.Count);
        foreach (var (mode, uid, gid) in list)
        {
            writer.Var(mode);
            writer.Var(uid);
            writer.Var(gid);
        }
        foreach (var number in numbers)
            writer.Var((ulong)number);
    }

    static void ReadOwners(ref ByteReader reader, EntryBatch rows)
    {
        var count = reader.Count(rows.Count);
        Span<uint> owners = stackalloc uint[3 * count];
        for (var i = 0; i < owners.Length; i++)
        {
            var number = reader.Var();
            reader.Require(number < uint.MaxValue); // the last is no user's: chown(2) takes it for "leave it as it is"
            owners[i] = (uint)number;
        }
        for (var i = 0; i < rows.Count; i++)
        {
            var number = reader.Count(Math.Max(0, count - 1));
            if (reader.Failed || count == 0)
            {
                reader.Fail();
                return;
            }
            rows.Mode[i] = owners[3 * number];
            rows.Uid[i] = owners[3 * number + 1];
            rows.Gid[i] = owners[3 * number + 2];
            reader.Require(rows.Mode[i] <= 0xFFF);
        }
    }

    static bool ReadPaths(ref ByteReader reader, EntryBatch rows, int n, int mostPaths)
    {
        var path = new byte[TreePath.MaxLength];
        var length = 0;
        for (var i = 0; i < n; i++)
        {
            var shared = reader.Count(length);
            var rest = reader.Bytes(TreePath.MaxLength - shared);
            if (reader.Failed)
                return false;
            rest.CopyTo(path.AsSpan(shared));
            var whole = path.AsSpan(0, shared + rest.Length);
            // The shortest spelling only, valid names only, ascending only.
            if (!TreePath.IsValid(whole) || (i > 0 && (TreePath.Compare(rows.Path(i - 1), whole) >= 0
                || rows.Path(i - 1).CommonPrefixLength(whole) != shared)))
                return false;
            length = whole.Length;
            if (rows.PathBytes + length > mostPaths)
                return false; // before there is memory for it: shared beginnings cost a writer nothing
            rows.Add(whole);
        }
        return true;
    }

    static void WriteLists(int total, ChunkRef[] lists, ByteWriter writer)
    {
        writer.Var(0);
        writer.Var((ulong)total);
        writer.Var((ulong)lists.Length);
        foreach (var list in lists)
        {
            writer.Hash(list.Digest);
            writer.Var((ulong)list.Length);
        }
    }

    static void WriteChunks(ChunkRef[] chunks, ByteWriter writer)
    {
        writer.Var((ulong)chunks.Length);
        foreach (var chunk in chunks)
        {
            writer.Var((ulong)chunk.Length);
            writer.Hash(chunk.Digest);
        }
    }

    static void ReadChunks(ref ByteReader reader, EntryBatch rows, int row)
    {
        var count = reader.Count(Math.Min(MaxInlineChunks, reader.Remaining / Hash32.Size));
        if (count == 0 && !reader.Failed)
        {
            rows.ListedChunks[row] = reader.Count(MaxListed);
            reader.Require(rows.ListedChunks[row] > MaxInlineChunks && rows.ListedChunks[row] <= rows.Size[row]);
            var parts = reader.Count(Math.Min(MaxLists, reader.Remaining / Hash32.Size));
            reader.Require(parts > 0);
            var lists = new ChunkRef[parts];
            for (var i = 0; i < parts && !reader.Failed; i++)
            {
                lists[i] = new ChunkRef(reader.Hash(), reader.Count(Packs.PackFormat.MaxChunk));
                reader.Require(lists[i].Length > 0);
            }
            rows.ChunkLists[row] = lists;
            return;
        }
        var chunks = new ChunkRef[count];
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var length = reader.Count(Packs.PackFormat.MaxChunk);
            chunks[i] = new ChunkRef(reader.Hash(), length, rows.ListedKind[row]);
            reader.Require(length > 0);
        }
        rows.Chunks[row] = chunks;
    }

    static void WriteExtents(Extent[] extents, ByteWriter writer)
    {
        writer.Var((ulong)extents.Length);
        var end = 0L;
        foreach (var extent in extents)
        {
            writer.Var((ulong)(extent.Offset - end));
            writer.Var((ulong)extent.Length);
            end = extent.Offset + extent.Length;
        }
    }

    static Extent[] ReadExtents(ref ByteReader reader, long size)
    {
        var count = reader.Count(Math.Min(MaxExtents, reader.Remaining / 2));
        var extents = new Extent[count];
        var end = 0L;
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var gap = reader.Var();
            var length = reader.Var();
            var left = (ulong)(size - end);
            reader.Require(length > 0 && gap <= left && length <= left - gap && (i == 0 || gap > 0)); // before anything is added: a size may be 2^63 - 1
            if (reader.Failed)
                break;
            extents[i] = new Extent(end + (long)gap, (long)length);
            end = extents[i].Offset + extents[i].Length;
        }
        return extents;
    }

    /// <summary>Content adds up: chunks fill exactly the size or the extents.</summary>
    static bool AreSound(EntryBatch rows)
    {
        for (var i = 0; i < rows.Count; i++)
        {
            if (rows.Kind[i] != EntryKind.File)
                continue;
            var data = rows.Extents[i] is { } extents ? extents.Sum(e => e.Length) : rows.Size[i];
            if (rows.ChunkLists[i] is not null)
                continue; // checked when the lists are read
            if (rows.Chunks[i] is { } chunks ? chunks.Sum(c => (long)c.Length) != data
                : data > Packs.PackFormat.MaxChunk || (data > 0 && (rows.Digest[i].IsNone || rows.Extents[i] is not null)))
                return false;
        }
        return true;
    }
}
