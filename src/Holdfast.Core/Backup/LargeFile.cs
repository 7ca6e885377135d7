using System.Security.Cryptography;
using Holdfast.Core.Chunking;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>One file on its way through cutter and workers. Reading and cutting go in order, under a lock; hashing, compressing and sealing of what was cut
/// go on several threads at once.</summary>
sealed class LargeFile(Archiver archiver, BatchTicket ticket, int row)
{
    /// <summary>Up to this many bytes a file gets its SHA-256 while it is read; above, attestation supplies it.</summary>
    public const long DigestLimit = 64 << 20;

    public const int SegmentSize = 8 << 20;
    const int Tries = 3;

    readonly Lock _lock = new();
    readonly List<ChunkRef> _chunks = [];
    readonly List<UInt128> _ids = [];
    byte[] _carry = [];
    int _carried;
    IContent? _content;
    IncrementalHash? _sha;
    Extent[]? _extents;
    int _extent;
    long _position; // next byte of the file to read
    long _read;
    int _inFlight;
    int _inside; // threads at work here
    int _try;
    bool _begun;
    bool _exhausted;
    bool _isShort; // it ended within its extents: it shrank after they were asked for
    bool _done;
    bool _isWhole; // one chunk, hashed as such: the file's digest where it has no holes
    ContentKind _kind;

    /// <summary>Works on the file until nothing is left to begin; several threads may be in here.</summary>
    public void Work(ContentWorker worker)
    {
        lock (_lock)
            _inside++;
        try
        {
            ReadAndStore(worker);
        }
        finally
        {
            lock (_lock)
            {
                if (--_inside == 0 && !_done)
                    Close(); // the run is stopped
            }
        }
    }

    void ReadAndStore(ContentWorker worker)
    {
        var lengths = new List<int>();
        while (!archiver.Stopped)
        {
            int first;
            lock (_lock)
            {
                if (_done || _exhausted)
                    return;
                try
                {
                    if (!_begun && !Begin())
                        return;
                    lengths.Clear();
                    if (!Cut(worker, lengths))
                    {
                        _exhausted = true;
                        if (_inFlight > 0)
                            return; // who comes last completes it
                        if (Complete())
                            return;
                        continue;
                    }
                }
                catch (IOException)
                {
                    Fail(ProblemKind.ReadFailed);
                    return;
                }
                first = _chunks.Count;
                foreach (var length in lengths)
                {
                    _chunks.Add(new ChunkRef(Hash32.None, length, Named));
                    _ids.Add(0);
                }
                _inFlight++;
            }
            var at = 0;
            for (var i = 0; i < lengths.Count; i++)
            {
                var digest = worker.Chunks.StoreHeld(worker.Segment.AsMemory(at, lengths[i]), _kind, out var id, Named);
                at += lengths[i];
                lock (_lock)
                {
                    _chunks[first + i] = new ChunkRef(digest, lengths[i], Named);
                    _ids[first + i] = id;
                }
                archiver.Progress.AddBytes(lengths[i]);
            }
            worker.Chunks.BytesRead += at;
            worker.Chunks.Flush();
            lock (_lock)
            {
                _inFlight--;
                try
                {
                    if (_exhausted && _inFlight == 0 && !_done && Complete())
                        return;
                }
                catch (IOException)
                {
                    Fail(ProblemKind.ReadFailed);
                    return;
                }
            }
        }
    }

    DigestKind Named => _isWhole ? DigestKind.Whole : DigestKind.Blocks;

    bool Begin()
    {
        _begun = true;
        _content = archiver.Source.Open(ticket.Batch, row);
        if (_content is null)
        {
            Fail(null);
            return false;
        }
        Restart();
        return true;
    }

    void Restart()
    {
        _chunks.Clear();
        _ids.Clear();
        _carried = 0;
        _position = _read = 0;
        _extent = 0;
        _exhausted = _isWhole = _isShort = false;
        _extents = ticket.Batch.MayBeSparse[row] ? _content!.DataExtents() : null;
        if (_extents is { Length: > TreeNode.MaxExtents })
            _extents = null; // shredded beyond use: stored with its zeros
        _sha?.Dispose();
        var size = ticket.Batch.Size[row];
        var isOneChunk = _extents is null && size <= Cutter.WholeLimit; // whose digest is the file's
        _sha = size >= 0 && size <= DigestLimit && !isOneChunk ? IncrementalHash.CreateHash(HashAlgorithmName.SHA256) : null;
        if (_extents is { Length: > 0 } extents)
            Skip(extents[0].Offset);
    }

    /// <summary>Fills the segment and says where it is cut; what follows the last cut is carried to the next segment. False at the end.</summary>
    bool Cut(ContentWorker worker, List<int> lengths)
    {
        if (_isWhole)
            return false; // whatever a writer has added to the file since
        var segment = worker.Segment;
        var filled = _carried;
        _carry.AsSpan(0, _carried).CopyTo(segment);
        _carried = 0;
        var ended = false;
        while (filled < segment.Length)
        {
            var read = ReadNext(segment.AsSpan(filled));
            if (read == 0)
            {
                ended = true;
                break;
            }
            filled += read;
        }
        if (filled == 0)
            return false;
        if (_chunks.Count == 0)
        {
            _kind = ContentKinds.Tell(segment.AsSpan(0, Math.Min(filled, 512)), TreePath.Name(ticket.Batch.Path(row)), out var fits);
            ticket.Batch.ContentKind[row] = _kind;
            if (!fits)
                worker.Chunks.Statistics[_kind].Misfits++;
        }
        if (ended && _chunks.Count == 0 && filled <= Cutter.WholeLimit)
        {
            _isWhole = true;
            lengths.Add(filled);
            return true;
        }
        var at = 0;
        while (at < filled)
        {
            var length = archiver.Sink.Cutter.Next(segment.AsSpan(at, filled - at), ended);
            if (length == 0)
                break;
            lengths.Add(length);
            at += length;
        }
        if (at < filled)
        {
            if (_carry.Length < filled - at)
                _carry = new byte[Cutter.Max];
            _carried = filled - at;
            segment.AsSpan(at, _carried).CopyTo(_carry);
        }
        return true;
    }

    int ReadNext(Span<byte> destination)
    {
        if (_extents is not { } extents)
        {
            // Not beyond the size it had when it was opened: a file that grows as fast as it is read would have no end.
            var size = ticket.Batch.Size[row];
            return Read(size < 0 ? destination : destination[..(int)Math.Clamp(size - _position, 0, destination.Length)]);
        }
        while (_extent < extents.Length)
        {
            var end = extents[_extent].Offset + extents[_extent].Length;
            if (_position < end)
            {
                var read = Read(destination[..(int)Math.Min(destination.Length, end - _position)]);
                if (read == 0)
                    EndHere(extents);
                return read;
            }
            if (++_extent < extents.Length)
                Skip(extents[_extent].Offset);
        }
        return 0;
    }

    /// <summary>What was read is all the data there is.</summary>
    void EndHere(Extent[] extents)
    {
        var last = extents[_extent];
        _extents = _position > last.Offset ? [.. extents[.._extent], last with { Length = _position - last.Offset }] : extents[.._extent];
        _extent = _extents.Length;
        _isShort = true;
    }

    int Read(Span<byte> destination)
    {
        if (destination.IsEmpty)
            return 0;
        var read = _content!.Read(destination, _position);
        _sha?.AppendData(destination[..read]);
        _position += read;
        _read += read;
        return read;
    }

    void Skip(long to)
    {
        if (_sha is not null)
        {
            var zeros = new byte[64 << 10];
            for (var left = to - _position; left > 0 && !archiver.Stopped; left -= Math.Min(left, zeros.Length))
                _sha.AppendData(zeros, 0, (int)Math.Min(left, zeros.Length));
        }
        _position = to;
    }

    void NoDigest()
    {
        _sha?.Dispose();
        _sha = null;
    }

    /// <summary>Everything cut is stored. False where the file changed meanwhile and is read again.</summary>
    bool Complete()
    {
        var batch = ticket.Batch;
        var size = batch.Size[row];
        var changed = _content!.HasChanged() || _isShort || (size >= 0 && _extents is null && _read != size);
        if (changed && ++_try < Tries)
        {
            _content.Refresh(batch, row);
            Restart();
            return false;
        }
        if (changed)
        {
            _content.Refresh(batch, row);
            archiver.Source.Report(new SourceProblem(ProblemKind.Changed, batch.Path(row).ToArray(), ""));
        }
        if (size < 0 || (changed && _extents is null))
            batch.Size[row] = _read; // what was stored is what the row says
        else if (changed)
            batch.Size[row] = Math.Max(Math.Min(size, batch.Size[row]), _position); // as far as its data, or its holes that are hashed, reach; what it has grown by was not read
        batch.State[row] = changed ? ContentState.Unsettled : ContentState.Read;
        archiver.Hold((_extents?.Length ?? 0) - (batch.Extents[row]?.Length ?? 0));
        batch.Extents[row] = _extents;
        if (batch.Size[row] > DigestLimit)
            NoDigest(); // it was smaller when it was begun, and may claim any hole by now
        if (_sha is not null && _extents is { } && _position < batch.Size[row])
            Skip(batch.Size[row]); // a hole at the end
        batch.Digest[row] = _sha is null || batch.Size[row] == 0 ? Hash32.None : new Hash32(_sha.GetHashAndReset());
        batch.ChunkLists[row] = null;
        batch.ListedKind[row] = _chunks.Count == 0 ? DigestKind.Whole : Named;
        if (_isWhole && _extents is null)
        {
            batch.Digest[row] = _chunks[0].Digest;
            batch.Chunks[row] = null;
            batch.ChunkId[row] = _ids[0];
            batch.ChunkIds[row] = null;
        }
        else
        {
            batch.Chunks[row] = _chunks.Count == 0 ? null : [.. _chunks];
            batch.ChunkIds[row] = _chunks.Count == 0 ? null : [.. _ids];
        }
        End();
        return true;
    }

    void Fail(ProblemKind? problem)
    {
        if (problem is { } kind)
            archiver.Source.Report(new SourceProblem(kind, ticket.Batch.Path(row).ToArray(), ""));
        ticket.Batch.State[row] = ContentState.Failed;
        _exhausted = true;
        End();
    }

    void Close()
    {
        _done = true;
        _content?.Dispose();
        _content = null;
        _sha?.Dispose();
        _carry = [];
    }

    void End()
    {
        Close();
        archiver.Progress.AddFile();
        ticket.Finished();
    }
}
