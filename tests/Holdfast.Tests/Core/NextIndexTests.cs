using Holdfast.Core.Keeper;

namespace Holdfast.Tests.Core;

public sealed class NextIndexTests
{
    [Fact]
    public void The_next_from_any_index_on_is_the_first_that_was_not_taken()
    {
        for (var seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            var (next, taken) = (new NextIndex(), new HashSet<int>());
            for (var step = 0; step < 120; step++)
            {
                var index = random.Next(100);
                taken.Add(index);
                next.Take(index); // also one that was taken before
                foreach (var from in Enumerable.Range(0, 110).OrderBy(_ => random.Next()))
                    Assert.Equal(Enumerable.Range(from, 200).First(i => !taken.Contains(i)), next.From(from));
            }
        }
    }

    [Fact]
    public void Each_index_is_given_once_to_those_who_take_what_they_get()
    {
        var next = new NextIndex();
        var given = new List<int>();
        foreach (var (from, end) in new[] { (10, 20), (0, 15), (5, 30), (29, 31), (0, 31) })
        {
            for (var at = next.From(from); at < end; at = next.From(at))
            {
                given.Add(at);
                next.Take(at);
            }
        }
        Assert.Equal(Enumerable.Range(0, 31), given.Order());
    }
}
