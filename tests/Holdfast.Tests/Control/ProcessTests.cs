using System.Collections.Concurrent;
using System.Text;
using Holdfast.Cli;
using Holdfast.Control.Database;
using Holdfast.Control.Jobs;
using Holdfast.Control.Processes;
using Holdfast.Core;

namespace Holdfast.Tests.Control;

/// <summary>What is started by the control plane, as whom, with what, and how it ends.</summary>
public sealed class ProcessTests
{
    static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(300);

    static void RequireSetpriv() => Assert.SkipUnless(File.Exists("/usr/bin/setpriv"), "needs setpriv (Debian: util-linux)");

    static Spawner Of(string program, params string[] withheld) => new(program, withheld.ToHashSet());

    static string Said(Spawner spawner, User? user, params string[] arguments)
    {
        using var child = new Child(spawner.Start(arguments, user));
        var said = child.Process.StandardOutput.ReadToEnd();
        Assert.Equal(0, child.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        return said;
    }

    [Fact]
    public void A_child_has_the_user_it_is_given_and_that_users_home()
    {
        RequireSetpriv();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root to start a process as another user");
        using var spawner = Of("/bin/sh");
        var nobody = User.Find("nobody")!;
        Assert.Equal($"{nobody.Id} {nobody.Group} {nobody.Home}\n", Said(spawner, nobody, "-c", "echo $(id -u) $(id -g) $HOME"));
        Assert.Equal("0\n", Said(spawner, null, "-c", "id -u"));
        Assert.Null(User.Find("no-such-user-of-holdfast"));
    }

    [Fact]
    public void No_child_gets_the_databases_password()
    {
        RequireSetpriv();
        const string name = "HOLDFAST_TEST_DATABASE_PASSWORD";
        Environment.SetEnvironmentVariable(name, "Zzyzx");
        using var spawner = Of("/usr/bin/env", name);
        Assert.DoesNotContain("Zzyzx", Said(spawner, null), StringComparison.Ordinal);
        using var without = Of("/usr/bin/env");
        Assert.Contains("Zzyzx", Said(without, null), StringComparison.Ordinal); // the control
    }

    /// <summary>They are for this process: a job that goes through a gateway must not be sent elsewhere by them.</summary>
    [Fact]
    public void No_child_gets_the_vault_that_serve_was_called_with()
    {
        RequireSetpriv();
        using var spawner = Of("/usr/bin/env");
        var environment = new Dictionary<string, string?> { ["HOLDFAST_VAULT"] = "Zzyzx", ["HOLDFAST_KEYS"] = "Zzyzx", ["HOLDFAST_STATE_DIR"] = "kept" };
        spawner.Clean(environment, null);
        Assert.Equal(["HOLDFAST_STATE_DIR"], environment.Keys);
    }

    /// <summary>What a job's command leaves behind may have its output open for ever.</summary>
    [Fact]
    public void A_child_is_over_when_it_ends_whoever_has_its_output()
    {
        RequireSetpriv();
        using var spawner = Of("/bin/sh");
        using var child = new Child(spawner.Start(["-c", "echo here; sleep 40 & exit 7"], null));
        var said = new ConcurrentQueue<string>();
        child.Read(p => p.StandardOutput, reader => said.Enqueue(reader.ReadLine() + reader.ReadToEnd()));
        child.Read(p => p.StandardError, reader => reader.ReadToEnd());
        var status = 0;
        var waiting = new Thread(() => status = child.Wait(Soon, CancellationToken.None)) { IsBackground = true };
        waiting.Start();
        Assert.True(waiting.Join(TimeSpan.FromSeconds(30)));
        Assert.Equal(7, status);
        Assert.Empty(said); // the reader is still there
    }

    [Fact]
    public void Whatever_the_database_says_jobs_wait_and_nothing_else_ends()
    {
        RequireSetpriv();
        var folder = Directory.CreateTempSubdirectory("holdfast-control-").FullName;
        using (var database = ControlDatabase.File(Path.Combine(folder, "control.db"), toRun: true))
        {
            var store = new RunStore(database, "a", 30_000);
            store.Migrate();
            using (var connection = database.Open())
                connection.Do("INSERT INTO holdfast_schema (version) VALUES (99)");
            using var spawner = Of("/bin/sh");
            using var stop = new CancellationTokenSource();
            var warned = new ConcurrentQueue<string>();
            var ended = false;
            var running = new Thread(() =>
            {
                new JobRunner([], new Dictionary<string, User>(), store, spawner, 1, Soon, _ => { }, warned.Enqueue).Run(stop.Token);
                ended = true;
            })
            { IsBackground = true };
            running.Start();
            for (var waited = 0; warned.IsEmpty && waited < 600; waited++)
                Thread.Sleep(50);
            Assert.True(running.IsAlive);
            Assert.Contains("version 99", Assert.Single(warned), StringComparison.Ordinal);
            stop.Cancel();
            Assert.True(running.Join(TimeSpan.FromSeconds(30)) && ended);
        }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_snapshot_that_is_older_than_its_run_is_not_that_runs()
    {
        const long due = 1_800_000_000_000;
        AttemptResult Done(string report, int status = 0) => JobRunner.RequireOwn(JobRunner.Counted(status, Encoding.UTF8.GetBytes(report)), due, due + 3_600_000);
        Assert.Equal(RunOutcome.DoneBefore, Done("{\"doneBefore\": true, \"committed\": \"2027-01-15T08:00:01Z\"}").Outcome);
        Assert.Equal(RunOutcome.Incomplete, Done("{\"doneBefore\": true, \"committed\": \"2027-01-15T08:00:01Z\"}", 3).Outcome);
        foreach (var report in new[] { "{\"doneBefore\": true, \"committed\": \"2027-01-14T08:00:01Z\"}", "{\"doneBefore\": true}", "{\"doneBefore\": true, \"committed\": 7}" })
            Assert.Equal((RunOutcome.Failed, (int)ErrorCode.RunDone, false), Done(report) is var result ? (result.Outcome, result.Status, result.MayPass) : default);
        // A vault whose clock is a day behind says of all that it was committed a day before.
        Assert.Equal(RunOutcome.DoneBefore, Done("{\"doneBefore\": true, \"committed\": \"2027-01-14T08:00:01Z\", \"vaultTime\": \"2027-01-14T09:00:00Z\"}").Outcome);
        Assert.Equal(RunOutcome.Failed, Done("{\"doneBefore\": true, \"committed\": \"2027-01-13T08:00:01Z\", \"vaultTime\": \"2027-01-14T09:00:00Z\"}").Outcome);
        Assert.Equal(RunOutcome.Done, Done("{\"committed\": \"2020-01-14T08:00:01Z\"}").Outcome);
    }

    [Fact]
    public void A_child_is_asked_to_end_and_made_to_where_it_does_not()
    {
        RequireSetpriv();
        using var spawner = Of("/bin/sh");
        foreach (var (script, status) in new[] { ("trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done", 7), ("trap '' TERM; echo ready; while true; do sleep 0.1; done", 128 + 9) })
        {
            using var stop = new CancellationTokenSource();
            using var child = new Child(spawner.Start(["-c", script], null));
            Assert.Equal("ready", child.Process.StandardOutput.ReadLine());
            stop.CancelAfter(Soon);
            Assert.Equal(status, child.Wait(status == 7 ? TimeSpan.FromSeconds(30) : Soon, stop.Token));
            child.Ask(); // its number may be another's by now: nothing is sent
        }
    }

    [Fact]
    public void A_role_that_ends_is_started_again_with_longer_pauses_and_is_stopped()
    {
        RequireSetpriv();
        using var spawner = Of("/bin/sh");
        var (said, warned) = (new ConcurrentQueue<string>(), new ConcurrentQueue<string>());
        using var stop = new CancellationTokenSource();
        var running = new Thread(() => new RoleKeeper(new Role("gateway", ["-c", "echo here; echo bad >&2; exit 61"]), null, spawner, said.Enqueue, warned.Enqueue, TimeProvider.System).Run(stop.Token));
        running.Start();
        for (var waited = 0; said.Count < 3 && waited < 400; waited++)
            Thread.Sleep(50);
        stop.Cancel();
        Assert.True(running.Join(TimeSpan.FromSeconds(10)));
        Assert.All(said, s => Assert.Equal("gateway: here", s));
        Assert.Contains("gateway: bad", warned);
        Assert.Equal(["1 s", "2 s"], warned.Where(w => w.Contains("StoreUnavailable (61)", StringComparison.Ordinal)).Select(w => w.Split(" in ")[1]).Take(2));
    }

    [Fact]
    public void Without_its_tools_it_says_so()
    {
        RequireSetpriv();
        Assert.Equal(ErrorCode.SystemLimit, Assert.Throws<HoldfastException>(() => Of("/nowhere/holdfast")).Code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{")]
    [InlineData("{\"files\": \"Zzyzx\", \"bytes\": 1.5, \"bytesStored\": 99999999999999999999999, \"doneBefore\": 1}")]
    public void Of_what_a_job_says_numbers_count_and_nothing_else(string report) => Assert.Equal(new AttemptResult(61), JobRunner.Counted(61, Encoding.UTF8.GetBytes(report)));

    [Fact]
    public void A_backups_numbers_are_taken()
    {
        Assert.Equal(new AttemptResult(0, false, 3, 300, 30), JobRunner.Counted(0, "{\"files\": 3, \"bytes\": 300, \"bytesStored\": 30, \"problems\": [{\"path\": \"Zzyzx\"}]}"u8.ToArray()));
        Assert.Equal(RunOutcome.DoneBefore, JobRunner.Counted(0, "{\"doneBefore\": true}"u8.ToArray()).Outcome);
        Assert.Equal(RunOutcome.Failed, JobRunner.Counted(61, "{\"doneBefore\": true}"u8.ToArray()).Outcome);
        Assert.True(new AttemptResult(137).MayPass && new AttemptResult(61).MayPass && new AttemptResult((int)ErrorCode.SystemLimit).MayPass);
        Assert.False(new AttemptResult((int)ErrorCode.WrongKey).MayPass || new AttemptResult((int)ErrorCode.Usage).MayPass || new AttemptResult((int)ErrorCode.Incomplete).MayPass);
    }
}
