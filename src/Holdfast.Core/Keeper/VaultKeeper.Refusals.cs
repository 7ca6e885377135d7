namespace Holdfast.Core.Keeper;

/// <summary>What was asked for and refused: counted by the hour, then told by the log.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Requests that were refused: those the log tells of, and those of this hour.</summary>
    public ulong Refusals => WithUntold(_projection.Refusals, _ => true);

    /// <summary>Those of them that were backups over their quota.</summary>
    public ulong OverQuota => WithUntold(_projection.OverQuota, r => r.Request == RefusedRequest.Quota);

    ulong WithUntold(ulong told, Predicate<RefusalKey> isMeant) => _refusals.Read().Where(r => isMeant(r.Key) && !_projection.Tells(r.Key)).Aggregate(told, (sum, r) => RefusalTally.Sum(sum, r.Value));

    /// <summary>Only ids that the log enrolled: others can be made up without end.</summary>
    Id16 Known(Id16 agent) => _projection.Agent(agent) is null ? Id16.None : agent;

    /// <summary>Counts a refusal of what is looked at.</summary>
    T Counting<T>(RefusedRequest request, Id16 identity, Func<T> look)
    {
        try
        {
            return look();
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.CommitRefused or ErrorCode.QuotaExceeded)
        {
            Count(request, identity);
            throw;
        }
    }

    /// <summary>Counts requests of a client's that it may not make.</summary>
    /// <param name="identity">What the log calls it.</param>
    /// <param name="count">How many.</param>
    internal void CountRefused(Id16 identity, ulong count) => Changing(() =>
    {
        _refusals.Add(new RefusalKey(identity, RefusedRequest.Forbidden, Clock.Now / RefusalKey.Length * RefusalKey.Length), count);
        return true;
    });

    void Count(RefusedRequest request, Id16 identity) => _refusals.Add(new RefusalKey(identity, request, Clock.Now / RefusalKey.Length * RefusalKey.Length));

    /// <summary>Puts the counts of hours that are over into the log. Should it end between leaf and note, the next time finds the leaf.</summary>
    void TellRefusals()
    {
        var counts = _refusals.Read();
        var over = counts.Keys.Where(k => k.IsOver(Clock.Now)).ToList();
        if (over.Count == 0)
            return;
        var leaves = over.Where(k => !_projection.Tells(k)).Select(k => new Leaf(LeafType.Refusals, Clock.Now, k.Identity, Id16.None, (ulong)k.Request, k.Hour, counts[k], Hash32.None)).ToList();
        if (leaves.Count > 0)
            Append(leaves);
        foreach (var key in over)
            counts.Remove(key);
        _refusals.Write(counts);
    }
}
