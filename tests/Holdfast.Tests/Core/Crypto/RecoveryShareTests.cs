using System.Security.Cryptography;
using CsCheck;
using Holdfast.Core;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public class RecoveryShareTests
{
    static readonly IReadOnlyList<RecoveryShare> Shares = RecoveryShares.Split(RandomNumberGenerator.GetBytes(32), Id16.New(), 9, 3, 5);
    static readonly RecoveryShare Share = Shares[1];
    static readonly string Text = Share.ToText();
    static readonly string[] Bare = [.. Text.Split('\n')[1..8].Select(line => line[3..])];

    [Fact]
    public void Both_text_forms_read_back()
    {
        foreach (var text in new[] { Text, Share.ToQrText() })
        {
            var share = Read(text);
            Assert.Equal(
                (Share.VaultId, Share.Epoch, Share.SetId, 3, 2, 5),
                (share.VaultId, share.Epoch, share.SetId, share.Threshold, share.Index, share.Total));
            Assert.Equal(Share.Payload.Span.ToArray(), share.Payload.Span.ToArray());
            Assert.Equal(Text, share.ToText());
            Assert.Equal(Share.Words, share.Words);
        }
        Assert.Matches("^HOLDFAST SHARE 1\n([1-7]: ([0-9A-HJKMNP-TV-Z]{4} ){4}[0-9A-HJKMNP-TV-Z]{4}\n){7}$", Text);
        Assert.Matches("^HOLDFAST-SHARE-1:[0-9A-Z]{140}$", Share.ToQrText());
    }

    [Fact]
    public void What_a_person_types_is_taken_as_it_is_meant()
    {
        Same(Text.ToLowerInvariant());
        Same(Text.Replace('0', 'O').Replace('1', 'I'), numbered: false);
        Same(string.Join('\n', Bare).Replace('0', 'o').Replace('1', 'l'));
        Same(string.Join("\r\n\r\n", Bare).Replace(" ", ""));
        Same(string.Join('\n', Bare).Replace(' ', '-'));
        Same(string.Concat(Bare));
        Same(string.Join("\n", Bare.SelectMany(line => line.Split(' ')))); // one group a line
        Same(string.Join('\n', Bare.Select((line, i) => $"  {i + 1}) {line}").Reverse())); // numbered, in any order
        Same("holdfast share 1\n" + string.Join('\n', Bare));

        void Same(string text, bool numbered = true)
        {
            if (!numbered)
                text = string.Join('\n', text.Split('\n').Skip(1).Select(line => line.Length > 3 ? line[3..] : line));
            Assert.Equal(Text, Read(text).ToText());
        }
    }

    [Fact]
    public void Every_single_wrong_character_is_found_and_pointed_at()
    {
        for (var line = 0; line < 7; line++)
        {
            var characters = Bare[line].Replace(" ", "");
            for (var at = 0; at < 20; at++)
                foreach (var wrong in ShareLine.Alphabet)
                {
                    if (wrong == characters[at])
                        continue;
                    var lines = Bare.ToArray();
                    lines[line] = characters[..at] + wrong + characters[(at + 1)..];
                    var fault = Fault(string.Join('\n', lines));
                    Assert.Equal((line + 1, at + 1), (fault.Line, fault.Position));
                }
        }
    }

    [Fact]
    public void Up_to_four_wrong_characters_in_a_line_are_always_found() =>
        Gen.Select(Gen.Int[0, 6], Gen.Int[0, 19].HashSet[1, 4], Gen.Int[1, 31].Array[4]).Sample((line, positions, changes) =>
        {
            var characters = Bare[line].Replace(" ", "").ToCharArray();
            foreach (var (i, at) in positions.Index())
                characters[at] = ShareLine.Alphabet[ShareLine.Alphabet.IndexOf(characters[at]) ^ changes[i]];
            var lines = Bare.ToArray();
            lines[line] = new string(characters);
            Assert.Equal(line + 1, Fault(string.Join('\n', lines)).Line);
        }, iter: 20_000);

    [Fact]
    public void Swapped_neighbours_are_found()
    {
        for (var line = 0; line < 7; line++)
            for (var at = 0; at < 19; at++)
            {
                var characters = Bare[line].Replace(" ", "").ToCharArray();
                if (characters[at] == characters[at + 1])
                    continue;
                (characters[at], characters[at + 1]) = (characters[at + 1], characters[at]);
                var lines = Bare.ToArray();
                lines[line] = new string(characters);
                Assert.Equal(line + 1, Fault(string.Join('\n', lines)).Line);
            }
    }

    [Fact]
    public void Lines_in_the_wrong_order_are_named()
    {
        var fault = Fault(string.Join('\n', Bare[0], Bare[4], Bare[2], Bare[3], Bare[1], Bare[5], Bare[6]));
        Assert.Equal(2, fault.Line);
        Assert.Contains("this is line 5 of a share", fault.Problem);
    }

    [Fact]
    public void A_line_of_another_share_is_found()
    {
        var other = Shares[3].ToText().Split('\n');
        var mixed = Text.Split('\n');
        mixed[5] = other[5];
        var fault = Fault(string.Join('\n', mixed));
        Assert.Equal(0, fault.Line);
        Assert.Contains("not lines of one share", fault.Problem);
    }

    [Fact]
    public void Missing_short_and_foreign_lines_are_named()
    {
        var lines = Text.Split('\n');
        Assert.Equal("Line 4: missing.", Fault(string.Join('\n', lines.Where(l => !l.StartsWith('4')))).ToString());
        Assert.Equal("Line 3: typed twice.", Fault(Text + lines[3]).ToString());
        Assert.Equal((2, 0), At(Fault(Text.Replace(lines[2], lines[2][..^1]))));
        Assert.Equal((6, 10), At(Fault(Text.Replace(lines[6], lines[6][..14] + "U" + lines[6][15..]))));
        Assert.Equal("Line 6, group 3, character 2", Fault(Text.Replace(lines[6], lines[6][..14] + "U" + lines[6][15..])).ToString()[..28]);
        Assert.Contains("newer", Fault(Text.Replace("SHARE 1", "SHARE 2")).Problem);
        Assert.Contains("140 in all", Fault(Bare[0]).Problem);
        Assert.Contains("Nothing", Fault(" \n\n").Problem);
        Assert.Contains("too long", Fault(new string('A', RecoveryShare.MaxTextLength + 1)).Problem);

        static (int, int) At(ShareFault fault) => (fault.Line, fault.Position);
    }

    [Fact]
    public void Faults_and_names_never_repeat_the_secret()
    {
        var e = Assert.Throws<HoldfastException>(() => RecoveryShare.Parse(Text.Replace(Bare[5], Bare[5][..^1] + "?"), "share 2"));
        Assert.Equal(ErrorCode.ShareBad, e.Code);
        Assert.StartsWith("share 2 cannot be read. Line 6, group 5, character 4", e.Message);
        foreach (var group in Bare.SelectMany(line => line.Split(' ')))
            Assert.DoesNotContain(group, e.Message + e.Guidance + Share, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Impossible_numbers_are_refused()
    {
        foreach (var (m, i, n) in new[] { (0, 1, 3), (4, 1, 3), (2, 0, 3), (2, 4, 3) })
        {
            var share = RecoveryShare.Create(Share.VaultId, 1, 1, m, i, n, Share.SeedCheck, Share.Payload.Span);
            Assert.Contains("cannot be", Fault(share.ToText()).Problem);
        }
    }

    [Fact]
    public void Hostile_text_never_throws() =>
        Gen.OneOf(Gen.String[0, 300], Gen.String[Gen.Char[" \n:17AOUhH-"], 0, 300], Gen.String[Gen.Char[ShareLine.Alphabet], 140, 140])
            .Sample(text => Assert.False(RecoveryShare.TryParse(text, out _, out var fault) || fault is null), iter: 5000);

    [Fact]
    public void The_layout_is_the_documented_one()
    {
        var bits = string.Concat(Bare.SelectMany(line => line.Replace(" ", "")[..16])
            .Select(c => Convert.ToString(ShareLine.Alphabet.IndexOf(c), 2).PadLeft(5, '0')));
        var bytes = bits.Chunk(8).Select(b => Convert.ToByte(new string(b), 2)).ToArray();
        Assert.Equal(70, bytes.Length);
        Assert.Equal(Share.VaultId, new Id16(bytes.AsSpan(0, 16)));
        Assert.Equal([9, 0, 0, 0], bytes[16..20]);
        Assert.Equal([3, 2, 5], bytes[28..31]);
        Assert.Equal(Share.Payload.Span.ToArray(), bytes[35..67]);
        Assert.Equal(SHA256.HashData([.. "holdfast/v1/share-check"u8, .. bytes[..67]])[..3], bytes[67..]);
        var hash = SHA256.HashData([.. "holdfast/v1/share-words"u8, .. bytes]);
        Assert.Equal(string.Join(' ', hash[..4].Select(CheckWords.Of)), Share.Words);
    }

    [Fact]
    public void Check_words_are_256_plain_words_that_differ_early()
    {
        var words = Enumerable.Range(0, 256).Select(i => CheckWords.Of((byte)i)).ToArray();
        Assert.All(words, word => Assert.Matches("^[a-z]{3,8}$", word));
        Assert.Equal(256, words.Select(word => word[..3]).Distinct().Count());
        Assert.Equal(("acorn", "zip"), (words[0], words[255]));
        Assert.Throws<IndexOutOfRangeException>(() => words[256]);
    }

    // Frozen: the code of line 1 with ten zero bytes, and of line 7 with the bytes 1 to 10, worked out apart from this program.
    [Theory]
    [InlineData(1, "00000000000000000000", "0000000000000000VBCV")]
    [InlineData(7, "0102030405060708090a", "041061050R3GG28A6PKQ")]
    public void A_line_has_its_frozen_check(int line, string data, string expected)
    {
        Span<byte> symbols = stackalloc byte[20];
        ShareLine.Encode(line, Convert.FromHexString(data), symbols);
        var text = "";
        foreach (var symbol in symbols)
            text += ShareLine.Alphabet[symbol];
        Assert.Equal(expected, text);
    }

    static RecoveryShare Read(string text)
    {
        Assert.True(RecoveryShare.TryParse(text, out var share, out var fault), fault?.ToString());
        return share;
    }

    static ShareFault Fault(string text)
    {
        Assert.False(RecoveryShare.TryParse(text, out _, out var fault));
        return fault;
    }
}
