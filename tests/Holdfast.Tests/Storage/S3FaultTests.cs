using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Storage.S3;

namespace Holdfast.Tests.Storage;

/// <summary>What goes wrong in the object store and on the way to it: nothing is lost, nothing half-entered counts, and nothing wrong is given.</summary>
[Collection(nameof(CephFixture))]
public sealed class S3FaultTests(CephFixture ceph) : IDisposable
{
    static readonly ulong Until = (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1_000;
    static readonly S3Options Hasty = new() { Patience = TimeSpan.FromMinutes(3), Idle = TimeSpan.FromSeconds(20), FirstWait = TimeSpan.FromMilliseconds(5), LongestWait = TimeSpan.FromMilliseconds(100) };
    static readonly S3Options Impatient = Hasty with { Patience = TimeSpan.FromMilliseconds(50) };

    readonly TempFolder _folder = new();
    readonly List<IDisposable> _open = [];
    readonly string _prefix = $"{Guid.NewGuid():n}";

    public void Dispose()
    {
        _open.ForEach(s => s.Dispose());
        _folder.Dispose();
    }

    T Kept<T>(T made) where T : IDisposable
    {
        _open.Add(made);
        return made;
    }

    ScriptedServer Between() => Kept(new ScriptedServer(ceph.Cluster.Endpoint));

    S3Store Open(Uri? endpoint = null, S3Options? options = null, string pins = "pins") => Kept(S3Store.Open(S3Place.Parse($"s3:{endpoint ?? ceph.Cluster.Endpoint}{ceph.Bucket}/{_prefix}"),
        CephFixture.Credentials, _folder[pins], _folder["staging"], options: options ?? Hasty)).With(Until);

    string Key(Hash32 name) => $"{_prefix}/packs/{name.ToString()[..2]}/{name}";

    int Versions(Hash32 name) => ceph.Owner.Versions(ceph.Bucket, Key(name)).Count;

    static bool IsPut(Asked asked) => asked is { Method: "PUT" } && asked.Target.Contains("/packs/", StringComparison.Ordinal) && !asked.Target.Contains('?', StringComparison.Ordinal);

    static bool IsGet(Asked asked) => asked is { Method: "GET" } && asked.Target.Contains("/packs/", StringComparison.Ordinal) && asked.Target.Contains("versionId", StringComparison.Ordinal);

    static Turn Every(int nth, Asked asked, Turn turn) => asked.Number % nth == 0 ? Turn.Pass : turn;

    /// <summary>All is there, for whoever comes without what this store remembers too, and locked.</summary>
    void AssertWhole(params IEnumerable<byte[]> all)
    {
        var other = Open(pins: $"{Guid.NewGuid()}");
        foreach (var bytes in all)
        {
            Assert.Equal(bytes, other.ReadWhole(bytes));
            Assert.InRange(other.LockedUntil(StoreKind.Pack, S3Bytes.NameOf(bytes)) ?? 0, Until, ulong.MaxValue);
        }
    }

    public static TheoryData<string> Refusals => ["500 InternalError", "503 SlowDown", "503 ServiceUnavailable", "429 TooManyRequests", "502 ", "400 RequestTimeout"];

    [Theory]
    [MemberData(nameof(Refusals))]
    public void What_the_store_refuses_for_the_moment_is_asked_again(string refusal)
    {
        var between = Between();
        var status = int.Parse(refusal[..3], null);
        between.Script = asked => status == 400 && asked.Method == "HEAD" ? Turn.Pass : Every(3, asked, new Turn(status, refusal[4..])); // without a body nobody can say which 400 it is
        var store = Open(between.Endpoint);
        var bytes = S3Bytes.Noise(1, 300_000);
        Assert.True(store.Enter(bytes));
        Assert.Equal(bytes, store.ReadWhole(bytes));
        Assert.Equal(1, Versions(S3Bytes.NameOf(bytes)));
        Assert.Single(store.List(StoreKind.Pack));
        AssertWhole(bytes);
    }

    [Fact]
    public void Answers_that_are_cut_short_are_never_taken_for_whole()
    {
        var between = Between();
        var store = Open(between.Endpoint);
        var bytes = S3Bytes.Noise(1, 300_000);
        store.Enter(bytes);
        between.Script = asked => Every(4, asked, new Turn(CutAt: IsGet(asked) ? 90_000 : 200));
        Assert.Equal(bytes, store.ReadWhole(bytes));
        Assert.Equal([S3Bytes.NameOf(bytes)], store.List(StoreKind.Pack).Select(n => n.Name));
        between.Script = asked => IsGet(asked) ? new Turn(CutAt: 0) : Turn.Pass;
        AssertUnavailable(() => Open(between.Endpoint, Impatient).ReadWhole(bytes));
    }

    static void AssertUnavailable(Action act)
    {
        var fault = Assert.Throws<HoldfastException>(act);
        Assert.True(fault is { Code: ErrorCode.StoreUnavailable, IsTransient: true }, fault.Message);
    }

    /// <summary>Such as a proxy that knows nothing of ranges.</summary>
    [Fact]
    public void Another_range_than_was_asked_for_is_not_taken()
    {
        var between = Between();
        var bytes = S3Bytes.Noise(1, 300_000);
        Open(between.Endpoint).Enter(bytes);
        var store = Open(between.Endpoint, Impatient);
        between.Script = asked => IsGet(asked) ? new Turn(200, Body: new string('x', 300_000)) : Turn.Pass;
        AssertUnavailable(() => store.ReadWhole(bytes));
        between.Script = asked => IsGet(asked) ? new Turn(206, Body: new string('x', 300_000)) : Turn.Pass;
        AssertUnavailable(() => store.ReadWhole(bytes));
        between.Script = asked => IsGet(asked) ? new Turn(206, Body: new string('x', 200_000), Head: "Content-Range: bytes 0-299999/300000\r\n") : Turn.Pass; // and is content with less
        AssertUnavailable(() => store.ReadWhole(bytes));
    }

    [Fact]
    public void Bytes_that_change_on_the_way_are_refused_and_sent_again()
    {
        var between = Between();
        between.Script = asked => IsPut(asked) ? Every(2, asked, new Turn(Flip: 1_234)) : Turn.Pass;
        var store = Open(between.Endpoint);
        var packs = Enumerable.Range(1, 3).Select(i => S3Bytes.Noise(i, 300_000)).ToList();
        Assert.All(packs, p => Assert.True(store.Enter(p)));
        Assert.All(packs, p => Assert.Equal(1, Versions(S3Bytes.NameOf(p))));
        AssertWhole(packs);
        between.Script = asked => IsPut(asked) ? new Turn(Flip: 1_234) : Turn.Pass;
        var never = S3Bytes.Noise(9, 300_000);
        AssertUnavailable(() => Open(between.Endpoint, Impatient).Enter(never));
        Assert.Equal(0, Versions(S3Bytes.NameOf(never)));
    }

    /// <summary>The request is carried out, and nobody hears of it: the next one makes a second version.</summary>
    [Fact]
    public void A_request_that_was_carried_out_unheard_does_no_harm()
    {
        var between = Between();
        var isFirst = true;
        between.Script = asked => IsPut(asked) && isFirst && !(isFirst = false) ? new Turn(IsLost: true) : Turn.Pass;
        var store = Open(between.Endpoint);
        var bytes = S3Bytes.Noise(1, 300_000);
        Assert.True(store.Enter(bytes));
        Assert.Equal(2, Versions(S3Bytes.NameOf(bytes)));
        Assert.False(store.Enter(bytes));
        AssertWhole(bytes);
        var other = Open(pins: "none");
        Assert.False(other.Enter(bytes));
        Assert.Equal(2, Versions(S3Bytes.NameOf(bytes)));
    }

    [Fact]
    public void A_request_that_stands_still_is_given_up_and_made_again()
    {
        var between = Between();
        var store = Open(between.Endpoint, Hasty with { Idle = TimeSpan.FromMilliseconds(700), Patience = TimeSpan.FromHours(1) });
        var seen = new HashSet<string>();
        between.Script = asked => seen.Add(asked.Method) ? new Turn(IsStalled: true) : Turn.Pass;
        var bytes = S3Bytes.Noise(1, 300_000);
        Assert.True(store.Enter(bytes));
        Assert.Equal(bytes, store.ReadWhole(bytes));
        Assert.Equal(["GET", "HEAD", "PUT"], seen.Order());
        AssertWhole(bytes);
    }

    [Fact]
    public void Who_gets_no_answer_is_told_so_and_that_it_may_pass()
    {
        var between = Between();
        var store = Open(between.Endpoint, Impatient);
        var bytes = S3Bytes.Noise(1, 1_000);
        between.Script = _ => new Turn(503, "SlowDown");
        AssertUnavailable(() => store.Enter(bytes));
        AssertUnavailable(() => store.Open(StoreKind.Pack, S3Bytes.NameOf(bytes)));
        AssertUnavailable(() => Assert.Empty(store.List(StoreKind.Pack)));
        between.Dispose(); // no connection is taken
        AssertUnavailable(() => store.Enter(bytes));
        AssertUnavailable(() => Open(between.Endpoint, Impatient));
    }

    [Theory]
    [InlineData(403, "RequestTimeTooSkewed", ErrorCode.ClockInDoubt)]
    [InlineData(403, "InvalidAccessKeyId", ErrorCode.KeyFileBad)]
    [InlineData(403, "SignatureDoesNotMatch", ErrorCode.KeyFileBad)]
    [InlineData(403, "AccessDenied", ErrorCode.NoPermission)]
    [InlineData(404, "NoSuchBucket", ErrorCode.VaultMissing)]
    [InlineData(403, "QuotaExceeded", ErrorCode.DiskFull)]
    [InlineData(507, "InsufficientStorage", ErrorCode.DiskFull)]
    [InlineData(301, "PermanentRedirect", ErrorCode.Usage)]
    [InlineData(501, "NotImplemented", ErrorCode.StoreUnavailable)]
    public void What_is_meant_as_a_refusal_is_told_at_once(int status, string code, ErrorCode expected)
    {
        var between = Between();
        var store = Open(between.Endpoint);
        var bytes = S3Bytes.Noise(1, 1_000);
        between.Script = asked => IsPut(asked) ? new Turn(status, code) : Turn.Pass;
        var fault = Assert.Throws<HoldfastException>(() => store.Enter(bytes));
        Assert.Equal(expected, fault.Code);
        Assert.False(fault.IsTransient);
        Assert.Single(between.All, IsPut);
        between.Script = _ => Turn.Pass;
        Assert.True(store.Enter(bytes));
    }

    [Theory]
    [InlineData("x-amz-object-lock")]
    [InlineData("x-amz-version-id")]
    public void A_lock_or_a_version_that_is_not_read_back_counts_for_nothing(string without)
    {
        var between = Between();
        between.Script = asked => IsPut(asked) || asked.Method == "HEAD" ? new Turn(Without: without) : Turn.Pass;
        var bytes = S3Bytes.Noise(1, 1_000);
        Assert.Equal(ErrorCode.StoreUnsafe, Assert.Throws<HoldfastException>(() => Open(between.Endpoint).Enter(bytes)).Code);
        Assert.False(File.Exists(_folder["pins"]));
    }

    [Fact]
    public void An_upload_in_parts_that_is_torn_is_begun_anew()
    {
        var between = Between();
        var (parts, ends) = (0, 0);
        between.Script = asked =>
            asked.Target.Contains("partNumber", StringComparison.Ordinal) ? (++parts % 2 == 1 ? new Turn(Flip: 99) : Turn.Pass)
            : asked is { Method: "POST" } && asked.Target.Contains("uploadId", StringComparison.Ordinal) ? ++ends switch { 1 => new Turn(IsLost: true), 2 => new Turn(500, "InternalError"), _ => Turn.Pass }
            : Turn.Pass;
        var store = Open(between.Endpoint, Hasty with { PartsAbove = 5 << 20, PartSize = 5 << 20 });
        var bytes = S3Bytes.Noise(1, 6 << 20);
        Assert.True(store.Enter(bytes));
        Assert.Equal(3, ends);
        Assert.Equal(2, Versions(S3Bytes.NameOf(bytes))); // the first was made, and not heard of: it is not locked
        Assert.Equal(bytes, store.ReadWhole(bytes));
        AssertWhole(bytes);
        Assert.Equal(0, ceph.Owner.Uploads(ceph.Bucket, _prefix));
    }

    [Fact]
    public void A_store_that_loses_a_disk_while_it_is_written_to_and_read_loses_nothing()
    {
        var store = Open();
        var packs = Enumerable.Range(1, 16).Select(i => S3Bytes.Noise(i, 4 << 20)).ToList();
        var done = 0;
        Parallel.ForEach(packs, new ParallelOptions { MaxDegreeOfParallelism = 4 }, bytes =>
        {
            if (Interlocked.Increment(ref done) == 6)
                ceph.Cluster.Kill("osd.1");
            Assert.True(store.Enter(bytes));
        });
        Assert.All(packs, p => Assert.Equal(p, store.ReadWhole(p)));
        ceph.Cluster.Start("osd.1");
        done = 0;
        Parallel.ForEach(packs, new ParallelOptions { MaxDegreeOfParallelism = 4 }, bytes =>
        {
            if (Interlocked.Increment(ref done) == 6)
                ceph.Cluster.Kill("osd.1");
            Assert.Equal(bytes, store.ReadWhole(bytes));
        });
        ceph.Cluster.Start("osd.1");
        AssertWhole(packs);
    }

    [Fact]
    public void A_gateway_that_is_killed_in_the_middle_of_uploads_and_started_again_loses_nothing()
    {
        var store = Open();
        var packs = Enumerable.Range(1, 12).Select(i => S3Bytes.Noise(100 + i, 4 << 20)).ToList();
        packs.Add(S3Bytes.Noise(99, 12 << 20));
        var done = 0;
        var inParts = Open(options: Hasty with { PartsAbove = 10 << 20, PartSize = 5 << 20 });
        Parallel.ForEach(packs, new ParallelOptions { MaxDegreeOfParallelism = 4 }, bytes =>
        {
            if (Interlocked.Increment(ref done) == 5)
            {
                ceph.Cluster.Kill("client.rgw.a");
                ceph.Cluster.Start("client.rgw.a");
            }
            Assert.True((bytes.Length > 10 << 20 ? inParts : store).Enter(bytes));
        });
        Assert.All(packs, p => Assert.Equal(p, store.ReadWhole(p)));
        AssertWhole(packs);
    }
}

/// <summary>Bytes and what stores do with them, in a word each.</summary>
static class S3Bytes
{
    public static byte[] Noise(int seed, int size)
    {
        var bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public static Hash32 NameOf(byte[] bytes) => new(System.Security.Cryptography.SHA256.HashData(bytes));

    public static S3Store With(this S3Store store, ulong until)
    {
        store.EntryLock = until;
        return store;
    }

    public static bool Enter(this S3Store store, byte[] bytes)
    {
        using var staged = store.Stage(large: bytes.Length > 100_000);
        staged.Append(bytes);
        return store.Enter(staged, StoreKind.Pack, NameOf(bytes));
    }

    public static byte[]? ReadWhole(this S3Store store, byte[] like)
    {
        using var item = store.Open(StoreKind.Pack, NameOf(like));
        if (item is null)
            return null;
        var bytes = new byte[item.Size];
        item.Read(0, bytes);
        return bytes;
    }
}
