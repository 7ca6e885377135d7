using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>A pack that its disk does not give for a moment: nobody is accused of it, and nothing is told as lost.</summary>
public sealed class SilentDiskTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static Hash32 PackOf(BackupResult result, KeyClass keyClass) => result.Archive.Written.Single(w => w.Class == keyClass).Name;

    static BackupResult BackUp(TestVault test)
    {
        using var vault = test.Open();
        return test.BackUp(vault, new ArchiveOptions { Threads = 1 });
    }

    static void ForgetIndex(TestVault test)
    {
        using var vault = test.Open();
        vault.ForgetIndex();
    }

    static AttestationObject Attest(TestVault test, SilentDisk? disk = null)
    {
        using var vault = test.Open(disk);
        using var keys = vault.Unlock(test.Seed);
        return vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, Ct);
    }

    /// <summary>Nothing is recorded, and the next look finds nothing wrong.</summary>
    static void AccusesNobody(TestVault test, SilentDisk disk)
    {
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => Attest(test, disk)).Code);
        using (var vault = test.Open())
        {
            Assert.Equal((0u, 0u), (vault.Find("latest").Attested, vault.Find("latest").Defects));
            Assert.Empty(vault.LastReads().Damaged);
        }
        Assert.True(Attest(test).IsGood);
    }

    static RestoreResult Restore(TestVault test, SilentDisk disk, string target)
    {
        using var vault = test.Open(disk);
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(test[target], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
        return vault.Restore(vault.Find("latest"), keys, writer, new PathFilter(null), new RestoreProgress(), 2, Ct);
    }

    [Theory]
    [InlineData(KeyClass.Tree, false)]
    [InlineData(KeyClass.Tree, true)]
    [InlineData(KeyClass.Content, false)]
    [InlineData(KeyClass.Content, true)]
    public void A_pack_that_does_not_answer_when_a_chunk_is_read_accuses_nobody(KeyClass keyClass, bool isGone)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var disk = new SilentDisk(isGone);
        disk.Refuse(PackOf(BackUp(test), keyClass), 1);
        AccusesNobody(test, disk);
    }

    [Theory]
    [InlineData(KeyClass.Tree, false)]
    [InlineData(KeyClass.Tree, true)]
    [InlineData(KeyClass.Content, false)]
    [InlineData(KeyClass.Content, true)]
    public void A_pack_that_does_not_answer_when_the_index_is_filled_accuses_nobody(KeyClass keyClass, bool isGone)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var pack = PackOf(BackUp(test), keyClass);
        ForgetIndex(test);
        var disk = new SilentDisk(isGone);
        disk.Refuse(pack, 2); // it is asked twice
        AccusesNobody(test, disk);
    }

    [Fact]
    public void A_pack_that_is_away_while_the_index_is_filled_and_then_back_accuses_nobody()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var result = BackUp(test);
        ForgetIndex(test);
        var tree = PackOf(result, KeyClass.Tree);
        var file = Path.Combine(test.Folder, "packs", tree.ToString()[..2], tree.ToString());
        File.Move(file, test["away"]);
        var disk = new SilentDisk();
        disk.Before(PackOf(result, KeyClass.Content), () => File.Move(test["away"], file)); // its footer is read, and the list of packs is made
        AccusesNobody(test, disk);
    }

    /// <summary>The tree read right, whatever comes after.</summary>
    [Fact]
    public void Content_that_the_disk_did_not_give_is_no_tree_that_cannot_be_read()
    {
        using var test = new TestVault();
        test.Write("a", TestVault.Noise(1, 60_000));
        var silent = PackOf(BackUp(test), KeyClass.Content);
        test.Write("b", TestVault.Noise(2, 60_000));
        var damaged = PackOf(BackUp(test), KeyClass.Content);
        var file = Path.Combine(test.Folder, "packs", damaged.ToString()[..2], damaged.ToString());
        var bytes = File.ReadAllBytes(file);
        bytes[1_300] ^= 1;
        File.WriteAllBytes(file, bytes);
        var disk = new SilentDisk();
        disk.Refuse(silent, 1);
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => Attest(test, disk)).Code);
        var found = Attest(test);
        Assert.True(found is { RootMatches: true, SampleMatches: false });
        Assert.Equal([(AttestationDefect.PackDamaged, damaged)], found.Defects);
    }

    [Theory]
    [InlineData((byte)KeyClass.Content)]
    [InlineData((byte)KeyClass.Features)]
    public void A_damaged_byte_that_says_another_class_does_not_turn_damage_into_a_forged_root(byte said)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var tree = PackOf(BackUp(test), KeyClass.Tree);
        var file = Path.Combine(test.Folder, "packs", tree.ToString()[..2], tree.ToString());
        var bytes = File.ReadAllBytes(file);
        Assert.Equal((byte)KeyClass.Tree, bytes[64]);
        bytes[64] = said;
        File.WriteAllBytes(file, bytes);
        Assert.Equal([(AttestationDefect.PackDamaged, tree)], Attest(test).Defects);
    }

    /// <summary>The vault has all of it: nobody is told otherwise.</summary>
    [Theory]
    [InlineData(23, false)] // ENFILE
    [InlineData(24, false)] // EMFILE
    [InlineData(24, true)]
    public void A_restore_that_may_open_no_more_files_ends_and_counts_nothing_as_lost(int error, bool fillsIndex)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.Write("f", TestVault.Noise(1, 60_000));
        var result = BackUp(test);
        if (fillsIndex)
            ForgetIndex(test);
        var disk = new SilentDisk(error: error);
        disk.Refuse(PackOf(result, KeyClass.Content), int.MaxValue);
        Assert.Equal(ErrorCode.SystemLimit, Assert.Throws<HoldfastException>(() => Restore(test, disk, "r")).Code);
        Assert.True(Restore(test, new SilentDisk(), "r") is { IsWhole: true });
        TestVault.AssertSame(test.Source, test["r"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_footer_that_the_disk_does_not_give_at_first_is_asked_for_once_more(bool isGone)
    {
        using var test = new TestVault();
        test.WriteSome();
        var written = BackUp(test).Archive.Written;
        ForgetIndex(test);
        var disk = new SilentDisk(isGone);
        foreach (var pack in written)
            disk.Refuse(pack.Name, 1);
        Assert.True(Restore(test, disk, "r") is { IsWhole: true, UnreadPacks: 0 });
        TestVault.AssertSame(test.Source, test["r"]);
    }

    [Fact]
    public void What_is_in_packs_whose_footers_are_not_given_is_told_as_that_and_comes_with_the_next_run()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var result = BackUp(test);
        ForgetIndex(test);
        var disk = new SilentDisk();
        disk.Refuse(PackOf(result, KeyClass.Content), 2);
        Assert.True(Restore(test, disk, "r") is { IsWhole: false, UnreadPacks: 1, Failed: 1 });
        Assert.True(Restore(test, disk, "r") is { IsWhole: true, UnreadPacks: 0 });
        TestVault.AssertSame(test.Source, test["r"]);

        ForgetIndex(test);
        disk.Refuse(PackOf(result, KeyClass.Tree), 2);
        using var vault = test.Open(disk);
        using var keys = vault.Unlock(test.Seed);
        var fault = Assert.Throws<HoldfastException>(() => vault.Rows(vault.Find("latest"), keys, Ct).Count());
        Assert.Equal(ErrorCode.StoreUnavailable, fault.Code);
        Assert.Contains("--resume", fault.Guidance, StringComparison.Ordinal);
        Assert.Single(vault.Rows(vault.Find("latest"), keys, Ct));
    }
}
