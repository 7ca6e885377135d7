namespace Holdfast.SystemTests;

/// <summary>`holdfast` has nothing of the network, and becomes `holdfast-server` where a command takes it.</summary>
public sealed class TwoProgramsTests
{
    static readonly string Built = Path.Combine(Cli.Root, "artifacts/holdfast");

    /// <summary>The one program without the other, as a copy of one file would be.</summary>
    static string Alone(Cli cli)
    {
        cli.Shell($"mkdir alone; cp '{Built}'/holdfast* '{Built}'/*.so alone; cp '{Built}'/*.dll alone 2>/dev/null || true; rm -f alone/holdfast-server*");
        return cli["alone/holdfast"];
    }

    [Fact]
    public void A_vault_in_folders_needs_the_one_program_alone()
    {
        using var cli = new Cli();
        var program = Alone(cli);
        cli.Write("ward/note.txt", "bed 3"u8.ToArray());
        Result Run(params string[] call) => Cli.Finish(cli.StartProgram(program, null, call)).Expect(0);
        Run("init", cli["vault"], "--lock", "1d");
        Run("backup", cli["source"], "--name", "ward");
        Run("restore", "latest", cli["back"]);
        Run("log", "verify");
        Run("verify");
        Assert.Equal("bed 3", File.ReadAllText(Directory.GetFiles(cli["back"], "note.txt", SearchOption.AllDirectories).Single()));
    }

    [Fact]
    public void What_takes_the_network_says_so_where_the_other_program_is_missing_and_does_nothing()
    {
        using var cli = new Cli().Init();
        var program = Alone(cli);
        Result Refused(params string[] call) => Cli.Finish(cli.StartProgram(program, null, call)).Expect(63);
        cli.Run("witness", "init", cli["w"], "--name", "witness.example/w").Expect(0);
        File.WriteAllText(cli["s3.key"], "access\nsecret\n");
        Assert.Contains("holdfast-server, is not beside this one", Refused("witness", "serve", cli["w"]).Error, StringComparison.Ordinal);
        Refused("init", cli["other"], "--keys", cli["other-keys"], "--store", "s3:https://127.0.0.1:9/bucket/x", "--store-key", cli["s3.key"]);
        Assert.False(Directory.Exists(cli["other"]) || Directory.Exists(cli["other-keys"]));
        Refused("log", "cosign");
        Refused("log", "verify", "--witness", $"{cli.Run("witness", "init", cli["w2"], "--name", "witness.example/w2").Expect(0).Out.Trim()}=http://127.0.0.1:9/");
        File.WriteAllText(Path.Combine(cli["vault"], "keeper/store"), "s3:https://127.0.0.1:9/bucket/x\n");
        foreach (var call in new[] { "status", "snapshots", "verify", "expire", "log verify", "store list", "backup /usr/share/doc --name x", "ls latest", "status --json" })
            Assert.Contains(call.EndsWith("--json", StringComparison.Ordinal) ? "\"SystemLimit\"" : "SystemLimit (63)", Refused(call.Split(' ')) is var said && call.EndsWith("--json", StringComparison.Ordinal) ? said.Out : said.Error, StringComparison.Ordinal);
        Assert.Contains("holdfast-control, is not beside this one", Refused("serve").Error, StringComparison.Ordinal);
        Refused("serve", "status");
        File.WriteAllBytes(cli["alone/holdfast-server"], [1, 2, 3]);
        Assert.Contains("cannot be run", Refused("status").Error, StringComparison.Ordinal);
    }

    /// <summary>The same process: whoever started it waits for it, and stops it, as before; and what it was called with is what the other gets.</summary>
    [Fact]
    public void It_becomes_the_other_program_and_starts_none()
    {
        using var cli = new Cli();
        using var witness = new WitnessProcess(cli, "w");
        var folder = cli["a folder's \"name\" ü"];
        Directory.Move(witness.Folder, folder);
        using var process = cli.StartProgram(Path.Combine(Built, "holdfast"), null, "witness", "serve", folder, "--listen", $"127.0.0.1:{witness.Port}");
        Assert.Equal($"Listening on {witness.Url}", process.StandardOutput.ReadLine());
        var link = new FileInfo($"/proc/{process.Id}/exe").ResolveLinkTarget(returnFinalTarget: false)!;
        Assert.StartsWith(Built, link.FullName, StringComparison.Ordinal);
        Assert.EndsWith("/holdfast-server", link.FullName, StringComparison.Ordinal);
        cli.Shell($"kill -TERM {process.Id}");
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
