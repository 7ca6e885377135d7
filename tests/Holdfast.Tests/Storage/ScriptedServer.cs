using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Holdfast.Tests.Storage;

/// <summary>What a scripted server does with a request.</summary>
/// <param name="Status">It answers with this; 0: it hands the request on and gives the answer of the real one back.</param>
/// <param name="Code">The error of the answer.</param>
/// <param name="CutAt">Bytes of the body of the answer, after which the connection ends; -1 for none.</param>
/// <param name="IsLost">The request is carried out, and nobody answers.</param>
/// <param name="IsStalled">Nothing happens until the client goes away.</param>
/// <param name="Flip">A byte of the request's body that arrives as another; -1 for none.</param>
/// <param name="Body">Of the answer, in place of an error in XML.</param>
/// <param name="Head">Lines of the answer's head, each with its end.</param>
/// <param name="Without">Lines of the real answer's head that begin with this are left out.</param>
sealed record Turn(int Status = 0, string Code = "", int CutAt = -1, bool IsLost = false, bool IsStalled = false, int Flip = -1, string? Body = null, string? Without = null, string Head = "")
{
    public static readonly Turn Pass = new();
}

/// <summary>A request as a script sees it.</summary>
/// <param name="Method">GET, PUT ...</param>
/// <param name="Target">Path and query.</param>
/// <param name="Number">Of all that came, from 1.</param>
/// <param name="Size">Bytes of its body.</param>
sealed record Asked(string Method, string Target, int Number, long Size);

/// <summary>A server on this machine, whose clock is wrong, that answers as a script says, or hands requests on to a real one: for all that goes wrong on the way.</summary>
sealed class ScriptedServer : IDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly Uri? _real;
    readonly CancellationTokenSource _end = new();
    int _count;

    /// <param name="real">Where requests are handed on; null for nowhere.</param>
    public ScriptedServer(Uri? real = null)
    {
        _real = real;
        _listener.Start();
        _ = Listen();
    }

    public Func<Asked, Turn> Script { get; set; } = _ => Turn.Pass;

    public Uri Endpoint => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    /// <summary>What came, in order.</summary>
    public List<Asked> All { get; } = [];

    async Task Listen()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                _ = Serve(await _listener.AcceptTcpClientAsync(_end.Token));
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException or InvalidOperationException)
            {
                return;
            }
        }
    }

    async Task Serve(TcpClient client)
    {
        try
        {
            using (client)
            {
                client.NoDelay = true;
                var stream = client.GetStream();
                while (await ReadHead(stream) is { } head)
                {
                    var first = head.Split("\r\n")[0].Split(' ');
                    var body = new byte[LengthOf(head)];
                    Asked asked;
                    Turn turn;
                    lock (All)
                    {
                        asked = new Asked(first[0], first[1], ++_count, body.Length);
                        All.Add(asked);
                        turn = Script(asked);
                    }
                    await stream.ReadExactlyAsync(body, _end.Token);
                    if (turn.IsStalled)
                    {
                        await stream.ReadExactlyAsync(new byte[1], _end.Token);
                        return;
                    }
                    if (turn.Flip >= 0 && body.Length > turn.Flip)
                        body[turn.Flip] ^= 1;
                    if (!await Answer(stream, turn, asked, head, body))
                        return;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The client has gone, or this one has.
        }
    }

    /// <returns>False where the connection is over.</returns>
    async Task<bool> Answer(NetworkStream stream, Turn turn, Asked asked, string head, byte[] body)
    {
        if (turn.Status != 0)
        {
            var text = turn.Body ?? $"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>{turn.Code}</Code><Message></Message></Error>""";
            var bytes = Encoding.UTF8.GetBytes(asked.Method == "HEAD" ? "" : text);
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {turn.Status} X\r\nContent-Type: application/xml\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\nContent-Length: {bytes.Length}\r\n{turn.Head}\r\n"), _end.Token);
            await stream.WriteAsync(turn.CutAt >= 0 ? bytes.AsMemory(0, Math.Min(turn.CutAt, bytes.Length)) : bytes, _end.Token);
            return turn.CutAt < 0;
        }
        // On a connection of its own: what was said on it cannot mix with anything.
        using var real = new TcpClient();
        await real.ConnectAsync(_real!.Host, _real.Port, _end.Token);
        var there = real.GetStream();
        await there.WriteAsync(Encoding.Latin1.GetBytes(head), _end.Token);
        await there.WriteAsync(body, _end.Token);
        var answer = await ReadHead(there) ?? throw new IOException();
        var hasBody = asked.Method != "HEAD" && !answer.StartsWith("HTTP/1.1 204", StringComparison.Ordinal);
        var content = !hasBody ? [] : answer.Contains("chunked", StringComparison.OrdinalIgnoreCase) ? await ReadChunks(there) : await ReadBody(there, LengthOf(answer));
        if (turn.IsLost)
            return false;
        if (turn.Without is { } without)
            answer = string.Join("\r\n", answer.Split("\r\n").Where(l => !l.StartsWith(without, StringComparison.OrdinalIgnoreCase)));
        await stream.WriteAsync(Encoding.Latin1.GetBytes(answer), _end.Token);
        await stream.WriteAsync(turn.CutAt >= 0 ? content.AsMemory(0, Math.Min(turn.CutAt, content.Length)) : content, _end.Token);
        return turn.CutAt < 0;
    }

    static int LengthOf(string head)
    {
        var line = Array.Find(head.Split("\r\n"), l => l.StartsWith("content-length:", StringComparison.OrdinalIgnoreCase));
        return line is null ? 0 : int.Parse(line.AsSpan(15), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture);
    }

    async Task<byte[]> ReadBody(NetworkStream stream, int length)
    {
        var body = new byte[length];
        await stream.ReadExactlyAsync(body, _end.Token);
        return body;
    }

    /// <summary>As they come, with what stands between them.</summary>
    async Task<byte[]> ReadChunks(NetworkStream stream)
    {
        var all = new MemoryStream();
        var one = new byte[1];
        while (!all.GetBuffer().AsSpan(0, (int)all.Length).EndsWith("0\r\n\r\n"u8))
        {
            await stream.ReadExactlyAsync(one, _end.Token);
            all.Write(one);
        }
        return all.ToArray();
    }

    async Task<string?> ReadHead(NetworkStream stream)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (head.Length < 4 || head.ToString(head.Length - 4, 4) != "\r\n\r\n")
        {
            if (await stream.ReadAsync(one, _end.Token) == 0)
                return null;
            head.Append((char)one[0]);
        }
        return head.ToString();
    }

    public void Dispose()
    {
        _end.Cancel();
        _listener.Dispose();
    }
}
