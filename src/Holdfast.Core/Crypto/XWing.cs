using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Kems;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Security;

namespace Holdfast.Core.Crypto;

/// <summary>The hybrid KEM X-Wing: X25519 and ML-KEM-768, safe while either of them holds.</summary>
/// <remarks>As in draft-connolly-cfrg-xwing-kem, from -06 on (seed through SHAKE-256; label last in the combiner); its vectors are tests.
/// Public key: ML-KEM encapsulation key (1184) ‖ X25519 (32). Ciphertext: ML-KEM (1088) ‖ X25519 (32).</remarks>
public static class XWing
{
    public const int SeedSize = 32; // bytes; the private key
    public const int PublicKeySize = MLKemPublicKeySize + X25519.Size; // 1216 bytes
    public const int CiphertextSize = MLKemCiphertextSize + X25519.Size; // 1120 bytes
    public const int SharedSecretSize = 32; // bytes

    internal const int EncapsulationSeedSize = 64; // bytes
    internal const int MLKemPublicKeySize = 1184;
    internal const int MLKemCiphertextSize = 1088;

    /// <param name="seed">32 bytes.</param>
    /// <returns>1216 bytes.</returns>
    public static byte[] PublicKeyFromSeed(ReadOnlySpan<byte> seed)
    {
        using var key = new XWingPrivateKey(seed);
        return key.PublicKey.ToArray();
    }

    /// <summary>Makes a fresh shared secret that only the holder of the seed can recompute. The caller disposes of the secret.</summary>
    /// <param name="publicKey">1216 bytes.</param>
    /// <exception cref="ArgumentException">Not a public key: wrong size, or refused by the check of FIPS 203, section 7.2.</exception>
    public static (byte[] Ciphertext, SecretBytes SharedSecret) Encapsulate(ReadOnlySpan<byte> publicKey)
    {
        using var seed = SecretBytes.Random(EncapsulationSeedSize);
        return EncapsulateDerand(publicKey, seed.Span);
    }

    /// <summary>With given randomness, for the published vectors. Anything else calls <see cref="Encapsulate"/>.</summary>
    internal static (byte[] Ciphertext, SecretBytes SharedSecret) EncapsulateDerand(
        ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> encapsulationSeed)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(encapsulationSeed.Length, EncapsulationSeedSize);
        if (!TryImportMLKem(publicKey, out var keyM))
            throw new ArgumentException("Not an X-Wing public key.", nameof(publicKey));

        var keyX = publicKey[MLKemPublicKeySize..];
        var ciphertext = new byte[CiphertextSize];
        var shared = new SecretBytes(SharedSecretSize);
        using var secretM = new SecretBytes(SharedSecretSize);
        using var secretX = new SecretBytes(SharedSecretSize);

        var encapsulator = new MLKemEncapsulator(MLKemParameters.ml_kem_768);
        encapsulator.Init(new ParametersWithRandom(keyM, new GivenRandom(encapsulationSeed[..32])));
        encapsulator.Encapsulate(ciphertext.AsSpan(0, MLKemCiphertextSize), secretM.Span);

        using var ephemeral = new X25519(encapsulationSeed[32..]);
        ephemeral.PublicKey.CopyTo(ciphertext.AsSpan(MLKemCiphertextSize));
        ephemeral.Agree(keyX, secretX.Span);

        Combine(secretM.Span, secretX.Span, ephemeral.PublicKey, keyX, shared.Span);
        return (ciphertext, shared);
    }

    /// <summary>One-off; for many ciphertexts keep an <see cref="XWingPrivateKey"/>.</summary>
    public static SecretBytes Decapsulate(ReadOnlySpan<byte> seed, ReadOnlySpan<byte> ciphertext)
    {
        using var key = new XWingPrivateKey(seed);
        return key.Decapsulate(ciphertext);
    }

    /// <summary>True for 1216 bytes that ML-KEM accepts; every 32 bytes are an X25519 public key. Total on hostile bytes.</summary>
    public static bool IsPublicKey(ReadOnlySpan<byte> bytes) => TryImportMLKem(bytes, out _);

    /// <summary>SHA3-256(ss_M ‖ ss_X ‖ ct_X ‖ pk_X ‖ label), the draft's section 5.3.</summary>
    internal static void Combine(
        ReadOnlySpan<byte> secretM, ReadOnlySpan<byte> secretX, ReadOnlySpan<byte> ciphertextX, ReadOnlySpan<byte> publicKeyX,
        Span<byte> shared)
    {
        var sha3 = new Sha3Digest(256);
        sha3.BlockUpdate(secretM);
        sha3.BlockUpdate(secretX);
        sha3.BlockUpdate(ciphertextX);
        sha3.BlockUpdate(publicKeyX);
        sha3.BlockUpdate(@"\.//^\"u8);
        sha3.DoFinal(shared);
    }

    static bool TryImportMLKem(ReadOnlySpan<byte> publicKey, [NotNullWhen(true)] out MLKemPublicKeyParameters? key)
    {
        key = null;
        if (publicKey.Length != PublicKeySize)
            return false;
        try
        {
            key = MLKemPublicKeyParameters.FromEncoding(MLKemParameters.ml_kem_768, publicKey[..MLKemPublicKeySize].ToArray());
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    /// <summary>Hands 32 given bytes to BouncyCastle, which asks for its message as randomness; refuses any further question.</summary>
    sealed class GivenRandom(ReadOnlySpan<byte> bytes) : SecureRandom(new Org.BouncyCastle.Crypto.Prng.CryptoApiRandomGenerator())
    {
        byte[]? _bytes = bytes.ToArray();

        public override void NextBytes(byte[] buf) => NextBytes(buf.AsSpan());
        public override void NextBytes(byte[] buf, int off, int len) => NextBytes(buf.AsSpan(off, len));

        public override void NextBytes(Span<byte> buffer)
        {
            if (_bytes is null || buffer.Length != _bytes.Length)
                throw new InvalidOperationException("ML-KEM encapsulation takes 32 random bytes once.");
            _bytes.CopyTo(buffer);
            CryptographicOperations.ZeroMemory(_bytes);
            _bytes = null;
        }
    }
}
