using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Packs;

/// <summary>A pack this session wrote.</summary>
/// <param name="Slot">Number within the session, from 0, given before the name is known.</param>
/// <param name="Name">SHA-256 of its bytes.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Class">Key class.</param>
/// <param name="Ends">Digest of its two ends.</param>
/// <param name="Ids">Ids of its chunks, in pack order; empty where the session tells of it afterwards.</param>
public sealed record WrittenPack(int Slot, Hash32 Name, long Size, KeyClass Class, Id16 Ends, Hash32[] Ids);

/// <summary>What the packs of one session share: source, session id, seals by class, and where they go. Safe for concurrent use.</summary>
/// <param name="vault">Vault id.</param>
/// <param name="put">The writer's key.</param>
/// <param name="source">Source id: decides which sealing keys are used.</param>
/// <param name="store">Where packs are staged.</param>
/// <param name="enter">Takes over a finished pack: gives it its name, durably, now or by the time the session is committed, and disposes of it. The session forgets its ids.</param>
/// <param name="time">For the hour after which a session takes a new secret.</param>
/// <param name="agent">For whom.</param>
/// <param name="isOneOfMany">Whether there are so many sessions now that each is to do with less memory, which takes a little longer; null for no.</param>
public sealed class PackSession(Id16 vault, PutKey put, Id16 source, IStore store, Action<IStaged, WrittenPack> enter, TimeProvider time, Id16 agent = default, Func<bool>? isOneOfMany = null) : IDisposable
{
    static readonly TimeSpan SealLife = TimeSpan.FromHours(1);

    readonly Lock _lock = new();
    readonly Dictionary<KeyClass, (SessionSeal Seal, SecretBytes Key, long Since)> _seals = [];
    readonly List<SecretBytes> _retired = [];
    readonly List<WrittenPack?> _packs = [];

    public Id16 Vault { get; } = vault;
    public PutKey Put { get; } = put;
    public Id16 Source { get; } = source;
    public Id16 Id { get; } = put.Domain.NewSession(source, agent);

    /// <summary>Packs finished so far.</summary>
    public List<WrittenPack> Packs()
    {
        lock (_lock)
            return [.. _packs.OfType<WrittenPack>()];
    }

    /// <summary>The seal in force for a class, made anew after an hour.</summary>
    public (SessionSeal Seal, SecretBytes Key) Seal(KeyClass keyClass)
    {
        lock (_lock)
        {
            if (_seals.TryGetValue(keyClass, out var seal) && time.GetElapsedTime(seal.Since) < SealLife)
                return (seal.Seal, seal.Key);
            if (seal.Key is not null)
                _retired.Add(seal.Key);
            var (made, key) = SessionSeal.Create(Vault, Put.SealingKeyFor(keyClass, Source), Id);
            _seals[keyClass] = (made, key, time.GetTimestamp());
            return (made, key);
        }
    }

    internal int NextSlot()
    {
        lock (_lock)
        {
            _packs.Add(null);
            return _packs.Count - 1;
        }
    }

    internal IStaged Stage() => store.Stage(large: isOneOfMany?.Invoke() != true);

    internal void Enter(IStaged staged, WrittenPack pack)
    {
        enter(staged, pack);
        lock (_lock)
            _packs[pack.Slot] = pack with { Ids = [] };
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var seal in _seals.Values)
                seal.Key.Dispose();
            foreach (var key in _retired)
                key.Dispose();
            _seals.Clear();
        }
    }
}
