namespace Holdfast.Core.Storage;

/// <summary>Removes files of a store in folders.</summary>
sealed class Remover(FolderStore store, Disk disk) : IRemover
{
    public int Remove(StoreKind kind, Hash32 name)
    {
        foreach (var path in store.FindAll(kind, name).ToList())
            disk.Discard(path);
        return store.FindAll(kind, name).Count();
    }
}
