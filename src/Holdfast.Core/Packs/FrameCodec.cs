using System.Buffers.Binary;
using Holdfast.Core.Chunking;
using Holdfast.Core.Crypto;
using ZstdNet;

namespace Holdfast.Core.Packs;

/// <summary>Compresses payloads of frames. One per thread: it holds zstd contexts.</summary>
/// <param name="level">Of zstd, 1 to 19.</param>
public sealed class FrameCompressor(int level) : IDisposable
{
    /// <summary>Whole files and what shares a frame get less than all of level 1, in 7 % less time and 3 % more bytes (docs/design/0003-frames-and-packs.md): matches are looked up in a table of 32 KiB
    /// in place of 64, which stays in a processor's nearest cache, and blocks are cut by length alone (ZSTD_c_blockSplitterLevel, which zstd counts as experimental).</summary>
    static readonly Dictionary<ZSTD_cParameter, int> WholeParameters = new() { [ZSTD_cParameter.ZSTD_c_hashLog] = 13, [(ZSTD_cParameter)1017] = 1 };

    readonly Compressor _zstd = new(new CompressionOptions(level));
    readonly Compressor? _whole = level == 1 ? new(new CompressionOptions(null, WholeParameters, level)) : null;

    /// <summary>Room that <see cref="Compress"/> needs for so many bytes.</summary>
    public static int Bound(int payload) => Compressor.GetCompressBound(payload);

    /// <returns>Bytes that were written; 0 where they are too many to be worth it, and the payload is stored as it is.</returns>
    /// <param name="payload">Of a frame.</param>
    /// <param name="kind">Of its chunks' digests.</param>
    /// <param name="into">Filled with one zstd frame; has the room.</param>
    public int Compress(ReadOnlySpan<byte> payload, DigestKind kind, Span<byte> into)
    {
        var zstd = kind == DigestKind.Whole ? _whole ?? _zstd : _zstd;
        var size = zstd.Wrap(payload, into);
        return UnsealedFrame.IsGain(payload.Length, size) ? size : 0;
    }

    public void Dispose()
    {
        _zstd.Dispose();
        _whole?.Dispose();
    }
}

/// <summary>Compresses and seals frames. One per thread: it holds zstd contexts and their buffers.</summary>
/// <param name="level">Of zstd, 1 to 19.</param>
public sealed class FrameSealer(int level) : IDisposable
{
    readonly FrameCompressor _zstd = new(level);
    byte[] _compressed = [];
    byte[] _stored = [];

    /// <summary>Compresses a payload and seals it as frame number <paramref name="number"/> of the pack with this key.</summary>
    /// <param name="packKey">The pack's.</param>
    /// <param name="number">Of the frame.</param>
    /// <param name="payload">Its chunks.</param>
    /// <param name="kind">Of their digests.</param>
    /// <param name="codec">How they were stored.</param>
    /// <returns>The stored bytes, valid until the next call.</returns>
    public ReadOnlySpan<byte> Seal(AeadKey packKey, int number, ReadOnlySpan<byte> payload, DigestKind kind, out byte codec)
    {
        var bound = FrameCompressor.Bound(payload.Length);
        if (_compressed.Length < bound)
            _compressed = GC.AllocateUninitializedArray<byte>(bound);
        var size = _zstd.Compress(payload, kind, _compressed.AsSpan(0, bound));
        codec = size > 0 ? PackFormat.CodecZstd : PackFormat.CodecStored;
        return Seal(packKey, number, size > 0 ? _compressed.AsSpan(0, size) : payload);
    }

    /// <summary>Seals what is a frame as it is.</summary>
    public ReadOnlySpan<byte> Seal(AeadKey packKey, int number, ReadOnlySpan<byte> plain)
    {
        var length = plain.Length + Aead.TagSize;
        if (_stored.Length < length)
            _stored = GC.AllocateUninitializedArray<byte>(length + length / 8);
        Span<byte> nonce = stackalloc byte[Aead.NonceSize];
        FrameNonce.Write(nonce, number);
        packKey.Seal(nonce, plain, _stored.AsSpan(0, length), Labels.Frame);
        return _stored.AsSpan(0, length);
    }

    public void Dispose() => _zstd.Dispose();
}

/// <summary>Opens frames. One per thread: it holds a zstd context and a buffer.</summary>
public sealed class FrameOpener : IDisposable
{
    readonly Decompressor _zstd = new();
    byte[] _plain = [];

    /// <summary>Opens a frame into the caller's memory, as long as its payload. Where it does not open, what is there then means nothing.</summary>
    /// <param name="packKey">The pack's.</param>
    /// <param name="pack">Its name.</param>
    /// <param name="number">Of the frame.</param>
    /// <param name="stored">As it lies in the pack.</param>
    /// <param name="codec">As the footer says.</param>
    /// <param name="payload">Filled.</param>
    /// <param name="isSpent">Nobody needs the stored bytes any more: they are opened where they lie, which takes a buffer less.</param>
    /// <exception cref="HoldfastException"><c>PackDamaged</c>.</exception>
    public void Open(AeadKey packKey, Hash32 pack, int number, Span<byte> stored, byte codec, Span<byte> payload, bool isSpent = false)
    {
        var length = stored.Length - Aead.TagSize;
        if (length < 0)
            throw PackFormat.Damaged(pack, $"frame {number} has no legal length");
        var isStored = codec == PackFormat.CodecStored;
        if (isStored && length != payload.Length)
            throw PackFormat.Damaged(pack, $"frame {number} has another length than its footer says");
        if (!isStored && !isSpent && _plain.Length < length)
            _plain = GC.AllocateUninitializedArray<byte>(length + length / 8);
        Span<byte> nonce = stackalloc byte[Aead.NonceSize];
        FrameNonce.Write(nonce, number);
        var plain = isStored ? payload : isSpent ? stored[..length] : _plain.AsSpan(0, length);
        if (!packKey.TryOpen(nonce, stored, plain, Labels.Frame))
            throw PackFormat.Damaged(pack, $"frame {number} does not open");
        if (!isStored && !TryUnpack(plain, payload))
            throw PackFormat.Damaged(pack, $"frame {number} does not decompress to what its footer says");
    }

    /// <summary>Decompresses into the caller's memory, as long as what it is to be. Where that is not what it is, what is there then means nothing.</summary>
    /// <param name="compressed">Any bytes.</param>
    /// <param name="payload">Filled, and no byte beyond it.</param>
    internal bool TryUnpack(ReadOnlySpan<byte> compressed, Span<byte> payload)
    {
        try
        {
            return _zstd.Unwrap(compressed, payload, false) == payload.Length;
        }
        catch (Exception e) when (e is ZstdException or ArgumentException)
        {
            return false;
        }
    }

    public void Dispose() => _zstd.Dispose();
}

static class FrameNonce
{
    /// <summary>u32 zero, then the frame number as u64: a pack's key is its own, so that a counter never repeats under it.</summary>
    public static void Write(Span<byte> nonce, int number)
    {
        nonce.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(nonce[4..], (ulong)number);
    }
}
