using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>A failed or torn write at every call that changes the vault's folders, one run for each: what was there stays, and the next run goes on.</summary>
public sealed class CrashTests
{
    const int MostCalls = 2_000; // far above what any of these takes

    static TestVault Small()
    {
        var test = new TestVault();
        for (var i = 0; i < 5; i++)
            test.Write($"f{i}", $"file {i}");
        test.BackUp();
        for (var i = 0; i < 5; i++)
            test.Write($"g{i}", TestVault.Noise(i, 600_000)); // frames of their own
        return test;
    }

    static void Copy(string from, string to)
    {
        foreach (var folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(folder.Replace(from, to, StringComparison.Ordinal));
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal), overwrite: true);
    }

    static void Reset(TestVault test, string kept)
    {
        Directory.Delete(test.Folder, recursive: true);
        Copy(kept, test.Folder);
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    [InlineData((int)Fault.Full)]
    public void A_backup_that_dies_anywhere_loses_nothing(int kind)
    {
        using var test = Small();
        AtEveryCall(test, call =>
        {
            var disk = new FaultyDisk(call, (Fault)kind);
            HoldfastException? fault = null;
            try
            {
                test.BackUp(disk, useState: false);
            }
            catch (HoldfastException e)
            {
                fault = e;
            }
            if (!disk.HasFailed)
                return false;
            if (fault is not null && (Fault)kind == Fault.Full)
                Assert.Equal(ErrorCode.DiskFull, fault.Code);
            using (var vault = test.Open())
            {
                Assert.InRange(vault.State.Snapshots.Count, 1, 2);
                // An acknowledged snapshot is there; one that is there is whole.
                if (fault is null)
                    Assert.Equal(2, vault.State.Snapshots.Count);
                Assert.DoesNotContain(test.Verify(full: false).Defects, d => d.Kind != Holdfast.Core.Restore.DefectKind.Foreign);
            }
            test.BackUp(useState: false);
            TestVault.AssertSame(test.Source, test.Restore());
            AssertNothingTwice(test);
            if ((Fault)kind == Fault.Full)
                AssertLocksCanBeExtended(test);
            return true;
        });
    }

    [Fact]
    public void What_a_killed_run_named_is_durable_before_a_later_run_commits_it()
    {
        using var test = Small();
        AtEveryCall(test, call =>
        {
            var names = new UnsyncedNames();
            var killed = new FaultyDisk(call, Fault.Stop, names);
            Dies(() => test.BackUp(killed, useState: false));
            if (!killed.HasFailed)
                return false;
            test.BackUp(new FaultyDisk(int.MaxValue, Fault.Stop, names), useState: false);
            names.Lose();
            Assert.DoesNotContain(test.Verify(full: false).Defects, d => d.Kind != Holdfast.Core.Restore.DefectKind.Foreign);
            TestVault.AssertSame(test.Source, test.Restore());
            return true;
        });
    }

    /// <summary>The same from the same vault, once for each call that is made of the disk.</summary>
    /// <param name="test">The vault.</param>
    /// <param name="dies">Gets the number of the call that fails; false where there was no such call any more.</param>
    /// <param name="least">Calls that there are at least.</param>
    static void AtEveryCall(TestVault test, Func<int, bool> dies, int least = 30)
    {
        var kept = test["kept"];
        Directory.CreateDirectory(kept);
        Copy(test.Folder, kept);
        var calls = 0;
        for (; calls < MostCalls; calls++)
        {
            Reset(test, kept);
            if (!dies(calls))
                break;
        }
        Assert.InRange(calls, least, MostCalls - 1);
    }

    static void AssertNothingTwice(TestVault test)
    {
        using var vault = test.Open();
        var seen = new HashSet<Hash32>();
        foreach (var pack in vault.Keeper.Store.List(StoreKind.Pack))
        {
            using var reader = PackReader.OpenFooter(vault.Keeper.Store, pack.Name, vault.Id, test.Keys.Put.Domain);
            foreach (var id in reader.Footer.Ids)
                Assert.True(seen.Add(id), "a chunk was stored twice");
        }
    }

    static void AssertLocksCanBeExtended(TestVault test)
    {
        using var vault = test.Open();
        var record = vault.State.Snapshots[0];
        vault.Keeper.Extend(record.Snapshot, record.Expiry + 1, Id16.None);
        Assert.Equal(record.Expiry, vault.State.Snapshots[0].Expiry);
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    public void An_expiry_that_dies_anywhere_takes_nothing_that_is_locked(int kind)
    {
        using var test = Small();
        test.Machine.Pass(20 * TestVault.Day);
        for (var i = 0; i < 5; i++)
            File.Delete(Path.Combine(test.Source, $"f{i}"));
        test.BackUp();
        test.Machine.Pass(26 * TestVault.Day); // the first snapshot's lock and margin are over, the second's are not
        AtEveryCall(test, call =>
        {
            var disk = new FaultyDisk(call, (Fault)kind);
            try
            {
                using var vault = test.Open(disk);
                vault.Keeper.Expire(dryRun: false);
            }
            catch (HoldfastException)
            {
                // As a crash.
            }
            TestVault.AssertSame(test.Source, test.Restore());
            using (var vault = test.Open())
                vault.Keeper.Expire(dryRun: false);
            TestVault.AssertSame(test.Source, test.Restore());
            Assert.DoesNotContain(test.Verify(full: false).Defects, d => d.Kind != Holdfast.Core.Restore.DefectKind.Foreign);
            return disk.HasFailed;
        }, least: 5);
    }

    [Fact]
    public void A_vault_whose_making_dies_anywhere_is_a_vault_or_none()
    {
        using var folder = new TempFolder();
        var machine = new FakeMachine();
        var settings = new NewVault(VaultKind.Real, new RetentionPolicy(TestVault.Day, 0, 0, 0, 0, 0), TestVault.Day, 10 * TestVault.Day, 1 << 20);
        var (keysBefore, putAside) = (0, 0);
        var calls = 500; // before that, only the store's 512 folders are made
        for (; calls < MostCalls; calls++)
        {
            var path = folder[$"v{calls}"];
            var keys = folder[$"k{calls}"];
            var disk = new FaultyDisk(calls, Fault.Stop);
            Dies(() => Make(path, keys, disk));
            if (File.Exists(Path.Combine(path, VaultFile.Name)))
            {
                AssertOpens(path, keys);
            }
            else
            {
                Assert.Equal(ErrorCode.VaultMissing, Assert.Throws<HoldfastException>(() => Vault.Open(path, null, machine)).Code);
                keysBefore += File.Exists(Path.Combine(keys, KeyFolder.PutFile)) ? 1 : 0;
                Make(path, keys, Disk.Real);
                putAside += Directory.EnumerateFiles(keys, "*.unused-*").Any() ? 1 : 0;
                AssertOpens(path, keys);
            }
            Directory.Delete(path, recursive: true);
            Directory.Delete(keys, recursive: true);
            if (!disk.HasFailed)
                break;
        }
        Assert.InRange(calls, 520, MostCalls - 1);
        Assert.True(keysBefore > 0, "keys were written before the folder became a vault");
        Assert.Equal(keysBefore, putAside);

        // As `init` does it, with the same disk for vault and keys.
        void Make(string path, string keys, Disk disk)
        {
            var files = new KeyFiles(keys, disk);
            var unfinished = VaultKeeper.Unfinished(path);
            files.RequireFree(unfinished);
            files.PutAside(unfinished);
            var (vault, made) = Vault.Create(path, settings, k => files.Write(k, null), disk, machine);
            vault.Dispose();
            made.Dispose();
        }

        void AssertOpens(string path, string keys)
        {
            using var vault = Vault.Open(path, null, machine);
            using var put = Holdfast.Core.Keys.PutKey.Parse(File.ReadAllBytes(Path.Combine(keys, KeyFolder.PutFile)));
            using var agent = Holdfast.Core.Keys.AgentKey.Parse(File.ReadAllBytes(Path.Combine(keys, KeyFolder.AgentFile)));
            vault.Require(put);
            Assert.Equal(vault.Id, agent.Vault);
            var secret = Convert.FromBase64String(File.ReadAllText(Path.Combine(keys, KeyFolder.SecretFile)));
            using var seed = OpeningKeyFile.Parse(File.ReadAllBytes(Path.Combine(keys, KeyFolder.OpeningFile))).OpenWithRawKey(secret);
            vault.Unlock(seed).Dispose();
        }
    }

    /// <summary>True where it ends with a fault, as a crash does.</summary>
    static bool Dies(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (HoldfastException)
        {
            return true;
        }
    }

    [Fact]
    public void A_torn_index_run_of_any_length_is_rebuilt()
    {
        using var test = Small();
        test.BackUp();
        var run = Directory.EnumerateFiles(Path.Combine(test.Folder, "cache"), "run-*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First();
        var whole = File.ReadAllBytes(run);
        var domain = test.Keys.Put.Domain;
        using var vault = test.Open();
        var packs = vault.Keeper.Store.List(StoreKind.Pack).Select(p => p.Name).ToList();
        for (var length = 0; length < whole.Length; length += 61)
        {
            File.WriteAllBytes(run, whole[..length]);
            using var index = ChunkIndex.Open(Path.GetDirectoryName(run)!, vault.Id, domain);
            Assert.DoesNotContain(index.Packs(), p => !packs.Contains(p.Name));
            index.AddMissing(vault.Keeper.Store, packs, null, CancellationToken.None);
            Assert.All(packs, p => Assert.True(index.Knows(p)));
        }
    }
}
