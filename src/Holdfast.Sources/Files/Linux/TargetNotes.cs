using Holdfast.Core;
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
    public byte[]? Xattrs { get; set; }
    public bool HasHoles { get; init; }

    /// <summary>Its attributes are needed no longer than until its content is there.</summary>
    public bool IsBrief { get; init; }

    /// <summary>Owner, group and permissions that a file with further names got, which need not be the snapshot's.</summary>
    public (uint Uid, uint Gid, uint Mode) Got { get; set; }

    /// <summary>Device and inode of a file with further names, when it had all it was to have.</summary>
    public (ulong Device, ulong Inode) Which { get; set; }

    /// <summary>It stands in the target as the snapshot has it: further names may be linked to it.</summary>
    public bool IsThere { get; set; }

    /// <summary>Its owner or its group has a name in the snapshot that this machine has not, though owners are to be mapped.</summary>
    public bool HasUnknownOwner { get; init; }

    /// <summary>Its lists name somebody by a number whose name is not known, or not known here, though they are to be mapped.</summary>
    public bool HasUnknownListed { get; init; }

    /// <summary>It stood there already, and stays.</summary>
    public bool IsKept { get; set; }
}

/// <summary>All entries that are written, by number. Added to by one thread; read by all once the tree is known.</summary>
/// <remarks>Memory grows with the number of entries and with nothing else that a snapshot may claim. A row may have 2 MiB of attributes and a path of 64 KiB, and costs its writer next
/// to nothing where they repeat: so paths are kept without the folders above, attributes that are alike once, and those of a file until it is written.</remarks>
sealed class TargetNotes
{
    const long Kept = 256 << 20; // bytes of attributes and symlinks' targets
    const long KeptForEach = 256; // and so many for each entry: symlinks' targets are far shorter on the average, and few files have attributes of their own
    const int Cost = 64; // bytes of an array besides what is in it

    readonly HashSet<byte[]> _lasting = new(new SameBytes());
    long _kept;
    readonly PathStore _paths = new();
    readonly List<Noted> _noted = [];
    Dictionary<uint, uint> _users = [];
    Dictionary<uint, uint> _groups = [];
    HashSet<uint> _unknownUsers = [];
    HashSet<uint> _unknownGroups = [];
    bool _mapsOwners;

    public int Count => _noted.Count;
    public Noted this[int number] => _noted[number];
    public ReadOnlySpan<byte> PathOf(Noted entry) => _paths[entry.Path];

    /// <summary>Owners, and who access control lists name, by the names they have in the snapshot, where this machine knows them.</summary>
    public void MapOwners(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        _mapsOwners = true;
        _users = Map(users, user: true);
        _groups = Map(groups, user: false);
        _unknownUsers = [.. users.Keys.Except(_users.Keys)];
        _unknownGroups = [.. groups.Keys.Except(_groups.Keys)];
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

    /// <param name="batch">Holds the entry's row.</param>
    /// <param name="row">Its number there.</param>
    /// <param name="parent">Number of the folder that holds it; -1 for the root.</param>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: there is more to keep than memory should be filled with.</exception>
    public int Add(EntryBatch batch, int row, int parent)
    {
        var isBrief = batch.Kind[row] == EntryKind.File && batch.LinkCount[row] <= 1;
        var areListedKnown = true;
        var xattrs = _mapsOwners ? AccessLists.Map(batch.Xattrs[row], _users, _groups, out areListedKnown) : batch.Xattrs[row];
        if (isBrief && xattrs is not null)
            Interlocked.Add(ref _kept, xattrs.Length + Cost);
        else
            xattrs = Lasting(xattrs);
        var target = Lasting(batch.LinkTarget[row]);
        if (Volatile.Read(ref _kept) > Kept + KeptForEach * _noted.Count)
        {
            throw new HoldfastException(ErrorCode.TargetUnsafe, "The snapshot was refused: its extended attributes and symlinks would fill this machine's memory.",
                "Restore it in parts, with --include PATH, the second and later ones into the same folder with --resume. Where nobody set so many attributes, treat its writer as suspect and restore from an earlier snapshot.");
        }
        _noted.Add(new Noted
        {
            Path = _paths.Add(parent < 0 ? -1 : _noted[parent].Path, TreePath.Name(batch.Path(row))),
            Kind = batch.Kind[row],
            Mode = batch.Mode[row],
            Uid = OwnerOf(batch, row),
            Gid = _groups.GetValueOrDefault(batch.Gid[row], batch.Gid[row]),
            Size = batch.Size[row],
            Seconds = batch.MtimeSeconds[row],
            Nanoseconds = batch.MtimeNanoseconds[row],
            RawDevice = batch.RawDevice[row],
            Target = target,
            Xattrs = xattrs,
            HasUnknownOwner = _unknownUsers.Contains(batch.Uid[row]) || _unknownGroups.Contains(batch.Gid[row]),
            HasUnknownListed = !areListedKnown,
            IsBrief = isBrief,
            HasHoles = batch.Extents[row] is not null,
        });
        return _noted.Count - 1;
    }

    /// <summary>An entry that nothing is made of: its name alone, so that it is known for one of the snapshot's.</summary>
    /// <param name="path">The entry's.</param>
    /// <param name="parent">Number of the folder that holds it.</param>
    public void AddName(ReadOnlySpan<byte> path, int parent) => _paths.Add(_noted[parent].Path, TreePath.Name(path));

    public FolderNames NamesByFolder() => _paths.ByFolder();

    public ReadOnlySpan<byte> NameOf(int path) => _paths.NameOf(path);

    /// <summary>Null where it is a name alone.</summary>
    public Noted? NotedAt(int path)
    {
        var (low, high) = (0, _noted.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            if (_noted[middle].Path == path)
                return _noted[middle];
            if (_noted[middle].Path < path)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return null;
    }

    byte[]? Lasting(byte[]? bytes)
    {
        if (bytes is null)
            return null;
        if (_lasting.TryGetValue(bytes, out var same))
            return same;
        _lasting.Add(bytes);
        Interlocked.Add(ref _kept, bytes.Length + Cost);
        return bytes;
    }

    /// <summary>A file is written, or will not be: its attributes go. From the thread that has it in hand.</summary>
    public void Forget(Noted entry)
    {
        if (!entry.IsBrief || entry.Xattrs is not { } xattrs)
            return;
        entry.Xattrs = null;
        Interlocked.Add(ref _kept, -(xattrs.Length + Cost));
    }

    sealed class SameBytes : IEqualityComparer<byte[]>
    {
        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] obj)
        {
            var hash = new HashCode();
            hash.AddBytes(obj);
            return hash.ToHashCode();
        }
    }
}

/// <summary>Paths of a restore, each as a name in a folder, in large blocks: an object each would cost more than the bytes.</summary>
sealed class PathStore
{
    const int BlockSize = 1 << 20;

    readonly List<byte[]> _blocks = [];
    readonly List<(int Parent, int Block, int Start, int Length)> _paths = [];
    int _used = BlockSize;

    /// <param name="parent">Number of the folder's path; -1 for the root, whose name is empty.</param>
    /// <param name="name">The name in it.</param>
    public int Add(int parent, ReadOnlySpan<byte> name)
    {
        if (_blocks.Count == 0 || _used + name.Length > BlockSize)
        {
            _blocks.Add(new byte[BlockSize]);
            _used = 0;
        }
        name.CopyTo(_blocks[^1].AsSpan(_used));
        _paths.Add((parent, _blocks.Count - 1, _used, name.Length));
        _used += name.Length;
        return _paths.Count - 1;
    }

    public ReadOnlySpan<byte> NameOf(int number)
    {
        var (_, block, start, length) = _paths[number];
        return _blocks[block].AsSpan(start, length);
    }

    public FolderNames ByFolder()
    {
        var ends = new int[_paths.Count + 1]; // of those in the folder before
        foreach (var path in _paths.Where(p => p.Parent >= 0))
            ends[path.Parent + 1]++;
        for (var i = 1; i < ends.Length; i++)
            ends[i] += ends[i - 1];
        var numbers = new int[ends[^1]];
        for (var i = 0; i < _paths.Count; i++)
        {
            if (_paths[i].Parent is >= 0 and var parent)
                numbers[ends[parent]++] = i;
        }
        return new FolderNames(ends, numbers);
    }

    public byte[] this[int number]
    {
        get
        {
            var length = -1; // no '/' before the first
            for (var at = number; _paths[at].Parent >= 0; at = _paths[at].Parent)
                length += 1 + _paths[at].Length;
            var path = new byte[Math.Max(0, length)];
            for (var at = number; _paths[at].Parent >= 0; at = _paths[at].Parent)
            {
                var (_, block, start, size) = _paths[at];
                length -= size;
                _blocks[block].AsSpan(start, size).CopyTo(path.AsSpan(length));
                if (--length >= 0)
                    path[length] = (byte)'/';
            }
            return path;
        }
    }
}

/// <summary>Numbers of paths, grouped by the folder that they lie in.</summary>
/// <param name="ends">Where those of each folder end, by the number of its path.</param>
/// <param name="numbers">All of them.</param>
sealed class FolderNames(int[] ends, int[] numbers)
{
    public ArraySegment<int> In(Noted folder)
    {
        var start = folder.Path == 0 ? 0 : ends[folder.Path - 1];
        return new ArraySegment<int>(numbers, start, ends[folder.Path] - start);
    }
}
