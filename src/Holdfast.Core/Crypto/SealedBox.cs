using System.Diagnostics.CodeAnalysis;

namespace Holdfast.Core.Crypto;

/// <summary>Bytes that anyone can seal to a public key and only the holder of the seed can open (docs/format.md, section 5.3).</summary>
/// <remarks>Layout: X-Wing ciphertext (1120) ‖ AES-256-GCM ciphertext (as long as the plaintext) ‖ tag (16).
/// Key = <see cref="Kdf"/>(X-Wing shared secret, label, context); nonce = 12 zero bytes, since each key seals once; AAD = label ‖ context.
/// A box says nothing about who sealed it: sign what needs an author.</remarks>
public static class SealedBox
{
    public const int Overhead = XWing.CiphertextSize + Aead.TagSize; // 1136 bytes

    static ReadOnlySpan<byte> ZeroNonce => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// <param name="publicKey">X-Wing, 1216 bytes.</param>
    /// <param name="label">One of <see cref="Labels"/>: what kind of box.</param>
    /// <param name="context">Public; what the box is bound to, needed again to open it.</param>
    /// <param name="plaintext">What to seal.</param>
    /// <exception cref="ArgumentException">Not a public key.</exception>
    public static byte[] Seal(
        ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> label, ReadOnlySpan<byte> context, ReadOnlySpan<byte> plaintext)
    {
        var (ciphertext, shared) = XWing.Encapsulate(publicKey);
        using (shared)
        {
            var box = new byte[checked(plaintext.Length + Overhead)];
            ciphertext.CopyTo(box.AsSpan());
            using var key = Kdf.DeriveKey(shared.Span, label, context);
            Aead.Seal(key.Span, ZeroNonce, plaintext, box.AsSpan(XWing.CiphertextSize), [.. label, .. context]);
            return box;
        }
    }

    /// <summary>Total on hostile bytes.</summary>
    /// <returns><c>false</c> for a box sealed to another key, with another label or context, altered, or too short. All look
    /// the same.</returns>
    public static bool TryOpen(
        XWingPrivateKey key, ReadOnlySpan<byte> label, ReadOnlySpan<byte> context, ReadOnlySpan<byte> box,
        [NotNullWhen(true)] out SecretBytes? plaintext)
    {
        plaintext = null;
        if (box.Length < Overhead)
            return false;
        using var shared = key.Decapsulate(box[..XWing.CiphertextSize]);
        using var boxKey = Kdf.DeriveKey(shared.Span, label, context);
        var opened = new SecretBytes(box.Length - Overhead);
        if (!Aead.TryOpen(boxKey.Span, ZeroNonce, box[XWing.CiphertextSize..], opened.Span, [.. label, .. context]))
        {
            opened.Dispose();
            return false;
        }
        plaintext = opened;
        return true;
    }
}
