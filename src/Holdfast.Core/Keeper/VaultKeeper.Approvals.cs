using Holdfast.Core.Approvals;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What takes several people: requests that they approved, and legal holds. The keeper checks their signatures itself; who carries them here is nobody's business.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Snapshots that one person may newly hold in as many seconds as a hold stands.</summary>
    public const int MostHeldAlone = 100;

    const int MostObjections = 100; // a log never shrinks
    const ulong MostAhead = 60; // seconds: clocks of sound machines differ by less

    /// <summary>Seconds that one person's hold stands.</summary>
    public const ulong HoldLength = 30 * RetentionPolicy.Day;

    /// <summary>What all requests to this vault made now have.</summary>
    /// <param name="requester">The approver who asks; none for anybody else.</param>
    /// <param name="open">Seconds in which it may be approved.</param>
    /// <param name="reason">Why; null for none.</param>
    public RequestHead NewRequest(Id16 requester, ulong open, string? reason)
    {
        var salt = Salt();
        return new RequestHead(Vault, salt, Id16.New(), requester, Clock.Now, Clock.Now + open, reason is null ? Hash32.None : ApprovalRequest.ReasonHash(salt, reason));
    }

    /// <summary>Takes an approval, or an objection, into the log. What waits for nothing is in force at once; the rest when its cooling-off time is over, with the next change of the vault.</summary>
    /// <returns>How the request stands.</returns>
    /// <exception cref="HoldfastException"><c>QuorumMissing</c>: the signatures are not those that it takes, refused and counted; <c>CommitRefused</c>: it asks for something that is not as it says any more, or that cannot be; <c>LockTooLong</c>.</exception>
    public RequestRecord Decide(ApprovalObject approval)
    {
        if (Remote is not null)
        {
            Asking(new KeeperRequest.Decide(approval.ToArray()));
            if (_projection.Request(approval.Asked.Head.Id) is null)
                OpenAnew(); // what it puts back was lost here too
            return _projection.Request(approval.Asked.Head.Id) ?? throw new HoldfastException(ErrorCode.LogForked, "The keeper says that it took the approval, and its log does not have it.", "Treat that machine as suspect.");
        }
        var held = PrepareForward(approval);
        return Changing(() =>
        {
            var now = Clock.Now;
            if (_projection.Request(approval.Asked.Head.Id) is { } taken && taken.Asked.ToArray().AsSpan().SequenceEqual(approval.Request)
                && (approval.Decision == Decision.Approved ? taken.Approved > 0 : approval.Signatures.Any(s => s.Approver == taken.Objector)))
                return taken; // sent twice
            var bytes = approval.ToArray();
            if (_projection.Objects.Contains(new Hash32(System.Security.Cryptography.SHA256.HashData(bytes))))
            {
                PutBack(bytes); // the log has it, and the store had lost it
                OpenAnew();
                return _projection.Request(approval.Asked.Head.Id) ?? throw new HoldfastException(ErrorCode.QuorumMissing, "The log has that already, and it did not hold. Nothing was changed.", "Make a new request (holdfast approval request).");
            }
            if (_projection.Fault(approval, now, Clock.Certain) is { } fault)
            {
                Count(RefusedRequest.Approval, Id16.None);
                throw new HoldfastException(ErrorCode.QuorumMissing, $"The request was not taken: {fault}. Nothing was changed; the refusal was counted.",
                    approval.Asked is ApprovalRequest.Succession && approval.Decision == Decision.Approved ? "It takes the signature of the opening key that this vault was made with; one such request waits at a time, and none for 30 days after an objection (holdfast approval list)."
                    : _projection.Approvers.IsNobody ? "Approvers are named when a vault is made (holdfast init --approver)." : $"It takes {_projection.Needs(approval.Asked)} of this vault's {_projection.Approvers.People.Count} approvers (holdfast approval list), each with a signature of this very request.");
            }
            var asked = approval.Asked;
            var isApproved = approval.Decision == Decision.Approved;
            if (isApproved)
                RequireSound(asked);
            else if (_projection.Request(asked.Head.Id) is null && _projection.Requests.Count(r => r.Approved == 0 && r.Objector == approval.Signatures[0].Approver && now - Math.Min(now, r.Objected) < ApprovalRequest.LongestOpen) >= MostObjections)
                throw new HoldfastException(ErrorCode.QuotaExceeded, $"One approver may object to {MostObjections} requests in 30 days that nobody has approved. Nothing was changed.", "A request that nobody approves has no effect. Object to one that weakens protection once it is approved: it has three days to go then.");
            if (isApproved && asked is ApprovalRequest.Time time)
                PrepareForward(time, held);
            var from = now + _projection.CoolingOff(asked);
            var leaf = new Leaf(LeafType.Approval, now, asked.Head.Id, Id16.None, (ulong)asked.Kind, isApproved ? from : 0, (ulong)approval.Signatures.Count, Store.PutTwice(bytes));
            Append(isApproved && !asked.Cools ? [leaf, .. Effect(asked, now)] : [leaf]);
            if (isApproved && asked is ApprovalRequest.Time)
                _clock = null; // from here on as one that is opened anew has it: a run that is killed now changes nothing of that
            return _projection.Request(asked.Head.Id)!;
        });
    }

    /// <summary>Beside damaged copies too.</summary>
    void PutBack(byte[] bytes)
    {
        var name = Store.PutTwice(bytes);
        try
        {
            Store.ReadObject(name);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing)
        {
            using var staged = Store.Stage();
            staged.Append(bytes);
            Store.EnterCopy(staged, StoreKind.Object, name);
        }
    }

    /// <summary>Refuses what could not come into force.</summary>
    void RequireSound(ApprovalRequest asked)
    {
        if (!_projection.IsAsAsked(asked))
            throw new HoldfastException(ErrorCode.CommitRefused, "What the request would change is not as it was when it was made. Nothing was changed.", "Make a new request (holdfast approval request).");
        var genesis = _projection.Genesis!;
        switch (asked)
        {
            case ApprovalRequest.Policy policy when policy.After.Base < genesis.ShortestLock:
                throw new HoldfastException(ErrorCode.CommitRefused, $"No lock of this vault is shorter than {genesis.ShortestLock} seconds; that was fixed when it was made.", "Make a request for a longer one.");
            case ApprovalRequest.Policy policy when policy.After.Longest > Math.Min(genesis.LongestLock, LockRules.LastEnd - Math.Min(LockRules.LastEnd, Clock.LockFrom)):
                throw new HoldfastException(ErrorCode.LockTooLong, "The policy asked for locks longer than this vault allows.", $"The longest lock of this vault is {genesis.LongestLock / RetentionPolicy.Day} days from now; that was fixed when it was made.");
            case ApprovalRequest.Policy policy when _projection.LostPoliciesFor(policy.Source).Any():
                throw new HoldfastException(ErrorCode.ObjectMissing, "A policy that may be the one in force is missing or damaged: what it would be weakened from cannot be told. Nothing was changed.", "Bring that object back from another copy of the vault (holdfast status names it).");
            case ApprovalRequest.Witnesses witnesses when witnesses.After.Any(w => !CosignerKey.TryParse(w, out _)) || witnesses.After.Distinct().Count() < witnesses.After.Count:
                throw new HoldfastException(ErrorCode.CommitRefused, "What the request names as a witness is none, or named twice.", "Make a new request with the keys that `holdfast witness init` printed.");
            case ApprovalRequest.Time time:
                RequireTime(time);
                break;
            case ApprovalRequest.HoldLonger longer:
                RequireAllowed(longer.HeldUntil);
                foreach (var snapshot in longer.Snapshots)
                    _ = Holdable(snapshot);
                break;
            case ApprovalRequest.Revoke revoke:
                RequireEnrolled(revoke.Agent);
                break;
            default:
                break;
        }
    }

    /// <summary>Approvers set the clock forward no further than this machine's calendar says too, and not by what the vault has seen pass since.</summary>
    void RequireTime(ApprovalRequest.Time time)
    {
        var (passed, wall) = (Clock.Passed, _machine.Wall / 1_000);
        if (time.Now > wall + MostAhead)
            throw new HoldfastException(ErrorCode.ClockInDoubt, "The time that the approvers signed has not come by this machine's own clock. Nothing was changed.", "Set this machine's clock right first (timedatectl), or make a new request with the right time: a vault's clock never goes back.");
        if (passed < time.Counted || passed >= time.Now || passed - time.Counted > ApprovalRequest.LongestTimeOpen
            || _projection.HasGivenUp(time.Counted, passed + RetentionPolicy.Day)) // an expiry was in between, and what it gave up may be gone
            throw new HoldfastException(ErrorCode.CommitRefused, "The vault's clock is not where it was when the request was made. Nothing was changed.", "Make a new request (holdfast approval request time).");
    }

    /// <summary>Before the leaf that sets the clock forward: the medium holds all for as much longer, what sessions have stored and not committed counts as new, and the clock's file says what was counted up to now.</summary>
    /// <param name="time">The request.</param>
    /// <param name="held">What the medium holds for long enough already.</param>
    void PrepareForward(ApprovalRequest.Time time, IReadOnlyDictionary<(StoreKind, Hash32), ulong> held)
    {
        OnMedium.HoldAll(time.Forward, time.Counted, held);
        Clock.Save();
        _disk.Replace(KeeperPath(_folder, "unclaimed"), []);
    }

    /// <summary>Has the medium hold what is there before the vault's lock is taken: it may take hours, in which backups go on.</summary>
    IReadOnlyDictionary<(StoreKind, Hash32), ulong> PrepareForward(ApprovalObject approval)
    {
        if (Store is not ILockingStore || approval is not { Decision: Decision.Approved, Asked: ApprovalRequest.Time time })
            return new Dictionary<(StoreKind, Hash32), ulong>();
        RequireOpen();
        Refresh();
        if (_projection.Fault(approval, Clock.Now, Clock.Certain) is not null)
            return new Dictionary<(StoreKind, Hash32), ulong>(); // refused, and counted, under the lock
        RequireSound(time);
        return OnMedium.HoldAll(time.Forward, time.Counted, new Dictionary<(StoreKind, Hash32), ulong>());
    }

    /// <summary>The leaves by which a request comes into force.</summary>
    List<Leaf> Effect(ApprovalRequest asked, ulong now)
    {
        var leaves = new List<Leaf>();
        if (asked is ApprovalRequest.HoldLonger longer)
            leaves.AddRange(Longer(longer.Snapshots.Select(Holdable), longer.HeldUntil, Id16.None));
        leaves.Add(asked is ApprovalRequest.Time time
            ? new Leaf(LeafType.InForce, Math.Max(now, time.Now), asked.Head.Id, Id16.None, (ulong)asked.Kind, time.Forward, time.Counted, Hash32.None)
            : new Leaf(LeafType.InForce, now, asked.Head.Id, Id16.None, (ulong)asked.Kind, 0, 0, Hash32.None));
        return leaves;
    }

    /// <summary>Puts in force what was approved and has cooled off by every source of time. What it would change may be another thing by now: then it never comes into force.</summary>
    void PutInForce()
    {
        if (_projection.IsApprovalLost)
            return;
        foreach (var due in _projection.Requests.Where(r => r is { IsWaiting: true, Asked.Cools: true } && Clock.Certain >= r.From && Clock.Now >= r.From).ToList())
        {
            if (due.IsWaiting && _projection.IsAsAsked(due.Asked)) // another may just have changed it
                Append(Effect(due.Asked, Clock.Now));
        }
    }

    SnapshotRecord Holdable(Id16 snapshot)
    {
        var record = _projection.Find(snapshot) ?? throw SnapshotMissing(snapshot.ToString());
        RequireLockable(record);
        return record;
    }

    /// <summary>Sets, renews or lifts a legal hold: while it stands, its snapshots are locked, and shown as held. Lifting one ends no lock.</summary>
    /// <param name="snapshots">Which.</param>
    /// <param name="change">Where there are approvers, <see cref="HoldChange.Set"/>, once a snapshot and for <see cref="HoldLength"/>; the rest is for them.</param>
    /// <param name="until">Seconds since 1970, of one that is renewed.</param>
    /// <param name="actor">Who asks.</param>
    /// <exception cref="HoldfastException"><c>QuorumMissing</c>, <c>QuotaExceeded</c>, <c>LockRefused</c>, <c>LockTooLong</c>, <c>SnapshotMissing</c>.</exception>
    public void Hold(IReadOnlyList<Id16> snapshots, HoldChange change, ulong until, Id16 actor)
    {
        if (Remote is not null)
        {
            Asking(new KeeperRequest.Hold(snapshots, change, until, actor));
            return;
        }
        Changing(() =>
        {
            var now = Clock.Now;
            var records = snapshots.Distinct().Select(s => change == HoldChange.Lifted ? _projection.Find(s) ?? throw SnapshotMissing(s.ToString()) : Holdable(s)).ToList();
            if (!_projection.Approvers.IsNobody && (change != HoldChange.Set || records.Exists(r => r.FirstHeld > 0)))
            {
                throw new HoldfastException(ErrorCode.QuorumMissing, change == HoldChange.Set ? "A snapshot that is to be held was held before: renewing a hold takes approvals. Nothing was changed." : "To renew or lift a hold takes approvals. Nothing was changed.",
                    "Make a request (holdfast approval request hold), and have it approved.");
            }
            if (change == HoldChange.Set)
            {
                until = Clock.LockFrom + HoldLength;
                if (_projection.Snapshots.Count(s => s.FirstHeld > 0 && s.FirstHeld + HoldLength > now) + records.Count(r => r.FirstHeld == 0) > MostHeldAlone)
                    throw new HoldfastException(ErrorCode.QuotaExceeded, $"One person may hold {MostHeldAlone} snapshots newly in 30 days. Nothing was changed.", "Hold fewer: the newest one of each source has all that its earlier ones still had. For more, lengthen locks (holdfast lock).");
            }
            if (change != HoldChange.Lifted)
                RequireAllowed(until);
            if (_projection.Approvers.IsNobody) // each leaf says something new
                records.RemoveAll(r => change == HoldChange.Lifted ? r.HeldUntil == 0 : change == HoldChange.Set ? r.FirstHeld > 0 && r.HeldUntil + RetentionPolicy.Day > until : r.HeldUntil >= until);
            if (records.Count == 0)
                return -1;
            var leaves = change == HoldChange.Lifted ? [] : Longer(records, until, actor);
            leaves.AddRange(records.Select(r => new Leaf(LeafType.Hold, now, r.Snapshot, actor, change == HoldChange.Lifted ? 0 : until, 0, (ulong)change, Hash32.None)));
            return Append(leaves);
        });
    }
}
