using System.Security.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>AES-256-GCM (NIST SP 800-38D). Sealed bytes are ciphertext, then a 16-byte tag; nonces are 12 bytes.</summary>
/// <remarks>These are for a key used once. A key used often is an <see cref="AeadKey"/>.</remarks>
public static class Aead
{
    public const int KeySize = 32; // bytes
    public const int NonceSize = 12; // bytes
    public const int TagSize = 16; // bytes

    /// <param name="key">32 bytes.</param>
    /// <param name="nonce">12 bytes, never twice under one key.</param>
    /// <param name="plaintext">What to seal.</param>
    /// <param name="sealedBytes">Exactly <see cref="TagSize"/> longer than the plaintext. May begin where the plaintext begins.</param>
    /// <param name="aad">What the seal is bound to, besides.</param>
    public static void Seal(
        ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> plaintext, Span<byte> sealedBytes, ReadOnlySpan<byte> aad)
    {
        using var gcm = new AesGcm(key, TagSize);
        Seal(gcm, nonce, plaintext, sealedBytes, aad);
    }

    /// <summary>Total on hostile bytes.</summary>
    /// <param name="key">32 bytes.</param>
    /// <param name="nonce">12 bytes.</param>
    /// <param name="sealedBytes">Ciphertext and tag.</param>
    /// <param name="plaintext">Exactly <see cref="TagSize"/> shorter than the sealed bytes; zeroed where opening fails.</param>
    /// <param name="aad">The same as when sealing.</param>
    /// <returns><c>false</c> for a wrong key, nonce or AAD, and for altered or too short bytes.</returns>
    public static bool TryOpen(
        ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> sealedBytes, Span<byte> plaintext, ReadOnlySpan<byte> aad)
    {
        using var gcm = new AesGcm(key, TagSize);
        return TryOpen(gcm, nonce, sealedBytes, plaintext, aad);
    }

    internal static void Seal(
        AesGcm gcm, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> plaintext, Span<byte> sealedBytes, ReadOnlySpan<byte> aad)
    {
        if (sealedBytes.Length != plaintext.Length + TagSize)
            throw new ArgumentException("Sealed bytes are 16 longer than the plaintext.", nameof(sealedBytes));
        gcm.Encrypt(nonce, plaintext, sealedBytes[..plaintext.Length], sealedBytes[plaintext.Length..], aad);
    }

    internal static bool TryOpen(
        AesGcm gcm, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> sealedBytes, Span<byte> plaintext, ReadOnlySpan<byte> aad)
    {
        var length = sealedBytes.Length - TagSize;
        if (length < 0)
            return false;
        if (plaintext.Length != length)
            throw new ArgumentException("The plaintext is 16 bytes shorter than the sealed bytes.", nameof(plaintext));
        try
        {
            gcm.Decrypt(nonce, sealedBytes[..length], sealedBytes[length..], plaintext, aad);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            CryptographicOperations.ZeroMemory(plaintext);
            return false;
        }
    }
}
