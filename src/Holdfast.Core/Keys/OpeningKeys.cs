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

    protected override XWingPrivateKey? PrivateKey(SessionSeal seal)
    {
        if (!_sealing.TryGetValue(seal.SealingKeyId, out var key) || key.Class != seal.Class || key.Domain != seal.Domain
            || !_seeds.TryGetValue(key.Epoch, out var seed))
            return null;
        return _private.GetOrAdd(seal.SealingKeyId, _ => new Lazy<XWingPrivateKey>(() =>
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
