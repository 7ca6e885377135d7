using System.Security.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>A secret of fixed size that is zeroed when disposed of.</summary>
/// <remarks>The memory is pinned, so that the collector leaves no copies behind. It may still reach swap or a core file:
/// docs/threat-model.md tells operators to encrypt swap. Not safe to use while another thread disposes of it.</remarks>
public sealed class SecretBytes : IDisposable
{
    byte[]? _bytes;

    /// <summary>All zero, to be filled through <see cref="Span"/>.</summary>
    public SecretBytes(int length) => _bytes = GC.AllocateArray<byte>(length, pinned: true);

    /// <summary>A copy; the original stays the caller's to clear.</summary>
    public SecretBytes(ReadOnlySpan<byte> secret) : this(secret.Length) => secret.CopyTo(_bytes);

    /// <summary>Fresh from the system's random generator.</summary>
    public static SecretBytes Random(int length)
    {
        var secret = new SecretBytes(length);
        RandomNumberGenerator.Fill(secret._bytes);
        return secret;
    }

    public int Length => Span.Length;

    /// <exception cref="ObjectDisposedException">The secret is gone.</exception>
    public Span<byte> Span => _bytes ?? throw new ObjectDisposedException(nameof(SecretBytes));

    /// <summary>Compares in a time that depends on the lengths only.</summary>
    public bool FixedTimeEquals(ReadOnlySpan<byte> other) => CryptographicOperations.FixedTimeEquals(Span, other);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_bytes);
        _bytes = null;
    }

    /// <summary>Never the secret.</summary>
    public override string ToString() => "(secret)";
}
