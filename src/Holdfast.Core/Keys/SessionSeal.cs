using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>What stands in the clear where something is sealed under a session: enough for the right holder to find the key.</summary>
/// <param name="Domain">Trust domain.</param>
/// <param name="Class">Key class.</param>
/// <param name="Epoch">Key epoch.</param>
/// <param name="Session">Session id.</param>
/// <param name="SealingKeyId">Which public key it was sealed to.</param>
/// <param name="Ciphertext">X-Wing, 1,120 bytes.</param>
public sealed record SessionSeal(Id16 Domain, KeyClass Class, uint Epoch, Id16 Session, Id16 SealingKeyId, byte[] Ciphertext)
{
    /// <summary>The session key from the shared secret of the ciphertext (docs/format.md, section 5.5).</summary>
    public SecretBytes SessionKey(Id16 vault, SecretBytes sharedSecret)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.Id(Domain);
        context.U8((byte)Class);
        context.U32(Epoch);
        context.Id(Session);
        context.Id(SealingKeyId);
        return Kdf.DeriveKey(sharedSecret.Span, Labels.Session, context.Span);
    }

    /// <summary>Makes a session secret for the key's holder: one encapsulation, to be used for one session at most an hour.</summary>
    public static (SessionSeal Seal, SecretBytes SessionKey) Create(Id16 vault, SealingKey key, Id16 session)
    {
        var (ciphertext, shared) = XWing.Encapsulate(key.PublicKey);
        using (shared)
        {
            var seal = new SessionSeal(key.Domain, key.Class, key.Epoch, session, key.KeyId, ciphertext);
            return (seal, seal.SessionKey(vault, shared));
        }
    }

    /// <summary>Opens one pack's frames; 32 bytes.</summary>
    public static SecretBytes PackKey(SecretBytes sessionKey, Id16 packSalt) =>
        Kdf.DeriveKey(sessionKey.Span, Labels.Pack, packSalt.ToArray());

    /// <summary>Opens one sealed section of one snapshot; 32 bytes.</summary>
    public static SecretBytes SectionKey(SecretBytes sessionKey, byte section, Id16 snapshot)
    {
        var context = new ByteWriter();
        context.U8(section);
        context.Id(snapshot);
        return Kdf.DeriveKey(sessionKey.Span, Labels.Section, context.Span);
    }

    public static AeadKey FooterKey(DomainKeys domain, Id16 packSalt) =>
        AeadKey.Derive(domain.Index.Span, Labels.Footer, packSalt.ToArray());

    public static AeadKey ReferencesKey(DomainKeys domain, Id16 snapshot) =>
        AeadKey.Derive(domain.Index.Span, Labels.References, snapshot.ToArray());
}
