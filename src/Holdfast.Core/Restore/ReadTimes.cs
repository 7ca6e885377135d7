using System.Globalization;
using System.Text;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>What a run found of the packs and objects that it looked at.</summary>
public sealed record ReadFindings
{
    /// <summary>Read whole: the bytes give the name.</summary>
    public IReadOnlyCollection<Hash32> Sound { get; init; } = [];

    /// <summary>Those of them whose frames were all opened and whose chunks were all named anew.</summary>
    public IReadOnlyCollection<Hash32> Opened { get; init; } = [];

    /// <summary>No copy's bytes give the name.</summary>
    public IReadOnlyCollection<Hash32> Damaged { get; init; } = [];

    /// <summary>The bytes are those that were written, but what they hold is not what they say.</summary>
    public IReadOnlyCollection<Hash32> ContentWrong { get; init; } = [];

    /// <summary>Nowhere in the vault.</summary>
    public IReadOnlyCollection<Hash32> Missing { get; init; } = [];
}

/// <param name="IsContent">True where the content was wrong: bytes that give the name do not clear that.</param>
/// <param name="Since">Vault time when it was found; 0 where that was not kept.</param>
public readonly record struct KnownDamage(bool IsContent, ulong Since);

/// <summary>When each pack was last read whole and found right, and what was found damaged. A note of the keeper's; losing it makes packs count as never read.</summary>
/// <remarks>A line is a name and a vault time, with <c>+</c> behind it where all of it was opened too; or a name, <c>!bytes</c> or <c>!content</c>, and a vault time. What is damaged or has vanished has not been read, and has no line of the first kind.
/// Nothing vouches for the note. So a line of damage stands in it twice, at its beginning and its end: a bit that flips makes nothing sound that was found damaged.</remarks>
public sealed class ReadTimes
{
    const int NameLength = 2 * Hash32.Size;
    const int ShortestLine = NameLength + 2;
    const int LongestLine = 2 * (NameLength + 1 + 8 + 1 + 20) + 1; // name, mark and time, twice: a line feed that flipped makes one line of two, of which the first counts
    const int MaxNames = 1 << 20; // that are read
    const int MaxKept = 1_000_000; // that are written: 60 TB of full packs, and room for names that a flipped bit has made others
    const string Bytes = "!bytes";
    const string Content = "!content";

    readonly Dictionary<Hash32, ulong> _times = [];
    readonly Dictionary<Hash32, KnownDamage> _damaged = [];
    readonly HashSet<Hash32> _opened = [];

    /// <summary>Vault time of the last good read, by name.</summary>
    public IReadOnlyDictionary<Hash32, ulong> Times => _times;

    /// <summary>Those of them of which every frame was opened and every chunk named anew: their names say what they hold for good.</summary>
    public IReadOnlySet<Hash32> Opened => _opened;

    /// <summary>What was damaged when it was last read, and had no good copy: dedup does not build on it.</summary>
    public IReadOnlyDictionary<Hash32, KnownDamage> Damaged => _damaged;

    /// <summary>There is a note, and its disk does not answer: what was found damaged before is not known.</summary>
    public bool IsUnreadable { get; private init; }

    /// <summary>What the note says; nothing where it cannot be read.</summary>
    public static ReadTimes Load(string path) => TryLoad(path, out var isDenied) ?? new ReadTimes { IsUnreadable = !isDenied };

    /// <summary>Null where there is a note, and its disk does not answer when it is asked again either, or this user may not read it.</summary>
    static ReadTimes? TryLoad(string path, out bool isDenied) => TryLoadOnce(path, out isDenied) ?? TryLoadOnce(path, out isDenied);

    static ReadTimes? TryLoadOnce(string path, out bool isDenied)
    {
        isDenied = false;
        var times = new ReadTimes();
        try
        {
            PlainFile.Open(path)?.Dispose(); // tells a note that is not there from one that cannot be asked for
            foreach (var line in PlainFile.ReadNote(path, ShortestLine, LongestLine, 2 * MaxNames))
            {
                if (!Hash32.TryParse(line[..NameLength], out var name))
                    continue;
                var rest = line[(NameLength + 1)..];
                if (Damage(rest) is { } damage)
                    times.Know(name, damage);
                else if (TryParse(rest.TrimEnd('+'), out var time) && (!times.IsFull || times._times.ContainsKey(name)))
                {
                    times._times[name] = time;
                    if (rest[^1] == '+')
                        times._opened.Add(name);
                }
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Nothing was noted yet.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            isDenied = e is UnauthorizedAccessException;
            return null;
        }
        return times;
    }

    /// <summary>Of two lines, one of which may be spoilt, the one that says more.</summary>
    void Know(Hash32 name, KnownDamage damage)
    {
        var isKnown = _damaged.ContainsKey(name);
        if (isKnown ? damage.IsContent : !IsFull)
            _damaged[name] = damage;
    }

    bool IsFull => _times.Count + _damaged.Count >= MaxNames;

    /// <summary>Null where that is no line of damage. A mark that cannot be read is of bytes: that accuses nobody, and goes when the pack is hashed and found right.</summary>
    static KnownDamage? Damage(ReadOnlySpan<char> text)
    {
        var space = text.IndexOf(' ');
        var since = space >= 0 && TryParse(text[(space + 1)..], out var time) ? time : 0;
        return (space < 0 ? text : text[..space]) switch
        {
            Content => new KnownDamage(IsContent: true, since),
            "!" when space < 0 => new KnownDamage(IsContent: true, 0), // of an earlier version, which did not tell them apart: the worse
            ['!', .. var rest] when !TryParse(rest, out _) => new KnownDamage(IsContent: false, since), // else a bit of a time's 1 flipped
            _ => null,
        };
    }

    static bool TryParse(ReadOnlySpan<char> text, out ulong time) => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out time);

    /// <summary>Takes in what a run found, under the vault's lock: two runs that end at once both count. On a full disk it has the reserve's room.</summary>
    /// <param name="path">The note, in the folder of the vault's lock.</param>
    /// <param name="found">By this run.</param>
    /// <param name="now">Vault time.</param>
    /// <returns>Why the note was not kept, as on read-only media; null where it was.</returns>
    public static HoldfastException? Update(string path, ReadFindings found, ulong now) => TryUpdate(path, found, now, null, CancellationToken.None);

    /// <summary>The same for who does not wait for as long as a change of the log would.</summary>
    /// <param name="path">The note, in the folder of the vault's lock.</param>
    /// <param name="found">By this run.</param>
    /// <param name="now">Vault time.</param>
    /// <param name="patience">How long to wait for the lock; null for as long as a change of the log waits.</param>
    /// <param name="ct">Ends the waiting.</param>
    /// <returns>Why the note was not kept; null where it was.</returns>
    public static HoldfastException? TryUpdate(string path, ReadFindings found, ulong now, TimeSpan? patience, CancellationToken ct)
    {
        var folder = Path.GetDirectoryName(path)!;
        try
        {
            using var taken = KeeperLock.Take(Path.Combine(folder, "lock"), patience, ct);
            if (TryLoad(path, out _) is not { } times) // what was found damaged before is not forgotten for that
                return new HoldfastException(ErrorCode.StoreUnavailable, "The note of what was read cannot be read itself.", "Look at the disk that the vault's folder `keeper` is on.");
            times.Take(found, now);
            var bytes = times.Write();
            var reserve = new KeeperReserve(Path.Combine(folder, "reserve"), Disk.Real);
            var kept = reserve.Kept;
            try
            {
                Disk.Real.Replace(path, bytes);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull && reserve.Release())
            {
                try
                {
                    Disk.Real.Replace(path, bytes);
                }
                finally
                {
                    reserve.Make(kept);
                }
            }
            return null;
        }
        catch (HoldfastException e)
        {
            return e;
        }
    }

    void Take(ReadFindings found, ulong now)
    {
        foreach (var name in found.Sound)
        {
            if (_damaged.TryGetValue(name, out var known) && known.IsContent)
                continue;
            _damaged.Remove(name);
            _times[name] = now;
        }
        foreach (var name in found.Opened)
        {
            _damaged.Remove(name);
            _times[name] = now;
            _opened.Add(name);
        }
        foreach (var name in found.Damaged.Concat(found.ContentWrong).Concat(found.Missing))
            _times.Remove(name);
        _opened.ExceptWith(found.ContentWrong);
        foreach (var name in found.Damaged)
            _damaged.TryAdd(name, new KnownDamage(IsContent: false, now));
        foreach (var name in found.ContentWrong)
            _damaged[name] = new KnownDamage(IsContent: true, _damaged.TryGetValue(name, out var known) ? known.Since : now);
    }

    /// <summary>Where there are too many, those read longest ago count as never read, and so are read next.</summary>
    byte[] Write()
    {
        var bytes = new MemoryStream();
        using (var text = new StreamWriter(bytes, Encoding.ASCII))
        {
            WriteDamaged(text);
            var room = Math.Max(0, MaxKept - _damaged.Count);
            foreach (var (name, time) in _times.Count <= room ? _times : _times.OrderByDescending(t => t.Value).Take(room))
                text.Write(string.Create(CultureInfo.InvariantCulture, $"{name} {time}{(_opened.Contains(name) ? "+" : "")}\n"));
            WriteDamaged(text);
        }
        return bytes.ToArray();
    }

    void WriteDamaged(StreamWriter text)
    {
        foreach (var (name, damage) in _damaged.Take(MaxKept))
            text.Write(string.Create(CultureInfo.InvariantCulture, $"{name} {(damage.IsContent ? Content : Bytes)} {damage.Since}\n"));
    }
}
