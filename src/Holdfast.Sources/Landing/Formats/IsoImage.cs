using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>ISO 9660 (ECMA-119): the primary descriptor, the list's end, and as many blocks as the descriptor says.</summary>
static class IsoImage
{
    const int Sector = 2048; // bytes
    const int First = 16; // sectors before the descriptors
    const int Most = 64; // descriptors
    const byte Primary = 1, Last = 255;

    public static string? Fault(DumpFile dump)
    {
        var bytes = new byte[Sector];
        ulong needed = 0;
        for (var i = 0; i < Most; i++)
        {
            if (!dump.TryRead((First + i) * (long)Sector, bytes) || !bytes.AsSpan(1).StartsWith("CD001"u8))
                return "a descriptor is missing";
            if (bytes[0] == Last)
                return needed == 0 ? "its primary descriptor is missing" : dump.Holds(0, needed) ? null : "it ends before its end";
            if (bytes[0] != Primary || needed > 0)
                continue;
            var (blocks, size) = (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(80)), BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(128)));
            if (blocks == 0 || size == 0 || blocks != BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(84)) || size != BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(130)))
                return "its primary descriptor makes no sense";
            needed = (ulong)blocks * size;
        }
        return "a descriptor is missing";
    }
}
