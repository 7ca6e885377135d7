using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Holdfast.Control.Processes;

/// <summary>A process that this one started: asked to end, and made to where it does not.</summary>
sealed partial class Child(Process process) : IDisposable
{
    const int Terminate = 15; // SIGTERM

    readonly Lock _gate = new();
    bool _isOver;

    public Process Process => process;

    /// <summary>Waits for its end.</summary>
    /// <param name="patience">How long it has, once it is asked to end.</param>
    /// <param name="stop">Has it asked to end.</param>
    /// <returns>The exit status; 128 and the signal's number where one ended it.</returns>
    public int Wait(TimeSpan patience, CancellationToken stop)
    {
        using var asked = stop.Register(Ask);
        using var late = new CancellationTokenSource();
        using var timed = stop.Register(() => late.CancelAfter(patience));
        using var killed = late.Token.Register(() => Signal(() => process.Kill()));
        process.WaitForExit();
        lock (_gate)
            _isOver = true; // its number may be another's from here on
        return process.ExitCode;
    }

    /// <summary>Asks it to end.</summary>
    public void Ask() => Signal(() => _ = Kill(process.Id, Terminate));

    void Signal(Action signal)
    {
        lock (_gate)
        {
            if (!_isOver && !process.HasExited)
                signal();
        }
    }

    public void Dispose() => process.Dispose();

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
