using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Keys;

/// <summary>What a key folder remembers of its vault: how far the log had come, and in which folder. A log that was put back there shows; a copy elsewhere is told from the vault
/// itself, and neither reading nor writing it moves what is remembered (docs/design/0010-copies.md).</summary>
/// <param name="folder">The key folder.</param>
sealed class LogMemory(string folder)
{
    public const string CheckpointFile = "checkpoint";
    public const string PlaceFile = "checkpoint.place";

    /// <summary>How to read a vault whose log is not, or cannot be shown to be, what was seen before.</summary>
    public const string ReadUncompared = "name a key folder that remembers nothing with --keys, a new folder with a copy of opening.key and, where there is one, opening.secret in it.";

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    string CheckpointPath => Path.Combine(folder, CheckpointFile);
    string PlacePath => Path.Combine(folder, PlaceFile);

    /// <summary>The checkpoint seen last; null where there is none that can be read.</summary>
    public Checkpoint? Seen => File.Exists(CheckpointPath) && Checkpoint.TryParse(UserFile.KeptText(CheckpointPath, "The checkpoint in the key folder"), out var seen) ? seen : null;

    /// <summary>True where there is a checkpoint and it makes no sense, or is not as its log's key signed it: it was not written so.</summary>
    /// <param name="key">Of the log that the vault here has.</param>
    /// <param name="isOurs">These keys were made for a log of that key. Where they do not say, and the checkpoint names another, somebody may have put another vault here: that is no damage.</param>
    public bool IsUnreadable(VerifierKey key, Func<bool> isOurs) => File.Exists(CheckpointPath) && (Seen is not { } seen || (!seen.IsSignedBy(key) && (seen.Names(key) || isOurs())));

    /// <summary>The file of the two that this user may not read, or the folder on the way to them that this user may not enter; null where there is none: only then can anything be compared.</summary>
    public string? Closed => FolderPath.ClosedOnTheWay(CheckpointPath) ?? new[] { CheckpointPath, PlacePath }.FirstOrDefault(p => File.Exists(p) && !MayRead(p));

    /// <summary>What to do about <see cref="Closed"/>.</summary>
    public string Open(string closed) => Directory.Exists(closed)
        ? $"Run this as the user who may enter that folder, or with a key folder of this user's own (a copy of the key files, made by whoever may read them). Where a command that was run as another user has closed it, take it over: {TakeOver()}"
        : $"Most often a command was run once as another user (root). Take the file over: {TakeOver(closed)}";

    static bool MayRead(string path)
    {
        try
        {
            _ = KeptFile.ReadAll(path, 0); // what it is shows when it is read
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>When that was.</summary>
    ulong SeenTime => (ulong)Math.Max(0, new DateTimeOffset(File.GetLastWriteTimeUtc(CheckpointPath), TimeSpan.Zero).ToUnixTimeSeconds());

    string When => $"on {Text.Time(SeenTime)}";

    /// <summary>The folder that the vault was in then; null where a version before this one kept the checkpoint.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c> where it says something else.</exception>
    public string? Place => !File.Exists(PlacePath) || UserFile.KeptText(PlacePath, "The place in the key folder").TrimEnd('\n') is not { Length: > 0 } place ? null
        : (Path.IsPathFullyQualified(place) || KeeperAccess.IsPlace(place)) && !place.Any(char.IsControl) ? place : throw new HoldfastException(ErrorCode.KeyFileBad, $"The file `{PlaceFile}` in the key folder names no folder.", "Put it back from a copy of the key folder, or take it away: the next command writes it anew.");

    /// <summary>It has remembered a vault, and what it saw of the log is not there any more.</summary>
    public bool HasLostCheckpoint => File.Exists(PlacePath) && !Path.Exists(CheckpointPath);

    /// <summary>Compares a vault with what is remembered.</summary>
    /// <returns>Null where it is the vault that the keys go on with, or they know none yet.</returns>
    /// <exception cref="HoldfastException"><c>LogForked</c>: put back, or another history.</exception>
    public VaultCopy? Compare(Vault vault)
    {
        if (Seen is not { } seen)
            return null;
        var log = vault.Keeper.Log;
        if (Place is not { } place || IsAt(vault, place))
        {
            try
            {
                if (seen.Size > log.Size && vault.Keeper.LogFault is null)
                    vault.Keeper.Refresh(); // another command went on with it since it was opened here, and kept that
                log.RequireExtends(seen);
                return null;
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.LogForked)
            {
                throw new HoldfastException(e.Code, $"{e.Message} These keys saw it {When}, in this place.",
                    $"{e.Guidance} Did you yourself bring back an older copy of this vault? Then snapshots committed, locks lengthened and keys rotated after that copy are not in it. To read it, " + ReadUncompared + " "
                    + $"To go on with it for good and without those, `holdfast log accept` keeps the file `{CheckpointFile}` of the key folder as evidence, and begins anew from the log that is there (docs/errors.md, LogForked).", e);
            }
        }
        if (IsJoined(vault, seen))
            return null;
        var isThere = IsThere(vault, place, out var isShut);
        var copy = new VaultCopy(place, isThere, (ulong)Math.Max(0, seen.Size - log.Size), SeenTime, vault.State.LatestTime)
        {
            Accept = AcceptLine(vault),
            IsPlaceShut = isShut,
            HasLogKey = vault.Keeper.HasLogKey,
            IsPlaceWritable = KeeperAccess.IsPlace(place) || VaultKeeper.HasLogKeyIn(place),
        };
        if (copy.Behind > 0 ? isThere && !IsBeginningOf(log, place) : !Extends(log, seen))
        {
            throw new HoldfastException(ErrorCode.LogForked, $"This copy of the vault went its own way: its log is no beginning of the one that these keys saw in {place} {When}, and does not go on from it.",
                $"Something was written to it after it had been copied. If you did that, all is well in {place}; keep this copy read-only, until you have what only it holds. If nobody did, treat it as an attack. To read it all the same, " + ReadUncompared
                + " To go on with this one for good instead of the other: `holdfast log accept` (docs/errors.md, LogForked).");
        }
        return copy;
    }

    /// <summary>What a person types who has decided that these keys go on with the vault as it is here.</summary>
    string AcceptLine(Vault vault) => $"holdfast log accept --vault {Shell.Word(PlaceOf(vault))} --keys {Shell.Word(Path.GetFullPath(folder))} --confirm {Text.Id(vault.Id)}";

    /// <summary>Whoever joined a keeper has said where the vault is from now on: where its log goes on from all that these keys saw elsewhere, it is that vault, and no copy.</summary>
    static bool IsJoined(Vault vault, Checkpoint seen) => vault.Keeper.Remote is not null && Extends(vault.Keeper.Log, seen);

    static bool Extends(MerkleLog log, Checkpoint seen)
    {
        try
        {
            log.RequireExtends(seen);
            return true;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogForked)
        {
            return false;
        }
    }

    /// <summary>One checkpoint cannot say whether a shorter log is a beginning of it; the longer log itself can. Where that cannot be read, nobody can say.</summary>
    static bool IsBeginningOf(MerkleLog log, string place)
    {
        try
        {
            return Extends(MerkleLog.Open(Path.Combine(place, "log"), Disk.Real, log.Key), log.Checkpoint!);
        }
        catch (HoldfastException)
        {
            return true;
        }
    }

    static bool IsAt(Vault vault, string place) => PlaceOf(vault) == place || (vault.Keeper.Remote is null && !KeeperAccess.IsPlace(place) && FolderPath.AreOne(vault.Keeper.Folder, place));

    /// <summary>Its folder; or its keeper's address.</summary>
    public static string PlaceOf(Vault vault) => vault.Keeper.Remote?.Place ?? FolderPath.Real(vault.Keeper.Folder);

    /// <param name="vault">The vault.</param>
    /// <param name="place">Where it was.</param>
    /// <param name="isShut">This user may not look whether it is there.</param>
    static bool IsThere(Vault vault, string place, out bool isShut)
    {
        isShut = false;
        if (KeeperAccess.IsPlace(place))
            return vault.Keeper.Remote is null; // as far as is known: it is not asked; but a key folder that was given another address has left this one
        try
        {
            return VaultFile.Read(place).Vault == vault.Id;
        }
        catch (HoldfastException e)
        {
            isShut = e.Code == ErrorCode.NoPermission || FolderPath.ClosedOnTheWay(Path.Combine(place, VaultFile.Name)) is not null;
            return false;
        }
    }

    /// <summary>Holds to the vault as it is here and now. One in another place than the keys know is left to <see cref="Accept"/>.</summary>
    /// <param name="vault">The vault.</param>
    /// <param name="toChange">The command writes to it. One that reads, with a key folder on read-only media, remembers nothing, and says nothing of that.</param>
    /// <returns>Words on what could not be kept, where it should have been; null where all is well.</returns>
    public string? Keep(Vault vault, bool toChange = false)
    {
        try
        {
            using var alone = Alone(); // else what another keeps after this looked would be replaced by what is less
            var place = PlaceOf(vault);
            if (Place is { } known && !IsAt(vault, known) && Seen is { } last && last.Origin == vault.Keeper.Log.Key.Name && !IsJoined(vault, last))
                return null; // `log accept` was given elsewhere, since this one compared
            if (Place is null)
                Disk.Real.Replace(CheckpointPath, Encoding.UTF8.GetBytes(vault.Keeper.Log.Checkpoint!.Note)); // first: a place without it is one that lost it
            if (Place is not { } same || !IsAt(vault, same))
                Disk.Real.Replace(PlacePath, Encoding.UTF8.GetBytes(place + "\n"));
            else if (Seen is { } seen && seen.Size > vault.Keeper.Log.Size)
                return null; // another command kept more, since this one compared
            Disk.Real.Replace(CheckpointPath, Encoding.UTF8.GetBytes(vault.Keeper.Log.Checkpoint!.Note));
            return null;
        }
        catch (HoldfastException e) when ((e.Code == ErrorCode.ReadOnlyMedia && !toChange) || Seen?.Note == vault.Keeper.Log.Checkpoint!.Note)
        {
            return null;
        }
        catch (HoldfastException e) when (FolderOwner.IsAtMercy(folder))
        {
            return $"how far the vault's log has come could not be remembered: should it be put back to what it is now, the next command does not notice. {e.Message} {e.Guidance}";
        }
        catch (HoldfastException e)
        {
            return $"how far the vault's log has come could not be remembered in {CheckpointPath} ({e.Code}): should the log be put back to what it is now, the next command does not notice. {Mend(e.Code)}";
        }
    }

    string Mend(ErrorCode fault) => fault switch
    {
        ErrorCode.ReadOnlyMedia => "Mount that folder for writing, or keep the key folder on a disk that takes writes",
        ErrorCode.DiskFull => "Free some space on that disk",
        _ when !Directory.Exists(folder) => "Bring the disk back that the key folder is on",
        _ => $"Let this user write to that folder ({TakeOver()}), or use a key folder of this user's own",
    };

    /// <summary>Keeps other commands from changing what is remembered. Without it where it cannot be had: that keeps no command from its work.</summary>
    IDisposable? Alone() => FolderLock.Take(folder, Patience);

    /// <summary>Gives a file of the key folder, or all of it, to this user.</summary>
    /// <remarks>The administrator gives it to the folder's owner, in whose name it is read.</remarks>
    public string TakeOver(string? file = null) => Environment.IsPrivilegedProcess && !OperatingSystem.IsWindows() ? $"chown {(file is null ? "-R " : "")}--reference={Shell.Word(folder)} {Shell.Word(file ?? folder)}" : $"sudo chown {(file is null ? "-R " : "")}\"$(id -u)\" {Shell.Word(file ?? folder)}";

    /// <summary>Keeps two checkpoints of one log that do not fit together. The same two are kept once.</summary>
    /// <returns>Words on where they are.</returns>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public string KeepEvidence(Checkpoint here, Checkpoint witnessed)
    {
        // Named by what they say: a check that runs every day must not fill the folder.
        var name = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes($"{here.Size} {here.Root}\n{witnessed.Size} {witnessed.Root}\n")).AsSpan(0, 4));
        var (ours, theirs) = ($"{CheckpointPath}.fork-{name}.here", $"{CheckpointPath}.fork-{name}.witnessed");
        Disk.Real.WriteNew(ours, Encoding.UTF8.GetBytes(here.Note));
        Disk.Real.WriteNew(theirs, Encoding.UTF8.GetBytes(witnessed.Note));
        return $"{ours} and {theirs}";
    }

    /// <summary>Begins anew from the vault as it is here; what was remembered stays beside it.</summary>
    /// <returns>The file that has the checkpoint seen before; null where there was none.</returns>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public string? Accept(Vault vault)
    {
        Core.Keeper.VaultKeeper.RequireName(vault.Keeper.Folder);
        using var alone = Alone();
        string? kept = null;
        if (File.Exists(CheckpointPath))
        {
            kept = $"{CheckpointPath}.before-{DateTimeOffset.FromUnixTimeSeconds((long)SeenTime):yyyyMMdd-HHmmss}";
            if (!Disk.Real.Rename(CheckpointPath, kept, replace: false))
                Disk.Real.Rename(CheckpointPath, kept += $"-{Id16.New().ToString()[..8]}", replace: false);
        }
        Disk.Real.Replace(PlacePath, Encoding.UTF8.GetBytes(PlaceOf(vault) + "\n"));
        Disk.Real.Replace(CheckpointPath, Encoding.UTF8.GetBytes(vault.Keeper.Log.Checkpoint!.Note));
        return kept;
    }
}

/// <summary>A vault in another folder than the one that the keys go on with.</summary>
/// <param name="Place">That one.</param>
/// <param name="IsPlaceThere">Whether the vault is still in it.</param>
/// <param name="Behind">Leaves that the log here lacks of what was seen there.</param>
/// <param name="Seen">When, seconds since 1970.</param>
/// <param name="Latest">Vault time of the last leaf here.</param>
sealed record VaultCopy(string Place, bool IsPlaceThere, ulong Behind, ulong Seen, ulong Latest)
{
    /// <summary>The line that takes it for the vault.</summary>
    public required string Accept { get; init; }

    /// <summary>Whether the vault is still in <see cref="Place"/> cannot be told: this user may not look.</summary>
    public bool IsPlaceShut { get; init; }

    /// <summary>Something can be committed to it.</summary>
    public required bool HasLogKey { get; init; }

    /// <summary>The same of the one in <see cref="Place"/>: where it has none, the keys have been bound to a copy.</summary>
    public required bool IsPlaceWritable { get; init; }

    /// <summary>All that was seen is here, and the vault is not where it was: it was moved, or its disk is away and this is a copy. Files look the same either way, so a person has to say.</summary>
    public bool MayBeMoved => !IsPlaceThere && Behind == 0;

    public string Words => Behind > 0
        ? $"this is an older copy of the vault: its log is {Text.Count((long)Behind, "leaf", "leaves")} behind what these keys saw in {Place} on {Text.Time(Seen)}. It ends on {Text.Time(Latest)}; what was backed up later is not in it"
        : MayBeMoved ? $"the vault was in {Place} when these keys last saw it, on {Text.Time(Seen)}, and {NotSeen}; this may be a copy of it, or the vault itself, moved"
        : $"this is a copy of the vault that these keys go on with in {Place}";

    /// <summary>Why nothing is written to it.</summary>
    public HoldfastException Refusal => new(ErrorCode.VaultIsCopy, $"Nothing was written: {Words}.", $"Reading it is allowed. {Instead}Two that go on from one copy never fit together again. {GoOn}");

    string NotSeen => IsPlaceShut ? "cannot be looked at there by this user" : "is not there now";

    /// <summary>What is most likely wanted.</summary>
    string Instead => IsPlaceShut
        ? $"{(Behind > 0 ? $"The vault in {Place} {NotSeen}, and had more. " : "")}Run this as a user who may look, best as the vault's own, and write to the vault itself: --vault {Shell.Word(Place)}. "
        : !IsPlaceThere
        ? $"{(Behind > 0 ? $"The vault in {Place} {NotSeen}, and has more. " : "")}Is its disk only away? Then mount it again, and write to the vault itself: --vault {Shell.Word(Place)}. "
        : IsPlaceWritable
            ? $"To write, name the vault itself: --vault {Shell.Word(Place)}. "
            : $"The one in {Place} has no keeper/log.key: nothing can be written to it either, so it is a copy too, if its key was not lost. ";

    /// <summary>What only a person decides.</summary>
    string GoOn => (MayBeMoved ? "Only if the vault was moved here, or its disk is mounted here now, or it is to go on here for good and nowhere else" : "Only if the vault is to go on here for good, and nowhere else")
        + (HasLogKey ? "" : ": put keeper/log.key into it first, from where you keep a copy of that file, without which nothing can be written here. Then")
        + $": `{Accept}`, with each key folder that is to go on with it.";
}
