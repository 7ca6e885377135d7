using System.Security.Cryptography;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What is locked and until when: commits, longer locks, policies, and the end of what no lock holds.</summary>
public sealed partial class VaultKeeper
{
    const int GapMilliseconds = 50; // whoever waits for the vault's lock looks every 20

    /// <summary>Commits a snapshot whose packs are durable.</summary>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>, <c>QuotaExceeded</c>, <c>PackMissing</c>, <c>DiskFull</c>.</exception>
    public CommitReceipt Commit(SnapshotObject snapshot) => Remote is not null ? CommitThere(snapshot) : Changing(() =>
    {
        var bytes = snapshot.ToArray();
        if (_projection.Find(snapshot.Snapshot) is { } already)
        {
            if (already.Name != new Hash32(SHA256.HashData(bytes)))
                throw Taken(already, snapshot.Agent, snapshot.Source);
            return new CommitReceipt((long)already.Ordinal, already.Committed, already.Expiry, _log.Prove((long)already.Ordinal)); // asked twice
        }
        var judge = new CommitJudge(Vault, _projection, Store, Clock);
        var set = Counting(RefusedRequest.Commit, Known(snapshot.Agent), () => judge.Check(snapshot, bytes));
        var policy = _projection.PolicyFor(snapshot.Source);
        var fresh = judge.NewBytes(snapshot, set);
        Counting(RefusedRequest.Quota, snapshot.Agent, () =>
        {
            judge.CheckQuotas(snapshot, policy, fresh + bytes.Length);
            return 0;
        });
        Store.SyncNames(StoreKind.Pack, set.ToList().Select(p => p.Name).Where(n => !_projection.IsCommitted(n)));
        var name = Store.PutObject(bytes);

        Clock.Note(); // before the leaf: a run that is killed between the two leaves none that a clock may end too soon
        // One reading of the clock, after the disk has taken its time: a lock that counted from a second before its leaf would be that much short of its place, and the place would stay open.
        var now = Clock.Now;
        var from = Clock.LockFrom;
        var size = set.Bytes;
        var today = now / RetentionPolicy.Day;
        // Places are told by vault time, as those taken before are; the lock's length counts from where no doubt about the clock can make it short.
        var expiry = from - now + Places.Expiry(now, policy, _projection.Snapshots.Where(s => s.Source == snapshot.Source && s.Committed <= now && Kept(s) > policy.Base && s.IsSigned)
            .Select(s => new PlaceHolder(s.Committed, Kept(s), s.Attested > 0, (s.Attested > 0 || s.Committed / RetentionPolicy.Day == today) && _projection.BytesOf(s) >= size / 2)));
        var longest = Math.Min(from + _projection.Genesis!.LongestLock, LockRules.LastEnd);
        expiry = Math.Clamp(expiry, Math.Min(from + _projection.Genesis.ShortestLock, longest), longest);
        OnMedium.Hold(set.ToList().Select(p => p.Name), Telling(name, snapshot), expiry);
        var leaf = new Leaf(LeafType.Commit, now, snapshot.Snapshot, snapshot.Agent, expiry, (ulong)fresh, (ulong)set.Count, name);
        var ordinal = Append(leaf);
        return new CommitReceipt(ordinal, now, expiry, _log.Prove(ordinal));
    });

    /// <summary>Refuses an id that a snapshot has: asked before work whose end would be another one under it.</summary>
    /// <exception cref="HoldfastException"><c>RunDone</c>: it is of that source and agent, so that run was done. <c>CommitRefused</c>: it is of another.</exception>
    public void RequireNotCommitted(Id16 snapshot, Id16 agent, Id16 source)
    {
        if (_projection.Find(snapshot) is { } already)
            throw Taken(already, agent, source);
    }

    HoldfastException Taken(SnapshotRecord already, Id16 agent, Id16 source) => already.Agent == agent && already.Source == source
        ? RunDone(new DoneRun(already.Snapshot, already.Committed, _log.Prove((long)already.Ordinal)))
        : new HoldfastException(ErrorCode.CommitRefused, "The keeper refused the snapshot: another source or agent has one with that id.", "Ids are not had twice by chance: treat the host that sent it as suspect.");

    internal static HoldfastException RunDone(DoneRun done) =>
        new(ErrorCode.RunDone, $"That run was done before: snapshot {done.Snapshot} was committed for it. Nothing more was.", "There is nothing to do. For a further backup leave --run out, or give it another name.") { Done = done };

    /// <summary>The objects that tell which packs a new snapshot needs: its own, and those that its set is a difference to.</summary>
    IEnumerable<Hash32> Telling(Hash32 name, SnapshotObject snapshot) => [name, .. snapshot.Packs.IsWhole ? [] : _projection.Find(snapshot.Parent)!.ToldBy()];

    /// <summary>By which time locks are over cannot be told: the clock was set forward by more than the log tells of, or by more leaves than are looked at. Then nothing expires.</summary>
    public bool IsTimeUntold => _projection.IsTimeUntold || Clock.IsBeyond(_projection.Lengthened);

    MediumLocks OnMedium => new(Store, _projection, _machine.Wall / 1_000);

    /// <summary>Reads back from the store's medium what it holds of the locks that the log tells of; null for a vault in folders, whose locks are the log's alone.</summary>
    public LockAudit? AuditLocks(CancellationToken ct) => OnMedium.Audit(Clock.Passed, ct);

    /// <summary>Seconds from a snapshot's commit to the end of its lock, as it stands.</summary>
    static ulong Kept(SnapshotRecord record) => record.Expiry - Math.Min(record.Expiry, record.Committed + record.Moved);

    /// <summary>Lengthens a snapshot's lock. It is never shortened: a request to do so is refused and counted in the log.</summary>
    /// <exception cref="HoldfastException"><c>LockRefused</c>, <c>LockTooLong</c>, <c>SnapshotMissing</c>.</exception>
    public void Extend(Id16 snapshot, ulong expiry, Id16 actor)
    {
        if (Remote is not null)
            Asking(new KeeperRequest.Extend(snapshot, expiry, actor));
        else
            Changing(() => ExtendHere(snapshot, expiry, actor));
    }

    long ExtendHere(Id16 snapshot, ulong expiry, Id16 actor)
    {
        var record = _projection.Find(snapshot) ?? throw SnapshotMissing(snapshot.ToString());
        RequireLockable(record);
        if (expiry < record.Expiry)
        {
            Count(RefusedRequest.ShorterLock, actor);
            throw new HoldfastException(ErrorCode.LockRefused, "A lock is never shortened. The request was refused and counted; when the hour is over the log has a record of it.",
                "Name a later date, or leave the lock as it is.");
        }
        RequireAllowed(expiry);
        return Append(Longer([record], expiry, actor));
    }

    /// <summary>Has the medium hold what longer locks promise: what several share is asked for once.</summary>
    /// <returns>The leaves that promise it, of those whose lock ends sooner.</returns>
    List<Leaf> Longer(IEnumerable<SnapshotRecord> records, ulong expiry, Id16 actor)
    {
        var brief = records.Where(r => r.Expiry <= expiry).ToList();
        OnMedium.Hold([.. brief.SelectMany(r => _projection.PacksOf(r)!.ToList().Select(p => p.Name)).Distinct()], [.. brief.SelectMany(r => r.ToldBy()).Distinct()], expiry);
        return brief.ConvertAll(r => new Leaf(LeafType.LockExtension, Clock.Now, r.Snapshot, actor, expiry, 0, 0, Hash32.None));
    }

    /// <summary>Refuses a snapshot that a longer lock would not hold.</summary>
    void RequireLockable(SnapshotRecord record)
    {
        if (!record.IsRemoved && record.Object is null)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"The object of snapshot {record.Snapshot} is missing or damaged: which packs a longer lock would hold cannot be told.",
                "Bring the object that `holdfast status` names back from another copy of the vault, then lengthen the lock; or lock another snapshot.");
        if (record.IsRemoved || _projection.PacksOf(record) is null)
            throw new HoldfastException(ErrorCode.LockRefused, $"The lock of snapshot {record.Snapshot} has ended, and data of it has been given up: a lock would hold nothing.",
                "Lock a later snapshot (`holdfast snapshots` lists them).");
    }

    /// <summary>Refuses an end of a lock that is beyond the longest that this vault allows.</summary>
    /// <exception cref="HoldfastException"><c>LockTooLong</c>.</exception>
    public void RequireAllowed(ulong expiry)
    {
        if (expiry > Math.Min(Clock.LockFrom + _projection.Genesis!.LongestLock, LockRules.LastEnd))
            throw new HoldfastException(ErrorCode.LockTooLong, "The lock asked for is longer than this vault allows.",
                $"The longest lock of this vault is {_projection.Genesis.LongestLock / RetentionPolicy.Day} days from now; that was fixed when it was made.");
    }

    /// <summary>Raises a policy, for what is committed from now on. It is never weakened here: a request to do so is refused and counted.</summary>
    /// <param name="source">None: all sources that have no policy of their own.</param>
    /// <param name="change">What of the one in force.</param>
    /// <param name="actor">Who asks.</param>
    /// <returns>False where that is in force already.</returns>
    /// <exception cref="HoldfastException"><c>LockRefused</c>, <c>LockTooLong</c>; <c>ObjectMissing</c> where the one in force cannot be read, and its leaf says nothing of it.</exception>
    public bool SetPolicy(Id16 source, PolicyChange change, Id16 actor) => Remote is not null ? Asking(new KeeperRequest.SetPolicy(source, change, actor)) is [1] : Changing(() =>
    {
        if (_projection.LostPoliciesFor(source).FirstOrDefault(l => l.Told is null) is { } lost)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"Object {lost.Name}, of a policy that may be the one in force, is missing or damaged, and the log does not say what it set: what would be weaker cannot be told. Nothing was changed.",
                "Bring that object back from another copy of the vault, then set the policy. Until then each lock is as long as the log shows that one was.");
        var now = _projection.PolicyFor(source);
        var wanted = change.Of(now);
        if (wanted.IsWeakerThan(now))
        {
            Count(RefusedRequest.WeakerPolicy, actor);
            throw new HoldfastException(ErrorCode.LockRefused, "The policy asked for keeps something less long than the one in force, or has a smaller quota (no quota is the largest). It was refused and counted; nothing was changed.",
                $"Leave every lock, place and quota as large as it is, or larger (holdfast policy show). A quota where there is none is given when the vault is made (holdfast init), and only raised later. {Weakening()}");
        }
        if (wanted.Longest > Math.Min(_projection.Genesis!.LongestLock, LockRules.LastEnd - Math.Min(LockRules.LastEnd, Clock.LockFrom)))
            throw new HoldfastException(ErrorCode.LockTooLong, "The policy asked for locks longer than this vault allows.",
                $"The longest lock of this vault is {_projection.Genesis.LongestLock / RetentionPolicy.Day} days from now; that was fixed when it was made.");
        if (wanted == now)
            return false;
        var policy = Id16.New();
        var (a, b, c) = LostPolicy.Tell(wanted);
        Append(new Leaf(LeafType.Policy, Clock.Now, policy, actor, a, b, c, Store.PutTwice(new PolicyObject(Vault, Salt(), policy, source, wanted).ToArray())));
        return true;
    });

    string Weakening() => _projection.Approvers.IsNobody ? "Weakening a policy needs approvers, who are named when a vault is made (holdfast init --approver)."
        : $"Weakening a policy takes {_projection.Approvers.Quorum} approvers and three days: `holdfast approval request policy` makes a request for them.";

    /// <summary>Removes what no lock has held for 14 days by every source of time; nothing else is ever removed.</summary>
    /// <param name="dryRun">Only says what would go.</param>
    /// <param name="held">Snapshots that stay though no lock holds them; null for none.</param>
    /// <exception cref="HoldfastException">Nothing was given up. What goes wrong later is in the result.</exception>
    public ExpiryResult Expire(bool dryRun, IReadOnlyCollection<Id16>? held = null)
    {
        held ??= [];
        RequireHere();
        if (dryRun)
            return ExpiryNow().Plan(note: false, held);
        var plan = Changing(() =>
        {
            var expiry = ExpiryNow();
            var plan = expiry.Plan(note: true, held);
            if (plan.Names.Count > 0)
            {
                // The leaf goes first: what it names is given up from here on, and a crash leaves files that the next run removes.
                var list = new ExpiryList(Vault, Salt(), plan.Names).ToArray();
                Append(new Leaf(LeafType.Expiry, Clock.Now, Id16.New(), Id16.None, expiry.Judged, (ulong)plan.Bytes, (ulong)plan.Names.Count(n => n.Kind == StoreKind.Pack), Store.PutObject(list)));
            }
            return plan;
        });
        if (plan.IsBlocked)
            return plan; // nor what a leaf gave up before: whether it was locked cannot be told
        var (stuck, isBlocked) = (0, false);
        HoldfastException? fault = null;
        List<StoredName> given;
        try
        {
            given = ExpiryNow().GivenUp();
        }
        catch (HoldfastException e)
        {
            return plan with { Stuck = plan.Names.Count, Fault = e }; // given up, and told: the next run removes them
        }
        foreach (var (number, some) in given.Chunk(RemovedAtOnce).Index())
        {
            if (fault is { Code: ErrorCode.VaultBusy } || (fault is { Code: ErrorCode.StoreUnavailable } && FolderStore is null)) // each try waits its whole patience
            {
                stuck += some.Length;
                continue;
            }
            if (number > 0)
                Thread.Sleep(GapMilliseconds);
            try
            {
                stuck += Changing(() =>
                {
                    var now = ExpiryNow();
                    isBlocked |= now.IsBlocked();
                    return isBlocked ? some.Length : now.Remove(some); // by what the log says now: a new leaf may tell that an earlier one was dated ahead
                });
            }
            catch (HoldfastException e)
            {
                stuck += some.Length; // given up, and told: the next run removes them
                fault ??= e;
            }
        }
        Store.SweepStaging();
        return plan with { Stuck = stuck, IsBlocked = isBlocked, Fault = fault };
    }

    /// <summary>Files that expiry removes before it lets others change the vault.</summary>
    internal int RemovedAtOnce { get; set; } = 128;

    Expiry ExpiryNow() => new(_projection, Store, _remover ??= FolderStore is { } folders ? new Remover(folders, _disk) : _stores?.Remover(ObjectStore!, _folder), Clock, Time(), Away.Count > 0, KeeperPath(_folder, "unclaimed"), _disk);

    /// <summary>Parent for the next snapshot of a source: its newest one that is still there.</summary>
    public SnapshotRecord? Newest(Id16 source) => _projection.Snapshots.LastOrDefault(s => s.Source == source && s.Object is not null && !s.IsRemoved);

    /// <summary>The pack set of a new snapshot as it should be told: the difference to its parent's, or, every 64 snapshots and where there is no parent, or one that is wrong about sizes, all of it.</summary>
    public PackSetDelta Tell(PackSet set, SnapshotRecord? parent) =>
        parent is not null && _projection.Find(parent.Name) is { Differences: < CommitJudge.MaxDifferences } found && !_projection.HasOtherSizes(found) && CommitJudge.CanBuildOn(_projection, Store, found) && _projection.PacksOf(found) is { } known
            ? set.DeltaFrom(known) : set.Whole();
}
