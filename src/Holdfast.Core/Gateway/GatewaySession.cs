using System.Collections.Concurrent;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>What it takes to look at a request and to store it: one for each that this is done for at once, and none for each backup. For one thread at a time.</summary>
/// <param name="level">Of zstd, where frames are made anew.</param>
sealed class GatewayBench(int level) : IDisposable
{
    public PackBench Packs { get; } = new(level);
    public EntryBatch Rows { get; } = new();
    public List<(KeyClass Class, ChunkRef Chunk)> Found { get; } = [];
    public List<ChunkName> Below { get; } = [];

    public void Dispose() => Packs.Dispose();
}

/// <summary>One backup of one agent as the gateway has it: what it sent becomes packs, and what it names is looked up among what it may name. Safe for concurrent use.</summary>
sealed class GatewaySession : IDisposable
{
    const int MostWriters = 2; // of content at once, each with a pack of its own under way

    readonly ReaderWriterLockSlim _open = new();
    readonly Stack<VaultChunkWorker> _free = new();
    readonly List<VaultChunkWorker> _writers = [];
    readonly SemaphoreSlim _content = new(MostWriters);
    readonly Lock _treeTurn = new();
    readonly VaultChunkWorker _tree;
    readonly PackUse _named = new();
    readonly Lock _namedLock = new();
    readonly Predicate<Hash32> _mayRefer;
    readonly Func<int, bool> _mayUse;
    readonly ChunkNamer _namer;
    readonly ChunkNamer _treeNamer;
    Hash32[] _digests = [];
    Hash32[] _wholeIds = [];
    readonly VaultSink _sink;
    readonly DurableQueue _queue;
    bool _isDone;
    volatile bool _isBroken; // something failed in its midst: what was claimed is not all stored
    volatile HoldfastException? _fault; // what that was
    int _isDisposed;

    public GatewaySession(Id16 agent, SnapshotStand stand, Hash32 parent, SourceChunks source, long seenSize, OpenIndex index, PackSession packs, DurableQueue queue, VaultSink sink)
    {
        (Agent, Stand, Parent, Source, SeenSize, Index, Packs) = (agent, stand, parent, source, seenSize, index, packs);
        (_queue, _sink) = (queue, sink);
        _tree = sink.Worker(KeyClass.Tree);
        _mayUse = pack => source.WasOf(index.SessionOf(pack));
        _mayRefer = id => source.Refers(id) || sink.WasGiven(id);
        (_namer, _treeNamer) = (new ChunkNamer(packs.Put.Domain, KeyClass.Content), new ChunkNamer(packs.Put.Domain, KeyClass.Tree));
    }

    public Id16 Agent { get; }
    public SnapshotStand Stand { get; }
    public Hash32 Parent { get; }
    public SourceChunks Source { get; }
    public long SeenSize { get; }
    public OpenIndex Index { get; }
    public PackSession Packs { get; }

    /// <summary>Held while it is committed: asked twice, it is done once.</summary>
    public Lock Finishing { get; } = new();

    /// <summary>It is being committed, and nobody takes its place.</summary>
    public volatile bool IsFinishing;

    /// <summary>When something was last asked of it.</summary>
    public long Touched { get; private set; } = TimeProvider.System.GetTimestamp();

    bool IsKnown(KeyClass keyClass, DigestKind kind, Hash32 digest) => FirstUnknown([new ChunkName(keyClass, kind, digest)]) < 0;

    /// <summary>The first of these that may not be named; -1 where all may.</summary>
    int FirstUnknown(IReadOnlyList<ChunkName> names)
    {
        lock (_namedLock)
        {
            var ids = Ids(names);
            for (var i = 0; i < names.Count; i++)
            {
                if (!IsKnown(ids[i]))
                    return i;
            }
            return -1;
        }
    }

    bool IsKnown(Hash32 id) => _sink.IsWithinReach(id, _mayRefer, _mayUse, _named);

    /// <summary>Under the lock. Those of whole files, which are most, many at once.</summary>
    Hash32[] Ids(IReadOnlyList<ChunkName> names)
    {
        var ids = new Hash32[names.Count];
        if (_digests.Length < names.Count)
            (_digests, _wholeIds) = (new Hash32[names.Count], new Hash32[names.Count]);
        var whole = 0;
        for (var i = 0; i < names.Count; i++)
        {
            if (names[i] is { Class: KeyClass.Content, Kind: DigestKind.Whole })
                _digests[whole++] = names[i].Digest;
            else
                ids[i] = (names[i].Class == KeyClass.Tree ? _treeNamer : _namer).Id(names[i].Digest, names[i].Kind);
        }
        _namer.Ids(_digests.AsSpan(0, whole), _wholeIds.AsSpan(0, whole));
        whole = 0;
        for (var i = 0; i < names.Count; i++)
        {
            if (names[i] is { Class: KeyClass.Content, Kind: DigestKind.Whole })
                ids[i] = _wholeIds[whole++];
        }
        return ids;
    }

    /// <summary>Which of these may be named without being sent.</summary>
    public byte[] Known(IReadOnlyList<ChunkName> names) => Within(() =>
    {
        var bits = new byte[(names.Count + 7) / 8];
        lock (_namedLock)
        {
            var ids = Ids(names);
            for (var i = 0; i < names.Count; i++)
            {
                if (IsKnown(ids[i]))
                    bits[i / 8] |= (byte)(1 << (i % 8));
            }
        }
        return bits;
    });

    /// <exception cref="HoldfastException"><c>ChunkMissing</c>: one of them may not be named.</exception>
    public byte[] Use(IReadOnlyList<ChunkName> names) => Within<byte[]>(() =>
    {
        if (FirstUnknown(names) >= 0)
            throw new HoldfastException(ErrorCode.ChunkMissing, "Something that looks unchanged is not in the vault any more, or was never this source's: it has to be sent.",
                "Run the backup again with --read-all: every file is read, and what is missing is sent.")
            { IsTransient = true };
        return [];
    });

    /// <summary>Stores frames: names and ids are made here, of what was unpacked here.</summary>
    /// <param name="send">What came.</param>
    /// <param name="benches">Where frames are opened and made: one is taken when there is nothing else to wait for.</param>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>: a frame is not what it says, or a node refers to what is not known. What storing reports.</exception>
    public byte[] Store(AgentRequest.Send send, BlockingCollection<GatewayBench> benches) => Within<byte[]>(() =>
    {
        if (send.Class == KeyClass.Tree)
        {
            lock (_treeTurn)
                At(_tree, benches, send);
            return [];
        }
        _content.Wait();
        var writer = Rent();
        try
        {
            At(writer, benches, send);
        }
        finally
        {
            if (!_isBroken)
            {
                lock (_free)
                    _free.Push(writer); // not one that failed
            }
            _content.Release();
        }
        return [];
    });

    void At(VaultChunkWorker writer, BlockingCollection<GatewayBench> benches, AgentRequest.Send send)
    {
        var bench = benches.Take();
        try
        {
            if (_isBroken)
                throw Broken(); // while this one waited
            // All of it is looked at before the first is stored.
            var payloads = new List<ReadOnlyMemory<byte>>(send.Frames.Count);
            if (!bench.Packs.TryUnpack(send.Frames, payloads))
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent does not unpack to what it is said to hold. It was not stored.", "Use the same release of holdfast on both machines, and look at the memory of the host that sent it. If it goes on, treat that host as suspect.");
            if (send.Class == KeyClass.Tree)
                RequireKnown(send.Frames, payloads, bench);
            try
            {
                writer.At(bench.Packs, () =>
                {
                    for (var i = 0; i < payloads.Count; i++)
                        writer.StoreFrame(send.Frames[i], payloads[i].Span);
                });
            }
            catch (Exception e)
            {
                _fault ??= e as HoldfastException;
                _isBroken = true;
                throw;
            }
        }
        finally
        {
            benches.Add(bench);
        }
    }

    VaultChunkWorker Rent()
    {
        lock (_free)
        {
            if (_free.TryPop(out var writer))
                return writer;
            writer = _sink.Worker(KeyClass.Content);
            _writers.Add(writer);
            return writer;
        }
    }

    /// <summary>Looks at all before the first is stored: what each refers to is known, or comes before it.</summary>
    void RequireKnown(IReadOnlyList<UnsealedFrame> frames, List<ReadOnlyMemory<byte>> payloads, GatewayBench bench)
    {
        var before = new HashSet<Hash32>();
        for (var i = 0; i < payloads.Count; i++)
        {
            var at = 0;
            foreach (var length in frames[i].Lengths)
            {
                RequireKnown(payloads[i].Span.Slice(at, length), before, bench);
                at += length;
            }
        }
    }

    void RequireKnown(ReadOnlySpan<byte> bytes, HashSet<Hash32> before, GatewayBench bench)
    {
        bench.Found.Clear();
        if (!TreeChunk.TryRead(bytes, bench.Rows, bench.Found, out _))
            throw new HoldfastException(ErrorCode.CommitRefused, "What was sent as part of a tree is none that a reader takes. It was not stored.", "Use the same release of holdfast on both machines. If it goes on, treat the host that sent it as suspect.");
        bench.Below.Clear();
        foreach (var (keyClass, chunk) in bench.Found)
        {
            if (!(keyClass == KeyClass.Tree && before.Contains(chunk.Digest)))
                bench.Below.Add(new ChunkName(keyClass, chunk.Kind, chunk.Digest));
        }
        if (FirstUnknown(bench.Below) >= 0)
        {
            throw new HoldfastException(ErrorCode.CommitRefused, "What was sent as part of a tree refers to a chunk that its agent neither sent nor has in an earlier snapshot of this source. It was not stored.",
                    "Run the backup again with --read-all. If it goes on, treat the host that sent it as suspect: that is how somebody would reach for the data of others.");
        }
        before.Add(ChunkRef.DigestOf(bytes, DigestKind.Whole));
    }

    /// <summary>Ends the storing: all packs are durable. Nothing more is taken.</summary>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>, <c>PackMissing</c>; what storing reports.</exception>
    public StoredChunks Complete(TreeSection tree)
    {
        _open.EnterWriteLock();
        try
        {
            if (_isDone || _isBroken)
                throw Broken();
            _isDone = true;
            if (!IsKnown(KeyClass.Tree, DigestKind.Whole, tree.Root.Digest))
                throw new HoldfastException(ErrorCode.CommitRefused, "The snapshot's root was not sent. It was not committed.", "Run the backup again with --read-all.");
            foreach (var writer in _writers)
                writer.Finish();
            _tree.Finish();
            _queue.Drain();
            _sink.Flush();
            return _sink.Complete(_named);
        }
        finally
        {
            _open.ExitWriteLock();
        }
    }

    T Within<T>(Func<T> work)
    {
        _open.EnterReadLock();
        try
        {
            if (_isDone || _isBroken)
                throw Broken();
            Touched = TimeProvider.System.GetTimestamp();
            return work();
        }
        finally
        {
            Touched = TimeProvider.System.GetTimestamp();
            _open.ExitReadLock();
        }
    }

    /// <summary>What ended it: a full disk told as a backup that was lost would have it begun anew, and fail again.</summary>
    HoldfastException Broken() => _fault is { } fault ? new HoldfastException(fault.Code, fault.Message, fault.Guidance, fault) : Gone();

    public static HoldfastException Gone() => new(ErrorCode.SessionLost, "The gateway knows nothing of this backup any more: it was restarted, or something that was sent could not be stored.",
        "Run the backup again: what was stored is not sent again.")
    { IsTransient = true };

    /// <summary>Lets go of it. Packs under way are completed where they can be: the next session of this source uses them, and nothing that was sent is sent again.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 1)
            return;
        _open.EnterWriteLock();
        try
        {
            if (!_isDone && !_isBroken)
                Keep();
            _isDone = true;
            foreach (var writer in _writers)
                writer.Dispose();
            _writers.Clear();
            _tree.Dispose();
            _namer.Dispose();
            _treeNamer.Dispose();
            _queue.Dispose();
            Packs.Dispose();
            Index.Release();
        }
        finally
        {
            _open.ExitWriteLock();
        }
    }

    void Keep()
    {
        try
        {
            foreach (var writer in _writers)
                writer.Finish();
            _tree.Finish();
            _queue.Drain();
            _sink.Flush();
        }
        catch (Exception e) when (e is HoldfastException or InvalidOperationException)
        {
            // They are sent again.
        }
    }
}
