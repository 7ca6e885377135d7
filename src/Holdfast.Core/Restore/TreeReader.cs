using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>Reads a tree from its root (docs/format.md, section 9), and checks each node against what the node above says of it. For one thread.</summary>
/// <param name="chunks">Gives the nodes.</param>
/// <param name="root">The root node.</param>
/// <param name="level">Its level.</param>
/// <param name="entries">Rows of the whole tree, as the agent signed.</param>
sealed class TreeReader(ChunkReader chunks, ChunkRef root, byte level, ulong entries)
{
    const int MaxChildren = 2_048;

    byte[] _last = [];
    bool _any;

    /// <param name="Chunk">Where it lies.</param>
    /// <param name="Entries">Rows of all level-0 nodes below it.</param>
    /// <param name="First">Path of the first of them.</param>
    readonly record struct Node(ChunkRef Chunk, ulong Entries, byte[] First);

    /// <summary>Rows in tree order; each batch holds until the next.</summary>
    /// <param name="below">Leaves out nodes that have neither this path nor anything below it; null for none.</param>
    /// <exception cref="HoldfastException"><c>ObjectDamaged</c>, <c>ChunkMissing</c>, <c>PackDamaged</c>.</exception>
    public IEnumerable<EntryBatch> Rows(byte[]? below = null)
    {
        var batch = new EntryBatch { ListReader = ReadLists };
        foreach (var leaf in Leaves(new Node(root, entries, []), level, below))
        {
            Read(leaf, batch);
            yield return batch;
        }
    }

    IEnumerable<Node> Leaves(Node node, int nodeLevel, byte[]? below)
    {
        if (nodeLevel == 0)
        {
            yield return node;
            yield break;
        }
        var children = Children(node, nodeLevel);
        for (var i = 0; i < children.Count; i++)
        {
            if (below is not null && i + 1 < children.Count && TreePath.Compare(children[i + 1].First, below) <= 0)
                continue; // ends before
            if (below is not null && TreePath.Compare(children[i].First, below) > 0 && !TreePath.IsBelow(children[i].First, below))
                yield break; // begins after
            foreach (var leaf in Leaves(children[i], nodeLevel - 1, below))
                yield return leaf;
        }
    }

    List<Node> Children(Node node, int nodeLevel)
    {
        var reader = new ByteReader(chunks.Read(KeyClass.Tree, node.Chunk));
        reader.Require(reader.U8() == nodeLevel);
        var count = reader.Count(MaxChildren);
        reader.Require(count > 0);
        var children = new List<Node>(count);
        var (left, before) = (node.Entries, Array.Empty<byte>());
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var digest = reader.Hash();
            var length = reader.Count(PackFormat.MaxChunk);
            var rows = reader.Var();
            var shared = reader.Count(before.Length);
            var rest = reader.Bytes(TreePath.MaxLength - shared);
            if (reader.Failed)
                break;
            byte[] first = [.. before.AsSpan(0, shared), .. rest];
            // As a node of level 0 spells its paths; the first is that which the node above says.
            reader.Require(length > 0 && rows > 0 && rows <= left && TreePath.IsValid(first)
                && (i == 0 ? first.AsSpan().SequenceEqual(node.First) : TreePath.Compare(before, first) < 0 && before.AsSpan().CommonPrefixLength(first) == shared));
            children.Add(new Node(new ChunkRef(digest, length), rows, first));
            (left, before) = (left - rows, first);
        }
        return reader.IsDone && left == 0 ? children : throw Damaged();
    }

    void Read(Node leaf, EntryBatch batch)
    {
        if (!TreeNode.TryRead(chunks.Read(KeyClass.Tree, leaf.Chunk), batch) || (ulong)batch.Count != leaf.Entries || !batch.Path(0).SequenceEqual(leaf.First)
            || (_any && TreePath.Compare(_last, batch.Path(0)) >= 0))
            throw Damaged();
        _any = true;
        _last = batch.Path(batch.Count - 1).ToArray();
    }

    /// <summary>One list at a time, whatever their number: what they name together must be what the node says.</summary>
    IEnumerable<ChunkRef> ReadLists(EntryBatch rows, int row)
    {
        var bytes = rows.Extents[row]?.Sum(e => e.Length) ?? rows.Size[row];
        var left = rows.ListedChunks[row];
        foreach (var list in rows.ChunkLists[row]!)
        {
            foreach (var chunk in ReadList(list, rows.ListedKind[row]))
            {
                bytes -= chunk.Length;
                if (--left < 0 || bytes < 0)
                    throw Damaged();
                yield return chunk;
            }
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
            items.Add(new ChunkRef(reader.Hash(), length, kind));
            reader.Require(length > 0);
        }
        return reader.Failed ? throw Damaged() : items;
    }

    static HoldfastException Damaged() => new(ErrorCode.ObjectDamaged, "A node of the snapshot's tree makes no sense.",
        "It was not written by a sound Holdfast. Choose another snapshot, and treat the writer of this one as suspect.");
}
