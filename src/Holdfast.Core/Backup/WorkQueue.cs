namespace Holdfast.Core.Backup;

/// <summary>What the walk has for the workers, in order, at most so many items at a time. A large file is one item: whoever takes it begins it, and who finds nothing else
/// to take helps with it.</summary>
/// <remarks>So files that keep the processor busy and files that keep the disk busy go side by side, and the last one still gets all workers. Safe for concurrent use.</remarks>
/// <param name="capacity">Items that wait before <see cref="TryAdd"/> does, 1 or more.</param>
sealed class WorkQueue(int capacity)
{
    readonly object _gate = new();
    readonly Queue<WorkItem> _items = new();
    readonly List<LargeFile> _begun = [];
    bool _isComplete;

    /// <summary>Adds an item once there is room. False where there was none for <paramref name="milliseconds"/>.</summary>
    public bool TryAdd(WorkItem item, int milliseconds)
    {
        lock (_gate)
        {
            if (_items.Count >= capacity)
                Monitor.Wait(_gate, milliseconds);
            if (_items.Count >= capacity)
                return false;
            _items.Enqueue(item);
            Monitor.PulseAll(_gate);
            return true;
        }
    }

    /// <summary>Nothing is added any more.</summary>
    public void Complete()
    {
        lock (_gate)
        {
            _isComplete = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for the next item, or for a large file to help with. False where there is neither and nothing is to come.</summary>
    public bool TryTake(out WorkItem item)
    {
        lock (_gate)
        {
            while (true)
            {
                if (_items.TryDequeue(out item))
                {
                    if (item.Large is { } large)
                        _begun.Add(large);
                    Monitor.PulseAll(_gate);
                    return true;
                }
                if (_begun.Count > 0)
                {
                    item = new WorkItem(null, null, _begun[0]);
                    return true;
                }
                if (_isComplete)
                    return false;
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Nothing is left to begin of the file.</summary>
    public void Ended(LargeFile large)
    {
        lock (_gate)
            _begun.Remove(large);
    }
}
