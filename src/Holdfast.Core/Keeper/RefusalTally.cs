using System.Globalization;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What was asked for and refused (docs/format.md, section 11.3).</summary>
public enum RefusedRequest
{
    /// <summary>A lock to be shortened.</summary>
    ShorterLock = 1,

    /// <summary>A snapshot that is not what it should be.</summary>
    Commit = 2,

    /// <summary>A snapshot of a source that is over its quota.</summary>
    Quota = 3,

    /// <summary>A policy that keeps less than the one in force.</summary>
    WeakerPolicy = 4,

    /// <summary>Something that takes approvals, with others than those.</summary>
    Approval = 5,

    /// <summary>A request of a client's that its role does not allow, that there is not (to remove, to overwrite), or for which it has stored too much that it did not commit.</summary>
    Forbidden = 6,
}

/// <summary>Refusals of one identity, of one kind, in one hour.</summary>
/// <param name="Identity">Who asked, where that is known.</param>
/// <param name="Request">What for.</param>
/// <param name="Hour">Vault time at its beginning.</param>
public readonly record struct RefusalKey(Id16 Identity, RefusedRequest Request, ulong Hour)
{
    public const ulong Length = 3_600; // seconds

    public bool IsOver(ulong now) => now >= Hour + Length;
}

/// <summary>Counts refusals until their hour is over: then one leaf tells of them all, so that nobody fills the log by asking again and again. Durable with each count.</summary>
/// <remarks>Used under the vault's lock; it may be read without. The log signs what it says, so a line without its check counts for nothing.</remarks>
sealed class RefusalTally(string path, Disk disk)
{
    const int MaxKinds = 10_000; // of identity, kind and hour: identities are those that the log enrolled

    const int ShortestLine = 55; // identity, kind, hour, count and check, with blanks between
    const int LongestLine = 95;

    const ulong MaxCount = long.MaxValue;

    /// <summary>No sum of counts wraps.</summary>
    /// <param name="counted">Of such sums.</param>
    /// <param name="more">Of whatever a leaf or a note says.</param>
    public static ulong Sum(ulong counted, ulong more) => Math.Min(counted + Math.Min(more, MaxCount), MaxCount);

    public Dictionary<RefusalKey, ulong> Read()
    {
        var counts = new Dictionary<RefusalKey, ulong>();
        try
        {
            foreach (var characters in PlainFile.ReadNote(path, ShortestLine, LongestLine, MaxKinds))
            {
                var line = characters.ToString();
                if (line.Split(' ') is { Length: 5 } parts && parts[4] == NoteCheck.Of(line[..^parts[4].Length]) && Id16.TryParse(parts[0], out var identity) && TryNumber(parts[1], out var kind) && kind <= byte.MaxValue
                    && TryNumber(parts[2], out var hour) && hour <= Retention.LockRules.LastEnd && TryNumber(parts[3], out var count))
                    counts[new RefusalKey(identity, (RefusedRequest)kind, hour)] = count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Who may not read it sees what the log has.
        }
        return counts;
    }

    /// <summary>Counts some more. What cannot be written is not counted: the refusal stands all the same.</summary>
    public void Add(RefusalKey key, ulong count = 1)
    {
        var counts = Read();
        if (counts.Count >= MaxKinds && !counts.ContainsKey(key))
            return;
        counts[key] = Sum(counts.GetValueOrDefault(key), count);
        try
        {
            Write(counts);
        }
        catch (HoldfastException)
        {
            // A full disk, most likely: it keeps nobody from hearing why the request was refused.
        }
    }

    public void Write(Dictionary<RefusalKey, ulong> counts)
    {
        var text = new StringBuilder();
        foreach (var (key, count) in counts.OrderBy(c => c.Key.Hour))
        {
            var line = string.Create(CultureInfo.InvariantCulture, $"{key.Identity} {(int)key.Request} {key.Hour} {count} ");
            text.Append(line).Append(NoteCheck.Of(line)).Append('\n');
        }
        disk.Replace(path, Encoding.ASCII.GetBytes(text.ToString()));
    }

    static bool TryNumber(string text, out ulong number) => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
