using Holdfast.Core.Chunking;
using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>Reads chunks by digest, from whichever place gives the right bytes. For one thread.</summary>
sealed class ChunkReader(IStore store, ChunkIndex index, ReadingKeys keys, DomainKeys domain) : IDisposable
{
    const int MaxWrong = 4; // chunks
    const int MaxClosed = 1 << 16; // frames

    readonly PackCache _packs = new(store, keys);
    readonly FrameBuffer _buffer = new();
    readonly (Hash32 Pack, int Frame, byte[] Payload)[] _frames = new (Hash32, int, byte[])[4]; // several writers' packs lie side by side in tree order
    readonly Dictionary<Hash32, System.Collections.BitArray> _framesRead = [];
    readonly FaultMemory<(Hash32, int)> _closed = new(MaxClosed); // frames that did not open: each may have a million chunks
    readonly Dictionary<Hash32, int> _wrong = []; // how often a pack gave something else than a chunk's name says
    int _oldest;

    public ChunkIndex Index => index;
    public DomainKeys Domain => domain;
    public long BytesRead { get; private set; }

    /// <summary>Packs of which this is true are tried first, wherever else a chunk lies too; null for any order.</summary>
    public Predicate<Hash32>? Prefer { get; set; }

    /// <summary>Packs that are tried where no other has a chunk.</summary>
    public IReadOnlySet<Hash32> Avoid { get; set; } = new HashSet<Hash32>();

    /// <summary>Packs that did not give a chunk which the index says they have; true where they were read and what they gave is wrong.</summary>
    public Dictionary<Hash32, bool> Failed { get; } = [];

    /// <summary>Of those, packs that another key, user or program would open.</summary>
    public Dictionary<Hash32, HoldfastException> Closed { get; } = [];

    /// <summary>Those that were not there, or that the disk did not give, when they were asked: they may be sound.</summary>
    public Dictionary<Hash32, HoldfastException> Silent { get; } = [];

    /// <summary>Packs that gave something.</summary>
    public HashSet<Hash32> PacksRead { get; } = [];

    /// <summary>Packs of which every frame was read and opened.</summary>
    public HashSet<Hash32> PacksReadWhole { get; } = [];

    /// <summary>Where to read a chunk first: the place that the newest generation which knows it has, where that is as good as any.</summary>
    public bool TryFind(KeyClass keyClass, ChunkRef chunk, out ChunkPlace place)
    {
        foreach (var generation in domain.Generations)
        {
            if (!index.TryFind(domain.ChunkId(keyClass, chunk.Digest, generation, chunk.Kind), out place))
                continue;
            if (Rank(place) != default)
                place = Places(keyClass, chunk).Select(p => p.Place).First();
            return true;
        }
        place = default;
        return false;
    }

    /// <summary>Every place of a chunk.</summary>
    public IEnumerable<Hash32> PacksWith(KeyClass keyClass, ChunkRef chunk) =>
        domain.Generations.SelectMany(g => index.FindAll(domain.ChunkId(keyClass, chunk.Digest, g, chunk.Kind))).Select(p => index.Pack(p.Pack).Name);

    /// <summary>The chunk's bytes, valid until the next call.</summary>
    /// <exception cref="HoldfastException"><c>ChunkMissing</c>, or why a place that has it does not give it; <c>KeyTooNarrow</c>, <c>NoPermission</c>, <c>FormatNewer</c> where no place fails otherwise.</exception>
    public ReadOnlySpan<byte> Read(KeyClass keyClass, ChunkRef chunk)
    {
        HoldfastException? fault = null;
        var isElsewhere = false;
        foreach (var (id, place) in Places(keyClass, chunk))
        {
            try
            {
                if (TryRead(place, keyClass, id, chunk, out var bytes))
                    return bytes;
                isElsewhere = true;
            }
            catch (HoldfastException e) when (PackReader.IsOfPlace(e))
            {
                var name = index.Pack(place.Pack).Name;
                Failed[name] = Failed.GetValueOrDefault(name) || e.Code == ErrorCode.PackDamaged;
                if (!PackReader.IsDamage(e))
                    Closed.TryAdd(name, e);
                if (PackReader.MayPass(e))
                    Silent.TryAdd(name, e);
                if (e.Code == ErrorCode.PackDamaged) // what else went wrong is no fault of the pack
                    _wrong[name] = _wrong.GetValueOrDefault(name) + 1;
                fault = Weight(e) > Weight(fault) ? e : fault;
            }
        }
        // Another key, user or program would help only where it is what keeps every place from giving the chunk.
        if (isElsewhere && fault is not null && !PackReader.IsDamage(fault))
            fault = null;
        throw fault ?? (index.Unread > 0 ? Unread(index.Unread) : new HoldfastException(ErrorCode.ChunkMissing,
            "A piece of data that the snapshot names is in no pack of the vault.",
            "Run `holdfast verify --rebuild-index` in case the index is what is wrong, then `holdfast verify --full` to see what is concerned; an earlier or later snapshot may have it, or another copy of the vault."));
    }

    static HoldfastException Unread(int packs) => new(ErrorCode.StoreUnavailable,
        $"A piece of data that the snapshot names was not found, and it may be in {(packs == 1 ? "a pack whose footer" : $"{packs} packs whose footers")} could not be read: the disk did not give {(packs == 1 ? "it" : "them")}.",
        "Look at the disk, its cable or its mount (dmesg shows what the system saw), then run the same command again; a restore that was begun, with --resume and the snapshot's id.")
    { IsTransient = true };

    /// <summary>What was not read may be sound; another key, user or program helps where nothing is damaged.</summary>
    static int Weight(HoldfastException? fault) => fault is null ? 0 : !PackReader.IsDamage(fault) ? 1 : fault.Code == ErrorCode.StoreUnavailable ? 3 : 2;

    IEnumerable<(Hash32 Id, ChunkPlace Place)> Places(KeyClass keyClass, ChunkRef chunk)
    {
        var places = domain.Generations.Select(g => domain.ChunkId(keyClass, chunk.Digest, g, chunk.Kind)).SelectMany(id => index.FindAll(id).Select(p => (Id: id, Place: p)));
        return places.OrderBy(p => Rank(p.Place));
    }

    /// <summary>What is worse about a place, the worst first. Whoever may store packs can name any chunk in as many as they like: what a snapshot needs is in packs of its set, and a pack that was wrong some times
    /// is not asked before others again.</summary>
    (bool IsToAvoid, bool IsWrong, bool IsOfOthers) Rank(ChunkPlace place)
    {
        var name = index.Pack(place.Pack).Name;
        return (Avoid.Contains(name) || !index.Knows(name), _wrong.GetValueOrDefault(name) >= MaxWrong, Prefer?.Invoke(name) == false);
    }

    /// <returns>False where the pack's own footer does not have the chunk there, or the chunk has another length than is asked for: then the index or the tree is wrong, and nothing is held against the pack.</returns>
    bool TryRead(ChunkPlace place, KeyClass keyClass, Hash32 id, ChunkRef chunk, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        var name = index.Pack(place.Pack).Name;
        var pack = _packs.Open(name);
        if (pack.Header.Seal.Class != keyClass) // ids are of one class: whoever wrote the pack had it say another, so that not every key looks inside
            throw PackFormat.Damaged(name, "it says that it is of another class than a chunk it names");
        if (place.Number >= (uint)pack.Footer.Chunks || pack.Footer.Ids[place.Number].Prefix != id.Prefix)
            return false;
        var number = (int)place.Number;
        if (pack.Footer.Ids[number] != id) // half of an HMAC is never equal by chance: whoever wrote the pack knew the id, and wanted it found
            throw PackFormat.Damaged(name, $"chunk {number} has half of another's id");
        var frame = pack.Footer.FrameOf(number);
        var at = Array.FindIndex(_frames, f => f.Frame == frame && f.Pack == name && f.Payload is not null);
        if (at < 0)
        {
            at = _oldest;
            _oldest = (_oldest + 1) % _frames.Length;
            _frames[at] = default;
            var payload = ReadFrame(pack, frame);
            BytesRead += payload.Length;
            _frames[at] = (name, frame, payload.ToArray());
            PacksRead.Add(name);
            Mark(name, frame, pack.Footer.Frames);
        }
        bytes = Slice(_frames[at].Payload, pack.Footer, frame, number);
        if (ChunkRef.DigestOf(bytes, chunk.Kind) != chunk.Digest)
            throw PackFormat.Damaged(name, $"chunk {number} is not what its name says");
        return bytes.Length == chunk.Length; // else who asks is wrong, and the pack is not: a thief's tree may give another's chunk any length
    }

    ReadOnlySpan<byte> ReadFrame(PackReader pack, int frame)
    {
        if (_closed.Of((pack.Name, frame)) is { } known)
            throw known;
        try
        {
            return pack.ReadFrame(frame, _buffer);
        }
        catch (HoldfastException e) when (PackReader.IsDamage(e) || e.Code == ErrorCode.NoPermission)
        {
            _closed.Add((pack.Name, frame), e);
            throw;
        }
    }

    void Mark(Hash32 name, int frame, int frames)
    {
        if (PacksReadWhole.Contains(name))
            return;
        if (!_framesRead.TryGetValue(name, out var read))
            _framesRead[name] = read = new System.Collections.BitArray(frames);
        read[frame] = true;
        if (read.HasAllSet())
        {
            PacksReadWhole.Add(name);
            _framesRead.Remove(name);
        }
    }

    /// <summary>One chunk out of a frame's payload.</summary>
    internal static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> payload, PackFooter footer, int frame, int number)
    {
        var start = 0;
        for (var i = footer.FirstChunks[frame]; i < number; i++)
            start += footer.ChunkLengths[i];
        return payload.Slice(start, footer.ChunkLengths[number]);
    }

    public void Dispose()
    {
        _packs.Dispose();
        _buffer.Dispose();
    }
}
