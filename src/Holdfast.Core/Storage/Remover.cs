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
}
