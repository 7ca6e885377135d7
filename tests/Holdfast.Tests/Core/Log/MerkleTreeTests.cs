using System.Text;
using Holdfast.Core;
using Holdfast.Core.Log;

namespace Holdfast.Tests.Core.Log;

public sealed class MerkleTreeTests
{
    // The eight leaves and roots that the reference implementations of RFC 6962 share.
    static readonly byte[][] Leaves = [.. new[] { "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f" }.Select(Convert.FromHexString)];

    [Theory]
    [InlineData(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")]
    [InlineData(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]
    [InlineData(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")]
    [InlineData(5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4")]
    [InlineData(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    public void Roots_are_those_of_the_reference(int size, string root) => Assert.Equal(root, TreeOf(8).Root(size).ToString());

    [Fact]
    public void The_empty_tree_has_the_hash_of_nothing() =>
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", new MerkleTree().Root(0).ToString());

    static MerkleTree TreeOf(int count)
    {
        var tree = new MerkleTree();
        for (var i = 0; i < count; i++)
            tree.Add(LogHash.Leaf(count <= 8 ? Leaves[i] : Encoding.ASCII.GetBytes($"leaf {i}")));
        return tree;
    }

    /// <summary>The definition of RFC 6962, section 2.1, word for word.</summary>
    static Hash32 Naive(ReadOnlySpan<Hash32> leaves)
    {
        if (leaves.Length == 1)
            return leaves[0];
        var k = 1;
        while (k * 2 < leaves.Length)
            k *= 2;
        return LogHash.Node(Naive(leaves[..k]), Naive(leaves[k..]));
    }

    [Fact]
    public void Every_inclusion_proof_holds_and_no_other_leaf_fits_it()
    {
        const int max = 70;
        var tree = TreeOf(max);
        var leaves = Enumerable.Range(0, max).Select(i => tree.Leaf(i)).ToArray();
        for (var size = 1; size <= max; size++)
        {
            var root = Naive(leaves.AsSpan(0, size));
            Assert.Equal(root, tree.Root(size));
            for (var index = 0; index < size; index++)
            {
                var path = tree.ProveInclusion(index, size);
                Assert.True(MerkleTree.VerifyInclusion(index, size, leaves[index], path, root));
                Assert.False(MerkleTree.VerifyInclusion(index, size, leaves[(index + 1) % max], path, root));
                Assert.False(MerkleTree.VerifyInclusion(index, size, leaves[index], [.. path, root], root));
                if (size > 1)
                    Assert.False(MerkleTree.VerifyInclusion((index + 1) % size, size, leaves[index], path, root));
            }
        }
    }

    [Fact]
    public void Every_consistency_proof_holds_and_a_changed_past_does_not()
    {
        const int max = 70;
        var tree = TreeOf(max);
        for (var size = 0; size <= max; size++)
        {
            for (var old = 0; old <= size; old++)
            {
                var path = tree.ProveConsistency(old, size);
                Assert.True(MerkleTree.VerifyConsistency(old, size, path, tree.Root(old), tree.Root(size)), $"{old} of {size}");
                if (old > 0 && old < size)
                {
                    Assert.False(MerkleTree.VerifyConsistency(old, size, path, tree.Root(old - 1), tree.Root(size)));
                    Assert.False(MerkleTree.VerifyConsistency(old, size, path, tree.Root(old), tree.Root(size - 1)));
                }
            }
        }
    }
}
