using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Keys;

/// <summary>Passphrases as people type them, or have them in a file.</summary>
/// <param name="Of">What it opens, in a sentence: "the opening key".</param>
/// <param name="Why">Why it should be long.</param>
/// <param name="Lost">What to do where nobody knows it any more.</param>
sealed record Passphrase(string Of, string Why, string Lost)
{
    const int Shortest = 12; // characters

    public static readonly Passphrase OfOpeningKey = new("the opening key", "It opens every backup, so make it long", "If it is lost, `holdfast recover-key --out FOLDER` rebuilds the opening key from the recovery kit.");

    /// <summary>The file that <paramref name="option"/> names, or the terminal.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c> without a terminal to ask at; <c>NotConfirmed</c>.</exception>
    public string Ask(Session session, Option<string?> option) => Named(session, option)
        ?? Typed(Prompt.Hidden($"Passphrase of {Of}: ", session.Stop) ?? throw new HoldfastException(ErrorCode.NotConfirmed, "No passphrase was given.", "Run the command again."));

    /// <summary>A new passphrase, from the file that <paramref name="option"/> names, or typed twice at the terminal.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c> where it is too short, <c>NotConfirmed</c>.</exception>
    public string New(Session session, Option<string?> option)
    {
        if (session.Parsed.GetValue(option) is null && !Prompt.IsPossible)
            throw new HoldfastException(ErrorCode.Usage, "There is no terminal to ask for the new passphrase at; nothing was made.", $"Add {option.Name} FILE, whose first line it is.");
        if (Named(session, option) is { } named)
            return Told(session, LongEnough(Typable(named)));
        session.Note($"{Why}: a sentence of several words that you will remember, {Shortest} characters at least.");
        var first = LongEnough(Typed(Prompt.Hidden($"New passphrase of {Of}: ", session.Stop) ?? throw new HoldfastException(ErrorCode.NotConfirmed, "No passphrase was given; nothing was made.", "Run the command again.")));
        return first == Prompt.Hidden("The same again: ", session.Stop) ? Told(session, first) : throw new HoldfastException(ErrorCode.NotConfirmed, "The two passphrases differ; nothing was made.", "Run the command again.");
    }

    string LongEnough(string passphrase) => new StringInfo(passphrase).LengthInTextElements >= Shortest ? passphrase : throw new HoldfastException(
        ErrorCode.Usage, $"The passphrase is too short: whoever gets hold of the file of {Of} tries millions of them. It takes {Shortest} characters at least. Nothing was made.",
        "Take a sentence of several words that you will remember and nobody else would write.");

    /// <summary>What the terminal gave in another encoding than it says reads as characters that are all the same: a passphrase of them is hardly one.</summary>
    static string Typed(string passphrase) => IsText(passphrase) ? passphrase : throw new HoldfastException(ErrorCode.Usage,
        "What was typed is not text in the terminal's encoding (LANG, LC_ALL): some of its characters could not be told apart. Nothing was done.", "Set the terminal and its locale to UTF-8, or use --passphrase-file with a file in UTF-8.");

    static bool IsText(string passphrase)
    {
        const char replaced = '\uFFFD';
        return !passphrase.Contains(replaced, StringComparison.Ordinal) && passphrase.EnumerateRunes().All(r => r.Value != replaced); // half of a pair reads as that too
    }

    /// <summary>Of a file's first line, for a new key: what no keyboard gives opens nothing where it has to be typed.</summary>
    static string Typable(string passphrase) => !passphrase.Any(char.IsControl) ? passphrase : throw new HoldfastException(ErrorCode.Usage,
        "The passphrase file's first line has control characters in it, which cannot be typed where there is no such file. Nothing was made.", "Take a sentence of several words, in a text file. For a key out of random bytes leave --passphrase-file out: a key file is made.");

    static string Told(Session session, string passphrase)
    {
        if (!passphrase.All(char.IsAscii))
            session.Warn("holdfast: the passphrase has letters beyond a to z (ä, é, ж, ...): it opens the key where keyboard, terminal and system give the same bytes for them (UTF-8, in one form). Try it where you would restore, or take one without them");
        return passphrase;
    }

    /// <summary>What the file says that <paramref name="option"/> names; null where it was not given, and there is a terminal to ask at.</summary>
    string? Named(Session session, Option<string?> option)
    {
        if (session.Parsed.GetValue(option) is { } named)
        {
            KeyFiles.WarnIfOpen(named, "the passphrase file", session.Warn);
            return UserFile.FirstLine(named, "The passphrase file", ErrorCode.KeyFileBad) is var line && IsText(line) ? line : throw new HoldfastException(ErrorCode.KeyFileBad,
                "The passphrase file's first line is not text in UTF-8: some of its characters cannot be told apart. Nothing was done.", "Save the file as UTF-8. If it holds a key of random bytes, it is no passphrase: see --opening-secret.");
        }
        return Prompt.IsPossible ? null : throw new HoldfastException(ErrorCode.WrongKey, $"There is no terminal to ask for the passphrase of {Of} at.", $"Add {option.Name} FILE. {Lost}");
    }
}
