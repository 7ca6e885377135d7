using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

static class LockCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Option<string> UntilOption = MakeUntil("The date on which the lock ends, YYYY-MM-DD: at 00:00 UTC, so that the day before is the last one locked in full.");

    public static Command Create() => Session.Command("lock", "Lengthen a snapshot's lock. Nothing shortens one.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Options.Add(UntilOption);
        command.Options.Add(SnapshotArgument.NameOption);
        command.Options.Add(InitCommand.ConfirmOption);
        KeyFolder.AddTo(command, reading: false);
    }, Run);

    public static Option<string> MakeUntil(string description) => new("--until") { Description = description, HelpName = "DATE", Required = true };

    /// <summary>Seconds since 1970, of the beginning of a day in UTC.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static ulong Date(Session session, Option<string> option) =>
        DateTimeOffset.TryParseExact(session.Parsed.GetValue(option), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var until) && until.Year >= 1971 ? (ulong)until.ToUnixTimeSeconds()
            : throw new HoldfastException(ErrorCode.Usage, $"The date of {option.Name} is none.", "Write it as YYYY-MM-DD, such as 2031-04-01: it ends on that day at 00:00 UTC.");

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        var wanted = Date(session, UntilOption);
        var record = SnapshotArgument.FindByPutKey(session, vault, session.Parsed.GetValue(Snapshot)!);
        vault.Keeper.RequireWritable(); // before a person is asked
        vault.Keeper.RequireAllowed(wanted);
        var source = SnapshotArgument.SourceWords(session, vault, record);
        if (wanted > record.Expiry) // else the keeper refuses it
            InitCommand.ConfirmLong(session, wanted, vault.Keeper.Clock.Now, vault.Keeper.FolderStore is null ? null : vault.Keeper.Folder, "the lock is as it was", $"Snapshot {Text.Id(record.Snapshot)}, committed {Text.Time(record.Committed)}, of source {source},");
        var healed = Healed(session, vault);
        vault.Keeper.Extend(record.Snapshot, wanted, Id16.None);
        if (healed is { Count: > 0 })
            healed = Healed(session, vault) is { } still ? [.. healed.Except(still)] : null;
        session.Json(w =>
        {
            w.WriteString("snapshot", record.Snapshot.ToString());
            w.WriteString("lockedUntil", Text.Iso(wanted));
            if (healed is null)
            {
                w.WriteNull("healedNoLonger"); // not known
                return;
            }
            w.WriteStartArray("healedNoLonger");
            foreach (var id in healed)
                w.WriteStringValue(id.ToString());
            w.WriteEndArray();
        });
        session.Step($"Snapshot {Text.Id(record.Snapshot)}, committed {Text.Time(record.Committed)}, of source {source}, is locked until {Text.Time(wanted)}.");
        foreach (var id in healed ?? [])
        {
            session.Warn($"holdfast: snapshot {Text.Id(id)} counted as healed of packs that were lost, and by this lock does so no longer: what it was read from is not locked for as long as it now is");
            session.Warn($"  what to do: `holdfast attest --full {Text.Id(id)}` reads all of it again, and says which snapshots to lock for as long");
        }
        return 0;
    }

    /// <summary>Snapshots that miss packs and are whole by those of others: while these are locked as long. Null where the disk does not say, which keeps nobody from locking.</summary>
    static HashSet<Id16>? Healed(Session session, Vault vault)
    {
        if (!vault.State.Snapshots.Exists(s => s.Defects > 0))
            return [];
        try
        {
            return [.. vault.Health().Healed.Select(s => s.Snapshot)];
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: whether this lock takes packs from under a snapshot that counts as healed could not be looked up: {e.Message}");
            session.Warn("  what to do: once that is mended, `holdfast status` says which snapshots are damaged");
            return null;
        }
    }
}
