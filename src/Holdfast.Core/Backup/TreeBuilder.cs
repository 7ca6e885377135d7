using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>Turns rows in tree order into nodes and nodes into one root (docs/format.md, section 9). For one thread.</summary>
/// <remarks>A snapshot is worth what a reader makes of it. So each node of level 0 is read as a reader would before it is stored, and a row that no reader takes is left out and told.</remarks>
sealed class TreeBuilder : IDisposable
{
    const int MinRows = 256;
    const int RowsBits = 8; // a node ends at one row in 256, from the 256th on
    const int MinChildren = 256;
    const int MaxChildren = 2_048;
    const int TargetBytes = 1 << 20;
    const int ListItems = 16_384; // chunk references a list chunk: about 560 KiB

    readonly ChunkWorker _worker;
    readonly Action<EntryBatch, int, bool> _refused;
    readonly ByteWriter _bytes = new(256 << 10);
    readonly List<Level> _levels = [];
    EntryBatch _node = new();
    EntryBatch _read = new(); // the node as a reader has it
    byte[]? _last; // path of the last row that was stored
    byte[]? _leftOut; // the folder that was left out last: what lies in it would have none
    long _nodeBytes;

    /// <param name="sink">Where nodes go.</param>
    /// <param name="level">Of compression.</param>
    /// <param name="refused">Told of each row that no reader takes: it came without its attributes, or (true) it was left out.</param>
    public TreeBuilder(IChunkSink sink, int level, Action<EntryBatch, int, bool> refused)
    {
        _worker = sink.Worker(KeyClass.Tree, level);
        _refused = refused;
    }

    sealed class Level
    {
        public List<NodeChild> Children { get; } = [];
        public long Bytes { get; set; } // at most, of the node that they will be
    }

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
        if (_levels.Count == 0)
            throw new HoldfastException(ErrorCode.SourceUnreadable, "What the source's root folder is could not be read, so there is nothing to keep.", "Look at the folder (stat), then run the backup again.");
        for (var level = 0; ; level++)
        {
            var children = _levels[level].Children;
            if (level == _levels.Count - 1 && children.Count == 1)
            {
                _worker.Finish();
                return (children[0].Node, (byte)level);
            }
            if (children.Count > 0)
                EndLevel(level);
        }
    }

    void EndNode()
    {
        if (!IsReadable(_node, _read))
            LeaveOut();
        if (_node.Count > 0)
        {
            _last = _node.Path(_node.Count - 1).ToArray();
            Child(0, _bytes.Span, (ulong)_node.Count, _node.Path(0).ToArray());
        }
        _node.Clear();
        _nodeBytes = 0;
    }

    /// <summary>Writes rows to the bytes at hand, and says whether readers take them where they stand.</summary>
    bool IsReadable(EntryBatch rows, EntryBatch read)
    {
        _bytes.Clear();
        TreeNode.Write(rows, _bytes);
        return _bytes.Length <= TreeNode.MaxBytes && (_last is null ? rows.Path(0).IsEmpty : TreePath.Compare(_last, rows.Path(0)) < 0)
            && (_leftOut is null || !TreePath.IsBelow(rows.Path(0), _leftOut)) && TreeNode.TryRead(_bytes.Span, read);
    }

    /// <summary>Keeps the rows of the node at hand that readers take, each by itself; the bytes at hand are then theirs.</summary>
    void LeaveOut()
    {
        var (one, read) = (new EntryBatch(1), new EntryBatch(1));
        var (kept, before) = (_read, _last);
        kept.Clear();
        for (var row = 0; row < _node.Count; row++)
        {
            one.Clear();
            one.AddCopy(_node, row);
            var isTaken = IsReadable(one, read);
            if (!isTaken && one.Xattrs[0] is not null)
            {
                one.Xattrs[0] = null;
                isTaken = IsReadable(one, read);
            }
            if (!isTaken)
            {
                Entries--;
                if (_node.Kind[row] == EntryKind.Directory && (_last is null || TreePath.Compare(_last, _node.Path(row)) < 0) && (_leftOut is null || !TreePath.IsBelow(_node.Path(row), _leftOut)))
                    _leftOut = _node.Path(row).ToArray();
                _refused(_node, row, true);
                continue;
            }
            if (one.Xattrs[0] != _node.Xattrs[row])
                _refused(_node, row, false);
            kept.AddCopy(one, 0);
            _last = one.Path(0).ToArray();
        }
        (_node, _read, _last) = (kept, _node, before);
        if (_node.Count > 0 && !IsReadable(_node, _read))
            throw new InvalidOperationException("Rows that readers take one by one make a node that they refuse.");
    }

    void Child(int level, ReadOnlySpan<byte> node, ulong entries, byte[] firstPath)
    {
        var digest = _worker.Store(node, ContentKind.Unknown, out _);
        if (_levels.Count == level)
            _levels.Add(new Level());
        var children = _levels[level].Children;
        children.Add(new NodeChild(new ChunkRef(digest, node.Length), entries, firstPath));
        _levels[level].Bytes += firstPath.Length + 64;
        if (children.Count == MaxChildren || (children.Count > 1 && _levels[level].Bytes >= TargetBytes) || (children.Count >= MinChildren && digest.Prefix >> (128 - RowsBits) == 0))
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
        _levels[level].Bytes = 0;
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
            // Lists end where a digest says so, so that a change in the middle of a huge file does not rewrite all that follows. None begins with a file's last chunk, which may be of some bytes: that is how
            // a list is told from a node (TreeChunk).
            if (i == chunks.Length - 1 || (i < chunks.Length - 2 && (bytes.Length > 3 << 20 || (bytes.Length > 256 << 10 && chunks[i].Digest.Prefix >> (128 - 12) == 0))))
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
