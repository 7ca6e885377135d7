using System.Runtime.InteropServices;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>A pack as commits named it.</summary>
/// <param name="LockEnd">Seconds since 1970.</param>
/// <param name="Size">Bytes.</param>
/// <param name="IsNeeded">True where a snapshot that has not been given up has it in its set.</param>
public readonly record struct NamedPack(ulong LockEnd, long Size, bool IsNeeded);

/// <summary>Every pack that a commit named, and the snapshots that cannot say which they need.</summary>
public sealed record NamedPacks(IReadOnlyDictionary<Hash32, NamedPack> Packs, IReadOnlySet<SnapshotRecord> Untold);

/// <summary>Adds up pack sets along each line of snapshots, from one difference to the next: a pack is looked at when it comes and when it goes, not once a snapshot.</summary>
sealed class NamedPackWalk
{
    readonly Dictionary<Hash32, NamedPack> _packs = [];

    /// <param name="snapshots">In the order of their commits.</param>
    /// <param name="packsOf">The set of a snapshot that goes on from an older one than the last of its line.</param>
    /// <param name="quantum">Of lock ends.</param>
    public static NamedPacks Run(IReadOnlyList<SnapshotRecord> snapshots, Func<SnapshotRecord, PackSet?> packsOf, ulong quantum)
    {
        var walk = new NamedPackWalk();
        var lines = new Dictionary<Hash32, Line>(); // by the name of their last snapshot
        var untold = new HashSet<SnapshotRecord>();
        foreach (var record in snapshots)
        {
            if (record.Object is { } snapshot)
            {
                if (lines.Remove(snapshot.Parent, out var line) && walk.Extend(line, record, snapshot.Packs))
                {
                    lines[record.Name] = line;
                    continue;
                }
                if (line is not null)
                    walk.End(line);
                if (packsOf(record) is { } set)
                {
                    lines[record.Name] = Begin(record, set);
                    continue;
                }
            }
            untold.Add(record);
        }
        foreach (var line in lines.Values)
            walk.End(line);
        foreach (var (name, pack) in walk._packs)
            walk._packs[name] = pack with { LockEnd = LockRules.PackEnd(name, pack.LockEnd, quantum) };
        return new NamedPacks(walk._packs, untold);
    }

    static Line Begin(SnapshotRecord record, PackSet set)
    {
        var line = new Line { Records = { record }, Bytes = set.Bytes };
        foreach (var pack in set.Packs)
            line.Since[pack.Name] = (0, pack.Size);
        return line;
    }

    /// <returns>False where the difference does not fit what went before; the line is then as it was.</returns>
    bool Extend(Line line, SnapshotRecord record, PackSetDelta packs)
    {
        var removed = packs.IsWhole ? Left(line, packs.Added) : packs.Removed;
        var added = packs.IsWhole ? [.. packs.Added.Where(p => !line.Since.ContainsKey(p.Name))] : packs.Added;
        var bytes = line.Bytes + added.Sum(p => p.Size) - removed.Sum(n => line.Since.GetValueOrDefault(n).Size);
        if (added.Any(p => line.Since.ContainsKey(p.Name)) || !removed.All(line.Since.ContainsKey) || line.Since.Count + added.Length - removed.Length != packs.Count || bytes != packs.Bytes)
            return false;
        var end = line.Records.Count;
        foreach (var name in removed)
        {
            line.Since.Remove(name, out var pack);
            var (expiry, isNeeded) = (0ul, false);
            for (var at = pack.From; at < end; at++)
                (expiry, isNeeded) = (Math.Max(expiry, line.Records[at].Expiry), isNeeded || !line.Records[at].IsRemoved);
            Take(name, pack.Size, expiry, isNeeded);
        }
        foreach (var pack in added)
            line.Since[pack.Name] = (end, pack.Size);
        line.Records.Add(record);
        line.Bytes = bytes;
        return true;
    }

    static Hash32[] Left(Line line, PackRef[] whole)
    {
        var kept = whole.Select(p => p.Name).ToHashSet();
        return [.. line.Since.Keys.Where(n => !kept.Contains(n))];
    }

    void End(Line line)
    {
        var count = line.Records.Count;
        var (expiries, needed) = (new ulong[count + 1], new bool[count + 1]); // from a snapshot on
        for (var at = count - 1; at >= 0; at--)
            (expiries[at], needed[at]) = (Math.Max(expiries[at + 1], line.Records[at].Expiry), needed[at + 1] || !line.Records[at].IsRemoved);
        foreach (var (name, pack) in line.Since)
            Take(name, pack.Size, expiries[pack.From], needed[pack.From]);
    }

    void Take(Hash32 name, long size, ulong expiry, bool isNeeded)
    {
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_packs, name, out _);
        known = new NamedPack(Math.Max(known.LockEnd, expiry), size, known.IsNeeded || isNeeded);
    }

    /// <summary>Snapshots that each go on from the one before.</summary>
    sealed class Line
    {
        public List<SnapshotRecord> Records { get; } = [];

        /// <summary>Packs of the last one's set: since which of them, and bytes.</summary>
        public Dictionary<Hash32, (int From, long Size)> Since { get; } = [];
        public long Bytes { get; set; }
    }
}
