using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>The keyring object of an epoch: sealing public keys in the clear, and, for the holder of the opening seed, the domains' keys and the
/// seeds of earlier epochs (docs/format.md, section 5.4).</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Epoch">Key epoch, from 1.</param>
/// <param name="VaultTime">Seconds since 1970, when it was made.</param>
/// <param name="SealingKeys">Of all epochs, ascending.</param>
/// <param name="Box">Sealed to the keyring key of the epoch.</param>
public sealed record Keyring(Id16 Vault, uint Epoch, ulong VaultTime, IReadOnlyList<SealingKey> SealingKeys, byte[] Box)
{
    const int MaxSealingKeys = 65_536;
    const int MaxDomains = 1_024;
    public const int MaxEarlierSeeds = 1_024; // so the last epoch is 1,025
    const int MaxBox = 1 << 20; // bytes

    /// <summary>Seals a new keyring under an epoch's seed.</summary>
    /// <exception cref="HoldfastException"><c>KeyringFull</c>: no reader would take it.</exception>
    public static byte[] Create(Id16 vault, uint epoch, ulong vaultTime, SecretBytes seed, IEnumerable<SealingKey> sealingKeys,
        IReadOnlyCollection<DomainKeys> domains, IReadOnlyDictionary<uint, SecretBytes> earlierSeeds)
    {
        var secret = new ByteWriter(4096);
        secret.Var((ulong)domains.Count);
        foreach (var domain in domains.OrderBy(d => d.Domain))
            domain.Write(secret);
        secret.Var((ulong)earlierSeeds.Count);
        foreach (var (earlier, earlierSeed) in earlierSeeds.OrderBy(e => e.Key))
        {
            secret.U32(earlier);
            secret.Raw(earlierSeed.Span);
        }
        using var keyPair = KeyPair(seed, vault, epoch);
        var keys = sealingKeys.Order(Comparer<SealingKey>.Create(SealingKey.Compare)).ToList();
        var box = SealedBox.Seal(keyPair.PublicKey, Labels.Keyring, Context(vault, epoch), secret.Span);
        if (earlierSeeds.Count > MaxEarlierSeeds || domains.Count > MaxDomains || keys.Count > MaxSealingKeys || box.Length > MaxBox)
            throw Full(epoch);

        var body = new ByteWriter(4096);
        using var salt = SecretBytes.Random(Hash32.Size);
        body.Raw(salt.Span);
        body.U32(epoch);
        body.U64(vaultTime);
        body.Var((ulong)keys.Count);
        foreach (var key in keys)
            key.Write(body);
        body.Bytes(box);

        return ObjectHeader.Wrap(ObjectType.Keyring, vault, Id16.None, body);
    }

    /// <summary>Before anything is made for another epoch.</summary>
    /// <exception cref="HoldfastException"><c>KeyringFull</c>.</exception>
    public void RequireRoom()
    {
        if (Epoch > MaxEarlierSeeds)
            throw Full(Epoch + 1);
    }

    static HoldfastException Full(uint epoch) => new(ErrorCode.KeyringFull, $"The vault has had {epoch - 1} key epochs, and its keyring has no room for one more. Nothing was changed: the keys that there are go on as they are.",
        "Make a new vault and back up into it from here on; this one is kept, and read with its newest opening key, until its last lock has ended.");

    public static bool TryParse(ReadOnlySpan<byte> bytes, out Keyring? keyring)
    {
        keyring = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Keyring
            || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        reader.Hash();
        var epoch = reader.U32();
        var time = reader.U64();
        var count = reader.Count(MaxSealingKeys);
        var keys = new List<SealingKey>(Math.Min(count, reader.Remaining / XWing.PublicKeySize));
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            if (!SealingKey.TryRead(ref reader, out var key))
                return false;
            reader.Require(i == 0 || SealingKey.Compare(keys[^1], key!) < 0);
            keys.Add(key!);
        }
        var box = reader.Bytes(MaxBox);
        if (!reader.IsDone || epoch == 0)
            return false;
        keyring = new Keyring(header.Vault, epoch, time, keys, box.ToArray());
        return true;
    }

    /// <summary>Opens the box with the seed of this epoch; false for another seed.</summary>
    public bool TryOpen(SecretBytes seed, out List<DomainKeys> domains, out Dictionary<uint, SecretBytes> earlierSeeds)
    {
        domains = [];
        earlierSeeds = [];
        using var keyPair = KeyPair(seed, Vault, Epoch);
        if (!SealedBox.TryOpen(keyPair, Labels.Keyring, Context(Vault, Epoch), Box, out var secret))
            return false;
        using (secret)
        {
            var reader = new ByteReader(secret.Span);
            var count = reader.Count(MaxDomains);
            for (var i = 0; i < count && !reader.Failed; i++)
            {
                if (DomainKeys.TryRead(ref reader, out var keys))
                    domains.Add(keys!);
            }
            var seeds = reader.Count(MaxEarlierSeeds);
            for (var i = 0; i < seeds && !reader.Failed; i++)
            {
                var epoch = reader.U32();
                var earlier = reader.Raw(Kdf.KeySize);
                if (!reader.Failed)
                    earlierSeeds[epoch] = new SecretBytes(earlier);
            }
            return reader.IsDone;
        }
    }

    static XWingPrivateKey KeyPair(SecretBytes seed, Id16 vault, uint epoch)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.U32(epoch);
        using var keySeed = Kdf.DeriveKey(seed.Span, Labels.KeyringSeed, context.Span);
        return new XWingPrivateKey(keySeed.Span);
    }

    static byte[] Context(Id16 vault, uint epoch)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.U32(epoch);
        return context.ToArray();
    }
}
