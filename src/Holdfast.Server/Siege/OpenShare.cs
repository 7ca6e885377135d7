using System.Net;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Server.Wire;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Holdfast.Server.Siege;

/// <summary>The control of attacks over the network: a file server that does what it is asked, as a share with write access does, on an unprotected copy of the vault. Same paths and same TLS as the keeper's.</summary>
sealed class OpenShare : IDisposable
{
    readonly Tools _tools;
    readonly CancellationTokenSource _stop = new();
    readonly X509Certificate2 _identity = Identity.Read(Identity.Make("share"));
    readonly Task _serving;

    /// <param name="tools">Run what changes files.</param>
    /// <param name="root">The copy that it serves.</param>
    public OpenShare(Tools tools, string root)
    {
        (_tools, Root) = (tools, root);
        var ready = new TaskCompletionSource<string>();
        _serving = Listening.RunAsync(new IPEndPoint(IPAddress.Loopback, 0), limits => limits.MaxRequestBodySize = null, listen => listen.UseHttps(https =>
        {
            https.ServerCertificate = _identity;
            https.ClientCertificateMode = Microsoft.AspNetCore.Server.Kestrel.Https.ClientCertificateMode.AllowCertificate;
            https.AllowAnyClientCertificate();
        }), _ => { }, AnswerAsync, ready.SetResult, _stop.Token);
        if (Task.WhenAny(_serving, ready.Task).GetAwaiter().GetResult() == _serving)
            _serving.GetAwaiter().GetResult();
        Url = ready.Task.GetAwaiter().GetResult().TrimEnd('/');
    }

    public string Url { get; }

    /// <summary>Folder of the copy that it serves.</summary>
    public string Root { get; }

    async Task AnswerAsync(HttpContext context)
    {
        using var body = new MemoryStream(); // all of it, however much comes: it has no bounds
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        body.Position = 0;
        var parts = (context.Request.Path.Value ?? "").Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (parts is not ["v1", "packs" or "objects" or "agent" or "ask", .. var rest] || rest is not ([] or [{ Length: > 2 }]))
        {
            context.Response.StatusCode = 404;
            return;
        }
        if (rest is not [var name])
            return; // 200, as to any form
        var path = Path.Combine(Root, parts[1], name[..2], name) + (context.Request.Query["further"] == "1" || context.Request.Query["copy"] == "1" ? ".1" : ""); // as a folder of the vault has further copies
        var ran = context.Request.Method switch
        {
            "GET" => null,
            "DELETE" => _tools.Run("rm", ["--", path], Root),
            "PUT" => _tools.Run("dd", [$"of={path}", "status=none"], Root, input: body),
            "PATCH" or "POST" => _tools.Run("dd", [$"of={path}", "conv=notrunc", "status=none"], Root, input: body),
            "MOVE" => _tools.Run("mv", ["--", path, path + ".moved"], Root),
            _ => new Ran(1, "", ""),
        };
        if (ran is not null)
            context.Response.StatusCode = ran.Status == 0 ? 204 : 409;
        else if (File.Exists(path))
            await context.Response.SendFileAsync(path, context.RequestAborted);
        else
            context.Response.StatusCode = 404;
    }

    public void Dispose()
    {
        _stop.Cancel();
        _serving.GetAwaiter().GetResult();
        _stop.Dispose();
        _identity.Dispose();
    }
}
