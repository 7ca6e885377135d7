namespace Holdfast.Core;

/// <summary>A failure a person must act on: what happened, the stable code, what to do next.</summary>
/// <remarks>Programming mistakes stay <see cref="ArgumentException"/> and friends; cancellation stays
/// <see cref="OperationCanceledException"/>. Expected outcomes are return values, not this. Messages hold ids and counts,
/// never the name of a file, a folder, a host or a person from inside a backup (docs/threat-model.md).</remarks>
public sealed class HoldfastException(ErrorCode code, string message, string guidance, Exception? inner = null)
    : Exception(message, inner)
{
    public ErrorCode Code { get; } = code;
    public string Guidance { get; } = guidance;

    /// <summary>True where the same call may succeed later without anyone doing anything.</summary>
    public bool IsTransient { get; init; }

    /// <summary>With <see cref="ErrorCode.RunDone"/>: what the log, as it was checked here, says of that run. Null where another process says so and no more: its word ends no backup.</summary>
    public DoneRun? Done { get; internal init; }
}
