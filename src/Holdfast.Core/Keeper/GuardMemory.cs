using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>What a guard has seen of one vault: the latest end of each lock, and since when it knows what no commit names. An end is never shortened, and a name never forgotten.</summary>
/// <remarks>One file, written apart and put in the place of the old one; it ends with the SHA-256 of all before. 40 bytes a name.</remarks>
sealed class GuardMemory
{
    public const string Name = "memory";
    const int MaxSize = 1 << 30; // bytes: 26 million names

    readonly Dictionary<Hash32, ulong> _ends = [];
    Dictionary<Hash32, ulong> _unclaimed = [];

    /// <summary>It is not what was saved last.</summary>
    public bool IsChanged { get; private set; } = true;

    static ReadOnlySpan<byte> Magic => "holdfast guard v1\n"u8;

    /// <summary>Leaves of the log that have been taken in.</summary>
    public ulong Seen { get; private set; }

    /// <summary>The guard's clock when this was saved, seconds since 1970: it was never earlier since.</summary>
    public ulong Clock { get; private set; }

    /// <summary>Ordinals of commits that could not say which packs they need. They may need any.</summary>
    public SortedSet<ulong> Untold { get; } = [];

    public void TakeIn(ulong leaves)
    {
        IsChanged |= leaves != Seen;
        Seen = leaves;
    }

    public void Lengthen(Hash32 name, ulong end)
    {
        if (_ends.TryGetValue(name, out var known) && known >= end)
            return;
        _ends[name] = end;
        IsChanged = true;
    }

    /// <summary>Names whose locks end later than <paramref name="moment"/>.</summary>
    public IEnumerable<Hash32> LockedAfter(ulong moment) => from lockEnd in _ends where lockEnd.Value > moment select lockEnd.Key;

    public bool TryEnd(Hash32 name, out ulong end) => _ends.TryGetValue(name, out end);

    /// <summary>When a pack that no commit names was seen first.</summary>
    public ulong FirstSeen(Hash32 pack, ulong now) => _unclaimed.GetValueOrDefault(pack, now);

    /// <summary>Takes the place of what was known of packs that no commit names.</summary>
    public void Note(Dictionary<Hash32, ulong> unclaimed)
    {
        IsChanged |= unclaimed.Count != _unclaimed.Count || unclaimed.Keys.Any(n => !_unclaimed.ContainsKey(n));
        _unclaimed = unclaimed;
    }

    public void Save(string path, Disk disk, ulong now)
    {
        Clock = Math.Max(Clock, now);
        var writer = new ByteWriter(128 + 40 * (_ends.Count + _unclaimed.Count));
        writer.Raw(Magic);
        writer.U64(Clock);
        writer.U64(Seen);
        writer.Var((ulong)Untold.Count);
        foreach (var ordinal in Untold)
            writer.U64(ordinal);
        Write(writer, _ends);
        Write(writer, _unclaimed);
        writer.Raw(SHA256.HashData(writer.Span));
        disk.Replace(path, writer.Span);
        IsChanged = false;
    }

    /// <summary>Null where it is missing or not as it was written.</summary>
    public static GuardMemory? Load(string path)
    {
        try
        {
            if (PlainFile.ReadAll(path, MaxSize) is not { } bytes || bytes.Length < SHA256.HashSizeInBytes
                || !SHA256.HashData(bytes.AsSpan(..^SHA256.HashSizeInBytes)).AsSpan().SequenceEqual(bytes.AsSpan(^SHA256.HashSizeInBytes..)))
                return null;
            var reader = new ByteReader(bytes.AsSpan(..^SHA256.HashSizeInBytes));
            reader.Require(reader.Raw(Magic.Length).SequenceEqual(Magic));
            var memory = new GuardMemory { Clock = reader.U64(), Seen = reader.U64(), IsChanged = false };
            for (var left = reader.Count(reader.Remaining / sizeof(ulong)); left > 0 && !reader.Failed; left--)
                memory.Untold.Add(reader.U64());
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
        for (var left = reader.Count(reader.Remaining / (Hash32.Size + sizeof(ulong))); left > 0 && !reader.Failed; left--)
            times[reader.Hash()] = reader.U64();
    }
}
