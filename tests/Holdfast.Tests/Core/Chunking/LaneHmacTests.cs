using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Keys;

namespace Holdfast.Tests.Core.Chunking;

public sealed class LaneHmacTests
{
    const string Needs = "needs a processor with AVX-512, and clang when it was built";

    static Hash32[] Digests(int count) => [.. Enumerable.Range(0, count).Select(i => new Hash32(SHA256.HashData(BitConverter.GetBytes(i))))];

    /// <summary>Less than a lane each, a full room of messages, and more; prefixes that end on both sides of a block.</summary>
    [Theory]
    [InlineData(0, 0)]
    [InlineData(32, 21)]
    [InlineData(32, 23)]
    [InlineData(32, 24)]
    [InlineData(64, 100)]
    public void It_is_the_systems_hmac(int keyLength, int prefixLength)
    {
        Assert.SkipUnless(Lanes.AreUsable, Needs);
        var (key, prefix) = (TestVault.Noise(1, keyLength), TestVault.Noise(2, prefixLength));
        using var lanes = new LaneHmac(key, prefix);
        foreach (var count in (int[])[0, 1, 4, 15, 16, 17, 255, 256, 257, 600, 3])
        {
            var digests = Digests(count);
            var macs = new Hash32[count];
            lanes.Hash(digests, macs);
            Assert.Equal(digests.Select(d => new Hash32(HMACSHA256.HashData(key, (byte[])[.. prefix, .. d.ToArray()]))), macs);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new LaneHmac(new byte[65], prefix));
    }

    /// <summary>A chunk has the same id whichever way it was named.</summary>
    [Fact]
    public void Many_chunks_have_the_ids_that_each_has_alone()
    {
        using var domain = DomainKeys.Create();
        foreach (var keyClass in Enum.GetValues<KeyClass>())
        {
            using var namer = new ChunkNamer(domain, keyClass);
            foreach (var count in (int[])[1, LaneHmac.Least - 1, LaneHmac.Least, 300])
            {
                var digests = Digests(count);
                var ids = new Hash32[count];
                namer.Ids(digests, ids);
                Assert.Equal(digests.Select(d => domain.ChunkId(keyClass, d, domain.Generation)), ids);
            }
        }
    }
}
