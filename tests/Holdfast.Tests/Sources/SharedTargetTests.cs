using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Sources;

/// <summary>Targets in which another user may rename while root restores.</summary>
public sealed partial class SharedTargetTests
{
    const uint Other = 65_534;
    const int CurrentFolder = -100;
    const uint Exchange = 2; // RENAME_EXCHANGE

    internal static bool IsRoot => OperatingSystem.IsLinux() && Environment.UserName == "root";

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Rename(int fromFolder, string from, int toFolder, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "lchown", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Give(string path, uint uid, uint gid);

    [LibraryImport("libc", EntryPoint = "setxattr", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetXattr(string path, string name, ReadOnlySpan<byte> value, nuint size, int flags);

    [LibraryImport("libc", EntryPoint = "getxattr", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetXattr(string path, string name, Span<byte> value, nuint size);

    internal static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text.Trim();
    }

    /// <summary>Owner and permissions.</summary>
    static string Look(string path) => Run("stat", "-L", "-c", "%u %a", path);

    internal static int Add(EntryBatch rows, string path, EntryKind kind, uint mode, uint owner)
    {
        var row = rows.Add(Encoding.UTF8.GetBytes(path));
        (rows.Kind[row], rows.Mode[row], rows.Uid[row], rows.Gid[row], rows.LinkCount[row]) = (kind, mode, owner, owner, 1);
        rows.LinkTarget[row] = kind == EntryKind.Symlink ? "nowhere"u8.ToArray() : null;
        return row;
    }

    /// <summary>Another thread exchanges each name, as soon as it is there, for a file that its reader may not see, and back. On code that goes by names this fails unless that thread
    /// is never quick enough in all rounds.</summary>
    [Theory]
    [InlineData(EntryKind.Fifo)]
    [InlineData(EntryKind.Symlink)]
    public void What_is_exchanged_for_a_special_file_as_it_is_made_gets_nothing_of_it(EntryKind kind)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs renameat2");
        Assert.SkipUnless(IsRoot || kind == EntryKind.Fifo, "only root gives a symlink away");
        const int entries = 400;
        var (time, exchanged) = (Stopwatch.StartNew(), 0);
        for (var round = 0; (round < 40 || Volatile.Read(ref exchanged) == 0) && time.Elapsed < TimeSpan.FromSeconds(Volatile.Read(ref exchanged) > 0 ? 4 : 60); round++)
        {
            using var folder = new TempFolder();
            Directory.CreateDirectory(folder["t"]);
            File.WriteAllText(folder["t/secret"], "root's alone");
            Run("chmod", "600", folder["t/secret"]);
            using var secret = File.OpenHandle(folder["t/secret"]);
            var held = $"/proc/{Environment.ProcessId}/fd/{secret.DangerousGetHandle()}"; // whatever its name
            var before = Look(held);
            var names = Enumerable.Range(0, entries).Select(i => folder[$"t/x{i:d3}"]).ToArray();
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, IsRoot ? Other : 0));
            for (var i = 0; i < entries; i++)
                target.Add(rows, Add(rows, $"x{i:d3}", kind, 0x1B6, IsRoot ? Other : 0));
            var isDone = false;
            var other = new Thread(() =>
            {
                for (var i = 0; i < entries; i++)
                {
                    while (Rename(CurrentFolder, folder["t/secret"], CurrentFolder, names[i], Exchange) != 0)
                    {
                        if (Volatile.Read(ref isDone))
                            return;
                    }
                    exchanged++;
                    Thread.SpinWait(2_000); // long enough for what follows the making
                    _ = Rename(CurrentFolder, folder["t/secret"], CurrentFolder, names[i], Exchange);
                }
            });
            other.Start();
            target.Finish();
            Volatile.Write(ref isDone, true);
            other.Join();
            Assert.Equal(before, Look(held));
            Assert.All(target.Problems, p => Assert.Equal(TargetFault.InTheWay, p.Fault));
        }
        Assert.True(exchanged > 0, "nothing was exchanged");
    }

    /// <summary>Whose the target is puts the folder that all may read in the place of the one that root alone may, and back: what is written to one would come out in the other.</summary>
    [Theory]
    [InlineData("made", true)]
    [InlineData("made", false)]
    [InlineData("written", false)]
    [InlineData("removed", false)]
    public void A_folder_in_anothers_target_is_the_same_from_first_to_last(string moment, bool back)
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        Run("chown", "65534", folder["t"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "open", EntryKind.Directory, 0x1FF, 0));
        target.Add(rows, Add(rows, "shut", EntryKind.Directory, 0x1C0, 0));
        var file = target.Add(rows, Add(rows, "shut/file", EntryKind.File, 0x1A4, 0));
        rows.Size[3] = 6;
        if (moment == "made")
            Swap();
        else if (moment == "removed") // and made by another: some file systems give it the same number
            Run("sh", "-ec", "n=$(stat -c %i $1); for i in $(seq 50); do rmdir $1; mkdir -m 777 $1; chown 65534 $1; [ $(stat -c %i $1) != $n ] || break; done", "sh", folder["t/shut"]);
        ErrorCode? refused = null;
        try
        {
            target.WriteWhole(file, "secret"u8);
            if (moment == "written" || back)
                Swap();
            target.Finish();
        }
        catch (HoldfastException e)
        {
            refused = e.Code;
        }
        Assert.Equal(moment == "written" ? null : ErrorCode.TargetUnsafe, refused);
        Assert.DoesNotContain(Directory.GetFiles(folder["t"], "file", SearchOption.AllDirectories), f => Look(Path.GetDirectoryName(f)!).EndsWith(" 777", StringComparison.Ordinal));
        if (refused is null)
            Assert.Contains(target.Problems, p => p.Fault == TargetFault.InTheWay);

        void Swap() => Assert.Equal(0, Rename(CurrentFolder, folder["t/open"], CurrentFolder, folder["t/shut"], Exchange));
    }

    /// <summary>Both names lead to one folder at the moment that each is looked at.</summary>
    [Fact]
    public void Two_folders_of_the_snapshot_are_never_one()
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/open"]);
        Directory.CreateDirectory(folder["t/shut"]);
        Run("chown", "65534", folder["t"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "open", EntryKind.Directory, 0x1FF, 0));
        Assert.Equal(0, Rename(CurrentFolder, folder["t/open"], CurrentFolder, folder["t/shut"], Exchange));
        target.Add(rows, Add(rows, "shut", EntryKind.Directory, 0x1C0, 0)); // the one that was looked at before
        target.Finish();
        Assert.Equal(["0 755", "0 700"], new[] { "t/open", "t/shut" }.Select(n => Look(folder[n])).Order(StringComparer.Ordinal).Reverse()); // none got what the other was to get
        Assert.Equal(TargetFault.InTheWay, Assert.Single(target.Problems).Fault);
    }

    /// <summary>Nobody but the owner exchanges what lies in a target, or in a folder that was there, while it is written; what is not the snapshot's has its permissions again afterwards.</summary>
    [Theory]
    [InlineData("chgrp 65534 $1; chmod 775 $1", true)]
    [InlineData("chmod 777 $1", true)]
    [InlineData("setfacl -m u:65534:rwx $1", true)]
    [InlineData("chmod 777 $1", false)]
    public void What_others_may_write_to_is_shut_while_it_is_written(string open, bool isOnWay)
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/there"]);
        foreach (var name in new[] { "t/there", "t" })
            Run("sh", "-ec", open, "sh", folder[name]);
        Run("chmod", "755", folder["."]);
        var before = Look(folder["t"]);
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace }))
        {
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0), isOnWay);
            target.Add(rows, Add(rows, "there", EntryKind.Directory, 0x1ED, 0), isOnWay);
            target.Add(rows, Add(rows, "there/new", EntryKind.Directory, 0x1C0, 0));
            foreach (var name in new[] { "t/there", "t/there/new" })
                Assert.NotEqual("gone", Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", "mv $1 $1.gone 2>/dev/null && echo gone", "sh", folder[name]));
            target.Finish();
            Assert.Empty(target.Problems);
        }
        Assert.Equal(isOnWay ? before : "0 755", Look(folder["t"]));
        Assert.Equal(isOnWay ? before : "0 755", Look(folder["t/there"])); // narrowed, not opened, where it is the snapshot's
        Assert.Equal("0 700", Look(folder["t/there/new"]));
    }

    /// <summary>Where others could have put any folder there, rights are taken away that the snapshot does not give, and none are given.</summary>
    [Theory]
    [InlineData(0x1FFu, 0x1E8u, "0 750", false)]
    [InlineData(0x1C0u, 0x1EDu, "0 700", true)]
    [InlineData(0x3FFu, 0x1EDu, "0 1755", true)]
    public void A_folder_that_others_may_have_put_there_is_shut_and_never_opened(uint mode, uint snapshot, string after, bool isTold)
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/there"]);
        File.WriteAllText(folder["t/there/file"], "whose?");
        Run("chmod", "777", folder["t"]);
        Run("chmod", Convert.ToString(mode, 8), folder["t/there"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "there", EntryKind.Directory, snapshot, 0));
        target.Finish();
        Assert.Equal(after, Look(folder["t/there"]));
        Assert.Equal(isTold, target.Refusals.Any(r => r.What == "permissions"));
    }

    /// <summary>What a group member put there before is no more the snapshot's in the second run than it was in the first, however that ended.</summary>
    [Theory]
    [InlineData("chgrp 65534 $1; chmod 775 $1", true)]
    [InlineData("chgrp 65534 $1; chmod 775 $1", false)]
    [InlineData("chown 65534 $1", true)]
    public void What_others_may_have_put_there_is_not_given_away_by_the_next_run(string open, bool isFinished)
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/d"]);
        File.WriteAllText(folder["t/d/private"], "");
        Run("chmod", "700", folder["t/d"]);
        Run("chown", "12345", folder["t/d"]);
        Run("sh", "-ec", open, "sh", folder["t"]);
        var before = Look(folder["t"]);
        for (var run = 0; run < 2; run++)
        {
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = run == 0 ? ExistingFiles.Replace : ExistingFiles.KeepEqual });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
            target.Add(rows, Add(rows, "d", EntryKind.Directory, 0x1ED, 54_321));
            if (run == 0 && !isFinished)
                continue;
            target.Finish();
            Assert.Contains(target.Refusals, r => r.Paths.Any(p => p.AsSpan().SequenceEqual("d"u8)));
        }
        Assert.Equal((before, "12345 700"), (Look(folder["t"]), Look(folder["t/d"])));
    }

    /// <summary>Nothing matches, or the tree cannot be read; and a run that is given up.</summary>
    [Theory]
    [InlineData(ExistingFiles.Replace, false, "0 775")]
    [InlineData(ExistingFiles.Replace, true, "0 775")]
    [InlineData(ExistingFiles.Refuse, false, "0 775")]
    [InlineData(ExistingFiles.Refuse, true, "0 755")] // what lies in it now is this run's, and the next goes on with it
    public void A_target_that_gets_nothing_is_as_it_was(ExistingFiles existing, bool isBegun, string after)
    {
        Assert.SkipUnless(IsRoot, "needs root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        Run("sh", "-ec", "chgrp 65534 $1; chmod 775 $1", "sh", folder["t"]);
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = existing }))
        {
            var rows = new EntryBatch();
            if (isBegun)
                target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
            else
                target.Finish();
        }
        Assert.Equal(after, Look(folder["t"]));
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual }))
        {
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1C0, 0));
            target.Finish();
            Assert.Empty(target.Refusals);
        }
        Assert.Equal("0 700", Look(folder["t"]));
    }

    [Fact]
    public void Special_files_get_all_their_attributes()
    {
        Assert.SkipUnless(IsRoot, "owners and devices take root");
        using var folder = new TempFolder();
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions()))
        {
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
            foreach (var kind in new[] { EntryKind.CharacterDevice, EntryKind.Fifo, EntryKind.Symlink })
            {
                var row = Add(rows, $"{kind}", kind, 0x1B6, Other);
                rows.MtimeSeconds[row] = 1_000_000_000;
                rows.RawDevice[row] = kind == EntryKind.CharacterDevice ? 1UL << 32 | 3 : 0;
                rows.Xattrs[row] = XattrList.Encode([("trusted.holdfast"u8.ToArray(), "1"u8.ToArray())]);
                target.Add(rows, row);
            }
            Assert.Equal(3, target.Finish().Others);
            Assert.Empty(target.Problems);
            Assert.DoesNotContain(target.Refusals, r => r.What != "extended attributes"); // not every file system has them
        }
        foreach (var kind in new[] { EntryKind.CharacterDevice, EntryKind.Fifo })
            Assert.Equal("65534 65534 666 1000000000", Run("stat", "-c", "%u %g %a %Y", folder[$"t/{kind}"]));
        Assert.Equal("65534 65534 777 1000000000", Run("stat", "-c", "%u %g %a %Y", folder[$"t/{EntryKind.Symlink}"]));
    }

    [Fact]
    public void A_further_name_is_no_copy_of_what_took_the_first_ones_place()
    {
        Assert.SkipUnless(IsRoot, "needs root to mount");
        using var folder = new TempFolder();
        File.WriteAllText(folder["secret"], "root's alone");
        Run("chmod", "600", folder["secret"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, Other));
        foreach (var name in new[] { "first", "second" })
        {
            var row = Add(rows, name, EntryKind.File, 0x1B6, Other);
            (rows.LinkCount[row], rows.Inode[row], rows.Size[row]) = (2, 5, 12);
        }
        target.WriteWhole(target.Add(rows, 1), "for everyone"u8);
        target.Add(rows, 2);
        Run("mount", "--bind", folder["secret"], folder["t/first"]); // it cannot be linked, so it would be copied
        try
        {
            Assert.SkipUnless(Look(folder["t/first"]) == "0 600", "the kernel does not mount here");
            target.Finish();
            Assert.False(File.Exists(folder["t/second"]));
            Assert.Equal(TargetFault.InTheWay, Assert.Single(target.Problems).Fault);
        }
        finally
        {
            Run("umount", folder["t/first"]);
        }
    }

    [Fact]
    public void A_further_name_is_no_link_to_what_took_the_first_ones_place()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "hard links are restored on Linux alone");
        using var folder = new TempFolder();
        var me = uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, me));
        foreach (var name in new[] { "first", "second" })
        {
            var row = Add(rows, name, EntryKind.File, 0x1A4, me);
            (rows.LinkCount[row], rows.Inode[row], rows.Size[row]) = (2, 5, 3);
        }
        target.WriteWhole(target.Add(rows, 1), "new"u8);
        target.Add(rows, 2);
        File.Move(folder["t/first"], folder["t/away"]);
        File.WriteAllText(folder["t/first"], "old"); // as long, and with the same owner and permissions
        Run("chmod", "644", folder["t/first"]);
        Assert.Equal(0, target.Finish().Names);
        Assert.False(File.Exists(folder["t/second"]));
        Assert.Equal(TargetFault.InTheWay, Assert.Single(target.Problems).Fault);
    }

    /// <summary>Reading four tebibytes of zeros takes longer than anybody waits.</summary>
    [Fact]
    public void Holes_of_a_file_that_is_copied_for_a_further_name_are_not_read()
    {
        Assert.SkipUnless(IsRoot, "needs root to mount");
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        foreach (var name in new[] { "first", "second" })
        {
            var row = Add(rows, name, EntryKind.File, 0x1A4, 0);
            (rows.LinkCount[row], rows.Inode[row], rows.Size[row], rows.Extents[row]) = (2, 5, 4L << 40, [new Extent(1L << 40, 3)]);
        }
        using (var writer = target.Open(target.Add(rows, 1)))
        {
            Assert.SkipUnless(writer is not null, "the file system takes no file this large");
            writer.Write("new"u8, 1L << 40);
            Assert.True(writer.Complete());
        }
        target.Add(rows, 2);
        Run("mount", "--bind", folder["t/first"], folder["t/first"]); // it cannot be linked, so it is copied
        try
        {
            target.Finish();
            Assert.Empty(target.Problems);
            using var copy = File.OpenHandle(folder["t/second"]);
            var bytes = new byte[5];
            RandomAccess.Read(copy, bytes, (1L << 40) - 1);
            Assert.Equal("\0new\0"u8.ToArray(), bytes);
            Assert.Equal(4L << 40, RandomAccess.GetLength(copy));
        }
        finally
        {
            Run("umount", folder["t/first"]);
        }
    }

    /// <summary>Whoever is given rights by what a folder hands down to what is made in it has them on no file that the snapshot gives to others alone.</summary>
    [Fact]
    public void What_a_folder_hands_down_is_no_part_of_what_comes_back()
    {
        Assert.SkipUnless(IsRoot, "owners and devices take root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/there"]);
        byte[] all = [2, 0, 0, 0, .. Entry(0x01, 7), .. Entry(0x02, 7, Other), .. Entry(0x04, 7), .. Entry(0x10, 7), .. Entry(0x20, 5)]; // u::rwx u:65534:rwx g::rwx m::rwx o::r-x
        foreach (var name in new[] { "t", "t/there" })
            Assert.SkipUnless(SetXattr(folder[name], "system.posix_acl_default", all, (nuint)all.Length, 0) == 0, "the file system has no ACLs");
        byte[] own = [2, 0, 0, 0, .. Entry(0x01, 6), .. Entry(0x02, 4, 12_345), .. Entry(0x04, 4), .. Entry(0x10, 4), .. Entry(0x20, 0)];
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace }))
        {
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
            target.Add(rows, Add(rows, "new", EntryKind.Directory, 0x1E8, 0));
            target.WriteWhole(target.Add(rows, Add(rows, "new/file", EntryKind.File, 0x1A0, 0)), []);
            target.Add(rows, Add(rows, "new/pipe", EntryKind.Fifo, 0x1A0, 0));
            var row = Add(rows, "other", EntryKind.File, 0x1A0, 0);
            rows.Xattrs[row] = XattrList.Encode([("system.posix_acl_access"u8.ToArray(), own)]);
            target.WriteWhole(target.Add(rows, row), []);
            target.Add(rows, Add(rows, "there", EntryKind.Directory, 0x1E8, 0));
            target.WriteWhole(target.Add(rows, Add(rows, "there/file", EntryKind.File, 0x1A0, 0)), []);
            target.Finish();
            Assert.Empty(target.Problems);
            Assert.Empty(target.Refusals);
        }
        var buffer = new byte[256];
        foreach (var name in new[] { "t/new", "t/new/file", "t/new/pipe", "t/there/file" })
        {
            Assert.Equal((name, -1), (name, GetXattr(folder[name], "system.posix_acl_access", buffer, (nuint)buffer.Length)));
            Assert.Equal((name, -1), (name, GetXattr(folder[name], "system.posix_acl_default", buffer, (nuint)buffer.Length)));
        }
        Assert.Equal(["0 750", "0 640", "0 640", "0 640"], new[] { "t/new", "t/new/file", "t/new/pipe", "t/there/file" }.Select(n => Look(folder[n])));
        Assert.Equal(own, buffer[..(int)GetXattr(folder["t/other"], "system.posix_acl_access", buffer, (nuint)buffer.Length)]);

        static byte[] Entry(byte tag, byte rights, uint id = uint.MaxValue) => [tag, 0, rights, 0, .. BitConverter.GetBytes(id)];
    }

    /// <summary>Permissions look the same with and without a list whose mask is the group's.</summary>
    [Fact]
    public void A_file_that_stays_keeps_no_list_of_rights_that_the_snapshot_has_not()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "lists of rights as Linux has them");
        using var folder = new TempFolder();
        var me = uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        byte[] list = [2, 0, 0, 0, .. Entry(0x01, 6), .. Entry(0x02, 4, Other), .. Entry(0x04, 0), .. Entry(0x10, 4), .. Entry(0x20, 0)]; // u::rw- u:65534:r-- g::--- m::r-- o::---
        for (var run = 0; run < 2; run++)
        {
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, me));
            var file = target.Add(rows, Add(rows, "file", EntryKind.File, 0x1A0, me));
            Assert.Equal(run == 1, file < 0); // it is kept the second time
            if (run == 0)
                target.WriteWhole(file, []);
            target.Finish();
            Assert.Empty(target.Problems);
            if (run == 0)
                Assert.SkipUnless(SetXattr(folder["t/file"], "system.posix_acl_access", list, (nuint)list.Length, 0) == 0, "the file system has no ACLs");
        }
        Assert.Equal("640", Run("stat", "-c", "%a", folder["t/file"]));
        Assert.Equal(-1, GetXattr(folder["t/file"], "system.posix_acl_access", new byte[256], 256));

        static byte[] Entry(byte tag, byte rights, uint id = uint.MaxValue) => [tag, 0, rights, 0, .. BitConverter.GetBytes(id)];
    }

    /// <summary>The capability to act as root, for one, moves neither size, times nor bytes.</summary>
    [Theory]
    [InlineData("user.planted", false)]
    [InlineData("trusted.planted", true)]
    [InlineData("security.capability", true)]
    public void What_has_an_attribute_that_the_snapshot_has_not_does_not_stay_as_it_is(string planted, bool takesRoot)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && (IsRoot || !takesRoot), "attributes as Linux has them, some of root alone");
        using var folder = new TempFolder();
        var me = uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        byte[] value = [1, 0, 0, 2, .. BitConverter.GetBytes(1 << 10), .. new byte[12]]; // VFS_CAP_REVISION_2, effective; one capability
        var own = XattrList.Encode([("user.own"u8.ToArray(), "1"u8.ToArray())]);
        for (var run = 0; run < 3; run++)
        {
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, me));
            rows.Xattrs[Add(rows, "file", EntryKind.File, 0x1ED, me)] = own;
            var file = target.Add(rows, 1);
            Assert.Equal((run, run == 1), (run, file < 0)); // it is kept the second time
            if (file >= 0)
                target.WriteWhole(file, []);
            rows.Xattrs[Add(rows, "folder", EntryKind.Directory, 0x1ED, me)] = own;
            target.Add(rows, 2);
            target.Finish();
            Assert.Empty(target.Problems);
            Assert.SkipUnless(target.Refusals.Count == 0, "the file system has no attributes");
            if (run != 1)
                continue;
            Assert.Equal(0, SetXattr(folder["t/file"], planted, value, (nuint)value.Length, 0));
            if (!planted.StartsWith("security.", StringComparison.Ordinal)) // of a folder it means nothing
                Assert.Equal(0, SetXattr(folder["t/folder"], planted, value, (nuint)value.Length, 0));
        }
        foreach (var name in new[] { "t/file", "t/folder" })
        {
            Assert.Equal((name, -1), (name, GetXattr(folder[name], planted, new byte[64], 64)));
            Assert.Equal((name, 1), (name, GetXattr(folder[name], "user.own", new byte[64], 64)));
        }
    }

    /// <summary>A machine that is restored over itself, with the keys or the vault on its own disk.</summary>
    [Theory]
    [InlineData(ExistingFiles.Replace)]
    [InlineData(ExistingFiles.KeepEqual)]
    public void What_the_restore_itself_needs_is_not_written_over(ExistingFiles existing)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "folders are told by their inodes");
        using var folder = new TempFolder();
        var me = uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        Directory.CreateDirectory(folder["t/a/keys/old"]);
        File.WriteAllText(folder["t/a/keys/opening.key"], "mine");
        File.WriteAllText(folder["t/a/file"], "older");
        Run("chmod", "700", folder["t/a/keys"]);
        Directory.CreateSymbolicLink(folder["way"], folder["t/a/keys"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = existing, Forbidden = [folder["none"], folder["way"]] });
        var rows = new EntryBatch();
        string[] paths = ["", "a/", "a/file", "a/keys/", "a/keys/old/", "a/keys/old/file", "a/keys/opening.key", "a/keys-beside"];
        foreach (var path in paths.OrderBy(p => Encoding.UTF8.GetBytes(p.TrimEnd('/')), Comparer<byte[]>.Create((l, r) => TreePath.Compare(l, r))))
        {
            var isFolder = path.Length == 0 || path.EndsWith('/');
            var row = Add(rows, path.TrimEnd('/'), isFolder ? EntryKind.Directory : EntryKind.File, 0x1ED, me);
            rows.Size[row] = isFolder ? 0 : 3;
            if (target.Add(rows, row) is >= 0 and var file)
                target.WriteWhole(file, "new"u8);
        }
        target.Finish();
        Assert.Equal(["mine", "new", "new"], new[] { "t/a/keys/opening.key", "t/a/keys-beside", "t/a/file" }.Select(n => File.ReadAllText(folder[n])));
        Assert.False(File.Exists(folder["t/a/keys/old/file"]));
        Assert.EndsWith(" 700", Look(folder["t/a/keys"]), StringComparison.Ordinal);
        var problem = Assert.Single(target.Problems);
        Assert.Equal((TargetFault.InUse, "a/keys", 4), (problem.Fault, Encoding.UTF8.GetString(problem.Path!), problem.Entries));
    }

    [Fact]
    public void The_key_folder_is_no_target_under_another_name_either()
    {
        Assert.SkipUnless(IsRoot, "needs root to mount");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["keys"]);
        Directory.CreateDirectory(folder["t"]);
        Run("mount", "--bind", folder["keys"], folder["t"]);
        try
        {
            Assert.SkipUnless(Run("stat", "-c", "%i", folder["t"]) == Run("stat", "-c", "%i", folder["keys"]), "the kernel does not mount here");
            Assert.Equal(ErrorCode.TargetUnsafe, Assert.Throws<HoldfastException>(() => FileTarget.Create(folder["t"], new FileTargetOptions { Forbidden = [folder["keys"]] })).Code);
        }
        finally
        {
            Run("umount", folder["t"]);
        }
    }

    [LibraryImport("libc", EntryPoint = "setfsuid")]
    private static partial int ActAs(uint user);

    /// <summary>A user sets attributes of a file that is open to writing alone, and lists of rights may close it.</summary>
    [Fact]
    public void Attributes_of_a_file_that_its_owner_may_not_write_are_set_once_and_stay()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "attributes as Linux has them");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        if (IsRoot)
        {
            Assert.Equal(0, Give(folder["t"], Other, Other));
            Run("chmod", "755", folder.Path);
        }
        var me = IsRoot ? Other : uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        byte[] list = [2, 0, 0, 0, .. Entry(0x01, 4), .. Entry(0x02, 4, 12_345), .. Entry(0x04, 4), .. Entry(0x10, 4), .. Entry(0x20, 0)]; // u::r-- u:12345:r-- g::r-- m::r-- o::---
        var refusals = new List<string>();
        var kept = 0L;
        var user = new Thread(() =>
        {
            if (IsRoot)
                _ = ActAs(Other); // of this thread alone
            for (var run = 0; run < 2; run++)
            {
                using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
                var rows = new EntryBatch();
                target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, me));
                var row = Add(rows, "file", EntryKind.File, 0x120, me);
                rows.Xattrs[row] = XattrList.Encode([("system.posix_acl_access"u8.ToArray(), list), ("user.note"u8.ToArray(), "1"u8.ToArray())]);
                var file = target.Add(rows, row);
                if (file >= 0)
                    target.WriteWhole(file, []);
                kept = target.Finish().Kept;
                refusals.AddRange(target.Refusals.Where(r => r.What is "extended attributes" or "access control lists").Select(r => $"{run}: {r}"));
            }
        });
        user.Start();
        user.Join();
        Assert.SkipWhen(refusals.Exists(r => r.Contains("not supported", StringComparison.Ordinal)), "the file system has no attributes");
        Assert.Empty(refusals);
        Assert.Equal(1, kept);
        Assert.Equal(1, GetXattr(folder["t/file"], "user.note", new byte[64], 64));
        Assert.Equal(list.Length, GetXattr(folder["t/file"], "system.posix_acl_access", new byte[64], 64));

        static byte[] Entry(byte tag, byte rights, uint id = uint.MaxValue) => [tag, 0, rights, 0, .. BitConverter.GetBytes(id)];
    }

    [Fact]
    public void What_is_made_in_a_folder_that_gives_its_group_has_the_group_of_the_snapshot()
    {
        Assert.SkipUnless(IsRoot, "groups of others take root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/there"]);
        Assert.Equal(0, Give(folder["t/there"], Other, Other));
        Run("chmod", "2777", folder["t/there"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
        target.Add(rows, Add(rows, "there", EntryKind.Directory, 0x1ED, 0));
        target.WriteWhole(target.Add(rows, Add(rows, "there/file", EntryKind.File, 0x1A0, 0)), []);
        target.Add(rows, Add(rows, "there/pipe", EntryKind.Fifo, 0x1A0, 0));
        target.Finish();
        Assert.Empty(target.Problems);
        Assert.Empty(target.Refusals);
        foreach (var name in new[] { "t/there", "t/there/file", "t/there/pipe" })
            Assert.Equal((name, "0 0"), (name, Run("stat", "-c", "%u %g", folder[name])));
    }

    [Fact]
    public void What_is_its_owners_alone_stays_open_to_nobody_else()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "permissions as Linux has them");
        using var folder = new TempFolder();
        var me = uint.Parse(Run("id", "-u"), System.Globalization.CultureInfo.InvariantCulture);
        for (var run = 0; run < 2; run++)
        {
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, me));
            var file = target.Add(rows, Add(rows, "file", EntryKind.File, 0x180, me));
            target.Add(rows, Add(rows, "folder", EntryKind.Directory, 0x180, me));
            Assert.Equal(run == 1, file < 0); // it is kept the second time
            if (run == 0)
                target.WriteWhole(file, []);
            target.Finish();
            Assert.Empty(target.Problems);
            Assert.Equal(["600", "600"], new[] { "file", "folder" }.Select(n => Run("stat", "-c", "%a", folder[$"t/{n}"])));
            Run("chmod", "644", folder["t/file"]);
        }
    }

    /// <summary>A target with a folder pub that holds something, and what a restore over it makes of pub.</summary>
    static (string Pub, IReadOnlyCollection<AttributeRefusal> Refusals) Over(TempFolder folder, uint targetOwner, uint pubOwner, uint entryOwner, bool isEmpty = false, ExistingFiles existing = ExistingFiles.Replace)
    {
        Directory.CreateDirectory(folder["t/pub"]);
        if (!isEmpty)
            File.WriteAllText(folder["t/pub/s"], "");
        Run("chmod", "700", folder["t/pub"]);
        Assert.Equal(0, Give(folder["t/pub"], pubOwner, pubOwner));
        Assert.Equal(0, Give(folder["t"], targetOwner, targetOwner));
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = existing });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, targetOwner));
        target.Add(rows, Add(rows, "pub", EntryKind.Directory, 0x1ED, entryOwner));
        target.Finish();
        Assert.Empty(target.Problems);
        return (Look(folder["t/pub"]), target.Refusals);
    }

    [Theory]
    [InlineData(0u, Other)] // root's
    [InlineData(0u, 0u)] // root's, and the snapshot's too, with other permissions
    [InlineData(12_345u, Other)] // a third user's
    [InlineData(12_345u, 12_345u)]
    public void What_others_may_have_moved_there_is_not_given_away(uint pubOwner, uint entryOwner)
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        using var folder = new TempFolder();
        var (pub, refusals) = Over(folder, Other, pubOwner, entryOwner);
        Assert.Equal($"{pubOwner} 700", pub);
        Assert.Equal(pubOwner == entryOwner ? ["permissions"] : ["owners", "permissions"], refusals.Select(r => r.What).Order(StringComparer.Ordinal));
        Assert.All(refusals, r => Assert.Equal((1, "pub"), (r.Entries, Encoding.UTF8.GetString(Assert.Single(r.Paths)))));
    }

    /// <summary>Rights that somebody has on a folder which stays as it is, and the snapshot gives nobody.</summary>
    [Theory]
    [InlineData("system.posix_acl_default", "access control lists")]
    [InlineData("system.posix_acl_access", "access control lists")]
    [InlineData("user.planted", "extended attributes")]
    [InlineData(null, null)]
    public void What_a_folder_has_that_stays_and_the_snapshot_has_not_is_told(string? planted, string? told)
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        using var folder = new TempFolder();
        byte[] list = [2, 0, 0, 0, .. Entry(0x01, 7), .. Entry(0x02, 7, 12_345), .. Entry(0x04, 5), .. Entry(0x10, 5), .. Entry(0x20, 5)];
        Directory.CreateDirectory(folder["t/pub/in it"]);
        Run("chmod", "755", folder["t/pub"]);
        Assert.SkipUnless(planted is null || SetXattr(folder["t/pub"], planted, list, (nuint)list.Length, 0) == 0, "the file system has no attributes");
        Assert.Equal(0, Give(folder["t"], Other, Other));
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, Other));
        target.Add(rows, Add(rows, "pub", EntryKind.Directory, 0x1ED, 0));
        target.Finish();
        Assert.Empty(target.Problems);
        Assert.Equal(told is null ? [] : [(told, 1L)], target.Refusals.Select(r => (r.What, r.Entries)));

        static byte[] Entry(byte tag, byte rights, uint id = uint.MaxValue) => [tag, 0, rights, 0, .. BitConverter.GetBytes(id)];
    }

    [Theory]
    [InlineData(0u, 0u, Other, false)] // an earlier run's, or an admin's, in a folder of root's
    [InlineData(0u, 12_345u, Other, false)] // nobody but root can have put it there
    [InlineData(Other, Other, Other, false)] // it is the user's own, in the user's own
    [InlineData(Other, Other, 12_345u, false)]
    [InlineData(Other, Other, 0u, false)] // the user restored it, and root sets what the user might not
    [InlineData(Other, 0u, Other, true)] // nothing lies in it
    public void A_folder_that_was_there_gets_the_owner_it_should_have(uint targetOwner, uint pubOwner, uint entryOwner, bool isEmpty)
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        foreach (var existing in new[] { ExistingFiles.Replace, ExistingFiles.KeepEqual })
        {
            using var folder = new TempFolder();
            var (pub, refusals) = Over(folder, targetOwner, pubOwner, entryOwner, isEmpty, existing);
            Assert.Equal($"{entryOwner} 755", pub);
            Assert.Empty(refusals);
        }
    }

    [Fact]
    public void A_folder_that_is_as_it_should_be_is_no_refusal()
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        using var folder = new TempFolder();
        for (var run = 0; run < 2; run++)
        {
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, Other));
            target.Add(rows, Add(rows, "theirs", EntryKind.Directory, 0x140, 12_345)); // not even its owner may write
            target.Add(rows, Add(rows, "theirs/in it", EntryKind.Directory, 0x1ED, 0));
            target.Finish();
            Assert.Empty(target.Problems);
            Assert.Empty(target.Refusals);
            Assert.Equal("12345 500", Look(folder["t/theirs"]));
            Assert.Equal("0 755", Look(folder["t/theirs/in it"]));
        }
    }

    [Theory]
    [InlineData(ExistingFiles.Replace)]
    [InlineData(ExistingFiles.Refuse)]
    public void A_folder_that_took_anothers_place_gets_nothing_of_it(ExistingFiles existing)
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        Assert.Equal(0, Give(folder["t"], Other, Other));
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = existing });
        var rows = new EntryBatch();
        target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, Other));
        target.Add(rows, Add(rows, "pub", EntryKind.Directory, 0x1ED, Other));
        Directory.Move(folder["t/pub"], folder["t/away"]);
        Directory.CreateDirectory(folder["t/pub"]);
        Run("chmod", "700", folder["t/pub"]);
        File.WriteAllText(folder["t/pub/s"], "root's alone");
        target.Finish();
        Assert.Equal("0 700", Look(folder["t/pub"]));
        var problem = Assert.Single(target.Problems);
        Assert.Equal((TargetFault.InTheWay, "pub"), (problem.Fault, Encoding.UTF8.GetString(problem.Path!)));
    }

    [Fact]
    public void A_new_tree_in_a_users_folder_gets_its_owners()
    {
        Assert.SkipUnless(IsRoot, "folders of another user take root");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t"]);
        Assert.Equal(0, Give(folder["t"], Other, Other));
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        string[] paths = ["", "a", "a/b", "a/b/c", "d"];
        foreach (var path in paths)
            target.Add(rows, Add(rows, path, EntryKind.Directory, 0x1ED, path.Length < 2 ? Other : 12_345));
        Assert.Equal(4, target.Finish().Folders);
        Assert.Empty(target.Problems);
        Assert.Empty(target.Refusals);
        foreach (var path in paths)
            Assert.Equal(path.Length < 2 ? "65534 755" : "12345 755", Look(folder[$"t/{path}"]));
    }
}
