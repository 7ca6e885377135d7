namespace Holdfast.Core.Snapshots;

/// <summary>Something that can be backed up: a tree of entries, some with content.</summary>
public interface ISource : IDisposable
{
    /// <summary>All entries in tree order (<see cref="TreePath"/>), the root first. Each batch is handed over: the consumer owns it and gives
    /// it back through <paramref name="pool"/>. What cannot be read is reported as a problem, and the walk goes on.</summary>
    IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct);

    /// <summary>Reads a row's extended attributes: the walk leaves them out, since an entry whose change time is that of the last run has those of the last
    /// run. Safe from many threads.</summary>
    void ReadXattrs(EntryBatch batch, int row);

    /// <summary>A row has the attributes that the last run read: who they name is met all the same.</summary>
    void MeetXattrs(byte[]? xattrs);

    /// <summary>Opens a file's content and reads its extended attributes from the open handle; where it is seen at once that the row is not this file's, as by <see cref="IContent.Refresh"/>. Safe from many threads.</summary>
    /// <returns>Null where it cannot be opened; then a problem has been reported.</returns>
    IContent? Open(EntryBatch batch, int row);

    /// <summary>User and group names met so far, for ids found in rows.</summary>
    IReadOnlyDictionary<uint, byte[]> UserNames { get; }
    IReadOnlyDictionary<uint, byte[]> GroupNames { get; }

    /// <summary>False where inode numbers and change times may not be believed (some network file systems).</summary>
    bool HasReliableInodes { get; }

    /// <summary>What was left out or is in doubt so far. Paths are for the user's eyes only.</summary>
    IReadOnlyCollection<SourceProblem> Problems { get; }

    /// <summary>Lets the engine add what it met while reading.</summary>
    void Report(SourceProblem problem);
}

/// <summary>The open content of one file.</summary>
public interface IContent : IDisposable
{
    /// <summary>Reads at <paramref name="offset"/> (bytes); fewer bytes than asked only at the end; 0 at the end.</summary>
    /// <exception cref="IOException">The medium failed.</exception>
    int Read(Span<byte> destination, long offset);

    /// <summary>Ranges that hold data, or null where the file has no holes.</summary>
    Extent[]? DataExtents();

    /// <summary>True where size, times or the file itself differ from those in the row at opening (or at the last <see cref="Refresh"/>).</summary>
    bool HasChanged();

    /// <summary>Takes what the open file is at present into the row (size, times, owner, rights, extended attributes), before another try.</summary>
    /// <exception cref="IOException">It is no file any more.</exception>
    void Refresh(EntryBatch batch, int row);
}

public enum ProblemKind
{
    /// <summary>It was there when its folder was read, and gone when it was opened.</summary>
    Vanished = 1,
    PermissionDenied = 2,
    ReadFailed = 3,

    /// <summary>It changed each time it was read.</summary>
    Changed = 4,

    /// <summary>A socket or another kind that cannot be backed up.</summary>
    Skipped = 5,
    PathTooLong = 6,

    /// <summary>It has something that no reader takes, or more of it than docs/format.md, section 14, has room for: that is left out, or all of it.</summary>
    TooMuch = 7,
}

/// <param name="Kind">What went wrong.</param>
/// <param name="Path">Path within the source.</param>
/// <param name="Detail">The system's own word for it, without names; may be empty.</param>
public sealed record SourceProblem(ProblemKind Kind, byte[] Path, string Detail);

/// <summary>Batches for re-use, so that a walk over any number of entries allocates a bounded number of them. Safe from many threads.</summary>
public sealed class EntryBatchPool
{
    readonly System.Collections.Concurrent.ConcurrentBag<EntryBatch> _free = [];

    public EntryBatch Rent() => _free.TryTake(out var batch) ? batch : new EntryBatch();

    public void Return(EntryBatch batch)
    {
        batch.Clear();
        _free.Add(batch);
    }
}
