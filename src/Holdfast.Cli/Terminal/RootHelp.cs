using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Holdfast.Cli.Terminal;

/// <summary>The help of the program itself: its commands by what one wants to do. The help of a command is the parser's.</summary>
sealed class RootHelp(HelpAction ofCommand, IReadOnlyList<(string Title, Command[] Commands)> groups) : SynchronousCommandLineAction
{
    public override int Invoke(ParseResult parseResult)
    {
        if (parseResult.CommandResult.Command is not RootCommand root)
            return ofCommand.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        output.WriteLine(root.Description);
        output.WriteLine();
        output.WriteLine("Usage: holdfast COMMAND [options]");
        var width = groups.SelectMany(g => g.Commands).Max(c => c.Name.Length);
        foreach (var (title, commands) in groups)
        {
            output.WriteLine();
            output.WriteLine(title);
            foreach (var command in commands)
                output.WriteLine($"  {command.Name.PadRight(width)}  {command.Description?.Split('\n')[0]}"); // the rest of a longer one stands in the help of the command
        }
        output.WriteLine();
        output.WriteLine("""
            `holdfast COMMAND --help` (or `holdfast help COMMAND`) shows how a command is called. `holdfast --version` shows the version.
            HOLDFAST_VAULT and HOLDFAST_KEYS name the vault's folder and the key folder once, instead of --vault and --keys each time.
            Exit status: 0 done; 3 done, but something was left out, and is listed; any other is the number of the error it printed.
            """);
        return 0;
    }
}
