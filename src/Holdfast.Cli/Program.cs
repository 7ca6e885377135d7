using System.CommandLine;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli;

static class Program
{
    static int Main(string[] arguments)
    {
        Output.Open();
        using var interrupt = Interrupt.Listen();
        var status = Run(arguments);
        // Whatever else went wrong, and was told, counts more than a report that did not get out.
        return Output.Close() is { } fault && status == 0 ? Session.Tell(fault.Code, fault.Message, fault.Guidance) : status;
    }

    static int Run(string[] arguments)
    {
        var root = new RootCommand("""
            Holdfast keeps copies of data that no stolen password can alter or remove before their date, and proves it.

            Start with `holdfast up FOLDER`: it makes a trial vault and takes and proves a first backup.
            """);
        foreach (var command in new[]
        {
            UpCommand.Create(), DownCommand.Create(), InitCommand.Create(), BackupCommand.Create(), SnapshotsCommand.Create(), LsCommand.Create(), FindCommand.Create(),
            CatCommand.Create(), DiffCommand.Create(), RestoreCommand.Create(), VerifyCommand.Create(), AttestCommand.Create(), StatusCommand.Create(), LockCommand.Create(),
            ExpireCommand.Create(), LogCommand.Create(), StoreCommand.Create(), KeyCommand.Create(), RecoveryKitCommand.Create(), RecoverKeyCommand.Create(), CompletionCommand.Create(),
        })
            root.Subcommands.Add(command);
        var parsed = root.Parse(arguments);
        return parsed.Errors.Count > 0 && parsed.Action is System.CommandLine.Invocation.ParseErrorAction
            ? Usage(parsed)
            : parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    static int Usage(ParseResult parsed)
    {
        foreach (var error in parsed.Errors)
            Console.Error.WriteLine($"holdfast: {error.Message}");
        var command = parsed.CommandResult.Command;
        var path = command is RootCommand ? "holdfast" : $"holdfast {command.Name}";
        Console.Error.WriteLine($"  what to do: `{path} --help` shows how it is called");
        return (int)ErrorCode.Usage;
    }
}
