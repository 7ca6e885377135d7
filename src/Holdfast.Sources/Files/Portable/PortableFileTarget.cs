using System.Collections.Concurrent;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Sources.Files.Portable;

/// <summary>Writes a tree below one folder through .NET's own file API, for systems other than Linux: content, times, read-only flags; symlinks where the system
/// lets this user make them. Names that the system cannot hold are listed, not altered.</summary>
sealed class PortableFileTarget(string target, FileTargetOptions options) : ITreeWriter
{
    readonly string _root = Path.GetFullPath(target);
    readonly ConcurrentQueue<SourceProblem> _problems = new();
    readonly List<(string Path, byte[] Name, uint Mode, long Size, DateTime Time, byte[]? Link, bool IsFolder)> _noted = [];
    byte[]? _last;

    public IReadOnlyCollection<SourceProblem> Problems => _problems;

    public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        // Owners are not written here.
    }

    public int Add(EntryBatch batch, int row)
    {
        var bytes = batch.Path(row);
        if (!TreePath.IsValid(bytes) || (_last is not null && TreePath.Compare(_last, bytes) >= 0))
            throw new HoldfastException(ErrorCode.TargetUnsafe, "The snapshot was refused: it names an entry that no folder can hold.", "Treat its writer as suspect and restore from an earlier snapshot.");
        _last = bytes.ToArray();
        var text = Encoding.UTF8.GetString(bytes);
        var path = Path.GetFullPath(Path.Combine(_root, text.Replace('/', Path.DirectorySeparatorChar)));
        if (path != _root && !path.StartsWith(_root + Path.DirectorySeparatorChar, StringComparison.Ordinal) || text.Split('/').Any(n => n.IndexOfAny(Path.GetInvalidFileNameChars()) >= 0 && n.Length > 0))
        {
            _problems.Enqueue(new SourceProblem(ProblemKind.PathTooLong, _last, "not a name on this system"));
            return -1;
        }
        var time = DateTime.UnixEpoch.AddTicks(batch.MtimeSeconds[row] * TimeSpan.TicksPerSecond + batch.MtimeNanoseconds[row] / 100);
        var kind = batch.Kind[row];
        if (kind is not (EntryKind.File or EntryKind.Directory or EntryKind.Symlink))
        {
            _problems.Enqueue(new SourceProblem(ProblemKind.Skipped, _last, "special file"));
            return -1;
        }
        _noted.Add((path, _last, batch.Mode[row], batch.Size[row], time, batch.LinkTarget[row], kind == EntryKind.Directory));
        if (kind == EntryKind.Directory)
            Directory.CreateDirectory(path);
        if (kind != EntryKind.File)
            return -1;
        return options.Existing == ExistingFiles.KeepEqual && new FileInfo(path) is { Exists: true } there && there.Length == batch.Size[row] && there.LastWriteTimeUtc == time && Matches(path, batch, row)
            ? -1 : _noted.Count - 1;
    }

    static bool Matches(string path, EntryBatch batch, int row)
    {
        using var file = File.OpenHandle(path);
        return ContentCheck.Matches((buffer, offset) => RandomAccess.Read(file, buffer, offset), batch, row);
    }

    public ReadOnlySpan<byte> PathOf(int handle) => _noted[handle].Name;

    public void WriteWhole(int handle, ReadOnlySpan<byte> content)
    {
        using var writer = Open(handle);
        writer.Write(content, 0);
    }

    public IContentWriter Open(int handle)
    {
        var entry = _noted[handle];
#pragma warning disable RS0030 // a restored file, in the target the user named
        var mode = options.Existing == ExistingFiles.Refuse ? FileMode.CreateNew : FileMode.Create;
#pragma warning restore RS0030
        var file = File.OpenHandle(entry.Path, mode, FileAccess.Write);
#pragma warning disable RS0030 // a restored file, in the target the user named
        RandomAccess.SetLength(file, entry.Size);
#pragma warning restore RS0030
        return new Writer(file, entry.Path, entry.Time, (entry.Mode & 0x80) == 0);
    }

    public void Finish()
    {
        foreach (var entry in _noted.Where(e => e.Link is not null))
        {
            try
            {
                File.CreateSymbolicLink(entry.Path, Encoding.UTF8.GetString(entry.Link!));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _problems.Enqueue(new SourceProblem(ProblemKind.PermissionDenied, entry.Name, "symlink"));
            }
        }
        foreach (var entry in Enumerable.Reverse(_noted).Where(e => e.IsFolder))
            Directory.SetLastWriteTimeUtc(entry.Path, entry.Time);
    }

    public void Dispose()
    {
        // Nothing is held open between calls.
    }

    sealed class Writer(SafeFileHandle file, string path, DateTime time, bool readOnly) : IContentWriter
    {
        public void Write(ReadOnlySpan<byte> data, long offset) => RandomAccess.Write(file, data, offset);

        bool _abandoned;

        public void Abandon()
        {
            _abandoned = true;
            file.Dispose();
#pragma warning disable RS0030 // a restored file, in the target the user named
            File.Delete(path);
#pragma warning restore RS0030
        }

        public void Dispose()
        {
            if (_abandoned)
                return;
            file.Dispose();
            File.SetLastWriteTimeUtc(path, time);
            if (readOnly)
                File.SetAttributes(path, FileAttributes.ReadOnly);
        }
    }
}
