using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Terminal;

/// <summary>What is said where this machine's clock and the vault's are over a day apart.</summary>
static class ClockWords
{
    /// <summary>Null where they are not.</summary>
    public static string? Doubt(VaultClock clock) => Math.Abs(clock.WallOffset) > (long)VaultTime.Doubt ? Of(clock) : null;

    /// <summary>What comes before all other advice where this machine's clock is behind: what an expiry gave up since seems to be lost until it is right. Empty where it is not behind.</summary>
    public static string First(VaultClock clock) => clock.WallOffset >= -(long)VaultTime.Doubt ? ""
        : "First set this machine's clock right (timedatectl): it is behind the vault's, and what has been given up since the day that it shows looks as if it were lost. Then run this again; what is wrong still: ";

    static string Of(VaultClock clock)
    {
        var apart = Text.Span((ulong)Math.Abs(clock.WallOffset) / RetentionPolicy.Day * RetentionPolicy.Day);
        return clock.WallOffset > 0
            ? $"holdfast: this machine's clock is {apart} ahead of the vault's, which counts only the time that the machine was seen to run. If the machine was switched off so long, all is well: what only the vault's clock still protects goes so much later. "
                + "If not, somebody or something has set the clock forward: set it right (timedatectl), and find out who did"
            : $"holdfast: this machine's clock is {apart} behind the vault's. Set it right (timedatectl); until then what either clock still protects stays";
    }
}
