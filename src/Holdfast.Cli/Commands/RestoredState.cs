using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>Which state of what a snapshot is, as whoever restores it is told.</summary>
/// <param name="Snapshot">Its id.</param>
/// <param name="Committed">Vault time of its commit.</param>
/// <param name="ClientTime">What the clock of the machine said that made it; null where that is not known.</param>
/// <param name="Source">Its source.</param>
/// <param name="Names">Of the source and its machine, and the path that it had there; null where the key does not tell.</param>
/// <param name="Problems">Entries that were left out when it was made, or in doubt.</param>
sealed record RestoredState(Id16 Snapshot, ulong Committed, long? ClientTime, Id16 Source, (byte[] Source, byte[] Host, byte[] Path)? Names, ulong Problems)
{
    public static RestoredState Of(SnapshotRecord record, TreeSection? tree) => new(record.Snapshot, record.Committed, record.Object?.ClientTime, record.Source, tree is null ? null : (tree.SourceName, tree.HostName, tree.RootPath), tree?.Problems ?? 0);

    public static RestoredState Of(GrantStand stand) => new(stand.Snapshot, stand.Committed, stand.ClientTime, stand.Source, (stand.SourceName, stand.HostName, stand.RootPath), stand.Problems);
}
