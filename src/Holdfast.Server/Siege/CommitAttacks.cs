using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Cli.Siege;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Server.Siege;

/// <summary>What the gateway's host sends as commits and packs: forged, incomplete, a second time, poisoned. Each goes to a keeper of a twin: a copy of the vault that has not seen its newest snapshot.</summary>
sealed class CommitAttacks(Stage stage)
{
    const string Who = ClientAttacks.GatewayHost;
    const string Commit = "curl -sk --cert \"$WHO\" --max-time 15 -X POST --data-binary @request \"$URL/v1/ask\" -o answer -w '%{http_code}'";
    const int OtherFiles = 400; // beside the poisoned one: a sample of them would most often miss it
    const int ContentRoot = 64 + 32 + 5 * 16 + 2 * 4 + 8 + 32; // offset in a snapshot's object: docs/format.md, sections 4 and 10

    public IEnumerable<Attack> All()
    {
        var genuine = File.ReadAllBytes(Stage.FilePath(stage.Plain.Vault, "objects", stage.NewestObject));
        var forged = (byte[])genuine.Clone();
        forged[ContentRoot] ^= 1;
        yield return new Attack("gateway.forge", Who, "hostile manifest: commit a snapshot whose content root is not the one that the agent signed", Expectation.Refused)
        {
            Script = Commit,
            On = () => Twin(forged, withPacks: true),
            Control = "another such keeper, sent what the agent signed",
            ControlOn = () => Twin(genuine, withPacks: true),
        };
        yield return new Attack("gateway.omit", Who, "commit a snapshot and leave out its packs", Expectation.Refused)
        {
            Script = Commit,
            On = () => Twin(genuine, withPacks: false),
            Control = "another such keeper that has the packs",
            ControlOn = () => Twin(genuine, withPacks: true),
        };
        yield return new Attack("gateway.replay", Who, "commit a snapshot a second time", Expectation.Refused)
        {
            Script = Commit,
            On = () => Again(genuine),
            Control = "a keeper that has not seen it",
            ControlOn = () => Twin(genuine, withPacks: true),
        };
        yield return new Attack("gateway.poison", Who, "poison: a sound pack with junk under the id of a chunk that others will back up", Expectation.Detected)
        {
            Script = "curl -sk --cert \"$WHO\" --max-time 15 -T pack \"$URL/v1/packs/$NAME\" -o answer -w '%{http_code}'",
            On = Poisoned,
            Judge = (target, _) => Built(target, CleanRoom),
            Control = "the same, where there is no clean room: backup and verify alone",
            ControlOn = Poisoned,
            ControlJudge = (target, _) => Built(target, (vault, keys) => ["verify", "--vault", vault, "--keys", keys]),
        };
    }

    Target Asking(string url, byte[] snapshot, Func<Finding> look)
    {
        var target = Net.At(stage, url, stage.PlainPack, look, ("WHO", stage["gateway/client.pem"]));
        var writer = new ByteWriter();
        writer.U8(1); // docs/protocol.md: a commit
        writer.U8(1);
        writer.Bytes(snapshot);
        Stage.Write(target["request"], writer.Span);
        return target;
    }

    (Process Process, string Url, string Vault) Serve(bool withPacks)
    {
        var vault = stage.Copy(stage.Older);
        if (withPacks)
            stage.Tools.Must("cp", ["-an", "--", Path.Combine(stage.Pristine, "packs"), vault], stage.Folder);
        var (process, said) = stage.Tools.Serve(["keeper", "serve", "--listen", "127.0.0.1:0", "--vault", vault], Path.GetDirectoryName(vault)!, stage.Names("judge"), stage.Owner, 1);
        return (process, said[0]["Listening on ".Length..], vault);
    }

    Target Twin(byte[] snapshot, bool withPacks)
    {
        var (process, url, vault) = Serve(withPacks);
        var before = stage.Plain.Locks(vault)?.Count ?? throw Tools.Broken("a twin's snapshots cannot be listed");
        return Asking(url, snapshot, () =>
        {
            stage.Tools.Stop(process);
            return stage.Plain.Locks(vault) is { } now && now.Count > before ? new Finding(true, false, "the snapshot is in the log") : new Finding(false, false, "the log is without it");
        });
    }

    Target Again(byte[] snapshot)
    {
        var before = stage.Main.Leaves().GetValueOrDefault("Commit");
        return Asking(stage.Keeper, snapshot, () => stage.Main.Leaves().GetValueOrDefault("Commit") > before ? new Finding(true, false, "the log has one more commit") : stage.Main.Look());
    }

    /// <summary>The pack is made with the gateway's put key, by our code: none other seals packs. It is sent by curl.</summary>
    Target Poisoned()
    {
        var (process, url, vault) = Serve(withPacks: true);
        var content = RandomNumberGenerator.GetBytes(5_000); // what many will have, such as an update that is due
        var (path, name) = Poison(content);
        var target = Net.At(stage, url, stage.PlainPack, () => throw new InvalidOperationException(), ("WHO", stage["gateway/client.pem"]), ("NAME", name), ("VAULT", vault), ("PID", process.Id.ToString(CultureInfo.InvariantCulture)));
        File.Copy(path, target["pack"]);
        Stage.Write(target["source/update"], content);
        for (var i = 0; i < OtherFiles; i++)
            Stage.Write(target[string.Create(CultureInfo.InvariantCulture, $"source/{i}")], RandomNumberGenerator.GetBytes(2_000));
        return target;
    }

    (string Path, string Name) Poison(byte[] content)
    {
        var folder = stage.Fresh("scratch");
        Directory.CreateDirectory(folder);
        FolderStore.Create(folder, Disk.Real);
        var store = new FolderStore([folder]);
        using var put = PutKey.Parse(File.ReadAllBytes(stage["gateway/keys/put.key"]));
        var name = "";
        using (var session = new PackSession(put.Vault, put, put.Domain.SourceId("hostile"u8), store, (staged, pack) =>
        {
            store.Enter(staged, StoreKind.Pack, pack.Name);
            name = pack.Name.ToString();
            staged.Dispose();
        }, TimeProvider.System))
        using (var writer = new PackWriter(session, KeyClass.Content, 1))
        {
            writer.Add(RandomNumberGenerator.GetBytes(content.Length), put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content))));
            writer.Finish();
        }
        return (Stage.FilePath(folder, "packs", name), name);
    }

    /// <summary>With keys of its own, which read and alter nothing.</summary>
    string[] CleanRoom(string vault, string keys)
    {
        var room = stage.Fresh("cleanroom");
        stage.Holdfast(["cleanroom", "key", "--out", room, "--vault", vault, "--keys", keys]);
        return ["cleanroom", "serve", "--once", "--vault", vault, "--keys", room];
    }

    /// <summary>Somebody backs that chunk up now; then whether it comes back, and whether a command tells before that.</summary>
    Finding Built(Target target, Func<string, string, string[]> telling)
    {
        var (vault, keys) = (target.Names["VAULT"], stage.Forgetful(stage.Plain));
        stage.Tools.Stop(Process.GetProcessById(int.Parse(target.Names["PID"], CultureInfo.InvariantCulture)));
        string[] where = ["--vault", vault, "--keys", keys];
        var backedUp = stage.Try(["backup", target["source"], "--name", "victim", .. where]);
        var call = telling(vault, keys);
        var told = stage.Try(call);
        var restored = stage.Try(["restore", "latest", stage.Fresh("restored"), "--name", "victim", .. where]);
        var words = $"backup {backedUp.Status}, `holdfast {call[0]}` {told.Status}, restore {restored.Status}";
        return restored.Status == 0 ? new Finding(false, false, $"all came back: {words}") : new Finding(true, backedUp.Status != 0 || told.Status != 0, words);
    }
}
