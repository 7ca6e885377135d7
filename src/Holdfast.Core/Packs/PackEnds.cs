using System.Security.Cryptography;

namespace Holdfast.Core.Packs;

/// <summary>Digest of a pack's two ends: its header, and all that follows its last frame (docs/format.md, section 8).</summary>
/// <remarks>The ends tell keys, number, place and length of each frame, and each frame carries its own tag. So a pack whose ends have the digest that its writer told, and
/// whose frames all open, has the bytes that its name was made of, unless somebody held its pack key.</remarks>
static class PackEnds
{
    /// <param name="header">The first <see cref="PackFormat.HeaderSize"/> bytes.</param>
    /// <param name="tail">From the end of the last frame to the end of the pack.</param>
    public static Id16 Digest(ReadOnlySpan<byte> header, ReadOnlySpan<byte> tail)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(header);
        sha.AppendData(tail);
        Span<byte> digest = stackalloc byte[Hash32.Size];
        sha.GetHashAndReset(digest);
        return new Id16(digest[..Id16.Size]);
    }
}
