using System.Globalization;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Since when each pack is known that no commit names: a line each of its name and the seconds since 1970.</summary>
static class UnclaimedNote
{
    const int NameLength = 2 * Hash32.Size;
    const int Shortest = NameLength + 2;
    const int Longest = NameLength + 1 + 20;
    const int Most = 1 << 20; // lines: 64 TB of full packs, all of sessions that came to no end

    /// <summary>What no line tells of counts as new, and is kept the longer.</summary>
    /// <exception cref="IOException">What the disk reports.</exception>
    public static Dictionary<Hash32, ulong> Read(string path)
    {
        var known = new Dictionary<Hash32, ulong>();
        foreach (var line in PlainFile.ReadNote(path, Shortest, Longest, Most))
        {
            if (line[NameLength] == ' ' && Hash32.TryParse(line[..NameLength], out var name) && ulong.TryParse(line[(NameLength + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var first))
                known[name] = first;
        }
        return known;
    }
}
