using Holdfast.Cli.Commands;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Tests.Cli.Commands;

public sealed class PolicyDoubtTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void It_says_that_quotas_are_the_largest_too(bool isTold)
    {
        var policy = new LostPolicy(3, Hash32.None, isTold ? new RetentionPolicy(20 * RetentionPolicy.Day, 0, 0, 0, 1 << 20, 0) : null);
        Assert.Contains("QUOTAS", PolicyDoubt.Words([policy])!, StringComparison.Ordinal);
    }

    [Fact]
    public void It_says_nothing_where_all_can_be_read() => Assert.Null(PolicyDoubt.Words([]));
}
