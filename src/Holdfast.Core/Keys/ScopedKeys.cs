using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>A key cut for one unattended job: one class, of a whole domain or of one source. Its thief reads that much and no more.</summary>
/// <remarks>For a whole domain it holds the sealing seeds of the class, and so opens what is backed up later too, in the epochs it was cut for. For one source
/// whose packs are sealed to the domain's keys it holds the keys of the packs and sections that source needs today, one by one, and is cut anew when there are
/// more. A pack that several sources share is opened whole.</remarks>
public sealed class ScopedKeys : ReadingKeys
{
    const string FirstLine = "holdfast scoped key v1";
    const int MaxKeys = 1 << 20;

    readonly List<DomainKeys> _domains;
    readonly SortedDictionary<Id16, SecretBytes> _seeds;
    readonly SortedDictionary<Id16, SecretBytes> _objects;
    readonly Dictionary<Id16, XWingPrivateKey> _private;

    /// <param name="vault">Vault id.</param>
    /// <param name="key">Id of this key.</param>
    /// <param name="keyClass">What it opens.</param>
    /// <param name="expiry">When it should be replaced, seconds since 1970; a label, for people.</param>
    /// <param name="domains">Taken over.</param>
    /// <param name="seeds">X-Wing seeds by sealing key id; taken over.</param>
    /// <param name="objects">Keys of single packs by their salt, and of single sections by their snapshot's id; taken over.</param>
    public ScopedKeys(Id16 vault, Id16 key, KeyClass keyClass, ulong expiry, IEnumerable<DomainKeys> domains,
        IReadOnlyDictionary<Id16, SecretBytes> seeds, IReadOnlyDictionary<Id16, SecretBytes> objects) : base(vault)
    {
        Key = key;
        Class = keyClass;
        Expiry = expiry;
        _domains = [.. domains];
        _seeds = new(seeds.ToDictionary());
        _objects = new(objects.ToDictionary());
        _private = seeds.ToDictionary(s => s.Key, s => new XWingPrivateKey(s.Value.Span));
    }

    public Id16 Key { get; }
    public KeyClass Class { get; }
    public ulong Expiry { get; }
    public override IReadOnlyCollection<DomainKeys> Domains => _domains;

    /// <summary>It was cut for a whole domain: it opens what is sealed later too, in the epochs it was cut for.</summary>
    public bool IsOfAll => _objects.Count == 0;

    internal bool Opens(Id16 sealingKey) => _private.ContainsKey(sealingKey);

    protected internal override XWingPrivateKey? PrivateKey(SessionSeal seal) => seal.Class == Class ? _private.GetValueOrDefault(seal.SealingKeyId) : null;

    protected override SecretBytes? KnownKey(Id16 name, KeyClass keyClass) =>
        keyClass == Class && _objects.TryGetValue(name, out var key) ? new SecretBytes(key.Span) : null;

    public byte[] ToText()
    {
        var body = new ByteWriter(4096);
        body.Id(Vault);
        body.Id(Key);
        body.U8((byte)Class);
        body.U64(Expiry);
        body.Var((ulong)_domains.Count);
        foreach (var domain in _domains)
            domain.Write(body);
        foreach (var list in new[] { _seeds, _objects })
        {
            body.Var((ulong)list.Count);
            foreach (var (name, secret) in list)
            {
                body.Id(name);
                body.Raw(secret.Span);
            }
        }
        return KeyText.Write(FirstLine, body.Span);
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static ScopedKeys Parse(ReadOnlySpan<byte> text)
    {
        var reader = new ByteReader(KeyText.Read(FirstLine, text));
        var vault = reader.Id();
        var key = reader.Id();
        var keyClass = reader.U8();
        var expiry = reader.U64();
        reader.Require(keyClass is >= 1 and <= 3);
        var domains = new List<DomainKeys>();
        for (var n = reader.Count(1_024); n > 0 && !reader.Failed; n--)
        {
            if (DomainKeys.TryRead(ref reader, out var domain))
                domains.Add(domain!);
        }
        var seeds = ReadSecrets(ref reader);
        var objects = ReadSecrets(ref reader);
        return reader.IsDone ? new ScopedKeys(vault, key, (KeyClass)keyClass, expiry, domains, seeds, objects) : throw KeyText.Bad("The scoped key file is of another version, or damaged.");
    }

    static Dictionary<Id16, SecretBytes> ReadSecrets(ref ByteReader reader)
    {
        var secrets = new Dictionary<Id16, SecretBytes>();
        for (var n = reader.Count(Math.Min(MaxKeys, reader.Remaining / (Id16.Size + Kdf.KeySize))); n > 0 && !reader.Failed; n--)
        {
            var name = reader.Id();
            var secret = reader.Raw(Kdf.KeySize);
            if (!reader.Failed)
                reader.Require(secrets.TryAdd(name, new SecretBytes(secret)));
        }
        return secrets;
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        foreach (var secret in _seeds.Values.Concat(_objects.Values))
            secret.Dispose();
        foreach (var key in _private.Values)
            key.Dispose();
        foreach (var domain in _domains)
            domain.Dispose();
    }
}
