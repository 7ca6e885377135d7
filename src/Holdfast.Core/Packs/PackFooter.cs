using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Packs;

/// <summary>Where the frames and chunks of a pack lie, as columns (docs/format.md, section 7.3).</summary>
public sealed class PackFooter
{
    PackFooter(uint[] frameStarts, int[] payloads, byte[] codecs, DigestKind[] kinds, int[] firstChunks, int[] chunkLengths, Hash32[] ids)
    {
        FrameStarts = frameStarts;
        Payloads = payloads;
        Codecs = codecs;
        Kinds = kinds;
        FirstChunks = firstChunks;
        ChunkLengths = chunkLengths;
        Ids = ids;
    }

    /// <summary>Offset in the pack of each frame, and the end of the last: one more than there are frames.</summary>
    public uint[] FrameStarts { get; }

    /// <summary>Bytes of each frame before compression.</summary>
    public int[] Payloads { get; }
    public byte[] Codecs { get; }

    /// <summary>Of the digests of each frame's chunks.</summary>
    public DigestKind[] Kinds { get; }

    /// <summary>Number of each frame's first chunk, and the number of chunks: one more than there are frames.</summary>
    public int[] FirstChunks { get; }
    public int[] ChunkLengths { get; }
    public Hash32[] Ids { get; }

    /// <summary>Bytes of all frames before compression.</summary>
    public long PayloadBytes => Payloads.Sum(p => (long)p);

    /// <summary>About as many bytes as the columns take in memory.</summary>
    public long Resident => Ids.Length * (long)(Hash32.Size + sizeof(int)) + Codecs.Length * 14L;

    public int Frames => Codecs.Length;
    public int Chunks => Ids.Length;
    public int StoredLength(int frame) => (int)(FrameStarts[frame + 1] - FrameStarts[frame]);

    /// <summary>The frame that holds a chunk.</summary>
    public int FrameOf(int chunk)
    {
        var at = Array.BinarySearch(FirstChunks, chunk);
        if (at < 0)
            return ~at - 1;
        while (at + 1 < Frames && FirstChunks[at + 1] == chunk)
            at++;
        return at;
    }

    /// <param name="plaintext">The opened footer.</param>
    /// <param name="framesEnd">Offset in the pack where the frames must end.</param>
    /// <param name="footer">The columns.</param>
    public static bool TryParse(ReadOnlySpan<byte> plaintext, long framesEnd, out PackFooter? footer)
    {
        footer = null;
        var reader = new ByteReader(plaintext);
        var frames = reader.Count(Math.Min(PackFormat.MaxFrames, plaintext.Length));
        if (reader.Failed)
            return false;
        var starts = new uint[frames + 1];
        var payloads = new int[frames];
        var codecs = new byte[frames];
        var kinds = new DigestKind[frames];
        var firsts = new int[frames + 1];
        var lengths = new List<int>();
        long offset = PackFormat.HeaderSize;
        for (var f = 0; f < frames && !reader.Failed; f++)
        {
            starts[f] = (uint)offset;
            var stored = reader.Count(PackFormat.MaxStored);
            payloads[f] = reader.Count(PackFormat.MaxPayload);
            var codec = reader.U8();
            codecs[f] = (byte)(codec & PackFormat.CodecZstd);
            kinds[f] = (DigestKind)(codec >> PackFormat.KindShift);
            reader.Require(kinds[f] <= DigestKind.Blocks && (codecs[f] == PackFormat.CodecZstd || stored == payloads[f] + 16) && stored > 16);
            var chunks = reader.Count(Math.Min(PackFormat.MaxChunks - lengths.Count, reader.Remaining));
            firsts[f] = lengths.Count;
            long total = 0;
            for (var c = 0; c < chunks && !reader.Failed; c++)
            {
                var length = reader.Count(PackFormat.MaxChunk);
                reader.Require(length > 0);
                lengths.Add(length);
                total += length;
            }
            reader.Require(total == payloads[f] && chunks > 0);
            offset += stored;
            reader.Require(offset <= PackFormat.MaxSize);
        }
        reader.Require(offset == framesEnd);
        if (reader.Failed)
            return false;
        starts[frames] = (uint)offset;
        firsts[frames] = lengths.Count;
        var idBytes = reader.Raw(lengths.Count * Hash32.Size);
        reader.Require(!reader.Raw(reader.Remaining).ContainsAnyExcept((byte)0));
        if (!reader.IsDone)
            return false;
        var ids = new Hash32[lengths.Count];
        for (var i = 0; i < ids.Length; i++)
            ids[i] = new Hash32(idBytes.Slice(i * Hash32.Size, Hash32.Size));
        footer = new PackFooter(starts, payloads, codecs, kinds, firsts, [.. lengths], ids);
        return true;
    }
}
