using Holdfast.Core.Approvals;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;

namespace Holdfast.Core.Keeper;

/// <summary>A request that the log tells of.</summary>
/// <param name="Asked">What is asked for.</param>
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

    /// <summary>Who could approve, and object, when it was approved.</summary>
    public ApproverSet People { get; internal set; } = ApproverSet.Nobody;

    /// <summary>Vault time of the first objection; 0 without one.</summary>
    public ulong Objected { get; internal set; }

    /// <summary>Vault time when it came into force; 0 where it has not.</summary>
    public ulong InForce { get; internal set; }

    /// <summary>What it would change was changed by something else first, or other people approve by now: it never comes into force.</summary>
    public bool IsLapsed { get; internal set; }

    public bool IsWaiting => Approved > 0 && InForce == 0 && Objected == 0 && !IsLapsed;
}

/// <summary>What several people approved. Their signatures are checked here again: whoever has the log's key can write that something was approved, and nobody believes it.</summary>
public sealed partial class Projection
{
    readonly Dictionary<Id16, RequestRecord> _requests = [];
    readonly List<RequestRecord> _inOrder = [];

    /// <summary>Seconds by which the vault's clock was set forward by approval, in all: every lock that was there then was lengthened by as much.</summary>
    public ulong SetForward { get; private set; }

    /// <summary>Requests that were approved or objected to, in the order of their first leaves.</summary>
    public IReadOnlyList<RequestRecord> Requests => _inOrder;

    public RequestRecord? Request(Id16 id) => _requests.GetValueOrDefault(id);

    /// <summary>An approval cannot be read, or what it put in force cannot be told: what protects longer stays, nothing more is approved, and nobody is accused of what may stand on it.</summary>
    public bool IsApprovalLost { get; private set; }

    /// <summary>Who may approve, as it stands.</summary>
    public ApproverSet Approvers { get; private set; } = ApproverSet.Nobody;

    /// <summary>Whoever has the opening seed, whose word alone asks for other approvers; nobody in a vault without approvers.</summary>
    public ApproverSet Heir { get; private set; } = ApproverSet.Nobody;

    /// <summary>Whose signatures count for an approval, or an objection.</summary>
    public ApproverSet Voters(ApprovalRequest asked, Decision decision) => asked.Kind == RequestKind.Succession && decision == Decision.Approved ? Heir
        : Request(asked.Head.Id) is { InForce: > 0 } known ? known.People : Approvers;

    /// <summary>Verifier keys of the witnesses, as it stands.</summary>
    public IReadOnlyList<string> Witnesses { get; private set; } = [];

    /// <summary>Those of them that are keys.</summary>
    public IReadOnlyList<CosignerKey> WitnessKeys => [.. Witnesses.Select(t => CosignerKey.TryParse(t, out var key) ? key : null).OfType<CosignerKey>()];

    /// <summary>Snapshots that a legal hold stands on at a moment.</summary>
    public IEnumerable<SnapshotRecord> HeldAt(ulong moment) => Snapshots.Where(s => s.HeldUntil > moment);

    void Begin(Genesis genesis)
    {
        Approvers = ApproverSet.Of(genesis.Quorum, genesis.Approvers.Select(a => a.PublicKey)) ?? ApproverSet.Nobody;
        Heir = !Approvers.IsNobody && genesis.SuccessionKey is { } key ? ApproverSet.Of(1, [key])! : ApproverSet.Nobody;
        Witnesses = genesis.Witnesses;
    }

    /// <summary>Seconds from the approval of a request to its coming into force.</summary>
    public ulong CoolingOff(ApprovalRequest asked) => !asked.Cools ? 0 : Genesis!.Kind == VaultKind.Trial ? ApprovalRequest.TrialCoolingOff
        : asked.Kind == RequestKind.Succession ? ApprovalRequest.SuccessionTime : ApprovalRequest.CoolingOff;

    /// <summary>Why an approval, or an objection, says nothing here; null where it counts. The same for the keeper before it writes a leaf and for each reader of it.</summary>
    /// <param name="approval">Of a request.</param>
    /// <param name="now">Vault time.</param>
    /// <param name="certain">What has passed by every source of time: until what was approved may be in force by that, it is no objection too late, whatever the log says.</param>
    /// <param name="isReader">A reader that lost objects holds against nobody what it cannot tell.</param>
    internal string? Fault(ApprovalObject approval, ulong now, ulong certain = ulong.MaxValue, bool isReader = false)
    {
        var known = Request(approval.Asked.Head.Id);
        return approval.Asked.Head.Vault != Genesis!.Vault ? "it is another vault's"
            : approval.Asked.Head.Made > now + RetentionPolicy.Day ? "by the vault's clock it was not made yet"
            : now + RetentionPolicy.Day < _latestBelieved ? "the log has leaves of a later time"
            : known is not null && known.Asked != approval.Asked && !known.Asked.ToArray().AsSpan().SequenceEqual(approval.Request) ? "another request has its id"
            : known is { InForce: > 0 } && (approval.Decision == Decision.Approved || !known.Asked.Cools || certain >= known.From) ? "it is in force already"
            : known is { Objected: > 0 } ? $"approver {known.Objector} objected to it"
            : _stopped.Contains(approval.Asked.Head.Id) ? "an approver objected to it"
            : approval.Decision == Decision.Approved && IsApprovalLost ? "an approval before it is missing or damaged, so that what is in force cannot be told"
            : approval.Decision == Decision.Approved && known is { Approved: > 0 } ? "it is approved already"
            : approval is { Decision: Decision.Approved, Asked.Kind: RequestKind.Succession } && _inOrder.Exists(r => r is { IsWaiting: true, Asked.Kind: RequestKind.Succession }) ? "another one to replace the approvers waits"
            : approval is { Decision: Decision.Approved, Asked.Kind: RequestKind.Succession } && now < _successionStopped + ApprovalRequest.SuccessionTime ? "an approver objected to one like it less than 30 days ago"
            : Voters(approval.Asked, approval.Decision) is var people ? approval.Fault(people, now, Needs(approval.Asked, people, isReader)) : null;
    }

    /// <summary>Requests that were objected to after a leaf put them in force: then all leaves are to be taken in anew, without those.</summary>
    public HashSet<Id16> Undone { get; } = [];

    bool _isAside; // a leaf that puts a request in force was left aside until its time
    bool _isPolicyUntold; // a policy was approved while one that may have been in force cannot be read

    /// <summary>All that a leaf may stand on can be told.</summary>
    bool MayAccuse => !IsApprovalLost && !HasLostLeaves && !_isAside && !_isPolicyUntold;

    /// <summary>An approval that could not be read can be read now: then all leaves are to be taken in anew.</summary>
    public bool CanHeal => IsApprovalLost && _unreadable.Any(n => IsApproval(n));

    bool IsApproval(Hash32 name)
    {
        try
        {
            return ApprovalObject.TryParse(_read(name), out _);
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    ulong _successionStopped; // vault time of the last objection to a request that would have replaced the approvers: one voice is not to be worn down
    readonly Dictionary<Id16, ulong> _steps = []; // seconds by which leaves that put a time in force have lengthened locks, believed or not, by their requests
    int _doubtedSteps; // leaves among them that are not believed
    readonly HashSet<Id16> _stopped = []; // requests that somebody objected to, by leaves whose object cannot be read
    ulong _latestBelieved; // the latest time of a leaf that may have come, and is not far beyond those before
    ulong _beyond; // that of a leaf that is: after a long silence it is true, and the next one says so too

    void Believe(ulong time)
    {
        if (time <= _latestBelieved || time > _moment())
            return;
        if (_latestBelieved == 0 || time <= _latestBelieved + VaultClock.DoubtAfter || _beyond > 0 && time >= _beyond && time <= _beyond + VaultClock.DoubtAfter)
            (_latestBelieved, _beyond) = (time, 0);
        else
            _beyond = time;
    }

    /// <summary>It says nothing. Where an approval before it is lost, that one may have been what it stands on: then nobody is accused.</summary>
    void NotApproved(ulong ordinal, Leaf leaf)
    {
        if (MayAccuse)
            Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.NotApproved, []));
    }

    void Approve(ulong ordinal, Leaf leaf)
    {
        if (TryRead<ApprovalObject>(leaf.Payload, ApprovalObject.TryParse, out var approval) == 0)
        {
            if (leaf.B == 0)
            {
                Stop(leaf); // losing an objection does not undo it
                return;
            }
            IsApprovalLost = true; // it has no effect, and what cannot be read is told
            return;
        }
        var asked = approval!.Asked;
        var isApproved = approval.Decision == Decision.Approved;
        // A sound keeper takes no objection to what is in force: that it took this one says that it was not, and whoever put it in force had the log's key.
        // No longer than the vault's clock can have been led ahead: else an approver of then undoes what others approved since.
        if (!isApproved && Request(asked.Head.Id) is { InForce: > 0, Asked.Cools: true } early && leaf.VaultTime < early.From + VaultClock.DoubtAfter + RetentionPolicy.Day && Fault(approval, leaf.VaultTime, certain: 0, isReader: true) is null)
        {
            Undone.Add(early.Id);
            return;
        }
        if (Fault(approval, leaf.VaultTime, isReader: true) is not null || leaf.Subject != asked.Head.Id || leaf.C != (ulong)approval.Signatures.Count || leaf.A != (ulong)asked.Kind
            || (isApproved ? leaf.B < leaf.VaultTime || leaf.B - leaf.VaultTime < CoolingOff(asked) : leaf.B != 0))
        {
            NotApproved(ordinal, leaf);
            return;
        }
        if (!_requests.TryGetValue(asked.Head.Id, out var record))
            _inOrder.Add(_requests[asked.Head.Id] = record = new RequestRecord(asked));
        if (isApproved)
            (record.Approved, record.From, record.By, record.People, record.IsLapsed) = (leaf.VaultTime, leaf.B, [.. approval.Signatures.Select(s => s.Approver)], Approvers, !IsAsAsked(asked, isReader: true));
        else
        {
            (record.Objected, record.Objector) = (leaf.VaultTime, approval.Signatures[0].Approver);
            if (record is { Approved: > 0, Asked.Kind: RequestKind.Succession })
                _successionStopped = leaf.VaultTime;
        }
    }

    void Stop(Leaf leaf)
    {
        _stopped.Add(leaf.Subject);
        if (Request(leaf.Subject) is not { InForce: 0 } record)
            return;
        record.Objected = Math.Max(leaf.VaultTime, 1);
        if (record is { Approved: > 0, Asked.Kind: RequestKind.Succession })
            _successionStopped = record.Objected;
    }

    /// <summary>What waits to change what has just been changed never does: not even where that is changed back.</summary>
    void Lapse(bool all = false)
    {
        foreach (var waiting in _inOrder.Where(r => r.IsWaiting && (all || !IsAsAsked(r.Asked, isReader: true))))
            waiting.IsLapsed = true;
    }

    /// <summary>What was approved comes into force. Where the approval cannot be read, it does not, and nobody is accused: what protects longer stays.</summary>
    void PutInForce(ulong ordinal, Leaf leaf)
    {
        var record = Request(leaf.Subject);
        if (record is { IsWaiting: true, Asked.Cools: true } && record.From > _moment())
        {
            _isAside = true;
            _awaited = Math.Min(_awaited, record.From); // a clock that is ahead, or the log's key: it may be looked at when its time has come
            return;
        }
        if (record is not { IsWaiting: true } || _early.Contains(leaf.Subject) || leaf.VaultTime < record.From || leaf.A != (ulong)record.Asked.Kind
            || (record.Asked is ApprovalRequest.Time told && (leaf.B != told.Forward || leaf.C != told.Counted || leaf.VaultTime < told.Now)))
        {
            DoubtStep(leaf);
            NotApproved(ordinal, leaf);
            return;
        }
        if (record.Asked is ApprovalRequest.Policy && _lostPolicies.Count > 0)
        {
            _isPolicyUntold = true; // whether it is as it says, and what is weaker than what from here on
            return;
        }
        record.InForce = leaf.VaultTime;
        switch (record.Asked)
        {
            case ApprovalRequest.Policy policy:
                (_policies[policy.Source], _policySet[policy.Source]) = (policy.After, ordinal);
                break;
            case ApprovalRequest.Time time:
                _steps[leaf.Subject] = time.Forward;
                Move(time.Forward, time.Counted);
                SetForward += time.Forward;
                _times.Insert(_times.Count - 1, (time.Now, time.Forward)); // several people say so: it leads as much further than leaves step by step do
                if (_latestBelieved == 0 || time.Now <= _latestBelieved + VaultClock.DoubtAfter + time.Forward)
                    _latestBelieved = Math.Max(_latestBelieved, time.Now);
                Believe(leaf.VaultTime);
                break;
            case ApprovalRequest.Approvers approvers:
                Approvers = approvers.After;
                Lapse(all: true); // those who approved of it may be the reason why others approve now
                break;
            case ApprovalRequest.Succession succession:
                Approvers = succession.After;
                Lapse(all: true);
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
            case ApprovalRequest.Release release when IsAsAsked(release):
                Emergency(release.Emergency)!.Allow(leaf.VaultTime, record.By.Count);
                break;
            case ApprovalRequest.Unmark unmark:
                _sensitive.Remove(unmark.Source);
                break;
            case ApprovalRequest.Revoke revoke:
                _agents.Remove(revoke.Agent);
                _lostAgents.Remove(revoke.Agent);
                break;
        }
        Lapse();
    }

    /// <summary>A leaf that sets the clock forward and is not believed. It may have been when it was written (its approval, or one that it stands on, was lost since), and the clock stands on it: what only makes
    /// locks longer is done all the same. Whoever has the log's key can lengthen all locks anyway.</summary>
    void DoubtStep(Leaf leaf)
    {
        var more = leaf.B - Math.Min(leaf.B, _steps.GetValueOrDefault(leaf.Subject));
        if (leaf.A != (ulong)RequestKind.Time || leaf.B > ApprovalRequest.MostForward || more == 0 || IsTimeUntold)
            return;
        if (++_doubtedSteps > MostDoubtedSteps)
        {
            IsTimeUntold = true;
            return;
        }
        _steps[leaf.Subject] = leaf.B;
        Move(more, leaf.C);
    }

    /// <summary>Leaves that set the clock forward and are not believed lengthen locks up to this many: each takes a look at all snapshots.</summary>
    internal const int MostDoubtedSteps = 256;

    /// <summary>Seconds by which all locks were lengthened, by leaves that are believed or not.</summary>
    internal ulong Lengthened { get; private set; }

    /// <summary>There were more than these: whether any lock is over cannot be told, and none is from there on.</summary>
    public bool IsTimeUntold { get; private set; }

    /// <summary>All that ends by the vault's clock ends later, as the clock was set forward: between the two nothing changes. What was given up by then stays so, by a time that moves too.</summary>
    /// <param name="seconds">By which it was set forward.</param>
    /// <param name="counted">What had passed for certain: what was given up by a later time than that was not over.</param>
    void Move(ulong seconds, ulong counted)
    {
        Lengthened += seconds;
        if (_successionStopped > 0)
            _successionStopped += seconds;
        _erasures.ForEach(e => e.Moved += seconds);
        foreach (var (name, given) in _removed)
            _removed[name] = given.Judged <= counted ? given with { Judged = given.Judged + seconds, HasMoved = true } : given with { HasMoved = false };
        foreach (var record in Snapshots)
        {
            if (record.IsRemoved && record.RemovedAt <= counted)
                record.RemovedAt += seconds;
            var end = Later(record.Expiry);
            record.Moved += end - record.Expiry;
            record.Expiry = end;
            record.HeldUntil = Later(record.HeldUntil);
            record.ExpiryThen = Later(record.ExpiryThen);
            _spans.Lengthen(record);
            Revive(record);
        }
        foreach (var waiting in _inOrder.Where(r => r is { IsWaiting: true, Asked.Cools: true }))
            waiting.From += Math.Min(seconds, ulong.MaxValue - waiting.From); // whoever has the log's key says from when

        ulong Later(ulong moment) => moment == 0 ? 0 : Math.Min(Math.Min(moment, LockRules.LastEnd) + seconds, LockRules.LastEnd);
    }

    /// <summary>What a request says there is, is there.</summary>
    /// <param name="asked">The request.</param>
    /// <param name="isReader">A reader that lost objects holds against nobody what it cannot tell.</param>
    internal bool IsAsAsked(ApprovalRequest asked, bool isReader = false) => asked switch
    {
        ApprovalRequest.Policy policy => isReader ? _lostPolicies.Count > 0 || policy.Before == ReadableFor(policy.Source) : _lostPolicies.Count == 0 && policy.Before == PolicyFor(policy.Source),
        ApprovalRequest.Time time => time.Before == SetForward,
        ApprovalRequest.Approvers approvers => approvers.Before == Approvers.Digest,
        ApprovalRequest.Succession succession => succession.Before == Approvers.Digest,
        ApprovalRequest.Witnesses witnesses => witnesses.Before == ApprovalRequest.WitnessDigest(Witnesses),
        ApprovalRequest.Release release => isReader && HasLost(release.Emergency) || Emergency(release.Emergency) is { IsOpen: true, Begun: var begun } && (begun.Snapshot, begun.Place, begun.Approver) == (release.Snapshot, release.Place, release.BegunBy),
        ApprovalRequest.Unmark unmark => _sensitive.TryGetValue(unmark.Source, out var marked) && marked == unmark.Marked,
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
            held.HeldUntil = Math.Max(held.HeldUntil, Math.Min(leaf.A, LockRules.LastEnd));
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
