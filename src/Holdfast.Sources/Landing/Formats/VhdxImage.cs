using System.Buffers.Binary;
using System.Numerics;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>Hyper-V's VHDX ([MS-VHDX]): one sound header and region table, and every block that the allocation table says is there.</summary>
static class VhdxImage
{
    const int Unit = 64 << 10; // bytes: header and region tables
    const ulong Megabyte = 1 << 20;
    const int MostBlocks = 1 << 26;
    const int FullyPresent = 6, PartiallyPresent = 7;

    static readonly Guid Allocation = new("2DC27766-F623-4200-9D64-115E9BFD4A08");
    static readonly Guid Metadata = new("8B7CA206-4790-4B9A-B8FE-575F050F886E");
    static readonly Guid FileParameters = new("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
    static readonly Guid DiskSize = new("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
    static readonly Guid SectorSize = new("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");

    readonly record struct Region(ulong Offset, uint Length);

    public static string? Fault(DumpFile dump, CancellationToken ct)
    {
        Span<byte> magic = stackalloc byte[8];
        if (!dump.TryRead(0, magic) || !magic.SequenceEqual("vhdxfile"u8))
            return "it does not begin as VHDX does";
        if (!IsSummed(dump, Unit, 4096, "head"u8, out _) && !IsSummed(dump, 2 * Unit, 4096, "head"u8, out _))
            return "both its headers are damaged";
        if (!IsSummed(dump, 3 * Unit, Unit, "regi"u8, out var table) && !IsSummed(dump, 4 * Unit, Unit, "regi"u8, out table))
            return "both its region tables are damaged";
        if (Find(table, 16, Allocation) is not { } allocation || Find(table, 16, Metadata) is not { } metadata || !dump.Holds(allocation.Offset, allocation.Length) || !dump.Holds(metadata.Offset, metadata.Length))
            return "a region that it names is not in it";
        var items = new byte[Unit];
        if (metadata.Length < Unit || !dump.TryRead((long)metadata.Offset, items) || !items.AsSpan().StartsWith("metadata"u8))
            return "its metadata is damaged";
        if (Value(dump, metadata, items, FileParameters, 4) is not { } block || Value(dump, metadata, items, DiskSize, 8) is not { } size || Value(dump, metadata, items, SectorSize, 4) is not { } sector
            || block < Megabyte || block > 256 * Megabyte || !BitOperations.IsPow2(block) || sector is not (512 or 4096) || size / block > MostBlocks)
            return "its metadata makes no sense";
        return BlocksFault(dump, allocation, block, size, (8UL << 20) * sector / block, ct);
    }

    static string? BlocksFault(DumpFile dump, Region allocation, ulong block, ulong size, ulong ratio, CancellationToken ct)
    {
        var blocks = (size + block - 1) / block;
        var entries = blocks + (blocks == 0 ? 0 : (blocks - 1) / ratio); // after each so many blocks stands the entry of a bitmap
        if (entries * 8 > allocation.Length)
            return "its allocation table is too short";
        using var table = dump.Part((long)allocation.Offset, (long)entries * 8);
        Span<byte> bytes = stackalloc byte[8];
        for (ulong i = 0; i < entries; i++)
        {
            ct.ThrowIfCancellationRequested();
            table.ReadExactly(bytes);
            var entry = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            var isBitmap = (i + 1) % (ratio + 1) == 0;
            if ((entry & 7) is FullyPresent or PartiallyPresent && !dump.Holds(entry & ~(Megabyte - 1), isBitmap ? Megabyte : block))
                return "a block that it names is not in it";
        }
        return null;
    }

    /// <summary>A structure whose bytes 4 to 8 are the CRC-32C of all of it, with zeros in their place.</summary>
    static bool IsSummed(DumpFile dump, long offset, int length, ReadOnlySpan<byte> signature, out byte[] bytes)
    {
        bytes = new byte[length];
        if (!dump.TryRead(offset, bytes) || !bytes.AsSpan().StartsWith(signature))
            return false;
        var sum = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4));
        bytes.AsSpan(4, 4).Clear();
        var crc = uint.MaxValue;
        foreach (var b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc == sum;
    }

    static Region? Find(ReadOnlySpan<byte> table, int at, Guid id)
    {
        for (var left = Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(table[8..]), 2047); left > 0; left--, at += 32)
        {
            if (new Guid(table.Slice(at, 16)) == id)
                return new Region(BinaryPrimitives.ReadUInt64LittleEndian(table[(at + 16)..]), BinaryPrimitives.ReadUInt32LittleEndian(table[(at + 24)..]));
        }
        return null;
    }

    static ulong? Value(DumpFile dump, Region metadata, ReadOnlySpan<byte> items, Guid id, int size)
    {
        var count = Math.Min((int)BinaryPrimitives.ReadUInt16LittleEndian(items[10..]), 2047);
        Span<byte> value = stackalloc byte[8];
        value.Clear();
        for (var at = 32; count > 0; count--, at += 32)
        {
            if (new Guid(items.Slice(at, 16)) == id)
                return dump.TryRead((long)(metadata.Offset + BinaryPrimitives.ReadUInt32LittleEndian(items[(at + 16)..])), value[..size]) ? BinaryPrimitives.ReadUInt64LittleEndian(value) : null;
        }
        return null;
    }
}
