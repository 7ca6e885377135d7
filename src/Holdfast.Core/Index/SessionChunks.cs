namespace Holdfast.Core.Index;

/// <summary>The chunks a session has claimed to store and that no run names yet. Safe for concurrent use; 16 bytes a chunk, and slack.</summary>
public sealed class SessionChunks
{
    const int Shards = 64;

    readonly Shard[] _shards = [.. Enumerable.Range(0, Shards).Select(_ => new Shard())];

    public long Count => _shards.Sum(s => (long)s.Count);

    /// <summary>True for the one caller that must store the chunk.</summary>
    public bool Claim(UInt128 id) => _shards[(int)((ulong)id & (Shards - 1))].Add(id);

    public bool Contains(UInt128 id) => _shards[(int)((ulong)id & (Shards - 1))].Contains(id);

    /// <summary>Forgets chunks that a run names by now.</summary>
    public void Remove(IReadOnlySet<UInt128> ids)
    {
        foreach (var shard in _shards)
            shard.Remove(ids);
    }

    /// <summary>Open addressing; the zero id marks an empty place and is kept apart.</summary>
    sealed class Shard
    {
        UInt128[] _table = new UInt128[64];
        bool _hasZero;

        public int Count { get; private set; }

        public bool Add(UInt128 id)
        {
            lock (this)
            {
                if (id == 0)
                {
                    (var had, _hasZero) = (_hasZero, true);
                    return !had;
                }
                if (Count * 4 >= _table.Length * 3)
                    Grow();
                var at = Find(id);
                if (_table[at] == id)
                    return false;
                _table[at] = id;
                Count++;
                return true;
            }
        }

        public bool Contains(UInt128 id)
        {
            lock (this)
                return id == 0 ? _hasZero : _table[Find(id)] == id;
        }

        public void Remove(IReadOnlySet<UInt128> ids)
        {
            lock (this)
            {
                var old = _table;
                var kept = old.Where(id => id != 0 && !ids.Contains(id)).ToList();
                _table = new UInt128[Math.Max(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)kept.Count * 2))];
                foreach (var id in kept)
                    _table[Find(id)] = id;
                Count = kept.Count;
            }
        }

        void Grow()
        {
            var old = _table;
            _table = new UInt128[old.Length * 2];
            foreach (var id in old)
            {
                if (id != 0)
                    _table[Find(id)] = id;
            }
        }

        int Find(UInt128 id)
        {
            var mask = _table.Length - 1;
            var at = (int)((ulong)(id >> 64) >> 20) & mask;
            while (_table[at] != 0 && _table[at] != id)
                at = (at + 1) & mask;
            return at;
        }
    }
}
