using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>What goes when locks are over, and what stays all the same. Days pass by the boot clock and by the wall clock.</summary>
public sealed class ExpireTests
{
    /// <summary>Two states of one source and one of another, locked for a day each.</summary>
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("ward/first", Cli.Noise(1, 100_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        File.Delete(cli["source/ward/first"]);
        cli.Write("ward/second", Cli.Noise(2, 100_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Write("ward/third", Cli.Noise(3, 100_000));
        cli.Run("backup", cli["source"], "--name", "theatre").Expect(0);
        return cli;
    }

    static List<string> Ids(Cli cli, int days) => [.. JsonDocument.Parse(cli.RunLater(days, "snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().Select(s => s.GetProperty("id").GetString()!)];

    static List<string> Strings(Result result, string property) => [.. JsonDocument.Parse(result.Out).RootElement.GetProperty(property).EnumerateArray().Select(s => s.GetString()!)];

    [Fact]
    public void The_last_snapshot_of_each_source_stays_until_it_is_named()
    {
        using var cli = Sample();
        var ids = Ids(cli, 0);
        Assert.Empty(Strings(cli.RunLater(13, "expire", "--json").Expect(0), "snapshots")); // 14 days after the lock's end at the earliest
        Assert.Equal([ids[0]], Strings(cli.RunLater(17, "expire", "--dry-run", "--json").Expect(0), "snapshots"));
        Assert.Equal(ids, Ids(cli, 17));

        // The first one is no last one: naming it does nothing, and that is said.
        var idle = cli.RunLater(17, "expire", "--with-last", ids[0], "--dry-run").Expect(0);
        Assert.Contains($"{ids[0][..8]} is not the last snapshot of its source", idle.Error, StringComparison.Ordinal);
        Assert.DoesNotContain($"{ids[1][..8]} is not", idle.Error, StringComparison.Ordinal);

        var first = cli.RunLater(17, "expire", "--json").Expect(0);
        Assert.Equal([ids[0]], Strings(first, "snapshots"));
        Assert.Equal(ids[1..], Strings(first, "lastKept"));
        Assert.Equal(ids[1..], Ids(cli, 17));
        cli.RunLater(17, "restore", ids[1], cli["r1"]).Expect(0);
        cli.RunLater(17, "restore", ids[2], cli["r2"]).Expect(0);
        cli.Shell("diff -r source r2; cmp source/ward/second r1/ward/second");

        var named = cli.RunLater(17, "expire", "--with-last", ids[1], "--json").Expect(0);
        Assert.Equal("", named.Error);
        Assert.Equal([ids[1]], Strings(named, "snapshots"));
        Assert.Equal([ids[1]], Strings(named, "last"));
        Assert.Equal(ids[2..], Ids(cli, 17));
        cli.RunLater(17, "restore", ids[2], cli["r3"]).Expect(0);
        cli.Shell("diff -r source r3");
        cli.RunLater(17, "verify", "--full").Expect(0);

        Assert.Equal(ids[2..], Strings(cli.RunLater(17, "expire", "--with-last", "all", "--json").Expect(0), "last"));
        Assert.Empty(Ids(cli, 17));
        Assert.Empty(Directory.GetFiles(cli["vault/packs"], "*", SearchOption.AllDirectories));
    }

    /// <summary>No option shortens a lock.</summary>
    [Fact]
    public void What_is_named_goes_no_sooner()
    {
        using var cli = Sample();
        var ids = Ids(cli, 0);
        Assert.Empty(Strings(cli.RunLater(13, "expire", "--with-last", "all", "--json").Expect(0), "snapshots"));
        Assert.Equal(ids, Ids(cli, 13));
        cli.Run("verify", "--full").Expect(0);
    }
}
