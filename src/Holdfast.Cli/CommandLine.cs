using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli;

/// <summary>`holdfast`, whichever of its two programs runs it.</summary>
public static class CommandLine
{
    // An argument that begins with @ is a name like any other, not a file of arguments.
    static readonly ParserConfiguration Parsing = new() { ResponseFileTokenReplacer = null };

    /// <summary>Runs one command.</summary>
    /// <param name="arguments">As they were typed.</param>
    /// <param name="network">What this program has of it.</param>
    /// <param name="control">What it has of the control plane.</param>
    /// <returns>The exit status.</returns>
    public static int Run(string[] arguments, INetwork network, IControl control)
    {
        SignalMask.Clear(); // first: Console has the runtime look at signals
        Output.Open();
        Console.SetError(new StandardError(StandardOutput.IsInherited(2) ? Console.Error : TextWriter.Null));
        using var interrupt = Interrupt.Listen();
        var status = Run(arguments, new CommandInvocation(network, control));
        // Whatever else went wrong, and was told, counts more than a report that did not get out.
        return Output.Close() is { } fault && status == 0 ? Session.Tell(fault.Code, fault.Message, fault.Guidance) : status;
    }

    static int Run(string[] arguments, CommandInvocation invocation)
    {
        var root = Root();
        var parsed = root.Parse(arguments, Parsing);
        var asksForHelp = parsed.Action is HelpAction or RootHelp;
        if (parsed.Action is ParseErrorAction || (asksForHelp && parsed.UnmatchedTokens.Count > 0) || parsed.Action == parsed.CommandResult.Command.Action)
        {
            if (CallFault.Of(parsed, arguments, KeyFolder.VaultOption, KeyFolder.KeysOption) is { } fault)
                return Session.Refuse(arguments, fault);
        }
        try
        {
            // Before anything is asked or read: it may be run anew, by the other program.
            if (!asksForHelp && KeyFolder.IsElsewhere(parsed))
                invocation.Network.Require();
        }
        catch (HoldfastException fault)
        {
            return Session.Refuse(arguments, fault);
        }
        return parsed.Invoke(invocation);
    }

    static RootCommand Root()
    {
        (string Title, Command[] Commands)[] groups =
        [
            ("Start", [UpCommand.Create(), DownCommand.Create(), InitCommand.Create(), RecoveryKitCommand.Create()]),
            ("Back up", [BackupCommand.Create(), LandingCommand.Create()]),
            ("Look", [SnapshotsCommand.Create(), LsCommand.Create(), FindCommand.Create(), DiffCommand.Create()]),
            ("Get back", [RestoreCommand.Create(), CatCommand.Create(), EmergencyCommand.Create(), CleanroomCommand.Create(), RecoverKeyCommand.Create()]),
            ("Prove", [StatusCommand.Create(), VerifyCommand.Create(), AttestCommand.Create(), LogCommand.Create(), SiegeCommand.Create()]),
            ("Look after", [LockCommand.Create(), HoldCommand.Create(), ErasureCommand.Create(), PolicyCommand.Create(), ApprovalCommand.Create(), ExpireCommand.Create(), StoreCommand.Create(), KeyCommand.Create(), GuardCommand.Create(), KeeperCommand.Create(), JoinCommand.Create(), GatewayCommand.Create(), AgentCommand.Create(), WitnessCommand.Create(), ServeCommand.Create(), CompletionCommand.Create()]),
        ];
        var root = new RootCommand("""
            Holdfast keeps copies of data that no stolen password can alter or remove before their date, and proves it.

            Start with `holdfast up FOLDER`: it makes a trial vault and takes and proves a first backup.
            """);
        foreach (var command in groups.SelectMany(g => g.Commands).Append(HelpCommand(root)))
            root.Subcommands.Add(command);
        root.Options.Remove(root.Options.OfType<HelpOption>().Single()); // which takes /h and /? for help too: names of files here
        var help = new HelpOption("--help", "-h", "-?") { Description = "Show this help." };
        help.Action = new RootHelp((HelpAction)help.Action!, groups);
        root.Options.Add(help);
        return root;
    }

    /// <summary><c>holdfast help log prove</c>: what <c>holdfast log prove --help</c> shows.</summary>
    static Command HelpCommand(RootCommand root)
    {
        var words = new Argument<string[]>("COMMAND") { Description = "Whose help to show; without it, all commands.", Arity = ArgumentArity.ZeroOrMore };
        words.CompletionSources.Add(_ => root.Subcommands.Where(c => !c.Hidden).Select(c => new CompletionItem(c.Name)));
        var help = new Command("help", "Show how a command is called.") { words };
        help.SetAction(parsed =>
        {
            var (command, path) = ((Command)root, "holdfast");
            foreach (var word in parsed.GetValue(words)!)
            {
                if (command.Subcommands.FirstOrDefault(c => c.Name == word) is not { } next)
                    return CallFault.NoSuchCommand(path, word, command) is var fault ? Session.Tell(fault.Code, fault.Message, fault.Guidance) : 0;
                (command, path) = (next, $"{path} {word}");
            }
            return root.Parse([.. parsed.GetValue(words)!, "--help"], Parsing).Invoke(parsed.InvocationConfiguration);
        });
        return help;
    }
}
