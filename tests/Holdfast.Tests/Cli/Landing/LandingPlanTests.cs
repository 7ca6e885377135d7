using System.Text;
using CsCheck;
using Holdfast.Cli.Landing;
using Holdfast.Core;
using Holdfast.Sources.Landing;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Tests.Cli.Landing;

public sealed class LandingPlanTests
{
    static IReadOnlyList<DropPoint> Parse(string text) => LandingPlan.Parse(text.Split('\n'));

    [Fact]
    public void Every_line_that_there_is_says_what_it_says()
    {
        var drops = Parse("""
            # comment
            drop epr
              account drop-epr
              format pg-custom+gzip
              files epr-*.dump
              files epr ?.dump
              every 1d
              grace 90m
              shrink 80
              median 5
              quota 2GiB
              quiet 30s
              late 2h
              checksum required
              source epr.sql
            drop switches
              account _sw
              begins ! Last configuration
              ends end
            """);

        Assert.Equal(2, drops.Count);
        var epr = drops[0];
        Assert.Equal(("epr", "drop-epr", "epr.sql", new DumpKind(DumpFormat.PgCustom, DumpWrapping.Gzip)), (epr.Name, epr.Account, epr.Source, epr.Kind));
        Assert.Equal((TimeSpan.FromDays(1), TimeSpan.FromMinutes(90), 80, 5, 2L << 30), (epr.Every, epr.Grace, epr.LeastPercent, epr.Median, epr.Quota));
        Assert.Equal((TimeSpan.FromSeconds(30), TimeSpan.FromHours(2), true), (epr.Quiet, epr.Late, epr.HasChecksums));
        Assert.Equal(["epr-*.dump", "epr ?.dump"], epr.Patterns);
        Assert.Equal(("landing-switches", new DumpCheck.Edges("! Last configuration", "end")), (drops[1].Source, drops[1].Edges));
        Assert.Empty(Parse(LandingPlan.Example));
    }

    [Theory]
    [InlineData("account a", 1)]
    [InlineData("drop Epr\n", 1)]
    [InlineData("drop ../x\n", 1)]
    [InlineData("drop epr", 1)]
    [InlineData("drop epr\naccount root", 2)]
    [InlineData("drop epr\naccount a b", 2)]
    [InlineData("drop epr\naccount a\nformat docx", 3)]
    [InlineData("drop epr\naccount a\nformat zip+gzip", 3)]
    [InlineData("drop epr\naccount a\nevery 0s", 3)]
    [InlineData("drop epr\naccount a\nevery 2y", 3)]
    [InlineData("drop epr\naccount a\nshrink 101", 3)]
    [InlineData("drop epr\naccount a\nquota -1", 3)]
    [InlineData("drop epr\naccount a\nfiles a/b", 3)]
    [InlineData("drop epr\naccount a\nchecksum no", 3)]
    [InlineData("drop epr\naccount a\nevery 1d\n\nevery 2d", 5)]
    [InlineData("drop epr\naccount a\npassword x", 3)]
    [InlineData("drop epr\naccount a\nquiet", 3)]
    [InlineData("drop epr\naccount a\nformat zip\nends end", 1)]
    [InlineData("drop epr\naccount a\ndrop lims\naccount a", 3)]
    [InlineData("drop epr\naccount a\ndrop epr\naccount b", 3)]
    [InlineData("drop epr\naccount a\ndrop epr-doubtful\naccount b", 3)]
    [InlineData("drop reserve\naccount a", 1)]
    public void What_is_no_line_is_refused_with_its_number(string text, int line)
    {
        var fault = Assert.Throws<HoldfastException>(() => Parse(text));

        Assert.Equal(ErrorCode.Usage, fault.Code);
        Assert.StartsWith($"Line {line} of landing.conf:", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_text_at_all_is_a_plan_or_refused() => Gen.String[0, 200].Sample(text =>
    {
        try
        {
            Parse("drop epr\naccount a\n" + text);
        }
        catch (HoldfastException)
        {
            // Refused.
        }
    });

    [Theory]
    [InlineData("*.dump", "a.dump", true)]
    [InlineData("*.dump", "a.dump.old", false)]
    [InlineData("epr-????.bak", "epr-2026.bak", true)]
    [InlineData("epr-????.bak", "epr-26.bak", false)]
    [InlineData("*a*b*", "xxaxxbxx", true)]
    [InlineData("*a*b*", "xxbxxaxx", false)]
    [InlineData("*", "a\nb", true)]
    [InlineData("a.b", "axb", false)]
    public void A_pattern_matches_as_it_is_written(string pattern, string name, bool matches) =>
        Assert.Equal(matches, new DropPoint("x", "x") { Source = "x", Patterns = [pattern] }.Expects(Encoding.UTF8.GetBytes(name)));

    [Fact]
    public void A_pattern_of_many_stars_takes_no_longer_than_its_name()
    {
        var drop = new DropPoint("x", "x") { Source = "x", Patterns = [string.Concat(Enumerable.Repeat("*a", 100)) + "b"] };

        Assert.False(drop.Expects(Encoding.UTF8.GetBytes(new string('a', 255))));
    }

    [Fact]
    public void The_configuration_of_sshd_lets_in_the_accounts_alone_and_asks_for_nothing_that_reads()
    {
        var text = SshdFiles.Config(new LandingFolder("/srv/landing"), Parse("drop epr\naccount a\ndrop lims\naccount b"), "0.0.0.0", 2222);

        Assert.Contains("\nAllowUsers a b\n", text, StringComparison.Ordinal);
        Assert.Contains("\nMatch User b\n    ChrootDirectory /srv/landing/drop/lims\n", text, StringComparison.Ordinal);
        foreach (var asked in new[] { "read", "opendir", "readdir", "remove", "rmdir", "mkdir", "readlink", "symlink", "setstat", "fsetstat", "lsetstat", "posix-rename", "hardlink", "copy-data", "users-groups-by-id" })
            Assert.DoesNotContain(asked, SshdFiles.Requests.Split(','));
    }
}
