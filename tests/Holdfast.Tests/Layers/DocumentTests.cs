using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Holdfast.Tests.Layers;

/// <summary>What the documents say shows something, is there to show it.</summary>
public sealed partial class DocumentTests
{
    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../.."));

    [GeneratedRegex(@"`(?<class>[A-Z]\w*Tests)(\.(?<method>\w+))?`")]
    private static partial Regex Named();

    [Fact]
    public void Every_test_that_a_document_names_is_there()
    {
        var sources = Directory.GetFiles(Path.Combine(Root(), "tests"), "*Tests.cs", SearchOption.AllDirectories).Select(File.ReadAllText).ToList();
        var (missing, seen) = (new List<string>(), 0);
        foreach (var document in Directory.GetFiles(Path.Combine(Root(), "docs"), "*.md", SearchOption.AllDirectories))
        {
            foreach (Match named in Named().Matches(File.ReadAllText(document)))
            {
                seen++;
                var (type, method) = (named.Groups["class"].Value, named.Groups["method"].Value);
                if (!sources.Exists(s => Regex.IsMatch(s, $@"\bclass {type}\b") && (method.Length == 0 || Regex.IsMatch(s, $@"\bvoid {method}\(|\bTask {method}\("))))
                    missing.Add($"{Path.GetFileName(document)}: {named.Value}");
            }
        }
        Assert.Empty(missing);
        Assert.True(seen > 50, "the pattern finds none any more");
    }
}
