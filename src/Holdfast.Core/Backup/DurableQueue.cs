using System.Collections.Concurrent;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Backup;

/// <summary>Makes finished packs durable on a thread of its own, so that no worker waits for a disk. A commit waits for <see cref="Drain"/>.</summary>
sealed class DurableQueue : IDisposable
{
    const int Depth = 3; // packs waiting; more would only hide that the disk is slower than the processor

    readonly BlockingCollection<(IStaged Staged, WrittenPack Pack)> _queue = new(Depth);
    readonly Thread _thread;
    readonly IStore _store;
    readonly Action<WrittenPack> _stored;
    Exception? _fault;

    /// <param name="store">Gets the packs.</param>
    /// <param name="stored">Told of each pack once it is durable, on the queue's own thread.</param>
    public DurableQueue(IStore store, Action<WrittenPack> stored)
    {
        _store = store;
        _stored = stored;
        _thread = new Thread(Run) { IsBackground = true, Name = "holdfast durable" };
        _thread.Start();
    }

    /// <summary>Takes over a finished pack.</summary>
    public void Enter(IStaged staged, WrittenPack pack)
    {
        if (Volatile.Read(ref _fault) is { } fault)
        {
            staged.Dispose();
            throw Again(fault);
        }
        _queue.Add((staged, pack));
    }

    /// <summary>Returns when everything taken over is durable and has its name.</summary>
    public void Drain()
    {
        if (!_queue.IsAddingCompleted)
            _queue.CompleteAdding();
        _thread.Join();
        if (_fault is { } fault)
            throw Again(fault);
    }

    void Run()
    {
        foreach (var (staged, pack) in _queue.GetConsumingEnumerable())
        {
            using (staged)
            {
                if (_fault is not null)
                    continue;
                try
                {
                    _store.Enter(staged, StoreKind.Pack, pack.Name);
                    _stored(pack);
                }
                catch (Exception e)
                {
                    Volatile.Write(ref _fault, e);
                }
            }
        }
    }

    static Exception Again(Exception fault) => fault is HoldfastException known
        ? new HoldfastException(known.Code, known.Message, known.Guidance, known)
        : new InvalidOperationException("A pack could not be stored.", fault);

    public void Dispose()
    {
        if (!_queue.IsAddingCompleted)
            _queue.CompleteAdding();
        _thread.Join();
        _queue.Dispose();
    }
}
