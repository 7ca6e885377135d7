using System.Collections.Concurrent;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Backup;

/// <summary>Makes finished packs durable on threads of its own, so that no worker waits for a disk: one where that is a disk of this machine, some where each pack waits for answers from elsewhere. A commit waits for
/// <see cref="Drain"/>.</summary>
sealed class DurableQueue : IDisposable
{
    const int Depth = 3; // packs waiting; more would only hide that the disk is slower than the processor

    readonly BlockingCollection<(IStaged Staged, WrittenPack Pack)> _queue = new(Depth);
    const int ThreadsElsewhere = 4;

    readonly Thread[] _threads;
    readonly IStore _store;
    readonly Action<WrittenPack> _stored;
    Exception? _fault;

    /// <param name="store">Gets the packs.</param>
    /// <param name="stored">Told of each pack once it is durable, on one of the queue's own threads; by several at once.</param>
    /// <param name="threadsElsewhere">Where each pack waits for answers from elsewhere.</param>
    public DurableQueue(IStore store, Action<WrittenPack> stored, int threadsElsewhere = ThreadsElsewhere)
    {
        _store = store;
        _stored = stored;
        _threads = [.. Enumerable.Range(0, store is FolderStore ? 1 : threadsElsewhere).Select(_ => new Thread(Run) { IsBackground = true, Name = "holdfast durable" })];
        foreach (var thread in _threads)
            thread.Start();
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
        Join();
        if (_fault is { } fault)
            throw Again(fault);
    }

    void Join()
    {
        foreach (var thread in _threads)
            thread.Join();
    }

    void Run()
    {
        foreach (var (staged, pack) in _queue.GetConsumingEnumerable())
        {
            using (staged)
            {
                if (Volatile.Read(ref _fault) is not null)
                    continue;
                try
                {
                    _store.Enter(staged, StoreKind.Pack, pack.Name);
                    _stored(pack);
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref _fault, e, null); // the first is what the others came of
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
        Join();
        _queue.Dispose();
    }
}
