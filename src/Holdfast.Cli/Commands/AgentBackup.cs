using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Gateway;
using Holdfast.Core.Log;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>A backup of an agent: through its gateway, with nothing of the vault at hand.</summary>
static class AgentBackup
{
    const int LeastThreads = 4; // more than processors, as each waits for answers

    public static int Run(Session session, KeyFolder keys, GatewayAccess access, IGateway gateway, ISource source, string name, string rootPath, ArchiveOptions options, Excludes? excludes, Func<BackupCommand.Outcome, int>? tell = null)
    {
        using var agent = keys.Agent();
        var link = new AgentLink(gateway, agent, access.LogKey);
        var seenPath = Path.Combine(keys.Folder, GatewayAccess.SeenFile);
        Checkpoint? seen = null;
        if (File.Exists(seenPath) && (!Checkpoint.TryParse(UserFile.KeptText(seenPath, $"The key folder's {GatewayAccess.SeenFile}"), out seen) || !seen.IsSignedBy(access.LogKey)))
            throw new HoldfastException(ErrorCode.KeyFileBad, $"The key folder's {GatewayAccess.SeenFile}, the newest checkpoint of the log that this agent saw, was not written so.", "Put it back from a copy of the key folder. Where there is none, take it away: then a log that was put back before this run does not show here.");
        var progress = new BackupProgress();
        ProcessLimits.RequireProc();
        var state = BackupCommand.UsableStateFolder(session, keys.Folder);
        if (options.Threads == 0)
            options = options with { Threads = Math.Max(LeastThreads, options.ThreadCount) };
        using var line = BackupCommand.ProgressOf(session, progress, "sent");
        var request = BackupCommand.RequestOf(session, name, rootPath, state, options);
        AgentResult result;
        try
        {
            result = AgentRun.BackUp(link, seen, source, request, agent, progress, checkpoint => Keep(seenPath, checkpoint), session.Stop);
        }
        catch (HoldfastException e) when (BackupCommand.IsDone(session, e))
        {
            KeepReceipt(session, keys, e.Done!.Snapshot, e.Done.Proof);
            return BackupCommand.TellDone(session, e, request.WasIncomplete(agent, e.Done));
        }
        KeepReceipt(session, keys, result.Snapshot, result.Proof);
        if (!result.IsRemembered)
            session.Warn($"holdfast: what was seen could not be remembered in {state}; the next run reads every file. Free space there or grant access, or name another folder in HOLDFAST_STATE_DIR");
        var outcome = new BackupCommand.Outcome(result.Snapshot, result.Committed, result.Expiry, result.Proof.Index, result.HasParent ? "the last one" : null, result.IsCompared, result.Archive, null) { Sent = result.Archive.NewBytes };
        return tell is not null ? tell(outcome) : BackupCommand.Tell(session, source, excludes?.LeftOut ?? 0, outcome, null);
    }

    static void KeepReceipt(Session session, KeyFolder keys, Id16 snapshot, LogProof proof)
    {
        var receipts = Path.Combine(keys.Folder, GatewayAccess.ReceiptsFolder);
        try
        {
            Disk.Real.MakeDurable(receipts, ownerOnly: true);
            Disk.Real.Replace(Path.Combine(receipts, $"{snapshot}.proof"), Encoding.UTF8.GetBytes(proof.ToString()));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: the snapshot is stored; its receipt could not be kept in {receipts} ({e.Code})");
        }
    }

    /// <summary>Another run on this machine may have seen more meanwhile.</summary>
    static void Keep(string path, Checkpoint checkpoint)
    {
        if (!File.Exists(path) || !Checkpoint.TryParse(UserFile.KeptText(path, "The checkpoint in the key folder"), out var kept) || kept.Size <= checkpoint.Size)
            Disk.Real.Replace(path, Encoding.UTF8.GetBytes(checkpoint.Note));
    }
}
