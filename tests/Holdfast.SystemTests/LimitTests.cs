namespace Holdfast.SystemTests;

/// <summary>A process that the system gives too little: no defect, no damage, and nothing that is missing.</summary>
public sealed class LimitTests
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    static Cli Sample()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "limits of Linux");
        var cli = new Cli().Init();
        for (var i = 0; i < 40; i++)
            cli.Write($"ward{i}/notes", Cli.Noise(i, 200_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    static Result Bash(Cli cli, string script) => Cli.Finish(cli.StartProgram("bash", null, "-c", script));

    [Theory]
    [InlineData(10)]
    [InlineData(14)]
    [InlineData(64)]
    public void Too_few_open_files_are_told_as_such(int limit)
    {
        using var cli = Sample();
        foreach (var call in new[] { "restore latest back", "backup source --name ward", "verify --full", "snapshots" })
        {
            var result = Bash(cli, $"ulimit -n {limit}; '{Program}' {call}").Expect(63);
            Assert.Contains("ulimit -n", result.Error, StringComparison.Ordinal);
        }
        Bash(cli, $"ulimit -n {limit}; '{Program}' --version").Expect(0);
        cli.Run("restore", "latest", cli["back"]).Expect(0);
        cli.Run("verify", "--full").Expect(0);
    }

    [Fact]
    public void Where_proc_is_not_mounted_nothing_is_left_out_but_told()
    {
        using var cli = Sample();
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("unshare"), "needs root and unshare to take /proc away");
        foreach (var call in new[] { "backup source --name ward", "restore latest back" })
        {
            var result = Bash(cli, $"unshare -m sh -c \"umount -l /proc && exec '{Program}' {call}\"");
            Assert.SkipWhen(result.Error.StartsWith("unshare", StringComparison.Ordinal) || result.Error.StartsWith("umount", StringComparison.Ordinal), "mounts cannot be changed here");
            Assert.Contains("/proc is not mounted", result.Expect(63).Error, StringComparison.Ordinal);
        }
        cli.Run("restore", "latest", cli["back"]).Expect(0);
    }

    [Fact]
    public void A_soft_limit_on_open_files_is_raised_where_it_may_be()
    {
        using var cli = Sample();
        Bash(cli, $"ulimit -S -n 10; '{Program}' restore latest back").Expect(0);
    }

    [Fact]
    public void A_limit_on_the_size_of_files_is_a_disk_that_is_full()
    {
        using var cli = Sample();
        cli.Write("image", Cli.Noise(1, 30_000_000));
        var result = Bash(cli, $"ulimit -c 0; ulimit -f 4096; '{Program}' backup source --name ward").Expect(60);
        Assert.Contains("ulimit -f", result.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(cli["vault/staging"]));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("verify", "--full").Expect(0);
    }

    /// <summary>What a backed-up command inherits is what it would have had.</summary>
    [Fact]
    public void A_command_whose_output_is_backed_up_still_dies_of_the_limit_on_the_size_of_files()
    {
        using var cli = Sample();
        var result = cli.Run("backup", "--stdin", "--name", "dump", "--", "bash", "-c", "ulimit -c 0; echo begun; ulimit -f 1; exec dd if=/dev/zero of=big bs=4096 count=1").Expect(52);
        Assert.Contains("153", result.Error, StringComparison.Ordinal);
    }
}
