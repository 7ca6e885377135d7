using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Approvals;

/// <summary>A person's approval key under a passphrase. It is theirs alone: no server, no vault and no console has a copy.</summary>
/// <remarks>
/// Layout (integers little-endian; docs/format.md, section 13.5):
/// <code>
/// magic      63   "HFAPPR1 Holdfast approval key. It belongs to one person alone.\n"
/// public     32   Ed25519
/// slot       93   kind 1 (passphrase) as in the opening key file; what it wraps is the private key's seed (32)
/// sum        32   SHA-256("holdfast/v1/approver-key-file" ‖ all before)
/// </code>
/// The slot is bound to magic and public key.
/// </remarks>
public sealed class ApproverKeyFile
{
    public const int MaxSize = 1_024; // bytes

    static ReadOnlySpan<byte> Magic => "HFAPPR1 Holdfast approval key. It belongs to one person alone.\n"u8;

    readonly byte[] _binding;
    readonly KeySlot _slot;

    ApproverKeyFile(Approver approver, KeySlot slot)
    {
        (Approver, _slot) = (approver, slot);
        _binding = Binding(approver);
    }

    public Approver Approver { get; }

    static byte[] Binding(Approver approver) => [.. Magic, .. approver.PublicKey];

    /// <summary>A new key.</summary>
    /// <param name="passphrase">Not empty.</param>
    /// <param name="cost">Within the limits of <see cref="Argon2Cost"/>.</param>
    public static ApproverKeyFile Create(ReadOnlySpan<char> passphrase, Argon2Cost cost)
    {
        using var seed = SecretBytes.Random(Ed25519Signer.SeedSize);
        using var signer = new Ed25519Signer(seed.Span);
        var approver = Approver.Of(signer.PublicKey);
        var salt = RandomNumberGenerator.GetBytes(KeySlot.SaltSize);
        using var typed = Utf8(passphrase);
        using var secret = cost.Derive(typed.Span, salt);
        return new ApproverKeyFile(approver, KeySlot.Wrap(KeySlotKind.Passphrase, cost, salt, secret.Span, Binding(approver), seed.Span));
    }

    /// <returns>The caller disposes of it.</returns>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: another passphrase; <c>KeyFileBad</c>: somebody altered it.</exception>
    public Ed25519Signer Open(ReadOnlySpan<char> passphrase)
    {
        using var typed = Utf8(passphrase);
        using var secret = _slot.Stretch(typed.Span);
        if (!_slot.Knows(secret.Span, _binding))
            throw new HoldfastException(ErrorCode.WrongKey, "That passphrase does not open this approval key.", "Type it again (Caps Lock, keyboard layout). Where it is lost, so is the key: the others approve of a new one in its place (`holdfast approval request approvers`).");
        using var seed = new SecretBytes(Ed25519Signer.SeedSize);
        if (!_slot.TryUnwrap(secret.Span, _binding, seed.Span))
            throw Bad();
        var signer = new Ed25519Signer(seed.Span);
        if (signer.PublicKey.SequenceEqual(Approver.PublicKey))
            return signer;
        signer.Dispose();
        throw Bad();
    }

    public byte[] ToArray()
    {
        var writer = new ByteWriter(MaxSize);
        writer.Raw(_binding);
        _slot.Write(writer);
        writer.Raw(Sum(writer.Span));
        return writer.ToArray();
    }

    /// <summary>Total.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ApproverKeyFile? file)
    {
        file = null;
        if (bytes.Length is > MaxSize or < SHA256.HashSizeInBytes || !Sum(bytes[..^SHA256.HashSizeInBytes]).AsSpan().SequenceEqual(bytes[^SHA256.HashSizeInBytes..]))
            return false;
        var reader = new ByteReader(bytes[..^SHA256.HashSizeInBytes]);
        reader.Require(reader.Raw(Magic.Length).SequenceEqual(Magic));
        var key = reader.Raw(Ed25519Signer.PublicKeySize);
        var slot = KeySlot.Read(ref reader);
        if (!reader.IsDone || slot is not { Kind: KeySlotKind.Passphrase })
            return false;
        file = new ApproverKeyFile(Approver.Of(key), slot);
        return true;
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static ApproverKeyFile Parse(ReadOnlySpan<byte> bytes) => TryParse(bytes, out var file) ? file : throw Bad();

    static HoldfastException Bad() => new(ErrorCode.KeyFileBad, "The approval key file is damaged, was altered, or is none.", "Take it from where its owner keeps it. Where it is lost, the others approve of a new one in its place (`holdfast approval request approvers`).");

    static byte[] Sum(ReadOnlySpan<byte> body)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Labels.ApproverKeyFile);
        sha.AppendData(body);
        return sha.GetHashAndReset();
    }

    static SecretBytes Utf8(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty)
            throw new ArgumentException("A passphrase is not empty.", nameof(text));
        var bytes = new SecretBytes(Encoding.UTF8.GetByteCount(text));
        Encoding.UTF8.GetBytes(text, bytes.Span);
        return bytes;
    }
}
