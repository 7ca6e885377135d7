using Microsoft.Win32.SafeHandles;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>A dump at rest, read where a check likes. Whoever wrote it may be an attacker: nothing in it is believed before it was compared with how long the file is.</summary>
sealed class DumpFile(SafeFileHandle file)
{
    public long Length { get; } = RandomAccess.GetLength(file);

    /// <summary>Fills the span; false where the file does not reach that far.</summary>
    /// <exception cref="IOException">The medium failed.</exception>
    public bool TryRead(long offset, Span<byte> bytes)
    {
        if (offset < 0 || offset > Length - bytes.Length)
            return false;
        while (!bytes.IsEmpty)
        {
            var read = RandomAccess.Read(file, bytes, offset);
            if (read <= 0)
                return false;
            bytes = bytes[read..];
            offset += read;
        }
        return true;
    }

    /// <summary>True where so many bytes lie there.</summary>
    public bool Holds(ulong offset, ulong count) => offset <= (ulong)Length && count <= (ulong)Length - offset;

    /// <summary>A part as a stream, which can seek.</summary>
    public Stream Part(long offset, long count) => new BufferedStream(new PartStream(this, offset, Math.Min(count, Length - offset)), 1 << 17);

    public Stream Whole() => Part(0, Length);

    sealed class PartStream(DumpFile file, long begin, long length) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length => length;
        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            var count = (int)Math.Min(buffer.Length, Math.Max(0, length - Position));
            if (count == 0)
                return 0;
            if (!file.TryRead(begin + Position, buffer[..count]))
                throw new EndOfStreamException();
            Position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
        {
            SeekOrigin.Begin => offset,
            SeekOrigin.Current => Position + offset,
            _ => length + offset,
        };

        public override void Flush()
        {
            // Nothing is written.
        }

        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
