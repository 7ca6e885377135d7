using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>A restore's target on another machine: what is called here goes there as records. What came of it there only that machine knows, so all that is told here is that it was sent.</summary>
/// <param name="stream">Where records go.</param>
/// <param name="begin">What that machine does with what is there.</param>
sealed class GrantWriter(GrantStream stream, GrantRequest.Begin begin) : ITreeWriter
{
    [Flags]
    internal enum RowFlags : byte
    {
        None = 0,
        OnWay = 1,
        UnknownOwner = 2,
        Content = 4,
        List = 8, // its chunks follow
    }

    const int MostRows = 1 << 20; // bytes of a record of rows, about: one row may have more
    const int MostNames = 1 << 20; // bytes of a record of names
    static readonly ChunkRef NoList = new(Hash32.None, 1); // in place of where a list lies in the vault

    readonly bool _isAsked = begin.Mode == GrantMode.Resume;
    readonly EntryBatch _rows = new();
    readonly List<RowFlags> _flags = [];
    readonly ByteWriter _node = new(MostRows);
    readonly Dictionary<(ulong, ulong), long> _firstNames = []; // sizes of files with further names
    readonly HashSet<int> _dropped = [];
    readonly List<(int First, int Count)> _unwanted = [];
    readonly object _turn = new();
    long _bytes; // of the rows that wait, about
    int _handles;
    int _marked; // handles that were there at the last mark
    int _marks;
    int _answered;
    bool _isStopped;

    public IReadOnlyCollection<TargetProblem> Problems => [];
    public IReadOnlyCollection<AttributeRefusal> Refusals => [];

    /// <summary>Handles are for who writes: paths are told where they stand.</summary>
    public ReadOnlySpan<byte> PathOf(int handle) => default;

    public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        if (!begin.ByNames)
            return;
        foreach (var (names, areGroups) in new[] { (users, false), (groups, true) })
        {
            var some = new List<KeyValuePair<uint, byte[]>>();
            var bytes = 0;
            foreach (var name in names)
            {
                some.Add(name);
                if ((bytes += name.Value.Length + 8) < MostNames)
                    continue;
                stream.Put(GrantRecordKind.Owners, bytes: GrantBytes.OfOwners(areGroups, some));
                some.Clear();
                bytes = 0;
            }
            if (some.Count > 0)
                stream.Put(GrantRecordKind.Owners, bytes: GrantBytes.OfOwners(areGroups, some));
        }
    }

    public int Add(EntryBatch batch, int row, bool isOnWay = false)
    {
        var isFile = batch.Kind[row] == EntryKind.File;
        var hasContent = isFile && !IsFurtherName(batch, row);
        var hasList = hasContent && _isAsked && batch.ChunkLists[row] is not null;
        var bytes = batch.Path(row).Length + (batch.Xattrs[row]?.Length ?? 0) + (batch.LinkTarget[row]?.Length ?? 0) + 20L * (batch.Extents[row]?.Length ?? 0) + 40L * (batch.Chunks[row]?.Length ?? 0) + 64;
        if (_rows.IsFull || _bytes + bytes > MostRows)
            SendRows();
        var isUnknown = batch.Uid[row] == ITreeWriter.UnknownOwner;
        var to = _rows.AddCopy(batch, row);
        if (isUnknown)
            _rows.Uid[to] = _rows.Gid[to] = 0;
        if (batch.ChunkLists[row] is not null)
            _rows.ChunkLists[to] = [NoList];
        _flags.Add((isOnWay ? RowFlags.OnWay : 0) | (isUnknown ? RowFlags.UnknownOwner : 0) | (hasContent ? RowFlags.Content : 0) | (hasList ? RowFlags.List : 0));
        _bytes += bytes;
        if (hasList)
            SendList(batch, row);
        return hasContent ? _handles++ : -1;
    }

    /// <summary>Its content goes with the first of its names.</summary>
    bool IsFurtherName(EntryBatch batch, int row)
    {
        var key = (batch.Device[row], batch.Inode[row]);
        if (batch.LinkCount[row] <= 1 || (_firstNames.TryGetValue(key, out var size) && size == batch.Size[row]))
            return batch.LinkCount[row] > 1;
        _firstNames[key] = batch.Size[row];
        return false;
    }

    void SendRows()
    {
        if (_rows.Count == 0)
            return;
        _node.Clear();
        _node.Var((ulong)_rows.Count);
        foreach (var flags in _flags)
            _node.U8((byte)flags);
        TreeNode.Write(_rows, _node);
        stream.Put(GrantRecordKind.Rows, bytes: _node.Span);
        _rows.Clear();
        _flags.Clear();
        _bytes = 0;
    }

    /// <summary>What a file is compared by whose chunks are too many for its row. Where they cannot be read it is not compared; who then reads its content meets that again, and tells it.</summary>
    void SendList(EntryBatch batch, int row)
    {
        SendRows(); // this row is the last of them
        var some = new List<ChunkRef>();
        try
        {
            foreach (var chunk in batch.ChunksOf(row))
            {
                some.Add(chunk);
                if (some.Count < GrantBytes.MostListed)
                    continue;
                stream.Put(GrantRecordKind.Listed, bytes: GrantBytes.OfListed(some));
                some.Clear();
            }
            if (some.Count > 0)
                stream.Put(GrantRecordKind.Listed, bytes: GrantBytes.OfListed(some));
        }
        catch (HoldfastException)
        {
            // Told by the end, which comes too early.
        }
        stream.Put(GrantRecordKind.Listed, bytes: GrantBytes.OfListed([]));
    }

    /// <summary>All rows so far have gone. Where the agent's host compares, it says first what it has.</summary>
    void Settle()
    {
        lock (_turn)
        {
            SendRows();
            if (_isAsked && _marked < _handles)
            {
                _marked = _handles;
                _marks++;
                stream.Put(GrantRecordKind.Mark);
                stream.Flush();
            }
            while (_answered < _marks && !_isStopped)
                Monitor.Wait(_turn);
        }
    }

    /// <summary>The agent's host has said which of the files before a mark it needs not.</summary>
    /// <returns>False where there is no such mark.</returns>
    public bool Answer(GrantRequest.Unwanted unwanted)
    {
        if (unwanted.Mark <= Volatile.Read(ref _answered))
            return true; // asked twice; who has the turn may be waiting for who asks
        lock (_turn)
        {
            if (unwanted.Mark != _marks || unwanted.Ranges is [.., var last] && last.First + last.Count > _marked || unwanted.Ranges is [var first, ..] && _unwanted is [.., var before] && first.First < before.First + before.Count)
                return false;
            _unwanted.AddRange(unwanted.Ranges);
            _answered = unwanted.Mark;
            Monitor.PulseAll(_turn);
            return true;
        }
    }

    /// <summary>Nobody waits any more.</summary>
    public void Stop()
    {
        lock (_turn)
        {
            _isStopped = true;
            Monitor.PulseAll(_turn);
        }
    }

    /// <summary>No more is added while content goes.</summary>
    bool IsWanted(int handle)
    {
        var (low, high) = (0, _unwanted.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            if (handle < _unwanted[middle].First)
                high = middle - 1;
            else if (handle >= _unwanted[middle].First + _unwanted[middle].Count)
                low = middle + 1;
            else
                return false;
        }
        return true;
    }

    public bool WriteWhole(int handle, ReadOnlySpan<byte> content)
    {
        Settle();
        if (IsWanted(handle))
            stream.Put(GrantRecordKind.Whole, handle, bytes: content);
        return true;
    }

    public IContentWriter? Open(int handle)
    {
        Settle();
        if (!IsWanted(handle))
            return new Part(this, -1);
        stream.Put(GrantRecordKind.Open, handle);
        return new Part(this, handle);
    }

    public void Forget(int handle)
    {
        Settle();
        Drop(handle);
    }

    void Drop(int handle)
    {
        lock (_dropped)
        {
            if (_dropped.Add(handle) && IsWanted(handle))
                stream.Put(GrantRecordKind.Drop, handle);
        }
    }

    public TreeWritten Finish()
    {
        Settle();
        stream.Put(GrantRecordKind.Finish);
        return new TreeWritten(0, 0, 0, 0, 0);
    }

    public void Dispose() => Stop();

    /// <param name="writer">Of the tree.</param>
    /// <param name="handle">Below 0: nobody wants it.</param>
    sealed class Part(GrantWriter writer, int handle) : IContentWriter
    {
        bool _isDone;

        public void Write(ReadOnlySpan<byte> data, long offset)
        {
            if (handle >= 0)
                writer.Put(GrantRecordKind.Part, handle, offset, data);
        }

        public bool Complete()
        {
            if (handle >= 0)
                writer.Put(GrantRecordKind.Done, handle, 0, default);
            return _isDone = true;
        }

        public void Dispose()
        {
            if (handle < 0 || _isDone)
                return;
            try
            {
                writer.Drop(handle);
            }
            catch (OperationCanceledException)
            {
                // Nobody takes it any more.
            }
        }
    }

    /// <summary>Nothing of a file goes after it was given up, by whichever thread.</summary>
    void Put(GrantRecordKind kind, int handle, long offset, ReadOnlySpan<byte> data)
    {
        lock (_dropped)
        {
            if (!_dropped.Contains(handle))
                stream.Put(kind, handle, offset, data);
        }
    }
}
