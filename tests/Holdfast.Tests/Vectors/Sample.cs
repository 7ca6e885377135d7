using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;

namespace Holdfast.Tests.Vectors;

/// <summary>What the vectors are made of: fixed, so that every run gives the same file.</summary>
static class Sample
{
    public const uint Epoch = 2;
    public const uint Generation = 1;

    public static readonly Id16 Vault = Id(0x10);
    public static readonly Id16 Domain = Id(0x20);
    public static readonly Id16 Source = Id(0x30);
    public static readonly Id16 Session = Id(0x40);
    public static readonly Id16 Snapshot = Id(0x50);
    public static readonly Id16 Agent = Id(0x60);
    public static readonly Id16 Writer = Id(0x70);
    public static readonly byte[] OpeningSeed = Bytes(0x01, 32);
    public static readonly byte[] IndexKey = Bytes(0x81, 32);
    public static readonly byte[] CutterKey = Bytes(0xA1, 16);
    public static readonly byte[] DedupKey = Bytes(0xC1, 32);
    public static readonly byte[] AgentSeed = Bytes(0x11, 32);
    public static readonly byte[] LogSeed = Bytes(0x21, 32);
    public static readonly byte[] Ephemeral = Bytes(0x90, 64);
    public static readonly byte[] Salt = Bytes(0xE0, 32);

    /// <summary>Count bytes, each one more than the one before.</summary>
    public static byte[] Bytes(byte first, int count) => [.. Enumerable.Range(first, count).Select(i => (byte)i)];

    public static Id16 Id(byte first) => new(Bytes(first, 16));

    /// <summary>SHA-256 of a number as u64: bytes that nobody chose.</summary>
    public static Hash32 Hash(ulong number)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number);
        return new Hash32(SHA256.HashData(bytes));
    }

    /// <summary>The first bytes of the hashes of 0, 1, 2 ... joined.</summary>
    public static byte[] Stream(int length) => [.. Enumerable.Range(0, (length + 31) / 32).SelectMany(i => Hash((ulong)i).ToArray()).Take(length)];

    public static string[] DomainFields =>
        [Fields.Raw(Domain.ToArray(), "domain"), Fields.Raw(IndexKey, "index key"), Fields.Raw(CutterKey, "cutter key"), "var 1 generations", $"u32 {Generation} generation", Fields.Raw(DedupKey, "dedup key")];

    public static DomainKeys DomainKeys()
    {
        var reader = new ByteReader(Fields.Encode(DomainFields));
        Assert.True(Holdfast.Core.Keys.DomainKeys.TryRead(ref reader, out var keys) && reader.IsDone);
        return keys!;
    }

    public static SealingKey SealingKey(KeyClass keyClass)
    {
        using var seed = new SecretBytes(OpeningSeed);
        return Holdfast.Core.Keys.SealingKey.Create(seed, Vault, Epoch, Domain, keyClass, Id16.None);
    }

    /// <summary>The three rows of a keyring or put key.</summary>
    public static string[] RowFields => [.. Enum.GetValues<KeyClass>().SelectMany(c => new[]
    {
        Fields.Raw(Domain.ToArray(), "domain"), $"u8 {(byte)c} class", Fields.Raw(new byte[16], "source"), $"u32 {Epoch} epoch", Fields.Raw(SealingKey(c).PublicKey, "public key"),
    })];

    public static string[] Header(ObjectType type, Id16 domain, int body) =>
    [
        Fields.Raw("HOLDFAST"u8, "magic"), "u16 1 format", "u8 1 suite", $"u8 {(byte)type} type", "u32 0 compatible", "u32 0 read-only", "u32 0 incompatible", Fields.Raw(Vault.ToArray(), "vault"),
        Fields.Raw(domain.ToArray(), "domain"), $"u64 {body} body length",
    ];
}

/// <summary>The list that is being made. Each result comes from Core; where Core takes random bytes, Core must read what is given here.</summary>
sealed class VectorList
{
    public List<FormatVector> All { get; } = [];

    public void Derive(string section, string name, string label, byte[] key, byte[] context, ReadOnlySpan<byte> result) =>
        All.Add(new(section, name, "derive", label, [("key", key), ("context", context), ("length", result.Length)], [("out", result.ToArray())]));

    public void Hash(string section, string name, string label, byte[] data, byte[] result) => All.Add(new(section, name, "hash", label, [("data", data), ("length", result.Length)], [("out", result)]));

    public void Hmac(string section, string name, string label, byte[] key, byte[] data, byte[] result) =>
        All.Add(new(section, name, "hmac", label, [("key", key), ("data", data), ("length", result.Length)], [("out", result)]));

    public void Seal(string section, string name, string label, byte[] key, byte[] nonce, byte[] aad, byte[] plaintext, byte[] result) =>
        All.Add(new(section, name, "seal", label, [("key", key), ("nonce", nonce), ("aad", aad), ("plaintext", plaintext)], [("out", result)]));

    public void Sign(string section, string name, string label, byte[] seed, byte[] message, byte[] publicKey, byte[] signature) =>
        All.Add(new(section, name, "sign", label, [("seed", seed), ("message", message)], [("publicKey", publicKey), ("signature", signature)]));

    /// <summary>Fields written by hand from the document, and what Core makes of the same values.</summary>
    public byte[] Encode(string section, string name, string[] fields, ReadOnlySpan<byte> core)
    {
        Assert.Equal(Convert.ToHexStringLower(Fields.Encode(fields)), Convert.ToHexStringLower(core));
        All.Add(new(section, name, "encode", "", [("fields", fields)], [("out", core.ToArray())]));
        return core.ToArray();
    }

    /// <summary>An object: header and body.</summary>
    public byte[] Object(string section, string name, ObjectType type, Id16 domain, string[] body, ReadOnlySpan<byte> core) =>
        Encode(section, name, [.. Sample.Header(type, domain, Fields.Encode(body).Length), .. body], core);

    public byte[] Box(string section, string name, string label, byte[] seed, byte[] context, byte[] plaintext)
    {
        byte[] word = [.. "holdfast/v1/"u8, .. Encoding.ASCII.GetBytes(label)];
        using var pair = new XWingPrivateKey(seed);
        var (ciphertext, shared) = XWing.EncapsulateDerand(pair.PublicKey, Sample.Ephemeral);
        using var key = Kdf.DeriveKey(shared.Span, word, context);
        var stored = new byte[plaintext.Length + Aead.TagSize];
        Aead.Seal(key.Span, new byte[12], plaintext, stored, [.. word, .. context]);
        byte[] box = [.. ciphertext, .. stored];
        Assert.True(SealedBox.TryOpen(pair, word, context, box, out var opened));
        Assert.Equal(plaintext, opened.Span.ToArray());
        All.Add(new(section, name, "box", label, [("seed", seed), ("ephemeral", Sample.Ephemeral), ("context", context), ("plaintext", plaintext)], [("out", box)]));
        return box;
    }

    public void Text(string section, string name, (string Name, object Value)[] from, string text) => All.Add(new(section, name, "note", "", from, [("text", text)]));
}
