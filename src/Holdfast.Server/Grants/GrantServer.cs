using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Server.Wire;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Holdfast.Server.Grants;

/// <summary>Carries the answers of a clean room that granted one restore, over HTTP with TLS 1.3 (docs/protocol.md). Any certificate may connect, and until it has shown agent and code it may ask for next to nothing.</summary>
/// <param name="desk">Answers.</param>
/// <param name="warn">Gets what whoever runs it has to know.</param>
sealed class GrantServer(GrantDesk desk, Action<string> warn) : IDisposable
{
    const int MaxConnections = 64;
    const int MostAtOnce = 12; // requests of who holds the grant
    const int MostStrangers = 4; // requests of all others

    static readonly TimeSpan Idle = TimeSpan.FromMinutes(2);

    readonly Lock _turn = new();
    readonly SemaphoreSlim _strangers = new(MostStrangers);
    Holder _holder = new(default, new SemaphoreSlim(MostAtOnce)); // no certificate has that
    readonly Warnings _warnings = new(warn);

    /// <summary>Listens until it is stopped.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had.</exception>
    public Task ServeAsync(IPEndPoint at, X509Certificate2 certificate, Action<string> ready, CancellationToken stop) => Listening.RunAsync(at, limits =>
    {
        limits.MaxConcurrentConnections = MaxConnections;
        limits.MaxRequestBodySize = GrantRequest.MaxSize;
        limits.KeepAliveTimeout = Idle;
        limits.MinRequestBodyDataRate = null; // each has a time of its own below
        limits.MinResponseDataRate = null; // a slow link holds its own grant alone
    }, listen => listen.UseHttps(new HttpsConnectionAdapterOptions
    {
        ServerCertificate = certificate,
        SslProtocols = SslProtocols.Tls13,
        HandshakeTimeout = Listening.Headers,
        ClientCertificateMode = ClientCertificateMode.RequireCertificate,
        ClientCertificateValidation = (_, _, _) => true, // whose it is, a signature shows
    }), _ => { }, AnswerAsync, ready, stop);

    Task AnswerAsync(HttpContext context) => Answers.GuardAsync(context, _warnings, async () =>
    {
        if (context.Connection.ClientCertificate is not { } shown || !Hash32.TryParse(Identity.Fingerprint(shown), out var client) || !HttpMethods.IsPost(context.Request.Method) || context.Request.Path != "/v1/grant")
        {
            context.Response.StatusCode = 404;
            return;
        }
        var isHeld = desk.IsHeldBy(client);
        var turn = isHeld ? TurnOf(client) : _strangers;
        using var idle = new Idle(isHeld ? Idle : Listening.Headers, context.RequestAborted);
        await turn.WaitAsync(idle.Token);
        try
        {
            await AnswerAsync(context, client, isHeld, idle);
        }
        finally
        {
            turn.Release();
        }
    });

    /// <summary>Each that holds the grant has turns of its own: who held it before, and takes in none of its answers, keeps none of those who do.</summary>
    SemaphoreSlim TurnOf(Hash32 client)
    {
        lock (_turn)
        {
            if (_holder.Client != client)
                _holder = new Holder(client, new SemaphoreSlim(MostAtOnce));
            return _holder.Turn;
        }
    }

    readonly record struct Holder(Hash32 Client, SemaphoreSlim Turn);

    async Task AnswerAsync(HttpContext context, Hash32 client, bool isHeld, Idle idle)
    {
        if (context.Request.ContentLength is not { } length || length < GrantRequest.HeadSize)
        {
            context.Response.StatusCode = 411;
            return;
        }
        var head = new byte[GrantRequest.HeadSize];
        await context.Request.Body.ReadExactlyAsync(head, idle.Token);
        var most = GrantRequest.Most(head, isHeld);
        if (most == 0 && !isHeld && GrantRequest.Most(head, isProved: true) > 0)
            throw GrantDesk.Unproved();
        if (most == 0 || length > most)
        {
            context.Response.StatusCode = most == 0 ? 400 : 413;
            return;
        }
        var bytes = new byte[length];
        head.CopyTo(bytes, 0);
        await context.Request.Body.ReadExactlyAsync(bytes.AsMemory(head.Length), idle.Token);
        if (!GrantRequest.TryParse(bytes, out var request))
        {
            context.Response.StatusCode = 400;
            return;
        }
        // It may wait for a piece: on a thread of its own, so that the server's go on.
        using var answer = await Task.Factory.StartNew(() => desk.Answer(client, request), context.RequestAborted, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        using var writing = new Idle(Idle, context.RequestAborted); // a host that lost its power takes nothing in
        await Answers.WriteAsync(context, answer.Bytes, writing);
    }

    public void Dispose()
    {
        _holder.Turn.Dispose();
        _strangers.Dispose();
    }
}
