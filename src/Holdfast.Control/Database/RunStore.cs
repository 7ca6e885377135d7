using System.Data.Common;
using Holdfast.Cli;
using Holdfast.Control.Jobs;
using Holdfast.Core;

namespace Holdfast.Control.Database;

/// <summary>Which runs there are and whose they are. A run is one job at one due time, once in the database; whoever takes it holds it for as long as its lease is renewed.</summary>
/// <remarks>That keeps runs from being begun twice where all goes well. Where a process was thought dead and was not, the keeper decides: a backup's run is named (`--run`), and one is committed under one name.</remarks>
sealed class RunStore
{
    const int Waiting = 0, Running = 1, Ended = 2; // states
    const long None = -1; // no time that a run is due
    const long History = 400L * 86_400_000; // milliseconds
    const long ClockDoubt = 300_000; // clocks that are set right differ by less
    const long LongestLease = 3_600_000; // that a configuration may name
    const long Silent = 120_000; // a process that was not heard of for so long is not there

    readonly ControlDatabase _database;
    readonly Id16 _node;
    readonly string _name;
    readonly long _lease;

    /// <param name="database">Where.</param>
    /// <param name="name">What this process is called, for people.</param>
    /// <param name="lease">How long a run is this process's after each sign of life, milliseconds.</param>
    public RunStore(ControlDatabase database, string name, long lease) => (_database, _node, _name, _lease, Machine) = (database, Id16.New(), name, lease, database.Machine);

    /// <summary>This machine's clock.</summary>
    public TimeProvider Machine { get; init; }

    string Node => _node.ToString();

    public void Migrate()
    {
        using var connection = _database.Open();
        Schema.Migrate(connection);
    }

    /// <summary>How far the database's clock is before this machine's, milliseconds, when it was heard of last.</summary>
    public long Ahead { get; private set; }

    /// <summary>Says that this process is there, and renews what it holds.</summary>
    /// <returns>What it held and holds no longer: it was thought dead, and another has taken it.</returns>
    public IReadOnlyList<Attempt> Beat(IReadOnlyCollection<Attempt> held)
    {
        using var connection = _database.Open();
        var now = connection.Now;
        Ahead = now - Machine.GetUtcNow().ToUnixTimeMilliseconds();
        connection.Together(() => connection.Do("INSERT INTO holdfast_nodes (node, name, began, heard) VALUES (@node, @name, @now, @now) ON CONFLICT (node) DO UPDATE SET heard = excluded.heard", ("node", Node), ("name", _name), ("now", now)));
        return [.. held.Where(a => !Renew(connection, a, now))];
    }

    bool Renew(Connection connection, Attempt attempt, long now)
    {
        try
        {
            return connection.Together(() => connection.Do("UPDATE holdfast_runs SET lease = @lease WHERE job = @job AND due = @due AND token = @token AND state = 1 AND node = @node",
                ("lease", now + _lease), ("job", attempt.Job), ("due", attempt.Due), ("token", attempt.Token), ("node", Node))) > 0;
        }
        catch (DbException e) when (Connection.IsHeldUp(e))
        {
            return true; // as far as is known
        }
    }

    /// <summary>What counts as now for what is due: the database's clock, and no more than a little later than this machine's, as whoever sets the one could have all runs to come begun, and their names used up.</summary>
    long Moment(Connection connection) => Math.Min(connection.Now, Machine.GetUtcNow().ToUnixTimeMilliseconds() + ClockDoubt);

    /// <summary>Takes the next run of each job that is due, where nobody has it.</summary>
    /// <param name="jobs">All of them.</param>
    /// <param name="most">How many.</param>
    /// <param name="begin">Gets each once it is this process's: what goes wrong with the next does not lose it.</param>
    public void Take(IReadOnlyList<Job> jobs, int most, Action<Attempt> begin)
    {
        using var connection = _database.Open();
        var now = Moment(connection);
        var known = connection.Rows("SELECT job, MAX(due), MIN(state) FROM holdfast_runs GROUP BY job", r => (Job: r.GetString(0), Due: r.GetInt64(1), State: r.GetInt32(2))).ToDictionary(r => r.Job);
        foreach (var job in jobs)
        {
            if (most == 0)
                return;
            if (known.TryGetValue(job.Name, out var last) && last.State == Ended && last.Due <= now && job.Schedule.Next(last.Due) > now)
                continue;
            try
            {
                if (Take(connection, job) is not { } attempt)
                    continue;
                begin(attempt);
                most--;
            }
            catch (DbException e) when (Connection.IsHeldUp(e))
            {
                // Somebody stands still with a row of this job: the others go on.
            }
        }
    }

    Attempt? Take(Connection connection, Job job) => connection.Together(() =>
    {
        var now = Moment(connection);
        if (connection.Hold(job.Name, now) is not { } since)
            return null;
        var heard = connection.Now; // not this machine's clock, which may be behind the others': what they did is not to be taken away
        if (since > heard)
            connection.Do("UPDATE holdfast_jobs SET since = @heard WHERE job = @job", ("heard", since = heard), ("job", job.Name));
        connection.Do("DELETE FROM holdfast_runs WHERE job = @job AND due > @late AND state <> 1", ("job", job.Name), ("late", heard + ClockDoubt)); // a clock was ahead, or somebody wrote it: these runs are to come
        connection.Do("UPDATE holdfast_runs SET state = 0, node = NULL, begins = @now WHERE job = @job AND state = 1 AND (lease < @heard OR lease > @far)", ("now", now), ("job", job.Name), ("heard", heard), ("far", heard + LongestLease + ClockDoubt)); // its process is gone, or is thought to be
        var left = Left(connection, job, now); // what this schedule has had due since the run before it comes in its place
        var before = connection.Number("SELECT MAX(due) FROM holdfast_runs WHERE job = @job AND due <= @now AND due <> @left", ("job", job.Name), ("now", now), ("left", left)) ?? job.Begin(since);
        if (job.Schedule.Latest(before, now) is { } latest)
        {
            Drop(connection, job, left);
            left = None;
            connection.Do("UPDATE holdfast_runs SET state = 2, outcome = @missed, ended = @now WHERE job = @job AND state = 0 AND attempts = 0 AND due < @due", ("missed", (int)RunOutcome.Missed), ("now", now), ("job", job.Name), ("due", latest.Due));
            connection.Do("INSERT INTO holdfast_runs (job, due, run, state, begins, missed) VALUES (@job, @due, @run, 0, @begins, @others)",
                ("job", job.Name), ("due", latest.Due), ("run", Job.RunId(job.Name, latest.Due)), ("begins", job.Schedule.Begins(job.Name, latest.Due)), ("others", latest.Others));
        }
        if (!job.Schedule.IsOpen(now) || connection.Number("SELECT COUNT(*) FROM holdfast_runs WHERE job = @job AND state = 1", ("job", job.Name)) > 0)
            return null;
        foreach (var (due, token, attempts) in InWait(connection, job, now).Where(w => (w.Due == left || IsOf(job, w.Due)) && (w.Begins <= now || w.Begins > now + job.Schedule.Jitter + AttemptResult.LongestPause + ClockDoubt)).Select(w => (w.Due, w.Token, w.Attempts)))
        {
            var attempt = new Attempt(job.Name, due, Job.RunId(job.Name, due), token + 1, attempts + 1);
            connection.Do("UPDATE holdfast_runs SET state = 1, node = @node, lease = @lease, token = @token, attempts = @attempts, began = @now WHERE job = @job AND due = @due",
                ("node", Node), ("lease", heard + _lease), ("token", attempt.Token), ("attempts", attempt.Number), ("now", now), ("job", job.Name), ("due", attempt.Due));
            return attempt;
        }
        return null;
    });

    /// <summary>The newest run that waits by a schedule that was changed since, where nothing after it has ended: it is what is owed. All other runs in wait that this schedule does not have are dropped, and so is what no process named.</summary>
    /// <returns>When it was due, or <see cref="None"/>.</returns>
    static long Left(Connection connection, Job job, long now)
    {
        var ended = connection.Number("SELECT MAX(due) FROM holdfast_runs WHERE job = @job AND state = 2 AND due <= @now", ("job", job.Name), ("now", now)) ?? None;
        var off = InWait(connection, job, now).Where(w => !IsOf(job, w.Due)).ToList();
        var left = off.Where(w => w.Due > ended && w.Run == Job.RunId(job.Name, w.Due)).Select(w => w.Due).DefaultIfEmpty(None).Max();
        foreach (var dropped in off.Where(w => w.Due != left))
            Drop(connection, job, dropped.Due);
        return left;
    }

    static void Drop(Connection connection, Job job, long due) => connection.Do("DELETE FROM holdfast_runs WHERE job = @job AND due = @due AND state = 0", ("job", job.Name), ("due", due));

    static List<(long Due, string Run, long Token, int Attempts, long Begins)> InWait(Connection connection, Job job, long now) =>
        connection.Rows("SELECT due, run, token, attempts, begins FROM holdfast_runs WHERE job = @job AND state = 0 AND due <= @now ORDER BY due LIMIT 100", r => (r.GetInt64(0), r.GetString(1), r.GetInt64(2), r.GetInt32(3), r.GetInt64(4)), ("job", job.Name), ("now", now));

    static bool IsOf(Job job, long due) => job.Schedule.Latest(due - 1, due)?.Due == due;

    /// <summary>Says what came of a run; where it may go well later, it is left for then.</summary>
    /// <returns>False where it is not this process's any more: then nothing is said.</returns>
    public bool End(Attempt attempt, AttemptResult result, int tries)
    {
        using var connection = _database.Open();
        return connection.Together(() =>
        {
            var now = Moment(connection);
            var isAgain = result is { Outcome: RunOutcome.Failed, MayPass: true } && attempt.Number < tries;
            var isSaid = connection.Do("""
                UPDATE holdfast_runs SET state = @state, outcome = @outcome, status = @status, begins = @begins, node = NULL, lease = NULL, ended = @ended, files = @files, bytes = @bytes, stored = @stored
                WHERE job = @job AND due = @due AND token = @token AND state = 1 AND node = @node
                """, ("state", isAgain ? Waiting : Ended), ("outcome", isAgain ? 0 : (int)result.Outcome), ("status", result.Status), ("begins", isAgain ? now + AttemptResult.PauseAfter(attempt.Number) : attempt.Due), ("ended", now),
                ("files", result.Files), ("bytes", result.Bytes), ("stored", result.Stored), ("job", attempt.Job), ("due", attempt.Due), ("token", attempt.Token), ("node", Node)) > 0;
            // Where nobody has taken it since and it says just that, it was said before, and the answer was lost.
            return isSaid || connection.Number("SELECT COUNT(*) FROM holdfast_runs WHERE job = @job AND due = @due AND token = @token AND state <> 1 AND status = @status AND ended IS NOT NULL",
                ("job", attempt.Job), ("due", attempt.Due), ("token", attempt.Token), ("status", result.Status)) > 0;
        });
    }

    /// <summary>Gives a run back that this process ended because it ends itself: it has not failed, and whoever is there takes it at once.</summary>
    public void GiveBack(Attempt attempt)
    {
        using var connection = _database.Open();
        connection.Together(() => connection.Do("UPDATE holdfast_runs SET state = 0, node = NULL, lease = NULL, attempts = attempts - 1 WHERE job = @job AND due = @due AND token = @token AND state = 1", ("job", attempt.Job), ("due", attempt.Due), ("token", attempt.Token)));
    }

    /// <summary>Takes leave.</summary>
    public void Leave()
    {
        using var connection = _database.Open();
        connection.Do("DELETE FROM holdfast_nodes WHERE node = @node", ("node", Node));
    }

    /// <summary>Takes old history away: never the newest runs of a job, by which it knows what was due.</summary>
    public void Forget()
    {
        using var connection = _database.Open();
        connection.Together(() =>
        {
            var old = connection.Now - History;
            connection.Do("DELETE FROM holdfast_runs WHERE state = 2 AND due < @old AND due < (SELECT MAX(r.due) FROM holdfast_runs r WHERE r.job = holdfast_runs.job)", ("old", old));
            return connection.Do("DELETE FROM holdfast_nodes WHERE heard < @old OR heard > @late", ("old", connection.Now - 10 * Silent), ("late", connection.Now + 10 * Silent));
        });
    }

    /// <summary>What became of jobs.</summary>
    public static ServeStatus Status(ControlDatabase database, IReadOnlyList<Job> jobs)
    {
        using var connection = database.Open();
        return connection.Together(() =>
        {
            if (Schema.Known(connection) == 0)
                throw new HoldfastException(ErrorCode.DatabaseUnavailable, ControlDatabase.NoneYet, ControlDatabase.HowMade);
            var now = connection.Now;
            var nodes = connection.Rows("SELECT name, heard FROM holdfast_nodes WHERE heard >= @since AND heard <= @until ORDER BY name, heard", r => (r.GetString(0), r.GetInt64(1)), ("since", now - Silent), ("until", now + Silent));
            return new ServeStatus(now, nodes, [.. jobs.Select(j => StateOf(connection, j, now))]);
        });
    }

    static JobState StateOf(Connection connection, Job job, long now)
    {
        const string columns = "due, outcome, status, began, ended, attempts, missed, state";
        var last = connection.Rows($"SELECT {columns} FROM holdfast_runs WHERE job = @job AND due <= @now AND (attempts > 0 OR state = 2) ORDER BY due DESC LIMIT 1", Read, ("job", job.Name), ("now", now)).FirstOrDefault();
        var good = connection.Number("SELECT MAX(due) FROM holdfast_runs WHERE job = @job AND outcome IN (1, 2, 3) AND due <= @now", ("job", job.Name), ("now", now));
        var since = good ?? Math.Min(connection.Number("SELECT since FROM holdfast_jobs WHERE job = @job", ("job", job.Name)) ?? now, now);
        var due = job.Schedule.Next(since); // the first that is not done
        return new JobState(job.Name, job.Command, last, good, job.Schedule.Next(now), due < long.MaxValue && due + job.Schedule.Patience(due) < now);
    }

    static RunState Read(DbDataReader row) => new(row.GetInt64(0), (RunOutcome)row.GetInt32(1), row.IsDBNull(2) ? null : row.GetInt32(2), row.IsDBNull(3) ? null : row.GetInt64(3), row.IsDBNull(4) ? null : row.GetInt64(4), row.GetInt32(5), row.GetInt64(6), row.GetInt32(7) == Running);
}
