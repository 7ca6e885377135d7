using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Log;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>A snapshot that an agent had committed.</summary>
/// <param name="Snapshot">Its id.</param>
/// <param name="Proof">Leaf, audit path and checkpoint, checked.</param>
/// <param name="Committed">Vault time.</param>
/// <param name="Expiry">Seconds since 1970: nothing of the snapshot is removed before.</param>
/// <param name="HasParent">It is not the first of its source.</param>
/// <param name="Archive">What was found.</param>
/// <param name="IsRemembered">False where the state folder took no state: the snapshot counts, and the next run reads everything.</param>
/// <param name="IsCompared">False where this machine remembers no run that the parent came from: then every file counts as new.</param>
public sealed record AgentResult(Id16 Snapshot, LogProof Proof, ulong Committed, ulong Expiry, bool HasParent, Archive Archive, bool IsRemembered, bool IsCompared);

/// <summary>One backup through a gateway, as its agent does it: nothing of the vault is read.</summary>
public static class AgentRun
{
    static readonly TimeSpan SignOfLife = TimeSpan.FromMinutes(5);

    /// <summary>How long is waited before a backup that the gateway has lost begins anew, each time.</summary>
    public static IReadOnlyList<TimeSpan> Pauses { get; } = [TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(1)];

    /// <summary>Does a backup, and does it anew where the gateway has lost it: it was restarted. What was stored by then is not sent again.</summary>
    /// <param name="once">Reads the source from its beginning each time.</param>
    /// <param name="pauses">As many as times that it is done anew.</param>
    /// <param name="told">Gets each that was lost, before the pause.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="HoldfastException">As of the backup.</exception>
    public static T Again<T>(Func<T> once, IReadOnlyList<TimeSpan> pauses, Action<HoldfastException> told, CancellationToken ct)
    {
        for (var i = 0; ; i++)
        {
            try
            {
                return once();
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.SessionLost && i < pauses.Count && !ct.IsCancellationRequested)
            {
                told(e);
            }
            ct.WaitHandle.WaitOne(pauses[i]);
            ct.ThrowIfCancellationRequested();
        }
    }

    /// <param name="link">To the gateway.</param>
    /// <param name="seen">The checkpoint that this agent saw last; null for none.</param>
    /// <param name="source">What is backed up.</param>
    /// <param name="request">Under which name.</param>
    /// <param name="agent">Signs.</param>
    /// <param name="progress">How far it is; what it calls stored was sent.</param>
    /// <param name="keep">Keeps a checkpoint of the log that goes on from what was seen, durably.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="HoldfastException">See docs/errors.md; nothing is committed then, and what was sent is not sent again. <c>LogForked</c>: the vault's log does not go on from what was seen.</exception>
    public static AgentResult BackUp(AgentLink link, Checkpoint? seen, ISource source, BackupRequest request, AgentKey agent, BackupProgress progress, Action<Checkpoint> keep, CancellationToken ct)
    {
        request.RequireHeld(); // before hours of reading
        var id = request.SnapshotId(agent);
        if (request.Run is not null)
            RequireNotDone(link, seen, id, agent, keep);
        var session = AgentSession.Parse(link.Ask(new AgentRequest.Begin(request.SourceName, seen?.Size ?? 0))) ?? throw AgentLink.Senseless();
        var began = Extending(link, seen, session.Checkpoint, session.Consistency);
        keep(began);

        var statePath = request.StateFolder is null ? null : Path.Combine(request.StateFolder, agent.Vault.ToString(), $"{session.Source}.state");
        using var key = SourceState.KeyOf(agent);
        using var state = statePath is null ? null : BackupRun.OpenState(statePath, key, session.Parent.IsNone ? null : session.Parent, request, ct);
        using var next = statePath is null ? null : new SourceState.Writer(statePath, key);
        var sink = new AgentSink(link, session, progress);
        Archive archive;
        try
        {
            using var alive = new Timer(_ => Tell(new AgentRequest.Use(session.Session, [])), null, SignOfLife, SignOfLife); // a source may take hours over its first bytes
            using var archiver = new Archiver(source, sink, request.Options, state, next, progress, ct);
            archive = archiver.Run();
            ct.ThrowIfCancellationRequested();
        }
        catch
        {
            Tell(new AgentRequest.LetGo(session.Session));
            throw;
        }

        var times = BackupRun.NextTimes(state?.Head, session.Now);
        var stand = new SnapshotStand(agent.Vault, session.Domain, session.Source, session.Session, session.ParentContentRoot);
        var statement = BackupRun.State(stand, id, source, request, agent, archive, times);
        IncompleteNote.Keep(request, agent, id, source);
        AgentReceipt receipt;
        try
        {
            receipt = AgentReceipt.Parse(link.Ask(new AgentRequest.Finish(session.Session, began.Size, statement))) ?? throw AgentLink.Senseless();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.RunDone)
        {
            RequireNotDone(link, began, id, agent, keep); // another that was begun under that name was quicker: by the log, not by the gateway's word
            throw Unproved(link);
        }
        var (proof, leaf) = Proved(link, agent, id, receipt);
        keep(Extending(link, began, proof.Checkpoint.Note, receipt.Consistency));

        var remembered = next?.Complete(BackupRun.NextHead(receipt.Name, state?.Head, times, request, next)) ?? true;
        void Tell(AgentRequest request)
        {
            try
            {
                link.Ask(request);
            }
            catch (HoldfastException)
            {
                // What is wrong shows elsewhere.
            }
        }

        return new AgentResult(statement.Snapshot, proof, leaf.VaultTime, leaf.A, !session.Parent.IsNone, archive, remembered, state is not null);
    }

    /// <summary>A gateway's word is not enough: what counts is a leaf, covered by a signed checkpoint, that names this snapshot.</summary>
    static (LogProof, Leaf) Proved(AgentLink link, AgentKey agent, Id16 snapshot, AgentReceipt receipt) =>
        LogProof.TryParse(receipt.Proof, out var proof) && proof.IsValid(link.LogKey) && Leaf.TryParse(proof.Leaf, out var leaf)
            && leaf.Type == LeafType.Commit && leaf.Subject == snapshot && leaf.Actor == agent.Agent && leaf.Payload == receipt.Name
            ? (proof, leaf) : throw Unproved(link);

    static HoldfastException Unproved(AgentLink link) =>
        new(ErrorCode.CommitRefused, $"The gateway at {link.Place} says that the snapshot was committed, and does not prove it.", "Do not count on this snapshot. Look at that machine, then back up again: what was stored is used.");

    /// <summary>Looks whether the log has a snapshot of this run.</summary>
    /// <exception cref="HoldfastException"><c>RunDone</c>: it has, which the gateway has shown. <c>CommitRefused</c>: it says so, and does not.</exception>
    static void RequireNotDone(AgentLink link, Checkpoint? seen, Id16 snapshot, AgentKey agent, Action<Checkpoint> keep)
    {
        if (link.Ask(new AgentRequest.Committed(snapshot, seen?.Size ?? 0)) is not { Length: > 0 } answer)
            return;
        var receipt = AgentReceipt.Parse(answer) ?? throw AgentLink.Senseless();
        var (proof, leaf) = Proved(link, agent, snapshot, receipt);
        keep(Extending(link, seen, proof.Checkpoint.Note, receipt.Consistency));
        throw VaultKeeper.RunDone(new DoneRun(snapshot, leaf.VaultTime, proof));
    }

    static Checkpoint Extending(AgentLink link, Checkpoint? seen, string note, IReadOnlyList<Hash32> path)
    {
        if (!Checkpoint.TryParse(note, out var checkpoint) || !checkpoint.IsSignedBy(link.LogKey))
            throw AgentLink.Senseless();
        if (!MerkleTree.VerifyConsistency(seen?.Size ?? 0, checkpoint.Size, path, seen?.Root ?? LogHash.Empty, checkpoint.Root))
            throw new HoldfastException(ErrorCode.LogForked, $"The vault's log, as the gateway at {link.Place} shows it, does not go on from what this agent saw of it: it was put back, or has gone another way.",
                "Treat it as an attack until shown otherwise: look at the keeper's machine (`holdfast log verify`). What the agent saw is kept in its key folder, and is evidence.");
        return checkpoint;
    }
}
