namespace Holdfast.Core.Storage;

/// <summary>Opens the object stores that vaults lie in: Core knows none.</summary>
public interface IObjectStores
{
    /// <summary>What the keeper signs in with, in the vault's folder <c>keeper</c>: for its owner alone.</summary>
    const string CredentialFile = "store.key";

    /// <summary>Refuses a place that does not keep locks, or a credential that could get around them.</summary>
    /// <param name="place">As its vault names it, such as <c>s3:https://HOST/BUCKET/PREFIX</c>.</param>
    /// <param name="vault">The vault's own folder: credentials are in <c>keeper</c>, caches and staging in it too.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    void Check(string place, string vault);

    /// <exception cref="HoldfastException"><c>Usage</c>, <c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    ILockingStore Open(string place, string vault, Disk disk);

    /// <summary>What removes there, with a credential of its own that the keeper may not have; null where this user has none.</summary>
    IRemover? Remover(string place, string vault);
}
