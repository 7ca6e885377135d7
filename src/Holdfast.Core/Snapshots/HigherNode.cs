using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>One child of a node above level 0.</summary>
/// <param name="Node">Digest and length of the child.</param>
/// <param name="Entries">Rows of all level-0 nodes below it.</param>
/// <param name="FirstPath">Path of the first of them.</param>
readonly record struct NodeChild(ChunkRef Node, ulong Entries, byte[] FirstPath);

/// <summary>A node that refers to nodes of the level below (docs/format.md, section 9.2).</summary>
static class HigherNode
{
    public static void Write(byte level, IReadOnlyCollection<NodeChild> children, ByteWriter writer)
    {
        writer.U8(level);
        writer.Var((ulong)children.Count);
        ReadOnlySpan<byte> before = default;
        foreach (var child in children)
        {
            writer.Hash(child.Node.Digest);
            writer.Var((ulong)child.Node.Length);
            writer.Var(child.Entries);
            var shared = before.CommonPrefixLength(child.FirstPath);
            writer.Var((ulong)shared);
            writer.Bytes(child.FirstPath.AsSpan(shared));
            before = child.FirstPath;
        }
    }
}
