using System.Globalization;
using System.Text.Json;
using Holdfast.Cli.Siege;
using Holdfast.Core;
using Holdfast.Core.Codec;

namespace Holdfast.Server.Siege;

/// <summary>Who has a keeper's client: the gateway's host (role `backup`), a machine with the role `manage`, which is what a console would hold, or the clean room (role `attest`).</summary>
sealed class ClientAttacks(Stage stage)
{
    internal const string GatewayHost = "gateway host";
    internal const string Manager = "client with role manage";
    const string CleanRoom = "clean room";
    const string Ask = "curl -sk --cert \"$WHO\" --max-time 15 -X POST --data-binary @request \"$URL/v1/ask\" -o answer -w '%{http_code}'";

    string Certificate(string client) => stage[$"{client}/client.pem"];

    public IEnumerable<Attack> All()
    {
        foreach (var (prefix, who, client) in new[] { ("gateway", GatewayHost, "gateway"), ("manage", Manager, "desk"), ("cleanroom", CleanRoom, "cleanroom") })
        {
            foreach (var attack in Net.Verbs(prefix, who, "", () => Net.Keeper(stage, ("WHO", Certificate(client))), () => Net.Share(stage, ("WHO", Certificate(client)))))
                yield return attack;
            yield return new Attack($"{prefix}.further-copy", who, "put junk beside a pack, as a further copy of it", Expectation.Refused)
            {
                Script = "curl -sk --cert \"$WHO\" --max-time 15 -X PUT --data-binary junk \"$URL/v1/packs/$PACK?further=1\" -o answer -w '%{http_code}'",
                On = () => Net.Keeper(stage, ("WHO", Certificate(client))),
                Judge = (target, _) => Beside(target, stage.Keeper, stage.Pack),
                Control = "a share of the same files",
                ControlOn = () => Net.Share(stage, ("WHO", Certificate(client))),
                ControlJudge = (target, _) => Beside(target, stage.Share.Url, stage.PlainPack),
            };
        }
        yield return new Attack("gateway.wrong-name", GatewayHost, "poison: store bytes under a name that is not theirs", Expectation.Refused)
        {
            Script = "curl -sk --cert \"$WHO\" --max-time 15 -X PUT --data-binary junk \"$URL/v1/packs/$OTHER\" -o answer -w '%{http_code}'",
            On = () => Net.Keeper(stage, ("WHO", Certificate("gateway")), ("OTHER", Unused(stage.Pack))),
            Control = "a share of the same files",
            ControlOn = () => Net.Share(stage, ("WHO", Certificate("gateway")), ("OTHER", Unused(stage.PlainPack))),
        };
        yield return new Attack("gateway.names", GatewayHost, "read names and contents in what it may fetch", Expectation.Refused)
        {
            Script = """
                curl -sk --cert "$WHO" --max-time 15 "$URL/v1/list/packs" -o list
                curl -sk --cert "$WHO" --max-time 15 "$URL/v1/list/objects" -o list2
                curl -sk --cert "$WHO" --max-time 15 "$URL/v1/log?from=0" -o log
                curl -sk --cert "$WHO" --max-time 15 "$URL/v1/packs/$PACK" -o pack -w '%{http_code} '
                [ "$(openssl dgst -sha256 -r pack | cut -d' ' -f1)" = "$PACK" ] && [ -s list ] && [ -s list2 ] && [ -s log ] || exit 9
                grep -rlac "$NAME" $WHERE | wc -l >found
                """,
            On = () => Net.Keeper(stage, ("WHO", Certificate("gateway")), ("NAME", Stage.Planted), ("WHERE", ".")),
            Judge = (target, _) => int.Parse(File.ReadAllText(target["found"]), CultureInfo.InvariantCulture) is > 0 and var files ? new Finding(true, false, $"the planted name stands in {files} of what was fetched") : new Finding(false, false, "the planted name stands in nothing that was fetched"),
            Control = "the same search in the data itself",
            ControlOn = () => Net.Keeper(stage, ("WHO", Certificate("gateway")), ("NAME", Stage.Planted), ("WHERE", stage["ward7/source"])),
        };
        foreach (var attack in Asked())
            yield return attack;
    }

    /// <summary>Whether a pack has a further copy: who checks them all reads junk, too.</summary>
    Finding Beside(Target target, string url, string pack)
    {
        var ran = stage.Tools.Run("curl", ["-sk", "--cert", stage["reader/client.pem"], "--max-time", "15", "-o", target["beside"], "-w", "%{http_code}", $"{url}/v1/packs/{pack}?copy=1"], stage.Folder);
        return ran.Out is "200" or "206" ? new Finding(true, false, "the pack has a further copy") : ran.Out == "404" ? Sound("the pack has no further copy") : throw new InvalidOperationException($"it could not be looked up: {ran.Out}");
    }

    /// <summary>A name that no pack has, on the same shelf.</summary>
    static string Unused(string pack) => pack[..2] + new string('0', 62);

    IEnumerable<Attack> Asked()
    {
        var locks = stage.Main.Locks(stage.Main.Vault) ?? throw Tools.Broken("its snapshots cannot be listed");
        var (snapshot, until) = locks.MinBy(l => l.Value);
        var (sooner, later) = (until.AddDays(-1), until.AddDays(1));
        var id = Id16.TryParse(snapshot, out var parsed) ? parsed : throw Tools.Broken("a snapshot's id makes no sense");
        var counts = stage.Main.Leaves();
        foreach (var (name, who, client) in new[] { ("gateway.shorten", GatewayHost, "gateway"), ("manage.shorten", Manager, "desk"), ("cleanroom.shorten", CleanRoom, "cleanroom") })
        {
            yield return new Attack(name, who, "have a lock end a day earlier", Expectation.Refused)
            {
                Script = Ask,
                On = () => Asking(client, Extend(id, sooner)),
                Judge = (target, _) => Set(snapshot, sooner),
                Control = "the same keeper, asked by a client that may for a later end",
                ControlOn = () => Asking("desk", Extend(id, later = later.AddDays(1))),
                ControlJudge = (target, _) => Set(snapshot, later),
            };
        }
        yield return new Attack("manage.policy", Manager, "lower what new snapshots are locked for to an hour", Expectation.Refused)
        {
            Script = Ask,
            On = () => Asking("desk", Policy(3_600)),
            Judge = (target, _) => InForce(3_600),
            Control = "the same keeper, asked for three days",
            ControlOn = () => Asking("desk", Policy(3 * 86_400)),
            ControlJudge = (target, _) => InForce(3 * 86_400),
        };
        foreach (var (name, tries, type, who, client) in new (string, string, byte, string, string)[]
        {
            ("manage.expiry", "write into the log that everything has expired", 6, Manager, "desk"),
            ("manage.clock", "write into the log that it is ten years later", 15, Manager, "desk"),
            ("manage.commit", "write a commit into the log that no agent signed", 2, Manager, "desk"),
            ("manage.approval", "write into the log that a weaker policy was approved", 5, Manager, "desk"),
            ("manage.in-force", "write into the log that it is in force", 22, Manager, "desk"),
            ("manage.takeover", "write a new keeper into the log", 16, Manager, "desk"),
            ("cleanroom.commit", "write a commit into the log that no agent signed", 2, CleanRoom, "cleanroom"),
            ("cleanroom.restore", "write into the log that a snapshot was restored", 19, CleanRoom, "cleanroom"),
        })
        {
            yield return new Attack(name, who, tries, Expectation.Refused)
            {
                Script = Ask,
                On = () => Asking(client, Record(type, id)),
                Judge = (target, _) => Grew(type),
                Control = "the same keeper, asked to record a restore",
                ControlOn = () => Asking("desk", Record(19, id)),
                ControlJudge = (target, _) => Grew(19),
            };
        }

        Target Asking(string as_, byte[] request)
        {
            counts = stage.Main.Leaves();
            var target = Net.Keeper(stage, ("WHO", Certificate(as_)));
            Stage.Write(target["request"], request);
            return target;
        }

        Finding Grew(byte type) => Count(stage.Main.Leaves(), type) > Count(counts, type) ? new Finding(true, false, "the log has one more such leaf") : Sound("the log has no such leaf more");
    }

    static int Count(IReadOnlyDictionary<string, int> leaves, byte type) => leaves.GetValueOrDefault(((Core.Keeper.LeafType)type).ToString());

    Finding Sound(string words) => stage.Main.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, words);

    Finding Set(string snapshot, DateTimeOffset end)
    {
        var now = stage.Main.Locks(stage.Main.Vault)?.GetValueOrDefault(snapshot);
        return now == end ? new Finding(true, false, "the lock ends as was asked for") : Sound("the lock's end is as it was");
    }

    Finding InForce(ulong seconds)
    {
        using var policy = JsonDocument.Parse(stage.Holdfast(["policy", "show", "--json", "--vault", stage.Main.Vault]).Out);
        return policy.RootElement.GetProperty("policy").GetProperty("lockSeconds").GetUInt64() == seconds ? new Finding(true, false, "the policy is as was asked for") : Sound("the policy is as it was");
    }

    // docs/protocol.md, Keeper: the body of `ask`.
    static byte[] Extend(Id16 snapshot, DateTimeOffset end)
    {
        var writer = Request(2);
        writer.Id(snapshot);
        writer.U64((ulong)end.ToUnixTimeSeconds());
        writer.Id(Id16.None);
        return writer.ToArray();
    }

    static byte[] Policy(ulong seconds)
    {
        var writer = Request(3);
        writer.Id(Id16.None);
        writer.Id(Id16.None);
        writer.U8(1);
        writer.U64(seconds);
        for (var i = 0; i < 5; i++)
            writer.U8(0);
        return writer.ToArray();
    }

    static byte[] Record(byte type, Id16 subject)
    {
        var writer = Request(4);
        writer.U8(type);
        writer.Id(subject);
        writer.Id(Id16.None);
        foreach (var value in new ulong[] { 2_111_111_111, 0, 0 })
            writer.U64(value);
        writer.Bytes([]);
        return writer.ToArray();
    }

    static ByteWriter Request(byte kind)
    {
        var writer = new ByteWriter();
        writer.U8(1);
        writer.U8(kind);
        return writer;
    }
}
