using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

static class FindCommand
{
    static readonly Argument<string> PatternArgument = new("PATTERN") { Description = "A name or a pattern, in quotes: '*.dcm', 'reports/**/2025-*'. Upper and lower case differ. " + NamePattern.Rules };
    static readonly Option<string?> SnapshotOption = new("--snapshot") { Description = "Look in this snapshot only; otherwise in all, the oldest first.", HelpName = "SNAPSHOT" };

    public static Command Create() => Session.Command("find", """
        Find files by name in one snapshot or in all.

        A line for each: the snapshot (`holdfast snapshots` says of when), when the entry itself was changed last, its size, its path.

        Exit status 0 whether anything matches or not; 3 where a snapshot had to be left out, or where what named some cannot be read.
        """, command =>
    {
        command.Arguments.Add(PatternArgument);
        command.Options.Add(SnapshotOption);
        command.Options.Add(SnapshotArgument.NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static IEnumerable<SnapshotRecord> OfSource(Session session, Vault vault, ReadingKeys keys)
    {
        if (session.Parsed.GetValue(SnapshotArgument.NameOption) is not { } name)
            return vault.State.Snapshots;
        var sources = SnapshotArgument.SourcesOf(session, vault, keys, name);
        return vault.State.Snapshots.Where(s => sources.Contains(s.Source));
    }

    static int Run(Session session)
    {
        var typed = session.Parsed.GetValue(PatternArgument)!;
        NamePattern.Require([typed], "Pattern");
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var pattern = NamePattern.Parse(typed);
            var which = session.Parsed.GetValue(SnapshotOption);
            var records = which is not null ? [SnapshotArgument.Find(session, vault, keys, which)] : OfSource(session, vault, keys).Where(s => !s.IsRemoved).ToList();
            var leftOut = 0;
            var hits = 0L;
            var lost = new LostParts(session);
            var found = session.JsonList("found");
            foreach (var record in records)
            {
                var before = hits;
                try
                {
                    foreach (var rows in vault.Rows(record, keys, session.Stop, lost: lost.Of(record)))
                    {
                        for (var row = 0; row < rows.Count; row++)
                        {
                            if (rows.Path(row).IsEmpty || !pattern.Match(rows.Path(row), rows.Kind[row] == EntryKind.Directory))
                                continue;
                            hits++;
                            session.Row(session.IsJson ? "" : $"{Text.Id(record.Snapshot)}  {Text.Time(rows.MtimeSeconds[row])}  {Text.Bytes(rows.Size[row]),10}  {Text.Name(rows.Path(row))}");
                            var at = row;
                            found.Add(w =>
                            {
                                w.WriteString("snapshot", record.Snapshot.ToString());
                                w.WriteName("path", rows.Path(at));
                                w.WriteNumber("size", rows.Size[at]);
                                w.WriteString("mtime", Text.Iso(rows.MtimeSeconds[at], rows.MtimeNanoseconds[at]));
                                if (!rows.Digest[at].IsNone)
                                    w.WriteString("sha256", rows.Digest[at].ToString());
                            });
                        }
                    }
                }
                catch (HoldfastException e) when (which is null && e.Code is (ErrorCode.SnapshotRefused or ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged or ErrorCode.ChunkMissing or ErrorCode.PackMissing or ErrorCode.PackDamaged or ErrorCode.KeyTooNarrow
                    or ErrorCode.StoreUnavailable or ErrorCode.NoPermission or ErrorCode.Truncated or ErrorCode.FormatNewer or ErrorCode.WrongVault))
                {
                    session.Warn($"holdfast: snapshot {Text.Id(record.Snapshot)} was {(hits > before ? "looked into in part" : "left out")}: {e.Message}"); // the others are not held up
                    leftOut++;
                }
            }
            found.Dispose();
            if (hits == 0)
            {
                var read = records.Count - leftOut;
                if (read == 0 && leftOut > 0)
                    session.Warn($"holdfast: none of {Text.Count(leftOut, "snapshot")} could be looked into: whether anything matches is not known");
                else
                    session.Note($"Nothing matches{(which is null ? $" in {Text.Count(read, "snapshot")}{(leftOut > 0 ? $" that could be read; {leftOut} could not" : "")}" : "; without --snapshot, find looks in all snapshots")}. {NamePattern.Hint([typed])}Upper and lower case differ; a pattern with / in it begins at the source's root. `holdfast ls {(records.FindLast(r => r.Object is not null) is { } last ? Text.Id(last.Snapshot) : "SNAPSHOT")}` shows the first level.");
            }
            var status = lost.Tell();
            if (which is null && vault.Keeper.Log.IsInPart)
                leftOut++; // what it named; OpenVault has said so
            return leftOut > 0 ? (int)ErrorCode.Incomplete : status;
        }
    }
}
