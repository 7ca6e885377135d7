using System.Buffers.Binary;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;

namespace Holdfast.Core.Index;

/// <summary>The tags of one index run (docs/format.md, section 8.2): whoever can write the cache, but has no index key, makes no run that is believed.
/// Safe for concurrent use.</summary>
/// <remarks>A tag is that of AES-256-GCM over additional data alone. The key is of this run only, so that block numbers are nonces that never repeat:
/// each block of a run is written once.</remarks>
sealed class RunSeal : IDisposable
{
    readonly AeadKey _key;

    RunSeal(DomainKeys domain, Id16 salt)
    {
        Salt = salt;
        _key = AeadKey.Derive(domain.Index.Span, Labels.IndexRun, salt.ToArray());
    }

    /// <summary>For a run to be written.</summary>
    public static RunSeal New(DomainKeys domain) => new(domain, Id16.New());

    /// <summary>For a run at hand.</summary>
    public static RunSeal Of(DomainKeys domain, Id16 salt) => new(domain, salt);

    /// <summary>Random, in the run's header.</summary>
    public Id16 Salt { get; }

    /// <summary>Puts its tag at the end of a block.</summary>
    public void Seal(Span<byte> block, long number) =>
        _key.Seal(BlockNonce(stackalloc byte[Aead.NonceSize], number), default, block[IndexFormat.TagOffset..], block[..IndexFormat.TagOffset]);

    public bool IsSound(ReadOnlySpan<byte> block, long number) =>
        _key.TryOpen(BlockNonce(stackalloc byte[Aead.NonceSize], number), block[IndexFormat.TagOffset..], default, block[..IndexFormat.TagOffset]);

    /// <summary>Puts its tag at the end of the fixed part: the sizes in it are believed before what they are of is read.</summary>
    public void SealFixed(Span<byte> fixedPart) =>
        _key.Seal(FixedNonce, default, fixedPart[IndexFormat.FixedTagOffset..IndexFormat.FixedHeader], fixedPart[..IndexFormat.FixedTagOffset]);

    public bool IsSoundFixed(ReadOnlySpan<byte> fixedPart) =>
        _key.TryOpen(FixedNonce, fixedPart[IndexFormat.FixedTagOffset..IndexFormat.FixedHeader], default, fixedPart[..IndexFormat.FixedTagOffset]);

    /// <summary>The tag of what stands before the blocks.</summary>
    /// <param name="digest">SHA-256 of it.</param>
    public byte[] SealHead(ReadOnlySpan<byte> digest)
    {
        var tag = new byte[Aead.TagSize];
        _key.Seal(HeadNonce, default, tag, digest);
        return tag;
    }

    public bool IsSoundHead(ReadOnlySpan<byte> tag, ReadOnlySpan<byte> digest) => _key.TryOpen(HeadNonce, tag, default, digest);

    static ReadOnlySpan<byte> FixedNonce => [254, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
    static ReadOnlySpan<byte> HeadNonce => [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];

    static Span<byte> BlockNonce(Span<byte> nonce, long number)
    {
        nonce.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(nonce, number);
        return nonce;
    }

    public void Dispose() => _key.Dispose();
}
