using System.Buffers.Binary;
using ZstdNet;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>zstd (RFC 8878): frame after frame to the last byte of the file, and then unpacked, with what checksums there are. The decoder alone takes a file that was cut for a whole one.</summary>
static class ZstdDump
{
    const uint Magic = 0xFD2FB528;
    const uint Skippable = 0x184D2A50; // and the fifteen behind it

    public static string? Fault(DumpFile dump, Func<Stream, string?> inner, CancellationToken ct)
    {
        if (FramesFault(dump, ct) is { } fault)
            return fault;
        using (var first = new DecompressionStream(dump.Whole()))
        {
            if (first.ReadByte() < 0)
                return DumpCheck.Empty;
        }
        using var packed = dump.Whole();
        using var plain = new DecompressionStream(packed);
        return inner(plain) ?? DumpCheck.ToEnd(plain, ct);
    }

    static string? FramesFault(DumpFile dump, CancellationToken ct)
    {
        const string cut = "it ends before its end";
        Span<byte> bytes = stackalloc byte[8];
        for (long at = 0; at < dump.Length;)
        {
            if (!dump.TryRead(at, bytes[..5]))
                return cut;
            var magic = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            if ((magic & ~15u) == Skippable)
            {
                if (!dump.TryRead(at, bytes) || !dump.Holds((ulong)at + 8, BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..])))
                    return cut;
                at += 8 + BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
                continue;
            }
            if (magic != Magic)
                return "it is not zstd";
            var descriptor = bytes[4];
            var isSingleSegment = (descriptor & 0x20) != 0;
            at += 5 + (isSingleSegment ? 0 : 1) + (descriptor & 3) switch { 3 => 4, var size => size } + (descriptor >> 6) switch { 0 => isSingleSegment ? 1 : 0, var size => 1 << size };
            for (var isLast = false; !isLast;)
            {
                ct.ThrowIfCancellationRequested();
                if (!dump.TryRead(at, bytes[..3]))
                    return cut;
                var header = bytes[0] | bytes[1] << 8 | bytes[2] << 16;
                (isLast, var isRun) = ((header & 1) != 0, (header >> 1 & 3) == 1);
                at += 3 + (isRun ? 1 : header >> 3);
            }
            at += (descriptor & 4) != 0 ? 4 : 0; // checksum
            if (at > dump.Length)
                return cut;
        }
        return null;
    }
}
