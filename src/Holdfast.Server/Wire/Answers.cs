using System.Globalization;
using System.Text;
using Holdfast.Core;
using Microsoft.AspNetCore.Http;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;

namespace Holdfast.Server.Wire;

/// <summary>How servers answer (docs/protocol.md): with bytes, or with a refusal's code and two lines.</summary>
static class Answers
{
    /// <summary>Answers, and tells what goes wrong as what it is, for as long as nothing was said.</summary>
    /// <param name="context">The request.</param>
    /// <param name="warnings">Get what whoever runs the server has to know.</param>
    /// <param name="answer">Answers.</param>
    public static async Task GuardAsync(HttpContext context, Warnings warnings, Func<Task> answer)
    {
        try
        {
            await answer();
        }
        catch (HoldfastException e) when (!context.Response.HasStarted)
        {
            if (e.Code is ErrorCode.DiskFull or ErrorCode.StoreUnavailable or ErrorCode.LogForked or ErrorCode.LogDamaged or ErrorCode.KeyFileBad)
                warnings.Tell($"{e.Message} {e.Guidance}");
            await RefuseAsync(context, e.Code is ErrorCode.NoPermission or ErrorCode.AgentUnproved ? 403 : 409, e);
        }
        catch (BadHttpRequestException e) when (!context.Response.HasStarted)
        {
            context.Response.StatusCode = e.StatusCode;
        }
        catch (OperationCanceledException) when (!context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            context.Response.StatusCode = 408;
        }
        catch (Exception e) when (e is HoldfastException or IOException or OperationCanceledException or BadHttpRequestException)
        {
            context.Abort(); // what was begun cannot be told as anything else
        }
    }

    static Task RefuseAsync(HttpContext context, int status, HoldfastException fault)
    {
        context.Response.StatusCode = status;
        context.Response.Headers[PinnedClient.CodeHeader] = ((int)fault.Code).ToString(CultureInfo.InvariantCulture);
        return WriteAsync(context, Encoding.UTF8.GetBytes($"{fault.Message.ReplaceLineEndings(" ")}\n{fault.Guidance.ReplaceLineEndings(" ")}\n"));
    }

    public static async Task WriteAsync(HttpContext context, ReadOnlyMemory<byte> bytes)
    {
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
    }

    /// <summary>A long answer, which may be taken in slowly, and ends where nothing of it is any more.</summary>
    public static async Task WriteAsync(HttpContext context, ReadOnlyMemory<byte> bytes, Idle idle)
    {
        const int piece = 1 << 16; // bytes
        context.Response.ContentLength = bytes.Length;
        for (var at = 0; at < bytes.Length; at += piece)
        {
            await context.Response.Body.WriteAsync(bytes.Slice(at, Math.Min(piece, bytes.Length - at)), idle.Token);
            idle.Moved();
        }
    }
}
