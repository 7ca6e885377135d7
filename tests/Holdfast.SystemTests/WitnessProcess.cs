using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Holdfast.SystemTests;

/// <summary>A witness as its users run it, on a port of its own on loopback.</summary>
sealed class WitnessProcess : IDisposable
{
    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _cli;
    readonly string[] _more;
    Process? _process;

    /// <param name="cli">Its folder lies in the test's.</param>
    /// <param name="name">Of its folder.</param>
    /// <param name="more">Options of `serve`.</param>
    public WitnessProcess(Cli cli, string name, params string[] more)
    {
        (_cli, _more, Folder) = (cli, more, cli[name]);
        Key = cli.Run("witness", "init", Folder, "--name", $"witness.example/{name}").Expect(0).Out.Trim();
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        Port = ((IPEndPoint)free.LocalEndpoint).Port;
    }

    public string Folder { get; }
    public string Key { get; }
    public int Port { get; }
    public int Id => _process!.Id;
    public string Url => $"{(_more.Length > 0 ? "https" : "http")}://127.0.0.1:{Port}";

    /// <summary>For `holdfast init --witness`.</summary>
    public string Named => $"{Key}={Url}";

    public WitnessProcess Start()
    {
        _process = _cli.StartProgram(Program, null, ["witness", "serve", Folder, "--listen", $"127.0.0.1:{Port}", .. _more]);
        Assert.Equal($"Listening on {Url}", _process.StandardOutput.ReadLine());
        _ = _process.StandardError.ReadToEndAsync();
        return this;
    }

    /// <summary>Stops it as systemd does.</summary>
    /// <returns>Its exit status.</returns>
    public int Stop(string signal = "TERM")
    {
        _cli.Shell($"kill -{signal} {_process!.Id}");
        _process.WaitForExit();
        var status = _process.ExitCode;
        _process.Dispose();
        _process = null;
        return status;
    }

    public void Dispose()
    {
        if (_process is not null)
            Stop("KILL");
    }
}
