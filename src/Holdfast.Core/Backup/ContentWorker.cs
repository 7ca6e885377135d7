using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>Rows of a batch that one worker takes on.</summary>
readonly record struct WorkItem(BatchTicket? Ticket, int[]? Rows, LargeFile? Large)
{
    /// <summary>A large file that looks unchanged, and which of its chunks have their turn to be read.</summary>
    public (int Row, ulong Turn)? Reread { get; init; }
}

/// <summary>A batch between the walk and the tree: complete when no row is being worked on.</summary>
sealed class BatchTicket(EntryBatch batch)
{
    /// <summary>Folders in which nothing is mounted any more, with the device that was.</summary>
    public Dictionary<int, ulong> Mounts { get; } = [];

    int _pending = 1; // the walk itself
    readonly object _gate = new();

    public EntryBatch Batch => batch;

    /// <summary>What became of each row, against the last run.</summary>
    public RowFate[] Fates { get; } = new RowFate[batch.Count];

    /// <summary>What files that look unchanged and are read all the same had in them at the last run: a digest, or where there is none their chunks.</summary>
    public Dictionary<int, ReadBefore> Before { get; } = [];

    /// <summary>What became of each further name of a file, against the last run.</summary>
    public Dictionary<int, RowFate> NameFates { get; } = [];

    /// <summary>Rows with further names, by the inode that the walk saw: opening a file may find another in its place.</summary>
    public Dictionary<int, (ulong Device, ulong Inode)> Linked { get; } = [];

    public bool IsComplete => Volatile.Read(ref _pending) == 0;
    public void Begun() => Interlocked.Increment(ref _pending);

    public void Finished(int count = 1)
    {
        if (Interlocked.Add(ref _pending, -count) != 0)
            return;
        lock (_gate)
            Monitor.PulseAll(_gate);
    }

    public bool Wait(int milliseconds)
    {
        lock (_gate)
            return IsComplete || Monitor.Wait(_gate, milliseconds) || IsComplete;
    }
}

/// <param name="Digest">At the last run; none where it had none.</param>
/// <param name="Chunks">Then.</param>
/// <param name="Looks">By the walk, where nothing but the file's turn has it read.</param>
readonly record struct ReadBefore(Hash32 Digest, ChunkRef[]? Chunks, FileLooks? Looks);

readonly record struct FileLooks(long Size, long MtimeSeconds, uint MtimeNanoseconds, long CtimeSeconds, uint CtimeNanoseconds)
{
    public static FileLooks Of(EntryBatch batch, int row) =>
        new(batch.Size[row], batch.MtimeSeconds[row], batch.MtimeNanoseconds[row], batch.CtimeSeconds[row], batch.CtimeNanoseconds[row]);
}

enum RowFate : byte
{
    None = 0,
    New = 1,
    Changed = 2,
    Unchanged = 3,

    /// <summary>A further name of a file that an earlier row has: it takes over what was found there.</summary>
    SameInode = 4,
}

/// <summary>One thread that reads files and stores their chunks.</summary>
sealed class ContentWorker(Archiver archiver, int level) : IDisposable
{
    const int Tries = 3;

    /// <summary>Files shorter than this, bytes, share frames, and are stored many at once.</summary>
    const int SmallLimit = PackWriter.SharedLimit;

    /// <summary>So many bytes of them are read before they are stored: enough to hash sixteen at a time, and little enough that a processor's cache still has most of them.</summary>
    const int ReadAhead = 4 << 20;

    readonly List<SmallFile> _small = []; // read, and not stored yet: their bytes lie one after the other in the segment
    readonly List<int> _others = [];
    int _filled;
    byte[]? _segment;
    int[] _lengths = [];
    ContentKind[] _kinds = [];
    Hash32[] _digests = [];
    UInt128[] _ids = [];

    readonly record struct SmallFile(int Row, int Length, ContentKind Kind, ContentState State);

    public ChunkWorker Chunks { get; } = archiver.Sink.Worker(KeyClass.Content, level);

    /// <summary>Room for a segment of a large file, or for many small ones; made when the first one comes.</summary>
    public byte[] Segment => _segment ??= GC.AllocateUninitializedArray<byte>(LargeFile.SegmentSize);

    public void Work(WorkItem item)
    {
        if (item.Large is { } large)
        {
            large.Work(this);
            return;
        }
        var ticket = item.Ticket!;
        if (item.Reread is var (reread, turn))
        {
            archiver.Reread(this, ticket, reread, turn);
            return;
        }
        _others.Clear();
        foreach (var row in item.Rows!)
        {
            if (archiver.Stopped)
                break;
            if (ticket.Batch.MayBeSparse[row] || ticket.Batch.Size[row] is < 0 or >= SmallLimit || !ReadSmall(ticket, row))
                _others.Add(row); // the segment is taken
            if (_filled >= ReadAhead)
                StoreSmall(ticket);
        }
        StoreSmall(ticket);
        foreach (var row in _others.TakeWhile(_ => !archiver.Stopped))
            new LargeFile(archiver, ticket, row).Work(this);
    }

    /// <summary>Reads a small file behind those that were read before. False where it has grown out of being small.</summary>
    bool ReadSmall(BatchTicket ticket, int row)
    {
        var batch = ticket.Batch;
        using var content = archiver.Source.Open(batch, row);
        if (content is null)
        {
            batch.State[row] = ContentState.Failed;
            Done(ticket);
            return true;
        }
        for (var attempt = 1; ; attempt++)
        {
            var size = batch.Size[row];
            if (size >= SmallLimit)
                return false;
            var free = Segment.AsSpan(_filled, SmallLimit);
            var length = 0;
            bool changed;
            try
            {
                while (length < free.Length)
                {
                    var read = content.Read(free[length..], length);
                    length += read;
                    if (read == 0 || length == size) // a file longer than its size shows in its times
                        break;
                }
                changed = length != size || content.HasChanged();
                if (changed)
                    content.Refresh(batch, row);
            }
            catch (IOException)
            {
                archiver.Source.Report(new SourceProblem(ProblemKind.ReadFailed, batch.Path(row).ToArray(), ""));
                batch.State[row] = ContentState.Failed;
                Done(ticket);
                return true;
            }
            if (changed)
            {
                if (attempt < Tries)
                    continue;
                if (length >= SmallLimit)
                    return false;
                archiver.Source.Report(new SourceProblem(ProblemKind.Changed, batch.Path(row).ToArray(), ""));
                batch.Size[row] = length;
            }
            Keep(ticket, row, length, changed ? ContentState.Unsettled : ContentState.Read);
            return true;
        }
    }

    /// <summary>Takes the bytes that were read as the file's.</summary>
    void Keep(BatchTicket ticket, int row, int length, ContentState state)
    {
        var batch = ticket.Batch;
        batch.Chunks[row] = null;
        batch.ChunkLists[row] = null;
        batch.ListedKind[row] = DigestKind.Whole;
        batch.ChunkIds[row] = null;
        archiver.Hold(-(batch.Extents[row]?.Length ?? 0));
        batch.Extents[row] = null;
        batch.Digest[row] = Hash32.None;
        if (length == 0)
        {
            batch.State[row] = state;
            Done(ticket);
            return;
        }
        var kind = ContentKinds.Tell(Segment.AsSpan(_filled, Math.Min(length, 512)), TreePath.Name(batch.Path(row)), out var fits);
        batch.ContentKind[row] = kind;
        if (!fits)
            Chunks.Statistics[kind].Misfits++;
        _small.Add(new SmallFile(row, length, kind, state));
        _filled += length;
    }

    /// <summary>Stores the small files that were read.</summary>
    void StoreSmall(BatchTicket ticket)
    {
        var count = _small.Count;
        if (_lengths.Length < count)
            (_lengths, _kinds, _digests, _ids) = (new int[count], new ContentKind[count], new Hash32[count], new UInt128[count]);
        for (var i = 0; i < count; i++)
            (_, _lengths[i], _kinds[i], _) = _small[i];
        Chunks.StoreAll(Segment.AsMemory(0, _filled), _lengths.AsSpan(0, count), _kinds, _digests, _ids);
        var batch = ticket.Batch;
        for (var i = 0; i < count; i++)
        {
            var (row, length, _, state) = _small[i];
            batch.Digest[row] = _digests[i];
            batch.ChunkId[row] = _ids[i];
            batch.State[row] = state;
            archiver.Progress.AddBytes(length);
            Done(ticket);
        }
        Chunks.BytesRead += _filled;
        _small.Clear();
        _filled = 0;
    }

    void Done(BatchTicket ticket)
    {
        archiver.Progress.AddFile();
        ticket.Finished();
    }

    /// <summary>Reads some chunks of a file that looks unchanged. False where one is not what it was.</summary>
    public bool Reread(EntryBatch batch, int row, Func<int, bool> choose)
    {
        var before = Identity(batch, row);
        using var content = archiver.Source.Open(batch, row);
        if (content is null)
            return true; // reported; the row keeps what the last run found
        if (before != Identity(batch, row))
            return false; // it changed, or was replaced, after the walk saw it: what the last run found is not its content any more
        var chunks = batch.Chunks[row]!;
        var data = new DataCursor(batch.Extents[row]);
        for (var i = 0; i < chunks.Length && !archiver.Stopped; i++)
        {
            if (!choose(i))
            {
                data.Skip(chunks[i].Length);
                continue;
            }
            var buffer = Segment.AsSpan(0, chunks[i].Length);
            try
            {
                if (!data.Read(content, buffer))
                    return false;
            }
            catch (IOException)
            {
                return false;
            }
            if (!chunks[i].Names(buffer))
            {
                if (!content.HasChanged())
                    archiver.Surprise();
                return false;
            }
            Chunks.BytesRead += buffer.Length;
        }
        return !content.HasChanged();
    }

    /// <summary>What changes with a file's content, whatever its writer does to its times.</summary>
    static (long, long, uint, long, uint, ulong, ulong) Identity(EntryBatch batch, int row) => (batch.Size[row], batch.MtimeSeconds[row], batch.MtimeNanoseconds[row],
        batch.CtimeSeconds[row], batch.CtimeNanoseconds[row], batch.Device[row], batch.Inode[row]);

    public void Dispose() => Chunks.Dispose();
}

/// <summary>Walks the data of a file that may have holes: chunks hold the extents' bytes, joined.</summary>
/// <remarks>Who walks past the last extent would walk for ever: that is refused, whatever checked the rows before.</remarks>
struct DataCursor(Extent[]? extents)
{
    int _extent;
    long _inExtent;
    long _plain;

    public void Skip(long count)
    {
        if (extents is null)
        {
            _plain += count;
            return;
        }
        while (count > 0)
        {
            var step = Math.Min(count, Left());
            count -= step;
            Advance(step);
        }
    }

    /// <summary>The next run of bytes that lies in one piece: its offset in the file and at most <paramref name="limit"/> bytes; moves past it.</summary>
    public (long Offset, int Length) Next(int limit)
    {
        if (extents is null)
        {
            _plain += limit;
            return (_plain - limit, limit);
        }
        var length = (int)Math.Min(limit, Left());
        var offset = extents[_extent].Offset + _inExtent;
        Advance(length);
        return (offset, length);
    }

    public bool Read(IContent content, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var (offset, length) = Next(buffer.Length);
            for (var done = 0; done < length;)
            {
                var read = content.Read(buffer[done..length], offset + done);
                if (read == 0)
                    return false;
                done += read;
            }
            buffer = buffer[length..];
        }
        return true;
    }

    /// <summary>Of the extent at hand; 1 or more.</summary>
    readonly long Left() => _extent < extents!.Length && extents[_extent].Length - _inExtent is > 0 and var left ? left : throw new HoldfastException(ErrorCode.ObjectDamaged,
        "A file's chunks have more bytes than its data has room for.", "It was not written by a sound Holdfast. Choose another snapshot, and treat the writer of this one as suspect.");

    void Advance(long count)
    {
        _inExtent += count;
        if (_inExtent == extents![_extent].Length && _extent < extents.Length - 1)
            (_extent, _inExtent) = (_extent + 1, 0);
    }
}
