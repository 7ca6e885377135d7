using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>Turns rows in tree order into nodes and nodes into one root (docs/format.md, section 9). For one thread.</summary>
sealed class TreeBuilder : IDisposable
{
    const int MinRows = 256;
    const int RowsBits = 8; // a node ends at one row in 256, from the 256th on
    const int MinChildren = 256;
    const int MaxChildren = 2_048;
    const int TargetBytes = 1 << 20;
    const int ListItems = 16_384; // chunk references a list chunk: about 560 KiB

    readonly ChunkWorker _worker;
    readonly EntryBatch _node = new();
    readonly ByteWriter _bytes = new(256 << 10);
    readonly List<Level> _levels = [];
    long _nodeBytes;

    public TreeBuilder(ChunkSink sink, int level) => _worker = new ChunkWorker(sink, KeyClass.Tree, level);

    sealed class Level
    {
        public List<NodeChild> Children { get; } = [];
    }

    public PackUse Use => _worker.Use;
    public ulong Entries { get; private set; }

    public void Add(EntryBatch rows, int row)
    {
        if (rows.Chunks[row] is { Length: > TreeNode.MaxInlineChunks } many && rows.ChunkLists[row] is null)
            rows.ChunkLists[row] = WriteList(many);
        var path = rows.Path(row);
        _node.AddCopy(rows, row);
        _nodeBytes += path.Length + 96 + 34L * (rows.ChunkLists[row]?.Length ?? rows.Chunks[row]?.Length ?? 0) + (rows.Xattrs[row]?.Length ?? 0)
            + 12L * (rows.Extents[row]?.Length ?? 0) + (rows.LinkTarget[row]?.Length ?? 0);
        Entries++;
        if (_node.IsFull || _nodeBytes >= TargetBytes || (_node.Count >= MinRows && Fnv(path) >> (64 - RowsBits) == 0))
            EndNode();
    }

    /// <summary>Completes the tree; gives its root and the root's level.</summary>
    public (ChunkRef Root, byte Level) Finish()
    {
        if (_node.Count > 0)
            EndNode();
        for (var level = 0; ; level++)
        {
            var children = _levels[level].Children;
            if (level == _levels.Count - 1 && children.Count == 1)
            {
                _worker.Packs.Finish();
                return (children[0].Node, (byte)level);
            }
            if (children.Count > 0)
                EndLevel(level);
        }
    }

    void EndNode()
    {
        _bytes.Clear();
        TreeNode.Write(_node, _bytes);
        Child(0, _bytes.Span, (ulong)_node.Count, _node.Path(0).ToArray());
        _node.Clear();
        _nodeBytes = 0;
    }

    void Child(int level, ReadOnlySpan<byte> node, ulong entries, byte[] firstPath)
    {
        var digest = _worker.Store(node, ContentKind.Unknown, out _);
        if (_levels.Count == level)
            _levels.Add(new Level());
        var children = _levels[level].Children;
        children.Add(new NodeChild(new ChunkRef(digest, node.Length), entries, firstPath));
        if (children.Count == MaxChildren || (children.Count >= MinChildren && digest.Prefix >> (128 - RowsBits) == 0))
            EndLevel(level);
    }

    void EndLevel(int level)
    {
        var children = _levels[level].Children;
        var bytes = new ByteWriter(children.Count * 64);
        HigherNode.Write((byte)(level + 1), children, bytes);
        var entries = children.Aggregate(0UL, (sum, child) => sum + child.Entries);
        var first = children[0].FirstPath;
        children.Clear();
        Child(level + 1, bytes.Span, entries, first);
    }

    ChunkRef[] WriteList(ChunkRef[] chunks)
    {
        var lists = new List<ChunkRef>();
        var bytes = new ByteWriter(ListItems * 36);
        for (var i = 0; i < chunks.Length; i++)
        {
            bytes.Var((ulong)chunks[i].Length);
            bytes.Hash(chunks[i].Digest);
            // Lists end where a digest says so, so that a change in the middle of a huge file does not rewrite all that follows.
            if (i == chunks.Length - 1 || bytes.Length > 3 << 20 || (bytes.Length > 256 << 10 && chunks[i].Digest.Prefix >> (128 - 12) == 0))
            {
                lists.Add(new ChunkRef(_worker.Store(bytes.Span, ContentKind.Unknown, out _), bytes.Length));
                bytes.Clear();
            }
        }
        return [.. lists];
    }

    internal static ulong Fnv(ReadOnlySpan<byte> bytes)
    {
        var hash = 14695981039346656037UL; // FNV-1a, 64 bits
        foreach (var b in bytes)
            hash = (hash ^ b) * 1099511628211UL;
        return hash;
    }

    public void Dispose() => _worker.Dispose();
}
