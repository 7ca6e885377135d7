using System.Collections.Concurrent;
using System.Globalization;
using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Writes a tree below one folder. Every name is opened relative to folders that were opened without following symlinks, and symlinks are made last: no
/// row, whatever it says, reaches outside.</summary>
sealed unsafe class LinuxFileTarget : ITreeWriter
{
    const int Executable = 0x1C0; // rwx------ while restoring
    const long DirectFrom = 8 << 20; // bytes: smaller files are likely to be read soon

    readonly int _root;
    readonly FileTargetOptions _options;
    readonly ThreadLocal<FolderHandle> _folders;
    readonly WriteBehind _behind = new();
    readonly ThreadLocal<DirectFile?> _current = new();
    readonly ConcurrentQueue<SourceProblem> _problems = new();
    readonly ConcurrentDictionary<string, long> _refusals = new();
    readonly PathStore _paths = new();
    readonly List<Noted> _noted = []; // by handle
    readonly List<int> _later = []; // made at the end: symlinks, special files
    readonly List<int> _foldersMade = [];
    readonly List<(int Entry, int First)> _links = [];
    readonly Dictionary<(ulong, ulong), int> _firstNames = [];
    readonly Stack<byte[]> _open = new();
    readonly bool _isRoot = Native.EffectiveUser() == 0;
    readonly bool _inheritsGroup;
    byte[] _last = [];
    Dictionary<uint, uint> _users = [];
    Dictionary<uint, uint> _groups = [];
    bool _any;

    public LinuxFileTarget(string target, FileTargetOptions options)
    {
        _options = options;
        fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(target) + '\0'))
            _root = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (_root < 0)
            throw Fault("The target folder cannot be opened");
        StatX stat;
        byte nul = 0;
        _inheritsGroup = Native.StatX(_root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || (stat.Mode & 0x400) != 0;
        _folders = new ThreadLocal<FolderHandle>(() => new FolderHandle(_root), trackAllValues: true);
    }

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

    public IReadOnlyCollection<SourceProblem> Problems =>
        [.. _problems, .. _refusals.Select(r => new SourceProblem(ProblemKind.PermissionDenied, [], string.Create(CultureInfo.InvariantCulture, $"{r.Key}: {r.Value} entries")))];

    public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        if (!_options.MapOwnersByName)
            return;
        _users = Map(users, user: true);
        _groups = Map(groups, user: false);
    }

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
        var path = batch.Path(row);
        if (!TreePath.IsValid(path) || (_any && TreePath.Compare(_last, path) >= 0))
            throw Unsafe("it names an entry that no folder can hold, or one twice");
        if (path.IsEmpty != !_any || (path.IsEmpty && batch.Kind[row] != EntryKind.Directory))
            throw Unsafe("it does not begin with its root folder");
        if (!path.IsEmpty)
        {
            var parent = TreePath.Parent(path);
            while (_open.Count > 0 && !parent.SequenceEqual(_open.Peek()))
                _open.Pop();
            if (_open.Count == 0)
                throw Unsafe("it names an entry in a folder that is none of its own");
        }
        _any = true;
        _last = path.ToArray();
        var kind = batch.Kind[row];
        if (kind == EntryKind.Directory)
        {
            _open.Push(_last);
            if (!path.IsEmpty)
                MakeFolder(path);
            _foldersMade.Add(Note(batch, row));
            return -1;
        }
        if (batch.LinkCount[row] > 1)
        {
            var key = (batch.Device[row], batch.Inode[row]);
            if (_firstNames.TryGetValue(key, out var first) && _noted[first].Kind == kind && _noted[first].Size == batch.Size[row])
            {
                _links.Add((Note(batch, row), first));
                return -1;
            }
            _firstNames[key] = _noted.Count;
        }
        if (kind != EntryKind.File)
        {
            _later.Add(Note(batch, row));
            return -1;
        }
        var handle = Note(batch, row);
        if (_options.Existing != ExistingFiles.KeepEqual || !IsThere(batch, row))
            return handle;
        _noted[handle].IsThere = true;
        return -1;
    }

    int Note(EntryBatch batch, int row)
    {
        _noted.Add(new Noted
        {
            Path = _paths.Add(batch.Path(row)),
            Kind = batch.Kind[row],
            Mode = batch.Mode[row],
            Uid = _users.GetValueOrDefault(batch.Uid[row], batch.Uid[row]),
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

    bool IsThere(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        StatX stat;
        if (Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) != 0 || stat.Type != Native.TypeFile || (long)stat.Size != batch.Size[row]
            || stat.Modified.Seconds != batch.MtimeSeconds[row] || stat.Modified.Nanoseconds != batch.MtimeNanoseconds[row])
            return false;
        var file = Native.OpenAt(folder, name, Native.ReadOnly | Native.NoFollow | Native.CloseOnExec, 0);
        if (file < 0)
            return false;
        // Size and time are easily put back; after a power failure they may be right before the bytes are.
        using var content = new LinuxContent(file, stat);
        return ContentCheck.Matches(content.Read, batch, row);
    }

    void MakeFolder(ReadOnlySpan<byte> path)
    {
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        if (Native.MakeFolder(folder, name, Executable) == 0)
            return;
        if (Native.Error != Native.EExist || _options.Existing == ExistingFiles.Refuse)
            throw Fault("A folder cannot be made");
        var there = Native.OpenAt(folder, name, Native.PathOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec, 0);
        if (there < 0)
            throw new HoldfastException(ErrorCode.TargetUnsafe, "Something that is no folder stands where the snapshot has a folder.",
                "Move it away, or restore into an empty folder.");
        _ = Native.Close(there);
    }

    int Folder(ReadOnlySpan<byte> path)
    {
        var folder = _folders.Value!.Open(path);
        return folder >= 0 ? folder : throw Fault("A folder of the target cannot be opened");
    }

    public ReadOnlySpan<byte> PathOf(int handle) => _paths[_noted[handle].Path];

    public void WriteWhole(int handle, ReadOnlySpan<byte> content)
    {
        var entry = _noted[handle];
        var file = OpenNew(entry, out var apart);
        if (file < 0)
            return;
        try
        {
            WriteAt(file, content, 0);
            SetAttributes(file, entry);
        }
        finally
        {
            _ = Native.Close(file);
        }
        entry.IsThere = apart is null || Take(entry, apart);
    }

    public IContentWriter Open(int handle)
    {
        var entry = _noted[handle];
        var file = OpenNew(entry, out var apart);
        if (file >= 0 && Native.Truncate(file, entry.Size) != 0)
        {
            var error = Native.Error;
            _ = Native.Close(file);
            Remove(entry, apart);
            if (IsOfTheDisk(error))
                throw Fault("A file cannot be made at its size", error);
            Problem(entry, error); // larger than this file system holds, for one
            file = -1;
        }
        return new Writer(this, file, file >= 0 ? OpenDirect(file, entry) : -1, entry, apart);
    }

    /// <summary>A second handle that writes past the page cache, for a large file without holes; -1 where it does not pay or the file system has no such thing.</summary>
    static int OpenDirect(int file, Noted entry)
    {
        if (entry.Size < DirectFrom || entry.HasHoles || Native.Allocate(file, 0, 0, entry.Size) != 0)
            return -1;
        fixed (byte* path = ProcPath(file))
            return Native.OpenAt(Native.AtCurrent, path, Native.WriteOnly | Native.Direct | Native.CloseOnExec, 0);
    }

    static byte[] ProcPath(int file) => System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file}\0"));

    /// <summary>Makes a file; where something may stand in its place, under a name of its own first. -1 where that fails for this file alone.</summary>
    int OpenNew(Noted entry, out byte[]? apart)
    {
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 32];
        FolderHandle.Terminate(TreePath.Name(path), name);
        apart = null;
        if (_options.Existing != ExistingFiles.Refuse)
        {
            apart = System.Text.Encoding.ASCII.GetBytes($".holdfast-{Guid.NewGuid():n}");
            FolderHandle.Terminate(apart, name);
        }
        var file = Native.OpenAt(folder, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
        if (file < 0)
        {
            if (IsOfTheDisk(Native.Error))
                throw Fault("A file cannot be made");
            Problem(entry, Native.Error);
        }
        return file;
    }

    bool Take(Noted entry, byte[] apart)
    {
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        var from = stackalloc byte[64];
        var to = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(apart, from);
        FolderHandle.Terminate(TreePath.Name(path), to);
        if (Native.Rename(folder, from, folder, to) == 0)
            return true;
        Problem(entry, Native.Error);
        _ = Native.Unlink(folder, from, 0);
        return false;
    }

    void Remove(Noted entry, byte[]? apart)
    {
        var path = _paths[entry.Path];
        var name = stackalloc byte[TreePath.MaxName + 32];
        FolderHandle.Terminate(apart ?? TreePath.Name(path), name);
        _ = Native.Unlink(Folder(TreePath.Parent(path)), name, 0);
    }

    internal static void WriteAt(int file, ReadOnlySpan<byte> data, long offset)
    {
        fixed (byte* p = data)
        {
            for (var done = 0; done < data.Length;)
            {
                var written = Native.Write(file, p + done, (nuint)(data.Length - done), offset + done);
                if (written < 0 && Native.Error == Native.EIntr)
                    continue;
                if (written <= 0)
                    throw Fault("A file cannot be written");
                done += (int)written;
            }
        }
    }

    void SetAttributes(int file, Noted entry)
    {
        SetOwner(entry, (uid, gid) => Native.ChangeOwner(file, uid, gid));
        if (entry.Xattrs is { } xattrs)
            SetXattrs(xattrs, (name, value, size) => Native.SetXattr(file, (byte*)name, (byte*)value, size, 0));
        if (entry.Mode != 0x180 && Native.ChangeMode(file, entry.Mode) != 0)
            Refusal("permissions", Native.Error);
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(file, times) != 0)
            Refusal("times", Native.Error);
    }

    static void FillTimes(TimeSpec* times, Noted entry)
    {
        times[0] = new TimeSpec { Seconds = entry.Seconds, Nanoseconds = entry.Nanoseconds };
        times[1] = times[0];
    }

    void SetOwner(Noted entry, Func<uint, uint, int> change)
    {
        // What this user makes belongs to it already; nobody but root can give it away.
        if (_isRoot && entry.Uid == 0 && entry.Gid == 0 && !_inheritsGroup)
            return;
        if (change(_isRoot ? entry.Uid : uint.MaxValue, entry.Gid) != 0 || (!_isRoot && entry.Uid != Native.EffectiveUser()))
            Refusal("owners", Native.Error);
    }

    void SetXattrs(byte[] xattrs, Func<nint, nint, nuint, int> set)
    {
        var list = new List<(byte[] Name, byte[] Value)>();
        if (!XattrList.TryDecode(xattrs, list))
            return;
        foreach (var (name, value) in list)
        {
            fixed (byte* n = (byte[])[.. name, 0])
            fixed (byte* v = (byte[])[.. value, 0])
            {
                if (set((nint)n, (nint)v, (nuint)value.Length) != 0)
                    Refusal("extended attributes", Native.Error);
            }
        }
    }

    public void Finish()
    {
        foreach (var number in _later)
            MakeLate(_noted[number]);
        foreach (var (number, first) in _links)
            MakeHardLink(_noted[number], _noted[first]);
        for (var i = _foldersMade.Count - 1; i >= 0; i--)
            FinishFolder(_noted[_foldersMade[i]]);
    }

    void MakeLate(Noted entry)
    {
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var made = MakeOne(entry, folder, name);
        if (made != 0 && Native.Error == Native.EExist && _options.Existing != ExistingFiles.Refuse && Native.Unlink(folder, name, 0) == 0)
            made = MakeOne(entry, folder, name);
        if (made != 0)
        {
            if (IsOfTheDisk(Native.Error))
                throw Fault("An entry cannot be made");
            Problem(entry, Native.Error);
            return;
        }
        var folderCopy = folder;
        var nameCopy = (nint)name;
        SetOwner(entry, (uid, gid) => Native.ChangeOwner(folderCopy, (byte*)nameCopy, uid, gid, Native.AtNoFollow));
        entry.IsThere = true;
        if (entry.Kind != EntryKind.Symlink)
            SetMode(entry, folder, name);
        if (entry.Xattrs is { } xattrs)
        {
            fixed (byte* p = ProcPath(folder, TreePath.Name(path)))
            {
                var start = (nint)p;
                SetXattrs(xattrs, (n, value, size) => Native.SetXattr((byte*)start, (byte*)n, (byte*)value, size, 0));
            }
        }
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(folder, name, times, Native.AtNoFollow) != 0)
            Refusal("times", Native.Error);
    }

    /// <summary>Of a special file, through a handle: by its name it could be a symlink that someone has put there since.</summary>
    void SetMode(Noted entry, int folder, byte* name)
    {
        var file = Native.OpenAt(folder, name, Native.PathOnly | Native.NoFollow | Native.CloseOnExec, 0);
        if (file < 0)
        {
            Refusal("permissions", Native.Error);
            return;
        }
        StatX stat;
        byte nul = 0;
        fixed (byte* path = ProcPath(file))
        {
            if (Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || stat.Type == Native.TypeSymlink || Native.ChangeMode(Native.AtCurrent, path, entry.Mode, 0) != 0)
                Refusal("permissions", Native.Error);
        }
        _ = Native.Close(file);
    }

    static byte[] ProcPath(int folder, ReadOnlySpan<byte> name) =>
        [.. System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{folder}/")), .. name, 0];

    static int MakeOne(Noted entry, int folder, byte* name)
    {
        switch (entry.Kind)
        {
            case EntryKind.Symlink:
                fixed (byte* target = (byte[])[.. entry.Target!, 0])
                    return Native.MakeSymlink(target, folder, name);
            case EntryKind.Fifo:
                return Native.MakeNode(folder, name, Native.TypeFifo | 0x180, 0);
            default:
                var (major, minor) = (entry.RawDevice >> 32, entry.RawDevice & uint.MaxValue);
                var device = (major & 0xFFF) << 8 | (minor & 0xFF) | (minor & ~0xFFUL) << 12 | (major & ~0xFFFUL) << 32; // makedev(3) of glibc
                return Native.MakeNode(folder, name, (uint)(entry.Kind == EntryKind.CharacterDevice ? Native.TypeCharacter : Native.TypeBlock) | 0x180, device);
        }
    }

    void MakeHardLink(Noted entry, Noted first)
    {
        if (!first.IsThere)
        {
            _problems.Enqueue(new SourceProblem(ProblemKind.ReadFailed, _paths[entry.Path].ToArray(), "another name of a file that was not restored"));
            return;
        }
        var from = _paths[first.Path];
        using var source = new FolderHandle(_root); // two folders at once: the thread's own handle holds one
        var fromFolder = source.Open(TreePath.Parent(from));
        var folder = Folder(TreePath.Parent(_paths[entry.Path]));
        var fromName = stackalloc byte[TreePath.MaxName + 1];
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(from), fromName);
        FolderHandle.Terminate(TreePath.Name(_paths[entry.Path]), name);
        var made = Native.MakeLink(fromFolder, fromName, folder, name, 0);
        if (made != 0 && Native.Error == Native.EExist && _options.Existing != ExistingFiles.Refuse && Native.Unlink(folder, name, 0) == 0)
            made = Native.MakeLink(fromFolder, fromName, folder, name, 0);
        if (made != 0)
            Problem(entry, Native.Error);
    }

    void FinishFolder(Noted entry)
    {
        var path = _paths[entry.Path];
        var handle = Folder(path);
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var file = Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (file < 0)
        {
            Problem(entry, Native.Error);
            return;
        }
        SetAttributes(file, entry);
        _ = Native.Close(file);
    }

    void Problem(Noted entry, int error) =>
        _problems.Enqueue(new SourceProblem(error is Native.EAcces or Native.EPerm ? ProblemKind.PermissionDenied : ProblemKind.ReadFailed,
            _paths[entry.Path].ToArray(), Native.Describe(error)));

    void Refusal(string what, int error)
    {
        if (IsOfTheDisk(error))
            throw Fault("Attributes cannot be written");
        _refusals.AddOrUpdate($"{what} not set ({(error == 0 ? "needs root" : Native.Describe(error))})", 1, (_, n) => n + 1);
    }

    static bool IsOfTheDisk(int error) => error is Native.ENoSpc or Native.EDQuot or Native.ERofs or Native.EIo;

    static HoldfastException Unsafe(string why) => new(ErrorCode.TargetUnsafe, $"The snapshot was refused: {why}. Nothing was written outside the target.",
        "This tree was not written by a sound Holdfast. Treat its writer as suspect and restore from an earlier snapshot.");

    static HoldfastException Fault(string what) => Fault(what, Native.Error);

    static HoldfastException Fault(string what, int error)
    {
        return error switch
        {
            Native.ENoSpc or Native.EDQuot => new(ErrorCode.DiskFull, "The target's disk is full: the restore is not complete.",
                "Free space, or restore into a folder on another disk; with --resume it goes on where it stopped."),
            Native.EAcces or Native.EPerm => new(ErrorCode.NoPermission, $"{what}: the system refuses access.", "Restore into a folder that this user may write, or run as one who may."),
            Native.ERofs => new(ErrorCode.ReadOnlyMedia, $"{what}: the target is mounted read-only.", "Restore into a folder on another disk."),
            Native.ELoop or Native.ENotDir or Native.EXDev => new(ErrorCode.TargetUnsafe, $"{what}: something else has taken a folder's place in the target.",
                "Nothing was written outside the target. Restore into an empty folder that nobody else writes to."),
            _ => new(ErrorCode.StoreUnavailable, $"{what}: {Native.Describe(error)}.", "Look at the target's disk, then run the restore again with --resume."),
        };
    }

    sealed class Writer(LinuxFileTarget target, int file, int direct, Noted entry, byte[]? apart) : IContentWriter
    {
        readonly Lock _lock = new();
        readonly DirectFile? _direct = direct < 0 ? null : new DirectFile(target._behind, file, direct);
        int _writing; // threads in Write: the file is not closed under them
        bool _abandoned;
        bool _closed;

        public void Write(ReadOnlySpan<byte> data, long offset)
        {
            if (file < 0)
                return;
            lock (_lock)
            {
                if (_abandoned)
                    return;
                _writing++;
            }
            try
            {
                if (_direct is not null)
                {
                    target.TurnTo(_direct);
                    _direct.Write(data, offset);
                }
                else
                {
                    WriteAt(file, data, offset);
                }
            }
            finally
            {
                lock (_lock)
                {
                    _writing--;
                    if (_abandoned)
                        TakeBack();
                }
            }
        }

        public void Abandon()
        {
            if (file < 0)
                return;
            lock (_lock)
            {
                if (_closed)
                    return;
                _abandoned = true;
                TakeBack();
            }
        }

        void TakeBack()
        {
            if (_writing > 0 || _closed)
                return; // who leaves last does it
            _closed = true;
            _direct?.Forget();
            Close();
            target.Remove(entry, apart);
        }

        void Close()
        {
            if (direct >= 0)
                _ = Native.Close(direct);
            _ = Native.Close(file);
        }

        public void Dispose()
        {
            if (file < 0)
                return;
            lock (_lock)
            {
                if (_closed || _abandoned)
                    return;
                _closed = true;
            }
            try
            {
                _direct?.Complete();
                target.SetAttributes(file, entry);
            }
            finally
            {
                Close();
            }
            entry.IsThere = apart is null || target.Take(entry, apart);
        }
    }

    /// <summary>A thread keeps bytes of one file at a time: what it kept of another is handed over.</summary>
    void TurnTo(DirectFile file)
    {
        if (_current.Value is { } last && last != file)
            last.Leave();
        _current.Value = file;
    }

    public void Dispose()
    {
        _behind.Dispose();
        _current.Dispose();
        foreach (var folder in _folders.Values)
            folder.Dispose();
        _folders.Dispose();
        _ = Native.Close(_root);
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
