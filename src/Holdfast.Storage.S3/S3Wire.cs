using System.Security.Cryptography;
using Amazon.Runtime;
using Amazon.S3;
using Holdfast.Core;

namespace Holdfast.Storage.S3;

/// <summary>One conversation with the service: each call is tried again until it goes through, means no, or the patience is over. Safe for concurrent use.</summary>
sealed class S3Wire : IDisposable
{
    const string BodyHash = "x-amz-content-sha256"; // the signature covers it, and the service refuses a body that does not give it (Signature Version 4)
    const int LeastTries = 3;
    const int LeastSpeed = 32 << 10; // bytes a second: what goes slower for a whole request is given up, though it moves

    readonly S3Options _options;
    readonly TimeProvider _time;
    readonly Clients _clients;
    long _requests;

    public S3Wire(S3Place place, S3Credentials credentials, S3Options options, TimeProvider time)
    {
        (_options, _time, _clients) = (options, time, new Clients(useProxy: !place.Endpoint.IsLoopback));
        // All repeating is done here: the SDK's own knows neither of bytes that move nor of a request whose fate is unknown.
        Client = new AmazonS3Client(new BasicAWSCredentials(credentials.AccessKey, credentials.SecretKey), new AmazonS3Config
        {
            ServiceURL = place.Endpoint.ToString(),
            AuthenticationRegion = place.Region,
            ForcePathStyle = place.IsPathStyle,
            MaxErrorRetry = 0,
            DisableClockSkewCorrection = true, // that the clocks differ is for a person to know
            // Checksums behind the body are refused by Ceph 16; the signature covers the SHA-256 of the bytes in any case.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            BufferSize = 256 << 10,
            HttpClientFactory = _clients,
        });
    }

    public AmazonS3Client Client { get; }

    /// <summary>Requests sent so far.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>The date that the last answer bears; null where it had none. TLS alone vouches for it.</summary>
    public DateTimeOffset? Dated => _clients.Dated;

    /// <summary>Makes a call, again where it may go through another time.</summary>
    /// <param name="call">May be made several times: an earlier one may have gone through, or go through later.</param>
    /// <param name="bytes">How much it moves.</param>
    /// <exception cref="HoldfastException">What the service means by its refusal; <c>StoreUnavailable</c>, transient, once the patience is over.</exception>
    public T Call<T>(Func<S3Attempt, Task<T>> call, long bytes = 0)
    {
        var begun = _time.GetTimestamp();
        var wait = _options.FirstWait;
        for (var tries = 1; ; tries++)
        {
            using var attempt = new S3Attempt(_options.Idle, _options.Patience + TimeSpan.FromSeconds((double)bytes / LeastSpeed));
            try
            {
                Interlocked.Increment(ref _requests);
                return call(attempt).GetAwaiter().GetResult();
            }
            catch (Exception e) when (S3Fault.MayPass(e))
            {
                if (tries >= LeastTries && _time.GetElapsedTime(begun) + wait > _options.Patience)
                    throw S3Fault.Unavailable(e, tries);
            }
            catch (Exception e) when (S3Fault.IsOfService(e))
            {
                throw S3Fault.Of(e);
            }
            // Many that were refused at once do not come back at once.
            var part = RandomNumberGenerator.GetInt32(500, 1001) / 1000.0;
            Task.Delay(wait * part, _time).GetAwaiter().GetResult();
            wait = TimeSpan.FromTicks(Math.Min(wait.Ticks * 2, _options.LongestWait.Ticks));
        }
    }

    public static HoldfastException NotItsName() => new(ErrorCode.StoreUnavailable,
        "What was staged does not give the name that it was to be entered under: nothing was sent.",
        "Memory or the staging disk changes bytes: look into that machine, then run the same command again.");

    public void Dispose()
    {
        Client.Dispose();
        _clients.Dispose();
    }

    /// <summary>One client for all requests. A body goes under no other name than its own. Without "Expect: 100-continue": after an early refusal Ceph 16 takes the body it did not read for the next request. Redirects are not followed: what was signed
    /// for one host is not for another.</summary>
    sealed class Clients : HttpClientFactory, IDisposable
    {
        readonly Plain _plain;
        readonly HttpClient _client;

        public Clients(bool useProxy)
        {
            _plain = new Plain { InnerHandler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = useProxy, ConnectTimeout = TimeSpan.FromSeconds(20), PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30) } };
            _client = new HttpClient(_plain) { Timeout = System.Threading.Timeout.InfiniteTimeSpan }; // each attempt watches itself
        }

        public DateTimeOffset? Dated => _plain.Dated;

        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => _client;
        public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;
        public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
        public void Dispose() => _client.Dispose();

        sealed class Plain : DelegatingHandler
        {
            long _dated; // ticks, UTC; 0 for none

            public DateTimeOffset? Dated => Interlocked.Read(ref _dated) is var ticks and > 0 ? new DateTimeOffset(ticks, TimeSpan.Zero) : null;

            protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                request.Headers.ExpectContinue = false;
                if (request.Method == HttpMethod.Put && request.RequestUri is { Query: "" } key && Hash32.TryParse(key.AbsolutePath.AsSpan(key.AbsolutePath.LastIndexOf('/') + 1), out var name)
                    && request.Headers.TryGetValues(BodyHash, out var hashes) && hashes.Single() != name.ToString())
                    throw NotItsName();
                var answer = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
                Interlocked.Exchange(ref _dated, answer.Headers.Date?.UtcTicks ?? 0);
                return answer;
            }
        }
    }
}

/// <summary>One try of a call: given up when nothing moves for too long, or it takes too long in all.</summary>
sealed class S3Attempt : IDisposable
{
    readonly CancellationTokenSource _end;
    readonly CancellationTokenSource _idle;
    readonly TimeSpan _limit;

    public S3Attempt(TimeSpan idle, TimeSpan longest)
    {
        _limit = idle;
        _end = new CancellationTokenSource(longest);
        _idle = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        _idle.CancelAfter(idle);
    }

    public CancellationToken Token => _idle.Token;

    /// <summary>Bytes have moved.</summary>
    public void Moved() => _idle.CancelAfter(_limit);

    public void Dispose()
    {
        _idle.Dispose();
        _end.Dispose();
    }
}
