using Holdfast.Cli.Commands;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Cli.Commands;

public sealed class RestoreReportTests
{
    [Fact]
    public void Root_is_not_told_to_run_it_again_as_root()
    {
        Assert.Contains("(root)", RestoreReport.Describe(TargetFault.NotPermitted, isRoot: false).Mend, StringComparison.Ordinal);
        var (_, mend) = RestoreReport.Describe(TargetFault.NotPermitted, isRoot: true);
        Assert.DoesNotContain("as a user who may", mend, StringComparison.Ordinal);
        Assert.Contains("lsattr -d", mend, StringComparison.Ordinal);
        Assert.Contains("chattr -i", mend, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_file_system_does_not_hold_comes_under_another_name() =>
        Assert.Contains("`holdfast cat SNAPSHOT PATH > FILE`", RestoreReport.Describe(TargetFault.NotHeld, isRoot: true).Mend, StringComparison.Ordinal);

    /// <summary>It is said of one entry, and of many.</summary>
    [Fact]
    public void What_happened_reads_well_of_one_entry_and_of_many()
    {
        foreach (var fault in Enum.GetValues<TargetFault>())
            Assert.DoesNotMatch(@"^(are|is|have|has)\b|\b(they|them|their)\b", RestoreReport.Describe(fault, isRoot: true).What);
    }

    [Theory]
    [InlineData(0, "")]
    [InlineData(485, "")]
    [InlineData(10 << 20, ", 5 MiB/s")]
    public void A_rate_is_told_where_enough_was_written_to_have_one(long bytes, string rate) => Assert.Equal(rate, RestoreReport.Rate(bytes, TimeSpan.FromSeconds(2)));
}
