namespace Holdfast.Core.Snapshots;

/// <summary>Where a tree is written back to. Never writes outside its target, whatever the rows say.</summary>
/// <remarks>Order of calls: <see cref="Add"/> for every row in tree order (a folder comes before what it holds) from one thread; from then on, for
/// each handle, once and from any thread, <see cref="WriteWhole"/> or <see cref="Open"/>; <see cref="Finish"/> once at the end. Making files is
/// what a restore spends its time on, so a file is made by the thread that brings its content, not by <see cref="Add"/>.
/// A file gets its name when it is whole: what is cut short leaves nothing half-written under a name of the snapshot.
/// Hard links: rows with one (device, inode) and a link count over 1 form a group; the first row gets the content.</remarks>
public interface ITreeWriter : IDisposable
{
    /// <summary>User and group of a folder of which nothing is known but its name: it is made where it is not there, and stays as it is where it is.</summary>
    const uint UnknownOwner = uint.MaxValue;

    /// <summary>Makes folders; notes everything else. Returns a handle number for a file that waits for content (an empty file too),
    /// -1 otherwise (no content, a further name of a hard link, a file that policy leaves as it is, or one that nothing can be made of here).</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>, <c>DiskFull</c>, <c>ReadOnlyMedia</c>, <c>StoreUnavailable</c>.</exception>
    /// <param name="batch">Of the tree.</param>
    /// <param name="row">The entry.</param>
    /// <param name="isOnWay">It is a folder that was not asked for, and something in it was: made as the snapshot has it where it is not there, and left as it is where it is.</param>
    int Add(EntryBatch batch, int row, bool isOnWay = false);

    /// <summary>In place of <see cref="Add"/>: an entry of the snapshot that nothing is to be made of.</summary>
    /// <returns>Something of its name stands in the target, and stays there.</returns>
    bool LeaveOut(EntryBatch batch, int row) => false;

    /// <summary>The path a handle stands for.</summary>
    ReadOnlySpan<byte> PathOf(int handle);

    /// <summary>Makes a file, writes all of its content, sets its attributes and gives it its name. False where it does not stand there as the snapshot has it;
    /// then <see cref="Problems"/> says why.</summary>
    /// <exception cref="HoldfastException">Nothing more can be written: <c>DiskFull</c>, <c>ReadOnlyMedia</c>, <c>StoreUnavailable</c>, <c>TargetUnsafe</c>.</exception>
    bool WriteWhole(int handle, ReadOnlySpan<byte> content);

    /// <summary>Makes a file at its full length, holes as in its extents, for several threads to fill. Null where it cannot be made; then <see cref="Problems"/> says why.</summary>
    IContentWriter? Open(int handle);

    /// <summary>A file whose content does not come: what is kept for it is not needed. In place of <see cref="WriteWhole"/> and <see cref="Open"/>, or after them.</summary>
    void Forget(int handle)
    {
    }

    /// <summary>Makes symlinks, further names of hard links and special files, then sets folders' attributes, deepest first. Where it returns, all that was written is on the disk.</summary>
    /// <exception cref="HoldfastException">As of <see cref="WriteWhole"/>.</exception>
    TreeWritten Finish();

    /// <summary>Entries that do not stand in the target as the snapshot has them; paths are for the user's eyes only.</summary>
    IReadOnlyCollection<TargetProblem> Problems { get; }

    /// <summary>Attributes that this user or this file system may not have, each kind once. What they belong to is there all the same.</summary>
    IReadOnlyCollection<AttributeRefusal> Refusals { get; }

    /// <summary>Names for the ids in the rows; a target may map owners by name.</summary>
    void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups);
}

/// <summary>A file that is being written. Disposing it takes back what was written, unless it is complete; safe while other threads write.</summary>
public interface IContentWriter : IDisposable
{
    /// <summary>Writes at <paramref name="offset"/> (bytes of the file). Safe from many threads for ranges that do not overlap.</summary>
    void Write(ReadOnlySpan<byte> data, long offset);

    /// <summary>The file's own memory for the next bytes at <paramref name="offset"/>, so that they are unpacked where they are written from; null where there is none, and
    /// <see cref="Write"/> is the way. From the thread that fills it, one at a time; disposed of before <see cref="Complete"/>.</summary>
    IContentRoom? Room(int length, long offset) => null;

    /// <summary>All is written: sets the file's attributes and gives it its name. False where it does not stand there as the snapshot has it.</summary>
    bool Complete();
}

/// <summary>Memory of a file that is being written, for one piece of it. Disposing it forgets the bytes, unless they are kept.</summary>
public interface IContentRoom : IDisposable
{
    /// <summary>As long as was asked for; what is in it before it is filled means nothing.</summary>
    Span<byte> Span { get; }

    /// <summary>All of it is content of the file from now on, and is not touched again.</summary>
    void Keep();
}

/// <summary>What a target made besides the content of files.</summary>
/// <param name="Folders">Folders below the root, made, or found there and given what the snapshot says.</param>
/// <param name="Names">Further names of hard-linked files.</param>
/// <param name="Others">Symlinks and special files.</param>
/// <param name="Kept">Files that stood there already, equal byte for byte, and stayed.</param>
/// <param name="KeptBytes">Their sizes.</param>
public sealed record TreeWritten(long Folders, long Names, long Others, long Kept, long KeptBytes)
{
    /// <summary>Names in the snapshot's folders that the snapshot has not: they stay. What lies in them is not counted. Null where nobody looked.</summary>
    public long? Strangers { get; init; }

    /// <summary>Folders that were there and stay as they were, the target itself included: they are only on the way to what was asked for, or the snapshot says nothing of them but their names.</summary>
    public long Untouched { get; init; }

    /// <summary>Of these, folders that let in others whom the snapshot keeps out.</summary>
    public long MoreOpen { get; init; }

    /// <summary>Files that this run brought, and in whose place another entry of the snapshot stands now: the file system takes their names for one.</summary>
    public long Gone { get; init; }
}

/// <summary>Why an entry does not stand in the target as the snapshot has it.</summary>
public enum TargetFault
{
    /// <summary>The system refuses this user.</summary>
    NotPermitted = 1,

    /// <summary>Something else stands in its place.</summary>
    InTheWay = 2,

    /// <summary>The target's file system cannot hold it: its name, its size, its kind or its attributes.</summary>
    NotHeld = 3,

    /// <summary>A further name of a file that did not come back.</summary>
    FirstNameMissing = 4,

    /// <summary>The system failed in another way.</summary>
    Failed = 5,

    /// <summary>It would replace what the restore itself needs: the vault, one of its store folders, or the key folder. That stays as it is.</summary>
    InUse = 6,
}

/// <param name="Fault">What went wrong.</param>
/// <param name="Path">Path within the snapshot; of a folder into which nothing can be written, once for all that lies in it. Null for entries that are only counted: those after the first
/// <see cref="Listed"/> of their kind.</param>
/// <param name="Detail">The system's own word for it, without names.</param>
/// <param name="Entries">How many entries it costs.</param>
public sealed record TargetProblem(TargetFault Fault, byte[]? Path, string Detail, long Entries)
{
    /// <summary>So many of a kind are kept with their paths, which may be long, and as many as a snapshot has entries.</summary>
    public const int Listed = 1_000;
}

/// <param name="What">"owners", "permissions", "extended attributes", "times", "names of owners" and the like.</param>
/// <param name="Detail">The system's own word for it.</param>
/// <param name="Entries">Of how many entries.</param>
public sealed record AttributeRefusal(string What, string Detail, long Entries)
{
    /// <summary>Detail of those of folders that were there where others could write: nobody should set them without a look.</summary>
    public const string MayBeOthers = "as others could write there, and may have put that folder there, or what lies in it";

    /// <summary>Which they are, the first <see cref="TargetProblem.Listed"/>, the empty path for the target itself; only with <see cref="MayBeOthers"/>. For the user's eyes only.</summary>
    public IReadOnlyList<byte[]> Paths { get; init; } = [];
}
