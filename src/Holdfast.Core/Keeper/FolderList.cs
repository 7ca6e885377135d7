using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The list of a vault's further folders, <c>keeper/folders</c>: one absolute path a line.</summary>
static class FolderList
{
    const int MaxSize = 1 << 20; // bytes
    const int MaxPath = 4_096; // characters

    /// <summary>Folders that a vault may have besides its own.</summary>
    public const int Most = 64;

    /// <summary>The folders it names. A line that can be none is passed over, and so is what comes after the first <see cref="Most"/>: neither keeps the vault from being read.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    public static IReadOnlyList<string> Read(string vault) => Read(vault, out _);

    /// <summary>The same, and how many lines of it are passed over.</summary>
    public static IReadOnlyList<string> Read(string vault, out int bad)
    {
        var lines = Lines(vault);
        List<string> folders = [.. lines.Where(IsFolder).Select(Path.GetFullPath).Take(Most)];
        bad = lines.Length - folders.Count;
        return folders;
    }

    static bool IsFolder(string line) => line.Length <= MaxPath && Path.IsPathFullyQualified(line) && !line.Any(char.IsControl);

    static string[] Lines(string vault)
    {
        try
        {
            var list = PlainFile.ReadAll(At(vault), MaxSize) ?? throw new HoldfastException(ErrorCode.StoreUnavailable,
                "The vault's list of folders is something else than a file, or longer than such a list can be.", "See what stands at keeper/folders; put the list back, one absolute path a line.");
            return Encoding.UTF8.GetString(list).Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
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

    public static void Write(string vault, IEnumerable<string> folders, Disk disk) => disk.Replace(At(vault), Encoding.UTF8.GetBytes(string.Concat(folders.Select(f => f + "\n"))));

    static string At(string vault) => Path.Combine(vault, "keeper", "folders");
}
