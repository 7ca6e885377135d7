using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>What a reader holds: the domains' symmetric keys, and a way to session keys of the classes and sources it may open.</summary>
/// <remarks>Session keys are cached: a session has many packs and one decapsulation. Safe for concurrent use.</remarks>
public abstract class ReadingKeys(Id16 vault) : IDisposable
{
    internal const int MaxSessions = 4_096; // whoever may store packs can have each name a session of its own

    readonly Lock _lock = new();
    readonly Dictionary<SealName, SecretBytes> _sessions = [];

    /// <summary>Everything that a session key follows from. A damaged ciphertext, or one that somebody made to begin like another's, has a name of its own.</summary>
    readonly record struct SealName(Id16 Domain, KeyClass Class, uint Epoch, Id16 Session, Id16 SealingKeyId, Hash32 Ciphertext);

    public Id16 Vault { get; } = vault;

    public abstract IReadOnlyCollection<DomainKeys> Domains { get; }

    /// <summary>Session keys that are held.</summary>
    internal int Sessions
    {
        get
        {
            lock (_lock)
                return _sessions.Count;
        }
    }

    /// <summary>The X-Wing private key behind a sealing key id, or null where this holder has none. The caller does not dispose of it.</summary>
    protected internal abstract XWingPrivateKey? PrivateKey(SessionSeal seal);

    /// <summary>A copy of the key of one pack or section where this holder has it without any private key.</summary>
    /// <param name="name">The pack's salt, or the snapshot's id.</param>
    /// <param name="keyClass">Class it is sealed for.</param>
    protected virtual SecretBytes? KnownKey(Id16 name, KeyClass keyClass) => null;

    /// <summary>The key of a source's entries in the erasure register, made in a key epoch; null where this holder has it not. The caller disposes of it.</summary>
    public virtual ErasureKey? ErasureKey(Id16 domain, uint epoch, Id16 source) => null;

    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: a domain this key does not cover.</exception>
    public DomainKeys Domain(Id16 domain) => Domains.FirstOrDefault(d => d.Domain == domain) ?? throw TooNarrow("domain");

    /// <summary>The newest public key of the tree class for a source that this holder opens: its own where it has one, else the domain's.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: it opens none.</exception>
    internal virtual SealingKey TreeKeyFor(Id16 domain, Id16 source) => throw TooNarrow("tree class");

    /// <summary>True where this holder opens whatever a sound writer seals in this domain, class and epoch: what it does not open then, nobody does.</summary>
    public virtual bool OpensAllLike(SessionSeal seal) => false;

    /// <summary>The key of a pack's frames, or null where this holder may not open them; the caller disposes of it.</summary>
    /// <param name="seal">From the pack's header.</param>
    /// <param name="salt">The pack's.</param>
    public SecretBytes? PackKey(SessionSeal seal, Id16 salt)
    {
        if (KnownKey(salt, seal.Class) is { } known)
            return known;
        using var session = SessionKey(seal);
        return session is null ? null : SessionSeal.PackKey(session, salt);
    }

    /// <summary>The key of a snapshot's sealed section; the caller disposes of it.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: this key opens other classes, sources or epochs only.</exception>
    public SecretBytes SectionKey(SessionSeal seal, byte section, Id16 snapshot)
    {
        if (KnownKey(snapshot, seal.Class) is { } known)
            return known;
        using var session = SessionKey(seal);
        return session is not null
            ? SessionSeal.SectionKey(session, section, snapshot)
            : throw TooNarrow(string.Create(CultureInfo.InvariantCulture, $"{seal.Class.ToString().ToLowerInvariant()} class of key epoch {seal.Epoch}"));
    }

    /// <summary>A copy of the session key; the caller disposes of it. Null where this holder has no private key for it.</summary>
    SecretBytes? SessionKey(SessionSeal seal)
    {
        if (PrivateKey(seal) is not { } key)
            return null;
        var name = new SealName(seal.Domain, seal.Class, seal.Epoch, seal.Session, seal.SealingKeyId, new Hash32(SHA256.HashData(seal.Ciphertext)));
        lock (_lock)
        {
            if (_sessions.TryGetValue(name, out var cached))
                return new SecretBytes(cached.Span);
        }
        using var shared = key.Decapsulate(seal.Ciphertext);
        var session = seal.SessionKey(Vault, shared);
        lock (_lock)
        {
            if (_sessions.Count >= MaxSessions)
                Forget();
            if (_sessions.TryAdd(name, session))
                return new SecretBytes(session.Span);
        }
        return session; // another thread had it first
    }

    /// <summary>Under the lock. What was given out are copies.</summary>
    void Forget()
    {
        foreach (var key in _sessions.Values)
            key.Dispose();
        _sessions.Clear();
    }

    static HoldfastException TooNarrow(string what) => new(ErrorCode.KeyTooNarrow,
        $"This key does not open the {what}, which was asked for.",
        "Use the opening key of that epoch or a later one (key file, passphrase or recovery shares), or a scoped key cut for this source and class: listing names takes the tree class; contents come back with the opening key alone. A key cut for one source opens what was there on that day; for later snapshots cut it anew.");

    protected virtual void Dispose(bool disposing)
    {
        lock (_lock)
            Forget();
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }
}
