using System.Globalization;
using System.Text;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <param name="Names">What is given up.</param>
/// <param name="Bytes">How much that frees.</param>
/// <param name="Time">By which it was judged: where the sources of time disagree, nothing is given up that one of them still protects.</param>
/// <param name="IsBlocked">True where a snapshot that stays cannot say what it needs: then nothing at all is given up.</param>
public sealed record ExpiryResult(IReadOnlyList<(StoreKind Kind, Hash32 Name)> Names, long Bytes, VaultTime Time, bool IsBlocked)
{
    /// <summary>Files that were given up and are not removed: immutable, with no guard to clear the flag, on a disk that refuses, or another process kept the vault's lock.</summary>
    public int Stuck { get; init; }

    /// <summary>Snapshots that were to stay though no lock holds them, and of which something would have been given up.</summary>
    public IReadOnlyList<SnapshotRecord> Held { get; init; } = [];

    /// <summary>What first kept files from being removed, where it was no such file.</summary>
    public HoldfastException? Fault { get; init; }
}

/// <summary>Decides what no lock holds any more. Positive evidence is needed: every source of time is past the lock's end and a margin of 14 days.</summary>
sealed class Expiry(Projection projection, IStore store, IRemover? remover, VaultClock clock, VaultTime time, bool isPartAway, string unclaimedPath, Disk disk)
{
    readonly HashSet<(StoreKind Kind, Hash32 Name)> _names = [];

    /// <summary>What has passed by every source of time, in seconds since 1970, when this began: all is judged by one moment, whatever the clocks do meanwhile.</summary>
    public ulong Judged { get; } = time.Certain;

    /// <param name="note">Remembers which packs no commit names, and since when; not for a dry run, which holds no lock.</param>
    /// <param name="held">Snapshots that stay though their locks may be over.</param>
    public ExpiryResult Plan(bool note, IReadOnlyCollection<Id16> held)
    {
        _names.Clear();
        var bytes = 0L;
        var stays = held.Select(projection.Find).OfType<SnapshotRecord>().Where(s => !s.IsRemoved && IsOver(s.Expiry)).ToList();
        var untold = stays.FindAll(projection.IsUntold);
        if (IsBlocked() || (untold.Count > 0 && isPartAway)) // what they need may be known again when the disk is back
            return new ExpiryResult([], 0, time, IsBlocked: true);
        var needs = stays.Except(untold).ToDictionary(s => s, Needs);
        HashSet<(StoreKind, Hash32)> kept = [.. needs.Values.SelectMany(n => n)], wouldGo = [];
        var unclaimed = UnclaimedNote.Read(unclaimedPath);
        var seen = new Dictionary<Hash32, ulong>();
        var named = projection.NamedPacks().Packs;
        foreach (var pack in store.List(StoreKind.Pack))
        {
            if (pack.Name.IsNone)
                continue; // not ours
            if (named.TryGetValue(pack.Name, out var locked))
            {
                if (IsOver(locked.LockEnd) && !projection.WasRemoved(StoreKind.Pack, pack.Name))
                    Give(pack);
                continue;
            }
            if (projection.WasRemoved(StoreKind.Pack, pack.Name))
                continue; // given up already
            // No commit names it: of a session that is still writing, or that never came to its end.
            var first = unclaimed.TryGetValue(pack.Name, out var known) ? known : clock.Now;
            seen[pack.Name] = first;
            if (IsOver(first + LockRules.SessionLife) && untold.Count == 0) // else one of them may need it
                Give(pack);
        }
        var objects = projection.ObjectLocks();
        foreach (var (name, until) in projection.ErasureWords())
            objects.TryAdd(name, until); // no leaf names these: they may go, and the entries they belong to count on
        foreach (var item in store.List(StoreKind.Object))
        {
            if (!item.Name.IsNone && objects.TryGetValue(item.Name, out var end) && IsOver(end) && !projection.WasRemoved(StoreKind.Object, item.Name) && !projection.Objects.Contains(item.Name))
                Give(item);
        }
        if (note)
            WriteUnclaimed(seen);
        return new ExpiryResult([.. _names], bytes, time, IsBlocked: false) { Held = [.. needs.Where(n => n.Value.Overlaps(wouldGo)).Select(n => n.Key).OrderBy(s => s.Ordinal)] };

        void Give(StoredName item)
        {
            if (kept.Contains((item.Kind, item.Name)))
            {
                wouldGo.Add((item.Kind, item.Name));
                return;
            }
            bytes += Math.Min(item.Size, StoreExtensions.MaxObject); // a longer file is none of ours
            _names.Add((item.Kind, item.Name));
        }
    }

    /// <summary>A snapshot's packs, its object, and those that its pack set builds on.</summary>
    HashSet<(StoreKind, Hash32)> Needs(SnapshotRecord record)
    {
        HashSet<(StoreKind, Hash32)> needed = [.. (projection.PacksOf(record)?.ToList() ?? []).Select(p => (StoreKind.Pack, p.Name))];
        for (var at = record; at is not null; at = at.BuildsOn)
            needed.Add((StoreKind.Object, at.Name));
        return needed;
    }

    /// <summary>Files that are there of what the log has given up: of this run, and what an interrupted one left.</summary>
    public List<StoredName> GivenUp() => [.. new[] { StoreKind.Pack, StoreKind.Object }.SelectMany(store.List).Where(IsGivenUp)];

    /// <summary>Removes those that are still given up. What a leaf names that was locked then stays, whoever signed it, and so does what it gives up by a time that has not come.</summary>
    /// <param name="items">Of <see cref="GivenUp"/>, which may have been a while ago: between some and the next others take the vault's lock.</param>
    /// <returns>How many of these files are still there.</returns>
    public int Remove(IEnumerable<StoredName> items)
    {
        var stuck = 0;
        foreach (var item in items.Where(IsGivenUp).DistinctBy(i => (i.Kind, i.Name)))
            stuck += remover?.Remove(item.Kind, item.Name) ?? 1;
        return stuck;
    }

    bool IsGivenUp(StoredName item) => projection.WasRemoved(item.Kind, item.Name) && HasCome(projection.RemovedAt(item.Kind, item.Name));

    /// <summary>A snapshot that cannot say what it needs may need anything. Ends of pack locks are rounded up by less than the quantum.</summary>
    public bool IsBlocked()
    {
        var quantum = LockRules.Quantum(projection.Genesis!.Policy.Base);
        return projection.IsTimeUntold || clock.IsBeyond(projection.Lengthened) || projection.Snapshots.Exists(s => !IsOver(Math.Min(s.Expiry + quantum, LockRules.LastEnd)) && projection.IsUntold(s));
    }

    /// <summary>A leaf may be ahead of its time, and the vault's clock with it: what tells is the time that has passed by every source, to a day.</summary>
    bool HasCome(ulong judged) => Judged + RetentionPolicy.Day > judged;

    bool IsOver(ulong end) => Judged > end + LockRules.Margin;

    void WriteUnclaimed(Dictionary<Hash32, ulong> seen)
    {
        var text = new StringBuilder();
        foreach (var (name, first) in seen)
            text.Append(CultureInfo.InvariantCulture, $"{name} {first}\n");
        try
        {
            disk.Replace(unclaimedPath, Encoding.ASCII.GetBytes(text.ToString()));
        }
        catch (HoldfastException)
        {
            // Then they count as seen for the first time next time: later, never sooner.
        }
    }
}
