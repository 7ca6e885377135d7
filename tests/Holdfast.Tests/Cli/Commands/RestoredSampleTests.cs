using Holdfast.Cli.Commands;
using Holdfast.Core;

namespace Holdfast.Tests.Cli.Commands;

/// <summary>The proof that `up` gives: it may not cry wolf over live data, and may not miss a wolf.</summary>
public sealed class RestoredSampleTests
{
    static SampleResult Compare(TestVault test, DateTimeOffset began, string? original = null)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        return RestoredSample.Compare(vault, vault.Find("latest"), keys, original ?? test.Source, began, test["proof"], CancellationToken.None);
    }

    static DateTimeOffset BackUp(TestVault test)
    {
        var began = DateTimeOffset.UtcNow;
        test.BackUp();
        return began;
    }

    [Fact]
    public void Every_file_that_is_as_it_was_is_compared()
    {
        using var test = new TestVault();
        test.WriteSome();
        Assert.Equal(new SampleResult(44, 0, 0), Compare(test, BackUp(test)));
        Assert.False(Directory.Exists(test["proof"]));
    }

    [Theory]
    [InlineData(99, 99)]
    [InlineData(101, 100)]
    [InlineData(250, 100)]
    public void A_sample_of_more_than_a_hundred_files_is_a_hundred(int files, int sample)
    {
        using var test = new TestVault();
        for (var i = 0; i < files; i++)
            test.Write($"{i:d3}", $"{i}");
        Assert.Equal(new SampleResult(sample, 0, 0), Compare(test, BackUp(test)));
    }

    [Fact]
    public void A_file_that_changed_since_is_no_mismatch_whatever_its_writer_did_to_its_times()
    {
        using var test = new TestVault();
        test.WriteSome();
        var began = BackUp(test);
        test.Write("a/small.txt", "another text");
        var path = Path.Combine(test.Source, "a/b/medium.bin");
        var time = File.GetLastWriteTimeUtc(path);
        test.Write("a/b/medium.bin", TestVault.Noise(99, 700_000)); // as long as before
        File.SetLastWriteTimeUtc(path, time);
        File.Delete(Path.Combine(test.Source, "many/007"));
        Assert.Equal(new SampleResult(41, 3, 0), Compare(test, began));
    }

    [Fact]
    public void A_file_that_has_not_changed_and_differs_is_a_mismatch()
    {
        using var test = new TestVault();
        test.WriteSome();
        // As a fault of ours would look: the original has lain there since before the backup, with the times of what was backed up, and is not what comes back.
        var other = test["other"];
        foreach (var file in Directory.EnumerateFiles(test.Source, "*", SearchOption.AllDirectories))
        {
            var copy = file.Replace(test.Source, other, StringComparison.Ordinal);
            File.SetLastWriteTimeUtc(file, new DateTime(2026, 1, 5, 12, 0, 0, DateTimeKind.Utc)); // the nanoseconds that .NET cannot set are none
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
            if (copy.EndsWith("large.bin", StringComparison.Ordinal))
            {
                using var handle = File.OpenHandle(copy, FileMode.Open, FileAccess.Write);
                RandomAccess.Write(handle, [1, 2, 3], 4_000_000);
            }
            File.SetLastWriteTimeUtc(copy, File.GetLastWriteTimeUtc(file));
        }
        Thread.Sleep(200); // the change times are older than the backup
        var began = BackUp(test);
        var fault = Assert.Throws<HoldfastException>(() => Compare(test, began, other));
        Assert.Equal(ErrorCode.RestoreMismatch, fault.Code);
        Assert.StartsWith("1 of 44 ", fault.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(test["proof"]));
    }
}
