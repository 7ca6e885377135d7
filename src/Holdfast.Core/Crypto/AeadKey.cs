using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Holdfast.Core.Crypto;

/// <summary>One AES-256-GCM key for many messages. Safe for concurrent use; dispose when nobody uses it any more.</summary>
/// <remarks>A cipher context may serve one thread at a time, and costs about as much to make as to seal a few KiB. So contexts go into a
/// bag after use: at most one per thread that ever worked at once. The caller keeps nonces from repeating.</remarks>
public sealed class AeadKey : IDisposable
{
    readonly ConcurrentBag<AesGcm> _idle = [];
    readonly SecretBytes _key;

    /// <param name="key">32 bytes; copied.</param>
    public AeadKey(ReadOnlySpan<byte> key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, Aead.KeySize);
        _key = new SecretBytes(key);
    }

    /// <summary>A key derived by <see cref="Kdf"/>.</summary>
    public static AeadKey Derive(ReadOnlySpan<byte> key, ReadOnlySpan<byte> label, ReadOnlySpan<byte> context)
    {
        using var derived = Kdf.DeriveKey(key, label, context);
        return new AeadKey(derived.Span);
    }

    /// <inheritdoc cref="Aead.Seal(ReadOnlySpan{byte}, ReadOnlySpan{byte}, ReadOnlySpan{byte}, Span{byte}, ReadOnlySpan{byte})"/>
    public void Seal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> plaintext, Span<byte> sealedBytes, ReadOnlySpan<byte> aad)
    {
        var gcm = Rent();
        try
        {
            Aead.Seal(gcm, nonce, plaintext, sealedBytes, aad);
        }
        finally
        {
            _idle.Add(gcm);
        }
    }

    /// <inheritdoc cref="Aead.TryOpen(ReadOnlySpan{byte}, ReadOnlySpan{byte}, ReadOnlySpan{byte}, Span{byte}, ReadOnlySpan{byte})"/>
    public bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> sealedBytes, Span<byte> plaintext, ReadOnlySpan<byte> aad)
    {
        var gcm = Rent();
        try
        {
            return Aead.TryOpen(gcm, nonce, sealedBytes, plaintext, aad);
        }
        finally
        {
            _idle.Add(gcm);
        }
    }

    AesGcm Rent()
    {
        var key = _key.Span; // throws when disposed, before an idle context could be handed out
        return _idle.TryTake(out var gcm) ? gcm : new AesGcm(key, Aead.TagSize);
    }

    public void Dispose()
    {
        _key.Dispose();
        while (_idle.TryTake(out var gcm))
            gcm.Dispose();
    }
}
