namespace Holdfast.Server.Wire;

/// <summary>Holds back what is sent, so that a link has room for others. Who sends much takes turns: requests that shared the rate would each be slow. Safe for concurrent use.</summary>
/// <param name="rate">Bytes a second.</param>
sealed class RateLimit(long rate) : IDisposable
{
    readonly SemaphoreSlim _turn = new(1);
    readonly Lock _lock = new();
    long _due = TimeProvider.System.GetTimestamp(); // when what was sent so far may have been

    /// <summary>Waits for a turn, which ends with what is returned.</summary>
    public IDisposable Turn(CancellationToken stop)
    {
        _turn.Wait(stop);
        return new Taken(_turn);
    }

    /// <summary>Waits until so many bytes more may be sent.</summary>
    public void Pass(int bytes, CancellationToken stop)
    {
        long wait;
        lock (_lock)
        {
            var now = TimeProvider.System.GetTimestamp();
            _due = Math.Max(_due, now) + bytes * TimeProvider.System.TimestampFrequency / rate;
            wait = _due - now;
        }
        stop.WaitHandle.WaitOne(TimeSpan.FromSeconds((double)wait / TimeProvider.System.TimestampFrequency));
        stop.ThrowIfCancellationRequested();
    }

    public void Dispose() => _turn.Dispose();

    sealed class Taken(SemaphoreSlim turn) : IDisposable
    {
        public void Dispose() => turn.Release();
    }
}
