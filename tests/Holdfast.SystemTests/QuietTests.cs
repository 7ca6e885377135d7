using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

/// <summary>With --quiet a job that goes well says nothing; what was asked for, and what is wrong, is said all the same.</summary>
public sealed class QuietTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("notes/ward.txt", Encoding.UTF8.GetBytes("bed 3\n"));
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    [Fact]
    public void What_was_done_and_went_well_is_not_told()
    {
        using var cli = new Cli();
        cli.Write("notes/ward.txt", Encoding.UTF8.GetBytes("bed 3\n"));
        string[][] calls =
        [
            ["init", cli["vault"], "--lock", "1d"], ["recovery-kit", "--out", cli["kit.pdf"]], ["backup", cli["source"], "--name", "ward"], ["backup", cli["source"], "--name", "ward", "--attest"],
            ["verify"], ["verify", "--full"], ["attest"], ["attest", "latest", "--full"], ["restore", "latest", cli["r"]], ["expire"], ["policy", "set", "--lock", "2d"],
            ["lock", "latest", "--until", $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}"], ["log", "verify"], ["log", "checkpoint", "--out", cli["checkpoint"]], ["key", "issue", "--out", cli["issued"]],
            ["up", cli["source"], "--base", cli["base"]],
        ];
        foreach (var call in calls)
            Assert.Equal((string.Join(' ', call), "", ""), cli.Run([.. call, "--quiet"]).Expect(0) is var run ? (string.Join(' ', call), run.Out, run.Error) : default);
    }

    [Fact]
    public void A_log_that_a_person_accepted_is_not_told_again()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault copy");
        var id = JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("vault").GetString()!;
        Assert.Contains("The log here has", cli.Run("log", "accept", "--vault", cli["copy"], "--quiet").Expect(36).Error, StringComparison.Ordinal);
        var accepted = cli.Run("log", "accept", "--vault", cli["copy"], "--quiet", "--confirm", id).Expect(0);
        Assert.Equal(("", ""), (accepted.Out, accepted.Error));
    }

    /// <summary>What is free on a disk that others use too is another number at each look.</summary>
    static string Steady(string text) => Regex.Replace(text, @"\d[\d.,]* \w+ free", "free");

    [Fact]
    public void What_was_asked_for_is_answered()
    {
        using var cli = Sample();
        string[][] calls =
        [
            ["snapshots"], ["ls", "latest", "-r", "-l"], ["find", "*"], ["cat", "latest", "notes/ward.txt"], ["log", "entries"], ["log", "checkpoint"], ["policy", "show"], ["store", "list"], ["expire", "--dry-run"],
        ];
        foreach (var call in calls)
        {
            var plain = cli.Run(call).Expect(0).Out;
            Assert.NotEqual("", plain);
            Assert.Equal(Steady(plain), Steady(cli.Run([.. call, "-q"]).Expect(0).Out));
        }
        Assert.Contains("NEVER TESTED", cli.Run("status", "-q").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_wrong_is_told_on_standard_error()
    {
        using var cli = Sample();
        var pack = Directory.EnumerateFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).First();
        var bytes = File.ReadAllBytes(pack);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(pack, bytes);
        foreach (var (call, says) in new (string[], string)[] { (["verify"], $"damaged: Pack {Path.GetFileName(pack)}"), (["attest", "--full"], $"damaged pack {Path.GetFileName(pack)}") })
        {
            var plain = cli.Run(call);
            Assert.Contains(says, plain.Out, StringComparison.Ordinal);
            var quiet = cli.Run([.. call, "--quiet"]).Expect(plain.Status);
            Assert.Equal("", quiet.Out);
            Assert.Contains(says, quiet.Error, StringComparison.Ordinal);
            Assert.Contains("what to do", quiet.Error, StringComparison.Ordinal);
        }
    }
}
