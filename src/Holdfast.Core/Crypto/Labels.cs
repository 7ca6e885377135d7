namespace Holdfast.Core.Crypto;

/// <summary>Every domain-separation label: one label, one use, never changed. Sections are those of docs/format.md; 5.6 is
/// the table.</summary>
/// <remarks>ASCII without NUL: HMAC pads its key with NUL, so two labels are never the same HKDF salt.</remarks>
public static class Labels
{
    /// <summary>Seed of the keyring key pair, from the opening seed (5.2).</summary>
    public static ReadOnlySpan<byte> KeyringSeed => "holdfast/v1/keyring-seed"u8;

    /// <summary>Seed of a sealing key pair, from the opening seed (5.2).</summary>
    public static ReadOnlySpan<byte> SealingSeed => "holdfast/v1/sealing-seed"u8;

    /// <summary>Hash that names a sealing public key (5.2).</summary>
    public static ReadOnlySpan<byte> SealingKeyId => "holdfast/v1/sealing-key-id"u8;

    /// <summary>Sealed box in a keyring (5.4).</summary>
    public static ReadOnlySpan<byte> Keyring => "holdfast/v1/keyring"u8;

    /// <summary>Session key (5.5).</summary>
    public static ReadOnlySpan<byte> Session => "holdfast/v1/session"u8;

    /// <summary>Pack key (5.5).</summary>
    public static ReadOnlySpan<byte> Pack => "holdfast/v1/pack"u8;

    /// <summary>Key of a section of a snapshot, and its AAD (5.5, 10.2).</summary>
    public static ReadOnlySpan<byte> Section => "holdfast/v1/section"u8;

    /// <summary>Key of a pack footer, and its AAD (5.5, 7.3).</summary>
    public static ReadOnlySpan<byte> Footer => "holdfast/v1/footer"u8;

    /// <summary>Key of the reference section, and its AAD (5.5, 10.2).</summary>
    public static ReadOnlySpan<byte> References => "holdfast/v1/references"u8;

    /// <summary>Key of an index run's tags (5.5, 8.2).</summary>
    public static ReadOnlySpan<byte> IndexRun => "holdfast/v1/index-run"u8;

    /// <summary>AAD of a frame (7.2).</summary>
    public static ReadOnlySpan<byte> Frame => "holdfast/v1/frame"u8;

    /// <summary>Name of a chunk (6.1).</summary>
    public static ReadOnlySpan<byte> ChunkId => "holdfast/v1/chunk-id"u8;

    /// <summary>Name of a chunk whose digest is over its blocks (6.1).</summary>
    public static ReadOnlySpan<byte> BlockChunkId => "holdfast/v1/block-chunk-id"u8;

    /// <summary>Digest of a chunk over its blocks (6.1).</summary>
    public static ReadOnlySpan<byte> BlockDigest => "holdfast/v1/block-digest"u8;

    /// <summary>Id of a session (10.1).</summary>
    public static ReadOnlySpan<byte> SessionId => "holdfast/v1/session-id"u8;

    /// <summary>Id of a source (10.1).</summary>
    public static ReadOnlySpan<byte> SourceId => "holdfast/v1/source-id"u8;

    /// <summary>What an agent vouches for (10.3).</summary>
    public static ReadOnlySpan<byte> ContentRoot => "holdfast/v1/content-root"u8;

    /// <summary>What an agent signs (10.3).</summary>
    public static ReadOnlySpan<byte> SnapshotSignature => "holdfast/v1/snapshot-signature"u8;

    /// <summary>Leaf of a pack set (10.4).</summary>
    public static ReadOnlySpan<byte> PackSetLeaf => "holdfast/v1/pack-set-leaf"u8;

    /// <summary>Inner node of a pack set (10.4).</summary>
    public static ReadOnlySpan<byte> PackSetNode => "holdfast/v1/pack-set-node"u8;

    /// <summary>Sealed box in an object that a leaf names (11.4).</summary>
    public static ReadOnlySpan<byte> Payload => "holdfast/v1/payload"u8;

    /// <summary>Key of a source's entries in the erasure register, from the opening seed (11.8).</summary>
    public static ReadOnlySpan<byte> ErasureKey => "holdfast/v1/erasure-key"u8;

    /// <summary>What an entry of the erasure register names a path or a file by (11.8).</summary>
    public static ReadOnlySpan<byte> ErasureReference => "holdfast/v1/erasure-reference"u8;

    /// <summary>Shows that whoever made an entry of the erasure register had its key (11.8).</summary>
    public static ReadOnlySpan<byte> ErasureTag => "holdfast/v1/erasure-tag"u8;

    /// <summary>Id of an approver (11.7).</summary>
    public static ReadOnlySpan<byte> ApproverId => "holdfast/v1/approver-id"u8;

    /// <summary>What an approver signs (11.7).</summary>
    public static ReadOnlySpan<byte> Approval => "holdfast/v1/approval"u8;

    /// <summary>Private key by which the opening seed asks for other approvers (11.7).</summary>
    public static ReadOnlySpan<byte> SuccessionKey => "holdfast/v1/succession-key"u8;

    /// <summary>Checksum at the end of an approver's key file (13.5).</summary>
    public static ReadOnlySpan<byte> ApproverKeyFile => "holdfast/v1/approver-key-file"u8;

    /// <summary>Key that wraps the opening seed in one slot of a key file (13.2).</summary>
    public static ReadOnlySpan<byte> KeySlot => "holdfast/v1/key-slot"u8;

    /// <summary>The 16 bytes by which a slot knows its own secret (13.2).</summary>
    public static ReadOnlySpan<byte> KeySlotCheck => "holdfast/v1/key-slot-check"u8;

    /// <summary>Checksum at the end of a key file (13.2).</summary>
    public static ReadOnlySpan<byte> KeyFile => "holdfast/v1/key-file"u8;

    /// <summary>The 4 bytes by which combined shares know the right seed (13.3).</summary>
    public static ReadOnlySpan<byte> SeedCheck => "holdfast/v1/seed-check"u8;

    /// <summary>The 3 bytes by which a share knows that its lines belong together (13.3).</summary>
    public static ReadOnlySpan<byte> ShareCheck => "holdfast/v1/share-check"u8;

    /// <summary>The four check words of a share (13.3).</summary>
    public static ReadOnlySpan<byte> ShareWords => "holdfast/v1/share-words"u8;
}
