using System.Collections.Concurrent;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>Everything the opening seed of an epoch opens: that epoch and all before it.</summary>
public sealed class OpeningKeys : ReadingKeys
{
    readonly Dictionary<uint, SecretBytes> _seeds;
    readonly List<DomainKeys> _domains;
    readonly Dictionary<Id16, SealingKey> _sealing;
    readonly ConcurrentDictionary<Id16, Lazy<XWingPrivateKey>> _private = new();

    OpeningKeys(Keyring keyring, Dictionary<uint, SecretBytes> seeds, List<DomainKeys> domains) : base(keyring.Vault)
    {
        Keyring = keyring;
        _seeds = seeds;
        _domains = domains;
        _sealing = keyring.SealingKeys.ToDictionary(k => k.KeyId);
    }

    public Keyring Keyring { get; }
    public override IReadOnlyCollection<DomainKeys> Domains => _domains;

    /// <summary>The opening seed of the keyring's own epoch.</summary>
    public SecretBytes Seed => _seeds[Keyring.Epoch];

    public IReadOnlyDictionary<uint, SecretBytes> Seeds => _seeds;

    /// <summary>The newest key epoch that the vault's log tells of, where it was asked: no sound writer seals to a later one.</summary>
    internal ulong NewestEpoch { get; set; } = ulong.MaxValue;

    public override bool OpensAllLike(SessionSeal seal) => (seal.Epoch == 0 || _seeds.ContainsKey(seal.Epoch) || seal.Epoch > NewestEpoch) && _domains.Exists(d => d.Domain == seal.Domain);

    /// <summary>Opens a keyring with the seed of its epoch. The seed is copied.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: the seed is of another vault or epoch.</exception>
    public static OpeningKeys Open(Keyring keyring, SecretBytes seed)
    {
        if (!keyring.TryOpen(seed, out var domains, out var seeds))
            throw new HoldfastException(ErrorCode.WrongKey,
                $"This opening key does not open epoch {keyring.Epoch} of vault {keyring.Vault}.",
                "Use the opening key, key file or recovery shares made for this vault since its keys were last rotated.");
        seeds[keyring.Epoch] = new SecretBytes(seed.Span);
        return new OpeningKeys(keyring, seeds, domains);
    }

    public override ErasureKey? ErasureKey(Id16 domain, uint epoch, Id16 source) => _seeds.TryGetValue(epoch, out var seed) ? Keys.ErasureKey.Of(seed, Vault, epoch, domain, source) : null;

    internal override SealingKey TreeKeyFor(Id16 domain, Id16 source) => TreeKeyFor(Keyring, domain, source);

    /// <summary>The same for who has the keyring alone.</summary>
    internal static SealingKey TreeKeyFor(Keyring keyring, Id16 domain, Id16 source) => keyring.SealingKeys.Where(k => k.Class == KeyClass.Tree && k.Domain == domain && (k.Source == source || k.Source.IsNone))
        .OrderByDescending(k => k.Source == source).ThenByDescending(k => k.Epoch).First();

    /// <summary>Opens words that a leaf names.</summary>
    /// <returns>The caller disposes of it; null where they are sealed to other keys, or are none of that type of leaf.</returns>
    public SecretBytes? Open(SealedWords words, byte leafType) =>
        words.Vault == Vault && PrivateKey(words.Key, KeyClass.Tree, words.Domain) is { } key && SealedBox.TryOpen(key, Labels.Payload, SealedWords.Context(words.Vault, words.Domain, leafType), words.Box, out var plain) ? plain : null;

    protected internal override XWingPrivateKey? PrivateKey(SessionSeal seal) => PrivateKey(seal.SealingKeyId, seal.Class, seal.Domain);

    XWingPrivateKey? PrivateKey(Id16 keyId, KeyClass keyClass, Id16 domain)
    {
        if (!_sealing.TryGetValue(keyId, out var key) || key.Class != keyClass || key.Domain != domain || !_seeds.TryGetValue(key.Epoch, out var seed))
            return null;
        return _private.GetOrAdd(keyId, _ => new Lazy<XWingPrivateKey>(() =>
        {
            using var keySeed = SealingKey.Seed(seed, Vault, key.Epoch, key.Domain, key.Class, key.Source);
            return new XWingPrivateKey(keySeed.Span);
        })).Value;
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        foreach (var seed in _seeds.Values)
            seed.Dispose();
        foreach (var domain in _domains)
            domain.Dispose();
        foreach (var key in _private.Values)
            key.Value.Dispose();
    }
}
