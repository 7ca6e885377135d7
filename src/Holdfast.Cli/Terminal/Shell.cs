namespace Holdfast.Cli.Terminal;

/// <summary>Words of a command line that a person copies into a shell.</summary>
static class Shell
{
    const string Name = "holdfast";
    const string Plain = "/._-+=:,@%";

    /// <summary>The program in a whole line that is to be typed next: as it was called, where the script that runs it from its sources says so in a plain word, else by its name.</summary>
    public static string Program { get; } = Environment.GetEnvironmentVariable("HOLDFAST_COMMAND") is { Length: > 0 } called && called[0] != '-' && Word(called) == called ? called : Name;

    static readonly string[] BeforeACall = ["`", "(", ": ", "run ", "then "];

    /// <summary>Words for a person, in which a call of the program is written as it was called: `./holdfast status`.</summary>
    public static string AsCalled(string text) => AsCalled(text, Program);

    /// <param name="text">The words.</param>
    /// <param name="program">As it was called.</param>
    public static string AsCalled(string text, string program) =>
        program == Name ? text : BeforeACall.Aggregate(text, (words, before) => words.Replace($"{before}{Name} ", $"{before}{program} ", StringComparison.Ordinal));

    /// <summary>A word as it stands where a shell takes it as one, in quotes otherwise.</summary>
    public static string Word(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || Plain.Contains(c)) ? text : $"'{text.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
