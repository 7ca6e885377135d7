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

    /// <summary>The same after each start, and another machine's is another; empty where the system has none.</summary>
    string MachineId { get; }
}

/// <summary>The machine's own clocks.</summary>
public sealed partial class MachineTime(TimeProvider wall) : IMachineTime
{
    const int BootTime = 7; // CLOCK_BOOTTIME

    /// <summary>Begins a boot id that is none: the system does not tell one start from the next.</summary>
    public const string UnknownBoot = "unknown-";

    public static readonly MachineTime System = new(TimeProvider.System);

    public ulong Wall => (ulong)Math.Max(0, wall.GetUtcNow().ToUnixTimeMilliseconds());

    public ulong SinceBoot => OperatingSystem.IsLinux() && GetTime(BootTime, out var time) == 0
        ? (ulong)time.Seconds * 1_000 + (ulong)time.Nanoseconds / 1_000_000
        : (ulong)Environment.TickCount64;

    public string BootId { get; } = ReadBootId();

    public string MachineId { get; } = ReadMachineId();

    /// <summary>Of what machine-id(5) says, which is for nobody else's eyes, a digest.</summary>
    static string ReadMachineId()
    {
        const string path = "/etc/machine-id";
        const int digits = 32;
        const int size = 8; // bytes of the digest
        try
        {
            return PlainFile.IsOne(path) && PlainFile.ReadAll(path, 4_096) is { } bytes && Encoding.UTF8.GetString(bytes).Trim() is { Length: digits } id
                ? Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes("holdfast/v1/machine" + id)).AsSpan(0, size))
                : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    static string ReadBootId()
    {
        const string path = "/proc/sys/kernel/random/boot_id";
        // Where the system has no such id, what passed between two runs of this program is not known, and does not count.
        return File.Exists(path) ? File.ReadAllText(path).Trim() : UnknownBoot + Id16.New();
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
