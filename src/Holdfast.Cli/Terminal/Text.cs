using System.Globalization;
using System.Text;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>Numbers, times and names as people read them.</summary>
static class Text
{
    public static string Bytes(double bytes) => ByteCount.Words(bytes);

    public static string Count(long count, string one, string? many = null) =>
        string.Create(CultureInfo.InvariantCulture, $"{count:#,0} {(count == 1 ? one : many ?? one + "s")}");

    /// <summary>Seconds since 1970 as a UTC date and time.</summary>
    public static string Time(ulong seconds) => Time((long)Math.Min(seconds, long.MaxValue));

    public static string Time(long seconds) => Moment(seconds).ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) + " UTC";

    /// <summary>A time in JSON: ISO 8601, UTC.</summary>
    public static string Iso(ulong seconds) => Iso((long)Math.Min(seconds, long.MaxValue));

    public static string Iso(long seconds) => Moment(seconds).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>The nearest moment that a year of four digits holds.</summary>
    static DateTimeOffset Moment(long seconds) => DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(seconds, -62_135_596_800, 253_402_300_799));

    /// <summary>The same of a file's time, with all nine digits of its second. A file can have a time that no four-digit year holds: then the nearest one that it does.</summary>
    public static string Iso(long seconds, uint nanoseconds) => string.Create(CultureInfo.InvariantCulture,
        $"{Moment(seconds):yyyy-MM-dd'T'HH:mm:ss}.{nanoseconds:D9}Z");

    public static string Duration(TimeSpan time) => time switch
    {
        { TotalSeconds: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0} ms"),
        { TotalSeconds: < 60 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s"),
        { TotalMinutes: < 60 } => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds} s"),
        { TotalHours: < 48 } => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalDays} days"),
    };

    /// <summary>A line for a terminal: paths of folders and words of a call stand in it too, and what could play with the terminal is escaped.</summary>
    public static string Plain(string line)
    {
        if (line.AsSpan().IndexOfAny(Unprintable.All) < 0)
            return line;
        var text = new StringBuilder(line.Length + 16);
        foreach (var c in line)
            _ = Unprintable.All.Contains(c) ? text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}") : text.Append(c);
        return text.ToString();
    }

    /// <summary>Characters that are none of a text: made when the first line is written.</summary>
    static class Unprintable
    {
        public static readonly System.Buffers.SearchValues<char> All = System.Buffers.SearchValues.Create(
            [.. Enumerable.Range(0, 0x10000).Select(c => (char)c).Where(c => c is not ('\n' or '\t') && (char.IsControl(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator))]);
    }

    /// <summary>A name from a backup: bytes that are no text, and control characters, are escaped, so that no name can play with a terminal.</summary>
    public static string Name(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            return ".";
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            var status = Rune.DecodeFromUtf8(bytes, out var rune, out var used);
            if (status != System.Buffers.OperationStatus.Done || Rune.IsControl(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
            {
                foreach (var b in bytes[..used])
                    text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
            }
            else
            {
                if (rune.Value == '\\')
                    text.Append('\\');
                text.Append(rune);
            }
            bytes = bytes[used..];
        }
        return text.ToString();
    }

    /// <summary>The bytes of a name as <see cref="Name"/> writes it; null for a text that it does not write, or would write as it is.</summary>
    public static byte[]? Unescaped(string name)
    {
        if (!name.Contains('\\'))
            return null;
        var bytes = new List<byte>(name.Length);
        for (var i = 0; i < name.Length;)
        {
            if (IsByte(name, i, out var value))
            {
                bytes.Add(value);
                i += 4;
            }
            else if (name[i] == '\\')
            {
                if (i + 1 == name.Length || name[i + 1] != '\\')
                    return null;
                bytes.Add((byte)'\\');
                i += 2;
            }
            else
            {
                var end = name.IndexOf('\\', i) is var at and >= 0 ? at : name.Length;
                bytes.AddRange(Encoding.UTF8.GetBytes(name[i..end]));
                i = end;
            }
        }
        return [.. bytes];
    }

    /// <summary>The bytes of a pattern as in .gitignore, in which bytes may be written as <see cref="Name"/> writes them; a backslash before anything else is the pattern's own.</summary>
    public static byte[] Pattern(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (var i = 0; i < text.Length;)
        {
            if (IsByte(text, i, out var value))
            {
                bytes.AddRange([(byte)'\\', value]); // whatever the byte is, it stands for itself
                i += 4;
                continue;
            }
            var end = text.IndexOf('\\', text[i] == '\\' ? Math.Min(i + 2, text.Length) : i) is var at and >= 0 ? at : text.Length;
            bytes.AddRange(Encoding.UTF8.GetBytes(text[i..end]));
            i = end;
        }
        return [.. bytes];
    }

    static bool IsByte(string text, int at, out byte value)
    {
        value = 0;
        return at + 4 <= text.Length && text[at] == '\\' && text[at + 1] == 'x' && byte.TryParse(text.AsSpan(at + 2, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    public static string Id(Id16 id) => id.ToString()[..8];

    /// <summary>"90s", "12h", "1d", "2w", "6m" (of 31 days), "10y" (of 366 days) in seconds; null for anything else.</summary>
    public static ulong? Seconds(string text)
    {
        if (text.Length < 2 || !ulong.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count is 0 or > 1_000_000)
            return null;
        ulong? unit = text[^1] switch { 's' => 1, 'h' => 3_600, 'd' => 86_400, 'w' => 7 * 86_400, 'm' => 31 * 86_400, 'y' => 366 * 86_400, _ => null };
        return count * unit;
    }

    /// <summary>What <see cref="Size"/> understands.</summary>
    public const string SizeForms = "Write it as a whole number and a unit: 500MiB, 50GiB, 2TiB (1024 each; K, M, G, T for short), or 500MB, 50GB, 2TB (1000 each).";

    /// <summary>"500MiB", "50GiB", "2TiB" (or K, M, G, T for short), "500MB", "50GB", "2TB" in bytes; null for anything else, for 0, and beyond an exbibyte.</summary>
    public static ulong? Size(string text)
    {
        var digits = text.AsSpan().IndexOfAnyExceptInRange('0', '9') is var end and >= 0 ? end : text.Length;
        if (!ulong.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count == 0)
            return null;
        ulong? unit = text[digits..] switch
        {
            "B" => 1,
            "K" or "KiB" => 1UL << 10,
            "M" or "MiB" => 1UL << 20,
            "G" or "GiB" => 1UL << 30,
            "T" or "TiB" => 1UL << 40,
            "P" or "PiB" => 1UL << 50,
            "kB" or "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "PB" => 1_000_000_000_000_000,
            _ => null,
        };
        return count <= (1UL << 60) / unit ? count * unit : null;
    }

    public static string Span(ulong seconds) => seconds % 86_400 == 0
        ? Count((long)(seconds / 86_400), "day")
        : seconds % 3_600 == 0 ? Count((long)(seconds / 3_600), "hour") : Count((long)Math.Min(seconds, long.MaxValue), "second");
}
