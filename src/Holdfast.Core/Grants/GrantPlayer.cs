using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>Does what records say to a target on this machine. Nothing that comes is believed: what the target does not guard itself against (paths, links, folders) is looked at here, before any of it is done.</summary>
/// <param name="target">Where it goes.</param>
/// <param name="entries">No more rows come than so many.</param>
/// <param name="progress">Told how far it is.</param>
/// <param name="threads">That write.</param>
/// <param name="answer">Gets which files need not come, of those before a mark; null where all do, and there is no mark.</param>
/// <param name="ct">Stops it.</param>
sealed class GrantPlayer(ITreeWriter target, ulong entries, RestoreProgress progress, int threads, Action<GrantRequest.Unwanted>? answer, CancellationToken ct) : IDisposable
{
    const int MostPaths = 4 << 20; // bytes, of one record of rows
    const int MostPieces = 4; // that are being written

    /// <summary>A file whose content comes.</summary>
    /// <param name="local">Its handle here; below 0, where it is not wanted.</param>
    /// <param name="size">Bytes.</param>
    /// <param name="data">Of them, those that are no hole.</param>
    /// <param name="isWhole">It has no hole.</param>
    sealed class Coming(int local, long size, long data, bool isWhole)
    {
        public int Local => local;
        public long Size => size;
        public long Data => data;
        public bool IsWhole => isWhole;
        public bool IsOpen; // by who reads records
        public long Came;
        public IContentWriter? Writer; // by the one thread that writes it
        public bool IsBroken;
    }

    readonly record struct Job(GrantRecord Record, Coming File, HeldPiece Piece);

    readonly Dictionary<int, Coming> _coming = [];
    readonly HashSet<Coming> _open = [];
    readonly List<BlockingCollection<Job>> _lanes = [];
    readonly List<Thread> _threads = [];
    readonly CountdownEvent _busy = new(1);
    readonly SemaphoreSlim _room = new(MostPieces);
    readonly EntryBatch _rows = new();
    readonly Dictionary<uint, byte[]> _users = [];
    readonly Dictionary<uint, byte[]> _groups = [];
    readonly List<(int First, int Count)> _unwanted = [];
    readonly ConcurrentQueue<byte[]> _failedPaths = [];
    long _failed;
    long _names; // bytes
    ulong _seen;
    bool _isNamed; // the target has the names
    bool _hasContent; // since the last rows
    int _handles;
    int _marks;
    int _marked; // handles that were there at the last mark
    TreeWritten? _written;
    ExceptionDispatchInfo? _fault;

    /// <summary>Plays all of it.</summary>
    /// <param name="pieces">In their order; each is disposed of when nothing of it is needed any more.</param>
    /// <returns>What came back.</returns>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: what came is none that a sound clean room sends; why the clean room brought no more; what the target reports.</exception>
    public RestoreResult Play(IEnumerable<GrantReply> pieces)
    {
        using var records = Records(pieces).GetEnumerator();
        while (records.MoveNext())
        {
            _fault?.Throw();
            ct.ThrowIfCancellationRequested();
            var (record, piece) = records.Current;
            switch (record.Kind)
            {
                case GrantRecordKind.Owners:
                    Require((_names += record.Bytes.Length) <= GrantRecord.MostPiece * 4L && _seen == 0 && GrantBytes.TryOwners(record.Bytes.Span, _users, _groups));
                    break;
                case GrantRecordKind.Rows:
                    Settle();
                    AddRows(record.Bytes.Span, records);
                    break;
                case GrantRecordKind.Listed:
                    break; // the target had no use for it
                case GrantRecordKind.Mark:
                    Require(_handles > _marked);
                    _marked = _handles;
                    Senseless(answer)(new GrantRequest.Unwanted(Id16.None, ++_marks, [.. _unwanted]));
                    foreach (var (first, count) in _unwanted)
                    {
                        for (var i = 0; i < count; i++)
                            _coming.Remove(first + i);
                    }
                    _unwanted.Clear();
                    break;
                case GrantRecordKind.Finish:
                    Require(_written is null);
                    Settle();
                    _written = Finish();
                    break;
                case GrantRecordKind.Result:
                    Require(_written is not null);
                    var result = Senseless(GrantBytes.Result(record.Bytes.Span));
                    Require(!records.MoveNext());
                    return Told(result);
                case GrantRecordKind.Fault:
                    Settle();
                    throw Senseless(GrantBytes.Fault(record.Bytes.Span));
                default:
                    Content(record, piece);
                    break;
            }
        }
        _fault?.Throw();
        throw new HoldfastException(ErrorCode.SessionLost, "The clean room sent no more before the restore came to its end: it was begun anew elsewhere, or the grant was ended there.", "Ask whoever gave the grant; then run the same command again with --resume.");
    }

    /// <summary>Each with the piece that it is part of.</summary>
    IEnumerable<(GrantRecord Record, HeldPiece Piece)> Records(IEnumerable<GrantReply> pieces)
    {
        foreach (var reply in pieces)
        {
            _room.Wait(ct);
            using var piece = new HeldPiece(reply, _room);
            for (var at = 1; at < reply.Bytes.Length;)
            {
                Require(GrantRecord.TryRead(reply.Bytes, ref at, out var record));
                yield return (record, piece);
            }
        }
    }

    static void Require(bool claim)
    {
        if (!claim)
            throw Unsafe();
    }

    static T Senseless<T>(T? value) where T : class => value ?? throw Unsafe();

    static HoldfastException Unsafe() => new(ErrorCode.TargetUnsafe, "What came is none that a sound clean room sends; no more of it was written.", "Use the same release of holdfast on both machines. If it goes on, treat the machine that answers as suspect: compare the fingerprint with whoever gave the grant.");

    void AddRows(ReadOnlySpan<byte> bytes, IEnumerator<(GrantRecord Record, HeldPiece Piece)> records)
    {
        var reader = new ByteReader(bytes);
        var flags = reader.Raw(reader.Count(EntryBatch.MaxRows)).ToArray();
        Require(!reader.Failed && _written is null && TreeNode.TryRead(reader.Raw(reader.Remaining), _rows, MostPaths) && _rows.Count == flags.Length);
        Require((_seen += (ulong)flags.Length) <= entries);
        if (!_isNamed)
            target.SetOwnerNames(_users, _groups);
        _isNamed = true;
        _rows.ListReader = (rows, row) => Lists(rows, row, records);
        for (var row = 0; row < flags.Length; row++)
        {
            var flag = (GrantWriter.RowFlags)flags[row];
            var isFile = _rows.Kind[row] == EntryKind.File;
            var hasContent = flag.HasFlag(GrantWriter.RowFlags.Content);
            Require(flags[row] < 16 && (isFile || !hasContent) && (!flag.HasFlag(GrantWriter.RowFlags.List) || (hasContent && row == flags.Length - 1 && _rows.ChunkLists[row] is not null))
                && (!flag.HasFlag(GrantWriter.RowFlags.UnknownOwner) || _rows.Kind[row] == EntryKind.Directory));
            if (flag.HasFlag(GrantWriter.RowFlags.UnknownOwner))
                _rows.Uid[row] = _rows.Gid[row] = ITreeWriter.UnknownOwner;
            var hasList = flag.HasFlag(GrantWriter.RowFlags.List);
            if (!hasList && _rows.ChunkLists[row] is not null)
                _rows.ListReader = static (_, _) => throw Unread();
            var local = target.Add(_rows, row, flag.HasFlag(GrantWriter.RowFlags.OnWay));
            Note(row, local, hasContent);
        }
    }

    static HoldfastException Unread() => new(ErrorCode.ChunkMissing, "The list of the file's chunks did not come.", "Nothing is to be done: the file is written anew.");

    void Note(int row, int local, bool hasContent)
    {
        if (!hasContent)
        {
            if (local >= 0) // a further name of a file that could not be made here
                Miss(local);
            return;
        }
        var data = _rows.Extents[row] is { } extents ? extents.Sum(e => e.Length) : _rows.Size[row];
        _coming[_handles] = new Coming(local, _rows.Size[row], data, _rows.Extents[row] is null);
        if (local >= 0)
            progress.Plan(data);
        else if (_unwanted is [.., var last] && last.First + last.Count == _handles)
            _unwanted[^1] = (last.First, last.Count + 1);
        else if (_unwanted.Count < GrantRequest.MostRanges)
            _unwanted.Add((_handles, 1));
        Require(++_handles < int.MaxValue);
    }

    /// <summary>The list of a row's chunks, as it comes: read no further than it is wanted.</summary>
    IEnumerable<ChunkRef> Lists(EntryBatch rows, int row, IEnumerator<(GrantRecord Record, HeldPiece Piece)> records)
    {
        var kind = rows.ListedKind[row];
        while (Listed(records, kind) is { Length: > 0 } chunks)
        {
            foreach (var chunk in chunks)
                yield return chunk;
        }
    }

    /// <summary>What goes wrong here ends the restore: whoever compares takes it for a file that is not equal.</summary>
    ChunkRef[] Listed(IEnumerator<(GrantRecord Record, HeldPiece Piece)> records, DigestKind kind)
    {
        try
        {
            if (!records.MoveNext())
                return [];
            Require(records.Current.Record.Kind == GrantRecordKind.Listed);
            return Senseless(GrantBytes.Listed(records.Current.Record.Bytes.Span, kind));
        }
        catch (HoldfastException e)
        {
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(e), null);
            throw;
        }
    }

    void Miss(int local)
    {
        target.Forget(local);
        if (Interlocked.Increment(ref _failed) <= TargetProblem.Listed)
            _failedPaths.Enqueue(target.PathOf(local).ToArray());
    }

    /// <summary>What may come of a file's content, and no more: its whole, or its parts within its size, between an opening and an end.</summary>
    void Content(GrantRecord record, HeldPiece piece)
    {
        Require(_written is null && _coming.TryGetValue(record.Handle, out _));
        var file = _coming[record.Handle];
        switch (record.Kind)
        {
            case GrantRecordKind.Whole:
                Require(!file.IsOpen && file.IsWhole && record.Bytes.Length == file.Size);
                break;
            case GrantRecordKind.Open:
                Require(!file.IsOpen);
                file.IsOpen = true;
                break;
            case GrantRecordKind.Part:
                Require(file.IsOpen && record.Offset <= file.Size - record.Bytes.Length && (file.Came += record.Bytes.Length) <= file.Data);
                break;
            case GrantRecordKind.Done:
                Require(file.IsOpen && file.Came == file.Data);
                break;
            default:
                break;
        }
        if (record.Kind is GrantRecordKind.Whole or GrantRecordKind.Done or GrantRecordKind.Drop)
            _coming.Remove(record.Handle);
        if (file.Local < 0)
            return;
        Start();
        _busy.AddCount();
        _hasContent = true;
        _lanes[record.Handle % _lanes.Count].Add(new Job(record, file, piece.Hold()));
    }

    void Start()
    {
        while (_lanes.Count < Math.Max(1, threads))
        {
            var lane = new BlockingCollection<Job>();
            var thread = new Thread(() => Work(lane)) { IsBackground = true, Name = "holdfast restore" };
            thread.Start();
            _lanes.Add(lane);
            _threads.Add(thread);
        }
    }

    /// <summary>All content that came is written: rows are added while nobody writes.</summary>
    void Settle()
    {
        if (!_hasContent)
            return;
        _busy.Signal();
        _busy.Wait(ct);
        _busy.Reset(1);
        _hasContent = false;
        _fault?.Throw();
    }

    void Work(BlockingCollection<Job> lane)
    {
        foreach (var job in lane.GetConsumingEnumerable())
        {
            try
            {
                if (_fault is null && !ct.IsCancellationRequested)
                    Write(job.Record, job.File);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(e), null);
            }
            finally
            {
                job.Piece.Dispose();
                _busy.Signal();
            }
        }
    }

    void Write(GrantRecord record, Coming file)
    {
        switch (record.Kind)
        {
            case GrantRecordKind.Whole:
                progress.Wrote(record.Bytes.Length);
                if (target.WriteWhole(file.Local, record.Bytes.Span))
                    progress.Finished(file.Data);
                break;
            case GrantRecordKind.Open:
                file.Writer = target.Open(file.Local);
                file.IsBroken = file.Writer is null;
                Keep(file);
                break;
            case GrantRecordKind.Part:
                progress.Wrote(record.Bytes.Length);
                if (!file.IsBroken)
                    file.Writer!.Write(record.Bytes.Span, record.Offset);
                break;
            case GrantRecordKind.Done:
                if (!file.IsBroken && file.Writer!.Complete())
                    progress.Finished(file.Data);
                file.Writer?.Dispose();
                Release(file);
                break;
            default:
                file.Writer?.Dispose();
                Release(file);
                Miss(file.Local);
                break;
        }
    }

    void Keep(Coming file)
    {
        lock (_open)
            _open.Add(file);
    }

    void Release(Coming file)
    {
        lock (_open)
            _open.Remove(file);
    }

    TreeWritten Finish()
    {
        foreach (var file in _coming.Values.Where(f => f.Local >= 0))
        {
            file.Writer?.Dispose();
            Release(file);
            Miss(file.Local); // it never came, or not to its end
        }
        _coming.Clear();
        return target.Finish();
    }

    RestoreResult Told(RestoreResult result) => result with
    {
        Files = progress.Files - _written!.Gone,
        Bytes = progress.Standing,
        Written = _written,
        Failed = _failed,
        FailedPaths = [.. _failedPaths],
        IsWhole = _failed == 0 && result.Lost == 0 && target.Problems.Count == 0 && target.Refusals.Count == 0,
    };

    /// <summary>What is half-written is taken back.</summary>
    public void Dispose()
    {
        _lanes.ForEach(l => l.CompleteAdding());
        Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(new OperationCanceledException()), null);
        _threads.ForEach(t => t.Join());
        _lanes.ForEach(l => l.Dispose());
        foreach (var file in _open)
            file.Writer?.Dispose();
        _busy.Dispose();
        _room.Dispose();
    }

    /// <summary>A piece that several threads write from.</summary>
    sealed class HeldPiece(GrantReply reply, SemaphoreSlim room) : IDisposable
    {
        int _users = 1;

        public HeldPiece Hold()
        {
            Interlocked.Increment(ref _users);
            return this;
        }

        public void Dispose()
        {
            if (Interlocked.Decrement(ref _users) != 0)
                return;
            reply.Dispose();
            room.Release();
        }
    }
}
