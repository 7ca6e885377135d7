using System.Text.Json;
using Holdfast.Cli;
using Holdfast.Cli.Commands;
using Holdfast.Control.Database;
using Holdfast.Control.Processes;

namespace Holdfast.Control.Jobs;

/// <summary>Takes runs that are due and has them done, each by a process of its own.</summary>
sealed class JobRunner(IReadOnlyList<Job> jobs, IReadOnlyDictionary<string, User> users, RunStore store, Spawner spawner, int atOnce, TimeSpan beat, Action<string> note, Action<string> warn)
{
    const int MostRead = 1 << 20; // bytes of what a job says
    const long MostEarly = 600_000; // milliseconds: the clocks of vault and database are not one
    const int ForgetEvery = 3_600; // beats
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);
    static readonly TimeSpan PauseWhileHolding = TimeSpan.FromSeconds(5);
    const long MostApart = 60_000; // milliseconds between two clocks

    readonly Dictionary<Attempt, (Thread Thread, CancellationTokenSource Stop)> _held = []; // under its own lock
    CancellationToken _stop;
    bool _isApart; // the clocks, as was told
    volatile bool _hasTables; // as far as is known: a database may be lost, and made anew
    readonly Dictionary<string, Job> _jobs = jobs.ToDictionary(j => j.Name);

    /// <summary>Until it is stopped; then all that runs is ended and given back.</summary>
    public void Run(CancellationToken stop)
    {
        _stop = stop;
        for (var beats = 0L; !stop.IsCancellationRequested; beats++)
        {
            var isOld = beats % ForgetEvery == 0;
            Patiently(() => Beat(isOld), stop);
            stop.WaitHandle.WaitOne(beat);
        }
        List<(Thread Thread, CancellationTokenSource Stop)> left;
        lock (_held)
            left = [.. _held.Values];
        left.ForEach(l => l.Thread.Join());
        Once(store.Leave);
    }

    void Beat(bool isOld)
    {
        if (!_hasTables)
            store.Migrate();
        _hasTables = true;
        List<Attempt> held;
        lock (_held)
            held = [.. _held.Keys];
        foreach (var lost in store.Beat(held))
        {
            lock (_held)
            {
                if (_held.TryGetValue(lost, out var run))
                    run.Stop.Cancel(); // another has it: this one was thought dead, or ended just now
            }
        }
        TellClocks();
        store.Take(jobs, atOnce - held.Count, Begin);
        if (isOld)
            Forget();
    }

    /// <summary>Where somebody stands still with an old row, another time.</summary>
    void Forget()
    {
        try
        {
            store.Forget();
        }
        catch (System.Data.Common.DbException e) when (Connection.IsHeldUp(e))
        {
            // It is history alone.
        }
    }

    void Begin(Attempt attempt)
    {
        var stop = new CancellationTokenSource();
        var thread = new Thread(() => Do(attempt, stop)) { IsBackground = true, Name = "holdfast job" };
        lock (_held)
            _held[attempt] = (thread, stop);
        try
        {
            thread.Start();
        }
        catch
        {
            lock (_held)
                _held.Remove(attempt); // its lease ends
            throw;
        }
    }

    void TellClocks()
    {
        var isApart = Math.Abs(store.Ahead) > MostApart;
        if (isApart && !_isApart)
            warn($"holdfast: the database's clock is {Math.Abs(store.Ahead) / 1_000} s {(store.Ahead > 0 ? "ahead of" : "behind")} this machine's. Jobs are due by it, and never before this machine's clock says so too: set both right");
        _isApart = isApart;
    }

    /// <summary>Has it done, again and again where the database does not answer.</summary>
    void Patiently(Action work, CancellationToken stop)
    {
        var (pause, told) = (TimeSpan.FromSeconds(1), "");
        for (; ; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                work();
                if (told.Length > 0)
                    note("The database answers again.");
                return;
            }
            catch (Exception e) // whatever it is, keeper and gateway run on, and nobody's database ends them
            {
                var fault = ControlDatabase.Fault(e) ?? (e as Core.HoldfastException)?.Message ?? e.GetType().Name;
                if (ControlDatabase.Fault(e) is null)
                    pause = LongestPause;
                if (fault != told)
                    warn($"holdfast: the control plane's database cannot be used: {fault}. No job is begun until it can; roles run on, and so do backups that agents begin by themselves");
                told = fault;
                _hasTables = false;
            }
            bool isHolding;
            lock (_held)
                isHolding = _held.Count > 0;
            if (stop.WaitHandle.WaitOne(isHolding && pause > PauseWhileHolding ? PauseWhileHolding : pause)) // else leases end
                return;
        }
    }

    static void Once(Action work)
    {
        try
        {
            work();
        }
        catch (Exception e) when (ControlDatabase.Fault(e) is not null)
        {
            // Whoever runs jobs next finds out by the lease.
        }
    }

    void Do(Attempt attempt, CancellationTokenSource lost)
    {
        try
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(_stop, lost.Token);
            var job = _jobs[attempt.Job];
            var result = RequireOwn(Child(job, attempt, stop.Token), attempt.Due, store.Machine.GetUtcNow().ToUnixTimeMilliseconds());
            if (result.Status == (int)Core.ErrorCode.RunDone)
                warn($"holdfast: job {job.Name}: the snapshot that this run is said to have made is older than the run, or nobody proved it. Where the vault's clock is not behind (holdfast status), somebody may have used its name before: run `holdfast backup` by hand, and look who writes to the database");
            if (_stop.IsCancellationRequested && result.Outcome == RunOutcome.Failed)
            {
                Once(() => store.GiveBack(attempt));
                return;
            }
            bool? isOurs = null; // for ever where the database does not answer before this process ends: then the lease says it
            Patiently(() => isOurs = store.End(attempt, result, job.Tries), stop.Token);
            if (isOurs == true && result.Outcome is RunOutcome.Failed or RunOutcome.Incomplete)
                warn($"holdfast: job {job.Name}: {ServeCommand.Code(result.Status)}{(result.MayPass && attempt.Number < job.Tries ? "; it is tried again" : "")}");
            else if (isOurs == true)
                note($"{job.Name}: done{(result.IsDoneBefore ? " before, by another process" : "")}");
            else if (isOurs == false)
                warn($"holdfast: job {job.Name}: another process has taken this run over, as nothing was heard of this one for too long");
        }
        finally
        {
            lock (_held)
                _held.Remove(attempt);
            lost.Dispose();
        }
    }

    AttemptResult Child(Job job, Attempt attempt, CancellationToken stop)
    {
        try
        {
            using var child = new Child(spawner.Start(job.Call(attempt.Run), job.User is null ? null : users[job.User]));
            using var head = new MemoryStream();
            child.Read(p => p.StandardOutput, reader => ReadHead(reader.BaseStream, head));
            child.Read(p => p.StandardError, reader => ReadHead(reader.BaseStream, null)); // dropped: it may name files
            var status = child.Wait(Patience, stop);
            lock (head)
                return Counted(status, head.ToArray());
        }
        catch (Core.HoldfastException e)
        {
            return new AttemptResult((int)e.Code);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return new AttemptResult((int)Core.ErrorCode.SystemLimit); // a pipe, a process: the machine has none left
        }
    }

    /// <summary>What comes first, to the limit; all else is read and dropped, as its writer waits for that.</summary>
    static void ReadHead(Stream stream, MemoryStream? head)
    {
        var buffer = new byte[1 << 14];
        while (stream.Read(buffer) is var count and > 0)
        {
            if (head is null)
                continue;
            lock (head)
            {
                if (head.CanWrite) // else nobody waits any more
                    head.Write(buffer, 0, (int)Math.Min(count, MostRead - head.Length));
            }
        }
    }

    /// <summary>A run's snapshot is made after the run was due. One that is older was made under a name that was not yet to be had: that night's data is not in it.</summary>
    /// <param name="result">Of the run.</param>
    /// <param name="due">By clocks that are right.</param>
    /// <param name="now">By the same. A vault's clock that is behind (time powered off does not count) is so by as much when it says when a snapshot was committed.</param>
    internal static AttemptResult RequireOwn(AttemptResult result, long due, long now) =>
        result is { IsDoneBefore: true, Outcome: RunOutcome.DoneBefore or RunOutcome.Incomplete } && !(result.Committed >= due - MostEarly - Math.Max(0, now - (result.VaultTime ?? now))) ? result with { Status = (int)Core.ErrorCode.RunDone } : result;

    /// <summary>Numbers of a backup's report; of all else the exit status alone.</summary>
    internal static AttemptResult Counted(int status, byte[] report)
    {
        try
        {
            using var document = JsonDocument.Parse(report);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                return new AttemptResult(status);
            long? Time(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.TryGetDateTimeOffset(out var time) ? time.ToUnixTimeMilliseconds() : null;
            long? Number(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : null;
            return new AttemptResult(status, root.TryGetProperty("doneBefore", out var before) && before.ValueKind == JsonValueKind.True, Number("files"), Number("bytes"), Number("bytesStored") ?? Number("bytesSent"))
            {
                Committed = Time("committed"),
                VaultTime = Time("vaultTime"),
            };
        }
        catch (JsonException)
        {
            return new AttemptResult(status);
        }
    }
}
