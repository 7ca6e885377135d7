using Holdfast.Core.Approvals;

namespace Holdfast.Core.Keeper;

/// <summary>A request that the log tells of.</summary>
/// <param name="Asked">What is asked for; null where an objection came before any approval, and its object cannot be read.</param>
public sealed record RequestRecord(ApprovalRequest Asked)
{
    public Id16 Id => Asked.Head.Id;

    /// <summary>Vault time of its approval; 0 where it has none.</summary>
    public ulong Approved { get; internal set; }

    /// <summary>Vault time from which it may be in force.</summary>
    public ulong From { get; internal set; }

    /// <summary>Who approved of it.</summary>
    public IReadOnlyList<Id16> By { get; internal set; } = [];

    /// <summary>Who objected first; none where nobody did.</summary>
    public Id16 Objector { get; internal set; }

    /// <summary>Vault time when it came into force; 0 where it has not.</summary>
    public ulong InForce { get; internal set; }

    public bool IsWaiting => Approved > 0 && InForce == 0 && Objector.IsNone;
}

/// <summary>What several people approved. Their signatures are checked here again: whoever has the log's key can write that something was approved, and nobody believes it.</summary>
public sealed partial class Projection
{
    readonly Dictionary<Id16, RequestRecord> _requests = [];
    readonly List<RequestRecord> _inOrder = [];

    /// <summary>Requests that were approved or objected to, in the order of their first leaves.</summary>
    public IReadOnlyList<RequestRecord> Requests => _inOrder;

    public RequestRecord? Request(Id16 id) => _requests.GetValueOrDefault(id);

    /// <summary>Who may approve, as it stands.</summary>
    public ApproverSet Approvers { get; private set; } = ApproverSet.Nobody;

    /// <summary>Verifier keys of the witnesses, as it stands.</summary>
    public IReadOnlyList<string> Witnesses { get; private set; } = [];

    /// <summary>Snapshots that a legal hold stands on at a moment.</summary>
    public IEnumerable<SnapshotRecord> HeldAt(ulong moment) => Snapshots.Where(s => s.HeldUntil > moment);

    void Begin(Genesis genesis)
    {
        Approvers = ApproverSet.Of(genesis.Quorum, genesis.Approvers.Select(a => a.PublicKey)) ?? ApproverSet.Nobody;
        Witnesses = genesis.Witnesses;
    }

    /// <summary>Seconds from the approval of a request to its coming into force.</summary>
    public ulong CoolingOff(ApprovalRequest asked) => !asked.Cools ? 0 : Genesis!.Kind == VaultKind.Trial ? ApprovalRequest.TrialCoolingOff : ApprovalRequest.CoolingOff;

    /// <summary>Why an approval, or an objection, says nothing here; null where it counts. The same for the keeper before it writes a leaf and for each reader of it.</summary>
    internal string? Fault(ApprovalObject approval, ulong now)
    {
        var known = Request(approval.Asked.Head.Id);
        return approval.Asked.Head.Vault != Genesis!.Vault ? "it is another vault's"
            : known is not null && known.Asked != approval.Asked && !known.Asked.ToArray().AsSpan().SequenceEqual(approval.Request) ? "another request has its id"
            : known is { InForce: > 0 } ? "it is in force already"
            : known is { Objector.IsNone: false } ? $"approver {known.Objector} objected to it"
            : approval.Decision == Decision.Approved && known is { Approved: > 0 } ? "it is approved already"
            : approval.Fault(Approvers, now);
    }

    bool _isApprovalLost;

    /// <summary>It says nothing. Where an approval before it is lost, that one may have been what it stands on: then nobody is accused.</summary>
    void NotApproved(ulong ordinal, Leaf leaf)
    {
        if (!_isApprovalLost && !HasLostLeaves)
            Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.NotApproved, []));
    }

    void Approve(ulong ordinal, Leaf leaf)
    {
        if (TryRead<ApprovalObject>(leaf.Payload, ApprovalObject.TryParse, out var approval) == 0)
        {
            _isApprovalLost = true; // it has no effect, and what cannot be read is told
            return;
        }
        var asked = approval!.Asked;
        var isApproved = approval.Decision == Decision.Approved;
        if (Fault(approval, leaf.VaultTime) is not null || leaf.Subject != asked.Head.Id || leaf.C != (ulong)approval.Signatures.Count || leaf.A != (ulong)asked.Kind
            || (isApproved ? leaf.B < leaf.VaultTime || leaf.B - leaf.VaultTime < CoolingOff(asked) : leaf.B != 0))
        {
            NotApproved(ordinal, leaf);
            return;
        }
        if (!_requests.TryGetValue(asked.Head.Id, out var record))
            _inOrder.Add(_requests[asked.Head.Id] = record = new RequestRecord(asked));
        if (isApproved)
            (record.Approved, record.From, record.By) = (leaf.VaultTime, leaf.B, [.. approval.Signatures.Select(s => s.Approver)]);
        else
            record.Objector = approval.Signatures[0].Approver;
    }

    /// <summary>What was approved comes into force. Where the approval cannot be read, it does not, and nobody is accused: what protects longer stays.</summary>
    void PutInForce(ulong ordinal, Leaf leaf)
    {
        var record = Request(leaf.Subject);
        if (record is not { IsWaiting: true } || leaf.VaultTime < record.From || leaf.A != (ulong)record.Asked.Kind || !IsAsAsked(record.Asked, isReader: true))
        {
            NotApproved(ordinal, leaf);
            return;
        }
        record.InForce = leaf.VaultTime;
        switch (record.Asked)
        {
            case ApprovalRequest.Policy policy:
                var takesTheirPlace = LostPoliciesFor(policy.Source).All(l => l.IsCoveredBy(policy.After));
                _policies[policy.Source] = policy.After;
                if (takesTheirPlace)
                    _policySet[policy.Source] = ordinal;
                break;
            case ApprovalRequest.Approvers approvers:
                Approvers = approvers.After;
                break;
            case ApprovalRequest.Witnesses witnesses:
                Witnesses = witnesses.After;
                break;
            case ApprovalRequest.HoldLonger longer:
                foreach (var held in longer.Snapshots.Select(Find).OfType<SnapshotRecord>())
                    held.HeldUntil = Math.Max(held.HeldUntil, longer.HeldUntil);
                break;
            case ApprovalRequest.HoldLifted lifted:
                foreach (var held in lifted.Snapshots.Select(Find).OfType<SnapshotRecord>())
                    held.HeldUntil = 0;
                break;
            case ApprovalRequest.Revoke revoke:
                _agents.Remove(revoke.Agent);
                _lostAgents.Remove(revoke.Agent);
                break;
        }
    }

    /// <summary>What a request says there is, is there.</summary>
    /// <param name="asked">The request.</param>
    /// <param name="isReader">A reader that lost objects holds against nobody what it cannot tell.</param>
    internal bool IsAsAsked(ApprovalRequest asked, bool isReader = false) => asked switch
    {
        ApprovalRequest.Policy policy => isReader ? _lostPolicies.Count > 0 || policy.Before == ReadableFor(policy.Source) : policy.Before == PolicyFor(policy.Source),
        ApprovalRequest.Approvers approvers => approvers.Before == Approvers.Digest,
        ApprovalRequest.Witnesses witnesses => witnesses.Before == ApprovalRequest.WitnessDigest(Witnesses),
        _ => true,
    };

    /// <summary>Where there are approvers, one person sets a hold, once a snapshot; all else about it takes several.</summary>
    void Hold(ulong ordinal, Leaf leaf, SnapshotRecord held)
    {
        if (!Approvers.IsNobody && (leaf.C != (ulong)HoldChange.Set || held.FirstHeld > 0))
        {
            NotApproved(ordinal, leaf);
            return;
        }
        if (leaf.C == (ulong)HoldChange.Lifted)
            held.HeldUntil = 0;
        else
            held.HeldUntil = Math.Max(held.HeldUntil, Math.Min(leaf.A, Retention.LockRules.LastEnd));
        held.FirstHeld = held.FirstHeld > 0 ? held.FirstHeld : leaf.VaultTime;
    }
}

/// <summary>What a leaf says of a legal hold.</summary>
public enum HoldChange : byte
{
    Set = 1,
    Longer = 2,
    Lifted = 3,
}
