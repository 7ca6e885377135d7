using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Kems;
using Org.BouncyCastle.Crypto.Parameters;

namespace Holdfast.Core.Crypto;

/// <summary>An X-Wing private key, expanded once from its 32-byte seed. Safe for concurrent use.</summary>
/// <remarks>Disposing zeroes what is ours and libsodium's; BouncyCastle keeps its expanded ML-KEM key on the managed heap until collected
/// (docs/threat-model.md).</remarks>
public sealed class XWingPrivateKey : IDisposable
{
    readonly MLKemPrivateKeyParameters _keyM;
    readonly X25519 _keyX;
    readonly byte[] _publicKey = new byte[XWing.PublicKeySize];

    /// <param name="seed">32 bytes; not kept.</param>
    public XWingPrivateKey(ReadOnlySpan<byte> seed)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(seed.Length, XWing.SeedSize);
        using var expanded = new SecretBytes(96); // d (32) ‖ z (32) ‖ sk_X (32)
        var shake = new ShakeDigest(256);
        shake.BlockUpdate(seed);
        shake.OutputFinal(expanded.Span);
        shake.Reset();

        var seedM = expanded.Span[..64].ToArray(); // BouncyCastle keeps it: it is the key
        _keyM = MLKemPrivateKeyParameters.FromSeed(MLKemParameters.ml_kem_768, seedM);
        _keyX = new X25519(expanded.Span[64..]);
        _keyM.GetPublicKeyEncoded().CopyTo(_publicKey.AsSpan());
        _keyX.PublicKey.CopyTo(_publicKey.AsSpan(XWing.MLKemPublicKeySize));
    }

    /// <summary>1216 bytes.</summary>
    public ReadOnlySpan<byte> PublicKey => _publicKey;

    /// <summary>The shared secret; the caller disposes of it. A ciphertext made for another key, or altered, gives a secret that nobody
    /// else has (implicit rejection, FIPS 203): only what is sealed under it tells.</summary>
    /// <param name="ciphertext">1120 bytes.</param>
    public SecretBytes Decapsulate(ReadOnlySpan<byte> ciphertext)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(ciphertext.Length, XWing.CiphertextSize);
        using var secretM = new SecretBytes(XWing.SharedSecretSize);
        using var secretX = new SecretBytes(XWing.SharedSecretSize);
        var ciphertextX = ciphertext[XWing.MLKemCiphertextSize..];
        _keyX.Agree(ciphertextX, secretX.Span); // first: it throws when disposed

        var decapsulator = new MLKemDecapsulator(MLKemParameters.ml_kem_768);
        decapsulator.Init(_keyM);
        decapsulator.Decapsulate(ciphertext[..XWing.MLKemCiphertextSize], secretM.Span);

        var shared = new SecretBytes(XWing.SharedSecretSize);
        XWing.Combine(secretM.Span, secretX.Span, ciphertextX, _keyX.PublicKey, shared.Span);
        return shared;
    }

    public void Dispose() => _keyX.Dispose();
}
