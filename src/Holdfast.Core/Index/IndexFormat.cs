namespace Holdfast.Core.Index;

/// <summary>Numbers of docs/format.md, section 8. Bytes, unless said otherwise.</summary>
static class IndexFormat
{
    public const int EntrySize = 24;
    public const int BlockSize = 4_096;
    public const int EntriesPerBlock = 170; // and a tag
    public const int TagOffset = EntriesPerBlock * EntrySize;
    public const int FixedHeader = ObjectHeader.Size + 80;
    public const int FixedTagOffset = FixedHeader - 16;
    public const int PackRecord = 56;
    public const int MaxPacks = 1 << 26;
    public const int FilterBlock = 64;
    public const int FilterBits = 10; // a chunk; 1.2 % of what is not there pass
    public const int FilterProbes = 7;
}

/// <summary>Where a chunk lies: first half of its id, pack number within a run, number of the chunk within the pack.</summary>
public readonly record struct IndexEntry(UInt128 Id, uint Pack, uint Number) : IComparable<IndexEntry>
{
    public int CompareTo(IndexEntry other) =>
        Id != other.Id ? Id.CompareTo(other.Id) : Pack != other.Pack ? Pack.CompareTo(other.Pack) : Number.CompareTo(other.Number);

    public static bool operator <(IndexEntry left, IndexEntry right) => left.CompareTo(right) < 0;
    public static bool operator >(IndexEntry left, IndexEntry right) => left.CompareTo(right) > 0;
    public static bool operator <=(IndexEntry left, IndexEntry right) => left.CompareTo(right) <= 0;
    public static bool operator >=(IndexEntry left, IndexEntry right) => left.CompareTo(right) >= 0;
}

/// <summary>A pack as a run names it.</summary>
/// <param name="Name">SHA-256 of its bytes.</param>
/// <param name="Class">Key class.</param>
/// <param name="Ends">Digest of what stands before and after its frames (<see cref="Packs.PackEnds"/>), told by who wrote the pack; none by who only read its footer.</param>
public readonly record struct IndexedPack(Hash32 Name, KeyClass Class, Id16 Ends);
