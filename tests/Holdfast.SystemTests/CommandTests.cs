using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

public sealed class CommandTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("notes/ward.txt", Encoding.UTF8.GetBytes("bed 3: obs every hour\n"));
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    [Fact]
    public void Help_and_version_come_at_once_and_name_every_command()
    {
        using var cli = new Cli();
        var help = cli.Run("--help").Expect(0).Out;
        foreach (var command in new[] { "up", "down", "init", "backup", "snapshots", "ls", "find", "cat", "diff", "restore", "verify", "attest", "expire", "status", "log", "store", "lock", "policy", "recovery-kit", "recover-key", "completion" })
            Assert.Contains($"  {command} ", help, StringComparison.Ordinal);
        Assert.Matches(@"^\d+\.\d+\.\d+", cli.Run("--version").Expect(0).Out);
    }

    [Fact]
    public void A_wrong_call_says_how_it_is_called()
    {
        using var cli = new Cli();
        var result = cli.Run("backup", "--no-such-option").Expect(2);
        Assert.Contains("--help", result.Error, StringComparison.Ordinal);
        Assert.Equal("", result.Out);
        cli.Run("frobnicate").Expect(2);
    }

    [Fact]
    public void Every_reading_command_works_and_its_json_is_json()
    {
        using var cli = Sample();
        cli.Write("notes/new.txt", Encoding.UTF8.GetBytes("x"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        string[][] calls =
        [
            ["snapshots"], ["ls", "latest"], ["ls", "latest", "notes", "-l"], ["ls", "latest", "-r"], ["find", "*.txt"], ["find", "*.none"], ["verify"], ["verify", "--full"], ["verify", "--sample", "50"],
            ["attest"], ["status"], ["log", "checkpoint"], ["log", "prove", "latest"], ["log", "verify"], ["log", "entries"], ["store", "list"], ["expire", "--dry-run"], ["expire"],
        ];
        foreach (var call in calls)
        {
            Assert.NotEqual("", cli.Run(call).Expect(0) is var plain ? plain.Out + plain.Error : "");
            using var json = JsonDocument.Parse(cli.Run([.. call, "--json"]).Expect(0).Out);
            Assert.Equal(JsonValueKind.Object, json.RootElement.ValueKind);
        }
        Assert.Equal("bed 3: obs every hour\n", cli.Run("cat", "latest", "notes/ward.txt").Expect(0).Out);
        var ids = JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray().Select(s => s.GetProperty("id").GetString()!).ToList();
        Assert.Equal("+ notes/new.txt\n", cli.Run("diff", ids[0][..10], ids[1][..10]).Expect(0).Out);
    }

    [Fact]
    public void Data_that_moved_between_holes_and_a_device_of_another_number_are_other_content()
    {
        using var cli = Sample();
        cli.Shell("truncate -s 100M source/image; printf data | dd of=source/image bs=1 seek=10000000 conv=notrunc 2>/dev/null; touch -d 2001-02-03 source/image; test $(id -u) != 0 || mknod source/null c 1 3");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("rm source/image; truncate -s 100M source/image; printf data | dd of=source/image bs=1 seek=20000000 conv=notrunc 2>/dev/null; touch -d 2001-02-03 source/image; test $(id -u) != 0 || { rm source/null; mknod source/null c 1 5; }");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        if (Environment.UserName == "root")
        {
            Assert.Contains("           1, 5 ", cli.Run("ls", "latest", "null", "-l").Expect(0).Out, StringComparison.Ordinal);
            var device = JsonDocument.Parse(cli.Run("ls", "latest", "null", "--json").Expect(0).Out).RootElement.GetProperty("entries")[0];
            Assert.Equal((1, 5), (device.GetProperty("major").GetInt32(), device.GetProperty("minor").GetInt32()));
        }
        Assert.Equal(Environment.UserName == "root" ? "M image\nM null\n" : "M image\n", cli.Run("diff", "latest~1", "latest").Expect(0).Out);
    }

    [Fact]
    public void A_file_from_before_1970_has_its_own_date()
    {
        using var cli = Sample();
        cli.Shell("touch -d '1965-04-03 02:01:00 UTC' source/notes/ward.txt");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Contains("  1965-04-03 02:01 UTC  ", cli.Run("find", "ward.txt", "--snapshot", "latest").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Times_of_files_in_json_are_written_as_all_others_with_their_nanoseconds()
    {
        using var cli = new Cli().Init();
        cli.Shell("mkdir source; touch -d '2026-01-05 12:00:00.123456789 UTC' source/new; touch -d '1960-02-03 04:05:06.000000001 UTC' source/old");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        foreach (var (call, list) in new (string[], string)[] { (["ls", "latest"], "entries"), (["find", "*"], "found") })
        {
            var files = JsonDocument.Parse(cli.Run([.. call, "--json"]).Expect(0).Out).RootElement.GetProperty(list).EnumerateArray();
            Assert.Equal(["new 2026-01-05T12:00:00.123456789Z", "old 1960-02-03T04:05:06.000000001Z"], files.Select(f => $"{f.GetProperty("path")} {f.GetProperty("mtime")}"));
        }
    }

    [Fact]
    public void A_path_that_is_not_there_says_how_far_it_is_and_which_snapshots_have_it()
    {
        using var cli = Sample();
        cli.Write("odd\nname", "one"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        File.Delete(cli["source/odd\nname"]);
        Directory.Delete(cli["source/notes"], recursive: true);
        Directory.CreateDirectory(cli["source/notes"]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        foreach (var call in new string[][] { ["cat", "latest", "notes/ward.txt"], ["ls", "latest", "notes/ward.txt"] })
        {
            var error = cli.Run(call).Expect(27).Error;
            foreach (var words in new[] { "in 2 other snapshots, the newest ", "its first part is there, and no more", $"holdfast ls {cli.LatestId()[..8]}" })
                Assert.Contains(words, error, StringComparison.Ordinal);
        }
        foreach (var odd in new[] { "odd\nname", "odd\\x0aname" }) // as it is, and as ls prints it
            Assert.Contains("in 1 other snapshot", cli.Run("cat", "latest", odd).Expect(27).Error, StringComparison.Ordinal);
        var none = cli.Run("cat", "latest", "none").Expect(27).Error;
        Assert.Contains("No other snapshot has it", none, StringComparison.Ordinal);
        Assert.Contains("find NAME", none, StringComparison.Ordinal);
        var folder = cli.Run("cat", "latest", "notes").Expect(27).Error;
        Assert.Contains("is there, and is no file", folder, StringComparison.Ordinal);
        Assert.Contains("holdfast ls -l ", folder, StringComparison.Ordinal); // without -l it would not say what the path is
        Assert.Contains("without --snapshot", cli.Run("find", "ward.txt", "--snapshot", "latest").Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains("holdfast ls", cli.Run("find", "*.none").Expect(0).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("init V --lock soon", "--lock")]
    [InlineData("policy set --lock 5", "--lock")]
    [InlineData("attest --older-than 3x", "--older-than")]
    [InlineData("key scope --class tree --out F --replace-after never", "--replace-after")]
    public void What_is_no_length_of_time_is_told_with_its_option_and_the_forms_there_are(string call, string option)
    {
        using var cli = new Cli();
        var error = cli.Run(call.Split(' ')).Expect(2).Error;
        foreach (var words in new[] { $"{option} takes a length of time", "90s, 12h, 30d, 8w, 6m (of 31 days), 1y (of 366)" })
            Assert.Contains(words, error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_that_cannot_be_read_is_told_and_shortens_nothing()
    {
        using var cli = Sample();
        var before = Directory.EnumerateFiles(cli["vault/objects"], "*", SearchOption.AllDirectories).ToHashSet();
        cli.Run("policy", "set", "--lock", "20d").Expect(0);
        var copies = Directory.EnumerateFiles(cli["vault/objects"], "*", SearchOption.AllDirectories).Where(f => !before.Contains(f)).ToList();
        var name = Assert.Single(copies.Select(Path.GetFileNameWithoutExtension).Distinct())!;
        copies.ForEach(File.Delete);
        Assert.Contains($"A POLICY CANNOT BE READ (object {name})", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains($"A POLICY CANNOT BE READ (object {name})", cli.Run("status").Expect(22).Out, StringComparison.Ordinal);
        var shown = cli.Run("policy", "show").Expect(0).Out;
        Assert.Contains($"A POLICY CANNOT BE READ (object {name})", shown, StringComparison.Ordinal);
        Assert.Contains("All sources: every snapshot for 20 days", shown, StringComparison.Ordinal);
        var json = JsonDocument.Parse(cli.Run("policy", "show", "--json").Expect(0).Out).RootElement;
        Assert.Equal(name, json.GetProperty("unreadablePolicies")[0].GetString());
        cli.Run("policy", "set", "--lock", "10d").Expect(30);
    }

    [Fact]
    public void Failures_have_their_code_in_json_too()
    {
        using var cli = Sample();
        var result = cli.Run("ls", "latest", "no/such", "--json").Expect(27);
        Assert.Equal("SnapshotMissing", JsonDocument.Parse(result.Out).RootElement.GetProperty("error").GetProperty("code").GetString());
        Assert.Contains("what to do:", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_bad_input_has_its_own_code()
    {
        using var cli = Sample();
        cli.Run("status", "--vault", cli["nowhere"]).Expect(10);
        cli.Run("init", cli["vault"], "--keys", cli["other-keys"]).Expect(11);
        cli.Run("init", cli["v2"], "--keys", cli["keys"]).Expect(11);
        cli.Run("init", cli["v3"], "--keys", cli["v3/keys"]).Expect(2);
        cli.Run("init", cli["v2"], "--keys", cli["k2"], "--lock", "1d").Expect(0);
        cli.Run("snapshots", "--vault", cli["v2"]).Expect(13);
        cli.Run("backup", cli["source"], "--vault", cli["v2"]).Expect(13);
        cli.Run("backup", cli["no-such-source"]).Expect(50);
        cli.Run("restore", "latest", cli["source"]).Expect(53);
        cli.Run("ls", "ffffffff").Expect(27);
        File.WriteAllText(cli["keys/opening.secret"], Convert.ToBase64String(new byte[32]) + "\n");
        cli.Run("ls", "latest").Expect(12);
        File.WriteAllText(cli["keys/opening.key"], "nonsense");
        cli.Run("ls", "latest").Expect(17);
        var vault = File.ReadAllText(cli["vault/vault"]);
        File.WriteAllText(cli["vault/vault"], vault.Replace("vault v1", "vault v2", StringComparison.Ordinal));
        cli.Run("status").Expect(14);
        File.WriteAllText(cli["vault/vault"], vault);
        File.Delete(cli["vault/log/checkpoint"]);
        var damaged = cli.Run("status").Expect(41).Error;
        foreach (var word in new[] { "Next: ", "older log", "are not in it", "log accept" })
            Assert.Contains(word, damaged, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("id")]
    [InlineData("genesis")]
    public void A_damaged_line_of_the_file_vault_is_not_told_as_a_lost_object(string line)
    {
        using var cli = Sample();
        var whole = cli.Shell($"grep '^{line} ' vault/vault").Out.Trim();
        cli.Shell($"sed -i '/^{line} /y/0123456789/1234567890/' vault/vault");
        var status = cli.Run("status").Expect(41);
        Assert.DoesNotContain("MISSING", status.Out, StringComparison.Ordinal);
        foreach (var word in new[] { "file `vault` is damaged", $"line `{line}`", "Put the file back", $"`{whole}`" })
            Assert.Contains(word, status.Error, StringComparison.Ordinal);
        cli.Run("verify").Expect(41);
        Assert.Contains("The list is whole", cli.Run("snapshots").Expect(41).Error, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell($"sed -i 's/^{line} .*/{whole}/' vault/vault");
        cli.Run("status").Expect(0);
    }

    [Fact]
    public void A_lock_over_thirty_days_wants_its_date_typed()
    {
        using var cli = new Cli();
        cli.Run("init", cli["vault"], "--lock", "40d").Expect(36);
        Assert.False(Directory.Exists(cli["vault"]));
        var date = DateTimeOffset.UtcNow.AddDays(40).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.Run("init", cli["vault"], "--lock", "40d", "--confirm-locked-until", date).Expect(0);
    }

    [Fact]
    public void A_lock_is_lengthened_and_a_request_to_shorten_is_refused()
    {
        using var cli = Sample();
        var later = DateTimeOffset.UtcNow.AddDays(60).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.Run("lock", "latest", "--until", later).Expect(36); // nobody is there to type the date
        cli.Run("lock", "latest", "--until", later, "--confirm-locked-until", later).Expect(0);
        cli.Run("lock", "latest", "--until", DateTimeOffset.UtcNow.AddDays(10).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)).Expect(30);
        Assert.Contains("REFUSED", cli.Run("status").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_is_raised_for_all_or_for_one_source_and_never_weakened()
    {
        using var cli = Sample();
        cli.Run("policy", "set", "--lock", "9d", "--daily-quota", "50GiB").Expect(30); // there was no quota
        cli.Run("policy", "set", "--lock", "9d", "--weeks", "3").Expect(0);
        Assert.Contains("nothing was changed", cli.Run("policy", "set", "--lock", "9d").Expect(0).Out, StringComparison.Ordinal);
        var weaker = cli.Run("policy", "set", "--lock", "8d").Expect(30);
        Assert.Contains("approvers", weaker.Error, StringComparison.Ordinal);
        cli.Run("policy", "set", "--lock", "soon").Expect(2);
        cli.Run("policy", "set", "--weeks", "9999").Expect(2);
        cli.Run("policy", "set", "--lock", "99y").Expect(35);
        cli.Run("policy", "set", "--name", "ward", "--lock", "50d", "--new-source").Expect(36);
        var date = DateTimeOffset.UtcNow.AddDays(50).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.Run("policy", "set", "--name", "ward", "--new-source", "--lock", "50d", "--confirm-locked-until", date).Expect(0);

        var all = JsonDocument.Parse(cli.Run("policy", "show", "--json").Expect(0).Out).RootElement;
        Assert.Equal((9 * 86_400, 3), (all.GetProperty("policy").GetProperty("lockSeconds").GetInt32(), all.GetProperty("policy").GetProperty("weeks").GetInt32()));
        Assert.Equal(50 * 86_400, Assert.Single(all.GetProperty("sources").EnumerateArray()).GetProperty("lockSeconds").GetInt32());
        var ward = cli.Run("policy", "show", "--name", "ward").Expect(0).Out;
        Assert.Contains("a policy of its own", ward, StringComparison.Ordinal);
        Assert.DoesNotContain("ward", cli.Run("log", "entries").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var locked = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().Last().GetProperty("lockedUntil").GetString()!;
        Assert.StartsWith(date, locked, StringComparison.Ordinal);
    }

    [Fact]
    public void A_passphrase_opens_and_a_wrong_one_does_not()
    {
        using var cli = new Cli();
        File.WriteAllText(cli["pass"], "correct horse battery\n");
        File.WriteAllText(cli["wrong"], "incorrect horse battery\n");
        cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(0);
        cli.Write("a", [1]);
        cli.Run("backup", cli["source"]).Expect(0); // no passphrase on the way in
        cli.Run("snapshots", "--passphrase-file", cli["pass"]).Expect(0);
        cli.Run("snapshots", "--passphrase-file", cli["wrong"]).Expect(12);
        Assert.False(File.Exists(cli["keys/opening.secret"]));
    }

    [Fact]
    public void Who_holds_the_put_key_alone_backs_up_and_reads_nothing()
    {
        using var cli = Sample();
        Directory.CreateDirectory(cli["agent-keys"]);
        foreach (var file in new[] { "put.key", "agent.key" })
            File.Copy(cli[$"keys/{file}"], cli[$"agent-keys/{file}"]);
        cli.Run("backup", cli["source"], "--name", "ward", "--keys", cli["agent-keys"]).Expect(0);
        foreach (var call in new string[][] { ["ls", "latest"], ["cat", "latest", "scan.dcm"], ["restore", "latest", cli["r"]], ["verify", "--full"] })
            Assert.Equal(17, cli.Run([.. call, "--keys", cli["agent-keys"]]).Status);
        // What anyone sees who has the vault's folder, it sees too: ids, times and sizes; no name.
        Assert.DoesNotContain("ward", cli.Run("snapshots", "--keys", "").Expect(0).Out, StringComparison.Ordinal);
        Assert.DoesNotContain("ward", cli.Run("snapshots", "--keys", cli["agent-keys"]).Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Printed_shares_rebuild_the_key_and_the_rebuilt_key_restores()
    {
        Assert.SkipUnless(Cli.Has("pdftotext"), "needs pdftotext (poppler-utils) to read the printed pages");
        using var cli = Sample();
        cli.Run("recovery-kit", "--threshold", "2", "--shares", "3", "--out", cli["kit.pdf"], "--organisation", "Test Trust").Expect(0);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, OperatingSystem.IsWindows() ? default : File.GetUnixFileMode(cli["kit.pdf"]));
        var shares = new List<string>();
        for (var page = 2; page <= 4; page++)
        {
            var text = cli.Shell($"pdftotext -layout -f {page} -l {page} kit.pdf -").Out;
            shares.Add(string.Join('\n', text.Split('\n').Select(l => l.Trim()).Where(l => System.Text.RegularExpressions.Regex.IsMatch(l, "^[1-7]: "))));
        }
        File.WriteAllText(cli["s1"], shares[0]);
        File.WriteAllText(cli["s3"], shares[2]);
        cli.Run("recover-key", cli["s1"], "--out", cli["k1"]).Expect(70);
        var next = cli.Run("recover-key", cli["s1"], cli["s3"], "--out", cli["k2"]).Expect(0).Out;
        Assert.Contains("restore SNAPSHOT TARGET --vault VAULT", next, StringComparison.Ordinal); // `latest` is refused where there are several sources
        Assert.Contains("(SNAPSHOT: an id that `snapshots` shows)", next, StringComparison.Ordinal);
        cli.Shell("mkdir k3; cp k2/opening.secret k3"); // as a run leaves it that was cut short
        Assert.Contains("was cut short, it opens nothing: move it away", cli.Run("recover-key", cli["s1"], cli["s3"], "--out", cli["k3"]).Expect(11).Error, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["r"], "--keys", cli["k2"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    [Fact]
    public void A_proof_is_checked_on_a_machine_without_vault_and_keys()
    {
        using var cli = Sample();
        cli.Run("log", "prove", "latest", "--out", cli["proof"]).Expect(0);
        var key = File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..];
        Directory.Move(cli["vault"], cli["elsewhere"]);
        Directory.Move(cli["keys"], cli["gone"]);
        Assert.Contains("The proof holds", cli.Run("log", "verify", "--proof", cli["proof"], "--log-key", key).Expect(0).Out, StringComparison.Ordinal);
        var proven = JsonDocument.Parse(cli.Run("log", "verify", "--proof", cli["proof"], "--log-key", key, "--json").Expect(0).Out).RootElement;
        Assert.Equal((true, "Commit"), (proven.GetProperty("valid").GetBoolean(), proven.GetProperty("type").GetString()));
        Assert.True(proven.GetProperty("lockedUntil").GetDateTimeOffset() > DateTimeOffset.UtcNow);
        cli.Shell("sed 's/$/\\r/' proof > mailed; echo >> mailed"); // as mail and editors leave it
        cli.Run("log", "verify", "--proof", cli["mailed"], "--log-key", key).Expect(0);
        Assert.Contains("That file is no proof", cli.Run("log", "verify", "--proof", "/etc/passwd", "--log-key", key).Expect(42).Error, StringComparison.Ordinal);
        File.WriteAllText(cli["proof"], File.ReadAllText(cli["proof"]).Replace("index 4", "index 5", StringComparison.Ordinal));
        cli.Run("log", "verify", "--proof", cli["proof"], "--log-key", key).Expect(42);
    }

    [Fact]
    public void A_log_put_back_shows_at_the_next_command()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault/log old-log");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("rm -r vault/log; cp -a old-log vault/log");
        cli.Run("status").Expect(40);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(40);
    }

    [Theory]
    [InlineData("holdfast", 2)]
    [InlineData("test", 1)]
    [InlineData("publish", 2)]
    public void What_the_sdk_says_when_it_does_not_run_is_told_and_it_is_given_a_home(string script, int status)
    {
        using var cli = new Cli();
        cli.Shell($"cp '{Path.Combine(Cli.Root, script)}' {script}; mkdir bin; printf '#!/bin/sh\\necho \"no room in $DOTNET_CLI_HOME\" >&2; exit 1\\n' > bin/dotnet; chmod +x bin/dotnet");
        cli.Environment["PATH"] = $"{cli["bin"]}:{Environment.GetEnvironmentVariable("PATH")}";
        cli.Environment["HOME"] = "/nonexistent";
        cli.Environment["DOTNET_CLI_HOME"] = "";
        var result = Cli.Finish(cli.StartProgram(cli[script], cli.Folder)).Expect(status);
        Assert.Contains($"no room in {cli["artifacts/dotnet-home"]}", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("no usable version", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_is_backed_up_and_a_failed_one_is_not()
    {
        using var cli = new Cli().Init();
        cli.Run("backup", "--stdin", "--name", "dump.sql", "--", "printf", "%s", "select 1;").Expect(0);
        Assert.Equal("select 1;", cli.Run("cat", "latest", "dump.sql").Expect(0).Out);
        cli.Run("backup", "--stdin", "--name", "dump.sql", "--", "sh", "-c", "echo half; exit 3").Expect(52);
        Cli.Finish(cli.Start("backup", "--stdin", "--name", "typed"), "by hand").Expect(0);
        Assert.Equal("by hand", cli.Run("cat", "latest", "typed", "--name", "typed").Out);
        Assert.Equal(2, JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").GetArrayLength());
    }

    /// <summary>Nobody but root may give a file to root: a stream that was root's would come back with a refusal, and so never count as restored.</summary>
    [Fact]
    public void A_stream_is_of_whoever_backed_it_up_who_restores_it_whole()
    {
        using var cli = new Cli().Init();
        cli.Shell("chmod 755 . && mkdir home && chown -R 65534:65534 home vault keys");
        cli.Environment["HOME"] = cli["home"];
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["home/state"];
        cli.RunAsNobody("backup", "--stdin", "--name", "dump", "--", "echo", "theirs").Expect(0);
        cli.RunAsNobody("restore", "latest", cli["home/out"], "--name", "dump").Expect(0);
        Assert.Equal("65534:65534 600\n", cli.Shell("stat -c '%u:%g %a' home/out/dump").Out);
        Assert.Contains("restore", cli.RunAsNobody("log", "entries").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("backup", "--stdin", "--name", "roots", "--", "echo", "ours").Expect(0);
        cli.Run("restore", "latest", cli["out"], "--name", "roots").Expect(0);
        Assert.Equal("0:0 600\n", cli.Shell("stat -c '%u:%g %a' out/roots").Out);
    }

    [Fact]
    public void Up_proves_a_trial_and_down_says_how_it_ends()
    {
        using var cli = new Cli();
        cli.Write("a/b.txt", Encoding.UTF8.GetBytes("hello"));
        cli.Write("c.bin", Cli.Noise(2, 3_000_000));
        var first = cli.Run("up", cli["source"], "--base", cli["base"]).Expect(0).Out;
        foreach (var word in new[] { "TRIAL - NOT PROTECTION", "same disk", "backed up", "verified", "compared byte for byte", "checkpoint", "recovery-kit", "holdfast init", "holdfast down" })
            Assert.Contains(word, first, StringComparison.Ordinal);
        Assert.Contains("Going on with the trial", cli.Run("up", cli["source"], "--base", cli["base"]).Expect(0).Out, StringComparison.Ordinal);
        var vault = Directory.GetDirectories(cli["base/trial-vaults"]).Single();
        Assert.Contains("TRIAL - NOT PROTECTION", cli.Run("status", "--vault", vault).Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("rm -r", cli.Run("down", cli["source"], "--base", cli["base"]).Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_only_media_can_be_read()
    {
        Assert.SkipUnless(Environment.UserName == "root" && OperatingSystem.IsLinux(), "needs root to mount read-only");
        using var cli = Sample();
        Directory.CreateDirectory(cli["ro"]);
        var mounted = Cli.Finish(cli.StartProgram("bash", null, "-c", $"mount --bind '{cli["vault"]}' '{cli["ro"]}' && mount -o remount,ro,bind '{cli["ro"]}'"));
        Assert.SkipUnless(mounted.Status == 0, "mounting is not allowed here");
        try
        {
            cli.Run("restore", "latest", cli["r"], "--vault", cli["ro"]).Expect(0);
            cli.Run("verify", "--full", "--vault", cli["ro"]).Expect(0);
            cli.Run("backup", cli["source"], "--vault", cli["ro"]).Expect(16);
            Assert.Contains("mounted read-only", cli.Run("status", "--vault", cli["ro"], "--keys", "").Expect(16).Out, StringComparison.Ordinal);
        }
        finally
        {
            cli.Shell("umount ro");
        }
    }

    [Fact]
    public void A_vault_of_another_user_is_refused_with_a_word_on_access()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Sample();
        cli.Shell("chmod 755 .");
        var result = Cli.Finish(cli.StartProgram("setpriv", "/", "--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), "status", "--keys", ""));
        Assert.SkipWhen(result.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        Assert.True(result.Status is 15, result.Error);
    }

    [Fact]
    public void What_is_asked_of_several_sources_says_which()
    {
        using var cli = new Cli().Init();
        cli.Write("a/1.txt", "one"u8.ToArray());
        cli.Write("b/2.txt", "two"u8.ToArray());
        foreach (var name in new[] { "a", "b" })
            cli.Run("backup", cli[$"source/{name}"], "--name", name).Expect(0);
        cli.Run("diff", "latest~1", "latest").Expect(2);
        var ids = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().Select(s => s.GetProperty("id").GetString()!).ToList();
        Assert.Contains("these are two sources", cli.Run("diff", ids[0], ids[1]).Expect(0).Error, StringComparison.Ordinal);
        cli.Run("backup", cli["source/a"], "--name", "a").Expect(0);
        Assert.Equal("", cli.Run("diff", "latest~1", "latest", "--name", "a").Expect(0).Error);
        Assert.Contains("no snapshot of a source of this name", cli.Run("policy", "set", "--name", "A", "--lock", "9d").Expect(27).Error, StringComparison.Ordinal);
        Assert.Equal("", cli.Run("policy", "set", "--name", "A", "--lock", "9d", "--new-source").Expect(0).Error);
        Assert.Equal("", cli.Run("policy", "set", "--name", "a", "--lock", "9d").Expect(0).Error);
        Assert.Contains("2 sources have one of their own", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("find", new string('x', 4_096)).Expect(2);
    }

    [Fact]
    public void Status_has_the_latest_of_each_source()
    {
        using var cli = new Cli().Init();
        cli.Write("1.txt", "one"u8.ToArray());
        Assert.Equal(0, Sources().GetArrayLength());
        cli.Run("backup", cli["source"], "--name", "stopped").Expect(0);
        Assert.DoesNotContain("Sources ", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        Thread.Sleep(1_100); // times are in seconds
        for (var run = 0; run < 2; run++)
            cli.Run("backup", cli["source"], "--name", "runs").Expect(0);
        var snapshots = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().ToList();
        Assert.Equal([Told(snapshots[0], 1), Told(snapshots[2], 2)], Sources().EnumerateArray().Select(s => (s.GetProperty("source").GetString(), s.GetProperty("latest").GetString(), s.GetProperty("snapshots").GetInt32())));
        Assert.Matches($@"(?m)^Sources      2; the one backed up longest ago on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC \(id {snapshots[0].GetProperty("source").GetString()![..8]}\)$", cli.Run("status", "--keys", "").Expect(0).Out);

        JsonElement Sources() => JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("sources");
        static (string?, string?, int) Told(JsonElement snapshot, int count) => (snapshot.GetProperty("source").GetString(), snapshot.GetProperty("committed").GetString(), count);
    }

    [Fact]
    public void Keys_and_the_vault_never_lie_in_one_place()
    {
        using var cli = new Cli().Init();
        foreach (var call in new string[][] { ["recovery-kit", "--out", cli["vault/kit.pdf"]], ["key", "scope", "--class", "tree", "--out", cli["vault/scoped"]], ["store", "add", cli["keys/more"]] })
            cli.Run(call).Expect(2);
        Assert.False(File.Exists(cli["vault/kit.pdf"]));
    }

    [Fact]
    public void A_vault_with_long_places_says_how_long_the_longest_is()
    {
        using var cli = new Cli();
        var until = DateTime.UtcNow.AddDays(28).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        var made = cli.Run("init", cli["vault"], "--lock", "1d", "--weeks", "4").Expect(0).Out;
        Assert.Contains("a week's for 4 weeks", made, StringComparison.Ordinal);
        Assert.Contains($"today stays until {until}", made, StringComparison.Ordinal);
    }
}
