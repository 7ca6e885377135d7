using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

public sealed partial class ReadmeTests
{
    [GeneratedRegex("```sh tour\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Tour();

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
    [InlineData("docs/manual/recover.md", "holdfast log accept", "bed 3: obs every hour")]
    public void What_the_manual_shows_works_as_it_stands(string page, string holds, string said) => Assert.Contains(Run(page, holds), o => o.Contains(said, StringComparison.Ordinal));

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
