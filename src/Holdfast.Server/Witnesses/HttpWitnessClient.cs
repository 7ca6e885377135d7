using System.Globalization;
using System.Text;
using Holdfast.Cli.Witnesses;
using Holdfast.Core.Log;

namespace Holdfast.Server.Witnesses;

/// <summary>A witness asked over HTTP (C2SP tlog-witness; docs/protocol.md). Total on what it answers: nothing of that is believed that is not signed.</summary>
sealed record HttpWitnessClient(CosignerKey Key, Uri Url) : WitnessClient(Key, Url)
{
    const int MaxAnswer = Checkpoint.MaxLength; // bytes
    const int Tries = 3;
    const string TooLate = "it did not answer in time";

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    static readonly TimeSpan All = TimeSpan.FromSeconds(30); // of its tries together

    static readonly Lazy<HttpClient> Http = new(() => new HttpClient(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        ConnectTimeout = TimeSpan.FromSeconds(10),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(10),
        PooledConnectionLifetime = TimeSpan.FromMinutes(10),
        MaxResponseHeadersLength = 16, // KiB
    })
    { Timeout = Patience, MaxResponseContentBufferSize = MaxAnswer });

    public override async Task<WitnessOutcome> AskAsync(MerkleTree tree, Checkpoint checkpoint, long old, CancellationToken ct)
    {
        using var all = CancellationTokenSource.CreateLinkedTokenSource(ct);
        all.CancelAfter(All);
        try
        {
            return await TryAsync(tree, checkpoint, old, all.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return new WitnessOutcome.Away(TooLate);
        }
    }

    async Task<WitnessOutcome> TryAsync(MerkleTree tree, Checkpoint checkpoint, long old, CancellationToken ct)
    {
        for (var attempt = 0; attempt < Tries; attempt++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Url, "add-checkpoint")) { Content = new StringContent(AddCheckpoint.Of(tree, checkpoint, old).ToString(), Encoding.UTF8, "text/plain") };
            var (status, type, body, fault) = await SendAsync(request, ct);
            if (fault is not null)
                return new WitnessOutcome.Away(fault);
            switch (status)
            {
                case 200:
                    return Checkpoint.TryParse(checkpoint.Note + body, out var note) && note.CosignedAt(Key) is not null ? new WitnessOutcome.Cosigned(note) : new WitnessOutcome.Away("its cosignature does not hold");
                case 409 when type == WitnessAnswer.TreeSize && AddCheckpoint.TryParseSize(body, out var size) && size != old:
                    if (size > checkpoint.Size)
                        return await SeenAsync(tree, checkpoint, size, ct);
                    old = size;
                    continue;
                case 409 or 422:
                    return await SeenAsync(tree, checkpoint, old, ct);
                case 403 or 404:
                    return new WitnessOutcome.Away("it does not follow this log: whoever runs it adds the log's verifier key (`holdfast witness add`)");
                default:
                    return new WitnessOutcome.Away(string.Create(CultureInfo.InvariantCulture, $"it answered with status {status}"));
            }
        }
        return new WitnessOutcome.Away("it says another size each time that it is asked");
    }

    /// <summary>It has seen something else than this log: with its signed checkpoint that is shown, without it is its word.</summary>
    async Task<WitnessOutcome> SeenAsync(MerkleTree tree, Checkpoint checkpoint, long size, CancellationToken ct)
    {
        var (theirs, _) = await LatestAsync(checkpoint.Origin, ct);
        return theirs is not null && theirs.Size <= checkpoint.Size && tree.Root(theirs.Size) == theirs.Root
            ? new WitnessOutcome.Away("it refuses a checkpoint that goes on from what it shows as its latest")
            : new WitnessOutcome.Seen(theirs?.Size ?? size, theirs);
    }

    public override async Task<(Checkpoint? Latest, string Why)> LatestAsync(string origin, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Url, $"{Witness.HashOf(origin)}/checkpoint"));
        var (status, _, body, fault) = await SendAsync(request, ct);
        return fault is not null ? (null, fault)
            : status == 200 && Checkpoint.TryParse(body, out var latest) && latest.Origin == origin && latest.CosignedAt(Key) is not null ? (latest, "")
            : (null, status == 200 ? "what it shows does not bear its cosignature" : string.Create(CultureInfo.InvariantCulture, $"it shows no checkpoint of this log (status {status})"));
    }

    static async Task<(int Status, string? Type, string Body, string? Fault)> SendAsync(HttpRequestMessage request, CancellationToken ct)
    {
        try
        {
            using var response = await Http.Value.SendAsync(request, ct);
            return ((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, await response.Content.ReadAsStringAsync(ct), null);
        }
        catch (HttpRequestException e)
        {
            return (0, null, "", e.HttpRequestError switch
            {
                HttpRequestError.NameResolutionError => "its name is not known here",
                HttpRequestError.SecureConnectionError => "its certificate is not believed here (SSL_CERT_FILE names a file of authorities to believe)",
                HttpRequestError.ConnectionError => "nothing answers there",
                _ => "it did not answer as HTTP has it",
            });
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return (0, null, "", TooLate);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return (0, null, "", "it did not answer as HTTP has it");
        }
    }
}
