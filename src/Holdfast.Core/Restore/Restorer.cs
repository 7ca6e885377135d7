using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>What a restore brought back.</summary>
/// <param name="Entries">Entries of all kinds that were asked for.</param>
/// <param name="Files">Files that stand in the target with their content, written by this run: not one that failed in any way.</param>
/// <param name="Bytes">Bytes of their content, holes left out.</param>
/// <param name="Written">Folders, links, and files that were there already.</param>
/// <param name="Failed">Files that no copy in the vault gives whole.</param>
/// <param name="FailedPaths">Paths of the first of them (<see cref="TargetProblem.Listed"/>); for the user's eyes only.</param>
/// <param name="Matched">Entries that matched a pattern; 0 where everything was asked for.</param>
/// <param name="IsWhole">True where every entry stands in the target as the snapshot has it.</param>
public sealed record RestoreResult(long Entries, long Files, long Bytes, TreeWritten Written, long Failed, IReadOnlyList<byte[]> FailedPaths, long Matched, bool IsWhole)
{
    /// <summary>Files of the snapshot that have holes.</summary>
    public long WithHoles { get; init; }

    /// <summary>Entries in nodes of the tree that cannot be read: what they were is not known, nor whether they were asked for.</summary>
    public long Lost { get; init; }

    /// <summary>Packs whose footer could not be read, though the disk may give it the next time: what failed or is lost may be in them.</summary>
    public int UnreadPacks { get; init; }

    /// <summary>Of a granted part: patterns that nothing matched, though others may have.</summary>
    public int Unmatched { get; init; }

    /// <summary>Of a granted restore: places of the vault that the clean room cannot reach now.</summary>
    public int Away { get; init; }

    /// <summary>What the erasure register had to say.</summary>
    public ErasureReport Register { get; init; } = ErasureReport.None;

    /// <summary>Where they were, of the first of them (<see cref="TargetProblem.Listed"/>); for the user's eyes only.</summary>
    public IReadOnlyList<LostRows> LostRows { get; init; } = [];
}

/// <summary>How far a restore is; read from any thread while it runs.</summary>
public sealed class RestoreProgress
{
    long _bytes;
    long _files;
    long _planned;
    long _standing;

    public long Bytes => Volatile.Read(ref _bytes);
    public long Files => Volatile.Read(ref _files);

    /// <summary>Bytes known to be needed so far.</summary>
    public long Planned => Volatile.Read(ref _planned);

    /// <summary>Of those, in files that stand in the target, whole: what was written of others is taken back where the restore is cut short.</summary>
    public long Standing => Volatile.Read(ref _standing);

    internal void Plan(long bytes) => Interlocked.Add(ref _planned, bytes);

    internal void Wrote(long bytes) => Interlocked.Add(ref _bytes, bytes);

    internal void Finished(long bytes)
    {
        Interlocked.Add(ref _standing, bytes);
        Interlocked.Increment(ref _files);
    }
}

/// <summary>Writes a snapshot's tree back: plans which chunk goes where, then reads each pack once, in order, on several threads. Every chunk is checked against its
/// digest before it is written.</summary>
sealed class Restorer(IStore store, ChunkReader chunks, ReadingKeys keys, ITreeWriter target, ErasureRegister register, RestoreProgress progress, int threads, CancellationToken ct)
{
    const int PacksInPieces = 2; // for each thread
    const long Piece = 8 << 20; // bytes
    const int Window = 1 << 18; // chunks, and empty files, planned before reading begins; a larger restore goes in several rounds
    const long ExtentBytes = 16; // in memory
    const long WindowBytes = 64 << 20; // of attributes and extents that wait in a round

    readonly List<Item> _items = [];
    readonly List<int> _empty = [];
    readonly Dictionary<int, OpenFile> _files = [];
    readonly ConcurrentQueue<byte[]> _failedPaths = [];
    long _failed;
    readonly List<Item> _unplaced = [];
    readonly List<LostRows> _lostRows = [];
    long _lost;
    long _waiting;
    long _entries;
    long _withHoles;
    ExceptionDispatchInfo? _fault;
    ExceptionDispatchInfo? _unread; // why the rest of the tree is not known

    /// <summary>One chunk to one place. A file of one chunk has no <see cref="OpenFile"/>.</summary>
    readonly record struct Item(int Pack, uint Number, int Handle, bool IsPart, long Position, ChunkRef Chunk) : IComparable<Item>
    {
        public int CompareTo(Item other) => Pack != other.Pack ? Pack.CompareTo(other.Pack) : Number != other.Number ? Number.CompareTo(other.Number) : Position.CompareTo(other.Position);
    }

    sealed class OpenFile(int handle, Extent[]? extents, int chunks, long bytes)
    {
        public int Handle => handle;
        public Extent[]? Extents => extents;
        public long Bytes => bytes;
        public int Left = chunks;
        public IContentWriter? Writer;
        public bool Broken;
    }

    /// <param name="tree">What to bring back.</param>
    /// <param name="filter">Which of it.</param>
    /// <param name="hasRoot">False where the tree's root is no folder of the source: a stream has none.</param>
    /// <param name="below">Nothing else is asked for than what is at or below this path; null where that is not so.</param>
    /// <exception cref="HoldfastException">Among others why the tree cannot be read at all, or, where that is no damage, to its end; what comes before that stands in the target.</exception>
    public RestoreResult Run(TreeReader tree, PathFilter filter, bool hasRoot, byte[]? below)
    {
        tree.Lost = Lose;
        try
        {
            using var batches = tree.Rows(below).GetEnumerator();
            while (_unread is null && TryNext(batches))
            {
                foreach (var (rows, row, isOnWay) in filter.Choose(batches.Current))
                {
                    ct.ThrowIfCancellationRequested();
                    if (register.LeavesOut(rows, row))
                    {
                        if (target.LeaveOut(rows, row))
                            register.Stands(rows.Path(row));
                        continue;
                    }
                    Plan(rows, row, isOnWay || (!hasRoot && rows.Path(row).IsEmpty));
                    if (_unread is not null)
                        break;
                    if (_items.Count + _empty.Count >= Window || _waiting >= WindowBytes)
                        Execute();
                }
            }
            Execute();
        }
        finally
        {
            foreach (var file in _files.Values)
                file.Writer?.Dispose(); // cut short: nothing half-written stays
        }
        var written = target.Finish();
        _unread?.Throw();
        return new RestoreResult(_entries, progress.Files - written.Gone, progress.Standing, written, _failed, [.. _failedPaths], filter.Matched, _failed == 0 && _lost == 0 && target.Problems.Count == 0 && target.Refusals.Count == 0)
        {
            Lost = _lost,
            LostRows = _lostRows,
            WithHoles = _withHoles,
            Register = register.Report,
            UnreadPacks = chunks.Index.Unread,
        };
    }

    void Lose(LostRows rows)
    {
        _lost += (long)Math.Min(rows.Entries, (ulong)(long.MaxValue - _lost));
        if (_lostRows.Count > 0 && _lostRows[^1].With(rows) is { } both)
            _lostRows[^1] = both;
        else if (_lostRows.Count < TargetProblem.Listed)
            _lostRows.Add(rows);
    }

    /// <summary>False at the end of what can be read of the tree.</summary>
    bool TryNext(IEnumerator<EntryBatch> read)
    {
        try
        {
            return read.MoveNext();
        }
        catch (HoldfastException e)
        {
            _unread = ExceptionDispatchInfo.Capture(e);
            return false;
        }
    }

    /// <summary>False at the end of a file's chunks. Where their list cannot be read, the file is given up.</summary>
    bool TryNext(IEnumerator<ChunkRef> listed, OpenFile file)
    {
        try
        {
            return listed.MoveNext();
        }
        catch (HoldfastException e)
        {
            GiveUp(file);
            if (!TreeReader.IsLoss(e))
                _unread = ExceptionDispatchInfo.Capture(e);
            return false;
        }
    }

    void Plan(EntryBatch rows, int row, bool isOnWay)
    {
        _entries++;
        var handle = target.Add(rows, row, isOnWay);
        if (handle < 0)
            return;
        _withHoles += rows.Extents[row] is not null ? 1 : 0;
        _waiting += (rows.Xattrs[row]?.Length ?? 0) + ExtentBytes * (rows.Extents[row]?.Length ?? 0);
        if (rows.Chunks[row] is not null || rows.ChunkLists[row] is not null)
        {
            var file = _files[handle] = new OpenFile(handle, rows.Extents[row], rows.ChunkCount(row), rows.Extents[row]?.Sum(e => e.Length) ?? rows.Size[row]);
            long position = 0;
            using var listed = rows.ChunksOf(row).GetEnumerator();
            while (TryNext(listed, file))
            {
                Place(listed.Current, handle, isPart: true, position);
                position += listed.Current.Length;
                if (_items.Count + _unplaced.Count >= Window)
                {
                    Execute();
                    _files[handle] = file; // not whole yet
                }
            }
        }
        else if (rows.Size[row] == 0 || rows.Extents[row] is { Length: 0 })
        {
            if (rows.Size[row] > 0)
                _files[handle] = new OpenFile(handle, rows.Extents[row], 0, 0);
            _empty.Add(handle);
        }
        else
        {
            Place(new ChunkRef(rows.Digest[row], (int)rows.Size[row]), handle, isPart: false, 0);
        }
    }

    void Place(ChunkRef chunk, int handle, bool isPart, long position)
    {
        progress.Plan(chunk.Length);
        if (chunks.TryFind(KeyClass.Content, chunk, out var place))
            _items.Add(new Item(place.Pack, place.Number, handle, isPart, position, chunk));
        else
            _unplaced.Add(new Item(-1, 0, handle, isPart, position, chunk));
    }

    void Execute()
    {
        _items.Sort();
        var items = _items; // not touched again until the workers are done
        var groups = new ConcurrentQueue<(int Start, int End)>(Groups(items, threads));
        var empties = new ConcurrentQueue<int>(_empty);
        Workers.Run(threads, "holdfast restore", () => Work(items, groups, empties), Stop);
        _fault?.Throw();
        ct.ThrowIfCancellationRequested();
        _unplaced.ForEach(Fail);
        _unplaced.Clear();
        _items.Clear();
        _empty.Clear();
        _files.Clear();
        _waiting = 0;
    }

    /// <summary>What lies in one pack goes together; the last packs in pieces, so that the threads end together.</summary>
    static List<(int Start, int End)> Groups(List<Item> items, int threads)
    {
        var packs = new List<(int Start, int End)>();
        for (var start = 0; start < items.Count; start = packs[^1].End)
            packs.Add((start, EndOfPart(items, start, i => items[i].Pack != items[start].Pack)));
        var whole = Math.Max(0, packs.Count - PacksInPieces * threads);
        var groups = packs[..whole];
        foreach (var (first, end) in packs[whole..])
        {
            for (var start = first; start < end; start = groups[^1].End)
            {
                long bytes = 0;
                // Never between two places of one chunk: it is read once.
                groups.Add((start, Math.Min(end, EndOfPart(items, start, i => (bytes += items[i - 1].Chunk.Length) >= Piece && items[i].Number != items[i - 1].Number))));
            }
        }
        return groups;
    }

    static int EndOfPart(List<Item> items, int start, Predicate<int> isNext)
    {
        var end = start + 1;
        while (end < items.Count && !isNext(end))
            end++;
        return end;
    }

    void Work(List<Item> items, ConcurrentQueue<(int Start, int End)> groups, ConcurrentQueue<int> empties)
    {
        try
        {
            using var buffer = new FrameBuffer();
            while (_fault is null && !ct.IsCancellationRequested && empties.TryDequeue(out var handle))
                MakeEmpty(handle);
            while (_fault is null && !ct.IsCancellationRequested && groups.TryDequeue(out var group))
                ReadPack(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(items)[group.Start..group.End], buffer);
        }
        catch (Exception e)
        {
            Stop(e);
        }
    }

    void Stop(Exception fault) => Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(fault), null);

    void MakeEmpty(int handle)
    {
        if (!_files.TryGetValue(handle, out var file))
        {
            Stands(target.WriteWhole(handle, []), 0);
            return;
        }
        using var writer = target.Open(file.Handle); // all hole
        Stands(writer is not null && writer.Complete(), 0);
    }

    /// <summary>Counts a file where it stands in the target, and nowhere else.</summary>
    void Stands(bool isThere, long bytes)
    {
        if (isThere)
            progress.Finished(bytes);
    }

    void ReadPack(ReadOnlySpan<Item> items, FrameBuffer buffer)
    {
        PackReader pack;
        try
        {
            pack = PackReader.Open(store, chunks.Index.Pack(items[0].Pack).Name, keys);
        }
        catch (HoldfastException e) when (PackReader.IsOfPlace(e))
        {
            foreach (var item in items)
                Elsewhere(item);
            return;
        }
        using (pack)
        {
            var (frame, current, cursor, start) = (-1, -1, 0, 0);
            ReadOnlySpan<byte> payload = default;
            ReadOnlySpan<byte> chunk = default;
            var asked = default(ChunkRef); // what it was compared with
            for (var i = 0; i < items.Length; i++)
            {
                if (_fault is not null || ct.IsCancellationRequested)
                    return;
                var item = items[i];
                var number = item.Number < (uint)pack.Footer.Chunks ? (int)item.Number : -1; // an index that is wrong may name any
                if (number != current && (i + 1 == items.Length || items[i + 1].Number != item.Number) && ReadInPlace(pack, item, buffer))
                    continue;
                if (number != current)
                {
                    (current, asked) = (number, item.Chunk);
                    chunk = default;
                    if (number >= 0 && pack.Footer.ChunkLengths[number] == item.Chunk.Length)
                    {
                        var holder = pack.Footer.FrameOf(number);
                        if (holder != frame)
                        {
                            (frame, cursor, start) = (holder, pack.Footer.FirstChunks[holder], 0);
                            payload = ReadFrame(pack, holder, buffer);
                        }
                        for (; cursor < number; cursor++)
                            start += pack.Footer.ChunkLengths[cursor];
                        if (!payload.IsEmpty && item.Chunk.Names(payload.Slice(start, item.Chunk.Length)))
                            chunk = payload.Slice(start, item.Chunk.Length);
                    }
                }
                if (chunk.IsEmpty || item.Chunk != asked) // a hostile tree may give one chunk several lengths
                    Elsewhere(item);
                else
                    Write(item, chunk);
            }
        }
    }

    /// <summary>Unpacks a chunk that one place asks for, and that is alone in its frame, where the file is written from. False where it is not so, or the file has no such room.</summary>
    bool ReadInPlace(PackReader pack, Item item, FrameBuffer buffer)
    {
        if (!item.IsPart || item.Number >= (uint)pack.Footer.Chunks || pack.Footer.ChunkLengths[item.Number] != item.Chunk.Length)
            return false;
        var number = (int)item.Number;
        var frame = pack.Footer.FrameOf(number);
        var file = _files[item.Handle];
        if (pack.Footer.Payloads[frame] != item.Chunk.Length || file.Extents is not null || !TryOpen(file) || file.Writer!.Room(item.Chunk.Length, item.Position) is not { } room)
            return false;
        var isRight = false;
        using (room)
        {
            try
            {
                pack.ReadFrame(frame, buffer, room.Span);
                isRight = item.Chunk.Names(room.Span);
            }
            catch (HoldfastException e) when (PackReader.IsOfPlace(e))
            {
                // As if it did not match.
            }
            if (isRight)
                room.Keep();
        }
        if (isRight)
        {
            progress.Wrote(item.Chunk.Length);
            Wrote(file);
        }
        else
        {
            Elsewhere(item);
        }
        return true;
    }

    static ReadOnlySpan<byte> ReadFrame(PackReader pack, int frame, FrameBuffer buffer)
    {
        try
        {
            return pack.ReadFrame(frame, buffer);
        }
        catch (HoldfastException e) when (PackReader.IsOfPlace(e))
        {
            return default;
        }
    }

    /// <summary>The place that was chosen does not give the chunk: any other that does will do.</summary>
    void Elsewhere(Item item)
    {
        lock (chunks)
        {
            if (TryRead(item, out var chunk))
            {
                Write(item, chunk); // a fault of the target is none of the vault
                return;
            }
        }
        Fail(item);
    }

    /// <summary>False where no place has it.</summary>
    bool TryRead(Item item, out ReadOnlySpan<byte> chunk)
    {
        try
        {
            chunk = chunks.Read(KeyClass.Content, item.Chunk);
            return true;
        }
        catch (HoldfastException e) when (PackReader.IsDamage(e) || e.Code == ErrorCode.ChunkMissing)
        {
            chunk = default;
            return false;
        }
    }

    void Fail(Item item)
    {
        if (!item.IsPart)
        {
            Lost(item.Handle);
            target.Forget(item.Handle);
            return;
        }
        var file = _files[item.Handle];
        lock (file)
        {
            GiveUp(file);
            file.Left--;
        }
    }

    void GiveUp(OpenFile file)
    {
        if (!file.Broken)
            Lost(file.Handle);
        file.Broken = true;
        file.Writer?.Dispose();
        target.Forget(file.Handle);
    }

    void Lost(int handle)
    {
        if (Interlocked.Increment(ref _failed) <= TargetProblem.Listed)
            _failedPaths.Enqueue(target.PathOf(handle).ToArray());
    }

    void Write(Item item, ReadOnlySpan<byte> chunk)
    {
        progress.Wrote(chunk.Length);
        if (!item.IsPart)
        {
            Stands(target.WriteWhole(item.Handle, chunk), chunk.Length);
            return;
        }
        var file = _files[item.Handle];
        if (!TryOpen(file))
            return;
        if (file.Extents is null)
        {
            file.Writer!.Write(chunk, item.Position);
        }
        else
        {
            var data = new DataCursor(file.Extents);
            data.Skip(item.Position);
            while (!chunk.IsEmpty)
            {
                var (offset, length) = data.Next(chunk.Length);
                file.Writer!.Write(chunk[..length], offset);
                chunk = chunk[length..];
            }
        }
        Wrote(file);
    }

    /// <summary>False where nothing can be written to the file; the target says why.</summary>
    bool TryOpen(OpenFile file)
    {
        lock (file)
        {
            if (!file.Broken)
                file.Broken = (file.Writer ??= target.Open(file.Handle)) is null;
            return !file.Broken;
        }
    }

    /// <summary>One more of the file's chunks is there; who brings the last one completes it.</summary>
    void Wrote(OpenFile file)
    {
        lock (file)
        {
            if (--file.Left > 0 || file.Broken)
                return;
        }
        Stands(file.Writer!.Complete(), file.Bytes);
    }
}
