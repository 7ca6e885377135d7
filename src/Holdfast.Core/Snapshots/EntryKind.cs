namespace Holdfast.Core.Snapshots;

/// <summary>What an entry of a tree is. Numbers are written to disk and never change (docs/format.md, section 9).</summary>
public enum EntryKind : byte
{
    None = 0,
    File = 1,
    Directory = 2,
    Symlink = 3,
    Fifo = 4,
    CharacterDevice = 5,
    BlockDevice = 6,
}
