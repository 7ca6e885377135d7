using System.Collections.Concurrent;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Walks a folder with openat, getdents64 and statx: names are bytes, symlinks are never followed, no path is ever longer than the system takes.</summary>
sealed unsafe class LinuxFileSource : ISource
{
    const int LeaseWait = 50_000; // ms for a file: after 45 s the system takes a lease from who does not answer (fcntl(2))
    const int LeaseWaitAtLeast = 500; // ms: who answers does so at once
    const long LeaseWaits = 600_000; // ms for all of them: else whoever may take leases keeps a backup from ending; then only those of who answers are waited for

    readonly int _root;
    readonly FileSourceOptions _options;
    readonly OwnerNames _owners = new();
    readonly ConcurrentBag<SourceProblem> _problems = [];
    readonly ThreadLocal<FolderHandle> _folders;
    readonly HashSet<(ulong, ulong)> _skip = [];
    readonly ulong _rootDevice;
    readonly Dictionary<ulong, DeviceKind> _devices = [];
    long _leaseWaited; // ms
    uint _lastUid = uint.MaxValue, _lastGid = uint.MaxValue;

    LinuxFileSource(int root, StatX stat, FileSourceOptions options)
    {
        _root = root;
        _options = options;
        _rootDevice = stat.Device;
        HasReliableInodes = AreInodesReliable(root);
        _devices[_rootDevice] = DeviceOf(root);
        _folders = new ThreadLocal<FolderHandle>(() => new FolderHandle(root), trackAllValues: true);
        foreach (var folder in options.SkipFolders)
        {
            if (TryStat(folder, out var skipped))
                _skip.Add((skipped.Device, skipped.Inode));
        }
    }

    public static LinuxFileSource Open(string path, FileSourceOptions options)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(path + '\0');
        int root;
        StatX stat;
        fixed (byte* p = bytes)
            root = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        byte nul = 0;
        if (root < 0 || Native.StatX(root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0)
            throw new HoldfastException(ErrorCode.SourceUnreadable, $"The source folder cannot be opened: {Native.Describe(Native.Error)}.",
                "Run as a user who may read it, or let this user: setfacl -R -m u:USER:rX FOLDER.");
        if (DeviceOf(root) == DeviceKind.MadeUp)
        {
            _ = Native.Close(root);
            throw new HoldfastException(ErrorCode.SourceMissing, "There is no data in the folder: the kernel makes up what stands in it while it is read (/proc, /sys and their like).",
                "Name a folder with data. What a file there says can be kept as a stream: holdfast backup --stdin --name NAME < FILE.");
        }
        return new LinuxFileSource(root, stat, options);
    }

    static bool TryStat(string path, out StatX stat)
    {
        fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(path + '\0'))
        fixed (StatX* s = &stat)
            return Native.StatX(Native.AtCurrent, p, 0, Native.BasicStats, s) == 0;
    }

    public IReadOnlyDictionary<uint, byte[]> UserNames => _owners.Users;
    public IReadOnlyDictionary<uint, byte[]> GroupNames => _owners.Groups;
    public bool HasReliableInodes { get; }
    public IReadOnlyCollection<SourceProblem> Problems => _problems;
    public void Report(SourceProblem problem) => _problems.Add(problem);

    /// <summary>Network and user-space file systems may invent inode numbers and change times.</summary>
    static bool AreInodesReliable(int root)
    {
        var buffer = stackalloc long[32];
        if (Native.StatFs(root, buffer) != 0)
            return false;
        return (uint)buffer[0] is not (0x6969 or 0xFF534D42 or 0xFE534D42 or 0x517B or 0x65735546 or 0x01021997 or 0x786F4256 or 0x65735543); // NFS, CIFS, SMB2, SMB, FUSE, 9p, vboxsf, fusectl
    }

    enum DeviceKind
    {
        Plain,

        /// <summary>What the kernel makes up while it is read (/proc, /sys and their like): no data, and files without end. A folder of it is kept empty, as a mount point is.</summary>
        MadeUp,

        /// <summary>Whoever serves it may not know how long a file is before it is read, and says 0.</summary>
        Vague,
    }

    /// <summary>Asked of the first entry of a device; of what cannot be opened it is told when it is entered or read.</summary>
    DeviceKind DeviceOf(int folder, byte* name, in StatX stat)
    {
        if (_devices.TryGetValue(stat.Device, out var known))
            return known;
        // A file is not opened for reading: it is only asked where it lies.
        var handle = Native.OpenAt(folder, name, (stat.Type == Native.TypeFolder ? Native.ReadOnly | Native.Folder : Native.PathOnly) | Native.NoFollow | Native.CloseOnExec, 0);
        if (handle < 0)
            return DeviceKind.Plain;
        known = DeviceOf(handle);
        _ = Native.Close(handle);
        return _devices[stat.Device] = known;
    }

    static DeviceKind DeviceOf(int handle)
    {
        var buffer = stackalloc long[32];
        return Native.StatFs(handle, buffer) != 0 ? DeviceKind.Plain : (uint)buffer[0] switch
        {
            // proc, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2, bpf, configfs, pstore, devpts, binfmt_misc, selinuxfs, efivarfs (linux/magic.h)
            0x9FA0 or 0x62656572 or 0x64626720 or 0x74726163 or 0x73636673 or 0x27E0EB or 0x63677270 or 0xCAFE4A11
                or 0x62656570 or 0x6165676C or 0x1CD1 or 0x42494E4D or 0xF97CFF8C or 0xDE5E81E4 => DeviceKind.MadeUp,
            0x65735546 or 0x01021997 or 0x786F4256 => DeviceKind.Vague, // FUSE, 9p, vboxsf
            _ => DeviceKind.Plain,
        };
    }

    /// <summary>A file that says it is empty, and is not: the size is known when it has been read.</summary>
    /// <param name="folder">It lies in.</param>
    /// <param name="name">Of the file.</param>
    /// <param name="stat">Taken anew: it may have been empty a moment ago.</param>
    bool HasContentAllTheSame(int folder, byte* name, ref StatX stat)
    {
        var file = OpenFile(folder, name);
        if (file < 0)
            return true; // told when it is opened to be read
        byte first, nul = 0;
        StatX now;
        var hasContent = Native.Read(file, &first, 1, 0) != 0; // a fault is told when it is read too
        if (hasContent && Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &now) == 0 && now.Type == Native.TypeFile)
            stat = now;
        _ = Native.Close(file);
        return hasContent && stat.Size == 0;
    }

    sealed class Frame
    {
        public int Handle = -1;
        public NameList Names = new();
        public int Next;
        public int PathLength;
        public int Depth; // components of what lies in it
    }

    public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
    {
        const int maxOpen = 128; // folders held open; those above are opened again on the way back
        var path = new byte[TreePath.MaxLength + 1];
        var frames = new Stack<Frame>();
        var spare = new Stack<Frame>();
        var batch = pool.Rent();
        long entries = 0;
        AddRoot(batch);
        Enter(frames, spare, path, 0);
        var open = new Queue<Frame>();
        while (frames.TryPeek(out var frame))
        {
            if (frame.Next == frame.Names.Count)
            {
                frames.Pop();
                Leave(frame);
                spare.Push(frame);
                continue;
            }
            ct.ThrowIfCancellationRequested();
            var length = AddNext(batch, frame, path);
            if (batch.IsFull)
            {
                entries += batch.Count;
                yield return batch;
                batch = pool.Rent();
            }
            if (length > 0)
            {
                Enter(frames, spare, path, length);
                if (frames.Count > maxOpen)
                    Leave(frames.ElementAt(maxOpen)); // the frame that many below the top
            }
        }
        if (entries + batch.Count <= 1)
            _options.WhenEmpty?.Invoke();
        if (batch.Count > 0)
            yield return batch;
        else
            pool.Return(batch);
    }

    static void Leave(Frame frame)
    {
        if (frame.Handle >= 0)
            _ = Native.Close(frame.Handle);
        frame.Handle = -1;
    }

    void AddRoot(EntryBatch batch)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(_root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0)
            Fill(batch, batch.Add([]), stat);
    }

    /// <summary>Reads a folder's names. Where it cannot be read, that is a problem and it counts as empty.</summary>
    void Enter(Stack<Frame> frames, Stack<Frame> spare, byte[] path, int length)
    {
        if (!spare.TryPop(out var frame))
            frame = new Frame();
        frame.Next = 0;
        frame.PathLength = length;
        frame.Depth = frames.Count + 1;
        frame.Names.Clear();
        frame.Handle = OpenFolder(frames, path.AsSpan(0, length));
        if (frame.Handle < 0)
        {
            Problem(path.AsSpan(0, length));
        }
        else
        {
            if (!frame.Names.Read(frame.Handle))
                Problem(path.AsSpan(0, length));
            frame.Names.Sort();
            if (_options.SkipCaches && length > 0 && IsCache(frame))
                frame.Names.KeepOnly("CACHEDIR.TAG"u8);
        }
        frames.Push(frame);
    }

    int OpenFolder(Stack<Frame> frames, ReadOnlySpan<byte> path)
    {
        var name = stackalloc byte[TreePath.MaxName + 1];
        var flags = Native.ReadOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec;
        if (path.IsEmpty)
        {
            name[0] = (byte)'.';
            name[1] = 0;
            return Native.OpenAt(_root, name, flags, 0);
        }
        var parent = frames.Peek();
        if (!Reopen(parent, TreePath.Parent(path)))
            return -1;
        FolderHandle.Terminate(TreePath.Name(path), name);
        return Native.OpenAt(parent.Handle, name, flags, 0);
    }

    /// <summary>Makes sure that a frame's folder is open: it may have been closed on the way down.</summary>
    bool Reopen(Frame frame, ReadOnlySpan<byte> path)
    {
        if (frame.Handle >= 0)
            return true;
        var folder = _folders.Value!.Open(path);
        if (folder < 0)
            return false;
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        frame.Handle = Native.OpenAt(folder, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        return frame.Handle >= 0;
    }

    bool IsCache(Frame frame)
    {
        ReadOnlySpan<byte> tag = "CACHEDIR.TAG"u8;
        ReadOnlySpan<byte> signature = "Signature: 8a477f597d28d172789f06886806bc55"u8;
        if (!frame.Names.Contains(tag))
            return false;
        var name = stackalloc byte[32];
        FolderHandle.Terminate(tag, name);
        var file = Native.OpenAt(frame.Handle, name, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        if (file < 0)
            return false;
        var buffer = stackalloc byte[64];
        var read = (int)Native.Read(file, buffer, (nuint)signature.Length, 0);
        _ = Native.Close(file);
        return read == signature.Length && new ReadOnlySpan<byte>(buffer, read).SequenceEqual(signature);
    }

    /// <summary>Adds the next name of a frame. Gives the length of its path where it is a folder to enter, else 0.</summary>
    int AddNext(EntryBatch batch, Frame frame, byte[] path)
    {
        var name = frame.Names[frame.Next++];
        var start = frame.PathLength == 0 ? 0 : frame.PathLength + 1;
        var length = start + name.Length;
        if (length > TreePath.MaxLength || name.Length > TreePath.MaxName || frame.Depth > TreePath.MaxDepth)
        {
            Report(new SourceProblem(ProblemKind.PathTooLong, path.AsSpan(0, frame.PathLength).ToArray(), ""));
            return 0;
        }
        if (start > 0)
            path[start - 1] = (byte)'/';
        name.CopyTo(path.AsSpan(start));
        var whole = path.AsSpan(0, length);
        if (!Reopen(frame, whole[..frame.PathLength]))
        {
            Problem(whole);
            return 0;
        }
        StatX stat;
        var terminated = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(name, terminated);
        if (Native.StatX(frame.Handle, terminated, Native.AtNoFollow | Native.AtNoAutomount, Native.BasicStats, &stat) != 0)
        {
            Problem(whole);
            return 0;
        }
        var isFolder = stat.Type == Native.TypeFolder;
        if ((!_options.Excludes.IsEmpty && _options.Excludes.LeavesOut(whole, isFolder)) || (isFolder && _skip.Contains((stat.Device, stat.Inode))))
            return 0;
        if (stat.Type == Native.TypeSocket || KindOf(stat.Type) == EntryKind.None)
        {
            Report(new SourceProblem(ProblemKind.Skipped, whole.ToArray(), FileSource.Socket));
            return 0;
        }
        var hasUnknownSize = false;
        if (stat.Type == Native.TypeFile && (stat.Device != _rootDevice || stat.Size == 0))
        {
            var device = DeviceOf(frame.Handle, terminated, stat);
            if (device == DeviceKind.MadeUp) // mounted here by itself
            {
                Report(new SourceProblem(ProblemKind.Skipped, whole.ToArray(), "made up by the kernel"));
                return 0;
            }
            hasUnknownSize = stat.Size == 0 && (device == DeviceKind.Vague || stat.IsMountRoot) && HasContentAllTheSame(frame.Handle, terminated, ref stat);
        }
        byte[]? target = null;
        if (stat.Type == Native.TypeSymlink && (target = ReadLink(frame.Handle, terminated)) is null)
        {
            Problem(whole);
            return 0;
        }
        var row = batch.Add(whole);
        Fill(batch, row, stat);
        batch.LinkTarget[row] = target;
        if (hasUnknownSize)
            batch.Size[row] = -1;
        return isFolder && (stat.Device == _rootDevice || (!_options.OneFileSystem && DeviceOf(frame.Handle, terminated, stat) != DeviceKind.MadeUp)) ? length : 0;
    }

    static byte[]? ReadLink(int folder, byte* name)
    {
        var buffer = stackalloc byte[4096];
        var length = Native.ReadLink(folder, name, buffer, 4096);
        return length < 0 ? null : new ReadOnlySpan<byte>(buffer, (int)length).ToArray();
    }

    static EntryKind KindOf(int type) => type switch
    {
        Native.TypeFile => EntryKind.File,
        Native.TypeFolder => EntryKind.Directory,
        Native.TypeSymlink => EntryKind.Symlink,
        Native.TypeFifo => EntryKind.Fifo,
        Native.TypeCharacter => EntryKind.CharacterDevice,
        Native.TypeBlock => EntryKind.BlockDevice,
        _ => EntryKind.None,
    };

    void Fill(EntryBatch batch, int row, in StatX stat)
    {
        batch.Kind[row] = KindOf(stat.Type);
        if (stat.Uid != _lastUid || stat.Gid != _lastGid)
        {
            (_lastUid, _lastGid) = (stat.Uid, stat.Gid);
            _owners.Meet(stat.Uid, stat.Gid);
        }
        batch.LinkCount[row] = stat.LinkCount;
        batch.RawDevice[row] = stat.RawDevice;
        FillMoving(batch, row, stat);
    }

    /// <summary>What a file is at present, which may be another one than the walk saw under its name: a content never goes with another file's owner and rights. Safe from many
    /// threads.</summary>
    /// <remarks>The count of names stays the walk's: by it the engine has decided which rows are one file.</remarks>
    public void Refresh(EntryBatch batch, int row, in StatX stat, int file)
    {
        _owners.Meet(stat.Uid, stat.Gid);
        FillMoving(batch, row, stat);
        ReadXattrs(batch, row, file);
    }

    /// <summary>What may have moved on when a file is opened.</summary>
    static void FillMoving(EntryBatch batch, int row, in StatX stat)
    {
        var isFile = stat.Type == Native.TypeFile;
        batch.Mode[row] = stat.Mode & 0xFFFu;
        batch.Uid[row] = stat.Uid;
        batch.Gid[row] = stat.Gid;
        batch.Device[row] = stat.Device;
        batch.Inode[row] = stat.Inode;
        batch.Size[row] = isFile ? (long)stat.Size : 0;
        batch.MtimeSeconds[row] = stat.Modified.Seconds;
        batch.MtimeNanoseconds[row] = stat.Modified.Nanoseconds;
        batch.CtimeSeconds[row] = stat.Changed.Seconds;
        batch.CtimeNanoseconds[row] = stat.Changed.Nanoseconds;
        batch.MayBeSparse[row] = isFile && stat.Blocks * 512 + 4096 < stat.Size;
    }

    void Problem(ReadOnlySpan<byte> path) => Problem(path, Native.Error, "");

    void Problem(ReadOnlySpan<byte> path, int error, string what)
    {
        if (TargetFaults.IsOfTheProcess(error))
            throw DiskFault.OfErrno(error); // every other entry would be left out too
        var kind = error switch
        {
            Native.ENoEnt or Native.ENotDir or Native.ELoop or Native.EStale => ProblemKind.Vanished,
            Native.EAcces or Native.EPerm => ProblemKind.PermissionDenied,
            _ => ProblemKind.ReadFailed,
        };
        Report(new SourceProblem(kind, path.ToArray(), what + Native.Describe(error)));
    }

    public void ReadXattrs(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        if (path.IsEmpty)
        {
            ReadXattrs(batch, row, _root);
            return;
        }
        var folder = _folders.Value!.Open(TreePath.Parent(path));
        var error = Native.Error;
        Take(batch, row, folder < 0 ? null : Xattrs.Of(folder, TreePath.Name(path), out error), error);
    }

    public void MeetXattrs(byte[]? xattrs) => AccessLists.Meet(xattrs, _owners);

    void ReadXattrs(EntryBatch batch, int row, int file) => Take(batch, row, Xattrs.Of(file, out var error), error);

    /// <summary>Where some are missing, that is a problem of an entry that is there all the same; and the next run, to which it looks changed, reads them again.</summary>
    void Take(EntryBatch batch, int row, byte[]? xattrs, int error)
    {
        batch.Xattrs[row] = xattrs;
        AccessLists.Meet(xattrs, _owners);
        if (error == 0)
            return;
        if (error == Native.E2Big)
            Report(new SourceProblem(ProblemKind.TooMuch, batch.Path(row).ToArray(), "more extended attributes than a snapshot takes of one entry (2 MiB)"));
        else
            Problem(batch.Path(row), error, "extended attributes: ");
        batch.CtimeSeconds[row] = batch.CtimeNanoseconds[row] = 0;
    }

    public IContent? Open(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        var folders = _folders.Value!;
        var folder = folders.Open(TreePath.Parent(path));
        if (folder < 0)
        {
            Problem(path);
            return null;
        }
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var file = OpenFile(folder, name);
        if (file < 0)
        {
            Problem(path, Native.Error, Native.Error == Native.EAgain ? "another process holds a lease on it: " : "");
            return null;
        }
        // What the walk saw of a small file is compared with what it is after the reading: asking at its opening too would say nothing more.
        var content = new LinuxContent(file, batch, row, this);
        try
        {
            if ((batch.Size[row] >= LinuxContent.LargeFrom || batch.MayBeSparse[row]) && content.HasChanged())
                content.Refresh(batch, row);
            else
                ReadXattrs(batch, row, file);
        }
        catch (IOException)
        {
            Report(new SourceProblem(ProblemKind.Vanished, path.ToArray(), "no longer a file"));
            content.Dispose();
            return null;
        }
        return content;
    }

    /// <summary>Opens a file for reading. Where somebody has a lease on it, such as a file server for a client that writes to it, the first call asks for it back; so it is tried until that is so.</summary>
    int OpenFile(int folder, byte* name)
    {
        var flags = Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.NoTerminal | Native.CloseOnExec;
        for (int waited = 0, pause = 10; ; waited += pause, pause = Math.Min(2 * pause, 500))
        {
            var file = Native.OpenAt(folder, name, flags | Native.NoAtime, 0);
            if (file < 0 && Native.Error == Native.EPerm)
                file = Native.OpenAt(folder, name, flags, 0); // not the owner: access times move
            if (file >= 0 || Native.Error != Native.EAgain || waited >= (Interlocked.Read(ref _leaseWaited) < LeaseWaits ? LeaseWait : LeaseWaitAtLeast))
                return file;
            Thread.Sleep(pause);
            Interlocked.Add(ref _leaseWaited, pause);
        }
    }

    public void Dispose()
    {
        foreach (var folder in _folders.Values)
            folder.Dispose();
        _folders.Dispose();
        _ = Native.Close(_root);
    }
}
