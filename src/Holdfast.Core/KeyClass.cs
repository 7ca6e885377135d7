namespace Holdfast.Core;

/// <summary>What a key opens (docs/format.md, section 5.1). Numbers are written to disk and never change.</summary>
public enum KeyClass : byte
{
    /// <summary>File bytes: restores and restore tests.</summary>
    Content = 1,

    /// <summary>Names, attributes, digests: browsing and hash hunts.</summary>
    Tree = 2,

    /// <summary>Statistics: detection.</summary>
    Features = 3,
}
