using System.Security.Cryptography;
using Holdfast.Core.Log;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>A vault whose keeper is another process: its log is followed here, into a folder that is a cache, and changes are asked of it.</summary>
public sealed partial class VaultKeeper
{
    RemoteLog? _told; // what that keeper said last

    /// <exception cref="HoldfastException"><c>Usage</c>: another process keeps this vault.</exception>
    void RequireHere()
    {
        if (Remote is { } remote)
            throw new HoldfastException(ErrorCode.Usage, $"This is done where the vault is kept, not from a client of its keeper ({remote.Place}).", "Run the same command on the keeper's machine, with --vault and the vault's folder there.");
    }

    void Follow()
    {
        if (Remote is not { } remote)
            return;
        _told = Follow(Path.Combine(_folder, "log"), _disk, _log.Key, remote);
        _clock = null;
    }

    /// <summary>Has the copy of the log go on with what the keeper tells: nothing of it is taken that its key has not signed, or that is not what was seen before, gone on with.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c>, <c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    static RemoteLog Follow(string folder, Disk disk, VerifierKey key, IRemoteKeeper remote)
    {
        var size = Copy(folder, disk, key).Size;
        var told = remote.LogFrom(size);
        if (!Checkpoint.TryParse(told.Checkpoint, out var checkpoint))
            throw new HoldfastException(ErrorCode.StoreUnavailable, $"What the keeper at {remote.Place} gave for a checkpoint of its log makes no sense.", "Look at that machine, and at what lies between.");
        using var taken = KeeperLock.Take(KeeperPath(Path.GetDirectoryName(folder)!, "lock")); // other commands on this machine follow it too; never while the network is waited for
        var log = Copy(folder, disk, key);
        if (log.Size > checkpoint.Size && size <= checkpoint.Size)
            log.RequireExtends(checkpoint); // one of them got further meanwhile
        else if (log.Size < size)
            throw new HoldfastException(ErrorCode.StoreUnavailable, "The copy of the log that this machine keeps was damaged while it was used.", "Run the same command again.") { IsTransient = true };
        else
            Take(log, [.. told.Leaves.Skip((int)Math.Min(log.Size - size, int.MaxValue))], checkpoint, folder);
        return told;
    }

    static void Take(MerkleLog log, List<byte[]> leaves, Checkpoint checkpoint, string folder)
    {
        try
        {
            log.Take(leaves, checkpoint);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogForked)
        {
            throw new HoldfastException(e.Code, e.Message, $"{e.Guidance} Did you yourself bring back an older copy of the vault where it is kept? What this machine has seen of its log is in {folder}, and is evidence: move that folder away, and have each key folder go on with the vault as it is there now (`holdfast log accept`).", e);
        }
    }

    static MerkleLog Copy(string folder, Disk disk, VerifierKey key)
    {
        try
        {
            return MerkleLog.Open(folder, disk, key);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogDamaged)
        {
            return MerkleLog.Create(folder, disk, key); // the first time, or a cache that is damaged: what the keys have seen is compared all the same
        }
    }

    /// <summary>Has the keeper change something, and takes in what its log says then.</summary>
    byte[] Asking(KeeperRequest request)
    {
        RequireOpen();
        RequireWitnessed();
        var before = _log.Size;
        var answer = Remote!.Ask(request);
        try
        {
            Refresh();
        }
        catch (HoldfastException e)
        {
            throw new HoldfastException(e.Code, $"The keeper says that it was done; what its log says now could not be read. {e.Message}", e.Guidance, e);
        }
        if (_log.Size > before)
            Grown?.Invoke();
        return answer;
    }

    CommitReceipt CommitThere(SnapshotObject snapshot)
    {
        var bytes = snapshot.ToArray();
        try
        {
            Asking(new KeeperRequest.Commit(bytes));
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.RunDone)
        {
            Refresh();
            RequireNotCommitted(snapshot.Snapshot, snapshot.Agent, snapshot.Source); // by its log, not by its word
            throw new HoldfastException(ErrorCode.CommitRefused, $"The keeper at {Remote!.Place} says that this run was done before, and its log does not have it.", "Nothing was committed. Look at that machine, then back up again: what was stored is used.", e);
        }
        // Its word is not enough: what counts is a leaf, covered by a signed checkpoint, that names this object.
        return _projection.Find(snapshot.Snapshot) is { } record && record.Name == new Hash32(SHA256.HashData(bytes))
            ? new CommitReceipt((long)record.Ordinal, record.Committed, record.Expiry, _log.Prove((long)record.Ordinal))
            : throw new HoldfastException(ErrorCode.CommitRefused, $"The keeper at {Remote!.Place} says that it committed the snapshot, and its log does not have it.",
                "Do not count on this snapshot. Look at that machine, then back up again: what was stored is used.");
    }

    static AttestationObject Written(byte[] answer) => AttestationObject.TryParse(answer, out var found) ? found!
        : throw new HoldfastException(ErrorCode.StoreUnavailable, "What the keeper answered is no attestation.", "Look at the keeper's machine, then attest again.");
}
