using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Holdfast.Control.Processes;

/// <summary>A process that this one started: asked to end, and made to where it does not.</summary>
sealed partial class Child(Process process) : IDisposable
{
    const int Terminate = 15; // SIGTERM
    static readonly TimeSpan Lag = TimeSpan.FromSeconds(5);

    readonly Lock _gate = new();
    bool _isOver;

    public Process Process => process;

    readonly List<Task> _readers = [];

    /// <summary>Has what it says read, until it ends and a little longer.</summary>
    public void Read(Func<Process, StreamReader> what, Action<StreamReader> read)
    {
        var from = what(process);
        _readers.Add(Task.Factory.StartNew(() =>
        {
            try
            {
                read(from);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // Nobody waits for it any more.
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
    }

    /// <summary>Waits for its end.</summary>
    /// <param name="patience">How long it has, once it is asked to end.</param>
    /// <param name="stop">Has it asked to end.</param>
    /// <returns>The exit status; 128 and the signal's number where one ended it.</returns>
    public int Wait(TimeSpan patience, CancellationToken stop)
    {
        using var asked = stop.Register(Ask);
        using var late = new CancellationTokenSource();
        using var timed = stop.Register(() => late.CancelAfter(patience));
        using var killed = late.Token.Register(() => Signal(() => process.Kill(entireProcessTree: true)));
        process.WaitForExit();
        lock (_gate)
            _isOver = true; // its number may be another's from here on
        Task.WaitAll([.. _readers], Lag); // a process that it left behind may have its output open for ever
        return process.ExitCode;
    }

    /// <summary>Asks it to end.</summary>
    public void Ask() => Signal(() => _ = Kill(process.Id, Terminate));

    void Signal(Action signal)
    {
        lock (_gate)
        {
            try
            {
                if (!_isOver && !process.HasExited)
                    signal();
            }
            catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
            {
                // It ended just now, or something below it is another user's: what can be ended is.
            }
        }
    }

    public void Dispose() => process.Dispose();

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
