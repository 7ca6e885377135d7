using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Snapshots;

/// <summary>What a chunk of class tree refers to. Which of the three it is (a node of level 0, one above, a list of a file's chunks) its first byte tells: 0, 1 to 15, or more, as a list begins with no chunk of so few
/// bytes (docs/format.md, section 14.1). So nothing that was looked at as one of them can be taken for another.</summary>
static class TreeChunk
{
    /// <summary>Bytes of the first chunk of a list, at least.</summary>
    public const int LeastListed = MaxLevel + 1;

    const int MaxLevel = 15;
    const int MostPaths = 2 << 20; // bytes, of a node: writers end one at half of that (EntryBatch.IsFull)

    /// <summary>Gives all chunks that it refers to, content as such and nodes and lists as of class tree. False where no reader takes it.</summary>
    /// <param name="bytes">The chunk.</param>
    /// <param name="rows">Used.</param>
    /// <param name="to">Gets class and chunk; the digests of a list's are of kind blocks, as writers make no other lists.</param>
    /// <param name="isList">What is listed belongs to whoever refers to the list.</param>
    public static bool TryRead(ReadOnlySpan<byte> bytes, EntryBatch rows, List<(KeyClass Class, ChunkRef Chunk)> to, out bool isList)
    {
        isList = false;
        if (bytes.IsEmpty)
            return false;
        switch (bytes[0])
        {
            case 0:
                return TryRows(bytes, rows, to);
            case <= MaxLevel:
                return TryChildren(bytes, to);
            default:
                isList = true;
                return TryList(bytes, to);
        }
    }

    static bool TryRows(ReadOnlySpan<byte> bytes, EntryBatch rows, List<(KeyClass, ChunkRef)> to)
    {
        if (!TreeNode.TryRead(bytes, rows, MostPaths))
            return false;
        for (var row = 0; row < rows.Count; row++)
        {
            if (rows.Kind[row] != EntryKind.File)
                continue;
            if (rows.ChunkLists[row] is { } lists)
            {
                if (rows.ListedKind[row] != DigestKind.Blocks)
                    return false; // what is listed would have another name than it was looked at by
                foreach (var list in lists)
                    to.Add((KeyClass.Tree, list));
                continue;
            }
            foreach (var chunk in rows.ChunksOf(row))
                to.Add((KeyClass.Content, chunk));
        }
        return true;
    }

    static bool TryChildren(ReadOnlySpan<byte> bytes, List<(KeyClass, ChunkRef)> to)
    {
        var reader = new ByteReader(bytes[1..]);
        var count = reader.Count(reader.Remaining / (Hash32.Size + 4));
        reader.Require(count > 0);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            to.Add((KeyClass.Tree, new ChunkRef(reader.Hash(), reader.Count(PackFormat.MaxChunk))));
            reader.Var();
            reader.Count(TreePath.MaxLength);
            reader.Bytes(TreePath.MaxLength);
        }
        return reader.IsDone;
    }

    static bool TryList(ReadOnlySpan<byte> bytes, List<(KeyClass, ChunkRef)> to)
    {
        var reader = new ByteReader(bytes);
        while (!reader.Failed && reader.Remaining > 0)
        {
            var isFirst = reader.Position == 0;
            var length = reader.Count(PackFormat.MaxChunk);
            to.Add((KeyClass.Content, new ChunkRef(reader.Hash(), length, DigestKind.Blocks)));
            reader.Require(length >= (isFirst ? LeastListed : 1));
        }
        return !reader.Failed;
    }
}
