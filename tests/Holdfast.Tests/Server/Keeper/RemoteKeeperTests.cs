using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Server.Keeper;
using Holdfast.Server.Wire;

namespace Holdfast.Tests.Server.Keeper;

/// <summary>A keeper and its clients over real connections on loopback.</summary>
public sealed class RemoteKeeperTests : IDisposable
{
    readonly TestVault _test = new();
    readonly ServedKeeper _served;

    public RemoteKeeperTests() => _served = new ServedKeeper(_test.Folder, _test.Machine);

    public void Dispose()
    {
        _served.Dispose();
        _test.Dispose();
    }

    RemoteKeeper Client(KeeperRole role) => _served.Client(_served.Allow(role), _test["staging"]);

    static byte[] Noise(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    static Hash32 Store(RemoteKeeper store, byte[] bytes)
    {
        using var staged = store.Stage(large: true);
        staged.Append(bytes);
        var name = new Hash32(SHA256.HashData(bytes));
        store.Enter(staged, StoreKind.Pack, name);
        return name;
    }

    [Fact]
    public void Another_certificate_is_not_the_keeper()
    {
        var access = _served.Allow(KeeperRole.Manage);
        using var client = new RemoteKeeper(access.Url, new string('0', 64), access.Identity) { Staging = _test["staging"] };
        Assert.Equal(ErrorCode.WrongVault, Assert.Throws<HoldfastException>(() => client.VaultFile()).Code);
    }

    [Fact]
    public void A_stranger_is_told_that_he_is_not_let_in()
    {
        using var client = new RemoteKeeper(_served.Url, _served.Fingerprint, Identity.Make("stranger")) { Staging = _test["staging"] };
        var fault = Assert.Throws<HoldfastException>(() => client.VaultFile());
        Assert.Equal(ErrorCode.StoreUnavailable, fault.Code);
        Assert.Contains("keeper list", fault.Guidance, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_that_is_shut_out_is_so_at_once()
    {
        var access = _served.Allow(KeeperRole.Backup, "ward-7");
        var client = _served.Client(access, _test["staging"]);
        Store(client, Noise(1, 1_000));
        _served.Deny("ward-7");
        Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => Store(client, Noise(2, 1_000))).Code); // the same connection
        using var again = new RemoteKeeper(access.Url, access.Fingerprint, access.Identity) { Staging = _test["staging"] };
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => again.VaultFile()).Code);
    }

    [Fact]
    public void A_list_of_clients_that_makes_no_sense_lets_nobody_in()
    {
        var client = Client(KeeperRole.Manage);
        client.VaultFile();
        File.AppendAllText(Path.Combine(_test.Folder, "keeper/clients"), "everybody manage\n");
        Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => client.VaultFile()).Code);
        Assert.Contains("line 2", Assert.Single(_served.Warned), StringComparison.Ordinal);
    }

    [Fact]
    public void A_role_changes_while_it_runs()
    {
        var access = _served.Allow(KeeperRole.Read, "x");
        var client = _served.Client(access, _test["staging"]);
        Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => Store(client, Noise(1, 10))).Code);
        KeeperClients.Allow(_test.Folder, KeeperClients.Read(_test.Folder).Single() with { Role = KeeperRole.Backup }, Disk.Real);
        Store(client, Noise(1, 10));
    }

    /// <summary>Restarts between any two requests, and in the middle of one, cost nothing.</summary>
    [Fact]
    public async Task It_rides_over_a_restart_of_the_keeper()
    {
        var client = Client(KeeperRole.Backup);
        client.VaultFile(); // one that was never answered is less patient
        for (var i = 0; i < 3; i++)
        {
            _served.Stop();
            var bytes = Noise(i, 3_000_000);
            var storing = Task.Run(() => Store(client, bytes), TestContext.Current.CancellationToken);
            await Task.Delay(150, TestContext.Current.CancellationToken);
            _served.StartAgain();
            var name = await storing;
            using var item = client.Open(StoreKind.Pack, name)!;
            var back = new byte[bytes.Length];
            item.Read(0, back);
            Assert.Equal(bytes, back);
        }
        Assert.Empty(Directory.GetFiles(_test["staging"]));
    }

    [Fact]
    public void A_keeper_that_is_not_there_is_said_so_and_a_change_is_not_sent_twice()
    {
        var client = Client(KeeperRole.Manage);
        _served.Stop();
        var fault = Assert.Throws<HoldfastException>(() => client.VaultFile());
        Assert.Equal(ErrorCode.StoreUnavailable, fault.Code);
        Assert.True(fault.IsTransient);
    }

    /// <summary>A raw connection with a client's own certificate: what can be sent that is no request, too large, or for somewhere else.</summary>
    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404)]
    [InlineData("DELETE /v1/packs/{name} HTTP/1.1\r\nHost: x\r\n\r\n", 404)]
    [InlineData("PUT /v1/packs/../keeper/clients HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 404)]
    [InlineData("PUT /v1/packs/%2e%2e%2fkeeper HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 404)]
    [InlineData("PUT /v1/packs/{NAME} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 404)]
    [InlineData("PUT /v1/packs/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 409)]
    [InlineData("PUT /v1/packs/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n", 409)]
    [InlineData("PUT /v1/packs/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n", 409)]
    [InlineData("PUT /v1/objects/{name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 409)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 403)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\u0001\u0001\u0005he", 400)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n\u0001", 400)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n\u0001\u0004", 413)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400)]
    [InlineData("POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n", 413)]
    [InlineData("GET /v1/log?from=-1 HTTP/1.1\r\nHost: x\r\n\r\n", 200)]
    [InlineData("GET /v1/log?from=99999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n", 200)]
    [InlineData("GET /v1/objects/{genesis}?copy=-1 HTTP/1.1\r\nHost: x\r\nRange: bytes=9-1\r\n\r\n", 206)]
    [InlineData("GET /v1/objects/{genesis} HTTP/1.1\r\nHost: x\r\nRange: bytes=99999999-999999999\r\n\r\n", 206)]
    [InlineData("GET /v1/objects/{genesis} HTTP/1.1\r\nHost: x\r\nRange: bytes=9223372036854775807-9223372036854775807\r\n\r\n", 206)]
    [InlineData("GET /v1/objects/{name} HTTP/1.1\r\nHost: x\r\n\r\n", 404)]
    [InlineData("\u0000\u0001\u0002\r\n\r\n", 400)]
    public void Any_bytes_have_an_answer_and_change_nothing(string bytes, int status)
    {
        var access = _served.Allow(KeeperRole.Manage);
        var before = Everything();
        var (name, genesis) = (VaultKeeper.Salt().ToString(), VaultFile.Read(_test.Folder).Genesis.ToString());
        bytes = bytes.Replace("{name}", name, StringComparison.Ordinal).Replace("{NAME}", name.ToUpperInvariant(), StringComparison.Ordinal).Replace("{genesis}", genesis, StringComparison.Ordinal);
        Assert.StartsWith($"HTTP/1.1 {status} ", Sent(access, bytes), StringComparison.Ordinal);
        Assert.Equal(before, Everything());
        Assert.Equal(status is 403 || (status == 404 && !bytes.StartsWith("GET", StringComparison.Ordinal)) ? 1UL : 0UL, Counted());
        _served.Client(access, _test["staging"]).VaultFile(); // it goes on
    }

    /// <summary>Refusals that are counted.</summary>
    ulong Counted()
    {
        using var vault = _test.Open();
        return vault.Keeper.Refusals;
    }

    /// <summary>Names of all files of the vault with their contents, but for who may reach it, and what a refusal that is counted touches. What is on its way in is given time to go: the keeper removes it after it answered.</summary>
    string Everything()
    {
        Assert.True(SpinWait.SpinUntil(() => Staged() == 0, TimeSpan.FromSeconds(60)), "something stays in staging");
        return string.Join('\n', Directory.GetFiles(_test.Folder, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) is not ("clients" or "refusals" or "lock" or "clock")).Order(StringComparer.Ordinal).Select(f => $"{f} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f)))}"));
    }

    int Staged() => Directory.GetFiles(Path.Combine(_test.Folder, "staging")).Length;

    bool IsThisKeeper(object sender, System.Security.Cryptography.X509Certificates.X509Certificate? shown, System.Security.Cryptography.X509Certificates.X509Chain? chain, SslPolicyErrors errors) => Identity.Fingerprint(shown!) == _served.Fingerprint;

    string Sent(KeeperAccess access, string bytes)
    {
        using var identity = Identity.Read(access.Identity);
        using var connection = new TcpClient(access.Url.Host, access.Url.Port);
        using var tls = new SslStream(connection.GetStream(), false, IsThisKeeper);
        tls.AuthenticateAsClient(new SslClientAuthenticationOptions { ClientCertificates = [identity], TargetHost = "x", EnabledSslProtocols = SslProtocols.Tls13 });
        tls.Write(Encoding.Latin1.GetBytes(bytes));
        var answer = new byte[4_096];
        return Encoding.Latin1.GetString(answer, 0, tls.Read(answer));
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public void Nobody_gets_a_byte_without_a_certificate_or_with_older_TLS(SslProtocols protocol)
    {
        using var connection = new TcpClient(_served.Url.Host, _served.Url.Port);
        using var tls = new SslStream(connection.GetStream(), false, IsThisKeeper);
        var answer = new byte[100];
        var got = 0;
        try
        {
            tls.AuthenticateAsClient(new SslClientAuthenticationOptions { TargetHost = "x", EnabledSslProtocols = protocol });
            tls.Write("GET /v1/vault HTTP/1.1\r\nHost: x\r\n\r\n"u8);
            got = tls.Read(answer);
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            // The handshake failed, here or there.
        }
        Assert.Equal(0, got);
    }

    /// <summary>Says the same to whoever connects, then nothing more, or closes.</summary>
    sealed class ScriptedKeeper : IDisposable
    {
        readonly TcpListener _listener = new(System.Net.IPAddress.Loopback, 0);
        readonly System.Security.Cryptography.X509Certificates.X509Certificate2 _certificate = Identity.Read(Identity.Make("keeper"));
        readonly List<IDisposable> _open = [];
        readonly Task _serving;
        int _connections;

        public ScriptedKeeper(string answer, bool closes)
        {
            _listener.Start();
            _serving = Task.Run(async () =>
            {
                try
                {
                    while (true)
                    {
                        var tls = new SslStream((await _listener.AcceptTcpClientAsync()).GetStream());
                        _open.Add(tls);
                        Interlocked.Increment(ref _connections);
                        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate });
                        await tls.ReadAtLeastAsync(new byte[10], 10);
                        await tls.WriteAsync(Encoding.ASCII.GetBytes(answer));
                        if (closes)
                            tls.Close();
                    }
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException or InvalidOperationException)
                {
                    // The test is over: a listener says so in as many ways.
                }
            });
        }

        public Uri Url => new($"https://127.0.0.1:{((System.Net.IPEndPoint)_listener.LocalEndpoint).Port}/");
        public string Fingerprint => Identity.Fingerprint(_certificate);
        public int Connections => Volatile.Read(ref _connections);

        public void Dispose()
        {
            _listener.Stop();
            _serving.GetAwaiter().GetResult();
            _open.ForEach(o => o.Dispose());
            _certificate.Dispose();
        }
    }

    /// <summary>A keeper whose machine lost its power says nothing, at whatever point that was: it is left, and what waits for it can be stopped.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("HTTP/1.1 200 OK\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nholdfast vault")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")]
    [InlineData("HTTP/1.1 409 No\r\nHoldfast-Code: 60\r\nContent-Length: 100\r\n\r\nThe disk")]
    public async Task A_keeper_that_says_nothing_more_is_left(string answer)
    {
        using var keeper = new ScriptedKeeper(answer, closes: false);
        using (var client = new RemoteKeeper(keeper.Url, keeper.Fingerprint, Identity.Make("client")) { Silence = TimeSpan.FromMilliseconds(400), Patience = TimeSpan.FromSeconds(1) })
            Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => client.VaultFile()).Code);
        using var stop = new CancellationTokenSource();
        using (var client = new RemoteKeeper(keeper.Url, keeper.Fingerprint, Identity.Make("client"), stop.Token))
        {
            var waiting = Task.Run(() => Record.Exception(() => client.VaultFile()), TestContext.Current.CancellationToken);
            await Task.Delay(300, TestContext.Current.CancellationToken);
            await stop.CancelAsync();
            Assert.Equal(ErrorCode.Interrupted, Assert.IsType<HoldfastException>(await waiting).Code);
        }
    }

    /// <summary>Who asked for no commit is not told that one was done: a command would end well for that.</summary>
    [Fact]
    public void That_a_run_was_done_is_an_answer_to_a_commit_alone()
    {
        using var keeper = new ScriptedKeeper("HTTP/1.1 409 No\r\nHoldfast-Code: 68\r\nConnection: close\r\nContent-Length: 12\r\n\r\nDone\nNothing", closes: true);
        using var client = new RemoteKeeper(keeper.Url, keeper.Fingerprint, Identity.Make("client"));
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => client.VaultFile()).Code);
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => client.Ask(new KeeperRequest.RequireWritable())).Code);
        Assert.Equal(ErrorCode.RunDone, Assert.Throws<HoldfastException>(() => client.Ask(new KeeperRequest.Commit([1]))).Code);
    }

    /// <summary>What ends at the same place each time, as where a sector of the keeper's disk is bad, is no cut of the network: it is not tried without end.</summary>
    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nholdfast vault")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")]
    public void What_ends_at_the_same_place_each_time_is_given_up(string answer)
    {
        using var keeper = new ScriptedKeeper(answer, closes: true);
        using var client = new RemoteKeeper(keeper.Url, keeper.Fingerprint, Identity.Make("client")) { Patience = TimeSpan.FromDays(1) };
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => client.VaultFile()).Code);
        Assert.InRange(keeper.Connections, 2, 20);
    }

    /// <summary>What counts is that something moves: an upload may take far longer than nothing may.</summary>
    [Fact]
    public void A_slow_upload_comes_to_its_end()
    {
        var access = _served.Allow(KeeperRole.Backup);
        using var slow = new SlowLink(access.Url.Port, bytesPerSecond: 1_500_000);
        using var client = new RemoteKeeper(new Uri($"https://127.0.0.1:{slow.Port}/"), access.Fingerprint, access.Identity) { Staging = _test["staging"], Silence = TimeSpan.FromSeconds(4), Patience = TimeSpan.FromMilliseconds(500) };
        var bytes = Noise(1, 12_000_000);
        var name = Store(client, bytes);
        using var item = client.Open(StoreKind.Pack, name)!;
        var back = new byte[bytes.Length];
        item.Read(0, back);
        Assert.Equal(bytes, back);
    }

    /// <summary>Carries bytes between a client and a server, so many in a second.</summary>
    sealed class SlowLink : IDisposable
    {
        readonly TcpListener _listener = new(System.Net.IPAddress.Loopback, 0);
        readonly int _to;
        readonly int _rate;

        public SlowLink(int to, int bytesPerSecond)
        {
            (_to, _rate) = (to, bytesPerSecond);
            _listener.Start();
            _ = Task.Run(ServeAsync);
        }

        public int Port => ((System.Net.IPEndPoint)_listener.LocalEndpoint).Port;

        async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    var from = await _listener.AcceptTcpClientAsync();
                    var to = new TcpClient("127.0.0.1", _to);
                    from.ReceiveBufferSize = from.SendBufferSize = to.ReceiveBufferSize = to.SendBufferSize = 65_536;
                    _ = CarryAsync(from.GetStream(), to.GetStream());
                    _ = CarryAsync(to.GetStream(), from.GetStream());
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                // The test is over.
            }
        }

        async Task CarryAsync(NetworkStream from, NetworkStream to)
        {
            var some = new byte[_rate / 20];
            try
            {
                for (int count; (count = await from.ReadAsync(some)) > 0;)
                {
                    await to.WriteAsync(some.AsMemory(0, count));
                    await Task.Delay(1_000 * count / _rate);
                }
            }
            catch (IOException)
            {
                // One of them closed.
            }
        }

        public void Dispose() => _listener.Stop();
    }

    /// <summary>Bytes that are cut off on their way are nowhere.</summary>
    [Fact]
    public void An_upload_that_breaks_off_leaves_nothing()
    {
        var access = _served.Allow(KeeperRole.Backup);
        var before = Everything();
        using (var identity = Identity.Read(access.Identity))
        using (var connection = new TcpClient(access.Url.Host, access.Url.Port))
        using (var tls = new SslStream(connection.GetStream(), false, IsThisKeeper))
        {
            tls.AuthenticateAsClient(new SslClientAuthenticationOptions { ClientCertificates = [identity], TargetHost = "x" });
            tls.Write(Encoding.ASCII.GetBytes($"PUT /v1/packs/{VaultKeeper.Salt()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"));
            tls.Write(Noise(1, 500_000));
            tls.Flush();
            Assert.True(SpinWait.SpinUntil(() => Staged() > 0, TimeSpan.FromSeconds(60)));
        }
        Assert.Equal(before, Everything());
    }
}
