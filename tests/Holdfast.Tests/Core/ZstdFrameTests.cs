using System.Buffers.Binary;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;

namespace Holdfast.Tests.Core;

/// <summary>Of compressed bytes that others made, those are taken that every reader takes.</summary>
public sealed class ZstdFrameTests
{
    const int Length = 100_000;

    static byte[] Text(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)"the quick brown fox"[(int)((long)i * i / 7 % 19)])];

    static byte[] Compressed(byte[] payload, int level = 1, DigestKind kind = DigestKind.Whole)
    {
        using var zstd = new FrameCompressor(level);
        var into = new byte[FrameCompressor.Bound(payload.Length)];
        return into[..zstd.Compress(payload, kind, into)];
    }

    /// <summary>A frame in one segment that says it has so many bytes.</summary>
    internal static byte[] Frame(int said, params byte[][] blocks)
    {
        byte[] head = [0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(5), said);
        return [.. head, .. blocks.SelectMany(b => b)];
    }

    /// <summary>A block that is a run of one byte.</summary>
    internal static byte[] Run(int size, bool isLast = true) => Block(1, size, isLast, [7]);

    static byte[] Block(int type, int size, bool isLast, byte[] body) => [(byte)(size << 3 | type << 1 | (isLast ? 1 : 0)), (byte)(size >> 5), (byte)(size >> 13), .. body];

    [Fact]
    public void What_a_writer_makes_is_taken()
    {
        foreach (var length in new[] { 200, 255, 256, 300, 65_791, 65_792, Length, 1 << 20, PackFormat.MaxChunk, PackFormat.MaxPayload })
        {
            foreach (var level in new[] { 1, 3, 19 })
            {
                foreach (var kind in new[] { DigestKind.Whole, DigestKind.Blocks })
                {
                    var frame = Compressed(Text(length), level, kind);
                    Assert.True(ZstdFrame.IsOne(frame, length), $"{length} bytes at level {level}");
                    Assert.False(ZstdFrame.IsOne(frame, length - 1));
                    Assert.False(ZstdFrame.IsOne(frame, length + 1));
                }
                if (length > PackFormat.MaxChunk && level == 3)
                    break; // the slowest once is enough
            }
        }
        Assert.True(ZstdFrame.IsOne(Frame(1_000, Run(600, false), Run(400)), 1_000));
        Assert.True(ZstdFrame.IsOne(Frame(3, Block(0, 3, true, [1, 2, 3])), 3));
    }

    [Fact]
    public void A_part_of_a_frame_and_more_than_one_are_none()
    {
        var frame = Compressed(Text(Length));
        for (var length = 0; length < frame.Length; length++)
            Assert.False(ZstdFrame.IsOne(frame.AsSpan(0, length), Length));
        byte[] skippable = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
        byte[] empty = Frame(0, Block(0, 0, true, []));
        foreach (var more in new byte[][] { [0], frame, skippable, empty })
            Assert.False(ZstdFrame.IsOne([.. frame, .. more], Length));
        foreach (var before in new[] { skippable, empty })
            Assert.False(ZstdFrame.IsOne([.. before, .. frame], Length));
        Assert.False(ZstdFrame.IsOne(skippable, 0));
        Assert.False(ZstdFrame.IsOne([0x27, .. frame[1..]], Length)); // of zstd 0.7
        Assert.False(ZstdFrame.IsOne(Frame(1_000, Run(1_000, isLast: false)), 1_000));
    }

    [Fact]
    public void A_frame_that_needs_more_than_itself_is_none()
    {
        var frame = Frame(1_000, Run(1_000));
        Assert.True(ZstdFrame.IsOne(frame, 1_000));
        for (var bit = 0; bit < 5; bit++) // dictionaries, a checksum, what is reserved
        {
            var (other, more) = (frame.ToArray(), bit switch { 0 => 1, 1 => 2, _ => 0 });
            other[4] |= (byte)(1 << bit);
            Assert.False(ZstdFrame.IsOne(other, 1_000));
            Assert.False(ZstdFrame.IsOne([.. other[..5], .. new byte[more], .. other[5..]], 1_000));
            Assert.False(ZstdFrame.IsOne([.. other, 0, 0, 0, 0], 1_000));
        }
        byte[] unsized = [.. frame[..4], 0, 0x58, .. Run(1_000)]; // window of 2 MiB, and no size
        Assert.False(ZstdFrame.IsOne(unsized, 1_000));
        byte[] Windowed(byte window) => [.. frame[..4], 0x80, window, .. frame[5..]];
        Assert.True(ZstdFrame.IsOne(Windowed(13 << 3), 1_000)); // 8 MiB
        Assert.False(ZstdFrame.IsOne(Windowed(13 << 3 | 1), 1_000));
        Assert.False(ZstdFrame.IsOne(Windowed(0xFF), 1_000));
        byte[] eight = [.. frame[..4], 0xE0, .. BitConverter.GetBytes(1_000UL), .. Run(1_000)];
        Assert.True(ZstdFrame.IsOne(eight, 1_000));
        eight[12] = 1;
        Assert.False(ZstdFrame.IsOne(eight, 1_000));
    }

    [Fact]
    public void A_block_that_no_reader_takes_is_none()
    {
        Assert.False(ZstdFrame.IsOne(Frame(1_000, Block(3, 1_000, true, new byte[1_000])), 1_000));
        Assert.False(ZstdFrame.IsOne(Frame(1_000, Run(1_001)), 1_000)); // more than there is
        Assert.True(ZstdFrame.IsOne(Frame(1 << 20, Run(128 << 10)), 1 << 20)); // that there is too little shows when it is unpacked
        Assert.False(ZstdFrame.IsOne(Frame(1 << 20, Run((128 << 10) + 1)), 1 << 20));
    }

    /// <summary>What is more than it says is not unpacked beyond that.</summary>
    [Fact]
    public void Nothing_is_unpacked_beyond_what_was_said()
    {
        using var opener = new FrameOpener();
        var memory = new byte[Length + 1_000];
        byte[] Bomb(int blocks) => Frame(Length, [.. Enumerable.Range(0, blocks).Select(i => Run(100_000, i == blocks - 1))]);
        var bomb = Bomb(16 + Length / 512);
        Assert.True(ZstdFrame.IsOne(bomb, Length));
        Assert.False(ZstdFrame.IsOne(Bomb(17 + Length / 512), Length)); // nor are there more blocks than a writer makes: each may have tables to build
        foreach (var (frame, isSound) in new[] { (Frame(Length, Run(Length)), true), (bomb, false), (Frame(Length, Run(Length, false), Run(1)), false), (Frame(Length, Run(Length - 1)), false), ([.. Frame(0)[..4], 0, 0x58, .. Run(Length)], true), ([.. Frame(0)[..4], 0, 0x58, .. Run(Length - 1)], false) })
        {
            Array.Clear(memory);
            Assert.Equal(isSound, opener.TryUnpack(frame, memory.AsSpan(0, Length)));
            Assert.False(memory.AsSpan(Length).ContainsAnyExcept((byte)0));
        }
    }

    /// <summary>Any bytes: what is taken and unpacks, a reader that asks zstd for the size unpacks to the same.</summary>
    [Fact]
    public void What_is_taken_is_what_readers_unpack()
    {
        using var opener = new FrameOpener();
        using var reader = new ZstdNet.Decompressor();
        var random = new Random(5);
        var taken = 0;
        foreach (var frame in new[] { Compressed(Text(300)), Compressed(Text(5_000), 19), Frame(300, Run(200, false), Run(100)) })
        {
            for (var i = 0; i < 20_000; i++)
            {
                var bent = frame.ToArray();
                for (var flips = random.Next(0, 3); flips > 0; flips--)
                    bent[random.Next(bent.Length)] = (byte)random.Next(256);
                var said = bent[4] >> 6 == 1 ? 256 + BinaryPrimitives.ReadUInt16LittleEndian(bent.AsSpan((bent[4] & 0x20) == 0 ? 6 : 5)) : BinaryPrimitives.ReadInt32LittleEndian(bent.AsSpan(5));
                if (said is < 1 or > PackFormat.MaxChunk || !ZstdFrame.IsOne(bent, said))
                    continue;
                var payload = new byte[said];
                if (!opener.TryUnpack(bent, payload))
                    continue;
                taken++;
                Assert.Equal(payload, reader.Unwrap(bent, said));
            }
        }
        Assert.InRange(taken, 1_000, int.MaxValue);
    }
}
