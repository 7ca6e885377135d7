using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
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
        var health = vault.Health();
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
                w.WriteString("proof", Proof(record, health));
                w.WriteNumber("defects", record.Defects);
                w.WriteNumber("packsMissing", health.Of(record).GetValueOrDefault(ErrorCode.PackMissing));
                w.WriteNumber("packsDamaged", health.Of(record).GetValueOrDefault(ErrorCode.PackDamaged));
                WriteTime(w, "attested", record.Attested);
                WriteTime(w, "fullyAttested", record.FullyAttested);
                WriteTime(w, "restored", record.Restored);
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        if (rows.Count == 0)
        {
            session.Line("There is no snapshot in this vault yet. `holdfast backup FOLDER` takes the first.");
            return 0;
        }
        var proofs = rows.ToDictionary(r => r.Record, r => Proof(r.Record, health));
        var width = proofs.Values.Max(p => p.Length);
        session.Line($"{"snapshot",-9} {"committed",-21} {"locked until",-21} {"files",10} {"size",10} {"stored",10}  {"proof".PadRight(width)} source");
        foreach (var (record, tree) in rows)
        {
            var source = tree is not null ? Text.Name(tree.SourceName) : Text.Id(record.Source);
            session.Line(record.Object is null
                ? $"{Text.Id(record.Snapshot),-9} {Text.Time(record.Committed),-21} {Text.Time(record.Expiry),-21} {"",32}  {proofs[record].PadRight(width)} run holdfast verify"
                : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Text.Id(record.Snapshot),-9} {Text.Time(record.Committed),-21} {Text.Time(record.Expiry),-21} {record.Object.Files,10:#,0} {Text.Bytes(record.Object.LogicalBytes),10} {Text.Bytes(record.Object.NewBytes),10}  {proofs[record].PadRight(width)} {source}"));
        }
        if (rows.Exists(r => health.Of(r.Record).Count > 0))
            session.Note("Some of these snapshots are not whole or not what was signed: holdfast status says what is wrong and what to do.");
        if (keys is null)
            session.Note("Names of sources need the opening key: add --keys FOLDER.");
        return 0;
    }

    /// <summary>What is known of a snapshot: first what is wrong, then the most that was ever shown, each fact with its own words; absence of proof is said aloud.</summary>
    public static string Proof(SnapshotRecord record, VaultHealth health)
    {
        var known = health.Of(record);
        var facts = new List<string>();
        if (known.GetValueOrDefault(ErrorCode.PackMissing) is var missing and > 0)
            facts.Add($"{Text.Count(missing, "PACK", "PACKS")} MISSING");
        if (known.GetValueOrDefault(ErrorCode.PackDamaged) is var damaged and > 0)
            facts.Add($"{Text.Count(damaged, "PACK", "PACKS")} DAMAGED");
        if (known.ContainsKey(ErrorCode.ObjectMissing))
            facts.Add("OBJECT MISSING");
        if (known.ContainsKey(ErrorCode.ObjectDamaged))
            facts.Add("OBJECT DAMAGED");
        if (record.Defects > 0)
            facts.Add("DEFECTS");
        var was = known.Count > 0 ? "was " : "";
        if (record.IsFullyAttested)
            facts.Add($"{was}intact, all");
        else if (record.Attested > 0)
            facts.Add($"{was}intact, part");
        if (record.Restored > 0)
            facts.Add("restored " + Text.Time(record.Restored)[..10]);
        return facts.Count == 0 ? "NEVER TESTED" : string.Join("; ", facts);
    }

    static void WriteTime(System.Text.Json.Utf8JsonWriter w, string property, ulong time)
    {
        if (time > 0)
            w.WriteString(property, Text.Iso(time));
    }

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
