namespace Holdfast.Server;

static class Program
{
    static int Main(string[] arguments) => Cli.CommandLine.Run(arguments, new Network());
}
