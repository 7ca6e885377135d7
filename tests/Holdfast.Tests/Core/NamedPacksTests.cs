using Holdfast.Core;
using Holdfast.Core.Keeper;
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
}
