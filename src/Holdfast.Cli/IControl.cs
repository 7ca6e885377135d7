using Holdfast.Core;

namespace Holdfast.Cli;

/// <summary>What `holdfast serve` was called with.</summary>
/// <param name="Config">Its configuration file; null for what there is by default.</param>
/// <param name="Vault">The vault, where no file names it.</param>
/// <param name="Keys">The key folder, likewise.</param>
public sealed record ServeCall(string? Config, string? Vault, string? Keys);

/// <summary>How a run ended.</summary>
public enum RunOutcome
{
    /// <summary>It has not.</summary>
    None = 0,
    Done = 1,

    /// <summary>Another process had done it, and was not able to say so.</summary>
    DoneBefore = 2,

    /// <summary>It was done, and something was left out: exit status 3.</summary>
    Incomplete = 3,
    Failed = 4,

    /// <summary>It had not begun when the next one was due.</summary>
    Missed = 5,
}

/// <summary>One run of a job; times are milliseconds since 1970.</summary>
/// <param name="Due">When it was due.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Status">The exit status.</param>
/// <param name="Began">When it began last.</param>
/// <param name="Ended">When it ended.</param>
/// <param name="Attempts">How often it was begun.</param>
/// <param name="Missed">Due times just before it that nobody was there for.</param>
/// <param name="IsRunning">It runs now.</param>
public sealed record RunState(long Due, RunOutcome Outcome, int? Status, long? Began, long? Ended, int Attempts, long Missed, bool IsRunning);

/// <summary>A job and what became of it.</summary>
/// <param name="Name">Of the job.</param>
/// <param name="Command">Which command it is, such as `log cosign`.</param>
/// <param name="Last">Its newest run that has begun or ended; null for none yet.</param>
/// <param name="LastGood">When the newest run that did its work was due; null for none yet.</param>
/// <param name="Next">When it is due next.</param>
/// <param name="IsOverdue">What was due is not done, and should be by now.</param>
public sealed record JobState(string Name, string Command, RunState? Last, long? LastGood, long Next, bool IsOverdue)
{
    public bool IsFailed => Last is { Outcome: RunOutcome.Failed };
}

/// <summary>What the database says.</summary>
/// <param name="Now">By its clock, milliseconds since 1970.</param>
/// <param name="Nodes">Processes that were heard of lately: what each is called, and when that was.</param>
/// <param name="Jobs">In the order of the configuration.</param>
public sealed record ServeStatus(long Now, IReadOnlyList<(string Name, long Heard)> Nodes, IReadOnlyList<JobState> Jobs);

/// <summary>The control plane. It stands on libraries that are not made to be compiled ahead, so a third program has it, <c>holdfast-control</c> (docs/design/0022-control-plane.md), and each of the others becomes that one.</summary>
public interface IControl
{
    /// <summary>Called before a command that will need it does, asks or says anything.</summary>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>: that program is not there or cannot be run.</exception>
    void Require();

    /// <summary>Runs roles and jobs until it is stopped.</summary>
    /// <param name="what">It is called with.</param>
    /// <param name="note">Gets what is done.</param>
    /// <param name="warn">Gets what whoever runs it has to know.</param>
    /// <param name="ct">Ends it, and all that it started.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: the configuration is none. <c>DatabaseUnavailable</c>: another process has the database. <c>FormatNewer</c>. <c>SystemLimit</c>.</exception>
    void Serve(ServeCall what, Action<string> note, Action<string> warn, CancellationToken ct);

    /// <summary>What became of the jobs.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>FormatNewer</c>; <c>DatabaseUnavailable</c>: it cannot be asked.</exception>
    ServeStatus Status(ServeCall what, CancellationToken ct);
}
