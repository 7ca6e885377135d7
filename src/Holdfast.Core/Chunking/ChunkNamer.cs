using System.Security.Cryptography;
using Holdfast.Core.Keys;

namespace Holdfast.Core.Chunking;

/// <summary>Gives chunks of one class their digests and ids (docs/format.md, section 6.1). One per thread: it keeps its hashing contexts, where making them anew
/// costs more than hashing a small chunk.</summary>
sealed class ChunkNamer : IDisposable
{
    readonly IncrementalHash _digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    readonly IncrementalHash _id;
    readonly byte[][] _messages; // for each kind of digest: label, class, digest

    /// <param name="domain">Whose newest dedup key names them.</param>
    /// <param name="keyClass">Of the chunks.</param>
    public ChunkNamer(DomainKeys domain, KeyClass keyClass)
    {
        _id = domain.ChunkIdHash();
        _messages = [.. Enum.GetValues<DigestKind>().Select(k => (byte[])[.. DomainKeys.IdLabel(k), (byte)keyClass, .. new byte[Hash32.Size]])];
    }

    /// <returns>The chunk's digest, and its id.</returns>
    public (Hash32 Digest, Hash32 Id) Name(ReadOnlySpan<byte> chunk, DigestKind kind)
    {
        Span<byte> hash = stackalloc byte[Hash32.Size];
        var digest = kind == DigestKind.Blocks ? BlockDigest.Of(chunk) : Whole(chunk, hash);
        var message = _messages[(int)kind];
        digest.CopyTo(message.AsSpan(message.Length - Hash32.Size));
        _id.AppendData(message);
        _id.GetHashAndReset(hash);
        return (digest, new Hash32(hash));
    }

    Hash32 Whole(ReadOnlySpan<byte> chunk, Span<byte> hash)
    {
        _digest.AppendData(chunk);
        _digest.GetHashAndReset(hash);
        return new Hash32(hash);
    }

    public void Dispose()
    {
        _digest.Dispose();
        _id.Dispose();
    }
}
