using System.Globalization;
using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Restore;

namespace Holdfast.Cli.Commands;

/// <summary>What is known to be wrong with a vault, told the same way by every command.</summary>
static class ProblemReport
{
    const int Shown = 10; // names in text; --json has more

    /// <summary>What is wrong, how much of it, and how many snapshots that hits.</summary>
    public static string Describe(VaultProblem problem)
    {
        if (problem.Code == ErrorCode.LeafRefused)
        {
            return $"{Text.Count(problem.Leaves.Count, "leaf", "leaves")} of the log {(problem.Leaves.Count == 1 ? "is" : "are")} NOT BELIEVED ({Listing(problem.Leaves.Select(l => l.ToString(CultureInfo.InvariantCulture)), problem.Leaves.Count, ", ")}): no sound keeper writes such; "
                + "what they give up is needed as before";
        }
        var count = problem.Names.Count;
        var what = problem.Code switch
        {
            ErrorCode.PackMissing => $"{Text.Count(count, "pack")} {(count == 1 ? "is" : "are")} MISSING",
            ErrorCode.PackDamaged => $"{Text.Count(count, "pack")} {(count == 1 ? "is" : "are")} DAMAGED",
            ErrorCode.ObjectMissing => $"{Text.Count(count, "object")} that the log names {(count == 1 ? "is" : "are")} MISSING",
            ErrorCode.ObjectDamaged => $"{Text.Count(count, "object")} that the log names {(count == 1 ? "is" : "are")} DAMAGED",
            _ => $"{Text.Count(count, "snapshot")} {(count == 1 ? "has" : "have")} DEFECTS: an attestation found {(count == 1 ? "it" : "them")} not to be what was signed, or not whole",
        };
        if (problem.Code == ErrorCode.SnapshotDefective)
            return what;
        return problem.Snapshots.Count == 0 ? $"{what}; no snapshot loses data by it"
            : $"{what}; {Text.Count(problem.Snapshots.Count, "snapshot needs", "snapshots need")} {(count == 1 ? "it" : "some of them")}{(problem.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged ? ", and where it is a snapshot's own, which packs that needs cannot be told: more may be missing" : "")}";
    }

    public static string Advice(ErrorCode code) => code switch
    {
        ErrorCode.PackMissing => "Bring back the disk that held what is missing, or the files (packs/XX/NAME, XX the first two letters of the name) from another copy of the vault; then run `holdfast verify`. Until then restore from snapshots that it does not hit, if there are any; "
            + "the next backup stores anew what its source still has, and `holdfast attest --full SNAPSHOT` then shows which of the snapshots hit are whole again by that.",
        ErrorCode.PackDamaged => "Bring sound files of the same names from another copy of the vault: in place of the damaged ones, or beside them as NAME.1; then run `holdfast verify --full`, which clears what it reads right. "
            + "The next backup stores anew what its source still has, and `holdfast attest --full SNAPSHOT` then shows which of the snapshots hit are whole again by that. A disk that damaged one file is not to be trusted with the others.",
        ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged => "Bring the files (objects/XX/NAME, XX the first two letters of the name) back from another copy of the vault; then run `holdfast verify`. Until then restore from other snapshots.",
        ErrorCode.LeafRefused => "See if this machine's clock is right (timedatectl): where it is behind, an expiry seems to be ahead of its time. If it is right, somebody has the log's key (keeper/log.key) who should not: treat it as a break-in. `holdfast log entries` says what is wrong "
            + "with each leaf. Take the vault's disks away from that machine before anything is removed, copy them, and go on with a new vault; what is missing has to come from a copy elsewhere.",
        _ => "Run `holdfast attest`, with the key folder (--keys) where HOLDFAST_KEYS does not name it: it re-opens them whole, names what is wrong with each, and clears what is right again. Until then restore from other snapshots.",
    };

    /// <summary>The words of a failure for all problems together.</summary>
    public static string Summary(IReadOnlyList<VaultProblem> problems) => string.Join("; ", problems.Select(Describe)) + ".";

    public static void Print(Session session, VaultHealth health)
    {
        if (health.Problems.Count == 0)
            return;
        session.Line("PROBLEMS. This vault does not hold all that it should.");
        foreach (var problem in health.Problems)
        {
            session.Line($"  {Describe(problem)}");
            if (problem.Snapshots.Count > 0)
                session.Line($"    snapshots  {Listing(problem.Snapshots.Select(s => Text.Id(s.Snapshot)), problem.Snapshots.Count, ", ")}");
            if (problem.Code is not (ErrorCode.SnapshotDefective or ErrorCode.LeafRefused))
                session.Line($"    names      {Listing(problem.Names.Select(n => n.ToString()), problem.Names.Count, "\n               ")}");
            session.Advice("    what to do ", Advice(problem.Code));
        }
        session.Line();
    }

    static string Listing(IEnumerable<string> all, int count, string separator) =>
        string.Join(separator, all.Take(Shown)) + (count > Shown ? $"{separator}and {Text.Count(count - Shown, "more", "more")} (--json)" : "");

    /// <summary>The array <c>problems</c>; empty where nothing is known to be wrong.</summary>
    public static void Write(Utf8JsonWriter w, VaultHealth health, IReadOnlyList<Problem>? obstacles = null)
    {
        w.WriteStartArray("problems");
        foreach (var problem in health.Problems.Select(Problem.From).Concat(obstacles ?? []))
            problem.Write(w);
        w.WriteEndArray();
    }
}
