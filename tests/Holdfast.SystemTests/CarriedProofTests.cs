using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>What a checkpoint and a proof on paper, or on a stick in a drawer, say of a vault that root had in hand: they need neither witness nor key folder.</summary>
public sealed class CarriedProofTests
{
    /// <summary>A vault whose checkpoint and proof were carried away, and what came after; a copy of it from before.</summary>
    static Cli Sample()
    {
        var cli = new Cli().Init();
        Back(cli, 1);
        cli.Shell("cp -a vault older; cp -a keys older-keys");
        Back(cli, 2);
        Directory.CreateDirectory(cli["drawer"]);
        cli.Run("log", "checkpoint", "--out", cli["drawer/checkpoint"]).Expect(0);
        cli.Run("log", "prove", "latest", "--out", cli["drawer/proof"]).Expect(0);
        File.WriteAllText(cli["drawer/log-key"], File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..]);
        Back(cli, 3);
        foreach (var carried in new[] { "checkpoint", "proof" })
            Assert.Contains("unaltered", Since(cli, carried).Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("is there", Since(cli, "proof").Expect(0).Out, StringComparison.Ordinal);
        Assert.True(JsonDocument.Parse(cli.Run("log", "verify", "--keys", "", "--since", cli["drawer/proof"], "--json").Expect(0).Out).RootElement.GetProperty("proven").GetProperty("allThere").GetBoolean());
        return cli;
    }

    static void Back(Cli cli, int seed)
    {
        cli.Write("notes.txt", Encoding.UTF8.GetBytes($"state {seed}"));
        cli.Write($"scan{seed}.dcm", Cli.Noise(seed, 300_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
    }

    /// <summary>One that the proof's snapshot needs.</summary>
    static string Pack(Cli cli) => Directory.EnumerateFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).Where(f => File.GetLastWriteTimeUtc(f) <= File.GetLastWriteTimeUtc(cli["drawer/checkpoint"])).MaxBy(f => new FileInfo(f).Length)!;

    /// <summary>As an auditor, who has what was carried and nothing of the vault's own keys.</summary>
    static Result Since(Cli cli, string carried) => cli.Run("log", "verify", "--keys", "", "--since", cli[$"drawer/{carried}"]);

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("proof")]
    public void Root_put_the_vault_back(string carried)
    {
        using var cli = Sample();
        cli.Shell("rm -r vault keys; mv older vault; mv older-keys keys");
        cli.Run("status").Expect(0); // nothing of its own tells
        Assert.Contains("the earlier checkpoint had", Since(cli, carried).Expect(40).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("proof")]
    public void Root_signed_another_history_with_the_stolen_key(string carried)
    {
        using var cli = Sample();
        cli.Shell("rm -r vault keys; mv older vault; mv older-keys keys");
        Back(cli, 4);
        Back(cli, 5);
        Back(cli, 6); // more leaves than were carried
        cli.Run("status").Expect(0);
        cli.Run("verify", "--full").Expect(0);
        Assert.Contains("its beginning is not what the earlier checkpoint covered", Since(cli, carried).Expect(40).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("proof")]
    public void Root_put_another_vault_in_its_place(string carried)
    {
        using var cli = Sample();
        cli.Shell("rm -r vault keys");
        cli.Init();
        Back(cli, 1);
        cli.Run("status").Expect(0);
        Assert.Contains("signed by another key", Since(cli, carried).Expect(40).Error, StringComparison.Ordinal);
        Assert.Equal(42, cli.Run("log", "verify", "--proof", cli["drawer/proof"], "--log-key", File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..]).Status);
    }

    /// <summary>The record stands, and the data is gone: the carried proof says which snapshot has to be there, and until when.</summary>
    [Fact]
    public void Root_took_packs_away()
    {
        using var cli = Sample();
        File.Delete(Pack(cli));
        Since(cli, "checkpoint").Expect(0); // which says of the record alone, and that is whole
        var proof = Since(cli, "proof").Expect(20);
        Assert.Contains("NOT ALL THERE", proof.Error, StringComparison.Ordinal);
        Assert.Contains("locked until", proof.Error, StringComparison.Ordinal);
        cli.Run("log", "verify", "--proof", cli["drawer/proof"], "--log-key", File.ReadAllText(cli["drawer/log-key"])).Expect(0);
        cli.Run("status").Expect(20);
    }

    /// <summary>With the log's key root can write that the packs were given up: nobody takes that leaf at its word.</summary>
    [Fact]
    public void Root_took_packs_away_and_wrote_that_it_was_an_expiry()
    {
        using var cli = Sample();
        var pack = new FileInfo(Pack(cli));
        using (var vault = Holdfast.Core.Vault.Open(cli["vault"]))
        {
            Assert.True(Holdfast.Core.Hash32.TryParse(pack.Name, out var name));
            var list = new Holdfast.Core.Keeper.ExpiryList(vault.Id, Holdfast.Core.Hash32.None, [(Holdfast.Core.Storage.StoreKind.Pack, name)]);
            vault.Keeper.Record(Holdfast.Core.Keeper.LeafType.Expiry, Holdfast.Core.Id16.New(), Holdfast.Core.Id16.None, vault.Keeper.Clock.Now, 1, 1, list.ToArray());
        }
        pack.Delete();
        Since(cli, "checkpoint").Expect(0);
        Since(cli, "proof").Expect(20);
    }
}
