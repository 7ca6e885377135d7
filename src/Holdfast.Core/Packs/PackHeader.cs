using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Packs;

/// <summary>The 1,280 clear bytes a pack starts with (docs/format.md, section 7.1).</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Seal">Domain, class, epoch, session and sealed session secret.</param>
/// <param name="Writer">Who wrote it.</param>
/// <param name="WriterEpoch">Writer epoch.</param>
/// <param name="Generation">Dedup key generation of its chunk ids.</param>
/// <param name="Salt">Makes its keys its own.</param>
public sealed record PackHeader(Id16 Vault, SessionSeal Seal, Id16 Writer, uint WriterEpoch, uint Generation, Id16 Salt)
{
    public void Write(ByteWriter writer)
    {
        var start = writer.Length;
        new ObjectHeader(ObjectType.Pack, Vault, Seal.Domain, 0).Write(writer);
        writer.U8((byte)Seal.Class);
        writer.U8(0);
        writer.U16(0);
        writer.U32(Seal.Epoch);
        writer.Id(Writer);
        writer.U32(WriterEpoch);
        writer.U32(Generation);
        writer.Id(Seal.Session);
        writer.Id(Salt);
        writer.Id(Seal.SealingKeyId);
        writer.Raw(Seal.Ciphertext);
        writer.Reserve(PackFormat.HeaderSize - (writer.Length - start)).Clear();
    }

    /// <summary>A stored pack's; null where it cannot be read, or is none that this version knows.</summary>
    internal static PackHeader? Read(IStore store, Hash32 pack)
    {
        try
        {
            using var item = store.Open(StoreKind.Pack, pack);
            var bytes = new byte[PackFormat.HeaderSize];
            item?.Read(0, bytes);
            return TryParse(bytes, out var header) ? header : null;
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.Truncated or ErrorCode.StoreUnavailable)
        {
            return null;
        }
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out PackHeader? header)
    {
        header = null;
        if (bytes.Length < PackFormat.HeaderSize || !ObjectHeader.TryParse(bytes, out var common) || common.Type != ObjectType.Pack
            || common.BodyLength != 0)
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..PackFormat.HeaderSize]);
        var keyClass = reader.U8();
        reader.Require(keyClass is >= 1 and <= 3);
        reader.Require(reader.U8() == 0);
        reader.Require(reader.U16() == 0);
        var epoch = reader.U32();
        var writer = reader.Id();
        var writerEpoch = reader.U32();
        var generation = reader.U32();
        var session = reader.Id();
        var salt = reader.Id();
        var sealingKey = reader.Id();
        var ciphertext = reader.Raw(XWing.CiphertextSize);
        reader.Require(!reader.Raw(reader.Remaining).ContainsAnyExcept((byte)0));
        if (!reader.IsDone || epoch == 0)
            return false;
        var seal = new SessionSeal(common.Domain, (KeyClass)keyClass, epoch, session, sealingKey, ciphertext.ToArray());
        header = new PackHeader(common.Vault, seal, writer, writerEpoch, generation, salt);
        return true;
    }
}
