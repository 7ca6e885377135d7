namespace Holdfast.Server;

static class Program
{
    static int Main(string[] arguments)
    {
        using var network = new Network();
        return Cli.CommandLine.Run(arguments, network, new Cli.OtherProgram(arguments, AppContext.BaseDirectory));
    }
}
