using Holdfast.Core.Chunking;

namespace Holdfast.Core.Packs;

/// <summary>A frame before it is sealed: its payload as it is, or as one zstd frame.</summary>
/// <param name="Codec">How <paramref name="Bytes"/> are the payload.</param>
/// <param name="Kind">Of its chunks' digests.</param>
/// <param name="Lengths">Of its chunks, bytes, 1 or more.</param>
/// <param name="Bytes">What is sealed.</param>
public sealed record UnsealedFrame(byte Codec, DigestKind Kind, int[] Lengths, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Bytes of its chunks.</summary>
    public int PayloadLength { get; } = Lengths.Sum();

    /// <summary>What a frame has to be compressed to: a gain under 1.6 % is not worth decompressing again.</summary>
    /// <param name="payload">Bytes before.</param>
    /// <param name="compressed">Bytes after.</param>
    public static bool IsGain(int payload, int compressed) => compressed < payload - payload / 64;
}
