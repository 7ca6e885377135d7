using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The list of a vault's further folders, <c>keeper/folders</c>: one absolute path a line.</summary>
static class FolderList
{
    const int MaxSize = 1 << 20; // bytes

    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    public static IEnumerable<string> Read(string vault)
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
