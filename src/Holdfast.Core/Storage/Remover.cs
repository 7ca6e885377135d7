namespace Holdfast.Core.Storage;

/// <summary>Takes what no lock holds out of a folder store. The only code that removes a named file; the only caller is expiry (a layer test says so).</summary>
static class Remover
{
    /// <summary>Removes every copy of a name.</summary>
    /// <returns>Bytes freed.</returns>
    public static long Remove(FolderStore store, Disk disk, StoreKind kind, Hash32 name)
    {
        var freed = 0L;
        foreach (var path in store.FindAll(kind, name).ToList())
        {
            freed += new FileInfo(path).Length;
            disk.Discard(path);
        }
        return freed;
    }

    /// <summary>Removes files that never got a name and have not been touched for a session's life.</summary>
    public static void SweepStaging(FolderStore store, Disk disk, DateTimeOffset before)
    {
        foreach (var file in store.Folders.Select(f => new DirectoryInfo(Path.Combine(f, "staging"))).Where(d => d.Exists).SelectMany(d => d.EnumerateFiles()))
        {
            if (file.LastWriteTimeUtc < before.UtcDateTime)
                disk.Discard(file.FullName);
        }
    }
}
