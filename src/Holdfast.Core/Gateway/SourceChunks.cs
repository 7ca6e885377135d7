using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>What the snapshots of a source hold in packs of others, by their sealed references; and which sessions wrote packs of its own. So a gateway needs no list of its own, and any of several knows the same.</summary>
sealed class SourceChunks
{
    /// <summary>Ids that are kept in memory, 16 bytes each; what is beyond counts as unknown and is sent again.</summary>
    const int MostReferences = 1 << 20;

    /// <summary>Snapshots in a row that tell new references alone.</summary>
    const int MostDifferences = 30;

    readonly HashSet<Id16> _sessions;
    readonly UInt128[] _references; // ascending
    readonly DomainKeys _domain;
    readonly Id16 _source;
    readonly Id16 _agent;

    SourceChunks(Id16 source, Id16 agent, DomainKeys domain, HashSet<Id16> sessions, UInt128[] references, bool isComplete, bool mustTellAll)
    {
        (_source, _agent, _domain, _sessions, _references, IsComplete, MustTellAll) = (source, agent, domain, sessions, references, isComplete, mustTellAll);
    }

    /// <summary>All that its snapshots refer to is known. Where not, what is not known has to be sent again.</summary>
    public bool IsComplete { get; }

    /// <summary>The next snapshot is to name all its references: those before it are many, cannot all be read, or expire before long.</summary>
    public bool MustTellAll { get; }

    /// <summary>Reads what the vault has of a source.</summary>
    /// <param name="state">Of the log.</param>
    /// <param name="source">The source.</param>
    /// <param name="agent">Whose packs that no commit names yet are its own.</param>
    /// <param name="domain">Its keys.</param>
    /// <param name="now">Vault time.</param>
    public static SourceChunks Of(Projection state, Id16 source, Id16 agent, DomainKeys domain, ulong now)
    {
        var snapshots = state.Snapshots.Where(s => s.Source == source && s.Object is not null).ToList();
        HashSet<Id16> sessions = [.. snapshots.Select(s => s.Object!.Session)];
        var references = new HashSet<UInt128>();
        var (differences, isComplete, endsSoon) = (0, snapshots.Count == 0, false);
        var at = snapshots.Count > 0 ? snapshots[^1] : null;
        while (at is not null && differences < 2 * MostDifferences)
        {
            if (at.IsRemoved || state.Whole(at) is not { } whole || SnapshotSection.OpenReferences(whole, domain, MostReferences) is not var (ids, areAll, isCut))
                break;
            foreach (var id in ids)
                references.Add(id.Prefix);
            differences++;
            endsSoon |= 2 * (at.Expiry - Math.Min(at.Expiry, now)) < at.Expiry - Math.Min(at.Expiry, at.Committed);
            if (isCut || references.Count > MostReferences)
                break;
            if (areAll || whole.Parent.IsNone)
            {
                isComplete = true;
                break;
            }
            at = state.Find(whole.Parent);
        }
        UInt128[] sorted = [.. references];
        Array.Sort(sorted);
        return new SourceChunks(source, agent, domain, sessions, sorted, isComplete, !isComplete || endsSoon || differences >= MostDifferences);
    }

    /// <summary>True where a session's packs are this agent's own, of this source: for good, whatever expires.</summary>
    public bool IsOwn(Id16 session) => _domain.IsSessionOf(session, _source, _agent);

    /// <summary>True of packs that another agent wrote for this source, or this one before sessions told that. What lies there is told as a reference: their snapshots may expire sooner than those that use it.</summary>
    public bool WasOf(Id16 session) => _sessions.Contains(session) && !IsOwn(session);

    /// <summary>True where a snapshot of the source refers to a chunk in packs of others.</summary>
    public bool Refers(Hash32 id) => Array.BinarySearch(_references, id.Prefix) >= 0;
}
