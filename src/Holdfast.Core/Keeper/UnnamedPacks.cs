namespace Holdfast.Core.Keeper;

/// <summary>Packs that clients stored and no commit has named, by client: what a stolen one could fill the disk with, as quotas are judged at commits. Kept in memory: a keeper that is started anew begins anew.
/// Safe for concurrent use.</summary>
/// <param name="isSettled">A pack counts no more: a commit has named it, or it is gone.</param>
sealed class UnnamedPacks(Func<Hash32, bool> isSettled)
{
    /// <summary>Bytes that a pack counts for at least: each takes an entry of the disk and of this list.</summary>
    public const long Least = 1 << 20;

    static readonly TimeSpan Often = TimeSpan.FromSeconds(10); // between two looks at what was settled

    readonly Lock _turn = new();
    readonly Dictionary<string, Client> _clients = [];

    sealed class Client
    {
        public Dictionary<Hash32, long> Packs { get; } = [];
        public long Bytes { get; set; } // of these, and of those on their way
        public long Looked { get; set; } = long.MinValue / 2; // milliseconds of Environment.TickCount64
    }

    /// <summary>Bytes that count for a client now.</summary>
    public long Of(string client)
    {
        lock (_turn)
            return _clients.GetValueOrDefault(client)?.Bytes ?? 0;
    }

    /// <summary>Room for a pack that a client is about to store.</summary>
    /// <param name="client">Its name.</param>
    /// <param name="bytes">The most that it may have.</param>
    /// <param name="limit">What a client may have of such packs, bytes, given what it has.</param>
    /// <returns>False where there is none.</returns>
    public bool TryReserve(string client, long bytes, Func<long, long> limit)
    {
        bytes = Math.Max(bytes, Least);
        lock (_turn)
        {
            if (!_clients.TryGetValue(client, out var known))
                _clients[client] = known = new Client();
            if (known.Bytes + bytes > limit(known.Bytes))
            {
                Settle(known);
                if (known.Bytes + bytes > limit(known.Bytes))
                    return false;
            }
            known.Bytes += bytes;
            return true;
        }
    }

    /// <summary>What became of it.</summary>
    /// <param name="client">Its name.</param>
    /// <param name="reserved">As it was given to <see cref="TryReserve"/>.</param>
    /// <param name="pack">What was stored; none for nothing new.</param>
    /// <param name="bytes">Of it.</param>
    public void Became(string client, long reserved, Hash32 pack, long bytes)
    {
        lock (_turn)
        {
            var known = _clients[client];
            known.Bytes -= Math.Max(reserved, Least);
            if (!pack.IsNone && known.Packs.TryAdd(pack, Math.Max(bytes, Least)))
                known.Bytes += Math.Max(bytes, Least);
        }
    }

    void Settle(Client known)
    {
        var now = Environment.TickCount64;
        if (now - known.Looked < Often.TotalMilliseconds)
            return; // looking costs time, and who is over its limit asks often
        foreach (var (pack, bytes) in known.Packs.Where(p => isSettled(p.Key)).ToList())
        {
            known.Packs.Remove(pack);
            known.Bytes -= bytes;
        }
        known.Looked = Environment.TickCount64;
    }
}
