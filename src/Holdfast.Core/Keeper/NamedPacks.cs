namespace Holdfast.Core.Keeper;

/// <summary>A pack as commits named it.</summary>
/// <param name="LockEnd">Seconds since 1970.</param>
/// <param name="Size">Bytes, as the first of them gave it.</param>
/// <param name="IsNeeded">True where a snapshot that has not been given up has it in its set.</param>
public readonly record struct NamedPack(ulong LockEnd, long Size, bool IsNeeded);

/// <summary>Every pack that a commit named, and the snapshots that cannot say which they need, or give a pack another size than the first did.</summary>
public sealed record NamedPacks(IReadOnlyDictionary<Hash32, NamedPack> Packs, IReadOnlySet<SnapshotRecord> Untold);
