using System.Buffers;
using System.Globalization;
using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Server.Wire;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;

namespace Holdfast.Server.Keeper;

/// <summary>Carries a keeper's answers over HTTP, with TLS 1.3 and certificates on both sides (docs/protocol.md). Nobody whose fingerprint is not in <c>keeper/clients</c> gets a byte; nothing that is asked removes anything.</summary>
/// <param name="desk">Answers.</param>
/// <param name="staging">Folder for what waits to be answered.</param>
/// <param name="clients">Those that may ask, as of now.</param>
/// <param name="warn">Gets what whoever runs it has to know.</param>
sealed class KeeperServer(KeeperDesk desk, string staging, Func<IReadOnlyList<KeeperClient>> clients, Action<string> warn) : IDisposable
{
    const int MaxConnections = 256;
    const int Piece = 1 << 17; // bytes read or written at once
    const int AsksAtOnce = 1; // each may be as large as an object, several times over in memory

    static readonly TimeSpan Idle = TimeSpan.FromMinutes(2);

    readonly SemaphoreSlim _asks = new(AsksAtOnce);
    readonly Warnings _warnings = new(warn);

    /// <summary>Listens until it is stopped.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had.</exception>
    public async Task ServeAsync(IPEndPoint at, X509Certificate2 certificate, Action<string> ready, CancellationToken stop)
    {
        using var blocks = new WideBlocks();
        await Listening.RunAsync(at, limits =>
        {
            limits.MaxConcurrentConnections = MaxConnections;
            limits.MaxRequestBodySize = KeeperRequest.MaxSize;
            limits.KeepAliveTimeout = Idle;
        }, listen => listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = certificate,
            SslProtocols = SslProtocols.Tls13,
            HandshakeTimeout = Listening.Headers,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (shown, _, _) => Known(shown) is not null,
        }), services => services.AddSingleton<IMemoryPoolFactory<byte>>(blocks), AnswerAsync, ready, stop);
    }

    /// <summary>Null for one that may not ask, and for all where the list cannot be read.</summary>
    KeeperClient? Known(X509Certificate? certificate)
    {
        if (certificate is null)
            return null;
        try
        {
            var fingerprint = Identity.Fingerprint(certificate);
            return clients().FirstOrDefault(c => c.Fingerprint == fingerprint);
        }
        catch (HoldfastException e)
        {
            _warnings.Tell($"{e.Message} {e.Guidance}");
            return null;
        }
    }

    Task AnswerAsync(HttpContext context) => Answers.GuardAsync(context, _warnings, async () =>
    {
        // Again for each request: a connection outlives a line of the list.
        if (Known(context.Connection.ClientCertificate) is not { } client)
            throw new HoldfastException(ErrorCode.NoPermission, "The keeper does not know this client any more.", "Ask whoever runs the keeper; `holdfast keeper allow` there lets a client in.");
        await AnswerAsync(context, client);
    });

    Task AnswerAsync(HttpContext context, KeeperClient client)
    {
        var (method, path) = (context.Request.Method, context.Request.Path.Value ?? "");
        switch (path.Split('/'))
        {
            case ["", "v1", "vault"] when HttpMethods.IsGet(method):
                return Answers.WriteAsync(context, desk.VaultFile);
            case ["", "v1", "log"] when HttpMethods.IsGet(method):
                return LogAsync(context);
            case ["", "v1", "list", var kinds] when HttpMethods.IsGet(method) && KeeperWire.TryKind(kinds, out var kind):
                return ListAsync(context, kind);
            case ["", "v1", var kinds, var name] when KeeperWire.TryKind(kinds, out var kind) && Hash32.TryParse(name, out var hash):
                if (HttpMethods.IsGet(method))
                    return ReadAsync(context, kind, hash);
                if (HttpMethods.IsPut(method))
                    return TakeAsync(context, client, kind, hash);
                break;
            case ["", "v1", "ask"] when HttpMethods.IsPost(method):
                return AskAsync(context, client);
        }
        if (!HttpMethods.IsGet(method))
            desk.Refused(client); // to remove, most likely, or to write over: no client of ours asks for that
        context.Response.StatusCode = 404;
        return Task.CompletedTask;
    }

    static int Number(HttpContext context, string name) =>
        context.Request.Query.TryGetValue(name, out var text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    async Task LogAsync(HttpContext context)
    {
        var log = desk.LogFrom(Number(context, "from"));
        var note = Encoding.UTF8.GetBytes(log.Checkpoint);
        var head = new Core.Codec.ByteWriter(note.Length + 64);
        head.U64(log.Now);
        head.U64(log.Passed);
        head.Bytes(note);
        head.Var((ulong)log.Leaves.Count);
        var buffer = new ArrayBufferWriter<byte>(Piece);
        buffer.Write(head.Span);
        foreach (var leaf in log.Leaves)
        {
            var line = new Core.Codec.ByteWriter(leaf.Length + 4);
            line.Bytes(leaf);
            buffer.Write(line.Span);
            if (buffer.WrittenCount >= Piece)
            {
                await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
                buffer.ResetWrittenCount();
            }
        }
        await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }

    async Task ListAsync(HttpContext context, StoreKind kind)
    {
        var buffer = new ArrayBufferWriter<byte>(Piece);
        foreach (var item in desk.Store.List(kind).Where(i => i.Copy < byte.MaxValue))
        {
            buffer.Write(KeeperWire.Listed(item));
            if (buffer.WrittenCount >= Piece)
            {
                await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
                buffer.ResetWrittenCount();
            }
        }
        buffer.Write([KeeperWire.ListEnd]); // a list that was cut off is none
        await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }

    async Task ReadAsync(HttpContext context, StoreKind kind, Hash32 name)
    {
        using var item = desk.Store.Open(kind, name, Math.Min(Number(context, "copy"), byte.MaxValue));
        if (item is null)
        {
            context.Response.StatusCode = 404;
            return;
        }
        var (from, count) = KeeperWire.Range(context.Request.Headers.Range.ToString(), item.Size);
        var piece = ArrayPool<byte>.Shared.Rent(Piece);
        var some = (int)Math.Min(Piece, count);
        item.Read(from, piece.AsSpan(0, some)); // before anything is said: most faults of a disk are told as what they are
        context.Response.StatusCode = 206;
        context.Response.Headers.ContentRange = count == 0 ? string.Create(CultureInfo.InvariantCulture, $"bytes */{item.Size}") : string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{from + count - 1}/{item.Size}");
        context.Response.ContentLength = count;
        try
        {
            while (count > 0)
            {
                await context.Response.Body.WriteAsync(piece.AsMemory(0, some), context.RequestAborted);
                (from, count) = (from + some, count - some);
                some = (int)Math.Min(Piece, count);
                item.Read(from, piece.AsSpan(0, some));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    async Task TakeAsync(HttpContext context, KeeperClient client, StoreKind kind, Hash32 name)
    {
        // Before a byte of it is asked for (100-continue): what is refused need not be sent.
        if (context.Request.ContentLength > KeeperDesk.Incoming.Most(kind))
            throw new HoldfastException(ErrorCode.CommitRefused, "What was sent is longer than a pack or an object may be. It was not stored.", "Use the same release of holdfast on both machines.");
        var further = Number(context, "further") == 1;
        using var incoming = desk.Take(client, kind, name, further, context.Request.ContentLength);
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(context.RequestAborted);
            foreach (var part in read.Buffer)
                incoming.Append(part.Span);
            reader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
                break;
        }
        context.Response.StatusCode = incoming.Enter(further) ? 201 : 200;
    }

    /// <summary>Who may ask is told by the first bytes, before more of them are taken in; a large body waits on the disk, so that whoever sends it slowly keeps nobody from anything.</summary>
    async Task AskAsync(HttpContext context, KeeperClient client)
    {
        var body = context.Request.Body;
        var head = new byte[2];
        if (await body.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, context.RequestAborted) < head.Length)
        {
            context.Response.StatusCode = 400;
            return;
        }
        var most = desk.RequireMay(client, head);
        if (context.Request.ContentLength > most)
        {
            context.Response.StatusCode = 413;
            return;
        }
        using var waiting = new PassingBytes(Disk.Real, staging, large: false);
        waiting.Append(head);
        var piece = ArrayPool<byte>.Shared.Rent(Piece);
        try
        {
            for (int count; (count = await body.ReadAsync(piece, context.RequestAborted)) > 0;)
            {
                if (waiting.Length + count > most)
                {
                    context.Response.StatusCode = 413;
                    return;
                }
                waiting.Append(piece.AsSpan(0, count));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
        byte[] answer;
        await _asks.WaitAsync(context.RequestAborted);
        try
        {
            if (Request(waiting) is not { } request)
            {
                context.Response.StatusCode = 400;
                return;
            }
            context.RequestAborted.ThrowIfCancellationRequested(); // nobody waits for it any more, and may ask anew
            answer = desk.Answer(client, request);
        }
        finally
        {
            _asks.Release();
        }
        await Answers.WriteAsync(context, answer); // however slowly it is read
    }

    /// <summary>The bytes are let go of before what they say is done.</summary>
    static KeeperRequest? Request(PassingBytes waiting)
    {
        var bytes = new byte[waiting.Length];
        using (var all = waiting.Read(0, waiting.Length, () => { }))
            all.ReadExactly(bytes);
        return KeeperRequest.TryParse(bytes, out var request) ? request : null;
    }

    public void Dispose() => _asks.Dispose();
}
