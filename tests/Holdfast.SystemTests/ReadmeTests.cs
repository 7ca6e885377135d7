using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

public sealed partial class ReadmeTests
{
    [GeneratedRegex("```sh tour\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Tour();

    [GeneratedRegex("```ini\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Ini();

    [Fact]
    public void The_tour_of_the_readme_works_as_it_stands()
    {
        var said = Assert.Single(Run("README.md", "holdfast restore latest restored"));
        Assert.Contains("M notes/today.txt", said, StringComparison.Ordinal);
        Assert.Contains("bed 3: stable", said, StringComparison.Ordinal);
        Assert.Contains("The proof holds", said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("docs/manual/operate.md", "mv keys/opening.secret safe/", "list.txt")]
    [InlineData("docs/manual/keys.md", "holdfast key scope", "list.txt")]
    [InlineData("docs/manual/data-protection.md", "holdfast erasure add", "letter")]
    [InlineData("docs/manual/recover.md", "holdfast log accept", "bed 3: obs every hour")]
    [InlineData("docs/manual/recover.md", "holdfast emergency release", "bed 3: penicillin")]
    public void What_the_manual_shows_works_as_it_stands(string page, string holds, string said) => Assert.Contains(Run(page, holds), o => o.Contains(said, StringComparison.Ordinal));

    /// <summary>Whoever copies them has services that start with the machine, wait for the vault's disk and do not give up on it.</summary>
    [Fact]
    public void The_units_of_the_manual_are_whole()
    {
        var text = File.ReadAllText(Path.Combine(Cli.Root, "docs/manual/operate.md"));
        var services = Ini().Matches(text).Select(m => m.Groups[1].Value).Where(u => u.Contains("[Service]", StringComparison.Ordinal)).ToList();
        Assert.Equal(8, services.Count); // backup, clean room, guard, keeper, gateway, serve, witness, cosign
        foreach (var unit in services.Where(u => !u.Contains("holdfast witness serve", StringComparison.Ordinal) && !u.Contains("holdfast gateway serve", StringComparison.Ordinal) && !u.Contains("holdfast cleanroom serve", StringComparison.Ordinal))) // which have no vault of their own
        {
            foreach (var line in new[] { "[Unit]\nDescription=", "RequiresMountsFor=/backup/vault\n" })
                Assert.Contains(line, unit, StringComparison.Ordinal);
        }
        var guard = Assert.Single(services, u => u.Contains("holdfast guard", StringComparison.Ordinal));
        foreach (var line in new[] { "StartLimitIntervalSec=0\n", "Restart=always\nRestartSec=", "[Install]\nWantedBy=multi-user.target\n" })
            Assert.Contains(line, guard, StringComparison.Ordinal);
        foreach (var shown in new[] { "/etc/systemd/system/holdfast-guard.service", "systemctl enable --now holdfast-guard`", "install -d -m 700 /var/lib/holdfast\n" })
            Assert.Contains(shown, text, StringComparison.Ordinal);

        Assert.SkipUnless(Cli.Has("systemd-analyze"), "needs systemd-analyze to have the units read as systemd reads them");
        using var cli = new Cli();
        foreach (var (i, unit) in services.Index())
        {
            File.WriteAllText(cli[$"holdfast-{i}.service"], unit.Replace("/usr/local/bin/holdfast", Path.Combine(Cli.Root, "holdfast"), StringComparison.Ordinal));
            Assert.Equal("", Cli.Finish(cli.StartProgram("systemd-analyze", null, "verify", "--man=no", cli[$"holdfast-{i}.service"])).Expect(0).Error);
        }
    }

    /// <summary>Runs every block of a page that is meant to be run, each in a folder of its own, and gives what each said.</summary>
    static List<string> Run(string page, string holds)
    {
        var text = File.ReadAllText(Path.Combine(Cli.Root, page));
        Assert.Contains(holds, text, StringComparison.Ordinal);
        var said = new List<string>();
        foreach (Match block in Tour().Matches(text))
        {
            using var cli = new Cli();
            foreach (var name in new[] { "HOLDFAST_VAULT", "HOLDFAST_KEYS" })
                cli.Environment[name] = "";
            File.WriteAllText(cli["tour.sh"], $"set -e\nset -o pipefail\nholdfast() {{ '{Path.Combine(Cli.Root, "holdfast")}' \"$@\"; }}\n{block.Groups[1].Value}");
            said.Add(Cli.Finish(cli.StartProgram("bash", cli.Folder, "tour.sh")).Expect(0).Out);
        }
        return said;
    }
}
