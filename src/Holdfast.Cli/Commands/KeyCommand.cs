using System.CommandLine;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class KeyCommand
{
    static readonly Option<string> OutFolderOption = new("--out") { Description = "New folder for the key files.", HelpName = "FOLDER", Required = true };
    static readonly Option<string> OutFileOption = new("--out") { Description = "New key file.", HelpName = "FILE", Required = true };
    static readonly Option<string> ClassOption = new("--class") { Description = "What it opens: tree (names and digests), features (statistics) or content.", HelpName = "CLASS", Required = true };
    static readonly Option<string?> SourceOption = new("--name") { Description = "Of this source only, as it is today; otherwise of all.", HelpName = "NAME" };
    static readonly Option<string> ReplaceOption = new("--replace-after") { Description = "When it should be replaced, for `status`.", HelpName = "TIME", DefaultValueFactory = _ => "3m" };

    static readonly Option<string?> NewSecretOption = new("--new-secret") { Description = "A new file for a new secret, which alone opens the new opening key: after the old secret or passphrase may have been seen.", HelpName = "FILE" };

    public static Command Create()
    {
        var key = new Command("key", "Issue, narrow and rotate keys. No command takes a key back that is out: whoever has a copy of it keeps what it opens. After a theft, rotate: what is backed up from then on it does not open.");
        key.Subcommands.Add(Session.Command("issue", "Make put and agent keys for another machine, or in place of lost ones.", command =>
        {
            command.Options.Add(OutFolderOption);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Issue));
        key.Subcommands.Add(Session.Command("scope", "Cut a key for an unattended job: one class, of all sources or of one.", command =>
        {
            foreach (var option in new Option[] { ClassOption, SourceOption, ReplaceOption, OutFileOption })
                command.Options.Add(option);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Scope));
        key.Subcommands.Add(Session.Command("rotate", "Start a new key epoch: new data is sealed to new keys.", command =>
        {
            command.Options.Add(NewSecretOption);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Rotate));
        return key;
    }

    static int Issue(Session session)
    {
        var folder = FolderPath.Full(session.Parsed.GetValue(OutFolderOption)!);
        var files = new KeyFiles(folder);
        files.RequireFree();
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            InitCommand.RequireApart(vault.Keeper.Folder, folder);
            var (put, agent) = vault.IssueKeys(keys, files.Prepare);
            put.Dispose();
            agent.Dispose();
            files.TakePrepared();
            session.Json(w => w.WriteString("folder", folder));
            session.Step($"{KeyFolder.PutFile} and {KeyFolder.AgentFile} are in {folder}. They back up and read nothing.");
        }
        return 0;
    }

    static int Scope(Session session)
    {
        if (!Enum.TryParse<KeyClass>(session.Parsed.GetValue(ClassOption), ignoreCase: true, out var keyClass) || !Enum.IsDefined(keyClass))
            throw new HoldfastException(ErrorCode.Usage, "There is no such class.", "Choose tree, features or content.");
        var length = InitCommand.Length(session, ReplaceOption)!.Value;
        var file = Path.GetFullPath(session.Parsed.GetValue(OutFileOption)!);
        KeyFolder.RequireNewSecret(session, file);
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            Id16? source = session.Parsed.GetValue(SourceOption) is { } name ? keys.Domains.First().SourceId(Encoding.UTF8.GetBytes(name)) : null;
            if (source is not null && !vault.State.Snapshots.Exists(s => s.Source == source))
                throw new HoldfastException(ErrorCode.SnapshotMissing, "There is no snapshot of a source with this name.", $"`{new KeyFolder(session).Line("snapshots", vault, opens: true)}` lists names.");
            var (leftOut, lost) = (0, 0);
            using var scoped = vault.CutKey(keys, keyClass, source, vault.Keeper.Clock.Now + length, _ => leftOut++, _ => lost++);
            try
            {
                KeyFolder.WriteNew(file, scoped.ToText());
            }
            catch (HoldfastException e)
            {
                throw new HoldfastException(e.Code, $"Scoped key {Text.Id(scoped.Key)} was logged, but its file was not written: {e.Message}", $"Nobody has that key; `holdfast status` lists it all the same. {e.Guidance}", e);
            }
            session.Json(w =>
            {
                w.WriteString("key", scoped.Key.ToString());
                w.WriteString("file", file);
                w.WriteNumber("packsLeftOut", leftOut);
                w.WriteNumber("snapshotsLeftOut", lost);
            });
            session.Step($"Scoped key {Text.Id(scoped.Key)} is in {file}: the {keyClass.ToString().ToLowerInvariant()} class of {(source is null ? "all sources" : "one source, as it is today")}.");
            session.Step($"Whoever steals it reads {Opens(keyClass)}, of {(source is null
                ? "every source: all that is in the vault, and what is backed up later until `holdfast key rotate`"
                : $"what this source has today ({Text.Count((long)vault.State.ScopedKeys[^1].Packs, "pack")}), and nothing that is backed up later")}.");
            if (source is not null)
                session.Step("It opens whole packs: where this source shares a pack with another, it reads the other's part of that pack too.");
            session.Step("It can also tell whether a file its holder knows is in the vault. It alters and removes nothing. Nothing takes it back: guard it like the data.");
            session.Step("`holdfast status` lists it until the vault's end.");
            if (lost > 0)
                session.Warn($"holdfast: of {Text.Count(lost, "snapshot")} the source or the packs are not known, as objects are missing or damaged: where {(lost == 1 ? "it is" : "they are")} of this source, the key opens nothing that is {(lost == 1 ? "its" : "theirs")} alone");
            if (leftOut > 0)
                session.Warn($"holdfast: {Text.Count(leftOut, "pack")} of this source {(leftOut == 1 ? "is" : "are")} missing or damaged, of whatever class: the key does not open {(leftOut == 1 ? "it" : "them")}");
            if (lost + leftOut > 0)
                session.Warn("  what to do: where they come back, from another copy of the vault, and this key should open them too, cut another then. `holdfast status` and `holdfast verify` name them.");
        }
        return 0;
    }

    static string Opens(KeyClass keyClass) => keyClass switch
    {
        KeyClass.Tree => "names of files and folders with their sizes, times, owners and digests, but no content",
        KeyClass.Features => "statistics of each run (how much changed, of what kind), but no names and no content",
        _ => "the contents of files, though not their names",
    };

    static int Rotate(Session session)
    {
        var folder = new KeyFolder(session);
        var newSecret = session.Parsed.GetValue(NewSecretOption) is { } named ? Path.GetFullPath(named) : null;
        if (newSecret is not null)
        {
            if (FolderPath.IsWithin(newSecret, folder.Folder))
                throw new HoldfastException(ErrorCode.Usage, "The new secret would lie in the key folder.", "Name a file elsewhere, best off this machine: whoever takes the key folder must not find it there.");
            KeyFolder.RequireNewSecret(session, newSecret);
        }
        using var vault = KeyFolder.OpenVault(session, KeyFolder.LocalFolder(session));
        if (Directory.Exists(folder.Folder)) // else that is told by who changes it
            folder.Remember(vault, toChange: true);
        vault.Keeper.RequireWritable();
        using var alone = folder.Files.Alone();
        vault.Keeper.Refresh(); // what another rotation did while this one waited
        folder.Remember(vault, toChange: true);
        using var keys = folder.Open(vault);
        keys.Keyring.RequireRoom();
        var (kit, hadKit) = (vault.State.KitPrinted, vault.State.KitEpoch == vault.State.KeyEpoch);
        var epoch = folder.Rotate(vault, keys, newSecret);
        folder.Remember(vault);
        session.Json(w =>
        {
            w.WriteNumber("epoch", epoch);
            w.WriteBoolean("recoveryKitIsOld", kit > 0);
            if (newSecret is not null)
                w.WriteString("secret", newSecret);
        });
        session.Step($"Key epoch {epoch} has begun. {KeyFolder.OpeningFile} opens everything{(folder.Files.Has(KeyFolder.PutFile) ? $", {KeyFolder.PutFile} seals to the new epoch" : "")}; the old opening key is kept as {KeyFolder.OpeningFile}.epoch{epoch - 1}.");
        session.Step(newSecret is null
            ? $"It opens with the same secret or passphrase as before. Where that was seen by others, whoever gets hold of the new {KeyFolder.OpeningFile} reads on: rotate again with --new-secret FILE."
            : $"It opens with the new secret in {newSecret} alone: keep that file where the old one was, and name it with --opening-secret.");
        if (Keyring.MaxEarlierSeeds + 1 - (int)epoch is var left and < 100)
            session.Warn($"holdfast: {(left > 0 ? $"the keyring has room for {Text.Count(left, "more key epoch")}: plan a new vault before they are used up" : "that was the last key epoch that the keyring has room for: make a new vault before the keys must be rotated again")}");
        session.Step();
        session.Finding(kit > 0 && hadKit
            ? $"THE RECOVERY KIT IS OLD NOW: the one printed {Text.Time(kit)[..10]} opens what was backed up before this moment; of later backups it may lack parts, or all."
            : "NO RECOVERY KIT OPENS THIS EPOCH.");
        session.Step("Next: print a new one, and hand its shares out before the next backup counts on it.");
        session.Step($"  {Shell.Program} recovery-kit --vault {Shell.Word(KeyFolder.VaultFolder(session))} --keys {Shell.Word(folder.Folder)}{(newSecret is null ? "" : $" --opening-secret {Shell.Word(newSecret)}")} --out kit.pdf");
        session.Step();
        session.Step("Put keys on other machines go on sealing to the old epoch until they are replaced (holdfast key issue). What they store from now on may build on");
        session.Step("data of the new epoch, so only the new opening key restores it for certain.");
        return 0;
    }
}
