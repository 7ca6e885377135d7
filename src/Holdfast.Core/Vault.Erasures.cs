using System.Text;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>An entry of the erasure register, as who has its key sees it.</summary>
/// <param name="Record">What the log has.</param>
/// <param name="IsProved">Whoever made it had the key of the epoch that was the newest then: else it counts for nothing. Null where it is sealed to a later key epoch than these keys'.</param>
/// <param name="IsWithdrawn">Another took it back. Null where one may have that cannot be read: then it is not applied.</param>
/// <param name="Withdrawals">Those that did, proved.</param>
/// <param name="Named">The path, or the SHA-256 of the content; null where the words are gone or sealed to others.</param>
/// <param name="Reason">As above.</param>
/// <param name="IsAsNamed">What the words name is what the entry hides. Null where one of the two cannot be told.</param>
public sealed record ErasureTold(ErasureRecord Record, bool? IsProved, bool? IsWithdrawn, IReadOnlyList<(ulong Made, string? Reason)> Withdrawals, byte[]? Named, string? Reason, bool? IsAsNamed);

/// <summary>The erasure register: what was lawfully erased or corrected at a source, and does not come back by a restore unsaid.</summary>
public sealed partial class Vault
{
    const int MaxReason = 8_192; // bytes

    /// <summary>Enters what was erased or corrected at a source. It is of the snapshots that were committed by then.</summary>
    /// <param name="keys">Of the newest epoch.</param>
    /// <param name="domain">Of the source.</param>
    /// <param name="source">Whose snapshots.</param>
    /// <param name="kind">Erased or corrected.</param>
    /// <param name="of">What is named.</param>
    /// <param name="named">A path of the tree, or a SHA-256.</param>
    /// <param name="through">Vault time: of later snapshots it says nothing.</param>
    /// <param name="reason">Why; sealed.</param>
    /// <param name="wordsUntil">Until when path and reason can be read; the entry itself stays as long as the vault.</param>
    /// <returns>The entry's id.</returns>
    /// <exception cref="HoldfastException">As <see cref="VaultKeeper.Erase"/>; <c>Usage</c>: the path is none, or that of the whole source.</exception>
    public Id16 Erase(OpeningKeys keys, Id16 domain, Id16 source, ErasureKind kind, ErasureOf of, byte[] named, ulong through, string reason, ulong wordsUntil)
    {
        if (of == ErasureOf.Path ? named.Length == 0 || !TreePath.IsValid(named) : named.Length != Hash32.Size)
            throw new HoldfastException(ErrorCode.Usage, "That is no path within a source, and no SHA-256.", "A path is relative to the source's root; the whole of a source is erased by expiry alone.");
        var entry = Id16.New();
        Enter(keys, domain, source, entry, kind, of, named, through, reason, wordsUntil);
        return entry;
    }

    /// <summary>Takes an entry back that was wrong: the register keeps both.</summary>
    public void WithdrawErasure(OpeningKeys keys, ErasureEntry entry, string reason, ulong wordsUntil) =>
        Enter(keys, entry.Domain, entry.Source, entry.Entry, ErasureKind.Withdrawn, ErasureOf.None, [], Keeper.Clock.Now, reason, wordsUntil);

    void Enter(OpeningKeys keys, Id16 domain, Id16 source, Id16 entry, ErasureKind kind, ErasureOf of, byte[] named, ulong through, string reason, ulong wordsUntil)
    {
        var epoch = keys.Keyring.Epoch;
        using var key = keys.ErasureKey(domain, epoch, source)!;
        var words = Seal(keys, domain, source, LeafType.Erasure, named, reason).ToArray();
        var made = new ErasureEntry(Id, domain, VaultKeeper.Salt(), entry, source, epoch, kind, of, through, of == ErasureOf.None ? Hash32.None : key.Reference((byte)of, named),
            new Hash32(System.Security.Cryptography.SHA256.HashData(words)), wordsUntil, Hash32.None);
        Keeper.Erase(made with { Tag = key.Tag(made.Tagged()) }, words);
    }

    SealedWords Seal(OpeningKeys keys, Id16 domain, Id16 source, LeafType type, ReadOnlySpan<byte> named, string reason)
    {
        var plain = new ByteWriter();
        plain.Bytes(named);
        plain.Bytes(Encoding.UTF8.GetBytes(reason));
        return SealedWords.Seal(Id, keys.TreeKeyFor(domain, source), (byte)type, plain.Span);
    }

    /// <summary>Opens what <see cref="Seal"/> sealed; null where it is gone, or sealed to others.</summary>
    (byte[] Named, string Reason)? Words(OpeningKeys keys, Hash32 name, LeafType type)
    {
        try
        {
            if (name.IsNone || !SealedWords.TryParse(Keeper.Store.ReadObject(name), out var words))
                return null;
            using var plain = keys.Open(words, (byte)type);
            var reader = new ByteReader(plain is null ? [] : plain.Span);
            var (named, reason) = (reader.Bytes(TreePath.MaxLength).ToArray(), reader.Bytes(MaxReason).ToArray());
            return !reader.Failed ? (named, Encoding.UTF8.GetString(reason)) : null; // what follows fills it up
        }
        catch (HoldfastException)
        {
            return null;
        }
    }

    /// <summary>All entries that are no withdrawals, oldest first.</summary>
    public IReadOnlyList<ErasureTold> Erasures(OpeningKeys keys) => [.. State.Erasures.Where(e => e.Entry.Kind != ErasureKind.Withdrawn).Select(e =>
    {
        using var key = keys.ErasureKey(e.Entry.Domain, e.Entry.Epoch, e.Entry.Source);
        var words = Words(keys, e.Entry.Words, LeafType.Erasure);
        var withdrawals = State.Erasures.Where(w => w.Withdraws(e) && ErasureRegister.IsProved(w, keys) == true).Select(w => (w.Made, Words(keys, w.Entry.Words, LeafType.Erasure)?.Reason)).ToList();
        return new ErasureTold(e, ErasureRegister.IsProved(e, key), ErasureRegister.IsWithdrawn(State, e, keys), withdrawals, words?.Named, words?.Reason, words is null || key is null ? null : key.Reference((byte)e.Entry.Of, words.Value.Named) == e.Entry.Reference);
    })];

    /// <summary>When and why what was erased at a source was asked for all the same, oldest first. Whoever has the log's key can write such a leaf too, and the sealing key is no secret.</summary>
    public IReadOnlyList<(ErasedAsked Record, string? Reason)> ErasedAsked(OpeningKeys keys) => [.. State.ErasedAsked.Select(a => (a, Words(keys, a.Reason, LeafType.ErasedAsked)?.Reason))];

    /// <summary>The register has entries by which something of a snapshot may be left out.</summary>
    public bool HasErased(SnapshotRecord record, ReadingKeys keys)
    {
        using var register = new ErasureRegister(State, record, keys, bringErased: false);
        return register.HasErased;
    }

    /// <summary>Records that somebody asked for what was erased at a source all the same, and why.</summary>
    public void RecordErasedAsked(OpeningKeys keys, SnapshotRecord record, string reason) =>
        Keeper.Record(LeafType.ErasedAsked, record.Snapshot, Id16.None, 0, 0, 0, Seal(keys, record.Object!.Domain, record.Source, LeafType.ErasedAsked, [], reason).ToArray());
}
