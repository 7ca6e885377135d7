using NSec.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>The X25519 function of RFC 7748 with one private key, through libsodium.</summary>
sealed class X25519 : IDisposable
{
    public const int Size = 32; // bytes: private key, public key and result

    readonly Key _key;
    readonly byte[] _publicKey;

    public X25519(ReadOnlySpan<byte> privateKey)
    {
        _key = Key.Import(KeyAgreementAlgorithm.X25519, privateKey, KeyBlobFormat.RawPrivateKey);
        _publicKey = _key.PublicKey.Export(KeyBlobFormat.RawPublicKey);
    }

    public ReadOnlySpan<byte> PublicKey => _publicKey;

    /// <summary>Any 32 bytes are a point. One of small order gives zero, as in the RFC: X-Wing wants no check, since its combiner
    /// covers the point and ML-KEM stands beside it.</summary>
    public void Agree(ReadOnlySpan<byte> point, Span<byte> result)
    {
        var other = NSec.Cryptography.PublicKey.Import(KeyAgreementAlgorithm.X25519, point, KeyBlobFormat.RawPublicKey);
        var exportable = new SharedSecretCreationParameters { ExportPolicy = KeyExportPolicies.AllowPlaintextExport };
        using var shared = KeyAgreementAlgorithm.X25519.Agree(_key, other, exportable);
        if (shared is null)
            result.Clear();
        else if (!shared.TryExport(SharedSecretBlobFormat.RawSharedSecret, result, out var size) || size != Size)
            throw new InvalidOperationException("X25519 gives 32 bytes.");
    }

    public void Dispose() => _key.Dispose();
}
