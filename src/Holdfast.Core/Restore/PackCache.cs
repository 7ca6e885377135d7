using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>Keeps a bounded number of packs open. For one thread.</summary>
sealed class PackCache(IStore store, ReadingKeys keys, int capacity = 32) : IDisposable
{
    readonly Dictionary<Hash32, LinkedListNode<PackReader>> _open = [];
    readonly LinkedList<PackReader> _order = [];

    public PackReader Open(Hash32 name)
    {
        if (_open.TryGetValue(name, out var node))
        {
            _order.Remove(node);
            _order.AddFirst(node);
            return node.Value;
        }
        var pack = PackReader.Open(store, name, keys);
        if (_open.Count == capacity)
        {
            var last = _order.Last!;
            _open.Remove(last.Value.Name);
            _order.RemoveLast();
            last.Value.Dispose();
        }
        _open[name] = _order.AddFirst(pack);
        return pack;
    }

    public void Dispose()
    {
        foreach (var pack in _order)
            pack.Dispose();
    }
}
