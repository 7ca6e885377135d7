using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
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

    /// <summary>Bytes of frames that were sent.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    public ChunkWorker Worker(KeyClass keyClass, int level) => new AgentChunkWorker(this, keyClass, level);

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
        var sent = send.SentLength;
        Interlocked.Add(ref _sent, sent);
        _progress.AddStored(sent);
    }

    public Id16 Session => _session.Session;

    public StoredChunks Complete()
    {
        lock (_used)
            TellUsed();
        return new StoredChunks(PackSet.Empty, [], [], (ulong)Sent);
    }
}

/// <summary>Gathers chunks, asks which are known, and sends the others in frames as packs have them, compressed. For one thread.</summary>
sealed class AgentChunkWorker(AgentSink sink, KeyClass keyClass, int level) : ChunkWorker
{
    const int MostAlone = AgentRequest.MostFrames / 2 - 1; // chunks with a frame of their own: between any two may lie one that others share

    readonly MessageHasher _hasher = new();
    readonly FrameCompressor _zstd = new(level);
    readonly List<ChunkName> _names = [];
    readonly List<int> _lengths = [];
    readonly List<ContentKind> _kinds = [];
    readonly HashSet<ChunkName> _taken = [];
    readonly List<(DigestKind Kind, int Length)> _new = [];
    readonly EntryBatch _rows = new();
    readonly List<(KeyClass Class, ChunkRef Chunk)> _below = [];
    byte[]? _bytes;
    byte[]? _packed;
    int _filled;
    int _alone;

    byte[] Bytes => _bytes ??= GC.AllocateUninitializedArray<byte>(AgentRequest.MostChunkBytes);

    /// <summary>Room for what all of those bytes are compressed to, frame by frame.</summary>
    byte[] Packed => _packed ??= GC.AllocateUninitializedArray<byte>(FrameCompressor.Bound(AgentRequest.MostChunkBytes) + AgentRequest.MostFrames * FrameCompressor.Bound(1));

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
        if (_filled + chunk.Length > AgentRequest.MostChunkBytes || _names.Count >= AgentRequest.MostChunks || _alone >= MostAlone)
            Flush();
        chunk.CopyTo(Bytes.AsSpan(_filled));
        _filled += chunk.Length;
        _names.Add(new ChunkName(keyClass, named, digest));
        _lengths.Add(chunk.Length);
        _kinds.Add(kind);
        _alone += Shares(named, chunk.Length) ? 0 : 1;
    }

    public override void Flush()
    {
        // Nodes wait for more of them: what names them is sent behind them.
        if (_names.Count == 0)
            return;
        var known = sink.Known(_names);
        var (at, bytes) = (0, 0);
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
            if (!_taken.Add(_names[i]))
                continue; // it goes with this request already
            if (keyClass == KeyClass.Content)
                Statistics.Sample(_kinds[i], chunk);
            chunk.CopyTo(Bytes.AsSpan(bytes)); // behind those before it, or where it is
            bytes += chunk.Length;
            _new.Add((_names[i].Kind, chunk.Length));
        }
        if (bytes > 0)
            sink.Send(new AgentRequest.Send(sink.Session, keyClass, Frames()));
        _names.Clear();
        _lengths.Clear();
        _kinds.Clear();
        _taken.Clear();
        _new.Clear();
        _filled = _alone = 0;
    }

    static bool Shares(DigestKind kind, int length) => kind == DigestKind.Whole && length < PackWriter.SharedLimit;

    /// <summary>What is new, in frames as a pack would have them: a large chunk alone, small ones together.</summary>
    List<UnsealedFrame> Frames()
    {
        var frames = new List<UnsealedFrame>();
        var (at, packed) = (0, 0);
        for (var first = 0; first < _new.Count;)
        {
            var (next, length) = (first, 0);
            if (Shares(_new[first].Kind, _new[first].Length))
            {
                while (next < _new.Count && Shares(_new[next].Kind, _new[next].Length) && length < PackFormat.SharedPayload)
                    length += _new[next++].Length;
            }
            else
                length = _new[next++].Length;
            var payload = Bytes.AsMemory(at, length);
            var size = _zstd.Compress(payload.Span, _new[first].Kind, Packed.AsSpan(packed));
            int[] lengths = [.. _new[first..next].Select(n => n.Length)];
            frames.Add(size > 0 ? new UnsealedFrame(PackFormat.CodecZstd, _new[first].Kind, lengths, Packed.AsMemory(packed, size)) : new UnsealedFrame(PackFormat.CodecStored, _new[first].Kind, lengths, payload));
            packed += size;
            at += length;
            first = next;
        }
        return frames;
    }

    /// <summary>What a node names that is not sent again is used all the same.</summary>
    void UseBelow(ReadOnlySpan<byte> node)
    {
        _below.Clear();
        if (TreeChunk.TryRead(node, _rows, _below, out _))
            sink.Use(_below.Select(b => new ChunkName(b.Class, b.Chunk.Kind, b.Chunk.Digest)));
    }

    public override void Finish() => Flush();

    public override void Dispose()
    {
        _hasher.Dispose();
        _zstd.Dispose();
    }
}
