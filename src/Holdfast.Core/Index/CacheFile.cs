using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Index;

/// <summary>Files of a cache folder: replaced whole, and emptied when no longer needed. Nothing here is data; nothing here is deleted but what a killed writer left.</summary>
static class CacheFile
{
    /// <summary>Writes a new file apart and puts it in the place of the old one. A crash leaves the one or the other; caches need no fsync, their
    /// readers check them.</summary>
    /// <exception cref="IOException">Also where a link stands in the way: it is never written through.</exception>
    public static void Replace(string path, Action<SafeFileHandle> write)
    {
        Leftovers.Sweep(Disk.Real, Path.GetDirectoryName(path)!, $"{Path.GetFileName(path)}.*new");
        var apart = $"{path}.{Id16.New()}.new";
        using (var file = Leftovers.Hold(PlainFile.CreateNew(apart)))
            write(file);
        FolderOwner.Act(path, () =>
        {
#pragma warning disable RS0030 // a cache file, replaced by its next version
            File.Move(apart, path, overwrite: true);
#pragma warning restore RS0030
            return true;
        });
    }

    public static void Empty(string path) => Replace(path, _ => { });
}
