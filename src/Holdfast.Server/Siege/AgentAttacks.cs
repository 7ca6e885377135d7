using System.Security.Cryptography;
using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>Who has all that a protected computer has: its agent key, and so what it takes to prove to be that agent with openssl and curl (docs/protocol.md, Gateway).</summary>
sealed class AgentAttacks(Stage stage)
{
    const string Who = "agent";

    /// <summary>Leaves own.pem, which the gateway takes for the agent's; c FILE REQUEST sends one.</summary>
    internal const string Prove = """
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.crt -subj /CN=agent -days 1 2>/dev/null; cat own.crt own.key >own.pem
        openssl x509 -in own.crt -outform DER | openssl dgst -sha256 -binary >own.sha
        c() { curl -sk --cert ${3:-own.pem} --max-time 20 -o "$1" --data-binary @"$2" -w '%{http_code} ' "$URL/v1/agent"; }
        printf '\001\001' >hello; c hello.a hello >/dev/null
        { printf holdfast/v1/agent-proof; head -c 16 hello.a; cat "$ID"; tail -c 32 hello.a; cat own.sha "$GATEWAY"; } >signed
        openssl pkeyutl -sign -rawin -inkey "$KEY" -in signed -out signature
        { printf '\001\002'; cat "$ID"; tail -c 32 hello.a; cat signature; } >prove; [ "$(c proved prove)" = "200 " ] || [ -n "$UNPROVED" ] || exit 9

        """;

    /// <summary>Begins a backup of the source $SOURCE (five letters).</summary>
    internal const string Begin = """
        { printf '\001\004\005'; printf "$SOURCE"; printf '\000\000\000\000\000\000\000\000'; } >begin; c begun begin

        """;

    public IEnumerable<Attack> All()
    {
        foreach (var attack in Net.Verbs("agent", Who, Prove, () => As("ward7"), () => Share(stage, "ward7")))
            yield return attack;
        yield return new Attack("agent.read", Who, "fetch a pack through the gateway", Expectation.Refused)
        {
            Script = Prove + "curl -sk --cert \"$WHO\" --max-time 15 \"$URL/v1/packs/$PACK\" -o answer -w '%{http_code}'",
            On = () => As("ward7"),
            Judge = StrangerAttacks.Loot,
            Control = "a share of the same files",
            ControlOn = () => Share(stage, "ward7"),
        };
        yield return new Attack("agent.keeper", Who, "go past the gateway to the keeper", Expectation.Refused)
        {
            Script = Prove + "curl -sk --cert \"$WHO\" --max-time 15 \"$KEEPER/v1/packs/$PACK\" -o answer -w '%{http_code}'",
            MayBeSilent = true,
            On = () => As("ward7"),
            Judge = StrangerAttacks.Loot,
            Control = "the same keeper, with the gateway's certificate",
            ControlOn = () => As("ward7", ("WHO", stage["gateway/client.pem"])),
        };
        yield return new Attack("agent.others-chunks", Who, "ask for a chunk of another agent by its digest", Expectation.Refused)
        {
            Script = Prove + Begin + "{ printf '\\001\\005'; head -c 16 begun; printf '\\001\\002'; cat \"$DIGEST\"; } >ask; c answer ask",
            On = () => Asking("ward7"),
            Judge = (target, _) => Bit(target),
            Control = "the same gateway, asked by the agent whose chunk it is",
            ControlOn = () => Asking("ward8"),
        };
        yield return new Attack("agent.others-source", Who, "back up under another agent's source", Expectation.Refused)
        {
            Script = Prove + Begin,
            On = () => As("ward7", ("SOURCE", "ward8")),
            Judge = (target, _) => Begun(target, "begun"),
            Control = "the same gateway, asked by the source's own agent",
            ControlOn = () => As("ward8", ("SOURCE", "ward8")),
        };
        yield return new Attack("agent.memory", Who, "have the gateway take four snapshots of 79 MB into memory at once", Expectation.Refused)
        {
            Script = Prove + """
                printf '\001\010' >finish; truncate -s 79000000 finish
                for i in 1 2 3 4; do curl -sk --cert own.pem --max-time 40 -X POST -T finish "$URL/v1/agent" -o answer$i -w '%{http_code}' >code$i & done; wait; rm finish
                cat code1 code2 code3 code4; [ "$(cat code1 code2 code3 code4)" = "$READ" ] || exit 9
                """,
            On = () => As("ward7", ("READ", "400400400400")) with { Look = StrangerAttacks.Grown(stage.GatewayProcess.Id, StrangerAttacks.BoundForAgents) },
            Control = "a server that takes in whatever comes, by its own peak memory",
            ControlOn = () => Net.Share(stage, [.. Names(stage, "ward7").Where(n => n.Item1 != "UNPROVED"), ("UNPROVED", "a share asks for none"), ("READ", "200200200200")]) with { Look = StrangerAttacks.Grown(Environment.ProcessId, StrangerAttacks.BoundForAgents) },
        };
        yield return new Attack("agent.replay", "the network", "replay an agent's proof with another certificate", Expectation.Refused)
        {
            Script = Prove + """
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout other.key -out other.crt -subj /CN=agent -days 1 2>/dev/null; cat other.crt other.key >other.pem
                c again prove "$SHOWN"
                { printf '\001\004\005'; printf "$SOURCE"; printf '\000\000\000\000\000\000\000\000'; } >begin; c begun begin "$SHOWN"
                """,
            On = () => As("ward7", ("SHOWN", "other.pem")),
            Judge = (target, _) => Begun(target, "begun"),
            Control = "the same gateway, with the certificate that was proved",
            ControlOn = () => As("ward7", ("SHOWN", "own.pem")),
        };
    }

    internal Target As(string agent, params (string, string)[] more) => Net.Gateway(stage, [.. Names(stage, agent), .. more]);

    static Target Share(Stage stage, string agent) => Net.Share(stage, [.. Names(stage, agent).Where(n => n.Item1 != "UNPROVED"), ("UNPROVED", "a share asks for none")]);

    /// <summary>What the agent's machine gives away.</summary>
    static (string, string)[] Names(Stage stage, string agent)
    {
        var (id, key, gateway) = (stage[$"attacker/{agent}.id"], stage[$"attacker/{agent}.pem"], stage["attacker/gateway.sha"]);
        if (!File.Exists(id))
        {
            // docs/format.md, 13.1: vault (16), agent (16), seed (32), check.
            var body = Convert.FromBase64String(string.Concat(File.ReadLines(stage[$"{agent}/keys/agent.key"]).Skip(1)));
            Stage.Write(id, body.AsSpan(16, 16));
            Stage.WritePrivateKey(key, body.AsSpan(32, 32));
        }
        if (!File.Exists(gateway))
            Stage.Write(gateway, Convert.FromHexString(stage.GatewayFingerprint["sha256:".Length..]));
        return [("ID", id), ("KEY", key), ("GATEWAY", gateway), ("WHO", "own.pem"), ("SOURCE", agent), ("KEEPER", stage.Keeper), ("UNPROVED", "")];
    }

    Target Asking(string agent)
    {
        var others = SHA256.HashData(File.ReadAllBytes(stage[$"ward8/source/{Stage.Planted}.txt"]));
        var target = As(agent, ("DIGEST", stage["attacker/others.sha"]));
        if (!File.Exists(stage["attacker/others.sha"]))
            Stage.Write(stage["attacker/others.sha"], others);
        return target;
    }

    static Finding Bit(Target target)
    {
        var answer = File.Exists(target["answer"]) ? File.ReadAllBytes(target["answer"]) : [];
        return answer is [var bits] && (bits & 1) == 1 ? new Finding(true, false, "it is told that the chunk is there, and may refer to it")
            : answer is [_] ? new Finding(false, false, "it is told to send it") : throw new InvalidOperationException("it was told nothing");
    }

    /// <summary>Whether the answer is a session: it has a signed checkpoint in it.</summary>
    static Finding Begun(Target target, string file) =>
        File.Exists(target[file]) && File.ReadAllBytes(target[file]).AsSpan().IndexOf("\n\n\u2014 "u8) > 0 ? new Finding(true, false, "a backup was begun") : new Finding(false, false, "no backup was begun");
}
