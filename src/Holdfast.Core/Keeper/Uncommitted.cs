using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What clients stored and no leaf has named, by client: what a stolen one could fill the disk with, as quotas are judged at commits. Kept in memory: a keeper that is started anew begins anew.
/// Safe for concurrent use; nothing is looked up under its lock.</summary>
sealed class Uncommitted
{
    /// <summary>Bytes that a file counts for at least: each takes an entry of the disk and of this list.</summary>
    public const long Least = 1 << 20;

    const int AtOnce = 256; // of a client's files, looked up for one request

    readonly Lock _turn = new();
    readonly Dictionary<string, Client> _clients = [];
    long _reserved; // bytes on their way, of all clients

    /// <summary>A file that a client stored.</summary>
    /// <param name="Further">0, or the number of a further copy.</param>
    public readonly record struct Item(StoreKind Kind, Hash32 Name, long Further);

    sealed class Client
    {
        public Dictionary<Item, long> Items { get; } = [];
        public Queue<Item> InOrder { get; } = []; // some are named by now
        public long Stored { get; set; }
        public long Reserved { get; set; }
        public long Further { get; set; }
    }

    /// <summary>Bytes that a client has stored and that count.</summary>
    public long Of(string client)
    {
        lock (_turn)
            return _clients.GetValueOrDefault(client)?.Stored ?? 0;
    }

    /// <summary>Room for a file that a client is about to store.</summary>
    /// <param name="client">Its name.</param>
    /// <param name="bytes">The most that it may have.</param>
    /// <param name="limit">What it may have in all, bytes, of what it has stored, and what is on its way from everybody.</param>
    /// <returns>False where there is none.</returns>
    public bool TryReserve(string client, long bytes, Func<long, long, long> limit)
    {
        bytes = Math.Max(bytes, Least);
        lock (_turn)
        {
            if (!_clients.TryGetValue(client, out var known))
                _clients[client] = known = new Client();
            if (known.Stored + known.Reserved + bytes > limit(known.Stored, _reserved))
                return false;
            known.Reserved += bytes;
            _reserved += bytes;
            return true;
        }
    }

    /// <summary>What became of it.</summary>
    /// <param name="client">Its name.</param>
    /// <param name="reserved">As it was given to <see cref="TryReserve"/>.</param>
    /// <param name="stored">Null for nothing new.</param>
    /// <param name="bytes">Of it.</param>
    /// <param name="isFurther">It is a further copy.</param>
    public void Became(string client, long reserved, (StoreKind Kind, Hash32 Name)? stored, long bytes, bool isFurther)
    {
        (reserved, bytes) = (Math.Max(reserved, Least), Math.Max(bytes, Least));
        lock (_turn)
        {
            var known = _clients[client];
            known.Reserved -= reserved;
            _reserved -= reserved;
            if (stored is not var (kind, name))
                return;
            var item = new Item(kind, name, isFurther ? ++known.Further : 0);
            if (!known.Items.TryAdd(item, bytes))
                return;
            known.InOrder.Enqueue(item);
            known.Stored += bytes;
            if (known.InOrder.Count > 2 * known.Items.Count + AtOnce)
            {
                var left = known.InOrder.Where(known.Items.ContainsKey).ToList();
                known.InOrder.Clear();
                left.ForEach(known.InOrder.Enqueue);
            }
        }
    }

    /// <summary>A commit has named packs: they count against nobody any more.</summary>
    public void Named(IEnumerable<Hash32> packs)
    {
        lock (_turn)
        {
            foreach (var pack in packs)
            {
                foreach (var known in _clients.Values)
                    Take(known, new Item(StoreKind.Pack, pack, 0));
            }
        }
    }

    /// <summary>Looks at some of a client's files, the longest stored first: whether leaves name them by now, or they are gone.</summary>
    public void Settle(string client, Func<List<Item>, List<bool>> areSettled)
    {
        List<Item> some = [];
        lock (_turn)
        {
            if (!_clients.TryGetValue(client, out var known))
                return;
            while (some.Count < AtOnce && known.InOrder.TryDequeue(out var item))
            {
                if (known.Items.ContainsKey(item))
                    some.Add(item);
            }
        }
        var settled = areSettled(some);
        lock (_turn)
        {
            var known = _clients[client];
            foreach (var (item, isOver) in some.Zip(settled))
            {
                if (isOver)
                    Take(known, item);
                else
                    known.InOrder.Enqueue(item);
            }
        }
    }

    static void Take(Client known, Item item)
    {
        if (known.Items.Remove(item, out var bytes))
            known.Stored -= bytes;
    }
}
