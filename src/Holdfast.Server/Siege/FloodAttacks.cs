using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>Bytes and snapshots without end. They stay in the vault until their locks are over, so these come late.</summary>
sealed class FloodAttacks(Stage stage)
{
    const int Sent = 48_000_000; // bytes
    const int Room = 30_000_000; // bytes that may come of it: the limit of 24 MiB, and a pack's padding
    const int Least = 12_000_000; // where less came, nothing was tried

    readonly AgentAttacks _agents = new(stage);

    public IEnumerable<Attack> All()
    {
        yield return new Attack("all-agents.displace", "all agents", "push earlier snapshots out with 8 newer ones, dated 60 years ahead", Expectation.Refused)
        {
            Missing = Tools.FakeTime is null ? "needs libfaketime (Debian: libfaketime)" : null,
            Script = """
                mkdir source
                for i in 1 2 3 4; do for a in ward7 ward8; do
                echo "encrypted $i" >source/README
                LD_PRELOAD="$LIAR" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME=+60y "$HOLDFAST" backup source --name $a --keys "$STAGE/$a/keys" --quiet; echo $?
                done; done >said
                LD_PRELOAD="$LIAR" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME=+60y "$HOLDFAST" expire --vault "$VAULT" --with-last all >expired 2>&1 || true
                """,
            On = () => Net.At(stage, stage.Gateway, stage.Pack, Newer(), ("LIAR", Tools.FakeTime ?? ""), ("STAGE", stage.Folder), ("VAULT", stage.Main.Vault)),
            Control = "dated copies of which a script keeps the newest three",
            ControlScript = """
                mkdir copies; cp -a "$KEPT" copies/0
                for i in 1 2 3 4 5 6 7 8; do mkdir copies/$i; echo "encrypted $i" >copies/$i/README; touch -d "2085-01-0$i" copies/$i; done
                ls -1t copies | tail -n +4 | while read -r c; do rm -r "copies/$c"; done
                """,
            ControlOn = () => Copies(),
        };
        yield return new Attack("agent.flood", "agent", "send 48 MB where a day has 24 MiB", Expectation.Refused)
        {
            Script = AgentAttacks.Prove + AgentAttacks.Begin + """
                for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
                { printf '\001\006'; head -c 16 begun; printf '\001\001\200\222\364\001\000\001\200\222\364\001'; head -c 4000000 /dev/urandom; } >send; c sent send
                done
                { printf '\001\011'; head -c 16 begun; } >over; c done over >/dev/null
                """,
            On = () => Growing(_agents.As("ward7"), Stored, "what is stored", () => stage.Try(["backup", stage["ward8/source"], "--name", "ward8", "--keys", stage["ward8/keys"]], "ward8").Status),
            Control = "a share, which takes what comes",
            ControlScript = "for i in 10 11 12 13 14 15 16 17 18 19 20 21; do head -c 4000000 /dev/urandom >send; curl -sk --max-time 15 -T send \"$URL/v1/packs/${PACK%??}$i\" -o answer; done",
            ControlOn = () => Net.Share(stage) is var share && stage.Share.Root is var root ? Growing(share, () => Size(root), "the share") : throw new InvalidOperationException(),
        };
        yield return new Attack("gateway.flood", ClientAttacks.GatewayHost, "fill the disk with packs that nobody commits: 100 MB where 48 MiB may be", Expectation.Refused)
        {
            Script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do head -c 4000000 /dev/urandom >junk; n=$(openssl dgst -sha256 -r junk | cut -d' ' -f1); curl -sk --cert \"$WHO\" --max-time 20 -T junk \"$URL/v1/packs/$n\" -o answer -w '%{http_code} '; done",
            On = () => Growing(Net.Keeper(stage, ("WHO", stage["gateway/client.pem"])), Stored, "what is stored", most: 52_000_000),
            Control = "a share, which takes what comes",
            ControlOn = () => Net.Share(stage, ("WHO", stage["gateway/client.pem"])) is var share && stage.Share.Root is var root ? Growing(share, () => Size(root), "the share") : throw new InvalidOperationException(),
        };
    }

    /// <param name="target">Where.</param>
    /// <param name="size">Bytes that are there.</param>
    /// <param name="what">Of it, in words.</param>
    /// <param name="others">What a backup of another agent ends with.</param>
    /// <param name="most">Bytes that may come of it.</param>
    static Target Growing(Target target, Func<long> size, string what, Func<int>? others = null, long most = Room)
    {
        var before = size();
        var look = target.Look;
        return target with
        {
            Look = () =>
            {
                var grown = size() - before;
                var words = $"{what} grew by {grown / 1_000_000} MB";
                if (others?.Invoke() is { } status)
                {
                    if (status != 0)
                        return new Finding(true, true, $"{words}; another agent's backup ends with {status}");
                    words += "; another agent's backup goes on";
                }
                if (what != "the share" && grown < Least)
                    throw new InvalidOperationException($"{words}: what was sent was not taken, and so no flood");
                return grown > most ? new Finding(true, false, words) : what != "the share" && look() is { IsHarm: true } harm ? harm : new Finding(false, false, words);
            },
        };
    }

    /// <summary>What was there is there still, besides what came: where nothing did, nothing was tried.</summary>
    Func<Finding> Newer()
    {
        var before = stage.Main.Locks(stage.Main.Vault)?.Count ?? 0;
        return () =>
        {
            var look = stage.Main.Look();
            var more = (stage.Main.Locks(stage.Main.Vault)?.Count ?? 0) - before;
            return look.IsHarm ? look : more == 8 ? look with { Words = $"{more} newer snapshots; {look.Words}" } : throw new InvalidOperationException($"{more} snapshots came, not 8");
        };
    }

    static long Size(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);

    /// <summary>Bytes of packs, as the keeper lists them (docs/protocol.md).</summary>
    long Stored()
    {
        if (!stage.IsInBucket)
            return Size(Path.Combine(stage.Main.Vault, "packs"));
        var list = stage.Fresh("list");
        stage.Tools.Must("curl", ["-sk", "--cert", stage["reader/client.pem"], "--max-time", "20", "-o", list, $"{stage.Keeper}/v1/list/packs"], stage.Folder);
        var (bytes, sum) = (File.ReadAllBytes(list), 0L);
        for (var at = 0; at + 42 <= bytes.Length && bytes[at] == 0; at += 42)
            sum += System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 34));
        return sum;
    }

    Target Copies()
    {
        var target = Net.At(stage, "", "", () => new Finding(false, false, ""), ("KEPT", stage["judge/ward8-first"]));
        return target with { Look = () => Directory.Exists(target["copies/0"]) ? new Finding(false, false, "the first copy is there") : new Finding(true, false, "the first copy is gone") };
    }
}
