using System.Diagnostics;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Tests.Core;

/// <summary>A file of the vault that is lost or cannot be read costs nothing where another copy of it is sound.</summary>
public sealed class LostObjectTests
{
    static string PathOf(TestVault test, string part, Hash32 name) => Path.Combine(test.Folder, part, $"{name}"[..2], $"{name}");

    static readonly Dictionary<string, Action<string>> Ways = new()
    {
        ["deleted"] = File.Delete,
        ["flipped"] = path =>
        {
            var bytes = File.ReadAllBytes(path);
            bytes[^1] ^= 1;
            File.WriteAllBytes(path, bytes);
        },
        ["cut short"] = path => File.WriteAllBytes(path, File.ReadAllBytes(path)[..^1]),
        ["empty"] = path => File.WriteAllBytes(path, []),
        ["a folder"] = path =>
        {
            File.Delete(path);
            Directory.CreateDirectory(path);
        },
    };

    public static TheoryData<string, string> Losses()
    {
        var losses = new TheoryData<string, string>();
        foreach (var way in Ways.Keys)
        {
            losses.Add(way, "");
            losses.Add(way, ".1");
        }
        return losses;
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void What_a_vault_is_lost_without_lies_there_twice_and_is_copied_again(string way, string copy)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Hash32[] names;
        using (var vault = test.Open())
            names = [vault.Keeper.File.Genesis, vault.State.Keyring, .. vault.State.Objects];
        Assert.True(names.Distinct().Count() >= 4); // with the enrolments of agent and writer
        foreach (var name in names.Distinct())
            Ways[way](PathOf(test, "objects", name) + copy);
        TestVault.AssertSame(test.Source, test.Restore());
        test.Write("more", "more");
        test.BackUp(); // writes a copy again of those that all depends on
        Assert.All(names[..2], name => Assert.Equal(2, Directory.EnumerateFiles(Path.Combine(test.Folder, "objects", $"{name}"[..2]), $"{name}*")
            .Count(path => new Hash32(SHA256.HashData(File.ReadAllBytes(path))) == name)));
    }

    [Fact]
    public void A_pack_of_which_only_a_further_copy_is_left_is_restored_with_a_new_index_and_with_the_old()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        TestVault.AssertSame(test.Source, test.Restore()); // the index has them
        foreach (var pack in Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).ToList())
            File.Move(pack, pack + ".1");
        TestVault.AssertSame(test.Source, test.Restore());
        using (var vault = test.Open())
            vault.ForgetIndex();
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>Each leaf of the log, one after the other, is not what was signed any more: what it said is gone, and nobody is accused of it. All that the first one says is in the genesis.</summary>
    [Fact]
    public void A_damaged_leaf_costs_what_it_said_and_accuses_nobody()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.WriteSome(2);
        var latest = test.BackUp();
        var path = Directory.EnumerateFiles(Path.Combine(test.Folder, "log/tile/entries"), "*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!;
        var sound = File.ReadAllBytes(path);
        var leaves = sound.Length / (2 + Leaf.Size);
        Assert.True(leaves >= 6);
        Dictionary<int, ErrorCode> unrestored = [];
        for (var leaf = 0; leaf < leaves; leaf++)
        {
            var bytes = sound.ToArray();
            bytes[leaf * (2 + Leaf.Size) + 2 + 70] ^= 1; // in what it names
            File.WriteAllBytes(path, bytes);
            using (var vault = test.Open())
            {
                Assert.Equal(ErrorCode.LogDamaged, vault.Keeper.LogFault!.Code);
                Assert.DoesNotContain(vault.Health().Problems, p => p.Code is ErrorCode.ObjectDamaged or ErrorCode.PackDamaged or ErrorCode.LeafRefused or ErrorCode.SnapshotDefective);
                Assert.True(Assert.Throws<HoldfastException>(() => test.BackUp(vault)) is { Code: ErrorCode.LogDamaged } fault && fault.Message.Contains($"(number {leaf})", StringComparison.Ordinal));
            }
            try
            {
                TestVault.AssertSame(test.Source, test.Restore(latest.Snapshot.ToString()));
            }
            catch (HoldfastException e)
            {
                unrestored[leaf] = e.Code;
                Assert.DoesNotContain("who made", e.Guidance, StringComparison.Ordinal);
            }
        }
        Assert.Equal([ErrorCode.SnapshotMissing, ErrorCode.SnapshotRefused], unrestored.Values.Order()); // its own commit; its agent's enrolment
    }

    /// <summary>What a line of the file `vault` says wrongly is no word against the log, which is signed, nor against the objects that it names.</summary>
    [Theory]
    [InlineData("id")]
    [InlineData("genesis")]
    [InlineData("id", "genesis")]
    public void A_damaged_line_of_the_file_vault_is_told_as_that_and_with_the_right_one(params string[] damaged)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var path = Path.Combine(test.Folder, VaultFile.Name);
        var whole = File.ReadAllLines(path);
        File.WriteAllLines(path, whole.Select(l => damaged.Contains(l.Split(' ')[0]) ? l[..^1] + (l[^1] == '5' ? '4' : '5') : l));
        using (var vault = test.Open())
        {
            var fault = vault.Keeper.LogFault!;
            Assert.Equal(ErrorCode.LogDamaged, fault.Code);
            Assert.All(damaged, name => Assert.Contains($"`{name}`", fault.Message, StringComparison.Ordinal));
            Assert.All(damaged, name => Assert.Contains($"`{whole.Single(l => l.StartsWith(name, StringComparison.Ordinal))}`", fault.Guidance, StringComparison.Ordinal));
            Assert.Empty(vault.Health().Problems);
            Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(vault.Keeper.RequireWritable).Code);
        }
        Assert.True(test.Verify(full: true).IsSound);
        TestVault.AssertSame(test.Source, test.Restore());
        File.WriteAllLines(path, whole);
        test.BackUp();
    }

    [Fact]
    public void A_damaged_key_in_the_file_vault_is_in_put_key_too()
    {
        using var test = new TestVault();
        var path = Path.Combine(test.Folder, VaultFile.Name);
        var whole = File.ReadAllText(path);
        var at = whole.IndexOf("log ", StringComparison.Ordinal) + 30;
        File.WriteAllText(path, whole[..at] + (whole[at] == '5' ? '4' : '5') + whole[(at + 1)..]);
        var fault = Assert.Throws<HoldfastException>(() => test.Open());
        Assert.Equal(ErrorCode.LogDamaged, fault.Code);
        Assert.StartsWith("Put the file back", fault.Guidance, StringComparison.Ordinal);
        File.WriteAllBytes(test["put.key"], test.Keys.Put.ToText());
        using var shell = Process.Start(new ProcessStartInfo("bash", ["-c", fault.Guidance.Split('`')[5]]) { WorkingDirectory = Path.GetDirectoryName(test.Folder)!, RedirectStandardOutput = true })!;
        Assert.Equal(whole.Split('\n')[2], $"log {shell.StandardOutput.ReadToEnd().TrimEnd()}");
    }

    /// <summary>An index above its ceiling reads its blocks when they are asked for: one that is bad is met in the middle of a restore.</summary>
    [Fact]
    public void A_damaged_block_of_the_index_costs_a_restore_no_more_than_a_second_run()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var run = Directory.EnumerateFiles(Path.Combine(test.Folder, "cache", "index"), "run-*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!;
        var bytes = File.ReadAllBytes(run);
        bytes[^4096] ^= 1; // in its only block
        File.WriteAllBytes(run, bytes);
        Assert.Equal(ErrorCode.IndexDamaged, Assert.Throws<HoldfastException>(() => test.Restore(open: v => v.IndexCeiling = 0)).Code);
        TestVault.AssertSame(test.Source, test.Restore(open: v => v.IndexCeiling = 0));
    }
}
