namespace Holdfast.Core.Keeper;

/// <summary>What holds the packs outside its own set that a snapshot was read from: a snapshot that has them in its set and is locked as long. Then nothing may remove them sooner, and their loss is told.</summary>
public static class Holding
{
    /// <summary>Whether what is in the set of another is there for as long as this snapshot is.</summary>
    public static bool IsHeldBy(SnapshotRecord record, SnapshotRecord other) => other != record && !other.IsRemoved && other.Expiry >= record.Expiry;

    /// <summary>Of these packs, those that no other snapshot holds for as long, and those that were lost before and that no attestation has seen since: their next loss could not be told from that one.</summary>
    public static HashSet<Hash32> NotHeld(Projection state, SnapshotRecord record, IEnumerable<Hash32> packs)
    {
        var open = packs.ToHashSet();
        var lost = open.Where(state.Lost.ContainsKey).ToList();
        foreach (var other in state.Having(open).Where(s => IsHeldBy(record, s)).OrderByDescending(s => s.Expiry))
        {
            if (open.Count == 0)
                break;
            if (state.PacksOf(other) is { } set)
                open.RemoveWhere(set.Contains);
        }
        open.UnionWith(lost);
        return open;
    }

    /// <summary>For packs that are not held: the snapshots that would hold them if they were locked as long, those that have to be attested first, and how many packs no snapshot has.</summary>
    public static (List<SnapshotRecord> Lock, List<SnapshotRecord> Attest, int Loose) Missing(Projection state, SnapshotRecord record, IEnumerable<Hash32> packs)
    {
        HashSet<SnapshotRecord> toLock = [], toAttest = [];
        var loose = 0;
        foreach (var pack in packs)
        {
            var best = state.Having([pack]).Where(s => s != record && !s.IsRemoved).MaxBy(s => s.Expiry);
            if (best is null)
                loose++;
            else if (!IsHeldBy(record, best))
                toLock.Add(best);
            if (best is not null && state.Lost.ContainsKey(pack))
                toAttest.Add(best);
        }
        return ([.. toLock.OrderBy(s => s.Ordinal)], [.. toAttest.OrderBy(s => s.Ordinal)], loose);
    }

    /// <summary>What was read from others at an attestation is held for as long as this snapshot now is: which of them it was is not written down, so all that may have been it must be locked as long.</summary>
    public static bool IsHeldStill(Projection state, SnapshotRecord record)
    {
        var earlier = state.Snapshots.Where(s => s.Ordinal < record.DefectsIn.Ordinal && s != record && !s.IsRemoved && s.Expiry >= record.ExpiryThen).ToList();
        return earlier.Count > 0 && earlier.TrueForAll(s => IsHeldBy(record, s));
    }
}
