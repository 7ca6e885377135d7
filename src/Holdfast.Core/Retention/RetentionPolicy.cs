using Holdfast.Core.Codec;

namespace Holdfast.Core.Retention;

/// <summary>How long what is committed from now on is kept. What is locked already stays locked.</summary>
/// <param name="Base">Seconds every snapshot is locked.</param>
/// <param name="Weeks">Weeks that a week's snapshot is kept; 0 for none.</param>
/// <param name="Months">Months of 31 days that a month's snapshot is kept; 0 for none.</param>
/// <param name="Years">Years of 366 days that a year's snapshot is kept; 0 for none.</param>
/// <param name="DailyQuota">Bytes of new packs a source may add in a day; 0 for no limit.</param>
/// <param name="LockedQuota">Bytes of packs a source may hold locked; 0 for no limit.</param>
public readonly record struct RetentionPolicy(ulong Base, uint Weeks, uint Months, uint Years, ulong DailyQuota, ulong LockedQuota)
{
    public const ulong Day = 86_400; // seconds
    public const uint MaxWeeks = 5_300;
    public const uint MaxMonths = 1_200;
    public const uint MaxYears = 100;

    /// <summary>Seconds that the longest lock under it takes.</summary>
    public ulong Longest
    {
        get
        {
            var policy = this;
            return Math.Max(Base, Enum.GetValues<Places.Kind>().Max(k => Places.Length(k, policy)));
        }
    }

    /// <summary>True where anything would be kept less long than under another, or a backup end at a quota sooner: a quota that nobody reaches stops no attack, and one of a byte stops every backup.</summary>
    public bool IsWeakerThan(RetentionPolicy other) => IsShorterThan(other)
        || Quota(DailyQuota) < Quota(other.DailyQuota) || Quota(LockedQuota) < Quota(other.LockedQuota);

    /// <summary>True where anything would be kept less long than under another.</summary>
    public bool IsShorterThan(RetentionPolicy other) => Base < other.Base || Weeks < other.Weeks || Months < other.Months || Years < other.Years;

    /// <summary>What keeps everything as long as either would, and ends a backup at a quota no sooner.</summary>
    public RetentionPolicy Longer(RetentionPolicy other) => new(Math.Max(Base, other.Base), Math.Max(Weeks, other.Weeks), Math.Max(Months, other.Months), Math.Max(Years, other.Years),
        Larger(DailyQuota, other.DailyQuota), Larger(LockedQuota, other.LockedQuota));

    static ulong Larger(ulong one, ulong other) => Quota(one) > Quota(other) ? one : other;

    static ulong Quota(ulong bytes) => bytes == 0 ? ulong.MaxValue : bytes;

    public void Write(ByteWriter writer)
    {
        writer.U64(Base);
        writer.Var(Weeks);
        writer.Var(Months);
        writer.Var(Years);
        writer.U64(DailyQuota);
        writer.U64(LockedQuota);
    }

    /// <summary>A base retention beyond the end of all locks is one up to there: whoever has the log's key can write one that no time can be added to, and it must make no lock shorter.</summary>
    public static RetentionPolicy Read(ref ByteReader reader) =>
        new(Math.Min(reader.U64(), LockRules.LastEnd), (uint)reader.Count((int)MaxWeeks), (uint)reader.Count((int)MaxMonths), (uint)reader.Count((int)MaxYears), reader.U64(), reader.U64());
}
