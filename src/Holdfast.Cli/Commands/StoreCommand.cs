using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class StoreCommand
{
    static readonly Argument<string> FolderArgument = new("FOLDER") { Description = "Folder on another disk." };
    static readonly Argument<string> OldArgument = new("OLD") { Description = "The folder as `holdfast store list` shows it." };
    static readonly Argument<string> NewArgument = new("NEW") { Description = "Where it lies now; or another folder of the vault, into which all it held was copied." };

    public static Command Create()
    {
        var store = new Command("store", """
            Add a folder or a disk to a vault, and list those it has.

            A folder that was moved, or lies in a copy of the vault, is found again with `holdfast store move OLD NEW`. It moves no data.

            There is no `store remove`: nothing here takes locked data away. To retire a folder, stop all backups; copy its packs/ and objects/ into another folder of the
            vault (rsync -a --ignore-existing OLD/packs OLD/objects OTHER/); run `holdfast store move OLD OTHER`, which looks whether all is there, and then
            `holdfast verify --full`. Wipe the old disk only after that. A folder whose disk is merely away comes back by itself.
            """);
        store.Subcommands.Add(Session.Command("add", "Add a folder to a vault, while it is in use.", command =>
        {
            command.Arguments.Add(FolderArgument);
            KeyFolder.AddTo(command, reading: false);
        }, Add));
        store.Subcommands.Add(Session.Command("move", "Say where a folder lies now, that was moved or copied by other means.", command =>
        {
            command.Arguments.Add(OldArgument);
            command.Arguments.Add(NewArgument);
            KeyFolder.AddTo(command, reading: false);
        }, Move));
        store.Subcommands.Add(Session.Command("list", "List the folders.", command => KeyFolder.AddTo(command, reading: false), List));
        return store;
    }

    static int Add(Session session)
    {
        var named = session.Parsed.GetValue(FolderArgument)!;
        if (named.Length == 0)
            throw new HoldfastException(ErrorCode.Usage, "A folder with an empty name was named.", "Name an empty folder on another disk.");
        var folder = FolderPath.Full(named);
        InitCommand.RequireParent(folder);
        using var vault = KeyFolder.OpenVault(session, KeyFolder.LocalFolder(session));
        new KeyFolder(session).Remember(vault, toChange: true);
        if (session.Parsed.GetValue(KeyFolder.KeysOption) is { Length: > 0 } keys && (FolderPath.IsWithin(folder, keys) || FolderPath.IsWithin(keys, folder)))
            throw new HoldfastException(ErrorCode.Usage, "The vault's keys and that folder would lie in one place.", "Keep keys elsewhere: whoever takes the vault must not find them in it.");
        var neighbour = vault.Keeper.Folders.Any(f => FolderPath.AreOnOneDisk(f, folder));
        try
        {
            vault.Keeper.AddFolder(folder);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull)
        {
            throw new HoldfastException(e.Code, e.Message, $"Adding a folder takes some KiB on the disk of {vault.Keeper.Folder} (and on the new folder's), and its reserve is used up: make that little room there from what is not the vault's, and run this again. Never delete a file of the vault.", e);
        }
        session.Json(w =>
        {
            w.WriteString("added", folder);
            w.WriteBoolean("onDiskOfItsOwn", !neighbour);
        });
        if (neighbour)
            session.Warn("holdfast: that folder lies on a disk that the vault is on already: it adds no room, and no second disk: when that disk fails, is stolen or is wiped, both folders go with it. Where another disk was meant, see whether it is mounted");
        session.Note("Further folders are more room, not another copy: each pack lies in one of them, and all are needed. What survives the loss of a disk is a copy of the vault elsewhere (docs/manual/operate.md, A second copy).");
        session.Step("Added. New packs go where most space is free.");
        return 0;
    }

    static int Move(Session session)
    {
        var (old, named) = (session.Parsed.GetValue(OldArgument)!, session.Parsed.GetValue(NewArgument)!);
        if (old.Length == 0 || named.Length == 0)
            throw new HoldfastException(ErrorCode.Usage, "A folder with an empty name was named.", "`holdfast store list` shows the vault's folders.");
        using var vault = Vault.Open(KeyFolder.LocalFolder(session), stores: session.Network.Stores);
        if (Directory.Exists(old) && FolderPath.Full(old) != FolderPath.Full(named))
            session.Note("Reading what lies in both folders, so that no sound file is left behind for one that was damaged on the way ...");
        var isMerged = vault.MoveFolder(old, named, session.Stop);
        var folder = FolderPath.Full(named);
        session.Json(w =>
        {
            w.WriteString("was", FolderPath.Full(old));
            w.WriteString("is", folder);
            w.WriteBoolean("merged", isMerged);
        });
        session.Step(isMerged ? "The vault no longer looks in the old folder: what it needs of it lies in the others." : "The vault now looks there.");
        session.Step("No data was moved. `holdfast verify` reads all of it and says whether anything is missing.");
        return 0;
    }

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session, KeyFolder.LocalFolder(session));
        var keeper = vault.Keeper;
        session.Json(w =>
        {
            foreach (var (name, folders) in new[] { ("folders", keeper.Folders), ("away", keeper.Away) })
            {
                w.WriteStartArray(name);
                foreach (var folder in folders)
                    w.WriteStringValue(folder);
                w.WriteEndArray();
            }
        });
        foreach (var folder in keeper.Folders)
            session.Line($"{folder}{(keeper.Away.Contains(folder) ? KeyFolder.ClosedStore(folder) is null ? "   NOT THERE" : "   MAY NOT BE ENTERED by this user" : $"   {Text.Bytes(new DriveInfo(folder).AvailableFreeSpace)} free")}");
        return 0;
    }
}
