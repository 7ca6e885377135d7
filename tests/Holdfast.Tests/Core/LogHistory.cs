using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>A log that is being written, and what it adds up to.</summary>
sealed class LogHistory
{
    public const ulong Day = RetentionPolicy.Day;
    public const ulong Start = 1_800_000_000;

    readonly Id16 _vault = Id16.New();
    readonly Dictionary<Hash32, PackSet> _sets = [];

    public LogHistory()
    {
        var genesis = new Genesis
        {
            Salt = Hash32.None,
            Vault = _vault,
            Kind = VaultKind.Real,
            Created = Start,
            ShortestLock = Day,
            LongestLock = 3650 * Day,
            Policy = new(10 * Day, 0, 0, 0, 0, 0),
            Reserve = 0,
            LogKey = "key",
            Domains = [Id16.New()],
            Quorum = 0,
            Approvers = [],
            Witnesses = [],
            TimeSources = [],
        };
        State = new Projection(Store);
        Add(new Leaf(LeafType.Genesis, Start, _vault, Id16.None, Day, 3650 * Day, 1, Store.Put(genesis.ToArray())));
    }

    public MemoryStore Store { get; } = new();
    public Projection State { get; }
    public ulong Now { get; set; } = Start;

    public void Add(Leaf leaf) => State.Apply(leaf.ToArray());

    /// <param name="parent">Null: none, and the set is told whole.</param>
    /// <param name="set">Its packs.</param>
    /// <param name="expiry">Of its lock.</param>
    /// <param name="isLost">Its object is gone.</param>
    /// <param name="isWhole">The set is told whole, whatever its parent.</param>
    /// <param name="change">What its object says instead of that set.</param>
    public Hash32 Commit(Hash32? parent, PackSet set, ulong expiry, bool isLost = false, bool isWhole = false, Func<PackSetDelta, PackSetDelta>? change = null)
    {
        var packs = parent is { } name && !isWhole ? set.DeltaFrom(_sets[name]) : set.Whole();
        var snapshot = new SnapshotObject
        {
            Vault = _vault,
            Domain = Id16.None,
            Salt = Hash32.None,
            Snapshot = Id16.New(),
            Source = Id16.None,
            Agent = Id16.None,
            Session = Id16.None,
            Writer = Id16.None,
            WriterEpoch = 1,
            KeyEpoch = 1,
            ClientTime = 0,
            Parent = parent ?? Hash32.None,
            ContentRoot = Hash32.None,
            ParentContentRoot = Hash32.None,
            Entries = 1,
            Files = 0,
            LogicalBytes = 0,
            NewBytes = 0,
            Packs = change?.Invoke(packs) ?? packs,
            Sections = [],
            Signatures = [],
        };
        var payload = Store.Put(snapshot.ToArray());
        _sets[payload] = set;
        if (isLost)
            Store.Lose(payload);
        Add(new Leaf(LeafType.Commit, Now, snapshot.Snapshot, Id16.None, expiry, 0, (ulong)set.Count, payload));
        return payload;
    }

    public PackSet Set(Hash32 name) => _sets[name];

    public void Expire(IEnumerable<(StoreKind Kind, Hash32 Name)> names, ulong judged) =>
        Add(new Leaf(LeafType.Expiry, Now, Id16.New(), Id16.None, judged, 0, 0, Store.Put(new ExpiryList(_vault, VaultKeeper.Salt(), [.. names.Distinct().Order()]).ToArray())));

    public static PackRef Pack(Random random)
    {
        var name = new byte[Hash32.Size];
        random.NextBytes(name);
        return new PackRef(new Hash32(name), 65_536);
    }
}

/// <summary>Objects in memory.</summary>
sealed class MemoryStore : IStore
{
    readonly Dictionary<Hash32, byte[]> _objects = [];

    public Hash32 Put(byte[] bytes)
    {
        var name = new Hash32(SHA256.HashData(bytes));
        _objects[name] = bytes;
        return name;
    }

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) => copy == 0 && _objects.TryGetValue(name, out var bytes) ? new Item(bytes) : null;
    public void Lose(Hash32 name) => _objects.Remove(name);
    public IStaged Stage(bool large = false) => throw new NotSupportedException();
    public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
    public IEnumerable<StoredName> List(StoreKind kind) => throw new NotSupportedException();

    sealed class Item(byte[] bytes) : IStoredItem
    {
        public long Size => bytes.Length;
        public void Read(long offset, Span<byte> destination) => bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        public void Dispose()
        {
        }
    }
}

/// <summary>What <see cref="Projection.NamedPacks"/> says of locks, from every set.</summary>
static class AllSets
{
    /// <summary>End of the lock of every pack that a commit named, by the largest of all commits and extensions.</summary>
    public static Dictionary<Hash32, ulong> PackLocks(this Projection state)
    {
        var expiries = new Dictionary<Hash32, ulong>();
        foreach (var record in state.Snapshots)
        {
            foreach (var pack in state.PacksOf(record)?.ToList() ?? [])
                expiries[pack.Name] = Math.Max(expiries.GetValueOrDefault(pack.Name), record.Expiry);
        }
        return expiries.ToDictionary(e => e.Key, e => LockRules.PackEnd(e.Key, e.Value, LockRules.Quantum(state.Genesis!.Policy.Base)));
    }
}
