using System.Security.Cryptography;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>The symmetric keys of one trust domain: dedup by generation, index, cutter (docs/format.md, section 5.1). They name and find chunks; they open
/// neither names nor content. Safe for concurrent use.</summary>
public sealed class DomainKeys : IDisposable
{
    public const int CutterKeySize = 16; // bytes
    const int MaxGenerations = 256;
    const int SessionRandom = 8; // bytes

    readonly SortedList<uint, SecretBytes> _dedup;

    DomainKeys(Id16 domain, SecretBytes index, SecretBytes cutter, SortedList<uint, SecretBytes> dedup)
    {
        Domain = domain;
        Index = index;
        Cutter = cutter;
        _dedup = dedup;
    }

    public static DomainKeys Create() =>
        new(Id16.New(), SecretBytes.Random(Kdf.KeySize), SecretBytes.Random(CutterKeySize), new() { [1] = SecretBytes.Random(Kdf.KeySize) });

    public Id16 Domain { get; }
    public SecretBytes Index { get; }
    public SecretBytes Cutter { get; }

    /// <summary>The generation new chunks are named under.</summary>
    public uint Generation => _dedup.Keys[^1];

    /// <summary>Newest first: the order in which a reader tries.</summary>
    public IEnumerable<uint> Generations => _dedup.Keys.Reverse();

    public bool HasGeneration(uint generation) => _dedup.ContainsKey(generation);

    public Hash32 ChunkId(KeyClass keyClass, Hash32 digest, DigestKind kind = DigestKind.Whole) => ChunkId(keyClass, digest, Generation, kind);

    /// <summary>HMAC under a dedup key over label, class and digest (docs/format.md, section 6.1).</summary>
    /// <exception cref="KeyNotFoundException">No such generation.</exception>
    public Hash32 ChunkId(KeyClass keyClass, Hash32 digest, uint generation, DigestKind kind = DigestKind.Whole)
    {
        var label = IdLabel(kind);
        Span<byte> message = stackalloc byte[label.Length + 1 + Hash32.Size];
        label.CopyTo(message);
        message[label.Length] = (byte)keyClass;
        digest.CopyTo(message[(label.Length + 1)..]);
        Span<byte> id = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(_dedup[generation].Span, message, id);
        return new Hash32(id);
    }

    internal static ReadOnlySpan<byte> IdLabel(DigestKind kind) => kind == DigestKind.Blocks ? Labels.BlockChunkId : Labels.ChunkId;

    /// <summary>HMAC under the newest dedup key, for naming many chunks; the caller disposes of it.</summary>
    internal IncrementalHash ChunkIdHash() => IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _dedup[Generation].Span);

    /// <summary>The same, of many digests behind one prefix at once; the caller disposes of it. Where <see cref="Lanes.AreUsable"/>.</summary>
    internal LaneHmac ChunkIdHashes(ReadOnlySpan<byte> prefix) => new(_dedup[Generation].Span, prefix);

    /// <summary>A source's id: a keyed derivation, so that neither log nor snapshot tells its name (docs/format.md, section 10.1).</summary>
    public Id16 SourceId(ReadOnlySpan<byte> name)
    {
        var writer = new ByteWriter();
        writer.Raw(Labels.SourceId);
        writer.Id(Domain);
        writer.Raw(name);
        Span<byte> mac = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(Index.Span, writer.Span, mac);
        return new Id16(mac[..Id16.Size]);
    }

    /// <summary>A session's id: half of it random, half a keyed tag of that, the source and the agent, so that a holder of the index key tells whose packs are whose without a list (docs/format.md, section 10.1).</summary>
    public Id16 NewSession(Id16 source, Id16 agent)
    {
        Span<byte> id = stackalloc byte[Id16.Size];
        RandomNumberGenerator.Fill(id[..SessionRandom]);
        SessionTag(source, agent, id[..SessionRandom], id[SessionRandom..]);
        return new Id16(id);
    }

    /// <summary>True where the session was begun for that source by that agent.</summary>
    public bool IsSessionOf(Id16 session, Id16 source, Id16 agent)
    {
        Span<byte> id = stackalloc byte[Id16.Size];
        Span<byte> tag = stackalloc byte[Id16.Size - SessionRandom];
        session.CopyTo(id);
        SessionTag(source, agent, id[..SessionRandom], tag);
        return CryptographicOperations.FixedTimeEquals(tag, id[SessionRandom..]);
    }

    internal void SessionTag(Id16 source, Id16 agent, ReadOnlySpan<byte> random, Span<byte> tag)
    {
        var writer = new ByteWriter();
        writer.Raw(Labels.SessionId);
        writer.Id(Domain);
        writer.Id(source);
        writer.Id(agent);
        writer.Raw(random);
        Span<byte> mac = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(Index.Span, writer.Span, mac);
        mac[..tag.Length].CopyTo(tag);
    }

    /// <summary>A key for one purpose on this machine, such as the state file; not part of the format.</summary>
    public SecretBytes LocalKey(ReadOnlySpan<byte> label) => Kdf.DeriveKey(Index.Span, label, default);

    public void Write(ByteWriter writer)
    {
        writer.Id(Domain);
        writer.Raw(Index.Span);
        writer.Raw(Cutter.Span);
        writer.Var((ulong)_dedup.Count);
        foreach (var (generation, key) in _dedup)
        {
            writer.U32(generation);
            writer.Raw(key.Span);
        }
    }

    public static bool TryRead(ref ByteReader reader, out DomainKeys? keys)
    {
        keys = null;
        var domain = reader.Id();
        var index = reader.Raw(Kdf.KeySize);
        var cutter = reader.Raw(CutterKeySize);
        var count = reader.Count(MaxGenerations);
        reader.Require(count > 0);
        if (reader.Failed)
            return false;
        var dedup = new SortedList<uint, SecretBytes>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var generation = reader.U32();
            var key = reader.Raw(Kdf.KeySize);
            reader.Require(generation > 0 && (i == 0 || generation > dedup.Keys[^1]));
            if (!reader.Failed)
                dedup.Add(generation, new SecretBytes(key));
        }
        if (reader.Failed)
            return false;
        keys = new DomainKeys(domain, new SecretBytes(index), new SecretBytes(cutter), dedup);
        return true;
    }

    public void Dispose()
    {
        Index.Dispose();
        Cutter.Dispose();
        foreach (var key in _dedup.Values)
            key.Dispose();
    }
}
