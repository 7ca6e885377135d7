using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>xz: each stream's header, footer and index, with their checksums, from the last one back to the first byte. Its blocks are not unpacked: .NET has nothing that does.</summary>
static class XzDump
{
    const int Header = 12; // bytes, and so the footer
    const int MostIndex = 16 << 20; // bytes
    const int LeastIndex = 8; // bytes: a mark, a count, and a checksum

    static ReadOnlySpan<byte> Magic => [0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0];

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        if (dump.Length % 4 != 0)
            return "it ends before its end";
        var end = dump.Length;
        var isEmpty = true;
        while (end > 0)
        {
            ct.ThrowIfCancellationRequested();
            if (end < dump.Length) // streams may have zeros between them
                end = BeforeZeros(dump, end, ct);
            if (StreamFault(dump, ref end, ref isEmpty) is { } fault)
                return fault;
        }
        return isEmpty ? DumpCheck.Empty : null;
    }

    /// <summary>Where the zeros before it begin, in whole words.</summary>
    static long BeforeZeros(DumpFile dump, long end, CancellationToken ct)
    {
        var buffer = new byte[1 << 16];
        while (end > 0)
        {
            ct.ThrowIfCancellationRequested();
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, end));
            if (!dump.TryRead(end - part.Length, part))
                throw new EndOfStreamException();
            var last = part.LastIndexOfAnyExcept((byte)0);
            end -= last < 0 ? part.Length : (part.Length - 1 - last) & ~3;
            if (last >= 0)
                break;
        }
        return end;
    }

    static string? StreamFault(DumpFile dump, ref long end, ref bool isEmpty)
    {
        Span<byte> footer = stackalloc byte[Header];
        Span<byte> header = stackalloc byte[Header];
        if (!dump.TryRead(end - Header, footer) || footer[10] != 'Y' || footer[11] != 'Z' || Crc32.Of(footer[4..10]) != BinaryPrimitives.ReadUInt32LittleEndian(footer))
            return "its footer is missing";
        var size = (BinaryPrimitives.ReadUInt32LittleEndian(footer[4..]) + 1L) * 4;
        if (size > Math.Min(MostIndex, end - 2 * Header))
            return "its index is too large";
        if (size < LeastIndex)
            return "its index is damaged";
        var index = new byte[size];
        if (!dump.TryRead(end - Header - size, index) || index[0] != 0 || Crc32.Of(index.AsSpan(0, index.Length - 4)) != BinaryPrimitives.ReadUInt32LittleEndian(index.AsSpan(index.Length - 4)))
            return "its index is damaged";
        if (Blocks(index.AsSpan(1, index.Length - 5), ref isEmpty) is not { } blocks || blocks > end - size - 2 * Header)
            return "its index makes no sense";
        var begin = end - Header - size - blocks - Header;
        if (!dump.TryRead(begin, header) || !header.StartsWith(Magic) || Crc32.Of(header[6..8]) != BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) || !header[6..8].SequenceEqual(footer[8..10]))
            return "it does not begin as xz does";
        end = begin;
        return null;
    }

    /// <summary>Bytes that the blocks take, as the index has them; null where it makes no sense.</summary>
    static long? Blocks(ReadOnlySpan<byte> index, ref bool isEmpty)
    {
        if (!TryNumber(ref index, out var count))
            return null;
        var sum = 0L;
        for (ulong i = 0; i < count; i++)
        {
            if (!TryNumber(ref index, out var packed) || !TryNumber(ref index, out var plain) || packed is 0 or > long.MaxValue / 4)
                return null;
            isEmpty &= plain == 0;
            sum += (long)(packed + 3 & ~3UL);
            if (sum < 0)
                return null;
        }
        return index.Length < 4 && index.IndexOfAnyExcept((byte)0) < 0 ? sum : null;
    }

    static bool TryNumber(ref ReadOnlySpan<byte> bytes, out ulong number)
    {
        number = 0;
        for (var i = 0; i < 9 && i < bytes.Length; i++)
        {
            number |= (ulong)(bytes[i] & 0x7F) << 7 * i;
            if (bytes[i] < 0x80)
            {
                bytes = bytes[(i + 1)..];
                return true;
            }
        }
        return false;
    }
}
