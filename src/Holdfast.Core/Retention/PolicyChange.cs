namespace Holdfast.Core.Retention;

/// <summary>What of a policy is to change; all else stays as it is in force when the change is made.</summary>
/// <param name="Base">Seconds every snapshot is locked; null: as it is.</param>
/// <param name="Weeks">Weeks that a week's snapshot is kept; null: as it is.</param>
/// <param name="Months">The same of months.</param>
/// <param name="Years">The same of years.</param>
/// <param name="DailyQuota">Bytes of new packs a source may add in a day; 0 for no limit; null: as it is.</param>
/// <param name="LockedQuota">Bytes of packs a source may hold locked; 0 for no limit; null: as it is.</param>
public readonly record struct PolicyChange(ulong? Base = null, uint? Weeks = null, uint? Months = null, uint? Years = null, ulong? DailyQuota = null, ulong? LockedQuota = null)
{
    /// <summary>What it makes of a policy.</summary>
    public RetentionPolicy Of(RetentionPolicy now) =>
        new(Base ?? now.Base, Weeks ?? now.Weeks, Months ?? now.Months, Years ?? now.Years, DailyQuota ?? now.DailyQuota, LockedQuota ?? now.LockedQuota);

    /// <summary>Whatever is in force becomes this.</summary>
    public static PolicyChange To(RetentionPolicy policy) => new(policy.Base, policy.Weeks, policy.Months, policy.Years, policy.DailyQuota, policy.LockedQuota);
}
