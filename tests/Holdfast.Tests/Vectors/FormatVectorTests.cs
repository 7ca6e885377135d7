using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Holdfast.Tests.Vectors;

/// <summary>docs/vectors.json: a result for every construction of docs/format.md, the same in every run.</summary>
/// <remarks>To write it anew after a change of what it lists: HOLDFAST_WRITE_VECTORS=1 ./test -- --filter-class '*FormatVectorTests'. A result that was there before never changes.</remarks>
public sealed class FormatVectorTests
{
    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../.."));

    static readonly string File = Path.Combine(Root(), "docs/vectors.json");

    static List<FormatVector> Make()
    {
        var list = new VectorList();
        KeyVectors.AddTo(list);
        ChunkVectors.AddTo(list);
        SnapshotVectors.AddTo(list);
        LogVectors.AddTo(list);
        return [.. list.All.OrderBy(v => v.Section.Split('.').Select(int.Parse).Aggregate((a, b) => a * 100 + b) * (v.Section.Contains('.', StringComparison.Ordinal) ? 1 : 100))];
    }

    [Fact]
    public void The_committed_vectors_are_what_the_program_makes()
    {
        var text = VectorFile.Text(Make());
        if (Environment.GetEnvironmentVariable("HOLDFAST_WRITE_VECTORS") == "1")
            System.IO.File.WriteAllText(File, text);
        Assert.Equal(System.IO.File.ReadAllText(File), text);
    }

    [Fact]
    public void Every_label_and_every_object_type_has_a_vector()
    {
        var vectors = Make();
        var labels = typeof(Holdfast.Core.Crypto.Labels).GetProperties().Length;
        var source = System.IO.File.ReadAllText(Path.Combine(Root(), "src/Holdfast.Core/Crypto/Labels.cs"));
        var words = Regex.Matches(source, "\"holdfast/v1/([a-z0-9-]+)\"u8").Select(m => m.Groups[1].Value).ToList();
        Assert.Equal(labels, words.Count);
        Assert.Empty(words.Except(vectors.Select(v => v.Label)));
        Assert.Empty(vectors.Select(v => v.Label).Where(l => l.Length > 0).Except(words));

        var types = vectors.Where(v => v.Rule == "encode").Select(v => (byte[])v.Out[0].Value).Where(b => b.AsSpan().StartsWith("HOLDFAST"u8)).Select(b => b[11]).Distinct();
        Assert.Equal(Enum.GetValues<Holdfast.Core.ObjectType>().Select(t => (byte)t), types.Order());
    }
}
