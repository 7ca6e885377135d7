using Holdfast.Core.Keeper;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>What the leaf of a commit, the snapshot object and the agent's signature must agree in (docs/format.md, section 11.6). The tree below its root node is checked by
/// digests as it is read.</summary>
static class SnapshotCheck
{
    /// <summary>What does not hold, in a few words without names; null where all does.</summary>
    /// <param name="state">The log.</param>
    /// <param name="record">With its object.</param>
    /// <param name="tree">Its section 1, opened.</param>
    /// <param name="vault">This vault.</param>
    /// <param name="packs">Whether to add up its pack set too: that takes time in a vault of many packs, and says nothing of names and contents.</param>
    public static string? Fault(Projection state, SnapshotRecord record, TreeSection tree, Id16 vault, bool packs)
    {
        var snapshot = record.Object!;
        if (snapshot.Vault != vault || !state.Genesis!.Domains.Contains(snapshot.Domain))
            return "its object is of another vault or trust domain";
        if (snapshot.Snapshot != record.Snapshot || snapshot.Agent != record.Agent)
            return "its object is not of the snapshot and the agent that the log names";
        if (record.Signer is not { } signer)
            return record.LostSigner.IsNone ? state.HasLostLeaves ? "the log has no enrolment of its agent, and not all its leaves can be read, so that nobody can tell whether that agent signed it" : "its agent was not enrolled when it was committed" : $"the enrolment of its agent, objects/{record.LostSigner.ToString()[..2]}/{record.LostSigner}, is missing or damaged, so that nobody can tell whether that agent signed it";
        if (!snapshot.IsSignedBy(record.Agent, signer.PublicKey))
            return "its agent did not sign it";
        if (!snapshot.Parent.IsNone && !IsEarlier(state.Find(snapshot.Parent), record) && !(state.HasLostLeaves && state.Find(snapshot.Parent) is null))
            return "its parent is not an earlier snapshot of the same source";
        if (SnapshotObject.ContentRootOf(tree.RootSalt, snapshot.Vault, snapshot.Domain, snapshot.Source, snapshot.Session, snapshot.Snapshot, snapshot.ParentContentRoot, tree.Root.Digest) != snapshot.ContentRoot)
            return "its tree is not the one that was signed";
        return packs && !AddsUp(state, record) ? "its pack set does not add up" : null;
    }

    static bool IsEarlier(SnapshotRecord? parent, SnapshotRecord record) =>
        parent is not null && parent.Ordinal < record.Ordinal && (parent.Object is not { } before || (before.Source == record.Source && before.ContentRoot == record.Object!.ParentContentRoot));

    /// <summary>Where an object that the set builds on is missing or damaged, nothing can be said of it, and it is not held against the snapshot.</summary>
    public static bool AddsUp(Projection state, SnapshotRecord record)
    {
        if (state.PacksOf(record) is { } set)
            return (ulong)set.Count == record.PackCount;
        var at = record;
        while (at is { Object: { Packs.IsWhole: false } difference })
            at = state.Find(difference.Parent);
        return at?.Object is null;
    }
}
