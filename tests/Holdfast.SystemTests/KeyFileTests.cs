using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

/// <summary>Key files as people find, lose, open to others and mix them up; and options that make no sense.</summary>
public sealed class KeyFileTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("notes.txt", Encoding.UTF8.GetBytes("bed 3"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    [Fact]
    public void A_key_file_that_others_can_read_is_told_at_every_use()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "no modes there");
        const string warning = "can be read or changed by others";
        using var cli = Sample();
        cli.Run("key", "scope", "--class", "tree", "--out", cli["tree.key"]).Expect(0);
        cli.Shell("mkdir apart && cp -p keys/opening.secret apart/");
        var uses = new (string File, string[] Call)[]
        {
            ("keys/put.key", ["backup", cli["source"], "--name", "ward"]),
            ("keys/agent.key", ["backup", cli["source"], "--name", "ward"]),
            ("keys/opening.key", ["ls", "latest"]),
            ("keys/opening.secret", ["ls", "latest"]),
            ("apart/opening.secret", ["ls", "latest", "--opening-secret", cli["apart/opening.secret"]]),
            ("tree.key", ["ls", "latest", "--scoped-key", cli["tree.key"]]),
        };
        foreach (var (file, call) in uses)
        {
            Assert.DoesNotContain(warning, cli.Run(call).Expect(0).Error, StringComparison.Ordinal);
            foreach (var mode in new[] { "644", "640", "602" })
            {
                cli.Shell($"chmod {mode} {file}");
                Assert.Contains(warning, cli.Run([.. call, "--quiet"]).Expect(0).Error, StringComparison.Ordinal);
            }
            cli.Shell($"chmod 600 {file}");
        }
    }

    /// <summary>Whoever owns the key folder puts there what is no key.</summary>
    [Theory]
    [InlineData("mkfifo")]
    [InlineData("ln -s /dev/zero")]
    [InlineData("mkdir")]
    public void What_stands_in_a_keys_place_and_never_ends_keeps_no_command(string trick)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "pipes and devices");
        using var cli = Sample();
        foreach (var file in new[] { "put.key", "agent.key", "opening.key", "opening.secret", "checkpoint", "checkpoint.place" })
        {
            cli.Shell($"rm -rf keys-here && cp -a keys keys-here && rm keys-here/{file} && {trick} keys-here/{file}");
            foreach (var call in new string[][] { ["backup", cli["source"], "--name", "ward"], ["attest"], ["snapshots"], ["status"] })
            {
                var result = Cli.Finish(cli.StartProgram("timeout", null, ["60", Path.Combine(Cli.Root, "holdfast"), .. call, "--keys", cli["keys-here"]]));
                Assert.True(result.Status is not (124 or 1), $"{file} {call[0]}: {result.Status} {result.Error}");
            }
        }
    }

    [Fact]
    public void What_the_place_of_the_vault_says_is_shown_only_where_it_is_a_place()
    {
        using var cli = Sample();
        File.WriteAllText(cli["keys/checkpoint.place"], "root:$6$SECRET:19000::\nline2\n");
        foreach (var call in new string[][] { ["backup", cli["source"], "--name", "ward"], ["snapshots", "--json"], ["status"] })
        {
            var result = cli.Run(call).Expect(17);
            Assert.DoesNotContain("SECRET", result.Out + result.Error, StringComparison.Ordinal);
        }
        File.Delete(cli["keys/checkpoint.place"]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
    }

    [Fact]
    public void A_checkpoint_that_was_taken_away_is_told_once()
    {
        using var cli = Sample();
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        File.Delete(cli["keys/checkpoint"]);
        Assert.Contains("what these keys saw of the vault's log (the file `checkpoint` in the key folder) is gone", cli.Run("status").Expect(0).Error, StringComparison.Ordinal);
        Assert.Empty(cli.Run("status").Expect(0).Error);
    }

    [Theory]
    [InlineData("put.key")]
    [InlineData("agent.key")]
    [InlineData("opening.key")]
    public void A_key_file_that_is_damaged_is_named(string file)
    {
        using var cli = Sample();
        var text = File.ReadAllText(cli[$"keys/{file}"]);
        File.WriteAllText(cli[$"keys/{file}"], text[..^9]);
        var refused = file == "opening.key" ? cli.Run("ls", "latest") : cli.Run("backup", cli["source"], "--name", "ward");
        Assert.Contains(cli[$"keys/{file}"], refused.Expect(17).Error, StringComparison.Ordinal);
    }

    /// <summary>What stops the next backup is told before it.</summary>
    [Theory]
    [InlineData("echo garbage > vault/keeper/log.key", 17)]
    [InlineData(": > vault/keeper/log.key", 17)]
    [InlineData("cp other/keeper/log.key vault/keeper/log.key", 13)]
    public void A_log_key_that_signs_nothing_is_told_before_the_next_backup_fails(string damage, int status)
    {
        using var cli = Sample();
        cli.Run("init", cli["other"], "--keys", cli["k2"], "--lock", "1d").Expect(0);
        cli.Run("status").Expect(0);
        cli.Shell(damage);
        Assert.Contains("THE NEXT BACKUP WOULD FAIL", cli.Run("status").Expect(status).Out, StringComparison.Ordinal);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(status);
    }

    [Fact]
    public void A_key_folder_that_takes_no_writes_is_told_by_what_changes_the_vault()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root to mount");
        using var cli = Sample();
        var mount = Cli.Finish(cli.StartProgram("mount", null, "--bind", cli["keys"], cli["keys"]));
        Assert.SkipWhen(mount.Status != 0, "this machine mounts nothing: " + mount.Error);
        try
        {
            cli.Shell("mount -o remount,bind,ro keys");
            foreach (var which in new[] { "first", "second" }) // which is behind before it begins, too
            {
                var told = cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error;
                Assert.True(told.Split("could not be remembered").Length == 2, which);
                Assert.Contains("Mount that folder for writing", told, StringComparison.Ordinal);
                Assert.DoesNotContain("chown", told, StringComparison.Ordinal);
            }
            Assert.DoesNotContain("could not be remembered", cli.Run("snapshots").Expect(0).Error, StringComparison.Ordinal);
        }
        finally
        {
            cli.Shell("umount keys");
        }
    }

    [Fact]
    public void A_passphrase_that_is_short_or_lies_open_is_told()
    {
        using var cli = new Cli();
        File.WriteAllText(cli["pass"], "eleven char\n");
        Assert.Contains("sentence of several words", cli.Run("init", cli["vault"], "--passphrase-file", cli["pass"]).Expect(2).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(cli["vault"]));
        File.WriteAllText(cli["pass"], "twelve chars\n");
        cli.Shell("chmod 644 pass");
        Assert.Contains("the passphrase file can be read", cli.Run("init", cli["vault"], "--passphrase-file", cli["pass"]).Expect(0).Error, StringComparison.Ordinal);
    }

    /// <summary>Bytes that are no text would all read as one and the same character, and open whatever was set with others.</summary>
    [Theory]
    [InlineData("a good l\xf6ng passphrase\n", 17)] // Latin-1
    [InlineData("\xe2\x82 a good passphrase\n", 17)] // cut short
    [InlineData("\xed\xa0\x80 a good passphrase\n", 17)] // half of a pair
    [InlineData("\xef\xbf\xbd a good passphrase\n", 17)] // what another program made of such
    [InlineData("a \x00 good passphrase\n", 2)]
    public void A_passphrase_that_is_no_text_is_refused(string bytes, int status)
    {
        using var cli = new Cli();
        File.WriteAllBytes(cli["pass"], System.Text.Encoding.Latin1.GetBytes(bytes));
        cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(status);
        Assert.False(Directory.Exists(cli["vault"]));
        Assert.False(File.Exists(cli["keys/opening.key"]));
    }

    [Fact]
    public void A_passphrase_beyond_ascii_is_taken_as_it_is_and_warned_of()
    {
        using var cli = new Cli();
        File.WriteAllText(cli["pass"], "Grüße von der Station\n");
        Assert.Contains("letters beyond a to z", cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(0).Error, StringComparison.Ordinal);
        cli.Write("f", [1]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("ls", "latest", "--passphrase-file", cli["pass"]).Expect(0);
        File.WriteAllBytes(cli["other"], System.Text.Encoding.Latin1.GetBytes("Gr\xfc\xdfe von der Station\n"));
        Assert.Contains("UTF-8", cli.Run("ls", "latest", "--passphrase-file", cli["other"]).Expect(17).Error, StringComparison.Ordinal);
        if (Cli.Has("script"))
            Assert.Contains("terminal's encoding", Cli.Finish(cli.StartProgram("bash", null, "-c", $"printf 'Gr\\374\\337e von der Station\\r' | script -qec \"'{Path.Combine(Cli.Root, "holdfast")}' ls latest\" /dev/null")).Expect(2).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Status_prints_lines_that_work_as_they_stand()
    {
        using var cli = Sample();
        cli.Shell("mkdir work");
        var bare = cli.Run("status").Expect(0).Out;
        foreach (var line in new[] { "holdfast attest\n", "holdfast verify\n", "holdfast recovery-kit --out kit.pdf\n" })
            Assert.Contains(line, bare, StringComparison.Ordinal);
        var (vault, keys) = (cli.Environment["HOLDFAST_VAULT"], cli.Environment["HOLDFAST_KEYS"]);
        cli.Environment["HOLDFAST_VAULT"] = cli.Environment["HOLDFAST_KEYS"] = "";
        Assert.Contains("with the key folder that has opening.key", cli.Run("status", "--vault", "vault").Expect(0).Out, StringComparison.Ordinal);
        var lines = Regex.Matches(cli.Run("status", "--vault", "vault", "--keys", "keys").Expect(0).Out, @"run (\S*holdfast (attest|verify|recovery-kit) .*)");
        Assert.Equal(3, lines.Count);
        foreach (Match line in lines)
            cli.Shell($"cd work; {line.Groups[1].Value}");
        (cli.Environment["HOLDFAST_VAULT"], cli.Environment["HOLDFAST_KEYS"]) = (vault, keys);
        cli.Run("key", "rotate", "--new-secret", cli["new"]).Expect(0);
        Assert.Matches("KIT IS OLD.*recovery-kit --out kit.pdf, with --opening-secret", cli.Run("status").Expect(0).Out);
    }

    [Fact]
    public void A_lock_for_a_year_is_asked_for_with_the_name_of_the_source_where_the_keys_tell_it()
    {
        using var cli = Sample();
        var until = $"{DateTime.UtcNow.AddDays(390):yyyy-MM-dd}";
        Assert.Contains("of source ward (", cli.Run("lock", "latest", "--until", until).Expect(36).Error, StringComparison.Ordinal);
        File.Move(cli["keys/opening.secret"], cli["moved"]);
        Assert.DoesNotContain("ward", cli.Run("lock", "latest", "--until", until).Expect(36).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_the_vaults_keyring_snapshots_are_listed_all_the_same()
    {
        using var cli = Sample();
        var name = JsonDocument.Parse(cli.Run("log", "entries", "--json").Expect(0).Out).RootElement.GetProperty("entries").EnumerateArray().Single(e => e.GetProperty("type").GetString() == "KeyEpoch").GetProperty("payload").GetString();
        var id = cli.LatestId();
        cli.Shell($"find vault/objects -name '{name}*' -delete");
        var listed = cli.Run("snapshots").Expect(22);
        Assert.Equal(cli.Run("snapshots", "--keys", "").Expect(0).Out, listed.Out);
        Assert.Contains("names are left out", listed.Error, StringComparison.Ordinal);
        Assert.Contains(id, cli.Run("snapshots", "--json").Expect(22).Out, StringComparison.Ordinal);
        cli.Run("snapshots", "--name", "ward").Expect(22);
    }

    [Fact]
    public void A_secret_that_was_moved_away_is_asked_for_by_its_option()
    {
        using var cli = Sample();
        File.Move(cli["keys/opening.secret"], cli["moved"]);
        var error = cli.Run("ls", "latest").Expect(17).Error;
        foreach (var word in new[] { "opening.secret", "--opening-secret", "recover-key" })
            Assert.Contains(word, error, StringComparison.Ordinal);
        cli.Run("ls", "latest", "--opening-secret", cli["moved"]).Expect(0);

        // A list without names is better than none.
        var listed = cli.Run("snapshots").Expect(0);
        Assert.Contains("names are left out", listed.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("--keys with a folder that has it", listed.Error, StringComparison.Ordinal);
        Assert.Equal(2, listed.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(listed.Out, cli.Run("snapshots", "--keys", cli["keys"]).Expect(0).Out);
        cli.Run("snapshots", "--opening-secret", cli["nowhere"]).Expect(17);
        cli.Run("snapshots", "--name", "ward").Expect(17);
    }

    [Fact]
    public void Keys_of_another_vault_say_which_of_the_two_names_to_change()
    {
        using var cli = Sample();
        cli.Run("init", cli["v2"], "--keys", cli["k2"], "--lock", "1d").Expect(0);
        foreach (var call in new[] { "ls latest", "snapshots" })
        {
            var words = call.Split(' ');
            foreach (var forget in new[] { "true", "rm keys/checkpoint" }) // a wrong name typed once shuts nobody out of the right vault
            {
                cli.Shell(forget);
                Assert.Contains("add --keys", cli.Run([.. words, "--vault", cli["v2"]]).Expect(13).Error, StringComparison.Ordinal);
                Assert.Contains("Change --vault or --keys", cli.Run([.. words, "--vault", cli["v2"], "--keys", cli["keys"]]).Expect(13).Error, StringComparison.Ordinal);
                cli.Run("ls", "latest").Expect(0);
            }
        }
        Assert.Contains("add --vault", cli.Run("ls", "latest", "--keys", cli["k2"]).Expect(13).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_that_only_backs_up_lists_its_snapshots_without_names()
    {
        using var cli = Sample();
        cli.Shell("mkdir put && cp -p keys/put.key keys/agent.key put/");
        cli.Environment["HOLDFAST_KEYS"] = cli["put"];
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal(2, JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength());
        Assert.DoesNotContain("ward", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("status").Expect(0);
        cli.Run("ls", "latest").Expect(17);
    }

    [Fact]
    public void What_needs_the_opening_key_refuses_a_scoped_one_before_it_does_anything()
    {
        using var cli = Sample();
        foreach (var scope in new[] { "content", "tree", "features" })
        {
            cli.Run("key", "scope", "--class", scope, "--out", cli[scope]).Expect(0);
            foreach (var call in new string[][] { ["attest"], ["attest", "latest", "--full"], ["backup", cli["source"], "--name", "ward", "--attest"], ["recovery-kit", "--out", cli["kit.pdf"]], ["key", "issue", "--out", cli["k2"]], ["key", "rotate"] })
            {
                var error = cli.Run([.. call, "--scoped-key", cli[scope]]).Expect(19).Error;
                foreach (var word in new[] { "needs the opening key", "--opening-secret" })
                    Assert.Contains(word, error, StringComparison.Ordinal);
            }
            Assert.Contains("opening key", cli.Run("cat", "latest", "notes.txt", "--scoped-key", cli[scope]).Expect(19).Error, StringComparison.Ordinal);
        }
        // A backup that could not be attested is not made either: what is missing is told before hours of reading.
        File.Move(cli["keys/opening.secret"], cli["moved"]);
        cli.Run("backup", cli["source"], "--name", "ward", "--attest").Expect(17);
        Assert.Equal(1, JsonDocument.Parse(cli.Run("snapshots", "--json", "--keys", "").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength());
        cli.Run("backup", cli["source"], "--name", "ward", "--attest", "--opening-secret", cli["moved"]).Expect(0);
    }

    [Fact]
    public void A_key_of_one_source_finds_what_was_there_when_it_was_cut_and_says_what_it_leaves_out()
    {
        using var cli = Sample();
        cli.Run("key", "scope", "--class", "tree", "--name", "ward", "--out", cli["ward.key"]).Expect(0);
        cli.Run("find", "notes.txt", "--scoped-key", cli["ward.key"]).Expect(0);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var found = cli.Run("find", "notes.txt", "--scoped-key", cli["ward.key"]).Expect(3);
        Assert.Contains("notes.txt", found.Out, StringComparison.Ordinal);
        Assert.Contains("was left out", found.Error, StringComparison.Ordinal);
        cli.Run("key", "scope", "--class", "content", "--out", cli["content.key"]).Expect(0);
        var blind = cli.Run("find", "notes.txt", "--scoped-key", cli["content.key"]).Expect(3).Error;
        Assert.Contains("none of 2 snapshots could be looked into", blind, StringComparison.Ordinal);
        Assert.DoesNotContain("Nothing matches", blind, StringComparison.Ordinal);
        Assert.Contains("cut it anew", cli.Run("ls", "latest", "--scoped-key", cli["ward.key"]).Expect(19).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_older_copy_brought_back_is_used_once_its_checkpoint_is_moved_away()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault offsite");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("rm -r vault && mv offsite vault");
        foreach (var call in new string[][] { ["restore", "latest", cli["r"]], ["status"], ["backup", cli["source"], "--name", "ward"] })
        {
            var error = cli.Run(call).Expect(40).Error;
            Assert.Contains("attack", error, StringComparison.Ordinal);
            Assert.Contains("`checkpoint`", error, StringComparison.Ordinal);
        }
        File.Move(cli["keys/checkpoint"], cli["evidence"]);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("verify", "--full").Expect(0);
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("checkpoint.place")]
    public void Keys_that_root_used_once_still_restore_for_their_owner_and_say_what_was_not_checked(string closed)
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Sample();
        cli.Shell("chown -R 65534:65534 source");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell($"chown -R 65534:65534 .; chmod 755 .; chown root:root keys/{closed}; chmod 600 keys/{closed}; cp keys/checkpoint seen; chmod 644 seen");
        Result As(params string[] call) => Cli.Finish(cli.StartProgram("setpriv", cli.Folder, ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), .. call]));
        var restored = As("restore", "latest", cli["back"], "--quiet");
        Assert.SkipWhen(restored.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        restored.Expect(0);
        cli.Shell("diff -r source back");
        foreach (var words in new[] { restored.Error, As("log", "verify", "--quiet").Expect(15).Error, As("verify", "--full", "--quiet").Expect(15).Error, As("backup", cli["source"], "--name", "ward").Expect(15).Error, As("policy", "set", "--lock", "9d").Expect(15).Error })
        {
            foreach (var word in new[] { "NOT CHECKED", cli[$"keys/{closed}"], "chown" })
                Assert.Contains(word, words, StringComparison.Ordinal);
        }
        As("log", "verify", "--since", cli["seen"]).Expect(0); // compared with what was named
        Assert.Equal(cli[$"keys/{closed}"], JsonDocument.Parse(As("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("notCompared").GetString());
        Assert.Contains("NOT CHECKED", As("status").Expect(15).Out, StringComparison.Ordinal); // the next backup would fail
        cli.Shell($"cmp keys/checkpoint seen; chown 65534:65534 keys/{closed}");
        Assert.Equal("", As("backup", cli["source"], "--name", "ward").Expect(0).Error);
    }

    [Fact]
    public void A_key_folder_that_this_user_may_not_enter_is_not_taken_for_one_that_has_seen_nothing()
    {
        using var cli = Sample();
        cli.Shell("chown -R 65534:65534 .; chown -R root:root keys; chmod 755 .; chmod 700 keys; mkdir nowhere; chown 65534 nowhere");
        var size = Directory.GetFiles(cli["vault/log"], "*", SearchOption.AllDirectories).Length + File.ReadAllText(cli["vault/log/checkpoint"]);
        foreach (var call in new string[][] { ["verify"], ["log", "verify"], ["status"], ["lock", "latest", "--until", "2099-01-01"], ["expire"], ["policy", "set", "--lock", "9d"], ["store", "add", cli["nowhere/more"]], ["log", "accept"] })
        {
            var refused = cli.RunAsNobody(call);
            Assert.True(refused.Status == 15, $"{call[0]}: {refused.Status} {refused.Out} {refused.Error}");
            Assert.Contains($"may not enter {cli["keys"]}", refused.Error, StringComparison.Ordinal);
        }
        var listed = cli.RunAsNobody("snapshots").Expect(0);
        Assert.Contains("NOT CHECKED", listed.Error, StringComparison.Ordinal);
        Assert.Contains("names are left out", listed.Error, StringComparison.Ordinal);
        Assert.Equal(size, Directory.GetFiles(cli["vault/log"], "*", SearchOption.AllDirectories).Length + File.ReadAllText(cli["vault/log/checkpoint"]));
        cli.Shell("chown 65534:65534 keys; chown -R 65534:65534 keys");
        cli.RunAsNobody("verify").Expect(0);
    }

    [Fact]
    public void A_key_folder_that_is_not_there_is_told_and_nothing_is_written_uncompared()
    {
        using var cli = Sample();
        cli.Environment["HOLDFAST_KEYS"] = cli["kyes"];
        var checkpoint = File.ReadAllText(cli["vault/log/checkpoint"]);
        foreach (var call in new string[][] { ["verify"], ["verify", "--full"], ["log", "verify"], ["status", "--keys", cli["kyes"]], ["lock", "latest", "--until", "2099-01-01"], ["expire"], ["policy", "set", "--lock", "9d"], ["store", "add", cli["more"]], ["log", "accept"], ["key", "rotate"] })
        {
            var refused = Cli.Finish(cli.StartProgram("timeout", null, ["60", Path.Combine(Cli.Root, "holdfast"), .. call]));
            Assert.True(refused.Status == 17, $"{call[0]}: {refused.Status} {refused.Out} {refused.Error}");
            Assert.Contains("not there", refused.Error, StringComparison.Ordinal);
        }
        Assert.True(JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.TryGetProperty("notCompared", out _));
        Assert.Contains("NOT CHECKED", cli.Run("status").Expect(17).Error, StringComparison.Ordinal); // as the backup would that runs with both variables
        Assert.Contains("NOT CHECKED", cli.Run("status", "--vault", cli["vault"]).Expect(0).Error, StringComparison.Ordinal); // of a vault that was named anybody may ask, whatever keys the environment names
        Assert.Equal(checkpoint, File.ReadAllText(cli["vault/log/checkpoint"]));
        Assert.False(Directory.Exists(cli["kyes"]));
        cli.Environment["HOLDFAST_KEYS"] = ""; // nothing to compare with was asked for
        cli.Run("verify").Expect(0);
        cli.Run("expire").Expect(0);
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_no_fault_of_the_vault()
    {
        using var cli = Sample();
        foreach (var call in new string[][] { ["log", "checkpoint"], ["log", "prove", "latest"] })
            Assert.Contains("folder for the new file is not there", cli.Run([.. call, "--out", cli["nosuch/p"]]).Expect(2).Error, StringComparison.Ordinal);
        cli.Shell("chown -R 65534:65534 .; chmod 755 .; mkdir -m 755 roots; mkdir -m 700 closed");
        foreach (var (call, folder) in new[] { ("checkpoint", "roots"), ("checkpoint", "closed"), ("prove latest", "roots") })
        {
            var error = cli.RunAsNobody(["log", .. call.Split(' '), "--out", cli[$"{folder}/p"]]).Expect(15).Error;
            Assert.Contains("new file", error, StringComparison.Ordinal);
            Assert.DoesNotContain("of the vault", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_full_disk_outside_the_vault_is_not_the_vaults()
    {
        using var cli = Sample();
        using var mounted = cli.MountTmpfs("disk", "size=64k,nr_inodes=2000");
        cli.Shell("dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || true");
        foreach (var call in new string[][] { ["init", cli["v2"], "--keys", cli["disk/k2"]], ["init", cli["disk/v3"], "--keys", cli["k3"]], ["key", "issue", "--out", cli["disk/k4"]], ["log", "checkpoint", "--out", cli["disk/p"]] })
        {
            var error = cli.Run(call).Expect(60).Error;
            Assert.Contains("is full", error, StringComparison.Ordinal);
            Assert.DoesNotContain("store add", error, StringComparison.Ordinal);
            Assert.DoesNotContain("is not in the vault", error, StringComparison.Ordinal);
        }
        cli.Shell("rm disk/fill");
        cli.Run("init", cli["v2"], "--keys", cli["disk/k2"]).Expect(0);
    }

    [Fact]
    public void Keys_in_a_folder_that_its_user_may_not_write_to_read_on_and_say_that_nothing_is_remembered()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Sample();
        cli.Shell("chown -R 65534:65534 .; chown root keys; chmod 755 . keys");
        Result As(params string[] call) => Cli.Finish(cli.StartProgram("setpriv", cli.Folder, ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), .. call]));
        var known = As("ls", "latest", "--quiet");
        Assert.SkipWhen(known.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        Assert.Equal("", known.Expect(0).Error); // there is nothing new to remember
        As("verify").Expect(0);
        var told = As("ls", "latest", "--quiet").Expect(0).Error;
        foreach (var word in new[] { "could not be remembered", cli["keys/checkpoint"], "chown" })
            Assert.Contains(word, told, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_of_init_that_make_no_sense_are_refused_in_plain_words_and_make_nothing()
    {
        using var cli = new Cli();
        (string Option, int Status)[] bad =
        [
            ("--lock=0d", 2), ("--lock=-1d", 2), ("--lock=", 2), ("--lock=1", 2), ("--lock=d", 2), ("--lock=1x", 2), ("--lock=1.5d", 2), ("--lock=99999999999999999999y", 2), ("--lock=1000000y", 35), ("--lock=200y", 35),
            ("--weeks=-1", 2), ("--weeks=x", 2), ("--weeks=5301", 2), ("--months=1201", 2), ("--months=99999999999999999999", 2), ("--years=101", 2), ("--years=100", 35), ("--years=2", 2), ("--longest=14m", 2), ("--longest=9d", 2), ("--longest=soon", 2), ("--years=0.5", 2),
        ];
        foreach (var (option, status) in bad)
        {
            var result = cli.Run("init", cli["vault"], option);
            Assert.True(result.Status == status, $"{option}: {result.Status} {result.Error}");
            Assert.DoesNotContain("System.", result.Error, StringComparison.Ordinal);
            Assert.Contains("what to do:", result.Error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(cli["vault"]) || Directory.Exists(cli["keys"]), option);
        }
    }

    [Fact]
    public void A_kit_is_refused_before_any_key_is_asked_for()
    {
        using var cli = Sample();
        File.WriteAllText(cli["there.pdf"], "mine");
        File.Delete(cli["keys/opening.secret"]); // whatever asks for a key ends with 17
        cli.Run("recovery-kit", "--out", cli["there.pdf"]).Expect(2);
        cli.Run("recovery-kit", "--out", cli["no/kit.pdf"]).Expect(2);
        foreach (var numbers in new string[][] { ["--threshold", "0"], ["--shares", "0"], ["--shares", "13"], ["--threshold", "4", "--shares", "3"], ["--shares", "-1"], ["--threshold", "two"] })
        {
            var error = cli.Run(["recovery-kit", "--out", cli["kit.pdf"], .. numbers]).Expect(2).Error;
            Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
            Assert.Contains("what to do:", error, StringComparison.Ordinal);
        }
        Assert.Contains("No kit has 300 shares", cli.Run("recovery-kit", "--out", cli["kit.pdf"], "--shares", "300").Expect(2).Error, StringComparison.Ordinal);
        cli.Run("recovery-kit", "--out", cli["kit.pdf"]).Expect(17);
        Assert.False(File.Exists(cli["kit.pdf"]));
        Assert.Equal("mine", File.ReadAllText(cli["there.pdf"]));
    }

    [Fact]
    public void A_read_only_vault_gets_no_kit_and_no_keys()
    {
        Assert.SkipUnless(Environment.UserName == "root" && OperatingSystem.IsLinux(), "needs root to mount read-only");
        using var cli = Sample();
        Directory.CreateDirectory(cli["ro"]);
        var mounted = Cli.Finish(cli.StartProgram("bash", null, "-c", $"mount --bind '{cli["vault"]}' '{cli["ro"]}' && mount -o remount,ro,bind '{cli["ro"]}'"));
        Assert.SkipUnless(mounted.Status == 0, "mounting is not allowed here");
        try
        {
            File.Delete(cli["keys/opening.secret"]);
            foreach (var call in new string[][] { ["recovery-kit", "--out", cli["kit.pdf"]], ["key", "issue", "--out", cli["other"]], ["key", "scope", "--class", "tree", "--out", cli["kit.pdf"]], ["key", "rotate"] })
                cli.Run([.. call, "--vault", cli["ro"]]).Expect(16);
            Assert.False(File.Exists(cli["kit.pdf"]) || Directory.Exists(cli["other"]));
            Assert.Empty(Directory.GetFiles(cli["keys"], "*.new"));
        }
        finally
        {
            cli.Shell("umount ro");
        }
    }

    [Fact]
    public void A_kit_of_one_warns_and_a_scoped_key_says_what_its_thief_reads()
    {
        using var cli = Sample();
        Assert.Contains("each page is the whole key", cli.Run("recovery-kit", "--threshold", "1", "--shares", "2", "--out", cli["kit.pdf"]).Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains("Any one of them opens everything", cli.Run("recovery-kit", "--threshold", "1", "--shares", "1", "--out", cli["kit1.pdf"]).Expect(0).Out, StringComparison.Ordinal);
        var all = cli.Run("key", "scope", "--class", "content", "--out", cli["all.key"]).Expect(0).Out;
        Assert.Contains("what is backed up later", all, StringComparison.Ordinal);
        var one = cli.Run("key", "scope", "--class", "tree", "--name", "ward", "--out", cli["one.key"]).Expect(0).Out;
        Assert.Contains("no content", one, StringComparison.Ordinal);
        Assert.Contains("nothing that is backed up later", one, StringComparison.Ordinal);
        // A file that cannot be written: nothing is cut, and status lists no key for it.
        cli.Run("key", "scope", "--class", "tree", "--out", cli["one.key"]).Expect(2);
        Assert.Equal(2, JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("scopedKeys").GetArrayLength());
        var help = cli.Run("key", "--help").Expect(0).Out;
        foreach (var word in new[] { "issue", "scope", "rotate", "No command takes a key back" })
            Assert.Contains(word, help, StringComparison.Ordinal);
    }

    [Fact]
    public void Shares_are_typed_at_a_terminal_line_by_line()
    {
        Assert.SkipUnless(Cli.Has("pdftotext") && Cli.Has("script"), "needs pdftotext (poppler-utils) and script (util-linux) for a terminal");
        using var cli = Sample();
        cli.Run("recovery-kit", "--out", cli["kit.pdf"]).Expect(0);
        cli.Shell("for p in 4 2; do pdftotext -layout -f $p -l $p kit.pdf - | grep -oE '[1-7]: [0-9A-Z ]{24}' | tac; done > typed; mv keys gone");
        Assert.Equal(14, File.ReadAllLines(cli["typed"]).Length);
        Assert.Contains("an empty line after each share", Cli.Finish(cli.Start("recover-key", "--out", cli["recovered"]), File.ReadAllText(cli["typed"])).Expect(71).Error, StringComparison.Ordinal);
        var talk = Cli.Finish(cli.StartProgram("script", null, "-qec", $"'{Path.Combine(Cli.Root, "artifacts/holdfast/holdfast")}' recover-key --out '{cli["recovered"]}'", "/dev/null"), File.ReadAllText(cli["typed"])).Expect(0).Out;
        Assert.Contains("1 more share is needed", talk, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["r"], "--keys", cli["recovered"]).Expect(0);
        cli.Shell("diff -r source r");
        cli.Shell("test $(stat -c %a recovered) = 700; test $(stat -c %a recovered/opening.key recovered/opening.secret | sort -u) = 600");
    }
}
