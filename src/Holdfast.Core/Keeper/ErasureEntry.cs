using System.Diagnostics.CodeAnalysis;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Keeper;

/// <summary>What an entry of the erasure register says. On disk; numbers never change (docs/format.md, section 11.8).</summary>
public enum ErasureKind : byte
{
    /// <summary>It was erased at the source: a restore leaves it out.</summary>
    Erased = 1,

    /// <summary>It was corrected at the source: a restore brings it, and says so.</summary>
    Corrected = 2,

    /// <summary>An earlier entry was wrong, and counts no longer.</summary>
    Withdrawn = 3,
}

/// <summary>What an entry names.</summary>
public enum ErasureOf : byte
{
    /// <summary>Nothing: it withdraws another.</summary>
    None = 0,

    /// <summary>A path of the source, and all below it.</summary>
    Path = 1,

    /// <summary>Files of the source by their SHA-256.</summary>
    Content = 2,
}

/// <summary>An entry of the erasure register (docs/format.md, section 11.8): what was lawfully erased or corrected at a source, by a keyed reference that tells nothing to who has not its key.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Domain">Trust domain.</param>
/// <param name="Salt">Random.</param>
/// <param name="Entry">Random; of one that withdraws, the other's.</param>
/// <param name="Source">Whose snapshots it is of.</param>
/// <param name="Epoch">Key epoch of its key.</param>
/// <param name="Kind">What it says.</param>
/// <param name="Of">What it names.</param>
/// <param name="Through">Vault time: of snapshots that were committed later it says nothing.</param>
/// <param name="Reference">Stands for the path or the SHA-256; none where it withdraws.</param>
/// <param name="Words">Name of the object with path and reason, sealed. None for none.</param>
/// <param name="WordsUntil">Seconds since 1970: until then that object stays.</param>
/// <param name="Tag">Shows that whoever made it had the key: the log's key alone makes none that counts.</param>
public sealed record ErasureEntry(Id16 Vault, Id16 Domain, Hash32 Salt, Id16 Entry, Id16 Source, uint Epoch, ErasureKind Kind, ErasureOf Of, ulong Through, Hash32 Reference, Hash32 Words, ulong WordsUntil, Hash32 Tag)
{
    /// <summary>What the tag is over: all of the object before it.</summary>
    public byte[] Tagged() => ToArray()[..^Hash32.Size];

    public byte[] ToArray()
    {
        var body = new ByteWriter(256);
        body.Hash(Salt);
        body.Id(Entry);
        body.Id(Source);
        body.U32(Epoch);
        body.U8((byte)Kind);
        body.U8((byte)Of);
        body.U64(Through);
        body.Hash(Reference);
        body.Hash(Words);
        body.U64(WordsUntil);
        body.Hash(Tag);
        return ObjectHeader.Wrap(ObjectType.Erasure, Vault, Domain, body);
    }

    /// <summary>Total.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ErasureEntry? entry)
    {
        entry = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Erasure || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new ErasureEntry(header.Vault, header.Domain, reader.Hash(), reader.Id(), reader.Id(), reader.U32(), (ErasureKind)reader.U8(), (ErasureOf)reader.U8(), reader.U64(), reader.Hash(), reader.Hash(), reader.U64(), reader.Hash());
        reader.Require(!parsed.Entry.IsNone && parsed.Kind is >= ErasureKind.Erased and <= ErasureKind.Withdrawn
            && (parsed.Kind == ErasureKind.Withdrawn ? parsed is { Of: ErasureOf.None, Reference.IsNone: true } : parsed.Of is ErasureOf.Path or ErasureOf.Content));
        if (!reader.IsDone)
            return false;
        entry = parsed;
        return true;
    }
}

/// <summary>An entry that the log has.</summary>
/// <param name="Ordinal">Index of its leaf: of snapshots that are committed after it, it says nothing.</param>
/// <param name="Made">Vault time.</param>
/// <param name="Entry">What it says; whether it was made by who may, its tag says to those who have the key.</param>
/// <param name="IsInForce">Its key epoch was the newest at its leaf: a key that was rotated away makes nothing that counts. Null where a leaf that is lost may have begun it.</param>
public sealed record ErasureRecord(ulong Ordinal, ulong Made, ErasureEntry Entry, bool? IsInForce)
{
    /// <summary>Seconds by which the vault's clock was set forward since: its words stay as much longer by it.</summary>
    public ulong Moved { get; internal set; }

    /// <summary>It takes this one back, if whoever made it had the key.</summary>
    public bool Withdraws(ErasureRecord other) => Entry.Kind == ErasureKind.Withdrawn && other.Entry.Kind != ErasureKind.Withdrawn
        && (Entry.Entry, Entry.Source, Entry.Domain) == (other.Entry.Entry, other.Entry.Source, other.Entry.Domain);
}

/// <summary>What was erased at a source was asked for all the same.</summary>
/// <param name="Made">Vault time.</param>
/// <param name="Snapshot">Of which snapshot.</param>
/// <param name="Reason">Name of the object with the reason, sealed.</param>
public sealed record ErasedAsked(ulong Made, Id16 Snapshot, Hash32 Reason);

/// <summary>The erasure register. It only grows: an entry that was wrong is withdrawn by another.</summary>
public sealed partial class Projection
{
    readonly List<ErasureRecord> _erasures = [];
    readonly HashSet<Id16> _lostWithdrawals = [];
    readonly List<ErasedAsked> _erasedAsked = [];

    /// <summary>Entries in the order of their leaves, with those that withdraw others.</summary>
    public IReadOnlyList<ErasureRecord> Erasures => _erasures;

    /// <summary>Entries whose object is missing or damaged: what they say is not known.</summary>
    public int LostErasures { get; private set; }

    /// <summary>A leaf says that this entry was withdrawn, and its object is missing or damaged: nobody can tell whether it was.</summary>
    public bool MayBeWithdrawn(Id16 entry) => _lostWithdrawals.Contains(entry);

    /// <summary>In the order of their leaves.</summary>
    public IReadOnlyList<ErasedAsked> ErasedAsked => _erasedAsked;

    void Erase(ulong ordinal, Leaf leaf)
    {
        if (TryRead<ErasureEntry>(leaf.Payload, ErasureEntry.TryParse, out var entry) == 0)
        {
            LostErasures++;
            if (leaf.A == (ulong)ErasureKind.Withdrawn)
                _lostWithdrawals.Add(leaf.Subject);
        }
        else if (entry!.Vault == Genesis!.Vault && entry.Entry == leaf.Subject && (ulong)entry.Kind == leaf.A)
        {
            _erasures.Add(new ErasureRecord(ordinal, leaf.VaultTime, entry, entry.Epoch == KeyEpoch ? true : entry.Epoch > KeyEpoch && HasLostLeaves ? null : false));
        }
    }

    /// <summary>One that the register left something out of says how much; where nothing came back, it shows nothing of the snapshot.</summary>
    static void Restore(SnapshotRecord record, Leaf leaf)
    {
        if (leaf is { A: > 0, C: 0 })
            return;
        (record.Restored, record.RestoredWithout) = (leaf.VaultTime, leaf.A);
    }

    /// <summary>Until when the words of entries stay, by the object they lie in. No leaf names these.</summary>
    internal IEnumerable<(Hash32 Name, ulong Until)> ErasureWords() => _erasures.Where(e => !e.Entry.Words.IsNone && !IsCommitted(e.Entry.Words)).GroupBy(e => e.Entry.Words).Select(g => (g.Key, Math.Min(g.Max(e => Math.Min(e.Entry.WordsUntil, Retention.LockRules.LastEnd) + e.Moved), Retention.LockRules.LastEnd)));
}
