using System.Security.Cryptography;
using Holdfast.Core.Keys;

namespace Holdfast.Core.Chunking;

/// <summary>Gives chunks of one class their digests and ids (docs/format.md, section 6.1). One per thread: it keeps its hashing contexts, where making them anew
/// costs more than hashing a small chunk.</summary>
sealed class ChunkNamer : IDisposable
{
    readonly MessageHasher _digest = new();
    readonly IncrementalHash _id;
    readonly byte[][] _messages; // for each kind of digest: label, class, digest
    readonly LaneHmac? _wholeIds;

    /// <param name="domain">Whose newest dedup key names them.</param>
    /// <param name="keyClass">Of the chunks.</param>
    public ChunkNamer(DomainKeys domain, KeyClass keyClass)
    {
        _id = domain.ChunkIdHash();
        _messages = [.. Enum.GetValues<DigestKind>().Select(k => (byte[])[.. DomainKeys.IdLabel(k), (byte)keyClass, .. new byte[Hash32.Size]])];
        if (Lanes.AreUsable && keyClass == KeyClass.Content)
            _wholeIds = domain.ChunkIdHashes(_messages[(int)DigestKind.Whole].AsSpan(..^Hash32.Size));
    }

    /// <returns>The chunk's digest, and its id.</returns>
    public (Hash32 Digest, Hash32 Id) Name(ReadOnlySpan<byte> chunk, DigestKind kind)
    {
        var digest = kind == DigestKind.Blocks ? BlockDigest.Of(chunk) : _digest.Hash(chunk);
        return (digest, Id(digest, kind));
    }

    /// <summary>Gives chunks that lie one after the other their digests of kind whole: many at once where the processor can.</summary>
    /// <param name="joined">Their bytes.</param>
    /// <param name="lengths">Of each, bytes.</param>
    /// <param name="digests">Filled.</param>
    public void Digests(ReadOnlySpan<byte> joined, ReadOnlySpan<int> lengths, Span<Hash32> digests) => _digest.HashAll(joined, lengths, digests);

    /// <summary>The id of the chunk with a digest.</summary>
    public Hash32 Id(Hash32 digest, DigestKind kind)
    {
        Span<byte> hash = stackalloc byte[Hash32.Size];
        var message = _messages[(int)kind];
        digest.CopyTo(message.AsSpan(message.Length - Hash32.Size));
        _id.AppendData(message);
        _id.GetHashAndReset(hash);
        return new Hash32(hash);
    }

    /// <summary>The ids of chunks with digests of kind whole: many at once where the processor can.</summary>
    /// <param name="digests">Of each.</param>
    /// <param name="ids">Filled.</param>
    public void Ids(ReadOnlySpan<Hash32> digests, Span<Hash32> ids)
    {
        if (_wholeIds is { } lanes && digests.Length >= LaneHmac.Least)
        {
            lanes.Hash(digests, ids);
            return;
        }
        for (var i = 0; i < digests.Length; i++)
            ids[i] = Id(digests[i], DigestKind.Whole);
    }

    public void Dispose()
    {
        _wholeIds?.Dispose();
        _digest.Dispose();
        _id.Dispose();
    }
}
