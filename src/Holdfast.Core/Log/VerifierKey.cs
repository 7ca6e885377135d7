using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Log;

/// <summary>Who signs a log, as text: name+key id+key (C2SP signed-note).</summary>
public sealed record VerifierKey(string Name, byte[] PublicKey)
{
    public const byte Ed25519 = 1;

    /// <summary>First 4 bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key), big-endian.</summary>
    public byte[] KeyId => NoteKey.Id(Name, Ed25519, PublicKey);

    public override string ToString() => NoteKey.Text(Name, Ed25519, PublicKey);

    public static bool IsName(ReadOnlySpan<char> name) => NoteKey.IsName(name);

    public static bool TryParse(string text, [NotNullWhen(true)] out VerifierKey? key)
    {
        key = NoteKey.TryParse(text, Ed25519, Ed25519Signer.PublicKeySize, out var name, out var bytes) ? new VerifierKey(name, bytes) : null;
        return key is not null;
    }
}

/// <summary>What verifier keys of all signature types have in common.</summary>
static class NoteKey
{
    public const int IdSize = 4; // bytes
    const int MaxName = 256; // characters
    const int MaxKey = 64; // bytes, with the type

    public static byte[] Id(string name, byte type, byte[] key) => SHA256.HashData([.. Encoding.UTF8.GetBytes(name), (byte)'\n', type, .. key])[..IdSize];

    public static string Text(string name, byte type, byte[] key) => $"{name}+{Convert.ToHexStringLower(Id(name, type, key))}+{Convert.ToBase64String([type, .. key])}";

    public static bool IsName(ReadOnlySpan<char> name)
    {
        foreach (var c in name)
        {
            if (c == '+' || char.IsWhiteSpace(c) || char.IsControl(c))
                return false;
        }
        return !name.IsEmpty && name.Length <= MaxName;
    }

    /// <summary>Total.</summary>
    public static bool TryParse(string text, byte type, int size, out string name, out byte[] key)
    {
        (name, key) = ("", []);
        var parts = text.Split('+', 3);
        Span<byte> bytes = stackalloc byte[MaxKey];
        if (parts.Length != 3 || !IsName(parts[0]) || !Convert.TryFromBase64String(parts[2], bytes, out var length) || length != 1 + size || bytes[0] != type)
            return false;
        var parsed = bytes[1..length].ToArray();
        if (!Convert.ToHexStringLower(Id(parts[0], type, parsed)).Equals(parts[1], StringComparison.OrdinalIgnoreCase))
            return false;
        (name, key) = (parts[0], parsed);
        return true;
    }
}
