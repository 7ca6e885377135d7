using System.Text;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>Where results go. A report that cannot be written never cuts short what a command does: it is remembered, and told at the end.</summary>
static class Output
{
    static readonly Sink Kept = new();
    static readonly StreamWriter Writer = new(Kept, new UTF8Encoding(false), 1 << 16) { NewLine = "\n" };

    /// <summary>Bytes as they are; throws <see cref="ReaderGoneException"/> and <c>OutputFailed</c>. For results that are the whole purpose of a command.</summary>
    public static Stream Raw { get; private set; } = Stream.Null;

    /// <summary>Nothing more can be written: a command that only lists may stop.</summary>
    public static bool IsOver => Kept.Fault is not null;

    /// <summary>Called before any file is opened: a standard descriptor that was closed must not become one of the vault's files.</summary>
    public static void Open()
    {
        Raw = new StandardOutput();
        if (OperatingSystem.IsLinux())
        {
            Microsoft.Win32.SafeHandles.SafeFileHandle spare;
            while ((spare = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite)).DangerousGetHandle() <= 2)
                spare.SetHandleAsInvalid(); // stays open, in the place of the one that was closed
            spare.Dispose();
        }
        Console.SetOut(Writer);
    }

    public static void Write(string text) => Writer.Write(text);

    public static void Write(ReadOnlySpan<byte> utf8)
    {
        Writer.Flush();
        Kept.Write(utf8);
    }

    /// <summary>Before anything is said elsewhere, so that both are read in their order.</summary>
    public static void Flush() => Writer.Flush();

    /// <summary>As <see cref="Flush"/>, for listings: ends them where nothing more can be written.</summary>
    /// <exception cref="ReaderGoneException">Nobody reads on.</exception>
    /// <exception cref="HoldfastException"><c>OutputFailed</c>.</exception>
    public static void Require()
    {
        Flush();
        if (Kept.Fault is { } fault)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(fault);
    }

    /// <summary>The failure that a run ends with where its results could not be written; null where they were, or nobody wanted them.</summary>
    public static HoldfastException? Close()
    {
        Flush();
        return Kept.Fault as HoldfastException;
    }

    /// <summary>Takes everything; keeps the first failure instead of throwing it.</summary>
    sealed class Sink : WriteOnlyStream
    {
        public Exception? Fault { get; private set; }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (Fault is not null)
                return;
            try
            {
                Raw.Write(buffer);
            }
            catch (Exception e) when (e is ReaderGoneException or HoldfastException)
            {
                Fault = e;
            }
        }
    }
}
