using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Packs added up from differences, along lines and branches of snapshots.</summary>
public sealed class NamedPacksTests
{
    const ulong Day = LogHistory.Day;

    /// <summary>A set that goes on from another: without some, with some that other snapshots have, and with one of its own.</summary>
    static PackSet Next(Random random, LogHistory history, List<Hash32> names, Hash32? parent)
    {
        var packs = parent is { } before ? history.Set(before).ToList().Where(_ => random.Next(6) > 0).ToList() : [];
        foreach (var pack in names.Count > 0 ? history.Set(names[random.Next(names.Count)]).ToList().Take(random.Next(4)) : [])
        {
            if (!packs.Exists(p => p.Name == pack.Name))
                packs.Add(pack);
        }
        return new PackSet([.. packs, LogHistory.Pack(random)]);
    }

    static void AssertIsWhatAllSetsGive(LogHistory history)
    {
        var state = history.State;
        var named = state.NamedPacks();
        Assert.Equal(state.PackLocks().OrderBy(p => p.Key), named.Packs.Select(p => KeyValuePair.Create(p.Key, p.Value.LockEnd)).OrderBy(p => p.Key));
        var (sizes, needed) = (new Dictionary<Hash32, long>(), new HashSet<Hash32>());
        foreach (var record in state.Snapshots)
        {
            var set = state.PacksOf(record)?.ToList();
            foreach (var pack in set ?? [])
                sizes.TryAdd(pack.Name, pack.Size);
            if (!record.IsRemoved)
                needed.UnionWith((set ?? []).Select(p => p.Name));
            var isOtherwise = set?.Any(p => sizes[p.Name] != p.Size) == true;
            Assert.Equal(isOtherwise, state.HasOtherSizes(record));
            Assert.Equal(set is null || isOtherwise, named.Untold.Contains(record));
        }
        Assert.All(named.Packs, p => Assert.Equal((sizes[p.Key], needed.Contains(p.Key)), (p.Value.Size, p.Value.IsNeeded)));
    }

    [Fact]
    public void Locks_of_packs_in_any_history_of_branches_are_those_of_all_sets()
    {
        var branches = 0;
        for (var seed = 0; seed < 80; seed++)
        {
            var random = new Random(seed);
            var history = new LogHistory();
            var names = new List<Hash32>();
            var back = seed % 4 == 0 ? 3 : 40; // how far parents are
            for (var step = 0; step < 150; step++)
            {
                history.Now += (ulong)random.NextInt64((long)Day);
                switch (random.Next(12))
                {
                    case 0 when names.Count > 0:
                        var record = history.State.Snapshots[random.Next(names.Count)];
                        history.Add(new Leaf(LeafType.LockExtension, history.Now, record.Snapshot, Id16.None, record.Expiry + (ulong)random.NextInt64((long)Day * 40), 0, 0, Hash32.None));
                        break;
                    case 1 when names.Count > 0:
                        var gone = names[random.Next(names.Count)];
                        history.Expire([(StoreKind.Object, gone), .. history.Set(gone).ToList().Select(p => (StoreKind.Pack, p.Name))], history.Now);
                        break;
                    case 2:
                        AssertIsWhatAllSetsGive(history); // what comes later is added to what this has added up
                        break;
                    default:
                        var parent = names.Count == 0 || random.Next(20) == 0 ? (Hash32?)null : names[^Math.Min(names.Count, random.Next(2) == 0 ? 1 : random.Next(1, back))];
                        var set = Next(random, history, names, parent);
                        var isWhole = random.Next(12) == 0 || parent is { } p && history.State.Find(p)!.Differences >= 63;
                        if (isWhole && random.Next(4) == 0)
                            set = new PackSet(set.ToList().Select((r, i) => i == 0 ? r with { Size = r.Size + 65_536 } : r));
                        names.Add(history.Commit(parent, set, history.Now + (ulong)random.NextInt64((long)Day * 40), isLost: random.Next(60) == 0, isWhole));
                        branches += history.State.Snapshots.SkipLast(1).Any(s => s.Object?.Parent == parent && parent is not null) && !isWhole ? 1 : 0;
                        break;
                }
            }
            AssertIsWhatAllSetsGive(history);
        }
        Assert.True(branches > 1_000, $"{branches} branches");
    }

    /// <summary>Bytes that are allocated where the packs of a log are added up, in which many commits go on from one snapshot.</summary>
    static long CostOfBranches(int packs, int commits, bool isDeep)
    {
        var random = new Random(1);
        var history = new LogHistory();
        var set = new PackSet(Enumerable.Range(0, packs).Select(_ => LogHistory.Pack(random)));
        var first = history.Commit(null, set, history.Now + 10 * Day);
        history.Commit(first, set, history.Now + 10 * Day);
        var parent = first;
        for (var i = 0; i < commits; i++)
        {
            // Each without one of the packs, and with one of its own.
            var branch = history.Commit(parent, new PackSet(history.Set(parent).ToList().Skip(1).Append(LogHistory.Pack(random))), history.Now + 10 * Day);
            if (!isDeep)
                continue;
            history.Commit(branch, history.Set(branch), history.Now + 10 * Day); // so that what comes next is a branch too
            parent = i % 60 == 59 ? first : branch;
        }
        var start = GC.GetAllocatedBytesForCurrentThread();
        var named = history.State.NamedPacks();
        var cost = GC.GetAllocatedBytesForCurrentThread() - start;
        Assert.Empty(named.Untold);
        Assert.Equal(packs + commits, named.Packs.Count);
        return cost;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Commits_that_all_go_on_from_one_take_what_they_say_and_not_the_set_that_they_build_on(bool isDeep)
    {
        var table = CostOfBranches(2_000, 0, isDeep);
        var cost = CostOfBranches(2_000, 200, isDeep);
        Assert.InRange((cost - table) / 200, 0, 5_000); // bytes a commit; its object has more than 300
    }

    static readonly PackRef Foreign = LogHistory.Pack(new Random(99));

    static PackSetDelta Change(PackSetDelta packs, string fault, PackRef own) => fault switch
    {
        "nothing" => packs,
        "one pack more" => packs with { Count = packs.Count + 1 },
        "one pack less" => packs with { Count = packs.Count - 1 },
        "bytes more" => packs with { Bytes = packs.Bytes + 65_536 },
        "bytes less" => packs with { Bytes = packs.Bytes - 65_536 },
        "removes a stranger" => packs with { Count = packs.Count - 1, Bytes = packs.Bytes - 65_536, Removed = [.. packs.Removed.Append(Foreign.Name).Order()] },
        "adds what is there" => packs with { Count = packs.Count + 1, Bytes = packs.Bytes + own.Size, Added = [.. packs.Added.Append(own).OrderBy(p => p.Name)] },
        "another root" => packs with { Root = Foreign.Name },
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };

    /// <summary>It goes on from the last snapshot, or from one that another goes on from already: a branch.</summary>
    [Theory]
    [InlineData("nothing", false)]
    [InlineData("nothing", true)]
    [InlineData("one pack more", false)]
    [InlineData("one pack more", true)]
    [InlineData("one pack less", false)]
    [InlineData("one pack less", true)]
    [InlineData("bytes more", false)]
    [InlineData("bytes more", true)]
    [InlineData("bytes less", false)]
    [InlineData("bytes less", true)]
    [InlineData("removes a stranger", false)]
    [InlineData("adds what is there", false)]
    [InlineData("another root", false)]
    [InlineData("another root", true)]
    public void A_set_that_does_not_add_up_is_not_told_and_changes_no_lock(string fault, bool isWhole)
    {
        foreach (var isBranch in new[] { false, true })
        {
            var random = new Random(1);
            var history = new LogHistory();
            var set = new PackSet(Enumerable.Range(0, 5).Select(_ => LogHistory.Pack(random)));
            var parent = history.Commit(null, set, history.Now + 10 * Day);
            if (isBranch)
                history.Commit(parent, new PackSet([.. set.ToList(), LogHistory.Pack(random)]), history.Now + 20 * Day);
            history.Commit(null, new PackSet([Foreign]), history.Now + 15 * Day);
            var before = history.State.NamedPacks();
            var (kept, fresh) = (set.ToList()[1], LogHistory.Pack(random));
            var name = history.Commit(parent, new PackSet([.. set.ToList().Skip(1), fresh]), history.Now + 40 * Day, isWhole: isWhole, change: p => Change(p, fault, kept));
            var child = history.Commit(name, history.Set(name), history.Now + 50 * Day); // builds on it
            var after = history.State.NamedPacks();
            var isTold = fault is "nothing" or "another root"; // roots are not computed for locks
            Assert.Equal((!isTold, !isTold), (history.State.IsUntold(history.State.Find(name)!), history.State.IsUntold(history.State.Find(child)!)));
            Assert.Equal(isTold ? [] : new[] { name, child }.Order(), after.Untold.Select(s => s.Name).Order());
            Assert.Equal(isTold, after.Packs.ContainsKey(fresh.Name));
            foreach (var (pack, ends) in before.Packs)
            {
                var isLonger = isTold && pack != Foreign.Name && pack != set.ToList()[0].Name && set.Contains(pack);
                Assert.Equal(isLonger ? LockRules.PackEnd(pack, history.Now + 50 * Day, LockRules.Quantum(10 * Day)) : ends.LockEnd, after.Packs[pack].LockEnd);
            }
            if (fault == "nothing")
                AssertIsWhatAllSetsGive(history);
            else
                Assert.Null(history.State.PacksOf(history.State.Find(name)!)); // for what a set has, they are
        }
    }

    /// <summary>Snapshots in a row that tell their sets as differences, each to one that another goes on from already.</summary>
    static (LogHistory History, List<SnapshotRecord> Row) Branches(int count)
    {
        var random = new Random(1);
        var history = new LogHistory();
        var packs = Enumerable.Range(0, 100).Select(_ => LogHistory.Pack(random)).ToList();
        var (name, row) = (history.Commit(null, new PackSet(packs), history.Now + 10 * Day), new List<SnapshotRecord>());
        for (var i = 0; i < count; i++)
        {
            history.Commit(name, new PackSet([.. history.Set(name).ToList(), LogHistory.Pack(random)]), history.Now + (ulong)random.NextInt64((long)Day * 40)); // goes on from it
            var parent = history.State.Find(name);
            name = history.Commit(name, new PackSet([.. history.Set(name).ToList().Where(p => p != packs[i]), LogHistory.Pack(random)]), history.Now + (ulong)random.NextInt64((long)Day * 40));
            row.Add(history.State.Find(name)!);
            Assert.Equal(i, parent!.Differences);
        }
        return (history, row);
    }

    [Fact]
    public void As_many_branches_of_branches_as_a_keeper_takes_are_told()
    {
        var (history, row) = Branches(CommitJudge.MaxDifferences);
        Assert.Equal(CommitJudge.MaxDifferences, row[^1].Differences);
        Assert.Empty(history.State.NamedPacks().Untold);
        AssertIsWhatAllSetsGive(history);
    }

    [Fact]
    public void Of_branches_of_branches_one_more_than_a_keeper_takes_is_told_and_no_further()
    {
        var (history, row) = Branches(65);
        Assert.Equal([.. history.State.Snapshots.Where(s => s.Differences > 64)], history.State.NamedPacks().Untold);
        Assert.Contains(row[64], history.State.NamedPacks().Untold);
        Assert.All(history.State.Snapshots, s => Assert.Equal(history.State.IsUntold(s), history.State.PacksOf(s) is null));
        (history, row) = Branches(64);
        Assert.Empty(history.State.NamedPacks().Untold);
        AssertIsWhatAllSetsGive(history);
    }

    [Fact]
    public void Whole_sets_of_one_pack_after_a_large_one_look_at_few_names()
    {
        const int large = 16_000;
        const int small = 300;
        var random = new Random(1);
        var history = new LogHistory();
        var name = history.Commit(null, new PackSet(Enumerable.Range(0, large).Select(_ => LogHistory.Pack(random))), history.Now + 10 * Day);
        for (var i = 0; i < small; i++)
            name = history.Commit(name, new PackSet([LogHistory.Pack(random)]), history.Now + 10 * Day, isWhole: true);
        var spans = new PackSpans();
        spans.Take(history.State.Snapshots);
        Assert.InRange(spans.Looked, 1, 4 * large + 10 * small);
        Assert.Equal(large + small, spans.Named(_ => false, 1).Packs.Count);
    }

    [Fact]
    public void Whole_sets_of_the_same_packs_again_and_again_take_little_memory()
    {
        var random = new Random(1);
        var history = new LogHistory();
        var set = new PackSet(Enumerable.Range(0, 2_000).Select(_ => LogHistory.Pack(random)));
        var name = history.Commit(null, set, history.Now + 10 * Day);
        for (var i = 0; i < 200; i++)
            name = history.Commit(name, set, history.Now + 10 * Day, isWhole: true);
        var start = GC.GetAllocatedBytesForCurrentThread();
        new PackSpans().Take(history.State.Snapshots);
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - start) / 201 / 2_000, 0, 100); // bytes for each name of a set
        Assert.Empty(history.State.NamedPacks().Untold);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(LogHistory.Start + 1)]
    [InlineData(LogHistory.Start + 60 * Day)]
    [InlineData(LockRules.LastEnd - 1)]
    [InlineData(LockRules.LastEnd)]
    [InlineData(LockRules.LastEnd + 1)]
    [InlineData(ulong.MaxValue)]
    public void An_extension_makes_no_lock_shorter_and_none_longer_than_a_lock_may_be(ulong expiry)
    {
        foreach (var isAddedUp in new[] { false, true })
        {
            var history = new LogHistory();
            var pack = LogHistory.Pack(new Random(1));
            var record = history.State.Find(history.Commit(null, new PackSet([pack]), history.Now + 30 * Day))!;
            if (isAddedUp)
                Assert.InRange(history.State.NamedPacks().Packs[pack.Name].LockEnd, history.Now + 30 * Day, history.Now + 32 * Day);
            history.Add(new Leaf(LeafType.LockExtension, history.Now, record.Snapshot, Id16.None, expiry, 0, 0, Hash32.None));
            var longest = Math.Clamp(expiry, history.Now + 30 * Day, LockRules.LastEnd);
            Assert.Equal(longest, record.Expiry);
            Assert.Equal(LockRules.PackEnd(pack.Name, longest, LockRules.Quantum(10 * Day)), history.State.NamedPacks().Packs[pack.Name].LockEnd);
            Assert.InRange(history.State.ObjectLocks()[record.Name], longest, LockRules.LastEnd);
        }
    }

    [Fact]
    public void A_commit_without_end_is_locked_as_long_as_a_lock_may_be_and_an_extension_changes_nothing_of_it()
    {
        var history = new LogHistory();
        var pack = LogHistory.Pack(new Random(1));
        var record = history.State.Find(history.Commit(null, new PackSet([pack]), ulong.MaxValue))!;
        foreach (var expiry in new ulong[] { ulong.MaxValue, 0, history.Now, LockRules.LastEnd - Day })
        {
            Assert.Equal((LockRules.LastEnd, LockRules.LastEnd - history.Now), (record.Expiry, record.Promised));
            Assert.Equal((LockRules.LastEnd, LockRules.LastEnd), (history.State.NamedPacks().Packs[pack.Name].LockEnd, history.State.ObjectLocks()[record.Name]));
            history.Add(new Leaf(LeafType.LockExtension, history.Now, record.Snapshot, Id16.None, expiry, 0, 0, Hash32.None));
        }
        Assert.Equal(LockRules.LastEnd, record.Expiry);
    }
}
