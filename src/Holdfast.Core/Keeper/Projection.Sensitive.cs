using Holdfast.Core.Approvals;

namespace Holdfast.Core.Keeper;

/// <summary>Sources that are marked as sensitive: nobody alone brings what they hold out of isolation (docs/format.md, section 11.10).</summary>
public sealed partial class Projection
{
    readonly Dictionary<Id16, ulong> _sensitive = [];

    /// <summary>What is marked, and by which leaf: sources, and none for all sources there are and will be.</summary>
    public IReadOnlyDictionary<Id16, ulong> Sensitive => _sensitive;

    /// <summary>By its own mark, or that of all sources.</summary>
    public bool IsSensitive(Id16 source) => _sensitive.ContainsKey(Id16.None) || _sensitive.ContainsKey(source);

    /// <summary>The same of a snapshot. One whose object cannot be read may be of any source: who lets something out counts it as sensitive, and a reader holds against nobody what it cannot tell.</summary>
    public bool IsSensitive(SnapshotRecord record, bool isReader = false) => record.Object is null && !_sensitive.ContainsKey(Id16.None) ? !isReader && _sensitive.Count > 0 : IsSensitive(record.Source);

    /// <summary>How many have to approve of a request as it stands.</summary>
    public int Needs(ApprovalRequest asked) => Needs(asked, Voters(asked, Decision.Approved), isReader: false);

    int Needs(ApprovalRequest asked, ApproverSet people, bool isReader) =>
        asked.Needs(people, asked is ApprovalRequest.Release release && Find(release.Snapshot) is { } record && IsSensitive(record, isReader));

    /// <summary>As many as it takes now have approved of its release: a source may have been marked since they did.</summary>
    public bool IsReleaseApproved(EmergencyRecord emergency) => IsReleaseApproved(emergency, isReader: false);

    bool IsReleaseApproved(EmergencyRecord emergency, bool isReader) =>
        emergency.Approved > 0 && (emergency.ApprovedBy >= ApprovalRequest.LeastForSensitive && emergency.ApprovedBy >= Approvers.Quorum || Find(emergency.Begun.Snapshot) is not { } record || !IsSensitive(record, isReader));

    /// <summary>Marking is at once and by one person; what takes a mark back is approved (<see cref="LeafType.InForce"/>). A second mark says nothing.
    /// Nor does one that nobody could take back: whoever has the log's key would send all restores of a vault without approvers into isolation for good. Where who approves cannot be told, it counts.</summary>
    void Mark(ulong ordinal, Leaf leaf)
    {
        if (leaf.A != 1)
            return;
        if (Approvers.People.Count >= ApprovalRequest.LeastForSensitive || !Approvers.IsNobody && !MayAccuse)
            _sensitive.TryAdd(leaf.Subject, ordinal);
        else
            NotApproved(ordinal, leaf);
    }
}
