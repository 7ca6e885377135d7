using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>What a restore keeps of an entry until it stands in the target.</summary>
sealed class Noted
{
    public required int Path { get; init; }
    public required EntryKind Kind { get; init; }
    public required uint Mode { get; init; }
    public required uint Uid { get; init; }
    public required uint Gid { get; init; }
    public required long Size { get; init; }
    public required long Seconds { get; init; }
    public required uint Nanoseconds { get; init; }
    public required ulong RawDevice { get; init; }
    public byte[]? Target { get; init; }
    public byte[]? Xattrs { get; init; }
    public bool HasHoles { get; init; }

    /// <summary>It stands in the target as the snapshot has it: further names may be linked to it.</summary>
    public bool IsThere { get; set; }
}

/// <summary>All entries that are written, by number. Added to by one thread; read by all once the tree is known.</summary>
sealed class TargetNotes
{
    readonly PathStore _paths = new();
    readonly List<Noted> _noted = [];
    Dictionary<uint, uint> _users = [];
    Dictionary<uint, uint> _groups = [];

    public int Count => _noted.Count;
    public Noted this[int number] => _noted[number];
    public ReadOnlySpan<byte> PathOf(Noted entry) => _paths[entry.Path];

    /// <summary>Owners by the names they have in the snapshot, where this machine knows them.</summary>
    public void MapOwners(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        _users = Map(users, user: true);
        _groups = Map(groups, user: false);
    }

    /// <summary>Whose a row's entry is to be.</summary>
    public uint OwnerOf(EntryBatch batch, int row) => _users.GetValueOrDefault(batch.Uid[row], batch.Uid[row]);

    static Dictionary<uint, uint> Map(IReadOnlyDictionary<uint, byte[]> names, bool user)
    {
        var map = new Dictionary<uint, uint>();
        foreach (var (id, name) in names)
        {
            if (OwnerNames.IdOf(name, user) is { } here)
                map[id] = here;
        }
        return map;
    }

    public int Add(EntryBatch batch, int row)
    {
        _noted.Add(new Noted
        {
            Path = _paths.Add(batch.Path(row)),
            Kind = batch.Kind[row],
            Mode = batch.Mode[row],
            Uid = OwnerOf(batch, row),
            Gid = _groups.GetValueOrDefault(batch.Gid[row], batch.Gid[row]),
            Size = batch.Size[row],
            Seconds = batch.MtimeSeconds[row],
            Nanoseconds = batch.MtimeNanoseconds[row],
            RawDevice = batch.RawDevice[row],
            Target = batch.LinkTarget[row],
            Xattrs = batch.Xattrs[row],
            HasHoles = batch.Extents[row] is not null,
        });
        return _noted.Count - 1;
    }
}

/// <summary>Paths of a restore in large blocks: an object each would cost more than the bytes.</summary>
sealed class PathStore
{
    const int BlockSize = 1 << 20;

    readonly List<byte[]> _blocks = [];
    readonly List<(int Block, int Start, int Length)> _paths = [];
    int _used = BlockSize;

    public int Add(ReadOnlySpan<byte> path)
    {
        if (_blocks.Count == 0 || _used + path.Length > BlockSize)
        {
            _blocks.Add(new byte[BlockSize]);
            _used = 0;
        }
        path.CopyTo(_blocks[^1].AsSpan(_used));
        _paths.Add((_blocks.Count - 1, _used, path.Length));
        _used += path.Length;
        return _paths.Count - 1;
    }

    public ReadOnlySpan<byte> this[int number] => _blocks[_paths[number].Block].AsSpan(_paths[number].Start, _paths[number].Length);
}
