using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Judges a snapshot that is to be committed, by the log, the packs that are there, and the clock. Changes nothing.</summary>
sealed class CommitJudge(Id16 vault, Projection state, IStore store, VaultClock clock)
{
    public const int MaxDifferences = 63; // snapshots in a row that may tell their pack set as a difference: readers follow no longer row
    const ulong MaxYouth = 28 * RetentionPolicy.Day;

    /// <summary>Whether it is of an enrolled agent, and all it builds on and needs is there.</summary>
    /// <param name="snapshot">What is to be committed.</param>
    /// <param name="bytes">Its encoding.</param>
    /// <returns>Its pack set.</returns>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>, <c>PackMissing</c>.</exception>
    public PackSet Check(SnapshotObject snapshot, ReadOnlySpan<byte> bytes)
    {
        if (!SnapshotObject.TryParse(bytes, out _))
            throw Refused("no reader would take it: something of it is beyond a limit of the format");
        if (snapshot.Vault != vault || !state.Genesis!.Domains.Contains(snapshot.Domain))
            throw Refused("it is of another vault or trust domain");
        if (state.LostAgent(snapshot.Agent) is { IsNone: false } lost)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"The enrolment of the agent that sends the snapshot, object {lost}, is missing or damaged: whether it signed it cannot be told. It was not committed.",
                "Bring that object back from another copy of the vault. Where there is none, enrol an agent anew (`holdfast key issue --out FOLDER`, with the opening key) and back up with its keys; what was stored is used.");
        if (state.Agent(snapshot.Agent) is not { } agent)
            throw NotEnrolled(snapshot.Agent);
        if (!snapshot.IsSignedBy(snapshot.Agent, agent.PublicKey))
            throw Refused("its agent did not sign it");
        SnapshotRecord? parent = null;
        if (!snapshot.Parent.IsNone)
        {
            parent = state.Find(snapshot.Parent);
            if (parent is { IsRemoved: true, Object: null })
                throw Expired();
            if (parent?.Object is null || parent.Source != snapshot.Source || parent.Object.ContentRoot != snapshot.ParentContentRoot)
                throw Refused("its parent is not a snapshot of the same source in this vault");
        }
        if (!snapshot.Packs.IsWhole && parent is null)
            throw Refused("its pack set is told as a difference to nothing");
        if (!snapshot.Packs.IsWhole && parent!.Differences >= MaxDifferences)
            throw Refused("its pack set is told as a difference, as those of too many before it in a row");
        var before = parent is null ? PackSet.Empty : state.PacksOf(parent);
        if (!snapshot.Packs.IsWhole && (before is null || state.IsUntold(parent!)))
            throw Refused("its pack set is told as a difference to one that cannot be told");
        if (!snapshot.Packs.IsWhole && !CanBuildOn(state, store, parent!))
            throw Expired();
        var set = (before ?? PackSet.Empty).Apply(snapshot.Packs) ?? throw Refused("its pack set does not add up");
        // Packs of a parent whose lock is far from its end are held by it; all others are looked at. Sizes are believed by whoever reads the log: each is the one that the log has, or the file's.
        var held = parent is not null && !parent.IsRemoved && parent.Expiry > clock.LockFrom ? state.PacksOf(parent) ?? PackSet.Empty : PackSet.Empty;
        List<(PackRef Pack, long? Known)> lookedFor = [];
        foreach (var pack in set.Packs)
        {
            var known = state.SizeOf(pack.Name);
            if (held.Contains(pack.Name))
            {
                if (known != pack.Size)
                    throw Refused("it gives a pack another size than the snapshot that named it first");
                continue;
            }
            if (state.WasRemoved(StoreKind.Pack, pack.Name))
                throw new HoldfastException(ErrorCode.PackMissing, $"Pack {pack.Name}, which the snapshot needs, has expired meanwhile: its lock was over while the backup ran. It was not committed.",
                    "Run the backup again: it stores anew what has expired.")
                { IsTransient = true };
            lookedFor.Add((pack, known));
        }
        // An object store takes its time to answer, and many of the first backup's packs are asked for.
        Workers.Each(store is ILockingStore ? MediumLocks.AtOnce : 1, "holdfast commit", lookedFor, p => LookFor(p.Pack, p.Known));
        return set;
    }

    /// <summary>By several threads at once: what the log says of it was asked before.</summary>
    void LookFor(PackRef pack, long? known)
    {
        using var item = Open(pack);
        if (item is null || known is not null && known != pack.Size || known is null && !PackTrailer.IsLegalSize(item.Size)) // what is committed with a size that no pack has is told as damaged for ever
            throw new HoldfastException(ErrorCode.PackMissing, $"Pack {pack.Name}, which the snapshot needs, is not in the vault as it was named.",
                "Run the backup again: it finds what is missing and stores it anew.")
            { IsTransient = true };
        if (state.BadWriters.Count > 0 && WriterOf(item) is { } writer && state.BadWriters.ContainsKey(writer))
            throw Refused("it needs a pack of a writer that is not believed any more");
    }

    /// <summary>Whether a pack set may be told as a difference to a snapshot's: its own can be told, and all objects that tell it are there, and will be.</summary>
    public static bool CanBuildOn(Projection state, IStore store, SnapshotRecord parent) =>
        !state.IsUntold(parent) && parent.ToldBy().All(n => !state.WasRemoved(StoreKind.Object, n) && store.Exists(StoreKind.Object, n));

    /// <summary>A copy of a pack that has its size; null where there is none.</summary>
    IStoredItem? Open(PackRef pack)
    {
        for (var copy = 0; copy < StoreExtensions.MaxCopies && store.Open(StoreKind.Pack, pack.Name, copy) is { } item; copy++)
        {
            if (item.Size == pack.Size)
                return item;
            item.Dispose();
        }
        return null;
    }

    static (Id16, uint)? WriterOf(IStoredItem item)
    {
        var header = new byte[PackFormat.HeaderSize];
        item.Read(0, header);
        return PackHeader.TryParse(header, out var parsed) ? (parsed!.Writer, parsed.WriterEpoch) : null;
    }

    /// <summary>Bytes of the packs that its parent does not need.</summary>
    public long NewBytes(SnapshotObject snapshot, PackSet set)
    {
        var parent = state.Find(snapshot.Parent) is { } record ? state.PacksOf(record) : null;
        return set.ToList().Where(p => parent is null || !parent.Contains(p.Name)).Sum(p => p.Size);
    }

    /// <summary>Whether its source, and the young sources of its agent together, keep within their quotas (docs/format.md, section 12.4).</summary>
    /// <param name="snapshot">What is to be committed.</param>
    /// <param name="policy">In force for its source.</param>
    /// <param name="fresh">Bytes that the commit brings.</param>
    /// <exception cref="HoldfastException"><c>QuotaExceeded</c>.</exception>
    public void CheckQuotas(SnapshotObject snapshot, RetentionPolicy policy, long fresh)
    {
        if (policy.DailyQuota == 0 && policy.LockedQuota == 0)
            return;
        var source = snapshot.Source;
        var earlier = CountedWith(snapshot, policy);
        var day = clock.Now - Math.Min(clock.Now, RetentionPolicy.Day);
        if (policy.DailyQuota > 0 && (ulong)(earlier.Where(s => s.Committed >= day).Sum(s => s.Added + s.ObjectSize) + fresh) is var added && added > policy.DailyQuota)
            throw Quota($"with it {ByteCount.Words(added)} would be added in a day, and its quota allows {ByteCount.Words(policy.DailyQuota)}", source);
        if (policy.LockedQuota > 0)
        {
            var locked = earlier.Where(s => !s.IsRemoved && s.Expiry > clock.Now).ToHashSet();
            if ((ulong)(state.BytesOf(locked) + locked.Sum(s => s.ObjectSize) + fresh) is var held && held > policy.LockedQuota)
                throw Quota($"with it {ByteCount.Words(held)} would be locked, and its quota allows {ByteCount.Words(policy.LockedQuota)}", source);
        }
    }

    /// <summary>Snapshots that share the quotas of one to be committed. Names of sources can be made up without end: those that an agent has not used for long have one quota together.</summary>
    List<SnapshotRecord> CountedWith(SnapshotObject snapshot, RetentionPolicy policy)
    {
        var first = new Dictionary<Id16, SnapshotRecord>();
        foreach (var record in state.Snapshots)
            first.TryAdd(record.Source, record); // in the order of the log
        var youth = Math.Min(MaxYouth, policy.Base / 2); // a source whose old snapshots have expired stays known for longer than that
        var isYoung = IsYoung(snapshot.Source);
        return [.. state.Snapshots.Where(s => s.Source == snapshot.Source || isYoung && IsYoung(s.Source) && first[s.Source].Agent == snapshot.Agent)];

        bool IsYoung(Id16 source) => !first.TryGetValue(source, out var record) || record.Committed + youth > clock.Now;
    }

    static HoldfastException Expired() => new(ErrorCode.ObjectMissing, "The snapshot follows one that has expired meanwhile, or whose object is missing. It was not committed.",
        "Run the backup again: it finds what it stored, and tells all packs that it needs.")
    { IsTransient = true };

    static HoldfastException Quota(string what, Id16 source) => new(ErrorCode.QuotaExceeded, $"The snapshot of source {source} was not committed: {what}.",
        "Find out why the source grew (an attack that rewrites files looks like this). Sources that this agent began to back up lately share one quota. Where it is right, wait until its day is over or older snapshots have expired, or give it a larger quota (holdfast policy set); what it stored is used.");

    /// <summary>Most often nobody's fault: the log that is here ends before the keys were issued.</summary>
    static HoldfastException NotEnrolled(Id16 agent) => new(ErrorCode.CommitRefused, $"The keeper refused the snapshot: its agent {agent} is not enrolled in the log that is here.",
        "Does backing up go on with an older copy of the vault, and were these keys issued later than that copy? Then its log does not know them, and new ones are needed: `holdfast key issue --vault FOLDER --out NEW-FOLDER`, with this vault's folder and the opening key; back up with the keys in NEW-FOLDER, and what was stored is used. "
        + "Otherwise look whether agent.key is of this vault (holdfast status shows its id). Only where neither explains it, treat the host that sent it as suspect.");

    static HoldfastException Refused(string why) => new(ErrorCode.CommitRefused, $"The keeper refused the snapshot: {why}.",
        "Check that the keys used belong to this vault (holdfast status shows its id) and run the backup again. If it goes on, treat the host that sent it as suspect.");
}
