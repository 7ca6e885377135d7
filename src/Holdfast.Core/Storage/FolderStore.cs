using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>A store in one or more folders: staged apart, entered by rename without replacing, durable before the name counts (docs/format.md, section 3).</summary>
public sealed class FolderStore : IStore
{
    internal const int MaxCopies = 10;

    /// <summary>One level of folders, and not through links: what they lead to is not the vault.</summary>
    static readonly EnumerationOptions Shelves = new() { RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false };

    readonly Disk _disk;
    volatile string[] _folders; // replaced whole: several threads read through one store

    /// <param name="folders">Folders that hold the vault's bytes; the first is the vault's own. A folder that is not there counts as empty: its disk may be away.</param>
    /// <param name="disk">Where changes go.</param>
    public FolderStore(IEnumerable<string> folders, Disk? disk = null)
    {
        _disk = disk ?? Disk.Real;
        _folders = Known(folders);
        AtFirst = [.. _folders.Where(IsThere)];
    }

    /// <summary>All are changed in the name of the first one's owner: whoever may write the list of them could name any folder of this machine.</summary>
    static string[] Known(IEnumerable<string> folders)
    {
        string[] all = [.. folders.Select(Path.GetFullPath)];
        foreach (var folder in all)
            FolderOwner.Know(folder, like: all[0]);
        return all;
    }

    public IReadOnlyList<string> Folders => _folders;

    /// <summary>Tells all folders as they are now; null where there are never others.</summary>
    internal Func<IEnumerable<string>>? More { get; init; }

    public void Look()
    {
        try
        {
            if (More?.Invoke() is { } folders)
                _folders = Known(folders);
        }
        catch (HoldfastException)
        {
            // It goes on with those it knows.
        }
    }

    /// <summary>Folders whose disk is not there: what lies in them cannot be read now.</summary>
    public IReadOnlyList<string> Away => [.. _folders.Where(f => !IsThere(f))];

    /// <summary>Those whose disk was there when the store was opened.</summary>
    public IReadOnlyList<string> AtFirst { get; }

    /// <summary>The place where a disk is mounted is a folder with or without the disk. Staging may be missing: a copy does without.</summary>
    static bool IsThere(string folder) => Directory.Exists(Path.Combine(folder, "packs"));

    /// <summary>Makes the folders of an empty store.</summary>
    public static void Create(string folder, Disk disk)
    {
        foreach (var part in new[] { "packs", "objects" })
        {
            for (var i = 0; i < 256; i++)
                disk.MakeFolder(Path.Combine(folder, part, i.ToString("x2", null)));
            disk.SyncFolder(Path.Combine(folder, part));
        }
        disk.MakeFolder(Path.Combine(folder, "staging"));
        disk.SyncFolder(folder);
    }

    public IStaged Stage(bool large = false)
    {
        Look(); // a long run goes on where there is room, though the folder was added while it ran
        var faults = new List<HoldfastException>();
        foreach (var folder in ByRoom())
        {
            try
            {
                return Stage(folder, large);
            }
            catch (HoldfastException e) when (_folders.Length > 1 && e.Code is ErrorCode.ReadOnlyMedia or ErrorCode.NoPermission or ErrorCode.DiskFull or ErrorCode.StoreUnavailable)
            {
                faults.Add(Named(e, folder)); // another disk may take it
            }
        }
        throw faults.Find(f => f.Code == ErrorCode.DiskFull) ?? faults[0]; // a full one can be given room
    }

    static HoldfastException Named(HoldfastException fault, string folder) => new(fault.Code, $"{fault.Message} That was in {folder}.", fault.Guidance, fault) { IsTransient = fault.IsTransient };

    Staged Stage(string folder, bool large)
    {
        if (!Directory.Exists(Path.Combine(folder, "staging")) && IsThere(folder))
            _disk.MakeFolder(Path.Combine(folder, "staging"));
        var path = Path.Combine(folder, "staging", Id16.New().ToString());
        return new Staged(_disk, large ? _disk.CreateLarge(path) : _disk.Create(path), path, folder) { IsOneOfSeveral = _folders.Length > 1 };
    }

    public void SweepStaging()
    {
        foreach (var folder in _folders)
            Leftovers.Sweep(_disk, Path.Combine(folder, "staging"), "*");
    }

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name)
    {
        if (Find(kind, name, 0) is not null)
        {
            SyncNames(kind, [name]); // who entered it may have been killed before it did
            return false;
        }
        return Enter((Staged)staged, PathOf(((Staged)staged).Folder, kind, name, 0));
    }

    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name)
    {
        for (var copy = 0; copy < MaxCopies; copy++)
        {
            if (Find(kind, name, copy) is null && Enter((Staged)staged, PathOf(((Staged)staged).Folder, kind, name, copy)))
                return;
        }
        throw new HoldfastException(ErrorCode.StoreUnavailable,
            $"{kind} {name} has ten copies already.",
            "Ten damaged copies of one file mean a failing disk: replace it and add a folder on another one with `holdfast store add`.");
    }

    bool Enter(Staged staged, string path)
    {
        staged.Seal();
        if (!_disk.Rename(staged.Path, path, replace: false))
            return false;
        staged.Entered();
        _disk.SyncFolder(Path.GetDirectoryName(path)!);
        return true;
    }

    public void SyncNames(StoreKind kind, IEnumerable<Hash32> names)
    {
        foreach (var folder in names.SelectMany(n => FindAll(kind, n)).Select(p => Path.GetDirectoryName(p)!).Distinct().ToList())
            _disk.SyncFolder(folder);
    }

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
    {
        // Copies count over all folders: the same number may lie in several, where a disk was away for a while.
        var path = Plain().Skip(copy).FirstOrDefault();
        if (path is null && copy == 0)
        {
            Look();
            path = Plain().FirstOrDefault();
        }
        return path is not null && _disk.OpenStored(path) is { } file ? DiskFault.Translated(() => new Item(file)) : null;

        IEnumerable<string> Plain() => FindAll(kind, name).Where(PlainFile.IsOne);
    }

    public IEnumerable<StoredName> List(StoreKind kind)
    {
        Look();
        foreach (var folder in _folders)
        {
            var root = Path.Combine(folder, Part(kind));
            if (!Directory.Exists(root))
                continue;
            foreach (var file in new DirectoryInfo(root).EnumerateFiles("*", Shelves))
            {
                var name = file.Name;
                var dot = name.IndexOf('.');
                var copy = 0;
                var belongs = Hash32.TryParse(dot < 0 ? name : name.AsSpan(0, dot), out var hash) && name.AsSpan(0, 2).SequenceEqual(file.Directory!.Name)
                    && (dot < 0 || (int.TryParse(name.AsSpan(dot + 1), System.Globalization.NumberStyles.None, null, out copy) && copy is >= 1 and < MaxCopies && name.Length == dot + 2));
                var found = LengthOf(file);
                belongs &= found != 0 || PlainFile.IsOne(file.FullName); // a pipe and the like have no bytes, and are never opened
                if (found is { } length)
                    yield return new StoredName(kind, belongs ? hash : Hash32.None, belongs ? copy : 0, length, belongs ? null : file.FullName);
            }
        }

        static long? LengthOf(FileInfo file)
        {
            try
            {
                return file.Length;
            }
            catch (FileNotFoundException)
            {
                return null; // removed by another expiry since it was listed
            }
        }
    }

    /// <summary>Free bytes of the roomiest folder.</summary>
    public long Free => new DriveInfo(Roomiest()).AvailableFreeSpace;

    /// <summary>Free bytes of all folders that are there, each file system once.</summary>
    public long FreeInAll => _folders.Where(IsThere).DistinctBy(f => FileStat.TryRead(f, out var stat) ? (stat.Device, "") : (0, f)).Sum(f => Math.Max(0, FreeIn(f)));

    /// <summary>The file that holds a copy, for the process that sets flags and for expiry; null where there is none.</summary>
    internal string? Find(StoreKind kind, Hash32 name, int copy)
    {
        foreach (var folder in _folders)
        {
            var path = PathOf(folder, kind, name, copy);
            if (File.Exists(path))
                return path;
        }
        return null;
    }

    /// <summary>Paths of all copies of a name.</summary>
    internal IEnumerable<string> FindAll(StoreKind kind, Hash32 name) =>
        from copy in Enumerable.Range(0, MaxCopies) from folder in _folders let path = PathOf(folder, kind, name, copy) where File.Exists(path) select path;

    /// <summary>Where new packs go, while it takes writes.</summary>
    public string Roomiest() => ByRoom()[0];

    string[] ByRoom() => _folders.Length > 1 && _folders.Where(IsThere).OrderByDescending(FreeIn).ToArray() is { Length: > 0 } there ? there : [_folders[0]];

    static long FreeIn(string folder)
    {
        try
        {
            return new DriveInfo(folder).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return -1; // its disk has failed
        }
    }

    static string Part(StoreKind kind) => kind == StoreKind.Pack ? "packs" : "objects";

    static string PathOf(string folder, StoreKind kind, Hash32 name, int copy)
    {
        var text = name.ToString();
        return Path.Combine(folder, Part(kind), text[..2], copy == 0 ? text : $"{text}.{copy}");
    }

    sealed class Staged(Disk disk, DiskFile file, string path, string folder) : IStaged
    {
        bool _sealed;
        bool _isDone;

        public string Path => path;
        public string Folder => folder;
        public long Length => file.Length;

        public bool IsOneOfSeveral { get; init; }

        public void Append(ReadOnlySpan<byte> bytes)
        {
            try
            {
                file.Append(bytes);
            }
            catch (HoldfastException e) when (IsOneOfSeveral)
            {
                throw Named(e, folder); // a quota may fill it long before the disk is full
            }
        }

        public void Seal()
        {
            if (_sealed)
                return;
            file.Sync();
            _sealed = true;
            if (!OperatingSystem.IsLinux())
                file.Dispose(); // elsewhere what is open has no new name; here it is held until it has one
        }

        public void Entered()
        {
            _isDone = true;
            file.Dispose();
        }

        public void Dispose()
        {
            file.Dispose();
            if (!_isDone)
                disk.Discard(path);
            _isDone = true;
        }
    }

    sealed class Item(SafeFileHandle file) : IStoredItem
    {
        const int Ahead = 8 << 20; // bytes

        long _end; // of the read before
        long _asked; // bytes up to here have been asked for

        public long Size { get; } = RandomAccess.GetLength(file);

        public void Read(long offset, Span<byte> destination)
        {
            AskAhead(offset, destination.Length);
            while (!destination.IsEmpty)
            {
                int read;
                try
                {
                    read = RandomAccess.Read(file, destination, offset);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    throw DiskFault.Of(e);
                }
                if (read == 0)
                    throw new HoldfastException(ErrorCode.Truncated,
                        "A file of the vault is shorter than it was written.",
                        "Run `holdfast verify` to see which, and how far the damage goes.");
                destination = destination[read..];
                offset += read;
            }
        }

        /// <summary>Who reads in order has the next megabytes fetched meanwhile: the system's own reading ahead is 128 KiB, which no disk is fast with. Threads that
        /// share an item at worst ask for too much or too little.</summary>
        void AskAhead(long offset, int count)
        {
            var inOrder = offset == _end && offset > 0;
            _end = offset + count;
            if (!inOrder || _end + Ahead / 2 < _asked || _asked >= Size || !OperatingSystem.IsLinux())
                return;
            var from = Math.Max(_end, _asked);
            _ = Libc.Advise(file, from, Ahead, Libc.WillNeed);
            _asked = from + Ahead;
        }

        public void Forget()
        {
            if (OperatingSystem.IsLinux())
                _ = Libc.Advise(file, 0, 0, Libc.DontNeed);
        }

        public void Dispose() => file.Dispose();
    }
}

/// <summary>What all stores share.</summary>
public static class StoreExtensions
{
    public const int MaxObject = 256 << 20; // bytes; packs have a limit of their own
    internal const int MaxCopies = 100; // of one name, over all folders; nobody looks at more

    /// <summary>Reads an object whole, from the first copy whose SHA-256 is its name.</summary>
    /// <exception cref="HoldfastException"><c>ObjectMissing</c>, <c>ObjectDamaged</c>; <c>NoPermission</c> where a copy may not be read, and no other is sound.</exception>
    public static byte[] ReadObject(this IStore store, Hash32 name)
    {
        var found = false;
        HoldfastException? fault = null;
        foreach (var (bytes, why) in Copies(store, name))
        {
            if (bytes is not null)
                return bytes;
            found = true;
            fault ??= why;
        }
        throw fault?.Code == ErrorCode.NoPermission ? fault
            : fault is not null ? new HoldfastException(ErrorCode.ObjectDamaged, $"Object {name} cannot be read: {fault.Message}", fault.Guidance, fault)
            : found ? new HoldfastException(ErrorCode.ObjectDamaged, $"Object {name} is damaged: its bytes do not give its name.",
                "Run `holdfast verify` to see how far the damage goes; bring the object back from another copy of the vault.")
            : new HoldfastException(ErrorCode.ObjectMissing, $"Object {name} is not in the vault.",
                "Mount the disk that holds it, or say where that folder is now (`holdfast store move OLD NEW`); or bring it from another copy of the vault.");
    }

    /// <summary>The bytes of each copy of an object that gives its name; none of one that does not, or cannot be read, and then why.</summary>
    static IEnumerable<(byte[]? Bytes, HoldfastException? Fault)> Copies(IStore store, Hash32 name)
    {
        for (var copy = 0; copy < MaxCopies; copy++)
        {
            var read = Read(store, name, copy);
            if (read?.Fault?.Code == ErrorCode.StoreUnavailable)
                read = Read(store, name, copy); // it may have been for a moment, and much hangs on one object
            if (read is not { } found)
                break;
            yield return found;
        }
    }

    static (byte[]? Bytes, HoldfastException? Fault)? Read(IStore store, Hash32 name, int copy)
    {
        try
        {
            using var item = store.Open(StoreKind.Object, name, copy);
            return item is null ? null : (Whole(item, name), null);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.NoPermission)
        {
            return (null, e);
        }
    }

    static byte[]? Whole(IStoredItem item, Hash32 name)
    {
        if (item.Size > MaxObject)
            return null;
        var bytes = new byte[item.Size];
        try
        {
            item.Read(0, bytes);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.Truncated)
        {
            return null;
        }
        return new Hash32(SHA256.HashData(bytes)) == name ? bytes : null;
    }

    /// <summary>Stores an object that the vault is lost without, or what is in it cannot be told: one bad sector is not to cost it.</summary>
    internal static Hash32 PutTwice(this IStore store, ReadOnlySpan<byte> bytes)
    {
        var name = store.PutObject(bytes);
        store.KeepTwice(name);
        return name;
    }

    /// <summary>Writes a second copy of an object, where one is sound and no other is. With none that is sound, or ten copies, nothing.</summary>
    internal static void KeepTwice(this IStore store, Hash32 name)
    {
        if (store is ILockingStore)
            return; // its medium keeps several itself
        var copies = Copies(store, name).ToList();
        if (copies.Count >= FolderStore.MaxCopies || copies.Count(c => c.Bytes is not null) != 1)
            return;
        using var staged = store.Stage();
        staged.Append(copies.Find(c => c.Bytes is not null).Bytes);
        store.EnterCopy(staged, StoreKind.Object, name);
    }

    /// <summary>Stores an object under the SHA-256 of its bytes; what is there already stays.</summary>
    public static Hash32 PutObject(this IStore store, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MaxObject)
            throw new HoldfastException(ErrorCode.CommitRefused, "An object would be larger than readers take (256 MiB); it was not stored.",
                "A snapshot becomes that large where millions of its files are known from other sources. Back the source up in parts, each under a name of its own (--name).");
        var name = new Hash32(SHA256.HashData(bytes));
        using var staged = store.Stage();
        staged.Append(bytes);
        store.Enter(staged, StoreKind.Object, name);
        return name;
    }

    public static bool Exists(this IStore store, StoreKind kind, Hash32 name)
    {
        using var item = store.Open(kind, name);
        return item is not null;
    }
}
