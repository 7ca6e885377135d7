using System.Buffers;
using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Server.Wire;

namespace Holdfast.Server.Grants;

/// <summary>A clean room reached over the network (docs/protocol.md), by a key that lives no longer than this. All that is asked of it may be asked twice, so that cuts are ridden over; what came is not asked for again.</summary>
sealed class RemoteGrant : IGrant, IDisposable
{
    const long MostAnswer = GrantDesk.MostAnswer;

    static readonly Peer CleanRoom = new("clean room", "See that the fingerprint is the one that it printed when the restore was granted, and that the grant is not over. ", "holdfast cleanroom grant", "another grant was made: use its fingerprint and its code");

    readonly PinnedClient _client;
    readonly Hash32 _fingerprint;

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the clean room's certificate.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public RemoteGrant(Uri url, string fingerprint, CancellationToken stop)
    {
        _client = new PinnedClient(url, fingerprint, Identity.Make("holdfast agent"), CleanRoom, stop) { Patience = TimeSpan.FromMinutes(1) };
        _fingerprint = Hash32.TryParse(fingerprint, out var parsed) ? parsed : throw new ArgumentException("No fingerprint.", nameof(fingerprint));
    }

    public string Place => _client.Place;

    /// <summary>How long it is tried to reach a clean room that has answered before.</summary>
    public TimeSpan Patience { init => _client.Patience = value; }

    public (Hash32 Client, Hash32 Server) Ends => (Hash32.TryParse(_client.OwnFingerprint, out var own) ? own : default, _fingerprint);

    public GrantReply Ask(GrantRequest request)
    {
        var bytes = request.ToArray();
        return _client.Send(_ => new HttpRequestMessage(HttpMethod.Post, "v1/grant") { Content = new ByteArrayContent(bytes) }, Read, mayRepeat: true);
    }

    /// <summary>Into memory that is used again: an answer may have megabytes, and they come one after the other.</summary>
    GrantReply Read(HttpResponseMessage response, Idle idle)
    {
        if (response.Content.Headers.ContentLength is not (>= 0 and <= MostAnswer and var known))
            throw _client.Senseless();
        using var stream = idle.Watched(response.Content.ReadAsStream());
        var owner = MemoryPool<byte>.Shared.Rent(Math.Max(1, (int)known));
        try
        {
            for (var at = 0; at < known;)
            {
                var count = stream.Read(owner.Memory.Span[at..(int)known]);
                if (count == 0)
                    throw new EndOfStreamException();
                at += count;
            }
            return new GrantReply(owner, (int)known);
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    public void Dispose() => _client.Dispose();
}
