using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Holdfast.Core.Backup;
using Holdfast.Core.Keys;
using Holdfast.Tests;

namespace Holdfast.SystemTests;

/// <summary>Two `holdfast serve`, each with a gateway, against one keeper and one PostgreSQL: whatever is killed, stands still or is restarted, each run that was due is done once, and each backup is committed once.</summary>
public sealed class ServeTests : IDisposable
{
    const string Planted = "Zzyzx-Quartermain"; // in names of folders and sources: no log and no database has it
    const int Lease = 3; // seconds

    static readonly string Program = Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    readonly Cli _keeper = new();
    readonly Cli _client = new();
    readonly List<Node> _nodes = [];
    readonly List<Cli> _agents = [];
    readonly int _keeperPort = FreePort();
    PostgresCluster? _postgres;
    string _database = "";
    Process? _keeping;

    static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    string KeeperUrl => $"https://127.0.0.1:{_keeperPort}/";

    /// <summary>A machine with `holdfast serve`, and what that says.</summary>
    sealed class Node(string name) : IDisposable
    {
        readonly StringBuilder _said = new();

        public Cli Cli { get; } = new();
        public string Name => name;
        public int GatewayPort { get; } = FreePort();
        public Process? Process { get; private set; }

        public string Said
        {
            get
            {
                lock (_said)
                    return _said.ToString();
            }
        }

        public void Start(string config)
        {
            File.WriteAllText(Cli["serve.yaml"], config);
            Cli.Environment.Remove("HOLDFAST_VAULT");
            Cli.Environment.Remove("HOLDFAST_KEYS");
            Process = Cli.StartProgram(Program, null, "serve", "--config", Cli["serve.yaml"]);
            foreach (var stream in new[] { Process.StandardOutput, Process.StandardError })
                new Thread(() => Take(stream)) { IsBackground = true }.Start();
        }

        void Take(StreamReader from)
        {
            while (from.ReadLine() is { } line)
            {
                lock (_said)
                    _said.AppendLine(line);
            }
        }

        /// <summary>Ids of what it has started.</summary>
        public List<int> Children(string of = "") => Directory.GetDirectories("/proc").Select(d => int.TryParse(Path.GetFileName(d), out var id) ? id : 0).Where(id => id > 0 && IsChild(id, of)).ToList();

        bool IsChild(int id, string of)
        {
            try
            {
                return File.ReadAllText($"/proc/{id}/stat").Split(") ")[1].Split(' ')[1] == Process!.Id.ToString(CultureInfo.InvariantCulture) && File.ReadAllText($"/proc/{id}/cmdline").Contains(of, StringComparison.Ordinal);
            }
            catch (Exception e) when (e is IOException or IndexOutOfRangeException)
            {
                return false; // it ended meanwhile
            }
        }

        public void Signal(string signal) => Cli.Shell($"kill -{signal} {Process!.Id}");

        public void End(string signal)
        {
            if (Process is null)
                return;
            Signal(signal);
            Process.WaitForExit();
            Process.Dispose();
            Process = null;
        }

        public void Dispose()
        {
            End("KILL");
            Cli.Dispose();
        }
    }

    public void Dispose()
    {
        _nodes.ForEach(n => n.Dispose());
        if (_keeping is not null)
        {
            _keeper.Shell($"kill -TERM {_keeping.Id}");
            _keeping.WaitForExit();
            _keeping.Dispose();
        }
        _postgres?.Dispose();
        _agents.ForEach(a => a.Dispose());
        _client.Dispose();
        _keeper.Dispose();
    }

    /// <summary>A keeper, a database, and two nodes that are not started yet.</summary>
    void Make()
    {
        Assert.SkipWhen(PostgresCluster.Missing is not null, PostgresCluster.Missing ?? "");
        _postgres = new PostgresCluster();
        _database = _postgres.NewDatabase();
        _keeper.Init();
        _keeping = _keeper.StartProgram(Program, null, "keeper", "serve", "--listen", $"127.0.0.1:{_keeperPort}");
        _keeping.StandardOutput.ReadLine();
        var fingerprint = _keeping.StandardOutput.ReadLine()!.Split(' ')[1];
        _ = _keeping.StandardError.ReadToEndAsync();
        _keeper.Run("key", "issue", "--out", _client["keys"]).Expect(0);
        _client.Environment["HOLDFAST_VAULT"] = KeeperUrl;
        var own = _client.Run("join", KeeperUrl, fingerprint, "--name", "client").Expect(0).Out.Trim();
        _keeper.Run("keeper", "allow", "client", own, "--role", "backup").Expect(0);
        _nodes.AddRange([new Node("left"), new Node("right")]);
    }

    string Config(Node node, string jobs) => $"""
        vault: {KeeperUrl}
        keys: {_client["keys"]}
        node: {node.Name}
        database:
          postgres: {_postgres!.ConnectionTo(_database)}
          password-file: {_postgres.PasswordFile}
          lease: {Lease}s
        roles:
          gateway:
            listen: 127.0.0.1:{node.GatewayPort}
        jobs:

        """ + jobs;

    /// <summary>Something to back up by way of a node's gateway, with keys of its own.</summary>
    Cli Agent(Node through, string name)
    {
        var agent = new Cli();
        _agents.Add(agent);
        agent.Environment.Remove("HOLDFAST_VAULT");
        agent.Write($"{Planted}/note.txt", Encoding.UTF8.GetBytes($"of {name}"));
        agent.Write("noise", Cli.Noise(name.Length, 300_000));
        Wait(() => through.Said.Contains("gateway: Fingerprint", StringComparison.Ordinal), "a gateway");
        var fingerprint = through.Said.Split("gateway: Fingerprint ")[1].Split('\n')[0].Trim();
        File.WriteAllText(agent["token"], _keeper.Run("keeper", "token", name).Expect(0).Out);
        agent.Run("agent", "enrol", $"https://127.0.0.1:{through.GatewayPort}/", fingerprint, "--token-file", agent["token"]).Expect(0);
        return agent;
    }

    static void Wait(Func<bool> what, string words, int seconds = 180)
    {
        for (var waited = Stopwatch.StartNew(); !what(); Thread.Sleep(50))
            Assert.True(waited.Elapsed.TotalSeconds < seconds, $"waited in vain for {words}");
    }

    sealed record Run(string Job, long Due, string Id, int State, int Outcome, int Attempts, long Missed);

    List<Run> Runs() => [.. _postgres!.Psql("SELECT job, due, run, state, outcome, attempts, missed FROM holdfast_runs ORDER BY job, due", _database).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('|'))
        .Select(f => new Run(f[0], Number(f[1]), f[2], (int)Number(f[3]), (int)Number(f[4]), (int)Number(f[5]), Number(f[6])))];

    static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    bool HasTables() => _postgres!.Psql("SELECT COUNT(*) FROM pg_tables WHERE tablename = 'holdfast_runs'", _database) == "1";

    List<string> Snapshots() => [.. JsonDocument.Parse(_keeper.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray().Select(s => s.GetProperty("id").GetString()!)];

    /// <summary>The snapshot that the keeper has committed for a run, if it has.</summary>
    static string SnapshotOf(string keys, string source, string run)
    {
        using var key = AgentKey.Parse(File.ReadAllBytes(Path.Combine(keys, "agent.key")));
        return new BackupRequest(Encoding.UTF8.GetBytes(source), [], [], null) { Run = run }.SnapshotId(key).ToString();
    }

    static string Backup(string job, string every, string keys, string source, string name, string? vault = null) =>
        $"  {job}: {{ do: backup, source: {source}, name: {name}, every: {every}, keys: {keys}, tries: 99{(vault is null ? "" : $", vault: {vault}")} }}\n";

    [Fact]
    public void Whatever_is_killed_each_run_is_done_once_and_each_backup_committed_once()
    {
        Make();
        var (left, right) = (_nodes[0], _nodes[1]);
        foreach (var node in _nodes)
            node.Start(Config(node, "  none: { do: verify, every: 52w }\n"));
        var agents = new[] { Agent(left, "ward-7"), Agent(right, "ward-8") };
        foreach (var node in _nodes)
            node.End("TERM");
        _client.Write($"{Planted}/direct.txt", "of the client itself"u8.ToArray());
        (string Job, string Keys, string Source, string? Vault)[] backups = [("ward-7", agents[0]["keys"], agents[0]["source"], null), ("ward-8", agents[1]["keys"], agents[1]["source"], null), ("direct", _client["keys"], _client["source"], KeeperUrl)];
        // A stream takes its time, so that what is killed is often in its midst.
        string Jobs(string every, string other) => string.Concat(backups.Select(b => Backup(b.Job, every, b.Keys, b.Source, $"{Planted}-{b.Job}", b.Vault))) +
            $"  stream: {{ do: backup, command: [sh, -c, \"sleep 2; echo all of it\"], name: {Planted}-stream, every: {every}, keys: {_client["keys"]}, vault: '{KeeperUrl}', tries: 99 }}\n" + $"  expire: {{ do: expire, every: {other}, vault: {_keeper["vault"]}, keys: {_keeper["keys"]}, tries: 99 }}\n";

        var random = new Random();
        foreach (var node in _nodes)
            node.Start(Config(node, Jobs("6s", "4s")));
        Wait(() => Runs().Count(r => r.State == 2 && r.Job != "none") > 3, "the first runs");
        for (var round = 0; round < 9; round++)
        {
            var node = _nodes[random.Next(2)];
            Thread.Sleep(random.Next(500, 3_000));
            switch (round % 3)
            {
                case 0:
                    var children = node.Children();
                    node.End("KILL");
                    Wait(() => !children.Any(c => Directory.Exists($"/proc/{c}") && !File.ReadAllText($"/proc/{c}/stat").Contains(") Z", StringComparison.Ordinal)), "what it started to end with it");
                    Thread.Sleep(random.Next(200, 2_000));
                    node.Start(Config(node, Jobs("6s", "4s")));
                    break;
                case 1:
                    node.Signal("STOP"); // what it has started goes on
                    Thread.Sleep((Lease + 2) * 1_000);
                    node.Signal("CONT");
                    break;
                default:
                    foreach (var gateway in node.Children("gateway"))
                        node.Cli.Shell($"kill -KILL {gateway} || true");
                    break;
            }
            if (round == 4)
            {
                _postgres!.Stop();
                Thread.Sleep(1_000);
                _postgres.Start();
            }
        }
        Assert.All(_nodes, n => Assert.False(n.Process!.HasExited));
        Wait(() => Runs().Where(r => r.Outcome is 1 or 2).GroupBy(r => r.Job).Count(j => j.Count() > 2) > 4, "each job to be done a few times");
        foreach (var node in _nodes)
            node.End("TERM");
        left.Start(Config(left, Jobs("52w", "52w"))); // what was begun is ended, and nothing more is due
        right.Start(Config(right, Jobs("52w", "52w"))); // the other gateway
        Wait(() => Runs().All(r => r.State == 2 || r.Job == "none"), "what was begun to end");
        foreach (var node in _nodes)
            node.End("TERM");

        var runs = Runs().Where(r => r.Job != "none").ToList();
        var expected = new List<string>();
        foreach (var job in runs.GroupBy(r => r.Job))
        {
            var interval = job.Key == "expire" ? 4_000 : 6_000;
            var (first, last) = (job.MinBy(r => r.Due)!, job.MaxBy(r => r.Due)!);
            Assert.Equal((last.Due - first.Due) / interval + 1 + first.Missed, job.Sum(r => 1 + r.Missed)); // each time that was due is accounted for, once
            Assert.All(job, r => Assert.Contains(r.Outcome, new[] { 1, 2, 5 })); // done, done before, or missed while the one before it was late
            if (job.Key != "expire")
                expected.AddRange(job.Where(r => r.Outcome is 1 or 2).Select(r => SnapshotOf(backups.FirstOrDefault(b => b.Job == job.Key).Keys ?? _client["keys"], $"{Planted}-{job.Key}", r.Id)));
        }
        Assert.Equal(expected.Order(StringComparer.Ordinal), Snapshots().Order(StringComparer.Ordinal));
        _keeper.Run("log", "verify").Expect(0);
        _keeper.Run("verify", "--full").Expect(0);
        foreach (var (job, _, source, _) in backups)
        {
            _keeper.Run("restore", "latest", _keeper[job], "--name", $"{Planted}-{job}").Expect(0);
            _keeper.Shell($"diff -r '{source}' '{_keeper[job]}'");
        }
        Assert.Equal("all of it\n", _keeper.Run("cat", "latest", $"{Planted}-stream", "--name", $"{Planted}-stream").Expect(0).Out);
        var dump = string.Concat(new[] { "holdfast_runs", "holdfast_nodes", "holdfast_jobs" }.Select(t => _postgres!.Psql($"SELECT * FROM {t}", _database)));
        Assert.DoesNotContain(Planted, dump + left.Said + right.Said, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(PostgresCluster.Password, left.Said + right.Said, StringComparison.Ordinal);
        TestContext.Current.SendDiagnosticMessage($"{runs.Count} runs, {runs.Count(r => r.Outcome == 1)} done, {runs.Count(r => r.Outcome == 2)} done before, {runs.Count(r => r.Outcome == 5)} missed, {runs.Count(r => r.Attempts > 1)} begun more than once");
    }

    /// <summary>A backup that takes its time, begun by one node.</summary>
    Node Begun(string marker)
    {
        Make();
        var jobs = $"  slow: {{ do: backup, command: [sh, -c, \"date +%s%N; touch {_client[marker]}; sleep 6\"], name: slow, every: 52w, keys: {_client["keys"]}, vault: '{KeeperUrl}', tries: 9 }}\n";
        _nodes[0].Start(Config(_nodes[0], jobs));
        Wait(HasTables, "the tables");
        Wait(() => _postgres!.Psql("SELECT COUNT(*) FROM holdfast_jobs", _database) == "1", "the job");
        _nodes[0].End("TERM");
        _postgres!.Psql("UPDATE holdfast_jobs SET since = since - 86400000::bigint * 365", _database); // it is due
        _nodes[0].Start(Config(_nodes[0], jobs));
        Wait(() => File.Exists(_client[marker]), "the backup to begin");
        _nodes[1].Start(Config(_nodes[1], jobs));
        return _nodes[0];
    }

    void AssertDoneOnce()
    {
        Wait(() => Runs() is [{ State: 2 }], "the run to end");
        var run = Runs().Single();
        Assert.Contains(run.Outcome, new[] { 1, 2 });
        Assert.True(run.Attempts > 1, "it was not taken over");
        Thread.Sleep(8_000); // whoever still does it, has done it by then
        Assert.Equal([SnapshotOf(_client["keys"], "slow", run.Id)], Snapshots());
        Assert.Equal(run, Runs().Single());
        _keeper.Run("log", "verify").Expect(0);
    }

    [Fact]
    public void A_run_whose_node_was_killed_is_done_by_the_other()
    {
        Begun("begun").End("KILL");
        AssertDoneOnce();
    }

    /// <summary>The node stands still, what it started does not: two processes do the same backup, and the keeper takes one.</summary>
    [Fact]
    public void A_run_whose_node_stood_still_is_committed_once()
    {
        var node = Begun("begun");
        node.Signal("STOP");
        Wait(() => Runs() is [{ Attempts: > 1 }], "the other to take it");
        AssertDoneOnce();
        node.Signal("CONT");
        Wait(() => node.Said.Contains("another process has taken this run over", StringComparison.Ordinal), "the first to notice");
        Assert.Single(Snapshots());
    }

    [Fact]
    public void Losing_the_database_loses_no_backup_and_status_is_loud()
    {
        Make();
        var node = _nodes[0];
        _client.Write("a.txt", "a"u8.ToArray());
        var jobs = Backup("direct", "2s", _client["keys"], _client["source"], "direct", KeeperUrl);
        node.Start(Config(node, jobs));
        Wait(() => HasTables() && Runs().Count(r => r.Outcome == 1) > 1, "two runs");
        var status = node.Cli.Run("serve", "status", "--config", node.Cli["serve.yaml"], "--json").Expect(0);
        Assert.Equal("left", JsonDocument.Parse(status.Out).RootElement.GetProperty("nodes")[0].GetProperty("node").GetString());
        var before = Snapshots().Count;
        _postgres!.Psql("DROP TABLE holdfast_schema, holdfast_nodes, holdfast_jobs, holdfast_runs", _database);
        _client.Run("backup", _client["source"], "--name", "by-itself").Expect(0); // no database is needed for that
        Wait(() => HasTables() && Runs().Count(r => r.Outcome == 1) > 1, "runs in the new one");
        Assert.True(Snapshots().Count > before + 2);
        node.End("TERM");
        var silent = node.Cli.Run("serve", "status", "--config", node.Cli["serve.yaml"]).Expect(58);
        Assert.Contains("NOBODY RUNS THESE JOBS", silent.Out, StringComparison.Ordinal);
        _postgres.Stop();
        var refused = node.Cli.Run("serve", "status", "--config", node.Cli["serve.yaml"]).Expect(69);
        Assert.DoesNotContain("127.0.0.1", refused.Error, StringComparison.Ordinal);
        _postgres.Start();
    }
}
