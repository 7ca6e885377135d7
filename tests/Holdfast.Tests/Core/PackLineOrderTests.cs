using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Tests.Core;

public sealed class PackLineOrderTests
{
    static SnapshotRecord Record(Random random) => new() { Ordinal = 0, Snapshot = Id16.New(), Name = Hash32.None, Agent = Id16.None, Committed = 0, Expiry = (ulong)random.NextInt64(1_000_000) };

    /// <summary>A line and all that leave it, in their order.</summary>
    static IEnumerable<PackLine> InOrder(PackLine line, ILookup<PackLine, PackLine> branches) =>
        branches[line].OrderBy(b => b.Leaves).ThenBy(b => b.Place!.Number).SelectMany(b => InOrder(b, branches)).Prepend(line); // those that leave one snapshot are in any order

    [Fact]
    public void Lines_have_the_places_that_all_of_them_give_however_they_came()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var order = new PackLineOrder();
            var (lines, trunks, given) = (new List<PackLine>(), new Dictionary<PackLine, PackLine>(), new HashSet<PackLine>());
            for (var step = 0; step < 80; step++)
            {
                var trunk = lines.Count == 0 || random.Next(10) == 0 ? null : lines[random.Next(lines.Count)];
                var line = new PackLine(trunk, trunk is null ? 0 : random.Next(trunk.Records.Count));
                line.Add(Record(random));
                order.Add(line, trunk);
                lines.Add(line);
                if (trunk is not null)
                    trunks[line] = trunk;
                for (var more = random.Next(4); more > 0; more--)
                {
                    var one = lines[random.Next(lines.Count)];
                    one.Add(Record(random));
                    given.Remove(one);
                }
                var longer = lines[random.Next(lines.Count)];
                longer.Lengthen(random.Next(longer.Records.Count), (ulong)random.NextInt64(2_000_000));
                var whole = lines[random.Next(lines.Count)];
                whole.Place!.SetGiven(true);
                given.Add(whole);

                var branches = trunks.ToLookup(t => t.Value, t => t.Key);
                var all = lines.Where(l => !l.IsBranch).OrderBy(l => l.Place!.Number).SelectMany(r => InOrder(r, branches)).ToList();
                Assert.Equal(all, Enumerable.Range(0, order.Count).Select(p => order[p]));
                Assert.Equal(Enumerable.Range(0, all.Count), all.Select(l => l.Place!.Number));
                var (from, end) = (random.Next(all.Count + 1), random.Next(all.Count + 1));
                var part = all.Take(end).Skip(from).ToList();
                Assert.Equal(part.Select(l => l.Expiries.Max(0, l.Records.Count)).DefaultIfEmpty().Max(), order.Expiry(from, end));
                Assert.Equal(part.Find(l => !given.Contains(l)), order.NotGiven(from, end));
            }
        }
    }
}
