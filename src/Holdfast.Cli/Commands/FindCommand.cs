using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

static class FindCommand
{
    static readonly Argument<string> PatternArgument = new("PATTERN") { Description = "As in .gitignore: *.dcm, reports/**/2025-*, an exact name." };
    static readonly Option<string?> SnapshotOption = new("--snapshot") { Description = "In this snapshot only; otherwise in all.", HelpName = "SNAPSHOT" };

    public static Command Create() => Session.Command("find", "Find files by name in one snapshot or in all.", command =>
    {
        command.Arguments.Add(PatternArgument);
        command.Options.Add(SnapshotOption);
        command.Options.Add(SnapshotArgument.NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var pattern = new Excludes().AddLines([session.Parsed.GetValue(PatternArgument)!]);
            var which = session.Parsed.GetValue(SnapshotOption);
            var records = which is not null ? [SnapshotArgument.Find(session, vault, keys, which)] : vault.State.Snapshots.Where(s => s is { IsRemoved: false, Object: not null }).ToList();
            var hits = new List<(Core.Keeper.SnapshotRecord Record, byte[] Path, long Size, long Time, Core.Hash32 Digest)>();
            var leftOut = false;
            foreach (var record in records)
            {
                try
                {
                    foreach (var rows in vault.Rows(record, keys, session.Stop))
                    {
                        for (var row = 0; row < rows.Count; row++)
                        {
                            if (rows.Path(row).IsEmpty || !pattern.Match(rows.Path(row), rows.Kind[row] == EntryKind.Directory))
                                continue;
                            hits.Add((record, rows.Path(row).ToArray(), rows.Size[row], rows.MtimeSeconds[row], rows.Digest[row]));
                            session.Line($"{Text.Id(record.Snapshot)}  {Text.Time((ulong)Math.Max(0, rows.MtimeSeconds[row]))}  {Text.Bytes(rows.Size[row]),10}  {Text.Name(rows.Path(row))}");
                        }
                    }
                }
                catch (HoldfastException e) when (which is null && e.Code is (ErrorCode.SnapshotRefused or ErrorCode.ObjectDamaged or ErrorCode.ChunkMissing or ErrorCode.PackMissing or ErrorCode.PackDamaged))
                {
                    session.Warn($"holdfast: snapshot {Text.Id(record.Snapshot)} was left out: {e.Message}"); // the others are not held up
                    leftOut = true;
                }
            }
            session.Json(w =>
            {
                w.WriteStartArray("found");
                foreach (var hit in hits)
                {
                    w.WriteStartObject();
                    w.WriteString("snapshot", hit.Record.Snapshot.ToString());
                    w.WriteName("path", hit.Path);
                    w.WriteNumber("size", hit.Size);
                    w.WriteNumber("mtime", hit.Time);
                    if (!hit.Digest.IsNone)
                        w.WriteString("sha256", hit.Digest.ToString());
                    w.WriteEndObject();
                }
                w.WriteEndArray();
            });
            if (hits.Count == 0)
                session.Note("Nothing matches.");
            return leftOut ? (int)ErrorCode.Incomplete : 0;
        }
    }
}
