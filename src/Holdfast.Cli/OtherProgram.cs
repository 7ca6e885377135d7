using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Siege;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Cli;

/// <summary>What the program that runs has nothing of: asked for any of it, it becomes the one that has, <c>holdfast-server</c> or <c>holdfast-control</c>, with the same arguments.</summary>
/// <param name="arguments">As they were typed.</param>
/// <param name="folder">In which `holdfast` lies.</param>
public sealed partial class OtherProgram(string[] arguments, string folder) : INetwork, IObjectStores, IControl
{
    const string Server = "holdfast-server"; // beside `holdfast`
    const string Control = "control/holdfast-control"; // what it comes with would lie in the way there
    const int BrokenPipe = 13; // SIGPIPE
    const nint Default = 0; // SIG_DFL

    public void Require() => Become(Server, "the network");

    public IObjectStores Stores => this;

    public string NewIdentity(string name) => throw Become(Server, "the network");

    public string Fingerprint(string identity) => throw Become(Server, "the network");

    public void Reach(KeeperAccess access, string mirror, CancellationToken ct) => throw Become(Server, "the network");

    public void Serve(KeeperDesk desk, string staging, Func<IReadOnlyList<KeeperClient>> clients, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become(Server, "the network");

    public IGateway Gateway(GatewayAccess access, long rate, CancellationToken ct) => throw Become(Server, "the network");

    public void Serve(GatewayDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become(Server, "the network");

    public IGrant Grant(Uri url, string fingerprint, CancellationToken ct) => throw Become(Server, "the network");

    public void Serve(GrantDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become(Server, "the network");

    public WitnessClient Witness(CosignerKey key, Uri url) => throw Become(Server, "the network");

    public void Serve(Witness witness, IPEndPoint at, (string Certificate, string Key)? tls, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become(Server, "the network");

    public SiegeReport Besiege(SiegeCall what, Action<string> note, Action<SiegeRow> done, CancellationToken ct) => throw Become(Server, "the network");

    string IObjectStores.Name(string place) => throw Become(Server, "the network");

    void IObjectStores.RequireCredential(string file) => throw Become(Server, "the network");

    HoldfastException? IObjectStores.Check(string place, ReadOnlySpan<byte> credential) => throw Become(Server, "the network");

    IStore IObjectStores.Open(string place, string vault, Disk disk) => throw Become(Server, "the network");

    IRemover? IObjectStores.Remover(string place, string vault) => throw Become(Server, "the network");

    void IControl.Require() => Become(Control, "the control plane");

    void IControl.Serve(ServeCall what, Action<string> note, Action<string> warn, CancellationToken ct) => throw Become(Control, "the control plane");

    ServeStatus IControl.Status(ServeCall what, CancellationToken ct) => throw Become(Control, "the control plane");

    /// <summary>Does not return.</summary>
    /// <param name="name">Its path, from the folder.</param>
    /// <param name="what">It has.</param>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>.</exception>
    UnreachableException Become(string name, string what)
    {
        var program = Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name);
        if (!File.Exists(program))
            throw new HoldfastException(ErrorCode.SystemLimit, $"This takes {what}, and the program that has it, {Path.GetFileName(name)}, is not beside this one.", Together);
        if (OperatingSystem.IsWindows())
            RunBeside(program);
        _ = Handle(BrokenPipe, Default); // which the runtime ignores, and what this becomes would hand on to the commands it starts
        Execute(program, [program, .. arguments, null]);
        var error = Marshal.GetLastPInvokeError();
        throw new HoldfastException(ErrorCode.SystemLimit, $"This takes {what}, and the program that has it, {Path.GetFileName(name)}, cannot be run: {Marshal.GetPInvokeErrorMessage(error)}.", Together);
    }

    const string Together = "The files of a release belong together in one folder: put all of them there again, then run this again. Nothing was done.";

    /// <summary>Where no process can become another program.</summary>
    void RunBeside(string program)
    {
        using var child = Process.Start(new ProcessStartInfo(program, arguments))!;
        child.WaitForExit();
#pragma warning disable RS0030 // there is no status to return where a value of the other program's was asked for
        Environment.Exit(child.ExitCode);
#pragma warning restore RS0030
    }

    [LibraryImport("libc", EntryPoint = "execv", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Execute(string program, string?[] arguments);

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint Handle(int signal, nint handler);
}
