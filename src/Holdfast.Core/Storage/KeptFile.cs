namespace Holdfast.Core.Storage;

/// <summary>Reads the files of a key folder: in the name of the folder's owner, who could put a link to a file of the administrator's there, and only plain files, since a pipe or a
/// device never ends.</summary>
public static class KeptFile
{
    /// <summary>Reads a file whole; a link is followed as far as the owner of the folder may go.</summary>
    /// <returns>Null where something else than a plain file of at most so many bytes is there.</returns>
    /// <exception cref="IOException">As <see cref="File.ReadAllBytes(string)"/>.</exception>
    public static byte[]? ReadAll(string path, int limit) =>
        FolderOwner.Read(path, () => PlainFile.ReadAll(FolderPath.Real(path), limit));
}
