using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace Holdfast.Core.Crypto;

/// <summary>Sorts what a person typed or a scanner gave into the seven lines of a share.</summary>
static class ShareText
{
    static readonly SearchValues<char> Ignored = SearchValues.Create(" \t\u00A0-\u2010\u2011\u2012\u2013\u2014_");

    /// <summary>Gives seven arrays of 20 symbols, whose checks nobody has looked at yet; or the first fault.</summary>
    public static bool TryRead(ReadOnlySpan<char> text, [NotNullWhen(true)] out byte[][]? lines, [NotNullWhen(false)] out ShareFault? fault)
    {
        lines = null;
        fault = text.Length > RecoveryShare.MaxTextLength ? new ShareFault(0, 0, "This is too long to be one share.") : null;
        var typed = new List<(int Number, char[] Characters)>();
        if (fault is null)
            foreach (var part in text.EnumerateLines())
            {
                var line = part.Trim();
                if (!TryTakeHeader(ref line))
                {
                    fault = new ShareFault(0, 0, "This share is of a newer kind than this program reads, or its first line is wrong.");
                    return false;
                }
                var number = TakeNumber(ref line);
                var characters = Compact(line);
                if (characters.Length > 0)
                    typed.Add((number, characters));
            }
        if (fault is null)
            lines = Arrange(typed, out fault);
        return lines is not null && fault is null;
    }

    // "HOLDFAST SHARE 1" with any case and punctuation, alone or before the characters of a QR code.
    static bool TryTakeHeader(ref ReadOnlySpan<char> line)
    {
        if (!line.StartsWith("HOLDFAST", StringComparison.OrdinalIgnoreCase))
            return true;
        var colon = line.IndexOf(':');
        var header = Compact(colon < 0 ? line : line[..colon]);
        line = colon < 0 ? default : line[(colon + 1)..];
        return header.AsSpan().Equals("HOLDFASTSHARE1", StringComparison.OrdinalIgnoreCase);
    }

    public static int TakeNumber(ref ReadOnlySpan<char> line)
    {
        if (line.Length < 2 || line[0] is < '1' or > '7' || line[1] is not (':' or '.' or ')'))
            return 0;
        var number = line[0] - '0';
        line = line[2..];
        return number;
    }

    public static char[] Compact(ReadOnlySpan<char> line)
    {
        var kept = new char[line.Length];
        var count = 0;
        foreach (var c in line)
            if (!Ignored.Contains(c))
                kept[count++] = c;
        return kept[..count];
    }

    static byte[][]? Arrange(List<(int Number, char[] Characters)> typed, out ShareFault? fault)
    {
        fault = null;
        if (typed.Count == 0)
        {
            fault = new ShareFault(0, 0, "Nothing was typed.");
            return null;
        }

        var lines = new char[]?[RecoveryShare.Lines];
        if (typed.Count > 1 && typed.TrueForAll(t => t.Number > 0)) // numbered: in any order
            foreach (var (number, characters) in typed)
            {
                if (lines[number - 1] is not null)
                    fault ??= new ShareFault(number, 0, "typed twice.");
                lines[number - 1] = characters;
            }
        else if (typed.Count == RecoveryShare.Lines)
            lines = [.. typed.Select(t => t.Characters)];
        else
        {
            var all = typed.SelectMany(t => t.Characters).ToArray();
            if (all.Length != RecoveryShare.Lines * ShareLine.Symbols)
                fault = new ShareFault(0, 0,
                    $"A share has 7 lines of 20 characters, 140 in all; these are {typed.Count} lines and {all.Length} characters.");
            else
                lines = [.. all.Chunk(ShareLine.Symbols)];
        }

        var symbols = new byte[RecoveryShare.Lines][];
        for (var i = 0; i < lines.Length && fault is null; i++)
            symbols[i] = lines[i] is { } characters ? Decode(i + 1, characters, out fault) : Missing(i + 1, out fault);
        return fault is null ? symbols : null;
    }

    static byte[] Missing(int line, out ShareFault? fault)
    {
        fault = new ShareFault(line, 0, "missing.");
        return [];
    }

    public static byte[] Decode(int line, char[] characters, out ShareFault? fault)
    {
        fault = null;
        var symbols = new byte[characters.Length];
        for (var i = 0; i < characters.Length; i++)
        {
            var symbol = ShareLine.Alphabet.IndexOf(char.ToUpperInvariant(characters[i]) switch
            {
                'O' => '0',
                'I' or 'L' => '1',
                var c => c,
            }, StringComparison.Ordinal);
            if (symbol < 0)
                fault ??= new ShareFault(line, Math.Min(i + 1, ShareLine.Symbols),
                    "a share has digits and letters only, and no U (perhaps a V).");
            else
                symbols[i] = (byte)symbol;
        }
        if (characters.Length != ShareLine.Symbols)
            fault = new ShareFault(line, 0, $"{characters.Length} characters; a line has 20.");
        return symbols;
    }
}
