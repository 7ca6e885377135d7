using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Server.Keeper;

/// <summary>A keeper reached over the network (docs/protocol.md). Rides over its restarts and cuts of the network: what can be asked twice is asked again, for as long as its patience lasts.</summary>
sealed class RemoteKeeper : IRemoteKeeper, IDisposable
{
    const int FirstPart = 1 << 16; // bytes that come with the size, when something is opened
    const int MaxRefusal = 1 << 14; // bytes
    const int MostListed = 100_000_000;

    static readonly TimeSpan FirstPatience = TimeSpan.FromSeconds(5); // before it has ever answered: an address is mistyped more often than a keeper is away
    static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(8);

    readonly Uri _url;
    readonly string _fingerprint;
    readonly X509Certificate2 _identity;
    readonly HttpClient _http;
    bool _hasAnswered;
    bool _isAnother; // what answered had another certificate

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the keeper's certificate.</param>
    /// <param name="identity">This client's certificate and key, as PEM.</param>
    public RemoteKeeper(Uri url, string fingerprint, string identity)
    {
        (_url, _fingerprint, _identity) = (url, fingerprint, Identity.Read(identity));
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = true,
            ConnectTimeout = TimeSpan.FromSeconds(10),
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

    public string Place => _url.ToString();

    /// <summary>How long it is tried to reach a keeper that has answered before.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long it may say nothing once it was asked.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Where bytes wait for their way; the cache that stands for the vault here.</summary>
    public string Staging { get; set; } = Path.GetTempPath();

    public byte[] VaultFile() => Whole("vault", 1 << 12);

    public RemoteLog LogFrom(long size)
    {
        var reader = new ByteReader(Whole(string.Create(CultureInfo.InvariantCulture, $"log?from={size}"), int.MaxValue));
        var (now, passed) = (reader.U64(), reader.U64());
        var note = Encoding.UTF8.GetString(reader.Bytes(Core.Log.Checkpoint.MaxLength));
        var count = reader.Count(reader.Remaining);
        var leaves = new List<byte[]>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            leaves.Add(reader.Bytes(Core.Log.MerkleLog.MaxLeaf).ToArray());
        return reader.IsDone ? new RemoteLog(note, leaves, now, passed) : throw Senseless();
    }

    public byte[] Ask(KeeperRequest request)
    {
        var body = request.ToArray();
        var mayRepeat = request is KeeperRequest.Commit or KeeperRequest.Extend or KeeperRequest.RequireWritable; // of the others a second one would not be the same
        return Send(() => new HttpRequestMessage(HttpMethod.Post, "v1/ask") { Content = new ByteArrayContent(body) }, response => Read(response, StoreExtensions.MaxObject), mayRepeat);
    }

    public IStaged Stage(bool large = false) => new PassingBytes(Disk.Real, Staging, large);

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}");

    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}?further=1");

    bool Put(PassingBytes bytes, string path) => Send(() =>
    {
        var content = new StreamContent(bytes.Read(0, bytes.Length, () => { }), 1 << 17);
        content.Headers.ContentLength = bytes.Length;
        return new HttpRequestMessage(HttpMethod.Put, path) { Content = content };
    }, response => response.StatusCode == HttpStatusCode.Created, mayRepeat: true);

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) => copy >= byte.MaxValue ? null : Part(kind, name, copy, 0, FirstPart) is var (first, size) ? new Item(this, kind, name, copy, first, size) : null;

    (byte[] Bytes, long Size)? Part(StoreKind kind, Hash32 name, int copy, long from, long count) => Send<(byte[], long)?>(() =>
    {
        var request = new HttpRequestMessage(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"v1/{KeeperWire.Kind(kind)}/{name}?copy={copy}"));
        request.Headers.Range = new RangeHeaderValue(from, from + count - 1);
        return request;
    }, response =>
    {
        if (response.StatusCode == HttpStatusCode.NotFound)
            return null;
        if (response.Content.Headers.ContentRange?.Length is not { } size || response.Content.Headers.ContentLength is not { } length || length > count)
            throw Senseless();
        return (Read(response, (int)count), size);
    }, mayRepeat: true);

    public IEnumerable<StoredName> List(StoreKind kind) => Send(() => new HttpRequestMessage(HttpMethod.Get, $"v1/list/{KeeperWire.Kind(kind)}"), response =>
    {
        using var stream = response.Content.ReadAsStream();
        using var lines = new BufferedStream(stream, 1 << 16);
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

    byte[] Whole(string path, int most) => Send(() => new HttpRequestMessage(HttpMethod.Get, $"v1/{path}"), response => Read(response, most), mayRepeat: true);

    static byte[] Read(HttpResponseMessage response, int most)
    {
        using var stream = response.Content.ReadAsStream();
        var known = response.Content.Headers.ContentLength;
        if (known > most)
            throw Senseless();
        if (known is { } length)
        {
            var exact = new byte[length];
            stream.ReadExactly(exact);
            return exact;
        }
        using var all = new MemoryStream();
        var piece = new byte[1 << 16];
        for (int count; (count = stream.Read(piece)) > 0;)
        {
            if (all.Length + count > most)
                throw Senseless();
            all.Write(piece.AsSpan(0, count));
        }
        return all.ToArray();
    }

    static HoldfastException Senseless() => new(ErrorCode.StoreUnavailable, "What the keeper answered makes no sense.", "Use the same release of holdfast on both machines, and look at what lies between them.");

    /// <summary>Asks until there is an answer, or patience ends.</summary>
    T Send<T>(Func<HttpRequestMessage> make, Func<HttpResponseMessage, T> read, bool mayRepeat)
    {
        var since = TimeProvider.System.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(100);
        while (true)
        {
            var isSent = false;
            try
            {
                using var request = make();
                request.RequestUri = new Uri(_url, request.RequestUri!);
                using var silence = new CancellationTokenSource(Silence);
                using var response = _http.Send(request, HttpCompletionOption.ResponseHeadersRead, silence.Token);
                isSent = true;
                _hasAnswered = true;
                if (Refusal(response) is { } refusal)
                    throw refusal;
                return read(response);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
            {
                if (_isAnother)
                    throw new HoldfastException(ErrorCode.WrongVault, $"What answers at {Place} is not the keeper that these keys know: its certificate has another fingerprint.",
                        "Treat it as an attack until shown otherwise: somebody may stand between. Where the keeper was given a new certificate, `holdfast join` again with the fingerprint that is shown on its machine.", e);
                var patience = _hasAnswered ? Patience : FirstPatience;
                if (TimeProvider.System.GetElapsedTime(since) + pause > patience || (!mayRepeat && (isSent || e is not HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError })))
                    throw Away(e, mayRepeat);
                Thread.Sleep(pause);
                pause = pause + pause < LongestPause ? pause + pause : LongestPause;
            }
        }
    }

    HoldfastException Away(Exception e, bool mayRepeat)
    {
        var why = e is HttpRequestException http ? http.HttpRequestError switch
        {
            HttpRequestError.NameResolutionError => "its name is not known here",
            HttpRequestError.ConnectionError => "nothing answers there",
            HttpRequestError.SecureConnectionError => "it lets this client not in, or has no TLS 1.3",
            _ => "the connection broke off",
        } : "the connection broke off";
        return new HoldfastException(ErrorCode.StoreUnavailable, $"The keeper at {Place} cannot be reached: {why}.",
            (e is not HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError } ? "See that the keeper knows this client (`holdfast keeper list` there; `holdfast join` shows its fingerprint). " : "See that it runs (`holdfast keeper serve`) and can be reached from here. ")
            + (mayRepeat ? "Then run the same command again: what was stored is used." : "Whether it was done before that cannot be told from here: look (`holdfast status`), then run it again if it was not."), e)
        { IsTransient = true };
    }

    /// <summary>Null for an answer.</summary>
    static HoldfastException? Refusal(HttpResponseMessage response)
    {
        if (response.IsSuccessStatusCode || (response.StatusCode == HttpStatusCode.NotFound && response.RequestMessage!.Method == HttpMethod.Get))
            return null;
        if (response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.ServiceUnavailable)
            throw new HttpRequestException(HttpRequestError.ConnectionError);
        var code = response.Headers.TryGetValues(KeeperWire.CodeHeader, out var values) && int.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Enum.IsDefined((ErrorCode)number) && number > 0
            ? (ErrorCode)number : ErrorCode.StoreUnavailable;
        var lines = Encoding.UTF8.GetString(Read(response, MaxRefusal)).Split('\n');
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
