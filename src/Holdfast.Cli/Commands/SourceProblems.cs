using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>Which entries of its source a snapshot has not, or not as they were at one moment, told long after the backup.</summary>
static class SourceProblems
{
    const int Shown = 20;

    public static string Describe(ProblemKind kind) => kind switch
    {
        ProblemKind.Vanished => "left out: it vanished while the backup ran",
        ProblemKind.PermissionDenied => "left out: who backed up could not read it",
        ProblemKind.ReadFailed => "left out: reading it failed",
        ProblemKind.Changed => "in it as it was read last: it changed each time",
        ProblemKind.PathTooLong => "left out: its path is too long",
        ProblemKind.TooMuch => "left out, or its extended attributes: more than a snapshot takes",
        _ => "left out, or in doubt",
    };

    /// <summary>The first of them, a line each.</summary>
    /// <param name="all">How many there are.</param>
    /// <param name="problems">Those that the snapshot names.</param>
    /// <param name="snapshot">Its id.</param>
    public static IEnumerable<string> Lines(ulong all, IReadOnlyList<SourceProblem> problems, Id16 snapshot)
    {
        foreach (var problem in problems.Take(Shown))
            yield return $"    {Text.Name(problem.Path)}  ({Describe(problem.Kind)})";
        if (problems.Count > 0 && all > (ulong)Math.Min(Shown, problems.Count))
            yield return $"    and {Text.Count((long)(all - (ulong)Math.Min(Shown, problems.Count)), "more", "more")}: holdfast ls {Text.Id(snapshot)} --problems";
    }

    /// <summary>All of them, as a listing.</summary>
    public static int List(Session session, Vault vault, SnapshotRecord record, ReadingKeys keys)
    {
        var (all, problems) = (vault.Describe(record, keys).Problems, vault.ProblemsOf(record, keys));
        foreach (var problem in problems)
            session.Row(session.IsJson ? "" : $"{Text.Name(problem.Path)}  ({Describe(problem.Kind)})");
        session.Json(w =>
        {
            w.WriteNumber("problems", all);
            Write(w, problems);
        });
        if (all == 0)
            session.Note("Nothing was left out of this snapshot, and nothing changed each time it was read.");
        else if ((ulong)problems.Count < all)
            session.Warn($"holdfast: of {Text.Count((long)all, "entry", "entries")} left out or in doubt the snapshot names {(problems.Count == 0 ? "none: it was taken by an earlier version, or this key does not open their names" : $"{problems.Count:#,0}")}");
        return 0;
    }

    public static void Write(Utf8JsonWriter w, IReadOnlyList<SourceProblem> problems)
    {
        w.WriteStartArray("sourceProblems");
        foreach (var problem in problems)
        {
            w.WriteStartObject();
            w.WriteString("kind", problem.Kind.ToString());
            w.WriteName("path", problem.Path);
            w.WriteEndObject();
        }
        w.WriteEndArray();
    }
}
