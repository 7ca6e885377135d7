using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

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
    public void What_these_keys_go_on_with_is_kept_in_its_own_place_alone()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        BackUp(test, memory);
        var (place, seen) = (memory.Place, memory.Seen!.Note);
        Copy(test.Folder, test["copy"]);
        Directory.Move(test.Folder, test["away"]);
        using var copy = Vault.Open(test["copy"]);
        Assert.True(memory.Compare(copy)!.MayBeMoved);
        Assert.Null(memory.Keep(copy, toChange: true));
        Assert.Equal((place, seen), (memory.Place, memory.Seen!.Note));
        memory.Accept(copy);
        Assert.Null(memory.Compare(copy));
    }

    [Fact]
    public void Of_commands_that_keep_at_once_the_one_that_saw_most_is_remembered()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        using var slow = test.Open();
        Assert.Null(memory.Keep(slow));
        BackUp(test, memory);
        using var fast = test.Open();
        for (var round = 0; round < 60; round++)
        {
            File.Delete(Path.Combine(test["keys"], LogMemory.CheckpointFile));
            Assert.Null(memory.Keep(slow));
            using var start = new Barrier(3);
            var words = new string?[3];
            var threads = new[] { slow, slow, fast }.Select((vault, i) => new Thread(() =>
            {
                start.SignalAndWait();
                words[i] = new LogMemory(test["keys"]).Keep(vault);
            })).ToList();
            threads.ForEach(t => t.Start());
            threads.ForEach(t => t.Join());
            Assert.All(words, Assert.Null);
            Assert.Equal(fast.Keeper.Log.Size, memory.Seen!.Size);
        }
        Assert.Equal([LogMemory.CheckpointFile, LogMemory.PlaceFile], Directory.EnumerateFileSystemEntries(test["keys"]).Select(Path.GetFileName).Order(StringComparer.Ordinal)); // nothing else is left there
    }

    [Fact]
    public void A_key_folder_that_is_not_there_or_that_somebody_holds_keeps_no_command_from_its_work()
    {
        using var folder = new TempFolder();
        using (var held = FolderLock.Take(folder.Path, TimeSpan.Zero))
        {
            Assert.NotNull(held);
            Assert.Null(FolderLock.Take(folder.Path, TimeSpan.FromMilliseconds(20)));
        }
        FolderLock.Take(folder.Path, TimeSpan.FromSeconds(10))!.Dispose(); // a process that another test starts has its descriptor until it runs its program
        Assert.Null(FolderLock.Take(folder["none"], TimeSpan.Zero));
        File.WriteAllText(folder["file"], "");
        Assert.Null(FolderLock.Take(folder["file"], TimeSpan.Zero));
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

    /// <summary>A bit that flipped is no attack, and what is damaged is not taken for none either.</summary>
    [Fact]
    public void Every_flip_in_what_is_remembered_is_told_as_damage()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        BackUp(test, memory);
        using var vault = test.Open();
        var key = vault.Keeper.Log.Key;
        Assert.False(memory.IsUnreadable(key, () => true));
        var file = Path.Combine(test["keys"], LogMemory.CheckpointFile);
        var whole = File.ReadAllBytes(file);
        for (var at = 0; at < whole.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var bytes = whole.ToArray();
                bytes[at] ^= (byte)(1 << bit);
                File.WriteAllBytes(file, bytes);
                Assert.True(memory.IsUnreadable(key, () => true) || memory.Seen!.IsSignedBy(key), $"bit {bit} of byte {at}"); // the last letter of a signature has bits that say nothing
                // Keys that do not say for which log they were made: what names this one's key is damaged, and else it is told as another log's.
                Assert.True(memory.IsUnreadable(key, () => false) || memory.Seen!.IsSignedBy(key) || Assert.Throws<HoldfastException>(() => memory.Compare(vault)).Code == ErrorCode.LogForked, $"bit {bit} of byte {at}");
            }
        }
    }

    [Fact]
    public void A_checkpoint_of_another_key_is_no_damage_where_the_keys_do_not_say_that_it_was_never_theirs()
    {
        using var test = new TestVault();
        var memory = Memory(test);
        BackUp(test, memory);
        using var vault = test.Open();
        using var signer = new Ed25519Signer(Enumerable.Repeat((byte)9, 32).ToArray());
        File.WriteAllText(Path.Combine(test["keys"], LogMemory.CheckpointFile), Checkpoint.Sign(vault.Keeper.Log.Key.Name, memory.Seen!.Size, memory.Seen.Root, signer).Note);
        Assert.False(memory.IsUnreadable(vault.Keeper.Log.Key, () => false));
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
