using System.Buffers.Binary;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What a writer writes its readers take, however small and many the chunks are (docs/format.md, section 14).</summary>
public sealed class PackLimitTests
{
    [Fact]
    public void Frames_of_one_chunk_between_shared_ones_never_pass_the_number_a_pack_may_have() =>
        Write(add =>
        {
            add(1, DigestKind.Blocks); // so that the count is odd
            for (var i = 0; i < PackFormat.MaxFrames; i++)
            {
                add(1, DigestKind.Whole);
                add(1, DigestKind.Blocks);
            }
        }, 2 * PackFormat.MaxFrames + 1);

    [Fact]
    public void Chunks_of_a_few_bytes_never_pass_the_number_a_pack_may_have() =>
        Write(add =>
        {
            for (var i = 0; i < PackFormat.MaxChunks + 100_000; i++)
                add(3, DigestKind.Whole);
        }, PackFormat.MaxChunks + 100_000);

    /// <summary>Chunks given together, alone and with others' frames begun: each comes back as it was, in order, and no frame is longer than one that its chunks share may be.</summary>
    [Fact]
    public void Chunks_given_together_come_back_as_they_were()
    {
        const int limit = PackWriter.SharedLimit;
        int[][] groups =
        [
            [], [1], [.. Enumerable.Repeat(limit - 1, 5)], [.. Enumerable.Range(1, 700)], [7, limit - 1, limit - 1, limit - 1, 3], [.. Enumerable.Repeat(limit / 2, 4)], [limit - 1],
            [.. Enumerable.Repeat(30_000, 150)], [.. Enumerable.Repeat(1, 70_000)], [.. Enumerable.Repeat(limit / 2, 8)], [.. Enumerable.Repeat(limit / 2, 7), limit / 2 - 1],
        ];
        using var test = new TestVault();
        using var vault = test.Open();
        var put = test.Keys.Put;
        var names = new List<Hash32>();
        var expected = new List<(byte[] Bytes, Hash32 Id)>();
        using (var session = new PackSession(vault.Id, put, Id16.New(), vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            names.Add(pack.Name);
            staged.Dispose();
        }, TimeProvider.System))
        {
            using var writer = new PackWriter(session, KeyClass.Content, 1);
            byte[] Make(int length)
            {
                var bytes = TestVault.Noise(expected.Count, length);
                Span<byte> id = stackalloc byte[Hash32.Size];
                BinaryPrimitives.WriteInt32LittleEndian(id, expected.Count);
                expected.Add((bytes, new Hash32(id)));
                return bytes;
            }
            foreach (var large in (bool[])[false, true])
            {
                foreach (var group in groups)
                {
                    var first = expected.Count;
                    var joined = group.SelectMany(Make).ToArray();
                    writer.AddAll(joined, group, expected.Skip(first).Select(e => e.Id).ToArray());
                    if (large)
                        writer.Add(Make(limit + group.Length), expected[^1].Id);
                }
            }
            writer.Finish();
        }
        var found = 0;
        using var keys = vault.Unlock(test.Seed);
        using var buffer = new FrameBuffer();
        foreach (var name in names)
        {
            using var pack = PackReader.Open(vault.Keeper.Store, name, keys);
            for (var frame = 0; frame < pack.Footer.Frames; frame++)
            {
                var payload = pack.ReadFrame(frame, buffer);
                Assert.InRange(payload.Length, 1, 2 * PackFormat.SharedPayload - 1);
                for (var chunk = pack.Footer.FirstChunks[frame]; chunk < pack.Footer.FirstChunks[frame + 1]; chunk++)
                {
                    var length = pack.Footer.ChunkLengths[chunk];
                    Assert.Equal(expected[found].Id, pack.Footer.Ids[chunk]);
                    Assert.True(payload[..length].SequenceEqual(expected[found].Bytes), $"chunk {found}");
                    payload = payload[length..];
                    found++;
                }
                Assert.True(payload.IsEmpty);
            }
        }
        Assert.Equal(expected.Count, found);
    }

    /// <summary>Bit 0 is the compression, bit 1 the kind of the digests; the rest is zero (docs/format.md, section 7.3).</summary>
    [Theory]
    [InlineData(0, true)]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    [InlineData(6, false)]
    [InlineData(8, false)]
    [InlineData(128, false)]
    public void A_codec_with_a_bit_that_has_no_meaning_is_refused(byte codec, bool isLegal)
    {
        var footer = new ByteWriter();
        footer.Var(1);
        footer.Var(60);
        footer.Var(44);
        footer.U8(codec);
        footer.Var(1);
        footer.Var(44);
        footer.Hash(Hash32.None);
        Assert.Equal(isLegal, PackFooter.TryParse(footer.Span, PackFormat.HeaderSize + 60, out var read));
        Assert.Equal(isLegal ? (DigestKind)(codec >> 1) : null, read?.Kinds[0]);
    }

    /// <summary>Writes chunks, and opens the footer of every pack that they gave.</summary>
    static void Write(Action<Action<int, DigestKind>> fill, int count)
    {
        using var test = new TestVault();
        using var vault = test.Open();
        var put = test.Keys.Put;
        var names = new List<Hash32>();
        using (var session = new PackSession(vault.Id, put, Id16.New(), vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            names.Add(pack.Name);
            staged.Dispose();
        }, TimeProvider.System))
        {
            using var writer = new PackWriter(session, KeyClass.Content, 1);
            var bytes = new byte[8];
            var number = 0;
            void Add(int length, DigestKind kind)
            {
                BinaryPrimitives.WriteInt32LittleEndian(bytes, ++number);
                Span<byte> id = stackalloc byte[Hash32.Size];
                bytes.CopyTo(id);
                writer.Add(bytes.AsSpan(0, length), new Hash32(id), kind);
            }
            fill(Add);
            writer.Finish();
        }
        var chunks = 0;
        foreach (var name in names)
        {
            using var pack = PackReader.OpenFooter(vault.Keeper.Store, name, vault.Id, put.Domain);
            Assert.InRange(pack.Footer.Frames, 1, PackFormat.MaxFrames);
            Assert.InRange(pack.Footer.Chunks, 1, PackFormat.MaxChunks);
            chunks += pack.Footer.Chunks;
        }
        Assert.Equal(count, chunks);
    }
}
