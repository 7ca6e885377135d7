using System.Collections.Concurrent;
using Holdfast.Cli;
using Holdfast.Control.Database;
using Holdfast.Control.Jobs;
using Holdfast.Core;
using Microsoft.Extensions.Time.Testing;

namespace Holdfast.Tests.Control;

static class RunStoreExtensions
{
    public static List<Attempt> Take(this RunStore store, IReadOnlyList<Job> jobs, int most)
    {
        var taken = new List<Attempt>();
        store.Take(jobs, most, taken.Add);
        return taken;
    }
}

/// <summary>What either database is to keep: no run lost, none begun twice by two that are well, none said twice.</summary>
public abstract class RunStoreContract
{
    const long Lease = 30_000;

    readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 11, 29, 0, 0, 0, TimeSpan.Zero));

    private protected abstract ControlDatabase Database(TimeProvider clock);

    static Job Every(string name, string interval) => new(name, "expire", ["expire"], Schedule.Interval(interval)!);

    static RunStore Store(ControlDatabase database, string name = "a")
    {
        var store = new RunStore(database, name, Lease);
        store.Migrate();
        return store;
    }

    /// <summary>A store that has known the job since now, so that its next run is due an interval later.</summary>
    static void Know(RunStore store, Job job) => Assert.Empty(store.Take([job], 1));

    void Pass(double seconds) => _clock.Advance(TimeSpan.FromSeconds(seconds));

    static RunState? Last(ControlDatabase database, Job job) => RunStore.Status(database, [job]).Jobs.Single().Last;

    [Fact]
    public void A_run_is_taken_once_by_many_at_once_and_none_is_lost()
    {
        using var database = Database(_clock);
        Job[] jobs = [Every("a", "1s"), Every("b", "1s"), Every("c", "2s")];
        var stores = Enumerable.Range(0, 4).Select(i => Store(database, $"n{i}")).ToList();
        _ = stores[0].Take(jobs, 9);
        var (taken, refused) = (new ConcurrentBag<Attempt>(), 0);
        for (var step = 0; step < 40; step++)
        {
            Pass(1);
            Parallel.ForEach(stores, new ParallelOptions { MaxDegreeOfParallelism = 4 }, store =>
            {
                foreach (var attempt in store.Take(jobs, 9))
                {
                    taken.Add(attempt);
                    if (!store.End(attempt, new AttemptResult(0), 5))
                        Interlocked.Increment(ref refused);
                }
            });
        }
        Assert.Equal(0, refused);
        Assert.Equal(taken.Count, taken.Select(a => (a.Job, a.Due)).Distinct().Count());
        Assert.Equal((40, 40, 20), (taken.Count(a => a.Job == "a"), taken.Count(a => a.Job == "b"), taken.Count(a => a.Job == "c")));
    }

    [Fact]
    public void A_run_whose_process_is_silent_goes_to_another_and_the_first_is_not_heard_any_more()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var (first, second) = (Store(database), Store(database, "b"));
        Know(first, job);
        Pass(3_600);
        var taken = Assert.Single(first.Take([job], 1));
        Pass(20);
        Assert.Empty(first.Beat([taken]));
        Pass(20);
        Assert.Empty(second.Take([job], 1)); // its sign of life was 20 s ago
        Pass(11);
        var again = Assert.Single(second.Take([job], 1));
        Assert.Equal((taken.Due, taken.Run, taken.Token + 1, 2), (again.Due, again.Run, again.Token, again.Number));
        Assert.Equal([taken], first.Beat([taken])); // it wakes up
        Assert.False(first.End(taken, new AttemptResult(0, Files: 1), 5));
        Assert.True(Last(database, job)!.IsRunning);
        Assert.True(second.End(again, new AttemptResult(0, IsDoneBefore: true), 5));
        Assert.False(first.End(taken, new AttemptResult(61), 5));
        Assert.False(second.End(again, new AttemptResult(61), 5)); // nor is anything said twice
        Assert.Equal(RunOutcome.DoneBefore, Last(database, job)!.Outcome);
        Assert.Empty(first.Take([job], 1));
        Assert.Empty(second.Take([job], 1));
    }

    [Fact]
    public void What_was_missed_is_caught_up_once()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var store = Store(database);
        Know(store, job);
        Pass(10 * 3_600 + 1);
        var run = Assert.Single(store.Take([job], 1));
        Assert.True(store.End(run, new AttemptResult(0), 5));
        Assert.Empty(store.Take([job], 1));
        Assert.Equal(9, Last(database, job)!.Missed);
    }

    [Fact]
    public void A_job_does_not_run_twice_at_once_and_what_it_was_late_for_is_told()
    {
        using var database = Database(_clock);
        var job = Every("a", "10s");
        var store = Store(database);
        Know(store, job);
        Pass(10);
        var slow = Assert.Single(store.Take([job], 1));
        for (var i = 0; i < 3; i++)
        {
            Pass(10);
            Assert.Empty(store.Beat([slow]));
            Assert.Empty(store.Take([job], 1));
        }
        Assert.True(store.End(slow, new AttemptResult(0), 5));
        var next = Assert.Single(store.Take([job], 1));
        Assert.Equal(slow.Due + 30_000, next.Due);
        using var connection = database.Open();
        Assert.Equal([RunOutcome.Done, RunOutcome.Missed, RunOutcome.Missed, RunOutcome.None], connection.Rows("SELECT outcome FROM holdfast_runs ORDER BY due", r => (RunOutcome)r.GetInt32(0)));
    }

    [Fact]
    public void What_may_pass_is_tried_again_so_often_and_what_may_not_is_not()
    {
        using var database = Database(_clock);
        var job = Every("a", "1d");
        var store = Store(database);
        Know(store, job);
        Pass(86_400);
        for (var number = 1; number <= 3; number++)
        {
            var run = Assert.Single(store.Take([job], 1));
            Assert.Equal(number, run.Number);
            Assert.True(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), tries: 3));
            Assert.Empty(store.Take([job], 1)); // not at once
            Pass(60);
        }
        Assert.Empty(store.Take([job], 1));
        Assert.Equal((RunOutcome.Failed, 61, 3), (Last(database, job)!.Outcome, Last(database, job)!.Status, Last(database, job)!.Attempts));
        Pass(86_400);
        Assert.True(store.End(Assert.Single(store.Take([job], 1)), new AttemptResult((int)ErrorCode.WrongKey), tries: 3));
        Pass(3_600);
        Assert.Empty(store.Take([job], 1));
        Pass(86_400);
        Assert.True(store.End(Assert.Single(store.Take([job], 1)), new AttemptResult((int)ErrorCode.Incomplete), tries: 3)); // the snapshot is there
        Pass(3_600);
        Assert.Empty(store.Take([job], 1));
    }

    [Fact]
    public void A_run_that_is_given_back_is_taken_at_once_and_has_not_failed()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var (first, second) = (Store(database), Store(database, "b"));
        Know(first, job);
        Pass(3_600);
        first.GiveBack(Assert.Single(first.Take([job], 1)));
        Assert.Equal(1, Assert.Single(second.Take([job], 1)).Number);
    }

    [Fact]
    public void A_run_waits_for_its_window_and_its_jitter()
    {
        using var database = Database(_clock);
        var job = Every("a", "1d") with { Schedule = Schedule.Interval("1d")! with { Window = Schedule.Hours("02:00-03:00"), Jitter = 600_000 } };
        var store = Store(database);
        Know(store, job);
        Pass(86_400 + 3_600);
        Assert.Empty(store.Take([job], 1));
        Pass(3_600);
        Assert.Single(store.Take([job], 1));
    }

    /// <summary>Whoever may write to the database could else have runs begun before they are due, and their names used up.</summary>
    [Fact]
    public void Rows_that_somebody_wrote_name_no_run_that_is_to_come()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var store = Store(database);
        Know(store, job);
        Pass(3_600);
        var first = Assert.Single(store.Take([job], 1));
        Assert.True(store.End(first, new AttemptResult(0), 5));
        using (var connection = database.Open())
        {
            foreach (var due in new[] { first.Due + 60_000, first.Due + 3_600_000, first.Due + 365 * 86_400_000L, first.Due - 7, first.Due - 8 })
                connection.Do("INSERT INTO holdfast_runs (job, due, run, state, begins) VALUES ('a', @due, 'x', 0, 0)", ("due", due));
        }
        Assert.Empty(store.Take([job], 1));
        Assert.True(RunStore.Status(database, [job]).Jobs.Single() is { LastGood: { } good } && good == first.Due);
        Pass(120);
        Assert.Empty(store.Take([job], 1)); // off its schedule
        Pass(3_600);
        Assert.Equal(first.Due + 3_600_000, Assert.Single(store.Take([job], 1)).Due);
    }

    /// <summary>A backup waits to be tried again, and somebody writes another time of day into the configuration: by that, too, one was due since the last that was done.</summary>
    [Fact]
    public void A_schedule_that_is_changed_while_a_run_waits_drops_none()
    {
        using var database = Database(_clock);
        static Job Daily(string cron) => new("a", "backup", ["backup"], Schedule.OfCron(cron)!);
        var (before, after) = (Daily("30 2 * * *"), Daily("45 2 * * *"));
        var store = Store(database);
        Pass(2.5 * 3_600);
        var good = Assert.Single(store.Take([before], 1));
        Assert.True(store.End(good, new AttemptResult(0), 5));
        Pass(86_400);
        var run = Assert.Single(store.Take([before], 1));
        Assert.Equal(good.Due + 86_400_000, run.Due);
        Assert.True(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), 5));

        var instead = Assert.Single(store.Take([after], 1)); // at 02:30: by this schedule yesterday's is due
        Assert.Equal((good.Due + 15 * 60_000, Job.RunId("a", instead.Due), 1), (instead.Due, instead.Run, instead.Number));
        Pass(Lease / 1_000 + 1);
        Assert.Equal((instead.Due, 2), Assert.Single(store.Take([after], 1)) is var again ? (again.Due, again.Number) : default); // its process is gone
        var again2 = new Attempt("a", instead.Due, instead.Run, instead.Token + 1, 2);
        Assert.True(store.End(again2, new AttemptResult(0), 5));
        Assert.Equal((RunOutcome.Done, instead.Due), Last(database, after) is { } last ? (last.Outcome, last.Due) : default);
        Assert.Empty(store.Take([after], 1));
        Pass(15 * 60);
        Assert.Equal(run.Due + 15 * 60_000, Assert.Single(store.Take([after], 1)).Due); // and then goes on
    }

    /// <summary>By a schedule that is rarer nothing was due since the last run: the one that waits is what is owed, and goes on as it was.</summary>
    [Fact]
    public void A_schedule_that_is_made_rarer_drops_no_run_that_waits()
    {
        using var database = Database(_clock);
        static Job Of(string cron) => new("a", "backup", ["backup"], Schedule.OfCron(cron)!);
        var (hourly, daily) = (Of("0 * * * *"), Of("30 0 * * *"));
        var store = Store(database);
        Pass(3_600);
        Assert.True(store.End(Assert.Single(store.Take([hourly], 1)), new AttemptResult(0), 5)); // 01:00
        Pass(3_600);
        var run = Assert.Single(store.Take([hourly], 1)); // 02:00
        Assert.True(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), 5));
        Assert.Empty(store.Take([daily], 1)); // not at once
        Pass(60);
        var again = Assert.Single(store.Take([daily], 1));
        Assert.Equal((run.Due, run.Run, 2), (again.Due, again.Run, again.Number));
        Pass(Lease / 1_000 + 1);
        Assert.Equal((run.Due, 3), Assert.Single(store.Take([daily], 1)) is var taken ? (taken.Due, taken.Number) : default); // its process is gone
        Assert.True(store.End(taken, new AttemptResult(0), 5));
        Assert.Empty(store.Take([daily], 1));
        Assert.Equal((RunOutcome.Done, run.Due), Last(database, daily) is { } last ? (last.Outcome, last.Due) : default);
        Pass(22.5 * 3_600);
        var next = Assert.Single(store.Take([daily], 1));
        Assert.Equal(run.Due + 22 * 3_600_000 + 1_800_000, next.Due); // 00:30
    }

    /// <summary>What waits gives way to what the new schedule has due, and of several that wait one is begun.</summary>
    [Fact]
    public void What_waits_by_an_earlier_schedule_gives_way_to_the_next_that_is_due()
    {
        using var database = Database(_clock);
        static Job Of(string cron) => new("a", "backup", ["backup"], Schedule.OfCron(cron)!);
        var (hourly, daily) = (Of("0 * * * *"), Of("30 4 * * *"));
        var store = Store(database);
        Pass(3_600);
        for (var i = 0; i < 2; i++, Pass(3_600))
            Assert.True(store.End(Assert.Single(store.Take([hourly], 1)), new AttemptResult((int)ErrorCode.StoreUnavailable), 9)); // 01:00, and 02:00 beside it or in its place
        Pass(1.5 * 3_600); // 04:30
        var run = Assert.Single(store.Take([daily], 9));
        Assert.Equal(_clock.GetUtcNow().ToUnixTimeMilliseconds(), run.Due);
        Assert.True(store.End(run, new AttemptResult(0), 5));
        Pass(3_600);
        Assert.Empty(store.Take([daily], 9));
        using var connection = database.Open();
        Assert.Equal(0, connection.Number("SELECT COUNT(*) FROM holdfast_runs WHERE state = 0"));
    }

    sealed class MovableClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 11, 29, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }

    [Fact]
    public void A_databases_clock_that_is_ahead_has_no_run_begun_that_is_to_come()
    {
        var ahead = new MovableClock { Now = _clock.GetUtcNow().AddDays(365) };
        using var database = Database(ahead);
        var job = Every("a", "1h");
        var store = new RunStore(database, "a", Lease) { Machine = _clock };
        store.Migrate();
        Know(store, job);
        Pass(3_600);
        ahead.Now = ahead.Now.AddHours(1);
        var run = Assert.Single(store.Take([job], 1));
        Assert.InRange(run.Due, 0, _clock.GetUtcNow().ToUnixTimeMilliseconds() + 300_000);
        Assert.Empty(store.Beat([run]));
        Assert.Equal(365L * 86_400_000, store.Ahead);
        Assert.True(store.End(run, new AttemptResult(0), 5));
        Assert.Empty(store.Take([job], 1));
    }

    [Fact]
    public void A_clock_that_was_ahead_once_stops_nothing_and_hides_nothing()
    {
        var clock = new MovableClock();
        clock.Now = clock.Now.AddDays(365);
        using var database = Database(clock);
        Job[] jobs = [Every("a", "1h"), Every("b", "1h"), Every("c", "1h")];
        var store = Store(database);
        Assert.Empty(store.Take(jobs, 9));
        clock.Now = clock.Now.AddHours(1);
        var taken = store.Take(jobs, 9);
        Assert.True(store.End(taken[0], new AttemptResult(0), 5));
        Assert.True(store.End(taken[1], new AttemptResult((int)ErrorCode.StoreUnavailable), 5)); // c goes on
        Assert.Empty(store.Beat([taken[2]]));
        clock.Now = clock.Now.AddDays(-365);
        var status = RunStore.Status(database, jobs);
        Assert.Empty(status.Nodes);
        Assert.All(status.Jobs, j => Assert.True(j is { Last: null, LastGood: null }));
        Assert.Empty(store.Take(jobs, 9));
        clock.Now = clock.Now.AddHours(2);
        Assert.All(RunStore.Status(database, jobs).Jobs, j => Assert.True(j.IsOverdue));
        Assert.Equal(3, store.Take(jobs, 9).Count);
    }

    /// <summary>Its answer may be lost, as where the connection breaks: then it is said again.</summary>
    [Fact]
    public void What_was_said_already_is_said()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var (store, other) = (Store(database), Store(database, "b"));
        Know(store, job);
        Pass(3_600);
        var run = Assert.Single(store.Take([job], 1));
        Assert.True(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), 5));
        Assert.True(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), 5));
        Pass(60);
        Assert.Single(other.Take([job], 1));
        Assert.False(store.End(run, new AttemptResult((int)ErrorCode.StoreUnavailable), 5));
    }

    [Fact]
    public void Looking_makes_no_tables()
    {
        using var database = Database(_clock);
        Assert.Equal(ErrorCode.DatabaseUnavailable, Assert.Throws<HoldfastException>(() => RunStore.Status(database, [])).Code);
        using var connection = database.Open();
        Assert.False(connection.Has("holdfast_schema"));
    }

    /// <summary>Of a backup that was due when the database was lost nobody knows whether it was done: the keeper does.</summary>
    [Fact]
    public void A_database_that_is_lost_and_made_anew_names_the_same_run_the_same_and_has_it_done()
    {
        using var database = Database(_clock);
        var job = new Job("a", "backup", ["backup"], Schedule.Interval("1h")!);
        var store = Store(database);
        Pass(3_660);
        var run = Assert.Single(store.Take([job], 1));
        using (var connection = database.Open())
        {
            foreach (var table in new[] { "holdfast_schema", "holdfast_nodes", "holdfast_jobs", "holdfast_runs" })
                connection.Do($"DROP TABLE {table}");
        }
        store = Store(database);
        Assert.Equal((run.Due, run.Run), Assert.Single(store.Take([job], 1)) is var again ? (again.Due, again.Run) : default);
    }

    /// <summary>What is called with, the configuration says.</summary>
    [Fact]
    public void What_a_database_says_goes_into_no_command()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var store = Store(database);
        Know(store, job);
        Pass(3_600);
        store.GiveBack(Assert.Single(store.Take([job], 1)));
        using (var connection = database.Open())
            Assert.Equal(1, connection.Do("UPDATE holdfast_runs SET run = '--opening-secret'"));
        var run = Assert.Single(store.Take([job], 1));
        Assert.Equal(Job.RunId("a", run.Due), run.Run);
        Assert.Matches("^[0-9a-f]{32}$", run.Run);
    }

    [Fact]
    public void Several_make_the_tables_at_once()
    {
        using var database = Database(_clock);
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ => new RunStore(database, "a", Lease).Migrate());
        using var connection = database.Open();
        Assert.Equal(1, connection.Number("SELECT COUNT(*) FROM holdfast_schema"));
    }

    [Fact]
    public void Tables_of_a_newer_program_are_left_alone()
    {
        using var database = Database(_clock);
        Store(database);
        using (var connection = database.Open())
            connection.Do("INSERT INTO holdfast_schema (version) VALUES (99)");
        Assert.Equal(ErrorCode.FormatNewer, Assert.Throws<HoldfastException>(() => Store(database)).Code);
    }

    [Fact]
    public void What_is_overdue_or_was_never_done_is_told()
    {
        using var database = Database(_clock);
        var job = Every("a", "1h");
        var store = Store(database);
        Know(store, job);
        Assert.Empty(store.Beat([]));
        var state = RunStore.Status(database, [job]);
        Assert.Equal("a", Assert.Single(state.Nodes).Name);
        Assert.True(state.Jobs.Single() is { Last: null, IsOverdue: false });
        Pass(3_600);
        var run = Assert.Single(store.Take([job], 1));
        Pass(5);
        Assert.True(RunStore.Status(database, [job]).Jobs.Single() is { Last.IsRunning: true, IsOverdue: false });
        Pass(1_000);
        state = RunStore.Status(database, [job]);
        Assert.True(state.Jobs.Single().IsOverdue);
        Assert.Empty(state.Nodes);
        Assert.True(store.End(run, new AttemptResult(0, false, 3, 300, 30), 5));
        Assert.True(RunStore.Status(database, [job]).Jobs.Single() is { IsOverdue: false, Last.Outcome: RunOutcome.Done } done && done.LastGood == run.Due && done.Next == run.Due + 3_600_000);
        using var connection = database.Open();
        Assert.Equal((3, 300, 30), connection.Rows("SELECT files, bytes, stored FROM holdfast_runs", r => (r.GetInt64(0), r.GetInt64(1), r.GetInt64(2))).Single());
    }

    [Fact]
    public void Old_history_goes_and_the_newest_run_of_each_job_stays()
    {
        using var database = Database(_clock);
        var job = Every("a", "1d");
        var store = Store(database);
        Know(store, job);
        for (var i = 0; i < 2; i++)
        {
            Pass(86_400);
            Assert.True(store.End(Assert.Single(store.Take([job], 1)), new AttemptResult(0), 5));
        }
        Pass(500 * 86_400);
        store.Forget();
        using var connection = database.Open();
        Assert.Equal(1, connection.Number("SELECT COUNT(*) FROM holdfast_runs"));
    }
}

public sealed class SqliteRunStoreTests : RunStoreContract, IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("holdfast-control-").FullName;

    private protected override ControlDatabase Database(TimeProvider clock) => ControlDatabase.File(Path.Combine(_folder, "control.db"), toRun: true, clock);

    [Fact]
    public void A_second_process_is_refused_and_may_look()
    {
        using (var first = Database(TimeProvider.System))
        {
            new RunStore(first, "a", 30_000).Migrate();
            Assert.Equal(ErrorCode.DatabaseUnavailable, Assert.Throws<HoldfastException>(() => Database(TimeProvider.System)).Code);
            using var looking = ControlDatabase.File(Path.Combine(_folder, "control.db"), toRun: false);
            Assert.Empty(RunStore.Status(looking, []).Jobs);
            if (!OperatingSystem.IsWindows())
            {
                foreach (var file in new[] { "control.db", "control.db.lock" })
                    Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, file))); // else anybody here could hold the lock
            }
        }
        using var next = Database(TimeProvider.System);
        Assert.Equal(ErrorCode.DatabaseUnavailable, Assert.Throws<HoldfastException>(() => ControlDatabase.File(Path.Combine(_folder, "other.db"), toRun: false)).Code);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}

public sealed class PostgresFixture : IDisposable
{
    internal PostgresCluster? Cluster { get; } = PostgresCluster.Missing is null ? new PostgresCluster() : null;

    public void Dispose() => Cluster?.Dispose();
}

public sealed class PostgresRunStoreTests(PostgresFixture fixture) : RunStoreContract, IClassFixture<PostgresFixture>
{
    PostgresCluster Cluster
    {
        get
        {
            Assert.SkipWhen(fixture.Cluster is null, PostgresCluster.Missing ?? "");
            return fixture.Cluster;
        }
    }

    string Connection() => $"{Cluster.ConnectionTo(Cluster.NewDatabase())};Password={PostgresCluster.Password}";

    private protected override ControlDatabase Database(TimeProvider clock) => ControlDatabase.Postgres(Connection(), clock);

    /// <summary>A process that stands still in the midst of a transaction costs its own job some time, and no other.</summary>
    [Fact]
    public void Who_stands_still_with_one_job_does_not_stop_the_others()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 11, 29, 0, 0, 0, TimeSpan.Zero));
        using var database = Database(clock);
        Job[] jobs = [new("a", "expire", [], Schedule.Interval("1h")!), new("b", "expire", [], Schedule.Interval("1h")!), new("c", "expire", [], Schedule.Interval("1h")!)];
        var store = new RunStore(database, "a", 30_000);
        store.Migrate();
        Assert.Empty(store.Take(jobs, 9));
        clock.Advance(TimeSpan.FromHours(1));
        using var still = database.Open();
        var taken = still.Together(() =>
        {
            Assert.NotNull(still.Hold("a", 0));
            return Task.Run(() => store.Take([jobs[0], jobs[1]], 9)).Result; // the job is held
        });
        Assert.Equal("b", Assert.Single(taken).Job);
        store.GiveBack(Assert.Single(store.Take([jobs[0]], 9)));
        taken = still.Together(() =>
        {
            Assert.Equal(2, still.Do("UPDATE holdfast_runs SET missed = 1"));
            Assert.Empty(Task.Run(() => store.Beat(taken)).Result);
            return Task.Run(() => store.Take([jobs[0], jobs[2]], 9)).Result; // its run is
        });
        Assert.Equal("c", Assert.Single(taken).Job);
    }

    [Fact]
    public void Time_is_the_databases_own()
    {
        using var database = ControlDatabase.Postgres(Connection());
        using var connection = database.Open();
        Assert.InRange(connection.Now - TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), -5_000, 5_000); // of one machine here
    }

    [Fact]
    public void What_is_wrong_is_told_without_hosts_users_or_passwords()
    {
        foreach (var (connection, says) in new[]
        {
            ($"{Cluster.ConnectionTo("postgres")};Password=Zzyzx", "refuses this user or password"),
            ($"{Cluster.ConnectionTo("zzyzx")};Password={PostgresCluster.Password}", "no database of that name"),
            ("Host=127.0.0.1;Port=9;Username=zzyzx;Password=Zzyzx;Database=d;Timeout=2", "cannot be reached"),
        })
        {
            using var database = ControlDatabase.Postgres(connection);
            var fault = ControlDatabase.Fault(Assert.ThrowsAny<Exception>(database.Open));
            Assert.Contains(says, fault, StringComparison.Ordinal);
            Assert.DoesNotContain("zzyzx", fault, StringComparison.OrdinalIgnoreCase);
        }
    }
}

/// <summary>PostgreSQL by TLS, as on another machine: who answers has to prove who it is, and else gets no password.</summary>
public sealed class PostgresTlsTests
{
    [Fact]
    public void A_database_that_proves_who_it_is_is_used_and_no_other_gets_the_password()
    {
        Assert.SkipWhen(PostgresCluster.Missing is not null, PostgresCluster.Missing ?? "");
        using PostgresCluster sound = new(withTls: true), other = new(withTls: true), plain = new();
        string To(PostgresCluster cluster, string host, string authority) => $"{cluster.ConnectionTo("postgres").Replace("127.0.0.1", host, StringComparison.Ordinal)};Password={PostgresCluster.Password};SSL Mode=VerifyFull;Root Certificate={authority};Timeout=15";
        using (var database = ControlDatabase.Postgres(To(sound, "localhost", sound.Authority)))
        {
            using var connection = database.Open();
            Assert.Equal(1, connection.Number("SELECT CASE WHEN ssl THEN 1 ELSE 0 END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"));
            new RunStore(database, "a", 30_000).Migrate();
        }
        foreach (var (cluster, host, authority) in new[] { (sound, "127.0.0.1", sound.Authority), (other, "localhost", sound.Authority), (plain, "localhost", sound.Authority) }) // another name, another authority, no TLS
        {
            using var database = ControlDatabase.Postgres(To(cluster, host, authority));
            Assert.Equal("it cannot be reached", ControlDatabase.Fault(Assert.ThrowsAny<Exception>(database.Open)));
        }
    }
}
