using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files.Linux;

namespace Holdfast.Sources.Streams;

/// <summary>A stream as a source: one folder with one file, read once from beginning to end, its size known when it has ended. Both belong to whoever reads it, who can so restore it as it was.</summary>
/// <param name="stream">Read to its end. Not disposed.</param>
/// <param name="fileName">Name of the one file.</param>
/// <param name="time">Gives the file its modification time.</param>
/// <param name="atEnd">Called when the stream has ended and before anything is committed: throws where what came is not all there was to come.</param>
/// <param name="whenEmpty">Called after that where not one byte came: throws where that cannot be right.</param>
public sealed class StreamSource(Stream stream, byte[] fileName, TimeProvider time, Action? atEnd = null, Action? whenEmpty = null) : ISource
{
    readonly List<SourceProblem> _problems = [];

    readonly OwnerNames _owners = new();

    public IReadOnlyDictionary<uint, byte[]> UserNames => _owners.Users;
    public IReadOnlyDictionary<uint, byte[]> GroupNames => _owners.Groups;
    public bool HasReliableInodes => false;
    public IReadOnlyCollection<SourceProblem> Problems => _problems;

    public void Report(SourceProblem problem)
    {
        lock (_problems)
            _problems.Add(problem);
    }

    public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
    {
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        var (user, group) = OperatingSystem.IsLinux() ? (Native.EffectiveUser(), Native.EffectiveGroup()) : default;
        if (OperatingSystem.IsLinux())
            _owners.Meet(user, group);
        var batch = pool.Rent();
        var root = batch.Add([]);
        batch.Kind[root] = EntryKind.Directory;
        (batch.Uid[root], batch.Gid[root]) = (user, group);
        batch.Mode[root] = 0x1C0; // rwx------
        batch.MtimeSeconds[root] = now;
        batch.LinkCount[root] = 1;
        var file = batch.Add(fileName);
        batch.Kind[file] = EntryKind.File;
        (batch.Uid[file], batch.Gid[file]) = (user, group);
        batch.Mode[file] = 0x180; // rw-------
        batch.MtimeSeconds[file] = now;
        batch.LinkCount[file] = 1;
        batch.Size[file] = -1; // unknown until the end
        yield return batch;
    }

    public void MeetXattrs(byte[]? xattrs)
    {
    }

    public void ReadXattrs(EntryBatch batch, int row)
    {
        // A stream has none.
    }

    public IContent Open(EntryBatch batch, int row) => new Content(stream, atEnd, whenEmpty);

    public void Dispose()
    {
        // The stream is the caller's.
    }

    sealed class Content(Stream stream, Action? atEnd, Action? whenEmpty) : IContent
    {
        long _position;
        bool _ended;

        public int Read(Span<byte> destination, long offset)
        {
            if (offset != _position)
                throw new InvalidOperationException("A stream is read in order, once.");
            if (_ended)
                return 0;
            int read;
            try
            {
                read = stream.ReadAtLeast(destination, destination.Length, throwOnEndOfStream: false);
            }
            catch (IOException e)
            {
                // There is nothing in it but this one file: a snapshot without it would say that it was gone.
                throw new HoldfastException(ErrorCode.ProducerFailed, "The stream could not be read to its end; nothing was committed.",
                    "Look at what it comes from (dmesg shows what the system saw), then run the backup again: what was stored already is not sent twice.", e);
            }
            if (read < destination.Length)
            {
                _ended = true;
                atEnd?.Invoke();
                if (_position + read == 0)
                    whenEmpty?.Invoke();
            }
            _position += read;
            return read;
        }

        public Extent[]? DataExtents() => null;
        public bool HasChanged() => false;

        public void Refresh(EntryBatch batch, int row)
        {
            // It cannot be read again.
        }

        public void Dispose()
        {
            // The stream is the caller's.
        }
    }
}
