using System.Buffers.Binary;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Core;

/// <summary>What a machine remembers of its last run comes out as it went in, however much of it there is.</summary>
public sealed class SourceStateTests
{
    static int File(EntryBatch rows, string name, long size)
    {
        var row = rows.Add(System.Text.Encoding.ASCII.GetBytes(name));
        (rows.Kind[row], rows.Size[row], rows.Mode[row]) = (EntryKind.File, size, 0x1A4);
        (rows.MtimeSeconds[row], rows.CtimeSeconds[row], rows.CtimeNanoseconds[row]) = (1_000 + row, 2_000 + row, 3u);
        (rows.Device[row], rows.Inode[row], rows.ContentKind[row]) = (7, 100UL + (ulong)row, (ContentKind)1);
        return row;
    }

    static Hash32 Digest(int number)
    {
        Span<byte> bytes = stackalloc byte[Hash32.Size];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
        return new Hash32(bytes);
    }

    static void Chunks(EntryBatch rows, string name, int count, DigestKind kind, bool listed)
    {
        var row = File(rows, name, count);
        rows.ListedKind[row] = kind;
        rows.Chunks[row] = [.. Enumerable.Range(0, count).Select(i => new ChunkRef(Digest(i), 1, kind))];
        rows.ChunkIds[row] = [.. Enumerable.Range(0, count).Select(i => (UInt128)(i + 1))];
        rows.ChunkLists[row] = listed ? [new ChunkRef(Digest(-1), 3_000_000), new ChunkRef(Digest(-2), 5)] : null;
    }

    /// <summary>Writes batches, and reads what there is.</summary>
    static List<EntryBatch> RoundTrip(params EntryBatch[] batches)
    {
        using var test = new TestVault();
        using var key = SourceState.KeyOf(test.Keys.Put.Domain);
        using (var writer = new SourceState.Writer(test["state/s.state"], key))
        {
            foreach (var batch in batches)
                writer.Add(batch);
            Assert.True(writer.Complete(new SourceState.Head(Digest(9), 3, [1, 2], "root"u8.ToArray(), 7)));
        }
        using var reader = SourceState.Reader.TryOpen(test["state/s.state"], key, TestContext.Current.CancellationToken)!;
        Assert.Equal((3u, 7L), (reader.Head.Run, reader.Head.Began));
        var read = new List<EntryBatch>();
        for (var rows = new EntryBatch(); reader.Next(rows); rows = new EntryBatch())
            read.Add(rows);
        return read;
    }

    static void AssertSame(IEnumerable<EntryBatch> written, IEnumerable<EntryBatch> read)
    {
        var (expected, found) = (All(written), All(read));
        Assert.Equal(expected.Count, found.Count);
        foreach (var ((one, i), (other, j)) in expected.Zip(found))
        {
            Assert.Equal(one.Path(i), other.Path(j));
            Assert.Equal((one.Kind[i], one.Size[i], one.MtimeSeconds[i], one.CtimeSeconds[i], one.CtimeNanoseconds[i]), (other.Kind[j], other.Size[j], other.MtimeSeconds[j], other.CtimeSeconds[j], other.CtimeNanoseconds[j]));
            Assert.Equal((one.Device[i], one.Inode[i], one.ContentKind[i], one.ListedKind[i]), (other.Device[j], other.Inode[j], other.ContentKind[j], other.ListedKind[j]));
            Assert.Equal((one.Digest[i], one.ChunkId[i]), (other.Digest[j], other.ChunkId[j]));
            Assert.True(one.Chunks[i].AsSpan().SequenceEqual(other.Chunks[j]), "chunks differ");
            Assert.True(one.ChunkIds[i].AsSpan().SequenceEqual(other.ChunkIds[j]), "their ids differ");
            Assert.True(one.ChunkLists[i].AsSpan().SequenceEqual(other.ChunkLists[j]), "lists differ");
            Assert.True(one.Xattrs[i].AsSpan().SequenceEqual(other.Xattrs[j]), "attributes differ");
        }

        static List<(EntryBatch Rows, int Row)> All(IEnumerable<EntryBatch> batches) => [.. batches.SelectMany(b => Enumerable.Range(0, b.Count).Select(row => (b, row)))];
    }

    [Theory]
    [InlineData(DigestKind.Whole)]
    [InlineData(DigestKind.Blocks)]
    public void Chunks_come_back_with_their_kind_wherever_they_are_listed(DigestKind kind)
    {
        var rows = new EntryBatch();
        Chunks(rows, "a", 3, kind, listed: false);
        Chunks(rows, "b", 5_000, kind, listed: true);
        Chunks(rows, "c", 65_536, kind, listed: true);
        Chunks(rows, "d", 65_537, kind, listed: true);
        Chunks(rows, "e", 200_000, kind, listed: true);
        var one = File(rows, "f", 5);
        (rows.Digest[one], rows.ChunkId[one]) = (Digest(5), 6);
        AssertSame([rows], RoundTrip(rows));
    }

    [Fact]
    public void A_file_of_more_chunks_than_a_block_has_room_for_comes_back_and_so_does_what_follows_it()
    {
        var rows = new EntryBatch();
        File(rows, "a", 0);
        Chunks(rows, "b", 1_500_000, DigestKind.Blocks, listed: true);
        File(rows, "c", 0);
        var next = new EntryBatch();
        File(next, "d", 0);
        AssertSame([rows, next], RoundTrip(rows, next));
    }

    [Fact]
    public void Rows_that_are_more_together_than_a_block_has_room_for_come_back()
    {
        var largest = XattrList.Encode([("user.a"u8.ToArray(), new byte[XattrList.MaxValue])]);
        var rows = new EntryBatch();
        for (var i = 0; i < EntryBatch.MaxRows; i++)
            rows.Xattrs[File(rows, $"{i:d4}", 0)] = largest;
        Assert.True((long)largest.Length * rows.Count > SourceState.MaxBlock, "the test is of what it says");
        var next = new EntryBatch();
        File(next, "d", 0);
        AssertSame([rows, next], RoundTrip(rows, next));
    }
}
