namespace Holdfast.Core.Packs;

/// <summary>Numbers of docs/format.md, sections 7 and 14. Bytes, unless said otherwise.</summary>
public static class PackFormat
{
    public const int HeaderSize = 1_280;
    public const int BoundHeaderSize = 144; // what the footer's seal covers
    public const int TrailerSize = 16;
    public const int Quantum = 65_536; // a pack is a multiple of it
    public const int TargetSize = 64 << 20;
    public const int MaxSize = 128 << 20;

    public const int MaxFrames = 65_536; // frames a pack
    public const int MaxChunks = 1 << 20; // chunks a pack
    public const int MaxFooter = 64 << 20;
    public const int MaxPayload = 8 << 20; // a frame's bytes before compression
    public const int MaxExpansion = 256; // bytes of all payloads for each byte of the pack: what reading a pack costs is bounded by what storing it cost
    public const int MaxStored = MaxPayload + 4_096;
    public const int MaxChunk = 4 << 20;

    /// <summary>Small chunks share a frame up to about this many bytes.</summary>
    public const int SharedPayload = 1 << 20;

    public const byte CodecStored = 0;
    public const byte CodecZstd = 1;
    public const int KindShift = 1; // bits of a frame's codec byte below the kind of its chunks' digests

    public static ReadOnlySpan<byte> EndMagic => "HF-END\r\n"u8;

    public static HoldfastException Damaged(Hash32 pack, string what) => new(ErrorCode.PackDamaged,
        $"Pack {pack} is damaged: {what}.",
        "Run `holdfast verify` to see how far the damage goes. Another copy of the pack is used where there is one; the next backup stores again what it can read at the source.");
}
