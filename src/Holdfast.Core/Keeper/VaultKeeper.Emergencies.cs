using System.Security.Cryptography;
using Holdfast.Core.Keys;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Emergency restores, as the log tells of them.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Emergencies that may begin in 30 days: a log never shrinks. One that is refused is kept where it happened, and entered later. How one goes on is always taken.</summary>
    public const int MostEmergencies = 1_000;

    /// <summary>Takes a step of an emergency restore into the log; one that the log has is taken as done.</summary>
    /// <exception cref="HoldfastException"><c>QuorumMissing</c>: a release that nobody else approved; <c>CommitRefused</c>: it cannot follow what the log has; <c>QuotaExceeded</c>.</exception>
    public void Enter(EmergencyObject step)
    {
        var (bytes, name) = (step.ToArray(), new Hash32(SHA256.HashData(step.ToArray())));
        if (Remote is not null)
        {
            Asking(new KeeperRequest.EnterEmergency(bytes));
            if (!_projection.Objects.Contains(name))
                throw new HoldfastException(ErrorCode.LogForked, "The keeper says that it took the record, and its log does not have it.", "Treat that machine as suspect.");
            return;
        }
        Changing(() =>
        {
            if (_projection.Objects.Contains(name))
                return -1; // sent twice
            if (!SealedWords.TryParse(step.Words, out var words) || words.Vault != Vault || words.Domain != step.Domain || !EmergencyObject.TryParse(bytes, out _))
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent as a step of an emergency is none of this vault's. Nothing was changed.", "Use the same release of holdfast on both machines.");
            if (_projection.Fault(step) is { } fault)
                throw new HoldfastException(step.Step == EmergencyStep.Released && _projection.Emergency(step.Emergency) is { IsOpen: true } known && !_projection.IsReleaseApproved(known) ? ErrorCode.QuorumMissing : ErrorCode.CommitRefused, $"The step was not taken: {fault}. Nothing was changed.",
                    "`holdfast emergency list` shows what the log has. A release takes the approval of one approver who did not begin it, of a source that is marked as sensitive that of the quorum, two at least (holdfast approval request release); or --clinical-emergency.");
            if (step.Step == EmergencyStep.Begun && _projection.Emergencies.Count(e => e.Entered + 30 * RetentionPolicy.Day > Clock.Now) >= MostEmergencies)
                throw new HoldfastException(ErrorCode.QuotaExceeded, $"The log takes {MostEmergencies} emergencies in 30 days. Nothing was changed.", "Find out who has them recorded (`holdfast emergency list`).");
            return Append(new Leaf(LeafType.Emergency, Clock.Now, step.Emergency, step.Place, (ulong)step.Step, step.At, 0, Store.PutTwice(bytes)));
        });
    }
}
