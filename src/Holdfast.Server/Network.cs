using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Cli;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Siege;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;
using Holdfast.Server.Gateway;
using Holdfast.Server.Grants;
using Holdfast.Server.Keeper;
using Holdfast.Server.Siege;
using Holdfast.Server.Wire;
using Holdfast.Server.Witnesses;

namespace Holdfast.Server;

/// <summary>All that reaches over the network, or is reached over it.</summary>
sealed class Network : INetwork, IDisposable
{
    const long Room = 32 << 20; // bytes of requests that a gateway has in memory

    readonly Places _places = new();
    readonly List<IDisposable> _reached = [];

    public IObjectStores Stores => _places;

    public string NewIdentity(string name) => Identity.Make(name);

    public string Fingerprint(string identity)
    {
        using var certificate = Identity.Read(identity);
        return Identity.Fingerprint(certificate);
    }

    public void Reach(KeeperAccess access, string mirror, CancellationToken ct) => _places.Reach(access, mirror, ct);

    public void Serve(KeeperDesk desk, string staging, Func<IReadOnlyList<KeeperClient>> clients, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct)
    {
        using var certificate = Identity.Read(identity);
        using var server = new KeeperServer(desk, staging, clients, warn);
        server.ServeAsync(at, certificate, ready, ct).GetAwaiter().GetResult();
    }

    public IGateway Gateway(GatewayAccess access, long rate, CancellationToken ct)
    {
        var gateway = new RemoteGateway(access.Url, access.Fingerprint, rate, ct);
        _reached.Add(gateway);
        return gateway;
    }

    public void Serve(GatewayDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct)
    {
        using var certificate = Identity.Read(identity);
        using var server = new GatewayServer(desk, Room, warn);
        server.ServeAsync(at, certificate, ready, ct).GetAwaiter().GetResult();
    }

    public IGrant Grant(Uri url, string fingerprint, CancellationToken ct)
    {
        var grant = new RemoteGrant(url, fingerprint, ct);
        _reached.Add(grant);
        return grant;
    }

    public void Serve(GrantDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct)
    {
        using var certificate = Identity.Read(identity);
        using var server = new GrantServer(desk, warn);
        server.ServeAsync(at, certificate, ready, ct).GetAwaiter().GetResult();
    }

    public void Require()
    {
        // It is here.
    }

    public WitnessClient Witness(CosignerKey key, Uri url) => new HttpWitnessClient(key, url);

    public void Serve(Witness witness, IPEndPoint at, (string Certificate, string Key)? tls, Action<string> ready, Action<string> warn, CancellationToken ct)
    {
        using var certificate = tls is var (pem, key) ? Certificate(pem, key) : null;
        using var server = new WitnessServer(witness, warn);
        server.ServeAsync(at, certificate, ready, ct).GetAwaiter().GetResult();
    }

    public SiegeReport Besiege(SiegeCall what, Action<string> note, Action<SiegeRow> done, CancellationToken ct) => Attackers.Run(what, note, done, ct);

    static X509Certificate2 Certificate(string certificate, string key)
    {
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (CryptographicException e)
        {
            throw new HoldfastException(ErrorCode.KeyFileBad, "That certificate and key cannot be used.", "Both are PEM files; the key has no passphrase and is the certificate's own.", e);
        }
    }

    public void Dispose()
    {
        _places.Dispose();
        _reached.ForEach(r => r.Dispose());
    }
}
