namespace Holdfast.Core.Backup;

/// <summary>How far a run is; read from any thread while it runs.</summary>
public sealed class BackupProgress
{
    long _entries;
    long _files;
    long _bytes;
    long _stored;

    /// <summary>Entries met by the walk.</summary>
    public long Entries => Volatile.Read(ref _entries);

    /// <summary>Files read.</summary>
    public long Files => Volatile.Read(ref _files);

    /// <summary>Bytes read.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Bytes of finished packs.</summary>
    public long Stored => Volatile.Read(ref _stored);

    internal void AddEntries(int count) => Interlocked.Add(ref _entries, count);
    internal void AddFile() => Interlocked.Increment(ref _files);
    internal void AddBytes(long count) => Interlocked.Add(ref _bytes, count);
    internal void AddStored(long count) => Interlocked.Add(ref _stored, count);
}
