using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The folders of a vault besides its own.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>What is wrong with the vault's list of folders; null where nothing is.</summary>
    public HoldfastException? FolderListFault
    {
        get
        {
            _ = FolderList.Read(_folder, out var bad);
            return bad > 0 ? BadList(bad) : null;
        }
    }

    /// <summary>The further folders that the vault in another place names, as far as it can be read.</summary>
    public static IReadOnlyList<string> FurtherFoldersOf(string folder)
    {
        try
        {
            return FolderList.Read(folder);
        }
        catch (HoldfastException)
        {
            return [];
        }
    }

    internal static HoldfastException BadList(int lines) => new(ErrorCode.StoreUnavailable, $"{lines} lines of the vault's list of folders (keeper/folders) name no folder, or come after the first {FolderList.Most}: they are passed over.",
        "See who wrote them: `holdfast store` writes one absolute path a line. Put the list back as it was.");

    /// <summary>Adds a folder, best on another disk, to the vault while it is in use.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>WrongVault</c>, <c>TargetNotEmpty</c>: another kind of folder; nothing was changed.</exception>
    public void AddFolder(string folder)
    {
        RequireFolders();
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var isListed = false;
        Changing(() =>
        {
            isListed = isListed || IsUntold(folder); // by a first try, which found the disk full afterwards
            if (!isListed)
                List(folder);
            isListed = true;
            return Append(new Leaf(LeafType.StoreChanged, Clock.Now, Id16.New(), Id16.None, 1, 0, 0, Hash32.None));
        });
    }

    void RequireFolders()
    {
        if (FolderStore is null)
            throw new HoldfastException(ErrorCode.Usage, "The vault's packs lie in an object store, not in folders; nothing was changed.", "Room there is made by those who run it. The vault's own folder holds its log alone, and needs little.");
    }

    /// <summary>In the list, which has more folders than the log tells of: what was to add one was cut short between the two.</summary>
    bool IsUntold(string folder)
    {
        var extra = FolderList.Read(_folder);
        return extra.Count > _projection.FoldersTold && extra.Any(f => FolderPath.Real(f) == FolderPath.Real(folder));
    }

    void List(string folder)
    {
        var extra = FolderList.Read(_folder).ToList();
        StorePlace.Require(folder, [_folder, .. extra], Vault);
        if (extra.Count >= FolderList.Most)
            throw new HoldfastException(ErrorCode.Usage, $"A vault has at most {FolderList.Most} folders besides its own.", "Add a larger disk, and retire small ones (docs/manual/operate.md, A folder or disk more).");
        if (!FolderOwner.IsAnothers(_folder) && FolderOwner.IsAtMercy(folder))
            throw new HoldfastException(ErrorCode.NoPermission, "The folder lies in one of another user's, who could put another in its place while root changes it.", "Name a folder in folders of root's own, or run this as that user, with a vault of that user's.");
        FolderOwner.Know(folder, like: _folder);
        MakeShelf(folder);
        FolderStore.Create(folder, _disk);
        _disk.Replace(Path.Combine(folder, VaultFile.Name), File.ToArray());
        FolderList.Write(_folder, extra.Append(folder), _disk);
    }

    void MakeShelf(string folder)
    {
        try
        {
            _disk.MakeDurable(folder); // nor may what is stored there go with the folder's own name
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.NoPermission)
        {
            throw new HoldfastException(e.Code, "The folder cannot be made there by the user who owns the vault, who would have to write to it.",
                "Make it for that user (sudo install -d -o USER FOLDER), then run this again.", e);
        }
    }

    /// <summary>Says where a folder of the vault lies now, or that what it held lies in the others. Changes the list of folders alone: no leaf, so that a copy without the log's key can be told too.</summary>
    /// <param name="old">As the list has it.</param>
    /// <param name="folder">Of this vault; null: the line goes.</param>
    /// <param name="check">Gets the folders as they would be, before anything is changed.</param>
    internal void MoveFolder(string old, string? folder, Action<IReadOnlyList<string>> check)
    {
        RequireFolders();
        using var taken = KeeperLock.Take(KeeperPath(_folder, "lock"));
        var extra = FolderList.Read(_folder).ToList();
        var at = extra.FindIndex(f => FolderPath.Real(f) == FolderPath.Real(old));
        if (at < 0)
            throw new HoldfastException(ErrorCode.Usage, "That is none of the vault's further folders.", "`holdfast store list` shows them; name it as it is written there. The vault's first folder is simply named with --vault, wherever it lies.");
        extra.RemoveAt(at);
        if (folder is not null)
            extra.Insert(at, folder);
        Refresh(); // what was committed meanwhile is needed too
        check([_folder, .. extra]);
        FolderList.Write(_folder, extra, _disk);
    }

    /// <summary>Folders that were there when the vault was opened, and are gone since or give nothing: what was not found or not read in them may be whole.</summary>
    public IReadOnlyList<string> Lost => [.. (FolderStore?.AtFirst ?? []).Where(f => Away.Contains(f) || !Answers(f))];

    static bool Answers(string folder)
    {
        try
        {
            using var file = PlainFile.Open(Path.Combine(folder, VaultFile.Name));
            if (file is null)
                return true;
            if (OperatingSystem.IsLinux())
                _ = Libc.Advise(file, 0, 0, Libc.DontNeed); // memory answers for a disk that is gone
            RandomAccess.Read(file, new byte[1], 0);
            return true;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException)
        {
            return true; // who may not read it has not lost it
        }
        catch (IOException e)
        {
            return DiskFault.Of(e).Code == ErrorCode.SystemLimit;
        }
    }
}
