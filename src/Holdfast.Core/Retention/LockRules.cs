using System.Buffers.Binary;

namespace Holdfast.Core.Retention;

/// <summary>When locks end (docs/format.md, section 12.1). Times are seconds since 1970 UTC, by the vault clock.</summary>
public static class LockRules
{
    /// <summary>No lock ends later: 2106-01-01.</summary>
    public const ulong LastEnd = 4_291_747_200;

    /// <summary>Expiry takes only what was unlocked for this long.</summary>
    public const ulong Margin = 14 * RetentionPolicy.Day;

    /// <summary>What no commit names is left alone for this long and <see cref="Margin"/>: a session that takes longer may have to store data anew.</summary>
    public const ulong SessionLife = 10 * RetentionPolicy.Day;

    /// <summary>A lock longer than this asks for a typed confirmation.</summary>
    public const ulong LongLock = 30 * RetentionPolicy.Day;

    /// <summary>13 months of 31 days: a vault whose locks may be longer says by which law or rule (data protection: no longer than necessary).</summary>
    public const ulong LongestWithoutBasis = 403 * RetentionPolicy.Day;

    const ulong MaxQuantum = 28 * RetentionPolicy.Day;

    /// <summary>Ends of pack locks are rounded up to this, so that extending them is spread over time.</summary>
    public static ulong Quantum(ulong baseRetention) => Math.Clamp(baseRetention / 5, 1, MaxQuantum);

    /// <summary>The end of a pack's lock for a snapshot that expires at <paramref name="expiry"/>: the first moment not before it that is congruent to
    /// the pack's own offset.</summary>
    public static ulong PackEnd(Hash32 pack, ulong expiry, ulong quantum)
    {
        if (expiry >= LastEnd)
            return LastEnd;
        Span<byte> name = stackalloc byte[Hash32.Size];
        pack.CopyTo(name);
        var offset = BinaryPrimitives.ReadUInt64BigEndian(name) % quantum;
        var above = (offset + quantum - expiry % quantum) % quantum;
        return Math.Min(expiry + above, LastEnd);
    }
}
