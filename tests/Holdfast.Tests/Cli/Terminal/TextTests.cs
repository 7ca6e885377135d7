using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Cli.Terminal;

public sealed class TextTests
{
    /// <summary>What `ls` prints names the file it stands for, whatever bytes its name has: as a path, and as a pattern, but for the characters that a pattern has for itself.</summary>
    [Fact]
    public void A_printed_name_reads_back_as_the_bytes_it_was_printed_from()
    {
        var random = new Random(1);
        for (var round = 0; round < 2_000; round++)
        {
            var name = new byte[1 + random.Next(12)];
            for (var i = 0; i < name.Length; i++)
                name[i] = random.Next(3) switch { 0 => (byte)"\\x0aä?*[]!# "u8[random.Next(11)], 1 => (byte)random.Next(1, 256), _ => (byte)random.Next('a', 'z') };
            name.AsSpan().Replace((byte)'/', (byte)'_');
            var printed = Text.Name(name);
            if (Text.Unescaped(printed) is { } read)
                Assert.Equal(name, read);
            else
                Assert.Equal(name, Encoding.UTF8.GetBytes(printed));
            var literal = string.Concat(name.Select(b => $"\\x{b:x2}"));
            Assert.True(new Excludes().Add(Text.Pattern(literal)).Match(name, isFolder: false), literal);
        }
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("a\\b")]
    [InlineData("end\\")]
    [InlineData("\\x0")]
    [InlineData("\\xzz")]
    public void A_text_that_no_name_is_printed_as_is_none(string text) => Assert.Null(Text.Unescaped(text));

    [Theory]
    [InlineData("*.dcm")]
    [InlineData("\\!a")]
    [InlineData("a\\\\x0a")]
    [InlineData("\\xyz\\")]
    [InlineData("[\\]ä]")]
    public void A_pattern_without_printed_bytes_stays_as_it_is(string pattern) => Assert.Equal(Encoding.UTF8.GetBytes(pattern), Text.Pattern(pattern));

    [Theory]
    [InlineData("Run `holdfast status`, then holdfast verify (holdfast log entries): holdfast up", "Run `./holdfast status`, then ./holdfast verify (./holdfast log entries): ./holdfast up")]
    [InlineData("holdfast: a folder is not there: /mnt/holdfast data; the file holdfast is", "holdfast: a folder is not there: /mnt/holdfast data; the file holdfast is")]
    public void A_call_within_a_sentence_is_written_as_the_program_was_called(string text, string called)
    {
        Assert.Equal(called, Shell.AsCalled(text, "./holdfast"));
        Assert.Equal(text, Shell.AsCalled(text, "holdfast"));
    }

    [Theory]
    [InlineData("./holdfast", "/work/it's", "/work/it's/holdfast", @"'/work/it'\''s/holdfast'", @"'/work/it\'s/holdfast'")]
    [InlineData("../holdfast", "/work/h", "/work/holdfast", "/work/holdfast", "/work/holdfast")]
    [InlineData("/opt/a\\b/holdfast", "/", "/opt/a\\b/holdfast", @"'/opt/a\b/holdfast'", @"'/opt/a\\b/holdfast'")]
    [InlineData("holdfast", "/work", "holdfast", "holdfast", "holdfast")]
    [InlineData("", "/work", "holdfast", "holdfast", "holdfast")]
    [InlineData("./holdfast", "/a\nrm x", "holdfast", "holdfast", "holdfast")]
    [InlineData("./holdfast", "/a\u202e", "holdfast", "holdfast", "holdfast")]
    public void A_script_that_is_run_in_any_folder_has_the_programs_full_path(string called, string folder, string program, string word, string inFish)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "paths of Linux");
        Assert.Equal(program, Shell.Anywhere(called, folder));
        Assert.Equal((word, inFish), (Shell.Word(program), Shell.FishWord(program)));
    }

    [Theory]
    [InlineData("3B", 3UL)]
    [InlineData("50GB", 50_000_000_000UL)]
    [InlineData("2TB", 2_000_000_000_000UL)]
    [InlineData("50GiB", 50UL << 30)]
    [InlineData("1024PiB", 1UL << 60)]
    [InlineData("1025PiB", null)]
    [InlineData("1153PB", null)]
    [InlineData("50gb", null)]
    [InlineData("50", null)]
    [InlineData("0GB", null)]
    public void A_size_has_a_unit_of_1024_or_of_1000(string text, ulong? bytes) => Assert.Equal(bytes, Text.Size(text));

    [Fact]
    public void A_files_time_has_nine_digits_and_a_year_of_four()
    {
        Assert.Equal("1969-12-31T23:59:59.000000007Z", Text.Iso(-1, 7));
        Assert.Equal("9999-12-31T23:59:59.999999999Z", Text.Iso(long.MaxValue, 999_999_999));
        Assert.Equal("0001-01-01T00:00:00.000000000Z", Text.Iso(long.MinValue, 0));
    }
}
