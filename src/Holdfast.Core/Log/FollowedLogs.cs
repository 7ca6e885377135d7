using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Log;

/// <summary>A log that a witness follows, and whose signature it takes for it.</summary>
public sealed record FollowedLog(string Origin, IReadOnlyList<VerifierKey> Keys);

/// <summary>The list of them, the file <c>logs</c> of a witness's folder: a line each of verifier key and origin, a blank between; the origin may be left out where it is the key's name.</summary>
static class FollowedLogs
{
    const int MaxSize = 4 << 20; // bytes

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>: a list that cannot be read whole is none, for what it lacks would be refused.</exception>
    public static Dictionary<string, FollowedLog> Read(string folder)
    {
        var keys = new List<(string Origin, VerifierKey Key)>();
        foreach (var line in Lines(folder))
        {
            var parts = line.Split(' ', 2);
            if (!VerifierKey.TryParse(parts[0], out var key))
                throw new HoldfastException(ErrorCode.KeyFileBad, "The witness's list of logs (`logs`) has a line that begins with no verifier key.", "A line is a log's verifier key and, where it is another than the key's name, a blank and the log's origin. Mend the file, or bring it back from a copy.");
            keys.Add((parts.Length > 1 ? parts[1] : key.Name, key));
        }
        return keys.GroupBy(k => k.Origin).ToDictionary(g => g.Key, g => new FollowedLog(g.Key, [.. g.Select(k => k.Key)]));
    }

    /// <returns>False where the log was followed with this key already.</returns>
    public static bool Add(string folder, VerifierKey key, string origin, Disk disk)
    {
        var lines = Lines(folder);
        var line = origin == key.Name ? key.ToString() : $"{key} {origin}";
        if (lines.Contains(line))
            return false;
        disk.Replace(At(folder), Encoding.UTF8.GetBytes(string.Concat(lines.Append(line).Select(l => l + "\n"))));
        return true;
    }

    /// <summary>Another one where the list was changed; none throws.</summary>
    public static (DateTime, long) Stamp(string folder) => new FileInfo(At(folder)) is { Exists: true } file ? (file.LastWriteTimeUtc, file.Length) : default;

    static List<string> Lines(string folder)
    {
        try
        {
            var bytes = PlainFile.ReadAll(At(folder), MaxSize) ?? throw new HoldfastException(ErrorCode.KeyFileBad, "The witness's list of logs (`logs`) is something else than a file, or longer than such a list can be.", "See what stands there, and bring the list back.");
            return [.. Encoding.UTF8.GetString(bytes).Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries)];
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }

    static string At(string folder) => Path.Combine(folder, "logs");
}
