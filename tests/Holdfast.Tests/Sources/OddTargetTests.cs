using System.Text;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;
using static Holdfast.Tests.Sources.SharedTargetTests;

namespace Holdfast.Tests.Sources;

/// <summary>Targets on file systems that are unlike the source's, and say nothing of it.</summary>
public sealed class OddTargetTests
{
    const uint Other = 65_534;
    const string NoMount = "needs root, bindfs and gcc";

    static ITreeWriter Target(TempFolder folder, ExistingFiles existing) => FileTarget.Create(folder["t"], new FileTargetOptions { Existing = existing });

    static bool AddFile(ITreeWriter target, EntryBatch rows, string path, string content, uint mode = 0x1A4, uint owner = 0)
    {
        var row = Add(rows, path, EntryKind.File, mode, owner);
        rows.Size[row] = content.Length;
        return target.Add(rows, row) is var handle && (handle < 0 || target.WriteWhole(handle, Encoding.UTF8.GetBytes(content)));
    }

    static void AddName(ITreeWriter target, EntryBatch rows, string path, bool isFirst)
    {
        var row = Add(rows, path, EntryKind.File, 0x1A4, 0);
        (rows.LinkCount[row], rows.Inode[row], rows.Size[row]) = (2, 5, 1);
        if (target.Add(rows, row) is var handle && isFirst)
            target.WriteWhole(handle, "x"u8);
    }

    /// <summary>A restore of one of each kind into such a disk, itself or mounted below, which counts no owner and no permission as set.</summary>
    [Theory]
    [InlineData("t", "", 4, 4)]
    [InlineData("t/mnt", "mnt/", 4, 4)]
    public void Owners_and_permissions_that_are_taken_and_not_kept_are_told(string mounted, string below, long owners, long permissions)
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder[mounted]);
        using var mount = OddMount.Forgetful(folder[mounted]);
        Assert.SkipUnless(IsRoot && mount is not null, NoMount);
        using var target = Target(folder, ExistingFiles.Replace);
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        if (below.Length > 0)
            target.Add(rows, Add(rows, "mnt", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, $"{below}d", EntryKind.Directory, 0x1C0, Other));
        Assert.True(AddFile(target, rows, $"{below}f", "x", 0x180, Other));
        target.Add(rows, Add(rows, $"{below}link", EntryKind.Symlink, 0x1FF, Other));
        Assert.True(AddFile(target, rows, $"{below}open", "x", 0x1FF));
        target.Add(rows, Add(rows, $"{below}pipe", EntryKind.Fifo, 0x180, Other));
        target.Finish();
        Assert.Empty(target.Problems);
        Assert.Equal([("owners", owners), ("permissions", permissions)], target.Refusals.Select(r => (r.What, r.Entries)));
    }

    [Theory]
    [InlineData("t")]
    [InlineData("t/mnt")]
    public void Further_names_are_linked_where_each_name_has_a_number_of_its_own(string mounted)
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/mnt"]);
        if (mounted == "t")
            Directory.Delete(folder["t/mnt"]);
        using var mount = OddMount.NumbersNames(folder[mounted]);
        Assert.SkipUnless(IsRoot && mount is not null, NoMount);
        using var target = Target(folder, ExistingFiles.Replace);
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "mnt", EntryKind.Directory, 0x1ED, 0));
        AddName(target, rows, "mnt/first", isFirst: true);
        AddName(target, rows, "mnt/second", isFirst: false);
        Assert.Equal(1, target.Finish().Names);
        Assert.Empty(target.Problems);
        Assert.Equal("2", Run("stat", "-c", "%h", folder["t/mnt/second"]));
    }
}
