using System.Security.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>The one way in which Holdfast makes a key from a key.</summary>
/// <remarks>HKDF of RFC 5869 with SHA-256:
/// <c>PRK = HKDF-Extract(salt = label, IKM = key)</c>, <c>output = HKDF-Expand(PRK, info = context, L = output.Length)</c>.
/// <c>context</c> is a concatenation of fields of fixed size, so that it has one reading. Not for passphrases: those go through Argon2id
/// first.</remarks>
public static class Kdf
{
    public const int KeySize = 32; // bytes
    public const int MaxOutput = 255 * 32; // bytes, RFC 5869 section 2.3

    /// <param name="key">Secret input, uniformly random or the output of a KEM, at least 16 bytes.</param>
    /// <param name="label">One of <see cref="Labels"/>.</param>
    /// <param name="context">Public; what the key is bound to. May be empty.</param>
    /// <param name="output">1 to <see cref="MaxOutput"/> bytes, filled.</param>
    /// <exception cref="ArgumentException">The key is shorter than 16 bytes, the label is empty, or the output has no legal
    /// size.</exception>
    public static void Derive(ReadOnlySpan<byte> key, ReadOnlySpan<byte> label, ReadOnlySpan<byte> context, Span<byte> output)
    {
        if (key.Length < 16)
            throw new ArgumentException("A key has at least 16 bytes.", nameof(key));
        if (label.IsEmpty)
            throw new ArgumentException("Every derivation has a label.", nameof(label));
        if (output.IsEmpty || output.Length > MaxOutput)
            throw new ArgumentException("HKDF-SHA256 gives 1 to 8160 bytes.", nameof(output));
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, output, salt: label, info: context);
    }

    /// <summary>A 32-byte key; the caller disposes of it.</summary>
    public static SecretBytes DeriveKey(ReadOnlySpan<byte> key, ReadOnlySpan<byte> label, ReadOnlySpan<byte> context)
    {
        var derived = new SecretBytes(KeySize);
        Derive(key, label, context, derived.Span);
        return derived;
    }
}
