using System.Collections.Concurrent;
using System.Text;
using Holdfast.Core.Snapshots;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Sources.Files.Portable;

/// <summary>A folder through .NET's own file API, for systems other than Linux: names, sizes, times, read-only flags, symlinks. Owners and access lists are not
/// read (docs/manual/support.md).</summary>
sealed class PortableFileSource(string root, FileSourceOptions options) : ISource
{
    const uint ReadOnlyMode = 0x124; // r--r--r--
    const uint FileMode = 0x1A4; // rw-r--r--
    const uint FolderMode = 0x1ED; // rwxr-xr-x

    readonly string _root = Path.GetFullPath(root);
    readonly HashSet<string> _skip = [.. options.SkipFolders.Select(Path.GetFullPath)];
    readonly ConcurrentBag<SourceProblem> _problems = [];

    public IReadOnlyDictionary<uint, byte[]> UserNames { get; } = new Dictionary<uint, byte[]>();
    public IReadOnlyDictionary<uint, byte[]> GroupNames { get; } = new Dictionary<uint, byte[]>();
    public bool HasReliableInodes => false;
    public IReadOnlyCollection<SourceProblem> Problems => _problems;
    public void Report(SourceProblem problem) => _problems.Add(problem);

    public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
    {
        var batch = pool.Rent();
        long entries = 0;
        foreach (var (info, path) in Entries(new DirectoryInfo(_root), [], ct))
        {
            var row = batch.Add(path);
            Fill(batch, row, info);
            entries++;
            if (!batch.IsFull)
                continue;
            yield return batch;
            batch = pool.Rent();
        }
        if (entries <= 1)
            options.WhenEmpty?.Invoke();
        if (batch.Count > 0)
            yield return batch;
        else
            pool.Return(batch);
    }

    IEnumerable<(FileSystemInfo Info, byte[] Path)> Entries(DirectoryInfo folder, byte[] path, CancellationToken ct)
    {
        yield return (folder, path);
        List<(byte[] Name, FileSystemInfo Info)> entries;
        try
        {
            entries = [.. folder.EnumerateFileSystemInfos().Select(i => (Encoding.UTF8.GetBytes(i.Name), i))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Report(new SourceProblem(e is IOException ? ProblemKind.ReadFailed : ProblemKind.PermissionDenied, path, ""));
            yield break;
        }
        entries.Sort((l, r) => l.Name.AsSpan().SequenceCompareTo(r.Name));
        foreach (var (name, info) in entries)
        {
            ct.ThrowIfCancellationRequested();
            byte[] whole = path.Length == 0 ? name : [.. path, (byte)'/', .. name];
            var isFolder = info is DirectoryInfo && info.LinkTarget is null;
            if (options.Excludes.LeavesOut(whole, isFolder) || (isFolder && _skip.Contains(info.FullName)))
                continue;
            if (isFolder)
            {
                foreach (var below in Entries((DirectoryInfo)info, whole, ct))
                    yield return below;
            }
            else
            {
                yield return (info, whole);
            }
        }
    }

    static void Fill(EntryBatch batch, int row, FileSystemInfo info)
    {
        var isLink = info.LinkTarget is not null;
        batch.Kind[row] = isLink ? EntryKind.Symlink : info is DirectoryInfo ? EntryKind.Directory : EntryKind.File;
        batch.LinkTarget[row] = isLink ? Encoding.UTF8.GetBytes(info.LinkTarget!.Replace('\\', '/')) : null;
        batch.Mode[row] = info is DirectoryInfo ? FolderMode : info.Attributes.HasFlag(FileAttributes.ReadOnly) ? ReadOnlyMode : FileMode;
        batch.LinkCount[row] = 1;
        batch.Size[row] = !isLink && info is FileInfo file ? file.Length : 0;
        SetTime(batch, row, info.LastWriteTimeUtc);
    }

    static void SetTime(EntryBatch batch, int row, DateTime time)
    {
        var ticks = (time - DateTime.UnixEpoch).Ticks;
        batch.MtimeSeconds[row] = (ticks < 0 ? ticks - TimeSpan.TicksPerSecond + 1 : ticks) / TimeSpan.TicksPerSecond;
        batch.MtimeNanoseconds[row] = (uint)((ticks - batch.MtimeSeconds[row] * TimeSpan.TicksPerSecond) * 100);
    }

    public void MeetXattrs(byte[]? xattrs)
    {
    }

    public void ReadXattrs(EntryBatch batch, int row)
    {
        // None that a restore could set.
    }

    public IContent? Open(EntryBatch batch, int row)
    {
        var path = Path.Combine(_root, Encoding.UTF8.GetString(batch.Path(row)));
        try
        {
            var content = new Content(path);
            content.Refresh(batch, row);
            return content;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var kind = e is FileNotFoundException or DirectoryNotFoundException ? ProblemKind.Vanished
                : e is UnauthorizedAccessException ? ProblemKind.PermissionDenied : ProblemKind.ReadFailed;
            Report(new SourceProblem(kind, batch.Path(row).ToArray(), ""));
            return null;
        }
    }

    public void Dispose()
    {
        // Nothing is held open between calls.
    }

    sealed class Content : IContent
    {
        readonly string _path;
        readonly SafeFileHandle _file;
        (long, DateTime) _seen;

        public Content(string path)
        {
            _path = path;
            _file = File.OpenHandle(path, System.IO.FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.SequentialScan);
        }

        public int Read(Span<byte> destination, long offset) => RandomAccess.Read(_file, destination, offset);
        public Extent[]? DataExtents() => null;
        public bool HasChanged() => Now() != _seen;

        public void Refresh(EntryBatch batch, int row)
        {
            _seen = Now();
            batch.Size[row] = _seen.Item1;
            SetTime(batch, row, _seen.Item2);
        }

        (long, DateTime) Now() => (RandomAccess.GetLength(_file), File.GetLastWriteTimeUtc(_path));

        public void Dispose() => _file.Dispose();
    }
}
