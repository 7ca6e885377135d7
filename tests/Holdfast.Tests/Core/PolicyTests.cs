using Holdfast.Core;
using Holdfast.Core.Retention;

namespace Holdfast.Tests.Core;

/// <summary>A policy is raised and never weakened, for what is committed from then on.</summary>
public sealed class PolicyTests
{
    const ulong Day = RetentionPolicy.Day;

    static readonly RetentionPolicy First = new(10 * Day, 4, 6, 1, 50_000_000, 0);

    static ulong Kept(Holdfast.Core.Backup.BackupResult result) => result.Receipt.Expiry - result.Receipt.Committed;

    [Fact]
    public void A_longer_policy_holds_from_the_next_backup_on_and_changes_nothing_that_was_committed()
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        var before = test.BackUp();
        using (var vault = test.Open())
        {
            Assert.True(vault.Keeper.SetPolicy(Id16.None, p => p with { Base = 40 * Day }, Id16.None));
            var size = vault.Keeper.Log.Size;
            Assert.False(vault.Keeper.SetPolicy(Id16.None, p => p with { Base = 40 * Day }, Id16.None));
            Assert.Equal(size, vault.Keeper.Log.Size);
        }
        Assert.InRange(Kept(test.BackUp()), 40 * Day, 40 * Day + 60);
        using var after = test.Open();
        Assert.Equal(before.Receipt.Expiry, after.State.Snapshots[0].Expiry);
    }

    [Fact]
    public void A_source_has_a_policy_of_its_own_and_the_others_go_on_as_before()
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        using (var vault = test.Open())
        {
            vault.Keeper.SetPolicy(test.Keys.Put.Domain.SourceId("epr"u8), p => p with { Base = 20 * Day }, Id16.None);
            vault.Keeper.SetPolicy(Id16.None, p => p with { Base = 15 * Day }, Id16.None);
        }
        Assert.InRange(Kept(test.BackUp(name: "epr")), 20 * Day, 20 * Day + 60);
        Assert.InRange(Kept(test.BackUp(name: "other")), 15 * Day, 15 * Day + 60);
    }

    public static TheoryData<string> Weaker => ["lock", "weeks", "months", "years", "daily", "locked"];

    [Theory]
    [MemberData(nameof(Weaker))]
    public void Nothing_of_a_policy_is_weakened_though_the_rest_is_raised(string what)
    {
        using var test = new TestVault(First);
        using var vault = test.Open();
        var wanted = First with { Base = 60 * Day, Weeks = 50, Months = 60, Years = 3, DailyQuota = 0 };
        wanted = what switch
        {
            "lock" => wanted with { Base = First.Base - 1 },
            "weeks" => wanted with { Weeks = 3 },
            "months" => wanted with { Months = 0 },
            "years" => wanted with { Years = 0 },
            "daily" => wanted with { DailyQuota = 1 },
            _ => wanted with { LockedQuota = 1 }, // there was none
        };
        var size = vault.Keeper.Log.Size;
        Assert.Equal(ErrorCode.LockRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, _ => wanted, Id16.None)).Code);
        Assert.Equal(First, vault.State.PolicyFor(Id16.None));
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Equal(1UL, vault.Keeper.Refusals);
    }

    [Fact]
    public void No_policy_locks_for_longer_than_the_vault_allows()
    {
        using var test = new TestVault(First);
        using var vault = test.Open();
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, p => p with { Base = 3_651 * Day }, Id16.None)).Code);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, p => p with { Years = 11 }, Id16.None)).Code);
        Assert.True(vault.Keeper.SetPolicy(Id16.None, p => p with { Base = 3_650 * Day }, Id16.None));
    }
}
