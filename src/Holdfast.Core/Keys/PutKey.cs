using System.Text;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Keys;

/// <summary>What a machine needs to back up, and no more: the domain's naming keys, public sealing keys and the name it writes under.
/// Its holder can neither list nor read.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="LogKey">Verifier key of the vault's log: the holder refuses a log signed by another.</param>
/// <param name="Domain">Dedup, index and cutter keys.</param>
/// <param name="SealingKeys">Public keys to seal to; ascending as in a keyring, in whatever order they are given.</param>
/// <param name="Writer">Writer id that its packs carry.</param>
/// <param name="WriterEpoch">Writer epoch.</param>
public sealed record PutKey(Id16 Vault, string LogKey, DomainKeys Domain, IReadOnlyList<SealingKey> SealingKeys, Id16 Writer, uint WriterEpoch)
    : IDisposable
{
    const string FirstLine = "holdfast put key v1";
    const int MaxKeys = 65_536;

    public IReadOnlyList<SealingKey> SealingKeys { get; init => field = Ascending(value); } = Ascending(SealingKeys);

    static List<SealingKey> Ascending(IEnumerable<SealingKey> keys) => [.. keys.Order(Comparer<SealingKey>.Create(SealingKey.Compare))];

    /// <summary>The newest key of a class for a source: its own where it has one, else the domain's.</summary>
    public SealingKey SealingKeyFor(KeyClass keyClass, Id16 source) =>
        SealingKeys.Where(k => k.Domain == Domain.Domain && k.Class == keyClass && (k.Source == source || k.Source.IsNone))
            .OrderByDescending(k => k.Source == source).ThenByDescending(k => k.Epoch).First();

    public byte[] ToText()
    {
        var body = new ByteWriter(8192);
        body.Id(Vault);
        body.Bytes(Encoding.ASCII.GetBytes(LogKey));
        Domain.Write(body);
        body.Var((ulong)SealingKeys.Count);
        foreach (var key in SealingKeys)
            key.Write(body);
        body.Id(Writer);
        body.U32(WriterEpoch);
        return KeyText.Write(FirstLine, body.Span);
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static PutKey Parse(ReadOnlySpan<byte> text)
    {
        var reader = new ByteReader(KeyText.Read(FirstLine, text));
        var vault = reader.Id();
        var logKey = Encoding.ASCII.GetString(reader.Bytes(1024));
        DomainKeys.TryRead(ref reader, out var domain);
        var count = reader.Count(MaxKeys);
        var keys = new List<SealingKey>();
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            if (SealingKey.TryRead(ref reader, out var key))
                keys.Add(key!);
        }
        var writer = reader.Id();
        var epoch = reader.U32();
        if (!reader.IsDone || domain is null || Enum.GetValues<KeyClass>().Any(c => !keys.Exists(k => k.Class == c && k.Source.IsNone)))
            throw KeyText.Bad("The put key file is of another version, or damaged.");
        return new PutKey(vault, logKey, domain, keys, writer, epoch);
    }

    public void Dispose() => Domain.Dispose();
}
