using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>Standard input, read from beginning to end; what else a stream may do, this one refuses as .NET asks (NotSupportedException). Its reader can be interrupted while nothing comes: the system's read would go on waiting for whoever writes.</summary>
/// <param name="inner">Reads it.</param>
/// <param name="stop">Ends a wait.</param>
sealed class StandardInput(Stream inner, CancellationToken stop) : Stream
{
    const int Descriptor = 0;
    const short CanGive = 1; // POLLIN
    const int Patience = 100; // milliseconds between looks at the wish to stop

    /// <exception cref="HoldfastException"><c>Usage</c>: it was closed when the program began. What has its number by now is a file of the runtime's own, and /dev/urandom has no end.</exception>
    public static StandardInput Open(CancellationToken stop) => IsOpen ? new(Console.OpenStandardInput(), stop)
        : throw new HoldfastException(ErrorCode.Usage, "Standard input is closed: there is nothing to read.", "Give it what is to be read: `PROGRAM | holdfast ...`, or `holdfast ... <FILE`.");

    public static bool IsOpen => StandardOutput.IsInherited(Descriptor);

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <exception cref="OperationCanceledException">A person's wish.</exception>
    public override int Read(Span<byte> buffer)
    {
        do
            stop.ThrowIfCancellationRequested();
        while (OperatingSystem.IsLinux() && !StandardOutput.Await(Descriptor, CanGive, Patience));
        return inner.Read(buffer);
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
