using System.Text;
using Holdfast.Core.Approvals;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>Emergency restores: begun by one person at once, seen by all, let out of isolation by a second one.</summary>
public sealed partial class Vault
{
    /// <summary>A step of an emergency restore, sealed to who may read names; it needs no opening key.</summary>
    /// <param name="step">What happens.</param>
    /// <param name="emergency">Id.</param>
    /// <param name="place">Id of the isolated place.</param>
    /// <param name="record">The snapshot.</param>
    /// <param name="approver">The approver who does it; none for anybody else.</param>
    /// <param name="person">Who does it, by name.</param>
    /// <param name="reason">Why.</param>
    /// <param name="at">Seconds since 1970, by this machine's clock.</param>
    /// <exception cref="HoldfastException"><c>ObjectMissing</c>, <c>ObjectDamaged</c>: the keyring.</exception>
    public EmergencyObject Emergency(EmergencyStep step, Id16 emergency, Id16 place, SnapshotRecord record, Id16 approver, string person, string reason, ulong at)
    {
        if (!Keyring.TryParse(Keeper.Store.ReadObject(State.Keyring), out var keyring))
            throw new HoldfastException(ErrorCode.ObjectDamaged, "The vault's keyring cannot be read.", "Bring the object it names back from another copy of the vault.");
        var (domain, source) = (record.Object!.Domain, record.Source);
        var salt = VaultKeeper.Salt();
        var plain = new ByteWriter();
        plain.Bytes(Encoding.UTF8.GetBytes(person));
        plain.Bytes(Encoding.UTF8.GetBytes(reason));
        var words = SealedWords.Seal(Id, OpeningKeys.TreeKeyFor(keyring!, domain, source), (byte)LeafType.Emergency, plain.Span);
        return new EmergencyObject(Id, domain, salt, emergency, step, record.Snapshot, place, approver, ApprovalRequest.ReasonHash(salt, person), at, words.ToArray());
    }

    /// <summary>Who did a step, and why; null where these keys do not open it.</summary>
    public static (string Person, string Reason)? Words(OpeningKeys keys, EmergencyObject step)
    {
        using var plain = SealedWords.TryParse(step.Words, out var words) ? keys.Open(words, (byte)LeafType.Emergency) : null;
        var reader = new ByteReader(plain is null ? [] : plain.Span);
        var (person, reason) = (Encoding.UTF8.GetString(reader.Bytes(MaxReason)), Encoding.UTF8.GetString(reader.Bytes(MaxReason)));
        return plain is not null && !reader.Failed ? (person, reason) : null; // what follows fills it up
    }
}
