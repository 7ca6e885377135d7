using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Server.Wire;

namespace Holdfast.Server.Gateway;

/// <summary>A gateway reached over the network (docs/protocol.md). All that is asked of it may be asked twice, so that cuts and restarts are ridden over; the key that is shown to it lives no longer than this.</summary>
sealed class RemoteGateway : IGateway, IDisposable
{
    const int MostAnswer = 1 << 21; // bytes

    static readonly Peer Gateway = new("gateway", "See that its fingerprint is the one that is known here, and that it has room for one more connection. ", "holdfast gateway serve", "`holdfast agent enrol` again with the fingerprint that is shown on its machine, and a new token");

    readonly PinnedClient _client;
    readonly Hash32 _fingerprint;

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the gateway's certificate.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public RemoteGateway(Uri url, string fingerprint, CancellationToken stop)
    {
        _client = new PinnedClient(url, fingerprint, Identity.Make("holdfast agent"), Gateway, stop) { Patience = TimeSpan.FromMinutes(10) };
        _fingerprint = Hash32.TryParse(fingerprint, out var parsed) ? parsed : throw new ArgumentException("No fingerprint.", nameof(fingerprint));
    }

    public string Place => _client.Place;

    /// <summary>How long it is tried to reach a gateway that has answered before.</summary>
    public TimeSpan Patience { init => _client.Patience = value; }

    /// <summary>How long nothing may move, in a request or an answer.</summary>
    public TimeSpan Silence { init => _client.Silence = value; }

    /// <summary>How long an answer may take: a commit waits for its last packs to be stored, wherever that is.</summary>
    public TimeSpan Change { get; init; } = TimeSpan.FromMinutes(60);

    public (Hash32 Client, Hash32 Gateway) Ends => (Hash32.TryParse(_client.OwnFingerprint, out var own) ? own : default, _fingerprint);

    public byte[] Ask(AgentRequest request)
    {
        var body = request.ToArray();
        return _client.Send(idle =>
        {
            MovingBytes? bytes = null;
            bytes = new MovingBytes(body, () =>
            {
                idle.Moved();
                if (bytes!.Position >= body.Length)
                    idle.Allow(Change);
            });
            var content = new StreamContent(bytes, 1 << 16);
            content.Headers.ContentLength = body.Length;
            return new HttpRequestMessage(HttpMethod.Post, "v1/agent") { Content = content };
        }, (response, idle) => _client.Read(response, MostAnswer, idle), mayRepeat: true);
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Tells when something of it was taken.</summary>
    sealed class MovingBytes(byte[] bytes, Action moved) : MemoryStream(bytes, writable: false)
    {
        public override int Read(byte[] buffer, int offset, int count)
        {
            var read = base.Read(buffer, offset, count);
            moved();
            return read;
        }

        public override int Read(Span<byte> buffer)
        {
            var read = base.Read(buffer);
            moved();
            return read;
        }
    }
}
