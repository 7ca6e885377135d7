using System.Text;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Where a vault may be made: a folder that is absent, empty, or holds no more than what a making that was cut short has left.</summary>
static class FreePlace
{
    const int MadeLeaves = 4; // genesis, agent, writer, key epoch: a longer log is of a vault that was in use

    static readonly string[] Folders = ["packs", "objects", "staging", "keeper", "cache", "log"];
    static readonly string[] Foreign = ["lost+found"]; // a file system's own, at the root of a new disk

    /// <summary>Refuses any other folder. Changes nothing.</summary>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>TargetNotEmpty</c>, <c>Usage</c>, <c>NoPermission</c>.</exception>
    public static void Require(string folder)
    {
        if (File.Exists(folder))
            throw new HoldfastException(ErrorCode.Usage, "There is a file of that name; a vault is a folder.", "Name a folder that is not there yet, or an empty one.");
        if (!Directory.Exists(folder))
            return;
        try
        {
            if (File.Exists(Path.Combine(folder, VaultFile.Name)))
                throw new HoldfastException(ErrorCode.VaultExists, "There is a vault in this folder already.", "Use it as it is, or choose another folder: a vault is never overwritten.");
            foreach (var path in Directory.EnumerateFileSystemEntries(folder))
            {
                var name = Path.GetFileName(path);
                if (!(Directory.Exists(path) ? Folders.Contains(name) || Foreign.Contains(name) : IsOf(name, "format.md", VaultFile.Name)))
                    throw NotEmpty();
            }
            Look(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }

    static void Look(string folder)
    {
        if (Files(folder, "packs").Any() || (File.Exists(Path.Combine(folder, "log", "checkpoint"))
            && Checkpoint.TryParse(Encoding.UTF8.GetString(PlainFile.ReadAll(Path.Combine(folder, "log", "checkpoint"), Checkpoint.MaxLength) ?? []), out var checkpoint) && checkpoint!.Size > MadeLeaves))
            throw new HoldfastException(ErrorCode.VaultExists, "This folder is a vault that was in use; only its file `vault` is missing.",
                "Put that file back from a copy, or from what the format.md in it says, section 3. To make a new vault, choose another folder.");
        if (new FolderStore([folder]).List(StoreKind.Object).Any(o => o.Name.IsNone) || Files(folder, "cache").Any()
            || Files(folder, "keeper").Any(f => !IsOf(f, "log.key", "clock", "reserve", "store", IObjectStores.CredentialFile, "pins", "witnesses"))
            || (Directory.Exists(Path.Combine(folder, "log")) && Directory.EnumerateFileSystemEntries(Path.Combine(folder, "log")).Any(e => Path.GetFileName(e) != "tile" && !IsOf(Path.GetFileName(e), "checkpoint"))))
            throw NotEmpty();
    }

    static IEnumerable<string> Files(string folder, string part) => Directory.Exists(Path.Combine(folder, part))
        ? Directory.EnumerateFiles(Path.Combine(folder, part), "*", SearchOption.AllDirectories).Select(f => Path.GetFileName(f)) : [];

    /// <summary>One of the names, or one that <see cref="Disk.Replace"/> was about to give it.</summary>
    static bool IsOf(string name, params ReadOnlySpan<string> names)
    {
        foreach (var known in names)
        {
            if (name == known || (name.StartsWith($"{known}.", StringComparison.Ordinal) && name.EndsWith(".new", StringComparison.Ordinal)))
                return true;
        }
        return false;
    }

    static HoldfastException NotEmpty() => new(ErrorCode.TargetNotEmpty, "The folder for the new vault holds something else.",
        "Name a folder that is not there yet, or an empty one, best on a disk of its own: a vault shares its folder with nothing.");

    /// <summary>The id that a making which was cut short has given its vault; none where there was none, or it got less far.</summary>
    public static Id16 Unfinished(string folder)
    {
        try
        {
            var path = Path.Combine(folder, "keeper", "log.key");
            return !File.Exists(Path.Combine(folder, VaultFile.Name)) && File.Exists(path) ? LogKeyFile.VaultOf(PlainFile.ReadAll(path, 4_096) ?? []) : Id16.None;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HoldfastException)
        {
            return Id16.None;
        }
    }
}
