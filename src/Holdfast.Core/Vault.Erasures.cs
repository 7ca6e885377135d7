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
/// <param name="IsProved">Whoever made it had the key: else it counts for nothing. Null where it is sealed to a later key epoch than these keys'.</param>
/// <param name="IsWithdrawn">Another took it back.</param>
/// <param name="Named">The path, or the SHA-256 of the content; null where the words are gone or sealed to others.</param>
/// <param name="Reason">As above.</param>
public sealed record ErasureTold(ErasureRecord Record, bool? IsProved, bool IsWithdrawn, byte[]? Named, string? Reason);

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
            return reader.IsDone ? (named, Encoding.UTF8.GetString(reason)) : null;
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
        return new ErasureTold(e, key is null ? null : ErasureRegister.IsProved(e.Entry, key), ErasureRegister.IsWithdrawn(State.Erasures, e, keys), words?.Named, words?.Reason);
    })];

    /// <summary>The register may have something to say of a snapshot: something it names may be left out.</summary>
    public bool HasErasures(SnapshotRecord record, ReadingKeys keys)
    {
        using var register = new ErasureRegister(State, record, keys, bringErased: false);
        return !register.IsEmpty;
    }

    /// <summary>Records that somebody has what was erased at a source brought back all the same, and why.</summary>
    public void RecordErasedBrought(OpeningKeys keys, SnapshotRecord record, string reason) =>
        Keeper.Record(LeafType.ErasedBrought, record.Snapshot, Id16.None, 0, 0, 0, Seal(keys, record.Object!.Domain, record.Source, LeafType.ErasedBrought, [], reason).ToArray());
}
