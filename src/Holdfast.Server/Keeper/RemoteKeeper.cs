using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Server.Keeper;

/// <summary>A keeper reached over the network (docs/protocol.md). Rides over its restarts and cuts of the network: what can be asked twice is asked again, for as long as its patience lasts. What says nothing is left in the
/// end, however far it had come.</summary>
sealed class RemoteKeeper : IRemoteKeeper, IDisposable
{
    const int FirstPart = 1 << 16; // bytes that come with the size, when something is opened
    const int MaxRefusal = 1 << 14; // bytes
    const int MostListed = 100_000_000;
    const int MostLog = 1 << 30; // bytes
    const int MostStuck = 3; // attempts that end just where one before did
    const int Piece = 1 << 17; // bytes

    static readonly TimeSpan FirstPatience = TimeSpan.FromSeconds(5); // before it has ever answered: an address is mistyped more often than a keeper is away
    static readonly TimeSpan Connecting = TimeSpan.FromSeconds(10);
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(8);

    readonly CancellationToken _stop;
    readonly Uri _url;
    readonly string _fingerprint;
    readonly X509Certificate2 _identity;
    readonly HttpClient _http;
    bool _hasAnswered;
    bool _isAway; // patience ran out, and nothing has answered since
    bool _isAnother; // what answered had another certificate

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the keeper's certificate.</param>
    /// <param name="identity">This client's certificate and key, as PEM.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public RemoteKeeper(Uri url, string fingerprint, string identity, CancellationToken stop = default)
    {
        (_url, _fingerprint, _identity, _stop) = (url, fingerprint, Identity.Read(identity), stop);
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = true,
            ConnectTimeout = Connecting,
            ConnectCallback = ConnectAsync,
            Expect100ContinueTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(60),
            MaxResponseHeadersLength = 16, // KiB
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificates = [_identity],
                RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null && (Identity.Fingerprint(shown) == _fingerprint || !(_isAnother = true)),
            },
        })
        { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>What has been written to the system is not yet on its way: on a slow link little of that, so that what moves is seen to.</summary>
    static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, SendBufferSize = 1 << 20 };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30); // seconds
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
            await socket.ConnectAsync(context.DnsEndPoint, ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public string Place => _url.ToString();

    /// <summary>How long it is tried to reach a keeper that has answered before.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long nothing may move, in a request or an answer.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long a change may take, once it was asked for: a commit to an object store sets a lock on each pack.</summary>
    public TimeSpan Change { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Where bytes wait for their way; the cache that stands for the vault here.</summary>
    public string Staging { get; set; } = Path.GetTempPath();

    public byte[] VaultFile() => Whole("vault", 1 << 12);

    public RemoteLog LogFrom(long size)
    {
        var reader = new ByteReader(Whole(string.Create(CultureInfo.InvariantCulture, $"log?from={size}"), MostLog));
        var (now, passed) = (reader.U64(), reader.U64());
        var note = Encoding.UTF8.GetString(reader.Bytes(Core.Log.Checkpoint.MaxLength));
        var count = reader.Count(reader.Remaining);
        var leaves = new List<byte[]>();
        for (var i = 0; i < count && !reader.Failed; i++)
            leaves.Add(reader.Bytes(Core.Log.MerkleLog.MaxLeaf).ToArray());
        return reader.IsDone ? new RemoteLog(note, leaves, now, passed) : throw Senseless();
    }

    public byte[] Ask(KeeperRequest request)
    {
        var body = request.ToArray();
        var mayRepeat = request is KeeperRequest.Commit or KeeperRequest.Extend or KeeperRequest.RequireWritable; // of the others a second one would not be the same
        return Send(_ => new HttpRequestMessage(HttpMethod.Post, "v1/ask") { Content = new ByteArrayContent(body) }, (response, idle) => Read(response, StoreExtensions.MaxObject, idle), mayRepeat, Change);
    }

    public IStaged Stage(bool large = false) => new PassingBytes(Disk.Real, Staging, large);

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}");

    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}?further=1");

    bool Put(PassingBytes bytes, string path) => Send(idle =>
    {
        Stream? all = null;
        all = bytes.Read(0, bytes.Length, () =>
        {
            idle.Moved();
            if (all?.Position >= bytes.Length)
                idle.Allow(Change); // the keeper makes it durable now, wherever that is
        });
        var content = new StreamContent(all, Piece);
        content.Headers.ContentLength = bytes.Length;
        var request = new HttpRequestMessage(HttpMethod.Put, path) { Content = content };
        request.Headers.ExpectContinue = bytes.Length > Piece; // what is refused is not sent
        return request;
    }, (response, _) => response.StatusCode == HttpStatusCode.Created, mayRepeat: true);

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) => copy >= byte.MaxValue ? null : Part(kind, name, copy, 0, FirstPart) is var (first, size) ? new Item(this, kind, name, copy, first, size) : null;

    (byte[] Bytes, long Size)? Part(StoreKind kind, Hash32 name, int copy, long from, long count) => Send<(byte[], long)?>(_ =>
    {
        var request = new HttpRequestMessage(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"v1/{KeeperWire.Kind(kind)}/{name}?copy={copy}"));
        request.Headers.Range = new RangeHeaderValue(from, from + count - 1);
        return request;
    }, (response, idle) =>
    {
        if (response.StatusCode == HttpStatusCode.NotFound)
            return null;
        if (response.Content.Headers.ContentRange?.Length is not { } size || response.Content.Headers.ContentLength is not { } length || length > count)
            throw Senseless();
        return (Read(response, (int)count, idle), size);
    }, mayRepeat: true);

    public IEnumerable<StoredName> List(StoreKind kind) => Send(_ => new HttpRequestMessage(HttpMethod.Get, $"v1/list/{KeeperWire.Kind(kind)}"), (response, idle) =>
    {
        using var lines = new BufferedStream(idle.Watched(response.Content.ReadAsStream()), 1 << 16);
        var all = new List<StoredName>();
        try
        {
            while (all.Count < MostListed)
            {
                if (KeeperWire.Next(kind, lines, Place) is not { } item)
                    return all;
                all.Add(item);
            }
        }
        catch (InvalidDataException)
        {
            // As a list without end.
        }
        throw Senseless();
    }, mayRepeat: true);

    byte[] Whole(string path, int most) => Send(_ => new HttpRequestMessage(HttpMethod.Get, $"v1/{path}"), (response, idle) => Read(response, most, idle), mayRepeat: true);

    static byte[] Read(HttpResponseMessage response, int most, Idle idle)
    {
        using var stream = idle.Watched(response.Content.ReadAsStream());
        var known = response.Content.Headers.ContentLength;
        if (known > most)
            throw Senseless();
        using var all = new MemoryStream((int)Math.Min(known ?? 0, Piece)); // what is only said to come takes no memory
        var piece = new byte[(int)Math.Min(known ?? Piece, Piece) + 1];
        for (int count; (count = stream.Read(piece)) > 0;)
        {
            if (all.Length + count > most)
                throw Senseless();
            all.Write(piece.AsSpan(0, count));
        }
        return known is null || all.Length == known ? all.ToArray() : throw new EndOfStreamException();
    }

    static HoldfastException Senseless() => new(ErrorCode.StoreUnavailable, "What the keeper answered makes no sense.", "Use the same release of holdfast on both machines, and look at what lies between them.");

    /// <summary>Asks until there is an answer, or patience ends.</summary>
    /// <param name="make">The request, anew for each time.</param>
    /// <param name="read">Takes in the answer.</param>
    /// <param name="mayRepeat">It may be asked a second time, whatever became of the first.</param>
    /// <param name="answer">How long the answer may take; null: as long as nothing may move.</param>
    T Send<T>(Func<Idle, HttpRequestMessage> make, Func<HttpResponseMessage, Idle, T> read, bool mayRepeat, TimeSpan? answer = null)
    {
        long? failing = null; // since when it has got no further
        var (furthest, stuck) = (0L, 0);
        var pause = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            using var idle = new Idle(Silence, _stop);
            var isSent = false;
            try
            {
                using var request = make(idle);
                request.RequestUri = new Uri(_url, request.RequestUri!);
                if (answer is { } longer)
                    idle.Allow(longer);
                using var response = _http.Send(request, HttpCompletionOption.ResponseHeadersRead, idle.Token);
                isSent = true;
                (_hasAnswered, _isAway) = (true, false);
                idle.Moved();
                if (Refusal(response, idle) is { } refusal)
                    throw refusal;
                return read(response, idle);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or ObjectDisposedException)
            {
                if (_stop.IsCancellationRequested)
                    throw new HoldfastException(ErrorCode.Interrupted, "Interrupted. Nothing half-done counts.", "Run the same command again when it suits.", e);
                if (_isAnother)
                    throw new HoldfastException(ErrorCode.WrongVault, $"What answers at {Place} is not the keeper that these keys know: its certificate has another fingerprint.",
                        "Treat it as an attack until shown otherwise: somebody may stand between. Where the keeper was given a new certificate, `holdfast join` again with the fingerprint that is shown on its machine.", e);
                if (idle.Way > furthest)
                    (furthest, stuck, failing) = (idle.Way, 0, null); // what got further has all the patience before it
                else if (idle.Way > 0 && idle.Way == furthest)
                    stuck++; // what ends at the same place each time is no cut of the network
                failing ??= TimeProvider.System.GetTimestamp();
                var patience = _hasAnswered && !_isAway ? Patience : FirstPatience;
                if (TimeProvider.System.GetElapsedTime(failing.Value) + pause > patience || stuck == MostStuck || (!mayRepeat && (isSent || !IsNotReached(e, idle))))
                {
                    _isAway |= idle.Way == 0; // the next does not wait as long
                    throw Away(e, mayRepeat || IsNotReached(e, idle));
                }
                if (_stop.WaitHandle.WaitOne(pause))
                    continue;
                pause = pause + pause < LongestPause ? pause + pause : LongestPause;
            }
        }
    }

    /// <summary>Nothing of the request can have arrived.</summary>
    static bool IsNotReached(Exception e, Idle idle) => e is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError }
        || (e is OperationCanceledException && !idle.Token.IsCancellationRequested); // connecting took too long

    HoldfastException Away(Exception e, bool mayRepeat)
    {
        var why = e is HttpRequestException http ? http.HttpRequestError switch
        {
            HttpRequestError.NameResolutionError => "its name is not known here",
            HttpRequestError.ConnectionError => "nothing answers there",
            HttpRequestError.SecureConnectionError => "it does not let this client in, or has no TLS 1.3",
            _ => Broken(),
        } : e is OperationCanceledException ? "it did not answer in time" : Broken();
        return new HoldfastException(ErrorCode.StoreUnavailable, $"The keeper at {Place} cannot be reached: {why}.",
            (e is not (HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError } or OperationCanceledException) ? "See that the keeper knows this client (`holdfast keeper list` there; `holdfast join` shows its fingerprint). " : "See that it runs (`holdfast keeper serve`) and can be reached from here. ")
            + (mayRepeat ? "Then run the same command again: what was stored is used." : "Whether it was done before that cannot be told from here: look (`holdfast status`), then run it again if it was not."), e)
        { IsTransient = true };
    }

    string Broken() => _hasAnswered ? "the connection broke off" : "it does not let this client in, or the connection broke off";

    /// <summary>Null for an answer.</summary>
    static HoldfastException? Refusal(HttpResponseMessage response, Idle idle)
    {
        if (response.IsSuccessStatusCode || (response.StatusCode == HttpStatusCode.NotFound && response.RequestMessage!.Method == HttpMethod.Get))
            return null;
        if (response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.ServiceUnavailable)
            throw new HttpRequestException(HttpRequestError.ConnectionError);
        var code = response.Headers.TryGetValues(KeeperWire.CodeHeader, out var values) && int.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Enum.IsDefined((ErrorCode)number) && number > 0
            ? (ErrorCode)number : ErrorCode.StoreUnavailable;
        var lines = Encoding.UTF8.GetString(Read(response, MaxRefusal, idle)).Split('\n');
        return lines is [{ Length: > 0 } message, { Length: > 0 } guidance, ..] ? new HoldfastException(code, $"The keeper says: {message}", guidance) { IsTransient = code == ErrorCode.VaultBusy }
            : new HoldfastException(ErrorCode.StoreUnavailable, string.Create(CultureInfo.InvariantCulture, $"The keeper answered with status {(int)response.StatusCode}."), "Use the same release of holdfast on both machines, and look at what lies between them.");
    }

    public void Dispose()
    {
        _http.Dispose();
        _identity.Dispose();
    }

    sealed class Item(RemoteKeeper keeper, StoreKind kind, Hash32 name, int copy, byte[] first, long size) : IStoredItem
    {
        public long Size => size;

        public void Read(long offset, Span<byte> destination)
        {
            if (offset < 0 || offset + destination.Length > size)
                throw Cut();
            if (offset + destination.Length <= first.Length)
            {
                first.AsSpan((int)offset, destination.Length).CopyTo(destination);
                return;
            }
            if (destination.IsEmpty)
                return;
            var (bytes, now) = keeper.Part(kind, name, copy, offset, destination.Length) ?? throw Cut();
            if (bytes.Length != destination.Length || now != size)
                throw Cut();
            bytes.CopyTo(destination);
        }

        HoldfastException Cut() => new(ErrorCode.Truncated, $"{kind} {name} is shorter than it says.", "Run `holdfast verify` to see how far the damage goes.");

        public void Dispose()
        {
            // Each reading is a request of its own.
        }
    }
}
