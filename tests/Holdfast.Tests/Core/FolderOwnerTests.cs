using System.Diagnostics;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>In whose name a folder is changed, whatever its owner puts there between two looks.</summary>
public sealed class FolderOwnerTests
{
    const uint Owner = 12_345;

    /// <summary>A folder that others reach, and its commands.</summary>
    static TempFolder Start()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.UserName == "root", "files of another user take root");
        var folder = new TempFolder();
        Shell(folder, "chmod 755 . && mkdir theirs ours && chown 12345:12345 theirs && chmod 700 ours");
        return folder;
    }

    static void Shell(TempFolder folder, string script)
    {
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-ec", script]) { WorkingDirectory = folder[""] })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }

    static uint Make(string path) => FolderOwner.Act(path, () =>
    {
        using var file = PlainFile.CreateNew(path);
        return FileStat.TryRead(file, out var stat) ? stat.User : uint.MaxValue;
    });

    [Fact]
    public void An_owner_once_known_stays_the_owner_whatever_stands_there_later()
    {
        using var folder = Start();
        FolderOwner.Know(folder["theirs"]);
        Assert.Equal(Owner, Make(folder["theirs/a"]));
        Shell(folder, "mv theirs away && mkdir theirs"); // the administrator's now
        FolderOwner.Know(folder["theirs"]);
        Assert.Throws<UnauthorizedAccessException>(() => Make(folder["theirs/b"]));
        Shell(folder, "rmdir theirs && ln -s ours theirs");
        FolderOwner.Know(folder["theirs"]);
        Assert.Throws<UnauthorizedAccessException>(() => Make(folder["theirs/c"]));
        Shell(folder, "rm theirs");
        FolderOwner.Know(folder["theirs"]);
        Shell(folder, "mv away theirs");
        Assert.Equal(Owner, Make(folder["theirs/d"]));
    }

    [Fact]
    public void A_folder_that_was_away_when_it_was_looked_at_is_not_changed_in_the_administrators_name()
    {
        using var folder = Start();
        Shell(folder, "mv theirs away");
        FolderOwner.Know(folder["theirs"]);
        Assert.Throws<DirectoryNotFoundException>(() => Make(folder["theirs/a"]));
        Shell(folder, "ln -s $PWD/ours away/part && mv away theirs");
        Assert.Throws<UnauthorizedAccessException>(() => Make(folder["theirs/part/a"]));
        Assert.Equal(Owner, Make(folder["theirs/b"]));
        Assert.Empty(Directory.EnumerateFiles(folder["ours"]));
    }

    [Fact]
    public void A_further_folder_of_the_administrators_vault_is_changed_in_the_name_of_whoever_rules_there()
    {
        using var folder = Start();
        Shell(folder, "mkdir -p ours/vault theirs/shelf && chown 12345 theirs/shelf && ln -s $PWD/ours theirs/shelf/staging");
        FolderOwner.Know(folder["ours/vault"]);
        FolderOwner.Know(folder["theirs/shelf"], like: folder["ours/vault"]);
        Assert.Throws<UnauthorizedAccessException>(() => Make(folder["theirs/shelf/staging/a"]));
        Assert.Equal(Owner, Make(folder["theirs/shelf/b"]));
        Assert.Equal(0u, Make(folder["ours/vault/c"]));
        Assert.True(FolderOwner.IsAnothers(folder["theirs/shelf/not/there/yet"]));
        Assert.False(FolderOwner.IsAnothers(folder["ours/not/there/yet"]));
    }

    [Fact]
    public void A_folder_that_is_made_is_this_process_own()
    {
        using var folder = Start();
        FolderOwner.Know(folder["state/of"]);
        FolderOwner.MakeFolder(folder["state/of/a/vault"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Assert.Equal(0u, Make(folder["state/of/a/vault/file"]));
    }

    [Fact]
    public void What_is_the_administrators_in_another_users_folder_is_read_and_not_changed()
    {
        using var folder = Start();
        Shell(folder, "mkdir theirs/roots && echo root > theirs/roots/kept && chmod 600 theirs/roots/kept && mkdir theirs/open && chmod 777 theirs/open");
        foreach (var (name, isMercy) in new[] { ("theirs/roots", true), ("theirs/not/there", true), ("theirs", false), ("ours", false) })
            Assert.Equal(isMercy, FolderOwner.IsAtMercy(folder[name]));
        Assert.True(FolderOwner.IsAnothers(folder["theirs"]));
        FolderOwner.Know(folder["theirs/roots"]);
        FolderOwner.Know(folder["theirs/open"]);
        var refused = Assert.ThrowsAny<UnauthorizedAccessException>(() => Make(folder["theirs/roots/a"]));
        Assert.Contains("root changes nothing there", DiskFault.Of(refused).Message, StringComparison.Ordinal);
        Assert.Equal("root\n"u8.ToArray(), KeptFile.ReadAll(folder["theirs/roots/kept"], 100));
        Assert.Equal(Owner, Make(folder["theirs/open/a"]));
        // The exchange that it is for: what was looked at is not what is changed.
        Shell(folder, "mv theirs/roots away && ln -s $PWD/ours theirs/roots");
        Assert.ThrowsAny<UnauthorizedAccessException>(() => Make(folder["theirs/roots/b"]));
        Assert.Empty(Directory.EnumerateFiles(folder["ours"]));
    }

    [Theory]
    [InlineData("ours/not/there", null)]
    [InlineData("sticky/roots", null)]
    [InlineData("sticky/not/there", null)]
    [InlineData("sticky", "sticky")]
    [InlineData("open/ours", "open")]
    [InlineData("link", "open")]
    [InlineData("group/not/there", "group")]
    [InlineData("roots-group/part", null)]
    public void A_folder_where_others_may_put_something_else_is_told_apart(string name, string? open)
    {
        using var folder = Start();
        Shell(folder, "mkdir sticky open group roots-group && chmod 1777 sticky && chmod 777 open && chmod 775 group roots-group && chgrp 12345 group && mkdir sticky/roots open/ours && ln -s open/../open/ours link");
        Assert.Equal(open is null ? null : folder[open], FolderOwner.OpenToOthers(folder[name]));
    }

    /// <summary>Where there is a list, the mode shows its mask in the place of the group's rights.</summary>
    [Theory]
    [InlineData("u:12345:rwx", "listed")]
    [InlineData("g:12345:-w-", "listed")]
    [InlineData("u:12345:rwx,m::r-x", null)]
    [InlineData("u:12345:r-x,m::rwx", null)]
    [InlineData("u:0:rwx,g:0:rwx", null)]
    [InlineData("d:u:12345:rwx", null)] // handed down to what is made there
    public void A_list_of_rights_counts_as_far_as_it_lets_others_write(string list, string? open)
    {
        using var folder = Start();
        Shell(folder, $"mkdir listed && chmod 755 listed && setfacl -m {list} listed && mkdir -m 755 -p listed/ours && setfacl -bk listed/ours");
        Assert.Equal(open is null ? null : folder[open], FolderOwner.OpenToOthers(folder["listed"]));
        Assert.Equal(open is null ? null : folder[open], FolderOwner.OpenToOthers(folder["listed/ours/not/there"]));
    }

    [Theory]
    [InlineData("ln -s theirs/link start")] // a link of the administrator's to one of the owner's
    [InlineData("ln -s $PWD/theirs/link start")]
    [InlineData("mkdir way && ln -s ../theirs/link way/inner && ln -s way/../way/inner start")]
    [InlineData("ln -s theirs/link start && ln -s . theirs/self && rm theirs/link && ln -s self/again theirs/link && ln -s ../open theirs/again && chown -h 12345 theirs/*")]
    public void Whoever_owns_a_link_on_the_way_decides_however_it_is_reached(string way)
    {
        using var folder = Start();
        Shell(folder, $"mkdir open && chmod 1777 open && ln -s $PWD/open theirs/link && chown -h 12345:12345 theirs/link && {way} && ln -s $PWD/ours open/part");
        FolderOwner.Know(folder["start"]);
        Assert.Throws<UnauthorizedAccessException>(() => Make(folder["start/part/a"]));
        Assert.Equal(Owner, Make(folder["start/b"]));
        Assert.Empty(Directory.EnumerateFiles(folder["ours"]));
    }

    [Fact]
    public void A_link_of_the_administrators_own_is_followed_as_it_was_meant()
    {
        using var folder = Start();
        Shell(folder, "ln -s ours start && ln -s theirs start2");
        FolderOwner.Know(folder["start"]);
        FolderOwner.Know(folder["start2"]);
        Assert.Equal(0u, Make(folder["start/a"]));
        Assert.Equal(Owner, Make(folder["start2/a"]));
    }

    [Fact]
    public void Keys_are_read_with_the_rights_of_the_folders_owner()
    {
        using var folder = Start();
        Shell(folder, "echo root > ours/secret && echo root > secret && chmod 600 secret && ln -s ../secret theirs/closed && echo known > theirs/real && ln -s $PWD/ours/secret theirs/stolen && ln -s real theirs/link && chown -h 12345 theirs/*");
        FolderOwner.Know(folder["theirs"]);
        Assert.Null(KeptFile.ReadAll(folder["theirs/stolen"], 100)); // in a folder that the owner does not enter: a link to nowhere
        Assert.Throws<UnauthorizedAccessException>(() => KeptFile.ReadAll(folder["theirs/closed"], 100));
        Assert.Equal("known\n"u8.ToArray(), KeptFile.ReadAll(folder["theirs/link"], 100));
    }

    [Fact]
    public void Keys_are_plain_files_that_end()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes and devices of Linux");
        using var folder = new TempFolder();
        Shell(folder, "mkfifo pipe && ln -s /dev/zero endless && ln -s pipe to-pipe && truncate -s 101 long && mkdir folder");
        foreach (var name in new[] { "pipe", "endless", "to-pipe", "long", "folder" })
            Assert.Null(KeptFile.ReadAll(folder[name], 100));
        Assert.Throws<FileNotFoundException>(() => KeptFile.ReadAll(folder["nothing"], 100));
    }
}
