using System.Globalization;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What a restore says came back is what stands in the target.</summary>
public sealed class RestoreTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static RestoreResult Restore(TestVault test, ITreeWriter target, CancellationToken? ct = null)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        return vault.Restore(vault.Find("latest"), keys, target, new PathFilter(null), new RestoreProgress(), 2, ct ?? Ct);
    }

    static ITreeWriter Target(TestVault test, ExistingFiles existing = ExistingFiles.Refuse) => FileTarget.Create(test["r"], new FileTargetOptions { Existing = existing });

    static List<string> Leftovers(TestVault test) => [.. Directory.EnumerateFileSystemEntries(test["r"], ".holdfast-*", SearchOption.AllDirectories)];

    [Fact]
    public void What_stands_in_the_target_is_counted_and_nothing_else()
    {
        using var test = new TestVault();
        test.Write("empty", "");
        test.Write("small", "12345");
        test.Write("large", TestVault.Noise(1, 9_000_000));
        test.Write("d/other", "123");
        test.BackUp();
        foreach (var name in new[] { "empty", "small", "large" })
            Directory.CreateDirectory(test[$"r/{name}/in the way"]);
        using var target = Target(test, ExistingFiles.Replace);
        var result = Restore(test, target);
        Assert.Equal((1, 3, 1), (result.Files, result.Bytes, result.Written.Folders));
        Assert.False(result.IsWhole);
        Assert.Equal(0, result.Failed);
        Assert.Equal(["empty", "large", "small"], target.Problems.Select(p => Encoding.UTF8.GetString(p.Path!)).Order(StringComparer.Ordinal));
        Assert.All(target.Problems, p => Assert.Equal((TargetFault.InTheWay, 1), (p.Fault, p.Entries)));
        Assert.Empty(Leftovers(test));
    }

    [Fact]
    public void A_whole_restore_says_so_and_counts_what_there_is()
    {
        using var test = new TestVault();
        test.WriteSome();
        File.CreateSymbolicLink(Path.Combine(test.Source, "link"), "empty");
        test.BackUp();
        using (var target = Target(test))
        {
            var result = Restore(test, target);
            Assert.True(result.IsWhole);
            Assert.Equal((44, 3, 1, 0), (result.Files, result.Written.Folders, result.Written.Others, result.Written.Kept));
            Assert.Equal(Directory.EnumerateFiles(test.Source, "*", SearchOption.AllDirectories).Where(f => new FileInfo(f).LinkTarget is null).Sum(f => new FileInfo(f).Length), result.Bytes);
        }
        using var again = Target(test, ExistingFiles.KeepEqual);
        var kept = Restore(test, again);
        Assert.Equal((0, 44), (kept.Files, kept.Written.Kept));
        Assert.True(kept.IsWhole);
    }

    /// <summary>As on a target that keeps whole seconds alone (sshfs, older NFS): what is equal byte for byte is not brought again, and gets its time.</summary>
    [Fact]
    public void A_file_of_another_time_stays_where_its_bytes_are_equal()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var target = Target(test))
            Restore(test, target);
        var files = Directory.GetFiles(test["r"], "*", SearchOption.AllDirectories);
        var times = files.ToDictionary(f => f, File.GetLastWriteTimeUtc);
        foreach (var file in files)
            File.SetLastWriteTimeUtc(file, new DateTime(times[file].Ticks / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond, DateTimeKind.Utc));
        using var again = Target(test, ExistingFiles.KeepEqual);
        var kept = Restore(test, again);
        Assert.True(kept.IsWhole);
        Assert.Equal((0, files.Length), (kept.Files, kept.Written.Kept));
        Assert.All(files, f => Assert.Equal(times[f], File.GetLastWriteTimeUtc(f)));
    }

    /// <summary>A target whose disk gives up at the n-th write.</summary>
    sealed class GivesUp(ITreeWriter target, int at, Action giveUp) : ITreeWriter
    {
        int _writes;

        void Count()
        {
            if (Interlocked.Increment(ref _writes) == at)
                giveUp();
        }

        public int Add(EntryBatch batch, int row, bool isOnWay = false) => target.Add(batch, row, isOnWay);
        public ReadOnlySpan<byte> PathOf(int handle) => target.PathOf(handle);
        public IReadOnlyCollection<TargetProblem> Problems => target.Problems;
        public IReadOnlyCollection<AttributeRefusal> Refusals => target.Refusals;
        public TreeWritten Finish() => target.Finish();
        public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups) => target.SetOwnerNames(users, groups);
        public void Dispose() => target.Dispose();

        public bool WriteWhole(int handle, ReadOnlySpan<byte> content)
        {
            Count();
            return target.WriteWhole(handle, content);
        }

        public IContentWriter? Open(int handle) => target.Open(handle) is { } writer ? new Writer(this, writer) : null;

        sealed class Writer(GivesUp target, IContentWriter writer) : IContentWriter
        {
            public bool Complete() => writer.Complete();
            public void Dispose() => writer.Dispose();

            public void Write(ReadOnlySpan<byte> data, long offset)
            {
                writer.Write(data, offset);
                target.Count();
            }

            public IContentRoom? Room(int length, long offset)
            {
                target.Count();
                return writer.Room(length, offset);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Cut_short_nothing_half_written_stays_and_resume_brings_the_rest(bool byThePerson)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.Write("larger.bin", TestVault.Noise(9, 30_000_000));
        using (var file = File.OpenHandle(Path.Combine(test.Source, "sparse"), FileMode.CreateNew, FileAccess.Write))
            RandomAccess.Write(file, TestVault.Noise(4, 2_000_000), 20_000_000);
        test.BackUp();
        foreach (var at in new[] { 1, 2, 7, 20, 45, 60 })
        {
            using var stop = new CancellationTokenSource();
            using (var target = new GivesUp(Target(test, Directory.Exists(test["r"]) ? ExistingFiles.KeepEqual : ExistingFiles.Refuse), at,
                byThePerson ? stop.Cancel : () => throw new HoldfastException(ErrorCode.DiskFull, "full", "more")))
            {
                var fault = Record.Exception(() => Restore(test, target, stop.Token));
                Assert.True(fault is OperationCanceledException or HoldfastException { Code: ErrorCode.DiskFull } or null, fault?.ToString());
            }
            Assert.Empty(Leftovers(test));
            foreach (var file in Directory.EnumerateFiles(test["r"], "*", SearchOption.AllDirectories))
                Assert.True(File.ReadAllBytes(file).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(test.Source, Path.GetRelativePath(test["r"], file)))), string.Create(CultureInfo.InvariantCulture, $"half-written at {at}"));
        }
        using (var target = Target(test, ExistingFiles.KeepEqual))
            Assert.True(Restore(test, target).IsWhole);
        TestVault.AssertSame(test.Source, test["r"]);
    }

    [Theory]
    [InlineData("chown 12345 $1", false)] // somebody else's: it may be open for writing
    [InlineData("ln $1 $1.further", false)] // a further name that would go on leading to it
    [InlineData("true", true)]
    public void An_equal_file_stays_only_where_nobody_else_can_go_on_changing_it(string trick, bool stays)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.UserName == "root", "files of another user take root");
        using var test = new TestVault();
        test.Write("tool", "#!/bin/sh\n");
        Shell("chmod 4755 $1", Path.Combine(test.Source, "tool"));
        test.BackUp();
        using (var target = Target(test))
            Assert.True(Restore(test, target).IsWhole);
        using var before = File.OpenHandle(test["r/tool"], FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Shell(trick, test["r/tool"]);
        using (var target = Target(test, ExistingFiles.KeepEqual))
        {
            var again = Restore(test, target);
            Assert.True(again.IsWhole);
            Assert.Equal(stays ? 1 : 0, again.Written.Kept);
        }
        RandomAccess.Write(before, "EVIL"u8, 0);
        Assert.Equal(stays ? "EVIL" : "#!/b", File.ReadAllText(test["r/tool"])[..4]);
    }

    static void Shell(string script, string path)
    {
        using var shell = System.Diagnostics.Process.Start("sh", ["-ec", script, "sh", path]);
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }

    [Fact]
    public void What_a_killed_run_left_over_goes_at_the_next_and_nothing_else_does()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var target = Target(test))
            Restore(test, target);
        const string left = ".holdfast-restoring-0123456789abcdef00000000001a";
        string[] mine = [".holdfast-restoring-notes", $"{left}b", "a/.holdfast-restoring-0123456789ABCDEF00000000001a"];
        foreach (var name in mine.Append(left).Append($"a/b/{left}"))
            File.WriteAllText(Path.Combine(test["r"], name), "x");
        using (var target = Target(test, ExistingFiles.KeepEqual))
            Assert.True(Restore(test, target).IsWhole);
        Assert.Equal(mine.Order(StringComparer.Ordinal), Leftovers(test).Select(f => Path.GetRelativePath(test["r"], f)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_target_that_cannot_be_is_refused_before_anything_is_made()
    {
        using var test = new TestVault();
        Directory.CreateDirectory(test["more"]);
        Directory.CreateSymbolicLink(test["way"], test.Folder);
        File.WriteAllText(test["file"], "mine");
        File.CreateSymbolicLink(test["dangling"], test["nowhere"]);
        var options = new FileTargetOptions { Existing = ExistingFiles.KeepEqual, Forbidden = [test.Folder, test["more"]] };
        foreach (var (name, code) in new[]
        {
            ("vault", ErrorCode.TargetUnsafe), ("vault/packs/r", ErrorCode.TargetUnsafe), ("more/r", ErrorCode.TargetUnsafe), ("way/r", ErrorCode.TargetUnsafe), ("more/../vault/r", ErrorCode.TargetUnsafe),
            ("no/such/r", ErrorCode.TargetMissing), ("file", ErrorCode.TargetNotEmpty), ("dangling", ErrorCode.TargetNotEmpty), ("file/r", ErrorCode.TargetMissing),
        })
        {
            Assert.Equal((name, code), (name, Assert.Throws<HoldfastException>(() => FileTarget.Create(test[name], options)).Code));
        }
        Assert.False(Directory.Exists(test["vault/r"]) || Directory.Exists(test["no"]) || Directory.Exists(test["more/r"]));
        FileTarget.Create(test["vault-beside"], options).Dispose(); // a name that begins alike is another folder
        FileTarget.Create(test["new/"], options).Dispose();
        Assert.True(Directory.Exists(test["new"]));
    }

    [Fact]
    public void A_folder_is_listed_without_reading_the_whole_tree()
    {
        using var test = new TestVault();
        for (var i = 0; i < 6_000; i++)
            test.Write(string.Create(CultureInfo.InvariantCulture, $"d{i / 100:d2}/f{i:d4}"), "");
        test.Write("d30/in/deep", "x");
        test.Write("d30.txt", "x"); // after d30 and what lies in it
        test.BackUp();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        List<string> Paths(string? below, out int nodes)
        {
            var paths = new List<string>();
            nodes = 0;
            foreach (var rows in vault.Rows(vault.Find("latest"), keys, Ct, below is null ? null : Encoding.UTF8.GetBytes(below)))
            {
                nodes++;
                paths.AddRange(Enumerable.Range(0, rows.Count).Select(row => Encoding.UTF8.GetString(rows.Path(row))));
            }
            return paths;
        }
        var all = Paths(null, out var allNodes);
        Assert.True(allNodes >= 6, "a tree of several nodes");
        foreach (var below in new[] { "d00", "d30", "d30/in", "d30/in/deep", "d30.txt", "d59/f5999", "d17/f1742" })
        {
            var some = Paths(below, out var nodes);
            bool IsWanted(string path) => path == below || path.StartsWith(below + "/", StringComparison.Ordinal);
            Assert.Equal(all.Where(IsWanted), some.Where(IsWanted));
            Assert.True(nodes <= 2, below);
        }
        Assert.DoesNotContain("d30/none", Paths("d30/none", out _));
    }

    static EntryBatch Rows(params (string Path, EntryKind Kind)[] entries)
    {
        var rows = new EntryBatch();
        foreach (var (path, kind) in entries)
        {
            var row = rows.Add(Encoding.UTF8.GetBytes(path));
            (rows.Kind[row], rows.Mode[row], rows.LinkCount[row]) = (kind, 0x1C0, 1);
        }
        return rows;
    }

    [Fact]
    public void A_folder_that_the_file_system_cannot_hold_costs_what_lies_in_it()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "names longer than this file system's");
        using var test = new TestVault();
        var name = new string('n', 300);
        var rows = Rows(("", EntryKind.Directory), ("a", EntryKind.File), (name, EntryKind.Directory), ($"{name}/b", EntryKind.File), ($"{name}/d", EntryKind.Directory), ($"{name}/d/c", EntryKind.File), ("z", EntryKind.File));
        using var target = Target(test);
        var handles = Enumerable.Range(0, rows.Count).Select(row => target.Add(rows, row)).ToList();
        Assert.Equal([false, true, false, false, false, false, true], handles.Select(h => h >= 0));
        Assert.All(handles.Where(h => h >= 0), h => Assert.True(target.WriteWhole(h, [])));
        Assert.Equal(0, target.Finish().Folders);
        var problem = Assert.Single(target.Problems);
        Assert.Equal((TargetFault.NotHeld, 4), (problem.Fault, problem.Entries));
    }

    [Fact]
    public void Nothing_that_came_into_an_empty_target_meanwhile_is_replaced()
    {
        using var test = new TestVault();
        var rows = Rows(("", EntryKind.Directory), ("a", EntryKind.File));
        using var target = Target(test);
        target.Add(rows, 0);
        var handle = target.Add(rows, 1);
        File.WriteAllText(test["r/a"], "mine");
        Assert.False(target.WriteWhole(handle, "theirs"u8));
        Assert.Equal("mine", File.ReadAllText(test["r/a"]));
        Assert.Equal(TargetFault.InTheWay, Assert.Single(target.Problems).Fault);
    }

    /// <summary>docs/errors.md says so.</summary>
    [Theory]
    [InlineData(100)]
    [InlineData(int.MaxValue)]
    public void A_pack_that_was_cut_short_counts_as_damaged(int bytes)
    {
        using var test = new TestVault();
        test.Write("f", "bed 3");
        var root = test.BackUp().Archive.Written.Single(w => w.Class == KeyClass.Tree).Name;
        using (var file = File.OpenWrite(Path.Combine(test.Folder, "packs", $"{root}"[..2], $"{root}")))
            file.SetLength(Math.Max(0, file.Length - bytes));
        Assert.Contains(test.Verify(full: true).Defects, d => d is { Kind: DefectKind.Damaged } && d.Name == root);
        Assert.Equal(ErrorCode.PackDamaged, Assert.Throws<HoldfastException>(() => test.Restore()).Code);
    }
}
