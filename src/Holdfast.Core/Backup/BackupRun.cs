using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Crypto;
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

    /// <summary>Names this run, where it may be begun more than once: of all that are begun under one name, one is committed. Null where each is a run of its own.</summary>
    public string? Run { get; init; }

    static ReadOnlySpan<byte> RunLabel => "holdfast/local/run"u8;

    /// <summary>The id that its snapshot gets. That of a named run follows from the name and the agent's own key: whoever has that key gets the same one, and nobody else can guess it and commit something under it first.</summary>
    internal Id16 SnapshotId(AgentKey agent)
    {
        if (Run is null)
            return Id16.New();
        using var key = agent.LocalKey(RunLabel);
        Span<byte> tag = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(key.Span, [.. BitConverter.GetBytes(SourceName.Length), .. SourceName, .. Encoding.UTF8.GetBytes(Run)], tag);
        return new Id16(tag[..Id16.Size]);
    }

    /// <summary>What is remembered here of a run of that name says that its snapshot is not whole. False where another machine did it.</summary>
    public bool WasIncomplete(AgentKey agent, DoneRun done) => IncompleteNote.IsKept(this, agent, done.Snapshot);

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
        var id = request.SnapshotId(agent);
        keeper.RequireNotCommitted(id, agent.Agent, sourceId);
        var parent = keeper.Newest(sourceId);
        var parentPacks = parent is null ? PackSet.Empty : keeper.State.PacksOf(parent) ?? PackSet.Empty;
        var statePath = request.StateFolder is null ? null : Path.Combine(request.StateFolder, keeper.Vault.ToString(), $"{sourceId}.state");
        using var key = SourceState.KeyOf(put.Domain);
        using var state = statePath is null ? null : OpenState(statePath, key, parent?.Name, request, ct);
        using var next = statePath is null ? null : new SourceState.Writer(statePath, key);

        VaultSink sink = null!;
        using var queue = new DurableQueue(keeper.Store, pack => sink.Stored(pack));
        using var session = new PackSession(keeper.Vault, put, sourceId, keeper.Store, (staged, pack) =>
        {
            progress.AddStored(staged.Length);
            keeper.RenewBirthLock();
            queue.Enter(staged, pack);
        }, TimeProvider.System, agent.Agent);
        sink = new VaultSink(index, session, new HashSet<int>(index.NumbersOf(parentPacks.ToList().Select(p => p.Name))).Contains, request.Options.IndexFrom, name => keeper.State.SizeOf(name) ?? PackTrailer.SizeOf(keeper.Store, name));
        using var archiver = new Archiver(source, sink, request.Options, state, next, progress, ct);
        var archive = archiver.Run();
        queue.Drain();
        ct.ThrowIfCancellationRequested();

        keeper.Refresh(); // what its pack set would be a difference to may have expired meanwhile
        var times = NextTimes(state?.Head, keeper.Clock.Now);
        var stand = new SnapshotStand(keeper.Vault, put.Domain.Domain, sourceId, session.Id, parent?.Object!.ContentRoot ?? Hash32.None);
        var statement = State(stand, id, source, request, agent, archive, times);
        var snapshot = statement.Seal(stand, statement.Read()!, agent.Agent, parent?.Name ?? Hash32.None, session, keeper.Tell(archive.Packs, parent), archive.References, archive.NewBytes);
        IncompleteNote.Keep(request, agent, id, source);
        var receipt = keeper.Commit(snapshot);

        // From here on the snapshot counts; what follows are caches.
        sink.Flush();
        var remembered = next?.Complete(NextHead(keeper.State.Find(snapshot.Snapshot)!.Name, state?.Head, times, request, next)) ?? true;
        return new BackupResult(snapshot.Snapshot, receipt, parent, archive, remembered, state is not null);
    }

    /// <summary>What this machine remembers, where it is of the newest snapshot.</summary>
    public static SourceState.Reader? OpenState(string path, SecretBytes key, Hash32? parent, BackupRequest request, CancellationToken ct)
    {
        var state = SourceState.Reader.TryOpen(path, key, ct);
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
        if (state is null || state.Head.Parent == parent)
            return state;
        state.Dispose(); // of another snapshot than the newest: then everything is read
        return null;
    }

    public static SourceState.Head NextHead(Hash32 snapshot, SourceState.Head? last, ulong[] times, BackupRequest request, SourceState.Writer next) =>
        new(snapshot, (last?.Run ?? uint.MaxValue) + 1, times, request.RootPath[..Math.Min(request.RootPath.Length, SourceState.MaxRoot)], next.Began);

    /// <summary>Times of the last thirty runs: bytes found unchanged were read in one of them.</summary>
    public static ulong[] NextTimes(SourceState.Head? last, ulong now) => [.. (last?.Times ?? []).Append(now).TakeLast(SourceState.MaxRuns)];

    /// <summary>What the agent that signs says of a run.</summary>
    public static SnapshotStatement State(SnapshotStand stand, Id16 snapshot, ISource source, BackupRequest request, AgentKey agent, Archive archive, ulong[] times)
    {
        var tree = new TreeSection
        {
            RootSalt = VaultKeeper.Salt(),
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
        return SnapshotStatement.Sign(stand, snapshot, agent, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds(), archive.Entries, archive.Files, archive.LogicalBytes, tree, archive.Statistics,
            [.. source.Problems.Where(p => p.Kind != ProblemKind.Skipped)]);
    }
}
