using Holdfast.Cli;

namespace Holdfast.Control;

static class Program
{
    static int Main(string[] arguments)
    {
        var folder = Path.GetFullPath("..", AppContext.BaseDirectory); // this program has a folder of its own, in that of the others
        return CommandLine.Run(arguments, new OtherProgram(arguments, folder), new ControlPlane(Path.Combine(folder, "holdfast")));
    }
}
