namespace Holdfast.Core.Retention;

/// <summary>The long places of a source: its weeks, months and years (docs/format.md, section 12.2). A place stays open until a snapshot in it has been
/// attested that is not far smaller than what comes now, so that junk early in the month cannot take the month's place, nor junk early in the day the day's.</summary>
public static class Places
{
    public enum Kind
    {
        Week,
        Month,
        Year,
    }

    /// <summary>A number that is the same for two moments in one week (Monday 00:00 UTC), month or year.</summary>
    public static ulong Period(Kind kind, ulong time)
    {
        if (kind == Kind.Week)
            return (time / RetentionPolicy.Day + 3) / 7; // 1970-01-01 was a Thursday
        var date = DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(time, LockRules.LastEnd));
        return kind == Kind.Month ? (ulong)(date.Year * 12 + date.Month - 1) : (ulong)date.Year;
    }

    /// <summary>Seconds a place of a kind is kept under a policy; 0 where it has none.</summary>
    public static ulong Length(Kind kind, RetentionPolicy policy) => RetentionPolicy.Day * kind switch
    {
        Kind.Week => policy.Weeks * 7UL,
        Kind.Month => policy.Months * 31UL,
        _ => policy.Years * 366UL,
    };

    /// <summary>The expiry of a commit now.</summary>
    /// <param name="now">Vault time.</param>
    /// <param name="policy">In force for the source.</param>
    /// <param name="earlier">The source's committed snapshots, in the order of their commits.</param>
    public static ulong Expiry(ulong now, RetentionPolicy policy, IEnumerable<PlaceHolder> earlier)
    {
        var keep = policy.Base;
        var list = earlier.ToList();
        foreach (var kind in Enum.GetValues<Kind>())
        {
            var length = Length(kind, policy);
            if (length <= keep)
                continue;
            var period = Period(kind, now);
            var holders = list.Where(h => h.Kept >= length && Period(kind, h.Committed) == period).ToList();
            // One that got its place only because a smaller one had it that day closes none: so nothing that would get a place without that rule goes without.
            var closed = holders.DistinctBy(h => h.Committed / RetentionPolicy.Day).Any(h => h is { IsAttested: true, IsLarge: true });
            var takenToday = holders.Exists(h => h.IsLarge && h.Committed / RetentionPolicy.Day == now / RetentionPolicy.Day);
            if (!closed && !takenToday)
                keep = length;
        }
        return Math.Min(now + keep, LockRules.LastEnd);
    }
}

/// <param name="Committed">Vault time of the commit.</param>
/// <param name="Kept">Seconds from commit to expiry.</param>
/// <param name="IsAttested">True where its contents were re-opened and found right.</param>
/// <param name="IsLarge">True where its packs hold at least half of what the commit at hand needs; looked at only of those that were attested, or committed today.</param>
public readonly record struct PlaceHolder(ulong Committed, ulong Kept, bool IsAttested, bool IsLarge);
