using System.Globalization;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>The one thing that is known of the time without a clock: this version was not there before it was made.</summary>
static class ReleaseDay
{
    /// <summary>Written anew with each release, beside the version in Directory.Build.props: a constant, so that one source gives one program.</summary>
    static readonly DateTimeOffset First = new(2026, 11, 23, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A vault's clock starts from the machine's, and nothing puts it right later.</summary>
    /// <returns>What the machine's clock says.</returns>
    /// <exception cref="HoldfastException"><c>ClockInDoubt</c>: that is before this version was there.</exception>
    public static DateTimeOffset RequireClock()
    {
        var now = TimeProvider.System.GetUtcNow();
        return now >= First ? now : throw new HoldfastException(ErrorCode.ClockInDoubt,
            $"This machine's clock says {Text.Time(now.ToUnixTimeSeconds())}, and this version of Holdfast was made on {First.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}: the clock is wrong. No vault was made, for its own clock would start from there and be wrong for ever.",
            "Set this machine's clock right (timedatectl status, chronyc tracking), then run this again.");
    }
}
