using System.Text;
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
    /// <param name="snapshot">Which is restored; it need not be there any more.</param>
    /// <param name="proof">What shows that this is done where the place is.</param>
    /// <param name="approver">The approver who does it; none for anybody else.</param>
    /// <param name="person">Who does it, by name.</param>
    /// <param name="reason">Why.</param>
    /// <param name="where">The place, or where it goes, and what of the snapshot; may be empty.</param>
    /// <param name="at">Seconds since 1970, by this machine's clock.</param>
    /// <exception cref="HoldfastException"><c>ObjectMissing</c>, <c>ObjectDamaged</c>: the keyring.</exception>
    public EmergencyObject Emergency(EmergencyStep step, Id16 emergency, Id16 place, Id16 snapshot, Hash32 proof, Id16 approver, string person, string reason, string where, ulong at)
    {
        if (!Keyring.TryParse(Keeper.Store.ReadObject(State.Keyring), out var keyring))
            throw new HoldfastException(ErrorCode.ObjectDamaged, "The vault's keyring cannot be read.", "Bring the object it names back from another copy of the vault.");
        var record = State.Find(snapshot);
        var domain = record?.Object?.Domain ?? State.Emergency(emergency)?.Begun.Domain ?? State.Genesis!.Domains[0];
        var plain = new ByteWriter();
        plain.Bytes(Encoding.UTF8.GetBytes(person));
        plain.Bytes(Encoding.UTF8.GetBytes(reason));
        plain.Bytes(Cut(where, MaxWords - plain.Span.Length));
        var words = SealedWords.Seal(Id, OpeningKeys.TreeKeyFor(keyring!, domain, record?.Source ?? Id16.None), (byte)LeafType.Emergency, plain.Span);
        return new EmergencyObject(Id, domain, VaultKeeper.Salt(), emergency, step, snapshot, place, approver, proof, at, words.ToArray());
    }

    const int MaxWords = 8_000; // bytes: sealed and filled up, a step takes them
    const int MaxWhere = 4_096; // bytes

    /// <summary>Of what is too long the beginning is kept.</summary>
    static ReadOnlySpan<byte> Cut(string where, int most)
    {
        var bytes = Encoding.UTF8.GetBytes(where);
        return bytes.AsSpan(0, Math.Clamp(most, 0, Math.Min(bytes.Length, MaxWhere)));
    }

    /// <summary>Who did a step, why and where; null where these keys do not open it.</summary>
    public static (string Person, string Reason, string Where)? Words(OpeningKeys keys, EmergencyObject step)
    {
        using var plain = SealedWords.TryParse(step.Words, out var words) ? keys.Open(words, (byte)LeafType.Emergency) : null;
        var reader = new ByteReader(plain is null ? [] : plain.Span);
        var (person, reason) = (Encoding.UTF8.GetString(reader.Bytes(MaxReason)), Encoding.UTF8.GetString(reader.Bytes(MaxReason)));
        if (plain is null || reader.Failed)
            return null;
        var where = Encoding.UTF8.GetString(reader.Bytes(MaxWhere)); // what follows fills it up; a step of an earlier version has nothing but filling
        return (person, reason, reader.Failed ? "" : where);
    }
}
