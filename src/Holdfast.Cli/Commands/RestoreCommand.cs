using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

static class RestoreCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Argument<string> TargetArgument = new("TARGET") { Description = "Folder to restore into: empty, or not there yet." };
    static readonly Option<string[]> IncludeOption = new("--include") { Description = "Only what matches, as in .gitignore, and all below it; may be repeated.", HelpName = "PATTERN", DefaultValueFactory = _ => [] };
    static readonly Option<bool> ResumeOption = new("--resume") { Description = "Go on with an interrupted restore: files of equal size and time stay as they are." };
    static readonly Option<bool> OverwriteOption = new("--overwrite") { Description = "Replace what is there." };
    static readonly Option<bool> ByNameOption = new("--owners-by-name") { Description = "Owners by their names on this machine, where it has them." };
    static readonly Option<int> ThreadsOption = new("--threads") { Description = "Threads; 0 for one a processor.", HelpName = "N" };

    public static Command Create() => Session.Command("restore", "Bring a snapshot back, whole or in part.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Arguments.Add(TargetArgument);
        foreach (var option in new Option[] { IncludeOption, ResumeOption, OverwriteOption, ByNameOption, ThreadsOption, SnapshotArgument.NameOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!);
            var existing = session.Parsed.GetValue(OverwriteOption) ? ExistingFiles.Replace : session.Parsed.GetValue(ResumeOption) ? ExistingFiles.KeepEqual : ExistingFiles.Refuse;
            using var target = FileTarget.Create(Path.GetFullPath(session.Parsed.GetValue(TargetArgument)!), new FileTargetOptions { Existing = existing, MapOwnersByName = session.Parsed.GetValue(ByNameOption) });
            var patterns = session.Parsed.GetValue(IncludeOption)!.Select(Pattern).ToList();
            var filter = new PathFilter(patterns.Count == 0 ? null : path => Matches(patterns, path));
            var progress = new RestoreProgress();
            RestoreResult result;
            TimeSpan elapsed;
            using (var line = new ProgressLine(session, time => string.Create(CultureInfo.InvariantCulture, $"{progress.Files:#,0} files, {ProgressLine.Rate(progress.Bytes, progress.Planned, time)}")))
            {
                result = vault.Restore(record, keys, target, filter, progress, session.Parsed.GetValue(ThreadsOption), session.Stop);
                elapsed = line.Elapsed;
            }
            if (patterns.Count > 0 && result.Matched == 0)
                throw new HoldfastException(ErrorCode.SnapshotMissing, "Nothing in the snapshot matches; the target has only its root folder.", "`holdfast find PATTERN --snapshot SNAPSHOT` shows what a pattern matches.");
            Record(session, vault, record, result);
            session.Json(w =>
            {
                w.WriteString("snapshot", record.Snapshot.ToString());
                w.WriteNumber("entries", result.Entries);
                w.WriteNumber("files", result.Files);
                w.WriteNumber("bytes", result.Bytes);
                w.WriteNumber("seconds", elapsed.TotalSeconds);
                w.WriteStartArray("failed");
                foreach (var path in result.Failed)
                {
                    w.WriteStartObject();
                    w.WriteName("path", path);
                    w.WriteEndObject();
                }
                w.WriteEndArray();
                BackupCommand.WriteProblems(w, target.Problems);
            });
            session.Line($"Restored {Text.Count(result.Files, "file")}, {Text.Bytes(result.Bytes)}, in {Text.Duration(elapsed)}; every piece matched its digest.");
            foreach (var path in result.Failed)
                session.Warn($"holdfast: not restored, no copy in the vault gives it whole: {Text.Name(path)}");
            foreach (var problem in target.Problems)
                session.Warn($"holdfast: {(problem.Path.Length > 0 ? Text.Name(problem.Path) + ": " : "")}{problem.Detail}");
            if (result.Failed.Count > 0)
                return session.Fail(ErrorCode.RestoreMismatch, $"{Text.Count(result.Failed.Count, "file")} could not be restored.", "Take them from another snapshot (holdfast find), and run `holdfast verify --full`.");
            return target.Problems.Count > 0 ? (int)ErrorCode.Incomplete : 0;
        }
    }

    static Excludes Pattern(string text) => new Excludes().AddLines([text.Trim('/') is { Length: > 0 } inner && text.Contains('/') ? "/" + inner : text]);

    static bool Matches(List<Excludes> patterns, ReadOnlySpan<byte> path)
    {
        foreach (var pattern in patterns)
        {
            if (!path.IsEmpty && pattern.Match(path, isFolder: true))
                return true;
        }
        return false;
    }

    /// <summary>A restore is a fact of the log: it shows that the snapshot came back. Where the log cannot be written, the restore counts all the same.</summary>
    static void Record(Session session, Vault vault, SnapshotRecord record, RestoreResult result)
    {
        if (result.Failed.Count > 0 || result.Matched > 0)
            return;
        try
        {
            vault.Keeper.Record(LeafType.Restore, record.Snapshot, Id16.None, 0, (ulong)result.Bytes, (ulong)result.Files);
        }
        catch (HoldfastException e)
        {
            session.Note($"The restore could not be noted in the log: {e.Message}");
        }
    }
}
