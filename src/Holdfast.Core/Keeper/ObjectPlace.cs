using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The object store that a new vault's packs and objects go to.</summary>
/// <param name="Place">As <see cref="IObjectStores"/> reads it.</param>
/// <param name="Credential">What the keeper signs in with there; kept in the vault's folder <c>keeper</c> beside the log's key.</param>
/// <param name="Stores">Opens it.</param>
public sealed record ObjectStorePlace(string Place, byte[] Credential, IObjectStores Stores)
{
    /// <summary>What whoever makes the vault has to know of the place; null for nothing.</summary>
    public HoldfastException? Told { get; private set; }

    /// <summary>Whether that vault says that its packs and objects lie in one; a look, which judges nothing.</summary>
    public static bool IsNamedBy(string vault) => File.Exists(ObjectPlace.At(vault));

    /// <summary>Writes down where it is, once it has been found to keep locks.</summary>
    internal void Make(string vault, Disk disk)
    {
        Told = Stores.Check(Place, Credential);
        disk.Replace(Path.Combine(vault, "keeper", IObjectStores.CredentialFile), Credential);
        disk.Replace(Path.Combine(vault, "keeper", "store"), Encoding.UTF8.GetBytes(Place + "\n"));
    }
}

/// <summary>Where the packs and objects of a vault lie that are not in folders: <c>keeper/store</c>, one line (docs/format.md, section 3).</summary>
static class ObjectPlace
{
    const int MaxSize = 4_096; // bytes

    /// <summary>Null for a vault in folders.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    public static string? Read(string vault)
    {
        try
        {
            var bytes = PlainFile.ReadAll(At(vault), MaxSize);
            return bytes is not null && Encoding.UTF8.GetString(bytes).TrimEnd('\n') is { Length: > 0 } place && !place.Any(char.IsControl) ? place : throw new HoldfastException(ErrorCode.StoreUnavailable,
                "The file keeper/store, which says where the vault's packs lie, is not one line of text.", "Put back that line as `holdfast init` wrote it; nothing was changed.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }

    public static string At(string vault) => Path.Combine(vault, "keeper", "store");
}
