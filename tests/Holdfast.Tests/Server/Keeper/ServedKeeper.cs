using System.Net;
using Holdfast.Cli.Keys;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Server.Keeper;
using Holdfast.Server.Wire;

namespace Holdfast.Tests.Server.Keeper;

/// <summary>A keeper that serves a vault on loopback, in this process, and clients of it.</summary>
sealed class ServedKeeper : IDisposable
{
    readonly string _folder;
    readonly string _identity = Identity.Make("keeper");
    readonly List<IDisposable> _made = [];
    readonly Action<KeeperDesk>? _served;
    VaultKeeper? _keeper;
    KeeperServer? _server;
    CancellationTokenSource? _stop;
    Task? _running;

    /// <param name="folder">Of the vault.</param>
    /// <param name="machine">Its clocks.</param>
    /// <param name="served">Gets what answers.</param>
    public ServedKeeper(string folder, IMachineTime? machine = null, Action<KeeperDesk>? served = null)
    {
        (_folder, Machine, _served) = (folder, machine, served);
        Start(0);
    }

    IMachineTime? Machine { get; }
    public Uri Url { get; private set; } = null!;
    public List<string> Warned { get; } = [];
    public string Fingerprint => Of(_identity);

    static string Of(string identity)
    {
        using var certificate = Identity.Read(identity);
        return Identity.Fingerprint(certificate);
    }

    void Start(int port)
    {
        _keeper = VaultKeeper.Open(_folder, machine: Machine);
        _keeper.BeginSession();
        _stop = new CancellationTokenSource();
        var ready = new TaskCompletionSource<string>();
        var desk = new KeeperDesk(_keeper);
        _served?.Invoke(desk);
        var server = _server = new KeeperServer(desk, Path.Combine(_folder, "staging"), () => KeeperClients.Read(_folder), Warned.Add);
        _running = Task.Run(async () =>
        {
            try
            {
                using var certificate = Identity.Read(_identity);
                await server.ServeAsync(new IPEndPoint(IPAddress.Loopback, port), certificate, a => ready.TrySetResult(a), _stop.Token);
            }
            catch (Exception e)
            {
                ready.TrySetException(e);
            }
        });
        Url = new Uri(ready.Task.GetAwaiter().GetResult());
    }

    public void Stop()
    {
        _stop?.Cancel();
        _running?.GetAwaiter().GetResult();
        _server?.Dispose();
        _keeper?.Dispose();
        (_stop, _running, _server, _keeper) = (null, null, null, null);
    }

    /// <summary>On the same port.</summary>
    public void StartAgain() => Start(Url.Port);

    /// <summary>What a client of this role reaches it with.</summary>
    public KeeperAccess Allow(KeeperRole role, string? name = null)
    {
        var identity = Identity.Make("client");
        KeeperClients.Allow(_folder, new KeeperClient(name ?? $"{role}".ToLowerInvariant(), role, Of(identity)), Disk.Real);
        return new KeeperAccess(Url, Fingerprint, identity);
    }

    public void Deny(string name) => Assert.True(KeeperClients.Deny(_folder, name, Disk.Real));

    public RemoteKeeper Client(KeeperAccess access, string staging) => Kept(new RemoteKeeper(access.Url, access.Fingerprint, access.Identity) { Staging = staging, Patience = TimeSpan.FromSeconds(8) });

    public T Kept<T>(T made) where T : IDisposable
    {
        _made.Add(made);
        return made;
    }

    public void Dispose()
    {
        _made.ForEach(m => m.Dispose());
        Stop();
    }
}
