using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Writes a tree below one folder. Every name is opened relative to folders that were opened without following symlinks, and symlinks are made last: no
/// row, whatever it says, reaches outside.</summary>
sealed unsafe class LinuxFileTarget : ITreeWriter
{
    const int Executable = 0x1C0; // rwx------ while restoring
    const int CopySize = 64 << 10; // bytes
    const uint SetIds = 0xC00; // set-user-id and set-group-id
    const long DirectFrom = 8 << 20; // bytes: smaller files are likely to be read soon
    const string ApartPrefix = ".holdfast-restoring-"; // a file until it is whole: this, a number of the run, and one of the file
    const int RunDigits = 16;
    const int CountDigits = 12;
    const int ApartLength = 20 + RunDigits + CountDigits;

    readonly int _root;
    readonly FileTargetOptions _options;
    readonly ThreadLocal<FolderHandle> _folders;
    readonly WriteBehind _behind = new();
    readonly ThreadLocal<DirectFile?> _current = new();
    readonly ConcurrentQueue<TargetProblem> _problems = new();
    readonly ConcurrentDictionary<(string What, string Detail), long> _refusals = new();
    readonly Dictionary<string, ShutFolder> _shut = []; // by path, in base64
    readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(RunDigits / 2));
    long _apart;
    readonly PathStore _paths = new();
    readonly List<Noted> _noted = []; // by handle
    readonly List<int> _later = []; // made at the end: symlinks, special files
    readonly List<int> _foldersMade = [];
    readonly List<(int Entry, int First)> _links = [];
    readonly Dictionary<(ulong, ulong), int> _firstNames = [];
    readonly Stack<(byte[] Path, ShutFolder? Shut)> _open = new(); // the folder at hand and those above it
    readonly bool _isRoot = Native.EffectiveUser() == 0;
    readonly bool _inheritsGroup;
    byte[] _last = [];
    Dictionary<uint, uint> _users = [];
    Dictionary<uint, uint> _groups = [];
    bool _any;
    long _othersMade;
    long _namesMade;
    long _kept;
    long _keptBytes;

    public LinuxFileTarget(string target, FileTargetOptions options)
    {
        _options = options;
        fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(target) + '\0'))
            _root = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (_root < 0)
            throw Fault("The target folder cannot be opened");
        try
        {
            if (options.Existing != ExistingFiles.Refuse)
                MakeReady(_root);
            Probe();
        }
        catch
        {
            _ = Native.Close(_root);
            throw;
        }
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

    /// <summary>A folder into which this user can write nothing, or that cannot be made: what lies in it is counted, not told one by one.</summary>
    sealed class ShutFolder(byte[] path, int error, bool isThere)
    {
        public byte[] Path => path;
        public int Error => error;

        /// <summary>False where there is no such folder: then nothing below it is there either.</summary>
        public bool IsThere => isThere;
        public long Entries;
    }

    public IReadOnlyCollection<TargetProblem> Problems
    {
        get
        {
            lock (_shut)
                return [.. _problems, .. _shut.Values.Where(s => s.Entries > 0).Select(s => new TargetProblem(FaultOf(s.Error), s.Path, Native.Describe(s.Error), s.Entries))];
        }
    }

    public IReadOnlyCollection<AttributeRefusal> Refusals => [.. _refusals.OrderBy(r => r.Key).Select(r => new AttributeRefusal(r.Key.What, r.Key.Detail, r.Value))];

    /// <summary>Finds out before anything else whether files can be made here at all: one word then, instead of one for each file.</summary>
    void Probe()
    {
        var name = stackalloc byte[ApartLength + 1];
        FolderHandle.Terminate(NewApart(), name);
        var file = Native.OpenAt(_root, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
        if (file < 0)
            throw Fault("Nothing can be written into the target folder");
        try
        {
            WriteAt(file, new byte[4_096], 0);
        }
        finally
        {
            _ = Native.Close(file);
            _ = Native.Unlink(_root, name, 0);
        }
    }

    /// <summary>A folder that an earlier run may have finished: its owner may write into it again, and files that the run did not finish go.</summary>
    static void MakeReady(int folder)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && (stat.Mode & Executable) != Executable)
        {
            fixed (byte* path = ProcPath(folder))
                _ = Native.ChangeMode(Native.AtCurrent, path, (stat.Mode & 0xFFFu) | Executable, 0); // where it is refused, the next write says so
        }
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var list = Native.OpenAt(folder, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (list < 0)
            return;
        var names = new NameList();
        _ = names.Read(list);
        names.Sort();
        var name = stackalloc byte[ApartLength + 1];
        for (var i = 0; i < names.Count; i++)
        {
            if (!IsApart(names[i]))
                continue;
            FolderHandle.Terminate(names[i], name);
            _ = Native.Unlink(list, name, 0);
        }
        _ = Native.Close(list);
    }

    static bool IsApart(ReadOnlySpan<byte> name)
    {
        if (name.Length != ApartLength || !name.StartsWith(ApartBytes))
            return false;
        foreach (var digit in name[ApartBytes.Length..])
        {
            if (!char.IsAsciiHexDigitLower((char)digit))
                return false;
        }
        return true;
    }

    static ReadOnlySpan<byte> ApartBytes => ".holdfast-restoring-"u8;

    byte[] NewApart() => System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{ApartPrefix}{_run}{Interlocked.Increment(ref _apart):x12}"));

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
            while (_open.Count > 0 && !parent.SequenceEqual(_open.Peek().Path))
                _open.Pop();
            if (_open.Count == 0)
                throw Unsafe("it names an entry in a folder that is none of its own");
        }
        _any = true;
        _last = path.ToArray();
        var kind = batch.Kind[row];
        var above = path.IsEmpty ? null : _open.Peek().Shut;
        if (kind == EntryKind.Directory)
        {
            var shut = path.IsEmpty ? null : above is { IsThere: false } ? above : MakeFolder(path);
            _open.Push((_last, shut));
            if (shut is { IsThere: false })
                Interlocked.Increment(ref shut.Entries);
            else
                _foldersMade.Add(Note(batch, row));
            return -1;
        }
        StatX there = default;
        var isKept = _options.Existing == ExistingFiles.KeepEqual && kind == EntryKind.File && above is null or { IsThere: true } && IsThere(batch, row, out there);
        if (above is not null && !isKept)
        {
            Interlocked.Increment(ref above.Entries);
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
        if (!isKept)
            return handle;
        Freshen(_noted[handle], there);
        _noted[handle].IsThere = true;
        _kept++;
        _keptBytes += batch.Size[row];
        return -1;
    }

    /// <summary>The run that wrote it may not have been allowed all that this one is.</summary>
    void Freshen(Noted entry, in StatX there)
    {
        if ((there.Mode & 0xFFF) == entry.Mode && there.Uid == entry.Uid && there.Gid == entry.Gid)
            return;
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var file = folder < 0 ? -1 : Native.OpenAt(folder, name, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        if (file < 0)
            return;
        SetAttributes(file, entry, isNew: false);
        _ = Native.Close(file);
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

    bool IsThere(EntryBatch batch, int row, out StatX there)
    {
        there = default;
        var path = batch.Path(row);
        var folder = Folder(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        StatX stat;
        if (folder < 0 || Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) != 0 || stat.Type != Native.TypeFile || (long)stat.Size != batch.Size[row]
            || stat.Modified.Seconds != batch.MtimeSeconds[row] || stat.Modified.Nanoseconds != batch.MtimeNanoseconds[row])
            return false;
        var file = Native.OpenAt(folder, name, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        if (file < 0)
            return false;
        there = stat;
        // Size and time are easily put back; after a power failure they may be right before the bytes are.
        using var content = new LinuxContent(file, batch, row);
        return ContentCheck.Matches(content.Read, batch, row);
    }

    /// <summary>Null where files can be made in it.</summary>
    ShutFolder? MakeFolder(ReadOnlySpan<byte> path)
    {
        var parent = TreePath.Parent(path);
        var folder = Folder(parent);
        if (folder < 0)
            return Shut(path, Native.Error, isThere: false);
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        if (Native.MakeFolder(folder, name, Executable) == 0)
            return null;
        var error = Native.Error;
        if (IsOfTheDisk(error))
            throw Fault("A folder cannot be made", error);
        var there = Native.OpenAt(folder, name, Native.PathOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec, 0);
        if (there < 0)
        {
            if (Native.Error is Native.ENotDir or Native.ELoop)
            {
                throw new HoldfastException(ErrorCode.TargetUnsafe, "Something that is no folder stands where the snapshot has a folder.",
                    "Move it away, or restore into an empty folder.");
            }
            return IsOfTheFolder(error) ? Shut(parent, error, isThere: false) : Shut(path, error, isThere: false);
        }
        if (_options.Existing != ExistingFiles.Refuse)
            MakeReady(there);
        _ = Native.Close(there);
        return Native.Access(folder, name, Native.WriteAccess | Native.ExecuteAccess, Native.AtEffective | Native.AtNoFollow) == 0 ? null : Shut(path, Native.Error, isThere: true);
    }

    ShutFolder Shut(ReadOnlySpan<byte> path, int error, bool isThere)
    {
        if (error == Native.ERofs)
            RequireWritable();
        var key = Convert.ToBase64String(path);
        lock (_shut)
            return _shut.TryGetValue(key, out var known) ? known : _shut[key] = new ShutFolder(path.ToArray(), error, isThere);
    }

    /// <summary>A part of the target may be mounted read-only; where all of it is, nothing more can be done.</summary>
    void RequireWritable()
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        if (Native.Access(_root, dot, Native.WriteAccess, Native.AtEffective) != 0 && Native.Error == Native.ERofs)
            throw Fault("The target cannot be written any more", Native.ERofs);
    }

    /// <summary>-1 where it cannot be opened, with the error set.</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: something else has taken its place. <c>StoreUnavailable</c>.</exception>
    int Folder(ReadOnlySpan<byte> path)
    {
        var folder = _folders.Value!.Open(path);
        return folder >= 0 || !(IsOfTheDisk(Native.Error) || Native.Error is Native.ELoop or Native.ENotDir or Native.EXDev) ? folder : throw Fault("A folder of the target cannot be opened");
    }

    public ReadOnlySpan<byte> PathOf(int handle) => _paths[_noted[handle].Path];

    public bool WriteWhole(int handle, ReadOnlySpan<byte> content)
    {
        var entry = _noted[handle];
        var file = OpenNew(entry, out var apart);
        if (file < 0)
            return false;
        var whole = false;
        var written = false;
        try
        {
            WriteAt(file, content, 0);
            whole = SetAttributes(file, entry, isNew: true);
            written = true;
        }
        finally
        {
            var closed = CloseWritten(file);
            if (!written || closed != 0)
                Remove(entry, apart);
            if (written && closed != 0)
                whole = written = WriteFailed(entry, closed);
        }
        return written && Take(entry, apart) && whole;
    }

    /// <summary>0, or the error of a file system that says only now that it has no room.</summary>
    static int CloseWritten(int file) => Native.Close(file) == 0 || Native.Error == Native.EIntr ? 0 : Native.Error;

    bool WriteFailed(Noted entry, int error)
    {
        if (IsOfTheDisk(error))
            throw Fault("A file cannot be written", error);
        Problem(entry, error);
        return false;
    }

    public IContentWriter? Open(int handle) => OpenAt(_noted[handle]);

    Writer? OpenAt(Noted entry)
    {
        var file = OpenNew(entry, out var apart);
        if (file < 0)
            return null;
        if (Native.Truncate(file, entry.Size) == 0)
            return new Writer(this, file, OpenDirect(file, entry), entry, apart);
        var error = Native.Error;
        _ = Native.Close(file);
        Remove(entry, apart);
        WriteFailed(entry, error); // larger than this file system holds, for one
        return null;
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

    /// <summary>Makes a file under a name of its own, which it keeps until it is whole. -1 where that fails for this file or this folder alone.</summary>
    int OpenNew(Noted entry, out byte[] apart)
    {
        apart = NewApart();
        var parent = TreePath.Parent(_paths[entry.Path]);
        var folder = Folder(parent);
        var file = -1;
        if (folder >= 0)
        {
            var name = stackalloc byte[ApartLength + 1];
            FolderHandle.Terminate(apart, name);
            file = Native.OpenAt(folder, name, Native.WriteOnly | Native.Create | Native.Exclusive | Native.NoFollow | Native.CloseOnExec, 0x180);
        }
        if (file < 0)
            Missed(entry, parent, Native.Error);
        return file;
    }

    /// <summary>An entry cannot be made: because of its folder, or for a reason of its own.</summary>
    void Missed(Noted entry, ReadOnlySpan<byte> folder, int error)
    {
        if (IsOfTheDisk(error))
            throw Fault("An entry cannot be made", error);
        if (IsOfTheFolder(error))
            Interlocked.Increment(ref Shut(folder, error, isThere: true).Entries);
        else
            Problem(entry, error);
    }

    bool Take(Noted entry, byte[] apart)
    {
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        if (folder < 0)
        {
            Missed(entry, TreePath.Parent(path), Native.Error);
            return false;
        }
        var from = stackalloc byte[ApartLength + 1];
        var to = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(apart, from);
        FolderHandle.Terminate(TreePath.Name(path), to);
        if (Rename(folder, from, to) == 0)
            return entry.IsThere = true;
        var error = Native.Error;
        _ = Native.Unlink(folder, from, 0);
        return WriteFailed(entry, error);
    }

    static volatile bool _hasNoReplace = true;

    /// <summary>Into an empty target nothing is replaced: what stands there has come meanwhile, or differs in case alone where case does not count.</summary>
    int Rename(int folder, byte* from, byte* to)
    {
        if (_options.Existing != ExistingFiles.Refuse)
            return Native.Rename(folder, from, folder, to);
        if (_hasNoReplace)
        {
            if (Native.RenameNew(folder, from, folder, to, Native.NoReplace) == 0)
                return 0;
            if (Native.Error is not (Native.ENoSys or Native.EInval))
                return -1;
            _hasNoReplace = false; // an old kernel, or a file system that does not know it
        }
        return Native.MakeLink(folder, from, folder, to, 0) == 0 ? Native.Unlink(folder, from, 0) : Native.Error is Native.EPerm or Native.EOpNotSupp or Native.ENoSys ? Native.Rename(folder, from, folder, to) : -1;
    }

    void Remove(Noted entry, byte[] apart)
    {
        var folder = _folders.Value!.Open(TreePath.Parent(_paths[entry.Path]));
        if (folder < 0)
            return;
        var name = stackalloc byte[ApartLength + 1];
        FolderHandle.Terminate(apart, name);
        _ = Native.Unlink(folder, name, 0);
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

    /// <summary>False where one of them could not be set though this user may set it and this file system has it.</summary>
    bool SetAttributes(int file, Noted entry, bool isNew)
    {
        var owned = SetOwner(entry, isNew, (uid, gid) => Native.ChangeOwner(file, uid, gid));
        var whole = entry.Xattrs is not { } xattrs || SetXattrs(entry, xattrs, (name, value, size) => Native.SetXattr(file, (byte*)name, (byte*)value, size, 0));
        var mode = owned || entry.Kind == EntryKind.Directory ? entry.Mode : entry.Mode & ~SetIds; // not for another owner than the snapshot's
        if (mode != entry.Mode)
            Refusal("set-id bits", "the owner is another");
        if (mode != 0x180 && Native.ChangeMode(file, mode) != 0)
            Refusal("permissions", Native.Error);
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(file, times) != 0)
            Refusal("times", Native.Error);
        return whole;
    }

    static void FillTimes(TimeSpec* times, Noted entry)
    {
        times[0] = new TimeSpec { Seconds = entry.Seconds, Nanoseconds = entry.Nanoseconds };
        times[1] = times[0];
    }

    bool SetOwner(Noted entry, bool isNew, Func<uint, uint, int> change)
    {
        // What this user makes belongs to it already; nobody but root can give it away.
        if (isNew && _isRoot && entry.Uid == 0 && entry.Gid == 0 && !_inheritsGroup)
            return true;
        if (change(_isRoot ? entry.Uid : uint.MaxValue, entry.Gid) != 0)
        {
            Refusal("owners", Native.Error);
            return false;
        }
        if (_isRoot || entry.Uid == Native.EffectiveUser())
            return true;
        Refusal("owners", Native.EPerm);
        return false;
    }

    bool SetXattrs(Noted entry, byte[] xattrs, Func<nint, nint, nuint, int> set)
    {
        var list = new List<(byte[] Name, byte[] Value)>();
        if (!XattrList.TryDecode(xattrs, list))
            return false;
        var (refused, fault) = (0, 0);
        foreach (var (name, value) in list)
        {
            fixed (byte* n = (byte[])[.. name, 0])
            fixed (byte* v = (byte[])[.. value, 0])
            {
                if (set((nint)n, (nint)v, (nuint)value.Length) == 0)
                    continue;
                // A full disk is said of attributes too that are larger than this file system has room for in one file.
                if (Native.Error is Native.EPerm or Native.EAcces or Native.EOpNotSupp)
                    refused = Native.Error;
                else
                    fault = Native.Error == Native.EIo ? throw Fault("Attributes cannot be written") : Native.Error;
            }
        }
        if (refused != 0)
            Refusal("extended attributes", refused);
        if (fault == 0)
            return true;
        _problems.Enqueue(new TargetProblem(TargetFault.NotHeld, _paths[entry.Path].ToArray(), $"an extended attribute was not taken: {Native.Describe(fault)}", 1));
        return false;
    }

    public TreeWritten Finish()
    {
        foreach (var number in _later)
            MakeLate(_noted[number]);
        foreach (var (number, first) in _links)
            MakeHardLink(_noted[number], _noted[first]);
        var folders = 0L;
        for (var i = _foldersMade.Count - 1; i >= 0; i--)
            folders += FinishFolder(_noted[_foldersMade[i]]) && _paths[_noted[_foldersMade[i]].Path].Length > 0 ? 1 : 0;
        return new TreeWritten(folders, _namesMade, _othersMade, _kept, _keptBytes);
    }

    void MakeLate(Noted entry)
    {
        var path = _paths[entry.Path];
        var folder = Folder(TreePath.Parent(path));
        if (folder < 0)
        {
            Missed(entry, TreePath.Parent(path), Native.Error);
            return;
        }
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        var made = MakeOne(entry, folder, name);
        if (made != 0 && Native.Error == Native.EExist && _options.Existing != ExistingFiles.Refuse)
            made = Native.Unlink(folder, name, 0) == 0 ? MakeOne(entry, folder, name) : -1;
        if (made != 0)
        {
            if (Native.Error == Native.EPerm)
                Problem(entry, Native.EPerm); // of its kind: this user or this file system makes none
            else
                Missed(entry, TreePath.Parent(path), Native.Error);
            return;
        }
        var folderCopy = folder;
        var nameCopy = (nint)name;
        SetOwner(entry, isNew: true, (uid, gid) => Native.ChangeOwner(folderCopy, (byte*)nameCopy, uid, gid, Native.AtNoFollow));
        entry.IsThere = true;
        if (entry.Kind != EntryKind.Symlink)
            SetMode(entry, folder, name);
        var whole = true;
        if (entry.Xattrs is { } xattrs)
        {
            fixed (byte* p = ProcPath(folder, TreePath.Name(path)))
            {
                var start = (nint)p;
                whole = SetXattrs(entry, xattrs, (n, value, size) => Native.SetXattr((byte*)start, (byte*)n, (byte*)value, size, 0));
            }
        }
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(folder, name, times, Native.AtNoFollow) != 0)
            Refusal("times", Native.Error);
        _othersMade += whole ? 1 : 0;
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
            _problems.Enqueue(new TargetProblem(TargetFault.FirstNameMissing, _paths[entry.Path].ToArray(), "another name of a file that was not restored", 1));
            return;
        }
        var from = _paths[first.Path];
        using var source = new FolderHandle(_root); // two folders at once: the thread's own handle holds one
        var fromFolder = source.Open(TreePath.Parent(from));
        var folder = fromFolder < 0 ? -1 : Folder(TreePath.Parent(_paths[entry.Path]));
        if (folder < 0)
        {
            Missed(entry, TreePath.Parent(_paths[entry.Path]), Native.Error);
            return;
        }
        var fromName = stackalloc byte[TreePath.MaxName + 1];
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(from), fromName);
        FolderHandle.Terminate(TreePath.Name(_paths[entry.Path]), name);
        var made = Native.MakeLink(fromFolder, fromName, folder, name, 0);
        if (made != 0 && Native.Error == Native.EExist && _options.Existing != ExistingFiles.Refuse)
            made = Native.Unlink(folder, name, 0) == 0 ? Native.MakeLink(fromFolder, fromName, folder, name, 0) : -1;
        if (made == 0)
            _namesMade++;
        else if (Native.Error is Native.EPerm or Native.EOpNotSupp or Native.ENoSys or Native.EMLink or Native.EXDev)
            CopyFirst(entry, fromFolder, fromName, Native.Error);
        else
            Missed(entry, TreePath.Parent(_paths[entry.Path]), Native.Error);
    }

    /// <summary>Where no link can be made the content comes all the same, as a file of its own.</summary>
    void CopyFirst(Noted entry, int fromFolder, byte* fromName, int why)
    {
        var first = Native.OpenAt(fromFolder, fromName, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        StatX stat;
        byte nul = 0;
        if (first < 0 || Native.StatX(first, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || stat.Type != Native.TypeFile)
        {
            if (first >= 0)
                _ = Native.Close(first);
            Problem(entry, why);
            return;
        }
        using var content = new LinuxContent(first, stat);
        using var writer = OpenAt(entry);
        if (writer is null)
            return;
        try
        {
            var buffer = new byte[CopySize];
            for (long at = 0; at < entry.Size;)
            {
                var count = content.Read(buffer, at);
                if (count == 0)
                    throw new IOException();
                if (buffer.AsSpan(0, count).ContainsAnyExcept((byte)0))
                    writer.Write(buffer.AsSpan(0, count), at);
                at += count;
            }
        }
        catch (IOException)
        {
            Problem(entry, Native.EIo);
            return;
        }
        if (!writer.Complete())
            return;
        Refusal("hard links", why);
        _namesMade++;
    }

    bool FinishFolder(Noted entry)
    {
        var path = _paths[entry.Path];
        var handle = Folder(path);
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var file = handle < 0 ? -1 : Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (file < 0)
        {
            Problem(entry, Native.Error);
            return false;
        }
        var whole = SetAttributes(file, entry, isNew: _options.Existing == ExistingFiles.Refuse && path.Length > 0);
        _ = Native.Close(file);
        return whole;
    }

    void Problem(Noted entry, int error) => _problems.Enqueue(new TargetProblem(FaultOf(error), _paths[entry.Path].ToArray(), Native.Describe(error), 1));

    static TargetFault FaultOf(int error) => error switch
    {
        Native.EAcces or Native.EPerm or Native.ERofs => TargetFault.NotPermitted,
        Native.EExist or Native.EIsDir or Native.ENotDir or Native.ENotEmpty or Native.ENoEnt => TargetFault.InTheWay,
        Native.EFBig or Native.ENameTooLong or Native.EInval or Native.EOpNotSupp or Native.EMLink or Native.EOverflow or Native.EIlSeq or Native.EXDev => TargetFault.NotHeld,
        _ => TargetFault.Failed,
    };

    void Refusal(string what, int error)
    {
        if (IsOfTheDisk(error))
            throw Fault("Attributes cannot be written", error);
        Refusal(what, Native.Describe(error));
    }

    void Refusal(string what, string detail) => _refusals.AddOrUpdate((what, detail), 1, (_, n) => n + 1);

    /// <summary>What keeps everything out of a folder, whatever its name.</summary>
    static bool IsOfTheFolder(int error) => error is Native.EAcces or Native.EPerm or Native.ERofs or Native.ENoEnt;

    static bool IsOfTheDisk(int error) => error is Native.ENoSpc or Native.EDQuot or Native.EIo;

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

    sealed class Writer(LinuxFileTarget target, int file, int direct, Noted entry, byte[] apart) : IContentWriter
    {
        readonly Lock _lock = new();
        readonly DirectFile? _direct = direct < 0 ? null : new DirectFile(target._behind, file, direct);
        int _writing; // threads in Write: the file is not closed under them
        bool _abandoned;
        bool _closed;

        public void Write(ReadOnlySpan<byte> data, long offset)
        {
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

        public void Dispose()
        {
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

        /// <summary>0, or the error.</summary>
        int Close()
        {
            var failed = direct >= 0 ? CloseWritten(direct) : 0;
            return CloseWritten(file) is var error && failed == 0 ? error : failed;
        }

        public bool Complete()
        {
            lock (_lock)
            {
                if (_closed || _abandoned)
                    return false;
                _closed = true;
            }
            var (written, whole, failed) = (false, false, 0);
            try
            {
                _direct?.Complete();
                whole = target.SetAttributes(file, entry, isNew: true);
                written = true;
            }
            finally
            {
                failed = Close();
                if (!written || failed != 0)
                    target.Remove(entry, apart);
            }
            return failed == 0 ? target.Take(entry, apart) && whole : target.WriteFailed(entry, failed);
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
