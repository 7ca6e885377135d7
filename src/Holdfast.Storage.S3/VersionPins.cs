using System.Globalization;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>A version of a key that is known to give its name: this keeper entered it, or has read it.</summary>
/// <param name="Version">The service's id of it.</param>
/// <param name="ETag">As the service gave it, without quotes.</param>
/// <param name="Size">Bytes.</param>
readonly record struct VersionPin(string Version, string ETag, long Size);

/// <summary>Which versions are known to be sound, in a file of lines beside the keeper. What is missing in it costs a listing and a reading, and never data; what is wrong in it is found out, for whoever reads
/// compares bytes with the name, and goes on with the next copy.</summary>
/// <remarks>The file (docs/format.md, section 3): a line for each pin, only ever added to, of single spaces between <c>p</c> (a pack) or <c>o</c> (an object), the name in hexadecimal, the size in
/// bytes, the ETag and the version id, both of them percent-encoded, and LF. A line that is none is passed over: one that was cut short is as if it were not there. Several processes may add to it. In memory
/// a name takes about 200 bytes. Safe for concurrent use.</remarks>
sealed class VersionPins : IDisposable
{
    const int MaxPins = 2_000_000; // of 64 MiB: 120 TB
    const int ShortestLine = 2 + 2 * Hash32.Size + 6; // bytes
    const int LongestLine = 4096; // bytes: a version id has 1,024 at most (Amazon S3 User Guide)

    readonly Disk _disk;
    readonly string _path;
    readonly Lock _lock = new();
    readonly Dictionary<(StoreKind, Hash32), string> _pins = []; // size, ETag and version as they stand in the line; of several, with LF between them
    DiskFile? _file;

    public VersionPins(Disk disk, string path)
    {
        (_disk, _path) = (disk, path);
        try
        {
            foreach (var line in PlainFile.ReadNote(path, ShortestLine, LongestLine, MaxPins))
                Take(line.ToString());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e, Path.GetDirectoryName(path));
        }
    }

    public int Count
    {
        get
        {
            lock (_lock)
                return _pins.Count;
        }
    }

    void Take(string line)
    {
        if (line is not ['p' or 'o', ' ', ..] || line.IndexOf(' ', 2) != 2 + 2 * Hash32.Size || !Hash32.TryParse(line.AsSpan(2, 2 * Hash32.Size), out var name))
            return;
        var rest = line[(3 + 2 * Hash32.Size)..];
        if (Parse(rest) is null)
            return;
        var key = (line[0] == 'p' ? StoreKind.Pack : StoreKind.Object, name);
        _pins[key] = _pins.TryGetValue(key, out var others) ? $"{others}\n{rest}" : rest;
    }

    static VersionPin? Parse(string text) =>
        text.Split(' ') is [var size, var tag, { Length: > 0 } version] && long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)
            ? new VersionPin(Uri.UnescapeDataString(version), Uri.UnescapeDataString(tag), bytes) : null;

    /// <summary>The pins of a name, oldest first.</summary>
    public List<VersionPin> Of(StoreKind kind, Hash32 name)
    {
        lock (_lock)
            return _pins.TryGetValue((kind, name), out var all) ? [.. all.Split('\n').Select(Parse).OfType<VersionPin>().Distinct()] : [];
    }

    /// <summary>Keeps a pin, durably.</summary>
    public void Add(StoreKind kind, Hash32 name, VersionPin pin)
    {
        var rest = string.Create(CultureInfo.InvariantCulture, $"{pin.Size} {Uri.EscapeDataString(pin.ETag)} {Uri.EscapeDataString(pin.Version)}");
        lock (_lock)
        {
            if (_file is null)
            {
                if (Path.GetDirectoryName(_path) is { Length: > 0 } folder && !Directory.Exists(folder))
                    _disk.MakeDurable(folder, ownerOnly: true);
                var isNew = !File.Exists(_path);
                _file = _disk.AddTo(_path);
                if (isNew)
                    _disk.SyncFolder(Path.GetDirectoryName(_path)!);
                else
                    _file.Append("\n"u8); // what was cut short before ends here
            }
            _file.Append(Encoding.ASCII.GetBytes($"{(kind == StoreKind.Pack ? 'p' : 'o')} {name} {rest}\n"));
            _file.Sync();
            _pins[(kind, name)] = _pins.TryGetValue((kind, name), out var others) ? $"{others}\n{rest}" : rest;
        }
    }

    /// <summary>Goes on without a pin whose version the service does not have any more. The file keeps it: it may have been asked wrongly.</summary>
    public void Drop(StoreKind kind, Hash32 name, VersionPin pin)
    {
        lock (_lock)
        {
            if (!_pins.TryGetValue((kind, name), out var all))
                return;
            var left = all.Split('\n').Where(p => Parse(p) != pin).ToList();
            if (left.Count == 0)
                _pins.Remove((kind, name));
            else
                _pins[(kind, name)] = string.Join('\n', left);
        }
    }

    public void Dispose() => _file?.Dispose();
}
