using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Holdfast.Core;

namespace Holdfast.Server.Wire;

/// <summary>Words for what is at the other end.</summary>
/// <param name="Noun">"keeper".</param>
/// <param name="KnowsClient">What to look at where it does not let this client in; ends with a blank.</param>
/// <param name="Runs">How it is started.</param>
/// <param name="Anew">What to do where it was given a new certificate.</param>
sealed record Peer(string Noun, string KnowsClient, string Runs, string Anew);

/// <summary>Asks a server that is told by its certificate's fingerprint, and shows one of its own. Rides over restarts and cuts of the network: what can be asked twice is asked again, for as long as its patience lasts. What says
/// nothing is left in the end, however far it had come. Safe for concurrent use.</summary>
sealed class PinnedClient : IDisposable
{
    /// <summary>Of a refusal: the error code. Its body is two lines, what happened and what to do.</summary>
    public const string CodeHeader = "Holdfast-Code";

    const int MaxRefusal = 1 << 14; // bytes
    const int MostStuck = 3; // attempts that end just where one before did
    const int Piece = 1 << 17; // bytes

    static readonly TimeSpan FirstPatience = TimeSpan.FromSeconds(5); // before it has ever answered: an address is mistyped more often than a server is away
    static readonly TimeSpan Connecting = TimeSpan.FromSeconds(10);
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(8);

    readonly CancellationToken _stop;
    readonly Uri _url;
    readonly string _fingerprint;
    readonly X509Certificate2 _identity;
    readonly Peer _peer;
    readonly HttpClient _http;
    volatile bool _hasAnswered;
    volatile bool _isAway; // patience ran out, and nothing has answered since
    volatile bool _isAnother; // what answered had another certificate

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the server's certificate.</param>
    /// <param name="identity">This client's certificate and key, as PEM.</param>
    /// <param name="peer">Words for what is at the other end.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public PinnedClient(Uri url, string fingerprint, string identity, Peer peer, CancellationToken stop)
    {
        (_url, _fingerprint, _identity, _peer, _stop) = (url, fingerprint, Identity.Read(identity), peer, stop);
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

    /// <summary>Of this client's certificate, lower-case hexadecimal.</summary>
    public string OwnFingerprint => Identity.Fingerprint(_identity);

    /// <summary>How long it is tried to reach a server that has answered before.</summary>
    public TimeSpan Patience { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>How long nothing may move, in a request or an answer.</summary>
    public TimeSpan Silence { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>All of an answer's body.</summary>
    public byte[] Read(HttpResponseMessage response, int most, Idle idle)
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

    public HoldfastException Senseless() => new(ErrorCode.StoreUnavailable, $"What the {_peer.Noun} answered makes no sense.", "Use the same release of holdfast on both machines, and look at what lies between them.");

    /// <summary>Asks until there is an answer, or patience ends.</summary>
    /// <param name="make">The request, anew for each time.</param>
    /// <param name="read">Takes in the answer.</param>
    /// <param name="mayRepeat">It may be asked a second time, whatever became of the first.</param>
    /// <param name="answer">How long the answer may take; null: as long as nothing may move.</param>
    /// <param name="mayBeDone">It asks for a commit, so <c>RunDone</c> is an answer; the caller looks whether it is so.</param>
    public T Send<T>(Func<Idle, HttpRequestMessage> make, Func<HttpResponseMessage, Idle, T> read, bool mayRepeat, TimeSpan? answer = null, bool mayBeDone = false)
    {
        long? failing = null; // since when it has got no further
        var (furthest, stuck) = (0L, 0);
        var pause = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            using var idle = new Idle(Silence, _stop);
            var isSent = false;
            var isBusy = false; // it says so
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
                isBusy = response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.ServiceUnavailable;
                if (Refusal(response, idle, mayBeDone) is { } refusal)
                    throw refusal;
                return read(response, idle);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or SocketException or OperationCanceledException or ObjectDisposedException) // the socket's own, where it is reset while the runtime asks whom it is connected to
            {
                if (_stop.IsCancellationRequested)
                    throw new HoldfastException(ErrorCode.Interrupted, "Interrupted. Nothing half-done counts.", "Run the same command again when it suits.", e);
                if (_isAnother)
                    throw new HoldfastException(ErrorCode.WrongVault, $"What answers at {Place} is not the {_peer.Noun} that these keys know: its certificate has another fingerprint.",
                        $"Treat it as an attack until shown otherwise: somebody may stand between. Where the {_peer.Noun} was given a new certificate, {_peer.Anew}.", e);
                if (idle.Way > furthest)
                    (furthest, stuck, failing) = (idle.Way, 0, null); // what got further has all the patience before it
                else if (!isBusy && idle.Way > 0 && idle.Way == furthest)
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
        return new HoldfastException(ErrorCode.StoreUnavailable, $"The {_peer.Noun} at {Place} cannot be reached: {why}.",
            (e is not (HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError } or OperationCanceledException) ? _peer.KnowsClient : $"See that it runs (`{_peer.Runs}`) and can be reached from here. ")
            + (mayRepeat ? "Then run the same command again: what was stored is used." : "Whether it was done before that cannot be told from here: look (`holdfast status`), then run it again if it was not."), e)
        { IsTransient = true };
    }

    string Broken() => _hasAnswered ? "the connection broke off" : "it does not let this client in, or the connection broke off";

    /// <summary>Null for an answer.</summary>
    HoldfastException? Refusal(HttpResponseMessage response, Idle idle, bool mayBeDone)
    {
        if (response.IsSuccessStatusCode || (response.StatusCode == HttpStatusCode.NotFound && response.RequestMessage!.Method == HttpMethod.Get))
            return null;
        if (response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.ServiceUnavailable)
            throw new HttpRequestException(HttpRequestError.ConnectionError);
        var code = response.Headers.TryGetValues(CodeHeader, out var values) && int.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Enum.IsDefined((ErrorCode)number) && number > 0
            ? (ErrorCode)number : ErrorCode.StoreUnavailable;
        if (code == ErrorCode.RunDone && !mayBeDone)
            code = ErrorCode.CommitRefused; // nobody asked: else it would pass for a backup that is there
        if (code == ErrorCode.Interrupted)
            code = ErrorCode.StoreUnavailable; // there, and not here
        var lines = Encoding.UTF8.GetString(Read(response, MaxRefusal, idle)).Split('\n');
        return lines is [{ Length: > 0 } message, { Length: > 0 } guidance, ..] ? new HoldfastException(code, $"The {_peer.Noun} says: {message}", guidance) { IsTransient = code is ErrorCode.VaultBusy or ErrorCode.SessionLost }
            : new HoldfastException(ErrorCode.StoreUnavailable, string.Create(CultureInfo.InvariantCulture, $"The {_peer.Noun} answered with status {(int)response.StatusCode}."), "Use the same release of holdfast on both machines, and look at what lies between them.");
    }

    public void Dispose()
    {
        _http.Dispose();
        _identity.Dispose();
    }
}
