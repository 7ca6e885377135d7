using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Holdfast.Cli.Siege;
using Holdfast.Core;
using Holdfast.Core.Approvals;

namespace Holdfast.Server.Siege;

/// <summary>What is attacked: a small vault with keeper, gateway, agents and clients, each a process and a folder of its own, on loopback; and unprotected copies for the controls. All of it is gone afterwards.</summary>
sealed class Stage : IDisposable
{
    /// <summary>Who owns the guarded vault: a user id that nobody has.</summary>
    public const int OwnerUid = 64_999;

    /// <summary>Stands in a file's name and in its content, and nowhere else.</summary>
    public const string Planted = "Quillfeather-9434765919";

    public const string DailyLimit = "24MiB"; // of an agent
    const string Uncommitted = "48MiB"; // of a keeper's client

    static readonly string[] Machines = ["gateway", "ward7", "ward8", "desk", "reader", "cleanroom", "judge", "older", "second"];

    static readonly string[] Entered = ["attacker", "copies"]; // by other users, in folders of their own

    readonly SiegeCall _call;
    int _fresh;

    public Stage(SiegeCall call, Action<string> note, CancellationToken stop)
    {
        _call = call;
        Tools = new Tools(stop);
        Folder = MakeFolder(call.Folder);
        try
        {
            note("building up a vault, a keeper, a gateway, two agents and two clients");
            Build();
            note("attacking");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Tools Tools { get; }
    public string Folder { get; }
    public string this[string name] => Path.Combine(Folder, name);

    /// <summary>The vault that is attacked.</summary>
    public Baseline Main { get; private set; } = null!;

    /// <summary>What controls take copies of: the same vault, or where that lies in a bucket another with the same data, in a folder.</summary>
    public Baseline Plain { get; private set; } = null!;

    /// <summary>Copy of <see cref="Plain"/> from before its newest snapshot.</summary>
    public string Older => this["older/vault"];

    /// <summary>Untouched copy of <see cref="Plain"/>: what another site pulled, and what controls are copied from.</summary>
    public string Pristine => IsInBucket ? Plain.Vault : this["second/vault"];

    public OpenShare Share { get; private set; } = null!;
    public Process KeeperProcess { get; private set; } = null!;
    public Process GatewayProcess { get; private set; } = null!;
    public string Keeper { get; private set; } = "";
    public string Gateway { get; private set; } = "";
    public string GatewayFingerprint { get; private set; } = "";

    /// <summary>Those of whom two have to approve: private keys as PEM, and public ones.</summary>
    public (string Key, byte[] PublicKey)[] Approvers { get; private set; } = [];
    public int? Owner => _call.IsGuarded ? OwnerUid : null;
    public bool IsGuarded => _call.IsGuarded;
    public bool IsInBucket => _call.Store is not null;
    public SiegeCall Call => _call;

    /// <summary>What `holdfast init` warned of.</summary>
    public string InitWords { get; private set; } = "";

    /// <summary>Names of a pack and of the newest snapshot's object, of the vault that is attacked.</summary>
    public string Pack { get; private set; } = "";

    /// <summary>A pack of <see cref="Plain"/>.</summary>
    public string PlainPack { get; private set; } = "";

    /// <summary>The newest snapshot of <see cref="Plain"/>, which <see cref="Older"/> has not.</summary>
    public string NewestObject { get; private set; } = "";

    static string MakeFolder(string? parent)
    {
        if (parent is not null && !Directory.Exists(parent))
            throw new HoldfastException(ErrorCode.Usage, "The folder of --folder is not there.", "Name one that is, on a disk with a gigabyte free; a folder of the test's own is made in it.");
        var folder = parent is null ? Directory.CreateTempSubdirectory("holdfast-siege-").FullName : Path.Combine(Path.GetFullPath(parent), $"holdfast-siege-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6))}");
        Directory.CreateDirectory(folder);
        SetMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        return folder;
    }

    /// <summary>Runs this program, and gives what it ended with.</summary>
    /// <param name="arguments">Of it.</param>
    /// <param name="machine">Whose it is: its state folder.</param>
    /// <param name="uid">Who runs it; null for this user.</param>
    public Ran Try(IEnumerable<string> arguments, string machine = "judge", int? uid = null) => Tools.Run(Tools.Self, arguments, this[machine], Names(machine), uid);

    public Ran Holdfast(IEnumerable<string> arguments, string machine = "judge", int? uid = null) => Tools.Must(Tools.Self, arguments, this[machine], Names(machine), uid);

    public Dictionary<string, string> Names(string machine) => new() { ["HOLDFAST_STATE_DIR"] = this[$"{machine}/state"], ["HOME"] = this[machine], ["XDG_CACHE_HOME"] = this[$"{machine}/cache"] };

    /// <summary>The code that a command ended with, in its own word.</summary>
    public static string Code(Ran ran) => ran.Error.Split('\n').LastOrDefault(l => l.Contains("code: ", StringComparison.Ordinal)) is { } line ? line[(line.IndexOf("code: ", StringComparison.Ordinal) + 6)..].Split(' ')[0] : "no code";

    /// <summary>A path in the judge's folder that nothing is at.</summary>
    public string Fresh(string what) => this[$"judge/{what}-{++_fresh}"];

    /// <summary>A folder of its own, where an attacker's tools run.</summary>
    public string Lair(int? uid = null)
    {
        var folder = this[$"attacker/{++_fresh}"];
        MakeMachine($"attacker/{_fresh}", uid);
        return folder;
    }

    /// <summary>The opening key, in a folder that remembers nothing of the log.</summary>
    public string Forgetful(Baseline of)
    {
        var folder = Fresh("keys");
        CopyKeys(of.Keys, folder, "put.key", "agent.key", "opening.key", "opening.secret");
        return folder;
    }

    public void CopyKeys(string from, string to, params string[] names)
    {
        Directory.CreateDirectory(to);
        SetMode(to, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (var name in names)
            File.Copy(Path.Combine(from, name), Path.Combine(to, name));
        if (Owner is not null && Tools.IsRoot)
            Tools.Must("chown", ["-R", "0:0", to], Folder);
    }

    /// <summary>A copy of a vault's folder, as its owner has it, without flags; with the attacker's own hands free on it.</summary>
    public string Copy(string vault) => Copy(vault, Owner);

    /// <inheritdoc cref="Copy(string)"/>
    /// <param name="vault">What is copied.</param>
    /// <param name="owner">Whose the folder above the copy is; null: whose the attack test runs as.</param>
    public string Copy(string vault, int? owner)
    {
        var folder = this[$"copies/{++_fresh}"];
        MakeMachine($"copies/{_fresh}", owner);
        Tools.Must("cp", ["-a", "--", vault, Path.Combine(folder, "vault")], Folder);
        return Path.Combine(folder, "vault");
    }

    /// <summary>The share's copy as it was. A whole new one costs a thousand folders; what is attacked there is one pack, and names on its shelf.</summary>
    public string Mended()
    {
        var (shelf, sound) = (Path.Combine(Share.Root, "packs", PlainPack[..2]), Path.Combine(Pristine, "packs", PlainPack[..2]));
        Tools.Must("sh", ["-c", "rm -rf -- \"$1\" && cp -a -- \"$2\" \"$1\"", "sh", shelf, sound], Folder);
        return Baseline.IsSame(sound, shelf) ? Share.Root : throw Tools.Broken("the copy for the controls is not sound");
    }

    public static void SetMode(string path, UnixFileMode mode)
    {
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, mode);
    }

    public static void Write(string path, ReadOnlySpan<byte> bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        file.Write(bytes);
    }

    /// <summary>A seed of Ed25519 as openssl reads it.</summary>
    public static void WritePrivateKey(string path, ReadOnlySpan<byte> seed)
    {
        byte[] pkcs8 = [.. Convert.FromHexString("302e020100300506032b657004220420"), .. seed];
        Write(path, Encoding.ASCII.GetBytes($"-----BEGIN PRIVATE KEY-----\n{Convert.ToBase64String(pkcs8)}\n-----END PRIVATE KEY-----\n"));
    }

    public static string FilePath(string vault, string kind, string name) => Path.Combine(vault, kind, name[..2], name);

    void MakeMachine(string name, int? uid = null)
    {
        Directory.CreateDirectory(this[name]);
        SetMode(this[name], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | (uid is null ? 0 : UnixFileMode.GroupExecute | UnixFileMode.OtherExecute));
        if (uid is { } owner)
            Tools.Must("chown", [string.Create(CultureInfo.InvariantCulture, $"{owner}:{owner}"), this[name]], Folder);
    }

    void Build()
    {
        foreach (var name in Machines)
            MakeMachine(name);
        foreach (var name in Entered)
        {
            Directory.CreateDirectory(this[name]);
            SetMode(this[name], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherExecute);
        }
        MakeMachine("machine", Owner); // also the folder above the vault: the guard alone is in the way
        MakeMachine("machine/keeper", Owner);
        MakeMachine("machine/vault", Owner);
        var vault = this["machine/vault"];
        Approvers = [.. Enumerable.Range(1, 3).Select(NewApprover)];
        string[] approvers = ["--quorum", "2", .. Approvers.SelectMany(a => new[] { "--approver", Approver.Of(a.PublicKey).ToString() })];
        string[] policy = ["--lock", "2d", "--reserve", "1MiB", "--daily-quota", "96MiB", "--locked-quota", "512MiB"];
        string[] place = _call.Store is { } store ? ["--store", store, "--store-key", Path.GetFullPath(_call.StoreKey!)] : [];
        InitWords = AsKeeper(["init", vault, "--keys", this["machine/keeper/keys"], .. policy, .. approvers, .. place]).Error;
        string[] tokens = [Token("ward-7"), Token("ward-8")];
        string Token(string agent) => AsKeeper(["keeper", "token", agent, "--vault", vault]).Out.Trim();

        AsKeeper(["key", "issue", "--out", this["machine/keeper/issued"], "--vault", vault, "--keys", this["machine/keeper/keys"]]);

        string[] said;
        (KeeperProcess, said) = Tools.Serve(["keeper", "serve", "--listen", "127.0.0.1:0", "--vault", vault], this["machine/keeper"], Names("machine/keeper"), Owner, 2);
        Keeper = said[0]["Listening on ".Length..];
        var keeper = said[1]["Fingerprint ".Length..];
        CopyKeys(this["machine/keeper/issued"], this["gateway/keys"], "put.key", "agent.key");
        string[] all = ["put.key", "agent.key", "opening.key", "opening.secret"];
        CopyKeys(this["machine/keeper/keys"], this["desk/keys"], all);
        CopyKeys(this["machine/keeper/keys"], this["reader/keys"], all);
        AsKeeper(["cleanroom", "key", "--out", this["machine/keeper/cleanroom"], "--vault", vault, "--keys", this["machine/keeper/keys"]]);
        CopyKeys(this["machine/keeper/cleanroom"], this["cleanroom/keys"], "cleanroom-tree.key", "cleanroom-content.key");
        foreach (var (client, role) in new[] { ("gateway", "backup"), ("desk", "manage"), ("reader", "read"), ("cleanroom", "attest") })
        {
            var own = Holdfast(["join", Keeper, keeper, "--keys", this[$"{client}/keys"], "--name", client], client).Out.Trim();
            AsKeeper(["keeper", "allow", client, own, "--role", role, "--uncommitted", Uncommitted, "--vault", vault]);
            Write(this[$"{client}/client.pem"], Encoding.ASCII.GetBytes(string.Join('\n', File.ReadAllLines(this[$"{client}/keys/keeper.access"]).Skip(3)) + "\n"));
        }
        (GatewayProcess, said) = Tools.Serve(["gateway", "serve", "--listen", "127.0.0.1:0", "--daily-limit", DailyLimit, "--vault", Keeper + "/", "--keys", this["gateway/keys"]], this["gateway"], Names("gateway"), null, 2);
        Gateway = said[0]["Listening on ".Length..];
        GatewayFingerprint = said[1]["Fingerprint ".Length..];

        var sources = new Dictionary<string, string>();
        foreach (var (agent, i) in new[] { ("ward7", 0), ("ward8", 1) })
        {
            Write(this[$"{agent}/source/{Planted}.txt"], Encoding.UTF8.GetBytes($"{Planted}: allergic to penicillin; seen on ward {i + 7}\n"));
            Write(this[$"{agent}/source/images/scan"], RandomNumberGenerator.GetBytes(300_000));
            Write(this[$"{agent}/token"], Encoding.ASCII.GetBytes(tokens[i]));
            Holdfast(["agent", "enrol", Gateway + "/", GatewayFingerprint, "--token-file", this[$"{agent}/token"], "--keys", this[$"{agent}/keys"]], agent);
            BackUp(agent, sources, "first");
        }
        sources.Remove(sources.First(s => s.Value.EndsWith("ward7-first", StringComparison.Ordinal)).Key); // its lock is looked at; what is restored of ward7 is the next
        if (!IsInBucket)
            Tools.Must("cp", ["-a", "--", vault, Older], Folder);
        Write(this["ward7/source/images/second scan"], RandomNumberGenerator.GetBytes(200_000));
        BackUp("ward7", sources, "second");
        Main = new Baseline(this, vault, this["machine/keeper/keys"], sources).Noted();
        Plain = IsInBucket ? Folderly(policy) : Main;
        (PlainPack, NewestObject) = (Largest(Path.Combine(Plain.Vault, "packs")), Newest());
        Pack = IsInBucket ? FirstListed() : PlainPack;
        Tools.Must("cp", ["-a", "--", vault, this["second/vault"]], Folder); // what another site pulls
        Share = new OpenShare(Tools, Copy(Plain.Vault));
    }

    /// <summary>An approver's key as tools have it that are not ours.</summary>
    (string, byte[]) NewApprover(int number)
    {
        var key = this[string.Create(CultureInfo.InvariantCulture, $"approver-{number}.pem")];
        Tools.Must("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key], Folder);
        Tools.Must("openssl", ["pkey", "-in", key, "-pubout", "-outform", "DER", "-out", $"{key}.pub"], Folder);
        return (key, File.ReadAllBytes($"{key}.pub")[^32..]);
    }

    Ran AsKeeper(string[] arguments) => Holdfast(arguments, "machine/keeper", Owner);

    void BackUp(string agent, Dictionary<string, string> sources, string copy)
    {
        var done = Holdfast(["backup", this[$"{agent}/source"], "--name", agent, "--json", "--keys", this[$"{agent}/keys"]], agent);
        using var parsed = JsonDocument.Parse(done.Out);
        var kept = this[$"judge/{agent}-{copy}"];
        Tools.Must("cp", ["-a", "--", this[$"{agent}/source"], kept], Folder);
        sources[parsed.RootElement.GetProperty("snapshot").GetString()!] = kept;
    }

    /// <summary>The same data in a folder: what a vault in a bucket is compared with.</summary>
    Baseline Folderly(string[] policy)
    {
        MakeMachine("plain");
        var (vault, keys, sources) = (this["plain/vault"], this["plain/keys"], new Dictionary<string, string>());
        Holdfast(["init", vault, "--keys", keys, .. policy]);
        foreach (var name in new[] { "ward7-first", "ward7-second" })
        {
            if (name == "ward7-second")
                Tools.Must("cp", ["-a", "--", vault, Older], Folder);
            var done = Holdfast(["backup", this[$"judge/{name}"], "--name", "ward7", "--json", "--vault", vault, "--keys", keys]);
            using var parsed = JsonDocument.Parse(done.Out);
            if (name == "ward7-second")
                sources[parsed.RootElement.GetProperty("snapshot").GetString()!] = this[$"judge/{name}"];
        }
        return new Baseline(this, vault, keys, sources).Noted();
    }

    static string Largest(string folder) => Path.GetFileName(Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f).Length == 64).MaxBy(f => new FileInfo(f).Length)!);

    /// <summary>The snapshot object that the older copy has not: type 2 in its header (docs/format.md, section 4).</summary>
    string Newest() => Path.GetFileName(Directory.GetFiles(Path.Combine(Plain.Vault, "objects"), "*", SearchOption.AllDirectories)
        .First(f => Path.GetFileName(f).Length == 64 && !File.Exists(FilePath(Older, "objects", Path.GetFileName(f))) && File.ReadAllBytes(f) is { Length: > 64 } bytes && bytes[11] == 2));

    string FirstListed()
    {
        var list = Fresh("list");
        Tools.Must("curl", ["-sk", "--cert", this["reader/client.pem"], "--max-time", "20", "-o", list, $"{Keeper}/v1/list/packs"], Folder);
        return Convert.ToHexStringLower(File.ReadAllBytes(list).AsSpan(1, 32)); // docs/protocol.md: u8 0, name (32), copy, size
    }

    public static int FreePort()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    public void Dispose()
    {
        Share?.Dispose();
        Tools.Dispose();
        using var last = new Tools(CancellationToken.None); // also when it was stopped
        if (IsGuarded)
            last.Run("chattr", ["-R", "-f", "-i", "-a", Folder], "/");
        last.Run("rm", ["-rf", "--one-file-system", "--", Folder], "/");
    }
}
