using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Sources.Landing;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Cli.Landing;

/// <summary>The file <c>landing.conf</c>: lines of a word and its value; <c>drop NAME</c> begins a drop point. What is not known is refused, with its line.</summary>
static class LandingPlan
{
    const int MostDrops = 256;
    const int MostPatterns = 64;
    const int MostText = 1_024; // characters of a value
    const string WhatToDo = "docs/manual/landing.md has every line that there is. Nothing was changed.";

    public const string Example = """
        # One block for each thing that is dumped. Every line is in docs/manual/landing.md.
        #
        # drop epr                   its name, as alarms have it
        #   account drop-epr         the user whom sshd lets in; it reads nothing
        #   format pg-custom         what is checked, header to trailer
        #   files epr-*.dump         names that are expected; may be repeated
        #   every 1d                 how often one is due
        #   grace 2h                 how late it may be
        #   shrink 50                smaller than 50 % of the median of the last 7 alarms
        #   quota 200GiB             as much may lie here

        """;

    /// <exception cref="HoldfastException"><c>Usage</c>: a line is none, and which.</exception>
    public static IReadOnlyList<DropPoint> Parse(IReadOnlyList<string> lines)
    {
        var drops = new List<DropPoint>();
        var (first, hasAccount, seen) = (0, false, new HashSet<string>());
        DropPoint? drop = null;
        for (var i = 0; i < lines.Count; i++)
        {
            var line = lines[i].Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            var (word, value) = line.Split((char[]?)null, 2, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is [var a, var b] ? (a, b) : (line, "");
            if (value.Length is 0 or > MostText)
                throw Fault(i, $"`{Shown(word)}` has no value, or too long a one");
            if (word == "drop")
            {
                End();
                if (!IsName(value))
                    throw Fault(i, "the name of a drop point is of small letters, digits and hyphens, a letter first, 32 at most; `reserve` is none");
                (drop, first, hasAccount) = (new DropPoint(value, "") { Source = DropPoint.Prefix + value }, i, false);
                seen.Clear();
            }
            else if (drop is null)
                throw Fault(i, "the first line is `drop NAME`");
            else
            {
                if (word != "files" && !seen.Add(word))
                    throw Fault(i, $"`{Shown(word)}` stands there twice");
                drop = With(drop, word, value) ?? throw Fault(i, Wrong(word));
                hasAccount |= word == "account";
            }
        }
        End();
        return drops;

        void End()
        {
            if (drop is null)
                return;
            if (!hasAccount)
                throw Fault(first, "this drop point has no `account`");
            if (drop.Edges != new DumpCheck.Edges(null, null) && drop.Kind.Format != DumpFormat.Any)
                throw Fault(first, "`begins` and `ends` are for a drop point without a `format`, or with `any`, `gzip` or `zstd`");
            if (drops.Find(d => d.Name == drop.Name || d.Account == drop.Account || d.Source == drop.Source) is { } other)
                throw Fault(first, $"this drop point has the name, the account or the source of `{other.Name}`: each has its own");
            if (drops.Find(d => d.Source == drop.DoubtfulSource || d.DoubtfulSource == drop.Source) is { } near)
                throw Fault(first, $"dumps that are no good, of this drop point or of `{near.Name}`, would have the source of the other's good ones");
            if (drops.Count == MostDrops)
                throw Fault(first, $"there are more than {MostDrops} drop points");
            drops.Add(drop);
        }
    }

    static HoldfastException Fault(int line, string what) => new(ErrorCode.Usage, string.Create(CultureInfo.InvariantCulture, $"Line {line + 1} of landing.conf: {what}."), WhatToDo);

    static string Shown(string word) => word.Length > 20 ? word[..20] : word;

    /// <summary>Null for a value, or a line, that is none.</summary>
    static DropPoint? With(DropPoint drop, string word, string value) => word switch
    {
        "account" => IsAccount(value) ? drop with { Account = value } : null,
        "source" => value.Length <= 255 && !value.Contains('/', StringComparison.Ordinal) ? drop with { Source = value } : null,
        "format" => DumpKind.TryParse(value, out var kind) ? drop with { Kind = kind } : null,
        "begins" => drop with { Edges = drop.Edges with { Begins = value } },
        "ends" => drop with { Edges = drop.Edges with { Ends = value } },
        "files" => drop.Patterns.Count < MostPatterns && !value.Contains('/', StringComparison.Ordinal) ? drop with { Patterns = [.. drop.Patterns, value] } : null,
        "every" => Time(value) is { } time && time >= TimeSpan.FromMinutes(1) ? drop with { Every = time } : null,
        "grace" => Time(value) is { } time ? drop with { Grace = time } : null,
        "quiet" => Time(value) is { } time && time <= TimeSpan.FromHours(1) ? drop with { Quiet = time } : null,
        "late" => Time(value) is { } time ? drop with { Late = time } : null,
        "shrink" => Number(value, 0, 100) is { } percent ? drop with { LeastPercent = percent } : null,
        "median" => Number(value, 1, 100) is { } count ? drop with { Median = count } : null,
        "quota" => Text.Size(value) is { } bytes && bytes <= long.MaxValue / 2 ? drop with { Quota = (long)bytes } : null,
        "checksum" => value == "required" ? drop with { HasChecksums = true } : null,
        _ => null,
    };

    static string Wrong(string word) => word switch
    {
        "account" => "the name of an account is of small letters, digits, hyphens and underscores, 32 at most, a letter or an underscore first; and root is none",
        "format" => $"that is no format; there are {DumpKind.Names}",
        "every" or "grace" or "quiet" or "late" => $"`{word}` takes a time: a whole number and s, m (minutes), h, d or w; `every` a minute at least, `quiet` an hour at most, a year at most all",
        "shrink" => "`shrink` takes percent, 0 to 100",
        "median" => "`median` takes a number of dumps, 1 to 100",
        "quota" => $"`quota` takes a size. {Text.SizeForms}",
        "checksum" => "`checksum` takes `required`, or is left out",
        "files" => $"`files` takes the name of a file with * and ?, without a folder; {MostPatterns} at most",
        "source" => "`source` takes a name of 255 characters at most, without /",
        _ => $"there is no line `{Shown(word)}`",
    };

    static bool IsName(string text) => text != "reserve" && text.Length is > 0 and <= 32 && char.IsAsciiLetterLower(text[0]) && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    static bool IsAccount(string text) => text != "root" && text.Length is > 0 and <= 32 && (char.IsAsciiLetterLower(text[0]) || text[0] == '_') && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');

    static int? Number(string text, int least, int most) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number : null;

    /// <summary>In which m is minutes: no dump is due by the month here.</summary>
    public static TimeSpan? Time(string text)
    {
        var unit = text.Length < 2 ? 0 : text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3_600, 'd' => 86_400, 'w' => 604_800, _ => 0 };
        return unit > 0 && Number(text[..^1], 0, 10_000_000) is { } count && (long)count * unit <= 366L * 86_400 ? TimeSpan.FromSeconds((long)count * unit) : null;
    }
}
