using Holdfast.Cli.Keys;
using Holdfast.Core;

namespace Holdfast.Tests.Cli.Keys;

/// <summary>Commands that run at once, and keep in one key folder how far the log has come.</summary>
public sealed class LogMemoryTests
{
    static LogMemory Memory(TestVault test) => new(Directory.CreateDirectory(test["keys"]).FullName);

    static void BackUp(TestVault test, LogMemory memory)
    {
        test.Write("f", "bed 3");
        test.BackUp();
        using var vault = test.Open();
        Assert.Null(memory.Compare(vault));
        Assert.Null(memory.Keep(vault));
    }

    [Fact]
    public void What_another_command_added_since_this_one_began_is_no_log_that_was_put_back()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        using var slow = test.Open();
        BackUp(test, memory);
        Assert.Null(memory.Compare(slow));
        Assert.Equal(memory.Seen!.Size, slow.Keeper.Log.Size);
        Assert.Single(slow.State.Snapshots);
    }

    [Fact]
    public void A_command_that_saw_less_takes_nothing_from_what_another_kept()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        using var slow = test.Open();
        Assert.Null(memory.Compare(slow));
        BackUp(test, memory);
        Assert.Null(memory.Keep(slow));
        Assert.True(memory.Seen!.Size > slow.Keeper.Log.Size);
    }

    [Fact]
    public void A_log_that_was_put_back_is_told_all_the_same()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        var log = Path.Combine(test.Folder, "log");
        Directory.Move(log, test["log"]);
        Copy(test["log"], log);
        BackUp(test, memory);
        Directory.Move(log, test["later"]);
        Directory.Move(test["log"], log);
        using var vault = test.Open();
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => memory.Compare(vault)).Code);
    }

    static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var path = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Copy(file, path);
        }
    }
}
