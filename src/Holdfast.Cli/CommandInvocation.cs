using System.CommandLine;

namespace Holdfast.Cli;

/// <summary>What every command is run with.</summary>
sealed class CommandInvocation : InvocationConfiguration
{
    public CommandInvocation(INetwork network, IControl control)
    {
        Network = network;
        Control = control;
        EnableDefaultExceptionHandler = false;
        ProcessTerminationTimeout = null;
    }

    public INetwork Network { get; }
    public IControl Control { get; }
}
