using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What expiries give up, told from the log alone: as docs/format.md, section 12.5, has it, and without looking at every snapshot for each expiry.</summary>
public sealed class ExpiryCostTests
{
    const ulong Day = RetentionPolicy.Day;

    /// <summary>The same by looking at everything for each expiry, before it is taken in.</summary>
    sealed class Naive(LogHistory history)
    {
        public Dictionary<(StoreKind, Hash32), ulong> Removed { get; } = [];
        public Dictionary<Hash32, ulong> Gone { get; } = []; // snapshots
        public List<Hash32> Refused { get; } = [];

        /// <summary>Those of some names that are over by a moment, by what the log has now.</summary>
        public List<(StoreKind Kind, Hash32 Name)> Over(IEnumerable<(StoreKind Kind, Hash32 Name)> names, ulong judged)
        {
            var (packs, objects) = (history.State.PackLocks(), history.State.ObjectLocks());
            return [.. names.Where(n => n.Kind == StoreKind.Pack
                ? packs.TryGetValue(n.Name, out var end) ? end + LockRules.Margin < judged : !objects.ContainsKey(n.Name) && !history.State.Objects.Contains(n.Name)
                : objects.TryGetValue(n.Name, out end) ? end + LockRules.Margin < judged : !packs.ContainsKey(n.Name) && !history.State.Objects.Contains(n.Name))];
        }

        /// <summary>What is locked again is not gone.</summary>
        public void Extend(SnapshotRecord record)
        {
            if (Gone.TryGetValue(record.Name, out var judged) && record.Expiry + LockRules.Margin >= judged)
                Gone.Remove(record.Name);
        }

        public void Expire(IReadOnlyCollection<(StoreKind Kind, Hash32 Name)> names, ulong judged)
        {
            judged = Math.Min(judged, history.Now);
            var over = Over(names, judged);
            foreach (var name in over)
            {
                if (!Removed.TryAdd(name, judged) && Over([name], Removed[name]).Count == 0)
                    Removed[name] = judged;
            }
            foreach (var record in history.State.Snapshots)
            {
                if (over.Contains((StoreKind.Object, record.Name)) || over.Exists(n => n.Kind == StoreKind.Pack && history.State.PacksOf(record)?.Contains(n.Name) == true))
                    Gone[record.Name] = Math.Min(judged, Gone.GetValueOrDefault(record.Name, ulong.MaxValue));
            }
            Refused.AddRange(names.Except(over).Select(n => n.Name));
        }
    }

    [Fact]
    public void What_is_given_up_in_any_history_is_what_a_look_at_everything_finds()
    {
        var (given, refused, overtaken) = (0, 0, 0);
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var history = new LogHistory();
            var naive = new Naive(history);
            var names = new List<Hash32>();
            for (var step = 0; step < 120; step++)
            {
                history.Now += (ulong)random.NextInt64((long)Day * 2);
                switch (random.Next(7))
                {
                    case < 4:
                        var parent = names.Count == 0 || random.Next(6) == 0 ? (Hash32?)null : names[^Math.Min(names.Count, random.Next(10) == 0 ? random.Next(1, 9) : 1)];
                        var packs = parent is { } p ? history.Set(p).ToList().Where(_ => random.Next(5) > 0).ToList() : [];
                        if (random.Next(4) == 0 && names.Count > 0)
                            packs.AddRange(history.Set(names[random.Next(names.Count)]).ToList().Except(packs).Take(2));
                        names.Add(history.Commit(random.Next(9) == 0 ? null : parent, new PackSet([.. packs.Distinct(), LogHistory.Pack(random)]), history.Now + (ulong)random.NextInt64((long)Day * 40), random.Next(30) == 0));
                        break;
                    case 4 when names.Count > 0:
                        var record = history.State.Snapshots[random.Next(history.State.Snapshots.Count)];
                        history.Add(new Leaf(LeafType.LockExtension, history.Now, record.Snapshot, Id16.None, record.Expiry + (ulong)random.NextInt64((long)Day * 20), 0, 0, Hash32.None));
                        naive.Extend(record);
                        break;
                    default:
                        var list = names.SelectMany(n => history.Set(n).ToList().Select(r => (StoreKind.Pack, r.Name)).Append((StoreKind.Object, n))).Where(_ => random.Next(3) == 0).Distinct().ToList();
                        list.Add((random.Next(2) == 0 ? StoreKind.Object : StoreKind.Pack, LogHistory.Pack(random).Name)); // nobody named it
                        list.AddRange([.. list.Where(_ => random.Next(20) == 0).Select(n => (n.Item1 == StoreKind.Pack ? StoreKind.Object : StoreKind.Pack, n.Item2))]); // the one's name as the other's
                        list = [.. list.Distinct()];
                        var judged = random.Next(4) == 0 ? history.Now - (ulong)random.NextInt64((long)Day * 30) : history.Now;
                        naive.Expire(list, judged);
                        history.Expire(list, judged);
                        break;
                }
            }
            var state = history.State;
            var removed = naive.Removed.Where(r => naive.Over([r.Key], r.Value).Count > 0).ToDictionary(); // by what came after, too
            Assert.All(naive.Removed.Keys, n => Assert.Equal(removed.GetValueOrDefault(n), state.RemovedAt(n.Item1, n.Item2)));
            Assert.Equal(naive.Removed.Keys.Except(removed.Keys).Select(n => n.Item2).Order(), state.Overtaken().SelectMany(r => r.Names).Order());
            overtaken += naive.Removed.Count - removed.Count;
            foreach (var kind in new[] { StoreKind.Pack, StoreKind.Object })
                Assert.All(names.SelectMany(n => history.Set(n).ToList().Select(r => r.Name).Append(n)).Distinct(), n => Assert.Equal(removed.ContainsKey((kind, n)), state.WasRemoved(kind, n)));
            Assert.All(state.Snapshots, s => Assert.Equal((naive.Gone.ContainsKey(s.Name), naive.Gone.GetValueOrDefault(s.Name)), (s.IsRemoved, s.RemovedAt)));
            Assert.Equal(naive.Refused.Order(), state.Refused.SelectMany(r => r.Names).Order());
            (given, refused) = (given + naive.Removed.Count, refused + naive.Refused.Count);
        }
        Assert.True(given > 1_000 && refused > 1_000 && overtaken > 100, $"{given} given up, {refused} refused, {overtaken} overtaken");
    }

    /// <summary>Bytes that are allocated where each day brings a snapshot with a pack of its own and an expiry of the oldest.</summary>
    static long Cost(int days)
    {
        var history = new LogHistory();
        var random = new Random(1);
        var names = new List<Hash32>();
        var shared = LogHistory.Pack(random);
        var before = 0L;
        for (var day = 0; day < 2 * days; day++)
        {
            if (day == days) // from here on the history is as long as it gets
                before = GC.GetAllocatedBytesForCurrentThread();
            history.Now += Day;
            if (day < days)
            {
                names.Add(history.Commit(null, new PackSet([shared, LogHistory.Pack(random)]), history.Now + 10 * Day));
                continue;
            }
            var name = names[day - days];
            history.Expire([(StoreKind.Pack, history.Set(name).ToList().First(p => p != shared).Name), (StoreKind.Object, name)], history.Now);
        }
        Assert.Empty(history.State.Refused);
        Assert.All(history.State.Snapshots, s => Assert.True(s.IsRemoved));
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    [Fact]
    public void Twice_as_many_snapshots_and_expiries_cost_twice_as_much()
    {
        Cost(100);
        var (once, twice) = (Cost(1_500), Cost(3_000));
        Assert.True(twice < 2.5 * once, $"{once} bytes, then {twice}");
    }

    /// <summary>Bytes that are allocated where many snapshots go on from one, each with a pack of all of them, and as many expiries name that pack.</summary>
    /// <param name="count">How many.</param>
    /// <param name="isLocked">Its lock is not over.</param>
    /// <param name="isAlternating">Each expiry comes after one more snapshot; else all after them.</param>
    static long CostOfBranches(int count, bool isLocked, bool isAlternating)
    {
        var history = new LogHistory();
        var random = new Random(1);
        var shared = LogHistory.Pack(random);
        var end = isLocked ? history.Now + 1_000 * Day : history.Now - 100 * Day;
        var first = history.Commit(null, new PackSet([shared]), end);
        history.Commit(first, new PackSet([shared, LogHistory.Pack(random)]), end); // so that what comes next is a branch
        var last = first;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var step = 0; step < 2 * count; step++)
        {
            history.Now++;
            if (isAlternating ? step % 2 == 0 : step < count)
                last = history.Commit(history.State.Snapshots.Count % 2 == 0 ? first : last, new PackSet([shared, LogHistory.Pack(random)]), end); // every other one goes on in a branch
            else
                history.Expire([(StoreKind.Pack, shared.Name)], history.Now);
        }
        var cost = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal((isLocked ? count : 0, !isLocked, count + 2), (history.State.Refused.Count, history.State.WasRemoved(StoreKind.Pack, shared.Name), history.State.Snapshots.Count));
        Assert.All(history.State.Snapshots, s => Assert.Equal(!isLocked, s.IsRemoved));
        return cost;
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Twice_as_many_branches_and_expiries_cost_twice_as_much(bool isLocked, bool isAlternating)
    {
        CostOfBranches(100, isLocked, isAlternating);
        var (once, twice) = (CostOfBranches(2_500, isLocked, isAlternating), CostOfBranches(5_000, isLocked, isAlternating));
        Assert.True(twice < 2.5 * once, $"{once} bytes, then {twice}");
    }
}
