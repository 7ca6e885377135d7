using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

public sealed class KeyTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("notes.txt", Encoding.UTF8.GetBytes("bed 3"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    [Fact]
    public void After_a_rotation_the_new_key_opens_everything_and_the_old_one_only_what_was_before()
    {
        using var cli = Sample();
        cli.Shell("cp -a keys old-keys");
        cli.Run("key", "rotate").Expect(0);
        cli.Write("later.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 3", cli.Run("cat", "latest", "notes.txt").Expect(0).Out);
        Assert.Equal("bed 4", cli.Run("cat", "latest", "later.txt").Expect(0).Out);
        cli.Run("verify", "--full").Expect(0);
        Assert.Contains("key epoch 2", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        // The old opening key opens what was sealed up to the rotation, and nothing after it.
        var first = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots")[0].GetProperty("id").GetString()!;
        Assert.Equal("bed 3", cli.Run("cat", first, "notes.txt", "--keys", cli["old-keys"]).Expect(0).Out);
        var refused = cli.Run("cat", "latest", "later.txt", "--keys", cli["old-keys"]).Expect(19);
        Assert.Contains("key epoch 2", refused.Error, StringComparison.Ordinal);
        cli.Run("key", "rotate", "--keys", cli["old-keys"]).Expect(12);
        foreach (var call in new string[][] { ["key", "issue", "--out", cli["issued"]], ["key", "scope", "--class", "content", "--out", cli["scoped"]] })
            Assert.Contains("newest opening key", cli.Run([.. call, "--keys", cli["old-keys"]]).Expect(12).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(cli["issued"]) || File.Exists(cli["scoped"]));
        Assert.Contains("no scoped keys are out", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        // The old put key still backs up, to the old epoch; the new opening key reads that too.
        cli.Write("third.txt", Encoding.UTF8.GetBytes("bed 5"));
        cli.Run("backup", cli["source"], "--name", "ward", "--keys", cli["old-keys"]).Expect(0);
        Assert.Equal("bed 5", cli.Run("cat", "latest", "third.txt").Expect(0).Out);
    }

    [Fact]
    public void A_kit_from_before_a_rotation_is_called_old_until_a_new_one_is_printed()
    {
        const string old = "RECOVERY KIT IS OLD";
        using var cli = Sample();
        Assert.Contains("NEVER PRINTED", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("recovery-kit", "--out", cli["kit1.pdf"]).Expect(0);
        Assert.DoesNotContain(old, cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("key", "rotate").Expect(0);
        Assert.Contains(old, cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        Assert.Equal(1, JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("recoveryKitEpoch").GetInt32());
        cli.Run("recovery-kit", "--out", cli["kit2.pdf"]).Expect(0);
        Assert.DoesNotContain(old, cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rotation_wraps_the_new_seed_with_the_secret_that_was_given()
    {
        using var cli = Sample();
        cli.Shell("mkdir apart && mv keys/opening.secret apart/");
        cli.Run("key", "rotate", "--opening-secret", cli["apart/opening.secret"]).Expect(0);
        cli.Write("later.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 4", cli.Run("cat", "latest", "later.txt", "--opening-secret", cli["apart/opening.secret"]).Expect(0).Out);
        Assert.False(File.Exists(cli["keys/opening.secret"]));
    }

    /// <summary>A secret that was stolen opens nothing of the new epoch, though the thief may get its key file.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_rotation_with_a_new_secret_shuts_out_whoever_has_the_old_one(bool isPassphrase)
    {
        using var cli = new Cli();
        cli.Write("notes.txt", Encoding.UTF8.GetBytes("bed 3"));
        File.WriteAllText(cli["phrase"], "a long enough sentence for a test\n");
        string[] opens = isPassphrase ? ["--passphrase-file", cli["phrase"]] : [];
        cli.Run(["init", cli["vault"], "--keys", cli["keys"], "--lock", "1d", .. opens]).Expect(0);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("cp -a keys thief");
        foreach (var name in new[] { "keys/put.key", "keys/opening.secret", "keys/new", "vault/new", "phrase" })
            cli.Run(["key", "rotate", "--new-secret", cli[name], .. opens]).Expect(2);
        Assert.Equal(cli.Shell("ls thief | grep -v checkpoint").Out, cli.Shell("ls keys | grep -v checkpoint").Out);
        Assert.Contains($"recovery-kit --vault {cli["vault"]} --keys {cli["keys"]} --opening-secret {cli["safe"]}", cli.Run(["key", "rotate", "--new-secret", cli["safe"], .. opens]).Expect(0).Out, StringComparison.Ordinal);
        Assert.False(File.Exists(cli["keys/opening.secret"]));
        cli.Write("later.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 4", cli.Run("cat", "latest", "later.txt", "--opening-secret", cli["safe"]).Expect(0).Out);
        cli.Shell("cp keys/opening.key thief/opening.key");
        Assert.DoesNotContain("bed", cli.Run(["cat", "latest", "later.txt", "--keys", cli["thief"], .. opens]).Expect(isPassphrase ? 17 : 12).Out, StringComparison.Ordinal);
        cli.Run(["cat", "latest", "later.txt", .. opens]).Expect(17); // the secret is not in the key folder
    }

    /// <summary>Cut short after its leaf, it is finished with the secret that it made.</summary>
    [Theory]
    [InlineData("mv keys/opening.key keys/opening.key.epoch2.new && mv keys/opening.key.epoch1 keys/opening.key")]
    [InlineData("mv keys/opening.key keys/opening.key.epoch2.new && cp -a keys/opening.key.epoch1 keys/opening.key")]
    [InlineData("true")]
    public void A_rotation_with_a_new_secret_cut_short_is_finished_with_it(string state)
    {
        using var cli = Sample();
        var first = cli.LatestId();
        cli.Shell("cp -a keys before");
        cli.Run("key", "rotate", "--new-secret", cli["safe"]).Expect(0);
        cli.Shell($"{state} && mv keys/opening.secret.epoch1 keys/opening.secret && cp before/put.key keys/put.key");
        if (state != "true")
        {
            Assert.Contains("never delete it", cli.Run("cat", first, "notes.txt").Expect(0).Error, StringComparison.Ordinal); // what was before opens as before
            Assert.Contains("never delete it", cli.Run("key", "rotate", "--new-secret", cli["other"]).Expect(12).Error, StringComparison.Ordinal);
            Assert.False(File.Exists(cli["other"]));
        }
        cli.Run("key", "rotate", "--opening-secret", cli["safe"]).Expect(0);
        cli.Write("later.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 4", cli.Run("cat", "latest", "later.txt", "--opening-secret", cli["safe"]).Expect(0).Out);
        Assert.Equal("bed 3", cli.Run("cat", first, "notes.txt", "--opening-secret", cli["safe"]).Expect(0).Out);
    }

    /// <summary>Every state of the key folder that a rotation cut short can leave: the new file written and no leaf; the leaf and no new file in place; the old file kept
    /// and the new one not yet in place.</summary>
    [Theory]
    [InlineData(false, "cp -a keys/opening.key keys/opening.key.epoch2.new")]
    [InlineData(true, "mv keys/opening.key keys/opening.key.epoch2.new && mv keys/opening.key.epoch1 keys/opening.key && cp before/put.key keys/put.key")]
    [InlineData(true, "mv keys/opening.key keys/opening.key.epoch2.new && cp -a keys/opening.key.epoch1 keys/opening.key && cp before/put.key keys/put.key")]
    public void A_rotation_cut_short_locks_nobody_out(bool leaf, string state)
    {
        using var cli = Sample();
        cli.Shell("cp -a keys before");
        if (leaf)
            cli.Run("key", "rotate").Expect(0);
        cli.Shell(state);
        cli.Write("later.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 4", cli.Run("cat", "latest", "later.txt").Expect(0).Out);
        cli.Run("key", "rotate").Expect(0);
        cli.Write("third.txt", Encoding.UTF8.GetBytes("bed 5"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 5", cli.Run("cat", "latest", "third.txt").Expect(0).Out);
        cli.Run("verify", "--full").Expect(0);
    }

    [Fact]
    public void Issued_keys_back_up_and_read_nothing()
    {
        using var cli = Sample();
        cli.Run("key", "issue", "--out", cli["other"]).Expect(0);
        cli.Run("backup", cli["source"], "--name", "other", "--keys", cli["other"]).Expect(0);
        cli.Run("ls", "latest", "--keys", cli["other"]).Expect(17);
        Assert.Equal("bed 3", cli.Run("cat", "latest", "notes.txt", "--name", "other").Expect(0).Out);
    }

    [Fact]
    public void A_tree_key_lists_and_reads_no_content()
    {
        using var cli = Sample();
        cli.Run("key", "scope", "--class", "tree", "--out", cli["tree.key"]).Expect(0);
        Directory.Move(cli["keys"], cli["gone"]);
        cli.Environment["HOLDFAST_KEYS"] = "";
        Assert.Contains("notes.txt", cli.Run("ls", "latest", "--scoped-key", cli["tree.key"]).Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("ward", cli.Run("snapshots", "--scoped-key", cli["tree.key"]).Expect(0).Out, StringComparison.Ordinal);
        cli.Run("cat", "latest", "notes.txt", "--scoped-key", cli["tree.key"]).Expect(19);
        cli.Run("restore", "latest", cli["r"], "--scoped-key", cli["tree.key"]).Expect(19);
        Assert.Contains("the tree class", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_of_one_source_does_not_open_another()
    {
        using var cli = Sample();
        cli.Shell("mkdir -p private && echo secret > private/p.txt");
        cli.Run("backup", cli["private"], "--name", "private").Expect(0);
        cli.Run("key", "scope", "--class", "tree", "--name", "ward", "--out", cli["ward.key"]).Expect(0);
        var listed = JsonDocument.Parse(cli.Run("snapshots", "--json", "--keys", "", "--scoped-key", cli["ward.key"]).Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().ToList();
        Assert.True(listed[0].TryGetProperty("name", out _));
        Assert.False(listed[1].TryGetProperty("name", out _));
        Assert.Contains("notes.txt", cli.Run("ls", listed[0].GetProperty("id").GetString()!, "--keys", "", "--scoped-key", cli["ward.key"]).Expect(0).Out, StringComparison.Ordinal);
        cli.Run("ls", listed[1].GetProperty("id").GetString()!, "--keys", "", "--scoped-key", cli["ward.key"]).Expect(19);
    }
}
