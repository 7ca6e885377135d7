using Holdfast.Cli.Commands;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.CleanRooms;

/// <summary>Attests one snapshot after the other, each within a day of its commit, for as long as it runs. What one fails by is told, and the others go on.</summary>
sealed class CleanRoomLoop(Session session, CleanRoomFolder folder)
{
    static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);
    static readonly TimeSpan Reopen = TimeSpan.FromHours(1); // what is found out when a vault is opened is found out again

    readonly CleanRoomNotes _notes = new(folder.Notes, Disk.Real);
    readonly HashSet<string> _told = [];
    HoldfastException? _fault;
    (long Size, IReadOnlySet<Id16> Snapshots) _healed = (-1, new HashSet<Id16>());

    static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    /// <param name="once">What is due now, and no more.</param>
    /// <returns>Of one run: the code of the first fault, or <c>SnapshotDefective</c>.</returns>
    public ErrorCode Run(bool once)
    {
        if (once)
            return Open(once);
        try
        {
            while (!session.Stop.IsCancellationRequested)
            {
                try
                {
                    Open(once);
                    _told.Clear();
                }
                catch (HoldfastException e) when (e.IsTransient || e.Code is ErrorCode.StoreUnavailable or ErrorCode.DiskFull or ErrorCode.QuotaExceeded)
                {
                    Tell($"{e.Message} It is tried again every minute.");
                }
                session.Stop.WaitHandle.WaitOne(Pause);
            }
        }
        catch (OperationCanceledException)
        {
            // It was stopped; what was being read is read again.
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.Interrupted)
        {
            // Likewise.
        }
        return ErrorCode.None;
    }

    /// <summary>Once, however often it is so.</summary>
    void Tell(string text)
    {
        if (_told.Add(text))
            session.Warn($"holdfast: {text}");
    }

    ErrorCode Open(bool once)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        using var keys = folder.Open(vault, Tell);
        vault.Keeper.RequireWritable();
        var isGood = true;
        for (var began = TimeProvider.System.GetTimestamp(); TimeProvider.System.GetElapsedTime(began) < Reopen || once;)
        {
            session.Stop.ThrowIfCancellationRequested();
            vault.Keeper.Refresh();
            vault.TellEpoch(keys);
            if (!keys.IsNewest)
                Tell("the clean room's keys do not open the newest key epoch: what is backed up since `holdfast key rotate` it cannot attest. Cut them anew: `holdfast cleanroom key`, with the newest opening key");
            var waiting = CleanRoomQueue.InOrder(vault);
            if ((CleanRoomQueue.Next(waiting, _notes.Failed, Now) ?? NextDefective(vault)) is { } next)
            {
                isGood &= Attest(vault, keys, next);
                continue;
            }
            if (once)
            {
                return _fault?.Code ?? (!isGood ? ErrorCode.SnapshotDefective : !keys.IsNewest ? ErrorCode.KeyTooNarrow
                    : waiting.Count > 0 ? _notes.Failed[waiting[0].Snapshot].Code is > 0 and var why ? why : ErrorCode.AttestationLate : ErrorCode.None);
            }
            session.Stop.WaitHandle.WaitOne(Pause);
        }
        return ErrorCode.None;
    }

    /// <summary>Which of them are healed, costs a look at all there is: it is asked for no more often than the log grows.</summary>
    SnapshotRecord? NextDefective(Vault vault)
    {
        if (CleanRoomQueue.Next(CleanRoomQueue.Defective(vault).FindAll(s => !_healed.Snapshots.Contains(s.Snapshot) || _healed.Size != vault.Keeper.Log.Size), _notes.Failed, Now) is null)
            return null;
        if (_healed.Size != vault.Keeper.Log.Size)
            _healed = (vault.Keeper.Log.Size, vault.Health().Healed.Select(s => s.Snapshot).ToHashSet());
        return CleanRoomQueue.Next(CleanRoomQueue.Defective(vault).FindAll(s => !_healed.Snapshots.Contains(s.Snapshot)), _notes.Failed, Now);
    }

    bool Attest(Vault vault, CleanRoomKeys keys, SnapshotRecord record)
    {
        var before = _notes.Failed.GetValueOrDefault(record.Snapshot);
        _notes.Begin(record.Snapshot, Now);
        var round = new AttestRound(session, vault, keys) { Actor = keys.Id, OpensPacks = true };
        try
        {
            round.Attest(record, whole: record.Defects > 0); // only a look at everything clears defects
            round.Settle(withOthers: false);
        }
        catch (Exception e) when (session.Stop.IsCancellationRequested && e is OperationCanceledException or HoldfastException)
        {
            _notes.TakeBack(record.Snapshot, before);
            throw;
        }
        catch (HoldfastException e)
        {
            _notes.Fail(record.Snapshot, Now, e.Code, isCounted: false);
            throw;
        }
        if (round.Fault is { } fault)
        {
            _fault ??= fault;
            _notes.Fail(record.Snapshot, Now, fault.Code, isCounted: false);
            if (fault.Code == ErrorCode.StoreUnavailable) // it may be all of them
                throw new HoldfastException(fault.Code, fault.Message, fault.Guidance, fault) { IsTransient = true };
            return true;
        }
        _notes.Done(record.Snapshot, vault.State.Snapshots.Where(s => s is { IsRemoved: false }).Select(s => s.Snapshot).ToHashSet());
        return round.Found.TrueForAll(f => f.Attestation.IsGood || f.Attestation.IsHealed);
    }
}
