using System.Runtime.InteropServices;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>Descriptor 1, written as it is. .NET's own console stream takes a closed pipe for success, and so a listing would go on for hours for nobody.</summary>
/// <remarks>Throws <see cref="ReaderGoneException"/> where nobody reads any more, else <see cref="HoldfastException"/> with <c>OutputFailed</c>.</remarks>
sealed partial class StandardOutput : WriteOnlyStream
{
    const int Descriptor = 1;
    const int GetFlags = 1; // F_GETFD
    const int CloseOnExec = 1; // FD_CLOEXEC
    const int Interrupted = 4; // EINTR
    const int TryAgain = 11; // EAGAIN
    const int BadDescriptor = 9; // EBADF
    const int BrokenPipe = 32; // EPIPE
    const short CanTake = 4; // POLLOUT
    const int NoLimit = -1; // milliseconds

    readonly Stream? _console = OperatingSystem.IsLinux() ? null : Console.OpenStandardOutput();
    readonly bool _isOpen;

    /// <summary>Made before anything else is opened.</summary>
    public StandardOutput()
    {
        _isOpen = IsInherited(Descriptor);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (_console is not null)
        {
            WriteConsole(_console, buffer);
            return;
        }
        while (!buffer.IsEmpty)
        {
            var written = _isOpen ? Put(Descriptor, buffer, buffer.Length) : -1;
            if (written >= 0)
            {
                buffer = buffer[(int)written..];
                continue;
            }
            switch (_isOpen ? Marshal.GetLastPInvokeError() : BadDescriptor)
            {
                case Interrupted:
                    break;
                case TryAgain: // someone who shares the terminal has made it non-blocking
                    AwaitRoom();
                    break;
                case BrokenPipe:
                    throw new ReaderGoneException();
                case var error:
                    throw Failed(error);
            }
        }
    }

    /// <summary>False of a standard descriptor that was closed when the program began. What a program inherits has no close-on-exec flag, or it would not have inherited it: what has the flag was opened
    /// by the runtime, or by <see cref="Output.Open"/>, in the place of a closed one.</summary>
    internal static bool IsInherited(int descriptor) => !OperatingSystem.IsLinux() || (Control(descriptor, GetFlags, 0) is >= 0 and var flags && (flags & CloseOnExec) == 0);

    /// <summary>Until the reader has taken something, or is gone: what the next write then says.</summary>
    static void AwaitRoom() => Await(Descriptor, CanTake, NoLimit);

    /// <summary>Waits until a descriptor is ready, closed at its other end, or broken. False where it was none of these for so many milliseconds.</summary>
    internal static bool Await(int descriptor, short events, int milliseconds)
    {
        var awaited = new Awaited { Descriptor = descriptor, Events = events };
        return Poll(ref awaited, 1, milliseconds) > 0;
    }

    static void WriteConsole(Stream console, ReadOnlySpan<byte> buffer)
    {
        try
        {
            console.Write(buffer);
        }
        catch (IOException e)
        {
            throw Failed(e.HResult & 0xFFFF);
        }
    }

    static HoldfastException Failed(int error) => new(ErrorCode.OutputFailed,
        $"The results could not be written to standard output: {error switch { 28 or 122 => "there is no space left where it leads", BadDescriptor => "it is closed", 5 => "the device does not take them", _ => $"the system reports error {error}" }}.",
        "Send them elsewhere. Only the report is incomplete, what the command did is done: look with `holdfast snapshots` before running a backup again.");

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Put(int descriptor, ReadOnlySpan<byte> bytes, nint count);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command, int argument);

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref Awaited awaited, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    struct Awaited // struct pollfd
    {
        public int Descriptor;
        public short Events;
        public short Happened;
    }
}

/// <summary>Nobody reads our output any more, as after head(1): a listing ends, quietly.</summary>
sealed class ReaderGoneException() : Exception("Nobody reads standard output any more.");
