using System.Runtime.ExceptionServices;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>How a run works.</summary>
public sealed record ArchiveOptions
{
    /// <summary>zstd level, 1 to 19.</summary>
    public int Level { get; init; } = 1;

    /// <summary>Threads that read, hash, compress and seal; 0 for one a processor.</summary>
    public int Threads { get; init; }

    /// <summary>Trust the state file's word that a file has not changed. Where not, all is read, and the state only tells what is new since.</summary>
    public bool UseState { get; init; } = true;

    /// <summary>File systems that are mounted below the source's root are part of it: one that was there and is not is told.</summary>
    public bool HasMounts { get; init; } = true;

    /// <summary>Chunks of durable packs that are given to the index together while the run goes on, 1 or more: fewer take less memory, more make fewer runs to merge.</summary>
    public int IndexFrom { get; init; } = 1 << 17;

    public int ThreadCount => Threads > 0 ? Threads : Environment.ProcessorCount;
}

/// <summary>What a run found and stored.</summary>
public sealed record Archive(ChunkRef Root, byte RootLevel, ulong Entries, ulong Files, ulong LogicalBytes, ulong NewBytes, PackSet Packs,
    IReadOnlyList<WrittenPack> Written, RunStatistics Statistics, IReadOnlyList<Hash32> References, ulong Problems, long BytesRead)
{
    /// <summary>Files that were read in their turn though they looked unchanged, and held something else: others that were not read may too.</summary>
    public long Surprises { get; init; }
}

/// <summary>Turns a source into chunks, packs and a tree: one walking thread, and workers that read, hash, compress and seal.</summary>
/// <remarks>The walk goes in tree order beside the state of the last run; rows that look unchanged are taken over, the others go to the workers; complete
/// batches leave in order into the tree and the new state. Memory is bounded by the batches in flight.</remarks>
sealed class Archiver : IDisposable
{
    const int BatchesInFlight = 12;
    const long ExtentsInFlight = (64 << 20) / ExtentBytes; // then batches are finished before the walk goes on: each file may have a mebibyte of them
    const int ExtentBytes = 16; // in memory
    const int RowsAnItem = 256;
    const long BytesAnItem = 4 << 20;
    const long SharedFrom = 16 << 20; // bytes: from here on a file is an item of its own, with which idle workers help
    const int RereadShare = SourceState.MaxRuns; // one part in thirty each run
    const int MaxRenames = 1 << 18; // removed files remembered, to tell renames

    /// <summary>What was found under an inode's number, and what the file looked like: the number may be another file's by the time it is met again.</summary>
    /// <param name="Content">Of the newest name that was read.</param>
    /// <param name="Looks">That name's.</param>
    /// <param name="IsApart">It is not what the first name has, which links are made to: it is stored as a file of its own.</param>
    /// <param name="Names">How many of its names have been met.</param>
    sealed record FoundInode(EntryContent Content, FileLooks Looks, bool IsApart, uint Names)
    {
        /// <summary>All names were met, and what was in it is not kept longer. Should one more come, it is read itself and is a file of its own: what the others had is no longer known.</summary>
        public static readonly FoundInode Complete = new(default, new FileLooks(-1, 0, 0, 0, 0), IsApart: true, Names: 0);
    }

    readonly ArchiveOptions _options;
    readonly WorkQueue _work = new(256);
    readonly Queue<BatchTicket> _tickets = new();
    readonly EntryBatchPool _pool = new();
    readonly TreeBuilder _tree;
    readonly RunStatistics _statistics = new();
    readonly SourceState.Reader? _state;
    readonly SourceState.Writer? _next;
    readonly uint _run;
    readonly EntryBatch _last = new();
    readonly Dictionary<(ulong, ulong), FoundInode?> _inodes = [];
    readonly HashSet<Hash32> _removedDigests = [];
    readonly List<(Hash32 Digest, ContentKind Kind)> _newDigests = [];
    readonly MountWatch? _mounts;
    readonly CancellationToken _ct;
    ContentWorker? _own; // the walking thread's; made when it must read a file itself
    int _lastRow;
    bool _lastDone;
    long _extents; // of rows in flight
    bool _seen; // the walk has met the last run's row at hand
    long _surprises;
    ulong _files;
    ulong _logical;
    ulong _left;
    ExceptionDispatchInfo? _fault;

    public Archiver(ISource source, IChunkSink sink, ArchiveOptions options, SourceState.Reader? state, SourceState.Writer? next, BackupProgress progress, CancellationToken ct)
    {
        Source = source;
        Sink = sink;
        Progress = progress;
        _options = options;
        _state = state;
        _next = next;
        _run = (state?.Head.Run ?? uint.MaxValue) + 1;
        _tree = new TreeBuilder(sink, options.Level, Refused);
        _lastDone = state is null;
        _mounts = options.HasMounts ? new MountWatch(source) : null;
        _ct = ct;
    }

    public ISource Source { get; }
    public IChunkSink Sink { get; }
    public BackupProgress Progress { get; }

    /// <summary>True where workers should end: a fault, or a person's wish.</summary>
    public bool Stopped => Volatile.Read(ref _fault) is not null || _ct.IsCancellationRequested;

    /// <summary>Runs to the end. Packs are finished, and durable once the session's queue has been drained.</summary>
    public Archive Run()
    {
        var workers = Enumerable.Range(0, _options.ThreadCount).Select(_ => new ContentWorker(this, _options.Level)).ToList();
        var threads = workers.Select(w => new Thread(() => Consume(w)) { IsBackground = true, Name = "holdfast backup" }).ToList();
        var started = 0;
        try
        {
            for (; started < threads.Count; started++)
                threads[started].Start(); // the system may have none left
            foreach (var batch in Source.Walk(_pool, _ct))
            {
                ThrowIfStopped();
                Take(batch);
            }
            while (_tickets.Count > 0)
                DrainOne();
            _mounts?.Tell(default);
            SkipRemoved(default, toTheEnd: true);
            _work.Complete();
            threads.ForEach(t => t.Join());
            ThrowIfStopped();
            if (_own is not null)
            {
                _own.Chunks.Finish();
                workers.Add(_own);
            }
            var (root, level) = _tree.Finish();
            return Result(root, level, workers);
        }
        finally
        {
            _fault ??= ExceptionDispatchInfo.Capture(new OperationCanceledException());
            _work.Complete();
            threads[..started].ForEach(t => t.Join());
            workers.ForEach(w => w.Dispose());
            _own?.Dispose();
        }
    }

    Archive Result(ChunkRef root, byte level, List<ContentWorker> workers)
    {
        foreach (var worker in workers)
            _statistics.Join(worker.Chunks.Statistics);
        foreach (var (digest, kind) in _newDigests)
        {
            if (_removedDigests.Contains(digest))
                _statistics[kind].Renamed++;
        }
        var stored = Sink.Complete();
        return new Archive(root, level, _tree.Entries, _files, _logical, stored.NewBytes, stored.Packs, stored.Written, _statistics, stored.References,
            Math.Max(_left, (ulong)Source.Problems.Count(p => p.Kind != ProblemKind.Skipped)), workers.Sum(w => w.Chunks.BytesRead))
        { Surprises = _surprises };
    }

    void Consume(ContentWorker worker)
    {
        try
        {
            while (_work.TryTake(out var item))
            {
                if (!Stopped)
                    worker.Work(item);
                if (item.Large is { } large)
                    _work.Ended(large);
            }
            if (!Stopped)
                worker.Chunks.Finish();
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(e), null);
        }
    }

    void ThrowIfStopped()
    {
        _ct.ThrowIfCancellationRequested();
        Volatile.Read(ref _fault)?.Throw();
    }

    void Take(EntryBatch batch)
    {
        var ticket = new BatchTicket(batch);
        var rows = new List<int>(RowsAnItem);
        var bytes = 0L;
        for (var row = 0; row < batch.Count; row++)
        {
            if (!Decide(ticket, row))
                continue;
            ticket.Begun();
            var size = batch.Size[row];
            if (size < 0 || size > SharedFrom)
            {
                Enqueue(new WorkItem(null, null, new LargeFile(this, ticket, row)));
                continue;
            }
            rows.Add(row);
            bytes += size;
            if (rows.Count == RowsAnItem || bytes >= BytesAnItem)
            {
                Enqueue(new WorkItem(ticket, [.. rows], null));
                rows.Clear();
                bytes = 0;
            }
        }
        if (rows.Count > 0)
            Enqueue(new WorkItem(ticket, [.. rows], null));
        Progress.AddEntries(batch.Count);
        ticket.Finished();
        _tickets.Enqueue(ticket);
        while (_tickets.Count > 0 && (_tickets.Count > BatchesInFlight || Volatile.Read(ref _extents) > ExtentsInFlight || _tickets.Peek().IsComplete))
            DrainOne();
    }

    /// <summary>Extents were found in a row, or its batch is done with.</summary>
    internal void Hold(long extents) => Interlocked.Add(ref _extents, extents);

    void Enqueue(WorkItem item)
    {
        while (!_work.TryAdd(item, 100))
            ThrowIfStopped();
    }

    /// <summary>True where the row's content must be read; otherwise the row is settled.</summary>
    bool Decide(BatchTicket ticket, int row)
    {
        var batch = ticket.Batch;
        var path = batch.Path(row);
        var known = SkipRemoved(path, toTheEnd: false);
        _mounts?.Tell(path);
        if (batch.Kind[row] != EntryKind.File)
        {
            _mounts?.Look(ticket, row, known ? _last : null, _lastRow);
            if (known && _last.Kind[_lastRow] == EntryKind.File)
                CountRemoved(); // what has its name now is something else
            if (known && _options.UseState && _last.Kind[_lastRow] == batch.Kind[row] && IsSameInode(batch, row) && !IsFresh())
                TakeXattrs(batch, row);
            else
                Source.ReadXattrs(batch, row);
            return false;
        }
        var read = DecideFile(ticket, row, known);
        if (ticket.Fates[row] == RowFate.Unchanged && _options.UseState && IsSameInode(batch, row) && !IsFresh())
            TakeXattrs(batch, row);
        else if (!read)
            Source.ReadXattrs(batch, row); // what is read gets them when it is opened
        if (batch.State[row] == ContentState.Unchanged && batch.Size[row] > LargeFile.DigestLimit)
            RereadLarge(ticket, row); // last: from here on the row is a worker's
        return read;
    }

    /// <summary>Those of the last run.</summary>
    void TakeXattrs(EntryBatch batch, int row)
    {
        batch.Xattrs[row] = _last.Xattrs[_lastRow];
        Source.MeetXattrs(batch.Xattrs[row]);
    }

    bool DecideFile(BatchTicket ticket, int row, bool known)
    {
        var batch = ticket.Batch;
        var path = batch.Path(row);
        if (batch.LinkCount[row] > 1)
        {
            var inode = ticket.Linked[row] = (batch.Device[row], batch.Inode[row]);
            if (!_inodes.TryAdd(inode, null))
            {
                ticket.Fates[row] = RowFate.SameInode;
                ticket.NameFates[row] = !known || _last.Kind[_lastRow] != EntryKind.File ? RowFate.New : LooksUnchanged(batch, row) ? RowFate.Unchanged : RowFate.Changed;
                return false;
            }
        }
        if (!known || _last.Kind[_lastRow] != EntryKind.File)
        {
            ticket.Fates[row] = RowFate.New;
            return batch.Size[row] != 0;
        }
        if (!LooksUnchanged(batch, row))
        {
            ticket.Fates[row] = RowFate.Changed;
            return batch.Size[row] != 0;
        }
        ticket.Fates[row] = RowFate.Unchanged;
        if (!_options.UseState || IsFresh() || !Sink.IsStored(_last, _lastRow))
            return ReadAgain(ticket, row, isTurn: false);
        batch.CopyContent(_last, _lastRow, row);
        Hold(batch.Extents[row]?.Length ?? 0);
        batch.State[row] = ContentState.Unchanged;
        return batch.Size[row] <= LargeFile.DigestLimit && Turn(path) % RereadShare == 0 && ReadAgain(ticket, row, isTurn: true);
    }

    ulong Turn(ReadOnlySpan<byte> path) => TreeBuilder.Fnv(path) + _run;

    /// <summary>A file that looks unchanged and is read all the same; what comes out is compared with what it had in it.</summary>
    /// <param name="ticket">Of its batch.</param>
    /// <param name="row">Of the file.</param>
    /// <param name="isTurn">True where nothing but its turn has it read.</param>
    bool ReadAgain(BatchTicket ticket, int row, bool isTurn)
    {
        if (ticket.Batch.Size[row] == 0)
            return false;
        ticket.Before[row] = new ReadBefore(_last.Digest[_lastRow], _last.Chunks[_lastRow], isTurn ? FileLooks.Of(ticket.Batch, row) : null);
        return true;
    }

    /// <summary>What a file that looks unchanged holds is not what the last run found in it.</summary>
    internal void Surprise() => Interlocked.Increment(ref _surprises);

    /// <summary>Whether what was read is something else than what the last run found, though times and size say that it is not.</summary>
    static bool IsSomethingElse(BatchTicket ticket, int row)
    {
        if (!ticket.Before.TryGetValue(row, out var before))
            return false;
        var now = (Digest: ticket.Batch.Digest[row], Chunks: ticket.Batch.Chunks[row]);
        return ticket.Batch.State[row] == ContentState.Unsettled
            || (!before.Digest.IsNone && !now.Digest.IsNone ? before.Digest != now.Digest : !(before.Chunks ?? []).AsSpan().SequenceEqual(now.Chunks ?? []));
    }

    bool LooksUnchanged(EntryBatch batch, int row) =>
        batch.Size[row] == _last.Size[_lastRow]
        && batch.MtimeSeconds[row] == _last.MtimeSeconds[_lastRow] && batch.MtimeNanoseconds[row] == _last.MtimeNanoseconds[_lastRow]
        && _last.State[_lastRow] != ContentState.Unsettled
        && (!Source.HasReliableInodes || IsSameInode(batch, row));

    /// <summary>The same inode, unchanged since: change time moves with every change of content or attributes.</summary>
    bool IsSameInode(EntryBatch batch, int row) =>
        Source.HasReliableInodes && batch.CtimeSeconds[row] == _last.CtimeSeconds[_lastRow]
        && batch.CtimeNanoseconds[row] == _last.CtimeNanoseconds[_lastRow] && batch.Inode[row] == _last.Inode[_lastRow];

    /// <summary>The last run's row changed when that run had begun, or so short a time before that a further change may have the same stamp: what it looks like says nothing of what it holds.
    /// Clocks stamp in steps of up to 20 ms, some file systems in seconds, FAT in two; a server's clock may be another. A stamp far ahead is of a clock that was wrong.</summary>
    bool IsFresh()
    {
        const long margin = 2, ahead = 7 * 86_400; // s
        var changed = Source.HasReliableInodes ? _last.CtimeSeconds[_lastRow] : _last.MtimeSeconds[_lastRow];
        var began = _state!.Head.Began / 1_000;
        return changed >= began - margin && changed < began + ahead;
    }

    void RereadLarge(BatchTicket ticket, int row)
    {
        if (ticket.Batch.Chunks[row] is null)
            return;
        ticket.Begun();
        Enqueue(new WorkItem(ticket, null, null) { Reread = (row, Turn(ticket.Batch.Path(row))) });
    }

    internal void Reread(ContentWorker worker, BatchTicket ticket, int row, ulong turn)
    {
        if (worker.Reread(ticket.Batch, row, i => (turn + (ulong)i) % RereadShare == 0))
            ticket.Finished();
        else
            ReadChanged(worker, ticket, row);
    }

    /// <summary>It is not what it was: all of it is read.</summary>
    void ReadChanged(ContentWorker worker, BatchTicket ticket, int row)
    {
        ticket.Fates[row] = RowFate.Changed;
        new LargeFile(this, ticket, row).Work(worker);
    }

    /// <summary>Moves the last run's rows up to a path; those passed are gone. True where the path is there.</summary>
    bool SkipRemoved(ReadOnlySpan<byte> path, bool toTheEnd)
    {
        while (!_lastDone)
        {
            if (_lastRow >= _last.Count)
            {
                _lastRow = 0;
                if (!_state!.Next(_last))
                {
                    _lastDone = true;
                    return false;
                }
            }
            var order = toTheEnd ? -1 : TreePath.Compare(_last.Path(_lastRow), path);
            if (order == 0)
                return _seen = true;
            if (order > 0)
                return false;
            if (_last.Kind[_lastRow] == EntryKind.File && !_seen)
                CountRemoved();
            _seen = false;
            _lastRow++;
        }
        return false;
    }

    void CountRemoved()
    {
        _statistics[_last.ContentKind[_lastRow]].RemovedFiles++;
        _statistics[_last.ContentKind[_lastRow]].RemovedBytes += (ulong)_last.Size[_lastRow];
        if (_removedDigests.Count < MaxRenames && !_last.Digest[_lastRow].IsNone)
            _removedDigests.Add(_last.Digest[_lastRow]);
    }

    void DrainOne()
    {
        var ticket = _tickets.Dequeue();
        while (!ticket.Wait(100))
            ThrowIfStopped();
        ThrowIfStopped();
        var batch = ticket.Batch;
        var kept = _pool.Rent();
        for (var row = 0; row < batch.Count; row++)
        {
            Hold(-(batch.Extents[row]?.Length ?? 0));
            if (ticket.Linked.TryGetValue(row, out var inode))
                ShareInode(ticket, row, inode);
            if (batch.State[row] == ContentState.Failed)
            {
                _left++;
                continue;
            }
            Count(ticket, row);
            _tree.Add(batch, row);
            if (_next is not null && kept.AddCopy(batch, row) is var at && ticket.Mounts.TryGetValue(row, out var device))
                kept.Device[at] = device;
        }
        _next?.Add(kept);
        _pool.Return(kept);
        _pool.Return(batch);
    }

    /// <summary>A row that no reader takes stands in no snapshot, whatever the source says.</summary>
    void Refused(EntryBatch rows, int row, bool isLeftOut)
    {
        Source.Report(new SourceProblem(ProblemKind.TooMuch, rows.Path(row).ToArray(), isLeftOut ? "all of it is left out" : "its extended attributes"));
        if (!isLeftOut || rows.Kind[row] != EntryKind.File)
            return;
        _files--;
        _logical -= (ulong)rows.Size[row];
    }

    /// <summary>The first name of a file gives the others what was found in it. Where that name was gone or led to another file when it was opened, or the file looks otherwise
    /// now, the next one is read itself.</summary>
    /// <remarks>A file may look otherwise because a name was added to it, and then has in it what it had; or because it is another one, whose predecessor is gone and left it its
    /// number. Equal numbers in a snapshot are one file (docs/format.md, 9.1), so what has something else in it gives its links up.</remarks>
    void ShareInode(BatchTicket ticket, int row, (ulong, ulong) inode)
    {
        var batch = ticket.Batch;
        var before = _inodes[inode];
        var links = batch.LinkCount[row];
        var names = (before?.Names ?? 0) + 1;
        if (ticket.Fates[row] == RowFate.SameInode)
        {
            if (before is not null && before.Looks == FileLooks.Of(batch, row))
            {
                before.Content.CopyTo(batch, row);
                if (before.IsApart)
                    batch.LinkCount[row] = 1;
                _inodes[inode] = names < links ? before with { Names = names } : FoundInode.Complete;
                return;
            }
            ticket.Fates[row] = ticket.NameFates[row];
            if (batch.Size[row] != 0)
            {
                _own ??= new ContentWorker(this, _options.Level);
                ticket.Begun();
                _own.Work(new WorkItem(ticket, [row], null));
                Hold(-(batch.Extents[row]?.Length ?? 0)); // its batch is being done with
            }
        }
        if (batch.State[row] == ContentState.Failed)
            return;
        if ((batch.Device[row], batch.Inode[row]) != inode)
        {
            batch.LinkCount[row] = 1; // what was read is another file, and of its names nothing is known
            return;
        }
        var found = EntryContent.Of(batch, row);
        var isApart = before is not null && (before.IsApart || !before.Content.HasSame(found));
        _inodes[inode] = names < links ? new FoundInode(found, FileLooks.Of(batch, row), isApart, names) : FoundInode.Complete;
        if (isApart)
            batch.LinkCount[row] = 1;
    }

    void Count(BatchTicket ticket, int row)
    {
        if (ticket.Batch.Kind[row] != EntryKind.File)
            return;
        var (size, kind) = ((ulong)ticket.Batch.Size[row], ticket.Batch.ContentKind[row]);
        _files++;
        _logical += size;
        var counts = _statistics[kind];
        var fate = ticket.Fates[row] == RowFate.SameInode ? ticket.NameFates[row] : ticket.Fates[row];
        if (fate == RowFate.Unchanged && IsSomethingElse(ticket, row))
        {
            fate = RowFate.Changed;
            if (ticket.Batch.State[row] == ContentState.Read && ticket.Before[row].Looks == FileLooks.Of(ticket.Batch, row))
                Surprise();
        }
        switch (fate)
        {
            case RowFate.New:
                counts.NewFiles++;
                counts.NewBytes += size;
                if (_state is not null && _newDigests.Count < MaxRenames && !ticket.Batch.Digest[row].IsNone)
                    _newDigests.Add((ticket.Batch.Digest[row], kind));
                break;
            case RowFate.Changed:
                counts.ChangedFiles++;
                counts.ChangedBytes += size;
                break;
            case RowFate.Unchanged:
                counts.UnchangedFiles++;
                counts.UnchangedBytes += size;
                break;
            default:
                break;
        }
    }

    public void Dispose() => _tree.Dispose();
}
