using Holdfast.Control.Jobs;

namespace Holdfast.Tests.Control;

public sealed class ScheduleTests
{
    static long At(string time) => DateTimeOffset.Parse(time + "Z", System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();

    static Schedule Every(string text) => Schedule.Interval(text)!;

    [Fact]
    public void Weeks_begin_on_Monday_and_days_at_midnight_UTC()
    {
        Assert.Equal(At("2026-11-30T00:00:00"), Every("1w").Next(At("2026-11-29T23:59:59")));
        Assert.Equal(At("2026-12-07T00:00:00"), Every("1w").Next(At("2026-11-30T00:00:00")));
        Assert.Equal(At("2026-11-30T00:00:00"), Every("1d").Next(At("2026-11-29T00:00:00")));
        Assert.Equal(At("2026-11-29T00:05:00"), Every("5m").Next(At("2026-11-29T00:00:00")));
        Assert.Equal(At("2026-12-01T02:30:00"), Schedule.OfCron("30 2 1 * *")!.Next(At("2026-11-29T00:00:00")));
    }

    [Fact]
    public void What_was_missed_is_counted_and_the_latest_is_due()
    {
        Assert.Equal((At("2026-11-29T10:00:00"), 9L), Every("1h").Latest(At("2026-11-29T00:00:00"), At("2026-11-29T10:59:59")));
        Assert.Equal((At("2026-11-29T10:00:00"), 0L), Every("1h").Latest(At("2026-11-29T09:59:59"), At("2026-11-29T10:00:00")));
        Assert.Null(Every("1h").Latest(At("2026-11-29T10:00:00"), At("2026-11-29T10:59:59")));
        Assert.Null(Every("1h").Latest(At("2026-11-29T10:00:00"), At("2026-11-29T09:00:00"))); // a clock that was set back makes nothing due
        Assert.Equal((At("2026-11-29T02:30:00"), 28L), Schedule.OfCron("30 2 * * *")!.Latest(At("2026-10-31T12:00:00"), At("2026-11-29T12:00:00")));
    }

    [Fact]
    public void Intervals_and_cron_say_the_same()
    {
        var (every, cron, random) = (Every("5m"), Schedule.OfCron("*/5 * * * *")!, new Random(1));
        for (var i = 0; i < 2_000; i++)
        {
            var from = At("2026-11-29T00:00:00") + random.NextInt64(400_000_000);
            var to = from + random.NextInt64(2_000_000);
            Assert.Equal(every.Latest(from, to), cron.Latest(from, to));
            Assert.Equal(every.Next(from), cron.Next(from));
        }
    }

    [Fact]
    public void A_minutely_cron_that_was_away_for_years_is_told_at_once()
    {
        var began = System.Diagnostics.Stopwatch.StartNew();
        var latest = Schedule.OfCron("* * * * *")!.Latest(0, At("2026-11-29T00:00:30"));
        Assert.Equal(At("2026-11-29T00:00:00"), latest!.Value.Due);
        Assert.True(began.Elapsed < TimeSpan.FromSeconds(30));
    }

    /// <summary>Whoever writes to the database can put any number there.</summary>
    [Theory]
    [InlineData(long.MinValue)]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(long.MaxValue)]
    public void Any_number_is_a_moment(long moment)
    {
        var now = At("2026-11-29T00:00:30");
        foreach (var schedule in new[] { Every("1s"), Every("366d"), Schedule.OfCron("* * * * *")! })
        {
            _ = (schedule.Next(moment), schedule.Latest(moment, now), schedule.Latest(now, moment), schedule.Latest(moment, moment), schedule.Begins("a", moment), schedule.Patience(moment));
            Assert.InRange(schedule.Latest(moment, now)?.Due ?? 0, 0, now);
        }
    }

    [Fact]
    public void Every_process_works_out_the_same_jitter_and_jobs_differ()
    {
        var schedule = Every("1d") with { Jitter = 3_600_000 };
        var due = At("2026-11-29T00:00:00");
        var begins = Enumerable.Range(0, 200).Select(i => schedule.Begins($"job-{i}", due)).ToList();
        Assert.All(begins, b => Assert.InRange(b, due, due + 3_599_999));
        Assert.True(begins.Distinct().Count() > 190);
        Assert.Equal(begins[7], (Every("1d") with { Jitter = 3_600_000 }).Begins("job-7", due));
    }

    [Fact]
    public void A_window_may_go_over_midnight()
    {
        var night = Every("1h") with { Window = Schedule.Hours("22:00-06:00") };
        Assert.True(night.IsOpen(At("2026-11-29T23:00:00")) && night.IsOpen(At("2026-11-29T05:59:59")));
        Assert.False(night.IsOpen(At("2026-11-29T06:00:00")) || night.IsOpen(At("2026-11-29T21:59:59")));
        var day = Every("1h") with { Window = Schedule.Hours("09:00-17:00") };
        Assert.True(day.IsOpen(At("2026-11-29T09:00:00")));
        Assert.False(day.IsOpen(At("2026-11-29T17:00:00")));
    }

    [Theory]
    [InlineData("5")]
    [InlineData("0m")]
    [InlineData("-1d")]
    [InlineData("1y")]
    [InlineData("9999999999999d")]
    [InlineData("400d")]
    [InlineData("d")]
    public void What_is_no_interval_is_none(string text) => Assert.Null(Schedule.Interval(text));
}
