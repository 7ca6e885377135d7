namespace Holdfast.Cli.Terminal;

/// <summary>Words of a command line that a person copies into a shell.</summary>
static class Shell
{
    const string Plain = "/._-+=:,@%";

    /// <summary>A word as it stands where a shell takes it as one, in quotes otherwise.</summary>
    public static string Word(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || Plain.Contains(c)) ? text : $"'{text.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
