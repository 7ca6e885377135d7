using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Core;

public sealed class PackSetCacheTests
{
    const int MaxSets = 64;
    const int MaxPacks = 1 << 20;

    static readonly Random Random = new(1);
    static readonly PackSet[] OneEach = [.. Enumerable.Range(0, 200).Select(_ => new PackSet([LogHistory.Pack(Random)]))];

    static PackSet Large(int packs) => new(Enumerable.Range(0, packs).Select(_ => LogHistory.Pack(Random)));

    static bool IsThere(PackSetCache cache, PackSet set) => cache.TryGet(set.Root, out var found) && found == set;

    [Fact]
    public void The_sets_that_came_last_are_there_and_those_before_are_not()
    {
        var cache = new PackSetCache();
        for (var i = 0; i < OneEach.Length; i++)
        {
            cache.Add(OneEach[i].Root, OneEach[i]);
            Assert.Equal(Enumerable.Range(Math.Max(0, i + 1 - MaxSets), Math.Min(i + 1, MaxSets)), Enumerable.Range(0, OneEach.Length).Where(n => IsThere(cache, OneEach[n])));
        }
    }

    [Fact]
    public void What_is_there_has_so_many_packs_at_most_and_the_newest_is_there_however_large()
    {
        var cache = new PackSetCache();
        var (first, second, third, huge) = (Large(MaxPacks / 2), Large(MaxPacks / 4), Large(MaxPacks / 4), Large(MaxPacks + 1));
        cache.Add(first.Root, first);
        cache.Add(second.Root, second);
        cache.Add(third.Root, third);
        Assert.Equal((true, true, true), (IsThere(cache, first), IsThere(cache, second), IsThere(cache, third))); // exactly as many as may be
        cache.Add(OneEach[0].Root, OneEach[0]);
        Assert.Equal((false, true, true, true), (IsThere(cache, first), IsThere(cache, second), IsThere(cache, third), IsThere(cache, OneEach[0])));
        cache.Add(huge.Root, huge);
        Assert.Equal((false, false, false, true), (IsThere(cache, second), IsThere(cache, third), IsThere(cache, OneEach[0]), IsThere(cache, huge)));
        cache.Add(second.Root, second); // one that had gone
        cache.Add(third.Root, third);
        cache.Add(first.Root, first);
        Assert.Equal((true, true, true, false), (IsThere(cache, first), IsThere(cache, second), IsThere(cache, third), IsThere(cache, huge)));
    }

    [Fact]
    public void A_set_that_is_there_already_counts_once_and_goes_when_its_first_would()
    {
        var cache = new PackSetCache();
        for (var i = 0; i < MaxSets - 1; i++)
            cache.Add(OneEach[i].Root, OneEach[i]);
        for (var again = 0; again < 10; again++)
            cache.Add(OneEach[0].Root, OneEach[0]);
        Assert.All(OneEach.Take(MaxSets - 1), s => Assert.True(IsThere(cache, s)));
        cache.Add(OneEach[100].Root, OneEach[100]);
        Assert.All(OneEach.Take(MaxSets - 1), s => Assert.True(IsThere(cache, s)));
        cache.Add(OneEach[101].Root, OneEach[101]);
        Assert.False(IsThere(cache, OneEach[0]));
        Assert.True(IsThere(cache, OneEach[1]));
        cache.Add(OneEach[0].Root, OneEach[0]);
        Assert.True(IsThere(cache, OneEach[0]));
        Assert.False(IsThere(cache, OneEach[1]));
    }

    [Fact]
    public void One_that_nobody_added_is_not_there()
    {
        var cache = new PackSetCache();
        Assert.False(cache.TryGet(Hash32.None, out var set));
        Assert.Null(set);
    }
}
