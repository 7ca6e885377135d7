using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>Tells of folders that are empty, and in which a file system was mounted at an earlier run: its share is away, it may be, and all that lay in it would leave the snapshots without a word.</summary>
/// <param name="source">To which it is told.</param>
sealed class MountWatch(ISource source)
{
    ulong _rootDevice;
    ulong _lastRootDevice; // in the last run
    byte[]? _bared; // path of the folder before, where something was mounted, and nothing is now

    /// <summary>Looks at an entry that is no file.</summary>
    /// <param name="ticket">Of its batch.</param>
    /// <param name="row">Of the entry. What the state has of such a folder stays, so that it is told each time.</param>
    /// <param name="before">The batch with its row of the last run; null where there is none.</param>
    /// <param name="rowBefore">That row.</param>
    public void Look(BatchTicket ticket, int row, EntryBatch? before, int rowBefore)
    {
        var batch = ticket.Batch;
        var path = batch.Path(row);
        if (path.IsEmpty)
            (_rootDevice, _lastRootDevice) = (batch.Device[row], before?.Device[rowBefore] ?? batch.Device[row]);
        else if (before is not null && batch.Kind[row] == EntryKind.Directory && before.Kind[rowBefore] == EntryKind.Directory && before.Device[rowBefore] != _lastRootDevice && batch.Device[row] == _rootDevice)
            (_bared, ticket.Mounts[row]) = (path.ToArray(), before.Device[rowBefore]);
    }

    /// <summary>Tells of the folder before, where nothing lies in it. One that was filled otherwise is as it should be.</summary>
    /// <param name="next">The path that follows in the walk; empty at its end.</param>
    public void Tell(ReadOnlySpan<byte> next)
    {
        if (_bared is not { } bared)
            return;
        _bared = null;
        if (!(next.Length > bared.Length && next.StartsWith(bared) && next[bared.Length] == (byte)'/'))
            source.Report(new SourceProblem(ProblemKind.ReadFailed, bared, "empty, and what was mounted there at an earlier backup is not mounted; where that is meant, remove the folder or exclude it"));
    }
}
