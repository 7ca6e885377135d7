using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

static class UpCommand
{
    const ulong TrialReserve = 16 << 20; // bytes
    const long FirstProof = 1L << 30; // bytes: so much is backed up and proven before the rest
    const double AssumedRate = 150e6; // bytes a second, before anything is measured

    static readonly Argument<string?> SourceArgument = new("FOLDER") { Description = "Folder to try Holdfast on; without it, the only trial there is goes on.", Arity = ArgumentArity.ZeroOrOne };
    public static readonly Option<string?> BaseOption = new("--base") { Description = "Folder for the trial's vault and keys; default ~/.local/share/holdfast.", HelpName = "FOLDER" };

    static readonly Option<bool> LargeOption = new("--large") { Description = "Go on, unasked, where the copy may take more than half of the free space." };

    public static Command Create() => Session.Command("up", "Try Holdfast on a folder: a trial vault, a first backup, and the proof that it comes back.", command =>
    {
        command.Arguments.Add(SourceArgument);
        command.Options.Add(BaseOption);
        command.Options.Add(LargeOption);
    }, Run);

    static int Run(Session session)
    {
        var places = Named(session, SourceArgument) ?? TrialPlaces.Only("holdfast up FOLDER", session.Parsed.GetValue(BaseOption)) ?? throw new HoldfastException(ErrorCode.Usage, "No folder was named, and there is no trial yet.", "Name a folder with some data: holdfast up FOLDER.");
        var exists = File.Exists(Path.Combine(places.Vault, VaultFile.Name));
        if (!exists)
            VaultKeeper.RequireName(places.Vault);
        RequireSensible(places);
        DateTimeOffset? clock = exists ? null : ReleaseDay.RequireClock();
        var size = Announce(session, places, clock);
        RequirePlace(places);
        using var alone = BeAlone(places);
        PutStrayKeysAside(session, places, exists);
        if (!exists)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(places.Vault)!);
            var policy = new RetentionPolicy(RetentionPolicy.Day, 0, 0, 0, 0, 0);
            var files = new KeyFiles(places.Keys);
            var unfinished = VaultKeeper.Unfinished(places.Vault);
            files.RequireFree(unfinished);
            files.PutAside(unfinished);
            var (made, newKeys) = InitCommand.Made(() => Vault.Create(places.Vault, new NewVault(VaultKind.Trial, policy, RetentionPolicy.Day, RetentionPolicy.Day, TrialReserve), keys => files.Write(keys, null)), places.Vault, "name a roomier place with --base FOLDER");
            made.Dispose();
            newKeys.Dispose();
        }
        places.Remember();
        using var vault = Vault.Open(places.Vault);
        using var put = Core.Keys.PutKey.Parse(UserFile.Kept(Path.Combine(places.Keys, KeyFolder.PutFile), "The trial's put key", UserFile.KeyLimit));
        using var agent = Core.Keys.AgentKey.Parse(UserFile.Kept(Path.Combine(places.Keys, KeyFolder.AgentFile), "The trial's agent key"));
        using var keys = OpenKeys(vault, places);

        if (!exists && size > FirstProof)
        {
            session.Step($"First, about {Text.Bytes(FirstProof)} of it, to prove the way there and back:");
            using var first = new BoundedSource(Source(places, vault), FirstProof);
            BackUpAndProve(session, vault, first, places, put, agent, keys, "first part", tell: false);
            session.Step();
            session.Step("Now all of it; what is in the vault already is not stored twice:");
        }
        using var source = Source(places, vault);
        var (status, sample) = BackUpAndProve(session, vault, source, places, put, agent, keys, places.Source, tell: true);
        session.Json(w =>
        {
            w.WriteString("vault", places.Vault);
            w.WriteString("keys", places.Keys);
            w.WriteString("snapshot", vault.Find("latest").Snapshot.ToString());
            w.WriteNumber("filesCompared", sample.Same);
            w.WriteNumber("filesChangedMeanwhile", sample.Changed);
            w.WriteNumber("originalsUnreadable", sample.Unreadable);
            w.WriteBoolean("trial", true);
            BackupCommand.WriteProblems(w, source.Problems);
        });
        session.Step();
        session.Step("TRIAL - NOT PROTECTION: the copy lies on this machine, and its locks last one day.");
        var where = $"--vault {Shell.Word(places.Vault)} --keys {Shell.Word(places.Keys)}";
        session.Step($"  see it            {Shell.Program} snapshots {where}");
        session.Step($"  bring it back     {Shell.Program} restore {Text.Id(vault.Find("latest").Snapshot)} FOLDER {where}");
        session.Step($"  recovery kit      {Shell.Program} recovery-kit {where} --out kit.pdf");
        session.Step($"  a real vault      {Shell.Program} init VAULT --keys FOLDER --lock 30d   (on another machine's disk)");
        session.Step($"  end the trial     {Shell.Program} down {Shell.Word(places.Source)}{(places.IsNamed ? $" --base {Shell.Word(places.Home)}" : "")}");
        return status;
    }

    /// <summary>The trial of the folder that was named; null where none was.</summary>
    public static TrialPlaces? Named(Session session, Argument<string?> source) => session.Parsed.GetValue(source) is { } folder ? TrialPlaces.Of(folder, session.Parsed.GetValue(BaseOption)) : null;

    static ISource Source(TrialPlaces places, Vault vault) => FileSource.Open(places.Source, new FileSourceOptions { SkipFolders = [.. vault.Keeper.Folders, .. places.All] });

    static void RequireSensible(TrialPlaces places)
    {
        if (File.Exists(places.Source))
            throw new HoldfastException(ErrorCode.SourceMissing, "That is a file; a trial takes a folder.", "Name the folder that holds it: holdfast up FOLDER.");
        FileSource.RequireReachable(places.Source);
        if (!Directory.Exists(places.Source))
            throw new HoldfastException(ErrorCode.SourceMissing, "The folder does not exist.", "Name a folder with some data: holdfast up FOLDER.");
        if (places.All.Any(f => FolderPath.IsWithin(places.Source, f)))
            throw new HoldfastException(ErrorCode.Usage, "The folder lies inside a trial of Holdfast's own.", "Name a folder with data of yours.");
        if (VaultFile.IsOne(places.Source))
            throw new HoldfastException(ErrorCode.Usage, "The folder is a vault.", "Name a folder with data of yours; `holdfast status --vault FOLDER` says what is in a vault.");
    }

    static void RequirePlace(TrialPlaces places)
    {
        if (FolderOwner.IsAnothers(places.Home))
            throw new HoldfastException(ErrorCode.NoPermission, $"The trial would lie in {places.Home}, which is another user's: root makes no trial there.", "Run this as that user, or name a folder of root's: --base FOLDER.");
        try
        {
            Disk.RequireWritable(places.Home);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.NoPermission or ErrorCode.ReadOnlyMedia)
        {
            throw new HoldfastException(e.Code, $"The trial's vault and keys cannot be made in {places.Home}: this user may not write there, or the disk takes no writes.", "Name a folder that you may write to: holdfast up FOLDER --base FOLDER.", e);
        }
    }

    /// <summary>One trial of a folder at a time: two would make each other's keys, and compare each other's files.</summary>
    static FileStream BeAlone(TrialPlaces places)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(places.Proof)!);
            return new FileStream(places.Proof + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (DiskFault.Of(e).Code == ErrorCode.StoreUnavailable && Directory.Exists(Path.GetDirectoryName(places.Proof)))
        {
            throw new HoldfastException(ErrorCode.VaultBusy, "Another `holdfast up` of this folder is running.", "Wait until it has ended, or end it with Ctrl+C where it runs; then run this again.", e) { IsTransient = true };
        }
    }

    /// <summary>Keys without a vault are of a trial that was cut short, or whose vault was removed. They open nothing here; they are somebody's keys all the same.</summary>
    static void PutStrayKeysAside(Session session, TrialPlaces places, bool exists)
    {
        if (exists && !File.Exists(Path.Combine(places.Keys, KeyFolder.OpeningFile)))
            throw new HoldfastException(ErrorCode.KeyFileBad, "The trial's vault is there, its keys are not: nothing opens it any more.",
                "Bring the keys back; or move the vault away (`holdfast down FOLDER` says where it is) and run this again: it then begins a new trial.");
        if (exists || !Directory.Exists(places.Keys) || !Directory.EnumerateFileSystemEntries(places.Keys).Any())
            return;
        var aside = $"{places.Keys}.{TimeProvider.System.GetUtcNow().ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture)}";
        if (!Disk.Real.Rename(places.Keys, aside, replace: false))
            throw new HoldfastException(ErrorCode.VaultExists, "Keys of an earlier trial are in the way, and cannot be put aside.", "Move the folder trial-keys away (it lies beside trial-vaults), and run this again.");
        session.Warn($"holdfast: there were keys of an earlier trial, and no vault for them; they are in {aside} now. Where you do not know of a vault they open, they are of no use.");
    }

    /// <summary>Says before anything is written: what is read, how much, how long, where it goes, and what that is not.</summary>
    /// <param name="session">Is told.</param>
    /// <param name="places">Of the trial.</param>
    /// <param name="clock">What the clock of a new vault starts from; null where there is one.</param>
    static long Announce(Session session, TrialPlaces places, DateTimeOffset? clock)
    {
        var exists = clock is null;
        session.Step(exists ? $"Going on with the trial of {places.Source}." : $"This will try Holdfast on {places.Source}:");
        long files = 0, bytes = 0, entries = 0;
        var pool = new EntryBatchPool();
        using (var walk = FileSource.Open(places.Source, new FileSourceOptions { SkipFolders = places.All }))
        using (new ProgressLine(session, elapsed => $"looking at what is there: {Text.Count(Volatile.Read(ref entries), "entry", "entries")}, {Text.Duration(elapsed)}"))
        {
            foreach (var batch in walk.Walk(pool, session.Stop))
            {
                for (var row = 0; row < batch.Count; row++)
                {
                    files += batch.Kind[row] == EntryKind.File ? 1 : 0;
                    bytes += batch.Size[row];
                }
                Volatile.Write(ref entries, entries + batch.Count);
                pool.Return(batch);
            }
        }
        if (files == 0 && !exists)
            throw new HoldfastException(ErrorCode.SourceMissing, "There is no file in the folder that could be backed up: nothing could be proven.", "Name a folder with some data: holdfast up FOLDER.");
        var root = places.Vault;
        while (!Directory.Exists(root))
            root = Path.GetDirectoryName(root)!;
        var drive = new DriveInfo(root);
        session.Step($"  reads             {Text.Count(files, "file")}, {Text.Bytes(bytes)}, about {Text.Duration(TimeSpan.FromSeconds(Math.Max(1, bytes / AssumedRate)))}");
        session.Step($"  writes            a trial vault in {places.Vault} ({Text.Bytes(drive.AvailableFreeSpace)} free there)");
        session.Step($"  keys              in {places.Keys}, outside the vault");
        session.Step("  locks             each snapshot for 1 day; until then Holdfast removes nothing");
        if (clock is { } now)
            session.Step($"  clock             the vault's starts from this machine's, {Text.Time(now.ToUnixTimeSeconds())}");
        if (places.IsInside)
            session.Step("  leaves out        the trial itself, which lies inside that folder");
        session.Step(FolderPath.AreOnOneDisk(places.Source, root) ? "  WARNING           vault and data are on one disk: a copy on the same disk is not a backup" : "  note              a copy on the same machine is not a backup");
        session.Step();
        if (drive.AvailableFreeSpace < bytes / 4 && !exists)
            throw new HoldfastException(ErrorCode.DiskFull, $"There is hardly room for a copy: {Text.Bytes(drive.AvailableFreeSpace)} are free in {root}, and {Text.Bytes(bytes / 4)} at least are needed.", "Free some space, try a smaller folder, or name a roomier place with --base FOLDER.");
        if (!exists && drive.AvailableFreeSpace / 2 < bytes && !session.Parsed.GetValue(LargeOption)
            && !Prompt.Confirm($"The copy may take more than half of the {Text.Bytes(drive.AvailableFreeSpace)} that are free there, for a day.", "go on", session.Stop))
            throw new HoldfastException(ErrorCode.DiskFull, $"The copy may take more than half of the {Text.Bytes(drive.AvailableFreeSpace)} that are free in {root}, and nothing of it can be removed for a day; nothing was made.", $"Try a smaller folder, name a roomier place with --base FOLDER, or say {LargeOption.Name}.");
        return bytes;
    }

    static Core.Keys.OpeningKeys OpenKeys(Vault vault, TrialPlaces places)
    {
        var file = Core.Crypto.OpeningKeyFile.Parse(UserFile.Kept(Path.Combine(places.Keys, KeyFolder.OpeningFile), "The trial's opening key"));
        file.RequireVault(vault.Id);
        using var seed = file.OpenWithRawKey(Convert.FromBase64String(UserFile.KeptText(Path.Combine(places.Keys, KeyFolder.SecretFile), "The trial's opening secret")));
        return vault.Unlock(seed);
    }

    static (int Status, SampleResult Sample) BackUpAndProve(Session session, Vault vault, ISource source, TrialPlaces places, Core.Keys.PutKey put, Core.Keys.AgentKey agent, Core.Keys.OpeningKeys keys, string name, bool tell)
    {
        var began = TimeProvider.System.GetUtcNow();
        var since = TimeProvider.System.GetTimestamp();
        var result = BackupCommand.Execute(session, vault, source, name, places.Source, new ArchiveOptions(), put, agent, places.Keys);
        var status = tell ? BackupCommand.TellProblems(session, source.Problems) : 0;
        session.Step(string.Create(CultureInfo.InvariantCulture,
            $"  backed up         snapshot {Text.Id(result.Snapshot)}: {Text.Count((long)result.Archive.Files, "file")}, {Text.Bytes(result.Archive.LogicalBytes)}, {Text.Bytes(result.Archive.NewBytes)} stored, {Text.Duration(TimeProvider.System.GetElapsedTime(since))}{BackupCommand.LeftOut(source.Problems)}"));
        since = TimeProvider.System.GetTimestamp();
        var progress = new VerifyProgress();
        VerifyResult verified;
        using (new ProgressLine(session, elapsed => $"opening every chunk: {ProgressLine.Rate(progress.Bytes, 0, elapsed)}, {Text.Duration(elapsed)}"))
            verified = vault.Verify(keys, null, progress, 0, session.Stop);
        vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 2, (ulong)verified.Bytes, (ulong)verified.Defects.Count(d => d.Kind is not (DefectKind.Foreign or DefectKind.Unread)));
        session.Step($"  {(verified.IsSound ? "verified         " : "VERIFY FAILED    ")} every one of {Text.Count(verified.Chunks, "chunk")} opened and compared, {Text.Duration(TimeProvider.System.GetElapsedTime(since))}");
        var record = vault.Find(result.Snapshot.ToString());
        var attested = vault.Attest(record, keys, full: false, agent.Agent, session.Stop);
        var sample = RestoredSample.Compare(vault, record, keys, places.Source, began, places.Proof, session.Stop);
        Action<string> tellSample = sample.Same > 0 ? session.Step : session.Finding;
        tellSample($"  restored          {Describe(sample)}");
        var checkpoint = vault.Keeper.Log.Checkpoint!;
        session.Step(string.Create(CultureInfo.InvariantCulture, $"  checkpoint        {checkpoint.Size} leaves, root {Convert.ToBase64String(checkpoint.Root.ToArray())}"));
        if (!verified.IsSound || !attested.IsGood)
            throw new HoldfastException(ErrorCode.PackDamaged, "What was written just now does not read back as it was written.", "Do not rely on this vault. Run `holdfast verify --full` on it, and look at the disk and the memory of this machine.");
        return (status, sample);
    }

    static string Describe(SampleResult sample)
    {
        var others = (sample.Changed > 0 ? $"; {Text.Count(sample.Changed, "original")} had changed meanwhile" : "")
            + (sample.Unreadable > 0 ? $"; {Text.Count(sample.Unreadable, "original")} could not be read to compare with" : "");
        return sample.Same > 0
            ? $"a sample of {Text.Count(sample.Same, "file")}, brought into a folder of {(sample.Same == 1 ? "its" : "their")} own and compared byte for byte with the originals{others}"
            : $"NOTHING COMPARED with the originals: no file of at most 256 MiB was there to be compared{others}";
    }
}
