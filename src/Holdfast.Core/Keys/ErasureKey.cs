using System.Buffers;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>The key of one source's entries in the erasure register, of one key epoch (docs/format.md, section 11.8): only who may read the source has it. Safe for concurrent use.</summary>
public sealed class ErasureKey : IDisposable
{
    readonly SecretBytes _key;

    ErasureKey(SecretBytes key) => _key = key;

    internal static ErasureKey Of(SecretBytes openingSeed, Id16 vault, uint epoch, Id16 domain, Id16 source)
    {
        var context = new ByteWriter();
        context.Id(vault);
        context.U32(epoch);
        context.Id(domain);
        context.Id(source);
        return new ErasureKey(Kdf.DeriveKey(openingSeed.Span, Labels.ErasureKey, context.Span));
    }

    /// <summary>What stands for a path, or for the SHA-256 of a file, so that nobody without the key can tell or guess it.</summary>
    /// <param name="of">Which of the two, as in an entry.</param>
    /// <param name="bytes">The path in the tree, or the 32 bytes.</param>
    public Hash32 Reference(byte of, ReadOnlySpan<byte> bytes) => Mac([.. Labels.ErasureReference, of], bytes);

    /// <summary>Over all of an entry before it.</summary>
    public Hash32 Tag(ReadOnlySpan<byte> entry) => Mac(Labels.ErasureTag, entry);

    Hash32 Mac(ReadOnlySpan<byte> label, ReadOnlySpan<byte> bytes)
    {
        var message = ArrayPool<byte>.Shared.Rent(label.Length + bytes.Length);
        label.CopyTo(message);
        bytes.CopyTo(message.AsSpan(label.Length));
        Span<byte> mac = stackalloc byte[Hash32.Size];
        HMACSHA256.HashData(_key.Span, message.AsSpan(0, label.Length + bytes.Length), mac);
        message.AsSpan(0, label.Length + bytes.Length).Clear(); // a path is personal
        ArrayPool<byte>.Shared.Return(message);
        return new Hash32(mac);
    }

    public void Dispose() => _key.Dispose();
}
