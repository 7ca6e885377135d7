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
    const int ForgetEvery = 3_600; // beats
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    readonly Dictionary<Attempt, (Thread Thread, CancellationTokenSource Stop)> _held = []; // under its own lock
    CancellationToken _stop;
    volatile bool _hasTables; // as far as is known: a database may be lost, and made anew
    readonly Dictionary<string, Job> _jobs = jobs.ToDictionary(j => j.Name);

    /// <summary>Until it is stopped; then all that runs is ended and given back.</summary>
    /// <exception cref="Core.HoldfastException"><c>FormatNewer</c>.</exception>
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
        if (isOld)
            store.Forget();
        foreach (var attempt in store.Take(jobs, atOnce - held.Count))
        {
            var stop = new CancellationTokenSource();
            var thread = new Thread(() => Do(attempt, stop)) { IsBackground = true, Name = "holdfast job" };
            lock (_held)
                _held[attempt] = (thread, stop);
            thread.Start();
        }
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
            catch (Exception e) when (ControlDatabase.Fault(e) is not null)
            {
                var fault = ControlDatabase.Fault(e)!;
                if (fault != told)
                    warn($"holdfast: the control plane's database cannot be used: {fault}. No job is begun until it can; roles run on, and so do backups that agents begin by themselves");
                told = fault;
                _hasTables = false;
            }
            if (stop.WaitHandle.WaitOne(pause))
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
            var result = Child(job, attempt, stop.Token);
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
            var said = Task.Factory.StartNew(() => ReadHead(child.Process.StandardOutput.BaseStream), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            var complained = Task.Factory.StartNew(() => ReadHead(child.Process.StandardError.BaseStream), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default); // dropped: it may name files
            var status = child.Wait(Patience, stop);
            Task.WaitAll(said, complained);
            return Counted(status, said.Result);
        }
        catch (Core.HoldfastException e)
        {
            return new AttemptResult((int)e.Code);
        }
    }

    /// <summary>What comes first, to the limit; all else is read and dropped, as its writer waits for that.</summary>
    static byte[] ReadHead(Stream stream)
    {
        using var head = new MemoryStream();
        var buffer = new byte[1 << 14];
        while (stream.Read(buffer) is var count and > 0)
            head.Write(buffer, 0, (int)Math.Min(count, MostRead - head.Length));
        return head.ToArray();
    }

    /// <summary>Numbers of a backup's report; of all else the exit status alone.</summary>
    internal static AttemptResult Counted(int status, byte[] report)
    {
        try
        {
            using var document = JsonDocument.Parse(report);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                return new AttemptResult(status);
            long? Number(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : null;
            return new AttemptResult(status, root.TryGetProperty("doneBefore", out var before) && before.ValueKind == JsonValueKind.True, Number("files"), Number("bytes"), Number("bytesStored") ?? Number("bytesSent"));
        }
        catch (JsonException)
        {
            return new AttemptResult(status);
        }
    }
}
