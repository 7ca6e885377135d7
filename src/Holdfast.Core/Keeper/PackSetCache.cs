using System.Diagnostics.CodeAnalysis;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>Pack sets of snapshots that were asked for lately: the next snapshot's is told as a difference to one of them. Bounded in sets and in what they hold; the one that came first goes first.</summary>
/// <remarks>Not safe for concurrent use.</remarks>
sealed class PackSetCache
{
    const int MaxSets = 64;
    const long MaxPacks = 1 << 20; // of all sets together; each takes 40 bytes

    readonly Dictionary<Hash32, PackSet> _sets = [];
    readonly Queue<Hash32> _byAge = new();
    long _packs;

    public bool TryGet(Hash32 snapshot, [NotNullWhen(true)] out PackSet? set) => _sets.TryGetValue(snapshot, out set);

    /// <summary>Keeps one more; however large it is, it is there for the next.</summary>
    public void Add(Hash32 snapshot, PackSet set)
    {
        while (_byAge.Count > 0 && (_byAge.Count >= MaxSets || _packs + set.Count > MaxPacks))
        {
            _sets.Remove(_byAge.Dequeue(), out var oldest);
            _packs -= oldest!.Count;
        }
        if (!_sets.TryAdd(snapshot, set))
            return;
        _byAge.Enqueue(snapshot);
        _packs += set.Count;
    }
}
