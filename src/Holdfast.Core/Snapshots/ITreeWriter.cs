namespace Holdfast.Core.Snapshots;

/// <summary>Where a tree is written back to. Never writes outside its target, whatever the rows say.</summary>
/// <remarks>Order of calls: <see cref="Add"/> for every row in tree order (a folder comes before what it holds) from one thread; from then on, for
/// each handle, once and from any thread, <see cref="WriteWhole"/> or <see cref="Open"/>; <see cref="Finish"/> once at the end. Making files is
/// what a restore spends its time on, so a file is made by the thread that brings its content, not by <see cref="Add"/>.
/// Hard links: rows with one (device, inode) and a link count over 1 form a group; the first row gets the content.</remarks>
public interface ITreeWriter : IDisposable
{
    /// <summary>Makes folders; notes everything else. Returns a handle number for a file that waits for content (an empty file too),
    /// -1 otherwise (no content, a further name of a hard link, or a file that policy leaves as it is).</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>, <c>TargetNotEmpty</c>, <c>DiskFull</c>.</exception>
    int Add(EntryBatch batch, int row);

    /// <summary>The path a handle stands for.</summary>
    ReadOnlySpan<byte> PathOf(int handle);

    /// <summary>Makes a file, writes all of its content, sets its attributes and closes it.</summary>
    void WriteWhole(int handle, ReadOnlySpan<byte> content);

    /// <summary>Makes a file at its full length, holes as in its extents, for several threads to fill. Disposing the writer sets its attributes and closes it.</summary>
    IContentWriter Open(int handle);

    /// <summary>Makes symlinks, further names of hard links and special files, then sets folders' attributes, deepest first.</summary>
    void Finish();

    /// <summary>What could not be set or written; paths are for the user's eyes only.</summary>
    IReadOnlyCollection<SourceProblem> Problems { get; }

    /// <summary>Names for the ids in the rows; a target may map owners by name.</summary>
    void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups);
}

public interface IContentWriter : IDisposable
{
    /// <summary>Writes at <paramref name="offset"/> (bytes of the file). Safe from many threads for ranges that do not overlap.</summary>
    void Write(ReadOnlySpan<byte> data, long offset);

    /// <summary>Takes back what was written: the file's content could not be read whole. Disposing it then does nothing more.</summary>
    void Abandon();
}
