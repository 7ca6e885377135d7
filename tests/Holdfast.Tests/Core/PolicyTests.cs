using Holdfast.Core;
using Holdfast.Core.Keeper;
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
            Assert.True(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 40 * Day), Id16.None));
            var size = vault.Keeper.Log.Size;
            Assert.False(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 40 * Day), Id16.None));
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
            vault.Keeper.SetPolicy(test.Keys.Put.Domain.SourceId("epr"u8), new PolicyChange(Base: 20 * Day), Id16.None);
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 15 * Day), Id16.None);
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
        Assert.Equal(ErrorCode.LockRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, PolicyChange.To(wanted), Id16.None)).Code);
        Assert.Equal(First, vault.State.PolicyFor(Id16.None));
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Equal(1UL, vault.Keeper.Refusals);
    }

    [Fact]
    public void No_policy_locks_for_longer_than_the_vault_allows()
    {
        using var test = new TestVault(First);
        using var vault = test.Open();
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 3_651 * Day), Id16.None)).Code);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Years: 11), Id16.None)).Code);
        Assert.True(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 3_650 * Day), Id16.None));
    }

    /// <summary>Paths of the objects of the policies that were set, oldest first. Their second copies are deleted.</summary>
    static List<string> Objects(TestVault test)
    {
        using var vault = test.Open();
        var leaves = Enumerable.Range(0, (int)vault.Keeper.Log.Size).Select(i => Leaf.TryParse(vault.Keeper.Log.Leaf(i), out var leaf) ? leaf : default);
        List<string> paths = [.. leaves.Where(l => l.Type == LeafType.Policy).Select(l => Path.Combine(test.Folder, "objects", l.Payload.ToString()[..2], l.Payload.ToString()))];
        paths.ForEach(p => File.Delete(p + ".1"));
        return paths;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_policy_whose_object_is_gone_or_damaged_shortens_no_lock_and_stops_no_backup(bool isGone)
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 2_000_000, 0));
        test.Write("f", TestVault.Noise(1, 3_000_000));
        using (var vault = test.Open())
        {
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 20 * Day, DailyQuota: 9_000_000), Id16.None);
            vault.Keeper.SetPolicy(test.Keys.Put.Domain.SourceId("epr"u8), new PolicyChange(Base: 40 * Day, Weeks: 5, Months: 3), Id16.None);
        }
        var (all, own) = (Objects(test)[0], Objects(test)[1]);
        var kept = File.ReadAllBytes(own);
        if (isGone)
            File.Delete(own);
        else
            File.WriteAllText(own, "damaged");
        Assert.InRange(Kept(test.BackUp(name: "epr")), 93 * Day, 93 * Day + 60); // the first of its month
        Assert.InRange(Kept(test.BackUp(name: "epr")), 40 * Day, 40 * Day + 60);
        Assert.True(Kept(test.BackUp(name: "other")) >= 40 * Day); // whose policy it was, nobody can tell
        File.WriteAllBytes(own, kept);
        test.Machine.Pass(Day);
        File.Delete(all);
        Assert.InRange(Kept(test.BackUp(name: "epr")), 93 * Day, 93 * Day + 60); // a newer one of its own counts, and is there
        Assert.InRange(Kept(test.BackUp(name: "other")), 20 * Day, 20 * Day + 60);
    }

    [Fact]
    public void A_policy_is_not_weakened_while_the_object_of_the_one_in_force_is_gone_nor_when_it_comes_back()
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 40 * Day, Months: 2), Id16.None);
        var path = Objects(test)[0];
        File.Move(path, test["kept"]);
        using (var vault = test.Open())
        {
            foreach (var weaker in new RetentionPolicy[] { new(20 * Day, 0, 0, 0, 0, 0), new(50 * Day, 0, 0, 0, 0, 0), new(39 * Day, 0, 2, 0, 0, 0) })
                Assert.Equal(ErrorCode.LockRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, PolicyChange.To(weaker), Id16.None)).Code);
            Assert.True(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 50 * Day), Id16.None));
        }
        RetentionPolicy raised = new(50 * Day, 0, 2, 0, 0, 0);
        using (var vault = test.Open())
            Assert.Equal(raised, vault.State.PolicyFor(Id16.None));
        File.Move(test["kept"], path);
        using (var vault = test.Open())
            Assert.Equal(raised, vault.State.PolicyFor(Id16.None));
    }

    [Fact]
    public void A_policy_whose_leaf_says_nothing_of_it_keeps_what_was_promised_and_is_not_compared_with()
    {
        using var test = WithEarlierPolicy();
        var before = test.BackUp();
        Assert.InRange(Kept(before), 40 * Day, 40 * Day + 60);
        using (var vault = test.Open())
            vault.Keeper.Extend(before.Snapshot, before.Receipt.Expiry + 900 * Day, Id16.None); // of this one, not of those to come
        File.Move(Objects(test)[0], test["kept"]);
        Assert.InRange(Kept(test.BackUp()), 40 * Day, 40 * Day + 60);
        using (var vault = test.Open())
            Assert.Equal(ErrorCode.ObjectMissing, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 50 * Day), Id16.None)).Code);
        File.Move(test["kept"], Objects(test)[0]);
        using (var vault = test.Open())
            Assert.True(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 50 * Day), Id16.None));
    }

    [Fact]
    public void A_promise_does_not_go_with_the_objects_of_the_snapshots_that_it_was_made_to()
    {
        using var test = WithEarlierPolicy();
        var before = test.BackUp();
        string name;
        using (var vault = test.Open())
            name = vault.State.Find(before.Snapshot)!.Name.ToString();
        File.Delete(Objects(test)[0]);
        File.Delete(Path.Combine(test.Folder, "objects", name[..2], name));
        Assert.InRange(Kept(test.BackUp()), 40 * Day, 40 * Day + 60);
        Assert.InRange(Kept(test.BackUp(name: "other")), 40 * Day, 40 * Day + 60); // whose snapshot it was, nobody can tell
    }

    [Theory]
    [InlineData(ulong.MaxValue - 1_000)]
    [InlineData(ulong.MaxValue)]
    [InlineData(LockRules.LastEnd + 1)]
    public void A_forged_policy_that_no_time_can_be_added_to_makes_no_lock_short(ulong retention)
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        RetentionPolicy forged = new(retention, 0, 0, 0, 0, 0);
        using (var vault = test.Open())
        {
            var (id, (a, b, c)) = (Id16.New(), LostPolicy.Tell(forged));
            vault.Keeper.Record(LeafType.Policy, id, Id16.None, a, b, c, new PolicyObject(vault.Id, VaultKeeper.Salt(), id, Id16.None, forged).ToArray());
            Assert.Equal(LockRules.LastEnd, vault.State.PolicyFor(Id16.None).Base);
        }
        Assert.InRange(Kept(test.BackUp()), 3_649 * Day, 3_651 * Day); // the longest that the vault allows
    }

    /// <summary>A vault that locks for ten days, with a policy of forty whose leaf says nothing of it, as earlier versions wrote it.</summary>
    static TestVault WithEarlierPolicy()
    {
        var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        var policy = Id16.New();
        using var vault = test.Open();
        vault.Keeper.Record(LeafType.Policy, policy, Id16.None, 0, 0, 0, new PolicyObject(vault.Id, VaultKeeper.Salt(), policy, Id16.None, new(40 * Day, 0, 0, 0, 0, 0)).ToArray());
        return test;
    }
}
