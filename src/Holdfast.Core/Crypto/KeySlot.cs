using Holdfast.Core.Codec;

namespace Holdfast.Core.Crypto;

/// <summary>How a slot of the opening key file is opened. Numbers are on disk: they only ever grow.</summary>
public enum KeySlotKind : byte
{
    Passphrase = 1,
    RawKey = 2,
}

/// <summary>One way to the opening seed. Layout in <see cref="OpeningKeyFile"/>.</summary>
public sealed class KeySlot
{
    internal const int SaltSize = 16;
    internal const int CheckSize = 16;
    internal const int WrappedSize = OpeningKeyFile.SeedSize + Aead.TagSize;

    readonly byte[] _salt;
    readonly byte[] _check;
    readonly byte[] _wrapped;

    KeySlot(KeySlotKind kind, Argon2Cost cost, byte[] salt, byte[] check, byte[] wrapped)
    {
        (Kind, Cost, _salt, _check, _wrapped) = (kind, cost, salt, check, wrapped);
    }

    public KeySlotKind Kind { get; }

    /// <summary>For a passphrase; <c>default</c> for a raw key.</summary>
    public Argon2Cost Cost { get; }

    /// <summary>Tells slots of one file apart, in lists that people read.</summary>
    public string Name => Convert.ToHexStringLower(_salt.AsSpan(0, 4));

    internal static KeySlot Wrap(
        KeySlotKind kind, Argon2Cost cost, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> binding,
        ReadOnlySpan<byte> seed)
    {
        var slot = new KeySlot(kind, cost, salt.ToArray(), new byte[CheckSize], new byte[WrappedSize]);
        var context = slot.Context(binding);
        Kdf.Derive(secret, Labels.KeySlotCheck, context, slot._check);
        using var key = Kdf.DeriveKey(secret, Labels.KeySlot, context);
        Aead.Seal(key.Span, stackalloc byte[Aead.NonceSize], seed, slot._wrapped, context); // zero nonce: the salt makes the key single-use
        return slot;
    }

    internal bool Knows(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> binding)
    {
        using var check = new SecretBytes(CheckSize);
        Kdf.Derive(secret, Labels.KeySlotCheck, Context(binding), check.Span);
        return check.FixedTimeEquals(_check);
    }

    internal bool TryUnwrap(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> binding, Span<byte> seed)
    {
        var context = Context(binding);
        using var key = Kdf.DeriveKey(secret, Labels.KeySlot, context);
        return Aead.TryOpen(key.Span, stackalloc byte[Aead.NonceSize], _wrapped, seed, context);
    }

    internal SecretBytes Stretch(ReadOnlySpan<byte> passphrase) => Cost.Derive(passphrase, _salt);

    // Binding and header: all that is public about the slot. HKDF context and AAD alike, so that nothing of it can be swapped.
    byte[] Context(ReadOnlySpan<byte> binding)
    {
        var w = new ByteWriter(64);
        w.Raw(binding);
        WriteHeader(w);
        return w.ToArray();
    }

    void WriteHeader(ByteWriter w)
    {
        w.U8((byte)Kind);
        w.Raw(_salt);
        if (Kind is not KeySlotKind.Passphrase)
            return;
        w.U32(Cost.MemoryKiB);
        w.U32(Cost.Passes);
        w.U32(Argon2Cost.Lanes);
    }

    internal void Write(ByteWriter w)
    {
        WriteHeader(w);
        w.Raw(_check);
        w.Raw(_wrapped);
    }

    internal static KeySlot? Read(ref ByteReader r)
    {
        var kind = (KeySlotKind)r.U8();
        r.Require(kind is KeySlotKind.Passphrase or KeySlotKind.RawKey);
        var salt = r.Raw(SaltSize);
        var cost = default(Argon2Cost);
        if (kind is KeySlotKind.Passphrase)
        {
            cost = new Argon2Cost(r.U32(), r.U32());
            r.Require(cost.IsWithinLimits && r.U32() == Argon2Cost.Lanes);
        }
        var check = r.Raw(CheckSize);
        var wrapped = r.Raw(WrappedSize);
        return r.Failed ? null : new KeySlot(kind, cost, salt.ToArray(), check.ToArray(), wrapped.ToArray());
    }
}
