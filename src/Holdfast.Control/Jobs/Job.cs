using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;

namespace Holdfast.Control.Jobs;

/// <summary>Something that is done again and again.</summary>
/// <param name="Name">Of letters, digits and hyphens: it is in logs and in the database.</param>
/// <param name="Command">Of `holdfast`, such as `log cosign`.</param>
/// <param name="Arguments">All that it is called with, but for what names the run.</param>
/// <param name="Schedule">When.</param>
sealed record Job(string Name, string Command, IReadOnlyList<string> Arguments, Schedule Schedule)
{
    /// <summary>As which user; null for that of this process.</summary>
    public string? User { get; init; }

    /// <summary>How often a run is begun at most, where what it failed by may pass.</summary>
    public int Tries { get; init; } = 5;

    /// <summary>It is a backup: its run is named, and the keeper commits one snapshot for it, whoever began it how often.</summary>
    public bool IsNamed => Command == "backup";

    /// <summary>After which moment its runs are looked for where none is known. Of a backup the latest that was due counts: where the database was lost it may not be done, and where it is, the keeper says so.</summary>
    public long Begin(long since) => IsNamed && Schedule.Latest(0, since) is { } latest ? latest.Due - 1 : since;

    /// <summary>What one run is called with.</summary>
    public IReadOnlyList<string> Call(string run)
    {
        if (!IsNamed)
            return Arguments;
        var rest = Arguments.ToList().IndexOf("--") is var at and >= 0 ? at : Arguments.Count; // a command whose output is backed up comes last
        return [.. Arguments.Take(rest), "--run", run, .. Arguments.Skip(rest)];
    }

    /// <summary>Names a run by what it is, not by a row: where the database is lost and made anew, the same run has the same name.</summary>
    public static string RunId(string job, long due) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"holdfast run\n{job}\n{due}"))).AsSpan(0, Id16.Size));
}
