using Holdfast.Core.Keeper;

namespace Holdfast.Tests.Core;

public sealed class RangeMaximumTests
{
    static void AssertIsNaive(RangeMaximum numbers, List<ulong> all)
    {
        for (var from = 0; from <= all.Count; from++)
        {
            for (var end = from; end <= all.Count; end++)
                Assert.Equal(all.Skip(from).Take(end - from).DefaultIfEmpty().Max(), numbers.Max(from, end));
        }
    }

    [Fact]
    public void The_largest_of_any_range_of_any_count_is_what_a_look_at_each_finds()
    {
        for (var size = 1; size <= 70; size++)
        {
            var random = new Random(size);
            var (numbers, all) = (new RangeMaximum(), new List<ulong>());
            for (var i = 0; i < size; i++)
            {
                all.Add((ulong)random.NextInt64(1_000));
                numbers.Raise(i, all[i]);
            }
            AssertIsNaive(numbers, all);
        }
    }

    [Fact]
    public void Numbers_that_come_one_by_one_and_are_raised_meanwhile_are_found()
    {
        var random = new Random(1);
        var (numbers, all) = (new RangeMaximum(), new List<ulong>());
        for (var i = 0; i < 70; i++)
        {
            all.Add((ulong)random.NextInt64(1_000));
            numbers.Raise(i, all[i]);
            var raised = random.Next(all.Count);
            all[raised] += (ulong)random.NextInt64(500);
            numbers.Raise(raised, all[raised]);
            AssertIsNaive(numbers, all);
        }
    }

    [Fact]
    public void A_number_gets_no_smaller()
    {
        var numbers = new RangeMaximum();
        numbers.Raise(5, 9);
        numbers.Raise(5, 3);
        Assert.Equal((9ul, 0ul, 0ul), (numbers.Max(5, 6), numbers.Max(0, 5), numbers.Max(6, 8)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(63)]
    [InlineData(64)]
    public void Those_before_one_that_is_far_on_are_what_they_were(int far)
    {
        var numbers = new RangeMaximum();
        numbers.Raise(0, 7);
        numbers.Raise(far, ulong.MaxValue);
        Assert.Equal((7ul, 0ul, ulong.MaxValue), (numbers.Max(0, far), numbers.Max(1, far), numbers.Max(0, far + 1)));
    }
}
