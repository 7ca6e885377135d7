using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.CleanRooms;

/// <summary>The clean room's own key folder: its two keys, and a note of what it could not attest. No other role reads it.</summary>
sealed class CleanRoomFolder(string folder)
{
    public const string TreeFile = "cleanroom-tree.key";
    public const string ContentFile = "cleanroom-content.key";
    const string NotesFile = "cleanroom.notes";

    public string Folder => folder;
    public string Notes => Path.Combine(folder, NotesFile);

    /// <summary>Writes keys; those that were there before open less, or as much.</summary>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public void Write(ScopedKeys tree, ScopedKeys content)
    {
        Disk.Real.MakeDurable(folder, ownerOnly: true);
        Disk.Real.Replace(Path.Combine(folder, TreeFile), tree.ToText());
        Disk.Real.Replace(Path.Combine(folder, ContentFile), content.ToText());
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>WrongVault</c>, <c>KeyTooNarrow</c>.</exception>
    public CleanRoomKeys Open(Vault vault, Action<string>? warn)
    {
        var tree = Read(TreeFile, warn);
        ScopedKeys content;
        try
        {
            content = Read(ContentFile, warn);
        }
        catch
        {
            tree.Dispose();
            throw;
        }
        var keys = CleanRoomKeys.Of(tree, content);
        if (keys.Vault == vault.Id)
        {
            vault.TellEpoch(keys);
            return keys;
        }
        keys.Dispose();
        throw new HoldfastException(ErrorCode.WrongVault, $"The clean room's keys are of another vault; the vault here is {vault.Id}.", "Name the vault they were cut for (--vault), or the folder with keys for this one (--keys).");
    }

    ScopedKeys Read(string file, Action<string>? warn)
    {
        var path = Path.Combine(folder, file);
        if (!File.Exists(path))
            throw new HoldfastException(ErrorCode.KeyFileBad, $"There is no {file} in the clean room's key folder.", "`holdfast cleanroom key --out FOLDER`, with the opening key, makes it; name that folder with --keys.");
        KeyFiles.WarnIfOpen(path, file, warn);
        return ScopedKeys.Parse(UserFile.Kept(path, $"The clean room's {file}", UserFile.KeyLimit));
    }
}
