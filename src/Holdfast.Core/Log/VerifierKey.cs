using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Log;

/// <summary>Who signs a log, as text: name+key id+key (C2SP signed-note).</summary>
public sealed record VerifierKey(string Name, byte[] PublicKey)
{
    public const byte Ed25519 = 1;
    const int MaxName = 256; // characters

    /// <summary>First 4 bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key), big-endian.</summary>
    public byte[] KeyId => SHA256.HashData([.. Encoding.UTF8.GetBytes(Name), (byte)'\n', Ed25519, .. PublicKey])[..4];

    public override string ToString() => $"{Name}+{Convert.ToHexStringLower(KeyId)}+{Convert.ToBase64String([Ed25519, .. PublicKey])}";

    public static bool IsName(ReadOnlySpan<char> name) => !name.IsEmpty && name.Length <= MaxName && !name.ContainsAny(" \t\r\n+");

    public static bool TryParse(string text, [NotNullWhen(true)] out VerifierKey? key)
    {
        key = null;
        var parts = text.Split('+', 3);
        Span<byte> bytes = stackalloc byte[64];
        if (parts.Length != 3 || !IsName(parts[0]) || !Convert.TryFromBase64String(parts[2], bytes, out var length)
            || length != 1 + Ed25519Signer.PublicKeySize || bytes[0] != Ed25519)
            return false;
        var parsed = new VerifierKey(parts[0], bytes[1..length].ToArray());
        if (Convert.ToHexStringLower(parsed.KeyId) != parts[1])
            return false;
        key = parsed;
        return true;
    }
}
