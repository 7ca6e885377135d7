using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;

namespace Holdfast.Cli.Commands;

static class StoreCommand
{
    static readonly Argument<string> FolderArgument = new("FOLDER") { Description = "Folder on another disk." };

    public static Command Create()
    {
        var store = new Command("store", "The folders that hold the vault's bytes.");
        store.Subcommands.Add(Session.Command("add", "Add a folder to a vault, while it is in use.", command =>
        {
            command.Arguments.Add(FolderArgument);
            KeyFolder.AddTo(command, reading: false);
        }, Add));
        store.Subcommands.Add(Session.Command("list", "List the folders.", command => KeyFolder.AddTo(command, reading: false), List));
        return store;
    }

    static int Add(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        vault.Keeper.AddFolder(session.Parsed.GetValue(FolderArgument)!);
        session.Json(w => w.WriteString("added", Path.GetFullPath(session.Parsed.GetValue(FolderArgument)!)));
        session.Line("Added. New packs go where most space is free.");
        return 0;
    }

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        session.Json(w =>
        {
            w.WriteStartArray("folders");
            foreach (var folder in vault.Keeper.Store.Folders)
                w.WriteStringValue(folder);
            w.WriteEndArray();
        });
        foreach (var folder in vault.Keeper.Store.Folders)
            session.Line($"{folder}{(Directory.Exists(folder) ? $"   {Text.Bytes(new DriveInfo(folder).AvailableFreeSpace)} free" : "   NOT THERE")}");
        return 0;
    }
}
