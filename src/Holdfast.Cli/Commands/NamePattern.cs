using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>A name or pattern that is typed to find entries of a snapshot: by `find`, and by `restore --include`.</summary>
static class NamePattern
{
    /// <summary>How it is written, for the help of an option.</summary>
    public const string Rules = "Written as in .gitignore, but that # and spaces are a name's own here: *, ? and [..] stand for others ([..] for itself too), and a backslash before a character takes it as it is (\\\\ for a backslash, \\[ for a [ alone, \\! for a ! at the beginning). A byte that no text has may be written as `ls` prints it: \\x0a.";

    /// <summary>Refuses what is no pattern, and what would take something out again: what was meant by it is not known.</summary>
    /// <param name="typed">As typed.</param>
    /// <param name="what">What one of them is called: "Pattern".</param>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static void Require(IReadOnlyList<string> typed, string what)
    {
        if (typed.Any(t => t.StartsWith('!')))
            throw new HoldfastException(ErrorCode.Usage, "A pattern here says what is wanted; one that begins with ! would take something out again.", "Name what is wanted. A name that begins with ! is written \\!name.");
        foreach (var (number, text) in typed.Index())
        {
            if (Literal(Text.Pattern(text)).Length >= Excludes.MaxPattern) // one more for a / before it
                throw new HoldfastException(ErrorCode.Usage, $"{what} {number + 1} makes no sense as a pattern: it is longer than {Excludes.MaxPattern} bytes. Nothing was done.", "Name a folder above it, or use * for a part of the name.");
        }
    }

    /// <summary>The pattern, and what it says with each [ as the character itself: who copies "report [2].pdf" from `ls` means that file, and must get it, whatever else matches. A [ that no ] closes is the character anyway.</summary>
    public static Excludes Parse(string typed)
    {
        var pattern = Text.Pattern(typed);
        return new Excludes().Add(pattern).Add(Literal(pattern));
    }

    static byte[] Literal(byte[] pattern)
    {
        var literal = new List<byte>(pattern.Length);
        for (var i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] == '[')
                literal.Add((byte)'\\');
            literal.Add(pattern[i]);
            if (pattern[i] == '\\' && i + 1 < pattern.Length)
                literal.Add(pattern[++i]);
        }
        return [.. literal];
    }

    /// <summary>What to look at where patterns match nothing, though there are such names: empty, or a sentence and a space.</summary>
    public static string Hint(IEnumerable<string> typed) => typed.Any(t => t.Contains('\\'))
        ? "In a pattern a backslash takes the next character as it is: where a name has a backslash, write \\\\. "
        : "";
}
