namespace Holdfast.Cli.Terminal;

/// <summary>Words of a command line that a person copies into a shell.</summary>
static class Shell
{
    const string Name = "holdfast";
    const string Plain = "/._-+=:,@%";

    /// <summary>The program in a whole line that is to be typed next: as it was called, where the script that runs it from its sources says so in a plain word, else by its name.</summary>
    public static string Program { get; } = Called is { Length: > 0 } called && called[0] != '-' && Word(called) == called ? called : Name;

    static string? Called => Environment.GetEnvironmentVariable("HOLDFAST_COMMAND");

    /// <summary>The program in a script that is run in any folder: where it was called by a path, by the full one, so that no other program of that name is run in its place.</summary>
    public static string ProgramAnywhere => Anywhere(Called ?? Name, Environment.CurrentDirectory);

    /// <param name="called">As it was called.</param>
    /// <param name="folder">In which folder.</param>
    /// <returns>A path that cannot stand in one line of text is not taken: the name is.</returns>
    public static string Anywhere(string called, string folder) =>
        called.Contains('/') && Path.GetFullPath(called, folder) is var path && Text.Plain(path) == path && !path.Any(char.IsControl) ? path : Name;

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

    /// <summary>The same for fish, in whose quotes a backslash keeps its meaning.</summary>
    public static string FishWord(string text) => Word(text) == text ? text : FishQuoted(text);

    /// <summary>Words in quotes of fish.</summary>
    public static string FishQuoted(string text) => $"'{text.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", @"\'", StringComparison.Ordinal)}'";
}
