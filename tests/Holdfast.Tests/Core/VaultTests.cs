using System.Diagnostics;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

public sealed class VaultTests
{
    [Fact]
    public void What_goes_in_comes_back()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        Assert.Equal(44UL, result.Archive.Files);
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Fact]
    public async Task An_unchanged_run_reads_little_and_stores_nothing()
    {
        using var test = new TestVault();
        test.WriteSome();
        await Task.Delay(TimeSpan.FromSeconds(4), TestContext.Current.CancellationToken); // what changed within two seconds of a run is read again by the next
        test.BackUp();
        var again = test.BackUp();
        Assert.Empty(again.Archive.Written);
        Assert.Equal(44UL, again.Archive.Statistics.Files(r => r.UnchangedFiles) + again.Archive.Statistics.Files(r => r.NewFiles));
        Assert.True(again.Archive.BytesRead < 9_700_000);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void What_did_not_change_counts_so_though_it_is_read_again()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var all = test.BackUp(useState: false);
        Assert.True(all.Archive.BytesRead > 9_700_000);
        Assert.Equal((0UL, 0UL, 44UL), Counts(all));
        foreach (var pack in Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories))
            File.Delete(pack);
        Directory.Delete(Path.Combine(test.Folder, "cache", "index"), recursive: true);
        var healing = test.BackUp();
        Assert.NotEmpty(healing.Archive.Written);
        Assert.Equal((0UL, 0UL, 44UL), Counts(healing));
        TestVault.AssertSame(test.Source, test.Restore());

        static (ulong New, ulong Changed, ulong Unchanged) Counts(BackupResult result) =>
            (result.Archive.Statistics.Files(r => r.NewFiles), result.Archive.Statistics.Files(r => r.ChangedFiles), result.Archive.Statistics.Files(r => r.UnchangedFiles));
    }

    [Fact]
    public void Further_names_count_as_what_they_are_and_a_file_that_gave_its_name_to_a_folder_as_removed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs hard links");
        using var test = new TestVault();
        foreach (var name in new[] { "a", "c" })
            test.Write(name, TestVault.Noise(1, 1_000));
        Assert.Equal(0, System.Diagnostics.Process.Start("ln", [Path.Combine(test.Source, "a"), Path.Combine(test.Source, "b")]) is { } ln && ln.WaitForExit(10_000) ? ln.ExitCode : -1);
        Assert.Equal((3UL, 0UL, 0UL, 0UL), Counts(test.BackUp()));
        File.Delete(Path.Combine(test.Source, "c"));
        Directory.CreateDirectory(Path.Combine(test.Source, "c"));
        Assert.Equal((0UL, 0UL, 1UL, 2UL), Counts(test.BackUp()));

        static (ulong New, ulong Changed, ulong Removed, ulong Unchanged) Counts(BackupResult result) => (result.Archive.Statistics.Files(r => r.NewFiles),
            result.Archive.Statistics.Files(r => r.ChangedFiles), result.Archive.Statistics.Files(r => r.RemovedFiles), result.Archive.Statistics.Files(r => r.UnchangedFiles));
    }

    [Fact]
    public void Without_the_state_everything_is_read_and_nothing_stored_twice()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Directory.Delete(test.State, recursive: true);
        var again = test.BackUp();
        Assert.Empty(again.Archive.Written);
        Assert.True(again.Archive.BytesRead > 9_700_000);
    }

    [Fact]
    public void What_a_run_has_given_to_the_index_on_its_way_it_does_not_store_again()
    {
        using var test = new TestVault();
        Directory.CreateDirectory(test.Source);
        var random = new Random(1);
        var bytes = new byte[1 << 20];
        foreach (var name in new[] { "a", "b" })
        {
            random = new Random(1);
            using var file = File.Create(Path.Combine(test.Source, name));
            for (var i = 0; i < 160; i++)
            {
                random.NextBytes(bytes);
                file.Write(bytes);
            }
        }
        BackupResult result;
        using (var vault = test.Open())
            result = test.BackUp(vault, new ArchiveOptions { Threads = 2, IndexFrom = 1 });
        Assert.True(result.Archive.Written.Count > 3, "packs became durable while it ran");
        Assert.InRange(result.Archive.NewBytes, 160UL << 20, 161UL << 20);
        Assert.Empty(result.Archive.References);
        Assert.Equal(result.Archive.Written.Select(w => w.Name).Order(), result.Archive.Packs.ToList().Select(p => p.Name).Order());
        TestVault.AssertSame(test.Source, test.Restore());
        using (var vault = test.Open())
        using (var index = vault.OpenIndex(test.Keys.Put.Domain, CancellationToken.None))
            Assert.Equal(index.Packs().Count, result.Archive.Written.Count);
    }

    [Fact]
    public void A_flipped_bit_in_the_state_is_noticed()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var file = Directory.EnumerateFiles(test.State, "*.state", SearchOption.AllDirectories).Single();
        var bytes = File.ReadAllBytes(file);
        bytes[bytes.Length / 2] ^= 4;
        File.WriteAllBytes(file, bytes);
        Assert.True(test.BackUp().Archive.BytesRead > 9_700_000);
    }

    [Fact]
    public void An_insertion_stores_little_anew()
    {
        using var test = new TestVault();
        var bytes = TestVault.Noise(5, 40_000_000);
        test.Write("large", bytes);
        test.BackUp();
        test.Write("large", [.. bytes.AsSpan(0, 20_000_001), 1, 2, 3, .. bytes.AsSpan(20_000_001)]);
        var again = test.BackUp();
        Assert.InRange(again.Archive.NewBytes, 1UL, 6_000_000UL);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void Each_snapshot_keeps_what_it_saw()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        var first = test.BackUp();
        var kept = test.Restore();
        test.WriteSome(2);
        File.Delete(Path.Combine(test.Source, "empty"));
        test.Write("moved/small.txt", "hello 1");
        var second = test.BackUp();
        TestVault.AssertSame(kept, test.Restore(first.Snapshot.ToString()));
        TestVault.AssertSame(test.Source, test.Restore(second.Snapshot.ToString()));
        Assert.Equal(1UL, second.Archive.Statistics.Files(r => r.RemovedFiles));
    }

    [Fact]
    public void A_renamed_file_is_told_as_one()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        File.Move(Path.Combine(test.Source, "a/b/medium.bin"), Path.Combine(test.Source, "a/b/other.bin"));
        var again = test.BackUp();
        Assert.Equal(1UL, again.Archive.Statistics.Files(r => r.Renamed));
        Assert.True(again.Archive.Written.Sum(p => p.Size) <= 65_536, "only the tree is new");
    }

    [Fact]
    public void Sixty_six_snapshots_in_a_row_tell_their_packs_whole_once_between()
    {
        using var test = new TestVault();
        for (var i = 0; i < 66; i++)
        {
            test.Write("changing", $"run {i}");
            test.BackUp();
        }
        using var vault = test.Open();
        Assert.Equal([0, 64], vault.State.Snapshots.Index().Where(s => s.Item.Object!.Packs.IsWhole).Select(s => s.Index));
        Assert.All(vault.State.Snapshots, s => Assert.NotNull(vault.State.PacksOf(s)));
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void A_snapshot_is_attested_in_full_and_the_log_says_so()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.Write("huge.bin", TestVault.Noise(9, 70_000_000)); // gets its digest here
        test.BackUp();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var found = vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, CancellationToken.None);
        Assert.True(found.IsGood);
        Assert.NotEmpty(found.LateDigests);
        Assert.True(vault.State.Snapshots[0].IsFullyAttested);
    }

    [Fact]
    public void A_snapshot_whose_pack_is_gone_is_not_attested()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First();
        File.Delete(pack);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.False(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, CancellationToken.None).IsGood);
        Assert.Equal("DEFECTS", vault.State.Snapshots[0].Attested > 0 ? "" : "DEFECTS");
        Assert.Contains(test.Verify(full: false).Defects, d => d.Kind == DefectKind.Missing);
    }

    [Fact]
    public void What_a_damaged_pack_held_is_stored_again_and_older_snapshots_use_it()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First();
        var bytes = File.ReadAllBytes(pack);
        for (var i = 2_000; i < bytes.Length - 100_000; i += 1_000)
            bytes[i] ^= 0xFF;
        File.WriteAllBytes(pack, bytes);
        Assert.False(test.Verify(full: true).IsSound);
        Assert.NotEmpty(test.BackUp().Archive.Written);
        TestVault.AssertSame(test.Source, test.Restore(first.Snapshot.ToString()));
    }

    [Fact]
    public void A_file_longer_than_any_pack_is_damage_and_is_not_read()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        string snapshot;
        using (var vault = test.Open())
            snapshot = vault.State.Snapshots[0].Name.ToString();
        foreach (var file in new[] { Path.Combine(test.Folder, "objects", snapshot[..2], snapshot), Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).First() })
        {
            using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write);
            RandomAccess.SetLength(handle, 2L << 40); // holes: reading them would take an hour
        }
        foreach (var full in new[] { false, true })
            Assert.Equal(2, test.Verify(full).Defects.Count(d => d.Kind == DefectKind.Damaged));
    }

    [Fact]
    public void A_damaged_leaf_of_the_log_closes_the_vault_to_changes_and_to_no_reader()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        test.Write("later", "x");
        test.BackUp();
        var entries = Directory.EnumerateFiles(Path.Combine(test.Folder, "log", "tile", "entries"), "*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!; // the one in use
        var bytes = File.ReadAllBytes(entries);
        bytes[^1] ^= 1; // of the newest leaf, a commit
        File.WriteAllBytes(entries, bytes);
        using var vault = test.Open();
        Assert.Equal([vault.Keeper.Log.Size - 1], vault.Keeper.Log.Lost);
        bytes[5] ^= 1; // the first leaf too: all that it says is in the genesis, and without that nothing says what the vault is any more
        File.WriteAllBytes(entries, bytes);
        using (var both = test.Open())
            Assert.Equal((both.Keeper.Log.Size - 1, ErrorCode.LogDamaged), (Assert.Single(both.Keeper.Log.Lost), both.Keeper.LogFault!.Code));
        var copies = Directory.GetFiles(Path.Combine(test.Folder, "objects", $"{vault.Keeper.File.Genesis}"[..2]), $"{vault.Keeper.File.Genesis}*");
        foreach (var copy in copies)
            File.Move(copy, test[Path.GetFileName(copy)]);
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => test.Open()).Code);
        foreach (var copy in copies)
            File.Move(test[Path.GetFileName(copy)], copy);
        bytes[5] ^= 1;
        File.WriteAllBytes(entries, bytes);
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => vault.Find("latest")).Code);
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => test.BackUp()).Code);
        Assert.Equal(bytes, File.ReadAllBytes(entries));
        using var keys = vault.Unlock(test.Seed);
        using var target = FileTarget.Create(test["r"], new FileTargetOptions());
        Assert.True(vault.Restore(vault.Find(first.Snapshot.ToString()), keys, target, new PathFilter(null), new RestoreProgress(), 2, TestContext.Current.CancellationToken).IsWhole);
        Assert.False(File.Exists(test["r/later"]));
    }

    [Fact]
    public void A_second_copy_of_a_damaged_pack_mends_it()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First();
        File.Copy(pack, pack + ".1");
        var bytes = File.ReadAllBytes(pack);
        bytes[70_000] ^= 1;
        File.WriteAllBytes(pack, bytes);
        var verified = test.Verify(full: true);
        Assert.Single(verified.Defects);
        Assert.True(verified.IsSound);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void A_lost_index_is_rebuilt_from_footers()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Directory.Delete(Path.Combine(test.Folder, "cache"), recursive: true);
        Assert.Empty(test.BackUp().Archive.Written);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Theory]
    [InlineData("log.key", ErrorCode.KeyFileBad)]
    [InlineData("lock", ErrorCode.StoreUnavailable)]
    public void A_pipe_or_a_link_in_the_keepers_folder_neither_hangs_nor_is_written_through(string file, ErrorCode code)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes of Linux");
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var path = Path.Combine(test.Folder, "keeper", file);
        var victim = test["victim"];
        File.Delete(path);
        Process.Start("mkfifo", path).WaitForExit();
        Assert.Equal(code, Assert.Throws<HoldfastException>(() => test.BackUp()).Code);
        File.Delete(path);
        File.CreateSymbolicLink(path, victim);
        Assert.Equal(code, Assert.Throws<HoldfastException>(() => test.BackUp()).Code);
        Assert.False(File.Exists(victim));
    }

    [Fact]
    public void An_index_folder_that_is_a_link_is_not_written_through()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links of Linux");
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var index = Path.Combine(test.Folder, "cache", "index");
        Directory.Move(index, test["moved"]);
        var outside = Directory.CreateDirectory(test["outside"]).FullName;
        Directory.CreateSymbolicLink(index, outside);
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.Empty(Directory.EnumerateFileSystemEntries(outside));
    }

    [Fact]
    public void Keys_of_another_vault_are_refused()
    {
        using var test = new TestVault();
        using var other = new TestVault();
        test.WriteSome();
        using var vault = test.Open();
        Assert.Equal(ErrorCode.WrongVault, Assert.Throws<HoldfastException>(() => vault.Require(other.Keys.Put)).Code);
        Assert.Equal(ErrorCode.WrongKey, Assert.Throws<HoldfastException>(() => vault.Unlock(other.Seed)).Code);
    }

    [Fact]
    public void A_commit_that_its_agent_did_not_sign_is_refused()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        var forged = vault.State.Whole(vault.State.Snapshots[0])! with { Snapshot = Id16.New() };
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(forged)).Code);
        Assert.Single(vault.State.Snapshots);
    }

    [Fact]
    public void A_commit_that_names_a_pack_that_is_not_there_is_refused()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        var old = vault.State.Whole(vault.State.Snapshots[0])!;
        var set = new PackSet([.. old.Packs.Added, new PackRef(new Hash32(TestVault.Noise(3, 32)), 65_536)]);
        var made = old with { Snapshot = Id16.New(), Packs = set.Whole(), Signatures = [] };
        made = made with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, test.Keys.Agent.Agent, SnapshotSignature.Ed25519, test.Keys.Agent.Signer.Sign(made.SignedBytes()))] };
        Assert.Equal(ErrorCode.PackMissing, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(made)).Code);
    }

    [Fact]
    public void Parts_are_restored_with_the_folders_above_them()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(test["part"], new FileTargetOptions());
        var filter = new PathFilter(path => path.SequenceEqual("a/b"u8) || path.SequenceEqual("many/007"u8));
        vault.Restore(vault.Find("latest"), keys, writer, filter, new RestoreProgress(), 2, CancellationToken.None);
        Assert.Equal(["a", "a/b", "a/b/medium.bin", "many", "many/007"],
            Directory.EnumerateFileSystemEntries(test["part"], "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(test["part"], p)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void An_interrupted_restore_goes_on_where_it_stopped()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var target = test.Restore();
        File.Delete(Path.Combine(target, "large.bin"));
        File.WriteAllText(Path.Combine(target, "a/small.txt"), "half written");
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
        var progress = new RestoreProgress();
        vault.Restore(vault.Find("latest"), keys, writer, new PathFilter(null), progress, 2, CancellationToken.None);
        Assert.Equal(2, progress.Files);
        TestVault.AssertSame(test.Source, target);
    }

    [Fact]
    public void A_target_that_is_not_empty_is_left_alone()
    {
        using var test = new TestVault();
        Directory.CreateDirectory(test["full"]);
        File.WriteAllText(test["full/mine"], "x");
        Assert.Equal(ErrorCode.TargetNotEmpty, Assert.Throws<HoldfastException>(() => FileTarget.Create(test["full"], new FileTargetOptions())).Code);
    }

    [Fact]
    public void A_second_folder_takes_packs_and_gives_them_back()
    {
        using var test = new TestVault();
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        test.BackUp();
        using var again = test.Open();
        Assert.Equal(2, again.Keeper.Folders.Count);
        // Move everything over, as when a disk is replaced.
        foreach (var pack in Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).ToList())
            File.Move(pack, pack.Replace(test.Folder, test["second"], StringComparison.Ordinal));
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>What the store never opens under a name holds nothing of it: neither a letter's case that flipped nor a pipe hides that a pack is gone.</summary>
    [Theory]
    [InlineData("mv $f $d/$(echo $n | sed 's/\\([a-f]\\)\\([^a-f]*\\)$/\\U\\1\\2/')")]
    [InlineData("rm $f; mkfifo $f")]
    [InlineData("rm $f; mkdir $f")]
    public void What_only_looks_like_a_pack_hides_no_loss(string damage)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes, and names that differ by case");
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).First(f => Path.GetFileName(f)[2..].Any(char.IsAsciiLetter));
        using (var shell = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("sh", ["-ec", damage]) { Environment = { ["f"] = pack, ["d"] = Path.GetDirectoryName(pack), ["n"] = Path.GetFileName(pack) } })!)
        {
            shell.WaitForExit();
            Assert.Equal(0, shell.ExitCode);
        }
        Assert.False(File.Exists(pack) && new FileInfo(pack).Length > 0);
        foreach (var full in new[] { false, true })
            Assert.Contains(test.Verify(full).Defects, d => d.Kind == DefectKind.Missing && d.Name.ToString() == Path.GetFileName(pack));
        using (var vault = test.Open())
            Assert.Contains(vault.Health().Problems, p => p.Code == ErrorCode.PackMissing);
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>Deletes the last pack when the first one is read, as a thief may while a long verify runs.</summary>
    sealed class ThievingDisk(string folder) : Holdfast.Core.Storage.Disk
    {
        public string? Stolen { get; private set; }

        public override Microsoft.Win32.SafeHandles.SafeFileHandle? OpenStored(string path)
        {
            if (Stolen is null && path.Contains("/packs/", StringComparison.Ordinal))
            {
                var other = Directory.EnumerateFiles(Path.Combine(folder, "packs"), "*", SearchOption.AllDirectories).First(f => f != path);
                File.Delete(other);
                Stolen = Path.GetFileName(other);
            }
            return base.OpenStored(path);
        }
    }

    [Fact]
    public void A_pack_that_vanishes_while_all_are_read_is_missed()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var disk = new ThievingDisk(test.Folder);
        using var vault = test.Open(disk);
        var found = vault.Verify(null, null, new VerifyProgress(), 1, TestContext.Current.CancellationToken);
        Assert.NotNull(disk.Stolen);
        Assert.Contains(found.Defects, d => d.Kind == DefectKind.Missing && d.Name.ToString() == disk.Stolen);
    }

    [Fact]
    public void Foreign_files_are_named_and_left_alone()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        File.WriteAllText(Path.Combine(test.Folder, "packs", "00", "notes.txt"), "not ours");
        File.WriteAllText(Path.Combine(test.Folder, "objects", "thumbs.db"), "not ours");
        var verified = test.Verify(full: false);
        Assert.Equal(2, verified.Defects.Count(d => d.Kind == DefectKind.Foreign));
        Assert.True(verified.IsSound);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void Two_sources_share_what_is_equal()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp(name: "one");
        var two = test.BackUp(name: "two");
        Assert.True(two.Archive.NewBytes == 0);
        Assert.Null(two.Parent);
        using var vault = test.Open();
        Assert.NotEqual(vault.State.Snapshots[0].Source, vault.State.Snapshots[1].Source);
    }
}
