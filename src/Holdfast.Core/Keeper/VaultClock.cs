using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What a machine says of time: a wall clock that anyone with its password may set, and a counter since it was started, which nobody may.</summary>
public interface IMachineTime
{
    /// <summary>Milliseconds since 1970 UTC.</summary>
    ulong Wall { get; }

    /// <summary>Milliseconds since the machine was started, time asleep included.</summary>
    ulong SinceBoot { get; }

    /// <summary>Another one after each start of the machine.</summary>
    string BootId { get; }
}

/// <summary>The machine's own clocks.</summary>
public sealed partial class MachineTime(TimeProvider wall) : IMachineTime
{
    const int BootTime = 7; // CLOCK_BOOTTIME

    public static readonly MachineTime System = new(TimeProvider.System);

    public ulong Wall => (ulong)Math.Max(0, wall.GetUtcNow().ToUnixTimeMilliseconds());

    public ulong SinceBoot => OperatingSystem.IsLinux() && GetTime(BootTime, out var time) == 0
        ? (ulong)time.Seconds * 1_000 + (ulong)time.Nanoseconds / 1_000_000
        : (ulong)Environment.TickCount64;

    public string BootId { get; } = ReadBootId();

    static string ReadBootId()
    {
        const string path = "/proc/sys/kernel/random/boot_id";
        // Where the system has no such id, what passed between two runs of this program is not known, and does not count.
        return File.Exists(path) ? File.ReadAllText(path).Trim() : VaultClock.UnknownBoot + Id16.New();
    }

    [StructLayout(LayoutKind.Sequential)]
    struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out TimeSpec time);
}

/// <summary>The vault's own time: it never goes back, and advances by the lesser of what the wall clock and the boot clock say, plus 500 ppm while it is behind the
/// wall clock. Time spent powered off does not count until something outside the machine attests it (invariant 3).</summary>
/// <remarks>Doubt lengthens locks and stops expiry. It never stops a backup. Where a leaf is ahead of what the clock saw pass, locks are born by the leaf, and end by the clock: whichever
/// of the two is wrong, no lock is short (docs/format.md, section 12.3).</remarks>
public sealed class VaultClock
{
    const int MaxSize = 4_096; // bytes of its file
    const string Head = "holdfast clock v1";
    const ulong PartsPerMillion = 500;
    const int CheckSize = 8; // bytes

    /// <summary>Seconds: a wall clock, or a leaf, further ahead than this is not believed at all.</summary>
    public const ulong DoubtAfter = 35 * 86_400;

    /// <summary>Begins a boot id that is none: the system does not tell one start from the next.</summary>
    public const string UnknownBoot = "unknown-";

    readonly string _path;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    ulong _milliseconds; // vault time
    ulong _unseen; // milliseconds of it that leaves alone tell of
    ulong _wall; // milliseconds, when the state was taken
    ulong _sinceBoot;
    string _bootId;

    VaultClock(string path, Disk disk, IMachineTime machine, ulong milliseconds, ulong wall, ulong sinceBoot, string bootId)
    {
        _path = path;
        _disk = disk;
        _machine = machine;
        _milliseconds = milliseconds;
        _wall = wall;
        _sinceBoot = sinceBoot;
        _bootId = bootId;
    }

    /// <summary>Starts a clock at the wall time: the one moment it is believed.</summary>
    public static VaultClock Create(string path, Disk disk, IMachineTime machine)
    {
        var clock = new VaultClock(path, disk, machine, machine.Wall, machine.Wall, machine.SinceBoot, machine.BootId);
        clock.Save();
        return clock;
    }

    /// <param name="path">Its file.</param>
    /// <param name="disk">Where it is saved.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="latestLeaf">Vault time of the newest leaf that is not far beyond a moment, or beyond leaves before it (<see cref="Projection.TimeOfLeaves"/>): the clock is never before it, even
    /// where its file was lost or put back.</param>
    public static VaultClock Open(string path, Disk disk, IMachineTime machine, Func<ulong, ulong> latestLeaf)
    {
        var clock = new VaultClock(path, disk, machine, 0, machine.Wall, machine.SinceBoot, "");
        var isKept = PlainFile.IsOne(path) && PlainFile.ReadAll(path, MaxSize) is { } bytes && clock.TryTake(Encoding.UTF8.GetString(bytes));
        clock.Advance();
        var told = 1_000 * latestLeaf(Math.Max(clock._milliseconds, machine.Wall) / 1_000 + DoubtAfter);
        // With no note of its own, and a wall clock before every leaf, there is nothing to hold against the leaves.
        if (!isKept && told == 0)
            told = 1_000 * latestLeaf(ulong.MaxValue);
        // Of what they say, what the wall clock says too has passed: a note that was put back is held against nobody more than one that is gone.
        var ahead = told - Math.Min(told, clock._milliseconds);
        clock._milliseconds += ahead;
        clock._unseen += Math.Min(ahead, told - Math.Min(told, machine.Wall));
        return clock;
    }

    /// <summary>Seconds since 1970 UTC by the vault clock.</summary>
    public ulong Now
    {
        get
        {
            Advance();
            return _milliseconds / 1_000;
        }
    }

    /// <summary>Seconds since 1970 UTC that have passed for certain: what leaves alone tell of is not among them.</summary>
    public ulong Passed
    {
        get
        {
            Advance();
            return (_milliseconds - _unseen) / 1_000;
        }
    }

    /// <summary>Seconds of vault time that leaves alone tell of: locks begin by them, and none ends.</summary>
    public ulong Unseen => _unseen / 1_000;

    /// <summary>From when a lock's length counts: the later of vault time and a wall clock within reason, so that no lock is born short after a long power-off.</summary>
    public ulong LockFrom
    {
        get
        {
            var now = Now;
            var wall = _machine.Wall / 1_000;
            return wall > now && wall - now <= DoubtAfter ? wall : now;
        }
    }

    /// <summary>Seconds the wall clock is ahead of (positive) or behind (negative) what has passed for certain.</summary>
    public long WallOffset => (long)(_machine.Wall / 1_000) - (long)Passed;

    /// <summary>Seconds since 1970 UTC that every source of time says have passed.</summary>
    public ulong Certain => Math.Min(Passed, _machine.Wall / 1_000);

    /// <summary>True where every source of time says that this moment has passed.</summary>
    public bool HasPassed(ulong moment) => Certain > moment;

    void Advance()
    {
        var (wall, sinceBoot) = (_machine.Wall, _machine.SinceBoot);
        var said = wall > _wall ? wall - _wall : 0;
        // After a restart only the time since it counts: how long the machine was off, nobody here knows. A machine that has run for longer than the wall clock says has
        // passed since the state was taken is another machine, or lies: then nothing counts.
        var ran = _bootId == _machine.BootId ? (sinceBoot > _sinceBoot ? sinceBoot - _sinceBoot : 0)
            : _machine.BootId.StartsWith(UnknownBoot, StringComparison.Ordinal) || sinceBoot > said ? 0
            : sinceBoot;
        var advance = Math.Min(ran, said);
        if (_bootId.Length > 0)
        {
            _milliseconds += advance;
            // The boot clock may be slow by as much: this makes up for it, and leads no further than the wall clock says. Else it would add up to days.
            _milliseconds += Math.Min(advance * PartsPerMillion / 1_000_000, wall - Math.Min(wall, _milliseconds - _unseen));
        }
        (_sinceBoot, _bootId) = (sinceBoot, _machine.BootId);
        _wall = wall;
    }

    /// <summary>Makes the clock's state durable.</summary>
    public void Save()
    {
        Advance();
        var text = string.Create(CultureInfo.InvariantCulture, $"{Head}\n{_milliseconds} {_wall} {_sinceBoot} {_bootId} {_unseen} ");
        _disk.Replace(_path, Encoding.ASCII.GetBytes($"{text}{Check(text)}\n"));
    }

    /// <summary>Shows a bit that flipped; whoever writes the file can write this too.</summary>
    static string Check(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, CheckSize));

    /// <summary>Takes over the state that a file has; false, and nothing of it, where it makes no sense.</summary>
    bool TryTake(string text)
    {
        if (text.Split('\n') is not [Head, var line, ""] || line.Split(' ') is not { Length: >= 4 and <= 6 } parts
            || (parts.Length == 6 && parts[5] != Check(text[..^(parts[5].Length + 1)])) // earlier versions wrote none, nor 0 where nothing was unseen
            || !TryRead(parts[0], out var milliseconds) || !TryRead(parts[1], out var wall) || !TryRead(parts[2], out var sinceBoot) || !TryRead(parts.ElementAtOrDefault(4) ?? "0", out var unseen)
            || milliseconds / 1_000 > Retention.LockRules.LastEnd || unseen > milliseconds)
            return false;
        (_milliseconds, _wall, _sinceBoot, _bootId, _unseen) = (milliseconds, wall, sinceBoot, parts[3], unseen);
        return true;
    }

    static bool TryRead(string number, out ulong value) => ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
