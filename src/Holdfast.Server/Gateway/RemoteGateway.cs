using System.Net;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Server.Wire;

namespace Holdfast.Server.Gateway;

/// <summary>A gateway reached over the network (docs/protocol.md). All that is asked of it may be asked twice, so that cuts and restarts are ridden over; the key that is shown to it lives no longer than this.</summary>
sealed class RemoteGateway : IGateway, IDisposable
{
    const int MostAnswer = 1 << 21; // bytes
    const int Seconds = 4; // that a request takes at the rate it is held to: a gateway holds room for it as long

    static readonly Peer Gateway = new("gateway", "See that its fingerprint is the one that is known here, and that it has room for one more connection. ", "holdfast gateway serve", "`holdfast agent enrol` again with the fingerprint that is shown on its machine, and a new token");

    readonly PinnedClient _client;
    readonly RateLimit? _limit;
    readonly CancellationToken _stop;
    readonly Hash32 _fingerprint;

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the gateway's certificate.</param>
    /// <param name="rate">Bytes a second that are sent at most; 0 for as many as there is room for.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public RemoteGateway(Uri url, string fingerprint, long rate, CancellationToken stop)
    {
        (_limit, _stop) = (rate > 0 ? new RateLimit(rate) : null, stop);
        MostAtOnce = rate > 0 ? (int)Math.Clamp(rate * Seconds, 1 << 17, AgentRequest.MostChunkBytes) : AgentRequest.MostChunkBytes;
        _client = new PinnedClient(url, fingerprint, Identity.Make("holdfast agent"), Gateway, stop) { Patience = TimeSpan.FromMinutes(10) };
        _fingerprint = Hash32.TryParse(fingerprint, out var parsed) ? parsed : throw new ArgumentException("No fingerprint.", nameof(fingerprint));
    }

    public string Place => _client.Place;

    public int MostAtOnce { get; }

    /// <summary>How long it is tried to reach a gateway that has answered before.</summary>
    public TimeSpan Patience { init => _client.Patience = value; }

    /// <summary>How long nothing may move, in a request or an answer.</summary>
    public TimeSpan Silence { init => _client.Silence = value; }

    /// <summary>How long an answer may take: a commit waits for its last packs to be stored, wherever that is.</summary>
    public TimeSpan Change { get; init; } = TimeSpan.FromMinutes(60);

    public (Hash32 Client, Hash32 Gateway) Ends => (Hash32.TryParse(_client.OwnFingerprint, out var own) ? own : default, _fingerprint);

    public byte[] Ask(AgentRequest request)
    {
        ReadOnlyMemory<byte>[] parts = [request.Head(), .. request.Tail];
        using var turn = parts.Sum(p => (long)p.Length) > Body.Piece ? _limit?.Turn(_stop) : null;
        return _client.Send(idle => new HttpRequestMessage(HttpMethod.Post, "v1/agent") { Content = new Body(parts, _limit, idle, Change) }, (response, idle) => _client.Read(response, MostAnswer, idle), mayRepeat: true, mayBeDone: request is AgentRequest.Finish);
    }

    public void Dispose()
    {
        _client.Dispose();
        _limit?.Dispose();
    }

    /// <summary>Written from where it lies, and tells when something of it was taken.</summary>
    sealed class Body : HttpContent
    {
        public const int Piece = 1 << 16; // bytes

        readonly ReadOnlyMemory<byte>[] _parts;
        readonly RateLimit? _limit;
        readonly Idle _idle;
        readonly TimeSpan _change;

        public Body(ReadOnlyMemory<byte>[] parts, RateLimit? limit, Idle idle, TimeSpan change)
        {
            (_parts, _limit, _idle, _change) = (parts, limit, idle, change);
            Headers.ContentLength = parts.Sum(p => (long)p.Length);
        }

        protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            foreach (var part in _parts)
            {
                for (var at = 0; at < part.Length; at += Piece)
                {
                    var count = Math.Min(Piece, part.Length - at);
                    _limit?.Pass(count, _idle.Token);
                    stream.Write(part.Span.Slice(at, count));
                    _idle.Moved();
                }
            }
            _idle.Allow(_change);
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            SerializeToStream(stream, context, default); // it is sent by who waits for it
            return Task.CompletedTask;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _parts.Sum(p => (long)p.Length);
            return true;
        }
    }
}
