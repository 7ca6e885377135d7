using System.Text.Json;
using Holdfast.Core;
using Holdfast.Tests.Storage;

namespace Holdfast.SystemTests;

/// <summary>A vault in a bucket of a real Ceph, from the command line.</summary>
[Collection(nameof(CephFixture))]
public sealed class ObjectStoreTests(CephFixture ceph) : IDisposable
{
    readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    string Place(string? bucket = null) => $"s3:{ceph.Cluster.Endpoint}{bucket ?? ceph.Bucket}/{Guid.NewGuid():n}";

    string Credential((string Id, string AccessKey, string SecretKey) user, string mode = "600")
    {
        File.WriteAllBytes(_cli["store.key"], System.Text.Encoding.ASCII.GetBytes($"{user.AccessKey}\n{user.SecretKey}\n"));
        _cli.Shell($"chmod {mode} store.key");
        return _cli["store.key"];
    }

    Result Init(string place, string credential) => _cli.Run("init", _cli["vault"], "--lock", "2d", "--store", place, "--store-key", credential);

    [Fact]
    public void A_vault_in_a_bucket_takes_backups_and_gives_them_back()
    {
        var place = Place();
        var made = Init(place, Credential(CephCluster.Keeper)).Expect(0);
        Assert.Contains("are locked there too", made.Out, StringComparison.Ordinal);
        Assert.DoesNotContain(CephCluster.Keeper.SecretKey, made.Out + made.Error, StringComparison.Ordinal);
        _cli.Write("a/b.bin", Cli.Noise(1, 3_000_000));
        _cli.Write("c.txt", "what a ward needs"u8.ToArray());
        _cli.Run("backup", _cli["source"], "--name", "ward").Expect(0);
        _cli.Write("c.txt", "what a ward needs today"u8.ToArray());
        _cli.Run("backup", _cli["source"], "--name", "ward").Expect(0);
        _cli.Run("restore", "latest", _cli["back"]).Expect(0);
        _cli.Shell("diff -r source back");
        Assert.Contains("each is as long as the log says", _cli.Run("verify", "--full").Expect(0).Out, StringComparison.Ordinal);
        var status = _cli.Run("status").Expect(0).Out;
        Assert.Contains("Protection level 3 of 4", status, StringComparison.Ordinal);
        Assert.Contains("locked there by Object Lock", status, StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, JsonDocument.Parse(_cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("freeBytes").ValueKind);
        _cli.Run("lock", "latest", "--until", DateTimeOffset.UtcNow.AddDays(20).ToString("yyyy-MM-dd", null)).Expect(0);
        Assert.Contains("each is as long as the log says", _cli.Run("verify").Expect(0).Out, StringComparison.Ordinal);
        Assert.Equal("600", _cli.Shell("stat -c %a vault/keeper/store.key").Out.Trim());
        Assert.False(Directory.Exists(_cli["vault/packs"]));
        _cli.Run("store", "add", _cli["more"]).Expect((int)ErrorCode.Usage);
    }

    [Fact]
    public void What_has_no_locks_makes_no_vault_and_says_what_to_do()
    {
        var keeper = Credential(CephCluster.Keeper);
        Assert.Contains("no Object Lock", Init(Place(ceph.NewBucket(isLocked: false)), keeper).Expect((int)ErrorCode.StoreUnsafe).Error, StringComparison.Ordinal);
        Assert.Contains("user of its own", Init(Place(), Credential(CephCluster.Owner)).Expect((int)ErrorCode.StoreUnsafe).Error, StringComparison.Ordinal);
        Init(Place(), Credential(CephCluster.Keeper, "644")).Expect((int)ErrorCode.KeyFileBad);
        Init(Place().Replace("s3:http:", "s3:ftp:", StringComparison.Ordinal), Credential(CephCluster.Keeper)).Expect((int)ErrorCode.Usage);
        _cli.Run("init", _cli["vault"], "--store", Place()).Expect((int)ErrorCode.Usage);
        _cli.Run("init", _cli["vault"], "--store-key", keeper).Expect((int)ErrorCode.Usage);
        Assert.False(File.Exists(_cli["vault/vault"]));
        Assert.False(Directory.Exists(_cli["keys"]) && Directory.EnumerateFiles(_cli["keys"], "*.key").Any());
        Init(Place(), keeper).Expect(0); // the same folder, once the place is right
    }
}
