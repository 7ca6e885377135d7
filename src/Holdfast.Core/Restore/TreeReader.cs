using Holdfast.Core.Codec;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>Reads a tree from its root (docs/format.md, section 9). For one thread.</summary>
sealed class TreeReader(ChunkReader chunks, ChunkRef root, byte level)
{
    const int MaxChildren = 2_048;

    byte[] _last = [];
    bool _any;

    /// <summary>All rows in tree order; each batch holds until the next.</summary>
    /// <exception cref="HoldfastException"><c>ObjectDamaged</c>, <c>ChunkMissing</c>, <c>PackDamaged</c>.</exception>
    public IEnumerable<EntryBatch> Rows()
    {
        var batch = new EntryBatch { ListReader = ReadLists };
        foreach (var leaf in Leaves(root, level))
        {
            Read(leaf, batch);
            yield return batch;
        }
    }

    IEnumerable<ChunkRef> Leaves(ChunkRef node, int nodeLevel)
    {
        if (nodeLevel == 0)
        {
            yield return node;
            yield break;
        }
        foreach (var child in Children(node, nodeLevel))
        {
            foreach (var leaf in Leaves(child, nodeLevel - 1))
                yield return leaf;
        }
    }

    List<ChunkRef> Children(ChunkRef node, int nodeLevel)
    {
        var reader = new ByteReader(chunks.Read(KeyClass.Tree, node));
        reader.Require(reader.U8() == nodeLevel);
        var count = reader.Count(MaxChildren);
        reader.Require(count > 0);
        var children = new List<ChunkRef>(count);
        var pathLength = 0;
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var digest = reader.Hash();
            var length = reader.Count(PackFormat.MaxChunk);
            reader.Var();
            var shared = reader.Count(pathLength);
            pathLength = shared + reader.Bytes(TreePath.MaxLength - shared).Length;
            reader.Require(length > 0);
            children.Add(new ChunkRef(digest, length));
        }
        return reader.IsDone ? children : throw Damaged();
    }

    void Read(ChunkRef leaf, EntryBatch batch)
    {
        if (!TreeNode.TryRead(chunks.Read(KeyClass.Tree, leaf), batch) || (_any && TreePath.Compare(_last, batch.Path(0)) >= 0))
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
            foreach (var chunk in ReadList(list))
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

    List<ChunkRef> ReadList(ChunkRef list)
    {
        var reader = new ByteReader(chunks.Read(KeyClass.Tree, list));
        var items = new List<ChunkRef>(reader.Remaining / (Hash32.Size + 1));
        while (!reader.Failed && reader.Remaining > 0)
        {
            var length = reader.Count(PackFormat.MaxChunk);
            items.Add(new ChunkRef(reader.Hash(), length));
            reader.Require(length > 0);
        }
        return reader.Failed ? throw Damaged() : items;
    }

    static HoldfastException Damaged() => new(ErrorCode.ObjectDamaged, "A node of the snapshot's tree makes no sense.",
        "It was not written by a sound Holdfast. Choose another snapshot, and treat the writer of this one as suspect.");
}
