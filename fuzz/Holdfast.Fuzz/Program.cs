using System.Diagnostics;
using System.Globalization;

namespace Holdfast.Fuzz;

static class Program
{
    /// <summary>holdfast-fuzz [target|all] [seconds a target] [seed]</summary>
    static int Main(string[] arguments)
    {
        var name = arguments.ElementAtOrDefault(0) ?? "all";
        var seconds = double.Parse(arguments.ElementAtOrDefault(1) ?? "60", CultureInfo.InvariantCulture);
        var seed = int.Parse(arguments.ElementAtOrDefault(2) ?? "1", CultureInfo.InvariantCulture);
        var findings = 0;
        foreach (var target in FuzzTargets.All.Where(t => name == "all" || t.Name == name))
        {
            var run = new MutationRun(target, seed);
            var clock = Stopwatch.StartNew();
            try
            {
                while (clock.Elapsed.TotalSeconds < seconds)
                    run.For(200);
            }
            catch (FuzzException e)
            {
                Console.WriteLine(e.Message);
                findings++;
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{target.Name,-18} {run.Rounds,12:#,0} inputs, {run.Accepted,10:#,0} accepted, at most {run.Largest,12:#,0} bytes allocated"));
        }
        return findings;
    }
}
