using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

/// <summary>A vault and copies of it, with one key folder: a copy is read and not written to, and the vault itself goes on whatever was done to a copy.</summary>
public sealed class CopyTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        Back(cli, "first").Expect(0);
        return cli;
    }

    static Result Back(Cli cli, string state, params string[] options)
    {
        cli.Write("notes.txt", Encoding.UTF8.GetBytes(state));
        return cli.Run(["backup", cli["source"], "--name", "ward", .. options]);
    }

    static void Says(Result result, params string[] words)
    {
        foreach (var word in words)
            Assert.Contains(word, result.Error, StringComparison.Ordinal);
    }

    /// <summary>The command that a message prints, as a person copies it into a shell.</summary>
    static string Printed(Result result, string call) => Regex.Match(result.Error, $"`([^` ]*holdfast {call} [^`]+)`").Groups[1].Value;

    [Fact]
    public void A_copy_that_reads_a_folder_of_the_vault_itself_says_so()
    {
        using var cli = Sample();
        cli.Run("store", "add", cli["second"]).Expect(0);
        cli.Shell("cp -a vault copy");
        Says(cli.Run("snapshots", "--vault", cli["copy"]).Expect(0), "still reads a folder of the vault it was copied from", cli["second"]);
        Assert.Contains(cli["second"], Cli.Finish(cli.StartProgram(Path.Combine(Cli.Root, "holdfast"), null, "verify", "--vault", cli["copy"], "--keys", "")).Expect(0).Out, StringComparison.Ordinal);
        cli.Shell("cp -a second second-copy");
        cli.Run("store", "move", cli["second"], cli["second-copy"], "--vault", cli["copy"], "--keys", "").Expect(0);
        Assert.DoesNotContain("still reads", cli.Run("snapshots", "--vault", cli["copy"]).Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_leaf_of_the_log_is_told_and_what_is_known_comes_back()
    {
        using var cli = Sample();
        var first = cli.LatestId();
        Back(cli, "second").Expect(0);
        cli.Shell("f=$(ls -v vault/log/tile/entries/000.p/* | tail -1) && size=$(stat -c %s $f) && printf XYZ | dd of=$f bs=1 seek=$((size - 3)) conv=notrunc status=none");
        Says(cli.Run("status").Expect(41), "1 of its", "cannot be read");
        cli.Run("verify").Expect(41);
        cli.Run("log", "verify").Expect(41);
        Back(cli, "third").Expect(41);
        Assert.Contains("DAMAGED", cli.Run("log", "entries").Expect(0).Out, StringComparison.Ordinal);
        Says(cli.Run("restore", "latest", cli["back"]).Expect(41), "may have named a newer one", first);
        Says(cli.Run("restore", first, cli["back"]).Expect(57), "ERASURE REGISTER CANNOT BE READ"); // the leaf may have been of an erasure
        Assert.Equal("first", File.ReadAllText(cli["back/notes.txt"]));
    }

    [Fact]
    public void An_older_copy_is_read_with_a_warning_and_not_written_to_and_the_vault_goes_on()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        Says(cli.Run("restore", "latest", cli["equal"], "--vault", cli["copy"]).Expect(0), "copy of the vault that these keys go on with", cli["vault"]);
        Back(cli, "second").Expect(0);
        cli.Shell("cp -a copy untouched; cp keys/checkpoint seen");

        Says(cli.Run("status", "--vault", cli["copy"]).Expect(0), "older copy", "1 leaf behind", cli["vault"], "what was backed up later is not in it");
        Says(cli.Run("restore", "latest", cli["old"], "--vault", cli["copy"], "--quiet").Expect(0), "older copy");
        Assert.Equal("first", File.ReadAllText(cli["old/notes.txt"]));
        var json = JsonDocument.Parse(cli.Run("snapshots", "--vault", cli["copy"], "--json").Expect(0).Out).RootElement.GetProperty("copy");
        Assert.Equal(1, json.GetProperty("leavesBehind").GetInt32());
        Assert.Equal(cli["vault"], json.GetProperty("of").GetString());
        cli.Run("verify", "--full", "--vault", cli["copy"]).Expect(0);

        foreach (var call in new string[][] { ["backup", cli["source"], "--name", "ward"], ["attest"], ["lock", "latest", "--until", "2099-01-01"], ["expire"], ["store", "add", cli["more"]], ["key", "issue", "--out", cli["k2"]], ["key", "rotate"], ["recovery-kit", "--out", cli["kit.pdf"]] })
            Says(cli.Run([.. call, "--vault", cli["copy"]]).Expect(45), "VaultIsCopy", "--vault " + cli["vault"], "log accept", "Nothing was written");
        cli.Shell("diff -r untouched/log copy/log; cmp keys/checkpoint seen; test ! -e more; test ! -e k2; test ! -e kit.pdf");

        Back(cli, "third").Expect(0);
        Assert.Equal("third", cli.Run("cat", "latest", "notes.txt").Expect(0).Out);
        Assert.Equal("first", cli.Run("cat", "latest", "notes.txt", "--vault", cli["copy"]).Expect(0).Out);
    }

    [Fact]
    public void A_copy_that_is_checked_without_keys_stays_a_copy()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        Says(cli.Run("verify", "--vault", cli["copy"], "--keys", "").Expect(0), "Not noted in the log");
        cli.Shell("diff -r vault/log copy/log");
        Back(cli, "second").Expect(0);
        cli.Run("restore", "latest", cli["r"], "--vault", cli["copy"]).Expect(0);
        Assert.Equal("first", File.ReadAllText(cli["r/notes.txt"]));
    }

    [Fact]
    public void A_copy_without_the_logs_key_gives_everything_back_and_says_that_it_cannot_go_on()
    {
        using var cli = Sample();
        // As the manual has it.
        cli.Shell("mkdir copy; cp -a vault/log vault/keeper vault/vault vault/format.md copy/; rm copy/keeper/log.key copy/keeper/reserve; cp -a vault/packs vault/objects copy/; mv vault gone");
        var restored = cli.Run("restore", "latest", cli["r"], "--vault", cli["copy"]).Expect(0);
        Assert.DoesNotContain("not there: ", restored.Error, StringComparison.Ordinal);
        Assert.Equal("first", File.ReadAllText(cli["r/notes.txt"]));
        var id = File.ReadLines(cli["copy/vault"]).Single(l => l.StartsWith("id ", StringComparison.Ordinal))[3..11];
        Says(cli.Run("log", "accept", "--vault", cli["copy"], "--confirm", id).Expect(17), "log.key", "Nothing was changed");
        Says(Back(cli, "second", "--vault", cli["copy"]).Expect(45), "put keeper/log.key into it first");
        cli.Shell("cp gone/keeper/log.key copy/keeper/");
        cli.Run("log", "accept", "--vault", cli["copy"], "--confirm", id).Expect(0);
        Back(cli, "second", "--vault", cli["copy"]).Expect(0);
        Assert.Equal("second", cli.Run("cat", "latest", "notes.txt", "--vault", cli["copy"]).Expect(0).Out);
    }

    [Fact]
    public void A_copy_that_other_keys_wrote_to_is_told_and_the_vault_goes_on()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy; mkdir other; cp keys/*.key keys/opening.secret other/");
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["state2"];
        Back(cli, "elsewhere", "--vault", cli["copy"], "--keys", cli["other"]).Expect(0);
        Back(cli, "elsewhere too", "--vault", cli["copy"], "--keys", cli["other"]).Expect(0);
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["state"];
        Back(cli, "second").Expect(0);
        Says(cli.Run("restore", "latest", cli["r"], "--vault", cli["copy"]).Expect(40), "went its own way", cli["vault"], "log accept", "attack");
        Back(cli, "third").Expect(0);
        Back(cli, "fourth").Expect(0);
        // Shorter than the vault by now, and no beginning of it all the same.
        Says(cli.Run("restore", "latest", cli["r"], "--vault", cli["copy"]).Expect(40), "went its own way");
        Assert.Equal("fourth", cli.Run("cat", "latest", "notes.txt").Expect(0).Out);
        // The keys that wrote to the copy hold to that one, and say so at the vault.
        Says(cli.Run("cat", "latest", "notes.txt", "--keys", cli["other"]).Expect(40), "went its own way", cli["copy"]);
        Assert.Equal("elsewhere too", cli.Run("cat", "latest", "notes.txt", "--keys", cli["other"], "--vault", cli["copy"]).Expect(0).Out);
    }

    [Fact]
    public void With_the_vault_gone_an_older_copy_is_restored_from_at_once_and_taken_over_only_knowingly()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        Back(cli, "second").Expect(0);
        cli.Shell("mv vault lost");
        cli.Environment["HOLDFAST_VAULT"] = cli["copy"];
        Says(cli.Run("restore", "latest", cli["r"]).Expect(0), "older copy", "1 leaf behind");
        Says(Back(cli, "third").Expect(45), "is not there now", "log accept");
        Says(cli.Run("log", "accept").Expect(36), "--confirm");
        var id = JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("vault").GetString()!;
        var accepted = JsonDocument.Parse(cli.Run("log", "accept", "--confirm", id, "--json").Expect(0).Out).RootElement;
        Assert.True(File.Exists(accepted.GetProperty("earlierCheckpoint").GetString()));
        Assert.Equal("", Back(cli, "third").Expect(0).Error);
        Assert.Equal("third", cli.Run("cat", "latest", "notes.txt").Expect(0).Out);
        Assert.Contains("nothing to accept", cli.Run("log", "accept").Expect(0).Out, StringComparison.Ordinal);
        Says(cli.Run("status", "--keys", cli["mistyped"]).Expect(17), "NOT CHECKED");
        // The lost one found again is another history now.
        Says(cli.Run("ls", "latest", "--vault", cli["lost"]).Expect(40), "went its own way");
    }

    [Fact]
    public void A_vault_that_was_moved_goes_on_once_a_person_says_so_and_a_second_path_to_it_is_no_copy()
    {
        using var cli = Sample();
        cli.Shell("mv vault moved; ln -s moved link");
        Assert.Equal("", cli.Run("ls", "latest", "--vault", cli["moved"], "--quiet").Expect(0).Error);
        var refused = Back(cli, "second", "--vault", cli["moved"]).Expect(45);
        Says(refused, "is not there now", "mount it again", "--vault " + cli["vault"]);
        var status = cli.Run("status", "--vault", cli["moved"]).Expect(45);
        Assert.Contains("THE NEXT BACKUP WOULD FAIL", status.Out, StringComparison.Ordinal);
        Assert.NotEqual("", Printed(status, "log accept"));
        cli.Shell(Printed(refused, "log accept"));
        Assert.Equal("", Back(cli, "second", "--vault", cli["moved"]).Expect(0).Error);
        cli.Run("status", "--vault", cli["moved"]).Expect(0);
        Assert.Equal("", Back(cli, "third", "--vault", cli["moved"]).Expect(0).Error);
        Assert.Equal("", Back(cli, "fourth", "--vault", cli["link"]).Expect(0).Error);
        cli.Shell("cp -al moved links");
        Says(cli.Run("ls", "latest", "--vault", cli["links"]).Expect(0), "copy of the vault that these keys go on with");
        if (Environment.UserName != "root" || Cli.Finish(cli.StartProgram("bash", null, "-c", $"mkdir '{cli["bound"]}' && mount --bind '{cli["moved"]}' '{cli["bound"]}'")).Status != 0)
            return;
        try
        {
            Assert.Equal("", Back(cli, "fifth", "--vault", cli["bound"]).Expect(0).Error);
            Assert.Equal("", Back(cli, "sixth", "--vault", cli["moved"]).Expect(0).Error);
        }
        finally
        {
            cli.Shell("umount bound");
        }
    }

    [Fact]
    public void An_older_vault_put_back_in_its_place_is_refused_even_for_reading()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        cli.Run("log", "prove", "latest").Expect(0);
        Back(cli, "second").Expect(0);
        cli.Shell("mv vault newer; mv copy vault");
        foreach (var call in new string[][] { ["restore", "latest", cli["r"]], ["log", "prove", "latest"], ["attest"], ["backup", cli["source"], "--name", "ward"] })
            Says(cli.Run(call).Expect(40), "attack", "log accept", "These keys saw it on", "a key folder that remembers nothing");
        cli.Shell("mkdir reading; cp keys/opening.* reading/; mv vault/keeper/log.key kept");
        cli.Run("restore", "latest", cli["as-told"], "--keys", cli["reading"]).Expect(0);
        Says(cli.Run("log", "accept", "--confirm", "0000").Expect(17), "a key folder that remembers nothing");
        cli.Shell("mv kept vault/keeper/log.key");
        cli.Shell("mv vault copy");
        cli.Run("restore", "latest", cli["r"], "--vault", cli["copy"]).Expect(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void While_the_vaults_disk_is_away_no_command_makes_its_keys_go_on_with_a_copy(bool hasLogKey)
    {
        using var cli = Sample();
        cli.Shell("mkdir site; cp -a vault site/copy; cp -a keys before");
        if (!hasLogKey)
            File.Delete(cli["site/copy/keeper/log.key"]);
        cli.Shell("mv vault away; cp -a site/copy untouched");
        cli.Environment["HOLDFAST_VAULT"] = cli["site/copy"];
        foreach (var call in new string[][] { ["backup", cli["source"], "--name", "ward"], ["attest"], ["lock", "latest", "--until", "2099-01-01"], ["expire"], ["policy", "set", "--lock", "2d"], ["store", "add", cli["more"]], ["key", "issue", "--out", cli["k2"]], ["key", "rotate", "--new-secret", cli["new"]], ["recovery-kit", "--out", cli["kit.pdf"]] })
            Says(cli.Run(call).Expect(45), "VaultIsCopy", "Nothing was written", "is not there now", "mount it again", "--vault " + cli["vault"], $"log accept --vault {cli["site/copy"]} --keys {cli["keys"]} --confirm ");
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Run("verify").Expect(0);
        cli.Shell("diff -r untouched/log site/copy/log; diff before/checkpoint.place keys/checkpoint.place; cmp before/checkpoint keys/checkpoint; test ! -e more -a ! -e k2 -a ! -e kit.pdf -a ! -e new; test \"$(cd before; ls)\" = \"$(cd keys; ls | grep -vx lock)\"; mv away vault");
        cli.Environment["HOLDFAST_VAULT"] = cli["vault"];
        Assert.Equal("", Back(cli, "second").Expect(0).Error);
    }

    [Fact]
    public void A_vault_that_this_user_may_not_look_at_is_not_told_as_gone()
    {
        using var cli = new Cli();
        cli.Environment["HOLDFAST_VAULT"] = cli["shut/vault"];
        Directory.CreateDirectory(cli["shut"]);
        cli.Run("init", cli["shut/vault"], "--lock", "1d").Expect(0);
        Back(cli, "first").Expect(0);
        cli.Shell("cp -a shut/vault copy; chmod 755 .; chmod 700 shut; mkdir state2; chown -R 65534:65534 copy keys state2 source");
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["state2"];
        var refused = cli.RunAsNobody("backup", cli["source"], "--name", "ward", "--vault", cli["copy"]).Expect(45);
        Says(refused, "cannot be looked at there by this user", "Run this as a user who may look", "--vault " + cli["shut/vault"]);
        Assert.DoesNotContain("is not there now", refused.Error, StringComparison.Ordinal);
        var json = JsonDocument.Parse(cli.RunAsNobody("snapshots", "--json", "--vault", cli["copy"]).Expect(0).Out).RootElement;
        Assert.Equal(JsonValueKind.Null, json.GetProperty("copy").GetProperty("vaultIsThere").ValueKind);
        // A vault that is gone from where one may look is told as before.
        cli.Shell("chmod 755 shut; mv shut/vault gone");
        Says(cli.RunAsNobody("backup", cli["source"], "--name", "ward", "--vault", cli["copy"]).Expect(45), "is not there now", "mount it again");
    }

    /// <summary>What `status` says to do can be done there.</summary>
    [Theory]
    [InlineData("the keys know the vault")]
    [InlineData("moved")]
    [InlineData("rebuilt keys")]
    public void Status_of_a_copy_advises_nothing_that_a_copy_refuses(string how)
    {
        using var cli = Sample();
        cli.Shell("mkdir copy; cp -a vault/log vault/keeper vault/vault vault/format.md vault/packs vault/objects copy/; mkdir rebuilt; cp keys/opening.* rebuilt/");
        if (how == "moved")
            cli.Shell("mv vault gone");
        else
            File.Delete(cli["copy/keeper/log.key"]);
        var isRebuilt = how == "rebuilt keys";
        var status = cli.Run("status", "--vault", cli["copy"], "--keys", cli[isRebuilt ? "rebuilt" : "keys"]).Expect(isRebuilt ? 17 : how == "moved" ? 45 : 0).Out;
        var elsewhere = isRebuilt ? "where keeper/log.key is" : "at the vault itself"; // those keys know no vault: this may be it, without its log.key
        Assert.Contains("here, attest " + elsewhere, status, StringComparison.Ordinal);
        Assert.Contains("NEVER PRINTED: print it " + elsewhere, status, StringComparison.Ordinal);
        Assert.DoesNotContain("it is taken for what it is", status, StringComparison.Ordinal);
        Assert.DoesNotContain("holdfast attest", status, StringComparison.Ordinal);
        Assert.DoesNotContain("recovery-kit", status, StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_that_know_no_place_yet_take_none_that_nothing_can_be_written_to()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy; rm copy/keeper/log.key; rm keys/checkpoint*");
        Back(cli, "second", "--vault", cli["copy"]).Expect(17);
        cli.Run("expire", "--vault", cli["copy"]).Expect(17);
        Assert.Equal("", Back(cli, "third").Expect(0).Error);
    }

    [Fact]
    public void Keys_issued_after_an_older_copy_was_made_are_issued_anew_for_it()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        cli.Run("key", "issue", "--out", cli["k2"]).Expect(0);
        Back(cli, "second", "--keys", cli["k2"]).Expect(0);
        cli.Shell("mv vault lost");
        cli.Environment["HOLDFAST_VAULT"] = cli["copy"];
        var id = File.ReadLines(cli["copy/vault"]).Single(l => l.StartsWith("id ", StringComparison.Ordinal))[3..11];
        foreach (var keys in new[] { "keys", "k2" })
            cli.Run("log", "accept", "--confirm", id, "--keys", cli[keys]).Expect(0);
        var refused = Back(cli, "third", "--keys", cli["k2"]).Expect(34);
        Says(refused, "not enrolled in the log that is here", "older copy", "key issue --vault");
        Assert.True(refused.Error.IndexOf("key issue", StringComparison.Ordinal) < refused.Error.IndexOf("suspect", StringComparison.Ordinal));
        cli.Run("key", "issue", "--out", cli["k3"]).Expect(0);
        Back(cli, "third", "--keys", cli["k3"]).Expect(0);
    }

    [Fact]
    public void A_log_that_was_put_back_is_compared_with_a_checkpoint_that_was_kept_all_the_same()
    {
        using var cli = Sample();
        cli.Run("log", "checkpoint", "--out", cli["first"]).Expect(0);
        cli.Shell("cp -a vault older");
        Back(cli, "second").Expect(0);
        cli.Run("log", "checkpoint", "--out", cli["second"]).Expect(0);
        cli.Shell("mv vault newer; mv older vault");
        Says(cli.Run("log", "verify", "--since", cli["first"]).Expect(40), "These keys saw it on", "begins with the", "of the earlier checkpoint, unaltered", "came after it");
        Says(cli.Run("log", "verify", "--since", cli["second"]).Expect(40), "These keys saw it on", "Nor does it begin with the");
        var told = JsonDocument.Parse(cli.Run("log", "verify", "--since", cli["first"], "--json").Expect(40).Out).RootElement.GetProperty("since");
        Assert.True(told.GetProperty("unaltered").GetBoolean());
        Assert.Contains("unaltered", cli.Run("log", "verify", "--since", cli["first"], "--keys", "").Expect(0).Out, StringComparison.Ordinal);
        Says(cli.Run("log", "verify", "--since", cli["second"], "--keys", "").Expect(40), "attack");
    }

    [Fact]
    public void Without_keys_a_copy_that_nothing_is_committed_to_alarms_nobody()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy; rm copy/keeper/log.key");
        var status = cli.Run("status", "--vault", cli["copy"], "--keys", "").Expect(17); // the vault itself without that key looks the same
        Assert.Contains("A copy that is only read", status.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("WOULD FAIL", status.Out.ToUpperInvariant() + status.Error.ToUpperInvariant(), StringComparison.Ordinal);
        cli.Run("status", "--vault", cli["copy"]).Expect(0);
    }

    [Fact]
    public void A_proof_takes_the_log_as_seen()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy; rm keys/checkpoint*");
        var later = DateTimeOffset.UtcNow.AddDays(60).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.Run("lock", "latest", "--until", later, "--confirm-locked-until", later, "--keys", "").Expect(0);
        cli.Run("log", "prove", "latest").Expect(0);
        cli.Shell("cmp keys/checkpoint vault/log/checkpoint; rm -r vault; mv copy vault");
        cli.Run("log", "prove", "latest").Expect(40);
    }

    [Fact]
    public void A_copy_of_a_vault_of_several_folders_is_told_where_they_are()
    {
        using var cli = Sample();
        cli.Run("store", "add", cli["more"]).Expect(0);
        cli.Shell("for p in vault/packs/*/*; do mv \"$p\" \"more/${p#vault/}\"; done; mkdir site; cp -a vault more site/; rm site/vault/keeper/log.key; mv more away; mv vault gone");
        cli.Environment["HOLDFAST_VAULT"] = cli["site/vault"];
        Says(cli.Run("status").Expect(20), "folder of the vault is not there", cli["more"], "store move");
        cli.Run("store", "move", cli["nowhere"], cli["site/more"]).Expect(2);
        cli.Run("store", "move", cli["more"], cli["source"]).Expect(56);
        cli.Run("init", cli["v2"], "--keys", cli["k2"], "--lock", "1d").Expect(0);
        cli.Run("store", "move", cli["more"], cli["v2"]).Expect(13);
        Assert.Equal(cli["site/more"], JsonDocument.Parse(cli.Run("store", "move", cli["more"], cli["site/more"], "--json").Expect(0).Out).RootElement.GetProperty("is").GetString());
        Assert.Equal("", cli.Run("verify", "--full", "--quiet").Expect(0).Error);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");

        // Into one: refused until all is there.
        Says(cli.Run("store", "move", cli["site/more"], cli["site/vault"]).Expect(20), "Nothing was changed");
        cli.Shell("cp -an site/more/packs site/more/objects site/vault/");
        cli.Run("store", "move", cli["site/more"], cli["site/vault"]).Expect(0);
        cli.Shell("rm -r site/more");
        Assert.Equal("", cli.Run("verify", "--full", "--quiet").Expect(0).Error);
    }

    [Fact]
    public void Without_its_keeper_folder_a_vault_is_read_and_a_change_is_refused_at_once()
    {
        using var cli = Sample();
        cli.Shell("mv vault/keeper kept");
        foreach (var call in new string[][] { ["status"], ["ls", "latest"], ["verify"], ["verify", "--full"], ["restore", "latest", cli["r"]], ["log", "prove", "latest"], ["expire", "--dry-run"] })
            Says(cli.Run(call).Expect(call[0] == "status" ? 17 : 0), "`keeper` is not there"); // no backup can be made
        cli.Shell("diff -r source r");
        // Nothing in the way of waiting for a lock: each would take two minutes, and the test with it.
        foreach (var call in new string[][] { ["backup", cli["source"], "--name", "ward"], ["attest"], ["lock", "latest", "--until", "2099-01-01"], ["expire"], ["store", "add", cli["more"]], ["key", "issue", "--out", cli["k2"]] })
            Assert.Equal(17, Cli.Finish(cli.StartProgram("timeout", null, ["60", Path.Combine(Cli.Root, "holdfast"), .. call])).Expect(17).Status);
        cli.Shell("mv kept vault/keeper");
        Back(cli, "second").Expect(0);
    }
}
