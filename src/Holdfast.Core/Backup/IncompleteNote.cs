using System.Text;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Backup;

/// <summary>Remembers that something was left out of a named run's snapshot: whoever begins that run again, as the one that committed it was killed before it could say so, says it. One file for a source, in the state folder; a cache, as all there is.</summary>
static class IncompleteNote
{
    /// <summary>Before the commit.</summary>
    public static void Keep(BackupRequest request, AgentKey agent, Id16 snapshot, ISource source)
    {
        if (PathOf(request, agent) is not { } path)
            return;
        var isWhole = !source.Problems.Any(p => p.Kind != ProblemKind.Skipped);
        if (isWhole && !File.Exists(path))
            return; // else it is of an attempt before this one
        try
        {
            Disk.Real.MakeDurable(Path.GetDirectoryName(path)!, ownerOnly: true);
            Disk.Real.Replace(path, isWhole ? [] : Encoding.ASCII.GetBytes(snapshot.ToString()));
        }
        catch (HoldfastException)
        {
            // The run itself says what was left out; that the state folder takes nothing, its state file shows.
        }
    }

    public static bool IsKept(BackupRequest request, AgentKey agent, Id16 snapshot)
    {
        try
        {
            return PathOf(request, agent) is { } path && new FileInfo(path) is { Exists: true, Length: 2 * Id16.Size } && File.ReadAllText(path) == snapshot.ToString();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true; // nobody knows
        }
    }

    static string? PathOf(BackupRequest request, AgentKey agent) => request is { StateFolder: { } folder, Run: not null } ? Path.Combine(folder, agent.Vault.ToString(), $"{(request with { Run = "" }).SnapshotId(agent)}.incomplete") : null;
}
