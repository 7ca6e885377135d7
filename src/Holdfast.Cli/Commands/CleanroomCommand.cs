using System.CommandLine;
using System.Diagnostics;
using Holdfast.Cli.CleanRooms;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>The clean room: re-opens what was stored, and says whether it is what was signed.</summary>
static class CleanroomCommand
{
    static readonly Option<string> OutOption = new("--out") { Description = "The clean room's own key folder; made where it is not there. Keys of a clean room that are in it are replaced.", HelpName = "FOLDER", Required = true };
    static readonly Option<string> ReplaceOption = new("--replace-after") { Description = "When they should be replaced, for `status`.", HelpName = "TIME", DefaultValueFactory = _ => "3m" };
    static readonly Option<bool> OnceOption = new("--once") { Description = "Attest what is due now, then end." };

    public static Command Create()
    {
        var cleanroom = new Command("cleanroom", "Do what needs opened backups, on a machine set apart for it: attest each snapshot within a day, grant a restore to an agent's host.");
        cleanroom.Subcommands.Add(Session.Command("key", "Cut the keys of a clean room: they read all that is stored, and alter nothing. Run where the opening key is.", command =>
        {
            command.Options.Add(OutOption);
            command.Options.Add(ReplaceOption);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Cut));
        cleanroom.Subcommands.Add(Session.Command("serve", """
            Attest each snapshot within a day of its commit. Runs until it is stopped.

            Opens every pack that was not opened before, to its last chunk; recomputes ids and content roots; compares the pack set with what the tree needs; and reads a sample of the files. --keys names the folder that `holdfast cleanroom key` made.
            """, command =>
        {
            command.Options.Add(OnceOption);
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Serve));
        cleanroom.Subcommands.Add(Session.Command("status", "Say what waits to be attested, since when, and what could not be. Exit status 72 where something waits for more than a day.", command =>
        {
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Status));
        cleanroom.Subcommands.Add(GrantCommand.Create());
        return cleanroom;
    }

    static int Cut(Session session)
    {
        var length = InitCommand.Length(session, ReplaceOption)!.Value;
        var folder = new CleanRoomFolder(FolderPath.Full(session.Parsed.GetValue(OutOption)!));
        InitCommand.RequireParent(folder.Folder);
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            InitCommand.RequireApart(vault.Keeper.Folder, folder.Folder);
            if (File.Exists(Path.Combine(folder.Folder, KeyFolder.OpeningFile)) || File.Exists(Path.Combine(folder.Folder, KeyFolder.PutFile)))
                throw new HoldfastException(ErrorCode.Usage, "That folder has other keys of the vault in it.", "Name one of the clean room's own: nobody who has its keys should find others beside them.");
            Disk.Real.MakeDurable(folder.Folder, ownerOnly: true); // before the log says that such keys are out
            var until = vault.Keeper.Clock.Now + length;
            using var tree = vault.CutKey(keys, KeyClass.Tree, null, until);
            using var content = vault.CutKey(keys, KeyClass.Content, null, until);
            folder.Write(tree, content);
            session.Json(w =>
            {
                w.WriteString("folder", folder.Folder);
                w.WriteString("tree", tree.Key.ToString());
                w.WriteString("content", content.Key.ToString());
            });
            session.Step($"The clean room's keys are in {folder.Folder}: scoped keys {Text.Id(tree.Key)} (names) and {Text.Id(content.Key)} (contents), of all sources.");
            session.Step("Whoever steals both reads everything that is in the vault, and what is backed up later until `holdfast key rotate`. They alter and remove nothing.");
            session.Step("Keep the folder on a machine of its own, which nobody logs in to. After `holdfast key rotate`, cut them anew.");
            session.Step($"Next, there: {Shell.Program} cleanroom serve --vault VAULT --keys {Shell.Word(folder.Folder)}");
        }
        return 0;
    }

    static CleanRoomFolder FolderOf(Session session) => session.Parsed.GetValue(KeyFolder.KeysOption) is { Length: > 0 } named ? new CleanRoomFolder(FolderPath.Full(named))
        : throw new HoldfastException(ErrorCode.Usage, "No key folder was named.", "Add --keys FOLDER, with the folder that `holdfast cleanroom key` made.");

    static int Serve(Session session)
    {
        var folder = FolderOf(session);
        using (var self = Process.GetCurrentProcess())
            self.PriorityClass = ProcessPriorityClass.BelowNormal; // backups go first
        var once = session.Parsed.GetValue(OnceOption);
        if (!once)
            session.Note("holdfast: clean room; Ctrl+C ends it.");
        var found = new CleanRoomLoop(session, folder).Run(once);
        return found switch
        {
            ErrorCode.None => 0,
            ErrorCode.SnapshotDefective => session.Fail(found, "A snapshot is not what was signed, or not whole. The log has a record of it.", "`holdfast attest`, with the opening key, says what may mend it. Take another snapshot for restores, and look into the writer or agent that is named as you would after a break-in."),
            _ => session.Fail(found, "Not every snapshot could be attested; the lines above say which, and why.", "`holdfast cleanroom status` says when each is tried again."),
        };
    }

    static int Status(Session session)
    {
        var folder = FolderOf(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        using var keys = folder.Open(vault, session.Warn);
        var notes = new CleanRoomNotes(folder.Notes, Disk.Real);
        var waiting = CleanRoomQueue.Waiting(vault);
        var late = waiting.Where(s => CleanRoomQueue.IsLate(vault, s)).ToList();
        var failed = vault.State.Snapshots.Where(s => !s.IsRemoved && notes.Failed.ContainsKey(s.Snapshot)).ToList();
        var defective = vault.State.Snapshots.Count(s => s is { IsRemoved: false, Defects: > 0 });
        var unread = vault.State.Snapshots.Count(s => s is { IsRemoved: false, Object: null });
        session.Json(w =>
        {
            w.WriteString("cleanRoom", keys.Id.ToString());
            w.WriteBoolean("opensNewestEpoch", keys.IsNewest);
            if (vault.State.CleanRoom.Last > 0)
                w.WriteString("lastAttestation", Text.Iso(vault.State.CleanRoom.Last));
            w.WriteNumber("waiting", waiting.Count);
            w.WriteNumber("late", late.Count);
            if (waiting.Count > 0)
                w.WriteString("waitingSince", Text.Iso(waiting.Min(s => s.Committed)));
            w.WriteNumber("withDefects", defective);
            w.WriteNumber("withoutObject", unread);
            w.WriteStartArray("failed");
            foreach (var record in failed)
            {
                var note = notes.Failed[record.Snapshot];
                w.WriteStartObject();
                w.WriteString("snapshot", record.Snapshot.ToString());
                w.WriteNumber("tries", note.Tries);
                w.WriteNumber("code", (int)note.Code);
                w.WriteString("next", Text.Iso(note.Next));
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        session.Line($"Clean room   {Text.Id(keys.Id)}{(vault.State.CleanRoom.Last is var last and > 0 ? $", last attestation {Text.Time(last)}" : ", no attestation yet")}{(keys.IsNewest ? "" : "; its keys DO NOT OPEN THE NEWEST KEY EPOCH: holdfast cleanroom key, with the newest opening key")}");
        session.Line($"Waiting      {Words(vault, waiting)}");
        session.Line($"Defects      {(defective > 0 ? $"{Text.Count(defective, "snapshot")} WITH DEFECTS (holdfast status names them)" : "none")}{(unread > 0 ? $"; the object of {Text.Count(unread, "snapshot")} is missing or damaged" : "")}");
        foreach (var record in failed)
        {
            var note = notes.Failed[record.Snapshot];
            session.Line($"Not attested {Text.Id(record.Snapshot)}, {Text.Count(note.Tries, "try", "tries")}, {(note.Code == ErrorCode.None ? "the clean room is at it, or ended in its midst" : $"for {note.Code} ({(int)note.Code})")}; tried again from {Text.Time(note.Next)}");
        }
        return late.Count > 0 ? session.Fail(ErrorCode.AttestationLate, $"{Text.Count(late.Count, "snapshot")} {(late.Count == 1 ? "has" : "have")} waited for more than a day to be attested.", "See that `holdfast cleanroom serve` runs, and what it says.")
            : keys.IsNewest ? 0 : session.Fail(ErrorCode.KeyTooNarrow, "The clean room's keys do not open the newest key epoch.", "Cut them anew: `holdfast cleanroom key`, with the newest opening key.");
    }

    /// <summary>What waits for a clean room, for a person.</summary>
    public static string Words(Vault vault, IReadOnlyList<SnapshotRecord> waiting) => waiting.Count == 0 ? "nothing: every snapshot that is there was attested"
        : $"{Text.Count(waiting.Count, "snapshot")}, the oldest since {Text.Time(waiting.Min(s => s.Committed))}{(waiting.Count(s => CleanRoomQueue.IsLate(vault, s)) is var late and > 0 ? $"; {late} LATE, for more than a day" : "")}";
}
