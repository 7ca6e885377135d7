using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Which folder a vault may spread to: one that is absent, empty, or was this vault's before.</summary>
static class StorePlace
{
    static readonly string[] Parts = ["packs", "objects", "staging"];
    const string FileSystemsOwn = "lost+found"; // at the root of a new disk

    /// <summary>Refuses a path that no note can hold, of a line each: read back it would be another one.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static void RequireName(string folder)
    {
        if (folder.Any(char.IsControl) || FolderPath.Real(folder).Any(char.IsControl))
            throw new HoldfastException(ErrorCode.Usage, "The folder's name, or that of one it lies in, has characters in it that no list of folders can hold.", "Choose a name without control characters.");
    }

    /// <summary>Refuses a folder that is none of this vault's.</summary>
    /// <exception cref="HoldfastException"><c>TargetMissing</c>, <c>WrongVault</c>, <c>Usage</c>.</exception>
    public static void RequireOf(string folder, Id16 vault)
    {
        RequireName(folder);
        try
        {
            if (VaultFile.Read(folder).Vault != vault)
                throw new HoldfastException(ErrorCode.WrongVault, "That folder belongs to another vault.", "Name the folder that the old one was copied or moved to.");
            RequireNoCopy(folder);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.VaultMissing)
        {
            throw new HoldfastException(ErrorCode.TargetMissing, "That is no folder of a vault: its file `vault` is missing.",
                "Copy or move the whole old folder there first (its vault, packs, objects and staging), then run this again. An empty folder is added with `holdfast store add`.", e);
        }
    }

    static void RequireNoCopy(string folder)
    {
        if (Path.Exists(Path.Combine(folder, "log", "checkpoint")) || Directory.Exists(Path.Combine(folder, "keeper")))
            throw new HoldfastException(ErrorCode.Usage, "That is a whole vault, or a copy of this one: it has a log of its own, and would be none any more.", "Choose another folder: an empty one on another disk, or for `store move` the one that the old one was copied or moved to.");
    }

    /// <summary>Refuses any other folder. Changes nothing.</summary>
    /// <param name="folder">Full path.</param>
    /// <param name="folders">The vault's folders so far.</param>
    /// <param name="vault">Its id.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>WrongVault</c>, <c>TargetNotEmpty</c>, <c>NoPermission</c>.</exception>
    public static void Require(string folder, IReadOnlyList<string> folders, Id16 vault)
    {
        if (File.Exists(folder))
            throw new HoldfastException(ErrorCode.Usage, "That is a file; what is added to a vault is a folder.", "Name an empty folder on another disk.");
        RequireName(folder);
        foreach (var known in folders)
        {
            if (FolderPath.Real(folder) == FolderPath.Real(known) || FolderPath.AreOne(folder, known))
                throw new HoldfastException(ErrorCode.Usage, "That folder is one of the vault's already, or another way to one.", "`holdfast store list` shows them all; for more room choose an empty folder on another disk.");
            if (FolderPath.IsWithin(folder, known))
                throw new HoldfastException(ErrorCode.Usage, "That folder lies inside the vault.", "Choose an empty folder on another disk: inside the vault it adds no room.");
            if (FolderPath.IsWithin(known, folder))
                throw new HoldfastException(ErrorCode.Usage, "The vault lies inside that folder.", "Choose an empty folder on another disk; nothing else may lie in it.");
        }
        if (!Directory.Exists(folder))
            return;
        try
        {
            if (File.Exists(Path.Combine(folder, VaultFile.Name)))
            {
                if (VaultFile.Read(folder).Vault != vault)
                    throw new HoldfastException(ErrorCode.WrongVault, "That folder belongs to another vault.", "Choose an empty folder on another disk.");
                RequireNoCopy(folder);
                return;
            }
            foreach (var path in Directory.EnumerateFileSystemEntries(folder))
            {
                var name = Path.GetFileName(path);
                // Folders without a file in them are what an addition that was cut short leaves.
                var isOurs = Directory.Exists(path) && (name == FileSystemsOwn || (Parts.Contains(name) && !Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Any()));
                if (!isOurs)
                    throw new HoldfastException(ErrorCode.TargetNotEmpty, "There is something else in that folder.", "Choose an empty folder on another disk: a vault shares its folders with nothing.");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }
}
