using Holdfast.Core.Retention;

namespace Holdfast.Core.Keeper;

/// <summary>A policy that was set, and whose object cannot be read: of which source it is, nobody can tell.</summary>
/// <param name="Ordinal">Index of its leaf.</param>
/// <param name="Name">The object.</param>
/// <param name="Told">What the leaf says that it set, quotas rounded up; null where the leaf says nothing, as those of earlier versions.</param>
public sealed record LostPolicy(ulong Ordinal, Hash32 Name, RetentionPolicy? Told)
{
    const ulong Unit = 1 << 20; // bytes: quotas in a leaf

    public static LostPolicy Of(ulong ordinal, Leaf leaf) => new(ordinal, leaf.Payload, Read(leaf.A, leaf.B, leaf.C));

    static RetentionPolicy? Read(ulong a, ulong b, ulong c) => a == 0 ? null : new RetentionPolicy(
        Math.Min(a, LockRules.LastEnd), Math.Min((ushort)b, RetentionPolicy.MaxWeeks), Math.Min((ushort)(b >> 16), RetentionPolicy.MaxMonths), Math.Min((ushort)(b >> 32), RetentionPolicy.MaxYears),
        Unit * (uint)c, Unit * (c >> 32));

    /// <summary>What its leaf says is in no number more than another policy: the other may take its place.</summary>
    public bool IsCoveredBy(RetentionPolicy other)
    {
        var (a, b, c) = Tell(other);
        return Told is { } told && Read(a, b, c) is { } same && !same.IsWeakerThan(told); // quotas rounded alike
    }

    /// <summary>What a leaf says of the policy it sets (docs/format.md, section 11.3), so that a lost object shortens nothing.</summary>
    public static (ulong A, ulong B, ulong C) Tell(RetentionPolicy policy) =>
        (policy.Base, policy.Weeks | (ulong)policy.Months << 16 | (ulong)policy.Years << 32, Units(policy.DailyQuota) | Units(policy.LockedQuota) << 32);

    /// <summary>0, no quota, where there are more than 32 bits hold.</summary>
    static ulong Units(ulong bytes) => bytes / Unit + (bytes % Unit > 0 ? 1UL : 0) is var units and <= uint.MaxValue ? units : 0;
}
