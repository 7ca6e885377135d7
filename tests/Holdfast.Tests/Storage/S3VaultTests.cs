using System.Text;
using Amazon.S3;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;
using Holdfast.Storage.S3;

namespace Holdfast.Tests.Storage;

/// <summary>A whole vault in a bucket of a real Ceph: what the log promises, the service says too, and nobody who has the keeper's credential, or the owner's, changes that.</summary>
[Collection(nameof(CephFixture))]
public sealed class S3VaultTests(CephFixture ceph) : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly List<TestVault> _vaults = [];
    readonly string _prefix = $"{Guid.NewGuid():n}";

    public void Dispose() => _vaults.ForEach(v => v.Dispose());

    string Place => S3Place.Parse($"s3:{ceph.Cluster.Endpoint}{ceph.Bucket}/{_prefix}").ToString();

    static byte[] Credential((string Id, string AccessKey, string SecretKey) user) => Encoding.ASCII.GetBytes($"{user.AccessKey}\n{user.SecretKey}\n");

    TestVault Made()
    {
        var test = new TestVault(stores: S3Stores.Instance, place: Place, credential: Credential(CephCluster.Keeper));
        _vaults.Add(test);
        test.WriteSome();
        return test;
    }

    static void AssertHeld(Vault vault)
    {
        var store = Assert.IsType<S3Store>(vault.Keeper.Store);
        foreach (var (name, pack) in vault.State.NamedPacks().Packs)
            Assert.True(store.LockedUntil(StoreKind.Pack, name) >= pack.LockEnd);
        foreach (var (name, end) in vault.State.ObjectLocks())
            Assert.True(store.LockedUntil(StoreKind.Object, name) >= end);
        var last = vault.State.Snapshots.Max(s => s.Expiry);
        Assert.All(vault.State.Objects, name => Assert.True(store.LockedUntil(StoreKind.Object, name) >= last));
    }

    [Fact]
    public void A_backup_is_locked_by_the_service_and_comes_back_whole()
    {
        var test = Made();
        test.BackUp();
        test.WriteSome(2);
        test.BackUp();
        using (var vault = test.Open())
            AssertHeld(vault);
        Assert.False(Directory.Exists(Path.Combine(test.Folder, "packs")));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(test.Folder, "staging")));
        Assert.Empty(test.Verify(full: true).Defects);
        TestVault.AssertSame(test.Source, test.Restore());
        File.Delete(Path.Combine(test.Folder, "keeper", "pins")); // on a keeper that remembers nothing
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Whoever_has_the_credentials_takes_nothing_from_a_snapshot(bool isOwner)
    {
        var test = Made();
        test.BackUp();
        var attacker = isOwner ? ceph.Owner : ceph.Keeper;
        var refused = 0;
        foreach (var version in ceph.Owner.Versions(ceph.Bucket, $"{_prefix}/").Where(v => !v.Key.Contains("probe", StringComparison.Ordinal)))
        {
            foreach (var bypass in new bool?[] { null, true })
            {
                Assert.ThrowsAny<AmazonS3Exception>(() => attacker.Delete(ceph.Bucket, version.Key, version.VersionId, bypass));
                refused++;
            }
            attacker.Put(ceph.Bucket, version.Key, "nothing"u8.ToArray()); // a version over it
            if (isOwner)
                attacker.Delete(ceph.Bucket, version.Key); // and a marker that hides it
        }
        Assert.True(refused > 10);
        TestVault.AssertSame(test.Source, test.Restore());
        File.Delete(Path.Combine(test.Folder, "keeper", "pins"));
        TestVault.AssertSame(test.Source, test.Restore());
        test.WriteSome(3);
        test.BackUp();
        TestVault.AssertSame(test.Source, test.Restore());
        using var vault = test.Open();
        AssertHeld(vault);
    }

    [Fact]
    public void A_keeper_whose_clock_runs_ahead_removes_nothing_though_it_has_the_right()
    {
        var test = Made();
        test.BackUp();
        test.Machine.Pass(90 * Day); // its own clock, by both its sources
        test.WriteSome(2);
        test.BackUp();
        Disk.Real.Replace(Path.Combine(test.Folder, "keeper", S3Stores.RemoverFile), Credential(CephCluster.Owner));
        var before = ceph.Owner.Versions(ceph.Bucket, $"{_prefix}/").Count;
        using var vault = test.Open();
        var first = vault.State.Snapshots[0];
        Assert.Empty(vault.Keeper.Expire(dryRun: false).Names); // the service says that it is not so late
        Assert.Equal(TimeState.Frozen, vault.Keeper.Time().State);
        using var remover = (IDisposable)S3Stores.Instance.Remover(vault.Keeper.ObjectStore!, test.Folder)!;
        Assert.All(vault.State.PacksOf(first)!.ToList(), p => Assert.Equal(1, ((IRemover)remover).Remove(StoreKind.Pack, p.Name))); // and that it is locked
        Assert.Equal(before, ceph.Owner.Versions(ceph.Bucket, $"{_prefix}/").Count);
        Assert.All(vault.State.PacksOf(first)!.ToList(), p => Assert.NotNull(vault.Keeper.Store.Open(StoreKind.Pack, p.Name)));
    }

    [Fact]
    public void What_no_lock_holds_any_more_goes()
    {
        var test = Made();
        using var vault = test.Open();
        var store = (ILockingStore)vault.Keeper.Store;
        var soon = (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 15;
        var bytes = TestVault.Noise(1, 10_000);
        var name = new Hash32(System.Security.Cryptography.SHA256.HashData(bytes));
        store.EntryLock = soon;
        using (var staged = store.Stage())
        {
            staged.Append(bytes);
            Assert.True(store.Enter(staged, StoreKind.Pack, name));
        }
        Disk.Real.Replace(Path.Combine(test.Folder, "keeper", S3Stores.RemoverFile), Credential(CephCluster.Owner));
        var remover = S3Stores.Instance.Remover(Place, test.Folder)!;
        using (remover as IDisposable)
        {
            Assert.Equal(1, remover.Remove(StoreKind.Pack, name));
            Assert.True(SpinWait.SpinUntil(() => remover.Remove(StoreKind.Pack, name) == 0, TimeSpan.FromSeconds(90)));
        }
        Assert.Null(store.Open(StoreKind.Pack, name));
        Assert.Null(S3Stores.Instance.Remover(Place, test["nowhere"]));
    }

    [Fact]
    public void Two_vaults_never_share_a_place()
    {
        Made();
        Assert.Equal(ErrorCode.VaultExists, Assert.Throws<HoldfastException>(Made).Code);
    }

    [Fact]
    public void A_bucket_that_holds_nothing_makes_no_vault()
    {
        var bucket = ceph.Cluster is not null ? ceph.NewBucket(isLocked: false, policy: "") : "";
        using var folder = new TempFolder();
        var made = Assert.Throws<HoldfastException>(() => new TestVault(stores: S3Stores.Instance, place: $"s3:{ceph.Cluster!.Endpoint}{bucket}/x", credential: Credential(CephCluster.Owner), parent: folder.Path));
        Assert.Equal(ErrorCode.StoreUnsafe, made.Code);
        Assert.Empty(Directory.EnumerateFiles(folder.Path, VaultFile.Name, SearchOption.AllDirectories));
    }
}
