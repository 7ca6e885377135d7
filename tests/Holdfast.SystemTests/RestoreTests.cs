using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.SystemTests;

/// <summary>A restore as its user meets it: what it says came back is what stands there, and what cannot be is said once, with what to do.</summary>
public sealed class RestoreTests
{
    static bool IsRoot => Environment.UserName == "root" && OperatingSystem.IsLinux();

    static Cli Sample()
    {
        var cli = new Cli().Init();
        for (var i = 0; i < 300; i++)
            cli.Write($"d{i % 7}/f{i}", Cli.Noise(i, 20_000));
        cli.Write("big", Cli.Noise(1_000, 40_000_000));
        cli.Shell("ln -s big source/link; ln source/big source/d1/hard; truncate -s 5M source/sparse; printf x >> source/sparse");
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        return cli;
    }

    /// <summary>A folder that was shut since stays shut: who asks for one file asks for nothing else.</summary>
    [Theory]
    [InlineData("--overwrite")]
    [InlineData("--resume")]
    public void Folders_on_the_way_to_a_part_stay_as_they_are(string how)
    {
        using var cli = new Cli().Init();
        cli.Write("priv/deep/f", "one"u8.ToArray());
        cli.Write("priv/new/g", "two"u8.ToArray());
        cli.Shell("chmod 755 source source/priv source/priv/deep; chmod 750 source/priv/new");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("rm -r source/priv/new; chmod 700 source source/priv source/priv/deep; echo changed > source/priv/deep/f");
        var part = cli.Run("restore", cli.LatestId(), cli["source"], "--include", "priv/deep/f", "--include", "priv/new/g", how).Expect(0).Out;
        Assert.Contains("as they were       3 folders that were there", part, StringComparison.Ordinal);
        Assert.Contains("Restored 2 files (6 B) and 1 folder", part, StringComparison.Ordinal);
        Assert.Equal("700 700 700 750", cli.Shell("stat -c %a source source/priv source/priv/deep source/priv/new").Out.Trim().Replace('\n', ' '));
        Assert.Equal("onetwo", cli.Shell("cat source/priv/deep/f source/priv/new/g").Out);
        Assert.DoesNotContain("MORE OPEN", part, StringComparison.Ordinal);
        cli.Shell("chmod 777 source/priv");
        Assert.Contains("MORE OPEN          1 of them lets in", cli.Run("restore", cli.LatestId(), cli["source"], "--include", "priv/deep/f", how).Expect(0).Out, StringComparison.Ordinal);
        Assert.Equal("777", cli.Shell("stat -c %a source/priv").Out.Trim());
        cli.Shell("mkdir -m 700 empty");
        cli.Run("restore", "latest", cli["empty"], "--include", "priv/deep").Expect(0);
        Assert.Equal("700 755 755", cli.Shell("stat -c %a empty empty/priv empty/priv/deep").Out.Trim().Replace('\n', ' '));
        cli.Run("restore", "latest", cli["made"], "--include", "priv/deep").Expect(0);
        Assert.Equal("755", cli.Shell("stat -c %a made").Out.Trim()); // it was not there
    }

    /// <summary>The usual shared drive: what comes back over itself is equal, and told to be.</summary>
    [Fact]
    public void A_group_folder_with_lists_of_rights_comes_back_over_itself()
    {
        Assert.SkipUnless(IsRoot && Cli.Has("setfacl"), "needs root and setfacl");
        using var cli = new Cli().Init();
        cli.Write("t/x", "one"u8.ToArray());
        cli.Shell("chgrp -R 3002 source; chmod 2775 source source/t; setfacl -m g:3001:rwx source/t");
        cli.Run("backup", cli["source"], "--name", "share").Expect(0);
        var before = cli.Shell("getfacl -R source; stat -c '%a %u %g %Y' source source/t").Out;
        foreach (var how in new[] { "--resume", "--overwrite" })
            cli.Run("restore", cli.LatestId(), cli["source"], how).Expect(0);
        Assert.Equal(before, cli.Shell("getfacl -R source; stat -c '%a %u %g %Y' source source/t").Out);
        Assert.Equal(1, RestoresLogged(cli));
        cli.Shell("setfacl -m u:2010:rwx source/t");
        var left = cli.Run("restore", cli.LatestId(), cli["source"], "--resume").Expect(3).Error;
        Assert.Contains("    t\n", left, StringComparison.Ordinal);
        Assert.Contains("setfacl -b -k", left, StringComparison.Ordinal);
        Assert.DoesNotContain("as a user who may set them", left, StringComparison.Ordinal);
    }

    /// <summary>A dump has no folder: the one that its file is put into is whoever's it was.</summary>
    [Fact]
    public void A_stream_comes_back_into_a_folder_that_stays_as_it_is()
    {
        using var cli = new Cli().Init();
        cli.Run("backup", "--stdin", "--name", "dump.sql", "--vault", cli["vault"], "--", "echo", "select 1").Expect(0);
        cli.Shell("mkdir -m 755 data; echo old > data/other; mkdir -m 755 empty");
        cli.Run("restore", "latest", cli["data"], "--overwrite").Expect(0);
        cli.Run("restore", "latest", cli["empty"]).Expect(0);
        cli.Run("restore", "latest", cli["made"]).Expect(0);
        Assert.Equal("755 755 700", cli.Shell("stat -c %a data empty made").Out.Trim().Replace('\n', ' '));
        Assert.Equal("select 1\n", cli.Shell("cat data/dump.sql").Out);
        Assert.True(RestoresLogged(cli) == 1);
    }

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    static int RestoresLogged(Cli cli)
    {
        using var vault = Vault.Open(cli["vault"]);
        return vault.State.Snapshots.Count(s => s.Restored > 0);
    }

    [Fact]
    public void What_stays_beside_the_snapshot_is_counted_and_so_are_holes_and_hard_links()
    {
        using var cli = new Cli().Init();
        cli.Write("notes/a.txt", [1]);
        cli.Shell("ln source/notes/a.txt source/b.txt; ln -s a.txt source/notes/link; truncate -s 8M source/hole; printf x >> source/hole");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var first = cli.Run("restore", "latest", cli["r"]).Expect(0).Out;
        Assert.Contains("1 further name of these files", first, StringComparison.Ordinal);
        Assert.Contains("1 file with holes", first, StringComparison.Ordinal);
        Assert.DoesNotContain("NOT OF IT", cli.Run("restore", "latest", cli["r"], "--overwrite").Expect(0).Out, StringComparison.Ordinal);
        cli.Shell("echo evil > r/notes/run.sh; mkdir r/more; touch r/more/x r/more/y");
        Assert.Contains("2 entries in the target are not in the snapshot, and stay", cli.Run("restore", "latest", cli["r"], "--overwrite").Expect(0).Out, StringComparison.Ordinal);
        var part = cli.Run("restore", "latest", cli["r"], "--overwrite", "--include", "notes").Expect(0).Out;
        Assert.DoesNotContain("NOT OF IT", part, StringComparison.Ordinal);
        Assert.Contains("  a part ", part, StringComparison.Ordinal);
        var json = System.Text.Json.JsonDocument.Parse(cli.Run("restore", cli.LatestId(), cli["r"], "--resume", "--json").Expect(0).Out).RootElement;
        Assert.Equal((2, 1), (json.GetProperty("notOfTheSnapshot").GetInt32(), json.GetProperty("filesWithHoles").GetInt32()));
    }

    /// <summary>Nodes of the tree that a later snapshot shares with an earlier one lie in a pack of the earlier, and that is gone.</summary>
    [Fact]
    public void What_of_the_tree_cannot_be_read_is_told_and_all_else_is_listed_and_comes_back()
    {
        using var cli = new Cli().Init();
        cli.Shell("mkdir -p source/d; cd source/d; touch $(seq -f 'f%05g' 0 19999)");
        string BackUp()
        {
            cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
            return cli.LatestId();
        }
        string[] Packs() => Directory.GetFiles(cli["vault/packs"], "*", SearchOption.AllDirectories);
        var first = BackUp();
        var before = Packs();
        cli.Shell("printf x > source/d/f05000");
        BackUp();
        var between = Packs().Except(before).ToList();
        cli.Shell("printf y > source/d/f15000");
        var later = BackUp();
        cli.Run("restore", later, cli["before"]).Expect(0);
        foreach (var pack in between)
            File.Delete(pack);

        var list = cli.Run("ls", later, "-r").Expect(3);
        Assert.Contains("\nd/f15000\n", list.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("\nd/f05000\n", list.Out, StringComparison.Ordinal);
        var json = Json(cli.Run("ls", later, "-r", "--json").Expect(3));
        var lost = json.GetProperty("lostFrom").EnumerateArray().Sum(part => part.GetProperty("entries").GetInt32());
        Assert.Contains($"{lost:#,0} entries could not be looked at", list.Error, StringComparison.Ordinal);
        var lines = list.Out.Count(c => c == '\n');
        Assert.Equal((lines, 20_001), (json.GetProperty("entries").GetArrayLength(), lines + lost)); // d and its files
        cli.Run("ls", later, "d/f15000").Expect(0);
        cli.Run("ls", later, "d/f05000").Expect(3);

        var found = cli.Run("find", "f*", "--snapshot", later).Expect(3);
        Assert.Contains("d/f15000", found.Out, StringComparison.Ordinal);
        Assert.Contains($"{lost:#,0} entries could not be looked at", found.Error, StringComparison.Ordinal);

        // Nothing is said to be new or gone of which nobody knows whether the other had it.
        Assert.Equal("M d/f15000\n", cli.Run("diff", first, later).Expect(3).Out);
        Assert.Equal("M d/f15000\n", cli.Run("diff", later, first).Expect(3).Out);

        var restored = cli.Run("restore", later, cli["r"]).Expect(55);
        Assert.Contains($"{lost:#,0} entries did not come back, and their names are not known", restored.Error, StringComparison.Ordinal);
        Assert.Equal(("y", lines - 1), (File.ReadAllText(cli["r/d/f15000"]), Directory.GetFiles(cli["r/d"]).Length));
        var resumed = cli.Run("restore", later, cli["before"], "--resume").Expect(55); // what it lost the sight of stands there
        Assert.DoesNotContain("NOT OF IT", resumed.Out + resumed.Error, StringComparison.Ordinal);
        Assert.Contains("of 1 snapshot it is not known", cli.Run("cat", later, "d/nosuch").Expect(27).Error, StringComparison.Ordinal);
        cli.Run("restore", later, cli["part"], "--include", "d/f15000").Expect(0);
        Assert.Equal(["part/d", "part/d/f15000"], Directory.EnumerateFileSystemEntries(cli["part"], "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(cli.Folder, p)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_restore_that_cannot_begin_makes_no_folder()
    {
        using var cli = new Cli().Init();
        cli.Write("a.txt", [1]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("init", cli["other"], "--keys", cli["other-keys"], "--lock", "1d").Expect(0);
        var id = cli.LatestId();
        var target = cli["r"];
        void Fails(int status, params string[] arguments)
        {
            cli.Run(["restore", .. arguments]).Expect(status);
            Assert.False(Directory.Exists(target), string.Join(' ', arguments));
        }
        Fails(27, "nosuch", target);
        Fails(27, "latest~5", target);
        Fails(27, "latest", target, "--name", "other");
        Fails(13, "latest", target, "--keys", cli["other-keys"]);
        Fails(2, "latest", target, "--include", "!a.txt");
        Fails(2, "latest", target, "--include", "a", "--include", new string('x', 4_096));
        Fails(2, "latest", target, "--resume");
        foreach (var path in Directory.EnumerateFiles(cli["vault/objects"], "*", SearchOption.AllDirectories))
            File.Move(path, path + ".away");
        cli.Run("restore", id, target);
        Assert.False(Directory.Exists(target));
    }

    [Fact]
    public void The_report_says_what_came_back_and_the_log_has_whole_restores_alone()
    {
        using var cli = Sample();
        Directory.CreateDirectory(cli["r/big/in the way"]);
        var part = cli.Run("restore", "latest", cli["r"], "--overwrite", "--json").Expect(3);
        var json = Json(part);
        Assert.Equal((301, 7, 1, 2, false), (json.GetProperty("files").GetInt32(), json.GetProperty("folders").GetInt32(), json.GetProperty("linksAndSpecialFiles").GetInt32(), json.GetProperty("missed").GetInt32(), json.GetProperty("logged").GetBoolean()));
        Assert.Equal("Incomplete", json.GetProperty("error").GetProperty("code").GetString());
        Assert.Contains("something else stands there", part.Error, StringComparison.Ordinal);
        Assert.Contains("what to do:", part.Error, StringComparison.Ordinal);
        Assert.Equal(0, RestoresLogged(cli));

        cli.Shell("rm -r r/big");
        var rest = cli.Run("restore", cli.LatestId(), cli["r"], "--resume").Expect(0);
        Assert.Contains("there already", rest.Out, StringComparison.Ordinal);
        Assert.Contains("Next:", rest.Out, StringComparison.Ordinal);
        cli.Shell("diff -r --no-dereference source r");
        Assert.Equal(1, RestoresLogged(cli));
        cli.Run("restore", "latest", cli["part"], "--include", "d1").Expect(0);
        cli.Run("restore", "latest", cli["x"], "--resume", "--overwrite").Expect(2);
        // `latest` may have moved on to what an attacker left: it is not what the target was begun with.
        var moved = cli.Run("restore", "latest", cli["r"], "--resume").Expect(2);
        Assert.Contains(cli.LatestId()[..8], moved.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Killed_at_any_moment_it_goes_on_with_resume()
    {
        using var cli = Sample();
        var clock = Stopwatch.StartNew();
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        var takes = clock.Elapsed;
        cli.Shell("rm -r r");
        var random = new Random(11);
        for (var kill = 0; kill < 40; kill++)
        {
            var fresh = kill % 8 == 0;
            if (fresh)
                cli.Shell("rm -rf r");
            using var process = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, ["restore", cli.LatestId(), cli["r"], .. fresh ? Array.Empty<string>() : ["--resume"]]);
            if (!process.WaitForExit(TimeSpan.FromMilliseconds(random.NextDouble() * takes.TotalMilliseconds)))
                process.Kill();
            process.WaitForExit();
            // What has its name is whole.
            cli.Shell("cd r 2>/dev/null || exit 0; find . -type f ! -name '.holdfast-restoring-*' | while read f; do cmp \"$f\" \"../source/$f\"; done");
            if (kill % 8 != 7)
                continue;
            cli.Run("restore", cli.LatestId(), cli["r"], "--resume").Expect(0);
            cli.Shell("diff -r --no-dereference source r; test -z \"$(find r -name '.holdfast-*')\"");
        }
    }

    [Fact]
    public void Interrupted_by_a_person_it_takes_back_what_is_half_written_and_says_how_to_go_on()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs signals");
        using var cli = Sample();
        var interrupted = false;
        for (var wait = 0; wait < 40 && !interrupted; wait++)
        {
            cli.Shell("rm -rf r");
            using var process = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "restore", "latest", cli["r"]);
            while (!process.HasExited && !(Directory.Exists(cli["r"]) && Directory.EnumerateFileSystemEntries(cli["r"]).Any()))
                Thread.Yield();
            if (process.HasExited)
                continue;
            cli.Shell($"kill -INT {process.Id} || true");
            var error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            interrupted = process.ExitCode == 130;
            if (interrupted)
                Assert.Contains("--resume", error, StringComparison.Ordinal);
        }
        Assert.True(interrupted);
        cli.Shell("test -z \"$(find r -name '.holdfast-*')\"");
        cli.Run("restore", cli.LatestId(), cli["r"], "--resume").Expect(0);
        cli.Shell("diff -r --no-dereference source r");
    }

    /// <summary>MiB of what the source's files hold that the target's do not; each file once, without its holes.</summary>
    static double StillToCome(Cli cli)
    {
        double Held(string folder) =>
            double.Parse(cli.Shell($"find {folder} -type f -printf '%i %s %S\\n' | sort -u -k1,1 | awk '{{s += $3 < 0.9 ? $2 * $3 : $2}} END {{printf \"%d\", s}}'").Out, CultureInfo.InvariantCulture) / (1 << 20);
        return Held("source") - Held("disk/r");
    }

    [Fact]
    public void A_full_disk_ends_it_once_and_more_room_lets_it_go_on()
    {
        using var cli = Sample();
        using var mounted = cli.MountTmpfs("disk", "size=20m");
        var full = cli.Run("restore", "latest", cli["disk/r"]).Expect(60);
        Assert.Contains("it will not fit", full.Error, StringComparison.Ordinal);
        Assert.Equal(2, full.Error.Split("--resume").Length); // told once
        var told = Regex.Match(full.Error, $"free in {Regex.Escape(cli["disk/r"])}, and at least ([0-9.]+) MiB more are needed");
        Assert.InRange(double.Parse(told.Groups[1].Value, CultureInfo.InvariantCulture), 0.98 * StillToCome(cli), 1.02 * StillToCome(cli));
        Assert.Single(full.Error.Split('\n'), l => l.Contains("code:", StringComparison.Ordinal));
        cli.Shell("test -z \"$(find disk/r -name '.holdfast-*')\"; cd disk/r; find . -type f | while read f; do cmp \"$f\" \"../../source/$f\"; done");
        Assert.Equal(0, RestoresLogged(cli));
        cli.Shell("mkdir disk/later; dd if=/dev/zero of=disk/fill bs=64k 2>/dev/null || true");
        Assert.DoesNotContain("\n    ", cli.Run("restore", "latest", cli["disk/later"]).Expect(60).Error, StringComparison.Ordinal); // before any file
        cli.Shell("rm disk/fill; mount -o remount,size=200m disk");
        cli.Run("restore", cli.LatestId(), cli["disk/r"], "--resume").Expect(0);
        cli.Shell("diff -r --no-dereference source disk/r");
    }

    [Fact]
    public void What_is_mounted_in_the_target_costs_what_lies_in_it_or_nothing()
    {
        Assert.SkipUnless(IsRoot, "needs root to mount");
        using var cli = Sample();
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("rm r/d1/* r/d2/* r/d3/f3");
        Assert.SkipUnless(Cli.Finish(cli.StartProgram("bash", null, "-c", $"mount -t tmpfs tmpfs '{cli["r/d1"]}' && mount --bind '{cli["r/d2"]}' '{cli["r/d2"]}' && mount -o remount,ro,bind '{cli["r/d2"]}'")).Status == 0, "mounting is not allowed here");
        try
        {
            var json = Json(cli.Run("restore", cli.LatestId(), cli["r"], "--resume", "--json").Expect(3));
            var problem = Assert.Single(json.GetProperty("problems").EnumerateArray());
            Assert.Equal(("d2", "NotPermitted", 43), (problem.GetProperty("path").GetString(), problem.GetProperty("kind").GetString(), problem.GetProperty("entries").GetInt32()));
            Assert.Equal(43, json.GetProperty("missed").GetInt32());
            cli.Shell("diff -r source/d1 r/d1; diff -r source/d3 r/d3; cmp source/big r/d1/hard"); // no link crosses a mount: the content came all the same
            cli.Shell("mkdir ro; mount --bind ro ro; mount -o remount,ro,bind ro");
            Assert.Single(cli.Run("restore", "latest", cli["ro"]).Expect(16).Error.Split('\n'), l => l.StartsWith("holdfast:", StringComparison.Ordinal));
            cli.Run("restore", "latest", cli["ro/r"]).Expect(16);
        }
        finally
        {
            cli.Shell("umount r/d1; umount r/d2; umount ro 2>/dev/null || true");
        }
    }

    [Fact]
    public void Who_is_not_root_gets_contents_and_one_word_for_each_thing_he_may_not_set()
    {
        Assert.SkipUnless(IsRoot && Cli.Has("setpriv") && Cli.Has("setfattr") && Cli.Has("setfacl"), "needs root, setpriv, setfattr and setfacl");
        using var cli = Sample();
        cli.Shell("chmod 4755 source/d1/f1; setfattr -n user.note -v kept source/d2/f2; setfacl -m u:33:r source/d2/f2; mknod source/null c 1 3; chown 33:33 source/d3/f3");
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        var id = cli.LatestId();
        cli.Shell("chmod 755 .; chmod -R a+rX vault keys; mkdir nobody; chown 65534:65534 nobody");
        Result Nobody(params string[] arguments) => Cli.Finish(cli.StartProgram("setpriv", cli["nobody"], ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), .. arguments]));
        cli.Environment["HOME"] = cli["nobody"];
        var result = Nobody("restore", "latest", cli["nobody/r"], "--json");
        Assert.SkipWhen(result.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        var json = Json(result.Expect(3));
        Assert.Equal("null", Assert.Single(json.GetProperty("problems").EnumerateArray()).GetProperty("path").GetString());
        Assert.Equal(["owners", "set-id bits"], json.GetProperty("notSet").EnumerateArray().Select(r => r.GetProperty("what").GetString()));
        cli.Shell("""
            rm source/null; diff -r --no-dereference source nobody/r
            test "$(getfattr -n user.note --only-values nobody/r/d2/f2)" = kept; getfacl nobody/r/d2/f2 2>/dev/null | grep -q user:www-data:r-- || getfacl -n nobody/r/d2/f2 | grep -q user:33:r--
            test $(stat -c %a nobody/r/d1/f1) = 755
            test $(stat -c %i nobody/r/big) = $(stat -c %i nobody/r/d1/hard)
            test $(stat -c %b nobody/r/sparse) -lt 100
            """);
        Assert.Equal(0, RestoresLogged(cli));
        var told = Nobody("restore", "latest", cli["nobody/r2"]).Expect(3).Error;
        Assert.Contains("does not count it: a restore counts where every entry came back", told, StringComparison.Ordinal);
        Assert.Contains("1 entry of the snapshot is not in the target as it should be, besides the attributes that were not set", told, StringComparison.Ordinal);
        Assert.Contains("run as root, or as the user whose files they all are", cli.Run("status").Out, StringComparison.Ordinal);
        // A folder of another's in the target.
        cli.Shell("chown root:root nobody/r/d4; rm nobody/r/d4/f4; rm nobody/r/d5/f5");
        var shut = Json(Nobody("restore", id, cli["nobody/r"], "--resume", "--json").Expect(3));
        Assert.Contains(shut.GetProperty("problems").EnumerateArray(), p => p.GetProperty("path").GetString() == "d4" && p.GetProperty("entries").GetInt32() == 1);
        Assert.True(File.Exists(cli["nobody/r/d5/f5"]));
        cli.Shell("mkdir closed");
        foreach (var target in new[] { "closed", "closed/r" })
            Assert.Single(Nobody("restore", "latest", cli[target]).Expect(15).Error.Split('\n'), l => l.Contains("code:", StringComparison.Ordinal));
        // Root sets what was not allowed.
        cli.Environment.Remove("HOME");
        cli.Run("restore", cli.LatestId(), cli["nobody/r"], "--resume").Expect(0);
        cli.Shell("test \"$(stat -c '%u %a' nobody/r/d1/f1)\" = '0 4755'; test \"$(stat -c '%u %g' nobody/r/d3/f3)\" = '33 33'; test $(stat -c %u nobody/r/d2/f2) = 0");
        Assert.Equal(1, RestoresLogged(cli));
    }

    [Fact]
    public void A_target_in_the_vault_or_among_the_keys_is_refused()
    {
        using var cli = Sample();
        cli.Run("store", "add", cli["second"]).Expect(0);
        foreach (var target in new[] { "vault", "vault/r", "second/packs/r", "keys", "keys/r" })
            Assert.Contains("nothing was written", cli.Run("restore", "latest", cli[target], "--overwrite").Expect(54).Error, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["source/big"]).Expect(53);
        cli.Run("restore", "latest", cli["no/such/place"]).Expect(56);
        cli.Run("verify").Expect(0);
    }

    [Theory]
    [InlineData("backup")]
    [InlineData("restore")]
    [InlineData("verify")]
    public void Threads_are_counted_to_256(string command)
    {
        using var cli = new Cli().Init();
        cli.Write("f", Encoding.UTF8.GetBytes("x"));
        cli.Run("backup", cli["source"]).Expect(0);
        string[] call = command switch { "backup" => ["backup", cli["source"]], "restore" => ["restore", "latest", cli["r"], "--overwrite"], _ => ["verify"] };
        foreach (var wrong in new[] { "257", "2147483648", "-1", "two" })
            Assert.Contains("256", cli.Run([.. call, "--threads", wrong]).Expect(2).Error, StringComparison.Ordinal);
        foreach (var right in new[] { "0", "1", "256" })
            cli.Run([.. call, "--threads", right]).Expect(0);
    }

    [Fact]
    public void A_snapshot_that_nobody_vouches_for_is_refused_by_all_that_read_and_read_only_when_asked()
    {
        using var cli = new Cli().Init();
        cli.Write("note", Encoding.UTF8.GetBytes("bed 3"));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        string good, forged;
        using (var vault = Vault.Open(cli["vault"]))
        {
            var first = vault.State.Snapshots[0];
            var other = Id16.New();
            (good, forged) = (first.Snapshot.ToString(), other.ToString());
            vault.Keeper.Record(LeafType.Commit, other, first.Agent, first.Expiry, 0, first.PackCount, (vault.State.Whole(first)! with { ClientTime = vault.State.Whole(first)!.ClientTime + 1 }).ToArray());
        }
        foreach (var call in new string[][] { ["restore", forged, cli["r"]], ["ls", forged], ["cat", forged, "note"], ["find", "note", "--snapshot", forged], ["diff", good, forged] })
            Assert.Contains("SnapshotRefused", cli.Run(call).Expect(43).Error, StringComparison.Ordinal);
        var found = cli.Run("find", "note").Expect(3);
        Assert.Single(found.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("left out", found.Error, StringComparison.Ordinal);
        var loud = cli.Run("restore", forged, cli["r"], "--resume", "--unverified").Expect(3);
        Assert.Contains("UNVERIFIED", loud.Error, StringComparison.Ordinal);
        cli.Shell("diff -r source r");
        Assert.Equal("bed 3", cli.Run("cat", forged, "note", "--unverified").Expect(3).Out);
        Assert.Equal("note\n", cli.Run("ls", forged, "--unverified").Expect(3).Out);
        Assert.Equal(0, RestoresLogged(cli));
    }

    [Fact]
    public void Each_include_counts_and_none_takes_anything_out()
    {
        using var cli = new Cli().Init();
        cli.Write("a/1.txt", "one"u8.ToArray());
        cli.Write("a/2.txt", "two"u8.ToArray());
        cli.Write("b/3.txt", "three"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("restore", "latest", cli["r1"], "--include", "./a", "--include", "a/1.txt").Expect(0);
        Assert.Equal(2, Directory.GetFiles(cli["r1"], "*", SearchOption.AllDirectories).Length);
        Assert.Contains("matches --include nope.txt", cli.Run("restore", "latest", cli["r2"], "--include", "a/1.txt", "--include", "nope.txt").Expect(3).Error, StringComparison.Ordinal);
        Assert.True(File.Exists(cli["r2/a/1.txt"]));
        cli.Run("restore", "latest", cli["r3"], "--include", "*.txt", "--include", "!1.txt").Expect(2);
        Assert.Contains("begins at the source's root", cli.Run("restore", "latest", cli["r3"], "--include", "./2.txt").Expect(27).Error, StringComparison.Ordinal); // at the root only
        Assert.Contains("the path that the source had", cli.Run("restore", "latest", cli["r4"], "--include", cli["source/a"]).Expect(27).Error, StringComparison.Ordinal);
        Assert.Contains("the target has only its root folder", cli.Run("restore", "latest", cli["r6"], "--include", "nada").Expect(27).Error, StringComparison.Ordinal);
        foreach (var option in new[] { "--overwrite", "--resume" })
        {
            var none = cli.Run("restore", cli.LatestId(), cli["r1"], "--include", "nada", option).Expect(27).Error;
            Assert.Contains("nothing was brought into the target", none, StringComparison.Ordinal);
            Assert.DoesNotContain("only its root folder", none, StringComparison.Ordinal);
        }
        Assert.Equal(2, Directory.GetFiles(cli["r1"], "*", SearchOption.AllDirectories).Length);
        var some = cli.Run("restore", "latest", cli["r5"], "--include", cli["source/a/"], "--include", "b").Expect(3).Error;
        Assert.Contains("the path that the source had", some, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("#hash", "#hash")]
    [InlineData("trail ", "trail ")]
    [InlineData("d/#hash", "./d/#hash")]
    [InlineData("back\\slash", "back\\\\slash")]
    [InlineData("!bang", "\\!bang")]
    [InlineData("a[1]", "a\\[1]")]
    [InlineData("a[1]", "a[1]")]
    [InlineData("values[].json", "values[].json")]
    [InlineData("d/sub dir/f", "sub dir/")]
    [InlineData("d/f", "./d/")]
    [InlineData("!d/f", "./!d/")]
    [InlineData("d/data[1", "d/data[1")]
    [InlineData("d/a[1] *[!x].pdf", "d/a[1] *[!x].pdf")]
    public void A_name_is_found_as_it_is_written(string name, string pattern)
    {
        using var cli = new Cli().Init();
        cli.Write(name, "one"u8.ToArray());
        cli.Write("other", "two"u8.ToArray());
        if (pattern.EndsWith('/') && pattern.StartsWith("./", StringComparison.Ordinal))
            cli.Write($"deeper/{name}", "not at the root"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        if (!pattern.Contains('!', StringComparison.Ordinal) && !pattern.EndsWith("d/", StringComparison.Ordinal))
            Assert.Single(cli.Run("find", pattern.TrimStart('.')).Expect(0).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        cli.Run("restore", "latest", cli["r"], "--include", pattern).Expect(0);
        Assert.Equal(Path.Combine(cli["r"], name), Assert.Single(Directory.GetFiles(cli["r"], "*", SearchOption.AllDirectories)));
    }

    [Fact]
    public void A_name_with_brackets_comes_back_beside_what_the_pattern_matches()
    {
        using var cli = new Cli().Init();
        cli.Write("report [2].pdf", "one"u8.ToArray());
        cli.Write("report 2.pdf", "two"u8.ToArray());
        cli.Write("report 3.pdf", "three"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("restore", "latest", cli["r"], "--include", "report [2].pdf").Expect(0);
        Assert.Equal(["report 2.pdf", "report [2].pdf"], Directory.GetFiles(cli["r"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        cli.Run("restore", "latest", cli["r2"], "--include", "report \\[2].pdf").Expect(0);
        Assert.Equal("report [2].pdf", Path.GetFileName(Assert.Single(Directory.GetFiles(cli["r2"]))));
    }

    [Fact]
    public void A_pattern_that_means_something_else_than_the_name_says_how_that_is_written()
    {
        using var cli = new Cli().Init();
        cli.Write("back\\slash", "one"u8.ToArray());
        cli.Write("other", "two"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        const string hint = "where a name has a backslash, write \\\\";
        Assert.Contains(hint, cli.Run("find", "back\\slash").Expect(0).Error, StringComparison.Ordinal);
        Assert.Contains(hint, cli.Run("restore", "latest", cli["r1"], "--include", "back\\slash").Expect(27).Error, StringComparison.Ordinal);
        var some = cli.Run("restore", "latest", cli["r2"], "--include", "back\\slash", "--include", "other").Expect(3).Error;
        Assert.Contains("matches --include back\\slash;", some, StringComparison.Ordinal); // as it was typed
        Assert.Contains(hint, some, StringComparison.Ordinal);
        Assert.Contains("\\!name", cli.Run("find", "!other").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("\\#name", cli.Run("backup", cli["source"], "--name", "ward", "--exclude", "#recycle").Expect(0).Error, StringComparison.Ordinal);
    }
}
