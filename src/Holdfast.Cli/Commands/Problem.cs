using System.Text.Json;
using Holdfast.Core;
using Holdfast.Core.Restore;

namespace Holdfast.Cli.Commands;

/// <summary>An entry of the array <c>problems</c>: what is the matter, and what to do about it.</summary>
sealed record Problem(ErrorCode Code, string Message, string Advice)
{
    const int Listed = 1_000;

    /// <summary>What is known to be wrong with the vault behind it; null for what merely stands in the way.</summary>
    VaultProblem? Of { get; init; }

    /// <summary>Most likely as it should be: what stands in the way of a backup into what none goes to.</summary>
    public bool IsOfCopy { get; init; }

    /// <summary>Of what the vault's keeper remembers; all that it stores may be there.</summary>
    public bool IsOfNote { get; init; }

    public static Problem From(VaultProblem problem) => new(problem.Code, ProblemReport.Describe(problem), ProblemReport.Advice(problem.Code)) { Of = problem };

    public void Write(Utf8JsonWriter w)
    {
        w.WriteStartObject();
        w.WriteString("code", Code.ToString());
        w.WriteNumber("status", (int)Code);
        w.WriteNumber("count", Of is null ? 1 : Code == ErrorCode.LeafRefused ? Of.Leaves.Count : Of.Names.Count);
        w.WriteString("message", Message);
        w.WriteString("advice", Advice);
        w.WriteNumber("snapshotCount", Of?.Snapshots.Count ?? 0);
        WriteAll(w, "snapshots", Of?.Snapshots.Select(s => s.Snapshot.ToString()));
        WriteAll(w, "names", Of?.Names.Select(n => n.ToString()));
        if (Code == ErrorCode.LeafRefused)
        {
            w.WriteStartArray("leaves");
            foreach (var leaf in Of!.Leaves.Take(Listed))
                w.WriteNumberValue(leaf);
            w.WriteEndArray();
        }
        w.WriteEndObject();
    }

    static void WriteAll(Utf8JsonWriter w, string property, IEnumerable<string>? values)
    {
        w.WriteStartArray(property);
        foreach (var value in values?.Take(Listed) ?? [])
            w.WriteStringValue(value);
        w.WriteEndArray();
    }
}
