using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Cli.Keys;

/// <summary>Shares typed from paper, as people type.</summary>
public sealed class ShareDialogueTests
{
    static readonly byte[] Seed = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];

    static IReadOnlyList<RecoveryShare> Split(int threshold = 2, int total = 3) => RecoveryShares.Split(Seed, Id16.New(), 1, threshold, total);

    static string[] Lines(RecoveryShare share) => share.ToText().Split('\n', StringSplitOptions.RemoveEmptyEntries)[1..];

    /// <summary>Another character of the alphabet, at the given one of a line's 20.</summary>
    static string Mistyped(string line, int at)
    {
        var text = new StringBuilder(line);
        var index = "1: ".Length + at + at / 4;
        text[index] = text[index] == '7' ? '8' : '7';
        return text.ToString();
    }

    static (List<RecoveryShare>? Shares, string Told, string Asked) Type(params IEnumerable<string> answers)
    {
        var queue = new Queue<string>(answers);
        var (told, asked) = (new StringBuilder(), new StringBuilder());
        try
        {
            var shares = new ShareDialogue(q => { asked.Append(q).Append('\n'); return queue.TryDequeue(out var answer) ? answer : null; }, t => told.Append(t).Append('\n')).Run();
            Assert.Empty(queue);
            return (shares, told.ToString(), asked.ToString());
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.SharesTooFew)
        {
            return (null, told.Append(e.Message).ToString(), asked.ToString());
        }
    }

    static void AssertSeed(List<RecoveryShare>? shares)
    {
        using var seed = RecoveryShares.Combine(shares!);
        Assert.Equal(Seed, seed.Span);
    }

    [Fact]
    public void Lines_come_in_any_order_with_and_without_their_numbers()
    {
        var set = Split();
        var (shares, told, asked) = Type([.. Lines(set[2]).Reverse().Select(l => l[3..].ToLowerInvariant()), "HOLDFAST SHARE 1", "", .. Lines(set[0])]);
        AssertSeed(shares);
        Assert.Contains("Line 7 is right", told, StringComparison.Ordinal);
        Assert.Contains(set[2].Words, told, StringComparison.Ordinal);
        Assert.Contains("1 more share is needed", told, StringComparison.Ordinal);
        Assert.Contains("First share, lines 1 2 3 4 5 6 to come", asked, StringComparison.Ordinal);
        Assert.Contains("Next share, lines 2 3 4 5 6 7 to come", asked, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "group 1, character 1")]
    [InlineData(9, "group 3, character 2")]
    [InlineData(19, "group 5, character 4")]
    public void A_wrong_character_is_pointed_at_and_only_its_line_is_typed_again(int at, string where)
    {
        var set = Split(1, 1);
        foreach (var numbered in new[] { true, false })
        {
            var lines = Lines(set[0]);
            var wrong = Mistyped(lines[3], at);
            var (shares, told, _) = Type([.. lines[..3], numbered ? wrong : wrong[3..], .. lines[3..]]);
            AssertSeed(shares);
            Assert.Contains($"Line 4, {where}", told, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Each_kind_of_slip_is_named()
    {
        var set = Split(1, 1);
        var lines = Lines(set[0]);
        var (shares, told, _) = Type(["1: U" + lines[0][4..], lines[0][..^1], "2: " + lines[4][3..], "gibberish", .. lines]);
        AssertSeed(shares);
        Assert.Contains("no U", told, StringComparison.Ordinal);
        Assert.Contains("19 characters; a line has 20", told, StringComparison.Ordinal);
        Assert.Contains("Line 2: this is line 5 of a share", told, StringComparison.Ordinal);
        Assert.Contains("9 characters; a line has 20", told, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_share_a_foreign_one_and_mixed_lines_do_not_count()
    {
        var (set, foreign) = (Split(), Split());
        var (shares, told, _) = Type(
            [.. Lines(set[0]), .. Lines(set[0]), .. Lines(foreign[1]), .. Lines(set[1])[..6], Lines(set[2])[6], set[1].ToQrText()]);
        AssertSeed(shares);
        Assert.Contains("Share 1 is here already", told, StringComparison.Ordinal);
        Assert.Contains("does not go with the others", told, StringComparison.Ordinal);
        Assert.Contains("not lines of one share", told, StringComparison.Ordinal);
    }

    [Fact]
    public void An_end_of_the_input_says_how_many_were_there()
    {
        var (shares, told, _) = Type(Lines(Split(3, 5)[1]));
        Assert.Null(shares);
        Assert.Contains("1 whole share of 3", told, StringComparison.Ordinal);
    }
}
