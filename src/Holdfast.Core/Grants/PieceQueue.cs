using System.Diagnostics;

namespace Holdfast.Core.Grants;

/// <summary>Pieces on their way to an agent's host: those that nobody has asked for yet, and those that may be asked for again. However slow it is, there are no more than a few: who fills them waits. Safe for concurrent use.</summary>
sealed class PieceQueue
{
    const int Most = 6; // pieces

    readonly object _turn = new();
    readonly Queue<Piece> _pieces = new();
    readonly Stack<byte[]> _free = new();
    long _first; // number of the first that is kept
    bool _isComplete;
    bool _isStopped;

    /// <summary>A piece; it stays as it is until it is disposed of.</summary>
    public sealed class Piece(PieceQueue queue, byte[] bytes, int length) : IDisposable
    {
        int _users = 1; // and the queue

        public ReadOnlyMemory<byte> Bytes => bytes.AsMemory(0, length);

        /// <summary>Under the queue's lock.</summary>
        public Piece Hold()
        {
            _users++;
            return this;
        }

        public void Dispose()
        {
            lock (queue._turn)
            {
                if (--_users == 0 && queue._free.Count < Most)
                    queue._free.Push(bytes);
            }
        }
    }

    /// <summary>Memory for a piece and the byte before it: used again.</summary>
    public byte[] Rent()
    {
        lock (_turn)
            return _free.TryPop(out var bytes) ? bytes : GC.AllocateUninitializedArray<byte>(GrantRecord.MostPiece + 1);
    }

    /// <summary>Waits until there is room.</summary>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public void Put(byte[] bytes, int length)
    {
        lock (_turn)
        {
            while (_pieces.Count >= Most && !_isStopped)
                Monitor.Wait(_turn);
            RequireGoing();
            _pieces.Enqueue(new Piece(this, bytes, length));
            Monitor.PulseAll(_turn);
        }
    }

    public void RequireGoing()
    {
        if (Volatile.Read(ref _isStopped))
            throw new OperationCanceledException();
    }

    /// <summary>There are no more.</summary>
    public void Complete()
    {
        lock (_turn)
        {
            _isComplete = true;
            Monitor.PulseAll(_turn);
        }
    }

    /// <summary>Whoever waits is sent away.</summary>
    public void Stop()
    {
        lock (_turn)
        {
            _isStopped = true;
            Monitor.PulseAll(_turn);
        }
    }

    /// <summary>A piece, where there is one in time.</summary>
    /// <param name="number">Which; one that was said to be there is there no more.</param>
    /// <param name="got">So many of the first are there.</param>
    /// <param name="patience">How long it is waited for.</param>
    /// <param name="state">Why there is none.</param>
    public Piece? Take(long number, long got, TimeSpan patience, out PieceState state)
    {
        var since = Stopwatch.GetTimestamp();
        lock (_turn)
        {
            for (; _first < got && _pieces.TryDequeue(out var old); _first++)
                old.Dispose();
            Monitor.PulseAll(_turn);
            while (true)
            {
                if (_isStopped || number < _first || (_isComplete && number >= _first + _pieces.Count))
                {
                    state = PieceState.Over;
                    return null;
                }
                if (number < _first + _pieces.Count)
                {
                    state = PieceState.Here;
                    return _pieces.ElementAt((int)(number - _first)).Hold();
                }
                if (patience - Stopwatch.GetElapsedTime(since) is var left && (left <= TimeSpan.Zero || !Monitor.Wait(_turn, left)))
                {
                    state = PieceState.Awaited;
                    return null;
                }
            }
        }
    }
}
