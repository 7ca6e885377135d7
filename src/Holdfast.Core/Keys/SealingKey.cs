using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>A public key that packs and sections are sealed to. Holding it opens nothing.</summary>
/// <param name="Domain">Trust domain.</param>
/// <param name="Class">What it seals.</param>
/// <param name="Source">The one source it serves; none for every source of the domain that has no key of its own.</param>
/// <param name="Epoch">Key epoch, from 1.</param>
/// <param name="PublicKey">X-Wing, 1,216 bytes.</param>
public sealed record SealingKey(Id16 Domain, KeyClass Class, Id16 Source, uint Epoch, byte[] PublicKey)
{
    public Id16 KeyId { get; } = IdOf(PublicKey);

    /// <summary>The X-Wing seed of the private half (docs/format.md, section 5.2).</summary>
    public static SecretBytes Seed(SecretBytes openingSeed, Id16 vault, uint epoch, Id16 domain, KeyClass keyClass, Id16 source)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.U32(epoch);
        context.Id(domain);
        context.U8((byte)keyClass);
        context.Id(source);
        return Kdf.DeriveKey(openingSeed.Span, Labels.SealingSeed, context.Span);
    }

    public static SealingKey Create(SecretBytes openingSeed, Id16 vault, uint epoch, Id16 domain, KeyClass keyClass, Id16 source)
    {
        using var seed = Seed(openingSeed, vault, epoch, domain, keyClass, source);
        return new SealingKey(domain, keyClass, source, epoch, XWing.PublicKeyFromSeed(seed.Span));
    }

    public void Write(ByteWriter writer)
    {
        writer.Id(Domain);
        writer.U8((byte)Class);
        writer.Id(Source);
        writer.U32(Epoch);
        writer.Raw(PublicKey);
    }

    public static bool TryRead(ref ByteReader reader, out SealingKey? key)
    {
        key = null;
        var domain = reader.Id();
        var keyClass = reader.U8();
        var source = reader.Id();
        var epoch = reader.U32();
        var publicKey = reader.Raw(XWing.PublicKeySize);
        reader.Require(keyClass is >= 1 and <= 3 && epoch > 0);
        if (reader.Failed)
            return false;
        key = new SealingKey(domain, (KeyClass)keyClass, source, epoch, publicKey.ToArray());
        return true;
    }

    /// <summary>The order of a keyring's list: by the fields as written.</summary>
    public static int Compare(SealingKey left, SealingKey right) =>
        left.Domain != right.Domain ? left.Domain.CompareTo(right.Domain)
        : left.Class != right.Class ? left.Class.CompareTo(right.Class)
        : left.Source != right.Source ? left.Source.CompareTo(right.Source) : left.Epoch.CompareTo(right.Epoch);

    static Id16 IdOf(byte[] publicKey)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Labels.SealingKeyId);
        sha.AppendData(publicKey);
        return new Id16(sha.GetHashAndReset().AsSpan(0, Id16.Size));
    }
}
