using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Whatever somebody puts under a file's name: a plain file is opened, nothing else, and nothing is reached through it.</summary>
public sealed class PlainFileTests
{
    /// <summary>A name under which something stands that is no plain file of its own.</summary>
    static IEnumerable<string> Links(TempFolder folder)
    {
        File.WriteAllText(folder["other"], "of somebody else");
        Directory.CreateDirectory(folder["folder"]);
        foreach (var (name, target) in new[] { ("to-a-file", "other"), ("to-nothing", "nothing"), ("to-a-folder", "folder") })
        {
            File.CreateSymbolicLink(folder[name], folder[target]);
            yield return folder[name];
        }
    }

    [Fact]
    public void Nothing_is_read_through_a_link()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs O_NOFOLLOW");
        using var folder = new TempFolder();
        foreach (var link in Links(folder))
        {
            Assert.Null(PlainFile.Open(link));
            Assert.Null(PlainFile.ReadAll(link, 100));
            Assert.False(PlainFile.ReadNote(link, 1, 100, 100).MoveNext());
            Assert.False(PlainFile.IsOne(link));
        }
        Assert.Equal("of somebody else"u8.ToArray(), PlainFile.ReadAll(folder["other"], 100));
    }

    [Fact]
    public void Nothing_is_made_or_taken_through_a_link()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs O_NOFOLLOW");
        using var folder = new TempFolder();
        foreach (var link in Links(folder))
        {
            Assert.ThrowsAny<IOException>(() => PlainFile.CreateNew(link));
            Assert.ThrowsAny<IOException>(() => PlainFile.Take(link));
        }
        Assert.False(File.Exists(folder["nothing"]));
        Assert.Equal("of somebody else", File.ReadAllText(folder["other"]));
    }

    [Fact]
    public void A_new_file_is_never_one_that_is_there()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["there"], "kept");
        Assert.ThrowsAny<IOException>(() => PlainFile.CreateNew(folder["there"]));
        Assert.Equal("kept", File.ReadAllText(folder["there"]));
    }
}
