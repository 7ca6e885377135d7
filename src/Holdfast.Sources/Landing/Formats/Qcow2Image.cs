using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>QEMU's qcow2, versions 2 and 3: every cluster that its tables name lies in the file.</summary>
static class Qcow2Image
{
    const int MostL1 = 32 << 20; // bytes, as QEMU has it
    const ulong Address = 0x00FF_FFFF_FFFF_FE00;
    const ulong Compressed = 1UL << 62;
    const string Short = "a cluster that it names is not in it";

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        Span<byte> header = stackalloc byte[104];
        header.Clear();
        if (!dump.TryRead(0, header[..72]) || !header.StartsWith("QFI\xFB"u8[..3]) || header[3] != 0xFB)
            return "it does not begin as qcow2 does";
        var version = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        var bits = (int)BinaryPrimitives.ReadUInt32BigEndian(header[20..]);
        if (version is not (2 or 3) || bits is < 9 or > 21 || (version == 3 && !dump.TryRead(0, header)))
            return "its header makes no sense";
        var features = version == 3 ? BinaryPrimitives.ReadUInt64BigEndian(header[72..]) : 0;
        if ((features & 4) != 0)
            return "its data is in another file";
        var cluster = 1 << bits;
        var (l1Count, l1) = (BinaryPrimitives.ReadUInt32BigEndian(header[36..]), BinaryPrimitives.ReadUInt64BigEndian(header[40..]));
        if (l1Count * 8UL > MostL1 || !dump.Holds(l1, l1Count * 8UL))
            return Short;
        var (references, referenceClusters) = (BinaryPrimitives.ReadUInt64BigEndian(header[48..]), BinaryPrimitives.ReadUInt32BigEndian(header[56..]));
        if ((ulong)referenceClusters * (ulong)cluster > MostL1 || !dump.Holds(references, (ulong)referenceClusters * (ulong)cluster))
            return Short;
        if (!AllHeld(dump, references, (int)(referenceClusters * (uint)cluster / 8), (ulong)cluster))
            return Short;
        return TablesFault(dump, l1, (int)l1Count, bits, (features & 16) != 0 ? 16 : 8, ct);
    }

    /// <summary>Of a table of addresses: each is 0, or of a cluster that is there.</summary>
    static bool AllHeld(DumpFile dump, ulong table, int count, ulong cluster)
    {
        var entries = new byte[count * 8];
        if (!dump.TryRead((long)table, entries))
            return false;
        for (var i = 0; i < count; i++)
        {
            if ((BinaryPrimitives.ReadUInt64BigEndian(entries.AsSpan(8 * i)) & Address) is var at and > 0 && !dump.Holds(at, cluster))
                return false;
        }
        return true;
    }

    static string? TablesFault(DumpFile dump, ulong l1, int count, int bits, int entrySize, CancellationToken ct)
    {
        var cluster = 1 << bits;
        var first = new byte[count * 8];
        var second = new byte[cluster];
        if (!dump.TryRead((long)l1, first))
            return Short;
        var budget = dump.Length; // a table stands for one place: all of them fit into the file
        for (var i = 0; i < count; i++)
        {
            ct.ThrowIfCancellationRequested();
            var table = BinaryPrimitives.ReadUInt64BigEndian(first.AsSpan(8 * i)) & Address;
            if (table == 0)
                continue;
            if ((budget -= cluster) < 0)
                return "its tables lie over each other";
            if (!dump.TryRead((long)table, second))
                return Short;
            for (var at = 0; at < cluster; at += entrySize)
            {
                if (!IsHeld(dump, BinaryPrimitives.ReadUInt64BigEndian(second.AsSpan(at)), bits))
                    return Short;
            }
        }
        return null;
    }

    /// <summary>A compressed cluster has its place in the low bits, and above them how many more sectors of 512 bytes it reaches into.</summary>
    static bool IsHeld(DumpFile dump, ulong entry, int bits)
    {
        if ((entry & Compressed) == 0)
            return (entry & Address) == 0 || dump.Holds(entry & Address, 1UL << bits);
        var shift = 62 - (bits - 8);
        var first = entry & ((1UL << shift) - 1) & ~511UL;
        return dump.Holds(first, (((entry & (Compressed - 1)) >> shift) + 1) * 512);
    }
}
