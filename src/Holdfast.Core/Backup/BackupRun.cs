using System.Text;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>What is backed up, and under which name.</summary>
/// <param name="SourceName">The source's name: snapshots of one name follow each other.</param>
/// <param name="HostName">Sealed with the tree.</param>
/// <param name="RootPath">Sealed with the tree.</param>
/// <param name="StateFolder">Where this machine keeps what it remembers of its last runs; null for nowhere.</param>
public sealed record BackupRequest(byte[] SourceName, byte[] HostName, byte[] RootPath, string? StateFolder)
{
    public ArchiveOptions Options { get; init; } = new();

    /// <summary>Called before anything is read where this machine's last run of that name was of another root, with that root: two sources under one name take each other's place.</summary>
    public Action<byte[]>? OnOtherRoot { get; init; }

    /// <exception cref="HoldfastException"><c>Usage</c>: a name that no snapshot holds.</exception>
    public void RequireHeld()
    {
        Require(SourceName, "name of the source", "Choose a shorter --name.");
        Require(HostName, "name of this machine", "Give the machine a shorter name (hostname).");
        Require(RootPath, "path of the folder to back up", "Name the folder by a shorter path: mount it elsewhere, or make a symlink to it.");

        static void Require(byte[] name, string what, string guidance)
        {
            if (name.Length > TreeSection.MaxName)
                throw new HoldfastException(ErrorCode.Usage, $"The {what} has more than the {TreeSection.MaxName} bytes that a snapshot holds; nothing was stored.", guidance);
        }
    }
}

/// <summary>A snapshot that was committed.</summary>
/// <param name="IsRemembered">False where the state folder took no state: the snapshot counts, and the next run reads everything.</param>
/// <param name="IsCompared">False where this machine remembers no run that the parent came from: then every file counts as new.</param>
public sealed record BackupResult(Id16 Snapshot, CommitReceipt Receipt, SnapshotRecord? Parent, Archive Archive, bool IsRemembered, bool IsCompared);

/// <summary>One backup from walk to receipt.</summary>
static class BackupRun
{
    public static BackupResult Run(VaultKeeper keeper, ChunkIndex index, ISource source, BackupRequest request, PutKey put, AgentKey agent, BackupProgress progress, CancellationToken ct)
    {
        request.RequireHeld(); // before hours of reading
        var sourceId = put.Domain.SourceId(request.SourceName);
        var parent = keeper.Newest(sourceId);
        var parentPacks = parent is null ? PackSet.Empty : keeper.State.PacksOf(parent) ?? PackSet.Empty;
        var statePath = request.StateFolder is null ? null : Path.Combine(request.StateFolder, keeper.Vault.ToString(), $"{sourceId}.state");
        using var state = statePath is null ? null : OpenState(statePath, put.Domain, parent, request, ct);
        using var next = statePath is null ? null : new SourceState.Writer(statePath, put.Domain);

        ChunkSink sink = null!;
        using var queue = new DurableQueue(keeper.Store, pack => sink.Stored(pack));
        using var session = new PackSession(keeper.Vault, put, sourceId, keeper.Store, (staged, pack) =>
        {
            progress.AddStored(staged.Length);
            keeper.RenewBirthLock();
            queue.Enter(staged, pack);
        }, TimeProvider.System);
        sink = new ChunkSink(index, session, parentPacks, request.Options.IndexFrom);
        using var archiver = new Archiver(source, sink, request.Options, state, next, progress, ct);
        var archive = archiver.Run(keeper.Store, keeper.State.SizeOf);
        queue.Drain();
        ct.ThrowIfCancellationRequested();

        keeper.Refresh(); // what its pack set would be a difference to may have expired meanwhile
        var times = NextTimes(state?.Head, keeper.Clock.Now);
        var snapshot = Compose(keeper, source, request, session, agent, sourceId, parent, archive, times);
        var receipt = keeper.Commit(snapshot);

        // From here on the snapshot counts; what follows are caches.
        sink.Flush();
        var remembered = next?.Complete(new SourceState.Head(keeper.State.Find(snapshot.Snapshot)!.Name, (state?.Head.Run ?? uint.MaxValue) + 1, times, request.RootPath[..Math.Min(request.RootPath.Length, SourceState.MaxRoot)], next.Began)) ?? true;
        return new BackupResult(snapshot.Snapshot, receipt, parent, archive, remembered, state is not null);
    }

    static SourceState.Reader? OpenState(string path, DomainKeys domain, SnapshotRecord? parent, BackupRequest request, CancellationToken ct)
    {
        var state = SourceState.Reader.TryOpen(path, domain, ct);
        if (state is not null && !state.Head.Root.AsSpan().SequenceEqual(request.RootPath))
        {
            try
            {
                request.OnOtherRoot?.Invoke(state.Head.Root);
            }
            catch
            {
                state.Dispose();
                throw;
            }
        }
        if (state is null || (parent is not null && state.Head.Parent == parent.Name))
            return state;
        state.Dispose(); // of another snapshot than the newest: then everything is read
        return null;
    }

    /// <summary>Times of the last thirty runs: bytes found unchanged were read in one of them.</summary>
    static ulong[] NextTimes(SourceState.Head? last, ulong now) => [.. (last?.Times ?? []).Append(now).TakeLast(SourceState.MaxRuns)];

    static SnapshotObject Compose(VaultKeeper keeper, ISource source, BackupRequest request, PackSession session, AgentKey agent, Id16 sourceId,
        SnapshotRecord? parent, Archive archive, ulong[] times)
    {
        var put = session.Put;
        var id = Id16.New();
        var rootSalt = VaultKeeper.Salt();
        var parentRoot = parent?.Object!.ContentRoot ?? Hash32.None;
        var root = SnapshotObject.ContentRootOf(rootSalt, keeper.Vault, put.Domain.Domain, sourceId, session.Id, id, parentRoot, archive.Root.Digest);
        var tree = new TreeSection
        {
            RootSalt = rootSalt,
            Root = archive.Root,
            RootLevel = archive.RootLevel,
            SourceName = request.SourceName,
            HostName = request.HostName,
            RootPath = request.RootPath,
            ProgramVersion = Encoding.ASCII.GetBytes(typeof(BackupRun).Assembly.GetName().Version!.ToString(3)),
            Users = source.UserNames,
            Groups = source.GroupNames,
            OldestReread = times[^1] - Math.Min(times[0], times[^1]),
            Problems = archive.Problems,
        };
        var problems = source.Problems.Where(p => p.Kind != ProblemKind.Skipped).ToList();
        var snapshot = new SnapshotObject
        {
            Vault = keeper.Vault,
            Domain = put.Domain.Domain,
            Salt = VaultKeeper.Salt(),
            Snapshot = id,
            Source = sourceId,
            Agent = agent.Agent,
            Session = session.Id,
            Writer = put.Writer,
            WriterEpoch = put.WriterEpoch,
            KeyEpoch = put.SealingKeyFor(KeyClass.Tree, sourceId).Epoch,
            ClientTime = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds(),
            Parent = parent?.Name ?? Hash32.None,
            ContentRoot = root,
            ParentContentRoot = parentRoot,
            Entries = archive.Entries,
            Files = archive.Files,
            LogicalBytes = archive.LogicalBytes,
            NewBytes = archive.NewBytes,
            Packs = keeper.Tell(archive.Packs, parent),
            Sections =
            [
                SnapshotSection.Seal(SnapshotSection.Tree, id, session, tree.ToWriter()),
                SnapshotSection.Seal(SnapshotSection.Features, id, session, archive.Statistics.ToWriter()),
                SnapshotSection.SealReferences(id, put.Domain, archive.References),
                .. problems.Count > 0 ? new[] { SnapshotSection.Seal(SnapshotSection.Problems, id, session, ProblemSection.ToWriter(problems)) } : [],
            ],
            Signatures = [],
        };
        return snapshot with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, agent.Agent, SnapshotSignature.Ed25519, agent.Signer.Sign(snapshot.SignedBytes()))] };
    }
}
