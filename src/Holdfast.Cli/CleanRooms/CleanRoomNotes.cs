using System.Globalization;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.CleanRooms;

/// <summary>A snapshot that could not be attested.</summary>
/// <param name="Tries">How often; 1 or more.</param>
/// <param name="Last">When that was, seconds since 1970 by this machine.</param>
/// <param name="Code">Why; <c>None</c> where the clean room ended in its midst.</param>
sealed record FailedAttestation(int Tries, long Last, ErrorCode Code)
{
    const long First = 600; // seconds
    const long Longest = 6 * 3_600;

    /// <summary>From when on it is tried again.</summary>
    public long Next => Last + Math.Min(Longest, First << Math.Min(Tries - 1, 8));
}

/// <summary>What a clean room could not attest, and what it is at: one that brings the process down, again and again, does not keep the others from their turn. A cache: its loss costs that.</summary>
sealed class CleanRoomNotes
{
    const int MaxSize = 1 << 20; // bytes
    const int MaxNotes = 10_000;

    readonly string _path;
    readonly Disk _disk;
    readonly Dictionary<Id16, FailedAttestation> _failed = [];

    /// <summary>Reads what was kept. What was under way then has failed.</summary>
    public CleanRoomNotes(string path, Disk disk)
    {
        (_path, _disk) = (path, disk);
        try
        {
            foreach (var line in (File.Exists(path) ? UserFile.KeptText(path, "The clean room's notes", MaxSize) : "").Split('\n').Take(MaxNotes))
            {
                if (line.Split(' ') is [var id, var tries, var last, var code] && Id16.TryParse(id, out var snapshot) && int.TryParse(tries, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0
                    && long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out var when) && int.TryParse(code, NumberStyles.None, CultureInfo.InvariantCulture, out var why))
                    _failed[snapshot] = new FailedAttestation(count, when, Enum.IsDefined((ErrorCode)why) ? (ErrorCode)why : ErrorCode.None);
            }
        }
        catch (HoldfastException)
        {
            // The disk does not give it, and then each is tried.
        }
    }

    public IReadOnlyDictionary<Id16, FailedAttestation> Failed => _failed;

    /// <summary>Before it is read: durable, whatever happens then.</summary>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public void Begin(Id16 snapshot, long now) => Fail(snapshot, now, ErrorCode.None);

    /// <summary>As it was before it was begun: it was not its fault.</summary>
    public void TakeBack(Id16 snapshot, FailedAttestation? before)
    {
        if (before is null)
            _failed.Remove(snapshot);
        else
            _failed[snapshot] = before;
        Keep();
    }

    public void Fail(Id16 snapshot, long now, ErrorCode why, bool isCounted = true)
    {
        _failed[snapshot] = new FailedAttestation(_failed.TryGetValue(snapshot, out var before) ? before.Tries + (isCounted ? 1 : 0) : 1, Math.Max(0, now), why);
        Keep();
    }

    /// <summary>It was attested; and what is not due any more is forgotten.</summary>
    public void Done(Id16 snapshot, IReadOnlySet<Id16> due)
    {
        foreach (var over in _failed.Keys.Where(k => k == snapshot || !due.Contains(k)).ToList())
            _failed.Remove(over);
        Keep();
    }

    void Keep() => _disk.Replace(_path, Encoding.ASCII.GetBytes(string.Concat(_failed.OrderByDescending(f => f.Value.Last).Take(MaxNotes)
        .Select(f => string.Create(CultureInfo.InvariantCulture, $"{f.Key} {f.Value.Tries} {f.Value.Last} {(int)f.Value.Code}\n")))));
}
