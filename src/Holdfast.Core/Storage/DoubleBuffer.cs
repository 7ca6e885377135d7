using System.Runtime.ExceptionServices;

namespace Holdfast.Core.Storage;

/// <summary>Writes one buffer on a thread of its own while its owner fills the other. What fails is thrown to the owner, at the next call, and at each one after it. For one owner's thread at a time.</summary>
/// <param name="size">Of the second buffer, bytes.</param>
sealed class DoubleBuffer(int size) : IDisposable
{
    const int Stack = 256 << 10; // bytes

    readonly object _gate = new();
    AlignedBuffer? _spare = new(size);
    Thread? _thread;
    (AlignedBuffer Full, Action Write)? _handed;
    Exception? _fault;
    bool _isDone;

    /// <summary>Hands over a buffer; returns, as soon as the one before is written, what is to be filled next.</summary>
    /// <param name="full">Whose bytes are to be written. It is not touched until a later call returns it.</param>
    /// <param name="write">Writes them.</param>
    public AlignedBuffer Hand(AlignedBuffer full, Action write)
    {
        lock (_gate)
        {
            WaitUntilWritten();
            if (_thread is null)
            {
                var thread = new Thread(Run, Stack) { IsBackground = true, Name = "holdfast write" };
                thread.Start(); // the system may have none left: then nothing was handed over
                _thread = thread;
            }
            var next = _spare!;
            _spare = null;
            _handed = (full, write);
            Monitor.PulseAll(_gate);
            return next;
        }
    }

    /// <summary>Returns when all that was handed over is written.</summary>
    public void Finish()
    {
        lock (_gate)
            WaitUntilWritten();
    }

    void WaitUntilWritten()
    {
        while (_handed is not null)
            Monitor.Wait(_gate);
        if (_fault is { } fault)
            ExceptionDispatchInfo.Throw(fault);
    }

    void Run()
    {
        while (Next() is { } write)
        {
            Exception? fault = null;
            try
            {
                write();
            }
            catch (Exception e)
            {
                fault = e;
            }
            lock (_gate)
            {
                _fault ??= fault;
                _spare = _handed!.Value.Full;
                _handed = null;
                Monitor.PulseAll(_gate);
            }
        }
    }

    Action? Next()
    {
        lock (_gate)
        {
            while (_handed is null && !_isDone)
                Monitor.Wait(_gate);
            return _handed?.Write;
        }
    }

    /// <summary>Waits for what is on its way; its fault is nobody's any more.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDone = true;
            Monitor.PulseAll(_gate);
        }
        _thread?.Join();
        _spare?.Dispose();
    }
}
