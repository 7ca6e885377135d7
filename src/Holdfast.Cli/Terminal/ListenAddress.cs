using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>The option --listen of a command that serves.</summary>
static class ListenAddress
{
    public static Option<string> Option(int port) => new("--listen") { Description = "Address and port to listen on.", HelpName = "ADDRESS:PORT", DefaultValueFactory = _ => $"127.0.0.1:{port}" };

    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static IPEndPoint Of(Session session, Option<string> option)
    {
        var text = session.Parsed.GetValue(option)!;
        return IPEndPoint.TryParse(text, out var at) && text.Contains(at.AddressFamily == AddressFamily.InterNetworkV6 ? "]:" : ":", StringComparison.Ordinal) ? at
            : throw new HoldfastException(ErrorCode.Usage, "--listen takes an address and a port.", "Such as 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443.");
    }
}
