using System.Globalization;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Landing;

/// <summary>What was wrong with a dump that was taken.</summary>
[Flags]
public enum DumpFaults
{
    None = 0,

    /// <summary>It is not what its drop point says, or not to its end.</summary>
    Format = 1,
    Shrunken = 2,

    /// <summary>It is not what the checksum beside it says, or that is missing.</summary>
    Checksum = 4,

    /// <summary>Its name is none of those expected.</summary>
    Name = 8,

    /// <summary>Its writer never finished it.</summary>
    Unfinished = 16,
}

/// <summary>A dump that was stored. No name: names of files are personal data.</summary>
/// <param name="Taken">Seconds since 1970, by this machine's clock.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Faults">What was wrong with it.</param>
/// <param name="Batch">With which it was stored.</param>
public sealed record TakenDump(long Taken, long Bytes, DumpFaults Faults, Id16 Batch)
{
    /// <summary>It is what its source needs after a loss, as far as can be told from outside.</summary>
    public bool IsGood => (Faults & (DumpFaults.Format | DumpFaults.Checksum | DumpFaults.Name | DumpFaults.Unfinished)) == 0;
}

/// <summary>What came to a drop point, the oldest first: a small file of lines in the landing.</summary>
/// <param name="Since">When the drop point was first looked at, in seconds since 1970.</param>
/// <param name="Dumps">The newest of them.</param>
public sealed record DropHistory(long Since, IReadOnlyList<TakenDump> Dumps)
{
    const int Kept = 1_000; // dumps
    const int KeptGood = 100; // of those, the good ones that are older than the others: junk in any number takes neither the median nor the last good one
    const int MaxSize = 1 << 20; // bytes
    const string Title = "holdfast-landing 1";

    /// <returns>Null where there is none yet.</returns>
    /// <exception cref="HoldfastException"><c>ObjectDamaged</c>: it is something else.</exception>
    public static DropHistory? Read(string path)
    {
        if (!File.Exists(path))
            return null;
        var text = KeptFile.ReadAll(path, MaxSize);
        return text is not null && TryParse(text, out var history) ? history
            : throw new HoldfastException(ErrorCode.ObjectDamaged, "What came to a drop point before, a file below `state` in the landing, was not written so.", "Move it away: what is shrunken is told again once a few dumps have come, and what is missing from now on.");
    }

    /// <summary>Begins one where there is none yet.</summary>
    /// <param name="path">Of the file.</param>
    /// <param name="now">Seconds since 1970.</param>
    public static DropHistory Of(string path, long now)
    {
        if (Read(path) is { } known)
            return known;
        var begun = new DropHistory(now, []);
        begun.Write(Disk.Real, path);
        return begun;
    }

    /// <summary>Total: hostile bytes give false.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out DropHistory history)
    {
        history = new DropHistory(0, []);
        if (text.Length > MaxSize || text is not [.., (byte)'\n'])
            return false;
        var lines = Encoding.Latin1.GetString(text).Split('\n')[..^1];
        if (lines[0].Split(' ') is not [var word, var version, var since] || $"{word} {version}" != Title || !TryNumber(since, out var began))
            return false;
        var dumps = new List<TakenDump>();
        foreach (var line in lines.Skip(1))
        {
            if (line.Split(' ') is not [var taken, var bytes, var faults, var batch] || !TryNumber(taken, out var at) || !TryNumber(bytes, out var size) || !TryNumber(faults, out var bits) || bits > 31 || !Id16.TryParse(batch, out var id))
                return false;
            dumps.Add(new TakenDump(at, size, (DumpFaults)bits, id));
        }
        history = new DropHistory(began, dumps);
        return true;
    }

    static bool TryNumber(string text, out long number) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    public void Write(Disk disk, string path)
    {
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{Title} {Since}\n"));
        var last = Math.Max(0, Dumps.Count - Kept);
        foreach (var dump in Dumps.Take(last).Where(d => d.IsGood).TakeLast(KeptGood).Concat(Dumps.Skip(last)))
            text.Append(CultureInfo.InvariantCulture, $"{dump.Taken} {dump.Bytes} {(int)dump.Faults} {dump.Batch}\n");
        disk.Replace(path, Encoding.ASCII.GetBytes(text.ToString()));
    }

    /// <summary>Bytes of the median of the last good dumps; null where there are too few to say.</summary>
    public long? MedianOf(int count)
    {
        const int least = 3;
        var sizes = Dumps.Where(d => d.IsGood).TakeLast(count).Select(d => d.Bytes).Order().ToList();
        return sizes.Count < Math.Min(least, count) ? null : sizes[sizes.Count / 2];
    }

    /// <summary>Below so many bytes a dump is shrunken; 0 where none is.</summary>
    /// <remarks>Shrunken ones count from then on: what is smaller for good is told a few times, and then is as it is.</remarks>
    public long LeastBytes(DropPoint drop) => drop.LeastPercent > 0 && MedianOf(drop.Median) is { } median ? (long)Math.Ceiling(median / 100m * drop.LeastPercent) : 0;
}
