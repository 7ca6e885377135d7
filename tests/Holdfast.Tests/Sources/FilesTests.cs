using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Sources;

public sealed partial class FilesTests
{
    static bool IsRoot => Environment.UserName == "root";

    static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {error.Result}");
        return text;
    }

    static bool Has(string program) => Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, program)));

    static void Shell(string folder, string script) => Run("bash", "-c", $"set -e; cd '{folder}'; {script}");

    /// <summary>Everything rsync can see of a tree, ACLs, attributes, hard links and times among it, must be the same.</summary>
    static void AssertSameForRsync(string source, string target) =>
        Assert.Equal("", Run("rsync", "-aHAXn", "--numeric-ids", "--checksum", "--itemize-changes", "--delete", source + "/", target + "/"));

    // By name: the order in a folder is the file system's own.
    static string AccessLists(string folder) => Run("bash", "-c", $"cd '{folder}' && find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl");

    [Theory]
    [InlineData(null)]
    [InlineData("xfs")]
    [InlineData("btrfs")]
    public void Every_attribute_comes_back(string? fileSystem)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Has("rsync") && Has("setfacl") && Has("setfattr"), "needs Linux with rsync, setfacl and setfattr");
        using var disk = fileSystem is null ? null : LoopDisk.TryMake(fileSystem);
        Assert.SkipUnless(fileSystem is null || disk is not null, $"needs root, mkfs.{fileSystem} and a kernel that knows {fileSystem}");
        using var test = new TestVault(parent: disk?.Path); // source, vault and target
        Shell(test.Source, """
            mkdir -p empty deep/er 'sp ace' private
            echo one > file; echo two > deep/er/file; : > nothing
            chmod 0640 file; chmod 4755 deep/er/file; chmod 1777 empty; chmod 0700 private; chmod 2755 deep
            ln file hard1; ln file deep/hard2
            ln -s file link; ln -s /nowhere/at/all dangling; ln -s ../.. up; ln -s "$(printf 'x%.0s' $(seq 1 1000))" long
            mkfifo pipe
            truncate -s 10M sparse; printf data | dd of=sparse bs=1 seek=5000000 conv=notrunc 2>/dev/null
            truncate -s 3M allhole
            printf 'a' > "$(printf 'caf\351')"; printf 'b' > "$(printf 'new\nline')"; printf 'c' > '-rf'
            setfattr -n user.note -v 'text' file; setfattr -n user.binary -v 0x00ff00 deep
            setfacl -m u:65534:r file; setfacl -d -m g:65534:rx deep
            touch -d '2001-02-03 04:05:06.123456789' file; touch -h -d '1969-12-31 23:59:58.5 UTC' link; touch -d '1999-01-01' deep
            """);
        if (IsRoot)
            Shell(test.Source, "mknod null c 1 3; mknod loop b 7 0; chown 1234:5678 deep/er/file; chmod 6755 deep/er/file; chown -h 42:43 link; setfattr -n trusted.mark -v 1 empty");
        Shell(test.Source, "head -c 20000000 /dev/urandom > large; head -c 9000001 /dev/urandom > odd"); // written past the page cache
        test.BackUp();
        var restored = test.Restore();
        AssertSameForRsync(test.Source, restored);
        Assert.True(test.Verify(full: true).IsSound);
        Assert.Equal(AccessLists(test.Source), AccessLists(restored));
        Assert.Equal(Run("stat", "-c", "%b", Path.Combine(test.Source, "allhole")), Run("stat", "-c", "%b", Path.Combine(restored, "allhole")));
        Assert.True(long.Parse(Run("stat", "-c", "%b", Path.Combine(restored, "sparse")), System.Globalization.CultureInfo.InvariantCulture) < 1000, "holes are kept");
        Assert.Equal(Run("stat", "-c", "%i", Path.Combine(restored, "hard1")), Run("stat", "-c", "%i", Path.Combine(restored, "deep/hard2")));
        // And the second run, from the state, gives the same.
        test.BackUp();
        AssertSameForRsync(test.Source, test.Restore());
    }

    [Fact]
    public async Task Who_an_access_list_names_is_known_by_name_and_mapped_like_an_owner()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Has("setfacl") && Has("getfacl"), "needs Linux with setfacl and getfacl");
        using var test = new TestVault();
        test.Write("chart", "chart");
        Shell(test.Source, "setfacl -m u:1:r,g:2:r,u:54321:r chart");
        await Task.Delay(2_500, TestContext.Current.CancellationToken); // what changed later than that before a run is read again by the next
        for (var run = 0; run < 2; run++) // the second takes the attributes from the first
        {
            test.BackUp();
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            var tree = vault.Describe(vault.Find("latest"), keys);
            Assert.Equal("daemon", Encoding.UTF8.GetString(tree.Users[1]));
            Assert.Equal("bin", Encoding.UTF8.GetString(tree.Groups[2]));
            Assert.DoesNotContain(54321u, tree.Users.Keys);
        }

        // Elsewhere other numbers have these names.
        byte[] list = [2, 0, 0, 0, .. Entry(1, 6, uint.MaxValue), .. Entry(2, 4, 4001), .. Entry(2, 4, 4002), .. Entry(4, 4, uint.MaxValue), .. Entry(8, 4, 4001), .. Entry(16, 4, uint.MaxValue), .. Entry(32, 0, uint.MaxValue)];
        using var folder = new TempFolder();
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions { MapOwnersByName = true }))
        {
            target.SetOwnerNames(new Dictionary<uint, byte[]> { [4001] = "daemon"u8.ToArray(), [4003] = "no such user"u8.ToArray() }, new Dictionary<uint, byte[]> { [4001] = "bin"u8.ToArray() });
            var rows = new EntryBatch();
            var root = rows.Add(""u8);
            (rows.Kind[root], rows.Mode[root], rows.LinkCount[root]) = (EntryKind.Directory, 0x1ED, 1);
            target.Add(rows, root);
            var file = rows.Add("f"u8);
            (rows.Kind[file], rows.Mode[file], rows.LinkCount[file], rows.Size[file]) = (EntryKind.File, 0x1A0, 1, 1);
            rows.Xattrs[file] = XattrList.Encode([("system.posix_acl_access"u8.ToArray(), list)]);
            Assert.True(target.WriteWhole(target.Add(rows, file), "x"u8));
            var other = rows.Add("g"u8);
            (rows.Kind[other], rows.Mode[other], rows.LinkCount[other], rows.Uid[other]) = (EntryKind.File, 0x1A0, 1, 4003);
            Assert.True(target.WriteWhole(target.Add(rows, other), []));
            target.Finish();
            Assert.Empty(target.Problems);
            Assert.Equal([("names in access control lists", 1L), ("names of owners", 1L)], target.Refusals.Where(r => r.What != "owners").Select(r => (r.What, r.Entries))); // of 4002 and 4003
        }
        var rights = Run("getfacl", "-cn", "--absolute-names", folder["t/f"]).Split('\n');
        Assert.Equal(["group:2:r--", "user:1:r--", "user:4002:r--"], rights.Where(l => l.Count(c => c == ':') == 2 && !l.Contains("::", StringComparison.Ordinal)).Order(StringComparer.Ordinal));

        static byte[] Entry(byte tag, byte rights, uint id) => [tag, 0, rights, 0, .. BitConverter.GetBytes(id)];
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Fcntl(Microsoft.Win32.SafeHandles.SafeFileHandle file, int command, int argument);

    /// <summary>A file server takes leases for its clients, and gives them back when somebody else opens the file: until then it is not to be had.</summary>
    [Fact]
    public async Task A_file_that_somebody_has_a_lease_on_is_kept()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "leases are Linux's");
        using var test = new TestVault();
        test.Write("leased", "chart");
        using var lease = File.OpenHandle(Path.Combine(test.Source, "leased"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Assert.Equal(0, Fcntl(lease, 10, 23)); // F_SETSIG, SIGURG: nobody ends of it
        Assert.Equal(0, Fcntl(lease, 1024, 1)); // F_SETLEASE, F_WRLCK
        var backup = Task.Run(() => test.BackUp(), TestContext.Current.CancellationToken);
        while (Fcntl(lease, 1025, 0) == 1) // F_GETLEASE: until the system asks for it back
            await Task.Delay(10, TestContext.Current.CancellationToken);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        Assert.False(backup.IsCompleted);
        Assert.Equal(0, Fcntl(lease, 1024, 2)); // F_UNLCK
        await backup;
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [LibraryImport("libc", EntryPoint = "setxattr", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetXattr(string path, string name, ReadOnlySpan<byte> value, nuint size, int flags);

    /// <summary>More attributes than a tree holds, and more than the kernel lists: on a file that is read, on one that is not, and on a folder.</summary>
    [Theory]
    [InlineData(4_200)]
    [InlineData(7_000)]
    public void Attributes_that_cannot_be_read_are_told_in_every_run(int count)
    {
        using var disk = LoopDisk.TryMake("xfs");
        Assert.SkipUnless(disk is not null, "needs root, mkfs.xfs and a kernel that knows xfs");
        using var test = new TestVault(parent: disk.Path);
        test.Write("file", "some");
        test.Write("empty", "");
        test.Write("folder/plain", "more");
        foreach (var name in new[] { "file", "empty", "folder" })
        {
            for (var i = 0; i < count; i++)
                Assert.Equal(0, SetXattr(Path.Combine(test.Source, name), $"user.{i:x4}", [], 0, 0));
        }
        for (var run = 0; run < 2; run++)
        {
            Assert.Equal(3UL, test.BackUp().Archive.Problems);
            TestVault.AssertSame(test.Source, test.Restore()); // the entries themselves are there
        }
    }

    [Fact]
    public void A_socket_is_skipped_and_said()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux");
        using var test = new TestVault();
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
        socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(Path.Combine(test.Source, "s")));
        using var source = FileSource.Open(test.Source, new FileSourceOptions());
        Assert.Equal([""], Paths(source));
        Assert.Equal(ProblemKind.Skipped, Assert.Single(source.Problems).Kind);
    }

    static List<string> Paths(ISource source)
    {
        var pool = new EntryBatchPool();
        var paths = new List<string>();
        byte[]? last = null;
        foreach (var batch in source.Walk(pool, CancellationToken.None))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                Assert.True(last is null || TreePath.Compare(last, batch.Path(i)) < 0, "tree order");
                last = batch.Path(i).ToArray();
                paths.Add(Encoding.UTF8.GetString(last));
            }
            pool.Return(batch);
        }
        return paths;
    }

    [Fact]
    public void Paths_far_beyond_what_the_system_takes_go_there_and_back()
    {
        Assert.SkipUnless(Has("python3"), "needs python3 to make such a path");
        using var test = new TestVault();
        // 60 folders of 200 characters: 12,000 bytes; and 1,500 folders deep.
        Run("python3", "-c", $"""
            import os
            os.chdir({Quote(test.Source)})
            for i in range(60):
                os.mkdir('n' * 200); os.chdir('n' * 200)
            open('end', 'w').write('far')
            os.chdir({Quote(test.Source)})
            for i in range(1500):
                os.mkdir('d'); os.chdir('d')
            open('end', 'w').write('deep')
            """);
        var result = test.BackUp();
        Assert.Equal(2UL, result.Archive.Files);
        Assert.Equal(1563UL, result.Archive.Entries);
        var restored = test.Restore();
        Assert.Equal("far deep", Run("python3", "-c", $"""
            import os
            def end(name, count):
                os.chdir({Quote(restored)})
                for i in range(count): os.chdir(name)
                return open('end').read()
            print(end('n' * 200, 60), end('d', 1500))
            """).Trim());
        Run("rm", "-rf", test.Source, restored);
    }

    [Fact]
    public void What_lies_deeper_than_a_snapshot_has_room_for_is_told_and_the_rest_is_kept()
    {
        Assert.SkipUnless(Has("python3"), "needs python3 to make such a path");
        using var test = new TestVault();
        Run("python3", "-c", $"""
            import os
            os.chdir({Quote(test.Source)})
            for i in range({TreePath.MaxDepth}):
                os.mkdir('d'); os.chdir('d')
            os.mkdir('e'); open('f', 'w').close()
            """);
        using (var source = FileSource.Open(test.Source, new FileSourceOptions()))
        {
            using var vault = test.Open();
            var result = vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State), test.Keys.Put, test.Keys.Agent, new BackupProgress(), CancellationToken.None);
            Assert.Equal((TreePath.MaxDepth + 1UL, 2UL), (result.Archive.Entries, result.Archive.Problems));
            Assert.All(source.Problems, p => Assert.Equal(ProblemKind.PathTooLong, p.Kind));
            using var keys = vault.Unlock(test.Seed);
            Assert.Equal(TreePath.MaxDepth + 1, vault.Rows(vault.Find("latest"), keys, CancellationToken.None).Sum(rows => rows.Count));
        }
        Run("rm", "-rf", test.Source);
    }

    [Fact]
    public void Attributes_beyond_what_a_snapshot_has_room_for_are_told_each_time_and_the_rest_is_kept()
    {
        Assert.SkipUnless(Has("python3") && Directory.Exists("/dev/shm"), "needs python3 and a file system that takes so many");
        using var test = new TestVault(parent: "/dev/shm");
        test.Write("file", "text");
        Directory.CreateDirectory(Path.Combine(test.Source, "folder"));
        var made = Run("python3", "-c", $"""
            import os
            try:
                for name in 'file', 'folder':
                    for i in range(40):
                        os.setxattr({Quote(test.Source)} + '/' + name, 'user.%02d' % i, b'x' * 65000)
                print('all')
            except OSError: pass
            """).Trim();
        Assert.SkipUnless(made == "all", "this file system does not take so many");
        for (var run = 0; run < 2; run++)
        {
            Assert.Equal(2UL, test.BackUp().Archive.Problems);
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            var kept = vault.Rows(vault.Find("latest"), keys, CancellationToken.None)
                .SelectMany(rows => Enumerable.Range(0, rows.Count).Select(row => (Encoding.UTF8.GetString(rows.Path(row)), rows.Xattrs[row]?[0] ?? 0))).ToList();
            Assert.Equal([("", 0), ("file", 32), ("folder", 32)], kept);
        }
    }

    static string Quote(string text) => $"'{text}'";

    [Fact] // A million take too long for every run; docs/performance.md has what they take. In memory, where there is such a folder: a disk is slow at making and removing so many.
    public void A_folder_of_two_hundred_thousand_entries_comes_back_in_part_and_whole()
    {
        const int count = 200_000;
        using var test = new TestVault();
        var folder = Directory.CreateDirectory(Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : test["large"], $"holdfast-test-{Id16.New()}")).FullName;
        try
        {
            var from = Directory.CreateDirectory(Path.Combine(folder, "source")).FullName;
            static string NameOf(int i) => $"{i * 7919L % 200_003:x}";
            static byte[] ContentOf(int i) => i % 100 == 0 ? Encoding.UTF8.GetBytes($"{i}") : [];
            for (var i = 0; i < count; i++)
                File.WriteAllBytes(Path.Combine(from, NameOf(i)), ContentOf(i));
            using var vault = test.Open();
            using (var source = FileSource.Open(from, new FileSourceOptions()))
            {
                Assert.Equal(count + 1, Paths(source).Count);
                vault.BackUp(source, new Holdfast.Core.Backup.BackupRequest("large"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test.State), test.Keys.Put, test.Keys.Agent, new Holdfast.Core.Backup.BackupProgress(), TestContext.Current.CancellationToken);
            }
            using var keys = vault.Unlock(test.Seed);
            List<string> Restored(string name, Holdfast.Core.Restore.PathFilter.Matcher? matches)
            {
                using var writer = FileTarget.Create(Path.Combine(folder, name), new FileTargetOptions());
                Assert.Equal(0, vault.Restore(vault.Find("latest"), keys, writer, new Holdfast.Core.Restore.PathFilter(matches), new Holdfast.Core.Restore.RestoreProgress(), 2, TestContext.Current.CancellationToken).Failed);
                return [.. Directory.EnumerateFiles(Path.Combine(folder, name)).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];
            }
            var names = Enumerable.Range(0, count).Select(NameOf).Order(StringComparer.Ordinal).ToList();

            Assert.Equal(names.Where(n => (n.Length == 2 && n[0] == '1') || n.StartsWith("2a", StringComparison.Ordinal)), Restored("part", path => Glob.Match("1?"u8, path) || Glob.Match("2a*"u8, path)));
            Assert.Equal(names, Restored("whole", null));
            for (var i = 0; i < count; i++)
                Assert.Equal(ContentOf(i), File.ReadAllBytes(Path.Combine(folder, "whole", NameOf(i))));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_file_swapped_for_a_symlink_between_walk_and_open_is_not_followed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux");
        using var test = new TestVault();
        test.Write("secret/target", "not to be read through a link");
        test.Write("d/victim", "plain");
        using var source = FileSource.Open(test.Source, new FileSourceOptions());
        var batch = source.Walk(new EntryBatchPool(), CancellationToken.None).Single();
        var row = Enumerable.Range(0, batch.Count).Single(i => batch.Path(i).SequenceEqual("d/victim"u8));
        File.Delete(Path.Combine(test.Source, "d/victim"));
        File.CreateSymbolicLink(Path.Combine(test.Source, "d/victim"), "../secret/target");
        Assert.Null(source.Open(batch, row));
        Directory.Delete(Path.Combine(test.Source, "d"), recursive: true);
        Directory.CreateSymbolicLink(Path.Combine(test.Source, "d"), "secret");
        File.Move(Path.Combine(test.Source, "secret/target"), Path.Combine(test.Source, "secret/victim"));
        using var fresh = FileSource.Open(test.Source, new FileSourceOptions());
        Assert.Null(fresh.Open(batch, row));
        Assert.Contains(source.Problems, p => p.Kind == ProblemKind.Vanished);
    }

    [Fact]
    public void A_vanished_file_is_listed_and_left_out()
    {
        using var test = new TestVault();
        test.Write("gone", "x");
        test.Write("stays", "y");
        using var source = FileSource.Open(test.Source, new FileSourceOptions());
        var batch = source.Walk(new EntryBatchPool(), CancellationToken.None).Single();
        File.Delete(Path.Combine(test.Source, "gone"));
        Assert.Null(source.Open(batch, 1));
        Assert.Equal(ProblemKind.Vanished, Assert.Single(source.Problems).Kind);
    }

    [Fact]
    public void Caches_excludes_and_the_vault_itself_are_left_out()
    {
        using var test = new TestVault();
        test.Write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
        test.Write("cache/big", "x");
        test.Write("fake/CACHEDIR.TAG", "not the signature");
        test.Write("fake/kept", "x");
        test.Write("a.tmp", "x");
        test.Write("keep.tmp", "x");
        test.Write("vault/packs", "x");
        using var source = FileSource.Open(test.Source, new FileSourceOptions { Excludes = new Excludes().AddLines(["*.tmp", "!keep.tmp"]), SkipFolders = [Path.Combine(test.Source, "vault")], SkipCaches = true });
        Assert.Equal(["", "cache", "cache/CACHEDIR.TAG", "fake", "fake/CACHEDIR.TAG", "fake/kept", "keep.tmp"], Paths(source));
        // Only where it was asked for: anybody could mark a folder so.
        using var all = FileSource.Open(test.Source, new FileSourceOptions());
        Assert.Contains("cache/big", Paths(all));
    }

    [Fact]
    public void Excludes_that_leave_nothing_are_told_before_the_end()
    {
        using var test = new TestVault();
        test.Write("a/b", "x");
        foreach (var (exclude, isTold) in new[] { ("*", true), ("/a", true), ("b", false), ("c", false) })
        {
            var told = false;
            using var source = FileSource.Open(test.Source, new FileSourceOptions { Excludes = new Excludes().AddLines([exclude]), WhenEmpty = () => told = true });
            Assert.NotEmpty(Paths(source));
            Assert.Equal(isTold, told);
        }
    }

    [Fact]
    public void What_excludes_leave_out_is_counted_once_each_and_a_folder_as_one()
    {
        using var test = new TestVault();
        foreach (var name in new[] { "a/1.tmp", "a/2.tmp", "a/kept", "b.tmp/deep/3.tmp", "keep.tmp", "vault/packs" })
            test.Write(name, "x");
        var excludes = new Excludes().AddLines(["# ours", "*.tmp", "a/?.tmp", "!keep.tmp", "deep", "*.TMP"]);
        using var source = FileSource.Open(test.Source, new FileSourceOptions { Excludes = excludes, SkipFolders = [Path.Combine(test.Source, "vault")] });
        Assert.Equal(["", "a", "a/kept", "keep.tmp"], Paths(source));
        Assert.Equal(3, excludes.LeftOut); // a/1.tmp, a/2.tmp, b.tmp
        Assert.Equal(["deep", "*.TMP"], excludes.Unmatched(excludes.Count)); // what lies in b.tmp is not looked at
    }

    [Fact]
    public void A_pattern_that_another_one_decides_before_has_matched_all_the_same()
    {
        var excludes = new Excludes().AddLines(["*.tmp", "/a.tmp", "b/", "!no", "c"]);
        Assert.True(excludes.LeavesOut("a.tmp"u8, isFolder: false));
        Assert.False(excludes.LeavesOut("b"u8, isFolder: false));
        Assert.False(excludes.LeavesOut("no"u8, isFolder: false));
        Assert.True(excludes.Match("c"u8, isFolder: false)); // asks, and leaves nothing out
        Assert.Equal(1, excludes.LeftOut);
        Assert.Equal(["b/", "c"], excludes.Unmatched(excludes.Count));
        Assert.Equal(["b/"], excludes.Unmatched(4));
    }

    [Fact]
    public void One_file_system_stops_at_mount_points()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Directory.Exists("/proc/self"), "needs /proc");
        using var source = FileSource.Open("/", new FileSourceOptions { OneFileSystem = true, Excludes = new Excludes().AddLines(["/*", "!/proc"]) });
        Assert.Equal(["", "proc"], Paths(source));
    }

    [Fact]
    public void What_the_kernel_makes_up_is_not_entered()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Directory.Exists("/proc/self"), "needs /proc");
        using var source = FileSource.Open("/", new FileSourceOptions { Excludes = new Excludes().AddLines(["/*", "!/proc"]) });
        Assert.Equal(["", "proc"], Paths(source));
    }

    /// <summary>Such as a container has over files of /proc: it says 0 bytes, and would be kept as an empty file.</summary>
    [Fact]
    public void A_file_that_the_kernel_makes_up_is_left_out_where_it_is_mounted_and_told()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["s"], "");
        Directory.CreateDirectory(folder["source"]);
        File.WriteAllText(folder["source/p"], "");
        Assert.SkipUnless(OperatingSystem.IsLinux() && LoopDisk.Run("mount", "--bind", "/proc/version", folder["source/p"]), "needs root to mount");
        try
        {
            using var source = FileSource.Open(folder["source"], new FileSourceOptions());
            Assert.Equal([""], Paths(source));
            var told = Assert.Single(source.Problems);
            Assert.Equal((ProblemKind.Skipped, "p"), (told.Kind, Encoding.UTF8.GetString(told.Path)));
        }
        finally
        {
            LoopDisk.Run("umount", folder["source/p"]);
        }
    }

    /// <summary>What serves a file may not know its length. Twice: the second run compares with the first.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_that_says_it_is_empty_and_is_not_is_read_to_its_end(bool isMountedByItself)
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["fuse"]);
        Assert.SkipUnless(OperatingSystem.IsLinux() && LoopDisk.Run("bindfs", "-o", "direct_io", "/proc/sys/kernel", folder["fuse"]), "needs root and bindfs");
        Directory.CreateDirectory(folder["source"]);
        File.WriteAllText(folder["source/ostype"], "");
        var isMounted = false;
        try
        {
            Assert.Equal(0, new FileInfo(folder["fuse/ostype"]).Length);
            isMounted = isMountedByItself && LoopDisk.Run("mount", "--bind", folder["fuse/ostype"], folder["source/ostype"]);
            using var test = new TestVault();
            for (var run = 0; run < 2; run++)
            {
                using var source = FileSource.Open(folder[isMountedByItself ? "source" : "fuse"], new FileSourceOptions { Excludes = new Excludes().AddLines(["/*", "!/ostype"]) });
                using (var vault = test.Open())
                    vault.BackUp(source, new BackupRequest("source"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test.State), test.Keys.Put, test.Keys.Agent, new BackupProgress(), TestContext.Current.CancellationToken);
                Assert.Empty(source.Problems);
                Assert.Equal("Linux\n", File.ReadAllText(Path.Combine(test.Restore(), "ostype")));
            }
        }
        finally
        {
            if (isMounted)
                LoopDisk.Run("umount", folder["source/ostype"]);
            LoopDisk.Run("umount", folder["fuse"]);
        }
    }

    [Fact]
    public void Excludes_agree_with_git()
    {
        Assert.SkipUnless(Has("git"), "needs git as the judge");
        using var folder = new TempFolder();
        Run("git", "init", "-q", folder.Path);
        string[] names = ["a", "b", "ab", "a.c", "b.c", "x1", "x-", "[", "é", "doc", "frotz"];
        var random = new Random(11);
        var paths = new HashSet<string>();
        for (var i = 0; i < 300; i++)
            paths.Add(string.Join('/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => names[random.Next(names.Length)])));
        foreach (var path in paths.ToList())
        {
            // A path is a file unless others lie below it.
            if (paths.Any(p => p.StartsWith(path + "/", StringComparison.Ordinal)))
                paths.Remove(path);
        }
        foreach (var path in paths)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[path])!);
            File.WriteAllText(folder[path], "");
        }
        string[] atoms = ["a", "b", "*", "?", "**/", "/**", "/", "[ab]", "[!a]", "x[0-9]", ".c", "\\[", "doc", "*.c", "frotz/", "**", "a*", "é"];
        for (var round = 0; round < 150; round++)
        {
            var patterns = Enumerable.Range(0, random.Next(1, 5)).Select(_ => (random.Next(5) == 0 ? "!" : "") + string.Concat(Enumerable.Range(0, random.Next(1, 4)).Select(_ => atoms[random.Next(atoms.Length)])))
                .Where(p => !p.Contains("***", StringComparison.Ordinal) && !p.Contains("//", StringComparison.Ordinal)
                    && !p.Split('/').Any(c => c.TrimStart('!').Length > 2 && c.Contains("**", StringComparison.Ordinal))).ToList(); // what those mean, git does not document
            File.WriteAllLines(folder[".gitignore"], patterns);
            var ignored = Run("git", "-C", folder.Path, "-c", "core.quotepath=off", "ls-files", "-z", "-o", "-i", "--exclude-from=.gitignore").Split('\0', StringSplitOptions.RemoveEmptyEntries).Where(p => p != ".gitignore").Order(StringComparer.Ordinal);
            using var source = FileSource.Open(folder.Path, new FileSourceOptions { Excludes = new Excludes().AddLines(patterns) });
            var kept = Paths(source).ToHashSet();
            var left = paths.Where(p => !kept.Contains(p)).Order(StringComparer.Ordinal);
            Assert.True(ignored.SequenceEqual(left), $"patterns: {string.Join(" | ", patterns)}\nonly git: {string.Join(' ', ignored.Except(left))}\nonly here: {string.Join(' ', left.Except(ignored))}");
        }
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("a/../../outside")]
    [InlineData("/etc/passwd")]
    [InlineData("a//b")]
    [InlineData("a/./b")]
    [InlineData("a/")]
    [InlineData("nul\0byte")]
    public void A_hostile_path_is_refused(string path)
    {
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = Rows(("", EntryKind.Directory), ("a", EntryKind.Directory), (path, EntryKind.File));
        target.Add(rows, 0);
        target.Add(rows, 1);
        Assert.Equal(ErrorCode.TargetUnsafe, Assert.Throws<HoldfastException>(() => target.Add(rows, 2)).Code);
    }

    static EntryBatch Rows(params (string Path, EntryKind Kind)[] entries)
    {
        var rows = new EntryBatch();
        foreach (var (path, kind) in entries)
        {
            var row = rows.Add(Encoding.UTF8.GetBytes(path));
            rows.Kind[row] = kind;
            rows.Mode[row] = 0x1FF;
            rows.LinkCount[row] = 1;
            rows.LinkTarget[row] = kind == EntryKind.Symlink ? "/tmp"u8.ToArray() : null;
        }
        return rows;
    }

    [Fact]
    public void An_entry_below_a_symlink_or_a_file_is_refused()
    {
        foreach (var kind in new[] { EntryKind.Symlink, EntryKind.File, EntryKind.Fifo })
        {
            using var folder = new TempFolder();
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
            var rows = Rows(("", EntryKind.Directory), ("link", kind), ("link/evil", EntryKind.File));
            target.Add(rows, 0);
            target.Add(rows, 1);
            Assert.Equal(ErrorCode.TargetUnsafe, Assert.Throws<HoldfastException>(() => target.Add(rows, 2)).Code);
        }
    }

    [Fact]
    public void An_entry_given_twice_is_refused()
    {
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = Rows(("", EntryKind.Directory), ("a", EntryKind.File));
        target.Add(rows, 0);
        target.Add(rows, 1);
        Assert.Equal(ErrorCode.TargetUnsafe, Assert.Throws<HoldfastException>(() => target.Add(rows, 1)).Code);
    }

    [Fact]
    public void A_symlink_that_waits_in_the_target_is_not_followed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["outside"]);
        Directory.CreateDirectory(folder["t"]);
        Directory.CreateSymbolicLink(folder["t/d"], folder["outside"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
        var rows = Rows(("", EntryKind.Directory), ("d", EntryKind.Directory), ("d/f", EntryKind.File));
        target.Add(rows, 0);
        Assert.True(target.Add(rows, 1) < 0);
        Assert.True(target.Add(rows, 2) < 0);
        target.Finish();
        var problem = Assert.Single(target.Problems);
        Assert.Equal((TargetFault.InTheWay, 2L, "d"), (problem.Fault, problem.Entries, Encoding.UTF8.GetString(problem.Path!)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder["outside"]));
    }

    [Fact]
    public void A_folder_swapped_for_a_symlink_during_a_restore_is_not_followed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["outside"]);
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = Rows(("", EntryKind.Directory), ("d", EntryKind.Directory), ("d/f", EntryKind.File), ("e", EntryKind.Directory));
        for (var i = 0; i < 4; i++)
            target.Add(rows, i);
        Directory.Delete(folder["t/d"]);
        Directory.CreateSymbolicLink(folder["t/d"], folder["outside"]);
        Assert.Throws<HoldfastException>(() => target.WriteWhole(2, "evil"u8));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder["outside"]));
    }

    [Fact]
    public void A_file_over_100_gigabytes_with_holes_goes_there_and_back()
    {
        using var test = new TestVault();
        var path = Path.Combine(test.Source, "vm.img");
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.SetLength(file, 120L << 30);
            for (var i = 0; i < 20; i++)
                RandomAccess.Write(file, TestVault.Noise(i, 100_000), (long)i * 6 << 30);
        }
        var result = test.BackUp();
        Assert.True(result.Archive.BytesRead < 20_000_000, "holes are not read");
        var restored = Path.Combine(test.Restore(), "vm.img");
        Assert.Equal(120L << 30, new FileInfo(restored).Length);
        using var back = File.OpenHandle(restored);
        for (var i = 0; i < 20; i++)
        {
            var bytes = new byte[100_000];
            RandomAccess.Read(back, bytes, (long)i * 6 << 30);
            Assert.Equal(TestVault.Noise(i, 100_000), bytes);
        }
    }

    /// <summary>What lies in the page cache is written later, and whoever has closed the file then does not hear that it failed.</summary>
    [Fact]
    public void A_restore_whose_bytes_do_not_reach_the_disk_fails()
    {
        using var disk = LoopDisk.TryMake("xfs", room: 96 << 20);
        Assert.SkipUnless(disk is not null, "needs root, mkfs.xfs and a kernel that knows xfs");
        AssertFails(Path.Combine(disk.Path, "target"), "", new FileTargetOptions());
    }

    [Fact]
    public void A_restore_whose_bytes_do_not_reach_a_disk_that_is_mounted_in_the_target_fails()
    {
        using var disk = LoopDisk.TryMake("xfs", room: 96 << 20);
        Assert.SkipUnless(disk is not null, "needs root, mkfs.xfs and a kernel that knows xfs");
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder["t/sub"]);
        Run("mount", "--bind", disk.Path, folder["t/sub"]);
        try
        {
            AssertFails(folder["t"], "sub", new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
        }
        finally
        {
            Run("umount", folder["t/sub"]);
        }
    }

    /// <param name="path">The target.</param>
    /// <param name="below">Folder in it to which a hundred mebibytes are written; empty for the target itself.</param>
    /// <param name="options">How.</param>
    static void AssertFails(string path, string below, FileTargetOptions options)
    {
        using var target = FileTarget.Create(path, options);
        var content = TestVault.Noise(1, 1 << 20);
        var rows = new EntryBatch();
        foreach (var name in Enumerable.Range(1, 100).Select(i => $"{(below.Length > 0 ? below + "/" : "")}{i:d4}").Prepend(below).Prepend("").Distinct())
        {
            var row = rows.Add(Encoding.UTF8.GetBytes(name));
            (rows.Kind[row], rows.Mode[row], rows.LinkCount[row], rows.Size[row]) = name == "" || name == below ? (EntryKind.Directory, 0x1C0u, 1u, 0) : (EntryKind.File, 0x180u, 1u, content.Length);
            if (target.Add(rows, row) is >= 0 and var handle)
                Assert.True(target.WriteWhole(handle, content));
        }
        Assert.Contains(Assert.Throws<HoldfastException>(() => target.Finish()).Code, new[] { ErrorCode.StoreUnavailable, ErrorCode.DiskFull });
    }
}
