using Holdfast.Core.Crypto;

namespace Holdfast.Core.Approvals;

/// <summary>By which whoever has a vault's opening seed, from its key file or from recovery shares, asks for other approvers where a quorum is lost (docs/format.md, section 11.7).</summary>
public static class SuccessionKey
{
    /// <summary>The private key: HKDF of the seed, bound to the vault.</summary>
    /// <param name="seed">32 bytes, of the vault's first key epoch: the genesis names its public key.</param>
    /// <param name="vault">Which.</param>
    public static Ed25519Signer Of(SecretBytes seed, Id16 vault)
    {
        using var key = Kdf.DeriveKey(seed.Span, Labels.SuccessionKey, vault.ToArray());
        return new Ed25519Signer(key.Span);
    }
}
