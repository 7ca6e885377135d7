using System.CommandLine;
using System.CommandLine.Parsing;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>What is wrong with a call, one thing and in the words of the command line; the parser's own messages speak of types and say things twice.</summary>
static class CallFault
{
    const string Stream = "--stdin"; // what a whole command may follow

    /// <summary>Null where the call can be run.</summary>
    public static HoldfastException? Of(ParseResult parsed, IEnumerable<string> arguments, params ReadOnlySpan<Option> mayBeEmpty)
    {
        var command = parsed.CommandResult.Command;
        var options = command.Options.Concat(AllAbove(parsed.CommandResult).SelectMany(c => c.Options.Where(o => o.Recursive))).ToList();
        var words = parsed.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash).ToList();
        if (command.Subcommands.Count > 0 && parsed.UnmatchedTokens.FirstOrDefault(u => u != Session.JsonOption.Name) is { Length: > 0 } unknown && unknown[0] != '-')
            return NoSuchCommand(PathOf(parsed.CommandResult), unknown, command);
        if (command.Subcommands.Count > 0 && command.Action is null && parsed.UnmatchedTokens.All(u => u == Session.JsonOption.Name))
            return Usage(parsed, $"`{PathOf(parsed.CommandResult)}` needs a command{(command is RootCommand ? "" : ": " + string.Join(", ", command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name)))}.");
        if (StrayOption(parsed, command, words) is { } option)
        {
            var fault = NoSuchOption(PathOf(parsed.CommandResult), option, options);
            return !words.Exists(w => w.Value == Stream) ? fault : new HoldfastException(fault.Code, fault.Message, $"Where it belongs to the command whose output is backed up: that stands after -- ({PathOf(parsed.CommandResult)} {Stream} --name NAME -- COMMAND). {fault.Guidance}");
        }
        if (parsed.UnmatchedTokens is [var stray, ..])
            return Usage(parsed, $"`{stray}` is one word too many.");
        if (Missing(parsed, command) is { Count: > 0 } missing)
            return Usage(parsed, $"{string.Join(" and ", missing)} {(missing.Count > 1 ? "are" : "is")} missing.");
        // The parser takes the next option for the value of one that has none.
        if (options.Find(o => parsed.GetResult(o) is { Implicit: false } given && given.Tokens.Any(t => options.Exists(other => other.Name == t.Value))) is { } without)
            return Usage(parsed, NeedsValue(without));
        foreach (var error in parsed.Errors)
        {
            var result = error.SymbolResult as OptionResult ?? error.SymbolResult?.Parent as OptionResult;
            return Usage(parsed, result is not null ? BadValue(result) : error.SymbolResult is ArgumentResult argument ? BadValue(argument) : error.Message);
        }
        return Empty(parsed, options, mayBeEmpty, words, arguments) is { } empty ? Usage(parsed, $"{empty} is empty.") : null;
    }

    /// <summary>"holdfast log prove".</summary>
    public static string PathOf(CommandResult result) =>
        result.Parent is CommandResult above ? $"{PathOf(above)} {result.Command.Name}" : "holdfast";

    public static HoldfastException NoSuchCommand(string path, string word, Command command) =>
        Usage(path, $"There is no command `{path} {word}`.", Closest(word, command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name)));

    static HoldfastException NoSuchOption(string path, string word, IEnumerable<Option> options)
    {
        var name = word.Split('=', ':')[0];
        if (options.Any(o => o.Name == name || o.Aliases.Contains(name)))
            return new HoldfastException(ErrorCode.Usage, $"{name} stands before the command.", $"Put it after the command: {path} {name}.");
        return Usage(path, $"`{path}` has no option {name}.", Closest(name, options.Where(o => !o.Hidden).SelectMany(o => o.Aliases.Prepend(o.Name)).Where(n => n.StartsWith("--", StringComparison.Ordinal))));
    }

    static HoldfastException Usage(ParseResult parsed, string message) => Usage(PathOf(parsed.CommandResult), message, null);

    static HoldfastException Usage(string path, string message, string? meant) => new(ErrorCode.Usage, message,
        $"{(meant is null ? "" : $"Did you mean {meant}? ")}`{path} --help` {(path == "holdfast" ? "lists the commands" : "shows how it is called")}.");

    static IEnumerable<Command> AllAbove(CommandResult result)
    {
        for (var above = result.Parent as CommandResult; above is not null; above = above.Parent as CommandResult)
            yield return above.Command;
    }

    /// <summary>The parser takes an option it does not know for an argument where there is room for one. What begins with a dash and is none stands after --, or is written ./-NAME.</summary>
    static string? StrayOption(ParseResult parsed, Command command, List<Token> words) => command.Arguments
        .SelectMany(a => parsed.GetResult(a)?.Tokens ?? []).Where(t => words.Exists(w => ReferenceEquals(w, t))).Select(t => t.Value)
        .Concat(parsed.UnmatchedTokens.Where(u => words.Exists(w => w.Value == u)))
        .FirstOrDefault(w => w.Length > 1 && w[0] == '-');

    static List<string> Missing(ParseResult parsed, Command command) =>
    [
        .. command.Arguments.Where(a => a.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(a) is not { Tokens.Count: > 0 }).Select(a => a.Name),
        .. command.Options.Where(o => o.Required && parsed.GetResult(o) is null or { Implicit: true }).Select(Spelled),
    ];

    static string Spelled(Option option) => option.HelpName is { } value ? $"{option.Name} {value}" : option.Name;

    static string NeedsValue(Option option) => $"{option.Name} needs a value: {Spelled(option)}.";

    static string BadValue(OptionResult result)
    {
        var option = result.Option;
        if (result.Tokens.Count == 0)
            return NeedsValue(option);
        return result.Tokens.Count > option.Arity.MaximumNumberOfValues
            ? option.Arity.MaximumNumberOfValues == 0 ? $"{option.Name} takes no value." : $"{option.Name} is given {(result.Tokens.Count == 2 ? "twice" : "several times")}; it can have one value."
            : $"{option.Name} takes {Kind(option.ValueType)}, not `{result.Tokens[^1].Value}`.";
    }

    static string BadValue(ArgumentResult result) => result.Tokens.Count > 0 ? $"{result.Argument.Name} takes {Kind(result.Argument.ValueType)}, not `{result.Tokens[^1].Value}`." : $"{result.Argument.Name} is missing.";

    static string Kind(Type type) => Type.GetTypeCode(Nullable.GetUnderlyingType(type) ?? type) switch
    {
        TypeCode.Int32 or TypeCode.Int64 => "a whole number",
        TypeCode.UInt32 or TypeCode.UInt64 => "a whole number of 0 or more",
        TypeCode.Double => "a number",
        TypeCode.Boolean => "no value, or true or false",
        _ => "another kind of value",
    };

    static string? Empty(ParseResult parsed, List<Option> options, ReadOnlySpan<Option> mayBeEmpty, List<Token> words, IEnumerable<string> arguments)
    {
        // The parser sees "--name=" as "--name", and takes the next word for its value.
        var cutOff = arguments.TakeWhile(a => a != "--").Where(a => a.EndsWith('=')).Select(a => a[..^1]).ToList();
        foreach (var option in options)
        {
            var isEmpty = cutOff.Contains(option.Name) || (parsed.GetResult(option) is { Implicit: false } given && given.Tokens.Any(t => t.Value.Length == 0));
            if (isEmpty && !mayBeEmpty.Contains(option))
                return option.Name;
        }
        return parsed.CommandResult.Command.Arguments.FirstOrDefault(a => parsed.GetResult(a)?.Tokens.Any(t => t.Value.Length == 0 && words.Exists(w => ReferenceEquals(w, t))) == true)?.Name;
    }

    /// <summary>The name a mistyped word was meant to be: the one with the fewest changes, if they are few; null for a word that is like none.</summary>
    static string? Closest(string word, IEnumerable<string> names)
    {
        var closest = names.Select(n => (Name: n, Changes: Changes(word.ToLowerInvariant(), n))).OrderBy(n => n.Changes).FirstOrDefault();
        return closest.Name is not null && closest.Changes <= Math.Max(1, word.Trim('-').Length / 3) ? closest.Name : null;
    }

    /// <summary>Letters put in, left out, changed, or swapped with the next one.</summary>
    static int Changes(string from, string to)
    {
        var table = new int[from.Length + 1, to.Length + 1];
        for (var i = 0; i <= from.Length; i++)
        {
            for (var j = 0; j <= to.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    table[i, j] = i + j;
                    continue;
                }
                var same = from[i - 1] == to[j - 1] ? 0 : 1;
                table[i, j] = Math.Min(Math.Min(table[i - 1, j], table[i, j - 1]) + 1, table[i - 1, j - 1] + same);
                if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                    table[i, j] = Math.Min(table[i, j], table[i - 2, j - 2] + 1);
            }
        }
        return table[from.Length, to.Length];
    }
}
