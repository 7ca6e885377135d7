using System.Text.RegularExpressions;

namespace Holdfast.SystemTests;

public sealed partial class ReadmeTests
{
    [GeneratedRegex("```sh tour\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Tour();

    [Fact]
    public void The_tour_of_the_readme_works_as_it_stands()
    {
        using var cli = new Cli();
        foreach (var name in new[] { "HOLDFAST_VAULT", "HOLDFAST_KEYS" })
            cli.Environment[name] = "";
        var script = Tour().Match(File.ReadAllText(Path.Combine(Cli.Root, "README.md"))).Groups[1].Value;
        Assert.Contains("holdfast restore latest restored", script, StringComparison.Ordinal);
        File.WriteAllText(cli["tour.sh"], $"set -e\nset -o pipefail\nholdfast() {{ '{Path.Combine(Cli.Root, "holdfast")}' \"$@\"; }}\n{script}");
        var result = Cli.Finish(cli.StartProgram("bash", cli.Folder, "tour.sh")).Expect(0);
        Assert.Contains("M notes/today.txt", result.Out, StringComparison.Ordinal);
        Assert.Contains("bed 3: stable", result.Out, StringComparison.Ordinal);
        Assert.Contains("The proof holds", result.Out, StringComparison.Ordinal);
    }
}
