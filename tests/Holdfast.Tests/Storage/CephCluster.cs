using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Holdfast.Tests.Storage;

/// <summary>A Ceph of one's own with an S3 gateway: one monitor, three OSDs in sparse files, two copies of each object, all on 127.0.0.1 and in one temporary folder, gone afterwards. No authentication between the
/// daemons: it holds nothing that anybody would want.</summary>
/// <remarks>The settings were measured on Ceph 16.2: without them it starts in a minute, or not at all.</remarks>
sealed class CephCluster : IDisposable
{
    const int Osds = 3;
    const long UsualSize = 8L << 30; // bytes

    static readonly string[] Programs = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"];

    readonly string _folder;
    readonly long _osdSize;
    readonly Dictionary<string, Process> _running = [];
    readonly Process _warden;
    readonly int _monPort = FreePort();
    readonly int _gatewayPort = FreePort();

    /// <summary>Who owns buckets here, and who a keeper is.</summary>
    public static readonly (string Id, string AccessKey, string SecretKey) Owner = ("owner", "OWNERACCESSKEY000001", "owner-secret-of-a-cluster-for-tests-0001"), Keeper = ("keeper", "KEEPERACCESSKEY00001", "keeper-secret-of-a-cluster-for-tests-001");

    /// <summary>What the owner of a bucket lets the keeper do, as docs/design/0013-object-store.md has it.</summary>
    internal static string Policy(string bucket, string allowedToo = "", string? denied = null) => $$"""
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow", "Principal": { "AWS": ["arn:aws:iam:::user/keeper"] },
              "Action": ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:ListBucket", "s3:ListBucketVersions",
                         "s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObjectRetention", "s3:GetObjectRetention",
                         "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"{{allowedToo}}],
              "Resource": ["arn:aws:s3:::{{bucket}}", "arn:aws:s3:::{{bucket}}/*"]
            },
            {
              "Effect": "Deny", "Principal": { "AWS": ["arn:aws:iam:::user/keeper"] },
              "Action": [{{denied ?? "\"s3:BypassGovernanceRetention\", \"s3:DeleteObjectVersion\", \"s3:DeleteObject\", \"s3:PutObjectLegalHold\", \"s3:PutBucketPolicy\", \"s3:DeleteBucketPolicy\", \"s3:PutLifecycleConfiguration\""}}],
              "Resource": ["arn:aws:s3:::{{bucket}}", "arn:aws:s3:::{{bucket}}/*"]
            }
          ]
        }
        """;

    public Uri Endpoint => new($"http://127.0.0.1:{_gatewayPort}");

    /// <summary>Why there can be none; null where there can.</summary>
    public static string? Missing() =>
        !OperatingSystem.IsLinux() ? "Ceph runs on Linux"
        : Array.Find(Programs, p => Find(p) is null) is { } missing ? $"needs {missing} (Debian: ceph-mon ceph-osd ceph-common radosgw)" : null;

    static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Select(f => Path.Combine(f, program)).FirstOrDefault(File.Exists);

    /// <param name="osdSize">Bytes that each of the three OSDs can hold, in a sparse file.</param>
    public CephCluster(long osdSize = UsualSize)
    {
        _osdSize = osdSize;
        // A short path: the names of sockets have 107 bytes.
        _folder = Directory.CreateTempSubdirectory("hf-ceph-").FullName;
        // Ends what still runs, and removes the folder, when this process is gone, however it went.
        _warden = Process.Start(new ProcessStartInfo("sh", ["-c", Warden, "warden", _folder]) { RedirectStandardInput = true })!;
        try
        {
            Make();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Reads numbers of processes; at the end of its input it kills those that are daemons of this cluster still.</summary>
    const string Warden = """
        trap '' INT HUP TERM
        pids=
        while read -r pid; do pids="$pids $pid"; done
        for pid in $pids; do grep -aqF "$1/ceph.conf" "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"; done
        for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && break; sleep 0.1; done
        """;

    string Conf => Path.Combine(_folder, "ceph.conf");

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    void Make()
    {
        foreach (var part in new[] { "mon", "osd", "rgw", "log" })
            Directory.CreateDirectory(Path.Combine(_folder, part));
        var id = Guid.NewGuid();
        File.WriteAllText(Conf, Configuration(id));
        var map = Path.Combine(_folder, "monmap");
        Run("monmaptool", "--create", "--clobber", "--fsid", $"{id}", "--set-min-mon-release", "pacific", "--addv", "a", $"[v2:127.0.0.1:{_monPort}]", map);
        Run("ceph-mon", "-c", Conf, "-i", "a", "--mkfs", "--monmap", map);
        StartDaemon("mon.a");
        for (var osd = 0; osd < Osds; osd++)
        {
            Directory.CreateDirectory(Path.Combine(_folder, "osd", $"{osd}"));
            Run("ceph", "-c", Conf, "--connect-timeout", "30", "osd", "new", $"{IdOf(osd, id)}", $"{osd}");
        }
        var making = Enumerable.Range(0, Osds).Select(osd => Begin("ceph-osd", "-c", Conf, "-i", $"{osd}", "--mkfs", "--osd-uuid", $"{IdOf(osd, id)}")).ToList();
        making.ForEach(End);
        for (var osd = 0; osd < Osds; osd++)
            StartDaemon($"osd.{osd}");
        WaitFor("its OSDs", () => Said("ceph", "-c", Conf, "--connect-timeout", "30", "osd", "stat", "-f", "json").Contains($"\"num_up_osds\":{Osds}", StringComparison.Ordinal));
        foreach (var (user, access, secret) in new[] { Owner, Keeper })
            Run("radosgw-admin", "-c", Conf, "-n", "client.rgw.a", "user", "create", $"--uid={user}", $"--display-name={user}", $"--access-key={access}", $"--secret-key={secret}");
        Start("client.rgw.a");
    }

    static Guid IdOf(int osd, Guid cluster) => new([.. cluster.ToByteArray()[..15], (byte)osd]);

    string Configuration(Guid id)
    {
        var ports = 20_000 + Random.Shared.Next(110) * 100; // below those that the system gives out by itself
        return string.Create(CultureInfo.InvariantCulture, $"""
            [global]
            fsid = {id}
            mon_host = [v2:127.0.0.1:{_monPort}]
            mon_initial_members = a
            public_addr = 127.0.0.1
            cluster_addr = 127.0.0.1
            ms_bind_msgr1 = false
            ms_bind_ipv6 = false
            ms_bind_port_min = {ports}
            ms_bind_port_max = {ports + 99}
            auth_cluster_required = none
            auth_service_required = none
            auth_client_required = none
            # radosgw asks for an encrypted session, which there is none of without authentication: it would wait for 300 s
            ms_mon_client_mode = crc
            ms_cluster_mode = crc
            ms_service_mode = crc
            ms_client_mode = crc
            run_dir = {_folder}
            admin_socket =
            log_file = {_folder}/log/$name.log
            log_to_stderr = false
            err_to_stderr = false
            mon_cluster_log_file = {_folder}/log/cluster.log
            crash_dir = {_folder}/log
            keyring = {_folder}/keyring
            # read by the monitor too: an OSD that hangs is marked down after so many seconds
            osd_heartbeat_grace = 6
            osd_heartbeat_interval = 2
            mon_osd_adjust_heartbeat_grace = false
            mon_osd_adjust_down_out_interval = false
            osd_pool_default_size = 2
            osd_pool_default_min_size = 1
            osd_pool_default_pg_num = 8
            osd_pool_default_pgp_num = 8
            osd_pool_default_pg_autoscale_mode = off
            osd_crush_chooseleaf_type = 0
            mon_max_pg_per_osd = 1000
            [mon]
            mon_data = {_folder}/mon/$id
            mon_data_avail_crit = 1
            mon_data_avail_warn = 2
            mon_osd_min_down_reporters = 1
            mon_osd_reporter_subtree_level = osd
            mon_osd_full_ratio = 0.98
            mon_osd_backfillfull_ratio = 0.97
            mon_osd_nearfull_ratio = 0.96
            mon_election_timeout = 1
            # else each change of a pool takes a second
            paxos_propose_interval = 0.05
            paxos_min_wait = 0.01
            [osd]
            osd_data = {_folder}/osd/$id
            osd_objectstore = bluestore
            bluestore_block_size = {_osdSize}
            bluestore_block_create = true
            bluestore_block_db_create = false
            bluestore_block_wal_create = false
            bluestore_block_preallocate_file = false
            bluestore_cache_autotune = false
            bluestore_cache_size = 67108864
            osd_memory_target = 939524096
            osd_mclock_skip_benchmark = true
            [client]
            rgw_data = {_folder}/rgw
            # without nodelay each answer takes 40 ms
            rgw_frontends = beast endpoint=127.0.0.1:{_gatewayPort} tcp_nodelay=1
            rgw_thread_pool_size = 64
            rgw_rados_pool_pg_num_min = 8
            rgw_run_sync_thread = false
            rgw_dynamic_resharding = false

            """);
    }

    /// <summary>Starts a daemon that was killed; returns once it serves. Names are <c>osd.0</c> to <c>osd.2</c> and <c>client.rgw.a</c>.</summary>
    public void Start(string name)
    {
        StartDaemon(name);
        if (name == "client.rgw.a")
            WaitFor("its gateway", Answers);
        else
            WaitFor(name, () => Said("ceph", "-c", Conf, "--connect-timeout", "30", "osd", "stat", "-f", "json").Contains($"\"num_up_osds\":{_running.Keys.Count(k => k.StartsWith("osd.", StringComparison.Ordinal))}", StringComparison.Ordinal));
    }

    void StartDaemon(string name)
    {
        var id = name[(name.LastIndexOf('.') + 1)..];
        var process = name switch
        {
            "mon.a" => Begin("ceph-mon", "-f", "-c", Conf, "-i", id),
            "client.rgw.a" => Begin("radosgw", "-f", "-c", Conf, "-n", name),
            _ => Begin("ceph-osd", "-f", "-c", Conf, "-i", id),
        };
        process.BeginOutputReadLine(); // nobody reads it, and a full pipe would stop the daemon
        process.BeginErrorReadLine();
        _running[name] = process;
        _warden.StandardInput.WriteLine(process.Id);
        _warden.StandardInput.Flush();
    }

    /// <summary>Removes a bucket with all that is in it, locked or not: what the administrator of the cluster can, whatever S3 says.</summary>
    public void Purge(string bucket) => Run("radosgw-admin", "-c", Conf, "-n", "client.rgw.a", "bucket", "rm", $"--bucket={bucket}", "--purge-objects", "--bypass-gc");

    /// <summary>As if its machine had lost power.</summary>
    public void Kill(string name)
    {
        if (!_running.Remove(name, out var process))
            return;
        process.Kill();
        process.WaitForExit();
        process.Dispose();
    }

    bool Answers()
    {
        if (_running["client.rgw.a"].HasExited)
            throw new InvalidOperationException($"radosgw has ended: {Log("client.rgw.a")}");
        try
        {
            using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
            return http.GetStringAsync(Endpoint).GetAwaiter().GetResult().Contains("ListAllMyBucketsResult", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    string Log(string name) => File.Exists(Path.Combine(_folder, "log", name + ".log")) ? string.Join('\n', File.ReadLines(Path.Combine(_folder, "log", name + ".log")).TakeLast(5)) : "no log";

    static void WaitFor(string what, Func<bool> isThere)
    {
        for (var clock = Stopwatch.StartNew(); !isThere(); Thread.Sleep(100))
        {
            if (clock.Elapsed > TimeSpan.FromMinutes(2))
                throw new InvalidOperationException($"Ceph waits for {what} in vain");
        }
    }

    static Process Begin(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(Find(program)!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var name in new[] { "CEPH_ARGS", "CEPH_CONF", "CEPH_KEYRING", "PYTHONPATH" })
            start.Environment.Remove(name);
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    static string Said(string program, params string[] arguments)
    {
        using var process = Begin(program, arguments);
        var errors = process.StandardError.ReadToEndAsync();
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? said : $"{program}: {errors.Result}";
    }

    static void Run(string program, params string[] arguments) => End(Begin(program, arguments));

    static void End(Process process)
    {
        using (process)
        {
            var errors = process.StandardError.ReadToEndAsync();
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"{Path.GetFileName(process.StartInfo.FileName)} ended with {process.ExitCode}: {errors.Result}");
        }
    }

    public void Dispose()
    {
        foreach (var name in _running.Keys.Order().ToList()) // the gateway first
            Kill(name);
        _warden.StandardInput.Close();
        _warden.WaitForExit();
        _warden.Dispose();
    }
}
