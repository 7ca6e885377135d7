using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>Words of people, sealed to those who may read names: the payload object that a leaf names (docs/format.md, section 11.4).</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Domain">Trust domain.</param>
/// <param name="Salt">Random.</param>
/// <param name="Key">Id of the sealing key.</param>
/// <param name="Box">A sealed box.</param>
public sealed record SealedWords(Id16 Vault, Id16 Domain, Hash32 Salt, Id16 Key, byte[] Box)
{
    public const int MaxSize = (1 << 17) + 2_048; // bytes of the object: a path of 65,535 and a reason have room, filled up

    const int Shortest = 1_024; // bytes

    /// <summary>Seals words to those who may read names of a domain.</summary>
    /// <param name="vault">Vault id.</param>
    /// <param name="to">A key of the tree class.</param>
    /// <param name="leafType">Of the leaf that they belong to.</param>
    /// <param name="plain">The words, encoded. They are filled up with zeros, so that the object's size does not tell how long a name is.</param>
    public static SealedWords Seal(Id16 vault, SealingKey to, byte leafType, ReadOnlySpan<byte> plain)
    {
        var filled = new byte[Math.Max(Shortest, (int)BitOperations.RoundUpToPowerOf2((uint)plain.Length))];
        plain.CopyTo(filled);
        try
        {
            return new SealedWords(vault, to.Domain, new Hash32(RandomNumberGenerator.GetBytes(Hash32.Size)), to.KeyId, SealedBox.Seal(to.PublicKey, Labels.Payload, Context(vault, to.Domain, leafType), filled));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(filled);
        }
    }

    internal static byte[] Context(Id16 vault, Id16 domain, byte leafType)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.Id(domain);
        context.U8(leafType);
        return context.ToArray();
    }

    public byte[] ToArray()
    {
        var body = new ByteWriter(Box.Length + 64);
        body.Hash(Salt);
        body.Id(Key);
        body.Bytes(Box);
        return ObjectHeader.Wrap(ObjectType.Payload, Vault, Domain, body);
    }

    /// <summary>Total.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out SealedWords? words)
    {
        words = null;
        if (bytes.Length > MaxSize || !ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Payload || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new SealedWords(header.Vault, header.Domain, reader.Hash(), reader.Id(), reader.Bytes(MaxSize).ToArray());
        if (!reader.IsDone)
            return false;
        words = parsed;
        return true;
    }
}
