using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Who says what time it is.</summary>
public enum TimeSourceKind
{
    /// <summary>The machine's calendar: anyone with its password sets it.</summary>
    Wall,

    /// <summary>What the vault's clock has counted for certain.</summary>
    Counted,

    /// <summary>A witness at another site, by its newest cosignature of this log.</summary>
    Witness,

    /// <summary>The object store that the vault lies in.</summary>
    Store,
}

/// <summary>What one source of time says.</summary>
/// <param name="Kind">Which it is.</param>
/// <param name="Name">A witness's; else empty.</param>
/// <param name="Says">Seconds since 1970: so late it is at least. 0 where it has said nothing.</param>
public sealed record TimeSource(TimeSourceKind Kind, string Name, ulong Says)
{
    public bool IsOutside => Kind is TimeSourceKind.Witness or TimeSourceKind.Store;
}

public enum TimeState
{
    /// <summary>All sources agree, to a day.</summary>
    Sure,

    /// <summary>Two of them do not, or the log is ahead of all.</summary>
    Doubted,

    /// <summary>One outside this machine has said nothing for over a day: what ended later than that is not given up until it speaks again.</summary>
    Frozen,

    /// <summary>Of another machine's keeper: what its sources say is known there.</summary>
    Unknown,
}

/// <summary>What all sources of time say at one moment. An expiry takes only what all of them say is over (docs/format.md, section 12.3).</summary>
/// <param name="Created">Of the vault.</param>
/// <param name="Unseen">Seconds that leaves alone tell of.</param>
/// <param name="Sources">The wall clock first, then what was counted, then those outside.</param>
public sealed record VaultTime(ulong Created, ulong Unseen, IReadOnlyList<TimeSource> Sources)
{
    /// <summary>The keeper is another machine's: its sources outside are not among these.</summary>
    public bool IsElsewhere { get; init; }

    /// <summary>Seconds that sources may be apart before anything is said of it.</summary>
    public const ulong Doubt = RetentionPolicy.Day;

    public ulong Wall => Sources[0].Says;
    public ulong Counted => Sources[1].Says;

    /// <summary>What every source says has passed: a lock that ended later has not ended.</summary>
    public ulong Certain => Sources.Min(s => s.Says);

    public IEnumerable<TimeSource> Outside => Sources.Where(s => s.IsOutside);

    /// <summary>Sources outside that hold up what the machine's own clocks would let go. A vault that is a day old or less has not had time to be seen.</summary>
    public IEnumerable<TimeSource> Silent => Outside.Where(s => Later(Math.Min(Wall, Counted), s.Says) > Doubt && Later(Counted, Created) > Doubt);

    /// <summary>Sources outside that say it is later than was counted here: time that this machine was off, or a clock that lies.</summary>
    public IEnumerable<TimeSource> Ahead => Outside.Where(s => Later(s.Says, Counted) > Doubt);

    public TimeState State => IsElsewhere ? TimeState.Unknown
        : Silent.Any() ? TimeState.Frozen
        : Unseen > Doubt || Later(Wall, Counted) > Doubt || Later(Counted, Wall) > Doubt || Ahead.Any() ? TimeState.Doubted
        : TimeState.Sure;

    static ulong Later(ulong one, ulong other) => one - Math.Min(one, other);

    /// <summary>What witnesses say: a cosignature is of a moment no later than now, and of this log. A witness that lies ahead ends no lock, for the others have to say so too; one that lies behind, or is silent, ends none either.</summary>
    /// <param name="witnesses">Their keys.</param>
    /// <param name="cosigned">What they cosigned.</param>
    /// <param name="log">A cosignature of what this does not go on from says nothing.</param>
    internal static IEnumerable<TimeSource> Of(IReadOnlyList<CosignerKey> witnesses, CosignedCheckpoints cosigned, MerkleLog log) =>
        witnesses.Select(w => new TimeSource(TimeSourceKind.Witness, w.Name,
            cosigned.Of(w) is { } last && CosignedCheckpoints.Extends(log, last) ? Math.Min(last.CosignedAt(w) ?? 0, LockRules.LastEnd) : 0));
}

public sealed partial class VaultKeeper
{
    /// <summary>What each source of time says now. The object store is asked.</summary>
    /// <exception cref="HoldfastException">The object store did not answer.</exception>
    public VaultTime Time() => TimeBy(Store is ILockingStore there ? [new TimeSource(TimeSourceKind.Store, "", Math.Min(there.TimeThere(), LockRules.LastEnd))] : []);

    /// <summary>The same where an object store that does not answer says nothing. Of another process's sources only its clock is known here.</summary>
    public VaultTime TimeAsKnown()
    {
        try
        {
            return Time();
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.NoPermission)
        {
            return TimeBy([new TimeSource(TimeSourceKind.Store, "", 0)]);
        }
    }

    VaultTime TimeBy(IEnumerable<TimeSource> store) => new(_projection.Genesis!.Created, Clock.Unseen,
    [
        new TimeSource(TimeSourceKind.Wall, "", _machine.Wall / 1_000),
        new TimeSource(TimeSourceKind.Counted, "", Clock.Passed),
        .. Remote is null ? VaultTime.Of(Witnesses, Cosigned, _log) : [],
        .. store,
    ])
    { IsElsewhere = Remote is not null };
}
