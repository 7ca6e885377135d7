using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

static class SnapshotsCommand
{
    static readonly Option<string?> NameOption = new("--name") { Description = "Of this source only.", HelpName = "NAME" };

    public static Command Create() => Session.Command("snapshots", "List the snapshots of a vault.", command =>
    {
        command.Options.Add(NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        folder.Remember(vault);
        using var keys = folder.CanRead ? folder.OpenReading(vault) : null;
        var name = session.Parsed.GetValue(NameOption);
        var rows = vault.State.Snapshots.Where(s => !s.IsRemoved).Select(s => (Record: s, Tree: Describe(s, keys)))
            .Where(s => name is null || (s.Tree is not null && Text.Name(s.Tree.SourceName) == name)).ToList();
        session.Json(w =>
        {
            w.WriteStartArray("snapshots");
            foreach (var (record, tree) in rows)
            {
                w.WriteStartObject();
                w.WriteString("id", record.Snapshot.ToString());
                w.WriteString("source", record.Source.ToString());
                if (tree is not null)
                {
                    w.WriteName("name", tree.SourceName);
                    w.WriteName("host", tree.HostName);
                    w.WriteName("path", tree.RootPath);
                    w.WriteNumber("problems", tree.Problems);
                }
                w.WriteString("committed", Text.Iso(record.Committed));
                w.WriteString("lockedUntil", Text.Iso(record.Expiry));
                w.WriteNumber("files", record.Object?.Files ?? 0);
                w.WriteNumber("bytes", record.Object?.LogicalBytes ?? 0);
                w.WriteNumber("bytesStored", record.Object?.NewBytes ?? 0);
                w.WriteString("proof", Proof(record));
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        if (rows.Count == 0)
        {
            session.Line("There is no snapshot in this vault yet. `holdfast backup FOLDER` takes the first.");
            return 0;
        }
        session.Line($"{"snapshot",-9} {"committed",-21} {"locked until",-21} {"files",10} {"size",10} {"stored",10}  {"proof",-12} source");
        foreach (var (record, tree) in rows)
        {
            var source = tree is not null ? Text.Name(tree.SourceName) : Text.Id(record.Source);
            session.Line(record.Object is null
                ? $"{Text.Id(record.Snapshot),-9} {Text.Time(record.Committed),-21} {Text.Time(record.Expiry),-21} its object is missing or damaged: run holdfast verify"
                : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Text.Id(record.Snapshot),-9} {Text.Time(record.Committed),-21} {Text.Time(record.Expiry),-21} {record.Object.Files,10:#,0} {Text.Bytes(record.Object.LogicalBytes),10} {Text.Bytes(record.Object.NewBytes),10}  {Proof(record),-12} {source}"));
        }
        if (keys is null)
            session.Note("Names of sources need the opening key: add --keys FOLDER.");
        return 0;
    }

    /// <summary>What has been shown of a snapshot, the highest first; absence of proof is said aloud.</summary>
    public static string Proof(SnapshotRecord record) => record switch
    {
        { Defects: > 0, Attested: 0 } => "DEFECTS",
        { Restored: > 0 } => "restored",
        { IsFullyAttested: true, Attested: > 0 } => "intact, all",
        { Attested: > 0 } => "intact, part",
        _ => "NEVER TESTED",
    };

    public static TreeSection? Describe(SnapshotRecord record, ReadingKeys? keys)
    {
        if (keys is null || record.Object is null)
            return null;
        try
        {
            return Vault.Describe(record, keys);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.KeyTooNarrow or ErrorCode.ObjectDamaged)
        {
            return null;
        }
    }
}
