using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>VMware's sparse extents, the stream-optimised too: every grain that its tables name lies in the file. A descriptor alone, which is text, holds no data, and is refused.</summary>
static class VmdkImage
{
    const ulong Sector = 512; // bytes
    const ulong AtEnd = ulong.MaxValue; // the directory stands at the end, and so a second header
    const uint CompressedGrains = 1 << 16;
    const int MostTables = 1 << 24;
    const string Short = "a grain that it names is not in it";

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        Span<byte> header = stackalloc byte[512];
        if (!dump.TryRead(0, header) || !header.StartsWith("KDMV"u8))
            return "it does not begin as a sparse disk of VMware does";
        if (BinaryPrimitives.ReadUInt64LittleEndian(header[56..]) == AtEnd && (!dump.TryRead(dump.Length - 1024, header) || !header.StartsWith("KDMV"u8)))
            return "its footer is missing";
        var (flags, capacity, grain, perTable, directory) = (BinaryPrimitives.ReadUInt32LittleEndian(header[8..]), BinaryPrimitives.ReadUInt64LittleEndian(header[12..]), BinaryPrimitives.ReadUInt64LittleEndian(header[20..]),
            BinaryPrimitives.ReadUInt32LittleEndian(header[44..]), BinaryPrimitives.ReadUInt64LittleEndian(header[56..]));
        if (grain is 0 or > 1 << 20 || perTable is 0 or > 1 << 16 || capacity > ulong.MaxValue / 1024)
            return "its header makes no sense";
        var tables = (capacity + grain * perTable - 1) / (grain * perTable);
        if (tables > MostTables || directory > ulong.MaxValue / 1024 || !dump.Holds(directory * Sector, tables * 4))
            return Short;
        return TablesFault(dump, directory * Sector, (int)tables, (int)perTable, grain * Sector, (flags & CompressedGrains) != 0, ct);
    }

    static string? TablesFault(DumpFile dump, ulong directory, int count, int perTable, ulong grain, bool isCompressed, CancellationToken ct)
    {
        var tables = new byte[count * 4];
        var table = new byte[perTable * 4];
        if (!dump.TryRead((long)directory, tables))
            return Short;
        var budget = dump.Length; // a table stands for one place: all of them fit into the file
        for (var i = 0; i < count; i++)
        {
            ct.ThrowIfCancellationRequested();
            var at = BinaryPrimitives.ReadUInt32LittleEndian(tables.AsSpan(4 * i)) * Sector;
            if (at == 0)
                continue;
            if ((budget -= table.Length) < 0)
                return "its tables lie over each other";
            if (!dump.TryRead((long)at, table))
                return Short;
            for (var j = 0; j < perTable; j++)
            {
                if (BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(4 * j)) is var sector and > 1 && !IsHeld(dump, sector * Sector, grain, isCompressed)) // 1: zeros
                    return Short;
            }
        }
        return null;
    }

    /// <summary>A compressed grain begins with its place and its length.</summary>
    static bool IsHeld(DumpFile dump, ulong offset, ulong grain, bool isCompressed)
    {
        if (!isCompressed)
            return dump.Holds(offset, grain);
        Span<byte> marker = stackalloc byte[12];
        return dump.TryRead((long)offset, marker) && dump.Holds(offset + 12, BinaryPrimitives.ReadUInt32LittleEndian(marker[8..]));
    }
}
