using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Writes a tree below one folder. Every name is opened relative to folders that were opened without following symlinks, and symlinks are made last: no
/// row, whatever it says, reaches outside.</summary>
/// <remarks>This class judges the rows and keeps their order. Folders: <see cref="TargetFolders"/>, <see cref="FolderMaker"/>; contents: <see cref="TargetFiles"/>, <see cref="ApartFiles"/>;
/// links and special files: <see cref="LateEntries"/>; <see cref="TargetAttributes"/>; what failed: <see cref="TargetReport"/>.</remarks>
sealed unsafe class LinuxFileTarget : ITreeWriter
{
    const uint OthersMayAnything = 0x3F; // ---rwxrwx

    readonly FileTargetOptions _options;
    readonly TargetFolders _folders;
    readonly TargetNotes _notes = new();
    readonly uint _ownUser; // whose a file is that this user makes there
    readonly TargetReport _report;
    readonly TargetAttributes _attributes;
    readonly FolderMaker _maker;
    readonly bool _wasThere;
    readonly MetFolder? _root; // as it was before
    readonly TargetFiles _files;
    readonly LateEntries _late;
    readonly List<int> _later = []; // made at the end: symlinks, special files
    readonly List<(int Entry, MetFolder? Met)> _foldersMade = [];
    readonly List<(int Entry, int First)> _links = [];
    readonly Dictionary<(ulong, ulong), int> _firstNames = [];
    readonly Stack<(byte[] Path, MadeFolder Made, int Note)> _open = new(); // the folder at hand and those above it
    byte[] _last = [];
    bool _any;
    int? _unfinished; // so many of the folders have not been given what they are to have; null before that began
    long _kept;
    long _keptBytes;

    /// <param name="target">The folder; it is there.</param>
    /// <param name="wasThere">Not made for this run.</param>
    /// <param name="options">How.</param>
    public LinuxFileTarget(string target, bool wasThere, FileTargetOptions options)
    {
        _wasThere = wasThere;
        _options = options;
        _folders = new TargetFolders(target, options.Forbidden);
        try
        {
            _report = new TargetReport(_folders, _notes);
            var names = new ApartNames();
            var disks = new TargetDisks(names);
            var apart = new ApartFiles(_folders, _notes, _report, names, options.Existing);
            _root = MetFolder.Untouched(_folders.Root);
            if (_root is not null)
                _root = _root with { Ready = FolderMaker.MakeReady(_folders.Root, Native.EffectiveUser()) };
            if (options.Existing != ExistingFiles.Refuse)
                ApartFiles.RemoveLeft(_folders.Root);
            _ownUser = disks.Require(_folders.Root);
            if (_root is not null)
                _root = _root with { Ready = FolderMaker.MakeReady(_folders.Root, _ownUser) ?? _root.Ready };
            _attributes = new TargetAttributes(_report, disks);
            _maker = new FolderMaker(_folders, _notes, _report, _attributes, disks, options.Existing, _ownUser);
            _files = new TargetFiles(apart, _notes, _report, _attributes);
            _late = new LateEntries(_folders, _notes, _report, _attributes, _files, options, disks, _ownUser);
        }
        catch
        {
            if (_root is not null)
                FolderMaker.PutBack(_folders.Root, _root);
            _folders.Dispose();
            throw;
        }
    }

    public IReadOnlyCollection<TargetProblem> Problems => _report.Problems;

    public IReadOnlyCollection<AttributeRefusal> Refusals => _report.Refusals;

    public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        if (_options.MapOwnersByName)
            _notes.MapOwners(users, groups);
    }

    public int Add(EntryBatch batch, int row, bool isOnWay = false)
    {
        var path = batch.Path(row);
        if (!TreePath.IsValid(path) || (_any && TreePath.Compare(_last, path) >= 0))
            throw TargetFaults.Unsafe("it names an entry that no folder can hold, or one twice");
        if (path.IsEmpty != !_any || (path.IsEmpty && batch.Kind[row] != EntryKind.Directory))
            throw TargetFaults.Unsafe("it does not begin with its root folder");
        if (!path.IsEmpty)
        {
            var parent = TreePath.Parent(path);
            while (_open.Count > 0 && !parent.SequenceEqual(_open.Peek().Path))
                _open.Pop();
            if (_open.Count == 0)
                throw TargetFaults.Unsafe("it names an entry in a folder that is none of its own");
        }
        _any = true;
        _last = path.ToArray();
        var kind = batch.Kind[row];
        var isUnknown = batch.Uid[row] == ITreeWriter.UnknownOwner;
        var parentMade = path.IsEmpty ? new MadeFolder(null, _maker.Way(_root), isUnknown || (isOnWay && _wasThere) ? _root : _root is null ? null : _maker.Target(_root)) : _open.Peek().Made;
        var above = parentMade.Shut;
        var parentNote = path.IsEmpty ? -1 : _open.Peek().Note;
        if (kind == EntryKind.Directory)
        {
            var made = path.IsEmpty || above is { IsThere: false } ? parentMade : _maker.Make(path, _notes.OwnerOf(batch, row), parentMade.Way, isUnknown || isOnWay);
            var note = made.Shut is { IsThere: false } ? -1 : Note(batch, row, parentNote);
            _open.Push((_last, made, note));
            if (note < 0)
            {
                Miss(made.Shut!, path, parentNote);
            }
            else
            {
                _notes[note].IsThere = true;
                _foldersMade.Add((note, made.Met));
            }
            return -1;
        }
        var kept = _options.Existing == ExistingFiles.KeepEqual && kind == EntryKind.File && above is null or { IsThere: true } ? OpenEqual(batch, row) : null;
        using var open = kept;
        var isKept = kept is not null;
        if (above is not null && !isKept)
        {
            Miss(above, path, parentNote);
            return -1;
        }
        if (batch.LinkCount[row] > 1)
        {
            var key = (batch.Device[row], batch.Inode[row]);
            if (_firstNames.TryGetValue(key, out var first) && _notes[first].Kind == kind && _notes[first].Size == batch.Size[row])
            {
                _links.Add((Note(batch, row, parentNote), first));
                return -1;
            }
            _firstNames[key] = _notes.Count;
        }
        if (kind != EntryKind.File)
        {
            _later.Add(Note(batch, row, parentNote));
            return -1;
        }
        var handle = Note(batch, row, parentNote);
        if (!isKept)
            return handle;
        _attributes.Freshen(kept!.Descriptor, _notes[handle]);
        _notes.Forget(_notes[handle]);
        _notes[handle].IsThere = _notes[handle].IsKept = true;
        _kept++;
        _keptBytes += batch.Size[row];
        return -1;
    }

    public bool LeaveOut(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        if (_options.Existing == ExistingFiles.Refuse || path.IsEmpty || !TreePath.IsValid(path))
            return false;
        var parent = TreePath.Parent(path);
        foreach (var (above, _, note) in _open)
        {
            if (note >= 0 && parent.SequenceEqual(above))
                _notes.AddName(path, note); // no stranger
        }
        var folder = _folders.TryOpen(parent);
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        StatX stat;
        return folder >= 0 && Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) == 0;
    }

    int Note(EntryBatch batch, int row, int parent)
    {
        const string why = "not mapped: kept by number, which may be somebody else's here";
        var number = _notes.Add(batch, row, parent);
        if (_notes[number].HasUnknownOwner)
            _report.Refusal("names of owners", why);
        if (_notes[number].HasUnknownListed)
            _report.Refusal("names in access control lists", why);
        return number;
    }

    /// <summary>Nothing is made of an entry.</summary>
    /// <param name="shut">Why.</param>
    /// <param name="path">Its path.</param>
    /// <param name="parent">Number of the folder that holds it; -1 where there is none.</param>
    void Miss(ShutFolder shut, ReadOnlySpan<byte> path, int parent)
    {
        Interlocked.Increment(ref shut.Entries);
        if (parent >= 0 && _options.Existing != ExistingFiles.Refuse)
            _notes.AddName(path, parent);
    }

    /// <summary>The file that stands in an entry's place, open, where it is equal byte for byte and nobody else can go on changing it; null otherwise.</summary>
    /// <remarks>A file that another user made may be open for writing, or have a further name somewhere: given the entry's owner and mode it would be that user's way to act as the
    /// owner. Such a file is written anew, and so is one with attributes that the snapshot has not: the right to act as root may be among them (capabilities(7)).</remarks>
    LinuxContent? OpenEqual(EntryBatch batch, int row)
    {
        var path = batch.Path(row);
        var folder = _folders.Open(TreePath.Parent(path));
        var name = stackalloc byte[TreePath.MaxName + 1];
        FolderHandle.Terminate(TreePath.Name(path), name);
        StatX stat;
        // Before it is opened: what stands there may be a pipe.
        if (folder < 0 || Native.StatX(folder, name, Native.AtNoFollow, Native.BasicStats, &stat) != 0 || stat.Type != Native.TypeFile)
            return null;
        var file = Native.OpenAt(folder, name, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.CloseOnExec, 0);
        if (file < 0)
            return null;
        var content = new LinuxContent(file, batch, row, source: null);
        var isEqual = false;
        try
        {
            byte nothing = 0;
            isEqual = Native.StatX(file, &nothing, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && stat.Type == Native.TypeFile && (long)stat.Size == batch.Size[row] && IsSafe(stat, batch, row)
                && Xattrs.Others(file, batch.Xattrs[row]) is { Count: 0 } && content.IsOnDisk()
                && ContentCheck.Matches(content.Read, batch, row, _options.Stop); // whatever its time: that is easily put back, may be right before the bytes are after a power failure, and some file systems keep whole seconds alone
            return isEqual ? content : null;
        }
        finally
        {
            if (!isEqual)
                content.Dispose();
        }
    }

    /// <summary>It is this user's or the entry's owner's, and has no more names than the snapshot gives it.</summary>
    bool IsSafe(in StatX stat, EntryBatch batch, int row) =>
        (stat.Uid == _ownUser || stat.Uid == _notes.OwnerOf(batch, row)) && stat.LinkCount <= Math.Max(1, batch.LinkCount[row]);

    public ReadOnlySpan<byte> PathOf(int handle) => _notes.PathOf(_notes[handle]);

    public bool WriteWhole(int handle, ReadOnlySpan<byte> content) => _files.WriteWhole(_notes[handle], content);

    public void Forget(int handle) => _notes.Forget(_notes[handle]);

    public IContentWriter? Open(int handle) => _files.Open(_notes[handle]);

    public TreeWritten Finish()
    {
        var others = _later.FindAll(number => _late.Make(_notes[number])).ConvertAll(number => _notes[number]);
        var names = _links.FindAll(link => _late.MakeName(_notes[link.Entry], _notes[link.First])).ConvertAll(link => _notes[link.Entry]);
        var look = new FinalLook(_folders, _notes, _report);
        var strangers = _options.Existing == ExistingFiles.Refuse ? 0 : look.Compare(_foldersMade.Select(f => f.Entry)); // nothing of an empty target's was replaced
        var (folders, untouched, open) = (0L, 0L, 0L);
        for (var i = _foldersMade.Count - 1; i >= 0; i--)
        {
            var (number, met) = _foldersMade[i];
            var entry = _notes[number];
            var isDone = entry.IsThere && _maker.Finish(entry, met);
            _unfinished = i;
            if (!isDone)
                continue;
            if (met is { IsUntouched: true })
            {
                untouched++;
                open += (met.Mode & ~entry.Mode & OthersMayAnything) != 0 && entry.Uid != ITreeWriter.UnknownOwner ? 1 : 0;
            }
            else if (!_notes.PathOf(entry).IsEmpty)
                folders++;
        }
        _folders.Sync();
        var kept = look.Gone.Where(e => e.IsKept).ToList();
        return new TreeWritten(folders, names.Count(n => n.IsThere), others.Count(o => o.IsThere), _kept - kept.Count, _keptBytes - kept.Sum(k => k.Size))
        {
            Strangers = strangers,
            Untouched = untouched,
            MoreOpen = open,
            Gone = look.Gone.Count(e => e is { Kind: EntryKind.File, IsKept: false }) - names.Count(n => n is { Kind: EntryKind.File, IsThere: false }),
        };
    }

    public void Dispose()
    {
        // What was empty stays shut: what lies there now is this run's, and the next one goes on with it.
        for (var i = (_unfinished ?? _foldersMade.Count) - 1; i >= 0 && _options.Existing != ExistingFiles.Refuse; i--) // what a folder holds before it
        {
            if (_foldersMade[i] is (var number, { Ready: not null } met))
                _maker.PutBack(_notes.PathOf(_notes[number]), met);
        }
        if (_foldersMade.Count == 0 && _root is not null)
            _maker.PutBack(default, _root); // nothing was begun
        _files.Dispose();
        _folders.Dispose();
    }
}
