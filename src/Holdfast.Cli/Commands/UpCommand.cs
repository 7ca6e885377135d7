using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>Where the trial of a folder lives: vault and keys apart from each other, found again by the folder's path.</summary>
sealed record TrialPlaces(string Source, string Vault, string Keys, string Proof)
{
    public static TrialPlaces Of(string source, string? baseFolder)
    {
        source = Path.GetFullPath(source).TrimEnd(Path.DirectorySeparatorChar);
        if (source.Length == 0)
            source = Path.GetFullPath("/");
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)))[..12];
        var home = baseFolder is not null ? Path.GetFullPath(baseFolder) : Path.Combine(
            Environment.GetEnvironmentVariable("XDG_DATA_HOME") is { Length: > 0 } data ? data : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "share"), "holdfast");
        return new TrialPlaces(source, Path.Combine(home, "trial-vaults", name), Path.Combine(home, "trial-keys", name), Path.Combine(home, "trial-proofs", name));
    }
}

static class UpCommand
{
    const ulong TrialReserve = 16 << 20; // bytes
    const long FirstProof = 1L << 30; // bytes: so much is backed up and proven before the rest
    const double AssumedRate = 150e6; // bytes a second, before anything is measured

    static readonly Argument<string> SourceArgument = new("FOLDER") { Description = "Folder to try Holdfast on." };
    public static readonly Option<string?> BaseOption = new("--base") { Description = "Folder for the trial's vault and keys; default ~/.local/share/holdfast.", HelpName = "FOLDER" };

    public static Command Create() => Session.Command("up", "Try Holdfast on a folder: a trial vault, a first backup, and the proof that it comes back.", command =>
    {
        command.Arguments.Add(SourceArgument);
        command.Options.Add(BaseOption);
    }, Run);

    static int Run(Session session)
    {
        var places = TrialPlaces.Of(session.Parsed.GetValue(SourceArgument)!, session.Parsed.GetValue(BaseOption));
        var exists = File.Exists(Path.Combine(places.Vault, VaultFile.Name));
        var size = Announce(session, places, exists);
        if (!exists)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(places.Vault)!);
            var policy = new RetentionPolicy(RetentionPolicy.Day, 0, 0, 0, 0, 0);
            var files = new KeyFiles(places.Keys);
            var unfinished = VaultKeeper.Unfinished(places.Vault);
            files.RequireFree(unfinished);
            files.PutAside(unfinished);
            var (made, newKeys) = Vault.Create(places.Vault, new NewVault(VaultKind.Trial, policy, RetentionPolicy.Day, RetentionPolicy.Day, TrialReserve), keys => files.Write(keys, null));
            made.Dispose();
            newKeys.Dispose();
        }
        using var vault = Vault.Open(places.Vault);
        using var put = Core.Keys.PutKey.Parse(UserFile.Bytes(Path.Combine(places.Keys, KeyFolder.PutFile), "The trial's put key", ErrorCode.KeyFileBad, UserFile.KeyLimit));
        using var agent = Core.Keys.AgentKey.Parse(UserFile.Bytes(Path.Combine(places.Keys, KeyFolder.AgentFile), "The trial's agent key", ErrorCode.KeyFileBad));
        using var keys = OpenKeys(vault, places);

        if (!exists && size > FirstProof)
        {
            session.Line($"First, about {Text.Bytes(FirstProof)} of it, to prove the way there and back:");
            using var first = new BoundedSource(Source(places, vault), FirstProof);
            BackUpAndProve(session, vault, first, places, put, agent, keys, "first part");
            session.Line();
            session.Line("Now all of it; what is in the vault already is not stored twice:");
        }
        using var source = Source(places, vault);
        var (status, restored) = BackUpAndProve(session, vault, source, places, put, agent, keys, places.Source);
        session.Json(w =>
        {
            w.WriteString("vault", places.Vault);
            w.WriteString("keys", places.Keys);
            w.WriteString("snapshot", vault.Find("latest").Snapshot.ToString());
            w.WriteNumber("filesCompared", restored);
            w.WriteBoolean("trial", true);
        });
        session.Line();
        session.Line("TRIAL - NOT PROTECTION: the copy lies on this machine, and its locks last one day.");
        session.Line($"  see it            holdfast snapshots --vault {places.Vault} --keys {places.Keys}");
        session.Line($"  bring it back     holdfast restore latest FOLDER --vault {places.Vault} --keys {places.Keys}");
        session.Line($"  recovery kit      holdfast recovery-kit --vault {places.Vault} --keys {places.Keys} --out kit.pdf");
        session.Line("  a real vault      holdfast init VAULT --keys FOLDER --lock 30d   (on another machine's disk)");
        session.Line($"  end the trial     holdfast down {places.Source}");
        return status;
    }

    static ISource Source(TrialPlaces places, Vault vault) => FileSource.Open(places.Source, new FileSourceOptions { SkipFolders = vault.Keeper.Store.Folders });

    /// <summary>Says before anything is written: what is read, how much, how long, where it goes, and what that is not.</summary>
    static long Announce(Session session, TrialPlaces places, bool exists)
    {
        if (!Directory.Exists(places.Source))
            throw new HoldfastException(ErrorCode.SourceMissing, "The folder does not exist.", "Name a folder with some data: holdfast up FOLDER.");
        session.Line(exists ? $"Going on with the trial of {places.Source}." : $"This will try Holdfast on {places.Source}:");
        long files = 0, bytes = 0;
        var pool = new EntryBatchPool();
        using (var walk = FileSource.Open(places.Source, new FileSourceOptions { SkipFolders = [places.Vault] }))
        {
            foreach (var batch in walk.Walk(pool, session.Stop))
            {
                for (var row = 0; row < batch.Count; row++)
                {
                    files += batch.Kind[row] == EntryKind.File ? 1 : 0;
                    bytes += batch.Size[row];
                }
                pool.Return(batch);
            }
        }
        var root = places.Vault;
        while (!Directory.Exists(root))
            root = Path.GetDirectoryName(root)!;
        var drive = new DriveInfo(root);
        session.Line($"  reads             {Text.Count(files, "file")}, {Text.Bytes(bytes)}, about {Text.Duration(TimeSpan.FromSeconds(Math.Max(1, bytes / AssumedRate)))}");
        session.Line($"  writes            a trial vault in {places.Vault} ({Text.Bytes(drive.AvailableFreeSpace)} free there)");
        session.Line($"  keys              in {places.Keys}, outside the vault");
        session.Line("  locks             each snapshot for 1 day; until then Holdfast removes nothing");
        session.Line(SameDisk(places.Source, root) ? "  WARNING           vault and data are on one disk: a copy on the same disk is not a backup" : "  note              a copy on the same machine is not a backup");
        session.Line();
        if (drive.AvailableFreeSpace < bytes / 4 && !exists)
            throw new HoldfastException(ErrorCode.DiskFull, "There is hardly room for a copy of that size.", "Free some space, try a smaller folder, or name a roomier place with --base FOLDER.");
        return bytes;
    }

    static bool SameDisk(string a, string b)
    {
        var drives = DriveInfo.GetDrives().Select(d => d.RootDirectory.FullName).OrderByDescending(r => r.Length).ToList();
        string? Of(string path) => drives.Find(r => path == r || path.StartsWith(r.EndsWith('/') ? r : r + "/", StringComparison.Ordinal));
        return Of(a) == Of(b);
    }

    static Core.Keys.OpeningKeys OpenKeys(Vault vault, TrialPlaces places)
    {
        var file = Core.Crypto.OpeningKeyFile.Parse(UserFile.Bytes(Path.Combine(places.Keys, KeyFolder.OpeningFile), "The trial's opening key", ErrorCode.KeyFileBad));
        file.RequireVault(vault.Id);
        using var seed = file.OpenWithRawKey(Convert.FromBase64String(UserFile.Text(Path.Combine(places.Keys, KeyFolder.SecretFile), "The trial's opening secret", ErrorCode.KeyFileBad)));
        return vault.Unlock(seed);
    }

    static (int Status, long Compared) BackUpAndProve(Session session, Vault vault, ISource source, TrialPlaces places, Core.Keys.PutKey put, Core.Keys.AgentKey agent, Core.Keys.OpeningKeys keys, string name)
    {
        var since = TimeProvider.System.GetTimestamp();
        var result = BackupCommand.Execute(session, vault, source, name, places.Source, new ArchiveOptions(), put, agent);
        session.Line(string.Create(CultureInfo.InvariantCulture,
            $"  backed up         snapshot {Text.Id(result.Snapshot)}: {result.Archive.Files:#,0} files, {Text.Bytes(result.Archive.LogicalBytes)}, {Text.Bytes(result.Archive.NewBytes)} stored, {Text.Duration(TimeProvider.System.GetElapsedTime(since))}"));
        since = TimeProvider.System.GetTimestamp();
        var verified = vault.Verify(keys, null, new VerifyProgress(), 0, session.Stop);
        vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 2, (ulong)verified.Bytes, (ulong)verified.Defects.Count(d => d.Kind != DefectKind.Foreign));
        session.Line($"  {(verified.IsSound ? "verified         " : "VERIFY FAILED    ")} every one of {Text.Count(verified.Chunks, "chunk")} opened and compared, {Text.Duration(TimeProvider.System.GetElapsedTime(since))}");
        var record = vault.Find(result.Snapshot.ToString());
        vault.Attest(record, keys, full: false, agent.Agent, session.Stop);
        var compared = RestoredSample.Compare(vault, record, keys, places.Source, places.Proof, session.Stop);
        session.Line($"  restored          {Text.Count(compared.Same, "file")} into a folder of their own and compared byte for byte with the originals{(compared.Moved > 0 ? $"; {compared.Moved} had changed meanwhile" : "")}");
        var checkpoint = vault.Keeper.Log.Checkpoint!;
        session.Line(string.Create(CultureInfo.InvariantCulture, $"  checkpoint        {checkpoint.Size} leaves, root {Convert.ToBase64String(checkpoint.Root.ToArray())}"));
        return (BackupCommand.TellProblems(session, source.Problems), compared.Same);
    }
}
