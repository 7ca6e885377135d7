using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What the log adds up to. It may be thrown away and rebuilt at any time; nothing is decided from anything else.</summary>
public sealed partial class Projection
{
    const int MaxDifferences = 64; // in a row, as far as readers follow

    readonly Func<Hash32, byte[]> _read;
    readonly Dictionary<Hash32, SnapshotRecord> _byName = [];
    readonly Dictionary<Id16, SnapshotRecord> _byId = [];
    readonly Dictionary<SnapshotRecord, List<SnapshotRecord>> _builtOn = []; // by the one whose pack set theirs is a difference to
    readonly PackSetCache _sets = new();
    readonly Dictionary<Id16, Enrolment> _agents = [];
    readonly HashSet<Id16> _enrolled = []; // agents that any leaf enrolled
    readonly Dictionary<Id16, Hash32> _lostAgents = []; // whose newest enrolment cannot be read
    readonly Dictionary<Id16, RetentionPolicy> _policies = [];
    readonly Dictionary<Id16, ulong> _policySet = []; // by which leaf
    readonly List<LostPolicy> _lostPolicies = [];
    readonly PackSpans _spans = new();
    readonly Func<ulong> _moment;
    readonly IReadOnlyDictionary<ulong, ulong> _latest;
    readonly IReadOnlySet<Id16> _early;
    readonly List<Hash32> _keyrings = [];
    readonly HashSet<Hash32> _objects = [];
    readonly HashSet<Hash32> _unreadable = [];
    readonly HashSet<Hash32> _readable = []; // as what an earlier leaf names them for; snapshots are not among them
    readonly HashSet<(Type, Hash32)> _failed = []; // read once, however many leaves name them
    readonly HashSet<RefusalKey> _refusals = [];
    readonly List<(ulong Time, ulong Forward)> _times = []; // of all leaves, and what approvers said, with by how much that sets the clock forward
    /// <param name="store">Has the objects that leaves name.</param>
    /// <param name="moment">The latest time, in seconds since 1970, that may have come: an expiry by a later one gives up nothing yet. Null for a reader that does not know the time.</param>
    /// <param name="latest">By the ordinal of an expiry leaf, the earliest time of a leaf after it, where that is earlier than its own: see <see cref="IsTimeBack"/>.</param>
    public Projection(IStore store, Func<ulong>? moment = null, IReadOnlyDictionary<ulong, ulong>? latest = null)
        : this(store.ReadObject, moment, latest)
    {
    }

    /// <param name="read">Reads an object, as <see cref="StoreExtensions.ReadObject"/> does.</param>
    /// <param name="moment">As above.</param>
    /// <param name="latest">As above.</param>
    /// <param name="early">Requests that leaves put in force before they could be: see <see cref="Undone"/>. Null for none.</param>
    internal Projection(Func<Hash32, byte[]> read, Func<ulong>? moment, IReadOnlyDictionary<ulong, ulong>? latest, IReadOnlySet<Id16>? early = null)
    {
        _early = early ?? new HashSet<Id16>();
        _read = read;
        _moment = moment ?? (() => ulong.MaxValue);
        _latest = latest ?? new Dictionary<ulong, ulong>();
    }

    /// <summary>Leaves that were signed and cannot be read any more are among those taken in: what they said is not known, and is held against nobody.</summary>
    public bool HasLostLeaves { get; private set; }

    /// <summary>The snapshot's pack set builds, in the end, on one that no leaf which can be read commits.</summary>
    public bool BuildsOnLostLeaf(SnapshotRecord record)
    {
        var at = record;
        while (HasLostLeaves && at?.Object is { Packs.IsWhole: false } difference)
        {
            at = Find(difference.Parent);
            if (at is null)
                return true;
        }
        return false;
    }

    /// <summary>Leaves taken in so far.</summary>
    public ulong Size { get; private set; }
    public ulong LatestTime { get; private set; }

    /// <summary>The latest time of a leaf among those that are not beyond a moment, or no more than <see cref="VaultClock.DoubtAfter"/> beyond the latest of these before them: one leaf that was made up, or
    /// written by a clock that was wrong, is none of them.</summary>
    public ulong TimeOfLeaves(ulong moment) =>
        _times.Aggregate(0UL, (latest, next) => next.Time <= moment || next.Time <= latest + VaultClock.DoubtAfter + next.Forward ? Math.Max(latest, next.Time) : latest);

    /// <summary>Leaves that no sound keeper writes, and what they say does not count.</summary>
    public List<RefusedLeaf> Refused { get; } = [];

    /// <summary>Packs that attestations found missing or damaged, and the ordinal of the first that did since one last found them there.</summary>
    public Dictionary<Hash32, ulong> Lost { get; } = [];

    /// <summary>Of those, packs that were there and damaged, and the vault time of the last attestation that found them so.</summary>
    public Dictionary<Hash32, ulong> FoundDamaged { get; } = [];

    public Genesis? Genesis { get; private set; }

    /// <summary>In the order of their commits.</summary>
    public List<SnapshotRecord> Snapshots { get; } = [];

    /// <summary>Name of the newest keyring object.</summary>
    public Hash32 Keyring { get; private set; }

    /// <summary>Names of all epochs' keyrings, oldest first.</summary>
    public IReadOnlyList<Hash32> Keyrings => _keyrings;
    public ulong KeyEpoch { get; private set; }

    /// <summary>Vault time when the newest key epoch began.</summary>
    public ulong KeyEpochBegan { get; private set; }

    /// <summary>Writers whose packs are not believed: (id, epoch) and the ordinal it holds from.</summary>
    public Dictionary<(Id16 Writer, uint Epoch), ulong> BadWriters { get; } = [];

    /// <summary>The clean room that attested last, and the vault time; none where people alone did.</summary>
    public (Id16 Id, ulong Last) CleanRoom { get; private set; }

    /// <summary>Vault time of the newest recovery kit of the newest epoch that has one, or 0.</summary>
    public ulong KitPrinted { get; private set; }

    /// <summary>The key epoch whose seed that kit gives, or 0.</summary>
    public ulong KitEpoch { get; private set; }

    /// <summary>A kit was printed, but the keys were rotated since: what is sealed to the newest epoch it does not open.</summary>
    public bool IsKitOld => KitPrinted > 0 && KitEpoch < KeyEpoch;

    public ulong Refusals { get; private set; }

    /// <summary>Those of backups that were over their quota.</summary>
    public ulong OverQuota { get; private set; }

    /// <summary>Further folders that the log tells of.</summary>
    public int FoldersTold { get; private set; }

    /// <summary>A leaf tells of these refusals already.</summary>
    public bool Tells(RefusalKey key) => _refusals.Contains(key);

    public List<ScopedKeyRecord> ScopedKeys { get; } = [];

    /// <summary>Restores that clean rooms granted to agents' hosts, in the order of their leaves.</summary>
    public List<GrantedRestore> Grants { get; } = [];

    /// <param name="bytes">The next leaf.</param>
    /// <param name="isLost">It was signed, and cannot be read any more: no bytes. One that was signed without any is of whoever has the log's key.</param>
    /// <exception cref="HoldfastException"><c>LogDamaged</c>: the first leaf is no genesis of this vault.</exception>
    public void Apply(ReadOnlySpan<byte> bytes, bool isLost = false)
    {
        var ordinal = Size++;
        HasLostLeaves |= isLost;
        if (!Leaf.TryParse(bytes, out var leaf))
            return; // of a newer version: kept and ignored
        LatestTime = Math.Max(LatestTime, leaf.VaultTime);
        _times.Add((Math.Min(leaf.VaultTime, LockRules.LastEnd), 0));
        IsTimeBack |= leaf.VaultTime < _judged;
        Believe(leaf.VaultTime);
        var isRepeated = leaf.Type != LeafType.Commit && !leaf.Payload.IsNone && !_objects.Add(leaf.Payload);
        if (ordinal == 0)
        {
            if (leaf.Type != LeafType.Genesis || !Genesis.TryParse(_read(leaf.Payload), out var genesis) || genesis!.Vault != leaf.Subject)
                throw new HoldfastException(ErrorCode.LogDamaged, "The first leaf of the log does not name a genesis of this vault.",
                    "The folder is no vault, or its log was put there by someone else. Compare its verifier key with the one in your key file, and bring the log back from another copy.");
            Genesis = genesis;
            Begin(genesis);
            return;
        }
        switch (leaf.Type)
        {
            case LeafType.Commit:
                Commit(ordinal, leaf);
                break;
            case LeafType.LockExtension when _byId.TryGetValue(leaf.Subject, out var extended):
                extended.Expiry = Math.Max(extended.Expiry, Math.Min(leaf.A, LockRules.LastEnd));
                _spans.Lengthen(extended);
                Revive(extended);
                break;
            case LeafType.Policy or LeafType.Approval or LeafType.Expiry or LeafType.Attestation or LeafType.KeyEpoch when isRepeated: // each has a salt of its own; and reading one as often as leaves name it has no end
                Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.Repeated, []));
                break;
            case LeafType.Policy:
                Set(ordinal, leaf);
                break;
            case LeafType.Approval:
                Approve(ordinal, leaf);
                break;
            case LeafType.InForce:
                PutInForce(ordinal, leaf);
                break;
            case LeafType.Hold when _byId.TryGetValue(leaf.Subject, out var held):
                Hold(ordinal, leaf, held);
                break;
            case LeafType.AgentEnrolled when !Approvers.IsNobody && (leaf.A != 1 || !_enrolled.Add(leaf.Subject)): // a key in another's place revokes it too
                NotApproved(ordinal, leaf);
                break;
            case LeafType.AgentEnrolled:
                _agents.Remove(leaf.Subject); // the newest counts: not the key before, which it may have replaced
                _lostAgents.Remove(leaf.Subject);
                if (leaf.A == 2)
                    break;
                if (TryRead<Enrolment>(leaf.Payload, Enrolment.TryParse, out var agent) == 0)
                    _lostAgents[leaf.Subject] = leaf.Payload;
                else if (agent!.Kind == EnrolmentKind.Agent && agent.Id == leaf.Subject)
                    _agents[leaf.Subject] = agent;
                break;
            case LeafType.WriterEnrolled:
                if (leaf.C == 2)
                    BadWriters[(leaf.Subject, (uint)leaf.A)] = leaf.B;
                else
                    BadWriters.Remove((leaf.Subject, (uint)leaf.A));
                break;
            case LeafType.KeyEpoch when !IsNextEpoch(leaf):
                Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.EpochWrong, []));
                break;
            case LeafType.KeyEpoch:
                (Keyring, KeyEpoch, KeyEpochBegan) = (leaf.Payload, leaf.A, leaf.VaultTime);
                _keyrings.Add(leaf.Payload);
                break;
            case LeafType.Expiry when TryRead<ExpiryList>(leaf.Payload, ExpiryList.TryParse, out var list) > 0:
                GiveUp(ordinal, leaf, list!);
                break;
            case LeafType.Attestation when _byId.TryGetValue(leaf.Subject, out var attested):
                Attest(attested, ordinal, leaf);
                break;
            case LeafType.Restore when _byId.TryGetValue(leaf.Subject, out var restored):
                Restore(restored, leaf);
                break;
            case LeafType.Erasure when !isRepeated:
                Erase(ordinal, leaf);
                break;
            case LeafType.Emergency when !isRepeated:
                Step(ordinal, leaf);
                break;
            case LeafType.Sensitive:
                Mark(ordinal, leaf);
                break;
            case LeafType.ErasedAsked:
                _erasedAsked.Add(new ErasedAsked(leaf.VaultTime, leaf.Subject, leaf.Payload));
                break;
            case LeafType.Granted when _byId.ContainsKey(leaf.Subject):
                Grants.Add(new GrantedRestore(leaf.VaultTime, leaf.Subject, leaf.Actor, leaf.A, GrantedRestore.MarkOf(leaf)));
                break;
            case LeafType.GrantEnded when OpenGrant(leaf.Subject, leaf.Actor) is { } granted:
                (granted.Ended, granted.End, granted.Takeovers, granted.Bytes, granted.Files) = (leaf.VaultTime, leaf.A & byte.MaxValue, leaf.A >> 8, leaf.B, leaf.C);
                break;
            case LeafType.RecoveryKit when leaf.C >= KitEpoch: // a kit printed with an older key does not hide that there is a newer one
                (KitPrinted, KitEpoch) = (leaf.VaultTime, leaf.C);
                break;
            case LeafType.Refusals:
                Refusals = RefusalTally.Sum(Refusals, leaf.C);
                OverQuota = RefusalTally.Sum(OverQuota, leaf.A == (ulong)RefusedRequest.Quota ? leaf.C : 0);
                _refusals.Add(new RefusalKey(leaf.Subject, (RefusedRequest)leaf.A, leaf.B));
                break;
            case LeafType.StoreChanged:
                FoldersTold += leaf.A == 1 ? 1 : leaf.A == 2 ? -1 : 0;
                break;
            case LeafType.ScopedKey:
                ScopedKeys.Add(new ScopedKeyRecord(leaf.Subject, (KeyClass)leaf.A, leaf.B, leaf.C, leaf.VaultTime));
                break;
            default:
                break;
        }
    }

    /// <summary>The grant that somebody ends who shows this; null where there is none that has no end.</summary>
    /// <param name="secret">What is shown.</param>
    /// <param name="agent">Whose grant.</param>
    public GrantedRestore? OpenGrant(Id16 secret, Id16 agent)
    {
        var mark = GrantedRestore.MarkOf(secret);
        return Grants.Find(g => g.IsOpen && g.Mark == mark && g.Agent == agent);
    }

    public SnapshotRecord? Find(Hash32 name) => _byName.GetValueOrDefault(name);
    public SnapshotRecord? Find(Id16 snapshot) => _byId.GetValueOrDefault(snapshot);

    /// <summary>A snapshot's object with its sections, read again; null where it is missing or damaged.</summary>
    public SnapshotObject? Whole(SnapshotRecord record)
    {
        if (record.Object is null)
            return null;
        try
        {
            return SnapshotObject.TryParse(_read(record.Name), out var whole) ? whole : null;
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged)
        {
            return null;
        }
    }

    /// <summary>The snapshots that these packs and objects are of, by what the log has named so far.</summary>
    public IEnumerable<SnapshotRecord> Having(IReadOnlyCollection<Hash32> names)
    {
        _spans.Take(Snapshots);
        return _spans.With(names, isFirst: false).Concat(names.Select(n => _byName.GetValueOrDefault(n)).OfType<SnapshotRecord>()).Distinct();
    }

    /// <summary>A pack set that can be told names this pack: its name was durable then.</summary>
    public bool IsCommitted(Hash32 pack)
    {
        _spans.Take(Snapshots);
        return _spans.Has(pack);
    }

    /// <summary>Bytes of a pack as the first snapshot that has it in its set gave them; null where none has it.</summary>
    public long? SizeOf(Hash32 pack)
    {
        _spans.Take(Snapshots);
        return _spans.SizeOf(pack);
    }

    /// <summary>True where a snapshot has a pack in its set, as far as that can be told. Adds no set up.</summary>
    public bool IsIn(SnapshotRecord record, Hash32 pack)
    {
        _spans.Take(Snapshots);
        return _spans.IsIn(record, pack);
    }

    /// <summary>Its pack set can be told, and gives a pack another size than the first one that has it: no sound keeper commits such a snapshot. Its packs are locked all the same.</summary>
    public bool HasOtherSizes(SnapshotRecord record)
    {
        _spans.Take(Snapshots);
        return _spans.IsOtherwise(record);
    }

    /// <summary><see cref="PacksOf"/>, with the size of each pack as it was given first.</summary>
    public PackSet? SizedPacksOf(SnapshotRecord record) =>
        PacksOf(record) is { } set && HasOtherSizes(record) ? new PackSet(set.ToList().Select(p => p with { Size = SizeOf(p.Name) ?? p.Size })) : PacksOf(record);

    /// <summary>Bytes of the packs that a snapshot needs, by the sizes that were given first; 0 where that cannot be told. Adds no set up.</summary>
    public long BytesOf(SnapshotRecord record)
    {
        _spans.Take(Snapshots);
        return _spans.IsUntold(record) ? 0 : HasOtherSizes(record) ? SizedPacksOf(record)?.Bytes ?? 0 : record.Object!.Packs.Bytes;
    }

    public IReadOnlyCollection<Enrolment> Agents => _agents.Values;

    public Enrolment? Agent(Id16 agent) => _agents.GetValueOrDefault(agent);

    /// <summary>The object of an agent's newest enrolment, where it is missing or damaged; else none.</summary>
    public Hash32 LostAgent(Id16 agent) => _lostAgents.GetValueOrDefault(agent);

    /// <summary>Names of the objects, other than snapshots, that leaves name: these stay for as long as the vault.</summary>
    public IReadOnlyCollection<Hash32> Objects => _objects;

    /// <summary>Objects that were needed to tell the state, and could not be read: what they say does not count.</summary>
    public IReadOnlySet<Hash32> Unreadable => _unreadable;

    /// <summary>Policies that were set since the vault was made, by source; none for all sources that have none of their own.</summary>
    public IReadOnlyDictionary<Id16, RetentionPolicy> Policies => _policies;

    /// <summary>Policies that cannot be read, oldest first.</summary>
    public IReadOnlyList<LostPolicy> LostPolicies => _lostPolicies;

    /// <summary>Those of them that may be the one in force for a source: set after its own.</summary>
    public IEnumerable<LostPolicy> LostPoliciesFor(Id16 source) => _policySet.TryGetValue(source, out var own) ? _lostPolicies.Where(l => l.Ordinal > own) : _lostPolicies;

    /// <summary>The policy in force for a source. Where it may be one that cannot be read: what keeps everything as long as any that it may be, as far as the log tells of them, and no less long than
    /// what was committed under it.</summary>
    public RetentionPolicy PolicyFor(Id16 source)
    {
        return LostPoliciesFor(source).Aggregate(ReadableFor(source), (longest, lost) => longest.Longer(lost.Told ?? longest with { Base = Promised(source, lost.Ordinal) }));
    }

    RetentionPolicy ReadableFor(Id16 source) => _policies.TryGetValue(source, out var own) ? own : _policies.TryGetValue(Id16.None, out var all) ? all : Genesis!.Policy;

    /// <summary>The longest lock, in seconds, that a snapshot of a source was committed with after a leaf. One whose object cannot be read may be of any source.</summary>
    ulong Promised(Id16 source, ulong ordinal) => Snapshots.Where(s => (s.Object is null || s.Source == source) && s.Ordinal > ordinal).Select(s => s.Promised).DefaultIfEmpty().Max();

    /// <summary>All packs a snapshot needs; null where an object of its chain is missing or does not add up.</summary>
    public PackSet? PacksOf(SnapshotRecord record)
    {
        if (_sets.TryGet(record.Name, out var known))
            return known;
        // Back to a set that is known or whole, then forward again.
        var chain = new Stack<SnapshotRecord>();
        PackSet? set = null;
        for (var at = record; ; at = at.BuildsOn)
        {
            if (at?.Object is null)
                return null;
            if (_sets.TryGet(at.Name, out set))
                break;
            chain.Push(at);
            if (at.Object.Packs.IsWhole)
            {
                set = PackSet.Empty;
                break;
            }
        }
        while (chain.TryPop(out var next))
        {
            if (set!.Apply(next.Object!.Packs) is not { } applied)
                return null;
            set = applied;
        }
        _sets.Add(record.Name, set!);
        return set;
    }

    /// <summary>Every pack that a commit named, with the end of its lock by the largest of all commits and extensions: from the differences alone, quickly however many snapshots share a pack.</summary>
    /// <param name="isGone">Whether a snapshot counts as given up; null for what the log alone says.</param>
    public NamedPacks NamedPacks(Predicate<SnapshotRecord>? isGone = null)
    {
        _spans.Take(Snapshots);
        return _spans.Named(isGone ?? (s => s.IsRemoved), LockRules.Quantum(Genesis!.Policy.Base));
    }

    /// <summary>Which packs it needs cannot be told: its object, or one that its pack set builds on, is missing or damaged, or they do not add up.</summary>
    public bool IsUntold(SnapshotRecord record)
    {
        _spans.Take(Snapshots);
        return _spans.IsUntold(record);
    }

    /// <summary>Bytes of all packs that any of some snapshots needs, each once, by the sizes that were given first. Adds no set up.</summary>
    public long BytesOf(IReadOnlySet<SnapshotRecord> records) => NamedPacks(r => !records.Contains(r)).Packs.Values.Where(p => p.IsNeeded).Sum(p => p.Size);

    /// <summary>No leaf of this type weakens a policy, approved or not (<see cref="LeafType.InForce"/> does): one that does is of whoever has the log's key.</summary>
    void Set(ulong ordinal, Leaf leaf)
    {
        if (TryRead<PolicyObject>(leaf.Payload, PolicyObject.TryParse, out var policy) == 0)
        {
            _lostPolicies.Add(LostPolicy.Of(ordinal, leaf));
            return;
        }
        var (source, retention) = (policy!.Source, policy.Retention);
        if (retention.IsWeakerThan(ReadableFor(source)))
        {
            if (MayAccuse) // else people may have approved of one that was weaker still
                Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.PolicyWeaker, []));
            return;
        }
        // What cannot be read stays in force beside it where it may keep longer, or have the larger quota.
        var takesTheirPlace = LostPoliciesFor(source).All(l => l.IsCoveredBy(retention));
        _policies[source] = retention;
        if (takesTheirPlace)
            _policySet[source] = ordinal;
        Lapse();
    }

    void Commit(ulong ordinal, Leaf leaf)
    {
        if (_byName.ContainsKey(leaf.Payload) || _byId.ContainsKey(leaf.Subject))
        {
            Refused.Add(new RefusedLeaf(ordinal, leaf, LeafFault.SecondCommit, [])); // the first counts: nothing that came later changes it
            return;
        }
        var size = TryRead<SnapshotObject>(leaf.Payload, SnapshotObject.TryParse, out var parsed); // where it is missing, the others are not held up
        var parent = parsed is { Packs.IsWhole: false } ? Find(parsed.Parent) : null;
        var differences = parsed is { Packs.IsWhole: false } ? (parent?.Differences ?? 0) + 1 : 0;
        var record = new SnapshotRecord
        {
            Ordinal = ordinal,
            Snapshot = leaf.Subject,
            Name = leaf.Payload,
            Agent = leaf.Actor,
            Committed = leaf.VaultTime,
            Expiry = Math.Min(leaf.A, LockRules.LastEnd),
            Promised = Math.Min(leaf.A, LockRules.LastEnd) - Math.Min(Math.Min(leaf.A, LockRules.LastEnd), leaf.VaultTime),
            PackCount = leaf.C,
            Added = (long)Math.Min(leaf.B, long.MaxValue / 1_000_000),
            Object = parsed?.Head,
            BuildsOn = differences <= MaxDifferences ? parent : null,
            Differences = differences,
            ObjectSize = size,
            Signer = Agent(leaf.Actor),
            LostSigner = LostAgent(leaf.Actor),
        };
        Snapshots.Add(record);
        _byName[record.Name] = record;
        if (record.BuildsOn is not null)
            (System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_builtOn, record.BuildsOn, out _) ??= []).Add(record);
        _byId[record.Snapshot] = record;
    }

    /// <summary>What found nothing clears what found something only where it looked at everything: a later sample may have missed it.</summary>
    void Attest(SnapshotRecord record, ulong ordinal, Leaf leaf)
    {
        var depth = (AttestationDepth)leaf.A;
        var isFull = depth is AttestationDepth.Full or AttestationDepth.FullAndPacks;
        var isOfCleanRoom = depth is AttestationDepth.SampleAndPacks or AttestationDepth.FullAndPacks;
        if (isOfCleanRoom)
            CleanRoom = (leaf.Actor, leaf.VaultTime);
        if (leaf.C > 0)
        {
            record.DefectsSince = record.Defects > 0 ? record.DefectsSince : leaf.VaultTime;
            (record.Defects, record.DefectsFound, record.Attested, record.FullyAttested, record.Opened) = (leaf.C, leaf.VaultTime, 0, 0, 0);
            TryRead<AttestationObject>(leaf.Payload, AttestationObject.TryParse, out var found);
            record.DefectsIn = (ordinal, found?.Snapshot == record.Snapshot ? found with { LateDigests = [] } : null);
            record.ExpiryThen = record.Expiry;
            foreach (var (kind, name) in record.DefectsIn.Object?.Defects ?? [])
            {
                if (kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged)
                    Lost.TryAdd(name, ordinal);
                if (kind == AttestationDefect.PackDamaged)
                    FoundDamaged[name] = leaf.VaultTime;
            }
            return;
        }
        if (isFull && Lost.Count > 0 && PacksOf(record) is { } set)
        {
            foreach (var name in Lost.Keys.Where(set.Contains).ToList())
            {
                Lost.Remove(name);
                FoundDamaged.Remove(name);
            }
        }
        if (isFull)
            (record.Defects, record.DefectsFound, record.Attested, record.FullyAttested) = (0, 0, leaf.VaultTime, leaf.VaultTime);
        else if (record.Defects == 0)
            record.Attested = leaf.VaultTime;
        if (record.Defects == 0 && isOfCleanRoom)
            record.Opened = leaf.VaultTime;
    }

    /// <summary>Epochs follow each other; after a lost leaf, a keyring that can be read says itself of which it is.</summary>
    bool IsNextEpoch(Leaf leaf) => leaf.A > KeyEpoch && (TryRead<Keys.Keyring>(leaf.Payload, Keys.Keyring.TryParse, out var keyring) > 0
        ? keyring!.Epoch == leaf.A
        : leaf.A == KeyEpoch + 1);

    delegate bool Parser<T>(ReadOnlySpan<byte> bytes, out T? value);

    /// <summary>Reads an object. One that is missing or damaged is shown as what it is, and nothing else stops.</summary>
    /// <returns>Its bytes; 0 where it cannot be read.</returns>
    int TryRead<T>(Hash32 name, Parser<T> parse, out T? value) where T : class
    {
        value = null;
        if (_failed.Contains((typeof(T), name)))
            return 0;
        try
        {
            var bytes = _read(name);
            if (parse(bytes, out value))
            {
                if (typeof(T) != typeof(SnapshotObject))
                    _readable.Add(name);
                _unreadable.Remove(name);
                return bytes.Length;
            }
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged)
        {
            // Told by Unreadable.
        }
        _failed.Add((typeof(T), name));
        if (!_readable.Contains(name) && _byName.GetValueOrDefault(name) is not { Object: not null }) // it is sound as something else, and this leaf names it for what it is not
            _unreadable.Add(name);
        return 0;
    }
}

/// <summary>A key cut for an unattended job: what its thief could read.</summary>
/// <param name="Key">Key id.</param>
/// <param name="Class">What it opens.</param>
/// <param name="Expiry">When it should be replaced, seconds since 1970; 0 for never.</param>
/// <param name="Packs">Packs it opened when it was cut.</param>
/// <param name="Cut">Vault time when it was cut.</param>
public sealed record ScopedKeyRecord(Id16 Key, KeyClass Class, ulong Expiry, ulong Packs, ulong Cut)
{
    /// <summary>What <see cref="Packs"/> says of a key for a whole domain: all of its class, those of later backups too, until the next rotation.</summary>
    public const ulong AllPacks = ulong.MaxValue;
}

/// <summary>Why a leaf is not believed.</summary>
public enum LeafFault
{
    /// <summary>It gives up what was locked.</summary>
    ExpiryOfLocked,

    /// <summary>It is an expiry by a time that has not come yet.</summary>
    ExpiryInFuture,

    /// <summary>It gives up what a later commit or extension holds. Its time had come by the clock that wrote it: that was ahead, or it was made up.</summary>
    ExpiryOvertaken,

    /// <summary>It commits a snapshot, or an object, that was committed before.</summary>
    SecondCommit,

    /// <summary>It begins a key epoch that does not follow, or that its keyring is not of.</summary>
    EpochWrong,

    /// <summary>It keeps less long than the policy in force.</summary>
    PolicyWeaker,

    /// <summary>An earlier leaf names its object.</summary>
    Repeated,

    /// <summary>It says that something was approved, or does what has to be, and those who may approve did not.</summary>
    NotApproved,
}

/// <summary>A leaf that no sound keeper writes. Whoever wrote it has the log's key, and should not.</summary>
/// <param name="Ordinal">Its index.</param>
/// <param name="Leaf">What it says.</param>
/// <param name="Fault">What is wrong with it.</param>
/// <param name="Names">What it gives up that was locked.</param>
public sealed record RefusedLeaf(ulong Ordinal, Leaf Leaf, LeafFault Fault, IReadOnlyList<Hash32> Names);
