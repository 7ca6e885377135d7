using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Index;

/// <summary>Files of a cache folder: replaced whole, and emptied when no longer needed. Nothing here is data; nothing here is deleted.</summary>
static class CacheFile
{
    /// <summary>Writes a new file apart and puts it in the place of the old one. A crash leaves the one or the other; caches need no fsync, their
    /// readers check them.</summary>
    public static void Replace(string path, Action<SafeFileHandle> write)
    {
        var apart = $"{path}.new"; // one writer at a time: the folder is locked
#pragma warning disable RS0030 // a cache file, replaced by its next version
        using (var file = File.OpenHandle(apart, FileMode.Create, FileAccess.Write, FileShare.None))
            write(file);
        File.Move(apart, path, overwrite: true);
#pragma warning restore RS0030
    }

    public static void Empty(string path) => Replace(path, _ => { });
}
