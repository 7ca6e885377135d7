using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>A name or pattern that is typed to find entries of a snapshot: by `find`, and by `restore --include`.</summary>
static class NamePattern
{
    /// <summary>How it is written, for the help of an option.</summary>
    public const string Rules = "Written as in .gitignore, but that # and spaces are a name's own here: *, ? and [..] stand for others, and a backslash before a character takes it as it is (\\\\ for a backslash, \\[ for a [, \\! for a ! at the beginning). A byte that no text has may be written as `ls` prints it: \\x0a.";

    /// <summary>Refuses what is no pattern, and what would take something out again: what was meant by it is not known.</summary>
    /// <param name="typed">As typed.</param>
    /// <param name="what">What one of them is called: "Pattern".</param>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static void Require(IReadOnlyList<string> typed, string what)
    {
        if (typed.Any(t => t.StartsWith('!')))
            throw new HoldfastException(ErrorCode.Usage, "A pattern here says what is wanted; one that begins with ! would take something out again.", "Name what is wanted. A name that begins with ! is written \\!name.");
        Excludes.RequireSound(typed, what);
    }

    public static Excludes Parse(string typed) => new Excludes().Add(Text.Pattern(typed));

    /// <summary>What to look at where patterns match nothing, though there are such names: empty, or a sentence and a space.</summary>
    public static string Hint(IEnumerable<string> typed) => typed.Any(t => t.AsSpan().IndexOfAny('\\', '[') >= 0)
        ? "In a pattern [..] stands for one character, and a backslash takes the next one as it is: where a name has [ or a backslash, write \\[ or \\\\. "
        : "";
}
