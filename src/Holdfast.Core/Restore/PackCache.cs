using System.Security.Cryptography;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>Keeps a bounded number of packs of one index open, and remembers those that do not open. For one thread.</summary>
/// <param name="store">Where the packs are.</param>
/// <param name="keys">Open them.</param>
/// <param name="maxBytes">Of footers that are kept; one is kept however large it is.</param>
sealed class PackCache(IStore store, ReadingKeys keys, long maxBytes = 256 << 20) : IDisposable
{
    const int MaxOpen = 32; // packs
    const int MaxFailed = 1 << 16; // names

    readonly Dictionary<Hash32, LinkedListNode<PackReader>> _open = [];
    readonly LinkedList<PackReader> _order = [];
    readonly FaultMemory<Hash32> _failed = new(MaxFailed);
    readonly FaultMemory<Hash32> _unread = new(MaxFailed); // packs of which the disk did not give each copy

    /// <summary>Bytes of the footers that are kept.</summary>
    public long Resident { get; private set; }

    /// <exception cref="HoldfastException"><c>PackMissing</c>, <c>PackDamaged</c>, and as the store's; <c>FormatNewer</c> where the bytes give the name.</exception>
    public PackReader Open(Hash32 name)
    {
        if (_open.TryGetValue(name, out var node) && node.Value.Unread is not null && _unread.Of(name) is null)
        {
            Close(node);
        }
        else if (node is not null)
        {
            _order.Remove(node);
            _order.AddFirst(node);
            return node.Value;
        }
        if (_failed.Of(name) is { } known)
            throw known;
        PackReader pack;
        try
        {
            pack = PackReader.Open(store, name, keys);
        }
        catch (HoldfastException e) when (PackReader.IsOfPlace(e))
        {
            var fault = Judged(e, name);
            _failed.Add(name, fault);
            throw fault;
        }
        if (pack.Unread is { } unread)
            _unread.Add(name, unread);
        while (_order.Last is { } last && (_order.Count >= MaxOpen || Resident + pack.Footer.Resident > maxBytes))
            Close(last);
        Resident += pack.Footer.Resident;
        _open[name] = _order.AddFirst(pack);
        return pack;
    }

    void Close(LinkedListNode<PackReader> node)
    {
        _open.Remove(node.Value.Name);
        _order.Remove(node);
        Resident -= node.Value.Footer.Resident;
        node.Value.Dispose();
    }

    /// <summary>An index names packs of its own vault and domain whose footer opened. So a header that tells something else is none that was written, unless the bytes give the name:
    /// an altered byte must not send anybody for another program or key.</summary>
    HoldfastException Judged(HoldfastException e, Hash32 name) => e.Code switch
    {
        ErrorCode.FormatNewer when Enumerable.Range(0, StoreExtensions.MaxCopies).Any(copy => GivesItsName(name, copy)) => e,
        ErrorCode.FormatNewer or ErrorCode.WrongVault or ErrorCode.KeyTooNarrow => PackFormat.Damaged(name, "its header is not as it was written"),
        _ => e,
    };

    bool GivesItsName(Hash32 name, int number)
    {
        try
        {
            using var copy = store.Open(StoreKind.Pack, name, number);
            if (copy is null || copy.Size > PackFormat.MaxSize)
                return false;
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[4 << 20];
            for (long at = 0; at < copy.Size;)
            {
                var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, copy.Size - at));
                copy.Read(at, part);
                sha.AppendData(part);
                at += part.Length;
            }
            return new Hash32(sha.GetHashAndReset()) == name;
        }
        catch (HoldfastException e) when (PackReader.IsOfPlace(e))
        {
            return false;
        }
    }

    public void Dispose()
    {
        foreach (var pack in _order)
            pack.Dispose();
    }
}
