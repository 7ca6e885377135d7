using System.Text;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;
using static Holdfast.Tests.Sources.SharedTargetTests;

namespace Holdfast.Tests.Sources;

/// <summary>Targets on file systems that are unlike the source's, and say nothing of it.</summary>
public sealed class OddTargetTests
{
    const uint Other = 65_534;
    const string NoMount = "needs root, bindfs and clang";

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

    static IEnumerable<(string, TargetFault, long)> Problems(ITreeWriter target) =>
        target.Problems.Select(p => (Encoding.UTF8.GetString(p.Path!), p.Fault, p.Entries)).OrderBy(p => p.Item1, StringComparer.Ordinal);

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

    /// <summary>One file was replaced by the other, and so was one link; a folder would have held what two were to hold.</summary>
    [Theory]
    [InlineData(ExistingFiles.Replace)]
    [InlineData(ExistingFiles.KeepEqual)]
    public void Names_that_differ_in_case_alone_are_not_both_counted_where_case_does_not_count(ExistingFiles existing)
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        using var mount = OddMount.CaseBlind(folder["t"]);
        Assert.SkipUnless(IsRoot && mount is not null, NoMount);
        using var target = Target(folder, existing);
        File.WriteAllText(folder["t/junk"], "");
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "DIR", EntryKind.Directory, 0x1ED, 0));
        AddFile(target, rows, "DIR/a", "1");
        target.Add(rows, Add(rows, "LINK", EntryKind.Symlink, 0x1FF, 0));
        AddFile(target, rows, "README", "upper");
        target.Add(rows, Add(rows, "dir", EntryKind.Directory, 0x1C0, 0));
        AddFile(target, rows, "dir/b", "2");
        target.Add(rows, Add(rows, "link", EntryKind.Symlink, 0x1FF, 0));
        AddFile(target, rows, "readme", "lower");
        var written = target.Finish();
        Assert.Equal([("DIR", TargetFault.InTheWay, 1), ("LINK", TargetFault.InTheWay, 1), ("README", TargetFault.InTheWay, 1)], Problems(target));
        Assert.Equal((1, 1, 1), (written.Folders, written.Others, written.Gone));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void In_an_empty_target_what_differs_in_case_alone_is_not_made_where_case_does_not_count(bool hasLinks)
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        using var mount = OddMount.CaseBlind(folder["t"], hasLinks);
        Assert.SkipUnless(IsRoot && mount is not null, NoMount);
        using var target = Target(folder, ExistingFiles.Refuse);
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "DIR", EntryKind.Directory, 0x1C0, 0));
        AddFile(target, rows, "DIR/a", "1");
        AddFile(target, rows, "README", "upper");
        target.Add(rows, Add(rows, "dir", EntryKind.Directory, 0x1ED, 0));
        AddFile(target, rows, "dir/b", "2");
        Assert.False(AddFile(target, rows, "readme", "lower"));
        Assert.Equal(1, target.Finish().Folders);
        Assert.Equal([("dir", TargetFault.InTheWay, 2), ("readme", TargetFault.InTheWay, 1)], Problems(target));
        Assert.Equal("upper", File.ReadAllText(folder["t/readme"]));
    }

    [Fact]
    public void A_folder_that_came_into_an_empty_target_meanwhile_is_not_taken_for_the_snapshots()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "targets as on Linux");
        using var folder = new TempFolder();
        using var target = Target(folder, ExistingFiles.Refuse);
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        Directory.CreateDirectory(folder["t/d"]);
        target.Add(rows, Add(rows, "d", EntryKind.Directory, 0x1ED, 0));
        AddFile(target, rows, "d/f", "x");
        target.Finish();
        Assert.Equal([("d", TargetFault.InTheWay, 2)], Problems(target));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder["t/d"]));
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

    /// <summary>What an attacker put there is of most interest where something did not come back.</summary>
    [Fact]
    public void What_is_not_of_the_snapshot_is_counted_also_where_entries_are_missed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "targets as on Linux");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/d"]);
        foreach (var name in new[] { "t/file/in it", "t/link/in it" })
            Directory.CreateDirectory(folder[name]);
        foreach (var name in new[] { "t/junk", "t/d/junk", "t/folder" })
            File.WriteAllText(folder[name], "");
        using var target = Target(folder, ExistingFiles.KeepEqual);
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "d", EntryKind.Directory, 0x1ED, 0));
        AddFile(target, rows, "d/f", "x");
        AddFile(target, rows, "file", "x");
        target.Add(rows, Add(rows, "folder", EntryKind.Directory, 0x1ED, 0));
        AddFile(target, rows, "folder/f", "x");
        target.Add(rows, Add(rows, "link", EntryKind.Symlink, 0x1FF, 0));
        target.Add(rows, Add(rows, "lost", EntryKind.File, 0x1A4, 0)); // its content does not come
        Assert.Equal(2, target.Finish().Strangers);
        Assert.Equal(["file", "folder", "link"], Problems(target).Select(p => p.Item1));
    }
}
