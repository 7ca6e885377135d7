using System.Globalization;
using System.Text;
using Holdfast.Core;
using Microsoft.AspNetCore.Http;

namespace Holdfast.Server.Wire;

/// <summary>How servers answer (docs/protocol.md): with bytes, or with a refusal's code and two lines.</summary>
static class Answers
{
    public static Task RefuseAsync(HttpContext context, int status, HoldfastException fault)
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
}
