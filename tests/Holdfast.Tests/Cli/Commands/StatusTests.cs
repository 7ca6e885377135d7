using Holdfast.Cli.Commands;
using Holdfast.Cli.Terminal;

namespace Holdfast.Tests.Cli.Commands;

/// <summary>What a hostile disk or log holds makes no number of `status` and `log entries` false, and ends neither.</summary>
public sealed class StatusTests
{
    [Fact]
    public void Files_longer_than_any_sum_holds_are_no_packs_and_are_not_counted_as_bytes()
    {
        using var test = new TestVault(parent: "/dev/shm"); // where a file may be as long as a number
        test.WriteSome();
        var packs = test.BackUp().Archive.Packs;
        foreach (var name in packs.ToList().Take(2).Select(p => p.Name.ToString()).Append(new string('a', 64)))
        {
            using var copy = File.Create(Path.Combine(Directory.CreateDirectory(Path.Combine(test.Folder, "packs", name[..2])).FullName, name + (packs.ToList().Any(p => p.Name.ToString() == name) ? ".1" : "")));
            copy.SetLength(long.MaxValue);
        }
        using var vault = test.Open();
        var status = VaultStatus.Of(vault, vault.Health());
        Assert.Equal((packs.Bytes, packs.Bytes, packs.Count + 1), (status.PackBytes, status.LockedBytes, status.Packs));
        Assert.Equal(packs.Bytes, status.Freed.Sum(f => f.Bytes));
    }

    [Theory]
    [InlineData(1UL << 63)]
    [InlineData(ulong.MaxValue)]
    public void A_span_longer_than_a_number_holds_is_not_below_zero(ulong seconds) => Assert.DoesNotContain("-", Text.Span(seconds), StringComparison.Ordinal);
}
