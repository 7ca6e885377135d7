using System.Text;
using Holdfast.Core;

namespace Holdfast.Sources.Files;

/// <summary>Patterns in gitignore syntax (git's documentation of gitignore): the last pattern that matches decides; an excluded folder is not entered.
/// Matching takes time linear in pattern times path.</summary>
public sealed class Excludes
{
    /// <summary>Bytes of a pattern.</summary>
    public const int MaxPattern = 4_096;

    readonly List<Rule> _rules = [];
    long _leftOut;

    /// <param name="Line">As it was written.</param>
    /// <param name="Pattern">Bytes without leading '!' and trailing or leading '/'.</param>
    sealed record Rule(byte[] Line, byte[] Pattern, bool Include, bool FoldersOnly, bool Anchored)
    {
        /// <summary>Only ever set: threads that do so at once agree.</summary>
        public bool HasMatched { get; set; }
    }

    public bool IsEmpty => _rules.Count == 0;

    /// <summary>Patterns; lines that are none are not among them.</summary>
    public int Count => _rules.Count;

    /// <summary>Entries that <see cref="LeavesOut"/> said so of: a folder is one, as what lies in it is not asked about.</summary>
    public long LeftOut => Interlocked.Read(ref _leftOut);

    /// <summary>The patterns that matched no entry <see cref="LeavesOut"/> was asked about, as they were written. One that another decides before has matched all the same.</summary>
    /// <param name="first">How many patterns to look at, in the order they were added.</param>
    public IEnumerable<string> Unmatched(int first) => _rules.Take(first).Where(r => !r.HasMatched).Select(r => Encoding.UTF8.GetString(r.Line));

    /// <summary>Adds the lines of an exclude file; blank lines and lines that begin with '#' are passed over, and so are those that are no pattern.</summary>
    public Excludes AddLines(IEnumerable<string> lines)
    {
        foreach (var line in lines.Where(l => !IsComment(l)))
        {
            ReadOnlySpan<byte> pattern = Encoding.UTF8.GetBytes(line.EndsWith('\r') ? line[..^1] : line);
            while (pattern.Length > 0 && pattern[^1] == ' ' && !(pattern.Length > 1 && pattern[^2] == '\\'))
                pattern = pattern[..^1];
            Add(pattern);
        }
        return this;
    }

    static bool IsComment(string line) => line.StartsWith('#');

    /// <summary>Refuses patterns that are none: what they were meant to match is not known, and nothing is guessed.</summary>
    /// <param name="patterns">As for <see cref="Add"/>.</param>
    /// <param name="what">What one of them is called: "Pattern".</param>
    /// <param name="areLines">They are lines of a file, as for <see cref="AddLines"/>: comments among them are.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static void RequireSound(IEnumerable<string> patterns, string what, bool areLines = false)
    {
        foreach (var (number, text) in patterns.Index())
        {
            if (!(areLines && IsComment(text)) && Fault(Encoding.UTF8.GetBytes(text)) is { } fault)
                throw new HoldfastException(ErrorCode.Usage, $"{what} {number + 1} makes no sense as a pattern: {fault}. Nothing was done.",
                    "Correct it; patterns are written as in .gitignore, and a backslash before a character takes it as it is.");
        }
    }

    static string? Fault(ReadOnlySpan<byte> pattern) =>
        pattern.Length > MaxPattern ? $"it is longer than {MaxPattern} bytes"
        : Glob.HasOpenSet(pattern) ? "it has a [ that no ] closes"
        : null;

    /// <summary>Adds one pattern. One that was typed by itself is no line of a file: a # at its beginning and spaces at its end are its own.</summary>
    public Excludes Add(ReadOnlySpan<byte> line)
    {
        if (line.IsEmpty || line.Length > MaxPattern)
            return this;
        var written = line;
        var include = line.Length > 0 && line[0] == '!';
        if (include)
            line = line[1..];
        var foldersOnly = line.Length > 0 && line[^1] == '/';
        if (foldersOnly)
            line = line[..^1];
        if (line.IsEmpty)
            return this;
        // A slash anywhere but at the end ties the pattern to the root.
        var anchored = line.Contains((byte)'/');
        if (line[0] == '/')
            line = line[1..];
        _rules.Add(new Rule(written.ToArray(), line.ToArray(), include, foldersOnly, anchored));
        return this;
    }

    /// <summary>As <see cref="Match"/>, for the walk of a backup: counts what is left out, and remembers which patterns matched. Safe from many threads.</summary>
    public bool LeavesOut(ReadOnlySpan<byte> path, bool isFolder)
    {
        Rule? decides = null;
        for (var i = _rules.Count - 1; i >= 0; i--)
        {
            var rule = _rules[i];
            if ((decides is not null && rule.HasMatched) || !Matches(rule, path, isFolder))
                continue;
            rule.HasMatched = true;
            decides ??= rule;
        }
        if (decides is not { Include: false })
            return false;
        Interlocked.Increment(ref _leftOut);
        return true;
    }

    /// <summary>True where an entry is left out. Its folder has been asked about before.</summary>
    /// <param name="path">Relative to the root, components joined by '/'.</param>
    /// <param name="isFolder">Whether it is a folder.</param>
    public bool Match(ReadOnlySpan<byte> path, bool isFolder)
    {
        for (var i = _rules.Count - 1; i >= 0; i--)
        {
            if (Matches(_rules[i], path, isFolder))
                return !_rules[i].Include;
        }
        return false;
    }

    static bool Matches(Rule rule, ReadOnlySpan<byte> path, bool isFolder) =>
        (isFolder || !rule.FoldersOnly) && Glob.Match(rule.Pattern, rule.Anchored ? path : path[(path.LastIndexOf((byte)'/') + 1)..]);
}

/// <summary>gitignore's wildcards: * and ? within a component, [..] sets, ** across components, \ for the character itself.</summary>
public static class Glob
{
    /// <summary>Two rows of "which beginnings of the text does the pattern so far match": no backtracking, whatever the pattern.</summary>
    public static bool Match(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text)
    {
        var now = new bool[text.Length + 1];
        var next = new bool[text.Length + 1];
        now[0] = true;
        for (var p = 0; p < pattern.Length;)
        {
            next.AsSpan().Clear();
            if (pattern[p] == '*')
            {
                var stars = 1;
                while (p + stars < pattern.Length && pattern[p + stars] == '*')
                    stars++;
                var leads = p == 0 || pattern[p - 1] == '/';
                var after = p + stars;
                if (stars == 2 && leads && after < pattern.Length && pattern[after] == '/')
                {
                    // "**/": nothing, or any number of whole components.
                    for (var t = 0; t <= text.Length; t++)
                    {
                        if (!now[t])
                            continue;
                        next[t] = true;
                        for (var s = t; s < text.Length; s++)
                        {
                            if (text[s] == '/')
                                next[s + 1] = true;
                        }
                        break; // later beginnings give nothing that this one does not
                    }
                    for (var t = 0; t <= text.Length; t++)
                        next[t] |= now[t];
                    p = after + 1;
                }
                else
                {
                    var crosses = stars == 2 && leads && after == pattern.Length; // "/**": everything inside
                    var open = false;
                    for (var t = 0; t <= text.Length; t++)
                    {
                        open |= now[t];
                        next[t] = open;
                        if (t < text.Length && text[t] == '/' && !crosses)
                            open = false;
                    }
                    p = after;
                }
            }
            else
            {
                var length = Element(pattern[p..], out var set, out var negated, out var literal);
                for (var t = 0; t < text.Length; t++)
                {
                    if (now[t])
                        next[t + 1] = IsOne(pattern[p], set, negated, literal, text[t]);
                }
                p += length;
            }
            (now, next) = (next, now);
        }
        return now[text.Length];
    }

    /// <summary>True where a set begins that does not end.</summary>
    public static bool HasOpenSet(ReadOnlySpan<byte> pattern)
    {
        for (var p = 0; p < pattern.Length;)
        {
            var length = Element(pattern[p..], out _, out _, out _);
            if (pattern[p] == '[' && length == 1)
                return true;
            p += length;
        }
        return false;
    }

    /// <summary>Length of the next element that stands for one character: a literal, an escape, ? or a set.</summary>
    static int Element(ReadOnlySpan<byte> pattern, out ReadOnlySpan<byte> set, out bool negated, out byte literal)
    {
        set = default;
        negated = false;
        literal = pattern[0];
        if (pattern[0] == '\\' && pattern.Length > 1)
        {
            literal = pattern[1];
            return 2;
        }
        if (pattern[0] != '[')
            return 1;
        var start = 1;
        if (start < pattern.Length && pattern[start] is (byte)'!' or (byte)'^')
        {
            negated = true;
            start++;
        }
        for (var end = start + 1; end < pattern.Length; end++)
        {
            if (pattern[end] == '\\' && end + 1 < pattern.Length)
            {
                end++;
                continue;
            }
            if (pattern[end] != ']')
                continue;
            set = pattern[start..end];
            return end + 1;
        }
        negated = false;
        return 1; // no closing bracket: the character itself
    }

    static bool IsOne(byte first, ReadOnlySpan<byte> set, bool negated, byte literal, byte c)
    {
        if (first == '?')
            return c != '/';
        if (first != '[' || set.IsEmpty)
            return c == literal;
        if (c == '/')
            return false;
        var hit = false;
        for (var i = 0; i < set.Length; i++)
        {
            var low = set[i] == '\\' && i + 1 < set.Length ? set[++i] : set[i];
            var high = low;
            if (i + 2 < set.Length && set[i + 1] == '-')
            {
                i += 2;
                high = set[i] == '\\' && i + 1 < set.Length ? set[++i] : set[i];
            }
            hit |= c >= low && c <= high;
        }
        return hit != negated;
    }
}
