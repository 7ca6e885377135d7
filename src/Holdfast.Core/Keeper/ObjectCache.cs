using System.Security.Cryptography;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Objects of a store that is far away, kept beside the log: what the log names is read at each opening, and would be asked for one by one each time. Named by what they are, and checked against that when they are read, so
/// that a copy that is damaged, or that somebody put there, counts as none. Whether they are still where they belong, lists and <c>verify</c> say, which ask the store itself.</summary>
/// <param name="folder">Where; it need not be there, and need not be writable.</param>
/// <param name="store">Has them.</param>
/// <param name="disk">Where changes go.</param>
sealed class ObjectCache(string folder, IStore store, Disk disk)
{
    bool _mayKeep = true;

    /// <exception cref="HoldfastException">As <see cref="StoreExtensions.ReadObject"/>.</exception>
    public byte[] Read(Hash32 name)
    {
        var path = Path.Combine(folder, name.ToString()[..2], name.ToString());
        try
        {
            if (PlainFile.ReadAll(path, StoreExtensions.MaxObject) is { } kept && new Hash32(SHA256.HashData(kept)) == name)
                return kept;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not there yet, or nothing that this user may read.
        }
        var bytes = store.ReadObject(name);
        Keep(path, bytes);
        return bytes;
    }

    void Keep(string path, byte[] bytes)
    {
        if (!_mayKeep)
            return;
        var apart = $"{path}.{Id16.New()}";
        try
        {
            disk.MakeFolder(Path.GetDirectoryName(path)!, ownerOnly: true);
            using (var file = disk.CreatePassing(apart))
                file.Append(bytes);
            disk.Rename(apart, path, replace: true);
        }
        catch (HoldfastException)
        {
            _mayKeep = false; // read-only media, a full disk: it goes without
            disk.Discard(apart);
        }
    }
}
