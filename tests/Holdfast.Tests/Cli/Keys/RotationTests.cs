using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Cli.Keys;

/// <summary>Rotations that are cut short or meet: whatever happens, the key folder opens all that is in the vault.</summary>
public sealed class RotationTests
{
    /// <summary>A vault with one backup, and its key folder.</summary>
    static TestVault Sample(out string keys)
    {
        var test = new TestVault();
        keys = test["keys"];
        new KeyFiles(keys).Write(test.Keys, null);
        test.Write("before", "bed 3");
        test.BackUp();
        return test;
    }

    static byte[] Secret(string keys) => Convert.FromBase64String(File.ReadAllText(Path.Combine(keys, KeyFolder.SecretFile)));

    static OpeningKeys Open(Vault vault, string keys) => new KeyFiles(keys).Open(vault, f => f.OpenWithRawKey(Secret(keys)));

    static uint Rotate(TestVault test, string keys, Disk disk)
    {
        using var vault = test.Open(disk);
        var files = new KeyFiles(keys, disk);
        using var opening = Open(vault, keys);
        return files.Rotate(vault, opening, (seed, epoch) => OpeningKeyFile.Create(vault.Id, epoch).AddRawKey(seed.Span, Secret(keys)));
    }

    static void AssertOpensAll(TestVault test, string keys)
    {
        using var vault = test.Open();
        using var opening = Open(vault, keys);
        Assert.Equal(vault.State.KeyEpoch, opening.Keyring.Epoch);
        foreach (var record in vault.State.Snapshots)
        {
            using var bytes = new MemoryStream();
            vault.Cat(record, opening, "before"u8.ToArray(), bytes, CancellationToken.None);
            Assert.Equal("bed 3"u8, bytes.ToArray());
        }
    }

    static void Copy(string from, string to)
    {
        if (Directory.Exists(to))
            Directory.Delete(to, recursive: true);
        Directory.CreateDirectory(to);
        foreach (var folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(folder.Replace(from, to, StringComparison.Ordinal));
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    [InlineData((int)Fault.Full)]
    public void A_rotation_that_dies_anywhere_locks_nobody_out(int kind)
    {
        using var test = Sample(out var keys);
        Copy(test.Folder, test["kept-vault"]);
        Copy(keys, test["kept-keys"]);
        var (began, calls) = (0, 0);
        for (; ; calls++)
        {
            Copy(test["kept-vault"], test.Folder);
            Copy(test["kept-keys"], keys);
            var disk = new FaultyDisk(calls, (Fault)kind);
            HoldfastException? fault = null;
            try
            {
                Rotate(test, keys, disk);
            }
            catch (HoldfastException e)
            {
                fault = e;
            }
            AssertOpensAll(test, keys);
            using (var vault = test.Open())
                began += vault.State.KeyEpoch == 2 && fault is not null ? 1 : 0;
            BackUp(test, keys);
            AssertOpensAll(test, keys);
            var epoch = Rotate(test, keys, Disk.Real);
            Assert.InRange(epoch, 2u, 3u);
            BackUp(test, keys);
            AssertOpensAll(test, keys);
            using (var vault = test.Open())
            {
                // What is backed up now is sealed to the epoch that has just begun.
                Assert.Equal(epoch, vault.State.Snapshots[^1].Object!.KeyEpoch);
                Assert.Equal(epoch, OpeningKeyFile.Parse(File.ReadAllBytes(Path.Combine(keys, KeyFolder.OpeningFile))).Epoch);
            }
            if (!disk.HasFailed)
                break;
        }
        Assert.InRange(calls, 20, 500);
        Assert.True(began > 3, "some died between the leaf and the last file");
    }

    static void BackUp(TestVault test, string keys)
    {
        using var vault = test.Open();
        using var put = PutKey.Parse(File.ReadAllBytes(Path.Combine(keys, KeyFolder.PutFile)));
        using var source = Holdfast.Sources.Files.FileSource.Open(test.Source, new());
        vault.BackUp(source, new("source"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test.State) { Options = new() { Threads = 2, UseState = false } },
            put, test.Keys.Agent, new(), CancellationToken.None);
    }

    /// <summary>The other rotation gets in between this one's look at the log and its leaf.</summary>
    [Fact]
    public void Of_two_rotations_at_once_one_wins_and_the_others_files_still_open_what_was_before()
    {
        using var test = Sample(out var keys);
        var copy = test["copy"];
        Copy(keys, copy);
        using (var vault = test.Open())
        {
            var files = new KeyFiles(copy);
            using var opening = Open(vault, copy);
            var refused = Assert.Throws<HoldfastException>(() => files.Rotate(vault, opening, (seed, epoch) =>
            {
                Assert.Equal(2u, Rotate(test, keys, Disk.Real));
                return OpeningKeyFile.Create(vault.Id, epoch).AddRawKey(seed.Span, Secret(copy));
            }));
            Assert.Equal(ErrorCode.WrongKey, refused.Code);
        }
        AssertOpensAll(test, keys);
        using var after = test.Open();
        Assert.Equal(2ul, after.State.KeyEpoch);
        Assert.Equal(2, after.State.Keyrings.Count);
        Assert.Equal(File.ReadAllBytes(Path.Combine(test["keys"], KeyFolder.SecretFile)), File.ReadAllBytes(Path.Combine(copy, KeyFolder.SecretFile)));
        using var loser = Open(after, copy);
        Assert.Equal(1u, loser.Keyring.Epoch);
        using var bytes = new MemoryStream();
        after.Cat(after.State.Snapshots[0], loser, "before"u8.ToArray(), bytes, CancellationToken.None);
        Assert.Equal("bed 3"u8, bytes.ToArray());
    }

    [Fact]
    public void A_key_folder_is_changed_by_one_command_at_a_time()
    {
        using var folder = new TempFolder();
        var path = Path.Combine(folder.Path, "lock");
        using (new KeyFiles(folder.Path).Alone())
            Assert.Throws<IOException>(() => new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None));
        new KeyFiles(folder.Path).Alone().Dispose();
        Assert.True(SpinWait.SpinUntil(IsFree, TimeSpan.FromSeconds(30))); // a process that another test starts has our files open for a moment

        bool IsFree()
        {
            try
            {
                new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }
}
