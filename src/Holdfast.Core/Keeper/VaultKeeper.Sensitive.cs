using Holdfast.Core.Approvals;

namespace Holdfast.Core.Keeper;

/// <summary>Sources that are marked as sensitive.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Marks of single sources that one vault takes: a log never shrinks. Where more are sensitive, all are: that mark is always taken.</summary>
    public const int MostSensitive = 1_000;

    /// <summary>Marks a source, or all, as sensitive: from then on what they hold is restored into isolation alone. At once; taking a mark back takes approvals.</summary>
    /// <param name="source">None: all sources, those of later backups too.</param>
    /// <param name="actor">Who asks.</param>
    /// <returns>False where it is marked already.</returns>
    /// <exception cref="HoldfastException"><c>QuorumMissing</c>: there are too few approvers to let anything out, or to take the mark back; <c>QuotaExceeded</c>.</exception>
    public bool MarkSensitive(Id16 source, Id16 actor) => Remote is not null ? Asking(new KeeperRequest.Mark(source, actor)) is [1] : Changing(() =>
    {
        if (_projection.Sensitive.ContainsKey(source))
            return false;
        if (_projection.Approvers.People.Count < ApprovalRequest.LeastForSensitive)
            throw new HoldfastException(ErrorCode.QuorumMissing, $"To mark a source as sensitive takes a vault with {ApprovalRequest.LeastForSensitive} approvers at least: in this one nobody could approve of letting a restore out of isolation, or of taking the mark back. Nothing was changed.",
                _projection.Approvers.IsNobody ? "Approvers are named when a vault is made (holdfast init --approver)." : "Have another approver named first (holdfast approval request approvers).");
        if (!source.IsNone && _projection.Sensitive.Count >= MostSensitive)
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"{MostSensitive} sources are marked as sensitive, and a vault takes no more such marks. Nothing was changed.", "Mark all sources in their place (leave --name out).");
        Append(new Leaf(LeafType.Sensitive, Clock.Now, source, actor, 1, 0, 0, Hash32.None));
        return true;
    });
}
