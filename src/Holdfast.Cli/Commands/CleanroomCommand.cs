using System.CommandLine;

namespace Holdfast.Cli.Commands;

/// <summary>What is done where backups are opened.</summary>
static class CleanroomCommand
{
    public static Command Create()
    {
        var cleanroom = new Command("cleanroom", "Do what needs opened backups, on a machine set apart for it.");
        cleanroom.Subcommands.Add(GrantCommand.Create());
        return cleanroom;
    }
}
