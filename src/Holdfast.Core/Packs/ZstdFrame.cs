using System.Buffers.Binary;

namespace Holdfast.Core.Packs;

/// <summary>Looks at compressed bytes that others made, before they are stored for every reader there will be (docs/format.md, section 7.2). RFC 8878, section 3.1.1.</summary>
public static class ZstdFrame
{
    const uint Magic = 0xFD2FB528;
    const int MaxBlock = 128 << 10; // bytes
    const int BlockHeader = 3; // bytes
    const int FewBlocks = 16;
    const int LeastBlock = 512; // bytes that blocks unpack to, on average: each may have tables of its own, which take time to build
    const long MaxWindow = PackFormat.MaxPayload;

    /// <summary>True where these bytes are one zstd frame to their end, which says that it unpacks to so many bytes, and needs neither a dictionary nor a window of more than 8 MiB, in no more blocks than writers make. Whether it does unpack is not looked at.</summary>
    /// <remarks>A decoder takes frames one after the other, skippable ones among them, and frames of older versions: a reader that knows one frame alone would have none of it.</remarks>
    /// <param name="bytes">Whatever came.</param>
    /// <param name="payload">Bytes that it is to unpack to.</param>
    public static bool IsOne(ReadOnlySpan<byte> bytes, int payload)
    {
        if (bytes.Length < 6 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
            return false;
        var descriptor = bytes[4];
        var isSingleSegment = (descriptor & 0x20) != 0;
        if ((descriptor & 0x1F) != 0) // reserved and unused bits, a checksum, a dictionary: no writer of ours has them
            return false;
        var at = 5;
        var window = 0L;
        if (!isSingleSegment)
        {
            var log = 10 + (bytes[at] >> 3);
            window = (1L << log) + (1L << log) / 8 * (bytes[at] & 7);
            at++;
        }
        var sizeBytes = (descriptor >> 6) switch { 0 => isSingleSegment ? 1 : 0, 1 => 2, 2 => 4, _ => 8 };
        if (sizeBytes == 0 || bytes.Length < at + sizeBytes)
            return false;
        var size = sizeBytes switch
        {
            1 => bytes[at],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]) + 256UL,
            4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]),
        };
        if (size != (ulong)payload || window > MaxWindow)
            return false;
        return EndsWithLastBlock(bytes[(at + sizeBytes)..], (int)Math.Min(MaxBlock, isSingleSegment ? payload : window), FewBlocks + payload / LeastBlock);
    }

    static bool EndsWithLastBlock(ReadOnlySpan<byte> blocks, int most, int mostBlocks)
    {
        while (blocks.Length >= BlockHeader && mostBlocks-- > 0)
        {
            var header = blocks[0] | blocks[1] << 8 | blocks[2] << 16;
            var (isLast, type, size) = ((header & 1) != 0, header >> 1 & 3, header >> 3);
            if (type == 3 || size > most) // 3 is reserved
                return false;
            var stored = type == 1 ? 1 : size; // a run is one byte
            if (blocks.Length < BlockHeader + stored)
                return false;
            blocks = blocks[(BlockHeader + stored)..];
            if (isLast)
                return blocks.IsEmpty;
        }
        return false;
    }
}
