using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

/// <summary>What `backup` refuses, warns of and counts.</summary>
public sealed class BackupTests
{
    static Cli Data()
    {
        var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        return cli;
    }

    static int Snapshots(Cli cli) => JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength();

    /// <summary>A dump that hangs, and what it has started, do not hold a backup that is told to stop.</summary>
    [Theory]
    [InlineData("exec sleep 100")]
    [InlineData("sleep 100; true")]
    public void A_stop_ends_the_command_whose_output_is_backed_up(string command)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals of Linux");
        using var cli = new Cli().Init();
        using var backup = cli.Start("backup", "--stdin", "--name", "dump", "--", "sh", "-c", $"head -c 5000000 /dev/urandom; touch '{cli["begun"]}'; {command}");
        // More than a pipe holds was read by then: what comes next is waited for.
        Assert.True(SpinWait.SpinUntil(() => File.Exists(cli["begun"]), TimeSpan.FromSeconds(60)));
        cli.Shell($"kill -TERM {backup.Id}");
        Assert.True(backup.WaitForExit(30_000));
        Assert.Equal(130, backup.ExitCode);
        Assert.DoesNotContain("dump", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
    }

    /// <summary>Runs it as a launcher does that has left signals ignored or blocked, and ends it after a while, which is a fault.</summary>
    static Result RunWithSignals(Cli cli, string signals, params string[] command)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals of Linux");
        Assert.SkipUnless(Cli.Finish(cli.StartProgram("env", null, "--ignore-signal=CHLD", "--block-signal=CHLD", "true")).Status == 0, "needs an env that ignores and blocks signals");
        return Cli.Finish(cli.StartProgram("timeout", null, ["-s", "KILL", "60", "env", .. signals.Split(' '), Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), "backup", "--stdin", "--name", "dump", "--", .. command]));
    }

    [Theory]
    [InlineData("--ignore-signal=CHLD")]
    [InlineData("--block-signal=CHLD")]
    [InlineData("--ignore-signal=CHLD --block-signal=CHLD,TERM,INT")]
    public void A_launcher_that_wants_to_hear_of_no_child_keeps_no_backup_from_its_end(string signals)
    {
        using var cli = new Cli().Init();
        RunWithSignals(cli, signals, "sh", "-c", "echo half; exit 3").Expect(52);
        Assert.Equal(0, Snapshots(cli));
        RunWithSignals(cli, signals, "sh", "-c", $"grep -E '^Sig(Blk|Ign)' /proc/self/status >'{cli["inherited"]}'; echo whole").Expect(0);
        Assert.Equal(1, Snapshots(cli));
        const ulong told = 1 << 16 | 1 << 14 | 1 << 1; // SIGCHLD, SIGTERM, SIGINT
        Assert.All(File.ReadAllLines(cli["inherited"]), l => Assert.Equal(0UL, Convert.ToUInt64(l.Split('\t')[1], 16) & told));
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public void A_stop_is_heard_where_the_launcher_blocked_it(string signal)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "signals of Linux");
        using var cli = new Cli().Init();
        using var backup = cli.StartProgram("env", null, "--block-signal", "--default-signal", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), "backup", "--stdin", "--name", "dump", "--",
            "sh", "-c", $"touch '{cli["begun"]}'; exec >&-; exec sleep 100"); // it is waited for, and no more is read of it
        Assert.True(SpinWait.SpinUntil(() => File.Exists(cli["begun"]) || backup.HasExited, TimeSpan.FromSeconds(60)));
        Assert.SkipWhen(backup.HasExited, "needs an env that blocks signals");
        cli.Shell($"kill -{signal} {backup.Id}");
        var hasEnded = backup.WaitForExit(30_000);
        if (!hasEnded)
            backup.Kill(entireProcessTree: true);
        Assert.True(hasEnded);
        Assert.Equal(130, backup.ExitCode);
    }

    [Fact]
    public void Excludes_that_leave_nothing_commit_nothing()
    {
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        Assert.Contains("leave nothing", cli.Run("backup", cli["source"], "--name", "ward", "--exclude", "*").Expect(50).Error, StringComparison.Ordinal);
        cli.Run("backup", cli["source"], "--name", "ward", "--exclude", "*", "--allow-empty").Expect(0);
        Assert.Contains("matches nothing", cli.Run("backup", cli["source"], "--name", "ward", "--exclude", cli["source/notes"]).Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_excludes_leave_out_is_told_and_so_is_a_pattern_that_matches_nothing()
    {
        using var cli = Data();
        foreach (var name in new[] { "a.tmp", "notes/b.tmp", "cache/1", "cache/2" })
            cli.Write(name, "x"u8.ToArray());
        Assert.DoesNotContain("left out", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Out, StringComparison.Ordinal);
        string[] call = ["backup", cli["source"], "--name", "ward", "--exclude", "*.tmp", "--exclude", "/cache/", "--exclude", "Algorthm", "--exclude", "# ours"];
        for (var run = 0; run < 2; run++) // the second finds all that is left unchanged
        {
            var told = cli.Run(call).Expect(0);
            Assert.Contains("  3 entries left out by excludes (with all that is below folders among them)\n", told.Out, StringComparison.Ordinal);
            Assert.Contains("the exclude `Algorthm` matched nothing", told.Error, StringComparison.Ordinal);
            Assert.Single(told.Error.Split('\n'), l => l.Contains("matched nothing", StringComparison.Ordinal));
        }
        var json = cli.Run([.. call, "--json"]).Expect(0);
        Assert.Equal(3, JsonDocument.Parse(json.Out).RootElement.GetProperty("excluded").GetInt32());
        Assert.Equal(0, JsonDocument.Parse(cli.Run("backup", "--stdin", "--name", "dump", "--json", "--", "echo", "x").Expect(0).Out).RootElement.GetProperty("excluded").GetInt32());
        Assert.Contains("  1 entry left out by excludes (with all that is below it, if it is a folder)\n", cli.Run("backup", cli["source"], "--name", "ward", "--exclude", "a.tmp").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_patterns_that_match_nothing_the_first_ten_are_named_and_none_of_a_file()
    {
        using var cli = Data();
        File.WriteAllText(cli["patterns"], "in-the-file\n");
        var typed = Enumerable.Range(10, 12).SelectMany(n => new[] { "--exclude", $"no{n}\u001b" }).ToArray();
        var error = cli.Run(["backup", cli["source"], "--name", "ward", "--exclude-from", cli["patterns"], .. typed]).Expect(0).Error;
        Assert.Equal(10, error.Split('\n').Count(l => l.Contains("the exclude `", StringComparison.Ordinal)));
        Assert.Contains("`no19\\u001b` matched nothing", error, StringComparison.Ordinal);
        Assert.Contains("2 more excludes matched nothing", error, StringComparison.Ordinal);
        Assert.DoesNotContain("in-the-file", error, StringComparison.Ordinal);
    }

    /// <summary>What cannot be taken back is not done to whichever source was last.</summary>
    [Fact]
    public void The_latest_of_several_sources_is_locked_by_name()
    {
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        var until = $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}";
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("lock", "latest", "--until", until).Expect(0);
        cli.Run("backup", cli["source"], "--name", "other").Expect(0);
        Assert.Contains("--name", cli.Run("lock", "latest", "--until", until).Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("of source ward", cli.Run("lock", "latest", "--name", "ward", "--until", $"{DateTime.UtcNow.AddDays(10):yyyy-MM-dd}").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("lock", "latest", "--name", "nobody", "--until", until).Expect(27);
        Assert.Contains("holds", cli.Run("log", "verify", "--log-key", cli.Shell("sed -n 's/^log //p' vault/vault").Out.Trim(), "--proof", Prove()).Expect(0).Out, StringComparison.Ordinal);

        string Prove()
        {
            cli.Run("log", "prove", "latest", "--name", "ward", "--out", cli["proof"]).Expect(0);
            return cli["proof"];
        }
    }

    [Fact]
    public void A_pattern_that_is_none_is_refused_with_its_line()
    {
        using var cli = Data();
        File.WriteAllText(cli["patterns"], "# ours\n*.tmp\n\nscan[0-9\n");
        Assert.Contains("Line 4 ", cli.Run("backup", cli["source"], "--exclude-from", cli["patterns"]).Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("--exclude number 2 ", cli.Run("backup", cli["source"], "--exclude", "*.tmp", "--exclude", "[bad").Expect(2).Error, StringComparison.Ordinal);
        cli.Run("backup", cli["source"], "--exclude-from", cli["no-such"]).Expect(2);
        cli.Run("backup", cli["source"], "--exclude-from", cli["source"]).Expect(2);
        Assert.Equal(0, Snapshots(cli));
        File.WriteAllText(cli["patterns"], "# [ours\nscan[0-9]\nnotes/[]x]\n\\[plain\n");
        cli.Run("backup", cli["source"], "--exclude-from", cli["patterns"]).Expect(0);
        File.WriteAllBytes(cli["latin"], "notes\nK\u00f6ln\n"u8.ToArray());
        Assert.DoesNotContain("UTF-8", cli.Run("backup", cli["source"], "--exclude-from", cli["latin"]).Error, StringComparison.Ordinal);
        File.WriteAllBytes(cli["latin"], System.Text.Encoding.Latin1.GetBytes("notes\nK\u00f6ln\n"));
        Assert.Contains("line 2 of --exclude-from is not text in UTF-8", cli.Run("backup", cli["source"], "--exclude-from", cli["latin"]).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_of_no_bytes_is_no_backup_unless_that_was_meant()
    {
        using var cli = Data();
        Assert.Contains("--allow-empty", Cli.Finish(cli.Start("backup", "--stdin", "--name", "dump"), "").Expect(52).Error, StringComparison.Ordinal);
        cli.Run("backup", "--stdin", "--name", "dump", "--", "true").Expect(52);
        Assert.Equal(0, Snapshots(cli));
        cli.Run("backup", "--stdin", "--name", "dump", "--allow-empty", "--", "true").Expect(0);
        Assert.Equal("", cli.Run("cat", "latest", "dump").Expect(0).Out);
    }

    /// <summary>A stream comes back as a file of its name.</summary>
    [Fact]
    public void A_stream_has_a_name_that_a_file_can_have()
    {
        using var cli = Data();
        cli.Run("backup", "--stdin", "--name", new string('d', 255), "--", "echo", "x").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        foreach (var name in new[] { new string('d', 256), string.Concat(Enumerable.Repeat("\u00e9", 128)) })
            Assert.Contains("255 bytes", cli.Run("backup", "--stdin", "--name", name, "--", "touch", cli["began"]).Expect(2).Error, StringComparison.Ordinal);
        Assert.False(File.Exists(cli["began"]));
        Assert.Equal(1, Snapshots(cli));

        // A source that an earlier version took goes on: here one that began as a folder.
        var earlier = new string('e', 300);
        cli.Run("backup", cli["source"], "--name", earlier).Expect(0);
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["elsewhere"];
        cli.Run("backup", "--stdin", "--name", earlier, "--", "echo", "x").Expect(0);
        var refused = cli.Run("restore", "latest", cli["r2"], "--name", earlier).Expect(3).Error;
        Assert.Contains("holdfast cat SNAPSHOT PATH > FILE", refused, StringComparison.Ordinal);
        Assert.Equal("x\n", cli.Run("cat", "latest", earlier, "--name", earlier).Expect(0).Out);
    }

    [Fact]
    public void A_name_or_a_path_that_is_too_long_is_refused_before_anything_is_stored()
    {
        using var cli = Data();
        cli.Run("backup", cli["source"], "--name", new string('n', 1_024)).Expect(0);
        foreach (var length in new[] { 1_025, 66_000 })
            Assert.Contains("1024 bytes", cli.Run("backup", cli["source"], "--name", new string('n', length)).Expect(2).Error, StringComparison.Ordinal);
        foreach (var times in new[] { 2_000, 30_000 })
            Assert.Contains("path", cli.Run("backup", cli.Folder + string.Concat(Enumerable.Repeat("/dd", times))).Expect(2).Error, StringComparison.Ordinal);
        Assert.Equal(1, Snapshots(cli));
        cli.Run("ls", "latest").Expect(0);
    }

    [Theory]
    [InlineData("--exclude", "x")]
    [InlineData("--exclude-from", "patterns")]
    [InlineData("--one-file-system", null)]
    [InlineData("--skip-caches", null)]
    [InlineData("--read-all", null)]
    public void What_is_said_of_a_folder_is_refused_for_a_stream(string option, string? value)
    {
        using var cli = Data();
        File.WriteAllText(cli["patterns"], "x\n");
        string[] call = ["backup", "--stdin", "--name", "dump", option, .. value is null ? Array.Empty<string>() : [value], "--", "touch", cli["began"]];
        Assert.Contains($"{option} says how a folder is backed up", cli.Run(call).Expect(2).Error, StringComparison.Ordinal);
        Assert.False(File.Exists(cli["began"]));
    }

    [Fact]
    public void What_was_taken_without_some_entries_says_so_for_as_long_as_it_is_kept()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Data();
        cli.Shell("echo x > source/closed && chmod 000 source/closed && chmod 755 . && mkdir nobody && chown -R 65534:65534 source/notes nobody vault keys");
        cli.Environment["HOME"] = cli["nobody"];
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["nobody/state"];
        var backup = Cli.Finish(cli.StartProgram("setpriv", "/", "--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), "backup", cli["source"], "--name", "ward"));
        Assert.SkipWhen(backup.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        Assert.Contains("INCOMPLETE: 1 entry", backup.Expect(3).Out, StringComparison.Ordinal);
        Assert.Contains("INCOMPLETE: 1 entry left out or in doubt", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        Assert.Equal(1, JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots")[0].GetProperty("problems").GetInt32());
        Assert.Contains("holdfast snapshots, with a key that opens names, shows it as INCOMPLETE", cli.Run("status").Expect(0).Out, StringComparison.Ordinal); // it has no key, and says where
        Assert.Contains("which of these are INCOMPLETE", cli.Run("snapshots", "--keys", "").Expect(0).Error, StringComparison.Ordinal);
        var restored = cli.Run("restore", "latest", cli["r"]).Expect(0).Out;
        Assert.Contains("1 entry of the source was left out when this was taken, or is here as read while changing", restored, StringComparison.Ordinal);
        Assert.Contains($"diff OTHER {cli.LatestId()[..8]}`", restored, StringComparison.Ordinal);
    }

    /// <summary>What a script sees of a backup is its exit status: one that no key opens is none.</summary>
    [Fact]
    public void A_backup_that_cannot_be_restored_does_not_end_well()
    {
        using var cli = Data();
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        string keyring;
        using (var vault = Holdfast.Core.Vault.Open(cli["vault"]))
            keyring = vault.State.Keyring.ToString();
        var files = Directory.GetFiles(cli["vault/objects"], $"{keyring}*", SearchOption.AllDirectories);
        Assert.NotEmpty(files);
        var kept = File.ReadAllBytes(files[0]);
        foreach (var file in files)
            File.Delete(file);
        var backup = cli.Run("backup", cli["source"], "--name", "ward").Expect(22);
        Assert.Contains("is stored and locked until", backup.Out, StringComparison.Ordinal);
        Assert.Contains("nothing of this vault can be restored", backup.Error, StringComparison.Ordinal);
        Assert.Contains(keyring, backup.Error, StringComparison.Ordinal);
        var json = JsonDocument.Parse(cli.Run("backup", cli["source"], "--name", "ward", "--json").Expect(22).Out).RootElement;
        Assert.Equal("ObjectMissing", json.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(32, json.GetProperty("snapshot").GetString()!.Length);
        var attested = cli.Run("backup", cli["source"], "--name", "ward", "--attest").Expect(22); // stored all the same: the nightly run goes on
        Assert.Contains("is stored and locked until", attested.Out, StringComparison.Ordinal);
        Assert.Contains("was not attested", attested.Error, StringComparison.Ordinal);
        File.WriteAllBytes(files[0], kept);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
    }

    [Fact]
    public void A_folder_named_with_a_slash_at_its_end_is_the_same_source()
    {
        using var cli = new Cli().Init();
        cli.Write("a/file", Cli.Noise(1, 1_000));
        cli.Run("backup", cli["source"]).Expect(0);
        cli.Run("backup", cli["source"] + "/").Expect(0);
        var told = cli.Run("backup", cli["source"] + "//", "--exclude", cli["source/a"]).Expect(0);
        var snapshots = System.Text.Json.JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().ToList();
        Assert.Equal(3, snapshots.Count);
        Assert.Single(snapshots.Select(s => s.GetProperty("source").GetString()).Distinct());
        Assert.Contains("by its whole path", told.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_source_or_a_store_in_a_folder_that_may_not_be_entered_is_not_taken_for_missing()
    {
        using var cli = new Cli().Init();
        cli.Write("file", Cli.Noise(1, 1_000));
        cli.Run("store", "add", cli["more"]).Expect(0);
        cli.Shell("mkdir -p state; mkdir -m 700 closed; mkdir closed/data; touch closed/data/x; chown -R 65534:65534 source state vault keys more; chmod 755 .");
        foreach (var call in new string[][] { ["backup", cli["closed/data"]], ["up", cli["closed/data"], "--base", cli["source/base"]] })
        {
            var error = cli.RunAsNobody(call).Expect(51).Error;
            Assert.Contains("setfacl", error, StringComparison.Ordinal);
            Assert.Contains($"may not enter {cli["closed"]}.", error, StringComparison.Ordinal);
        }
        cli.RunAsNobody("backup", cli["nosuch/data"]).Expect(50);
        cli.Shell("chmod 000 more");
        Assert.Contains($"may not enter {cli["more"]}", cli.RunAsNobody("snapshots").Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains("MAY NOT BE ENTERED", cli.RunAsNobody("store", "list").Expect(0).Out, StringComparison.Ordinal);
        cli.Shell("chmod 750 more");
        Assert.DoesNotContain("enter", cli.RunAsNobody("snapshots").Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_kernel_makes_up_is_no_source()
    {
        Assert.SkipUnless(Directory.Exists("/proc/self"), "needs /proc");
        using var cli = new Cli().Init();
        foreach (var call in new string[][] { ["backup", "/proc/self", "--name", "p"], ["up", "/proc", "--base", cli["base"]] })
            Assert.Contains("the kernel makes up", cli.Run(call).Expect(50).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(cli["base"]));
    }

    [Fact]
    public void A_stream_never_becomes_the_latest_of_a_folders_name_nor_the_other_way_about()
    {
        using var cli = Data();
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("backup", "--stdin", "--name", "dump", "--", "echo", "x").Expect(0);
        Assert.Contains("was of a folder, and this is a stream", cli.Run("backup", "--stdin", "--name", "ward", "--", "echo", "y").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("was of a stream, and this is a folder", cli.Run("backup", cli["source"], "--name", "dump").Expect(2).Error, StringComparison.Ordinal);
        Assert.Equal(2, JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength());
        cli.Run("backup", "--stdin", "--name", "dump", "--", "echo", "z").Expect(0);
    }

    /// <summary>As monitoring runs it: with the variable that the backup's unit has.</summary>
    [Fact]
    public void Status_ends_as_the_next_backup_would_where_the_variable_names_no_key_folder()
    {
        using var cli = Data();
        cli.Environment["HOLDFAST_KEYS"] = cli["nowhere"];
        cli.Run("backup", cli["source"], "--name", "ward").Expect(17);
        Assert.Contains("THE NEXT BACKUP WOULD FAIL", cli.Run("status").Expect(17).Out, StringComparison.Ordinal);
        Assert.NotEqual(0, JsonDocument.Parse(cli.Run("status", "--json").Expect(17).Out).RootElement.GetProperty("problems").GetArrayLength());
    }

    [Fact]
    public void One_name_for_two_folders_is_told()
    {
        using var cli = Data();
        Assert.Equal("", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error);
        Assert.Equal("", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error);
        Assert.Contains("was of another folder", cli.Run("backup", cli["source/notes"], "--name", "ward").Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains("was of another folder", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void One_name_for_two_machines_is_told()
    {
        const string told = "was made with other keys";
        using var cli = Data();
        cli.Run("key", "issue", "--out", cli["srv2"]).Expect(0);
        cli.Run("backup", cli["source"]).Expect(0);
        var second = cli.Run("backup", cli["source"], "--keys", cli["srv2"]).Expect(0).Error;
        foreach (var word in new[] { told, "--name", "HOST-data", "places, policy and quota", "issued anew" })
            Assert.Contains(word, second, StringComparison.Ordinal);
        Assert.Equal("", cli.Run("backup", cli["source"], "--keys", cli["srv2"]).Expect(0).Error);
        Assert.Contains(told, cli.Run("backup", cli["source"]).Expect(0).Error, StringComparison.Ordinal);
        Assert.Equal("", cli.Run("backup", cli["source"], "--keys", cli["srv2"], "--name", "srv2-data").Expect(0).Error);
    }

    [Fact]
    public void Snapshots_show_the_host_where_there_are_several()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("unshare"), "needs root and unshare to be another host");
        using var cli = Data();
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.DoesNotContain("host", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        var other = Cli.Finish(cli.StartProgram("unshare", null, "-u", "bash", "-c", $"hostname a-second-machine && exec '{Path.Combine(Cli.Root, "holdfast")}' backup '{cli["source"]}' --name ward"));
        Assert.SkipWhen(other.Status != 0, "this machine has no other host name: " + other.Error);
        var lines = cli.Run("snapshots").Expect(0).Out.TrimEnd().Split('\n');
        Assert.Equal(lines[0].IndexOf(" host", StringComparison.Ordinal) + 1, lines[2].IndexOf("a-second-machine", StringComparison.Ordinal));
        Assert.Equal(lines[0].IndexOf(" host", StringComparison.Ordinal) + 1, lines[1].IndexOf(" " + Environment.MachineName + " ", StringComparison.Ordinal) + 1);
        foreach (var line in lines[1..])
            Assert.Equal(lines[0].IndexOf("source", StringComparison.Ordinal), line.IndexOf("ward", StringComparison.Ordinal));
        Assert.DoesNotContain("host", cli.Run("snapshots", "--keys", "").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_and_vaults_in_the_wrong_place_are_told_or_refused()
    {
        using var cli = Data();
        Assert.Contains("keys lie inside", cli.Run("backup", cli.Folder, "--name", "all").Expect(0).Error, StringComparison.Ordinal);
        cli.Run("backup", cli["vault/packs"]).Expect(2);
        cli.Run("backup", "").Expect(2);
        Directory.CreateSymbolicLink(cli["link"], cli["vault"]);
        cli.Run("backup", cli["link"]).Expect(2);
    }

    /// <summary>The keeper cannot tell that it is not whole, so it may be what the week is remembered by.</summary>
    [Fact]
    public void An_incomplete_snapshot_that_took_a_long_place_says_so_and_how_the_next_is_locked_as_long()
    {
        const string told = "took the place of its week";
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = new Cli();
        cli.Run("init", cli["vault"], "--lock", "1d", "--weeks", "2").Expect(0);
        cli.Write("ward.txt", "bed 3"u8.ToArray());
        cli.Shell("echo x > source/closed && chmod 000 source/closed && chmod 755 . && mkdir nobody && chown -R 65534:65534 source/ward.txt nobody vault keys");
        cli.Environment["HOME"] = cli["nobody"];
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["nobody/state"];
        var error = cli.RunAsNobody("backup", cli["source"], "--name", "ward").Expect(3).Error;
        Assert.Contains(told, error, StringComparison.Ordinal);
        Assert.DoesNotContain(told, cli.RunAsNobody("backup", cli["source"], "--name", "ward").Expect(3).Error, StringComparison.Ordinal); // the day has one
        File.Delete(cli["source/closed"]);
        cli.RunAsNobody("backup", cli["source"], "--name", "ward").Expect(0);
        cli.RunAsNobody(Regex.Match(error, "`holdfast (lock latest --name ward --until [0-9-]{10})`").Groups[1].Value.Split(' ')).Expect(0);
        var locks = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().Select(s => s.GetProperty("lockedUntil").GetDateTimeOffset()).ToList();
        Assert.InRange(locks[^1] - locks[0], TimeSpan.Zero, TimeSpan.FromDays(1));
        Assert.DoesNotContain(told, cli.RunAsNobody("backup", cli["source"], "--name", "another").Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Sockets_are_left_out_and_counted()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "sockets in folders are of Unix");
        using var cli = Data();
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(cli["source/s"]));
        Assert.Contains("1 socket left out", cli.Run("backup", cli["source"]).Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_with_nothing_in_it_is_no_backup_unless_that_was_meant()
    {
        using var cli = Data();
        cli.Shell("mkdir mount");
        Assert.Contains("mounted", cli.Run("backup", cli["mount"], "--name", "share").Expect(50).Error, StringComparison.Ordinal);
        Assert.Equal(0, Snapshots(cli));
        cli.Run("backup", cli["mount"], "--name", "share", "--allow-empty").Expect(0);
    }

    [Fact]
    public void A_run_with_nothing_to_compare_with_does_not_say_that_all_is_new()
    {
        using var cli = Data();
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["another"];
        Assert.Contains("NOT COMPARED", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Out, StringComparison.Ordinal);
        var next = cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("", next.Error); // what was seen is remembered, in folders made for it
        Assert.DoesNotContain("NOT COMPARED", next.Out, StringComparison.Ordinal);
        Assert.True(JsonDocument.Parse(cli.Run("backup", cli["source"], "--name", "ward", "--json").Expect(0).Out).RootElement.GetProperty("compared").GetBoolean());
    }

    [Fact]
    public void Who_has_no_home_backs_up_all_the_same_and_is_told_where_to_try()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Data();
        cli.Shell("chmod 755 . && mkdir here && chown -R 65534:65534 source vault keys here");
        foreach (var name in new[] { "HOLDFAST_STATE_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME" })
            cli.Environment[name] = "";
        cli.Environment["HOME"] = "/nonexistent";
        Result As(params string[] call) => Cli.Finish(cli.StartProgram("setpriv", cli["here"], ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), .. call]));
        var backup = As("backup", cli["source"], "--name", "ward");
        Assert.SkipWhen(backup.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        Assert.Contains("no home folder", backup.Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains("--base", As("up", cli["source"]).Expect(2).Error, StringComparison.Ordinal);
        As("up", cli["source"], "--base", cli["here/trial"]).Expect(0);
        Assert.Equal([cli["here/trial"]], Directory.GetFileSystemEntries(cli["here"]));
    }

    [Fact]
    public void Keys_of_an_earlier_epoch_say_so_at_each_backup()
    {
        using var cli = Data();
        cli.Run("key", "issue", "--out", cli["issued"]).Expect(0);
        cli.Run("key", "rotate").Expect(0);
        Assert.Equal("", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error);
        Assert.Contains("key epoch 1, and the vault is in epoch 2", cli.Run("backup", cli["source"], "--name", "ward", "--keys", cli["issued"]).Expect(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Ctrl_c_ends_a_backup_of_a_stream_that_says_nothing()
    {
        using var cli = Data();
        using var backup = cli.Start("backup", "--stdin", "--name", "dump");
        backup.StandardInput.Write("begun");
        backup.StandardInput.Flush();
        Thread.Sleep(TimeSpan.FromSeconds(2));
        cli.Shell($"kill -INT {backup.Id}");
        Assert.True(backup.WaitForExit(20_000), "it waits for whoever writes");
        Assert.Equal(0, Snapshots(cli));
    }
}
