using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>Virtual PC's VHD: the footer with its checksum, the length of a fixed disk, every block that a dynamic one names.</summary>
static class VhdImage
{
    const int FooterSize = 512; // bytes
    const int HeaderSize = 1024; // bytes
    const uint Fixed = 2, Dynamic = 3, Differencing = 4;
    const uint None = uint.MaxValue;

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        Span<byte> footer = stackalloc byte[FooterSize];
        Span<byte> header = stackalloc byte[HeaderSize];
        if (!dump.TryRead(dump.Length - FooterSize, footer) || !footer.StartsWith("conectix"u8) || !IsSummed(footer, 64))
            return "its footer is missing";
        var (kind, size) = (BinaryPrimitives.ReadUInt32BigEndian(footer[60..]), BinaryPrimitives.ReadUInt64BigEndian(footer[48..]));
        if (kind == Fixed)
            return size == (ulong)dump.Length - FooterSize ? null : "it is not as long as its footer says";
        if (kind is not (Dynamic or Differencing) || BinaryPrimitives.ReadUInt64BigEndian(footer[16..]) is var at && at > (ulong)dump.Length || !dump.TryRead((long)at, header) || !header.StartsWith("cxsparse"u8) || !IsSummed(header, 36))
            return "its header is damaged";
        var (table, count, block) = (BinaryPrimitives.ReadUInt64BigEndian(header[16..]), BinaryPrimitives.ReadUInt32BigEndian(header[28..]), BinaryPrimitives.ReadUInt32BigEndian(header[32..]));
        if (block is 0 or > 1 << 30 || block % 512 != 0 || !dump.Holds(table, count * 4UL))
            return "its header makes no sense";
        var bitmap = (block / 512 / 8 + 511) / 512 * 512;
        using var entries = dump.Part((long)table, count * 4L);
        Span<byte> entry = stackalloc byte[4];
        for (var i = 0u; i < count; i++)
        {
            ct.ThrowIfCancellationRequested();
            entries.ReadExactly(entry);
            if (BinaryPrimitives.ReadUInt32BigEndian(entry) is var sector and not None && !dump.Holds(sector * 512UL, bitmap + block + FooterSize))
                return "a block that it names is not in it";
        }
        return null;
    }

    /// <summary>The complement of the sum of all bytes but its own.</summary>
    static bool IsSummed(ReadOnlySpan<byte> bytes, int field)
    {
        var sum = 0u;
        for (var i = 0; i < bytes.Length; i++)
            sum += i >= field && i < field + 4 ? 0u : bytes[i];
        return ~sum == BinaryPrimitives.ReadUInt32BigEndian(bytes[field..]);
    }
}
