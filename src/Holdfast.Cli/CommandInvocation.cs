using System.CommandLine;

namespace Holdfast.Cli;

/// <summary>What every command is run with.</summary>
sealed class CommandInvocation : InvocationConfiguration
{
    public CommandInvocation(INetwork network)
    {
        Network = network;
        EnableDefaultExceptionHandler = false;
        ProcessTerminationTimeout = null;
    }

    public INetwork Network { get; }
}
