using System.Security.Cryptography;

namespace Holdfast.Core.Chunking;

/// <summary>One chunk of a file: its digest and its length in bytes (1 to 4 MiB).</summary>
public readonly record struct ChunkRef(Hash32 Digest, int Length, DigestKind Kind = DigestKind.Whole)
{
    /// <summary>True where these bytes are the chunk.</summary>
    public bool Names(ReadOnlySpan<byte> bytes) => bytes.Length == Length && DigestOf(bytes, Kind) == Digest;

    /// <summary>The digest of a chunk (docs/format.md, section 6.1).</summary>
    public static Hash32 DigestOf(ReadOnlySpan<byte> bytes, DigestKind kind)
    {
        if (kind == DigestKind.Blocks)
            return BlockDigest.Of(bytes);
        Span<byte> hash = stackalloc byte[Hash32.Size];
        SHA256.HashData(bytes, hash);
        return new Hash32(hash);
    }
}

/// <summary>What the digest of a chunk is (docs/format.md, section 6.1). Chunks of two kinds never have one id.</summary>
public enum DigestKind : byte
{
    /// <summary>SHA-256 of its bytes: of a file that is one chunk, and of all that is no content.</summary>
    Whole = 0,

    /// <summary>SHA-256 over the SHA-256 of its blocks of 16 KiB: of the chunks of a file that lists them.</summary>
    Blocks = 1,
}
