using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>Bytes that anyone can seal to a public key and only the holder of the seed can open.</summary>
/// <remarks>Layout: X-Wing ciphertext (1120) ‖ AES-256-GCM ciphertext (as long as the plaintext) ‖ tag (16).
/// Key = <see cref="Kdf"/>(X-Wing shared secret, <see cref="Labels.SealedBox"/>, SHA-256(public key ‖ X-Wing ciphertext)).
/// Nonce = 12 zero bytes: each key seals once. AAD is the caller's. A box says nothing about who sealed it: sign what needs an author.</remarks>
public static class SealedBox
{
    public const int Overhead = XWing.CiphertextSize + Aead.TagSize; // 1136 bytes

    static ReadOnlySpan<byte> ZeroNonce => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// <param name="publicKey">X-Wing, 1216 bytes.</param>
    /// <param name="plaintext">What to seal.</param>
    /// <param name="aad">What the box is bound to; needed again to open it.</param>
    /// <exception cref="ArgumentException">Not a public key.</exception>
    public static byte[] Seal(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> aad)
    {
        var (ciphertext, shared) = XWing.Encapsulate(publicKey);
        using (shared)
        {
            var box = new byte[checked(plaintext.Length + Overhead)];
            ciphertext.CopyTo(box.AsSpan());
            using var key = KeyOf(shared, publicKey, ciphertext);
            Aead.Seal(key.Span, ZeroNonce, plaintext, box.AsSpan(XWing.CiphertextSize), aad);
            return box;
        }
    }

    /// <summary>Total on hostile bytes.</summary>
    /// <returns><c>false</c> for a box sealed to another key, with another AAD, altered, or too short. The four look the same.</returns>
    public static bool TryOpen(
        XWingPrivateKey key, ReadOnlySpan<byte> box, ReadOnlySpan<byte> aad, [NotNullWhen(true)] out SecretBytes? plaintext)
    {
        plaintext = null;
        if (box.Length < Overhead)
            return false;
        var ciphertext = box[..XWing.CiphertextSize];
        using var shared = key.Decapsulate(ciphertext);
        using var boxKey = KeyOf(shared, key.PublicKey, ciphertext);
        var opened = new SecretBytes(box.Length - Overhead);
        if (!Aead.TryOpen(boxKey.Span, ZeroNonce, box[XWing.CiphertextSize..], opened.Span, aad))
        {
            opened.Dispose();
            return false;
        }
        plaintext = opened;
        return true;
    }

    static SecretBytes KeyOf(SecretBytes shared, ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> ciphertext)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(publicKey);
        sha.AppendData(ciphertext);
        Span<byte> context = stackalloc byte[SHA256.HashSizeInBytes];
        sha.GetHashAndReset(context);
        return Kdf.DeriveKey(shared.Span, Labels.SealedBox, context);
    }
}
