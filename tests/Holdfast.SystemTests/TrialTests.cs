using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>`up` on whatever a newcomer points it at.</summary>
public sealed class TrialTests
{
    static Result Up(Cli cli, params string[] more) => cli.Run(["up", cli["source"], "--base", cli["base"], .. more]);

    static Cli Data()
    {
        var cli = new Cli();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        return cli;
    }

    [Fact]
    public void What_cannot_be_tried_is_refused_in_plain_words()
    {
        using var cli = Data();
        Assert.Contains("FOLDER is empty", cli.Run("up", "").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("FOLDER is empty", cli.Run("down", "").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("is a file", cli.Run("up", cli["source/scan.dcm"], "--base", cli["base"]).Expect(50).Error, StringComparison.Ordinal);
        cli.Run("up", cli["nowhere"], "--base", cli["base"]).Expect(50);
        Directory.CreateDirectory(cli["hollow"]);
        Assert.Contains("no file", cli.Run("up", cli["hollow"], "--base", cli["base"]).Expect(50).Error, StringComparison.Ordinal);
        Up(cli).Expect(0);
        foreach (var folder in Directory.GetDirectories(cli["base"], "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) is "packs" or "trial-keys"))
            Assert.Contains("inside a trial", cli.Run("up", folder, "--base", cli["base"]).Expect(2).Error, StringComparison.Ordinal);
        cli.Run("init", cli["vault"], "--lock", "1d").Expect(0);
        Assert.Contains("is a vault", cli.Run("up", cli["vault"], "--base", cli["base"]).Expect(2).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_copy_that_may_fill_the_disk_is_not_made_unasked()
    {
        using var cli = Data();
        // A hole, read in no time; by its size it may be anything.
        cli.Shell($"truncate -s {new DriveInfo(cli.Folder).AvailableFreeSpace / 10 * 7} source/huge.img");
        Assert.Contains("--large", Up(cli).Expect(60).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(cli["base"]));
        Up(cli, "--large").Expect(0);
        Up(cli).Expect(0); // it goes on
    }

    [Fact]
    public void A_trial_inside_the_folder_leaves_itself_out_and_the_lines_it_prints_work_as_they_stand()
    {
        using var cli = Data();
        var home = cli["source/my trial"];
        var first = cli.Run("up", cli["source"], "--base", home, "--json").Expect(0);
        Assert.Equal(2, JsonDocument.Parse(first.Out).RootElement.GetProperty("filesCompared").GetInt64());
        var second = cli.Run("up", cli["source"], "--base", home).Expect(0).Out;
        Assert.Contains("leaves out", second, StringComparison.Ordinal);
        Assert.Contains("2 files", second, StringComparison.Ordinal);
        string Line(string begins) => second.Split('\n').Single(l => l.TrimStart().StartsWith(begins, StringComparison.Ordinal)).Split("   ")[^1].TrimStart();
        var down = cli.Shell(Line("end the trial")).Out;
        Assert.Contains("locked until", down, StringComparison.Ordinal);
        var names = cli.Shell($"{Line("bring it back").Replace("FOLDER", "back", StringComparison.Ordinal)}; cd back; find . -type f | sort").Out;
        Assert.EndsWith("./notes/ward.txt\n./scan.dcm\n", names, StringComparison.Ordinal);
        cli.Shell($"rm -rf back; {down.Split('\n').Single(l => l.TrimStart().StartsWith("rm -r ", StringComparison.Ordinal))}");
        Assert.Empty(Directory.GetDirectories(Path.Combine(home, "trial-vaults")));
        Assert.Empty(Directory.GetDirectories(cli["state"]));
    }

    [Theory]
    [InlineData("/opt/h-1.0/holdfast", "/opt/h-1.0/holdfast")]
    [InlineData("holdfast; rm x", "holdfast")]
    [InlineData("--help", "holdfast")]
    [InlineData("", "holdfast")]
    public void The_program_is_called_as_it_was_where_that_is_a_plain_word(string called, string program)
    {
        using var cli = Data();
        cli.Environment["HOLDFAST_COMMAND"] = called;
        var said = Cli.Finish(cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "up", cli["source"], "--base", cli["base"])).Expect(0).Out;
        Assert.Matches($"     {System.Text.RegularExpressions.Regex.Escape(program)} restore [0-9a-f]{{8}} FOLDER", said); // a large folder's trial has two sources: latest would not say of which
    }

    [Fact]
    public void The_one_trial_there_is_is_found_without_being_named()
    {
        using var cli = Data();
        cli.Environment["HOLDFAST_VAULT"] = cli.Environment["HOLDFAST_KEYS"] = "";
        foreach (var call in new[] { "up", "down", "status" })
            Assert.Contains("holdfast up FOLDER", cli.Run(call).Expect(call == "down" ? 10 : 2).Error, StringComparison.Ordinal);
        Up(cli).Expect(0);
        var vault = Directory.GetDirectories(cli["base/trial-vaults"]).Single();
        var status = cli.Run("status").Expect(0);
        Assert.Contains("TRIAL - NOT PROTECTION", status.Out, StringComparison.Ordinal);
        Assert.Contains($"the trial of {cli["source"]}", status.Error, StringComparison.Ordinal);
        Assert.Contains($"rm -r {vault}", cli.Run("down").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains($"Going on with the trial of {cli["source"]}", cli.Run("up").Expect(0).Out, StringComparison.Ordinal);
        Directory.CreateDirectory(cli["second"]);
        File.WriteAllText(cli["second/a"], "x");
        cli.Run("up", cli["second"], "--base", cli["base"], "--quiet").Expect(0);
        foreach (var call in new[] { "up", "down", "status" })
        {
            var several = cli.Run(call).Expect(2).Error;
            Assert.Contains("2 trials", several, StringComparison.Ordinal);
            Assert.Contains(cli["source"], several, StringComparison.Ordinal);
        }
        cli.Shell(cli.Run("down", cli["second"], "--base", cli["base"]).Expect(0).Out.Split('\n').Single(l => l.TrimStart().StartsWith("rm -r ", StringComparison.Ordinal)));
        cli.Run("status").Expect(0);
        Assert.Single(Directory.GetFiles(cli["state"]));
    }

    [Fact]
    public void Keys_without_a_vault_are_put_aside_and_never_deleted()
    {
        using var cli = Data();
        Up(cli).Expect(0);
        Directory.Delete(Directory.GetDirectories(cli["base/trial-vaults"]).Single(), recursive: true);
        var keys = Directory.GetDirectories(cli["base/trial-keys"]).Single();
        var opening = File.ReadAllBytes(Path.Combine(keys, "opening.key"));
        var again = Up(cli).Expect(0);
        Assert.Contains("keys of an earlier trial", again.Error, StringComparison.Ordinal);
        var aside = Directory.GetDirectories(cli["base/trial-keys"]).Single(f => f != keys);
        Assert.Equal(opening, File.ReadAllBytes(Path.Combine(aside, "opening.key")));
        Assert.NotEqual(opening, File.ReadAllBytes(Path.Combine(keys, "opening.key")));
        Directory.Move(keys, cli["elsewhere"]);
        Up(cli).Expect(17);
    }

    [Fact]
    public void One_trial_of_a_folder_at_a_time()
    {
        using var cli = Data();
        Up(cli).Expect(0);
        var gate = Directory.GetFiles(cli["base/trial-proofs"], "*.lock").Single();
        using (new FileStream(gate, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
            Up(cli).Expect(18);
        Up(cli).Expect(0);
    }

    [Fact]
    public void Who_may_not_read_everything_is_told_first_and_gets_a_proof_of_the_rest()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = Data();
        cli.Write("open/shut/deep.txt", "deep"u8.ToArray());
        cli.Write("secret.txt", "not for all"u8.ToArray());
        cli.Shell("chown -R 65534:65534 . ; chown root:root source/secret.txt; chmod 600 source/secret.txt; chmod 555 source/open/shut source/open; chmod 755 .");
        Result Run() => Cli.Finish(cli.StartProgram("setpriv", cli.Folder, "--reuid=65534", "--regid=65534", "--clear-groups",
            Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), "up", cli["source"], "--base", cli["base"]));
        var first = Run();
        Assert.SkipWhen(first.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        first.Expect(3);
        Assert.Contains("secret.txt", first.Error, StringComparison.Ordinal);
        Assert.Contains("INCOMPLETE: 1 entry", first.Out, StringComparison.Ordinal);
        Assert.Contains("a sample of 3 files, brought into a folder of their own", first.Out, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(cli["base/trial-proofs"]));
        // A file that was backed up and cannot be read any more: told, not taken for a mismatch.
        cli.Shell("chown root:root source/scan.dcm; chmod 600 source/scan.dcm");
        var second = Run().Expect(3);
        Assert.DoesNotContain("RestoreMismatch", second.Error, StringComparison.Ordinal);
        Assert.Contains("scan.dcm", second.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(cli["base/trial-proofs"]));
    }
}
