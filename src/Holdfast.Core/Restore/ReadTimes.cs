using System.Globalization;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>When each pack was last read whole and found right, and which packs were found damaged. A note of the keeper's; losing it makes packs count as never read.</summary>
public sealed class ReadTimes
{
    readonly Dictionary<Hash32, ulong> _times = [];

    /// <summary>Vault time of the last good read, by pack.</summary>
    public IReadOnlyDictionary<Hash32, ulong> Times => _times;

    /// <summary>Packs whose last read found damage and no good copy: dedup does not build on them.</summary>
    public HashSet<Hash32> Damaged { get; } = [];

    public static ReadTimes Load(string path)
    {
        var times = new ReadTimes();
        try
        {
            if (!File.Exists(path))
                return times;
            foreach (var line in File.ReadLines(path))
            {
                if (line.Length < 66 || !Hash32.TryParse(line.AsSpan(0, 64), out var name))
                    continue;
                if (line[65] == '!')
                    times.Damaged.Add(name);
                else if (ulong.TryParse(line.AsSpan(65), NumberStyles.None, CultureInfo.InvariantCulture, out var time))
                    times._times[name] = time;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then nothing is known of earlier reads.
        }
        return times;
    }

    /// <param name="path">Their file.</param>
    /// <param name="good">Packs that were read and found right.</param>
    /// <param name="damaged">Packs that were not.</param>
    /// <param name="opened">True where frames were opened and chunks named anew: a right name alone does not clear a pack whose content was wrong.</param>
    /// <param name="now">Vault time.</param>
    public static void Update(string path, IEnumerable<Hash32> good, IEnumerable<Hash32> damaged, bool opened, ulong now)
    {
        var times = Load(path);
        foreach (var name in good)
        {
            times._times[name] = now;
            if (opened)
                times.Damaged.Remove(name);
        }
        times.Damaged.UnionWith(damaged);
        var text = new StringBuilder();
        foreach (var (name, time) in times._times)
            text.Append(CultureInfo.InvariantCulture, $"{name} {time}\n");
        foreach (var name in times.Damaged)
            text.Append(CultureInfo.InvariantCulture, $"{name} !\n");
        try
        {
            Disk.Real.Replace(path, Encoding.ASCII.GetBytes(text.ToString()));
        }
        catch (HoldfastException)
        {
            // Read-only media: the result stands, the note is not kept.
        }
    }
}
