using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Cronos;

namespace Holdfast.Control.Jobs;

/// <summary>When a job is due: milliseconds since 1970, UTC. Of values alone, so that every process works out the same times.</summary>
/// <param name="Text">As it was written.</param>
/// <param name="Every">The interval, milliseconds; 0 where <paramref name="Cron"/> says when.</param>
/// <param name="Cron">Five fields, UTC.</param>
sealed record Schedule(string Text, long Every, CronExpression? Cron)
{
    const long Day = 86_400_000;
    const long Monday = 4 * Day; // 1970-01-05: intervals are counted from the beginning of a week
    const long LookBack = 400 * Day; // further back nothing is counted as missed
    const long MostCounted = 100_000;
    const long LastMoment = 32_503_680_000_000; // the year 3000: what a database says of times is bounded by it

    /// <summary>At most so much later than due does it begin, milliseconds: each job by its own share of that.</summary>
    public long Jitter { get; init; }

    /// <summary>Part of the day in which it may begin, milliseconds since midnight UTC; null for all of it.</summary>
    public (long From, long To)? Window { get; init; }

    /// <returns>The latest time due after one moment and not after another, and how many others lie before it there; null where there is none.</returns>
    public (long Due, long Others)? Latest(long after, long upTo)
    {
        (after, upTo) = (Bounded(after), Bounded(upTo));
        if (upTo <= after)
            return null;
        after = Math.Max(after, upTo - LookBack);
        if (Cron is null)
        {
            var (first, last) = (Floor(after), Floor(upTo));
            return last > first ? (last, (last - first) / Every - 1) : null;
        }
        var (due, count) = (0L, 0L);
        foreach (var moment in Cron.GetOccurrences(Moment(after), Moment(upTo), fromInclusive: false, toInclusive: true).TakeWhile(_ => count < MostCounted))
            (due, count) = (Milliseconds(moment), count + 1);
        if (count == MostCounted)
            return Latest(upTo - Day, upTo) is { } late ? (late.Due, MostCounted) : (due, count - 1);
        return count > 0 ? (due, count - 1) : null;
    }

    /// <summary>The first time due after a moment; the end of time for a cron expression that names no day there is.</summary>
    public long Next(long after)
    {
        after = Bounded(after);
        return Cron is null ? Floor(after) + Every : Cron.GetNextOccurrence(Moment(after)) is { } next ? Milliseconds(next) : long.MaxValue;
    }

    /// <summary>The shortest time between two runs, milliseconds; of a cron expression, as far as some of its times show.</summary>
    public long Shortest
    {
        get
        {
            if (Cron is null)
                return Every;
            var (shortest, last) = (long.MaxValue, Next(Monday));
            for (var i = 0; i < 100 && last < long.MaxValue && Next(last) is var next; i++)
                (shortest, last) = (Math.Min(shortest, next - last), next);
            return shortest;
        }
    }

    /// <summary>When it may begin: later than due by this job's share of the jitter.</summary>
    public long Begins(string job, long due)
    {
        if (Jitter == 0)
            return due;
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{job}\n{due}")));
        return due + (long)(BitConverter.ToUInt64(hash) % (ulong)Jitter);
    }

    /// <summary>Whether it may begin at a moment.</summary>
    public bool IsOpen(long moment)
    {
        if (Window is not { } window)
            return true;
        var time = moment % Day;
        return window.From <= window.To ? time >= window.From && time < window.To : time >= window.From || time < window.To;
    }

    /// <summary>How long after its due time a run should have done its work: a quarter of the interval, five minutes at least, and what jitter and window add.</summary>
    public long Patience(long due)
    {
        var interval = Math.Min(Next(due), due + 30 * Day) - due;
        return Math.Max(interval / 4, 300_000) + Jitter + (Window is null ? 0 : Day);
    }

    static long Bounded(long moment) => Math.Clamp(moment, 0, LastMoment);

    long Floor(long moment)
    {
        var since = moment - Monday;
        return moment - (since % Every + Every) % Every;
    }

    static DateTime Moment(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds).UtcDateTime;

    static long Milliseconds(DateTime moment) => new DateTimeOffset(moment, TimeSpan.Zero).ToUnixTimeMilliseconds();

    /// <summary>"30s", "5m" (minutes), "2h", "1d", "1w" in milliseconds; null for anything else, and beyond a year.</summary>
    public static long? Length(string text)
    {
        if (text.Length < 2 || !long.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count is 0 or > 1_000_000)
            return null;
        long unit = text[^1] switch { 's' => 1_000, 'm' => 60_000, 'h' => 3_600_000, 'd' => Day, 'w' => 7 * Day, _ => 0 };
        return count * unit is > 0 and <= 366 * Day and var length ? length : null;
    }

    public static Schedule? Interval(string text) => Length(text) is { } length ? new Schedule($"every {text}", length, null) : null;

    public static Schedule? OfCron(string text) => CronExpression.TryParse(text, CronFormat.Standard, out var cron) ? new Schedule(text, 0, cron) : null;

    /// <summary>"22:00-06:00", UTC.</summary>
    public static (long From, long To)? Hours(string text) =>
        text.Split('-') is [var from, var to] && TimeOnly.TryParseExact(from.Trim(), "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var first)
            && TimeOnly.TryParseExact(to.Trim(), "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var last) && first != last
            ? ((long)first.ToTimeSpan().TotalMilliseconds, (long)last.ToTimeSpan().TotalMilliseconds) : null;
}
