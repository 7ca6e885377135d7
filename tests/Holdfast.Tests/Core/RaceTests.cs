using System.Runtime.InteropServices;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What happens between two looks at a file, two runs, two places of one chunk, two clocks.</summary>
public sealed partial class RaceTests
{
    const ulong Day = 86_400; // seconds

    /// <summary>A source in which something happens at a moment a test chooses.</summary>
    sealed class Interrupted(ISource source, Action<string>? onOpen = null, Action? onWalk = null, Action<EntryBatch>? onRows = null) : ISource
    {
        public IReadOnlyDictionary<uint, byte[]> UserNames => source.UserNames;
        public IReadOnlyDictionary<uint, byte[]> GroupNames => source.GroupNames;
        public bool HasReliableInodes => source.HasReliableInodes;
        public IReadOnlyCollection<SourceProblem> Problems => source.Problems;

        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
        {
            foreach (var batch in source.Walk(pool, ct))
            {
                onWalk?.Invoke();
                onRows?.Invoke(batch);
                yield return batch;
            }
        }

        public void MeetXattrs(byte[]? xattrs) => source.MeetXattrs(xattrs);
        public void ReadXattrs(EntryBatch batch, int row) => source.ReadXattrs(batch, row);
        public void Report(SourceProblem problem) => source.Report(problem);

        public IContent? Open(EntryBatch batch, int row)
        {
            onOpen?.Invoke(Encoding.UTF8.GetString(batch.Path(row)));
            return source.Open(batch, row);
        }

        public void Dispose() => source.Dispose();
    }

    static BackupResult BackUp(TestVault test, Action<string>? onOpen = null, Action? onWalk = null, string name = "source", Action<EntryBatch>? onRows = null)
    {
        using var vault = test.Open();
        using var source = new Interrupted(FileSource.Open(test.Source, new FileSourceOptions()), onOpen, onWalk, onRows);
        return vault.BackUp(source, new BackupRequest(Encoding.UTF8.GetBytes(name), [], [], test.State) { Options = new ArchiveOptions { Threads = 2 } },
            test.Keys.Put, test.Keys.Agent, new BackupProgress(), TestContext.Current.CancellationToken);
    }

    static (RestoreResult Result, string Target) Restore(TestVault test, Id16 snapshot, string? into = null, ExistingFiles existing = ExistingFiles.Refuse)
    {
        var target = into ?? test[$"r-{Id16.New()}"];
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = existing });
        return (vault.Restore(vault.Find(snapshot.ToString()), keys, writer, new PathFilter(null), new RestoreProgress(), 2, TestContext.Current.CancellationToken), target);
    }

    /// <summary>What the new pack set would be told as a difference to, and the object that tells it, go while the source is read.</summary>
    [Fact]
    public void A_backup_whose_parent_expires_meanwhile_can_be_told_and_locked()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        test.Machine.Pass(60 * TestVault.Day);
        Directory.Delete(test.Source, true);
        test.Write("new", TestVault.Noise(7, 3_000_000));
        var expired = false;
        var second = BackUp(test, onWalk: () =>
        {
            if (expired)
                return;
            expired = true;
            using var other = test.Open();
            Assert.NotEmpty(other.Keeper.Expire(dryRun: false).Names);
            Assert.True(other.State.Find(first.Snapshot)!.IsRemoved);
        });
        Assert.True(expired);
        using var after = test.Open();
        var record = after.State.Find(second.Snapshot)!;
        Assert.False(after.State.IsUntold(record));
        Assert.Empty(after.Health().Problems);
        Assert.False(after.Keeper.Expire(dryRun: false).IsBlocked);
        after.Keeper.Extend(second.Snapshot, record.Expiry + TestVault.Day, Id16.None);
        TestVault.AssertSame(test.Source, test.Restore(second.Snapshot.ToString()));
    }

    /// <summary>An agent that keeps what it once read of the log: the keeper looks itself.</summary>
    [Fact]
    public void A_difference_to_a_snapshot_that_has_expired_is_not_committed()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        SnapshotObject difference;
        using var vault = test.Open();
        var parent = vault.State.Find(first.Snapshot)!;
        difference = test.Again(vault.State.Whole(parent)! with { Parent = parent.Name, ParentContentRoot = parent.Object!.ContentRoot, Packs = vault.State.PacksOf(parent)!.DeltaFrom(vault.State.PacksOf(parent)!) });
        test.Machine.Pass(60 * TestVault.Day);
        using (var other = test.Open())
            other.Keeper.Expire(dryRun: false);
        var fault = Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(difference));
        Assert.Equal((ErrorCode.ObjectMissing, true), (fault.Code, fault.IsTransient));
        Assert.Single(vault.State.Snapshots);
    }

    static void RebuildIndex(TestVault test)
    {
        using var vault = test.Open();
        vault.ForgetIndex();
    }

    static void AssertSame(TestVault test, string target)
    {
        foreach (var path in Directory.EnumerateFiles(test.Source, "*", SearchOption.AllDirectories))
            Assert.True(File.ReadAllBytes(path).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(target, Path.GetRelativePath(test.Source, path)))), "a file differs");
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string from, string to);

    static void ForRow(EntryBatch rows, string path, Action<int> act)
    {
        for (var row = 0; row < rows.Count; row++)
        {
            if (rows.Path(row).SequenceEqual(Encoding.UTF8.GetBytes(path)))
                act(row);
        }
    }

    static bool AreLinked(string folder, string one, string other)
    {
        var before = File.ReadAllBytes(Path.Combine(folder, other));
        File.AppendAllText(Path.Combine(folder, one), "more");
        return !before.AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(folder, other)));
    }

    /// <summary>A file is met, and gone before another with two names is made, which gets its inode number: rotation by hard links does so.</summary>
    [Theory]
    [InlineData(1_000, 1_000)]
    [InlineData(1_000, 2_000)]
    [InlineData(0, 700)]
    [InlineData(3_000_000, 3_000_000)]
    public void A_file_that_got_the_inode_number_of_another_is_stored_with_its_own_content(int first, int second)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links");
        using var test = new TestVault();
        foreach (var (name, bytes) in new[] { ("a", TestVault.Noise(1, first)), ("b", TestVault.Noise(2, second)) })
        {
            test.Write(name + "1", bytes);
            foreach (var number in new[] { 2, 3 })
                Assert.Equal(0, Link(Path.Combine(test.Source, name + "1"), Path.Combine(test.Source, name + number)));
        }
        var reused = BackUp(test, onRows: rows => ForRow(rows, "a1", a =>
        {
            foreach (var name in new[] { "b1", "b2", "b3" })
                ForRow(rows, name, row => rows.Inode[row] = rows.Inode[a]);
        }));
        Assert.Equal(0UL, reused.Archive.Problems);
        var (result, target) = Restore(test, reused.Snapshot);
        Assert.True(result.IsWhole);
        AssertSame(test, target);
        Assert.True(AreLinked(target, "a1", "a3"));
        Assert.False(AreLinked(target, "a2", "b2"));
        (_, target) = Restore(test, BackUp(test).Snapshot); // with the numbers that they have
        AssertSame(test, target);
        Assert.True(AreLinked(target, "b1", "b3"));
    }

    /// <summary>A file is forgotten with the last of its names; a name that was moved, and so is met twice, is one more.</summary>
    [Theory]
    [InlineData(1_000)]
    [InlineData(3_000_000)]
    public void A_name_beyond_those_that_its_file_should_have_is_whole(int size)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links");
        using var test = new TestVault();
        test.Write("a1", TestVault.Noise(1, size));
        foreach (var name in new[] { "a2", "a3" })
            Assert.Equal(0, Link(Path.Combine(test.Source, "a1"), Path.Combine(test.Source, name)));
        var result = BackUp(test, onRows: rows =>
        {
            foreach (var name in new[] { "a1", "a2", "a3" })
                ForRow(rows, name, row => rows.LinkCount[row] = 2);
        });
        var (_, target) = Restore(test, result.Snapshot);
        AssertSame(test, target);
        Assert.True(AreLinked(target, "a1", "a2"));
    }

    /// <summary>A name that is added, or taken away, moves the change time of all.</summary>
    [Theory]
    [InlineData(1_000)]
    [InlineData(3_000_000)]
    public void A_file_that_gets_another_name_during_the_backup_stays_one_file(int size)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links");
        using var test = new TestVault();
        test.Write("a1", TestVault.Noise(1, size));
        foreach (var name in new[] { "a2", "a3" })
            Assert.Equal(0, Link(Path.Combine(test.Source, "a1"), Path.Combine(test.Source, name)));
        var result = BackUp(test, onRows: rows =>
        {
            foreach (var name in new[] { "a2", "a3" })
                ForRow(rows, name, row => rows.CtimeSeconds[row]++);
        });
        var (_, target) = Restore(test, result.Snapshot);
        AssertSame(test, target);
        Assert.True(AreLinked(target, "a1", "a2"));
        Assert.True(AreLinked(target, "a1", "a3"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_locked_chunk_is_found_when_its_twin_has_expired(int seed)
    {
        using var test = new TestVault();
        for (var i = 0; i < 20; i++)
            test.Write($"f{i}", TestVault.Noise((100 * seed) + i, 5_000));
        BackupResult? inner = null;
        var outer = BackUp(test, onWalk: () => inner ??= BackUp(test, name: "other")); // both store the same chunks
        using (var vault = test.Open())
            vault.Keeper.Extend(outer.Snapshot, outer.Receipt.Expiry + 300 * Day, Id16.None);
        RebuildIndex(test); // both places in one run
        Restore(test, outer.Snapshot);
        for (var day = 0; day < 60; day++)
            test.Machine.Pass(Day);
        using (var vault = test.Open())
            Assert.NotEmpty(vault.Keeper.Expire(false).Names);
        var (result, target) = Restore(test, outer.Snapshot);
        Assert.Equal(0, result.Failed);
        AssertSame(test, target);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void What_was_stored_anew_after_damage_is_found(int seed)
    {
        using var test = new TestVault();
        for (var i = 0; i < 20; i++)
            test.Write($"f{i}", TestVault.Noise((100 * seed) + i, 5_000));
        var first = test.BackUp();
        using (var vault = test.Open())
            Damage(vault.Keeper.FolderStore!.Find(StoreKind.Pack, first.Archive.Written.Single(w => w.Class == KeyClass.Content).Name, 0)!);
        Assert.False(test.Verify(full: true).IsSound);
        var second = BackUp(test);
        RebuildIndex(test);
        var (result, target) = Restore(test, second.Snapshot);
        Assert.Equal(0, result.Failed);
        AssertSame(test, target);
    }

    static void Damage(string path)
    {
        var bytes = File.ReadAllBytes(path);
        for (var i = 1_300; i < 30_000; i++)
            bytes[i] ^= 0x55;
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.WriteAllBytes(path, bytes);
    }

    [Fact]
    public void A_right_name_does_not_clear_a_pack_whose_content_was_wrong()
    {
        using var folder = new TempFolder();
        var (path, pack) = (folder["reads"], new Hash32(TestVault.Noise(1, Hash32.Size)));
        ReadTimes.Update(path, new ReadFindings { ContentWrong = [pack] }, 1);
        ReadTimes.Update(path, new ReadFindings { Sound = [pack] }, 2);
        Assert.Equal(new KnownDamage(IsContent: true, 1), ReadTimes.Load(path).Damaged[pack]);
        Assert.Empty(ReadTimes.Load(path).Times); // it does not count as read either
        ReadTimes.Update(path, new ReadFindings { Sound = [pack], Opened = [pack] }, 3);
        Assert.Empty(ReadTimes.Load(path).Damaged);
        Assert.Equal(3u, ReadTimes.Load(path).Times[pack]);
    }

    [Fact]
    public void What_is_damaged_or_has_vanished_does_not_count_as_read_any_more()
    {
        using var folder = new TempFolder();
        var path = folder["reads"];
        Hash32 damaged = new(TestVault.Noise(1, Hash32.Size)), gone = new(TestVault.Noise(2, Hash32.Size)), sound = new(TestVault.Noise(3, Hash32.Size));
        ReadTimes.Update(path, new ReadFindings { Sound = [damaged, gone, sound] }, 1);
        ReadTimes.Update(path, new ReadFindings { Damaged = [damaged], Missing = [gone] }, 2);
        ReadTimes.Update(path, new ReadFindings { Damaged = [damaged] }, 3);
        Assert.Equal([sound], ReadTimes.Load(path).Times.Keys);
        Assert.Equal(new KnownDamage(IsContent: false, 2), Assert.Single(ReadTimes.Load(path).Damaged).Value); // since when it is known
        ReadTimes.Update(path, new ReadFindings { Sound = [damaged] }, 4);
        Assert.Empty(ReadTimes.Load(path).Damaged);
        Assert.Equal(4u, ReadTimes.Load(path).Times[damaged]);
    }

    [Fact]
    public void A_note_of_an_earlier_version_is_read()
    {
        using var folder = new TempFolder();
        Hash32 damaged = new(TestVault.Noise(1, Hash32.Size)), read = new(TestVault.Noise(2, Hash32.Size));
        File.WriteAllText(folder["reads"], $"{read} 77\n{damaged} !\nnonsense\n");
        Assert.Equal(77u, ReadTimes.Load(folder["reads"]).Times[read]);
        Assert.True(ReadTimes.Load(folder["reads"]).Damaged[damaged].IsContent);
    }

    [Fact]
    public void A_note_that_cannot_be_read_is_told_from_none()
    {
        const string fault = "/sys/class/net/lo/speed"; // the device has none
        Assert.False(ReadTimes.Load("/none/reads").IsUnreadable);
        Assert.SkipUnless(File.Exists(fault), "needs a file that is there and gives an error when it is read");
        Assert.True(ReadTimes.Load(fault).IsUnreadable);
    }

    /// <summary>Else dedup would build on the pack again, and nobody would read it first.</summary>
    [Fact]
    public void A_flip_anywhere_in_the_note_makes_no_damaged_pack_sound()
    {
        using var folder = new TempFolder();
        var path = folder["reads"];
        Hash32 damaged = new(TestVault.Noise(1, Hash32.Size)), wrong = new(TestVault.Noise(2, Hash32.Size)), sound = new(TestVault.Noise(3, Hash32.Size));
        ReadTimes.Update(path, new ReadFindings { Sound = [sound], Damaged = [damaged], ContentWrong = [wrong] }, 1_764_547_200);
        var written = File.ReadAllBytes(path);
        for (var bit = 0; bit < 8 * written.Length; bit++)
        {
            var flipped = (byte[])written.Clone();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            File.WriteAllBytes(path, flipped);
            var known = ReadTimes.Load(path).Damaged;
            Assert.True(known.TryGetValue(damaged, out var bytes) && !bytes.IsContent, $"bit {bit}");
            Assert.True(known.TryGetValue(wrong, out var content) && content.IsContent, $"bit {bit}");
            Assert.False(known.ContainsKey(sound), $"bit {bit}");
        }
    }

    [Theory]
    [InlineData("!bytds 77", false)]
    [InlineData("!content 77", true)]
    [InlineData("!contenu 77", false)]
    [InlineData("!", true)]
    public void A_mark_that_cannot_be_read_is_damage_and_accuses_nobody(string mark, bool isContent)
    {
        using var folder = new TempFolder();
        var pack = new Hash32(TestVault.Noise(1, Hash32.Size));
        File.WriteAllText(folder["reads"], $"{pack} {mark}\n");
        ReadTimes.Update(folder["reads"], new ReadFindings(), 99);
        Assert.Equal(isContent, ReadTimes.Load(folder["reads"]).Damaged[pack].IsContent);
    }

    [Fact]
    public void A_failed_attestation_keeps_later_backups_off_the_pack()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(9, 60_000));
        var first = test.BackUp();
        using (var vault = test.Open())
        {
            Damage(vault.Keeper.FolderStore!.Find(StoreKind.Pack, first.Archive.Written.Single(w => w.Class == KeyClass.Content).Name, 0)!);
            using var keys = vault.Unlock(test.Seed);
            Assert.False(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood);
        }
        var second = BackUp(test);
        var (result, target) = Restore(test, second.Snapshot);
        Assert.Equal(0, result.Failed);
        AssertSame(test, target);
    }

    [Fact]
    public void A_first_name_saved_anew_while_backing_up_leaves_the_others_whole()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links by libc");
        using var test = new TestVault();
        var (a, b) = (Path.Combine(test.Source, "a"), Path.Combine(test.Source, "b"));
        test.Write("a", TestVault.Noise(1, 10_000));
        Assert.Equal(0, Link(a, b));
        Assert.Equal(0, Link(a, Path.Combine(test.Source, "c")));
        var done = false;
        var result = BackUp(test, onOpen: path =>
        {
            if (done || path != "a")
                return;
            done = true;
            File.WriteAllBytes(a + ".tmp", TestVault.Noise(2, 10_000));
            File.Move(a + ".tmp", a, overwrite: true);
        });
        Assert.True(done);
        var (restored, target) = Restore(test, result.Snapshot);
        Assert.Equal(0, restored.Failed);
        Assert.Equal(TestVault.Noise(1, 10_000), File.ReadAllBytes(Path.Combine(target, "b")));
        Assert.Equal(TestVault.Noise(1, 10_000), File.ReadAllBytes(Path.Combine(target, "c")));
        Assert.Equal(TestVault.Noise(2, 10_000), File.ReadAllBytes(Path.Combine(target, "a")));
    }

    [Fact]
    public void A_first_name_that_vanishes_does_not_take_the_others_along()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links by libc");
        using var test = new TestVault();
        var a = Path.Combine(test.Source, "a");
        test.Write("a", TestVault.Noise(1, 10_000));
        Assert.Equal(0, Link(a, Path.Combine(test.Source, "b")));
        var result = BackUp(test, onOpen: path =>
        {
            if (path == "a")
                File.Delete(a);
        });
        var (restored, target) = Restore(test, result.Snapshot);
        Assert.Equal(0, restored.Failed);
        Assert.Equal(TestVault.Noise(1, 10_000), File.ReadAllBytes(Path.Combine(target, "b")));
    }

    [Fact]
    public void A_large_file_replaced_under_its_old_times_is_read()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs change times");
        using var test = new TestVault();
        var path = Path.Combine(test.Source, "db");
        var bytes = TestVault.Noise(1, (int)LargeFile.DigestLimit + 1);
        test.Write("db", bytes);
        BackUp(test);
        var done = false;
        var result = BackUp(test, onOpen: _ =>
        {
            if (done)
                return;
            done = true;
            Array.Fill(bytes, (byte)7, 10_000_000, 2_000);
            File.WriteAllBytes(path + ".new", bytes);
            File.SetLastWriteTimeUtc(path + ".new", File.GetLastWriteTimeUtc(path));
            File.Move(path + ".new", path, overwrite: true);
        });
        Assert.True(done);
        var (_, target) = Restore(test, result.Snapshot);
        AssertSame(test, target);
    }

    [Fact]
    public void Resuming_keeps_no_file_that_only_looks_equal()
    {
        using var test = new TestVault();
        test.Write("f", "good data");
        test.Write("large", TestVault.Noise(3, 3_000_000));
        test.Write("same", TestVault.Noise(4, 3_000_000));
        var result = test.BackUp();
        var (_, target) = Restore(test, result.Snapshot);
        foreach (var name in new[] { "f", "large" })
        {
            var path = Path.Combine(target, name);
            var time = File.GetLastWriteTimeUtc(path);
            var bytes = File.ReadAllBytes(path);
            bytes[^1] ^= 1;
            File.WriteAllBytes(path, bytes);
            File.SetLastWriteTimeUtc(path, time);
        }
        var (resumed, _) = Restore(test, result.Snapshot, target, ExistingFiles.KeepEqual);
        Assert.Equal(2, resumed.Files);
        AssertSame(test, target);
    }

    [Fact]
    public void A_missing_ancestor_does_not_stop_backups()
    {
        using var test = new TestVault();
        test.Write("f", "1");
        var first = test.BackUp();
        test.Write("f", "22");
        test.BackUp();
        test.Write("f", "333");
        test.BackUp();
        using (var vault = test.Open())
            File.Delete(vault.Keeper.FolderStore!.Find(StoreKind.Object, vault.Find(first.Snapshot.ToString()).Name, 0)!);
        test.Write("f", "4444");
        var (restored, target) = Restore(test, test.BackUp().Snapshot);
        Assert.Equal(0, restored.Failed);
        AssertSame(test, target);
    }

    [Fact]
    public void A_file_that_is_all_hole_is_attested()
    {
        using var test = new TestVault();
        using (var file = File.OpenHandle(Path.Combine(test.Source, "hole"), FileMode.Create, FileAccess.Write))
            RandomAccess.SetLength(file, 5 << 20);
        test.BackUp();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.True(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood);
    }

    [Fact]
    public void A_wall_clock_ahead_gives_the_long_place_once_a_day()
    {
        using var test = new TestVault(new RetentionPolicy(7 * Day, 0, 12, 7, 0, 0));
        test.Write("f", "x");
        test.BackUp();
        test.Machine.Pass(Day);
        test.Machine.Wall += 34 * Day * 1_000;
        var longLocks = 0;
        for (var i = 0; i < 10; i++)
        {
            test.Write("f", $"{i}");
            test.Machine.Pass(60);
            var receipt = test.BackUp().Receipt;
            if (receipt.Expiry - receipt.Committed > 300 * Day)
                longLocks++;
            Assert.True(receipt.Expiry >= test.Machine.Wall / 1_000 + 7 * Day, "a lock was born short");
        }
        Assert.InRange(longLocks, 0, 1);
    }

    [Fact]
    public void Junk_that_was_attested_does_not_take_the_month()
    {
        using var test = new TestVault(new RetentionPolicy(7 * Day, 0, 6, 0, 0, 0));
        var now = DateTimeOffset.FromUnixTimeSeconds((long)(test.Machine.Wall / 1_000));
        test.Machine.Pass((ulong)(new DateTimeOffset(now.Year, now.Month, 1, 0, 10, 0, TimeSpan.Zero).AddMonths(1) - now).TotalSeconds);
        test.Write("junk", "x");
        var junk = test.BackUp();
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
            vault.Attest(vault.Find(junk.Snapshot.ToString()), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
        test.Machine.Pass(Day);
        test.Write("real", TestVault.Noise(1, 3_000_000));
        var receipt = test.BackUp().Receipt;
        Assert.InRange(receipt.Expiry - receipt.Committed, 186 * Day, ulong.MaxValue);
    }

    [Theory]
    [InlineData(MachineTime.UnknownBoot)]
    [InlineData("another machine ")]
    public void Uptime_of_who_knows_which_machine_does_not_move_the_clock(string boot)
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.Machine.SinceBoot = 400 * Day * 1_000;
        test.Machine.BootId = boot + "1";
        test.Write("f", "x");
        test.BackUp();
        for (var i = 2; i < 6; i++)
        {
            test.Machine.BootId = $"{boot}{i}";
            if (i == 2)
                test.Machine.Wall += 60 * Day * 1_000;
            test.Machine.Pass(1);
            using var vault = test.Open();
            Assert.Empty(vault.Keeper.Expire(false).Names);
        }
    }

    [Fact]
    public void A_lock_is_not_lengthened_where_its_data_is_gone()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 100_000));
        var first = test.BackUp();
        test.Machine.Pass(20 * Day);
        test.Write("f", TestVault.Noise(2, 100_000));
        test.BackUp(); // its pack set builds on the first's object, which stays
        for (var day = 0; day < 31; day++) // 30 locked, up to 6 of rounding, 14 of margin
            test.Machine.Pass(Day);
        using var vault = test.Open();
        Assert.NotEmpty(vault.Keeper.Expire(false).Names);
        Assert.Equal(ErrorCode.LockRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(first.Snapshot, vault.Keeper.Clock.Now + 100 * Day, Id16.None)).Code);
    }

    /// <summary>What runs a thread when the first file is removed, and counts the files.</summary>
    sealed class RemovalDisk(Action<int> removed) : Disk
    {
        int _count;

        public override void Discard(string path)
        {
            base.Discard(path);
            if (path.Contains("/packs/", StringComparison.Ordinal) || path.Contains("/objects/", StringComparison.Ordinal))
                removed(++_count);
        }
    }

    /// <summary>To remove what years have left takes longer than anybody waits for the vault's lock.</summary>
    [Fact]
    public void A_change_of_the_log_goes_through_while_expiry_removes_files()
    {
        using var test = new TestVault();
        for (var i = 0; i < 5; i++)
        {
            test.Write("file", TestVault.Noise(i, 10_000));
            test.BackUp(useState: false);
        }
        test.Machine.Pass(60 * TestVault.Day);
        test.Write("file", "new");
        var kept = test.BackUp(useState: false);
        var (last, changedAfter) = (0, 0);
        using var other = test.Open();
        using var begun = new ManualResetEventSlim();
        Thread? change = null;
        var disk = new RemovalDisk(count =>
        {
            Volatile.Write(ref last, count);
            if (change is not null)
                return;
            change = new Thread(() =>
            {
                begun.Set();
                other.Keeper.Extend(kept.Snapshot, other.State.Find(kept.Snapshot)!.Expiry + TestVault.Day, Id16.None);
                changedAfter = Volatile.Read(ref last);
            });
            change.Start();
            begun.Wait();
        });
        using var vault = test.Open(disk);
        vault.Keeper.RemovedAtOnce = 1;
        var result = vault.Keeper.Expire(dryRun: false);
        Assert.Equal(0, result.Stuck);
        change!.Join();
        Assert.InRange(changedAfter, 1, last - 1);
        Assert.True(last >= 10, $"{last} files");
        Assert.Empty(vault.Keeper.Expire(dryRun: false).Names);
        TestVault.AssertSame(test.Source, test.Restore());
    }
}
