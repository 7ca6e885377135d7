using System.Collections.Concurrent;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>Entries that do not stand in a target as the snapshot has them: of each kind the first in full, the others by their number, so that a restore to which everything goes wrong
/// needs no more memory than another. Safe from any thread.</summary>
sealed class ProblemList
{
    readonly ConcurrentQueue<TargetProblem> _listed = new();
    readonly ConcurrentDictionary<TargetFault, long> _counts = new();

    public void Add(TargetFault fault, ReadOnlySpan<byte> path, string detail)
    {
        if (_counts.AddOrUpdate(fault, 1, (_, n) => n + 1) <= TargetProblem.Listed)
            _listed.Enqueue(new TargetProblem(fault, path.ToArray(), detail, 1));
    }

    /// <param name="others">Problems that are kept elsewhere.</param>
    public IReadOnlyCollection<TargetProblem> With(IReadOnlyCollection<TargetProblem> others)
    {
        var more = _counts.Where(c => c.Value > TargetProblem.Listed).Select(c => (Fault: c.Key, Entries: c.Value - TargetProblem.Listed))
            .Concat(others.Where(o => o.Path is null).Select(o => (o.Fault, o.Entries)));
        return [.. _listed, .. others.Where(o => o.Path is not null), .. more.GroupBy(m => m.Fault).OrderBy(g => g.Key).Select(g => new TargetProblem(g.Key, null, "", g.Sum(m => m.Entries)))];
    }
}
