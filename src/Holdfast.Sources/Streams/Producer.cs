using System.ComponentModel;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Holdfast.Core;

namespace Holdfast.Sources.Streams;

/// <summary>A command whose output is backed up. A dump that died is never committed: its exit status is asked before the end of the stream counts.</summary>
public sealed partial class Producer : IDisposable
{
    const int NotThere = 2; // ENOENT
    const int AccessDenied = 13; // EACCES

    readonly Process _process;

    Producer(Process process) => _process = process;

    /// <param name="command">Program and arguments; no shell.</param>
    /// <exception cref="HoldfastException"><c>ProducerFailed</c>: it cannot be started.</exception>
    public static Producer Start(IReadOnlyList<string> command)
    {
        var start = new ProcessStartInfo(command[0]) { RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var argument in command.Skip(1))
            start.ArgumentList.Add(argument);
        try
        {
            return new Producer(Process.Start(start)!);
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            if (VariableSetting().IsMatch(command[0])) // its value may be a password
                throw new HoldfastException(ErrorCode.ProducerFailed, "A command was to be started, and its first word is the setting of a variable. Nothing was committed.", "There is no shell to set it: put `env` before it, or set it before `holdfast`.", e);
            throw new HoldfastException(ErrorCode.ProducerFailed, $"The command `{Path.GetFileName(command[0].Split(' ', '=')[0])}` could not be started{(e is Win32Exception { NativeErrorCode: NotThere } ? ": there is no such program" : e is Win32Exception { NativeErrorCode: AccessDenied } ? ": this user may not run it" : "")}. Nothing was committed.",
                "Check that the program is installed, and name it with its full path. Its arguments go apart from it: `-- PROGRAM ARGUMENT ARGUMENT`, without a shell.", e);
        }
    }

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]*=[^ ]*$")]
    private static partial Regex VariableSetting();

    public Stream Output => _process.StandardOutput.BaseStream;

    /// <summary>Waits for the command's end.</summary>
    /// <param name="ct">Ends the waiting, and what comes of a command that was ended for that.</param>
    /// <exception cref="HoldfastException"><c>ProducerFailed</c>: its exit status is not 0.</exception>
    /// <exception cref="OperationCanceledException">Nobody waits any more.</exception>
    public void RequireSuccess(CancellationToken ct)
    {
        _process.WaitForExitAsync(ct).GetAwaiter().GetResult();
        ct.ThrowIfCancellationRequested();
        if (_process.ExitCode != 0)
            throw new HoldfastException(ErrorCode.ProducerFailed, $"The command ended with status {_process.ExitCode}; its output was not committed.",
                "Its own messages say why. Mend it and run the backup again: what was stored already is not sent twice.");
    }

    /// <summary>Ends it, with what it has started: its output ends then.</summary>
    public void Kill()
    {
        try
        {
            if (!_process.HasExited)
                _process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
        {
            // Gone in the meantime.
        }
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }
}
