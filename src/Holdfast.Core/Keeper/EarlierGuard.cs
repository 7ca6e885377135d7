using System.Text;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What guards kept before they had a memory (<see cref="GuardMemory"/>): the newest checkpoint they saw, since when they knew each pack that no commit names (a line each: name,
/// seconds since 1970), and a clock as it is now. They judged by the log alone; so what they knew of locks is in the log that goes on from that checkpoint.</summary>
/// <param name="folder">The guard's own folder for one vault.</param>
sealed class EarlierGuard(string folder)
{
    const string TakenOver = "checkpoint.taken-over";

    readonly string _checkpoint = Path.Combine(folder, "checkpoint");

    /// <summary>It is here, and not taken over to its end.</summary>
    public bool IsThere => Path.Exists(_checkpoint);

    /// <exception cref="HoldfastException"><c>LogForked</c>: the log does not go on from what that guard saw; <c>GuardStateDamaged</c>.</exception>
    public void Require(MerkleLog log)
    {
        if (PlainFile.ReadAll(_checkpoint, Checkpoint.MaxLength) is not { } note || !Checkpoint.TryParse(Encoding.UTF8.GetString(note), out var seen))
            throw GuardJudge.Damaged();
        log.RequireExtends(seen);
    }

    /// <summary>Since when it knew what no commit names. What cannot be read counts as new, and is kept the longer.</summary>
    public Dictionary<Hash32, ulong> Unclaimed() => UnclaimedNote.Read(Path.Combine(folder, "unclaimed"));

    /// <summary>From here on it is not taken over again: the last step, so that one which was cut short is.</summary>
    public void Retire(Disk disk)
    {
        disk.Rename(_checkpoint, Path.Combine(folder, TakenOver), replace: true);
        disk.SyncFolder(folder);
    }
}
