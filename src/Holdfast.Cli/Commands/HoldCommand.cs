using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

/// <summary>Legal holds: snapshots that must stay for a court, an inquiry or an incident.</summary>
static class HoldCommand
{
    static readonly Argument<string[]> SnapshotsArgument = new("SNAPSHOT") { Description = "The snapshots: ids, their first letters, or `latest`.", Arity = ArgumentArity.OneOrMore };
    static readonly Option<string> UntilOption = LockCommand.MakeUntil("The date until which the hold stands, YYYY-MM-DD.");

    public static Command Create()
    {
        var hold = new Command("hold", """
            Hold snapshots for a court, an inquiry or an incident: while a hold stands they are locked, and shown as held.

            One person sets a hold, for 30 days. Where the vault has approvers, renewing and lifting takes them (holdfast approval request hold, lift).
            """);
        hold.Subcommands.Add(Session.Command("set", "Hold snapshots for 30 days.", command =>
        {
            command.Arguments.Add(SnapshotsArgument);
            KeyFolder.AddTo(command, reading: false);
        }, session => Change(session, HoldChange.Set, _ => 0)));
        hold.Subcommands.Add(Session.Command("renew", "Have holds stand for longer, in a vault without approvers.", command =>
        {
            command.Arguments.Add(SnapshotsArgument);
            command.Options.Add(UntilOption);
            command.Options.Add(InitCommand.ConfirmOption);
            KeyFolder.AddTo(command, reading: false);
        }, session => Change(session, HoldChange.Longer, s => LockCommand.Date(s, UntilOption))));
        hold.Subcommands.Add(Session.Command("lift", "Lift holds, in a vault without approvers. Locks stay as long as they are.", command =>
        {
            command.Arguments.Add(SnapshotsArgument);
            KeyFolder.AddTo(command, reading: false);
        }, session => Change(session, HoldChange.Lifted, _ => 0)));
        hold.Subcommands.Add(Session.Command("list", "List the snapshots that are held.", command => KeyFolder.AddTo(command, reading: false), List));
        return hold;
    }

    static int Change(Session session, HoldChange change, Func<Session, ulong> date)
    {
        var until = date(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        var snapshots = session.Parsed.GetValue(SnapshotsArgument)!.Select(s => vault.Find(s)).DistinctBy(s => s.Snapshot).ToList();
        if (change == HoldChange.Longer && vault.State.Approvers.IsNobody)
        {
            vault.Keeper.RequireAllowed(until);
            InitCommand.ConfirmLong(session, until, vault.Keeper.Clock.Now, vault.Keeper.FolderStore is null ? null : vault.Keeper.Folder, "nothing was changed", $"What {Text.Count(snapshots.Count, "snapshot")} {(snapshots.Count == 1 ? "needs" : "need")}");
        }
        vault.Keeper.Hold([.. snapshots.Select(s => s.Snapshot)], change, until, Id16.None);
        session.Json(w =>
        {
            w.WriteStartArray("snapshots");
            foreach (var record in snapshots.Select(s => vault.State.Find(s.Snapshot)!))
                Write(w, record);
            w.WriteEndArray();
        });
        foreach (var record in snapshots.Select(s => vault.State.Find(s.Snapshot)!))
            session.Step(change == HoldChange.Lifted ? $"Snapshot {Text.Id(record.Snapshot)} is not held any more; it stays locked until {Text.Time(record.Expiry)}."
                : $"Snapshot {Text.Id(record.Snapshot)} is held until {Text.Time(record.HeldUntil)}, and locked until {Text.Time(record.Expiry)}.");
        return 0;
    }

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var held = vault.State.HeldAt(vault.Keeper.Clock.Now).ToList();
        session.Json(w =>
        {
            w.WriteStartArray("held");
            held.ForEach(r => Write(w, r));
            w.WriteEndArray();
        });
        foreach (var record in held)
            session.Line($"{record.Snapshot}  committed {Text.Time(record.Committed)}, held until {Text.Time(record.HeldUntil)}");
        if (held.Count == 0)
            session.Note("holdfast: no snapshot is held");
        return 0;
    }

    static void Write(System.Text.Json.Utf8JsonWriter w, SnapshotRecord record)
    {
        w.WriteStartObject();
        w.WriteString("snapshot", record.Snapshot.ToString());
        if (record.HeldUntil > 0)
            w.WriteString("heldUntil", Text.Iso(record.HeldUntil));
        w.WriteString("lockedUntil", Text.Iso(record.Expiry));
        w.WriteEndObject();
    }
}
