using Holdfast.Fuzz;

namespace Holdfast.Tests.Core;

/// <summary>Each fuzz target runs once here, on its seeds, on mutations of them and on noise: no crash, no hang, no allocation beyond limits.</summary>
public sealed class HostileBytesTests
{
    public static TheoryData<string> Targets => [.. FuzzTargets.All.Select(t => t.Name)];

    [Theory]
    [MemberData(nameof(Targets))]
    public void A_parser_takes_any_bytes(string name)
    {
        var target = FuzzTargets.All.Single(t => t.Name == name);
        foreach (var seed in target.Seeds())
            Assert.True(target.Run(seed), "the seed itself is accepted");
        var run = new MutationRun(target, seed: 1);
        run.For(rounds: 3_000);
        Assert.True(run.Largest < 256L << 20, $"one input made it allocate {run.Largest} bytes");
    }
}
