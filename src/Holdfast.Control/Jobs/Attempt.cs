using Holdfast.Cli;
using Holdfast.Core;

namespace Holdfast.Control.Jobs;

/// <summary>A run that this process has taken.</summary>
/// <param name="Job">Of which job.</param>
/// <param name="Due">When it was due.</param>
/// <param name="Run">Its name, worked out here: what the database says goes into no command.</param>
/// <param name="Token">Grows each time that somebody takes the run: what was taken with an older one says nothing any more.</param>
/// <param name="Number">How often it was begun, with this.</param>
sealed record Attempt(string Job, long Due, string Run, long Token, int Number);

/// <summary>What came of it. Numbers alone: no name, no path, no words.</summary>
/// <param name="Status">The exit status.</param>
/// <param name="IsDoneBefore">Another had done it.</param>
/// <param name="Files">In the snapshot; null where it was not said, as with what follows.</param>
/// <param name="Bytes">In the snapshot.</param>
/// <param name="Stored">Bytes that were new.</param>
sealed record AttemptResult(int Status, bool IsDoneBefore = false, long? Files = null, long? Bytes = null, long? Stored = null)
{
    /// <summary>When the snapshot was committed, by the vault's clock; milliseconds since 1970, null where it was not said.</summary>
    public long? Committed { get; init; }

    /// <summary>What the vault's clock said then; null where it was not said.</summary>
    public long? VaultTime { get; init; }

    const int Signalled = 128; // and more: ended by a signal
    const long FirstPause = 5_000; // milliseconds
    public const long LongestPause = 300_000;

    public RunOutcome Outcome => Status switch
    {
        0 => IsDoneBefore ? RunOutcome.DoneBefore : RunOutcome.Done,
        (int)ErrorCode.Incomplete => RunOutcome.Incomplete, // the snapshot is committed
        _ => RunOutcome.Failed,
    };

    /// <summary>The same may go well a little later, without anyone doing anything.</summary>
    public bool MayPass => Status > Signalled || (ErrorCode)Status is ErrorCode.VaultBusy or ErrorCode.PackMissing or ErrorCode.ObjectMissing or ErrorCode.IndexDamaged
        or ErrorCode.StoreUnavailable or ErrorCode.SessionLost or ErrorCode.AgentUnproved or ErrorCode.DiskFull or ErrorCode.SystemLimit;

    /// <summary>How long is waited before it is begun again.</summary>
    public static long PauseAfter(int number) => Math.Min(LongestPause, FirstPause << Math.Min(number - 1, 10));
}
