namespace Holdfast.Core.Keys;

/// <summary>Domain-separation labels of the key tree and of what its keys seal (docs/format.md, section 5.6).</summary>
public static class KeyLabels
{
    public static ReadOnlySpan<byte> KeyringSeed => "holdfast/v1/keyring-seed"u8;
    public static ReadOnlySpan<byte> SealingSeed => "holdfast/v1/sealing-seed"u8;
    public static ReadOnlySpan<byte> SealingKeyId => "holdfast/v1/sealing-key-id"u8;
    public static ReadOnlySpan<byte> Keyring => "holdfast/v1/keyring-box"u8;
    public static ReadOnlySpan<byte> Session => "holdfast/v1/session"u8;
    public static ReadOnlySpan<byte> Pack => "holdfast/v1/pack-key"u8;
    public static ReadOnlySpan<byte> Section => "holdfast/v1/section"u8;
    public static ReadOnlySpan<byte> Footer => "holdfast/v1/footer"u8;
    public static ReadOnlySpan<byte> References => "holdfast/v1/references"u8;
    public static ReadOnlySpan<byte> Frame => "holdfast/v1/frame"u8;
    public static ReadOnlySpan<byte> ChunkId => "holdfast/v1/chunk-id"u8;
    public static ReadOnlySpan<byte> SourceId => "holdfast/v1/source-id"u8;
    public static ReadOnlySpan<byte> Payload => "holdfast/v1/payload"u8;
}
