using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Crypto;

/// <summary>The small replaceable file that wraps a vault's opening seed, once for each passphrase or raw key. Immutable: every change
/// gives a new file. Losing it loses nothing while enough recovery shares exist.</summary>
/// <remarks>
/// Layout (integers little-endian):
/// <code>
/// magic      76   "HFKEYS1 Holdfast opening key file. Keep copies of it with the recovery kit.\n"
/// vault id   16
/// epoch       4   u32
/// slots       1   u8, 0 to 16; then each:
///   kind      1   1 passphrase, 2 raw key   \
///   salt     16   random                     | the slot's header
///   cost     12   kind 1 only: memory KiB    |
///                 u32, passes u32, lanes u32 /
///   check    16
///   wrapped  48   AES-256-GCM of the seed (32) and its tag (16)
/// sum        32   SHA-256("holdfast/v1/key-file" ‖ all before)
/// </code>
/// secret = Argon2id(UTF-8 of the passphrase, salt, cost), 32 bytes; or the 32 bytes of the raw key.
/// context = vault id ‖ epoch ‖ header. check = first 16 bytes of <see cref="Kdf"/>(secret, <see cref="Labels.KeySlotCheck"/>, context);
/// wrap key = <see cref="Kdf"/>(secret, <see cref="Labels.KeySlot"/>, context), nonce zero, AAD = context.
/// So: the sum fails on damage, the check on a wrong secret, and the seal only on a file that someone altered and summed anew.
/// </remarks>
public sealed class OpeningKeyFile
{
    public const int SeedSize = 32; // bytes
    public const int RawKeySize = 32; // bytes
    public const int MaxSlots = 16;
    public const int MaxSize = 4096; // bytes, above what 16 slots take

    static ReadOnlySpan<byte> Magic => "HFKEYS1 Holdfast opening key file. Keep copies of it with the recovery kit.\n"u8;

    readonly byte[] _binding; // vault id ‖ epoch: what every slot is bound to
    readonly KeySlot[] _slots;

    OpeningKeyFile(Id16 vaultId, uint epoch, KeySlot[] slots)
    {
        (VaultId, Epoch, _slots) = (vaultId, epoch, slots);
        var w = new ByteWriter(Id16.Size + sizeof(uint));
        w.Id(vaultId);
        w.U32(epoch);
        _binding = w.ToArray();
    }

    /// <summary>A file without slots.</summary>
    /// <param name="vaultId">The vault it opens.</param>
    /// <param name="epoch">Which opening seed of the vault this is.</param>
    public static OpeningKeyFile Create(Id16 vaultId, uint epoch) => new(vaultId, epoch, []);

    public Id16 VaultId { get; }
    public uint Epoch { get; }
    public IReadOnlyList<KeySlot> Slots => _slots;

    /// <param name="seed">The opening seed, 32 bytes.</param>
    /// <param name="passphrase">Not empty. Its UTF-8 bytes count as they are typed: no trimming, no Unicode normalisation.</param>
    /// <param name="cost">Within the limits of <see cref="Argon2Cost"/>.</param>
    public OpeningKeyFile AddPassphrase(ReadOnlySpan<byte> seed, ReadOnlySpan<char> passphrase, Argon2Cost cost)
    {
        if (passphrase.IsEmpty)
            throw new ArgumentException("A passphrase is not empty.", nameof(passphrase));
        if (!cost.IsWithinLimits)
            throw new ArgumentOutOfRangeException(nameof(cost));
        using var bytes = ToUtf8(passphrase);
        var salt = RandomNumberGenerator.GetBytes(KeySlot.SaltSize);
        using var secret = cost.Derive(bytes.Span, salt);
        return Add(KeySlotKind.Passphrase, cost, salt, secret.Span, seed);
    }

    /// <param name="seed">The opening seed, 32 bytes.</param>
    /// <param name="rawKey">32 random bytes: <see cref="RawKey"/>.</param>
    public OpeningKeyFile AddRawKey(ReadOnlySpan<byte> seed, ReadOnlySpan<byte> rawKey)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(rawKey.Length, RawKeySize);
        return Add(KeySlotKind.RawKey, default, RandomNumberGenerator.GetBytes(KeySlot.SaltSize), rawKey, seed);
    }

    /// <summary>The old file still opens with the removed secret: whoever has a copy of it and the secret keeps the seed.</summary>
    public OpeningKeyFile WithoutSlot(int index) => new(VaultId, Epoch, [.. _slots[..index], .. _slots[(index + 1)..]]);

    /// <returns>The opening seed; the caller disposes of it.</returns>
    /// <exception cref="HoldfastException"><see cref="ErrorCode.WrongKey"/>: no slot opens with it; <see cref="ErrorCode.KeyFileBad"/>: a
    /// slot knows the passphrase but its seal is broken, or too little memory.</exception>
    public SecretBytes OpenWithPassphrase(ReadOnlySpan<char> passphrase)
    {
        using var bytes = ToUtf8(passphrase);
        foreach (var slot in _slots.Where(s => s.Kind is KeySlotKind.Passphrase))
        {
            using var secret = slot.Stretch(bytes.Span);
            if (slot.Knows(secret.Span, _binding))
                return Unwrap(slot, secret.Span);
        }
        throw WrongKey("passphrase", KeySlotKind.Passphrase);
    }

    /// <inheritdoc cref="OpenWithPassphrase"/>
    public SecretBytes OpenWithRawKey(ReadOnlySpan<byte> rawKey)
    {
        if (rawKey.Length == RawKeySize)
            foreach (var slot in _slots)
                if (slot.Kind is KeySlotKind.RawKey && slot.Knows(rawKey, _binding))
                    return Unwrap(slot, rawKey);
        throw WrongKey("raw key", KeySlotKind.RawKey);
    }

    /// <exception cref="HoldfastException"><see cref="ErrorCode.WrongVault"/>.</exception>
    public void RequireVault(Id16 vaultId)
    {
        if (VaultId != vaultId)
            throw new HoldfastException(ErrorCode.WrongVault,
                $"The key file is for vault {VaultId}, not for {vaultId}.",
                "Use the key file that was made with this vault; recovery shares rebuild it: `holdfast recover-key`.");
    }

    public byte[] ToArray()
    {
        var w = new ByteWriter(MaxSize);
        w.Raw(Magic);
        w.Raw(_binding);
        w.U8((byte)_slots.Length);
        foreach (var slot in _slots)
            slot.Write(w);
        w.Raw(Sum(w.Span));
        return w.ToArray();
    }

    /// <summary>Total on hostile bytes. One file has one spelling.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out OpeningKeyFile? file)
    {
        file = null;
        if (bytes.Length > MaxSize || bytes.Length < Magic.Length + SHA256.HashSizeInBytes)
            return false;
        var body = bytes[..^SHA256.HashSizeInBytes];
        if (!Sum(body).AsSpan().SequenceEqual(bytes[body.Length..]))
            return false;

        var r = new ByteReader(body);
        r.Require(r.Raw(Magic.Length).SequenceEqual(Magic));
        var vaultId = r.Id();
        var epoch = r.U32();
        int count = r.U8();
        r.Require(count <= MaxSlots);
        var slots = new List<KeySlot>();
        for (var i = 0; i < count && !r.Failed; i++)
            if (KeySlot.Read(ref r) is { } slot)
                slots.Add(slot);
        if (!r.IsDone)
            return false;
        file = new OpeningKeyFile(vaultId, epoch, [.. slots]);
        return true;
    }

    /// <exception cref="HoldfastException"><see cref="ErrorCode.KeyFileBad"/>.</exception>
    public static OpeningKeyFile Parse(ReadOnlySpan<byte> bytes) => TryParse(bytes, out var file)
        ? file
        : throw new HoldfastException(ErrorCode.KeyFileBad, "The opening key file is damaged, cut short, or not one.",
            "Copy it again from where another copy of the key folder is kept. Recovery shares open the vault without it: " +
            "`holdfast recover-key`.");

    OpeningKeyFile Add(KeySlotKind kind, Argon2Cost cost, byte[] salt, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> seed)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(seed.Length, SeedSize);
        if (_slots.Length == MaxSlots)
            throw new InvalidOperationException($"A key file has {MaxSlots} slots at most.");
        return new OpeningKeyFile(VaultId, Epoch, [.. _slots, KeySlot.Wrap(kind, cost, salt, secret, _binding, seed)]);
    }

    SecretBytes Unwrap(KeySlot slot, ReadOnlySpan<byte> secret)
    {
        var seed = new SecretBytes(SeedSize);
        if (slot.TryUnwrap(secret, _binding, seed.Span))
            return seed;
        seed.Dispose();
        throw new HoldfastException(ErrorCode.KeyFileBad, $"Slot {slot.Name} knows this secret, but what it wraps was altered.",
            "Copy the key file again from the keeper, the clean room or the recovery kit, and find out who changed this one.");
    }

    HoldfastException WrongKey(string what, KeySlotKind kind) => new(ErrorCode.WrongKey,
        kind == KeySlotKind.RawKey ? _slots.Any(s => s.Kind == kind) ? "The opening secret does not fit this opening key." : "This opening key takes a passphrase, and no secret."
            : _slots.Any(s => s.Kind == kind) ? $"The {what} does not open this key file." : $"This opening key takes a secret, and no {what}.",
        (kind == KeySlotKind.Passphrase && _slots.Any(s => s.Kind == kind) ? "Type it again (Caps Lock, keyboard layout), or look at the file that --passphrase-file names. If that is not it: " : "")
        + $"Check that it belongs to this vault and this epoch: a rotation may have made a new one{(_slots.Any(s => s.Kind == KeySlotKind.RawKey) ? " (--opening-secret FILE)" : "")}. Recovery shares open the vault without it: `holdfast recover-key`.");

    static byte[] Sum(ReadOnlySpan<byte> body)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Labels.KeyFile);
        sha.AppendData(body);
        return sha.GetHashAndReset();
    }

    static SecretBytes ToUtf8(ReadOnlySpan<char> text)
    {
        var bytes = new SecretBytes(Encoding.UTF8.GetByteCount(text));
        Encoding.UTF8.GetBytes(text, bytes.Span);
        return bytes;
    }
}
