using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>Sends chunks to a gateway: those that it does not know of this source. Safe for concurrent use.</summary>
sealed class AgentSink : IChunkSink
{
    const int UseFrom = AgentRequest.MostChunks / 2; // names that are told together

    readonly AgentLink _link;
    readonly AgentSession _session;
    readonly BackupProgress _progress;
    readonly List<ChunkName> _used = [];
    long _sent;

    public AgentSink(AgentLink link, AgentSession session, BackupProgress progress)
    {
        (_link, _session, _progress) = (link, session, progress);
        Cutter = new Cutter(session.Cutter);
    }

    public Cutter Cutter { get; }

    /// <summary>Bytes of chunks that were sent.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    public ChunkWorker Worker(KeyClass keyClass, int level) => new AgentChunkWorker(this, keyClass);

    /// <summary>Whether all of the last snapshot is there the gateway knows; what of it is used it is told with the nodes that were not sent anew, but for what such a node names by lists alone.</summary>
    public bool IsStored(EntryBatch rows, int row)
    {
        if (!_session.IsWhole)
            return false;
        if (rows.ChunkLists[row] is not null)
            Use(rows.Chunks[row]!.Select(c => new ChunkName(KeyClass.Content, c.Kind, c.Digest)));
        return true;
    }

    public void Use(IEnumerable<ChunkName> names)
    {
        lock (_used)
        {
            foreach (var name in names)
            {
                _used.Add(name);
                if (_used.Count >= UseFrom)
                    TellUsed();
            }
        }
    }

    void TellUsed()
    {
        if (_used.Count > 0)
            _link.Ask(new AgentRequest.Use(_session.Session, _used));
        _used.Clear();
    }

    public byte[] Known(IReadOnlyList<ChunkName> names) => _link.Ask(new AgentRequest.Ask(_session.Session, names)) is var bits && bits.Length == (names.Count + 7) / 8 ? bits : throw AgentLink.Senseless();

    public void Send(AgentRequest.Send send)
    {
        _link.Ask(send);
        Interlocked.Add(ref _sent, send.Bytes.Length);
        _progress.AddStored(send.Bytes.Length);
    }

    public Id16 Session => _session.Session;

    public StoredChunks Complete()
    {
        lock (_used)
            TellUsed();
        return new StoredChunks(PackSet.Empty, [], [], (ulong)Sent);
    }
}

/// <summary>Gathers chunks, asks which are known, and sends the others. For one thread.</summary>
sealed class AgentChunkWorker(AgentSink sink, KeyClass keyClass) : ChunkWorker
{
    readonly MessageHasher _hasher = new();
    readonly List<ChunkName> _names = [];
    readonly List<int> _lengths = [];
    readonly List<ContentKind> _kinds = [];
    readonly EntryBatch _rows = new();
    readonly List<(KeyClass Class, ChunkRef Chunk)> _below = [];
    byte[]? _bytes;
    int _filled;

    byte[] Bytes => _bytes ??= GC.AllocateUninitializedArray<byte>(AgentRequest.MostChunkBytes);

    public override Hash32 Store(ReadOnlySpan<byte> chunk, ContentKind kind, out UInt128 id, DigestKind named = DigestKind.Whole)
    {
        var digest = named == DigestKind.Blocks ? BlockDigest.Of(chunk) : _hasher.Hash(chunk);
        id = digest.Prefix;
        Gather(chunk, kind, named, digest);
        return digest;
    }

    public override void StoreAll(Span<byte> joined, ReadOnlySpan<int> lengths, ReadOnlySpan<ContentKind> kinds, Span<Hash32> digests, Span<UInt128> ids)
    {
        _hasher.HashAll(joined, lengths, digests);
        var at = 0;
        for (var i = 0; i < lengths.Length; i++)
        {
            ids[i] = digests[i].Prefix;
            Gather(joined.Slice(at, lengths[i]), kinds[i], DigestKind.Whole, digests[i]);
            at += lengths[i];
        }
        Flush();
    }

    void Gather(ReadOnlySpan<byte> chunk, ContentKind kind, DigestKind named, Hash32 digest)
    {
        if (_filled + chunk.Length > AgentRequest.MostChunkBytes || _names.Count >= AgentRequest.MostChunks)
            Flush();
        chunk.CopyTo(Bytes.AsSpan(_filled));
        _filled += chunk.Length;
        _names.Add(new ChunkName(keyClass, named, digest));
        _lengths.Add(chunk.Length);
        _kinds.Add(kind);
    }

    public override void Flush()
    {
        // Nodes wait for more of them: what names them is sent behind them.
        if (_names.Count == 0)
            return;
        var known = sink.Known(_names);
        var (kinds, lengths, bytes) = (new List<DigestKind>(_names.Count), new List<int>(_names.Count), 0);
        var at = 0;
        for (var i = 0; i < _names.Count; i++)
        {
            var chunk = Bytes.AsSpan(at, _lengths[i]);
            at += chunk.Length;
            if ((known[i / 8] >> (i % 8) & 1) == 1)
            {
                if (keyClass == KeyClass.Tree)
                    UseBelow(chunk);
                continue;
            }
            if (keyClass == KeyClass.Content)
                Statistics.Sample(_kinds[i], chunk);
            chunk.CopyTo(Bytes.AsSpan(bytes)); // behind those before it, or where it is
            bytes += chunk.Length;
            kinds.Add(_names[i].Kind);
            lengths.Add(chunk.Length);
        }
        if (bytes > 0)
            sink.Send(new AgentRequest.Send(sink.Session, keyClass, kinds, lengths, Bytes.AsMemory(0, bytes)));
        _names.Clear();
        _lengths.Clear();
        _kinds.Clear();
        _filled = 0;
    }

    /// <summary>What a node names that is not sent again is used all the same.</summary>
    void UseBelow(ReadOnlySpan<byte> node)
    {
        _below.Clear();
        if (TreeChunk.TryRead(node, _rows, _below, out _))
            sink.Use(_below.Select(b => new ChunkName(b.Class, b.Chunk.Kind, b.Chunk.Digest)));
    }

    public override void Finish() => Flush();

    public override void Dispose() => _hasher.Dispose();
}
