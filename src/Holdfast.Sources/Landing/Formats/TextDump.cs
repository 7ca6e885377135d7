using System.Text;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>Dumps that are text: the first lines say what it is, and the last that all of it is there. What stands between is not looked at.</summary>
static class TextDump
{
    const int Edge = 4_096; // bytes at each end

    static ReadOnlySpan<byte> Space => " \t\r\n\0"u8;

    public delegate bool Head(ReadOnlySpan<byte> head);
    public delegate bool Tail(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail);

    public static string? Fault(Stream stream, Head isHead, Tail isTail, CancellationToken ct)
    {
        var first = new byte[Edge];
        var count = stream.ReadAtLeast(first, Edge, throwOnEndOfStream: false);
        if (!isHead(first.AsSpan(0, count)))
            return "it does not begin as it should";
        return isTail(first.AsSpan(0, count), Last(stream, first.AsSpan(0, count), ct)) ? null : "its last line is missing";
    }

    static byte[] Last(Stream stream, ReadOnlySpan<byte> first, CancellationToken ct)
    {
        byte[] kept = first.ToArray();
        if (stream.CanSeek && stream.Length > 2 * Edge)
            stream.Seek(-Edge, SeekOrigin.End);
        var buffer = new byte[16 * Edge];
        while (stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) is var read and > 0)
        {
            ct.ThrowIfCancellationRequested();
            kept = read >= Edge ? buffer[(read - Edge)..read] : [.. kept.AsSpan(Math.Max(0, kept.Length + read - Edge)), .. buffer.AsSpan(0, read)];
        }
        return kept;
    }

    public static bool IsPgHead(ReadOnlySpan<byte> text) => text.StartsWith("--\n-- PostgreSQL database"u8) || text.StartsWith("--\r\n-- PostgreSQL database"u8);

    /// <summary>The closing line of what was begun, and behind it nothing but the frame of a comment and, of a database alone where newer releases began restricted mode, its end.</summary>
    public static bool IsPgTail(ReadOnlySpan<byte> head, ReadOnlySpan<byte> text)
    {
        var isCluster = head.IndexOf("-- PostgreSQL database cluster dump"u8) >= 0;
        var at = text.LastIndexOf(isCluster ? "\n-- PostgreSQL database cluster dump complete"u8 : "\n-- PostgreSQL database dump complete"u8);
        if (at < 0)
            return false;
        var isClosed = false; // the frame below the line is there, to its end
        var isFree = isCluster || head.IndexOf("\n\\restrict "u8) < 0;
        foreach (var range in text[(at + 1)..].Split((byte)'\n'))
        {
            var line = text[(at + 1)..][range].Trim(Space);
            if (line.SequenceEqual("--"u8))
                isClosed = true;
            else if (line.StartsWith("\\unrestrict "u8))
                isFree = true;
            else if (!line.IsEmpty && !line.StartsWith("-- PostgreSQL database"u8))
                return false;
        }
        return isClosed && isFree && text[^1] == '\n';
    }

    public static bool IsMysqlHead(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("/*"u8) && text.IndexOf((byte)'\n') is var end and >= 0) // MariaDB's line for its sandbox mode
            text = text[(end + 1)..];
        return text.StartsWith("-- MySQL dump"u8) || text.StartsWith("-- MariaDB dump"u8);
    }

    public static bool IsMysqlTail(ReadOnlySpan<byte> head, ReadOnlySpan<byte> text)
    {
        if (text is not [.., (byte)'\n'])
            return false;
        text = text.TrimEnd(Space);
        return text[(text.LastIndexOf((byte)'\n') + 1)..].StartsWith("-- Dump completed"u8);
    }

    public static bool Begins(ReadOnlySpan<byte> text, string? with) => with is null || text.TrimStart(Space).StartsWith(Encoding.UTF8.GetBytes(with));

    public static bool Ends(ReadOnlySpan<byte> text, string? with) => with is null || text.TrimEnd(Space).EndsWith(Encoding.UTF8.GetBytes(with));
}
