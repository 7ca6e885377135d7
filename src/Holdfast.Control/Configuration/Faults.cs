using System.Globalization;
using Holdfast.Core;

namespace Holdfast.Control.Configuration;

/// <summary>Everything that is wrong with a configuration, each with its line and what to do.</summary>
sealed class Faults
{
    readonly List<(long Line, string What, string ToDo)> _all = [];

    public void Add(long line, string what, string toDo) => _all.Add((line, what, toDo));

    public bool Any => _all.Count > 0;

    /// <exception cref="HoldfastException"><c>Usage</c>: there are some.</exception>
    public void Require()
    {
        if (!Any)
            return;
        var lines = _all.OrderBy(f => f.Line).Select(f => $"  {(f.Line > 0 ? string.Create(CultureInfo.InvariantCulture, $"line {f.Line}: ") : "")}{f.What} {f.ToDo}");
        throw new HoldfastException(ErrorCode.Usage, $"The configuration cannot be used. Nothing was started.\n{string.Join('\n', lines)}", "Mend each of these lines, then run the same command again. docs/manual/operate.md shows a whole configuration.");
    }
}
