using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>The first so many bytes of a source: for a first proof that does not take all day.</summary>
sealed class BoundedSource(ISource source, long bytes) : ISource
{
    public IReadOnlyDictionary<uint, byte[]> UserNames => source.UserNames;
    public IReadOnlyDictionary<uint, byte[]> GroupNames => source.GroupNames;
    public bool HasReliableInodes => source.HasReliableInodes;
    public IReadOnlyCollection<SourceProblem> Problems => source.Problems;
    public void Report(SourceProblem problem) => source.Report(problem);
    public void ReadXattrs(EntryBatch batch, int row) => source.ReadXattrs(batch, row);
    public void MeetXattrs(byte[]? xattrs) => source.MeetXattrs(xattrs);
    public IContent? Open(EntryBatch batch, int row) => source.Open(batch, row);

    public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
    {
        var left = bytes;
        foreach (var batch in source.Walk(pool, ct))
        {
            for (var row = 0; row < batch.Count; row++)
                left -= batch.Size[row];
            yield return batch;
            if (left <= 0)
                yield break;
        }
    }

    public void Dispose() => source.Dispose();
}
