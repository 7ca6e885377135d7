using Holdfast.Cli.Commands;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.CleanRooms;

/// <summary>Which snapshots a clean room has to attest, and in which order.</summary>
static class CleanRoomQueue
{
    /// <summary>Vault time from a commit to the moment by which it is to be attested.</summary>
    public const ulong Within = RetentionPolicy.Day;

    const ulong Silence = 30 * RetentionPolicy.Day;

    /// <summary>Those that no clean room has opened yet, and whose object is there: without it nothing can be.</summary>
    public static List<SnapshotRecord> Waiting(Vault vault) =>
        [.. vault.State.Snapshots.Where(s => s is { IsRemoved: false, Object: not null, Defects: 0, Opened: 0 } && !AttestCommand.IsOver(vault, s))];

    public static bool IsLate(Vault vault, SnapshotRecord record) => record.Committed + Within < vault.Keeper.Clock.Now;

    /// <summary>Nothing was heard of it for a month, in which `status` told so each time: there is none any more.</summary>
    public static bool IsGivenUp(Vault vault) => vault.State.CleanRoom.Last + Silence < vault.Keeper.Clock.Now;

    /// <summary>All that waits: the last day's first, in the order in which their day ends, then those before it, the newest first.</summary>
    public static List<SnapshotRecord> InOrder(Vault vault)
    {
        var waiting = Waiting(vault);
        return [.. waiting.Where(s => !IsLate(vault, s)).OrderBy(s => s.Ordinal), .. waiting.Where(s => IsLate(vault, s)).OrderByDescending(s => s.Ordinal)];
    }

    /// <summary>What has defects, which may have been mended: a day after they were found, and the longer it has had them the less often. Those that are healed are among them.</summary>
    public static List<SnapshotRecord> Defective(Vault vault) =>
        [.. vault.State.Snapshots.Where(s => s is { IsRemoved: false, Object: not null, Defects: > 0 } && !AttestCommand.IsOver(vault, s) && s.DefectsFound + Pause(s) <= vault.Keeper.Clock.Now).OrderBy(s => s.DefectsFound)];

    static ulong Pause(SnapshotRecord record) => Math.Max(RetentionPolicy.Day, (record.DefectsFound - record.DefectsSince) / 2);

    /// <summary>The next one: what failed comes after all that did not, when its pause is over.</summary>
    /// <param name="due">In their order.</param>
    /// <param name="failed">What is noted.</param>
    /// <param name="now">Seconds since 1970, by this machine: where its clock went back, nothing waits for that.</param>
    public static SnapshotRecord? Next(IReadOnlyList<SnapshotRecord> due, IReadOnlyDictionary<Id16, FailedAttestation> failed, long now) =>
        due.FirstOrDefault(s => !failed.ContainsKey(s.Snapshot)) ?? due.Where(s => failed[s.Snapshot] is var f && (f.Next <= now || f.Last > now)).MinBy(s => failed[s.Snapshot].Tries);
}
