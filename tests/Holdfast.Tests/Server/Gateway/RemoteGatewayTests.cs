using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;
using Holdfast.Server.Gateway;
using Holdfast.Server.Wire;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Server.Gateway;

/// <summary>A gateway over a real connection on loopback: restarts, cuts, and clients that mean no good.</summary>
public sealed class RemoteGatewayTests : IDisposable
{
    const long Room = 16 << 20;

    readonly TestVault _test = new();
    readonly string _identity = Identity.Make("gateway");
    readonly X509Certificate2 _certificate;
    readonly List<IDisposable> _made = [];
    Vault? _vault;
    GatewayDesk? _desk;
    GatewayServer? _server;
    CancellationTokenSource? _stop;
    Task? _running;
    int _port;

    public RemoteGatewayTests()
    {
        _certificate = Identity.Read(_identity);
        Start();
    }

    Hash32 Self => Of(_certificate);
    static Hash32 Of(X509Certificate certificate) => new(Convert.FromHexString(Identity.Fingerprint(certificate)));
    string Fingerprint => Identity.Fingerprint(_certificate);

    void Start()
    {
        _vault = _test.Open();
        _desk = new GatewayDesk(_vault, _test.Keys.Put, Self, new GatewayLimits());
        var server = _server = new GatewayServer(_desk, Room, _ => { });
        var stop = _stop = new CancellationTokenSource();
        var ready = new TaskCompletionSource<string>();
        _running = Task.Run(async () =>
        {
            try
            {
                await server.ServeAsync(new IPEndPoint(IPAddress.Loopback, _port), _certificate, a => ready.TrySetResult(a), stop.Token);
            }
            catch (Exception e)
            {
                ready.TrySetException(e);
            }
        });
        _port = new Uri(ready.Task.GetAwaiter().GetResult()).Port;
    }

    void Stop()
    {
        _stop?.Cancel();
        _running?.GetAwaiter().GetResult();
        _server?.Dispose();
        _desk?.Dispose();
        _vault?.Dispose();
    }

    public void Dispose()
    {
        _made.ForEach(m => m.Dispose());
        Stop();
        _certificate.Dispose();
        _test.Dispose();
    }

    Uri Url(int? port = null) => new($"https://127.0.0.1:{port ?? _port}/");

    RemoteGateway Reach(int? port = null)
    {
        var gateway = new RemoteGateway(Url(port), Fingerprint, 0, TestContext.Current.CancellationToken) { Patience = TimeSpan.FromSeconds(20) };
        _made.Add(gateway);
        return gateway;
    }

    (AgentLink Link, AgentKey Key) Enrolled(int? port = null)
    {
        var gateway = Reach(port);
        var key = AgentKey.Create(_vault!.Id);
        _made.Add(key);
        var token = EnrolmentTokens.Make(_test.Folder, "n", _vault.Keeper.Clock.Now, _vault.Keeper.Clock.Now + RetentionPolicy.Day, Disk.Real);
        gateway.Ask(new AgentRequest.Enrol(token, key.Agent, key.Signer.PublicKey.ToArray()));
        return (new AgentLink(gateway, key, _vault.Keeper.Log.Key), key);
    }

    AgentResult BackUp((AgentLink Link, AgentKey Key) agent)
    {
        using var files = FileSource.Open(_test.Source, new FileSourceOptions());
        return AgentRun.BackUp(agent.Link, null, files, new BackupRequest("n"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), _test.State) { Options = new ArchiveOptions { Threads = 3 } }, agent.Key, new BackupProgress(), _ => { }, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_backup_goes_over_the_wire_and_comes_back()
    {
        _test.WriteSome();
        var agent = Enrolled();
        var result = BackUp(agent);
        TestVault.AssertSame(_test.Source, _test.Restore(result.Snapshot.ToString()));
        _test.Write("more", "more");
        TestVault.AssertSame(_test.Source, _test.Restore(BackUp(agent).Snapshot.ToString()));
    }

    [Fact]
    public void An_agent_sends_no_faster_than_it_may()
    {
        _test.Write("noise", Convert.ToHexString(TestVault.Noise(1, 3_000_000))); // half of it, compressed
        _test.Write("large", Convert.ToHexString(TestVault.Noise(2, 3_000_000)));
        var (_, key) = Enrolled();
        using var slow = new RemoteGateway(Url(), Fingerprint, 2_000_000, TestContext.Current.CancellationToken);
        var began = TimeProvider.System.GetTimestamp();
        var result = BackUp((new AgentLink(slow, key, _vault!.Keeper.Log.Key), key));
        Assert.InRange(TimeProvider.System.GetElapsedTime(began).TotalSeconds, 2.8, 60); // 6 MB
        TestVault.AssertSame(_test.Source, _test.Restore(result.Snapshot.ToString()));
    }

    /// <summary>The agent proves itself again to a gateway that was restarted, and its next run goes on.</summary>
    [Fact]
    public async Task A_restart_is_ridden_over()
    {
        _test.WriteSome();
        var agent = Enrolled();
        BackUp(agent);
        Stop();
        var starting = Task.Run(async () =>
        {
            await Task.Delay(1_500);
            Start();
        }, TestContext.Current.CancellationToken);
        _test.Write("more", "more");
        var result = BackUp(agent);
        await starting;
        TestVault.AssertSame(_test.Source, _test.Restore(result.Snapshot.ToString()));
    }

    /// <summary>Connections that are cut again and again, whatever was on its way.</summary>
    [Fact]
    public void Cuts_are_ridden_over()
    {
        _test.WriteSome();
        _test.Write("noise", TestVault.Noise(3, 40_000_000));
        using var between = new Cutting(_port, 6_000_000);
        var result = BackUp(Enrolled(between.Port));
        Assert.InRange(between.Cuts, 3, 1_000);
        TestVault.AssertSame(_test.Source, _test.Restore(result.Snapshot.ToString()));
    }

    /// <summary>Carries bytes, and cuts each connection after so many.</summary>
    sealed class Cutting : IDisposable
    {
        readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        readonly int _to;
        readonly int _after;
        int _cuts;

        public Cutting(int to, int after)
        {
            (_to, _after) = (to, after);
            _listener.Start();
            _ = Task.Run(ServeAsync);
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;
        public int Cuts => Volatile.Read(ref _cuts);

        async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    var from = await _listener.AcceptTcpClientAsync();
                    var to = new TcpClient("127.0.0.1", _to);
                    _ = CarryAsync(from, to, _after);
                    _ = CarryAsync(to, from, int.MaxValue);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                // The test is over.
            }
        }

        async Task CarryAsync(TcpClient from, TcpClient to, int most)
        {
            var some = new byte[65_536];
            try
            {
                for (int count; most > 0 && (count = await from.GetStream().ReadAsync(some)) > 0; most -= count)
                    await to.GetStream().WriteAsync(some.AsMemory(0, count));
                if (most <= 0)
                    Interlocked.Increment(ref _cuts);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
            {
                // One of them closed.
            }
            from.Close();
            to.Close();
        }

        public void Dispose() => _listener.Stop();
    }

    SslStream Connect(X509Certificate2? client, SslProtocols protocol = SslProtocols.Tls13)
    {
        var tcp = new TcpClient("127.0.0.1", _port);
        _made.Add(tcp);
        var tls = new SslStream(tcp.GetStream(), false, (_, shown, _, _) => shown is not null && Identity.Fingerprint(shown) == Fingerprint);
        _made.Add(tls);
        tls.AuthenticateAsClient(new SslClientAuthenticationOptions { TargetHost = "x", EnabledSslProtocols = protocol, ClientCertificates = client is null ? [] : [client] });
        tls.ReadTimeout = 20_000;
        return tls;
    }

    static string Answer(SslStream tls)
    {
        var bytes = new byte[4_096];
        try
        {
            return Encoding.ASCII.GetString(bytes, 0, tls.Read(bytes)).Split("\r\n")[0];
        }
        catch (IOException)
        {
            return "";
        }
    }

    [Theory]
    [InlineData("GET /v1/agent HTTP/1.1\r\nHost: x\r\n\r\n", "404")]
    [InlineData("POST /v1/vault HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x01\x01", "404")]
    [InlineData("DELETE /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x01\x01", "404")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\n\r\n", "411")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n\x01", "411")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x01\x01\r\n0\r\n\r\n", "411")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n\x01\x01", "413")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n\x01\x01", "413")] // more than a hello may have
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n\x01\x06", "403")] // what agents alone may send is not waited for
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 70000000\r\n\r\n\x01\x08", "403")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x01\x63", "400")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x02\x01", "400")]
    [InlineData("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\x01\x01zzz", "400")]
    public void Strangers_get_next_to_nothing(string request, string status)
    {
        using var stranger = Identity.Read(Identity.Make("stranger"));
        var tls = Connect(stranger);
        tls.Write(Encoding.Latin1.GetBytes(request));
        Assert.Contains(status, Answer(tls), StringComparison.Ordinal);
    }

    [Fact]
    public void Who_shows_no_certificate_or_speaks_an_older_TLS_gets_nothing()
    {
        foreach (var protocol in new[] { SslProtocols.Tls13, SslProtocols.Tls12 })
        {
            using var stranger = Identity.Read(Identity.Make("stranger"));
            try
            {
                var tls = Connect(protocol == SslProtocols.Tls13 ? null : stranger, protocol);
                tls.Write("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\x01\x01"u8);
                Assert.Equal("", Answer(tls));
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                // Refused in the handshake.
            }
        }
    }

    /// <summary>More of them than there is room for, each of which says how much will come and sends next to nothing: others' requests are answered all the same, and those are sent away.</summary>
    [Fact]
    public void Slow_requests_keep_nobody_from_anything_for_long()
    {
        var (link, key) = Enrolled();
        link.Prove();
        // The slow ones are of agents too: who has not proved to be one may not even begin.
        for (var i = 0; i < 5; i++)
        {
            var slow = Identity.Read(Identity.Make("slow"));
            _made.Add(slow);
            var (client, own) = (Of(slow), Enrolled().Key);
            var hello = AgentHello.Parse(_desk!.Answer(client, new AgentRequest.Hello()))!;
            _desk.Answer(client, new AgentRequest.Prove(own.Agent, hello.Nonce, own.Signer.Sign(AgentProof.SignedBytes(_vault!.Id, own.Agent, hello.Nonce, client, Self))));
            for (var each = 0; each < 2; each++)
                Connect(slow).Write(Encoding.Latin1.GetBytes("POST /v1/agent HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n\x01\x06"));
        }
        Thread.Sleep(500);
        _test.WriteSome();
        var result = BackUp((link, key));
        TestVault.AssertSame(_test.Source, _test.Restore(result.Snapshot.ToString()));
    }

    [Fact]
    public void Another_certificate_in_its_place_is_not_spoken_to()
    {
        using var gateway = new RemoteGateway(Url(), Identity.Fingerprint(Identity.Read(Identity.Make("other"))), 0, TestContext.Current.CancellationToken);
        Assert.Equal(ErrorCode.WrongVault, Assert.Throws<HoldfastException>(() => gateway.Ask(new AgentRequest.Hello())).Code);
    }
}
