using System.Buffers.Binary;
using System.IO.Compression;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>zip, zip64 too: the end of the central directory, each entry in it, and what each has, unpacked and compared with its checksum where it is stored or deflated and not encrypted.</summary>
static class ZipDump
{
    const int EndSize = 22; // bytes, and a comment
    const int EntrySize = 46; // bytes, and name, extra fields and comment
    const int LocalSize = 30; // bytes, and name and extra fields
    const int Stored = 0, Deflated = 8;
    const string Damaged = "its directory makes no sense";

    /// <param name="Begin">Of the directory.</param>
    /// <param name="End">Of it: here stands what tells its end.</param>
    readonly record struct Folder(long Begin, long End, ulong Count);

    readonly record struct Entry(int Method, bool IsEncrypted, uint Crc, ulong Packed, ulong Plain, ulong Offset);

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        if (Find(dump) is not { } folder)
            return "the end of its directory is missing";
        using var directory = dump.Part(folder.Begin, folder.End - folder.Begin);
        var budget = folder.Begin; // packed bytes of all entries: entries that lie over each other would unpack without end
        var buffer = new byte[1 << 17];
        Span<byte> local = stackalloc byte[LocalSize];
        ulong count = 0;
        var isEmpty = true;
        for (; directory.Position < folder.End - folder.Begin; count++)
        {
            ct.ThrowIfCancellationRequested();
            if (Next(directory) is not { } entry)
                return Damaged;
            if (entry.Offset > (ulong)folder.Begin || !dump.TryRead((long)entry.Offset, local) || BinaryPrimitives.ReadUInt32LittleEndian(local) != 0x04034B50)
                return "an entry is not where its directory says";
            var begin = (long)entry.Offset + LocalSize + BinaryPrimitives.ReadUInt16LittleEndian(local[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(local[28..]);
            if (begin > folder.Begin || entry.Packed > (ulong)(folder.Begin - begin) || (budget -= (long)entry.Packed) < 0)
                return "an entry is not where its directory says";
            isEmpty &= entry.Plain == 0;
            if (ContentFault(dump, entry, begin, buffer, ct) is { } fault)
                return fault;
        }
        return count != folder.Count ? Damaged : isEmpty ? DumpCheck.Empty : null;
    }

    static string? ContentFault(DumpFile dump, Entry entry, long begin, byte[] buffer, CancellationToken ct)
    {
        if (entry.IsEncrypted || entry.Method is not (Stored or Deflated))
            return null;
        using var packed = dump.Part(begin, (long)entry.Packed);
        using var plain = entry.Method == Stored ? packed : new DeflateStream(packed, CompressionMode.Decompress);
        var crc = new Crc32();
        ulong length = 0;
        while (plain.Read(buffer) is var read and > 0)
        {
            ct.ThrowIfCancellationRequested();
            crc.Add(buffer.AsSpan(0, read));
            length += (ulong)read;
            if (length > entry.Plain)
                break;
        }
        return length == entry.Plain && crc.Value == entry.Crc ? null : "an entry is not what its checksum says";
    }

    static Entry? Next(Stream directory)
    {
        Span<byte> fixedPart = stackalloc byte[EntrySize];
        if (directory.ReadAtLeast(fixedPart, EntrySize, throwOnEndOfStream: false) < EntrySize || BinaryPrimitives.ReadUInt32LittleEndian(fixedPart) != 0x02014B50)
            return null;
        var (name, extraSize, comment) = (BinaryPrimitives.ReadUInt16LittleEndian(fixedPart[28..]), BinaryPrimitives.ReadUInt16LittleEndian(fixedPart[30..]), BinaryPrimitives.ReadUInt16LittleEndian(fixedPart[32..]));
        var rest = new byte[name + extraSize + comment];
        if (directory.ReadAtLeast(rest, rest.Length, throwOnEndOfStream: false) < rest.Length)
            return null;
        ulong packed = BinaryPrimitives.ReadUInt32LittleEndian(fixedPart[20..]), plain = BinaryPrimitives.ReadUInt32LittleEndian(fixedPart[24..]), offset = BinaryPrimitives.ReadUInt32LittleEndian(fixedPart[42..]);
        if (!TryWiden(rest.AsSpan(name, extraSize), ref plain, ref packed, ref offset))
            return null;
        return new Entry(BinaryPrimitives.ReadUInt16LittleEndian(fixedPart[10..]), (fixedPart[8] & 1) != 0, BinaryPrimitives.ReadUInt32LittleEndian(fixedPart[16..]), packed, plain, offset);
    }

    /// <summary>What does not fit into 32 bits stands in an extra field, in this order.</summary>
    static bool TryWiden(ReadOnlySpan<byte> extra, ref ulong plain, ref ulong packed, ref ulong offset)
    {
        const ushort zip64 = 1;
        while (extra.Length >= 4)
        {
            var (id, size) = (BinaryPrimitives.ReadUInt16LittleEndian(extra), BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]));
            if (size > extra.Length - 4)
                return false;
            if (id == zip64)
            {
                var field = extra.Slice(4, size);
                return TryTake(ref field, ref plain) && TryTake(ref field, ref packed) && TryTake(ref field, ref offset);
            }
            extra = extra[(4 + size)..];
        }
        return true;
    }

    static bool TryTake(ref ReadOnlySpan<byte> field, ref ulong value)
    {
        if (value != uint.MaxValue)
            return true;
        if (field.Length < 8)
            return false;
        value = BinaryPrimitives.ReadUInt64LittleEndian(field);
        field = field[8..];
        return true;
    }

    static Folder? Find(DumpFile dump)
    {
        var tail = new byte[Math.Min(dump.Length, EndSize + ushort.MaxValue)];
        if (!dump.TryRead(dump.Length - tail.Length, tail))
            return null;
        for (var at = tail.Length - EndSize; at >= 0; at--)
        {
            var end = tail.AsSpan(at);
            if (!end.StartsWith("PK\x05\x06"u8) || BinaryPrimitives.ReadUInt16LittleEndian(end[20..]) != end.Length - EndSize)
                continue;
            var position = dump.Length - tail.Length + at;
            ulong count = BinaryPrimitives.ReadUInt16LittleEndian(end[10..]), size = BinaryPrimitives.ReadUInt32LittleEndian(end[12..]), begin = BinaryPrimitives.ReadUInt32LittleEndian(end[16..]);
            if (!TryWide(dump, ref position, ref count, ref size, ref begin) && (count == ushort.MaxValue || size == uint.MaxValue || begin == uint.MaxValue))
                return null;
            return begin <= (ulong)position && size == (ulong)position - begin ? new Folder((long)begin, position, count) : null;
        }
        return null;
    }

    /// <summary>zip64 has an end of its own before the old one; it counts where it is there, needed or not.</summary>
    static bool TryWide(DumpFile dump, ref long position, ref ulong count, ref ulong size, ref ulong begin)
    {
        Span<byte> locator = stackalloc byte[20];
        Span<byte> wide = stackalloc byte[56];
        if (!dump.TryRead(position - locator.Length, locator) || !locator.StartsWith("PK\x06\x07"u8) || BinaryPrimitives.ReadUInt64LittleEndian(locator[8..]) is var at && at > long.MaxValue || !dump.TryRead((long)at, wide) || !wide.StartsWith("PK\x06\x06"u8))
            return false;
        (count, size, begin, position) = (BinaryPrimitives.ReadUInt64LittleEndian(wide[32..]), BinaryPrimitives.ReadUInt64LittleEndian(wide[40..]), BinaryPrimitives.ReadUInt64LittleEndian(wide[48..]), (long)at);
        return true;
    }
}
