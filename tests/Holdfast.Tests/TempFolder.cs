namespace Holdfast.Tests;

/// <summary>A folder of a test's own, gone afterwards.</summary>
sealed class TempFolder : IDisposable
{
    /// <param name="parent">Where; null for the system's place for such.</param>
    public TempFolder(string? parent = null) =>
        Path = (parent is null ? Directory.CreateTempSubdirectory("holdfast-test-") : Directory.CreateDirectory(System.IO.Path.Combine(parent, Guid.NewGuid().ToString()))).FullName;

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // Something is still open in it; the system's cleaning of temporary folders takes it.
        }
    }
}
