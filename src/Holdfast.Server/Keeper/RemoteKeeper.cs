using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Server.Wire;

namespace Holdfast.Server.Keeper;

/// <summary>A keeper reached over the network (docs/protocol.md). Rides over its restarts and cuts of the network (<see cref="PinnedClient"/>).</summary>
sealed class RemoteKeeper : IRemoteKeeper, IDisposable
{
    const int FirstPart = 1 << 16; // bytes that come with the size, when something is opened
    const int MostListed = 100_000_000;
    const int MostLog = 1 << 30; // bytes
    const int Piece = 1 << 17; // bytes

    static readonly Peer Keeper = new("keeper", "See that the keeper knows this client (`holdfast keeper list` there; `holdfast join` shows its fingerprint). ", "holdfast keeper serve", "`holdfast join` again with the fingerprint that is shown on its machine");

    readonly PinnedClient _client;

    /// <param name="url">Ends with a slash.</param>
    /// <param name="fingerprint">Of the keeper's certificate.</param>
    /// <param name="identity">This client's certificate and key, as PEM.</param>
    /// <param name="stop">Ends whatever is waited for.</param>
    public RemoteKeeper(Uri url, string fingerprint, string identity, CancellationToken stop = default) => _client = new PinnedClient(url, fingerprint, identity, Keeper, stop);

    /// <summary>How long it is tried to reach a keeper that has answered before.</summary>
    public TimeSpan Patience { init => _client.Patience = value; }

    /// <summary>How long nothing may move, in a request or an answer.</summary>
    public TimeSpan Silence { init => _client.Silence = value; }

    public string Place => _client.Place;

    /// <summary>How long a change may take, once it was asked for: a commit to an object store sets a lock on each pack.</summary>
    public TimeSpan Change { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Where bytes wait for their way; the cache that stands for the vault here.</summary>
    public string Staging { get; set; } = Path.GetTempPath();

    public byte[] VaultFile() => Whole("vault", 1 << 12);

    public RemoteLog LogFrom(long size)
    {
        var reader = new ByteReader(Whole(string.Create(CultureInfo.InvariantCulture, $"log?from={size}"), MostLog));
        var (now, passed) = (reader.U64(), reader.U64());
        var note = Encoding.UTF8.GetString(reader.Bytes(Core.Log.Checkpoint.MaxLength));
        var count = reader.Count(reader.Remaining);
        var leaves = new List<byte[]>();
        for (var i = 0; i < count && !reader.Failed; i++)
            leaves.Add(reader.Bytes(Core.Log.MerkleLog.MaxLeaf).ToArray());
        return reader.IsDone ? new RemoteLog(note, leaves, now, passed) : throw _client.Senseless();
    }

    public byte[] Ask(KeeperRequest request)
    {
        var body = request.ToArray();
        var mayRepeat = request is KeeperRequest.Commit or KeeperRequest.Extend or KeeperRequest.Decide or KeeperRequest.RequireWritable; // of the others a second one would not be the same
        return _client.Send(_ => new HttpRequestMessage(HttpMethod.Post, "v1/ask") { Content = new ByteArrayContent(body) }, (response, idle) => _client.Read(response, StoreExtensions.MaxObject, idle), mayRepeat, Change, mayBeDone: request is KeeperRequest.Commit);
    }

    public IStaged Stage(bool large = false) => new PassingBytes(Disk.Real, Staging, large);

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}");

    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => Put((PassingBytes)staged, $"v1/{KeeperWire.Kind(kind)}/{name}?further=1");

    bool Put(PassingBytes bytes, string path) => _client.Send(idle =>
    {
        Stream? all = null;
        all = bytes.Read(0, bytes.Length, () =>
        {
            idle.Moved();
            if (all?.Position >= bytes.Length)
                idle.Allow(Change); // the keeper makes it durable now, wherever that is
        });
        var content = new StreamContent(all, Piece);
        content.Headers.ContentLength = bytes.Length;
        var request = new HttpRequestMessage(HttpMethod.Put, path) { Content = content };
        request.Headers.ExpectContinue = bytes.Length > Piece; // what is refused is not sent
        return request;
    }, (response, _) => response.StatusCode == HttpStatusCode.Created, mayRepeat: true);

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) => copy >= byte.MaxValue ? null : Part(kind, name, copy, 0, FirstPart) is var (first, size) ? new Item(this, kind, name, copy, first, size) : null;

    (byte[] Bytes, long Size)? Part(StoreKind kind, Hash32 name, int copy, long from, long count) => _client.Send<(byte[], long)?>(_ =>
    {
        var request = new HttpRequestMessage(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"v1/{KeeperWire.Kind(kind)}/{name}?copy={copy}"));
        request.Headers.Range = new RangeHeaderValue(from, from + count - 1);
        return request;
    }, (response, idle) =>
    {
        if (response.StatusCode == HttpStatusCode.NotFound)
            return null;
        if (response.Content.Headers.ContentRange?.Length is not { } size || response.Content.Headers.ContentLength is not { } length || length > count)
            throw _client.Senseless();
        return (_client.Read(response, (int)count, idle), size);
    }, mayRepeat: true);

    public IEnumerable<StoredName> List(StoreKind kind) => _client.Send(_ => new HttpRequestMessage(HttpMethod.Get, $"v1/list/{KeeperWire.Kind(kind)}"), (response, idle) =>
    {
        using var lines = new BufferedStream(idle.Watched(response.Content.ReadAsStream()), 1 << 16);
        var all = new List<StoredName>();
        try
        {
            while (all.Count < MostListed)
            {
                if (KeeperWire.Next(kind, lines, Place) is not { } item)
                    return all;
                all.Add(item);
            }
        }
        catch (InvalidDataException)
        {
            // As a list without end.
        }
        throw _client.Senseless();
    }, mayRepeat: true);

    byte[] Whole(string path, int most) => _client.Send(_ => new HttpRequestMessage(HttpMethod.Get, $"v1/{path}"), (response, idle) => _client.Read(response, most, idle), mayRepeat: true);

    public void Dispose()
    {
        _client.Dispose();
    }

    sealed class Item(RemoteKeeper keeper, StoreKind kind, Hash32 name, int copy, byte[] first, long size) : IStoredItem
    {
        public long Size => size;

        public void Read(long offset, Span<byte> destination)
        {
            if (offset < 0 || offset + destination.Length > size)
                throw Cut();
            if (offset + destination.Length <= first.Length)
            {
                first.AsSpan((int)offset, destination.Length).CopyTo(destination);
                return;
            }
            if (destination.IsEmpty)
                return;
            var (bytes, now) = keeper.Part(kind, name, copy, offset, destination.Length) ?? throw Cut();
            if (bytes.Length != destination.Length || now != size)
                throw Cut();
            bytes.CopyTo(destination);
        }

        HoldfastException Cut() => new(ErrorCode.Truncated, $"{kind} {name} is shorter than it says.", "Run `holdfast verify` to see how far the damage goes.");

        public void Dispose()
        {
            // Each reading is a request of its own.
        }
    }
}
