using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Bytes that wait for their way to a service: a few in memory, more in a file that has no name any more while it waits, so that nobody finds anything after a crash.</summary>
/// <param name="disk">Where changes go.</param>
/// <param name="folder">For files.</param>
/// <param name="large">A file from the start.</param>
public sealed class PassingBytes(Disk disk, string folder, bool large) : IStaged
{
    const int MostInMemory = 1 << 20; // bytes

    readonly MemoryStream _few = new();
    DiskFile? _file;
    SafeFileHandle? _content;
    string? _path; // while it has a name

    public long Length { get; private set; }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (_file is null && !large && Length + bytes.Length <= MostInMemory)
        {
            _few.Write(bytes);
            Length += bytes.Length;
            return;
        }
        if (_file is null)
            Begin();
        _file!.Append(bytes);
        Length += bytes.Length;
    }

    void Begin()
    {
        if (!Directory.Exists(folder))
            disk.MakeFolder(folder, ownerOnly: true);
        _path = Path.Combine(folder, Id16.New().ToString());
        _file = disk.CreatePassing(_path);
        _content = DiskFault.Translated(() => File.OpenHandle(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        if (OperatingSystem.IsLinux())
            Forget(); // elsewhere what is open keeps its name
        _file.Append(_few.GetBuffer().AsSpan(0, (int)_few.Length));
    }

    void Forget()
    {
        if (_path is { } path)
            disk.Discard(path);
        _path = null;
    }

    /// <summary>The bytes from an offset on, to be read once.</summary>
    /// <param name="offset">In bytes.</param>
    /// <param name="count">Bytes.</param>
    /// <param name="moved">Told whenever some were taken.</param>
    public Stream Read(long offset, long count, Action moved) => new Window(this, offset, count, moved);

    int Read(long offset, Span<byte> into)
    {
        if (_content is null)
        {
            var part = _few.GetBuffer().AsSpan((int)offset, (int)Math.Min(into.Length, Length - offset));
            part.CopyTo(into);
            return part.Length;
        }
        try
        {
            return RandomAccess.Read(_content, into, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e, folder);
        }
    }

    public void Dispose()
    {
        _file?.Dispose();
        _content?.Dispose();
        Forget();
        _few.Dispose();
    }

    sealed class Window(PassingBytes staged, long offset, long count, Action moved) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length => count;
        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            moved();
            var left = (int)Math.Min(buffer.Length, count - Position);
            if (left <= 0)
                return 0;
            var read = staged.Read(offset + Position, buffer[..left]);
            if (read == 0)
                throw new HoldfastException(ErrorCode.Truncated, "A staging file is shorter than it was written.", "Look at the disk that the keeper stages on, then run the same command again.");
            Position += read;
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span)); // it is in the page cache
        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => Task.FromResult(Read(buffer.AsSpan(offset, count)));

        public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
        {
            SeekOrigin.Begin => offset,
            SeekOrigin.Current => Position + offset,
            _ => count + offset,
        };

        public override void Flush()
        {
        }

        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
