namespace Holdfast.Cli.Terminal;

/// <summary>Standard input, read from beginning to end; what else a stream may do, this one refuses as .NET asks (NotSupportedException). Its reader can be interrupted while nothing comes: the system's read would go on waiting for whoever writes.</summary>
/// <param name="inner">Reads it.</param>
/// <param name="stop">Ends a wait.</param>
sealed class StandardInput(Stream inner, CancellationToken stop) : Stream
{
    const int Descriptor = 0;
    const short CanGive = 1; // POLLIN
    const int Patience = 100; // milliseconds between looks at the wish to stop

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

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
