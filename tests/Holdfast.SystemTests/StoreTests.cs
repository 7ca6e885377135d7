using System.Text.Json;

namespace Holdfast.SystemTests;

public sealed class StoreTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    [Fact]
    public void A_folder_is_added_once_and_its_absence_is_said_by_every_command()
    {
        using var cli = Sample();
        cli.Run("store", "add", "").Expect(2);
        cli.Run("store", "add", cli["vault"]).Expect(2);
        cli.Run("store", "add", cli["source"]).Expect(53);
        cli.Run("store", "add", cli["mistyped/second"]).Expect(56);
        Assert.False(Directory.Exists(cli["mistyped"]));
        var added = cli.Run("store", "add", cli["more"]).Expect(0).Error;
        foreach (var words in new[] { "no second disk", "fails, is stolen or is wiped", "not another copy" })
            Assert.Contains(words, added, StringComparison.Ordinal);
        Assert.Equal("", cli.Run("store", "list").Expect(0).Error);
        Directory.Move(cli["more"], cli["unplugged"]);
        Assert.Contains("NOT THERE", cli.Run("store", "list").Expect(0).Out, StringComparison.Ordinal);
        foreach (var call in new string[][] { ["status"], ["snapshots"], ["backup", cli["source"], "--name", "ward"], ["restore", "latest", cli["r"]] })
            Assert.Contains("folder of the vault is not there", cli.Run(call).Error, StringComparison.Ordinal);
        Assert.Equal(1, JsonDocument.Parse(cli.Run("store", "list", "--json").Out).RootElement.GetProperty("away").GetArrayLength());
    }

    /// <summary>A second way to a folder of the vault has the same files: what is kept twice would lie there once. And a copy of the vault that became a part of it would be a copy no more.</summary>
    [Fact]
    public void Another_way_to_the_vault_and_a_copy_of_it_are_no_further_folders()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        cli.Run("store", "add", cli["copy"]).Expect(2);
        cli.Shell("rm copy/log/checkpoint");
        cli.Run("store", "add", cli["copy"]).Expect(2);
        Assert.False(File.Exists(cli["vault/keeper/folders"]));
        Directory.CreateDirectory(cli["bound"]);
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Finish(cli.StartProgram("mount", null, "--bind", cli["vault"], cli["bound"])).Status == 0, "needs root to mount");
        try
        {
            Assert.Contains("one of the vault's already", cli.Run("store", "add", cli["bound"]).Expect(2).Error, StringComparison.Ordinal);
            Assert.False(File.Exists(cli["vault/keeper/folders"]));
        }
        finally
        {
            cli.Shell("umount bound");
        }
    }

    [Fact]
    public void A_folder_is_retired_as_the_help_says()
    {
        using var cli = Sample();
        Assert.Contains("no `store remove`", cli.Run("store", "--help").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("store", "remove", cli["vault"]).Expect(2);
        cli.Run("store", "add", cli["old"]).Expect(0);
        cli.Shell("for p in vault/packs/*/*; do mv \"$p\" \"old/${p#vault/}\"; done"); // all it has lies there
        cli.Shell("cp -an old/packs old/objects vault/; grep -vxF \"$PWD/old\" vault/keeper/folders > left || true; cp left vault/keeper/folders; mv old retired");
        Assert.Equal("", cli.Run("verify", "--full").Expect(0).Error);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    [Fact]
    public void A_dry_expiry_says_what_stays_and_that_it_wrote_nothing()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault before");
        var dry = cli.Run("expire", "--dry-run", "--keys", "").Expect(0).Out;
        Assert.Contains("1 snapshot stays", dry, StringComparison.Ordinal);
        Assert.Contains("nothing was written", dry, StringComparison.Ordinal);
        cli.Shell("diff -r before vault");
        Assert.DoesNotContain("nothing was written", cli.Run("expire").Expect(0).Out, StringComparison.Ordinal);
    }
}
