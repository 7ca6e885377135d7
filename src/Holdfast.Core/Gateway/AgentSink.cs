using System.Runtime.InteropServices;
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

    /// <inheritdoc cref="IGateway.MostAtOnce"/>
    public int MostAtOnce => Math.Min(_link.MostAtOnce, AgentRequest.MostChunkBytes);

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
    readonly List<Memory<byte>> _chunks = [];
    readonly List<ContentKind> _kinds = [];
    readonly HashSet<ChunkName> _taken = [];
    readonly List<(DigestKind Kind, Memory<byte> Bytes)> _new = [];
    readonly EntryBatch _rows = new();
    readonly List<(KeyClass Class, ChunkRef Chunk)> _below = [];
    byte[]? _bytes;
    byte[]? _packed;
    int _copied;
    int _filled;
    int _alone;

    /// <summary>What the caller needs its memory for is copied here.</summary>
    byte[] Bytes => _bytes ??= GC.AllocateUninitializedArray<byte>(AgentRequest.MostChunkBytes);

    /// <summary>Room for what all of a request is compressed to, frame by frame.</summary>
    byte[] Packed => _packed ??= GC.AllocateUninitializedArray<byte>(FrameCompressor.Bound(AgentRequest.MostChunkBytes) + AgentRequest.MostFrames * FrameCompressor.Bound(1));

    public override Hash32 Store(ReadOnlySpan<byte> chunk, ContentKind kind, out UInt128 id, DigestKind named = DigestKind.Whole)
    {
        MakeRoom(chunk.Length);
        var bytes = Bytes.AsMemory(_copied, chunk.Length);
        chunk.CopyTo(bytes.Span);
        _copied += chunk.Length;
        return StoreHeld(bytes, kind, out id, named);
    }

    public override Hash32 StoreHeld(Memory<byte> chunk, ContentKind kind, out UInt128 id, DigestKind named)
    {
        var digest = named == DigestKind.Blocks ? BlockDigest.Of(chunk.Span) : _hasher.Hash(chunk.Span);
        id = digest.Prefix;
        Gather(chunk, kind, named, digest);
        return digest;
    }

    public override void StoreAll(Memory<byte> joined, ReadOnlySpan<int> lengths, ReadOnlySpan<ContentKind> kinds, Span<Hash32> digests, Span<UInt128> ids)
    {
        _hasher.HashAll(joined.Span, lengths, digests);
        var at = 0;
        for (var i = 0; i < lengths.Length; i++)
        {
            ids[i] = digests[i].Prefix;
            Gather(joined.Slice(at, lengths[i]), kinds[i], DigestKind.Whole, digests[i]);
            at += lengths[i];
        }
        Flush();
    }

    void MakeRoom(int length)
    {
        if ((_filled > 0 && _filled + length > sink.MostAtOnce) || _names.Count >= AgentRequest.MostChunks || _alone >= MostAlone)
            Flush();
    }

    void Gather(Memory<byte> chunk, ContentKind kind, DigestKind named, Hash32 digest)
    {
        MakeRoom(chunk.Length);
        _filled += chunk.Length;
        _names.Add(new ChunkName(keyClass, named, digest));
        _chunks.Add(chunk);
        _kinds.Add(kind);
        _alone += Shares(named, chunk.Length) ? 0 : 1;
    }

    public override void Flush()
    {
        // Nodes wait for more of them: what names them is sent behind them.
        if (_names.Count == 0)
            return;
        var known = sink.Known(_names);
        for (var i = 0; i < _names.Count; i++)
        {
            if ((known[i / 8] >> (i % 8) & 1) == 1)
            {
                if (keyClass == KeyClass.Tree)
                    UseBelow(_chunks[i].Span);
                continue;
            }
            if (!_taken.Add(_names[i]))
                continue; // it goes with this request already
            if (keyClass == KeyClass.Content)
                Statistics.Sample(_kinds[i], _chunks[i].Span);
            _new.Add((_names[i].Kind, _chunks[i]));
        }
        if (_new.Count > 0)
            sink.Send(new AgentRequest.Send(sink.Session, keyClass, Frames()));
        _names.Clear();
        _chunks.Clear();
        _kinds.Clear();
        _taken.Clear();
        _new.Clear();
        _copied = _filled = _alone = 0;
    }

    static bool Shares(DigestKind kind, int length) => kind == DigestKind.Whole && length < PackWriter.SharedLimit;

    /// <summary>What is new, in frames as a pack would have them: a large chunk alone, small ones together.</summary>
    List<UnsealedFrame> Frames()
    {
        var frames = new List<UnsealedFrame>();
        var packed = 0;
        for (var first = 0; first < _new.Count;)
        {
            var (kind, payload) = _new[first];
            var next = first + 1;
            if (Shares(kind, payload.Length))
            {
                while (next < _new.Count && payload.Length < PackFormat.SharedPayload && Shares(_new[next].Kind, _new[next].Bytes.Length) && TryJoin(ref payload, _new[next].Bytes))
                    next++;
            }
            var size = _zstd.Compress(payload.Span, kind, Packed.AsSpan(packed));
            int[] lengths = [.. _new[first..next].Select(n => n.Bytes.Length)];
            frames.Add(size > 0 ? new UnsealedFrame(PackFormat.CodecZstd, kind, lengths, Packed.AsMemory(packed, size)) : new UnsealedFrame(PackFormat.CodecStored, kind, lengths, payload));
            packed += size;
            first = next;
        }
        return frames;
    }

    /// <summary>Has a chunk lie behind those before it, over what is known and is not sent. False where it lies elsewhere.</summary>
    static bool TryJoin(ref Memory<byte> payload, Memory<byte> chunk)
    {
        if (!MemoryMarshal.TryGetArray<byte>(payload, out var before) || !MemoryMarshal.TryGetArray<byte>(chunk, out var at) || before.Array != at.Array || at.Offset < before.Offset + before.Count)
            return false;
        payload = before.Array.AsMemory(before.Offset, before.Count + at.Count);
        if (at.Offset > before.Offset + before.Count)
            chunk.CopyTo(payload[before.Count..]);
        return true;
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
