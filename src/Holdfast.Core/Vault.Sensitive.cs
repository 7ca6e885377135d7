using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;

namespace Holdfast.Core;

/// <summary>Sources that are marked as sensitive: what they hold is brought into isolation alone.</summary>
public sealed partial class Vault
{
    /// <summary>Refuses to bring contents of a sensitive source anywhere but into isolation. Whatever gives out contents asks this; <see cref="Restore"/> and <see cref="Cat"/> do by themselves.</summary>
    /// <exception cref="HoldfastException"><c>SensitiveSource</c>, with the command that goes on at once.</exception>
    public void RequireNotSensitive(SnapshotRecord record)
    {
        if (!State.IsSensitive(record))
            return;
        var needed = Math.Max(ApprovalRequest.LeastForSensitive, (int)State.Approvers.Quorum);
        throw new HoldfastException(ErrorCode.SensitiveSource, $"Snapshot {record.Snapshot} is of a source that is marked as sensitive: what it holds is brought into isolation alone. Nothing was brought.",
            $"At once, and by one person: `holdfast restore {record.Snapshot} PLACE --isolated --reason TEXT`, into a new folder that nobody else can enter; all who look at the vault see it. Out of there it comes with {needed} approvers (holdfast approval request release), or, where a patient cannot wait, with `holdfast emergency release PLACE TO --clinical-emergency --reason TEXT`. Where a patient cannot wait and no place can be isolated (a network share, a pipe): `holdfast restore` or `holdfast cat` with `--clinical-emergency --reason TEXT`, on one person's word, recorded and seen by all.");
    }
}
