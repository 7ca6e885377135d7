using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Server.Wire;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Holdfast.Server.Gateway;

/// <summary>Carries a gateway's answers over HTTP, with TLS 1.3 (docs/protocol.md). Any certificate may connect, and until it is proved to be an agent's it may ask for next to nothing.</summary>
/// <param name="desk">Answers.</param>
/// <param name="room">Of the requests that are in memory at once, bytes.</param>
/// <param name="warn">Gets what whoever runs it has to know.</param>
sealed class GatewayServer(GatewayDesk desk, long room, Action<string> warn) : IDisposable
{
    const int MaxConnections = 1_024;
    const int MostRead = 1 << 17; // bytes of a connection, ahead of what is taken in
    const int Slowest = 16 << 10; // bytes a second, of a request that others wait for
    const int Steady = 256 << 10; // bytes a second: what is slower has room apart, so that it keeps nobody waiting
    const int Threads = 64; // that requests are answered on, beside those that store

    static readonly TimeSpan Idle = TimeSpan.FromMinutes(2);
    static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    readonly Room _room = new(room);
    readonly Room _apart = new(room); // for what comes slowly
    readonly Shares _shares = new(4);
    readonly Shares _small = new(8);
    readonly Buffers _buffers = new(room);
    readonly HashSet<Reading> _reading = [];
    readonly SemaphoreSlim _threads = new(Threads);
    readonly Workers _workers = new();
    readonly Warnings _warnings = new(warn);

    /// <summary>Listens until it is stopped.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had.</exception>
    public async Task ServeAsync(IPEndPoint at, X509Certificate2 certificate, Action<string> ready, CancellationToken stop)
    {
        using var blocks = new WideBlocks();
        await using var look = new Timer(_ => LookForSlow(), null, LookEvery, LookEvery);
        await Listening.RunAsync(at, limits =>
        {
            limits.MaxConcurrentConnections = MaxConnections;
            limits.MaxRequestBodySize = AgentRequest.MaxSize;
            limits.MaxRequestBufferSize = MostRead;
            limits.KeepAliveTimeout = Idle;
            limits.MinRequestBodyDataRate = null; // a slow link is no fault; who is slow while others wait is sent away below
        }, listen => listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = certificate,
            SslProtocols = SslProtocols.Tls13,
            HandshakeTimeout = Listening.Headers,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (_, _, _) => true, // whose it is, a signature shows
        }), services =>
        {
            services.AddSingleton<IMemoryPoolFactory<byte>>(blocks);
            services.Configure<SocketTransportOptions>(o => o.MaxReadBufferSize = MostRead); // by itself a megabyte
        }, AnswerAsync, ready, stop);
    }

    Task AnswerAsync(HttpContext context) => Answers.GuardAsync(context, _warnings, async () =>
    {
        if (context.Connection.ClientCertificate is { } shown && Hash32.TryParse(Identity.Fingerprint(shown), out var client) && HttpMethods.IsPost(context.Request.Method) && context.Request.Path == "/v1/agent")
            await AnswerAsync(context, client);
        else
            context.Response.StatusCode = 404;
    });

    async Task AnswerAsync(HttpContext context, Hash32 client)
    {
        // Its length is said before anything of it is taken in, and there is room for it before it is read.
        if (context.Request.ContentLength is not { } length || length < AgentRequest.HeadSize)
        {
            context.Response.StatusCode = 411;
            return;
        }
        var agent = desk.AgentOf(client);
        var isAgent = agent is not null;
        var head = new byte[AgentRequest.HeadSize];
        using (var first = new Idle(isAgent ? Idle : Listening.Headers, context.RequestAborted))
            await context.Request.Body.ReadExactlyAsync(head, first.Token);
        if (AgentRequest.Most(head, isAgent) is var most && most == 0)
        {
            if (!isAgent && AgentRequest.Most(head, isAgent: true) > 0)
                throw new HoldfastException(ErrorCode.AgentUnproved, "The gateway does not know yet who this is.", "Run the same command again.");
            context.Response.StatusCode = 400;
            return;
        }
        if (length > most)
        {
            context.Response.StatusCode = 413;
            return;
        }
        byte[] answer;
        // However long it waits for its turn, that is not its fault.
        using var share = length > AgentRequest.MostSmall ? await _shares.TakeAsync(agent ?? Id16.None, context.RequestAborted) : await _small.TakeAsync(agent ?? Id16.None, context.RequestAborted);
        using (var held = length > AgentRequest.MostSmall ? await _room.TakeAsync(Buffers.SizeOf(length) * AgentRequest.Copies(head), context.RequestAborted) : null)
        {
            using var idle = new Idle(isAgent ? Idle : Listening.Headers, context.RequestAborted);
            using var buffer = _buffers.Rent((int)length);
            await ReadAsync(context, head, buffer.Bytes, idle, isAgent, held);
            if (AgentRequest.TryParse(buffer.Bytes, out var request))
            {
                await _threads.WaitAsync(context.RequestAborted);
                try
                {
                    // The engine's calls block; they are on threads of their own, so that the server's go on.
                    answer = await _workers.RunAsync(() => desk.Answer(client, request));
                }
                finally
                {
                    _threads.Release();
                }
            }
            else
            {
                context.Response.StatusCode = 400;
                return;
            }
        }
        await Answers.WriteAsync(context, answer);
    }

    /// <summary>The rest of a request. One that comes so slowly that it keeps others from having room gets room apart; where there is none, the slowest are sent away, and may come again.</summary>
    async Task ReadAsync(HttpContext context, byte[] head, Memory<byte> bytes, Idle idle, bool isAgent, Room.Taken? held)
    {
        head.CopyTo(bytes);
        var reading = new Reading(context, held) { At = head.Length };
        lock (_reading)
            _reading.Add(reading);
        try
        {
            while (reading.At < bytes.Length)
            {
                var count = await context.Request.Body.ReadAsync(bytes[reading.At..], idle.Token);
                if (count == 0)
                    throw new EndOfStreamException();
                reading.At += count;
                if (isAgent)
                    idle.Moved(count); // others have the time that they began with
            }
        }
        finally
        {
            lock (_reading)
                _reading.Remove(reading);
        }
    }

    sealed class Reading(HttpContext context, Room.Taken? held)
    {
        readonly long _began = TimeProvider.System.GetTimestamp();

        public int At { get; set; }

        public bool IsSlowerThan(int rate) => TimeProvider.System.GetElapsedTime(_began) is var elapsed && elapsed > Grace && At < rate * elapsed.TotalSeconds;

        /// <summary>It holds room that others wait for.</summary>
        public bool IsInTheWay(Room room) => held?.Of == room;

        public bool TryMove(Room to) => held!.TryMove(to);

        public void Abort() => context.Abort();
    }

    void LookForSlow()
    {
        if (!_room.IsWaitedFor)
            return;
        lock (_reading)
        {
            foreach (var slow in _reading.Where(r => r.IsInTheWay(_room) && r.IsSlowerThan(Steady)).ToList())
            {
                if (slow.TryMove(_apart))
                    continue;
                foreach (var slowest in _reading.Where(r => r.IsInTheWay(_apart) && r.IsSlowerThan(Slowest)).DefaultIfEmpty(slow).ToList())
                    slowest.Abort();
            }
        }
    }

    public void Dispose()
    {
        _threads.Dispose();
        _room.Dispose();
        _apart.Dispose();
    }

    /// <summary>Threads that may block: made when all are busy, and kept while they are of use. One made for each request costs more than a small one takes.</summary>
    sealed class Workers
    {
        static readonly TimeSpan Life = TimeSpan.FromSeconds(20);

        readonly object _gate = new();
        readonly Queue<(Func<byte[]> Work, TaskCompletionSource<byte[]> Done)> _waiting = new();
        int _idle;

        public Task<byte[]> RunAsync(Func<byte[]> work)
        {
            var done = new TaskCompletionSource<byte[]>();
            lock (_gate)
            {
                _waiting.Enqueue((work, done));
                if (_waiting.Count <= _idle)
                    Monitor.Pulse(_gate);
                else
                    new Thread(Work) { IsBackground = true, Name = "holdfast answer" }.Start();
            }
            return done.Task;
        }

        void Work()
        {
            while (true)
            {
                (Func<byte[]> Work, TaskCompletionSource<byte[]> Done) next;
                lock (_gate)
                {
                    while (!_waiting.TryDequeue(out next))
                    {
                        _idle++;
                        var isWoken = Monitor.Wait(_gate, Life);
                        _idle--;
                        if (!isWoken && _waiting.Count == 0)
                            return;
                    }
                }
                byte[] answer;
                try
                {
                    answer = next.Work();
                }
                catch (Exception e)
                {
                    next.Done.SetException(e);
                    continue;
                }
                next.Done.SetResult(answer);
            }
        }
    }

    /// <summary>How many requests of one agent are taken in and answered at once; those who have not proved to be one have as many together.</summary>
    sealed class Shares(int each)
    {
        readonly Dictionary<Id16, (SemaphoreSlim Turn, int Users)> _all = [];

        public async Task<IDisposable> TakeAsync(Id16 agent, CancellationToken ct)
        {
            SemaphoreSlim turn;
            lock (_all)
            {
                var (known, users) = _all.GetValueOrDefault(agent);
                turn = known ?? new SemaphoreSlim(each);
                _all[agent] = (turn, users + 1);
            }
            try
            {
                await turn.WaitAsync(ct);
            }
            catch
            {
                Leave(agent);
                throw;
            }
            return new Taken(this, agent, turn);
        }

        void Leave(Id16 agent)
        {
            lock (_all)
            {
                var (turn, users) = _all[agent];
                if (users > 1)
                {
                    _all[agent] = (turn, users - 1);
                    return;
                }
                _all.Remove(agent);
                turn.Dispose();
            }
        }

        sealed class Taken(Shares shares, Id16 agent, SemaphoreSlim turn) : IDisposable
        {
            public void Dispose()
            {
                turn.Release();
                shares.Leave(agent);
            }
        }
    }

    /// <summary>Memory for requests, used again and again: made anew for each, it would be cleared and collected each time. Each is as long as it needs to be, about, for what many agents send at once adds up.</summary>
    /// <param name="most">Bytes of all that are in use or kept: those in use are as many at most.</param>
    sealed class Buffers(long most)
    {
        const int Step = 1 << 19; // bytes
        const int Sizes = (AgentRequest.MostChunkBytes + (1 << 18)) / Step + 1;
        const int MostTooLong = 2; // steps
        const int Least = 1 << 16; // below, nobody minds

        readonly Stack<byte[]>[] _free = [.. Enumerable.Range(0, Sizes).Select(_ => new Stack<byte[]>())];
        long _all;

        /// <summary>Bytes that a request takes.</summary>
        public static long SizeOf(long length) => length is < Least or > Sizes * (long)Step ? length : (length + Step - 1) / Step * Step;

        public Rented Rent(int length)
        {
            if (length is < Least or > Sizes * Step)
                return new Rented(null, new byte[length], length);
            var size = (int)SizeOf(length) / Step - 1;
            lock (_free)
            {
                for (var i = size; i < Math.Min(Sizes, size + MostTooLong); i++)
                {
                    if (_free[i].TryPop(out var kept))
                        return new Rented(this, kept, length);
                }
                _all += (size + 1) * Step;
                for (var i = Sizes - 1; i >= 0 && _all > most; i--)
                {
                    while (_all > most && _free[i].TryPop(out var other))
                        _all -= other.Length;
                }
            }
            return new Rented(this, GC.AllocateUninitializedArray<byte>((size + 1) * Step), length);
        }

        public sealed class Rented(Buffers? from, byte[] bytes, int length) : IDisposable
        {
            public Memory<byte> Bytes => bytes.AsMemory(0, length);

            public void Dispose()
            {
                if (from is null)
                    return;
                lock (from._free)
                    from._free[bytes.Length / Step - 1].Push(bytes);
            }
        }
    }

    /// <summary>Memory that requests share: who finds none waits for its turn.</summary>
    sealed class Room(long bytes) : IDisposable
    {
        readonly SemaphoreSlim _turn = new(1);
        readonly SemaphoreSlim _freed = new(0);
        readonly long _all = bytes;
        long _free = bytes;
        int _waiting;

        public bool IsWaitedFor => Volatile.Read(ref _waiting) > 0;

        /// <summary>Without waiting.</summary>
        bool TryTake(long count)
        {
            while (Interlocked.Read(ref _free) is var free && free >= count)
            {
                if (Interlocked.CompareExchange(ref _free, free - count, free) == free)
                    return true;
            }
            return false;
        }

        void Give(long count)
        {
            Interlocked.Add(ref _free, count);
            _freed.Release();
        }

        public async Task<Taken> TakeAsync(long count, CancellationToken ct)
        {
            count = Math.Min(count, _all); // one that needs more has all of it, and is alone
            Interlocked.Increment(ref _waiting);
            try
            {
                await _turn.WaitAsync(ct);
                try
                {
                    while (!TryTake(count))
                        await _freed.WaitAsync(ct);
                }
                finally
                {
                    _turn.Release();
                }
            }
            finally
            {
                Interlocked.Decrement(ref _waiting);
            }
            return new Taken(this, count);
        }

        public sealed class Taken(Room room, long count) : IDisposable
        {
            readonly Lock _turn = new();
            Room? _of = room;

            /// <summary>Null once it was given back.</summary>
            public Room? Of => _of;

            /// <summary>Takes as much of another room in place of this.</summary>
            public bool TryMove(Room to)
            {
                lock (_turn)
                {
                    if (_of is null || !to.TryTake(count))
                        return false;
                    _of.Give(count);
                    _of = to;
                    return true;
                }
            }

            public void Dispose()
            {
                lock (_turn)
                {
                    _of?.Give(count);
                    _of = null;
                }
            }
        }

        public void Dispose()
        {
            _turn.Dispose();
            _freed.Dispose();
        }
    }
}
