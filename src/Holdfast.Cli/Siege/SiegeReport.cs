namespace Holdfast.Cli.Siege;

/// <summary>What has to come of an attack.</summary>
public enum Expectation
{
    /// <summary>Nothing: what was there is as it was, and the attacker got nothing.</summary>
    Refused,

    /// <summary>Harm, which a named command tells.</summary>
    Detected,

    /// <summary>Harm: that it succeeds is stated, and what answers it is shown beside it.</summary>
    Stated,
}

/// <summary>What came of one, judged by what was there afterwards.</summary>
public enum Outcome
{
    NotRun,
    Refused,
    Detected,
    Succeeded,
}

public enum Verdict
{
    NotRun,

    /// <summary>The control failed: the attack as it was sent harms nothing anywhere, and its row says nothing.</summary>
    Void,
    NotAsExpected,
    AsExpected,
}

/// <summary>What was found by looking.</summary>
/// <param name="IsHarm">Something is gone, changed, let go of early, or in the attacker's hands.</param>
/// <param name="IsTold">A command of a person's, named in <paramref name="Words"/>, says so.</param>
/// <param name="Words">What was looked at and seen; no secrets, no paths of this machine.</param>
public sealed record Finding(bool IsHarm, bool IsTold, string Words);

/// <summary>An attack, and what came of it.</summary>
/// <param name="Id">Stable; docs/threat-model.md names it.</param>
/// <param name="Credential">What the attacker has.</param>
/// <param name="Tries">What is tried, in a few words.</param>
/// <param name="Expected">What has to come of it.</param>
/// <param name="Command">What was sent, as a script for sh; what begins with $ differs between attack and control.</param>
/// <param name="ControlCommand">The same for the control: in most rows the same text.</param>
/// <param name="Control">On what the control was tried.</param>
public sealed record SiegeRow(string Id, string Credential, string Tries, Expectation Expected, string Command, string ControlCommand, string Control)
{
    /// <summary>Null: it did not run.</summary>
    public Finding? Seen { get; init; }

    /// <summary>What the control came to; null: it did not run.</summary>
    public Finding? ControlSeen { get; init; }

    /// <summary>Whether what answers an attack that succeeds does so; null where nothing is said to.</summary>
    public Finding? Answer { get; init; }

    /// <summary>Why it did not run, and what to do.</summary>
    public string? WhyNot { get; init; }

    public Outcome Outcome => Seen switch
    {
        null => Outcome.NotRun,
        { IsHarm: false } => Outcome.Refused,
        { IsTold: true } => Outcome.Detected,
        _ => Outcome.Succeeded,
    };

    /// <summary>The attack works where nothing is in its way. One that is only detected has to be harm that nobody tells where there is no check.</summary>
    public bool IsControlled => ControlSeen is { IsHarm: true } control && (Expected != Expectation.Detected || !control.IsTold);

    public Verdict Verdict => Outcome == Outcome.NotRun ? Verdict.NotRun
        : !IsControlled ? Verdict.Void
        : Expected switch
        {
            Expectation.Refused => Outcome == Outcome.Refused,
            Expectation.Detected => Outcome == Outcome.Detected,
            _ => Outcome is Outcome.Succeeded or Outcome.Detected && Answer is null or { IsHarm: false },
        } ? Verdict.AsExpected : Verdict.NotAsExpected;
}

/// <summary>All of an attack test.</summary>
/// <param name="Store">What the vault lay in, in words.</param>
/// <param name="Rows">In the order in which they ran.</param>
/// <param name="NotTried">Attacks that it knows and does not try, each with the reason.</param>
public sealed record SiegeReport(string Store, IReadOnlyList<SiegeRow> Rows, IReadOnlyList<string> NotTried)
{
    const int Failed = 1;
    const int LeftOut = 3; // as of every command that is done, but for something that it lists

    public int Count(Verdict verdict) => Rows.Count(r => r.Verdict == verdict);

    /// <summary>0: every row ran, and is as expected.</summary>
    public int Status => Count(Verdict.NotAsExpected) + Count(Verdict.Void) > 0 || Rows.All(r => r.Verdict == Verdict.NotRun) ? Failed : Count(Verdict.NotRun) > 0 ? LeftOut : 0;
}

/// <summary>What an attack test is made of.</summary>
/// <param name="IsGuarded">The vault's folder has a guard, and an owner who is not root.</param>
/// <param name="Store">A bucket for its packs; null for a folder.</param>
/// <param name="StoreKey">File with the keeper's credential there.</param>
/// <param name="AttackerKey">File with the credential of the bucket's owner; null: no attacker has it.</param>
/// <param name="Folder">Where it is built up; null for the system's temporary folder.</param>
public sealed record SiegeCall(bool IsGuarded, string? Store, string? StoreKey, string? AttackerKey, string? Folder);
