using System.Runtime.InteropServices;

namespace Holdfast.Cli.Terminal;

/// <summary>What a program inherits of its launcher besides files: signals that it ignores or blocks. Without the end of a child being told, the runtime waits for it for ever; and one that was started
/// with SIGTERM blocked hears nobody.</summary>
static partial class SignalMask
{
    const int Interrupt = 2; // SIGINT
    const int Terminate = 15; // SIGTERM
    const int Child = 17; // SIGCHLD
    const int Unblock = 1; // SIG_UNBLOCK
    const nint Default = 0; // SIG_DFL
    const int Words = 16; // of sigset_t

    /// <summary>Called before the runtime asks what is ignored, which it hands on to the commands it starts. Threads that are there already keep their mask: a signal goes to one that takes it, and threads
    /// to come inherit that of the one that calls this.</summary>
    /// <remarks>SIGINT and SIGTERM that are ignored stay so: that is how a launcher (nohup, `&amp;` of a script) says that they are not meant.</remarks>
    public static void Clear()
    {
        if (!OperatingSystem.IsLinux())
            return;
        _ = Handle(Child, Default);
        Span<ulong> signals = stackalloc ulong[Words];
        signals.Clear();
        foreach (var signal in (ReadOnlySpan<int>)[Interrupt, Terminate, Child])
            signals[0] |= 1UL << (signal - 1);
        _ = Mask(Unblock, signals, 0);
    }

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint Handle(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static partial int Mask(int how, ReadOnlySpan<ulong> signals, nint before);
}
