using System.Text;
using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Sources.Files.Portable;

/// <summary>Writes a tree below one folder through .NET's own file API, for systems other than Linux: content, times, read-only flags; symlinks where the system
/// lets this user make them. Names that the system cannot hold are listed, not altered.</summary>
sealed class PortableFileTarget(string target, bool wasThere, FileTargetOptions options) : ITreeWriter
{
    readonly string _root = Path.GetFullPath(target);
    readonly ProblemList _problems = new();
    readonly List<(string Path, byte[] Name, uint Mode, long Size, DateTime Time, byte[]? Link, bool IsFolder)> _noted = [];
    byte[]? _last;
    long _kept;
    long _keptBytes;
    long _untouched;
    readonly List<string> _forbidden = [.. options.Forbidden.Select(FileTarget.Real)];
    readonly string _realRoot = FileTarget.Real(target);
    readonly bool _replace = options.Existing != ExistingFiles.Refuse;

    public IReadOnlyCollection<TargetProblem> Problems => _problems.With([]);

    /// <summary>Owners, permissions and extended attributes are not written here at all (docs/manual/support.md).</summary>
    public IReadOnlyCollection<AttributeRefusal> Refusals => [];

    public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
    {
        // Owners are not written here.
    }

    public int Add(EntryBatch batch, int row, bool isOnWay = false)
    {
        var bytes = batch.Path(row);
        if (!TreePath.IsValid(bytes) || (_last is not null && TreePath.Compare(_last, bytes) >= 0))
            throw new HoldfastException(ErrorCode.TargetUnsafe, "The snapshot was refused: it names an entry that no folder can hold.", "Treat its writer as suspect and restore from an earlier snapshot.");
        _last = bytes.ToArray();
        var text = Encoding.UTF8.GetString(bytes);
        var path = Path.GetFullPath(Path.Combine(_root, text.Replace('/', Path.DirectorySeparatorChar)));
        if (path != _root && !path.StartsWith(_root + Path.DirectorySeparatorChar, StringComparison.Ordinal) || text.Split('/').Any(n => n.IndexOfAny(Path.GetInvalidFileNameChars()) >= 0 && n.Length > 0))
        {
            _problems.Add(TargetFault.NotHeld, _last, "not a name on this system");
            return -1;
        }
        if (_forbidden.Exists(folder => FileTarget.IsWithin(Path.GetFullPath(Path.Combine(_realRoot, Path.GetRelativePath(_root, path))), folder)))
        {
            _problems.Add(TargetFault.InUse, _last, "the vault, one of its store folders, or the key folder");
            return -1;
        }
        var time = DateTime.UnixEpoch.AddTicks(batch.MtimeSeconds[row] * TimeSpan.TicksPerSecond + batch.MtimeNanoseconds[row] / 100);
        var kind = batch.Kind[row];
        if (kind is not (EntryKind.File or EntryKind.Directory or EntryKind.Symlink))
        {
            _problems.Add(TargetFault.NotHeld, _last, "special file");
            return -1;
        }
        var isUnknown = kind == EntryKind.Directory && (isOnWay || batch.Uid[row] == ITreeWriter.UnknownOwner) && Directory.Exists(path) && (wasThere || batch.Path(row).Length > 0);
        _untouched += isUnknown ? 1 : 0;
        _noted.Add((path, _last, batch.Mode[row], batch.Size[row], isUnknown ? Directory.GetLastWriteTimeUtc(path) : time, batch.LinkTarget[row], kind == EntryKind.Directory));
        if (kind == EntryKind.Directory)
            Directory.CreateDirectory(path);
        if (kind != EntryKind.File)
            return -1;
        if (options.Existing != ExistingFiles.KeepEqual || new FileInfo(path) is not { Exists: true, LinkTarget: null } there || there.Length != batch.Size[row] || !Matches(path, batch, row, options.Stop))
            return _noted.Count - 1;
        if (there.LastWriteTimeUtc != time && Tried(_last, () => { File.SetLastWriteTimeUtc(path, time); return path; }) is null)
            return _noted.Count - 1;
        _kept++;
        _keptBytes += batch.Size[row];
        return -1;
    }

    public bool LeaveOut(EntryBatch batch, int row) => _replace && TreePath.IsValid(batch.Path(row)) && Path.Exists(Path.Combine(_root, Encoding.UTF8.GetString(batch.Path(row)).Replace('/', Path.DirectorySeparatorChar)));

    static bool Matches(string path, EntryBatch batch, int row, CancellationToken ct)
    {
        using var file = File.OpenHandle(path);
        return ContentCheck.Matches((buffer, offset) => RandomAccess.Read(file, buffer, offset), batch, row, ct);
    }

    public ReadOnlySpan<byte> PathOf(int handle) => _noted[handle].Name;

    public bool WriteWhole(int handle, ReadOnlySpan<byte> content)
    {
        using var writer = Open(handle);
        writer?.Write(content, 0);
        return writer is not null && writer.Complete();
    }

    public IContentWriter? Open(int handle)
    {
        var entry = _noted[handle];
        var apart = Path.Combine(Path.GetDirectoryName(entry.Path)!, $".holdfast-restoring-{Guid.NewGuid():n}");
        return Tried(entry.Name, () =>
        {
            var file = File.OpenHandle(apart, FileMode.CreateNew, FileAccess.Write);
            try
            {
#pragma warning disable RS0030 // a restored file, in the target the user named
                RandomAccess.SetLength(file, entry.Size);
#pragma warning restore RS0030
                return new Writer(this, file, apart, handle);
            }
            catch
            {
                file.Dispose();
                Discard(apart);
                throw;
            }
        });
    }

    /// <summary>Null where it fails for this entry alone.</summary>
    T? Tried<T>(byte[] name, Func<T> action) where T : class
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (Core.Storage.DiskFault.Of(e).Code is ErrorCode.DiskFull)
            {
                throw new HoldfastException(ErrorCode.DiskFull, "The target's disk is full: the restore is not complete.",
                    "Free space, or restore into a folder on another disk; with --resume it goes on where it stopped.", e);
            }
            _problems.Add(e is UnauthorizedAccessException ? TargetFault.NotPermitted : TargetFault.Failed, name, e is UnauthorizedAccessException ? "access denied" : "the system failed");
            return null;
        }
    }

    static void Discard(string path)
    {
#pragma warning disable RS0030 // a restored file, in the target the user named
        File.Delete(path);
#pragma warning restore RS0030
    }

    public TreeWritten Finish()
    {
        long folders = 0, links = 0;
        foreach (var entry in _noted.Where(e => e.Link is not null))
            links += Tried(entry.Name, () => File.CreateSymbolicLink(entry.Path, Encoding.UTF8.GetString(entry.Link!))) is null ? 0 : 1;
        foreach (var entry in Enumerable.Reverse(_noted).Where(e => e.IsFolder))
        {
            Directory.SetLastWriteTimeUtc(entry.Path, entry.Time);
            folders += entry.Name.Length > 0 ? 1 : 0;
        }
        return new TreeWritten(folders, 0, links, _kept, _keptBytes) { Untouched = _untouched };
    }

    public void Dispose()
    {
        // Nothing is held open between calls.
    }

    sealed class Writer(PortableFileTarget target, SafeFileHandle file, string apart, int handle) : IContentWriter
    {
        bool _ended;

        public void Write(ReadOnlySpan<byte> data, long offset)
        {
            try
            {
                RandomAccess.Write(file, data, offset);
            }
            catch (ObjectDisposedException)
            {
                // Taken back meanwhile by another thread.
            }
            catch (IOException e)
            {
                var fault = Core.Storage.DiskFault.Of(e);
                throw new HoldfastException(fault.Code, "A file of the target cannot be written: the restore is not complete.", "Look at the target's disk, then go on with --resume.", e);
            }
        }

        public bool Complete()
        {
            if (_ended)
                return false;
            var entry = target._noted[handle];
            var done = target.Tried(entry.Name, () =>
            {
                file.Dispose();
                File.SetLastWriteTimeUtc(apart, entry.Time);
                if ((entry.Mode & 0x80) == 0)
                    File.SetAttributes(apart, FileAttributes.ReadOnly);
#pragma warning disable RS0030 // a restored file, in the target the user named
                File.Move(apart, entry.Path, target._replace);
#pragma warning restore RS0030
                return entry.Path;
            });
            if (done is null)
                return false; // disposing takes it back
            _ended = true;
            return true;
        }

        public void Dispose()
        {
            if (_ended)
                return;
            _ended = true;
            file.Dispose();
            Discard(apart);
        }
    }
}
