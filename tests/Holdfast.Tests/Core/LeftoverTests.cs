using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What a run leaves behind when it is killed, and what a run must do without.</summary>
public sealed class LeftoverTests
{
    static string Left(TestVault test, string name, TimeSpan age)
    {
        var path = Path.Combine(test.Folder, "staging", name);
        File.WriteAllText(path, "a pack that was cut short");
        File.SetLastWriteTimeUtc(path, DateTime.UtcNow - age);
        return path;
    }

    [Fact]
    public void What_a_killed_run_left_in_staging_goes_with_the_next_and_what_is_being_written_stays()
    {
        using var test = new TestVault();
        test.Write("a", "a");
        var dead = Left(test, "dead", TimeSpan.FromMinutes(5));
        var young = Left(test, "young", TimeSpan.Zero);
        using var vault = test.Open();
        using var staged = vault.Keeper.Store.Stage();
        staged.Append("alive"u8);
        var alive = Directory.EnumerateFiles(Path.Combine(test.Folder, "staging")).Single(f => f != dead && f != young);
        File.SetLastWriteTimeUtc(alive, DateTime.UtcNow - TimeSpan.FromDays(30)); // a source that gives its next byte when it likes

        test.BackUp();

        Assert.False(File.Exists(dead));
        Assert.True(File.Exists(young));
        Assert.True(File.Exists(alive));
        Assert.True(vault.Keeper.Store.Enter(staged, StoreKind.Object, new Hash32(System.Security.Cryptography.SHA256.HashData("alive"u8))));
    }

    [Fact]
    public void Expiry_sweeps_staging_too()
    {
        using var test = new TestVault();
        var dead = Left(test, "dead", TimeSpan.FromMinutes(5));
        using var vault = test.Open();
        vault.Keeper.Expire(dryRun: false);
        Assert.False(File.Exists(dead));
    }

    [Fact]
    public void What_a_killed_run_left_of_its_state_goes_with_the_next()
    {
        using var test = new TestVault();
        test.Write("a", "a");
        test.BackUp();
        var state = Directory.EnumerateFiles(test.State, "*.state", SearchOption.AllDirectories).Single();
        var dead = $"{state}.{Id16.New()}.new";
        File.WriteAllText(dead, "half");
        File.SetLastWriteTimeUtc(dead, DateTime.UtcNow - TimeSpan.FromMinutes(5));
        test.BackUp();
        Assert.Equal([state], Directory.EnumerateFiles(test.State, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Without_a_place_for_its_state_a_run_commits_all_the_same()
    {
        using var test = new TestVault();
        test.WriteSome();
        File.WriteAllText(test.State, "a file stands where the folder should be");
        Assert.False(test.BackUp().IsRemembered);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void A_state_that_cannot_take_its_name_costs_the_next_run_its_reading_only()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var state = Directory.EnumerateFiles(test.State, "*.state", SearchOption.AllDirectories).Single();
        File.Delete(state);
        Directory.CreateDirectory(Path.Combine(state, "in the way"));
        Assert.False(test.BackUp().IsRemembered);
        Assert.Empty(Directory.EnumerateFiles(test.State, "*", SearchOption.AllDirectories));
        Directory.Delete(state, recursive: true);
        var next = test.BackUp();
        Assert.True(next.IsRemembered);
        Assert.True(next.Archive.BytesRead > 9_700_000);
    }
}
