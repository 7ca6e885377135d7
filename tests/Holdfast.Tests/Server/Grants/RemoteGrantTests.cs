using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Server.Grants;
using Holdfast.Server.Wire;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Server.Grants;

/// <summary>A grant over a real connection on loopback: cuts, a clean room that dies, and clients that mean no good.</summary>
public sealed class RemoteGrantTests : IDisposable
{
    readonly TestVault _test = new();
    readonly Vault _vault;
    readonly X509Certificate2 _certificate = Identity.Read(Identity.Make("clean room"));
    readonly AgentKey _agent;
    readonly List<IDisposable> _made = [];
    readonly CancellationTokenSource _stop = new();
    OpeningKeys? _keys;
    GrantDesk? _desk;
    GrantServer? _server;
    Task? _running;
    Grant _grant = null!;
    int _port;

    public RemoteGrantTests()
    {
        _vault = _test.Open();
        _agent = AgentKey.Create(_vault.Id);
        var token = EnrolmentTokens.Make(_test.Folder, "n", _vault.Keeper.Clock.Now, _vault.Keeper.Clock.Now + TestVault.Day, Disk.Real);
        _vault.Keeper.EnrolAgent(token, new Enrolment(_vault.Id, VaultKeeper.Salt(), EnrolmentKind.Agent, _agent.Agent, 1, _agent.Signer.PublicKey.ToArray(), _test.Keys.Put.Domain.Domain));
    }

    string Fingerprint => Identity.Fingerprint(_certificate);

    void Serve()
    {
        _test.BackUp(_vault);
        _keys = _vault.Unlock(_test.Seed);
        var record = _vault.Find("latest");
        var enrolled = _vault.State.Agent(_agent.Agent)!;
        _grant = new Grant(_vault.Id, _vault.Keeper.File.LogKey, enrolled, RandomNumberGenerator.GetBytes(GrantProof.SecretSize), TimeSpan.FromHours(8), VaultRestore.StandOf(_vault, record, _keys, false));
        _desk = new GrantDesk(_grant, new VaultRestore(_vault, record, _keys, enrolled, () => new PathFilter(null), null, 2), new Hash32(Convert.FromHexString(Fingerprint)));
        _server = new GrantServer(_desk, _ => { });
        var ready = new TaskCompletionSource<string>();
        _running = Task.Run(async () =>
        {
            try
            {
                await _server.ServeAsync(new IPEndPoint(IPAddress.Loopback, 0), _certificate, a => ready.TrySetResult(a), _stop.Token);
            }
            catch (Exception e)
            {
                ready.TrySetException(e);
            }
        });
        _port = new Uri(ready.Task.GetAwaiter().GetResult()).Port;
    }

    public void Dispose()
    {
        _made.ForEach(m => m.Dispose());
        _desk?.Dispose();
        _stop.Cancel();
        _running?.GetAwaiter().GetResult();
        _server?.Dispose();
        _keys?.Dispose();
        _agent.Dispose();
        _vault.Dispose();
        _certificate.Dispose();
        _stop.Dispose();
        _test.Dispose();
    }

    RemoteGrant Reach(int port, string? fingerprint = null)
    {
        var grant = new RemoteGrant(new Uri($"https://127.0.0.1:{port}/"), fingerprint ?? Fingerprint, TestContext.Current.CancellationToken) { Patience = TimeSpan.FromSeconds(20) };
        _made.Add(grant);
        return grant;
    }

    RestoreResult Restore(RemoteGrant grant, string target, GrantMode mode = GrantMode.Empty)
    {
        var run = GrantRun.Begin(grant, _agent, null, _grant.Code, new GrantOptions(mode, false), TestContext.Current.CancellationToken);
        _made.Insert(0, run);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = mode == GrantMode.Resume ? ExistingFiles.KeepEqual : ExistingFiles.Refuse });
        var result = run.Restore(writer, new RestoreProgress(), 2);
        run.Report(result.IsWhole ? GrantOutcome.Whole : GrantOutcome.NotWhole, result.Files, result.Bytes, 0);
        return result;
    }

    /// <summary>Stands between, and cuts each connection after so many bytes of answers.</summary>
    sealed class Cutting : IDisposable
    {
        readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        readonly int _to;
        readonly Func<long> _each;
        long _passed;
        int _cuts;

        public Cutting(int to, Func<long> each)
        {
            (_to, _each) = (to, each);
            _listener.Start();
            _ = AcceptAsync();
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;
        public long Passed => Interlocked.Read(ref _passed);
        public int Cuts => Volatile.Read(ref _cuts);

        async Task AcceptAsync()
        {
            try
            {
                while (true)
                    _ = PassAsync(await _listener.AcceptTcpClientAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // It is over.
            }
        }

        async Task PassAsync(TcpClient client)
        {
            using (client)
            using (var server = new TcpClient())
            {
                try
                {
                    await server.ConnectAsync(IPAddress.Loopback, _to);
                    var left = _each();
                    var there = client.GetStream().CopyToAsync(server.GetStream());
                    var buffer = new byte[1 << 16];
                    for (int count; left > 0 && (count = await server.GetStream().ReadAsync(buffer)) > 0; left -= count)
                    {
                        await client.GetStream().WriteAsync(buffer.AsMemory(0, count));
                        Interlocked.Add(ref _passed, count);
                    }
                    if (left <= 0)
                        Interlocked.Increment(ref _cuts);
                    client.Client.Close(0); // both ways, at once
                    server.Client.Close(0);
                    await there;
                }
                catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
                {
                    // Cut.
                }
            }
        }

        public void Dispose() => _listener.Stop();
    }

    [Fact]
    public void A_cut_connection_is_gone_on_with_and_what_came_does_not_come_again()
    {
        for (var i = 0; i < 12; i++)
            _test.Write($"big/{i:d2}", TestVault.Noise(i, 6_000_000));
        _test.WriteSome();
        Serve();
        using var between = new Cutting(_port, () => 11_000_000); // two whole pieces, and part of a third
        var result = Restore(Reach(between.Port), _test["back"]);
        Assert.True(result.IsWhole);
        TestVault.AssertSame(_test.Source, _test["back"]);
        Assert.InRange(between.Cuts, 4, 40);
        // What was under way when it was cut, a part of a piece for each, is all that goes twice.
        Assert.InRange(between.Passed, 82_000_000, 82_000_000 + between.Cuts * (5L << 20));
    }

    [Fact]
    public void A_clean_room_that_dies_leaves_nothing_half_written()
    {
        for (var i = 0; i < 12; i++)
            _test.Write($"big/{i:d2}", TestVault.Noise(i, 6_000_000));
        Serve();
        var allowed = 6; // connections
        using var between = new Cutting(_port, () => Interlocked.Decrement(ref allowed) >= 0 ? 9_000_000 : 0);
        var grant = new RemoteGrant(new Uri($"https://127.0.0.1:{between.Port}/"), Fingerprint, TestContext.Current.CancellationToken) { Patience = TimeSpan.FromSeconds(2) };
        _made.Add(grant);
        var e = Assert.Throws<HoldfastException>(() => Restore(grant, _test["back"]));
        Assert.Equal(ErrorCode.StoreUnavailable, e.Code);
        Assert.Contains("clean room", e.Message, StringComparison.Ordinal);
        foreach (var file in Directory.EnumerateFiles(_test["back"], "*", SearchOption.AllDirectories))
        {
            Assert.DoesNotContain(".holdfast", file, StringComparison.Ordinal);
            Assert.Equal(6_000_000, new FileInfo(file).Length);
        }
        Assert.True(Restore(Reach(_port), _test["back"], GrantMode.Resume).IsWhole);
        TestVault.AssertSame(_test.Source, _test["back"]);
    }

    /// <summary>Whoever waits for the next piece hears at once that there is none, and why: not that a clean room is away, and never that it was stopped here.</summary>
    [Fact]
    public async Task A_grant_that_is_taken_back_is_told_at_once()
    {
        for (var i = 0; i < 12; i++)
            _test.Write($"big/{i:d2}", TestVault.Noise(i, 6_000_000));
        Serve();
        var (begun, taken) = (new TaskCompletionSource(), new TaskCompletionSource());
        var fetched = 0;
        using var between = new Cutting(_port, () => long.MaxValue);
        var run = GrantRun.Begin(new Waiting(Reach(between.Port), request =>
        {
            if (request is GrantRequest.Fetch && Interlocked.Increment(ref fetched) > 3)
            {
                begun.TrySetResult();
                taken.Task.Wait(TestContext.Current.CancellationToken);
            }
        }), _agent, null, _grant.Code, new GrantOptions(GrantMode.Empty, false), TestContext.Current.CancellationToken);
        _made.Insert(0, run);
        var restore = Task.Run(() =>
        {
            using var writer = FileTarget.Create(_test["back"], new FileTargetOptions());
            return Assert.Throws<HoldfastException>(() => run.Restore(writer, new RestoreProgress(), 2));
        });
        await begun.Task;
        _desk!.End(GrantEnd.Withdrawn);
        taken.SetResult();
        var e = await restore.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(ErrorCode.NoPermission, e.Code);
        Assert.Contains("taken back", e.Message, StringComparison.Ordinal);
    }

    sealed class Waiting(IGrant grant, Action<GrantRequest> before) : IGrant
    {
        public string Place => grant.Place;
        public (Hash32 Client, Hash32 Server) Ends => grant.Ends;

        public GrantReply Ask(GrantRequest request)
        {
            before(request);
            return grant.Ask(request);
        }
    }

    [Fact]
    public void Another_certificate_is_not_the_clean_room()
    {
        _test.Write("x", "x");
        Serve();
        var other = Reach(_port, new string('a', 64));
        Assert.Equal(ErrorCode.WrongVault, Assert.Throws<HoldfastException>(() => Restore(other, _test["back"])).Code);
    }

    [Fact]
    public async Task Strangers_get_next_to_nothing()
    {
        _test.Write("x", "x");
        Serve();
        using var own = Identity.Read(Identity.Make("stranger"));
        using var handler = new SocketsHttpHandler();
        handler.SslOptions.ClientCertificates = [own];
        handler.SslOptions.RemoteCertificateValidationCallback = (_, shown, _, _) => Identity.Fingerprint(shown!) == Fingerprint;
        using var http = new HttpClient(handler) { BaseAddress = new Uri($"https://127.0.0.1:{_port}/") };
        var ct = TestContext.Current.CancellationToken;
        async Task<int> Status(HttpMethod method, string path, byte[] body)
        {
            using var request = new HttpRequestMessage(method, path) { Content = new ByteArrayContent(body) };
            using var response = await http.SendAsync(request, ct);
            return (int)response.StatusCode;
        }

        Assert.Equal(404, await Status(HttpMethod.Get, "v1/grant", []));
        Assert.Equal(404, await Status(HttpMethod.Post, "v1/agent", [1, 1]));
        Assert.Equal(411, await Status(HttpMethod.Post, "v1/grant", []));
        Assert.Equal(400, await Status(HttpMethod.Post, "v1/grant", [9, 9]));
        Assert.Equal(200, await Status(HttpMethod.Post, "v1/grant", [1, 1]));
        Assert.Equal(413, await Status(HttpMethod.Post, "v1/grant", [1, 1, .. new byte[5_000]]));
        foreach (var request in new GrantRequest[] { new GrantRequest.Begin(GrantMode.Empty, true), new GrantRequest.Fetch(Id16.New(), 0, 0), new GrantRequest.Report(Id16.New(), GrantOutcome.Whole, 1, 1, 1) })
            Assert.Equal(403, await Status(HttpMethod.Post, "v1/grant", request.ToArray()));
        for (var i = 0; i < 200; i++)
            Assert.NotEqual(500, await Status(HttpMethod.Post, "v1/grant", [1, (byte)i, .. TestVault.Noise(i, i)]));
        Assert.True(Restore(Reach(_port), _test["back"]).IsWhole); // and the agent gets its own
    }
}
