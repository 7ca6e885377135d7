using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;
using Holdfast.Storage.S3;

namespace Holdfast.Tests.Storage;

/// <summary>The store in a bucket of a real Ceph: what every store does, and what only one does that somebody else may write to as well.</summary>
[Collection(nameof(CephFixture))]
public sealed class S3StoreTests(CephFixture ceph) : StoreContract, IDisposable
{
    static readonly ulong Now = (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    readonly TempFolder _folder = new();
    readonly List<S3Store> _open = [];
    readonly string _prefix = $"{Guid.NewGuid():n}";

    S3Store Open(string? bucket = null, string pins = "pins", Uri? endpoint = null, S3Options? options = null)
    {
        var place = S3Place.Parse($"s3:{endpoint ?? ceph.Cluster.Endpoint}{bucket ?? ceph.Bucket}/{_prefix}");
        var store = S3Store.Open(place, CephFixture.Credentials, _folder[pins], _folder["staging"], options: options);
        _open.Add(store);
        return store;
    }

    protected override IStore NewStore() => Open();

    /// <summary>On another machine: without the pins.</summary>
    protected override IStore Again(IStore store) => Open(pins: $"{Guid.NewGuid()}");

    protected override void PutForeign(IStore store, string path) =>
        ceph.Owner.Put(ceph.Bucket, $"{_prefix}/packs/{path}", "x"u8.ToArray());

    public void Dispose()
    {
        _open.ForEach(s => s.Dispose());
        _folder.Dispose();
    }

    string Key(Hash32 name) => $"{_prefix}/packs/{name.ToString()[..2]}/{name}";

    List<S3ObjectVersion> Versions(Hash32 name) => ceph.Owner.Versions(ceph.Bucket, Key(name));

    void Overwrite(Hash32 name, byte[] with, DateTime? locked = null) => ceph.Keeper.Put(ceph.Bucket, Key(name), with, locked);

    static string Refused(Action attack) => Assert.ThrowsAny<AmazonS3Exception>(attack).ErrorCode;

    /// <summary>Whatever policy the bucket's owner makes. That the attacks would work is shown on a version without a lock.</summary>
    [Fact]
    public void What_is_entered_is_locked_at_birth_and_nobody_removes_or_unlocks_it()
    {
        var bucket = ceph.NewBucket();
        var store = Open(bucket);
        var (free, bytes) = (Noise(1, 10_000), Noise(2, 10_000));
        Enter(store, free);
        store.EntryLock = Now + 1_000;
        var before = store.Requests;
        Enter(store, bytes);
        Assert.Equal(before + 3, store.Requests); // a list, the bytes with their lock, a look: nothing that locks them afterwards
        ceph.Owner.SetPolicy(bucket, CephFixture.AllPower(bucket));
        foreach (var attacker in new[] { ceph.Keeper, ceph.Owner })
        {
            foreach (var bypass in new bool?[] { null, true })
            {
                Assert.Equal("AccessDenied", Refused(() => attacker.Delete(bucket, Key(NameOf(bytes)), VersionOf(bytes), bypass)));
                foreach (var mode in new[] { ObjectLockRetentionMode.Compliance, ObjectLockRetentionMode.Governance })
                    Assert.Equal("AccessDenied", Refused(() => attacker.Retain(bucket, Key(NameOf(bytes)), VersionOf(bytes), mode, Now + 500, bypass)));
            }
            attacker.Retain(bucket, Key(NameOf(free)), VersionOf(free), ObjectLockRetentionMode.Governance, Now + 500, bypass: true);
        }
        ceph.Keeper.Delete(bucket, Key(NameOf(free)), VersionOf(free), bypass: true);
        Assert.Null(Read(store, NameOf(free)));
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, NameOf(bytes)));
        Assert.Equal(bytes, Read(store, NameOf(bytes)));

        string VersionOf(byte[] of) => ceph.Owner.Versions(bucket, Key(NameOf(of))).Single().VersionId;
    }

    [Fact]
    public void A_lock_is_lengthened_and_never_shortened()
    {
        var store = Open();
        var bytes = Noise(1, 10_000);
        var name = NameOf(bytes);
        Assert.Null(store.LockedUntil(StoreKind.Pack, name));
        Assert.Equal(ErrorCode.PackMissing, Assert.Throws<HoldfastException>(() => store.Lock(StoreKind.Pack, name, Now + 1_000)).Code);
        Enter(store, bytes);
        Assert.Equal(0ul, store.LockedUntil(StoreKind.Pack, name));
        store.Lock(StoreKind.Pack, name, Now + 1_000);
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, name));
        store.Lock(StoreKind.Pack, name, Now + 500);
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, name));
        store.Lock(StoreKind.Pack, name, Now + 2_000);
        Assert.Equal(Now + 2_000, Open(pins: "none").LockedUntil(StoreKind.Pack, name));
    }

    [Fact]
    public void A_name_that_is_entered_again_is_locked_at_least_as_long_as_a_new_one()
    {
        var store = Open();
        var bytes = Noise(1, 10_000);
        Enter(store, bytes);
        store.EntryLock = Now + 1_000;
        Assert.False(Enter(store, bytes));
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, NameOf(bytes)));
        Assert.Single(Versions(NameOf(bytes)));
    }

    /// <summary>Ceph 16 takes a date after 2106-02-07, stores it without its upper bits, and so locks nothing.</summary>
    [Fact]
    public void No_lock_is_asked_for_that_would_wrap_around()
    {
        var store = Open();
        var bytes = Noise(1, 1_000);
        Enter(store, bytes);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => store.Lock(StoreKind.Pack, NameOf(bytes), LockRules.LastEnd + 1)).Code);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => store.EntryLock = ulong.MaxValue).Code);
        Assert.Equal(0ul, store.LockedUntil(StoreKind.Pack, NameOf(bytes)));
        Assert.Equal(0ul, store.EntryLock);
    }

    /// <summary>What a lock is worth on a Ceph before 2024 against who may lengthen one and remove versions, as the bucket's owner may after a word with the policy: a date whose upper bits are dropped ends the
    /// lock that is there. It is told when a vault is made; it shows, and the next lengthening locks again.</summary>
    [Fact]
    public void A_lock_that_somebody_wrapped_around_is_seen_and_set_again()
    {
        var bucket = ceph.NewBucket();
        var store = Open(bucket);
        store.EntryLock = Now + 1_000;
        var bytes = Noise(1, 1_000);
        var name = NameOf(bytes);
        Enter(store, bytes);
        var version = ceph.Owner.Versions(bucket, Key(name)).Single().VersionId;
        var told = store.Check()?.Code;
        ceph.Owner.SetPolicy(bucket, CephFixture.AllPower(bucket));
        Wrap();
        var isWrapped = store.LockedUntil(StoreKind.Pack, name) == 1_000_000;
        Assert.Equal(isWrapped ? ErrorCode.StoreUnsafe : null, told);
        Assert.SkipUnless(isWrapped, "this Ceph keeps the date as it is");
        store.Lock(StoreKind.Pack, name, Now + 1_000);
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, name));
        Assert.Equal("AccessDenied", Refused(() => ceph.Owner.Delete(bucket, Key(name), version)));
        Wrap();
        ceph.Owner.Delete(bucket, Key(name), version);
        Assert.Null(store.Open(StoreKind.Pack, name));

        void Wrap() => ceph.Owner.Retain(bucket, Key(name), version, ObjectLockRetentionMode.Compliance, (1ul << 32) + 1_000_000, bypass: null);
    }

    [Fact]
    public void A_lock_that_would_be_over_is_refused_and_nothing_stored_without_it()
    {
        var store = Open();
        store.EntryLock = Now - 1_000;
        var bytes = Noise(1, 1_000);
        Assert.Equal(ErrorCode.ClockInDoubt, Assert.Throws<HoldfastException>(() => Enter(store, bytes)).Code);
        Assert.Empty(Versions(NameOf(bytes)));
        store.EntryLock = 0;
        Enter(store, bytes);
        Assert.Equal(ErrorCode.ClockInDoubt, Assert.Throws<HoldfastException>(() => store.Lock(StoreKind.Pack, NameOf(bytes), Now - 1_000)).Code);
    }

    /// <summary>Ceph 16 ignores the lock in the request that begins an upload in parts.</summary>
    [Fact]
    public void What_is_sent_in_parts_is_locked_too()
    {
        var store = Open(options: new S3Options { PartsAbove = 10 << 20, PartSize = 5 << 20 });
        store.EntryLock = Now + 1_000;
        var bytes = Noise(1, 11_000_000);
        Assert.True(Enter(store, bytes));
        Assert.Equal(Now + 1_000, store.LockedUntil(StoreKind.Pack, NameOf(bytes)));
        Assert.Equal(bytes, Read(store, NameOf(bytes)));
        Assert.False(Enter(store, bytes));
        Assert.False(Enter(Open(pins: "none"), bytes));
        Assert.EndsWith("-3", Assert.Single(Versions(NameOf(bytes))).ETag.Trim('"'), StringComparison.Ordinal);
    }

    /// <summary>So that nobody has to clear it away after a crash.</summary>
    [Fact]
    public void What_waits_to_be_sent_has_no_name_on_the_staging_disk()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "elsewhere what is open keeps its name");
        var store = Open();
        var bytes = Noise(1, 3_000_000);
        using var staged = Staged(store, bytes);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder["staging"]));
        Assert.True(store.Enter(staged, StoreKind.Pack, NameOf(bytes)));
        Assert.Equal(bytes, Read(store, NameOf(bytes)));
    }

    /// <summary>Such as what memory or the staging disk has changed since it was hashed.</summary>
    [Theory]
    [InlineData(1_000)]
    [InlineData(6 << 20)] // in parts
    public void Bytes_go_under_no_other_name_than_their_own(int size)
    {
        var store = Open(options: new S3Options { PartsAbove = 5 << 20, PartSize = 5 << 20 });
        var name = NameOf(Noise(1, size));
        using var staged = Staged(store, Noise(2, size));
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => store.Enter(staged, StoreKind.Pack, name)).Code);
        Assert.Empty(Versions(name));
    }

    [Fact]
    public void A_delete_marker_hides_nothing()
    {
        var store = Open();
        var bytes = Noise(1, 10_000);
        var name = NameOf(bytes);
        Enter(store, bytes);
        ceph.Owner.Delete(ceph.Bucket, Key(name));
        Assert.Equal("NoSuchKey", Refused(() => ceph.Owner.Get(ceph.Bucket, Key(name))));
        foreach (var one in new[] { store, Open(pins: "none") })
        {
            Assert.Equal(bytes, Read(one, name));
            Assert.Equal([name], one.List(StoreKind.Pack).Select(n => n.Name));
            Assert.False(Enter(one, bytes));
            one.Lock(StoreKind.Pack, name, Now + 1_000);
            Assert.Equal(Now + 1_000, one.LockedUntil(StoreKind.Pack, name));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Whoever_writes_over_a_key_adds_a_copy_that_comes_after(bool isLocked)
    {
        var store = Open();
        store.EntryLock = Now + 1_000;
        var bytes = Noise(1, 10_000);
        var name = NameOf(bytes);
        Enter(store, bytes);
        var junk = Noise(2, 10_000);
        Overwrite(name, junk, isLocked ? DateTime.UtcNow.AddDays(1) : null);
        foreach (var one in new[] { store, Open(pins: "none") })
        {
            Assert.Equal(bytes, Read(one, name));
            Assert.Equal(junk, Read(one, name, copy: 1));
            Assert.Null(one.Open(StoreKind.Pack, name, copy: 2));
            Assert.Equal([(name, 0), (name, 1)], one.List(StoreKind.Pack).Select(n => (n.Name, n.Copy)));
            Assert.False(Enter(one, bytes));
            one.Lock(StoreKind.Pack, name, Now + 2_000);
            Assert.Equal(Now + 2_000, one.LockedUntil(StoreKind.Pack, name));
        }
        Assert.Equal(2, Versions(name).Count);
    }

    /// <summary>Junk that was there first, and is locked, under a name that somebody foresaw: bytes at hand are not dispensed with for it.</summary>
    [Fact]
    public void Junk_under_a_name_keeps_nobody_from_entering_it()
    {
        var bytes = Noise(1, 10_000);
        var name = NameOf(bytes);
        Overwrite(name, Noise(2, 10_000), DateTime.UtcNow.AddDays(1));
        Overwrite(name, Noise(3, 9_000), DateTime.UtcNow.AddDays(1));
        var store = Open();
        Assert.True(Enter(store, bytes));
        Assert.Equal(bytes, Read(store, name));
        Assert.Equal(bytes, Read(Open(pins: "none"), name, copy: 2));
        Assert.False(Enter(store, bytes));
    }

    [Fact]
    public void A_flood_of_junk_costs_reading_and_entering_nothing()
    {
        var store = Open();
        store.EntryLock = Now + 1_000;
        var bytes = Noise(1, 10_000);
        var name = NameOf(bytes);
        Enter(store, bytes);
        var before = Cost(() => Assert.Equal(bytes, Read(store, name)));
        Parallel.For(0, 8, t =>
        {
            for (var i = 0; i < 60; i++)
                Overwrite(name, Noise(t * 1_000 + i, 20));
        });
        Assert.Equal(before, Cost(() => Assert.Equal(bytes, Read(store, name))));
        Assert.InRange(Cost(() => Assert.False(Enter(store, bytes))), 1, 3);
        Assert.InRange(store.List(StoreKind.Pack).Count(), 2, StoreExtensions.MaxCopies);

        // With the pins lost, the one that is locked is found among the oldest.
        var other = Open(pins: "none");
        Assert.Equal(bytes, Read(other, name));
        Assert.Null(other.Open(StoreKind.Pack, name, StoreExtensions.MaxCopies));
        other.Lock(StoreKind.Pack, name, Now + 2_000);
        Assert.InRange(Cost(() => Assert.Equal(bytes, Read(other, name)), other), 1, 3); // it is pinned again

        long Cost(Action act, S3Store? of = null)
        {
            var begun = (of ?? store).Requests;
            act();
            return (of ?? store).Requests - begun;
        }
    }

    [Fact]
    public void Pins_that_were_lost_cut_short_or_spoilt_cost_no_data()
    {
        var packs = Enumerable.Range(1, 4).Select(i => Noise(i, 5_000)).ToList();
        using (var store = S3Store.Open(S3Place.Parse($"s3:{ceph.Cluster.Endpoint}{ceph.Bucket}/{_prefix}"), CephFixture.Credentials, _folder["pins"], _folder["staging"]))
            packs.ForEach(p => Enter(store, p));
        var sound = File.ReadAllText(_folder["pins"]);
        var lines = sound.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(4, lines.Length);
        var other = lines[1].Split(' ')[^1]; // the version of another key
        foreach (var pins in new[] { sound, "", sound[..^9], $"{lines[0]}\n{lines[1][..80]}\n{lines[2]}\n{lines[3]}x\n", lines[0].Replace(lines[0].Split(' ')[^1], other, StringComparison.Ordinal) + "\n", new string('p', 9_000_000), "p \0\n\n\n" })
        {
            File.WriteAllText(_folder["pins"], pins);
            var store = Open();
            Assert.All(packs, p => Assert.Equal(p, Read(store, NameOf(p))));
            Assert.All(packs, p => Assert.False(Enter(store, p)));
            store.Dispose();
            store = Open();
            Assert.All(packs, p => Assert.Equal(p, Read(store, NameOf(p))));
            Assert.All(packs, p => Assert.Single(Versions(NameOf(p))));
        }
    }

    /// <summary>The cluster's administrator can; what the keeper says then is not what it remembers.</summary>
    [Fact]
    public void A_version_that_is_gone_is_missed_and_entered_anew()
    {
        var store = Open();
        var bytes = Noise(1, 5_000);
        var name = NameOf(bytes);
        Enter(store, bytes);
        var item = store.Open(StoreKind.Pack, name)!;
        ceph.Owner.Delete(ceph.Bucket, Key(name), Versions(name)[0].VersionId);
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => item.Read(0, new byte[10])).Code);
        Assert.Null(store.Open(StoreKind.Pack, name));
        Assert.Null(store.LockedUntil(StoreKind.Pack, name));
        Assert.True(Enter(store, bytes));
        Assert.Equal(bytes, Read(store, name));
    }

    [Fact]
    public void Keys_that_no_XML_can_hold_keep_nobody_from_listing()
    {
        var store = Open();
        var bytes = Noise(1, 5_000);
        Enter(store, bytes);
        string[] keys = ["\u0001", "a b+c%41&<>\"'", "ü…/😀", "x\ny"];
        foreach (var key in keys)
            PutForeign(store, key);
        var all = store.List(StoreKind.Pack).ToList();
        Assert.Equal([NameOf(bytes)], all.Where(n => !n.Name.IsNone).Select(n => n.Name));
        Assert.Equal(keys.Order(StringComparer.Ordinal), all.Where(n => n.Name.IsNone).Select(n => n.Path![(_prefix.Length + "/packs/".Length)..]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void More_names_than_fit_on_a_page_are_listed()
    {
        var store = Open();
        var all = Enumerable.Range(0, 1_100).Select(i => Noise(i, 8)).ToList();
        Parallel.ForEach(all, new ParallelOptions { MaxDegreeOfParallelism = 8 }, bytes =>
            Overwrite(NameOf(bytes), bytes));
        Assert.Equal(all.Select(NameOf).Order(), store.List(StoreKind.Pack).Select(n => n.Name).Order());
    }

    [Fact]
    public void A_bucket_that_holds_nothing_is_refused()
    {
        var plain = ceph.NewBucket(isLocked: false);
        Assert.Equal(ErrorCode.StoreUnsafe, Assert.Throws<HoldfastException>(() => Open(plain)).Code);
        // Made again "with Object Lock": Ceph says yes, and it has none.
        ceph.Owner.Make(plain, isLocked: true);
        Assert.Equal(ErrorCode.StoreUnsafe, Assert.Throws<HoldfastException>(() => Open(plain)).Code);
        Assert.Equal(ErrorCode.VaultMissing, Assert.Throws<HoldfastException>(() => Open("there-is-no-such-bucket")).Code);
        var governed = ceph.NewBucket();
        ceph.Owner.GovernByDefault(governed);
        Assert.Equal(ErrorCode.StoreUnsafe, Assert.Throws<HoldfastException>(() => Open(governed)).Code);
    }

    [Fact]
    public void A_credential_that_can_do_no_more_than_a_keeper_needs_passes() => _ = Open().Check();

    [Theory]
    [InlineData(", \"s3:DeleteObjectVersion\"", "\"s3:BypassGovernanceRetention\"", "remove versions")]
    [InlineData("", "\"s3:DeleteObjectVersion\"", "bypass")] // Ceph: what no policy denies
    [InlineData(", \"s3:PutBucketPolicy\"", "\"s3:BypassGovernanceRetention\"", "policy")]
    public void A_credential_that_can_do_more_is_refused(string allowedToo, string denied, string because)
    {
        var bucket = ceph.NewBucket();
        ceph.Owner.SetPolicy(bucket, CephCluster.Policy(bucket, allowedToo, denied));
        var store = Open(bucket);
        var fault = Assert.Throws<HoldfastException>(() => store.Check());
        Assert.Equal(ErrorCode.StoreUnsafe, fault.Code);
        Assert.Contains(because, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_owner_of_the_bucket_is_no_keeper()
    {
        var place = S3Place.Parse($"s3:{ceph.Cluster.Endpoint}{ceph.Bucket}/{_prefix}");
        using var store = S3Store.Open(place, new S3Credentials(CephCluster.Owner.AccessKey, CephCluster.Owner.SecretKey), _folder["pins"], _folder["staging"]);
        Assert.Equal(ErrorCode.StoreUnsafe, Assert.Throws<HoldfastException>(() => store.Check()).Code);
    }

    [Fact]
    public void Credentials_that_are_not_right_are_told_apart()
    {
        var place = S3Place.Parse($"s3:{ceph.Cluster.Endpoint}{ceph.Bucket}/{_prefix}");
        Assert.Equal(ErrorCode.KeyFileBad, Code("NOBODY", "x"));
        Assert.Equal(ErrorCode.KeyFileBad, Code(CephCluster.Keeper.AccessKey, "x"));
        Assert.Equal(ErrorCode.NoPermission, Code(CephCluster.Keeper.AccessKey, CephCluster.Keeper.SecretKey, ceph.NewBucket(policy: "")));

        ErrorCode Code(string access, string secret, string? bucket = null) =>
            Assert.Throws<HoldfastException>(() => S3Store.Open(bucket is null ? place : place with { Bucket = bucket }, new S3Credentials(access, secret), _folder["pins"], _folder["staging"])).Code;
    }

    /// <summary>No lock binds who has the disks. A second site answers that.</summary>
    [Fact]
    public void The_administrator_of_the_cluster_removes_what_is_locked_and_it_is_seen()
    {
        var bucket = ceph.NewBucket();
        var store = Open(bucket);
        store.EntryLock = Now + 1_000;
        var bytes = Noise(1, 5_000);
        Enter(store, bytes);
        ceph.Cluster.Purge(bucket);
        Assert.Equal(ErrorCode.VaultMissing, Assert.Throws<HoldfastException>(() => Assert.Empty(store.List(StoreKind.Pack))).Code);
        Assert.Equal(ErrorCode.VaultMissing, Assert.Throws<HoldfastException>(() => Read(store, NameOf(bytes))).Code);
    }
}
