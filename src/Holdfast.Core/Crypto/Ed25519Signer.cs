using NSec.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>Signs with Ed25519 (RFC 8032, pure). Safe for concurrent use.</summary>
public sealed class Ed25519Signer : IDisposable
{
    public const int SeedSize = 32; // bytes
    public const int PublicKeySize = 32; // bytes
    public const int SignatureSize = 64; // bytes

    readonly Key _key;
    readonly byte[] _publicKey;

    /// <param name="seed">32 random bytes: the private key of RFC 8032, section 5.1.5. Copied.</param>
    public Ed25519Signer(ReadOnlySpan<byte> seed)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(seed.Length, SeedSize);
        _key = Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey);
        _publicKey = _key.PublicKey.Export(KeyBlobFormat.RawPublicKey);
    }

    /// <summary>32 bytes.</summary>
    public ReadOnlySpan<byte> PublicKey => _publicKey;

    /// <param name="message">Begins with a label of its own, so that no signature of one kind passes for another.</param>
    /// <param name="signature">64 bytes, filled.</param>
    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(signature.Length, SignatureSize);
        SignatureAlgorithm.Ed25519.Sign(_key, message, signature);
    }

    public byte[] Sign(ReadOnlySpan<byte> message)
    {
        var signature = new byte[SignatureSize];
        Sign(message, signature);
        return signature;
    }

    /// <summary>Total: keys and signatures of any size and content give <c>false</c>, never an exception.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) =>
        publicKey.Length == PublicKeySize && signature.Length == SignatureSize
        && NSec.Cryptography.PublicKey.TryImport(SignatureAlgorithm.Ed25519, publicKey, KeyBlobFormat.RawPublicKey, out var key)
        && key is not null && SignatureAlgorithm.Ed25519.Verify(key, message, signature);

    public void Dispose() => _key.Dispose();
}
