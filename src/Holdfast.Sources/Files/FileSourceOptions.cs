namespace Holdfast.Sources.Files;

/// <summary>What of a folder is backed up.</summary>
public sealed record FileSourceOptions
{
    /// <summary>Stay on the root's file system; mount points are kept as empty folders.</summary>
    public bool OneFileSystem { get; init; }

    /// <summary>Leave out what lies in folders that a CACHEDIR.TAG marks as caches (bford.info/cachedir), all but the tag. Whoever may write to the data can have any folder of it left out so.</summary>
    public bool SkipCaches { get; init; }

    public Excludes Excludes { get; init; } = new();

    /// <summary>Called at the end where there was nothing but the root.</summary>
    public Action? WhenEmpty { get; init; }

    /// <summary>Folders never entered, such as the vault itself.</summary>
    public IReadOnlyList<string> SkipFolders { get; init; } = [];
}
