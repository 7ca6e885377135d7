namespace Holdfast.Core.Storage;

/// <summary>The two kinds of things a store holds. Both are named by the SHA-256 of their bytes (docs/format.md, section 3).</summary>
public enum StoreKind : byte
{
    Pack = 1,
    Object = 2,
}

/// <summary>A write-once bag of named bytes. There is no delete, no overwrite and no rename: expiry has a process of its own.</summary>
/// <remarks>Every implementation passes <c>StoreContract</c>. Safe for concurrent use. Calls block: the engine runs them on threads of its own
/// (docs/design). Reads see what was entered before they began.</remarks>
public interface IStore
{
    /// <summary>A new nameless file apart from the store, written once, in order. Disposing it without entering it discards it.</summary>
    /// <param name="large">True for a pack.</param>
    IStaged Stage(bool large = false);

    /// <summary>Makes the staged bytes durable and gives them their name, or neither. The caller vouches for the name (it hashed the bytes while
    /// writing them); the keeper recomputes names of what it did not write itself.</summary>
    /// <returns>False if the name is there already; the stored bytes are then untouched and the staged ones discarded.</returns>
    /// <exception cref="HoldfastException"><c>DiskFull</c>, <c>ReadOnlyMedia</c>, <c>NoPermission</c>, <c>StoreUnavailable</c>.</exception>
    bool Enter(IStaged staged, StoreKind kind, Hash32 name);

    /// <summary>Writes a further copy of a name whose copy at hand is damaged or missing. Leaves the damaged one where it is.</summary>
    void EnterCopy(IStaged staged, StoreKind kind, Hash32 name);

    /// <summary>Opens the copy with the given number (0 first) for reading; null where there is none.</summary>
    IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0);

    /// <summary>Every name with its size in bytes, in no order; what was entered before the call began is listed. Files that do not belong are reported.</summary>
    IEnumerable<StoredName> List(StoreKind kind);

    /// <summary>Makes these names durable, whoever entered them: a run that was killed may have named something and not come to make the name durable.</summary>
    void SyncNames(StoreKind kind, IEnumerable<Hash32> names)
    {
    }

    /// <summary>Goes on with the places that there are now: another process may have added one.</summary>
    void Look()
    {
    }

    /// <summary>Discards what killed processes left in staging; what a running one writes stays.</summary>
    void SweepStaging()
    {
    }
}

/// <param name="Kind">Pack or object.</param>
/// <param name="Name">SHA-256 of the bytes, as the file's name claims; none for a file that does not belong.</param>
/// <param name="Copy">0 for the first copy, 1 to 9 for further ones.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Path">Where it lies; of one that does not belong there only.</param>
public readonly record struct StoredName(StoreKind Kind, Hash32 Name, int Copy, long Size, string? Path = null);

/// <summary>Bytes on their way into a store.</summary>
public interface IStaged : IDisposable
{
    /// <summary>Bytes appended so far.</summary>
    long Length { get; }

    void Append(ReadOnlySpan<byte> bytes);
}

/// <summary>One copy of a stored pack or object, open for reading. Safe for concurrent use.</summary>
public interface IStoredItem : IDisposable
{
    /// <summary>Bytes.</summary>
    long Size { get; }

    /// <summary>Fills the whole destination from <paramref name="offset"/> (bytes).</summary>
    /// <exception cref="HoldfastException"><c>Truncated</c> where it is too short; <c>StoreUnavailable</c> where the medium fails.</exception>
    void Read(long offset, Span<byte> destination);

    /// <summary>Lets go what memory holds of it, where it does: the next reading asks the medium.</summary>
    void Forget()
    {
    }
}
