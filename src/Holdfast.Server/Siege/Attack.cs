using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>What an attack is sent at, or its control.</summary>
/// <param name="Names">What stands behind each $NAME of the script.</param>
/// <param name="Look">What is there now, against what was there before.</param>
sealed record Target(IReadOnlyDictionary<string, string> Names, Func<Finding> Look)
{
    /// <summary>Where the tools run: the attacker's own folder.</summary>
    public required string Folder { get; init; }

    /// <summary>Whom they run as; null for this user.</summary>
    public int? Uid { get; init; }

    public string this[string file] => Path.Combine(Folder, file);
}

/// <summary>An attack, as data: what is sent at what, and how it is judged.</summary>
/// <param name="Id">Stable.</param>
/// <param name="Credential">What the attacker has.</param>
/// <param name="Tries">What is tried.</param>
/// <param name="Expected">What has to come of it.</param>
sealed record Attack(string Id, string Credential, string Tries, Expectation Expected)
{
    /// <summary>For sh.</summary>
    public required string Script { get; init; }

    /// <summary>Null: the same.</summary>
    public string? ControlScript { get; init; }

    /// <summary>On what the control is tried.</summary>
    public required string Control { get; init; }

    public required Func<Target> On { get; init; }
    public required Func<Target> ControlOn { get; init; }

    /// <summary>Looks at what is there afterwards; null: the target's own look. What the tools said is at hand, and is never all that is judged by, but where it is the loot.</summary>
    public Func<Target, Ran, Finding>? Judge { get; init; }

    /// <summary>Null: as <see cref="Judge"/>.</summary>
    public Func<Target, Ran, Finding>? ControlJudge { get; init; }

    /// <summary>For what succeeds: looks at what answers it.</summary>
    public Func<Finding>? Answer { get; init; }

    /// <summary>What is not here that it needs; null where all is.</summary>
    public string? Missing { get; init; }

    /// <summary>No answer at all is a refusal too: of who may not even speak. Of others it is a fault, and nothing was tried.</summary>
    public bool MayBeSilent { get; init; }

    /// <summary>Runs it, and its control.</summary>
    public SiegeRow Run(Tools tools)
    {
        var row = new SiegeRow(Id, Credential, Tries, Expected, Script, ControlScript ?? Script, Control);
        if (Missing is not null)
            return row with { WhyNot = Missing };
        var seen = Send(tools, On(), Script, Judge);
        row = row with { Seen = seen, Answer = seen.IsHarm ? Answer?.Invoke() : null };
        return row with { ControlSeen = Send(tools, ControlOn(), ControlScript ?? Script, ControlJudge ?? Judge) };
    }

    /// <summary>What a script ends with where what the attack needs (a proof that is taken, something that is fetched) did not come about.</summary>
    public const int Untried = 9;

    /// <summary>Runs the script, then looks.</summary>
    /// <exception cref="InvalidOperationException">It did not come to be tried.</exception>
    Finding Send(Tools tools, Target target, string script, Func<Target, Ran, Finding>? judge)
    {
        var ran = tools.Run("sh", ["-c", script], target.Folder, target.Names, target.Uid, TimeSpan.FromMinutes(3));
        if (!MayBeSilent && ran.Out.Split(' ').Contains("000")) // what curl says of no answer
            throw new InvalidOperationException("it was not answered");
        if (ran.Status == -1)
            throw new InvalidOperationException("it had not come to its end after a minute");
        if (ran.Status == Untried)
            throw new InvalidOperationException($"it did not come to the attack: {ran.Out.Trim()}");
        var found = judge is null ? target.Look() : judge(target, ran);
        var said = ran.Out.Trim().ReplaceLineEndings(" ");
        return said.Length is > 0 and < 80 && said.All(c => char.IsAsciiLetterOrDigit(c) || c is ' ' or '.') ? found with { Words = $"answers {said}; {found.Words}" } : found;
    }
}
