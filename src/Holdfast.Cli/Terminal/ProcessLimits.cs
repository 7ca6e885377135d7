using System.Runtime.InteropServices;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Terminal;

/// <summary>What the system lets this process have. Files that cannot be opened look in many places like files that are not there: with too few a command does not begin.</summary>
static partial class ProcessLimits
{
    const int OpenFiles = 7; // RLIMIT_NOFILE
    const ulong LeastOpenFiles = 256; // a walk holds 128 folders open, a reader of packs 32

    /// <exception cref="HoldfastException"><c>SystemLimit</c>.</exception>
    public static void RequireOpenFiles()
    {
        if (!OperatingSystem.IsLinux() || GetLimit(OpenFiles, out var limit) != 0 || limit.Soft >= LeastOpenFiles)
            return;
        limit.Soft = Math.Min(LeastOpenFiles, limit.Hard);
        if (limit.Soft < LeastOpenFiles || SetLimit(OpenFiles, in limit) != 0)
            throw DiskFault.TooFewFiles($"This process may open {limit.Soft} files, and {LeastOpenFiles} are needed");
    }

    /// <summary>Attributes, and what lies in a folder that is held open, are reached through /proc/self/fd: without it they would look as if they were not there.</summary>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>.</exception>
    public static void RequireProc()
    {
        if (OperatingSystem.IsLinux() && !Directory.Exists("/proc/self/fd"))
            throw new HoldfastException(ErrorCode.SystemLimit, "/proc is not mounted where this process runs: attributes of files cannot be read or set without it. Nothing was done.",
                "Mount it (`mount -t proc proc /proc` as root, in the container or chroot), then run the same command again.");
    }

    /// <summary>The words for a failure that is no defect; null for any other.</summary>
    public static HoldfastException? Of(Exception fault)
    {
        for (var at = fault; at is not null; at = at.InnerException)
        {
            if (at is OutOfMemoryException)
                return DiskFault.TooLittleMemory(fault);
            if (at is DllNotFoundException)
                return new HoldfastException(ErrorCode.SystemLimit, "A part of the program (libzstd, libsodium, libholdfast-lanes) cannot be loaded.",
                    "Look whether these files lie beside the program and this user may read them, and whether the process may have memory enough (`ulimit -v`); then run the same command again.", fault);
        }
        return null;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetLimit(int resource, out Limit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimit(int resource, in Limit limit);

    [StructLayout(LayoutKind.Sequential)]
    struct Limit // struct rlimit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
