using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>Rows that are in a node of the tree which cannot be read.</summary>
/// <param name="First">Path of the first of them.</param>
/// <param name="Next">Path of the first row after them; null where they are the last.</param>
/// <param name="Entries">How many they are.</param>
public sealed record LostRows(byte[] First, byte[]? Next, ulong Entries)
{
    /// <summary>These and those that follow at once, as one; null where there are others between them.</summary>
    public LostRows? With(LostRows after) => Next is not null && Next.AsSpan().SequenceEqual(after.First) ? new LostRows(First, after.Next, Entries + Math.Min(after.Entries, ulong.MaxValue - Entries)) : null;
}

/// <summary>Reads a tree from its root (docs/format.md, section 9), and checks each node against what the node above says of it. For one thread.</summary>
/// <param name="chunks">Gives the nodes.</param>
/// <param name="root">The root node.</param>
/// <param name="level">Its level.</param>
/// <param name="entries">Rows of the whole tree, as the agent signed.</param>
sealed class TreeReader(ChunkReader chunks, ChunkRef root, byte level, ulong entries)
{
    const int MaxChildren = 2_048;
    const int MaxKnown = 65_536; // lists that are remembered

    readonly Dictionary<(ChunkRef List, DigestKind Kind), (int Chunks, long Bytes)> _known = [];
    byte[] _last = [];
    bool _any;
    bool _hasGap; // since the last row that was given

    /// <summary>Told of a node, below the root, that cannot be read: its rows are left out and the others follow, since the node above says of each what it must have. Where there is
    /// nobody to tell, that ends the reading.</summary>
    public Action<LostRows>? Lost { get; set; }

    /// <summary>Gives the folders above too: their nodes where only what is below a path is asked for, and those that were among lost rows.</summary>
    public bool WithAbove { get; init; }

    /// <summary>It says that something cannot be read here, and nothing of how the rest can.</summary>
    public static bool IsLoss(HoldfastException e) => PackReader.IsDamage(e) || e.Code is ErrorCode.ChunkMissing or ErrorCode.ObjectDamaged or ErrorCode.WrongVault;

    /// <param name="Chunk">Where it lies.</param>
    /// <param name="Entries">Rows of all level-0 nodes below it.</param>
    /// <param name="First">Path of the first of them.</param>
    /// <param name="Next">Of the first row after them; null where they are the last.</param>
    readonly record struct Node(ChunkRef Chunk, ulong Entries, byte[] First, byte[]? Next);

    /// <summary>Rows in tree order; each batch holds until the next. With <see cref="WithAbove"/>, after rows that are lost come the folders that they had and that what follows lies in:
    /// open to their owner alone, whoever that was.</summary>
    /// <param name="below">Leaves out nodes that have neither this path nor anything below it; null for none.</param>
    /// <exception cref="HoldfastException"><c>ObjectDamaged</c>, <c>ChunkMissing</c>, <c>PackDamaged</c>.</exception>
    public IEnumerable<EntryBatch> Rows(byte[]? below = null)
    {
        var batch = new EntryBatch { ListReader = ReadLists };
        foreach (var leaf in Leaves(new Node(root, entries, [], null), level, below))
        {
            var before = _any ? _last : null;
            if (!TryRead(leaf, batch))
                continue;
            foreach (var folders in _hasGap && WithAbove ? FoldersAbove(batch.Path(0).ToArray(), before) : [])
                yield return folders;
            _hasGap = false;
            yield return batch;
        }
    }

    /// <summary>The folders above a path that are not above the row before, nor that row.</summary>
    static IEnumerable<EntryBatch> FoldersAbove(byte[] path, byte[]? before)
    {
        var rows = new EntryBatch();
        for (var end = 0; path.Length > 0; end++)
        {
            if (end > 0)
                end = Array.IndexOf(path, (byte)'/', end);
            if (end < 0)
                break;
            var folder = path.AsSpan(0, end);
            if (before is not null && (before.AsSpan().SequenceEqual(folder) || TreePath.IsBelow(before, folder)))
                continue;
            var row = rows.Add(folder);
            (rows.Kind[row], rows.Mode[row], rows.Uid[row], rows.Gid[row]) = (EntryKind.Directory, 0x1C0, ITreeWriter.UnknownOwner, ITreeWriter.UnknownOwner); // rwx------
            if (!rows.IsFull)
                continue;
            yield return rows;
            rows.Clear();
        }
        if (rows.Count > 0)
            yield return rows;
    }

    bool TryRead(Node leaf, EntryBatch batch)
    {
        try
        {
            Read(leaf, batch);
            return true;
        }
        catch (HoldfastException e) when (Lost is not null && leaf.Chunk != root && IsLoss(e))
        {
            Lose(leaf);
            return false;
        }
    }

    /// <summary>Null where the node cannot be read, and that was told.</summary>
    Children? TryOpen(Node node, int nodeLevel)
    {
        try
        {
            return new Children(chunks.Read(KeyClass.Tree, node.Chunk).ToArray(), node, nodeLevel);
        }
        catch (HoldfastException e) when (Lost is not null && node.Chunk != root && IsLoss(e))
        {
            Lose(node);
            return null;
        }
    }

    void Lose(Node node)
    {
        _hasGap = true;
        Lost!(new LostRows(node.First, node.Next, node.Entries));
    }

    IEnumerable<Node> Leaves(Node node, int nodeLevel, byte[]? below)
    {
        if (nodeLevel == 0)
        {
            yield return node;
            yield break;
        }
        if (TryOpen(node, nodeLevel) is not { } children)
            yield break;
        var isNext = children.TryRead(out var next);
        while (isNext)
        {
            var child = next;
            isNext = children.TryRead(out next);
            child = child with { Next = isNext ? next.First : node.Next };
            if (below is not null && isNext && TreePath.Compare(next.First, below) <= 0 && !(WithAbove && HasFolderAbove(child, below)))
                continue; // ends before
            if (below is not null && TreePath.Compare(child.First, below) > 0 && !TreePath.IsBelow(child.First, below))
                yield break; // begins after
            foreach (var leaf in Leaves(child, nodeLevel - 1, below))
                yield return leaf;
        }
    }

    static bool HasFolderAbove(Node node, ReadOnlySpan<byte> path)
    {
        while (!path.IsEmpty)
        {
            path = TreePath.Parent(path);
            if (TreePath.Compare(node.First, path) <= 0 && TreePath.Compare(path, node.Next) < 0)
                return true;
        }
        return false;
    }

    /// <summary>The children of a node, one after the other. All are looked at before the first is given, and none is kept: each may have a path of 64 KiB, and cost its writer next to nothing.</summary>
    sealed class Children
    {
        readonly byte[] _bytes;
        readonly Node _node;
        readonly int _level;
        int _at;
        int _children; // still to come
        ulong _entries; // in these
        byte[] _before = [];
        bool _isFirst;

        /// <exception cref="HoldfastException"><c>ObjectDamaged</c>.</exception>
        public Children(byte[] bytes, Node node, int level)
        {
            (_bytes, _node, _level) = (bytes, node, level);
            Begin();
            while (TryRead(out _))
                continue;
            if (_at != _bytes.Length || _entries != 0)
                throw Damaged();
            Begin();
        }

        void Begin()
        {
            var reader = new ByteReader(_bytes);
            reader.Require(reader.U8() == _level);
            var count = reader.Count(MaxChildren);
            if (reader.Failed || count == 0)
                throw Damaged();
            (_at, _children, _entries, _before, _isFirst) = (reader.Position, count, _node.Entries, [], true);
        }

        public bool TryRead(out Node child)
        {
            child = default;
            if (_children == 0)
                return false;
            var reader = new ByteReader(_bytes.AsSpan(_at));
            var digest = reader.Hash();
            var length = reader.Count(PackFormat.MaxChunk);
            var rows = reader.Var();
            var shared = reader.Count(_before.Length);
            var rest = reader.Bytes(TreePath.MaxLength - shared);
            if (reader.Failed)
                throw Damaged();
            byte[] first = [.. _before.AsSpan(0, shared), .. rest];
            // As a node of level 0 spells its paths; the first is that which the node above says.
            if (length == 0 || rows == 0 || rows > _entries || !TreePath.IsValid(first)
                || !(_isFirst ? first.AsSpan().SequenceEqual(_node.First) : TreePath.Compare(_before, first) < 0 && _before.AsSpan().CommonPrefixLength(first) == shared))
                throw Damaged();
            child = new Node(new ChunkRef(digest, length), rows, first, null);
            (_at, _children, _entries, _before, _isFirst) = (_at + reader.Position, _children - 1, _entries - rows, first, false);
            return true;
        }
    }

    void Read(Node leaf, EntryBatch batch)
    {
        if (!TreeNode.TryRead(chunks.Read(KeyClass.Tree, leaf.Chunk), batch) || (ulong)batch.Count != leaf.Entries || !batch.Path(0).SequenceEqual(leaf.First)
            || (_any && TreePath.Compare(_last, batch.Path(0)) >= 0))
            throw Damaged();
        _any = true;
        _last = batch.Path(batch.Count - 1).ToArray();
    }

    /// <summary>A file's chunks, but for those of lists that this gave before: a row of some bytes may name one list so often that its chunks are 64 million.</summary>
    /// <exception cref="HoldfastException">As <see cref="EntryBatch.ChunksOf"/>.</exception>
    public IEnumerable<ChunkRef> NewChunksOf(EntryBatch rows, int row) => rows.ChunkLists[row] is null ? rows.ChunksOf(row) : ReadLists(rows, row, onlyNew: true);

    IEnumerable<ChunkRef> ReadLists(EntryBatch rows, int row) => ReadLists(rows, row, onlyNew: false);

    /// <summary>One list at a time, whatever their number: what they name together must be what the node says.</summary>
    IEnumerable<ChunkRef> ReadLists(EntryBatch rows, int row, bool onlyNew)
    {
        var bytes = rows.Extents[row]?.Sum(e => e.Length) ?? rows.Size[row];
        var left = rows.ListedChunks[row];
        foreach (var list in rows.ChunkLists[row]!)
        {
            if (onlyNew && _known.TryGetValue((list, rows.ListedKind[row]), out var known))
            {
                (left, bytes) = (left - known.Chunks, bytes - known.Bytes);
                if (left < 0 || bytes < 0)
                    throw Damaged();
                continue;
            }
            var before = (left, bytes);
            foreach (var chunk in ReadList(list, rows.ListedKind[row]))
            {
                bytes -= chunk.Length;
                if (--left < 0 || bytes < 0)
                    throw Damaged();
                yield return chunk;
            }
            if (!onlyNew)
                continue;
            if (_known.Count == MaxKnown)
                _known.Clear();
            _known[(list, rows.ListedKind[row])] = (before.left - left, before.bytes - bytes);
        }
        if (left != 0 || bytes != 0)
            throw Damaged();
    }

    List<ChunkRef> ReadList(ChunkRef list, DigestKind kind)
    {
        var reader = new ByteReader(chunks.Read(KeyClass.Tree, list));
        var items = new List<ChunkRef>(reader.Remaining / (Hash32.Size + 1));
        while (!reader.Failed && reader.Remaining > 0)
        {
            var length = reader.Count(PackFormat.MaxChunk);
            reader.Require(length >= (items.Count == 0 ? TreeChunk.LeastListed : 1));
            items.Add(new ChunkRef(reader.Hash(), length, kind));
        }
        return reader.Failed ? throw Damaged() : items;
    }

    static HoldfastException Damaged() => new(ErrorCode.ObjectDamaged, "A node of the snapshot's tree makes no sense.",
        "It was not written by a sound Holdfast. Choose another snapshot, and treat the writer of this one as suspect.");
}
