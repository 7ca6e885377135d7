using System.Security.Cryptography;

namespace Holdfast.Core.Gateway;

/// <summary>What an agent signs to prove itself: when it was given, and a keyed tag of that, so that nothing has to be remembered of it. Safe for concurrent use.</summary>
/// <param name="clock">The clock of who gives them.</param>
sealed class ProofNonces(TimeProvider clock)
{
    const int Life = 120; // seconds

    readonly byte[] _key = RandomNumberGenerator.GetBytes(32);

    long Now => clock.GetUtcNow().ToUnixTimeSeconds();

    /// <summary><see cref="AgentRequest.NonceSize"/> bytes.</summary>
    public byte[] Give() => Of(Now);

    byte[] Of(long given)
    {
        Span<byte> tag = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(_key, BitConverter.GetBytes(given), tag);
        return [.. BitConverter.GetBytes(given), .. tag[..(AgentRequest.NonceSize - sizeof(long))]];
    }

    /// <summary>True for one that was given here, no more than two minutes ago.</summary>
    public bool IsGiven(byte[] nonce)
    {
        var (given, now) = (BitConverter.ToInt64(nonce), Now);
        return given <= now && now - given <= Life && CryptographicOperations.FixedTimeEquals(nonce, Of(given));
    }
}
