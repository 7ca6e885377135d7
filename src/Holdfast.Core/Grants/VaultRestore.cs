using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>Restores a snapshot for the agent that it was granted to, by the engine that every restore has: what the erasure register leaves out does not come, and what is read is compared with its digest here.</summary>
/// <param name="vault">Nobody else's while a restore runs.</param>
/// <param name="record">The snapshot.</param>
/// <param name="keys">Open it; they go nowhere.</param>
/// <param name="agent">As enrolled when it was granted.</param>
/// <param name="filter">Made anew for each run: what of it was granted.</param>
/// <param name="below">As of <see cref="Vault.Restore"/>.</param>
/// <param name="threads">0 for one a processor.</param>
public sealed class VaultRestore(Vault vault, SnapshotRecord record, ReadingKeys keys, Enrolment agent, Func<PathFilter> filter, byte[]? below, int threads) : IGrantedRestore
{
    /// <summary>What the last run that came to its end found; null where none did.</summary>
    public RestoreResult? Last { get; private set; }

    public bool IsBelieved()
    {
        vault.Keeper.Refresh();
        return vault.State.Agent(agent.Id) is { } now && now.PublicKey.AsSpan().SequenceEqual(agent.PublicKey);
    }

    /// <summary>Patterns that nothing has matched in this run.</summary>
    public Func<int> Unmatched { get; init; } = () => 0;

    public RestoreResult Run(ITreeWriter target, CancellationToken ct)
    {
        var result = vault.Restore(record, keys, target, filter(), new RestoreProgress(), threads, ct, below);
        return Last = result with { Unmatched = Unmatched(), Away = result.Failed + result.Lost > 0 ? Away() : 0 };
    }

    int Away()
    {
        try
        {
            vault.Keeper.Refresh();
            return vault.Keeper.Lost.Count;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.StoreUnavailable)
        {
            return 1; // a keeper elsewhere
        }
    }

    /// <summary>What the agent is told of the snapshot.</summary>
    /// <param name="vault">Has it.</param>
    /// <param name="record">Which.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="isPart">Not all of it is granted.</param>
    public static GrantStand StandOf(Vault vault, SnapshotRecord record, ReadingKeys keys, bool isPart)
    {
        var (tree, snapshot) = (vault.Describe(record, keys), record.Object!);
        return new GrantStand(Id16.None, record.Snapshot, record.Committed, snapshot.ClientTime, record.Source, tree.SourceName, tree.HostName, tree.RootPath, snapshot.Entries, snapshot.LogicalBytes, tree.Problems, isPart);
    }
}
