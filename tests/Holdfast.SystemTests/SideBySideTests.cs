using System.Diagnostics;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>Backups of real processes at the same time, one of them killed.</summary>
public sealed class SideBySideTests
{
    static string[] Staging(Cli cli) => Directory.GetFiles(cli["vault/staging"]);

    /// <summary>Starts a backup of a stream and feeds it until a pack of its own is being written; it then waits for more.</summary>
    static Process Begin(Cli cli, string name, int seed)
    {
        var before = Staging(cli).Length;
        // The program itself: a signal to a shell around it would not reach it.
        var process = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "backup", "--stdin", "--name", name);
        process.StandardInput.BaseStream.Write(Cli.Noise(seed, 40_000_000));
        process.StandardInput.BaseStream.Flush();
        while (Staging(cli).Length == before && !process.HasExited)
            Thread.Sleep(20);
        Assert.False(process.HasExited);
        return process;
    }

    [Fact]
    public void Two_backups_of_one_name_at_once_both_stay_and_the_next_goes_on()
    {
        using var cli = new Cli().Init();
        var one = Begin(cli, "dump", 1);
        var two = Begin(cli, "dump", 2);
        foreach (var process in new[] { one, two })
            Assert.Equal("", Cli.Finish(process).Expect(0).Error);
        Assert.Equal(2, JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength());
        Cli.Finish(cli.Start("backup", "--stdin", "--name", "dump"), "a third").Expect(0);
        cli.Run("verify", "--full").Expect(0);
        Assert.Empty(Directory.EnumerateFiles(cli["state"], "*.new", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_killed_backup_leaves_room_and_a_running_one_its_files()
    {
        using var cli = new Cli().Init();
        const int killed = 5;
        for (var i = 0; i < killed; i++)
        {
            using var dead = Begin(cli, "dead", 10 + i);
            dead.Kill(); // SIGKILL
            dead.WaitForExit();
        }
        var left = Staging(cli);
        Assert.True(left.Length >= killed);
        var running = Begin(cli, "running", 1);
        var its = Staging(cli).Except(left).ToList();
        foreach (var file in Staging(cli))
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddMinutes(-5));

        Cli.Finish(cli.Start("backup", "--stdin", "--name", "other"), "other").Expect(0);

        Assert.All(left, file => Assert.False(File.Exists(file)));
        Assert.All(its, file => Assert.True(File.Exists(file)));
        Cli.Finish(running).Expect(0);
        cli.Run("verify", "--full").Expect(0);
        Assert.Equal(40_000_000, new FileInfo(Restored(cli, "running")).Length);
        Assert.Empty(Staging(cli));
    }

    static string Restored(Cli cli, string name)
    {
        var id = JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray()
            .Single(s => s.GetProperty("name").GetString() == name).GetProperty("id").GetString()!;
        cli.Run("restore", id, cli["r"]).Expect(0);
        return cli[$"r/{name}"];
    }
}
