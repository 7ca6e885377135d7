using Holdfast.Cli.Siege;
using Holdfast.Server.Siege;

namespace Holdfast.Tests.Server.Siege;

/// <summary>An attack test that cannot fail is worth nothing: here it does, with attacks that really succeed, and with controls that really fail.</summary>
public sealed class VerdictTests : IDisposable
{
    static readonly Finding Harm = new(true, false, "gone"), Told = new(true, true, "gone, and told"), Nothing = new(false, false, "as it was");

    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static SiegeRow Row(Expectation expected, Finding? seen, Finding? control, Finding? answer = null) => new("x", "x", "x", expected, "x", "x", "x") { Seen = seen, ControlSeen = control, Answer = answer };

    static SiegeReport Report(params SiegeRow[] rows) => new("a folder", rows, []);

    [Fact]
    public void Each_outcome_has_its_verdict()
    {
        Assert.Equal(Verdict.AsExpected, Row(Expectation.Refused, Nothing, Harm).Verdict);
        Assert.Equal(Verdict.AsExpected, Row(Expectation.Refused, Nothing, Told).Verdict);
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Refused, Harm, Harm).Verdict);
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Refused, Told, Harm).Verdict);
        Assert.Equal(Verdict.Void, Row(Expectation.Refused, Nothing, Nothing).Verdict);
        Assert.Equal(Verdict.Void, Row(Expectation.Refused, Nothing, null).Verdict);
        Assert.Equal(Verdict.Void, Row(Expectation.Refused, Harm, Nothing).Verdict);
        Assert.Equal(Verdict.AsExpected, Row(Expectation.Detected, Told, Harm).Verdict);
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Detected, Harm, Harm).Verdict);
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Detected, Nothing, Harm).Verdict); // then what is written of it is out of date
        Assert.Equal(Verdict.Void, Row(Expectation.Detected, Told, Told).Verdict); // it is told where there is no check, too
        Assert.Equal(Verdict.AsExpected, Row(Expectation.Stated, Harm, Harm, Nothing).Verdict);
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Stated, Harm, Harm, Harm).Verdict); // what is said to answer it does not
        Assert.Equal(Verdict.NotAsExpected, Row(Expectation.Stated, Nothing, Harm).Verdict);
        Assert.Equal(Verdict.NotRun, Row(Expectation.Refused, null, null).Verdict);
        Assert.Equal(Verdict.NotRun, Row(Expectation.Refused, null, Harm).Verdict);
    }

    [Fact]
    public void Only_rows_that_ran_and_are_as_expected_give_status_0()
    {
        var good = Row(Expectation.Refused, Nothing, Harm);
        Assert.Equal(0, Report(good, good).Status);
        Assert.Equal(1, Report(good, Row(Expectation.Refused, Harm, Harm)).Status);
        Assert.Equal(1, Report(good, Row(Expectation.Refused, Nothing, Nothing)).Status);
        Assert.Equal(3, Report(good, Row(Expectation.Refused, null, null)).Status);
        Assert.Equal(1, Report(Row(Expectation.Refused, Harm, Harm), Row(Expectation.Refused, null, null)).Status);
        Assert.Equal(1, Report(Row(Expectation.Refused, null, null)).Status);
        Assert.Equal(1, Report().Status);
    }

    /// <summary>The engine as it runs, with rm on files that nothing protects.</summary>
    [Theory]
    [InlineData("rm \"$FILE\"", "rm \"$FILE\"", Verdict.NotAsExpected)]
    [InlineData("true", "rm \"$FILE\"", Verdict.AsExpected)]
    [InlineData("true", "true", Verdict.Void)]
    [InlineData("no-such-tool \"$FILE\"", "no-such-tool \"$FILE\"", Verdict.Void)]
    [InlineData("rm \"$FILE\"", "true", Verdict.Void)]
    public void An_attack_that_succeeds_and_a_control_that_fails_are_seen(string script, string control, Verdict verdict)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "its tools are Linux's");
        using var tools = new Tools(TestContext.Current.CancellationToken);
        var row = new Attack("test.remove", "anybody", "remove a file", Expectation.Refused)
        {
            Script = script,
            ControlScript = control,
            On = () => File("attacked"),
            Control = "another such file",
            ControlOn = () => File("control"),
        }.Run(tools);
        Assert.Equal(verdict, row.Verdict);
        Assert.Equal(verdict == Verdict.AsExpected ? 0 : 1, Report(row).Status);
    }

    [Fact]
    public void What_is_missing_is_not_run_and_sends_nothing()
    {
        using var tools = new Tools(TestContext.Current.CancellationToken);
        var row = new Attack("test.remove", "anybody", "remove a file", Expectation.Refused)
        {
            Script = "true",
            On = () => throw new InvalidOperationException(),
            Control = "none",
            ControlOn = () => throw new InvalidOperationException(),
            Missing = "needs a tool",
        }.Run(tools);
        Assert.Equal((Verdict.NotRun, "needs a tool"), (row.Verdict, row.WhyNot));
    }

    Target File(string name)
    {
        var path = _folder[name];
        System.IO.File.WriteAllText(path, "x");
        return new Target(new Dictionary<string, string> { ["FILE"] = path }, () => System.IO.File.Exists(path) ? Nothing : Harm) { Folder = Path.GetDirectoryName(path)! };
    }
}
