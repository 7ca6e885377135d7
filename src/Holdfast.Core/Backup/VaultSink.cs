using Holdfast.Core.Chunking;
using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Backup;

/// <summary>Puts chunks into the packs of a vault. What all threads of a run share about them: which are known, which this session has claimed, which packs are used. Safe for concurrent use.</summary>
/// <remarks>A claim is held in memory until its pack is durable and there are enough of them for a run of the index: memory does not grow with what is new.</remarks>
/// <param name="index">Where chunks are found.</param>
/// <param name="session">Where new ones go.</param>
/// <param name="isHome">Of packs by number: what lies elsewhere and is used is told in the snapshot's references.</param>
/// <param name="indexFrom">Chunks of durable packs that become a run together.</param>
/// <param name="sizeOf">Gives the bytes of a pack: those that the log has, else those in the store; null where there is no whole one.</param>
sealed class VaultSink(ChunkIndex index, PackSession session, Func<int, bool> isHome, int indexFrom, Func<Hash32, long?> sizeOf) : IChunkSink
{
    readonly SessionChunks _claimed = new();
    readonly List<WrittenPack> _stored = [];
    long _storedChunks;
    int _flushes;
    readonly HashSet<Hash32> _own = []; // packs of this session that are durable

    readonly PackUse _takenOver = new();
    readonly List<PackUse> _uses = [];

    public PackSession Session => session;
    public DomainKeys Domain => session.Put.Domain;
    public Cutter Cutter { get; } = new(session.Put.Domain.Cutter.Span);

    public ChunkWorker Worker(KeyClass keyClass, int level)
    {
        var worker = new VaultChunkWorker(this, keyClass, level);
        lock (_uses)
            _uses.Add(worker.Use);
        return worker;
    }

    /// <summary>For one more thread, which makes its frames now here, now there: where it is told to.</summary>
    public VaultChunkWorker Worker(KeyClass keyClass)
    {
        var worker = new VaultChunkWorker(this, keyClass, null);
        lock (_uses)
            _uses.Add(worker.Use);
        return worker;
    }

    /// <summary>True where a snapshot may refer to the chunk: it is of this session, lies in a pack at home, or one of the others says so. Its pack is then used.</summary>
    /// <param name="id">The chunk.</param>
    /// <param name="mayRefer">Of chunks.</param>
    /// <param name="mayUse">Of packs by number: what lies there is told as a reference.</param>
    /// <param name="use">Gets the pack.</param>
    public bool IsWithinReach(Hash32 id, Predicate<Hash32> mayRefer, Func<int, bool> mayUse, PackUse use)
    {
        if (_claimed.Contains(id.Prefix))
            return true;
        if (!index.TryFind(id, out var place))
            return false;
        if (isHome(place.Pack) || index.TryFind(id.Prefix, isHome, out place))
        {
            use.Mark(place.Pack);
            return true;
        }
        if (!index.TryFind(id.Prefix, mayUse, out place) && ((!use.Refers(id) && !mayRefer(id)) || !index.TryFind(id, out place)))
            return false;
        use.Mark(place.Pack);
        use.Refer(id);
        return true;
    }

    /// <summary>True where one of the session's threads was given the chunk and found it stored by others.</summary>
    public bool WasGiven(Hash32 id)
    {
        lock (_uses)
            return _uses.Exists(u => u.Refers(id));
    }

    public bool IsStored(Snapshots.EntryBatch rows, int row)
    {
        if (rows.ChunkLists[row] is { } lists)
        {
            foreach (var list in lists)
            {
                if (!IsKnown(Domain.ChunkId(KeyClass.Tree, list.Digest).Prefix))
                    return false;
            }
        }
        if (rows.ChunkIds[row] is { } ids)
        {
            foreach (var id in ids)
            {
                if (!IsKnown(id))
                    return false;
            }
            return true;
        }
        return rows.ChunkId[row] != 0 ? IsKnown(rows.ChunkId[row]) : rows.Size[row] == 0 || rows.Extents[row] is not null;
    }

    /// <summary>True where the chunk is in the vault or on its way; marks its pack as used.</summary>
    bool IsKnown(UInt128 id)
    {
        if (index.TryFind(id, out var place))
        {
            _takenOver.Mark(place.Pack);
            return true;
        }
        return _claimed.Contains(id);
    }

    public StoredChunks Complete() => Complete(_takenOver);

    /// <summary>The same with what was used besides what the threads met.</summary>
    /// <exception cref="HoldfastException"><c>PackMissing</c>: a pack that the index names is not there, or was cut short.</exception>
    public StoredChunks Complete(PackUse named)
    {
        List<PackUse> uses;
        lock (_uses)
            uses = [.. _uses, named];
        var written = session.Packs();
        var packs = written.ToDictionary(p => p.Name, p => p.Size);
        foreach (var name in uses.SelectMany(u => u.Packs).Distinct().Select(n => index.Pack(n).Name))
        {
            if (packs.ContainsKey(name))
                continue; // of this session
            packs[name] = sizeOf(name) ?? throw new HoldfastException(ErrorCode.PackMissing,
                $"Pack {name}, which the index names, is not in the vault, or was cut short.",
                "Run the backup again: the index is then rebuilt from what is there, and missing data is stored anew.")
            { IsTransient = true };
        }
        return new StoredChunks(new Snapshots.PackSet(packs.Select(p => new Snapshots.PackRef(p.Key, p.Value))), written,
            [.. uses.SelectMany(u => u.References()).Distinct().Where(id => !IsOwn(id)).Order()], (ulong)written.Sum(p => p.Size));
    }

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
        if (!isHome(place.Pack))
            use.Refer(id); // those of this session's packs are sorted out at the end
        return true;
    }

    /// <summary>True where a run of this session names the chunk in a pack that this session wrote.</summary>
    bool IsOwn(Hash32 id)
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

}

/// <summary>Which packs of the index one thread has met. For one thread, where nothing else is said.</summary>
sealed class PackUse
{
    bool[] _used = new bool[1024];

    public void Mark(int pack)
    {
        if (pack >= _used.Length)
            Array.Resize(ref _used, Math.Max(pack + 1, 2 * _used.Length));
        _used[pack] = true;
    }

    readonly HashSet<Hash32> _references = [];

    /// <summary>A chunk is used that lies in a pack neither of the parent nor of this session.</summary>
    public void Refer(Hash32 id)
    {
        lock (_references)
            _references.Add(id);
    }

    /// <summary>From any thread.</summary>
    public bool Refers(Hash32 id)
    {
        lock (_references)
            return _references.Contains(id);
    }

    public IEnumerable<Hash32> References()
    {
        lock (_references)
            return [.. _references];
    }

    public IEnumerable<int> Packs => Enumerable.Range(0, _used.Length).Where(p => _used[p]);
}
