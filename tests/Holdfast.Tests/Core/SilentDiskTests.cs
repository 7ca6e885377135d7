using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Restore;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>A pack that its disk does not give for a moment: nothing is told as lost.</summary>
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

    static RestoreResult Restore(TestVault test, SilentDisk disk, string target)
    {
        using var vault = test.Open(disk);
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(test[target], new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
        return vault.Restore(vault.Find("latest"), keys, writer, new PathFilter(null), new RestoreProgress(), 2, Ct);
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
