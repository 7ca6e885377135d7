using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Sources.Landing;

/// <summary>One place where one account drops dumps of one thing, and what is expected there.</summary>
/// <param name="Name">Letters, digits and hyphens: it stands in alarms and logs.</param>
/// <param name="Account">The user whom sshd lets in.</param>
public sealed record DropPoint(string Name, string Account)
{
    /// <summary>Name of the source of its snapshots.</summary>
    public required string Source { get; init; }

    /// <summary>Of those of dumps that are no good: they take no place of one that is.</summary>
    public string DoubtfulSource => Source + Doubtful;

    /// <summary>How the name of a drop point's source begins, where nothing else is set.</summary>
    public const string Prefix = "landing-";
    public const string Doubtful = "-doubtful";

    public DumpKind Kind { get; init; }
    public DumpCheck.Edges Edges { get; init; } = new(null, null);

    /// <summary>Names that are expected, with * and ?; any where there are none.</summary>
    public IReadOnlyList<string> Patterns { get; init; } = [];

    /// <summary>How often a dump is due; zero for one that comes when it comes.</summary>
    public TimeSpan Every { get; init; }

    /// <summary>How late it may be.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>A dump of fewer percent of the median of the last ones is shrunken; 0: none is.</summary>
    public int LeastPercent { get; init; } = 50;

    /// <summary>Of how many dumps the median is taken.</summary>
    public int Median { get; init; } = 7;

    /// <summary>Bytes that may lie there; 0: no bound.</summary>
    public long Quota { get; init; }

    /// <summary>A file is complete when nobody has it open for writing and nothing of it changed for so long.</summary>
    public TimeSpan Quiet { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What is not complete after so long is told, and taken as it is once nobody writes to it.</summary>
    public TimeSpan Late { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Each dump has a file of its name and .sha256 beside it.</summary>
    public bool HasChecksums { get; init; }

    public bool Expects(ReadOnlySpan<byte> name)
    {
        foreach (var pattern in Patterns)
        {
            if (Matches(System.Text.Encoding.UTF8.GetBytes(pattern), name))
                return true;
        }
        return Patterns.Count == 0;
    }

    /// <summary>* stands for any bytes, ? for one.</summary>
    static bool Matches(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> name)
    {
        var (p, n, star, from) = (0, 0, -1, 0);
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
                (star, from) = (p++, n);
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == name[n]))
                (p, n) = (p + 1, n + 1);
            else if (star >= 0)
                (p, n) = (star + 1, ++from);
            else
                return false;
        }
        return pattern[p..].IndexOfAnyExcept((byte)'*') < 0;
    }
}
