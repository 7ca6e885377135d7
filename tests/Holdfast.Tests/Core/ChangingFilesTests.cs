using System.Runtime.InteropServices;
using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>Files that change under the backup: what is stored is whole and readable, and the user is told.</summary>
public sealed partial class ChangingFilesTests
{
    /// <summary>A source that changes files at chosen moments.</summary>
    sealed class Meddling(ISource source, Action<byte[]> onOpen, Action<byte[]> onRead, Action? beforeRead, Action? onLook) : ISource
    {
        public IReadOnlyDictionary<uint, byte[]> UserNames => source.UserNames;
        public IReadOnlyDictionary<uint, byte[]> GroupNames => source.GroupNames;
        public bool HasReliableInodes => source.HasReliableInodes;
        public IReadOnlyCollection<SourceProblem> Problems => source.Problems;
        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct) => source.Walk(pool, ct);
        public void MeetXattrs(byte[]? xattrs) => source.MeetXattrs(xattrs);
        public void ReadXattrs(EntryBatch batch, int row) => source.ReadXattrs(batch, row);
        public void Report(SourceProblem problem) => source.Report(problem);

        public IContent? Open(EntryBatch batch, int row)
        {
            var path = batch.Path(row).ToArray();
            onOpen(path);
            return source.Open(batch, row) is { } content ? new Content(content, () => onRead(path), beforeRead, onLook) : null;
        }

        public void Dispose() => source.Dispose();

        sealed class Content(IContent content, Action onRead, Action? beforeRead, Action? onLook) : IContent
        {
            public int Read(Span<byte> destination, long offset)
            {
                beforeRead?.Invoke();
                var read = content.Read(destination, offset);
                onRead();
                return read;
            }

            public Extent[]? DataExtents() => content.DataExtents();
            public bool HasChanged()
            {
                onLook?.Invoke();
                return content.HasChanged();
            }

            public void Refresh(EntryBatch batch, int row) => content.Refresh(batch, row);
            public void Dispose() => content.Dispose();
        }
    }

    static BackupResult BackUp(TestVault test, Action<byte[]> onOpen, Action<byte[]> onRead, Action? beforeRead = null, Action? onLook = null, CancellationTokenSource? stop = null)
    {
        using var vault = test.Open();
        using var source = new Meddling(FileSource.Open(test.Source, new FileSourceOptions()), onOpen, onRead, beforeRead, onLook);
        return vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State) { Options = new ArchiveOptions { Threads = 2 } },
            test.Keys.Put, test.Keys.Agent, new BackupProgress(), stop?.Token ?? CancellationToken.None);
    }

    static void Ignore(byte[] path) => _ = path;

    [Theory]
    [InlineData(1_000)]
    [InlineData(700_000)]
    [InlineData(20_000_000)]
    public void A_file_that_grows_each_time_it_is_read_is_stored_and_told(int size)
    {
        using var test = new TestVault();
        test.Write("log", TestVault.Noise(1, size));
        var result = BackUp(test, Ignore, _ => File.AppendAllText(Path.Combine(test.Source, "log"), "more"));
        Assert.Equal(1UL, result.Archive.Problems);
        var restored = new FileInfo(Path.Combine(test.Restore(), "log"));
        Assert.True(restored.Length >= size);
        Assert.True(test.Verify(full: true).IsSound);
        // The next run does not take the unsettled one for unchanged.
        Assert.Equal(0UL, BackUp(test, Ignore, Ignore).Archive.Problems);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(700_000)]
    [InlineData(20_000_000)]
    public void A_file_that_changes_once_is_read_again_and_whole(int size)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, size));
        var done = false;
        var result = BackUp(test, Ignore, _ =>
        {
            if (!done)
                test.Write("f", TestVault.Noise(2, size + 5));
            done = true;
        });
        Assert.Equal(0UL, result.Archive.Problems);
        Assert.Equal(TestVault.Noise(2, size + 5), File.ReadAllBytes(Path.Combine(test.Restore(), "f")));
    }

    [LibraryImport("libc", EntryPoint = "lchown", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Give(string path, uint uid, uint gid);

    [LibraryImport("libc", EntryPoint = "setxattr", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetXattr(string path, string name, ReadOnlySpan<byte> value, nuint size, int flags);

    static void ForFile(TestVault test, Action<EntryBatch, int> act)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var rows = vault.Rows(vault.Find("latest"), keys, CancellationToken.None).Single();
        Assert.Equal(2, rows.Count);
        act(rows, 1);
    }

    /// <summary>A user moves a file that only its owner may read over one of their own, while the backup runs as root.</summary>
    [Theory]
    [InlineData(1_000)]
    [InlineData(700_000)]
    [InlineData(20_000_000)]
    public void A_file_that_takes_anothers_place_is_stored_with_its_own_owner_and_rights(int size)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "owners and rights as Linux has them");
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, size));
        var (path, secret) = (Path.Combine(test.Source, "f"), test["secret"]);
        File.WriteAllBytes(secret, TestVault.Noise(2, size));
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, (UnixFileMode)0x1A4); // rw-r--r--
            File.SetUnixFileMode(secret, (UnixFileMode)0x180); // rw-------
        }
        var isRoot = Give(path, 1234, 1234) == 0;
        File.SetLastWriteTimeUtc(secret, File.GetLastWriteTimeUtc(path));
        var result = BackUp(test, _ =>
        {
            if (File.Exists(secret))
                File.Move(secret, path, overwrite: true);
        }, Ignore);
        Assert.Equal(0UL, result.Archive.Problems);
        ForFile(test, (rows, row) => Assert.Equal(0x180u, rows.Mode[row]));
        if (isRoot)
            ForFile(test, (rows, row) => Assert.Equal((0u, 0u), (rows.Uid[row], rows.Gid[row])));
        Assert.Equal(TestVault.Noise(2, size), File.ReadAllBytes(Path.Combine(test.Restore(), "f")));
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(20_000_000)]
    public void Rights_that_change_while_a_file_is_read_are_stored_as_they_are_then(int size)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "attributes as Linux has them");
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, size));
        var path = Path.Combine(test.Source, "f");
        var isDone = false;
        BackUp(test, Ignore, _ =>
        {
            if (isDone || OperatingSystem.IsWindows())
                return;
            isDone = true;
            File.SetUnixFileMode(path, (UnixFileMode)0x100); // r--------
            Assert.SkipUnless(SetXattr(path, "user.note", "x"u8, 1, 0) == 0, "the file system has no attributes");
        });
        ForFile(test, (rows, row) => Assert.Equal((0x100u, true), (rows.Mode[row], XattrList.Has(rows.Xattrs[row], "user.note"u8))));
    }

    [Fact]
    public void A_large_file_that_changes_between_walk_and_its_turn_to_be_read_again_is_read_whole()
    {
        using var test = new TestVault();
        test.Write("huge", TestVault.Noise(1, 70_000_000));
        test.BackUp();
        BackUp(test, _ => File.AppendAllText(Path.Combine(test.Source, "huge"), "grown"), Ignore);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>A writer that empties a file and fills it again: between the two it ends early, and then goes on.</summary>
    [Fact]
    public void A_file_that_goes_on_after_its_end_was_met_stays_readable()
    {
        const int size = 1_500_000;
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, size));
        var path = Path.Combine(test.Source, "f");
        var reads = 0;
        var result = BackUp(test, Ignore, Ignore, () =>
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
            switch (++reads % 3)
            {
                case 1:
                    RandomAccess.SetLength(file, size / 2); // the second read meets the end there
                    break;
                case 0:
                    RandomAccess.Write(file, TestVault.Noise(reads, size), 0);
                    break;
            }
        });
        Assert.Equal(1UL, result.Archive.Problems);
        Assert.True(new FileInfo(Path.Combine(test.Restore(), "f")).Length > 0);
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Fact]
    public void A_sparse_file_that_shrinks_while_it_is_read_stays_readable()
    {
        using var test = new TestVault();
        var path = Path.Combine(test.Source, "sparse");
        var size = 40_000_000L;
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.SetLength(file, size);
            RandomAccess.Write(file, TestVault.Noise(1, 1_000_000), 30_000_000);
        }
        BackUp(test, Ignore, _ =>
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
            RandomAccess.SetLength(file, size -= 1_000_000);
        });
        test.Restore();
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    public void A_sparse_file_that_loses_its_end_while_that_is_read_is_read_again(int times)
    {
        using var test = new TestVault();
        var path = Path.Combine(test.Source, "sparse");
        var size = 100_000_000L;
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
            RandomAccess.Write(file, TestVault.Noise(1, 60_000_000), size - 60_000_000);
        var result = BackUp(test, Ignore, _ =>
        {
            if (times-- <= 0)
                return;
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
            RandomAccess.SetLength(file, size = Math.Max(1_000_000, times == 0 ? 45_000_000 : size - 14_000_000));
        });
        var restored = File.ReadAllBytes(Path.Combine(test.Restore(), "sparse"));
        if (times <= 0)
            Assert.Equal((0UL, true), (result.Archive.Problems, File.ReadAllBytes(path).AsSpan().SequenceEqual(restored)));
        Assert.True(test.Verify(full: true).IsSound);
    }

    /// <summary>Holes cost who makes them nothing: a file that is read as a small one and is a huge one at the end is neither hashed nor stored to that end.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1_000_000)]
    public void A_file_that_is_made_huge_while_it_is_read_is_as_long_as_when_its_last_reading_began(int data)
    {
        using var test = new TestVault();
        var path = Path.Combine(test.Source, "sparse");
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, TestVault.Noise(1, data), 4_000_000);
            RandomAccess.SetLength(file, 20_000_000);
        }
        var looks = 0;
        BackUp(test, Ignore, Ignore, onLook: () =>
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
            RandomAccess.SetLength(file, ++looks < 3 ? 20_000_000 + looks : 300_000_000);
        });
        Assert.Equal(3, looks);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var rows = vault.Rows(vault.Find("latest"), keys, CancellationToken.None).Single();
        Assert.Equal((2, 20_000_002L, false), (rows.Count, rows.Size[1], rows.Digest[1].IsNone));
        Assert.Equal(20_000_002, new FileInfo(Path.Combine(test.Restore(), "sparse")).Length);
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Fact]
    public void Bytes_that_rot_under_an_unchanged_file_are_found_within_thirty_runs()
    {
        using var test = WithRot();
        var (changed, surprises) = (0UL, 0L);
        for (var run = 0; run < 31; run++)
        {
            var archive = BackUp(test, new ArchiveOptions()).Archive;
            changed += archive.Statistics.Files(r => r.ChangedFiles);
            surprises += archive.Surprises;
        }
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.Equal((2UL, 2L), (changed, surprises)); // each in the run that found it, and told there
    }

    [Fact]
    public void A_run_that_reads_all_finds_them_at_once_and_counts_them_as_changed()
    {
        using var test = WithRot();
        var result = BackUp(test, new ArchiveOptions { UseState = false });
        Assert.Equal((0UL, 2UL, 1UL), (result.Archive.Statistics.Files(r => r.NewFiles), result.Archive.Statistics.Files(r => r.ChangedFiles), result.Archive.Statistics.Files(r => r.UnchangedFiles)));
        Assert.Equal(0, result.Archive.Surprises); // no file was left unread
        TestVault.AssertSame(test.Source, test.Restore());
    }

    static BackupResult BackUp(TestVault test, ArchiveOptions options)
    {
        using var vault = test.Open();
        using var source = new Forgetful(FileSource.Open(test.Source, new FileSourceOptions()));
        return vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State) { Options = options }, test.Keys.Put, test.Keys.Agent, new BackupProgress(), CancellationToken.None);
    }

    /// <summary>A very large and a small file that changed after their backup, and whose times did not; and one that did not change.</summary>
    static TestVault WithRot()
    {
        var test = new TestVault();
        test.Write("huge", TestVault.Noise(1, 70_000_000));
        test.Write("small", TestVault.Noise(2, 10_000));
        test.Write("sound", TestVault.Noise(3, 10_000));
        foreach (var path in Directory.EnumerateFiles(test.Source))
            File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddHours(-1)); // else they are read anew, as they were new when the last run began
        test.BackUp();
        foreach (var (name, at) in new[] { ("huge", 33_000_000L), ("small", 5_000L) })
        {
            var path = Path.Combine(test.Source, name);
            var time = File.GetLastWriteTimeUtc(path);
            using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write))
                RandomAccess.Write(file, [42], at);
            File.SetLastWriteTimeUtc(path, time);
        }
        return test;
    }

    /// <summary>A source whose change times cannot be believed: size and modification time decide.</summary>
    sealed class Forgetful(ISource source) : ISource
    {
        public IReadOnlyDictionary<uint, byte[]> UserNames => source.UserNames;
        public IReadOnlyDictionary<uint, byte[]> GroupNames => source.GroupNames;
        public bool HasReliableInodes => false;
        public IReadOnlyCollection<SourceProblem> Problems => source.Problems;
        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct) => source.Walk(pool, ct);
        public void MeetXattrs(byte[]? xattrs) => source.MeetXattrs(xattrs);
        public void ReadXattrs(EntryBatch batch, int row) => source.ReadXattrs(batch, row);
        public void Report(SourceProblem problem) => source.Report(problem);
        public IContent? Open(EntryBatch batch, int row) => source.Open(batch, row);
        public void Dispose() => source.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_that_is_stopped_leaves_no_file_open(bool byFault)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /proc");
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 20_000_000));
        using var stop = new CancellationTokenSource();
        Assert.ThrowsAny<Exception>(() => BackUp(test, Ignore, _ =>
        {
            if (byFault)
                throw new InvalidOperationException();
            stop.Cancel();
        }, stop: stop));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries("/proc/self/fd"), f => new FileInfo(f).LinkTarget == Path.Combine(test.Source, "f"));
    }

    /// <summary>A source that waits, while the walking thread reads a row's attributes, for a worker to open that row's file.</summary>
    sealed class Racing(ISource source) : ISource
    {
        readonly ManualResetEventSlim _opened = new();

        public bool HasMet { get; private set; }
        public IReadOnlyDictionary<uint, byte[]> UserNames => source.UserNames;
        public IReadOnlyDictionary<uint, byte[]> GroupNames => source.GroupNames;
        public bool HasReliableInodes => false;
        public IReadOnlyCollection<SourceProblem> Problems => source.Problems;
        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct) => source.Walk(pool, ct);
        public void Report(SourceProblem problem) => source.Report(problem);

        public void MeetXattrs(byte[]? xattrs) => source.MeetXattrs(xattrs);
        public void ReadXattrs(EntryBatch batch, int row)
        {
            HasMet |= batch.Size[row] > 0 && _opened.Wait(500);
            source.ReadXattrs(batch, row);
        }

        public IContent? Open(EntryBatch batch, int row)
        {
            _opened.Set();
            return source.Open(batch, row);
        }

        public void Dispose()
        {
            source.Dispose();
            _opened.Dispose();
        }
    }

    [Fact]
    public void A_row_is_one_threads_at_a_time()
    {
        using var test = new TestVault();
        test.Write("huge", TestVault.Noise(1, 70_000_000));
        test.BackUp();
        using var vault = test.Open();
        using var source = new Racing(FileSource.Open(test.Source, new FileSourceOptions()));
        vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State), test.Keys.Put, test.Keys.Agent, new BackupProgress(), CancellationToken.None);
        Assert.False(source.HasMet);
    }
}
