using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>Who reaches the ports, and has nothing; and who stands in between.</summary>
sealed class StrangerAttacks(Stage stage)
{
    const string Who = "nobody's, reaches a port";
    const long Small = 160L << 20; // bytes that the test itself has before a control of memory
    const long Bound = 96L << 20; // bytes that a process may grow by
    internal const long BoundForAgents = 256L << 20; // one snapshot of 80 MiB at a time, twice over and more; four of them at once are 301 MiB
    const string NewIdentity = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.crt -subj /CN=gateway -days 1 2>/dev/null; cat own.crt own.key >own.pem\n";

    public IEnumerable<Attack> All()
    {
        yield return new Attack("stranger.delete", Who, "remove a pack without a certificate", Expectation.Refused)
        {
            Script = "curl -sk --max-time 15 -X DELETE \"$URL/v1/packs/$PACK\" -o answer -w '%{http_code}'",
            MayBeSilent = true,
            On = () => Net.Keeper(stage),
            Judge = (target, _) => Answering(target),
            Control = "a share of the same files",
            ControlOn = () => Net.Share(stage),
            ControlJudge = (target, _) => target.Look(),
        };
        yield return new Attack("stranger.certificate", Who, "overwrite a pack with a certificate made up for it", Expectation.Refused)
        {
            Script = NewIdentity + "curl -sk --cert own.pem --max-time 15 -X PUT --data-binary junk \"$URL/v1/packs/$PACK\" -o answer -w '%{http_code}'",
            MayBeSilent = true,
            On = () => Net.Keeper(stage),
            Judge = (target, _) => Answering(target),
            Control = "a share of the same files",
            ControlOn = () => Net.Share(stage),
            ControlJudge = (target, _) => target.Look(),
        };
        const string read = "curl -sk $WITH --max-time 15 -o answer -w '%{http_code}' \"$URL/v1/packs/$PACK\"";
        yield return new Attack("stranger.read", Who, "fetch a pack", Expectation.Refused)
        {
            Script = read,
            MayBeSilent = true,
            On = () => Net.Keeper(stage, ("WITH", "")),
            Judge = (target, ran) => Answering(target) is { IsHarm: true } harm ? harm : Loot(target, ran),
            ControlJudge = Loot,
            Control = "the same keeper, with a client's certificate",
            ControlOn = () => Net.Keeper(stage, ("WITH", $"--cert {stage["reader/client.pem"]}")),
        };
        yield return Memory("stranger.memory.gateway", "have the gateway take 250 MB into memory", () => stage.Gateway, () => stage.GatewayProcess.Id, "agent");
        yield return Memory("stranger.memory.keeper", "have the keeper take 250 MB into memory", () => stage.Keeper, () => stage.KeeperProcess.Id, "ask");
        yield return new Attack("network.between", "the network", "answer in the keeper's place", Expectation.Refused)
        {
            Script = NewIdentity + """
                openssl s_server -accept "127.0.0.1:$PORT" -cert own.crt -key own.key -www -quiet >/dev/null 2>&1 &
                s=$!; for i in $(seq 100); do curl -sk --max-time 5 "https://127.0.0.1:$PORT/" -o up && break; sleep 0.2; done
                "$HOLDFAST" status --vault "https://127.0.0.1:$PORT/" --keys keys >said 2>told; echo $? >status
                kill $s
                """,
            ControlScript = NewIdentity + """
                openssl s_server -accept "127.0.0.1:$PORT" -cert own.crt -key own.key -www -quiet >/dev/null 2>&1 &
                s=$!; for i in $(seq 100); do curl -sk --max-time 5 "https://127.0.0.1:$PORT/" -o up && break; sleep 0.2; done
                curl -sk --max-time 15 "https://127.0.0.1:$PORT/" >said 2>told; echo $? >status
                kill $s
                """,
            On = () => Between(),
            Judge = (target, _) => Believed(target),
            Control = "a client that pins no certificate (curl -k)",
            ControlOn = () => Between(),
        };
    }

    /// <summary>The keeper answers those whom it knows: it was there to be attacked.</summary>
    Finding Answering(Target target)
    {
        var known = stage.Tools.Run("curl", ["-sk", "--cert", stage["reader/client.pem"], "--max-time", "15", "-o", target["known"], "-w", "%{http_code}", $"{stage.Keeper}/v1/vault"], stage.Folder);
        return known.Out == "200" ? target.Look() : throw new InvalidOperationException("the keeper answers nobody");
    }

    /// <summary>Whether the bytes of a pack came out.</summary>
    internal static Finding Loot(Target target, Ran ran)
    {
        var answer = target["answer"];
        var isPack = File.Exists(answer) && Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(answer))) == target.Names["PACK"];
        return isPack ? new Finding(true, false, "the pack's bytes are in the attacker's hands") : target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "no byte of a pack came out");
    }

    Target Between()
    {
        var port = Stage.FreePort();
        var target = Net.At(stage, "", "", () => stage.Main.Look(), ("PORT", port.ToString(CultureInfo.InvariantCulture)));
        stage.CopyKeys(stage["reader/keys"], target["keys"], "put.key", "opening.key", "opening.secret");
        var access = File.ReadAllText(stage["reader/keys/keeper.access"]).Replace(stage.Keeper, $"https://127.0.0.1:{port}", StringComparison.Ordinal); // whoever has the network has the address
        Stage.Write(target["keys/keeper.access"], System.Text.Encoding.ASCII.GetBytes(access));
        Stage.SetMode(target["keys/keeper.access"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return target;
    }

    /// <summary>Whether what the impostor said was taken: its page for curl, any answer at all for a client of ours.</summary>
    static Finding Believed(Target target)
    {
        var (said, told) = (File.ReadAllText(target["said"]), File.ReadAllText(target["told"]));
        var code = Stage.Code(new Ran(0, "", told));
        return said.Length > 0 ? new Finding(true, false, "the client took what the impostor said") : code == "WrongVault" ? new Finding(false, false, "the client says WrongVault, and takes nothing") : throw new InvalidOperationException($"the client says {code}");
    }

    Attack Memory(string id, string tries, Func<string> url, Func<int> process, string form) => new(id, Who, tries, Expectation.Refused)
    {
        // A client's certificate where there has to be one to say anything at all: the least of them.
        Script = NewIdentity + "truncate -s 250000000 big; curl -sk --cert ${CERT:-own.pem} --max-time 30 -T big -X POST \"$URL/v1/" + form + "\" -o answer -w '%{http_code}'; rm big",
        On = () => Net.At(stage, url(), stage.Pack, Grown(process()), ("CERT", form == "ask" ? stage["reader/client.pem"] : "")),
        Control = "a server that takes in whatever comes, by its own peak memory",
        ControlOn = () => Net.Share(stage, Grown(Environment.ProcessId)),
    };

    internal static Func<Finding> Grown(int process, long most = Bound)
    {
        for (var i = 0; process == Environment.ProcessId && i < 20 && Tools.Peak(process, anew: true) > Small; i++)
        {
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true); // what an earlier control left
            Thread.Sleep(50);
        }
        var before = Tools.Peak(process, anew: true);
        return () =>
        {
            var after = Tools.Peak(process);
            return new Finding(after == 0 || after - before > most, false, string.Create(CultureInfo.InvariantCulture, $"peak memory (VmHWM) {before >> 20} MiB before, {after >> 20} MiB after"));
        };
    }
}
