using System.Collections.Concurrent;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Writes large files past the page cache from threads of its own, so that those that decompress do not wait for the disk. Memory is bounded: at most
/// <see cref="QueueLength"/> full buffers wait, and each writing thread and each calling thread has one more.</summary>
sealed class WriteBehind : IDisposable
{
    /// <summary>Bytes of a buffer; a whole number of blocks.</summary>
    public const int BufferSize = 2 << 20;

    const int QueueLength = 2;
    const int Threads = 2;

    readonly BlockingCollection<DirectRun> _queue = new(QueueLength);
    readonly ConcurrentBag<AlignedBuffer> _idle = [];
    readonly Lock _starting = new();
    readonly List<Thread> _threads = [];

    /// <summary>Called with a run that its file does not keep any more, before it is handed over: for tests.</summary>
    public Action<DirectRun>? Handing { get; init; }

    public AlignedBuffer Rent() => _idle.TryTake(out var buffer) ? buffer : new AlignedBuffer(BufferSize);

    public void Return(AlignedBuffer buffer) => _idle.Add(buffer);

    /// <summary>Hands a run over; waits where too many wait already.</summary>
    public void Submit(DirectRun run)
    {
        Handing?.Invoke(run);
        lock (_starting)
        {
            while (_threads.Count < Threads)
            {
                var thread = new Thread(Work) { IsBackground = true, Name = "holdfast write" };
                thread.Start();
                _threads.Add(thread);
            }
        }
        _queue.Add(run);
    }

    void Work()
    {
        foreach (var run in _queue.GetConsumingEnumerable())
            run.File.Execute(run);
    }

    public void Dispose()
    {
        _queue.CompleteAdding();
        _threads.ForEach(t => t.Join());
        _queue.Dispose();
        while (_idle.TryTake(out var buffer))
            buffer.Dispose();
    }
}

/// <summary>Bytes of one file, one after the other, that are written together. The buffer begins at a block of the file: bytes lie in it as far from a block's start as
/// in the file, which is what direct I/O asks for.</summary>
sealed class DirectRun(DirectFile file, AlignedBuffer buffer, long offset)
{
    public DirectFile File => file;
    public AlignedBuffer Buffer => buffer;

    /// <summary>Where in the buffer its bytes begin, and end.</summary>
    public int Start { get; } = (int)(offset % AlignedBuffer.Alignment);
    public int End { get; private set; } = (int)(offset % AlignedBuffer.Alignment);

    /// <summary>Where in the file the next byte goes.</summary>
    public long Next { get; private set; } = offset;

    public long FileOffset(int at) => Next - End + at;

    /// <summary>Where the next bytes go.</summary>
    public Span<byte> Free => buffer.Span[End..];

    /// <summary>The next bytes lie in <see cref="Free"/> already.</summary>
    public void Take(int count)
    {
        End += count;
        Next += count;
    }

    /// <summary>Gives back the block that it ends in, where that has begun: what is left ends where a block does.</summary>
    /// <returns>Bytes given back.</returns>
    public int GiveBack(Span<byte> begun)
    {
        var from = Math.Max(Start, End / AlignedBuffer.Alignment * AlignedBuffer.Alignment);
        var count = End - from;
        buffer.Span[from..End].CopyTo(begun);
        End -= count;
        Next -= count;
        return count;
    }

    /// <summary>Takes over what there is room for.</summary>
    public int Take(ReadOnlySpan<byte> data)
    {
        var count = Math.Min(data.Length, buffer.Size - End);
        data[..count].CopyTo(Free);
        Take(count);
        return count;
    }
}

/// <summary>One large file without holes, new and allocated at its full size, that several threads fill.</summary>
/// <remarks>Whole blocks go direct; what is left at either end of a run shares a block with a neighbour and goes through the cache. Blocks of zeros are not written: the
/// file's blocks are allocated and read as zeros until they are (fallocate(2)).</remarks>
sealed class DirectFile(WriteBehind queue, int file, int direct)
{
    const int ZeroBlock = 64 << 10; // bytes looked at together

    /// <summary>Bytes that fit a buffer wherever in a block they begin.</summary>
    public const int LongestRoom = WriteBehind.BufferSize - AlignedBuffer.Alignment;

    readonly object _lock = new();
    readonly Dictionary<int, DirectRun> _kept = []; // by calling thread
    int _waiting; // runs that are neither kept nor in the hands of a thread that writes to the file, and not written yet
    Exception? _fault;

    public void Write(ReadOnlySpan<byte> data, long offset)
    {
        while (!data.IsEmpty)
        {
            var run = Own(offset);
            var taken = run.Take(data);
            data = data[taken..];
            offset += taken;
            Keep(run);
        }
    }

    /// <summary>A run of this thread's that has <paramref name="length"/> bytes free, the first of them for <paramref name="offset"/>; given back with <see cref="Keep"/>.</summary>
    /// <param name="length">Up to <see cref="LongestRoom"/>.</param>
    /// <param name="offset">In the file.</param>
    public DirectRun Room(int length, long offset)
    {
        var run = Own(offset);
        if (run.Free.Length >= length)
            return run;
        Span<byte> begun = stackalloc byte[AlignedBuffer.Alignment];
        begun = begun[..run.GiveBack(begun)];
        lock (_lock)
            _waiting++;
        HandOver(run); // before the next buffer is taken: a thread has one at a time
        var next = new DirectRun(this, queue.Rent(), offset - begun.Length);
        next.Take(begun);
        return next;
    }

    /// <summary>What this thread has kept, where the bytes at <paramref name="offset"/> go on with it, or a new run.</summary>
    DirectRun Own(long offset)
    {
        DirectRun? kept;
        lock (_lock)
        {
            if (_kept.Remove(Environment.CurrentManagedThreadId, out kept))
            {
                if (kept.Next == offset)
                    return kept;
                _waiting++;
            }
        }
        if (kept is not null)
            HandOver(kept);
        return new DirectRun(this, queue.Rent(), offset);
    }

    /// <summary>Takes a run back: for this thread's next bytes, or to write it where it is full.</summary>
    /// <exception cref="HoldfastException">Why something of the file could not be written.</exception>
    public void Keep(DirectRun run)
    {
        var isFull = run.Free.IsEmpty;
        lock (_lock)
        {
            if (isFull)
                _waiting++;
            else
                _kept[Environment.CurrentManagedThreadId] = run;
        }
        if (isFull)
            HandOver(run);
        lock (_lock)
        {
            if (_fault is not null)
                throw _fault;
        }
    }

    /// <summary>Hands over what this thread has kept of the file: it goes on with another.</summary>
    /// <remarks>Others may complete or take back the file meanwhile, and close it: they wait for a run from the moment on in which it is not kept any more.</remarks>
    public void Leave()
    {
        if (TakeKept(Environment.CurrentManagedThreadId) is { } run)
            HandOver(run);
    }

    /// <summary>A run that is kept, to be handed over.</summary>
    DirectRun? TakeKept(int thread)
    {
        lock (_lock)
        {
            if (!_kept.Remove(thread, out var run))
                return null;
            _waiting++;
            return run;
        }
    }

    /// <param name="run">Counted in <see cref="_waiting"/>, under the lock under which it left <see cref="_kept"/>: between the two the file might be closed.</param>
    void HandOver(DirectRun run)
    {
        try
        {
            queue.Submit(run);
        }
        catch (Exception e)
        {
            Ended(run, e); // nobody waits for what will not be written, and nobody takes the file for whole
            throw;
        }
    }

    /// <summary>Waits until all is written. Nobody writes any more.</summary>
    /// <exception cref="HoldfastException">Why something could not be written.</exception>
    public void Complete()
    {
        try
        {
            foreach (var thread in Keepers())
            {
                if (TakeKept(thread) is { } run)
                    HandOver(run);
            }
        }
        finally
        {
            Wait();
        }
        if (_fault is not null)
            throw _fault;
    }

    /// <summary>Forgets what was not handed over and waits for the rest.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            foreach (var run in _kept.Values)
                queue.Return(run.Buffer);
            _kept.Clear();
        }
        Wait();
    }

    int[] Keepers()
    {
        lock (_lock)
            return [.. _kept.Keys];
    }

    void Wait()
    {
        lock (_lock)
        {
            while (_waiting > 0)
                Monitor.Wait(_lock);
        }
    }

    internal void Execute(DirectRun run)
    {
        HoldfastException? fault = null;
        try
        {
            WriteOut(run);
        }
        catch (HoldfastException e)
        {
            fault = e;
        }
        Ended(run, fault);
    }

    void Ended(DirectRun run, Exception? fault)
    {
        queue.Return(run.Buffer);
        lock (_lock)
        {
            _fault ??= fault;
            _waiting--;
            Monitor.PulseAll(_lock);
        }
    }

    void WriteOut(DirectRun run)
    {
        const int block = AlignedBuffer.Alignment;
        var from = (run.Start + block - 1) / block * block;
        var to = run.End / block * block;
        if (from > to)
        {
            TargetFiles.WriteAt(file, run.Buffer.Span[run.Start..run.End], run.FileOffset(run.Start)); // within one block
            return;
        }
        TargetFiles.WriteAt(file, run.Buffer.Span[run.Start..from], run.FileOffset(run.Start));
        for (var at = from; at < to;)
        {
            var end = SkipZeros(run, ref at, to);
            if (at < end)
                TargetFiles.WriteAt(direct, run.Buffer.Span[at..end], run.FileOffset(at));
            at = end;
        }
        TargetFiles.WriteAt(file, run.Buffer.Span[to..run.End], run.FileOffset(to));
    }

    /// <summary>Moves past blocks of zeros, and returns where the bytes that must be written end.</summary>
    static int SkipZeros(DirectRun run, ref int at, int to)
    {
        while (at < to && IsZero(run, at, to))
            at = Math.Min(at + ZeroBlock, to);
        var end = at;
        while (end < to && !IsZero(run, end, to))
            end = Math.Min(end + ZeroBlock, to);
        return end;
    }

    static bool IsZero(DirectRun run, int at, int to) => run.Buffer.Span[at..Math.Min(at + ZeroBlock, to)].IndexOfAnyExcept((byte)0) < 0;
}
