using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Holdfast.Core.Crypto;

/// <summary>One share while a person types it, line by line and in any order. Each line is checked by itself, at once.</summary>
public sealed class ShareEntry
{
    readonly byte[]?[] _lines = new byte[]?[RecoveryShare.Lines]; // 20 symbols each

    /// <summary>Numbers of the lines that are still to come.</summary>
    public IReadOnlyList<int> Missing => [.. Enumerable.Range(1, RecoveryShare.Lines).Where(n => _lines[n - 1] is null)];

    /// <summary>Takes a line, with its number or without: its check tells which one it is.</summary>
    /// <param name="typed">As a person types it.</param>
    /// <param name="line">Which line it is; 0 where that is not known.</param>
    /// <returns>Null where it was taken, else what is wrong with it; a line that was right before stays.</returns>
    public ShareFault? Add(ReadOnlySpan<char> typed, out int line)
    {
        typed = typed.Trim();
        line = ShareText.TakeNumber(ref typed);
        var symbols = ShareText.Decode(line, ShareText.Compact(typed), out var fault);
        if (fault is not null)
            return line > 0 ? fault : fault with { Problem = char.ToUpperInvariant(fault.Problem[0]) + fault.Problem[1..] };
        Span<byte> data = stackalloc byte[ShareLine.Bytes];
        if (line > 0)
        {
            if (!ShareLine.TryDecode(line, symbols, data, out var wrong, out var other))
                return other != 0 ? new ShareFault(line, 0, $"this is line {other} of a share.") : Wrong(line, wrong);
            _lines[line - 1] = symbols;
            return null;
        }
        var (suspect, near) = (0, 0);
        for (var number = 1; number <= RecoveryShare.Lines; number++)
        {
            if (ShareLine.TryDecode(number, symbols, data, out var wrong, out _))
            {
                _lines[(line = number) - 1] = symbols;
                return null;
            }
            if (wrong > 0)
                (suspect, near) = near == 0 ? (wrong, number) : (0, -1); // which line it nearly is; two are none
        }
        return near > 0 ? Wrong(near, suspect) : new ShareFault(0, 0, "No line of a share has this check; compare each character with the print.");
    }

    /// <summary>Puts the lines together when all are there.</summary>
    /// <returns>False where they are not lines of one share: then all are to be typed anew.</returns>
    public bool TryFinish([NotNullWhen(true)] out RecoveryShare? share, [NotNullWhen(false)] out ShareFault? fault)
    {
        var text = new StringBuilder();
        foreach (var symbols in _lines)
            text.Append([.. (symbols ?? []).Select(s => ShareLine.Alphabet[s])]).Append('\n');
        return RecoveryShare.TryParse(text.ToString(), out share, out fault);
    }

    static ShareFault Wrong(int line, int suspect) => suspect > 0
        ? new ShareFault(line, suspect, "this character is probably wrong; the line's check does not fit.")
        : new ShareFault(line, 0, "the line's check does not fit; compare each character with the print.");
}
