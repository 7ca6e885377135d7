using System.Buffers.Binary;
using Holdfast.Core.Crypto;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Packs;

/// <summary>Where a pack's footer lies, by its last bytes (docs/format.md, section 7). No key is needed for that.</summary>
/// <param name="FramesEnd">Offset of the end of the last frame.</param>
/// <param name="FooterStart">Offset of the footer.</param>
/// <param name="FooterLength">Bytes.</param>
readonly record struct PackTrailer(long FramesEnd, long FooterStart, int FooterLength)
{
    public static bool IsLegalSize(long size) => size is >= PackFormat.HeaderSize + PackFormat.TrailerSize and <= PackFormat.MaxSize && size % PackFormat.Quantum == 0;

    /// <summary>False where the file ends as no pack does: one that was cut short has no trailer at its end.</summary>
    public static bool TryRead(IStoredItem item, out PackTrailer trailer)
    {
        trailer = default;
        if (!IsLegalSize(item.Size))
            return false;
        Span<byte> bytes = stackalloc byte[PackFormat.TrailerSize];
        item.Read(item.Size - PackFormat.TrailerSize, bytes);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        var parity = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]); // a later version's; what it mends is not needed to read what is whole
        var footerStart = item.Size - PackFormat.TrailerSize - length;
        if (!bytes[8..].SequenceEqual(PackFormat.EndMagic) || length is < Aead.TagSize or > PackFormat.MaxFooter || footerStart - parity < PackFormat.HeaderSize)
            return false;
        trailer = new PackTrailer(footerStart - parity, footerStart, (int)length);
        return true;
    }

    /// <summary>Of a pack that no commit names yet, so that nothing but its own end says how long it is; null where no copy is whole.</summary>
    public static long? SizeOf(IStore store, Hash32 name)
    {
        for (var copy = 0; copy < StoreExtensions.MaxCopies; copy++)
        {
            try
            {
                using var item = store.Open(StoreKind.Pack, name, copy);
                if (item is null)
                    break;
                if (TryRead(item, out _))
                    return item.Size;
            }
            catch (HoldfastException)
            {
                // Another copy may answer.
            }
        }
        return null;
    }
}
