using NSec.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>What one guess at a passphrase costs: Argon2id (RFC 9106), version 0x13, one lane.</summary>
/// <param name="MemoryKiB">8 192 to 4 194 304 KiB.</param>
/// <param name="Passes">1 to 64.</param>
public readonly record struct Argon2Cost(uint MemoryKiB, uint Passes)
{
    public const uint MinMemoryKiB = 8 << 10; // 8 MiB
    public const uint MaxMemoryKiB = 4 << 20; // 4 GiB
    public const uint MaxPasses = 64;
    public const uint Lanes = 1; // libsodium computes no other

    /// <summary>256 MiB, 3 passes: about 0.4 s, and more memory than a graphics card gives to each of its cores.</summary>
    public static readonly Argon2Cost Default = new(256 << 10, 3);

    public bool IsWithinLimits => MemoryKiB is >= MinMemoryKiB and <= MaxMemoryKiB && Passes is >= 1 and <= MaxPasses;

    /// <exception cref="HoldfastException"><see cref="ErrorCode.KeyFileBad"/> where this machine cannot give so much memory.</exception>
    internal SecretBytes Derive(ReadOnlySpan<byte> passphrase, ReadOnlySpan<byte> salt)
    {
        var argon2 = PasswordBasedKeyDerivationAlgorithm.Argon2id(
            new Argon2Parameters { DegreeOfParallelism = (int)Lanes, MemorySize = MemoryKiB, NumberOfPasses = Passes });
        var secret = new SecretBytes(Kdf.KeySize);
        try
        {
            argon2.DeriveBytes(passphrase, salt, secret.Span);
            return secret;
        }
        catch (Exception e) when (e is OutOfMemoryException or System.Security.Cryptography.CryptographicException)
        {
            secret.Dispose();
            throw new HoldfastException(ErrorCode.KeyFileBad,
                $"Opening this passphrase slot takes {MemoryKiB >> 10} MiB of memory, which this machine did not give.",
                "Free memory or use a larger machine; or open with the raw key file or with recovery shares.", e);
        }
    }
}
