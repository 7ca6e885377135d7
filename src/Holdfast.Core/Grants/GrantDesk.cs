using System.Security.Cryptography;
using Holdfast.Core.Crypto;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>How a grant ended. Numbers are written to the log (docs/format.md, section 11.3).</summary>
public enum GrantEnd : byte
{
    /// <summary>The agent says that all of it stands on its host.</summary>
    Whole = 1,

    /// <summary>The agent says that it came to its end, and not all of it stands there.</summary>
    NotWhole = 2,

    /// <summary>Its time was over.</summary>
    TimeOver = 3,

    /// <summary>Whoever gave it took it back.</summary>
    Withdrawn = 4,

    /// <summary>The agent's key was shown with wrong codes.</summary>
    WrongCodes = 5,
}

/// <summary>One restore of one snapshot, for one agent.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="LogKey">Verifier key of its log.</param>
/// <param name="Agent">Who may have it, as the log has them.</param>
/// <param name="Code">Whoever has it may; <see cref="GrantProof.SecretSize"/> bytes.</param>
/// <param name="Life">For how long.</param>
/// <param name="Stand">Of the snapshot; of no run yet.</param>
public sealed record Grant(Id16 Vault, string LogKey, Enrolment Agent, byte[] Code, TimeSpan Life, GrantStand Stand);

/// <summary>What a clean room does for the agent that holds a grant. For one thread at a time.</summary>
public interface IGrantedRestore
{
    /// <summary>Whether the agent is still believed, as the log is now.</summary>
    bool IsBelieved();

    /// <summary>Restores into a target, from the beginning.</summary>
    RestoreResult Run(ITreeWriter target, CancellationToken ct);
}

/// <summary>What of an answer is not made for it alone.</summary>
public interface IGrantAnswer : IDisposable
{
    ReadOnlyMemory<byte> Bytes { get; }
}

/// <summary>Answers the agent that one restore was granted to, and nobody else. Knows no wire (docs/protocol.md says how it is carried). Safe for concurrent use.</summary>
public sealed class GrantDesk : IDisposable
{
    /// <summary>Wrong codes that end it; only who has the agent's key can show one.</summary>
    public const int MostWrong = 5;

    /// <summary>Bytes of the longest answer.</summary>
    public const int MostAnswer = GrantRecord.MostPiece + 1;

    static readonly TimeSpan Poll = TimeSpan.FromSeconds(20); // that an agent waits for a piece before it is told to ask again

    readonly Grant _grant;
    readonly IGrantedRestore _restore;
    readonly Hash32 _self;
    readonly TimeProvider _time;
    readonly long _began;
    readonly DateTimeOffset _until;
    readonly ITimer _timer;
    readonly ProofNonces _nonces;
    readonly Lock _turn = new();
    readonly Lock _beginning = new();
    readonly CancellationTokenSource _over = new();
    Hash32? _holder; // fingerprint of the certificate that showed agent and code last
    Running? _running;
    int _wrong;
    int _takeovers;
    GrantEnd? _end;
    (long Files, long Bytes) _sent; // by runs before this one
    (long Files, long Bytes) _reported;

    /// <param name="grant">To whom, and for how long.</param>
    /// <param name="restore">What is granted.</param>
    /// <param name="self">Fingerprint of the certificate that the agent is shown.</param>
    /// <param name="time">Of this machine.</param>
    public GrantDesk(Grant grant, IGrantedRestore restore, Hash32 self, TimeProvider? time = null)
    {
        (_grant, _restore, _self, _time) = (grant, restore, self, time ?? TimeProvider.System);
        _nonces = new ProofNonces(_time);
        (_began, _until) = (_time.GetTimestamp(), _time.GetUtcNow() + grant.Life);
        _timer = _time.CreateTimer(_ => End(GrantEnd.TimeOver), null, grant.Life, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Told how it goes on.</summary>
    public Action<string> Note { get; init; } = _ => { };

    /// <summary>Told what whoever gave the grant has to see.</summary>
    public Action<string> Warn { get; init; } = _ => { };

    /// <summary>Called once, when it ends, from any thread: before who asked is answered.</summary>
    public Action<GrantEnd> Ended { get; init; } = _ => { };

    /// <summary>It is over.</summary>
    public CancellationToken Over => _over.Token;

    /// <summary>Files and bytes: by the agent's word where it came to an end, else what was sent to it.</summary>
    public (long Files, long Bytes) Done => _reported != default ? _reported : Sent;

    /// <summary>Files and bytes that were sent, in all runs.</summary>
    public (long Files, long Bytes) Sent
    {
        get
        {
            lock (_turn)
                return _running?.Stream.Sent is var (bytes, files) ? (_sent.Files + files, _sent.Bytes + bytes) : _sent;
        }
    }

    /// <summary>How often agent and code were shown anew, by who had not before.</summary>
    public int Takeovers => Volatile.Read(ref _takeovers);

    /// <summary>How often the agent's key was shown with a wrong code.</summary>
    public int WrongCodes => Volatile.Read(ref _wrong);

    /// <summary>Who asks has shown to be the agent, and to have the code.</summary>
    public bool IsHeldBy(Hash32 client)
    {
        lock (_turn)
            return _holder == client;
    }

    /// <summary>Answers.</summary>
    /// <param name="client">Fingerprint of the certificate that asks.</param>
    /// <param name="request">What it asks.</param>
    /// <exception cref="HoldfastException"><c>NoPermission</c>: it is not for whoever asks, or over; <c>SessionLost</c>: another run took this one's place.</exception>
    public IGrantAnswer Answer(Hash32 client, GrantRequest request)
    {
        if (IsTimeOver)
            End(GrantEnd.TimeOver);
        if (request is GrantRequest.Report && _end is GrantEnd.Whole or GrantEnd.NotWhole && IsHeldBy(client))
            return new Made([]); // told twice
        if (_end is not null)
        {
            lock (_beginning) // nobody hears of it before whoever is told of its end has been
                throw Gone(_end.Value);
        }
        switch (request)
        {
            case GrantRequest.Hello:
                return new Made(new AgentHello(_grant.Vault, _grant.LogKey, _nonces.Give()).ToArray());
            case GrantRequest.Prove prove:
                Prove(client, prove);
                return new Made([]);
            case GrantRequest.Begin begin:
                return new Made(Begin(client, begin).ToArray());
            case GrantRequest.Fetch fetch:
                return Fetch(Run(client, fetch.Run), fetch);
            case GrantRequest.Unwanted unwanted:
                if (!Run(client, unwanted.Run).Writer.Answer(unwanted))
                    throw new HoldfastException(ErrorCode.Usage, "What the agent says it has makes no sense.", "Use the same release of holdfast on both machines.");
                return new Made([]);
            case GrantRequest.Report report:
                Report(client, report);
                return new Made([]);
            default:
                throw new InvalidOperationException(request.GetType().Name);
        }
    }

    IGrantAnswer Fetch(Running running, GrantRequest.Fetch fetch)
    {
        if (running.Queue.Take(fetch.Piece, fetch.Got, Poll, out var state) is { } piece)
            return new Kept(piece);
        if (_end is not { } end)
            return new Made([(byte)state]);
        lock (_beginning) // as above
            throw Gone(end);
    }

    sealed record Made(byte[] Answer) : IGrantAnswer
    {
        public ReadOnlyMemory<byte> Bytes => Answer;

        public void Dispose()
        {
            // Nothing to give back.
        }
    }

    sealed record Kept(PieceQueue.Piece Piece) : IGrantAnswer
    {
        public ReadOnlyMemory<byte> Bytes => Piece.Bytes;

        public void Dispose() => Piece.Dispose();
    }

    /// <summary>By either clock: one may have been set back, and the other stand still while the machine sleeps.</summary>
    bool IsTimeOver => _time.GetUtcNow() >= _until || _time.GetElapsedTime(_began) >= _grant.Life;

    /// <summary>The agent's key first: whoever has it not learns nothing of the code, and ends nothing by guessing.</summary>
    void Prove(Hash32 client, GrantRequest.Prove prove)
    {
        if (!_nonces.IsGiven(prove.Nonce))
            throw new HoldfastException(ErrorCode.NoPermission, "What was to be signed is not of this clean room, or is too old.", "Run the same command again.");
        if (prove.Agent != _grant.Agent.Id || !Ed25519Signer.Verify(_grant.Agent.PublicKey, GrantProof.SignedBytes(_grant.Vault, prove.Agent, prove.Nonce, client, _self), prove.Signature))
            throw new HoldfastException(ErrorCode.NoPermission, "This restore was granted to another agent. Nothing was sent.", "See that --keys names the key folder of the agent that the grant is for (`holdfast keeper agents` lists ids); else have one granted to this agent.");
        var isRight = CryptographicOperations.FixedTimeEquals(prove.Code, GrantProof.OfCode(_grant.Code, _grant.Vault, prove.Agent, prove.Nonce, client, _self));
        Running? before = null;
        int wrong, takeovers;
        lock (_turn)
        {
            wrong = isRight ? _wrong : ++_wrong;
            if (isRight && _holder is not null && _holder != client)
                (before, _takeovers) = (_running, _takeovers + 1);
            if (isRight)
                _holder = client;
            takeovers = _takeovers;
        }
        if (isRight)
        {
            before?.Stop();
            if (takeovers == 0)
                Note("The agent has shown its key and the code.");
            else
                Warn($"Agent and code were shown AGAIN, with another certificate ({takeovers} times by now): the agent was run again, or somebody else has its keys and the code. What was begun before gets nothing more.");
            return;
        }
        Warn($"The agent's key was shown with a WRONG CODE ({wrong} of {MostWrong}).");
        if (wrong >= MostWrong)
            End(GrantEnd.WrongCodes);
        throw new HoldfastException(ErrorCode.NoPermission, "That is not the code of this grant. Nothing was sent.", wrong >= MostWrong ? "The grant is over: have another one made." : "The clean room printed it when the restore was granted; blanks and hyphens are nothing.");
    }

    static HoldfastException Gone(GrantEnd end) => new(ErrorCode.NoPermission, $"This grant is over: {end switch { GrantEnd.Whole or GrantEnd.NotWhole => "it was used", GrantEnd.TimeOver => "its time has passed", GrantEnd.WrongCodes => "wrong codes were given", _ => "it was taken back" }}.", "Have another one made, in the clean room (`holdfast cleanroom grant`); what stands in the target is gone on with by --resume.");

    void RequireHolder(Hash32 client)
    {
        if (!IsHeldBy(client))
            throw Unproved();
    }

    /// <summary>Who asks has not shown agent and code, or somebody else has since.</summary>
    public static HoldfastException Unproved() => new(ErrorCode.AgentUnproved, "The clean room does not know who this is, or the agent was run again since.", "Run the command once, where the restore is to go. Where nobody else ran it, somebody has this agent's keys and the code.");

    Running Run(Hash32 client, Id16 run)
    {
        RequireHolder(client);
        return Volatile.Read(ref _running) is { } running && running.Id == run ? running
            : throw new HoldfastException(ErrorCode.SessionLost, "The restore was begun anew meanwhile; this run of it gets nothing more.", "See that it is run once, and in one place; then run it again with --resume.") { IsTransient = false };
    }

    GrantStand Begin(Hash32 client, GrantRequest.Begin begin)
    {
        lock (_beginning)
        {
            RequireHolder(client);
            Volatile.Read(ref _running)?.Stop();
            if (!_restore.IsBelieved())
                throw new HoldfastException(ErrorCode.NoPermission, "The vault's log believes this agent no longer: it was revoked, or its enrolment cannot be read. Nothing was sent.", "Find out why before anything is restored to that host.");
            Running running;
            lock (_turn)
            {
                if (_end is { } end)
                    throw Gone(end);
                if (_holder != client)
                    throw new HoldfastException(ErrorCode.SessionLost, "The agent was run again meanwhile.", "Run the command once, where the restore is to go.");
                if (_running?.Stream.Sent is var (bytes, files))
                    _sent = (_sent.Files + files, _sent.Bytes + bytes);
                running = new Running(_restore, begin);
                Volatile.Write(ref _running, running);
            }
            running.Start();
            Note("The restore has begun on the agent's host.");
            return _grant.Stand with { Run = running.Id };
        }
    }

    void Report(Hash32 client, GrantRequest.Report report)
    {
        var running = Run(client, report.Run);
        if (report.Outcome == GrantOutcome.Stopped)
        {
            running.Stop();
            Note("The agent says that its restore stopped before the end. The grant goes on: it may be run again with --resume.");
            return;
        }
        if (running.Result is not { } found) // the agent has not had all of it: what it says cannot be so
            throw new HoldfastException(ErrorCode.Usage, "The agent says that it came to the end of what has not been sent yet.", "Use the same release of holdfast on both machines.");
        if (report.Outcome == GrantOutcome.NotWhole && found.Away + found.UnreadPacks > 0) // what is damaged is no better the next time
        {
            Warn($"The restore came to its end, and {found.Failed + found.Lost} entries could not be read HERE: a disk, a folder or the keeper is away. The grant goes on, until its time or Ctrl+C: once it can be read, the agent is run again with --resume.");
            return;
        }
        lock (_turn)
            _reported = (report.Files, report.Bytes);
        Note($"The agent says: {report.Files} files, {report.Bytes} bytes; {(report.Outcome == GrantOutcome.Whole ? "all of it stands there" : $"NOT ALL of it stands there, {report.Missed} entries do not")}.");
        End(report.Outcome == GrantOutcome.Whole ? GrantEnd.Whole : GrantEnd.NotWhole);
    }

    /// <summary>Ends it; the first end counts.</summary>
    public void End(GrantEnd end)
    {
        lock (_beginning)
        {
            Running? running;
            lock (_turn)
            {
                if (_end is not null)
                    return;
                _end = end;
                running = _running;
            }
            running?.Stop();
            Ended(end);
        }
        _over.Cancel();
    }

    public void Dispose()
    {
        _timer.Dispose();
        End(GrantEnd.Withdrawn);
        _running?.Dispose();
        _over.Dispose();
    }

    /// <summary>One run of the engine, on a thread of its own.</summary>
    sealed class Running : IDisposable
    {
        readonly IGrantedRestore _restore;
        readonly CancellationTokenSource _stop = new();
        readonly Thread _thread;

        public Running(IGrantedRestore restore, GrantRequest.Begin begin)
        {
            _restore = restore;
            Stream = new GrantStream(Queue);
            Writer = new GrantWriter(Stream, begin);
            _thread = new Thread(Work) { IsBackground = true, Name = "holdfast grant" };
        }

        public Id16 Id { get; } = Id16.New();
        public PieceQueue Queue { get; } = new();
        public GrantStream Stream { get; }
        public GrantWriter Writer { get; }

        /// <summary>What the engine found; null until it came to its end.</summary>
        public RestoreResult? Result { get; private set; }

        public void Start() => _thread.Start();

        void Work()
        {
            try
            {
                Send();
                Stream.Flush();
            }
            catch (Exception e) when (e is OperationCanceledException or HoldfastException { Code: ErrorCode.Interrupted })
            {
                // Nobody takes it any more.
            }
            finally
            {
                Queue.Complete();
            }
        }

        void Send()
        {
            try
            {
                var result = _restore.Run(Writer, _stop.Token);
                Stream.Put(GrantRecordKind.Result, bytes: GrantBytes.OfResult(result));
                Result = result;
            }
            catch (HoldfastException e) when (e.Code != ErrorCode.Interrupted) // what is stopped here says how: it was taken back
            {
                Stream.Put(GrantRecordKind.Fault, bytes: GrantBytes.OfFault(e));
            }
            catch (Exception e) when (e is not (OperationCanceledException or HoldfastException))
            {
                Stream.Put(GrantRecordKind.Fault, bytes: GrantBytes.OfFault(new HoldfastException(ErrorCode.Internal, $"A defect in Holdfast: {e.GetType().Name}.", "Please report it, with the version (holdfast --version). What came back is right.")));
            }
        }

        public void Dispose() => _stop.Dispose();

        /// <summary>Where it returns, the vault is nobody's but the caller's.</summary>
        public void Stop()
        {
            _stop.Cancel();
            Queue.Stop();
            Writer.Stop();
            if (_thread.IsAlive && Thread.CurrentThread != _thread)
                _thread.Join();
        }
    }
}
