using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>Root on the keeper's own machine, and who carries its disk away: what a folder cannot stop, and who tells.</summary>
sealed class RootAttacks(Stage stage)
{
    const string Who = "root on the keeper";

    public IEnumerable<Attack> All()
    {
        yield return new Attack("disk.read", "the disk, stolen", "read names and contents off it", Expectation.Refused)
        {
            Script = "grep -rlac \"$NAME\" \"$WHERE\" | wc -l >found",
            On = () => Net.At(stage, "", "", () => stage.Main.Look(), ("NAME", Stage.Planted), ("WHERE", stage.Main.Vault)),
            Judge = (target, _) => File.ReadAllText(target["found"]).Trim() is var files && files != "0" ? new Finding(true, false, $"the planted name stands in {files} files") : new Finding(false, false, "the planted name stands in no file"),
            Control = "the same search in the data itself",
            ControlOn = () => Net.At(stage, "", "", () => stage.Main.Look(), ("NAME", Stage.Planted), ("WHERE", stage["ward7/source"])),
        };
        if (!stage.IsInBucket)
        {
            yield return new Attack("root.flip", Who, "change a byte in a pack, so that nobody sees it", Expectation.Detected)
            {
                Script = "printf X | dd of=\"$FILE\" bs=1 seek=50000 conv=notrunc status=none",
                On = () => OnCopy(vault => [("FILE", Stage.FilePath(vault, "packs", stage.PlainPack))]),
                Control = "a plain copy of the data, read by cp",
                ControlOn = () => OnCopy(_ => [("FILE", Scan())]),
                ControlJudge = (target, _) => Read(target.Names["FILE"]),
            };
            if (!stage.IsGuarded)
            {
                yield return new Attack("owner.delete", "owner, not root", "rm -rf packs and objects of a folder without a guard", Expectation.Stated)
                {
                    Script = "rm -rf \"$VAULT/packs\" \"$VAULT/objects\"",
                    On = () => OnCopy(_ => []),
                    Control = "a plain copy of the vault",
                    ControlOn = () => OnCopy(_ => []),
                    Answer = Elsewhere,
                };
            }
            yield return Back("root.rollback", "put the whole vault back to an older state, keys and all", "rm -rf \"$VAULT\"; cp -a \"$OLDER\" \"$VAULT\"");
            yield return Back("root.fork", "put it back, and go on with another history, signed with the log's key", "rm -rf \"$VAULT\"; cp -a \"$OLDER\" \"$VAULT\"; mkdir other; for i in 1 2 3 4 5 6 7 8; do echo $i >other/x; \"$HOLDFAST\" backup other --name other --vault \"$VAULT\" --keys keys --quiet; done");
        }
        yield return new Attack("root.delete", Who, "remove the vault's folder", Expectation.Stated)
        {
            Script = "chattr -R -f -i -a \"$VAULT\"; rm -rf \"$VAULT\"",
            On = () => stage.IsInBucket ? Net.At(stage, "", "", () => stage.Main.Look(), ("VAULT", stage.Main.Vault)) : OnCopy(_ => []),
            Control = "a plain copy of the vault",
            ControlOn = () => OnCopy(_ => []),
            Answer = Elsewhere,
        };
    }

    Target OnCopy(Func<string, (string, string)[]> more)
    {
        var vault = stage.Copy(stage.Pristine);
        return Net.At(stage, "", stage.PlainPack, () => stage.Plain.Look(vault), [("VAULT", vault), .. more(vault)]);
    }

    string Scan()
    {
        var folder = stage.Fresh("plain");
        stage.Tools.Must("cp", ["-a", "--", stage["judge/ward8-first"], folder], stage.Folder);
        return Path.Combine(folder, "images/scan");
    }

    Finding Read(string file)
    {
        var read = stage.Fresh("read");
        var copied = stage.Tools.Run("cp", ["--", file, read], stage.Folder);
        var isSame = File.ReadAllBytes(read).AsSpan().SequenceEqual(File.ReadAllBytes(stage["judge/ward8-first/images/scan"]));
        return new Finding(!isSame, copied.Status != 0, $"cp ends with {copied.Status}, and what it gives is {(isSame ? "as it was" : "wrong")}");
    }

    /// <summary>Whoever has seen more says so: here the key folder of a client. The control is one that has seen nothing.</summary>
    Attack Back(string id, string tries, string script)
    {
        var seen = "";
        return new Attack(id, Who, tries, Expectation.Detected)
        {
            Script = script,
            On = () => Lab(seen = stage.Forgetful(stage.Plain)),
            Judge = (target, _) => Gone(target, seen),
            Control = "a client whose keys have seen nothing of this vault",
            ControlOn = () => Lab(stage.Forgetful(stage.Plain)),
            ControlJudge = (target, _) => Gone(target, stage.Forgetful(stage.Plain)),
        };
    }

    /// <summary>A vault that a client backed up to a moment ago.</summary>
    Target Lab(string keys)
    {
        var target = OnCopy(_ => [("OLDER", stage.Older)]);
        stage.CopyKeys(stage.Plain.Keys, target["keys"], "put.key", "agent.key");
        stage.Holdfast(["backup", stage["judge/ward8-first"], "--name", "latest", "--vault", target.Names["VAULT"], "--keys", keys]);
        return target;
    }

    Finding Gone(Target target, string keys)
    {
        var vault = target.Names["VAULT"];
        var listed = stage.Plain.Locks(vault);
        var isGone = listed is null || stage.Plain.Sources.Keys.Any(s => !listed.ContainsKey(s));
        var told = stage.Try(["status", "--vault", vault, "--keys", keys]);
        return new Finding(isGone, told.Status != 0, $"{(isGone ? "snapshots are gone" : "all snapshots are there")}; `holdfast status` ends with {told.Status}{(told.Status == 0 ? "" : $": {Stage.Code(told)}")}");
    }

    Finding Elsewhere()
    {
        if (!stage.IsInBucket)
            return stage.Plain.Look(stage.Pristine) with { } is { IsHarm: false } sound ? sound with { Words = $"a copy that another site pulled (here another folder): {sound.Words}" } : new Finding(true, true, "the second copy does not hold");
        return stage.Main.Look(stage["second/vault"]) is { IsHarm: false } held ? held with { Words = $"what the bucket locks is there; with a copy of the log: {held.Words}" } : new Finding(true, true, "the bucket's packs with a copy of the log do not give it back");
    }
}
