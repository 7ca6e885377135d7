using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What a guard has seen of one vault: the latest end of each lock, and since when it knows what no commit names. An end is never shortened, and a name never forgotten.</summary>
/// <remarks>One file, written apart and put in the place of the old one; it ends with the SHA-256 of all before. 40 bytes a name. What has no room in it is refused, and never makes room for
/// itself: the end of a lock that was seen stays.</remarks>
sealed class GuardMemory
{
    public const string Name = "memory";
    public const int MaxSize = 1 << 30; // bytes: 26 million names
    const int Entry = Hash32.Size + sizeof(ulong); // bytes
    const int Doubtful = 2 * sizeof(ulong); // bytes of an untold commit
    const int Frame = 128; // bytes, and more than all but names and ordinals takes

    readonly int _limit; // bytes
    readonly Dictionary<Hash32, ulong> _ends = [];
    Dictionary<Hash32, ulong> _unclaimed = [];

    /// <summary>It is not what was saved last.</summary>
    public bool IsChanged { get; private set; } = true;

    /// <param name="limit">Bytes that its file may have.</param>
    public GuardMemory(int limit = MaxSize) => _limit = limit;

    static ReadOnlySpan<byte> Magic => "holdfast guard v2\n"u8;
    static ReadOnlySpan<byte> EarlierMagic => "holdfast guard v1\n"u8; // without how long the locks of untold commits last at least
    static ReadOnlySpan<byte> AnyMagic => "holdfast guard v"u8;

    /// <summary>Leaves of the log that have been taken in.</summary>
    public ulong Seen { get; private set; }

    /// <summary>The guard's clock when this was saved, seconds since 1970: it was never earlier since.</summary>
    public ulong Clock { get; private set; }

    readonly SortedDictionary<ulong, ulong> _untold = [];

    /// <summary>By their ordinals, commits that could not say which packs they need, and when their locks end at the soonest, whatever the commit says (0 where that is right). They may need any pack.</summary>
    public IReadOnlyDictionary<ulong, ulong> Untold => _untold;

    /// <summary>Bytes that there are for further names. Those that no commit has make room.</summary>
    long Room => _limit - Frame - (long)Doubtful * _untold.Count - (long)Entry * _ends.Count;

    /// <param name="commit">Its ordinal.</param>
    /// <param name="least">Its lock ends no sooner: the latest that it was doubted with counts.</param>
    /// <exception cref="HoldfastException"><c>GuardStateFull</c>.</exception>
    public void Doubt(ulong commit, ulong least)
    {
        var isKnown = _untold.TryGetValue(commit, out var known);
        if (isKnown && known >= least)
            return;
        if (!isKnown)
            RequireRoom(Doubtful);
        _untold[commit] = least;
        IsChanged = true;
    }

    public void Resolve(ulong commit) => IsChanged |= _untold.Remove(commit);

    public void TakeIn(ulong leaves)
    {
        IsChanged |= leaves != Seen;
        Seen = leaves;
    }

    /// <summary>The later of this end and those that were told before.</summary>
    /// <exception cref="HoldfastException"><c>GuardStateFull</c>: the name is a new one, and there is no room for it.</exception>
    public void Lengthen(Hash32 name, ulong end)
    {
        var isKnown = _ends.TryGetValue(name, out var known);
        if (isKnown && known >= end)
            return;
        if (!isKnown)
            RequireRoom(Entry);
        _ends[name] = end;
        IsChanged = true;
    }

    /// <summary>The guard's clock is about to go forward by so much, with no time passing: each end that was seen moves with it, and what no commit names counts as new.</summary>
    /// <param name="seconds">At most the rest until the last moment a lock can end at.</param>
    public void Move(ulong seconds)
    {
        foreach (var name in _ends.Keys.ToList())
            _ends[name] = Math.Min(_ends[name] + seconds, Retention.LockRules.LastEnd);
        foreach (var (commit, least) in _untold.Where(u => u.Value > 0).ToList())
            _untold[commit] = Math.Min(least + seconds, Retention.LockRules.LastEnd);
        _unclaimed = [];
        IsChanged = true;
    }

    /// <summary>Names whose locks end later than <paramref name="moment"/>.</summary>
    public IEnumerable<Hash32> LockedAfter(ulong moment) => from lockEnd in _ends where lockEnd.Value > moment select lockEnd.Key;

    public bool TryEnd(Hash32 name, out ulong end) => _ends.TryGetValue(name, out end);

    /// <summary>When a pack that no commit names was seen first.</summary>
    public ulong FirstSeen(Hash32 pack, ulong now) => _unclaimed.GetValueOrDefault(pack, now);

    void RequireRoom(int bytes)
    {
        if (Room < bytes)
            throw new HoldfastException(ErrorCode.GuardStateFull, $"The guard's memory of this vault is full ({_ends.Count} names of packs and objects): it makes files immutable as before, and lets nothing go any more.",
                "See how many packs the vault has (holdfast status). Far fewer: somebody with the log's key has named packs that are not there; treat the host that holds it as taken over, until shown otherwise. As many: go on with a new vault, and keep this one until its locks are over.");
    }

    /// <summary>Takes the place of what was known of packs that no commit names. Where there is no room for all, those known for longest stay; what is not noted counts as new the next
    /// time, and is kept the longer.</summary>
    public void Note(Dictionary<Hash32, ulong> unclaimed)
    {
        if (unclaimed.Count > Room / Entry)
            unclaimed = unclaimed.OrderBy(p => p.Value).Take((int)(Room / Entry)).ToDictionary();
        IsChanged |= unclaimed.Count != _unclaimed.Count || unclaimed.Keys.Any(n => !_unclaimed.ContainsKey(n));
        _unclaimed = unclaimed;
    }

    public void Save(string path, Disk disk, ulong now)
    {
        Clock = Math.Max(Clock, now);
        Note(_unclaimed); // locks that were learned since may have taken their room
        var writer = new ByteWriter(Frame + Doubtful * _untold.Count + Entry * (_ends.Count + _unclaimed.Count));
        writer.Raw(Magic);
        writer.U64(Clock);
        writer.U64(Seen);
        writer.Var((ulong)_untold.Count);
        foreach (var (ordinal, least) in _untold)
        {
            writer.U64(ordinal);
            writer.U64(least);
        }
        Write(writer, _ends);
        Write(writer, _unclaimed);
        writer.Raw(SHA256.HashData(writer.Span));
        disk.Replace(path, writer.Span);
        IsChanged = false;
    }

    /// <summary>Null where it is missing or not as it was written.</summary>
    /// <exception cref="HoldfastException"><c>FormatNewer</c>.</exception>
    public static GuardMemory? Load(string path, int limit = MaxSize)
    {
        try
        {
            if (PlainFile.ReadAll(path, limit) is not { } bytes || bytes.Length < SHA256.HashSizeInBytes)
                return null;
            var isEarlier = bytes.AsSpan().StartsWith(EarlierMagic);
            if (bytes.AsSpan().StartsWith(AnyMagic) && !bytes.AsSpan().StartsWith(Magic) && !isEarlier)
                throw new HoldfastException(ErrorCode.FormatNewer, "The guard's memory of this vault is of a newer version: this one lets nothing go, and makes files immutable all the same.",
                    "Run the guard with the newest release; nothing was changed.");
            if (!SHA256.HashData(bytes.AsSpan(..^SHA256.HashSizeInBytes)).AsSpan().SequenceEqual(bytes.AsSpan(^SHA256.HashSizeInBytes..)))
                return null;
            var reader = new ByteReader(bytes.AsSpan(..^SHA256.HashSizeInBytes));
            reader.Require(reader.Raw(Magic.Length).SequenceEqual(isEarlier ? EarlierMagic : Magic));
            var memory = new GuardMemory(limit) { Clock = reader.U64(), Seen = reader.U64(), IsChanged = false };
            for (var left = reader.Count(reader.Remaining / sizeof(ulong)); left > 0 && !reader.Failed; left--)
                memory._untold[reader.U64()] = isEarlier ? 0 : reader.U64();
            Read(ref reader, memory._ends);
            Read(ref reader, memory._unclaimed);
            return reader.IsDone ? memory : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    static void Write(ByteWriter writer, Dictionary<Hash32, ulong> times)
    {
        writer.Var((ulong)times.Count);
        foreach (var (name, time) in times)
        {
            writer.Hash(name);
            writer.U64(time);
        }
    }

    static void Read(ref ByteReader reader, Dictionary<Hash32, ulong> times)
    {
        for (var left = reader.Count(reader.Remaining / Entry); left > 0 && !reader.Failed; left--)
            times[reader.Hash()] = reader.U64();
    }
}
