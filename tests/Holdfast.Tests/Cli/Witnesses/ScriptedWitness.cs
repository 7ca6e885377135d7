using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Holdfast.Tests.Cli.Witnesses;

/// <summary>A server on loopback that answers what a test wants, right or wrong.</summary>
sealed class ScriptedWitness : IDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly Func<string, string, string?> _answer;

    /// <param name="answer">Gets path and body, gives the whole response; null: closes without one.</param>
    public ScriptedWitness(Func<string, string, string?> answer)
    {
        _answer = answer;
        _listener.Start();
        _ = Task.Run(ServeAsync);
    }

    public Uri Url => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/");

    public static string Response(int status, string body, string type = "text/plain") => $"HTTP/1.1 {status} X\r\nContent-Type: {type}\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}";

    async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                using var client = await _listener.AcceptTcpClientAsync();
                await AnswerAsync(client.GetStream());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The test is over.
        }
    }

    async Task AnswerAsync(NetworkStream stream)
    {
        try
        {
            var (text, buffer) = ("", new byte[1 << 16]);
            while (!IsWhole(text))
            {
                var read = await stream.ReadAsync(buffer);
                if (read == 0)
                    return;
                text += Encoding.Latin1.GetString(buffer, 0, read);
            }
            var body = text[(text.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..];
            if (_answer(text.Split(' ')[1], Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(body))) is { } response)
                await stream.WriteAsync(Encoding.UTF8.GetBytes(response));
        }
        catch (IOException)
        {
            // The other side had enough.
        }
    }

    static bool IsWhole(string text)
    {
        var end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        if (end < 0)
            return false;
        const string name = "Content-Length: ";
        var at = text.IndexOf(name, StringComparison.OrdinalIgnoreCase);
        return at < 0 || at > end || text.Length >= end + 4 + int.Parse(text[(at + name.Length)..text.IndexOf('\r', at)], System.Globalization.CultureInfo.InvariantCulture);
    }

    public void Dispose() => _listener.Dispose();
}
