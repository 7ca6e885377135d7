using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>A disk, a stick or a share that is there at first and then is not.</summary>
public sealed class GoneDiskTests
{
    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    /// <summary>The place where a share is mounted is an empty folder without it: what lay there would be missing from all later snapshots, and nobody would hear of it.</summary>
    [Fact]
    public void A_share_below_the_source_that_is_not_mounted_any_more_is_told_each_time()
    {
        using var cli = new Cli().Init();
        cli.Write("ward/notes", [1]);
        using (cli.MountTmpfs("source/images", "size=8m"))
        {
            cli.Shell("mkdir source/images/sub; for i in $(seq 50); do echo $i > source/images/sub/$i; done; echo x > source/images.txt");
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        }
        for (var night = 0; night < 3; night++)
        {
            var result = cli.Run("backup", cli["source"], "--name", "s", "--json").Expect(3);
            var problem = Assert.Single(Json(result).GetProperty("problems").EnumerateArray());
            Assert.Equal(("images", "ReadFailed"), (problem.GetProperty("path").GetString(), problem.GetProperty("kind").GetString()));
            Assert.Contains("images  (empty, and what was mounted there", result.Error, StringComparison.Ordinal);
        }
        Assert.Equal(3, cli.Run("snapshots").Expect(0).Out.Split("INCOMPLETE").Length - 1);
        cli.Run("backup", cli["source"], "--name", "s", "--read-all").Expect(3);
        using (cli.MountTmpfs("source/images", "size=8m"))
        {
            cli.Shell("echo back > source/images/back");
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        }
        cli.Run("backup", cli["source"], "--name", "s").Expect(3);

        // As it says; and where the data lies in the folder itself now, nothing is away.
        cli.Run("backup", cli["source"], "--name", "s", "--exclude", "/images").Expect(0);
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        using (cli.MountTmpfs("source/images", "size=8m"))
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        cli.Write("images/moved", [1]);
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
    }

    [Fact]
    public void What_is_not_part_of_the_source_is_not_missed()
    {
        using var cli = new Cli().Init();
        cli.Write("ward/notes", [1]);
        using (cli.MountTmpfs("source/images", "size=8m"))
            cli.Run("backup", cli["source"], "--name", "s", "--one-file-system").Expect(0);
        cli.Run("backup", cli["source"], "--name", "s", "--one-file-system").Expect(0);
    }

    /// <summary>The stick that the keys are on is pulled while a backup runs: it is stored all the same, and says so.</summary>
    [Fact]
    public void Keys_that_go_away_during_a_backup_make_no_failed_one_of_it()
    {
        using var cli = new Cli();
        using var stick = new Pulled(cli, cli.MountTmpfs("stick", "size=8m"));
        cli.Environment["HOLDFAST_KEYS"] = cli["stick/keys"];
        cli.Run("init", cli["vault"], "--lock", "1d").Expect(0);
        cli.Shell("cp -a stick/keys kept");
        var result = cli.Run("backup", "--stdin", "--name", "dump", "--json", "--", "sh", "-c", $"for i in $(seq 300); do find '{cli["state"]}' -type f | grep -q . && break; sleep 0.1; done; umount -l '{cli["stick"]}'; echo bed 3").Expect(0); // the run has begun, and its keys have been read
        Assert.DoesNotContain("Nothing was written", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("chown", result.Error, StringComparison.Ordinal);
        Assert.Contains("the snapshot is stored", result.Error, StringComparison.Ordinal);
        var id = Json(result).GetProperty("snapshot").GetString()!;
        Assert.Equal("bed 3\n", cli.Run("cat", id, "dump", "--keys", cli["kept"]).Expect(0).Out);
    }

    /// <summary>Nothing is wrong with the vault, and nobody is to be told that it is.</summary>
    [Fact]
    public void A_vault_that_goes_away_during_a_restore_is_away_and_not_broken()
    {
        using var cli = new Cli();
        using var stick = new Pulled(cli, cli.MountTmpfs("stick", "size=500m"));
        cli.Shell("mkdir behind; mount --bind stick behind; umount stick"); // it is still there when it is pulled
        try
        {
            cli.Shell("mount --bind behind stick");
            cli.Environment["HOLDFAST_VAULT"] = cli["stick/vault"];
            cli.Run("init", cli["stick/vault"], "--lock", "1d", "--reserve", "1MiB").Expect(0);
            for (var i = 0; i < 60; i++)
                cli.Write($"scan{i:d2}", Cli.Noise(i, 5_000_000));
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
            var cut = 0;
            for (var attempt = 0; attempt < 40 && cut < 2; attempt++)
            {
                var restore = cli.Start("restore", cli.LatestId(), cli["r"]);
                while (!restore.HasExited && !(Directory.Exists(cli["r"]) && Directory.EnumerateFiles(cli["r"], "scan*").Any()))
                    Thread.Sleep(5);
                cli.Shell("umount -l stick");
                var result = Cli.Finish(restore);
                cli.Shell("mount --bind behind stick");
                if (result.Status != 0)
                {
                    cut++;
                    result.Expect(61);
                    Assert.Contains("went away while this ran", result.Error, StringComparison.Ordinal);
                    Assert.Contains("--resume", result.Error, StringComparison.Ordinal);
                    cli.Run("restore", cli.LatestId(), cli["r"], "--resume").Expect(0);
                    cli.Run("status").Expect(0);
                }
                cli.Shell("diff -r source r; rm -r r");
            }
            Assert.NotEqual(0, cut);
        }
        finally
        {
            cli.Shell("umount -l behind");
        }
    }

    /// <summary>It may be gone already.</summary>
    sealed class Pulled(Cli cli, IDisposable mounted) : IDisposable
    {
        public void Dispose()
        {
            if (File.ReadAllText("/proc/mounts").Contains($" {cli["stick"]} ", StringComparison.Ordinal))
                mounted.Dispose();
        }
    }
}
