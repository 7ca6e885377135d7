using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary>How many threads a command may use.</summary>
static class ThreadsArgument
{
    const int Most = 256;

    public static readonly Option<string> Option = new("--threads") { Description = "Threads, up to 256; 0 for one a processor.", HelpName = "N", DefaultValueFactory = _ => "0" };

    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static int Get(Session session) =>
        int.TryParse(session.Parsed.GetValue(Option), NumberStyles.None, CultureInfo.InvariantCulture, out var threads) && threads <= Most
            ? threads
            : throw new HoldfastException(ErrorCode.Usage, "The number of threads is out of range.", "Choose 1 to 256, or 0 for one a processor.");
}
