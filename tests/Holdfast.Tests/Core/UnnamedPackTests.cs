using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Packs that a run left which did not come to its commit: the next builds on them, and nothing but the files themselves says how long they were.</summary>
public sealed class UnnamedPackTests
{
    /// <summary>No leaf is written.</summary>
    sealed class NoCommit(string vault) : Disk
    {
        public override DiskFile Create(string path) => path.StartsWith(Path.Combine(vault, "log"), StringComparison.Ordinal) ? throw DiskFault.OfErrno(Libc.NoSpace) : base.Create(path);
    }

    static Dictionary<string, byte[]> Left(TestVault test)
    {
        test.WriteSome();
        Assert.Throws<HoldfastException>(() => test.BackUp(new NoCommit(test.Folder)));
        var left = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).ToDictionary(p => p, File.ReadAllBytes);
        Assert.NotEmpty(left);
        using var vault = test.Open();
        using var index = vault.OpenIndex(test.Keys.Put.Domain, CancellationToken.None); // has them from here on, whatever becomes of the files
        Assert.All(left.Keys, p => Assert.True(index.Knows(Name(p))));
        return left;
    }

    static IEnumerable<ErrorCode> Problems(TestVault test)
    {
        using var vault = test.Open();
        return [.. vault.Health().Problems.Select(p => p.Code)];
    }

    [Fact]
    public void Those_that_are_whole_are_used()
    {
        using var test = new TestVault();
        var left = Left(test);
        var result = test.BackUp();
        Assert.Equal(left.Count, left.Keys.Count(p => result.Archive.Packs.Contains(Name(p))));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(PackFormat.Quantum)]
    [InlineData(PackFormat.Quantum + 4_096)]
    [InlineData(-1)]
    [InlineData(-PackFormat.Quantum)]
    public void One_that_was_cut_short_since_is_not_built_on(int length)
    {
        using var test = new TestVault();
        var left = Left(test);
        foreach (var (path, bytes) in left)
            File.WriteAllBytes(path, bytes[..Math.Max(0, length < 0 ? bytes.Length + length : Math.Min(length, bytes.Length - 1))]);
        var result = test.BackUp();
        Assert.DoesNotContain(result.Archive.Packs.ToList(), p => left.Keys.Any(l => Name(l) == p.Name));
        Assert.Empty(Problems(test));
        TestVault.AssertSame(test.Source, test.Restore());

        // They are sound again, and nothing was held against them.
        foreach (var (path, bytes) in left)
            File.WriteAllBytes(path, bytes);
        Assert.True(test.Verify(full: true).IsSound);
        Assert.Empty(Problems(test));
    }

    /// <summary>What is committed with a size that no pack has is told as damaged for ever.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1_000)]
    [InlineData(PackFormat.Quantum + 1)]
    public void The_keeper_takes_no_file_of_a_size_that_no_pack_has(int length)
    {
        using var test = new TestVault();
        test.WriteSome();
        using var vault = test.Open();
        test.BackUp(vault);
        var sound = vault.State.PacksOf(vault.Find("latest"))!.ToList();
        var bytes = new byte[length];
        var name = new Hash32(SHA256.HashData(bytes));
        Directory.CreateDirectory(Path.GetDirectoryName(PoisonedPackTests.PathOf(test, name))!);
        File.WriteAllBytes(PoisonedPackTests.PathOf(test, name), bytes);
        var snapshot = test.Again(vault.Find("latest").Object! with { Packs = new PackSet([.. sound, new PackRef(name, length)]).Whole() });
        var refusal = Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(snapshot));
        Assert.Contains(refusal.Code, new[] { ErrorCode.PackMissing, ErrorCode.CommitRefused });
        Assert.Single(vault.State.Snapshots);
    }

    static Hash32 Name(string path) => Hash32.TryParse(Path.GetFileName(path), out var name) ? name : throw new ArgumentException(path);
}
