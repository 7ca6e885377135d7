using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>Which entries of the source a snapshot has not, or not as they were at one moment (docs/format.md, section 10.2): what section 1 has the number of.</summary>
public static class ProblemSection
{
    const int MaxBytes = 60_000; // a section other than the tree's has 64 KiB at most

    /// <summary>As many as there is room for, by path.</summary>
    public static ByteWriter ToWriter(IEnumerable<SourceProblem> problems)
    {
        var rows = new ByteWriter(1024);
        ulong count = 0;
        foreach (var problem in problems.OrderBy(p => p.Path, Comparer<byte[]>.Create((l, r) => TreePath.Compare(l, r))))
        {
            if (rows.Length + problem.Path.Length + 8 > MaxBytes)
                continue; // a shorter one may fit
            rows.U8((byte)problem.Kind);
            rows.Bytes(problem.Path);
            count++;
        }
        var writer = new ByteWriter(rows.Length + 8);
        writer.Var(count);
        writer.Raw(rows.Span);
        return writer;
    }

    /// <param name="bytes">May be followed by zeros.</param>
    /// <returns>Null where they make no sense.</returns>
    public static IReadOnlyList<SourceProblem>? Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var count = reader.Count(MaxBytes);
        var problems = new List<SourceProblem>();
        for (var i = 0; i < count && !reader.Failed; i++)
            problems.Add(new SourceProblem((ProblemKind)reader.U8(), reader.Bytes(TreePath.MaxLength).ToArray(), ""));
        reader.Require(!reader.Raw(reader.Remaining).ContainsAnyExcept((byte)0));
        return reader.IsDone ? problems : null;
    }
}
