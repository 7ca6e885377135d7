using System.Net;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Core;
using Holdfast.Core.Log;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;

namespace Holdfast.Server.Witnesses;

/// <summary>Carries a witness's answers over HTTP (C2SP tlog-witness; docs/protocol.md). Whoever may reach it may be anybody: what a connection can take is bounded before anything of it is read.</summary>
sealed class WitnessServer(Witness witness, Action<string> warn) : IDisposable
{
    const int MaxConnections = 128; // each with a request of AddCheckpoint.MaxSize at most: 17 MiB together
    const int AtOnce = 4; // that wait for the disk

    static readonly TimeSpan Body = TimeSpan.FromSeconds(20);
    static readonly TimeSpan Idle = TimeSpan.FromSeconds(15); // a log asks again at once, or in minutes

    readonly SemaphoreSlim _turns = new(AtOnce);
    readonly Warnings _warnings = new(warn);

    /// <summary>Listens until it is stopped.</summary>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="certificate">For TLS; null for none.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="stop">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had.</exception>
    public async Task ServeAsync(IPEndPoint at, X509Certificate2? certificate, Action<string> ready, CancellationToken stop)
    {
        await Listening.RunAsync(at, limits =>
        {
            limits.MaxConcurrentConnections = MaxConnections;
            limits.MaxRequestBodySize = AddCheckpoint.MaxSize;
            limits.MaxRequestBufferSize = 1 << 16;
            limits.KeepAliveTimeout = Idle;
        }, listen =>
        {
            if (certificate is not null)
                listen.UseHttps(new HttpsConnectionAdapterOptions { ServerCertificate = certificate, HandshakeTimeout = Listening.Headers });
        }, _ => { }, AnswerAsync, ready, stop);
    }

    async Task AnswerAsync(HttpContext context)
    {
        var (method, path) = (context.Request.Method, context.Request.Path.Value ?? "");
        WitnessAnswer answer;
        if (path == "/add-checkpoint")
            answer = HttpMethods.IsPost(method) ? await AddAsync(context) : NotAllowed(context, HttpMethods.Post);
        else if (path.Split('/') is ["", var hash, "checkpoint"])
            answer = HttpMethods.IsGet(method) ? await TakenAsync(() => witness.Latest(hash), context.RequestAborted) : NotAllowed(context, HttpMethods.Get);
        else
            answer = new WitnessAnswer(404, "there is nothing here\n");
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = answer.ContentType;
        var bytes = System.Text.Encoding.UTF8.GetBytes(answer.Body);
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }

    static WitnessAnswer NotAllowed(HttpContext context, string method)
    {
        context.Response.Headers.Allow = method;
        return new WitnessAnswer(405, "not so\n");
    }

    async Task<WitnessAnswer> AddAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        patience.CancelAfter(Body);
        try
        {
            await context.Request.Body.CopyToAsync(body, patience.Token);
        }
        catch (BadHttpRequestException e)
        {
            return new WitnessAnswer(e.StatusCode, "that request cannot be read\n");
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            context.Response.Headers.Connection = "close";
            return new WitnessAnswer(408, "that took too long\n");
        }
        var answer = await TakenAsync(() => witness.AddCheckpoint(body.GetBuffer().AsSpan(0, (int)body.Length)), context.RequestAborted);
        if (answer.Fork is { } fork)
            _warnings.Tell($"the log {fork.Log} has signed TWO HISTORIES: another root for {fork.Size} leaves was sent than was cosigned. It was refused; the first such checkpoint is kept beside the log's state, as evidence. Tell whoever runs that log");
        return answer;
    }

    async Task<WitnessAnswer> TakenAsync(Func<WitnessAnswer> answer, CancellationToken ct)
    {
        await _turns.WaitAsync(ct);
        try
        {
            return answer();
        }
        catch (HoldfastException e)
        {
            _warnings.Tell($"{e.Message} {e.Guidance}");
            return new WitnessAnswer(500, "this witness cannot do that now\n");
        }
        finally
        {
            _turns.Release();
        }
    }

    public void Dispose() => _turns.Dispose();
}
