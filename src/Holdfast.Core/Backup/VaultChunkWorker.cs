using System.Runtime.InteropServices;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Backup;

/// <summary>Stores chunks in packs of a vault: a pack writer and its buffers.</summary>
/// <param name="sink">What is shared.</param>
/// <param name="keyClass">Of the chunks.</param>
/// <param name="level">Of compression; null where frames are made <see cref="At"/> a bench of others, by chunks that others have sampled.</param>
sealed class VaultChunkWorker(VaultSink sink, KeyClass keyClass, int? level) : ChunkWorker
{
    readonly ChunkNamer _namer = new(sink.Domain, keyClass);
    const int MostChunksForOthers = 1 << 16; // in a pack: they are in memory until it ends, for each of many

    readonly List<int> _newLengths = [];
    readonly List<Hash32> _newIds = [];
    readonly List<int> _new = [];
    Hash32[] _allIds = [];
    Hash32[] _allDigests = [];

    readonly PackWriter _packs = level is { } own ? new(sink.Session, keyClass, own) : new(sink.Session, keyClass, null) { MostChunks = MostChunksForOthers };

    public PackUse Use { get; } = new();

    public override Hash32 Store(ReadOnlySpan<byte> chunk, Snapshots.ContentKind kind, out UInt128 id, DigestKind named)
    {
        var (digest, whole) = _namer.Name(chunk, named);
        id = whole.Prefix;
        if (sink.MustStore(whole, Use))
        {
            if (level is not null)
                Statistics.Sample(kind, chunk);
            _packs.Add(chunk, whole, named);
        }
        return digest;
    }

    public override void StoreAll(Memory<byte> memory, ReadOnlySpan<int> lengths, ReadOnlySpan<Snapshots.ContentKind> kinds, Span<Hash32> digests, Span<UInt128> ids)
    {
        var joined = memory.Span;
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
            if (level is not null)
                Statistics.Sample(kinds[i], chunk);
            chunk.CopyTo(joined[kept..]);
            kept += chunk.Length;
            _newLengths.Add(chunk.Length);
            _newIds.Add(id);
        }
        _packs.AddAll(joined[..kept], CollectionsMarshal.AsSpan(_newLengths), CollectionsMarshal.AsSpan(_newIds));
    }

    /// <summary>Stores what is new of a frame that others filled. One of which all is new stays as it is; of another what is new is compressed anew, for what is known is not stored twice.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="payload">What was unpacked of it.</param>
    public void StoreFrame(UnsealedFrame frame, ReadOnlySpan<byte> payload)
    {
        var count = frame.Lengths.Length;
        if (_allIds.Length < count)
            _allIds = new Hash32[count];
        if (_allDigests.Length < count)
            _allDigests = new Hash32[count];
        if (frame.Kind == DigestKind.Whole)
        {
            _namer.Digests(payload, frame.Lengths, _allDigests);
            _namer.Ids(_allDigests.AsSpan(0, count), _allIds);
        }
        else
        {
            for (var (i, at) = (0, 0); i < count; at += frame.Lengths[i++])
                (_, _allIds[i]) = _namer.Name(payload.Slice(at, frame.Lengths[i]), frame.Kind);
        }
        _new.Clear();
        for (var i = 0; i < count; i++)
        {
            if (sink.MustStore(_allIds[i], Use))
                _new.Add(i);
        }
        if (_new.Count == count)
        {
            _packs.AddFrame(frame, _allIds.AsSpan(0, count));
            return;
        }
        var (number, start) = (0, 0);
        foreach (var i in _new)
        {
            for (; number < i; number++)
                start += frame.Lengths[number];
            _packs.Add(payload.Slice(start, frame.Lengths[i]), _allIds[i], frame.Kind);
        }
    }

    /// <summary>Works at a bench of others, and leaves it with nothing on it. Where that fails, nothing that was claimed since the last pack is stored: whoever claimed it is not to go on.</summary>
    public void At(PackBench bench, Action work)
    {
        _packs.At(bench);
        try
        {
            work();
            _packs.FlushShared();
            _packs.At(null);
        }
        catch
        {
            _packs.Abandon();
            throw;
        }
    }

    public override void Finish() => _packs.Finish();

    public override void Dispose()
    {
        _packs.Dispose();
        _namer.Dispose();
    }
}
