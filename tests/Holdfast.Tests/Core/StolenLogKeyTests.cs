using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Who has the log's key adds leaves and objects so that a sound keeper itself frees what is locked, keeps less, or hides what is there (docs/format.md, sections 11.3 and 12.5).</summary>
public sealed class StolenLogKeyTests
{
    const ulong Day = RetentionPolicy.Day;

    static void Append(TestVault test, Vault vault, params Leaf[] leaves)
    {
        using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([.. leaves.Select(l => l.ToArray())], signer);
        vault.Keeper.Refresh();
    }

    static Leaf Expiry(Vault vault, IEnumerable<(StoreKind Kind, Hash32 Name)> names, ulong time, ulong judged) =>
        new(LeafType.Expiry, time, Id16.New(), Id16.None, judged, 0, 0, vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, VaultKeeper.Salt(), [.. names.Order()]).ToArray()));

    static IEnumerable<(StoreKind Kind, Hash32 Name)> All(Vault vault, SnapshotRecord record) =>
        vault.State.PacksOf(record)!.ToList().Select(p => (StoreKind.Pack, p.Name)).Append((StoreKind.Object, record.Name));

    static List<(StoreKind Kind, Hash32 Name)> Files(Vault vault) =>
        [.. vault.Keeper.Store.List(StoreKind.Pack).Select(p => (StoreKind.Pack, p.Name)), .. vault.Keeper.Store.List(StoreKind.Object).Select(o => (StoreKind.Object, o.Name))];

    static SnapshotObject First(Vault vault) => vault.State.Whole(vault.State.Snapshots[0])!;

    /// <summary>A snapshot object of nothing, told as a difference.</summary>
    static SnapshotObject Nothing(Vault vault, Hash32 parent, Id16? source = null) => First(vault) with
    {
        Snapshot = Id16.New(),
        Source = source ?? Id16.New(),
        Salt = VaultKeeper.Salt(),
        Parent = parent,
        Packs = PackSet.Empty.DeltaFrom(PackSet.Empty),
    };

    [Fact]
    public void A_name_given_up_as_what_it_is_not_frees_nothing()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> swapped;
        using (var vault = test.Open())
        {
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: vault.State.PolicyFor(Id16.None).Base + Day), Id16.None);
            var (record, before) = (vault.State.Snapshots[0], Files(vault));
            swapped = [.. All(vault, record).Concat(vault.State.Objects.Select(o => (StoreKind.Object, o))).Select(n => (n.Item1 == StoreKind.Pack ? StoreKind.Object : StoreKind.Pack, n.Item2)).Distinct()];
            Append(test, vault, Expiry(vault, swapped, vault.Keeper.Clock.Now, vault.Keeper.Clock.Now));
            Assert.Equal(swapped.Count, Assert.Single(vault.State.Refused).Names.Count);
            Assert.False(record.IsRemoved);
            vault.Keeper.Expire(dryRun: false);
            Assert.Empty(before.Except(Files(vault)));
        }
        TestVault.AssertSame(test.Source, test.Restore());
        using var after = test.Open();
        var pack = swapped.First(n => n.Kind == StoreKind.Object).Name;
        File.Delete(Path.Combine(test.Folder, "packs", pack.ToString()[..2], pack.ToString()));
        Assert.Equal([pack], after.Health().Problems.Single(p => p.Code == ErrorCode.PackMissing).Names);
    }

    public static TheoryData<string> Kept => ["keyring", "genesis", "policy", "enrolment"];

    /// <summary>A commit whose lock is over, that names it as its snapshot or builds on it, makes a keeper's own expiry list it.</summary>
    [Theory]
    [MemberData(nameof(Kept))]
    public void No_commit_makes_a_keeper_give_up_an_object_that_stays_for_good(string what)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: vault.State.PolicyFor(Id16.None).Base + Day), Id16.None);
        var leaves = Enumerable.Range(0, (int)vault.Keeper.Log.Size).Select(i => Leaf.TryParse(vault.Keeper.Log.Leaf(i), out var leaf) ? leaf : default!).ToList();
        var name = what switch
        {
            "keyring" => vault.State.Keyring,
            "genesis" => vault.Keeper.File.Genesis,
            "policy" => leaves.Last(l => l.Type == LeafType.Policy).Payload,
            _ => leaves.Last(l => l.Type == LeafType.AgentEnrolled).Payload,
        };
        var child = Nothing(vault, name);
        Append(test, vault,
            new Leaf(LeafType.Commit, vault.Keeper.Clock.Now, child.Snapshot, child.Agent, 0, 0, 0, vault.Keeper.Store.PutObject(child.ToArray())),
            new Leaf(LeafType.Commit, vault.Keeper.Clock.Now, Id16.New(), child.Agent, 0, 0, 0, name));
        for (var run = 0; run < 2; run++)
        {
            Assert.DoesNotContain(vault.Keeper.Expire(dryRun: false).Names, n => n.Name == name);
            test.Machine.Pass(40 * Day);
        }
        Assert.NotNull(vault.Keeper.FolderStore!.Find(StoreKind.Object, name, 0));
        Assert.Empty(vault.State.Refused);
        Append(test, vault, Expiry(vault, [(StoreKind.Object, name)], vault.Keeper.Clock.Now, vault.Keeper.Clock.Now));
        vault.Keeper.Expire(dryRun: false);
        Assert.NotNull(vault.Keeper.FolderStore!.Find(StoreKind.Object, name, 0));
        Assert.Equal(LeafFault.ExpiryOfLocked, Assert.Single(vault.State.Refused).Fault);
    }

    /// <summary>One leaf of next century; and leaves 34 days apart, which the vault's clock follows, so that no later leaf shows that they lied.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void An_expiry_dated_ahead_hides_no_snapshot_from_those_who_care_for_it(int leaves)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
        {
            var now = vault.Keeper.Clock.Now;
            var last = leaves == 1 ? now + 75 * 365 * Day : now + (ulong)leaves * 34 * Day;
            Append(test, vault, [.. Enumerable.Range(1, leaves - 1).Select(i => new Leaf(LeafType.Verify, now + (ulong)i * 34 * Day, Id16.New(), Id16.None, 1, 0, 0, Hash32.None)),
                Expiry(vault, All(vault, vault.State.Snapshots[0]), last, last)]);
        }
        TestVault.AssertSame(test.Source, test.Restore());
        var next = test.BackUp();
        Assert.NotNull(next.Parent);
        Assert.Equal(0L, (long)next.Archive.NewBytes);
        using (var vault = test.Open())
        {
            Assert.Contains(VaultHealth.RefusedLeaves(vault.Keeper), l => l.Fault is LeafFault.ExpiryInFuture or LeafFault.ExpiryOfLocked);
            vault.Keeper.Expire(dryRun: false);
            Assert.DoesNotContain(vault.Health().Problems, p => p.Code != ErrorCode.LeafRefused);
        }
        test.Machine.Pass(75 * 365 * Day); // its time comes, and the locks are over by then
        using var after = test.Open();
        Assert.Equal(leaves == 3, after.State.Snapshots[0].IsRemoved);
    }

    /// <summary>The vault goes on with what it names, for it gives up nothing yet: when its time comes, that is locked anew.</summary>
    [Theory]
    [InlineData(30, 2, 34)] // the vault's clock follows
    [InlineData(7, 1, 34)]
    [InlineData(30, 1, 400)] // too far for that
    public void An_expiry_dated_ahead_takes_nothing_that_later_backups_need(int days, int leaves, int apart)
    {
        using var test = new TestVault(new RetentionPolicy((ulong)days * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        test.BackUp();
        ulong last;
        using (var vault = test.Open())
        {
            last = vault.Keeper.Clock.Now + (ulong)(leaves * apart) * Day;
            Append(test, vault, [.. Enumerable.Range(1, leaves - 1).Select(i => new Leaf(LeafType.Verify, vault.Keeper.Clock.Now + (ulong)(i * apart) * Day, Id16.New(), Id16.None, 1, 0, 0, Hash32.None)),
                Expiry(vault, Files(vault).Where(f => f.Kind == StoreKind.Pack || f.Name == vault.State.Snapshots[0].Name), last, last)]);
        }
        for (var week = 0; week < leaves * apart / 7 + 4; week++)
        {
            test.Write("week", $"{week}");
            test.BackUp(useState: false);
            using var vault = test.Open();
            vault.Keeper.Expire(dryRun: false);
            Assert.DoesNotContain(vault.Health().Problems, p => p.Code != ErrorCode.LeafRefused);
            Assert.NotNull(Assert.Single(vault.Health().Problems)); // and is told all the time
            test.Machine.Pass(7 * Day);
        }
        Assert.True(test.Machine.Wall / 1_000 > last);
        TestVault.AssertSame(test.Source, test.Restore());
        using var after = test.Open();
        foreach (var record in after.State.Snapshots.Where(s => s.Expiry > after.Keeper.Clock.Now))
            test.Restore(record.Snapshot.ToString());
    }

    /// <summary>Nothing of it is given up, and nothing hides it; while its object is away nothing goes either. When the longer lock is over, it goes as any other, with one leaf.</summary>
    [Fact]
    public void A_snapshot_that_was_locked_longer_before_an_expiry_came_true_stays_whole()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> names;
        ulong longer;
        using (var vault = test.Open())
        {
            names = [.. All(vault, vault.State.Snapshots[0])];
            var last = vault.Keeper.Clock.Now + 68 * Day;
            Append(test, vault, new Leaf(LeafType.Verify, vault.Keeper.Clock.Now + 34 * Day, Id16.New(), Id16.None, 1, 0, 0, Hash32.None), Expiry(vault, names, last, last));
            longer = vault.Keeper.Clock.Now + 365 * Day;
        }
        using (var vault = test.Open())
            vault.Keeper.Extend(first.Snapshot, longer, Id16.None);
        test.Machine.Pass(70 * Day);
        using (var vault = test.Open())
        {
            Assert.False(vault.State.Snapshots[0].IsRemoved);
            Assert.Equal(first.Snapshot, vault.Find("latest").Snapshot);
        }
        var path = Path.Combine(test.Folder, "objects", names[^1].Name.ToString()[..2], names[^1].Name.ToString());
        File.Move(path, path + ".away");
        using (var vault = test.Open())
            Assert.True(vault.Keeper.Expire(dryRun: false).IsBlocked);
        File.Move(path + ".away", path);
        TestVault.AssertSame(test.Source, test.Restore());
        test.Machine.Pass(500 * Day);
        using (var vault = test.Open())
        {
            Assert.Equal(names.Order(), vault.Keeper.Expire(dryRun: false).Names.Order());
            Assert.True(vault.State.Snapshots[0].IsRemoved);
            Assert.Empty(names.Intersect(Files(vault)));
            Assert.Empty(vault.Keeper.Expire(dryRun: false).Names);
        }
        using var after = test.Open();
        Assert.Empty(after.Health().Problems);
        Assert.Empty(after.Keeper.Expire(dryRun: false).Names);
    }

    /// <summary>A crash of an expiry leaves files behind, and after a power cut the machine's clock begins anew: to it the expiry is dated ahead.</summary>
    [Fact]
    public void A_clock_that_lost_its_time_makes_no_backup_build_on_what_goes_when_it_is_right_again()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(60 * Day);
        using (var vault = test.Open())
        {
            vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0); // the vault's clock is as a sound expiry leaves it
            Append(test, vault, Expiry(vault, All(vault, vault.State.Snapshots[0]), vault.Keeper.Clock.Certain, vault.Keeper.Clock.Certain)); // and nothing of it carried out
        }
        var wall = test.Machine.Wall;
        (test.Machine.Wall, test.Machine.SinceBoot, test.Machine.BootId) = (1_000_000, 1_000, "boot-2");
        var backup = test.BackUp(useState: false);
        test.Machine.Pass(60);
        test.Machine.Wall = wall + 120_000;
        using (var vault = test.Open())
        {
            vault.Keeper.Expire(dryRun: false);
            Assert.DoesNotContain(vault.Health().Problems, p => p.Code != ErrorCode.LeafRefused);
        }
        TestVault.AssertSame(test.Source, test.Restore(backup.Snapshot.ToString()));
        test.Machine.Pass(10 * Day);
        using (var vault = test.Open())
            vault.Keeper.Expire(dryRun: false);
        TestVault.AssertSame(test.Source, test.Restore(backup.Snapshot.ToString()));
    }

    /// <summary>Whatever the leaf says that the object is.</summary>
    [Theory]
    [InlineData(LeafType.Policy)]
    [InlineData(LeafType.Expiry)]
    [InlineData(LeafType.AgentEnrolled)]
    [InlineData(LeafType.KeyEpoch)]
    [InlineData(LeafType.Attestation)]
    public void A_leaf_that_names_a_snapshot_for_what_it_is_not_makes_it_no_less_readable(LeafType type)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
            Append(test, vault, new Leaf(type, vault.Keeper.Clock.Now, Id16.New(), Id16.None, 1, 0, 1, vault.State.Snapshots[0].Name));
        TestVault.AssertSame(test.Source, test.Restore());
        using var after = test.Open();
        Assert.DoesNotContain(after.Health().Problems, p => p.Code is ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing);
        Assert.False(after.Keeper.Expire(dryRun: true).IsBlocked);
    }

    /// <summary>It is in force while the process that reads stays open.</summary>
    [Fact]
    public void An_expiry_dated_ahead_counts_when_its_time_comes()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        var later = vault.Keeper.Clock.Now + 60 * Day;
        Append(test, vault, Expiry(vault, All(vault, vault.State.Snapshots[0]), later, later));
        Assert.False(vault.State.Snapshots[0].IsRemoved);
        test.Machine.Pass(60 * Day);
        vault.Keeper.Refresh();
        Assert.True(vault.State.Snapshots[0].IsRemoved);
        Assert.Empty(vault.State.Refused);
    }

    [Theory]
    [InlineData(0, 75 * 365)]
    [InlineData(75 * 365, 0)]
    public void An_expiry_is_judged_by_the_earlier_of_its_times(int time, int judged)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        var names = All(vault, vault.State.Snapshots[0]).ToList();
        var now = vault.Keeper.Clock.Now;
        Append(test, vault, Expiry(vault, names, now + (ulong)time * Day, now + (ulong)judged * Day));
        Assert.Equal(names.Count, Assert.Single(vault.State.Refused).Names.Count);
        Assert.False(vault.State.Snapshots[0].IsRemoved);
    }

    /// <summary>The keeper would tell the next backup as a difference to what no reader can tell.</summary>
    [Fact]
    public void A_snapshot_committed_before_what_it_builds_on_takes_no_honest_one_with_it()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
        {
            var trunk = Nothing(vault, Hash32.None) with { Packs = PackSet.Empty.Whole() };
            var bytes = trunk.ToArray();
            var child = test.Again(Nothing(vault, vault.Keeper.Store.PutObject(bytes), First(vault).Source));
            vault.Keeper.Record(LeafType.Commit, child.Snapshot, child.Agent, vault.State.Snapshots[0].Expiry, 0, 0, child.ToArray());
            vault.Keeper.Record(LeafType.Commit, trunk.Snapshot, trunk.Agent, vault.State.Snapshots[0].Expiry, 0, 0, bytes);
            Assert.Null(vault.State.PacksOf(vault.State.Snapshots[1]));
            Assert.True(vault.State.IsUntold(vault.State.Snapshots[1]));
        }
        test.WriteSome(5);
        var honest = test.BackUp();
        using (var vault = test.Open())
        {
            var record = vault.State.Find(honest.Snapshot)!;
            Assert.False(vault.State.IsUntold(record));
            var names = All(vault, record).ToList();
            Append(test, vault, Expiry(vault, names, vault.Keeper.Clock.Now, vault.Keeper.Clock.Now));
            Assert.Equal(names.Count, Assert.Single(vault.State.Refused).Names.Count);
            vault.Keeper.Expire(dryRun: false);
        }
        TestVault.AssertSame(test.Source, test.Restore(honest.Snapshot.ToString()));
    }

    /// <summary>Without its object nothing tells which packs it needs: a leaf that gives them up looks right until the object is back.</summary>
    [Fact]
    public void What_an_earlier_leaf_gave_up_stays_while_a_snapshot_cannot_say_what_it_needs()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> names;
        string path;
        using (var vault = test.Open())
        {
            names = [.. All(vault, vault.State.Snapshots[0])];
            path = Path.Combine(test.Folder, "objects", vault.State.Snapshots[0].Name.ToString()[..2], vault.State.Snapshots[0].Name.ToString());
        }
        File.Move(path, path + ".away");
        using (var vault = test.Open())
        {
            Append(test, vault, Expiry(vault, names, vault.Keeper.Clock.Now, vault.Keeper.Clock.Now));
            Assert.True(vault.Keeper.Expire(dryRun: false) is { IsBlocked: true, Names: [] });
        }
        File.Move(path + ".away", path);
        TestVault.AssertSame(test.Source, test.Restore());
        using var after = test.Open();
        Assert.Equal(names.Count, Assert.Single(after.State.Refused).Names.Count);
        Assert.False(after.Keeper.Expire(dryRun: false).IsBlocked);
        Assert.Empty(names.Except(Files(after)));
    }

    [Fact]
    public void A_snapshot_that_cannot_say_what_it_needs_blocks_until_the_last_of_its_pack_locks_is_over()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var quantum = LockRules.Quantum(30 * Day);
        using (var vault = test.Open())
            test.Lose(vault.State.Snapshots[0].Name);
        test.Machine.Pass(30 * Day + LockRules.Margin + quantum - Day);
        using (var vault = test.Open())
            Assert.True(vault.Keeper.Expire(dryRun: false).IsBlocked);
        test.Machine.Pass(2 * Day);
        using (var vault = test.Open())
            Assert.False(vault.Keeper.Expire(dryRun: false).IsBlocked);
    }

    [Theory]
    [InlineData(0, 0, 0, 0)]
    [InlineData(-1, 0, 0, 0)]
    [InlineData(40, -1, 0, 0)]
    [InlineData(40, 0, -1, 0)]
    [InlineData(40, 0, 0, -1)]
    public void A_policy_that_keeps_less_long_is_not_believed(int days, int weeks, int months, int years)
    {
        var policy = new RetentionPolicy(30 * Day, 4, 6, 2, 0, 0);
        using var test = new TestVault(policy);
        test.WriteSome();
        var isWeaker = days < 0 || weeks < 0 || months < 0 || years < 0;
        var forged = policy with { Base = policy.Base + (ulong)((long)days * (long)Day), Weeks = (uint)(4 + weeks), Months = (uint)(6 + months), Years = (uint)(2 + years) };
        using (var vault = test.Open())
        {
            var (id, (a, b, c)) = (Id16.New(), LostPolicy.Tell(forged));
            vault.Keeper.Record(LeafType.Policy, id, Id16.None, a, b, c, new PolicyObject(vault.Id, VaultKeeper.Salt(), id, Id16.None, forged).ToArray());
        }
        using var after = test.Open();
        Assert.Equal(isWeaker ? policy : forged, after.State.PolicyFor(Id16.None));
        Assert.Equal(isWeaker ? [LeafFault.PolicyWeaker] : [], after.State.Refused.Select(r => r.Fault));
    }

    static void Set(Vault vault, Id16 source, RetentionPolicy policy, bool isTold = true)
    {
        var (id, (a, b, c)) = (Id16.New(), isTold ? LostPolicy.Tell(policy) : default);
        vault.Keeper.Record(LeafType.Policy, id, Id16.None, a, b, c, new PolicyObject(vault.Id, VaultKeeper.Salt(), id, source, policy).ToArray());
    }

    /// <summary>A leaf whose policy cannot be read may be of any source, and hides no other's.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_policy_that_cannot_be_read_opens_no_way_for_a_weaker_one(bool isTold)
    {
        var policy = new RetentionPolicy(30 * Day, 4, 0, 0, 0, 0);
        using var test = new TestVault(policy);
        using (var vault = test.Open())
        {
            var id = Id16.New();
            var (a, b, c) = isTold ? LostPolicy.Tell(policy) : default;
            Append(test, vault, new Leaf(LeafType.Policy, vault.Keeper.Clock.Now, id, Id16.None, a, b, c, Hash32.None));
            Set(vault, Id16.None, policy with { Base = Day });
        }
        using var after = test.Open();
        Assert.True(after.State.PolicyFor(Id16.None) is { Base: >= 30 * Day, Weeks: 4 });
        Assert.Equal(LeafFault.PolicyWeaker, Assert.Single(after.State.Refused).Fault);
    }

    /// <summary>Honest ones, the first of which is damaged later: it may have been of the second's source, and was not.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_policy_is_in_force_whatever_became_of_one_before_it(bool isTold)
    {
        using var test = new TestVault(new RetentionPolicy(30 * Day, 0, 0, 0, 0, 0));
        var (one, other) = (Id16.New(), Id16.New());
        using (var vault = test.Open())
        {
            Set(vault, one, new(365 * Day, 0, 0, 0, 0, 0), isTold);
            Set(vault, other, new(30 * Day, 0, 0, 7, 0, 0));
            Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 2), out var lost));
            test.Lose(lost!.Payload);
        }
        using var after = test.Open();
        Assert.Empty(after.State.Refused);
        Assert.Equal((isTold ? 365 * Day : 30 * Day, 7u), (after.State.PolicyFor(other).Base, after.State.PolicyFor(other).Years));
    }

    /// <summary>The object of the policy in force is deleted, and one like that before it set: that is no weaker than what can be read.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_policy_that_is_weaker_than_a_lost_one_does_not_take_its_place(bool isTold)
    {
        var policy = new RetentionPolicy(30 * Day, 0, 0, 0, 1L << 30, 0);
        using var test = new TestVault(policy);
        test.WriteSome();
        var source = test.Keys.Put.Domain.SourceId("source"u8);
        using (var vault = test.Open())
            Set(vault, Id16.None, policy with { Base = 90 * Day, DailyQuota = 1L << 40 }, isTold);
        test.BackUp();
        using (var vault = test.Open())
        {
            Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 2), out var lost) && lost.Type == LeafType.Policy);
            test.Lose(lost!.Payload);
        }
        using (var vault = test.Open())
            Set(vault, Id16.None, policy with { Base = 90 * Day - 1 }); // stronger than what can be read
        using (var vault = test.Open())
            Assert.Equal((isTold ? 90 * Day : 90 * Day - 1, isTold ? 1UL << 40 : 1UL << 30), (vault.State.PolicyFor(Id16.None).Base, vault.State.PolicyFor(Id16.None).DailyQuota));
        using (var vault = test.Open())
            Set(vault, Id16.None, policy with { Base = 90 * Day }); // as long, with the smaller quota
        using var after = test.Open();
        Assert.Equal(90 * Day, after.State.PolicyFor(source).Base);
        Assert.Equal(isTold ? 1UL << 40 : 1UL << 30, after.State.PolicyFor(source).DailyQuota);
    }

    [Fact]
    public void A_quota_that_would_end_every_backup_is_not_believed()
    {
        var policy = new RetentionPolicy(30 * Day, 0, 0, 0, 0, 0);
        using var test = new TestVault(policy);
        test.WriteSome();
        using (var vault = test.Open())
            Set(vault, Id16.None, policy with { DailyQuota = 1 });
        test.BackUp();
        using var after = test.Open();
        Assert.Equal(LeafFault.PolicyWeaker, Assert.Single(after.State.Refused).Fault);
    }

    /// <summary>Nobody signed it; or an agent did whose key is stolen too, and it is dated ahead: all years to come would be taken at once.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    public void A_long_place_is_not_taken_by_what_no_agent_committed(int daysAhead)
    {
        using var test = new TestVault(new RetentionPolicy(30 * Day, 8, 0, 2, 0, 0));
        test.WriteSome();
        test.BackUp(name: "other");
        using (var vault = test.Open())
        {
            var packs = vault.State.PacksOf(vault.State.Snapshots[0])!;
            var forged = First(vault) with { Snapshot = Id16.New(), Source = test.Keys.Put.Domain.SourceId("source"u8), Packs = packs.Whole(), Parent = Hash32.None };
            if (daysAhead > 0)
                forged = test.Again(forged);
            var time = vault.Keeper.Clock.Now + (ulong)daysAhead * Day;
            Append(test, vault,
                new Leaf(LeafType.Commit, time, forged.Snapshot, forged.Agent, time + 7 * 366 * Day, 0, (ulong)packs.Count, vault.Keeper.Store.PutObject(forged.ToArray())),
                new Leaf(LeafType.Attestation, time, forged.Snapshot, Id16.None, 2, 0, 0, Hash32.None));
            Assert.True(vault.State.Find(forged.Snapshot) is { Attested: > 0 });
        }
        test.WriteSome(3);
        var honest = test.BackUp();
        Assert.True(honest.Receipt.Expiry >= honest.Receipt.Committed + 2 * 366 * Day, $"{(honest.Receipt.Expiry - honest.Receipt.Committed) / Day} days");
    }

    /// <summary>A signature covers neither the salt nor the packs: what an agent signed once fits objects without number, each under a name of its own.</summary>
    [Fact]
    public void A_long_place_is_not_taken_by_what_an_agent_signed_for_another_snapshot()
    {
        using var test = new TestVault(new RetentionPolicy(30 * Day, 8, 0, 2, 0, 0));
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(366 * Day);
        using (var vault = test.Open())
        {
            var (forged, id, time) = (First(vault) with { Salt = VaultKeeper.Salt() }, Id16.New(), vault.Keeper.Clock.Now);
            Append(test, vault,
                new Leaf(LeafType.Commit, time, id, forged.Agent, time + 7 * 366 * Day, 0, (ulong)forged.Packs.Count, vault.Keeper.Store.PutObject(forged.ToArray())),
                new Leaf(LeafType.Attestation, time, id, Id16.None, 2, 0, 0, Hash32.None));
            Assert.True(vault.State.Find(id) is { Attested: > 0, IsSigned: false });
        }
        test.WriteSome(3);
        var honest = test.BackUp();
        Assert.True(honest.Receipt.Expiry >= honest.Receipt.Committed + 2 * 366 * Day, $"{(honest.Receipt.Expiry - honest.Receipt.Committed) / Day} days");
    }

    /// <summary>Where leaves are lost nobody is accused: whoever has the key would like every log to look so.</summary>
    [Fact]
    public void A_leaf_that_was_signed_without_bytes_is_not_taken_for_a_lost_one()
    {
        using var test = new TestVault();
        using (var vault = test.Open())
        using (var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id))
            MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([[]], signer);
        using var after = test.Open();
        Assert.Null(after.Keeper.LogFault);
        Assert.False(after.State.HasLostLeaves);
        test.BackUp();
    }

    /// <summary>An object of up to 256 MiB is read once, however many leaves of a hundred bytes name it.</summary>
    [Fact]
    public void Leaves_that_name_one_object_again_and_again_cost_next_to_nothing()
    {
        var history = new LogHistory();
        var random = new Random(1);
        var set = new PackSet(Enumerable.Range(0, 20_000).Select(_ => LogHistory.Pack(random)));
        var name = history.Commit(null, set, history.Now + 10 * Day);
        var list = new ExpiryList(Id16.None, VaultKeeper.Salt(), [.. set.ToList().Select(p => (StoreKind.Pack, p.Name)).Order()]).ToArray();
        var (expiry, junk) = (history.Store.Put(list), history.Store.Put(new byte[1 << 20]));
        history.Add(new Leaf(LeafType.Expiry, history.Now, Id16.New(), Id16.None, history.Now, 0, 0, expiry));
        history.Add(new Leaf(LeafType.KeyEpoch, history.Now, Id16.New(), Id16.None, 9, 0, 0, junk));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 300; i++)
        {
            history.Add(new Leaf(LeafType.Commit, history.Now, Id16.New(), Id16.None, history.Now, 0, 0, name));
            history.Add(new Leaf(LeafType.Expiry, history.Now, Id16.New(), Id16.None, history.Now, 0, 0, expiry));
            history.Add(new Leaf(LeafType.Attestation, history.Now, history.State.Snapshots[0].Snapshot, Id16.None, 2, 0, 1, expiry));
            history.Add(new Leaf(LeafType.Policy, history.Now, Id16.New(), Id16.None, 0, 0, 0, expiry));
            history.Add(new Leaf(LeafType.KeyEpoch, history.Now, Id16.New(), Id16.None, 9, 0, 0, junk));
        }
        var cost = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(cost < 4 << 20, $"{cost} bytes");
        Assert.Equal(1_200, history.State.Refused.Count(r => r.Fault == LeafFault.Repeated));
        Assert.Equal(0ul, history.State.Snapshots[0].Defects);
    }
}
