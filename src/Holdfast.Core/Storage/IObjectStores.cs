namespace Holdfast.Core.Storage;

/// <summary>Opens the object stores, and reaches the keepers, that vaults lie in or with: Core knows none.</summary>
public interface IObjectStores
{
    /// <summary>What the keeper signs in with, in the vault's folder <c>keeper</c>: for its owner alone.</summary>
    const string CredentialFile = "store.key";

    /// <summary>A place as its vault names it, from what a user typed.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: that is none.</exception>
    string Name(string place);

    /// <summary>Refuses a file that holds no credential, or that others than its owner may read.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    void RequireCredential(string file);

    /// <summary>Refuses a place for a new vault that does not keep locks, or holds one already, and a credential that could get around locks.</summary>
    /// <param name="place">As its vault names it, such as <c>s3:https://HOST/BUCKET/PREFIX</c>.</param>
    /// <param name="credential">What the keeper signs in with.</param>
    /// <returns>What has to be told of it all the same; null for nothing.</returns>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>StoreUnsafe</c>, <c>VaultExists</c>, <c>KeyFileBad</c>, <c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    HoldfastException? Check(string place, ReadOnlySpan<byte> credential);

    /// <param name="place">The same.</param>
    /// <param name="vault">The vault's own folder: credentials are in <c>keeper</c>, caches and staging in it too.</param>
    /// <param name="disk">Where changes of these go.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    IStore Open(string place, string vault, Disk disk);

    /// <summary>What removes there, with a credential of its own that the keeper may not have; null where this user has none.</summary>
    IRemover? Remover(string place, string vault);
}
