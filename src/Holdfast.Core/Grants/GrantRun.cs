using Holdfast.Core.Gateway;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>What an agent's host does with a grant.</summary>
/// <param name="Mode">With what is there.</param>
/// <param name="ByNames">Owners go by their names.</param>
/// <param name="Threads">That write; 0 for one a processor, 8 at most.</param>
public sealed record GrantOptions(GrantMode Mode, bool ByNames, int Threads = 0);

/// <summary>One restore on an agent's host, as a clean room granted it: what the vault has stays where it is, and what comes is written by this machine's own target.</summary>
public sealed class GrantRun : IDisposable
{
    const int AtOnce = 4; // requests: the next is on its way while one is read
    const int Ahead = 6; // pieces
    const int MostThreads = 8;

    readonly IGrant _grant;
    readonly bool _isAsked; // what need not be sent
    readonly CancellationToken _ct;
    readonly object _turn = new();
    readonly Dictionary<long, GrantReply> _pieces = [];
    readonly List<Thread> _threads = [];
    Exception? _fault;
    long _wanted; // the next to be played
    long _next; // the next to be asked for
    long _got; // so many of the first have come
    long _end = long.MaxValue; // there are no more than so many
    bool _isStopped;

    GrantRun(IGrant grant, GrantStand stand, bool isAsked, CancellationToken ct) => (_grant, Stand, _isAsked, _ct) = (grant, stand, isAsked, ct);

    /// <summary>What comes.</summary>
    public GrantStand Stand { get; }

    /// <summary>Shows agent and code, and has the restore begin.</summary>
    /// <param name="grant">The clean room.</param>
    /// <param name="agent">Signs.</param>
    /// <param name="logKey">Verifier key of the vault's log, as the agent knows it; null where it does not.</param>
    /// <param name="code">As it was given; <see cref="GrantProof.SecretSize"/> bytes.</param>
    /// <param name="options">How.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="HoldfastException"><c>NoPermission</c>, <c>WrongVault</c>, <c>StoreUnavailable</c>.</exception>
    public static GrantRun Begin(IGrant grant, AgentKey agent, string? logKey, ReadOnlySpan<byte> code, GrantOptions options, CancellationToken ct)
    {
        using var said = grant.Ask(new GrantRequest.Hello());
        var hello = AgentHello.Parse(said.Bytes.Span) ?? throw Senseless();
        if (hello.Vault != agent.Vault || (logKey is not null && hello.LogKey != logKey))
            throw new HoldfastException(ErrorCode.WrongVault, $"The clean room at {grant.Place} is of another vault than the one this agent was enrolled for.", "Ask whoever gave the grant; treat it as an attack until shown otherwise.");
        var (client, server) = grant.Ends;
        grant.Ask(new GrantRequest.Prove(agent.Agent, hello.Nonce, agent.Signer.Sign(GrantProof.SignedBytes(agent.Vault, agent.Agent, hello.Nonce, client, server)), GrantProof.OfCode(code, agent.Vault, agent.Agent, hello.Nonce, client, server))).Dispose();
        using var begun = grant.Ask(new GrantRequest.Begin(options.Mode, options.ByNames));
        return new GrantRun(grant, GrantStand.Parse(begun.Bytes.Span) ?? throw Senseless(), options.Mode == GrantMode.Resume, ct);
    }

    internal static HoldfastException Senseless() => new(ErrorCode.StoreUnavailable, "What the clean room answered makes no sense.", "Use the same release of holdfast on both machines, and look at what lies between them.");

    /// <summary>Restores.</summary>
    /// <param name="target">On this machine.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="threads">That write; 0 for one a processor.</param>
    /// <exception cref="HoldfastException">What the target reports; why the clean room brings no more; <c>TargetUnsafe</c>: what it sent makes no sense.</exception>
    public RestoreResult Restore(ITreeWriter target, RestoreProgress progress, int threads)
    {
        using var player = new GrantPlayer(target, Stand.Entries, progress, Math.Clamp(threads > 0 ? threads : Environment.ProcessorCount, 1, MostThreads), _isAsked ? unwanted => _grant.Ask(unwanted with { Run = Stand.Run }).Dispose() : null, _ct);
        for (var i = 0; i < AtOnce; i++)
        {
            var thread = new Thread(Fetch) { IsBackground = true, Name = "holdfast fetch" };
            thread.Start();
            _threads.Add(thread);
        }
        return player.Play(Pieces());
    }

    /// <summary>Says how it came out: the clean room records it.</summary>
    /// <exception cref="HoldfastException">As of asking.</exception>
    public void Report(GrantOutcome outcome, long files, long bytes, long missed) => _grant.Ask(new GrantRequest.Report(Stand.Run, outcome, files, bytes, missed)).Dispose();

    /// <summary>In their order, as they come.</summary>
    IEnumerable<GrantReply> Pieces()
    {
        while (true)
        {
            GrantReply? piece;
            lock (_turn)
            {
                while (!_pieces.Remove(_wanted, out piece) && _wanted < _end && _fault is null)
                {
                    _ct.ThrowIfCancellationRequested();
                    Monitor.Wait(_turn, 500);
                }
                if (piece is null && _fault is not null)
                    throw _fault;
                if (piece is null)
                    yield break;
                _wanted++;
                Monitor.PulseAll(_turn);
            }
            yield return piece;
        }
    }

    void Fetch()
    {
        try
        {
            while (TryNext(out var number))
            {
                while (!TryFetch(number))
                {
                    // It is not made yet.
                }
            }
        }
        catch (Exception e)
        {
            lock (_turn)
            {
                _fault ??= e;
                Monitor.PulseAll(_turn);
            }
        }
    }

    bool TryNext(out long number)
    {
        lock (_turn)
        {
            while (_next >= _wanted + Ahead && !_isStopped && _fault is null)
                Monitor.Wait(_turn);
            number = _next;
            if (_isStopped || _fault is not null || number >= _end)
                return false;
            _next++;
            return true;
        }
    }

    bool TryFetch(long number)
    {
        long got;
        lock (_turn)
        {
            if (_isStopped || number >= _end)
                return true;
            got = _got;
        }
        var reply = _grant.Ask(new GrantRequest.Fetch(Stand.Run, number, got));
        var isHere = reply.Bytes.Length > 1 && reply.Bytes.Span[0] == (byte)PieceState.Here;
        var state = reply.Bytes.Length > 0 ? (PieceState)reply.Bytes.Span[0] : PieceState.Here;
        lock (_turn)
        {
            if (isHere && !_isStopped)
            {
                _pieces[number] = reply;
                while (_got < _wanted || _pieces.ContainsKey(_got))
                    _got++;
            }
            else if (!isHere && state == PieceState.Over)
            {
                _end = Math.Min(_end, number);
            }
            Monitor.PulseAll(_turn);
        }
        if (isHere && !_isStopped)
            return true;
        reply.Dispose();
        return isHere || state switch
        {
            PieceState.Awaited => false,
            PieceState.Over => true,
            _ => throw Senseless(),
        };
    }

    /// <summary>Asks for nothing more, and waits for what was asked for.</summary>
    public void Dispose()
    {
        lock (_turn)
        {
            _isStopped = true;
            Monitor.PulseAll(_turn);
        }
        _threads.ForEach(t => t.Join(TimeSpan.FromSeconds(1))); // what waits for an answer ends with the process
        lock (_turn)
        {
            foreach (var piece in _pieces.Values)
                piece.Dispose();
            _pieces.Clear();
        }
    }
}
