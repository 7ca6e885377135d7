namespace Holdfast.Server.Wire;

/// <summary>Ends a request in which nothing moves any more: a peer that lost its power says nothing, and a connection alone never tells.</summary>
sealed class Idle : IDisposable
{
    readonly TimeSpan _most;
    readonly CancellationTokenSource _source;
    long _way;

    /// <param name="most">How long nothing may move.</param>
    /// <param name="stop">Ends it at once.</param>
    public Idle(TimeSpan most, CancellationToken stop)
    {
        _most = most;
        _source = CancellationTokenSource.CreateLinkedTokenSource(stop);
        _source.CancelAfter(most);
    }

    public CancellationToken Token => _source.Token;

    /// <summary>How far it has come, by <see cref="Moved"/>.</summary>
    public long Way => Interlocked.Read(ref _way);

    /// <param name="way">How far that was: of attempts at one thing, the one that got further has more.</param>
    public void Moved(long way = 1)
    {
        Interlocked.Add(ref _way, way);
        _source.CancelAfter(_most);
    }

    /// <summary>Until something moves, it may take so long.</summary>
    public void Allow(TimeSpan longer) => _source.CancelAfter(longer);

    /// <summary>A stream whose reads count as moving, and end with this.</summary>
    public Stream Watched(Stream stream) => new Reading(stream, this);

    public void Dispose() => _source.Dispose();

    sealed class Reading(Stream stream, Idle idle) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            var read = stream.ReadAsync(buffer.AsMemory(offset, count), idle.Token).AsTask().GetAwaiter().GetResult();
            idle.Moved(read);
            return read;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                stream.Dispose();
            base.Dispose(disposing);
        }
    }
}
