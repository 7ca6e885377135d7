using System.Collections.Concurrent;
using System.Globalization;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>What a reader holds: the domains' symmetric keys, and a way to session keys of the classes and sources it may open.</summary>
/// <remarks>Session keys are cached: a session has many packs and one decapsulation. Safe for concurrent use.</remarks>
public abstract class ReadingKeys(Id16 vault) : IDisposable
{
    readonly ConcurrentDictionary<(Id16, Id16, KeyClass, uint), SecretBytes?> _sessions = new();

    public Id16 Vault { get; } = vault;

    public abstract IReadOnlyCollection<DomainKeys> Domains { get; }

    /// <summary>The X-Wing private key behind a sealing key id, or null where this holder has none. The caller does not dispose of it.</summary>
    protected abstract XWingPrivateKey? PrivateKey(SessionSeal seal);

    /// <summary>A copy of the key of one pack or section where this holder has it without any private key.</summary>
    /// <param name="name">The pack's salt, or the snapshot's id.</param>
    /// <param name="keyClass">Class it is sealed for.</param>
    protected virtual SecretBytes? KnownKey(Id16 name, KeyClass keyClass) => null;

    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: a domain this key does not cover.</exception>
    public DomainKeys Domain(Id16 domain) => Domains.FirstOrDefault(d => d.Domain == domain) ?? throw TooNarrow("domain");

    /// <summary>The key of a pack's frames, or null where this holder may not open them; the caller disposes of it.</summary>
    /// <param name="seal">From the pack's header.</param>
    /// <param name="salt">The pack's.</param>
    public SecretBytes? PackKey(SessionSeal seal, Id16 salt) => KnownKey(salt, seal.Class) ?? (Find(seal) is { } session ? SessionSeal.PackKey(session, salt) : null);

    /// <summary>The key of a snapshot's sealed section; the caller disposes of it.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: this key opens other classes, sources or epochs only.</exception>
    public SecretBytes SectionKey(SessionSeal seal, byte section, Id16 snapshot) =>
        KnownKey(snapshot, seal.Class) ?? (Find(seal) is { } session
            ? SessionSeal.SectionKey(session, section, snapshot)
            : throw TooNarrow(string.Create(CultureInfo.InvariantCulture, $"{seal.Class.ToString().ToLowerInvariant()} class of key epoch {seal.Epoch}")));

    SecretBytes? Find(SessionSeal seal) =>
        // A session takes a new secret after at most an hour, so the ciphertext's own bytes are part of the cache key.
        _sessions.GetOrAdd((seal.Session, new Id16(seal.Ciphertext.AsSpan(0, Id16.Size)), seal.Class, seal.Epoch), static (_, context) =>
        {
            var (keys, seal) = context;
            if (keys.PrivateKey(seal) is not { } key)
                return null;
            using var shared = key.Decapsulate(seal.Ciphertext);
            return seal.SessionKey(keys.Vault, shared);
        }, (this, seal));

    static HoldfastException TooNarrow(string what) => new(ErrorCode.KeyTooNarrow,
        $"This key does not open the {what}, which was asked for.",
        "Use the opening key of that epoch or a later one (key file, passphrase or recovery shares), or a scoped key cut for this source and class: listing names takes the tree class; contents come back with the opening key alone. A key cut for one source opens what was there on that day; for later snapshots cut it anew.");

    protected virtual void Dispose(bool disposing)
    {
        foreach (var key in _sessions.Values)
            key?.Dispose();
        _sessions.Clear();
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }
}
