using System.Collections.Concurrent;
using System.Diagnostics;
using Holdfast.Core;

namespace Holdfast.Control.Processes;

/// <summary>Starts children that end when this process does, however that ends.</summary>
/// <remarks>The kernel sends the signal for that when the thread ends that started the child: so all are started by one, which lasts as long as the process. `setpriv` asks for it, and changes the user, before it becomes the child.</remarks>
sealed class Spawner : IDisposable
{
    static readonly string[] Meant = ["HOLDFAST_VAULT", "HOLDFAST_KEYS"]; // for this process: what a child is to use, its arguments say

    const string Setpriv = "/usr/bin/setpriv";

    readonly BlockingCollection<Action> _work = [];
    readonly string _program;
    readonly IReadOnlySet<string> _withheld;

    /// <param name="program">`holdfast`.</param>
    /// <param name="withheld">Variables of the environment that no child gets: the database's password.</param>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>.</exception>
    public Spawner(string program, IReadOnlySet<string> withheld)
    {
        if (!File.Exists(Setpriv))
            throw new HoldfastException(ErrorCode.SystemLimit, "Roles and jobs are started by setpriv, which is not here.", "Install util-linux (it is part of every Debian and Ubuntu); `holdfast serve` runs on Linux alone.");
        if (!File.Exists(program))
            throw new HoldfastException(ErrorCode.SystemLimit, "The program `holdfast` is not where it belongs, in the folder above this one's.", "The files of a release belong together: put all of them there again.");
        (_program, _withheld) = (program, withheld);
        new Thread(Work) { IsBackground = true, Name = "holdfast spawner" }.Start();
    }

    void Work()
    {
        foreach (var work in _work.GetConsumingEnumerable())
            work();
    }

    /// <param name="arguments">Of `holdfast`.</param>
    /// <param name="user">As whom; null for this process's own.</param>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>: no process can be started.</exception>
    public Process Start(IReadOnlyList<string> arguments, User? user)
    {
        var start = new ProcessStartInfo(Setpriv) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])["--pdeathsig", "KILL", .. user is null ? Array.Empty<string>() : [$"--reuid={user.Id}", $"--regid={user.Group}", "--init-groups"], "--", _program, .. arguments])
            start.ArgumentList.Add(argument);
        Clean(start.Environment, user);
        var started = new TaskCompletionSource<Process>();
        _work.Add(() =>
        {
            try
            {
                started.SetResult(Process.Start(start)!);
            }
            catch (Exception e) // whatever it is, somebody waits, and the thread goes on
            {
                started.SetException(new HoldfastException(ErrorCode.SystemLimit, "No further process can be started on this machine.", "See how many there are, and what memory is left.", e));
            }
        });
        var process = started.Task.GetAwaiter().GetResult();
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Takes out of a child's environment what is not for it.</summary>
    internal void Clean(IDictionary<string, string?> environment, User? user)
    {
        foreach (var name in _withheld.Concat(Meant))
            environment.Remove(name);
        if (user is null)
            return;
        foreach (var name in new[] { "XDG_STATE_HOME", "XDG_CACHE_HOME", "HOLDFAST_STATE_DIR" })
            environment.Remove(name); // folders of this process's user
        environment["HOME"] = user.Home;
    }

    public void Dispose() => _work.CompleteAdding();
}
