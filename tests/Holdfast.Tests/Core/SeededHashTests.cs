using Holdfast.Core;

namespace Holdfast.Tests.Core;

/// <summary>Names that somebody chose so that a table of them would be slow.</summary>
public sealed class SeededHashTests
{
    const int Count = 20_000;
    const int Places = 21_023; // of a table for so many

    static void AssertIsSpread<T>(IReadOnlyCollection<T> names, string what) where T : IComparable<T>
    {
        var codes = names.Order().ToList().ConvertAll(n => n.GetHashCode());
        Assert.True(codes.Distinct().Count() > Count * 99 / 100, $"{codes.Distinct().Count()} hash codes of {Count}, {what}");
        Assert.True(codes.GroupBy(c => (uint)c % Places).Max(g => g.Count()) < 40, $"{codes.GroupBy(c => (uint)c % Places).Max(g => g.Count())} in one place, {what}");
    }

    /// <summary>Names that differ, each changed by somebody.</summary>
    static List<byte[]> Make(int size, Action<byte[], int> change)
    {
        var random = new Random(1);
        var names = new List<byte[]>();
        for (var i = 0; i < Count; i++)
        {
            var name = new byte[size];
            random.NextBytes(name);
            change(name, i);
            names.Add(name);
        }
        return names;
    }

    static void AssertAreSpread(int size, Action<byte[], int> change, string what)
    {
        var names = Make(size, change);
        Assert.Equal(Count, names.Select(Convert.ToHexString).Distinct().Count());
        if (size == Hash32.Size)
            AssertIsSpread(names.ConvertAll(n => new Hash32(n)), what);
        else
            AssertIsSpread(names.ConvertAll(n => new Id16(n)), what);
    }

    [Theory]
    [InlineData(Hash32.Size, 4)]
    [InlineData(Hash32.Size, 8)]
    [InlineData(Id16.Size, 4)]
    [InlineData(Id16.Size, 8)]
    public void Names_that_share_some_bytes_have_hash_codes_that_differ(int size, int shared)
    {
        for (var first = 0; first + shared <= size; first++)
        {
            var from = first;
            AssertAreSpread(size, (name, _) => name.AsSpan(from, shared).Fill(7), $"bytes from {from} on are shared");
        }
    }

    [Theory]
    [InlineData(Hash32.Size)]
    [InlineData(Id16.Size)]
    public void Names_with_words_whose_halves_undo_each_other_have_hash_codes_that_differ(int size) =>
        AssertAreSpread(size, (name, _) =>
        {
            for (var word = 0; word < size; word += 8)
                name.AsSpan(word, 4).CopyTo(name.AsSpan(word + 4));
        }, "each word is twice the same half");

    [Theory]
    [InlineData(Hash32.Size)]
    [InlineData(Id16.Size)]
    public void Names_that_differ_in_a_few_bytes_only_have_hash_codes_that_differ(int size)
    {
        for (var first = 0; first + 3 <= size; first++)
        {
            var from = first;
            AssertAreSpread(size, (name, i) =>
            {
                name.AsSpan().Clear();
                (name[from], name[from + 1], name[from + 2]) = ((byte)(i >> 16), (byte)(i >> 8), (byte)i);
            }, $"bytes from {from} on count up");
        }
    }
}
