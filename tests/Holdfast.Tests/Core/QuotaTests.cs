using Holdfast.Core;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Core;

/// <summary>A source that grows without measure ends at its quota: the keeper refuses the commit, nothing that was there suffers, and other sources go on.</summary>
public sealed class QuotaTests
{
    const ulong Day = RetentionPolicy.Day;
    const ulong Quota = 5_000_000; // bytes

    static TestVault Daily() => new(new RetentionPolicy(30 * Day, 0, 0, 0, Quota, 0));
    static TestVault Locked() => new(new RetentionPolicy(30 * Day, 0, 0, 0, 0, Quota));

    static HoldfastException Refused(TestVault test, string name)
    {
        var fault = Assert.Throws<HoldfastException>(() => test.BackUp(name: name));
        Assert.Equal(ErrorCode.QuotaExceeded, fault.Code);
        Assert.DoesNotContain(name, fault.Message + fault.Guidance, StringComparison.Ordinal); // an id, not a name
        return fault;
    }

    [Fact]
    public void Over_its_daily_quota_a_source_waits_for_its_day_to_end()
    {
        using var test = Daily();
        test.Write("grows", TestVault.Noise(1, 3_000_000));
        var first = test.BackUp(name: "noisy");
        test.Write("grows", TestVault.Noise(2, 3_000_000));
        Assert.Contains("in a day", Refused(test, "noisy").Message, StringComparison.Ordinal);
        test.Machine.Pass(Day / 2);
        Refused(test, "noisy");
        test.Machine.Pass(Day / 2 + 60);
        var late = test.BackUp(name: "noisy");
        Assert.Equal(first.Snapshot, late.Parent!.Snapshot);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void Over_its_locked_quota_a_source_waits_for_locks_to_end()
    {
        using var test = Locked();
        test.Write("grows", TestVault.Noise(1, 3_000_000));
        test.BackUp(name: "noisy");
        test.Machine.Pass(2 * Day);
        test.Write("grows", TestVault.Noise(2, 3_000_000));
        Assert.Contains("would be locked, and its quota allows", Refused(test, "noisy").Message, StringComparison.Ordinal);
        test.Machine.Pass(20 * Day);
        Refused(test, "noisy"); // another day is not enough
        test.Machine.Pass(9 * Day);
        test.BackUp(name: "noisy"); // the first one's lock is over
    }

    [Fact]
    public void What_is_stored_already_counts_once()
    {
        using var test = Locked();
        test.Write("steady", TestVault.Noise(1, 3_000_000));
        for (var run = 0; run < 5; run++)
        {
            test.BackUp(name: "steady");
            test.Machine.Pass(Day);
        }
        using var vault = test.Open();
        Assert.Equal(5, vault.State.Snapshots.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_refused_commit_takes_nothing_from_what_is_there_and_other_sources_go_on(bool daily)
    {
        using var test = daily ? Daily() : Locked();
        test.Write("grows", "little");
        test.BackUp(name: "quiet");
        test.Machine.Pass(16 * Day); // no longer young
        test.Write("grows", TestVault.Noise(1, 3_000_000));
        var kept = test.BackUp(name: "noisy");
        var before = test.Restore(kept.Snapshot.ToString());
        test.Write("grows", TestVault.Noise(2, 3_000_000));
        Refused(test, "noisy");

        // It stored its packs: the same data from another source costs that one nothing, and commits.
        var other = test.BackUp(name: "quiet");
        Assert.Equal(2, other.Receipt.Ordinal - kept.Receipt.Ordinal + 1);
        TestVault.AssertSame(test.Source, test.Restore(other.Snapshot.ToString()));
        TestVault.AssertSame(before, test.Restore(kept.Snapshot.ToString()));
        using var vault = test.Open();
        Assert.Equal([kept.Receipt.Expiry, other.Receipt.Expiry], vault.State.Snapshots.Skip(1).Select(s => s.Expiry));
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Names_of_sources_that_are_made_up_share_one_quota(bool daily)
    {
        using var test = daily ? Daily() : Locked();
        test.Write("junk", TestVault.Noise(1, 3_000_000));
        test.BackUp(name: "made up");
        for (var i = 2; i < 5; i++)
        {
            test.Write("junk", TestVault.Noise(i, 3_000_000));
            Refused(test, $"made up {i}");
        }
        test.Machine.Pass(16 * Day);
        test.BackUp(name: "begun later"); // the first is a source of its own by now
        test.Write("junk", TestVault.Noise(6, 1_500_000));
        test.BackUp(name: "made up");
    }

    [Fact]
    public void Sizes_that_a_snapshot_gives_its_parents_packs_do_not_make_room()
    {
        using var test = Locked();
        test.Write("grows", TestVault.Noise(1, 3_000_000));
        test.BackUp(name: "noisy");
        using (var vault = test.Open())
        {
            var parent = vault.Find("latest");
            var snapshot = vault.State.Whole(parent)!;
            var small = new PackSet(vault.State.PacksOf(parent)!.ToList().Select(p => p with { Size = 65_536 })).Whole();
            Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(test.Again(snapshot with { Parent = parent.Name, ParentContentRoot = snapshot.ContentRoot, Packs = small }))).Code);
        }
        test.Write("grows", TestVault.Noise(2, 3_000_000));
        Refused(test, "noisy");
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 63)]
    public void A_quota_that_is_larger_than_any_disk_refuses_nothing(ulong quota)
    {
        using var test = new TestVault(new RetentionPolicy(30 * Day, 0, 0, 0, quota, quota));
        test.Write("f", "bed 3");
        test.BackUp();
        test.BackUp();
    }

    [Fact]
    public void The_refusal_is_an_error_and_no_snapshot()
    {
        using var test = Daily();
        test.Write("grows", TestVault.Noise(1, 9_000_000));
        Refused(test, "noisy");
        using var vault = test.Open();
        Assert.Empty(vault.State.Snapshots);
        Assert.Equal(0, vault.Keeper.Expire(dryRun: true).Bytes);
    }

    /// <summary>Commits a snapshot of the newest one's packs, a section of which has so many bytes: what it says is known to nobody but its writer.</summary>
    static void Commit(TestVault test, byte number, int bytes)
    {
        using var vault = test.Open();
        var snapshot = vault.State.Whole(vault.Find("latest"))!;
        vault.Keeper.Commit(test.Again(snapshot with { Sections = [.. snapshot.Sections.Select(s => s.Number == number ? s with { Sealed = TestVault.Noise(bytes, bytes) } : s)] }));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_the_snapshot_object_takes_counts_as_packs_do(bool daily)
    {
        using var test = daily ? Daily() : Locked();
        test.Write("f", "bed 3");
        test.BackUp();
        Commit(test, SnapshotSection.References, 3_000_000);
        Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Commit(test, SnapshotSection.References, 3_000_001)).Code);
        test.Machine.Pass(daily ? Day + 60 : 31 * Day);
        Commit(test, SnapshotSection.References, 3_000_002);
    }

    [Theory]
    [InlineData(SnapshotSection.Tree, 64 << 20)]
    [InlineData(SnapshotSection.Features, 64 << 10)]
    public void A_section_has_a_limit_in_the_keeper_and_in_every_reader(byte number, int limit)
    {
        using var test = new TestVault();
        test.Write("f", "bed 3");
        test.BackUp();
        Commit(test, number, limit);
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => Commit(test, number, limit + 1)).Code);
        using var vault = test.Open();
        var snapshot = vault.State.Whole(vault.Find("latest"))!;
        Assert.Equal(limit, snapshot.Section(number)!.Sealed.Length);
        Assert.False(SnapshotObject.TryParse((snapshot with { Sections = [.. snapshot.Sections.Select(s => s.Number == number ? s with { Sealed = new byte[limit + 1] } : s)] }).ToArray(), out _));
    }

    [Fact]
    public void Sections_are_not_kept_in_memory()
    {
        using var test = new TestVault();
        test.Write("f", "bed 3");
        test.BackUp();
        for (var i = 0; i < 4; i++)
            Commit(test, SnapshotSection.References, 20_000_000 + i);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var vault = test.Open();
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 20_000_000);
        Assert.Equal(5, vault.State.Snapshots.Count);
    }
}
