namespace Holdfast;

static class Program
{
    static int Main(string[] arguments)
    {
        var other = new Cli.OtherProgram(arguments, AppContext.BaseDirectory);
        return Cli.CommandLine.Run(arguments, other, other);
    }
}
