namespace Holdfast.Core.Keeper;

/// <summary>What was asked for and refused: counted by the hour, then told by the log.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Requests that were refused: those the log tells of, and those of this hour.</summary>
    public ulong Refusals => _projection.Refusals + _refusals.Read().Where(r => !_projection.Tells(r.Key)).Aggregate(0UL, (sum, r) => sum + r.Value);

    /// <summary>Those of them that were backups over their quota.</summary>
    public ulong OverQuota => _projection.OverQuota + _refusals.Read().Where(r => r.Key.Request == RefusedRequest.Quota && !_projection.Tells(r.Key)).Aggregate(0UL, (sum, r) => sum + r.Value);

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

    void Count(RefusedRequest request, Id16 identity) => _refusals.Add(new RefusalKey(identity, request, Clock.Now / RefusalKey.Length * RefusalKey.Length));

    /// <summary>Puts the counts of hours that are over into the log. Should it end between leaf and note, the next time finds the leaf.</summary>
    void TellRefusals()
    {
        var counts = _refusals.Read();
        var over = counts.Keys.Where(k => k.IsOver(Clock.Now)).ToList();
        if (over.Count == 0)
            return;
        foreach (var key in over)
        {
            counts.Remove(key, out var count);
            if (!_projection.Tells(key))
                Append(new Leaf(LeafType.Refusals, Clock.Now, key.Identity, Id16.None, (ulong)key.Request, key.Hour, count, Hash32.None));
        }
        _refusals.Write(counts);
    }
}
