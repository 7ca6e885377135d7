using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>What keeps a vault from taking the next backup, though all that it holds may be whole; its code is what the backup would end with.</summary>
static class Obstacle
{
    public const long LeastRoom = 64 << 20; // bytes: one pack
    const long LeastForLog = 4 << 20; // bytes: a leaf, a snapshot's object, the clock

    /// <summary>None for a copy that is read only.</summary>
    /// <param name="vault">The vault.</param>
    /// <param name="free">Bytes on its disks; null where its store does not say.</param>
    /// <param name="keys">What it was compared with.</param>
    public static List<Problem> Of(Vault vault, long? free, KeyFolder keys)
    {
        var found = new List<Problem>();
        if (vault.Keeper is { Closed.Code: ErrorCode.VaultIsCopy, HasLogKey: true } && keys.Copy is { MayBeMoved: true } moved) // backups may be meant to come here
            found.Add(new(ErrorCode.VaultIsCopy, moved.Words, moved.Refusal.Guidance));
        if (vault.Keeper.Closed is { Code: ErrorCode.VaultIsCopy })
            return found;
        if (vault.Keeper.Closed is { } closed)
            found.Add(new(closed.Code, closed.Message.TrimEnd('.'), closed.Guidance));
        if (ReadOnly(vault) is { } fixedDisk)
            found.Add(new(fixedDisk.Code, "the vault's disk is mounted read-only: nothing can be written", fixedDisk.Guidance));
        if (!vault.Keeper.HasKeeperFolder)
            found.Add(new(ErrorCode.KeyFileBad, "the vault's folder `keeper` is missing, and with it the log's key: nothing can be written", "Bring `keeper` back from a copy of the vault's folder that has keeper/log.key in it. Without that key go on with a new vault, and keep this one for restores."));
        else if (!vault.Keeper.HasLogKey && !(keys.IsGiven && keys.Files.Has(KeyFolder.PutFile))) // keys that back up nothing know of no vault that backups go to
            found.Add(new(ErrorCode.KeyFileBad, "it has no keeper/log.key, as a copy made by the manual has none: all of it can be read, restored and verified, and nothing can be committed here", "Nothing, where it is a copy: `holdfast verify` with this folder checks it, and named with the key folder that its backups use (--keys) it is known as one. Only where this is the vault that backups go to: put keeper/log.key back from where you keep a copy of it; without it go on with a new vault, and keep this one for restores.") { IsOfCopy = true });
        else if (!vault.Keeper.HasLogKey)
            found.Add(new(ErrorCode.KeyFileBad, "the log's key (keeper/log.key) is missing: nothing can be written", "Nothing, where this is a copy of the vault, which these keys have seen in no other place: it has none, and needs none. In the vault itself: put keeper/log.key back from where you keep a copy of it; without it go on with a new vault, and keep this one for restores."));
        else if (vault.Keeper.LogKeyFault is { } fault)
            found.Add(new(fault.Code, $"the log's key (keeper/log.key) is not right, so nothing can be written: {fault.Message.TrimEnd('.')}", "Put keeper/log.key back from where you keep a copy of it; without it go on with a new vault, and keep this one for restores."));
        if (vault.Keeper.Away.Count is var away and > 0)
            found.Add(new(ErrorCode.StoreUnavailable, $"{Text.Count(away, "folder")} of the vault {(away == 1 ? "is" : "are")} not there ({string.Join(", ", vault.Keeper.Away)}): what lies in {(away == 1 ? "it" : "them")} cannot be read, and backups store it again", vault.Keeper.Away.Select(KeyFolder.ClosedStore).FirstOrDefault(c => c is not null) is { } shut
                ? $"This user may not enter {shut}: run this as the vault's own user, or let this user enter." : "Mount the disk again. Where its files are in another place now: `holdfast store move OLD NEW`."));
        if (vault.LastReads().IsUnreadable)
            found.Add(new(ErrorCode.StoreUnavailable, ReadsWords.Fault, ReadsWords.Advice) { IsOfNote = true });
        if (free is { } there and < LeastRoom)
            found.Add(new(ErrorCode.DiskFull, $"{Text.Bytes(there)} are free in {vault.Keeper.FolderStore!.Roomiest()}, and {Text.Bytes(LeastRoom)} are needed for one pack", "Add a folder on another disk (`holdfast store add FOLDER`), or make room there from what is not the vault's. Never delete a file of the vault."));
        else if (vault.Keeper.HasLogKey && vault.Keeper.OwnRoom is var room and < LeastForLog)
            found.Add(new(ErrorCode.DiskFull, $"{Text.Bytes(room)} are left in {vault.Keeper.Folder}, what is kept free among them, and the log lies there: {Text.Bytes(LeastForLog)} are needed, whatever room its other folders have", vault.Keeper.HowToMakeRoom));
        return found;
    }

    static HoldfastException? ReadOnly(Vault vault)
    {
        try
        {
            Disk.RequireWritable(Path.Combine(vault.Keeper.Folder, "log"));
            return null;
        }
        catch (HoldfastException e)
        {
            return e.Code == ErrorCode.ReadOnlyMedia ? e : null; // whether it may be written to depends on who backs up
        }
    }

    /// <summary>What they mean for the next backup: it goes on without a folder that is away, and may be small enough for the room there is.</summary>
    public static string Verdict(IReadOnlyList<Problem> obstacles)
    {
        if (obstacles.Any(o => o is { IsOfCopy: false, Code: not (ErrorCode.StoreUnavailable or ErrorCode.DiskFull or ErrorCode.NotWitnessed or ErrorCode.AttestationLate) }))
            return "The next backup would fail";
        if (obstacles.Any(o => o.Code == ErrorCode.DiskFull))
            return "The next backup may fail";
        if (obstacles.Any(o => o.IsOfCopy))
            return OfCopy;
        List<Problem> inside = [.. obstacles.Where(o => o.Code is not (ErrorCode.NotWitnessed or ErrorCode.AttestationLate))];
        return inside.Count > 0 ? inside.TrueForAll(o => o.IsOfNote) ? "What was damaged is not known" : "A part of the vault is away"
            : obstacles.Any(o => o.Code == ErrorCode.NotWitnessed) ? "Nobody outside vouches for the log" : "What was stored last was not opened yet";
    }

    const string OfCopy = "A copy that is only read, as it seems";

    public static void Print(Session session, IReadOnlyList<Problem> obstacles)
    {
        if (obstacles.Count == 0)
            return;
        session.Line((Verdict(obstacles) is var verdict && verdict == OfCopy ? verdict : verdict.ToUpperInvariant()) + ".");
        foreach (var obstacle in obstacles)
        {
            session.Line($"  {obstacle.Message}");
            session.Advice("    what to do ", obstacle.Advice);
        }
        session.Line();
    }
}
