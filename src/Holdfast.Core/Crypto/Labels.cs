namespace Holdfast.Core.Crypto;

/// <summary>Every domain-separation label. One label, one use; a label is never reused or changed (docs/format.md, section on labels).</summary>
/// <remarks>ASCII, no NUL byte: HKDF pads its salt with NUL, so two labels can then never become the same key. A test checks that they
/// are distinct and that none is the beginning of another.</remarks>
public static class Labels
{
    /// <summary>Salt of <see cref="Kdf"/> for the key of one <see cref="SealedBox"/>.</summary>
    public static ReadOnlySpan<byte> SealedBox => "holdfast/v1/sealed-box"u8;

    /// <summary>Key that wraps the opening seed in one slot of the opening key file.</summary>
    public static ReadOnlySpan<byte> SlotWrap => "holdfast/v1/key-slot-wrap"u8;

    /// <summary>The 16 bytes by which a slot knows its own secret.</summary>
    public static ReadOnlySpan<byte> SlotCheck => "holdfast/v1/key-slot-check"u8;

    /// <summary>The unkeyed checksum at the end of the opening key file.</summary>
    public static ReadOnlySpan<byte> KeyFileSum => "holdfast/v1/opening-key-file"u8;

    /// <summary>The 4 bytes by which combined shares know the right seed.</summary>
    public static ReadOnlySpan<byte> ShareSeedCheck => "holdfast/v1/recovery-seed-check"u8;

    /// <summary>The 3 bytes by which one share knows that its lines belong together.</summary>
    public static ReadOnlySpan<byte> ShareSum => "holdfast/v1/recovery-share-sum"u8;

    /// <summary>The four check words of a share.</summary>
    public static ReadOnlySpan<byte> ShareWords => "holdfast/v1/recovery-check-words"u8;
}
