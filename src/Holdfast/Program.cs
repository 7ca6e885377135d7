namespace Holdfast;

static class Program
{
    static int Main(string[] arguments) => Cli.CommandLine.Run(arguments, new OtherProgram(arguments));
}
