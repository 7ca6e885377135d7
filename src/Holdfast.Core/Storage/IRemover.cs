namespace Holdfast.Core.Storage;

/// <summary>Takes what no lock holds out of a store. The only way in which anything with a name goes; the only caller is expiry (a layer test says so).</summary>
public interface IRemover
{
    /// <summary>Removes every copy of a name.</summary>
    /// <returns>How many copies are still there.</returns>
    int Remove(StoreKind kind, Hash32 name);
}
