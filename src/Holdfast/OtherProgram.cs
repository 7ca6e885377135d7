using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Holdfast.Cli;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Siege;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast;

/// <summary>This program has nothing of the network: asked for any of it, it becomes <c>holdfast-server</c>, which lies beside it, with the same arguments.</summary>
/// <param name="arguments">As they were typed.</param>
sealed partial class OtherProgram(string[] arguments) : INetwork, IObjectStores
{
    const string Name = "holdfast-server";
    const int BrokenPipe = 13; // SIGPIPE
    const nint Default = 0; // SIG_DFL

    public void Require() => Become();

    public IObjectStores Stores => this;

    public string NewIdentity(string name) => throw Become();

    public string Fingerprint(string identity) => throw Become();

    public void Reach(KeeperAccess access, string mirror, CancellationToken ct) => throw Become();

    public void Serve(KeeperDesk desk, string staging, Func<IReadOnlyList<KeeperClient>> clients, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become();

    public IGateway Gateway(GatewayAccess access, long rate, CancellationToken ct) => throw Become();

    public void Serve(GatewayDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become();

    public WitnessClient Witness(CosignerKey key, Uri url) => throw Become();

    public void Serve(Witness witness, IPEndPoint at, (string Certificate, string Key)? tls, Action<string> ready, Action<string> warn, CancellationToken ct) => throw Become();

    public SiegeReport Besiege(SiegeCall what, Action<string> note, Action<SiegeRow> done, CancellationToken ct) => throw Become();

    string IObjectStores.Name(string place) => throw Become();

    void IObjectStores.RequireCredential(string file) => throw Become();

    HoldfastException? IObjectStores.Check(string place, ReadOnlySpan<byte> credential) => throw Become();

    IStore IObjectStores.Open(string place, string vault, Disk disk) => throw Become();

    IRemover? IObjectStores.Remover(string place, string vault) => throw Become();

    /// <summary>Does not return.</summary>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>.</exception>
    UnreachableException Become()
    {
        var program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? Name + ".exe" : Name);
        if (!File.Exists(program))
            throw new HoldfastException(ErrorCode.SystemLimit, $"This takes the network, and the program that has it, {Name}, is not beside this one.", Together);
        if (OperatingSystem.IsWindows())
            RunBeside(program);
        _ = Handle(BrokenPipe, Default); // which the runtime ignores, and what this becomes would hand on to the commands it starts
        Execute(program, [program, .. arguments, null]);
        var error = Marshal.GetLastPInvokeError();
        throw new HoldfastException(ErrorCode.SystemLimit, $"This takes the network, and the program that has it, {Name}, cannot be run: {Marshal.GetPInvokeErrorMessage(error)}.", Together);
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
