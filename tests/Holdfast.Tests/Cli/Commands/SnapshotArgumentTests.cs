using Holdfast.Cli.Commands;

namespace Holdfast.Tests.Cli.Commands;

public sealed class SnapshotArgumentTests
{
    [Fact]
    public void Of_a_name_that_none_has_it_is_said_that_an_expiry_may_have_removed_some()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp(name: "ward");
        using (var vault = test.Open())
            Assert.DoesNotContain("expiry", SnapshotArgument.NoneOfName(vault, "holdfast snapshots").Guidance, StringComparison.Ordinal);
        test.Machine.Pass(100 * TestVault.Day);
        using (var vault = test.Open())
        {
            Assert.NotEmpty(vault.Keeper.Expire(dryRun: false).Names);
            Assert.Contains("an expiry may have removed them", SnapshotArgument.NoneOfName(vault, "holdfast snapshots").Guidance, StringComparison.Ordinal);
        }
    }
}
