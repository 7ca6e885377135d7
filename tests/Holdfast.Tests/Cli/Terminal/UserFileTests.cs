using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Tests.Cli.Terminal;

public sealed class UserFileTests
{
    const string What = "The proof file";

    [Fact]
    public void A_missing_file_a_folder_and_one_too_large_are_told_apart_without_their_path()
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["large"], new byte[101]);
        foreach (var (path, words) in new[] { (folder["none"], "does not exist"), (folder["none/file"], "does not exist"), (folder.Path, "is a folder"), (folder["large"], "is too large"), ("/dev/zero", "is too large"), ("a\0b", "does not exist") })
        {
            var fault = Assert.Throws<HoldfastException>(() => UserFile.Bytes(path, What, ErrorCode.KeyFileBad, limit: 100));
            Assert.Equal(ErrorCode.KeyFileBad, fault.Code);
            Assert.StartsWith(What, fault.Message, StringComparison.Ordinal);
            Assert.Contains(words, fault.Message, StringComparison.Ordinal);
            Assert.DoesNotContain(folder.Path, fault.Message + fault.Guidance, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_file_of_just_the_limit_is_read()
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["f"], new byte[100]);
        Assert.Equal(100, UserFile.Bytes(folder["f"], What, limit: 100).Length);
    }

    [Theory]
    [InlineData("correct horse\n", "correct horse")]
    [InlineData("correct horse\r\nmore", "correct horse")]
    [InlineData("\ufeffcorrect horse", "correct horse")]
    [InlineData(" spaces count ", " spaces count ")]
    public void The_first_line_is_the_same_from_any_editor(string text, string expected)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["f"], text);
        Assert.Equal(expected, UserFile.FirstLine(folder["f"], What));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\nsecond line")]
    public void An_empty_first_line_is_no_passphrase(string text)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["f"], text);
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => UserFile.FirstLine(folder["f"], What, ErrorCode.KeyFileBad)).Code);
    }
}
