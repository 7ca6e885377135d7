using System.Collections.Concurrent;
using Holdfast.Core.Backup;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>What a gateway holds its agents to.</summary>
public sealed record GatewayLimits
{
    /// <summary>Backups under way at once, of all agents.</summary>
    public int Sessions { get; init; } = 256;

    /// <summary>Of one agent.</summary>
    public int SessionsOfOne { get; init; } = 4;

    /// <summary>Bytes, before they are compressed, that one agent may send in a day; 0 for as many as it likes. What is kept for how long has quotas of its own, at the keeper.</summary>
    public long DailyBytes { get; init; }

    /// <summary>After so long without a word of it a backup is let go.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromHours(2);

    /// <summary>zstd level, 1 to 19, of what is compressed anew here; all else agents compress.</summary>
    public int Level { get; init; } = 1;

    /// <summary>Chunks stored at once, of all agents: one a processor.</summary>
    public int Benches { get; init; } = Environment.ProcessorCount;
}

/// <summary>Answers agents: names, seals and stores what they send, and has the keeper commit it. Knows no wire (docs/protocol.md says how it is carried). It holds caches only: what it has to know of an agent's earlier backups the
/// vault tells it, so that several may run side by side, and one that is lost costs nothing but the packs under way. Safe for concurrent use.</summary>
public sealed class GatewayDesk : IDisposable
{
    const int MostProved = 4_096; // certificates
    const int MostReceipts = 256;
    const int MostReplaced = 1_024; // sessions
    const int MostDoubted = 65_536; // sources
    const int MostIndexes = 3;
    const int FewSessions = 4; // each of which may have buffers of megabytes for each pack under way
    const int IndexFrom = 1 << 14; // chunks of one session that become a run of the index together
    const int QueueThreads = 2; // of each session, where the vault is elsewhere
    const long Day = 86_400; // seconds

    static readonly TimeSpan IndexLife = TimeSpan.FromHours(1);
    static readonly TimeSpan LeftAlone = TimeSpan.FromMinutes(15); // an agent gives a sign of life more often than that
    static readonly TimeSpan LookPause = TimeSpan.FromSeconds(1);
    static readonly TimeSpan ProofLife = TimeSpan.FromDays(1);

    readonly Vault _vault;
    readonly PutKey _put;
    readonly GatewayLimits _limits;
    readonly Hash32 _self;
    readonly Lock _turn = new(); // the vault is for one thread at a time
    readonly Dictionary<Id16, GatewaySession> _sessions = [];
    readonly Dictionary<Hash32, (Id16 Agent, long Since)> _proved = [];
    readonly Dictionary<Id16, (long Day, long Bytes)> _sent = [];
    readonly OrderedDictionary<Id16, (Id16 Agent, Id16 Snapshot, AgentReceipt Receipt)> _receipts = [];
    readonly OrderedDictionary<Id16, Id16> _replaced = []; // sessions that another of the same source took the place of, and whose they were
    readonly ProofNonces _nonces = new(TimeProvider.System);
    readonly BlockingCollection<GatewayBench> _benches = [];
    OpenIndex? _index;
    readonly HashSet<Id16> _doubted = []; // sources whose next backup has to read all
    int _indexes; // that are open
    int _running; // answers
    int _open; // sessions, about
    volatile bool _isStopping;
    long _looked;
    bool _isDisposed;

    /// <param name="vault">Open, and nobody else's in this process.</param>
    /// <param name="put">Public sealing keys and the domain's naming keys: nothing that opens what is stored.</param>
    /// <param name="self">Fingerprint of the certificate that agents are shown.</param>
    /// <param name="limits">What agents are held to.</param>
    public GatewayDesk(Vault vault, PutKey put, Hash32 self, GatewayLimits limits)
    {
        vault.Require(put);
        (_vault, _put, _self, _limits) = (vault, put, self, limits);
        for (var i = 0; i < limits.Benches; i++)
            _benches.Add(new GatewayBench(limits.Level));
    }

    VaultKeeper Keeper => _vault.Keeper;

    /// <summary>Gets what whoever runs the gateway has to know; more than once.</summary>
    public Action<string>? Warn { get; set; }

    /// <summary>The agent that a certificate was proved to be of; null for none, or where that was too long ago.</summary>
    public Id16? AgentOf(Hash32 client)
    {
        lock (_proved)
            return _proved.TryGetValue(client, out var proved) && TimeProvider.System.GetElapsedTime(proved.Since) < ProofLife ? proved.Agent : null;
    }

    /// <summary>Answers.</summary>
    /// <param name="client">Fingerprint of the certificate that asks.</param>
    /// <param name="request">What it asks.</param>
    /// <exception cref="HoldfastException"><c>AgentUnproved</c>, <c>NoPermission</c>, <c>CommitRefused</c>, <c>QuotaExceeded</c>, <c>SessionLost</c>, <c>ChunkMissing</c>; what storing and committing report.</exception>
    public byte[] Answer(Hash32 client, AgentRequest request)
    {
        Interlocked.Increment(ref _running);
        try
        {
            return _isStopping ? throw new HoldfastException(ErrorCode.VaultBusy, "The gateway is being stopped.", "Run the same command again in a moment.") { IsTransient = true } : Answered(client, request);
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    byte[] Answered(Hash32 client, AgentRequest request)
    {
        switch (request)
        {
            case AgentRequest.Hello:
                return new AgentHello(_vault.Id, Keeper.File.LogKey, _nonces.Give()).ToArray();
            case AgentRequest.Prove prove:
                Prove(client, prove);
                return [];
            case AgentRequest.Enrol enrol:
                lock (_turn)
                    Keeper.EnrolAgent(enrol.Token, new Enrolment(_vault.Id, VaultKeeper.Salt(), EnrolmentKind.Agent, enrol.Agent, 1, enrol.PublicKey, _put.Domain.Domain));
                return [];
            case AgentRequest.Begin begin:
                return Begin(Agent(client), begin).ToArray();
            case AgentRequest.Ask ask:
                return Within(Session(client, ask.Session), s => s.Known(ask.Chunks));
            case AgentRequest.Use use:
                return Within(Session(client, use.Session), s => s.Use(use.Chunks));
            case AgentRequest.Send send:
                return Within(Session(client, send.Session), s =>
                {
                    Count(s.Agent, send.PayloadLength);
                    return s.Store(send, _benches);
                });
            case AgentRequest.LetGo over:
                LetGo(Agent(client), over.Session);
                return [];
            case AgentRequest.Committed committed:
                return Committed(Agent(client), committed);
            case AgentRequest.Finish finish:
                return (Given(Agent(client), finish) ?? Finish(Session(client, finish.Session), finish)).ToArray();
            default:
                throw new InvalidOperationException(request.GetType().Name);
        }
    }

    static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    void Prove(Hash32 client, AgentRequest.Prove prove)
    {
        if (!_nonces.IsGiven(prove.Nonce))
            throw new HoldfastException(ErrorCode.NoPermission, "What was to be signed is not of this gateway, or is too old.", "Run the same command again.");
        Enrolment? agent;
        lock (_turn)
        {
            agent = Keeper.State.Agent(prove.Agent);
            if (agent is null && TimeProvider.System.GetElapsedTime(_looked) > LookPause) // whoever asks for agents that there are none of has the keeper asked no more often
            {
                Keeper.Refresh();
                _looked = TimeProvider.System.GetTimestamp();
                agent = Keeper.State.Agent(prove.Agent);
            }
        }
        if (agent is null)
            throw NotEnrolled();
        if (!Ed25519Signer.Verify(agent.PublicKey, AgentProof.SignedBytes(_vault.Id, prove.Agent, prove.Nonce, client, _self), prove.Signature))
            throw new HoldfastException(ErrorCode.NoPermission, "The gateway could not be shown that this is the agent it says it is.", "Look whether the agent's key folder is the one that was enrolled here, and whether anything stands between the two machines.");
        lock (_proved)
        {
            if (_proved.Count >= MostProved)
                _proved.Remove(_proved.MinBy(p => p.Value.Since).Key);
            _proved[client] = (prove.Agent, TimeProvider.System.GetTimestamp());
        }
    }

    static HoldfastException NotEnrolled() => new(ErrorCode.NoPermission, "The vault's log knows no such agent: it was never enrolled, or was revoked.", "`holdfast keeper token` on the keeper's machine makes a token, and `holdfast agent enrol` here uses it.");

    Id16 Agent(Hash32 client) => AgentOf(client) ?? throw new HoldfastException(ErrorCode.AgentUnproved, "The gateway does not know yet who this is.", "Run the same command again.") { IsTransient = true };

    GatewaySession Session(Hash32 client, Id16 session)
    {
        var agent = Agent(client);
        lock (_sessions)
            return _sessions.TryGetValue(session, out var found) && found.Agent == agent ? found : throw (_replaced.TryGetValue(session, out var whose) && whose == agent ? Replaced() : GatewaySession.Gone());
    }

    void LetGo(Id16 agent, Id16 session)
    {
        GatewaySession? over;
        lock (_sessions)
        {
            if (!_sessions.TryGetValue(session, out over) || over.Agent != agent || over.IsFinishing)
                return;
            _sessions.Remove(session);
        }
        over.Dispose();
    }

    /// <summary>Under the lock of the sessions.</summary>
    void RequireFree(Id16 agent, Id16 source)
    {
        if (_sessions.Values.Any(s => s.Stand.Source == source && (s.IsFinishing || (s.Agent != agent && TimeProvider.System.GetElapsedTime(s.Touched) <= _limits.Idle))))
            throw new HoldfastException(ErrorCode.VaultBusy, "A backup of a source of that name is under way, or is being committed.", "Run this one again when it has ended; where it is another machine's, give this one another --name.") { IsTransient = true };
    }

    AgentSession Begin(Id16 agent, AgentRequest.Begin begin)
    {
        var sourceId = _put.Domain.SourceId(begin.SourceName);
        List<GatewaySession> over;
        lock (_sessions)
        {
            RequireFree(agent, sourceId);
            over = [.. _sessions.Values.Where(s => !s.IsFinishing && (s.Stand.Source == sourceId || TimeProvider.System.GetElapsedTime(s.Touched) > _limits.Idle))];
            // An agent that was killed again and again is not kept from going on by what it left.
            if (_sessions.Values.Where(s => s.Agent == agent && !over.Contains(s)).ToList() is var own && own.Count >= _limits.SessionsOfOne
                && own.Where(s => !s.IsFinishing && TimeProvider.System.GetElapsedTime(s.Touched) > LeftAlone).MinBy(s => s.Touched) is { } left)
                over.Add(left);
            over.ForEach(Replace);
        }
        over.ForEach(s => s.Dispose());
        lock (_turn)
        {
            lock (_sessions)
            {
                RequireFree(agent, sourceId);
                if (_sessions.Values.Any(s => s.Stand.Source == sourceId))
                    throw new HoldfastException(ErrorCode.VaultBusy, "A backup of that source was begun at the same moment.", "Run this one again when it has ended.") { IsTransient = true };
                if (_sessions.Values.Count(s => s.Agent == agent) >= _limits.SessionsOfOne || _sessions.Count >= _limits.Sessions)
                    throw new HoldfastException(ErrorCode.QuotaExceeded, "As many backups as the gateway takes at once are under way.", "Run this one again when others have ended.") { IsTransient = true };
            }
            var index = Index();
            var isTaken = false;
            try
            {
                var made = Begin(agent, sourceId, begin.SeenSize, index, out var told);
                lock (_sessions)
                {
                    _sessions[made.Stand.Session] = made;
                    _open = _sessions.Count;
                }
                isTaken = true;
                return told;
            }
            finally
            {
                if (!isTaken)
                    index.Release();
            }
        }
    }

    /// <summary>Under the lock of the sessions.</summary>
    void Replace(GatewaySession over)
    {
        _sessions.Remove(over.Stand.Session);
        if (_replaced.Count >= MostReplaced)
            _replaced.RemoveAt(0);
        _replaced[over.Stand.Session] = over.Agent;
    }

    /// <summary>Not <c>SessionLost</c>: two that begin anew by themselves would take each other's place for as long as they try.</summary>
    static HoldfastException Replaced() => new(ErrorCode.VaultBusy, "A backup of the same source was begun by this agent meanwhile, or nothing was heard of this one for long: the gateway let it go.", "See that no two backups of one source run at once; then run it again. What was stored is not sent again.") { IsTransient = true };

    GatewaySession Begin(Id16 agent, Id16 sourceId, long seen, OpenIndex index, out AgentSession told)
    {
        if (Keeper.State.Agent(agent) is null)
            throw NotEnrolled();
        if (_put.SealingKeys.Max(k => k.Epoch) is var epoch && epoch < Keeper.State.KeyEpoch)
            Warn?.Invoke($"This gateway's put.key seals to key epoch {epoch}, and the vault is in epoch {Keeper.State.KeyEpoch}: whoever has the opening key of that epoch reads what agents back up now. `holdfast key issue --out FOLDER`, with the opening key, makes a new one; then start the gateway again.");
        var log = Keeper.Log;
        RequireOwn(agent, sourceId);
        var parent = Keeper.Newest(sourceId);
        var source = SourceChunks.Of(Keeper.State, sourceId, agent, _put.Domain, Keeper.Clock.Now);
        VaultSink sink = null!;
        var own = new ConcurrentDictionary<int, bool>();
        RequireExtended(seen, log.Size);
        var queue = new DurableQueue(Keeper.Store, pack => sink.Stored(pack), QueueThreads);
        var packs = new PackSession(_vault.Id, _put, sourceId, Keeper.Store, (staged, pack) =>
        {
            Keeper.RenewBirthLock();
            queue.Enter(staged, pack);
        }, TimeProvider.System, agent, () => Volatile.Read(ref _open) > FewSessions);
        sink = new VaultSink(index.Chunks, packs, IsHome, IndexFrom, SizeOf);
        var stand = new SnapshotStand(_vault.Id, _put.Domain.Domain, sourceId, packs.Id, parent?.Object!.ContentRoot ?? Hash32.None);
        bool isDoubted;
        lock (_doubted)
            isDoubted = _doubted.Remove(sourceId);
        var isWhole = parent is not null && !isDoubted && source.IsComplete && Keeper.State.PacksOf(parent) is { } set && set.ToList().All(p => index.Chunks.Knows(p.Name));
        var checkpoint = log.Checkpoint!;
        told = new AgentSession(packs.Id, sourceId, stand.Domain, _put.Domain.Cutter.Span.ToArray(), parent?.Name ?? Hash32.None, stand.ParentContentRoot, isWhole, Keeper.Clock.Now, checkpoint.Note, log.Tree.ProveConsistency(seen, checkpoint.Size));
        bool IsHome(int pack)
        {
            if (own.TryGetValue(pack, out var known))
                return known;
            var session = index.SessionOf(pack);
            return session.IsNone ? false : own[pack] = source.IsOwn(session); // one whose header could not be read may be the next time
        }

        return new GatewaySession(agent, stand, parent?.Name ?? Hash32.None, source, checkpoint.Size, index, packs, queue, sink);
    }

    static void RequireExtended(long seen, long size)
    {
        if (seen > size)
            throw new HoldfastException(ErrorCode.LogForked, $"The agent has seen {seen} leaves of the vault's log, and it has {size} now: it was put back, or another stands in its place.", "Treat it as an attack until shown otherwise: look at the keeper's machine (`holdfast log verify`).");
    }

    /// <summary>A source is the agent's that last backed it up, until that one is revoked.</summary>
    void RequireOwn(Id16 agent, Id16 source)
    {
        var state = Keeper.State;
        if (state.Snapshots.LastOrDefault(s => s.Source == source) is { } last && last.Agent != agent && (state.Agent(last.Agent) is not null || !state.LostAgent(last.Agent).IsNone))
            throw new HoldfastException(ErrorCode.NoPermission, "A source of that name is another agent's. Nothing was committed.", $"Give this one another --name. Where this agent has taken that one's place, whoever runs the keeper revokes it first: `holdfast keeper revoke {last.Agent}`.");
    }

    long? SizeOf(Hash32 pack)
    {
        lock (_turn)
        {
            if (Keeper.State.SizeOf(pack) is { } size)
                return size;
        }
        return PackTrailer.SizeOf(Keeper.Store, pack);
    }

    /// <summary>The index that sessions share; made anew after an hour, so that what others stored or what expired is seen.</summary>
    OpenIndex Index()
    {
        if (_index is { IsCurrent: true } current && (TimeProvider.System.GetElapsedTime(current.Since) < IndexLife || Volatile.Read(ref _indexes) >= MostIndexes)) // each takes memory while long backups hold it
        {
            Keeper.Refresh();
            current.Hold();
            return current;
        }
        _index?.Release();
        _index = null;
        _index = new OpenIndex(_vault.OpenIndexForBackup(_put.Domain, default), _vault, () => Interlocked.Decrement(ref _indexes));
        Interlocked.Increment(ref _indexes);
        _index.Hold();
        return _index;
    }

    byte[] Within(GatewaySession session, Func<GatewaySession, byte[]> work)
    {
        try
        {
            return work(session);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.IndexDamaged)
        {
            // Once: what others have made anew in its place stays.
            throw session.Index.GiveUp() && ReferenceEquals(session.Index, _index) ? Vault.Emptied(session.Index.Chunks, e, "Run the backup again.") : new HoldfastException(e.Code, e.Message, e.Guidance, e) { IsTransient = true };
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ChunkMissing or ErrorCode.CommitRefused)
        {
            lock (_doubted)
            {
                if (_doubted.Count < MostDoubted)
                    _doubted.Add(session.Stand.Source);
            }
            throw;
        }
    }

    void Count(Id16 agent, int bytes)
    {
        if (_limits.DailyBytes <= 0)
            return;
        lock (_sent)
        {
            var (day, sent) = _sent.GetValueOrDefault(agent);
            sent = (day == Now / Day ? sent : 0) + bytes;
            _sent[agent] = (Now / Day, sent);
            if (sent > _limits.DailyBytes)
                throw new HoldfastException(ErrorCode.QuotaExceeded, "This agent has sent as much as it may in a day; what it sent was not committed.", "Find out why it sends so much (an attack that rewrites files looks like this). Where it is right, have whoever runs the gateway give more (--daily-limit).");
        }
    }

    /// <summary>The receipt of a commit whose answer was lost on the way; of one before a restart the log tells.</summary>
    AgentReceipt? Given(Id16 agent, AgentRequest.Finish finish)
    {
        lock (_receipts)
        {
            if (_receipts.TryGetValue(finish.Session, out var given) && given.Agent == agent && given.Snapshot == finish.Statement.Snapshot)
                return given.Receipt;
        }
        lock (_sessions)
        {
            if (_sessions.ContainsKey(finish.Session))
                return null;
        }
        lock (_turn)
        {
            Keeper.Refresh();
            return Keeper.State.Find(finish.Statement.Snapshot) is { } record && record.Agent == agent && record.Object?.Session == finish.Session ? Receipt(record, finish.SeenSize) : null;
        }
    }

    AgentReceipt Finish(GatewaySession session, AgentRequest.Finish finish)
    {
        lock (_sessions)
            session.IsFinishing = true;
        lock (session.Finishing)
        {
            if (Given(session.Agent, finish) is { } given)
                return given;
            try
            {
                var receipt = Commit(session, finish);
                lock (_receipts)
                {
                    if (_receipts.Count >= MostReceipts)
                        _receipts.RemoveAt(0);
                    _receipts[session.Stand.Session] = (session.Agent, finish.Statement.Snapshot, receipt);
                }
                return receipt;
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.PackMissing or ErrorCode.IndexDamaged or ErrorCode.ObjectMissing)
            {
                session.Index.GiveUp(); // the next session looks anew
                throw;
            }
            finally
            {
                lock (_sessions)
                {
                    _sessions.Remove(session.Stand.Session);
                    _open = _sessions.Count;
                }
                session.Dispose();
            }
        }
    }

    AgentReceipt Commit(GatewaySession session, AgentRequest.Finish finish)
    {
        var statement = finish.Statement;
        Enrolment? agent;
        lock (_turn)
        {
            Keeper.Refresh();
            agent = Keeper.State.Agent(session.Agent);
        }
        if (agent is null)
            throw NotEnrolled();
        if (statement.Read() is not { } tree || _put.Domain.SourceId(tree.SourceName) != session.Stand.Source || !statement.IsSigned(session.Stand, tree, agent.PublicKey))
            throw new HoldfastException(ErrorCode.CommitRefused, "What the agent says of its snapshot is not what it signed, or not of this backup. It was not committed.", "Use the same release of holdfast on both machines. If it goes on, treat the host that sent it as suspect.");
        var stored = session.Complete(tree);
        lock (_turn)
        {
            Keeper.Refresh();
            RequireOwn(session.Agent, session.Stand.Source);
            var parent = session.Parent.IsNone ? null : Keeper.State.Find(session.Parent);
            var all = session.Source.MustTellAll;
            var snapshot = statement.Seal(session.Stand, tree, session.Agent, session.Parent, session.Packs, Keeper.Tell(stored.Packs, parent),
                all ? stored.References : [.. stored.References.Where(r => !session.Source.Refers(r))], stored.NewBytes, all);
            Keeper.Commit(snapshot);
            return Receipt(Keeper.State.Find(snapshot.Snapshot)!, finish.SeenSize);
        }
    }

    byte[] Committed(Id16 agent, AgentRequest.Committed committed)
    {
        lock (_turn)
        {
            Keeper.Refresh();
            return Keeper.State.Find(committed.Snapshot) is { } record && record.Agent == agent ? Receipt(record, committed.SeenSize).ToArray() : [];
        }
    }

    AgentReceipt Receipt(SnapshotRecord record, long seen)
    {
        var proof = Keeper.Log.Prove((long)record.Ordinal);
        return new AgentReceipt(record.Name, proof.ToString(), seen <= proof.Checkpoint.Size ? Keeper.Log.Tree.ProveConsistency(seen, proof.Checkpoint.Size) : []);
    }

    /// <summary>Refuses what comes, and waits a minute for what has begun.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = _isStopping = true;
        for (var waited = 0; Volatile.Read(ref _running) > 0 && waited < 600; waited++)
            Thread.Sleep(100); // what has begun ends: a commit, above all
        List<GatewaySession> left;
        lock (_sessions)
        {
            left = [.. _sessions.Values];
            _sessions.Clear();
        }
        left.ForEach(s => s.Dispose());
        _index?.Release();
        foreach (var bench in _benches)
            bench.Dispose();
        _benches.Dispose();
    }
}

/// <summary>A chunk index that several sessions use, and whose packs it knows; closed by the last of them.</summary>
/// <param name="chunks">The index.</param>
/// <param name="vault">Has the packs.</param>
/// <param name="closed">Told when it is.</param>
sealed class OpenIndex(ChunkIndex chunks, Vault vault, Action closed)
{
    readonly ConcurrentDictionary<int, Id16> _sessions = [];
    int _held = 1;
    int _givenUp;

    public ChunkIndex Chunks => chunks;
    public long Since { get; } = TimeProvider.System.GetTimestamp();

    /// <summary>False where something turned out to be missing of what it names.</summary>
    public bool IsCurrent => Volatile.Read(ref _givenUp) == 0;

    /// <summary>True for the one that gives it up.</summary>
    public bool GiveUp() => Interlocked.Exchange(ref _givenUp, 1) == 0;

    /// <summary>Which session wrote a pack, by its header; none where that cannot be read.</summary>
    public Id16 SessionOf(int pack)
    {
        if (_sessions.TryGetValue(pack, out var session))
            return session;
        if (vault.HeaderOf(chunks.Pack(pack).Name) is not { } header)
            return Id16.None; // now, at least
        return _sessions[pack] = header.Seal.Session;
    }

    public void Hold() => Interlocked.Increment(ref _held);

    public void Release()
    {
        if (Interlocked.Decrement(ref _held) != 0)
            return;
        chunks.Dispose();
        closed();
    }
}
