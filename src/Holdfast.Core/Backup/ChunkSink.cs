using System.Runtime.InteropServices;
using Holdfast.Core.Chunking;
using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Backup;

/// <summary>What all threads of a run share about chunks: which are known, which this session has claimed, which packs are used. Safe for concurrent use.</summary>
/// <remarks>A claim is held in memory until its pack is durable and there are enough of them for a run of the index: memory does not grow with what is new.</remarks>
/// <param name="index">Where chunks are found.</param>
/// <param name="session">Where new ones go.</param>
/// <param name="parent">Packs of the parent snapshot: what lies elsewhere and is used is told in the snapshot's references.</param>
/// <param name="indexFrom">Chunks of durable packs that become a run together.</param>
sealed class ChunkSink(ChunkIndex index, PackSession session, Snapshots.PackSet parent, int indexFrom)
{
    readonly SessionChunks _claimed = new();
    readonly List<WrittenPack> _stored = [];
    long _storedChunks;
    int _flushes;
    readonly HashSet<Hash32> _own = []; // packs of this session that are durable
    readonly HashSet<int> _parentPacks = [.. index.NumbersOf(parent.ToList().Select(p => p.Name))];

    public ChunkIndex Index => index;
    public PackSession Session => session;
    public DomainKeys Domain => session.Put.Domain;
    public Cutter Cutter { get; } = new(session.Put.Domain.Cutter.Span);

    /// <summary>True for the one caller that must store the chunk. A chunk that lies in the vault marks its pack as used.</summary>
    public bool MustStore(Hash32 id, PackUse use)
    {
        var before = Volatile.Read(ref _flushes);
        if (IsIndexed(id, use) || !_claimed.Claim(id.Prefix))
            return false;
        // Between the two it may have gone from the claims to the index.
        return before == Volatile.Read(ref _flushes) || !IsIndexed(id, use);
    }

    bool IsIndexed(Hash32 id, PackUse use)
    {
        if (!index.TryFind(id, out var place))
            return false;
        use.Mark(place.Pack);
        if (!_parentPacks.Contains(place.Pack))
            use.References.Add(id); // those of this session's packs are sorted out at the end
        return true;
    }

    /// <summary>True where a run of this session names the chunk in a pack that this session wrote.</summary>
    public bool IsOwn(Hash32 id)
    {
        lock (_stored)
            return index.TryFind(id, out var place) && _own.Contains(index.Pack(place.Pack).Name);
    }

    /// <summary>A pack of this session is durable. For one thread.</summary>
    public void Stored(WrittenPack pack)
    {
        lock (_stored)
        {
            _stored.Add(pack);
            _own.Add(pack.Name);
            _storedChunks += pack.Ids.Length;
            if (_storedChunks >= indexFrom)
                Flush();
        }
    }

    /// <summary>Gives what is durable to the index, and forgets the claims.</summary>
    public void Flush()
    {
        lock (_stored)
        {
            try
            {
                index.Add([.. _stored.Select(p => (new IndexedPack(p.Name, p.Class, p.Ends), p.Ids))]);
            }
            catch (Exception e) when (Storage.DiskFault.IsOfFile(e) || e is HoldfastException { Code: ErrorCode.IndexDamaged })
            {
                return; // a cache: the claims stay, and the next run reads the footers
            }
            Interlocked.Increment(ref _flushes);
            _claimed.Remove(_stored.SelectMany(p => p.Ids).Select(id => id.Prefix).ToHashSet());
            _stored.Clear();
            _storedChunks = 0;
        }
    }

    /// <summary>True where the chunk is in the vault or on its way; marks its pack as used.</summary>
    public bool IsKnown(UInt128 id, PackUse use)
    {
        if (index.TryFind(id, out var place))
        {
            use.Mark(place.Pack);
            return true;
        }
        return _claimed.Contains(id);
    }
}

/// <summary>Which packs of the index one thread has met. Not safe for concurrent use.</summary>
sealed class PackUse
{
    bool[] _used = new bool[1024];

    public void Mark(int pack)
    {
        if (pack >= _used.Length)
            Array.Resize(ref _used, Math.Max(pack + 1, 2 * _used.Length));
        _used[pack] = true;
    }

    /// <summary>Chunks used that lie in packs neither of the parent nor of this session.</summary>
    public HashSet<Hash32> References { get; } = [];

    public IEnumerable<int> Packs => Enumerable.Range(0, _used.Length).Where(p => _used[p]);
}

/// <summary>What one thread needs to turn bytes into stored chunks: a pack writer per class, its statistics, its buffers.</summary>
sealed class ChunkWorker(ChunkSink sink, KeyClass keyClass, int level) : IDisposable
{
    readonly ChunkNamer _namer = new(sink.Domain, keyClass);
    readonly List<int> _newLengths = [];
    readonly List<Hash32> _newIds = [];
    Hash32[] _allIds = [];

    public ChunkSink Sink => sink;
    public PackWriter Packs { get; } = new(sink.Session, keyClass, level);
    public PackUse Use { get; } = new();
    public Snapshots.RunStatistics Statistics { get; } = new();

    /// <summary>Bytes this thread has read, and bytes of chunks it stored.</summary>
    public long BytesRead { get; set; }
    public long BytesStored { get; set; }

    /// <summary>Names a chunk, stores it where it is not known yet, and returns its digest and id.</summary>
    public Hash32 Store(ReadOnlySpan<byte> chunk, Snapshots.ContentKind kind, out UInt128 id, DigestKind named = DigestKind.Whole)
    {
        var (digest, whole) = _namer.Name(chunk, named);
        id = whole.Prefix;
        if (sink.MustStore(whole, Use))
        {
            Statistics.Sample(kind, chunk);
            Packs.Add(chunk, whole, named);
            BytesStored += chunk.Length;
        }
        return digest;
    }

    /// <summary>Names chunks of kind whole that lie one after the other, many at once, and stores those that are not known yet.</summary>
    /// <param name="joined">Their bytes, each under <see cref="PackWriter.SharedLimit"/>; moved together where some are known, so that what is there afterwards means nothing.</param>
    /// <param name="lengths">Of each, bytes, 1 or more.</param>
    /// <param name="kinds">What kind of file each is from.</param>
    /// <param name="digests">Filled.</param>
    /// <param name="ids">Filled.</param>
    public void StoreAll(Span<byte> joined, ReadOnlySpan<int> lengths, ReadOnlySpan<Snapshots.ContentKind> kinds, Span<Hash32> digests, Span<UInt128> ids)
    {
        if (_allIds.Length < lengths.Length)
            _allIds = new Hash32[lengths.Length];
        _namer.Digests(joined, lengths, digests);
        _namer.Ids(digests[..lengths.Length], _allIds);
        _newLengths.Clear();
        _newIds.Clear();
        var (at, kept) = (0, 0);
        for (var i = 0; i < lengths.Length; i++)
        {
            var chunk = joined.Slice(at, lengths[i]);
            at += chunk.Length;
            var id = _allIds[i];
            ids[i] = id.Prefix;
            if (!sink.MustStore(id, Use))
                continue;
            Statistics.Sample(kinds[i], chunk);
            chunk.CopyTo(joined[kept..]);
            kept += chunk.Length;
            _newLengths.Add(chunk.Length);
            _newIds.Add(id);
        }
        Packs.AddAll(joined[..kept], CollectionsMarshal.AsSpan(_newLengths), CollectionsMarshal.AsSpan(_newIds));
        BytesStored += kept;
    }

    public void Dispose()
    {
        Packs.Dispose();
        _namer.Dispose();
    }
}
