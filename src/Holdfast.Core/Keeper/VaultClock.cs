using System.Globalization;
using System.Runtime.InteropServices;
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

/// <summary>The vault's own time: it never goes back, and advances by the lesser of what the wall clock and the boot clock say, plus 500 ppm. Time spent powered
/// off does not count until something outside the machine attests it (invariant 3).</summary>
/// <remarks>Doubt lengthens locks and stops expiry. It never stops a backup.</remarks>
public sealed class VaultClock
{
    const int MaxSize = 4_096; // bytes of its file
    const ulong PartsPerMillion = 500;
    const ulong DoubtAfter = 35 * 86_400; // seconds: a wall clock further ahead than this is not believed at all

    /// <summary>Begins a boot id that is none: the system does not tell one start from the next.</summary>
    public const string UnknownBoot = "unknown-";

    readonly string _path;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    ulong _milliseconds; // vault time
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
    /// <param name="latestLeaf">Vault time of the newest leaf: the clock is never before it, even where its file was lost or put back.</param>
    public static VaultClock Open(string path, Disk disk, IMachineTime machine, ulong latestLeaf)
    {
        var clock = new VaultClock(path, disk, machine, latestLeaf * 1_000, machine.Wall, machine.SinceBoot, "");
        if (PlainFile.IsOne(path) && PlainFile.ReadAll(path, MaxSize) is { } bytes && TryParse(Encoding.UTF8.GetString(bytes), out var milliseconds, out var wall, out var sinceBoot, out var bootId))
        {
            clock._milliseconds = Math.Max(milliseconds, latestLeaf * 1_000);
            (clock._wall, clock._sinceBoot, clock._bootId) = (wall, sinceBoot, bootId);
        }
        clock.Advance();
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

    /// <summary>Seconds the wall clock is ahead of (positive) or behind (negative) the vault clock.</summary>
    public long WallOffset => (long)(_machine.Wall / 1_000) - (long)Now;

    /// <summary>True where every source of time says that this moment has passed.</summary>
    public bool HasPassed(ulong moment) => Now > moment && _machine.Wall / 1_000 > moment;

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
            _milliseconds += advance + advance * PartsPerMillion / 1_000_000;
        (_sinceBoot, _bootId) = (sinceBoot, _machine.BootId);
        _wall = wall;
    }

    /// <summary>Makes the clock's state durable.</summary>
    public void Save()
    {
        Advance();
        _disk.Replace(_path, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"holdfast clock v1\n{_milliseconds} {_wall} {_sinceBoot} {_bootId}\n")));
    }

    static bool TryParse(string text, out ulong milliseconds, out ulong wall, out ulong sinceBoot, out string bootId)
    {
        milliseconds = wall = sinceBoot = 0;
        bootId = "";
        var lines = text.Split('\n');
        if (lines.Length != 3 || lines[0] != "holdfast clock v1" || lines[1].Split(' ') is not { Length: 4 } parts)
            return false;
        bootId = parts[3];
        return ulong.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out milliseconds)
            && ulong.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out wall)
            && ulong.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out sinceBoot)
            && milliseconds / 1_000 <= Retention.LockRules.LastEnd;
    }
}
