using System.Globalization;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>What becomes of the proofs when files of a vault are taken away or damaged, and when they come back.</summary>
public sealed class ProofTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3: obs every hour\n"u8.ToArray());
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Write("notes/later.txt", "bed 3: stable\n"u8.ToArray());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("attest", "--full").Expect(0);
        cli.Run("verify").Expect(0);
        Assert.Contains("every snapshot was re-opened or restored", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        return cli;
    }

    /// <summary>The pack with the scan, which both snapshots need.</summary>
    static string LargestPack(Cli cli) => Directory.EnumerateFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!;

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    static void Spoil(string pack, string how)
    {
        var bytes = File.ReadAllBytes(pack);
        switch (how)
        {
            case "missing":
                File.Delete(pack);
                return;
            case "truncated":
                bytes = bytes[..(bytes.Length / 2)];
                break;
            case "zeroed":
                Array.Clear(bytes);
                break;
            case "early":
                bytes[1_300] ^= 1; // in the first frame
                break;
            case "flipped":
                bytes[bytes.Length / 2] ^= 1;
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(how));
        }
        File.Delete(pack);
        File.WriteAllBytes(pack, bytes);
    }

    /// <summary>The daily run asks whether all is well: what it has to look at is, and what it looked at long ago is not any more.</summary>
    [Fact]
    public void An_attestation_of_what_is_new_does_not_hide_what_was_lost_since()
    {
        using var cli = new Cli().Init();
        cli.Write("a", Cli.Noise(1, 100_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("attest", "--full").Expect(0);
        var content = Directory.GetFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!;
        File.Move(content, cli["away"]);
        cli.Shell("rm source/a; echo other > source/b");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var attest = cli.Run("attest").Expect(20);
        Assert.Contains("intact", attest.Out, StringComparison.Ordinal);
        Assert.Contains("1 snapshot is what was signed, but 1 pack is MISSING; 1 snapshot needs it", attest.Error, StringComparison.Ordinal);
        cli.Run("attest", "latest").Expect(0); // that one alone was asked for
        File.Move(cli["away"], content);
        cli.Run("attest").Expect(0);
    }

    /// <summary>What a script sees of a backup that was attested at once is its exit status.</summary>
    [Fact]
    public void A_backup_whose_attestation_finds_defects_does_not_end_well()
    {
        using var cli = new Cli().Init();
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward", "--attest").Expect(0);
        Spoil(LargestPack(cli), "flipped");
        var backup = cli.Run("backup", cli["source"], "--name", "ward", "--attest").Expect(29); // it builds on what nobody has read since
        Assert.Contains($"what to do: Run `{Path.Combine(Cli.Root, "holdfast")} attest`", backup.Error, StringComparison.Ordinal);
        cli.Run("attest").Expect(21);
    }

    [Theory]
    [InlineData("missing", 20, true)]
    [InlineData("truncated", 21, true)]
    [InlineData("zeroed", 21, false)]
    [InlineData("flipped", 21, false)]
    public void A_pack_that_is_gone_or_damaged_is_told_by_every_command_and_bringing_it_back_clears_it(string how, int status, bool isSeenAtOnce)
    {
        var code = status == 20 ? "PackMissing" : "PackDamaged";
        var word = status == 20 ? "MISSING" : "DAMAGED";
        using var cli = Sample();
        var pack = LargestPack(cli);
        var name = Path.GetFileName(pack);
        File.Copy(pack, cli["kept"]);
        Spoil(pack, how);

        cli.Run("status").Expect(isSeenAtOnce ? status : 0); // what only reading shows is known once it was read
        var verify = cli.Run("verify").Expect(status);
        Assert.Contains(name, verify.Out, StringComparison.Ordinal);

        var text = cli.Run("status").Expect(status);
        Assert.StartsWith("PROBLEMS", text.Out, StringComparison.Ordinal);
        Assert.Contains($"1 pack is {word}; 2 snapshots need it", text.Out, StringComparison.Ordinal);
        Assert.Contains(name, text.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("every snapshot was re-opened", text.Out, StringComparison.Ordinal);
        Assert.Contains("what to do", text.Error, StringComparison.Ordinal);
        var json = Json(cli.Run("status", "--json").Expect(status));
        Assert.Equal("problems", json.EnumerateObject().First().Name);
        var problem = Assert.Single(json.GetProperty("problems").EnumerateArray());
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal(1, problem.GetProperty("count").GetInt32());
        Assert.Equal(2, problem.GetProperty("snapshotCount").GetInt32());
        Assert.Equal(name, Assert.Single(problem.GetProperty("names").EnumerateArray()).GetString());
        Assert.NotEqual("", problem.GetProperty("advice").GetString());

        var proof = cli.Run("log", "prove", "latest", "--out", cli["proof"]).Expect(status);
        Assert.Contains("NOT ALL THERE", proof.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("found right", proof.Error, StringComparison.Ordinal);
        Assert.False(Json(cli.Run("log", "prove", "latest", "--json").Expect(status)).TryGetProperty("allBytesLastRead", out _));
        Assert.Contains($"1 PACK {word}; was intact, all", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("attest").Expect(status); // nothing is due, and yet not all is well

        var attest = cli.Run("attest", "latest").Expect(status); // a sample, that never comes to the pack itself
        Assert.Contains($"{word.ToLowerInvariant()} pack {name}", attest.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("break-in", attest.Error, StringComparison.Ordinal);
        Assert.Contains("(all that is there)", cli.Run("attest", "latest", "--full").Expect(status).Out, StringComparison.Ordinal);
        json = Json(cli.Run("status", "--json").Expect(status));
        Assert.Equal([code, "SnapshotDefective"], json.GetProperty("problems").EnumerateArray().Select(p => p.GetProperty("code").GetString()));
        Assert.Equal(0, json.GetProperty("neverTested").GetInt32());
        Assert.Equal(1, json.GetProperty("defective").GetInt32());
        Assert.Contains("DEFECTS", cli.Run("snapshots").Out, StringComparison.Ordinal);

        File.Delete(pack);
        File.Copy(cli["kept"], pack);
        cli.Run("verify").Expect(0);
        cli.Run("log", "prove", "latest", "--out", cli["proof2"]).Expect(29);
        cli.Run("status").Expect(29);
        Assert.Contains("(all)", cli.Run("attest").Expect(0).Out, StringComparison.Ordinal); // what has defects is looked at whole
        var after = cli.Run("status").Expect(0);
        Assert.DoesNotContain("PROBLEMS", after.Out, StringComparison.Ordinal);
        Assert.Contains("every snapshot was re-opened or restored", after.Out, StringComparison.Ordinal);
        Assert.Contains("every pack that is there since", after.Out, StringComparison.Ordinal);
        Assert.Empty(Json(cli.Run("status", "--json").Expect(0)).GetProperty("problems").EnumerateArray());
        Assert.Contains("found right", cli.Run("log", "prove", "latest", "--out", cli["proof3"]).Expect(0).Error, StringComparison.Ordinal);
    }

    /// <summary>What one command found, the next one knows.</summary>
    [Theory]
    [InlineData("cat", 21)]
    [InlineData("ls", 21)]
    [InlineData("find", 3)]
    [InlineData("diff", 21)]
    public void What_a_reading_command_found_damaged_is_remembered_until_it_is_read_and_found_right(string command, int ends)
    {
        using var cli = Sample();
        string[] call = command switch { "cat" => ["cat", "latest", "scan.dcm"], "ls" => ["ls", "latest"], "find" => ["find", "*"], _ => ["diff", "latest~1", "latest"] };
        var packs = Directory.EnumerateFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).ToList();
        cli.Shell("cp -a vault/packs sound");
        foreach (var pack in packs)
            Spoil(pack, "early");
        cli.Run("status").Expect(0);
        cli.Run(call).Expect(ends);
        Assert.Contains("DAMAGED", cli.Run("status").Expect(21).Out, StringComparison.Ordinal);
        cli.Run("attest").Expect(21);
        Assert.Contains("DAMAGED", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        cli.Shell("rm -r vault/packs && mv sound vault/packs");
        cli.Run("verify").Expect(0);
        cli.Run("status").Expect(0);
    }

    [Fact]
    public void Files_that_do_not_belong_and_a_bad_copy_beside_a_good_one_are_told_and_lose_nothing()
    {
        using var cli = Sample();
        var pack = LargestPack(cli);
        cli.Run("init", cli["other"], "--keys", cli["other-keys"], "--lock", "1d").Expect(0);
        cli.Run("backup", cli["source"], "--vault", cli["other"], "--keys", cli["other-keys"]).Expect(0);
        var foreign = Directory.EnumerateFiles(cli["other/packs"], "*", SearchOption.AllDirectories).First();
        File.Copy(foreign, foreign.Replace(cli["other"], cli["vault"], StringComparison.Ordinal));
        File.WriteAllText(cli["vault/packs/00/notes.txt"], "not ours");
        File.Copy(pack, pack + ".1");
        Spoil(pack, "flipped");

        var verify = cli.Run("verify", "--full").Expect(0).Out;
        Assert.Contains($"the file {Path.GetFileName(foreign)} in packs/ does not belong", verify, StringComparison.Ordinal);
        Assert.Contains($"the file {cli["vault/packs"]}/", verify, StringComparison.Ordinal); // one without a name is named by its path
        Assert.Contains($"damaged: Pack {Path.GetFileName(pack)}; another copy is sound", verify, StringComparison.Ordinal);
        Assert.Contains("1 file in packs/ does not belong", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("attest", "latest", "--full").Expect(0);
        cli.Run("log", "prove", "latest", "--out", cli["proof"]).Expect(0);

        File.Delete(pack); // now only the further copy is left
        cli.Run("verify").Expect(0);
        cli.Run("status").Expect(0);
        Spoil(pack + ".1", "flipped");
        cli.Run("verify").Expect(21);
        cli.Run("status").Expect(21);
    }

    [Fact]
    public void A_snapshot_object_that_is_gone_or_damaged_is_told_with_the_snapshots_that_build_on_it()
    {
        using var cli = Sample();
        var first = Json(cli.Run("log", "entries", "--json")).GetProperty("entries").EnumerateArray().First(e => e.GetProperty("type").GetString() == "Commit").GetProperty("payload").GetString()!;
        var path = cli[$"vault/objects/{first[..2]}/{first}"];
        File.Move(path, cli["kept"]);
        cli.Run("status").Expect(22);
        var problem = Json(cli.Run("status", "--json").Expect(22)).GetProperty("problems").EnumerateArray().Single();
        Assert.Equal(("ObjectMissing", 2), (problem.GetProperty("code").GetString(), problem.GetProperty("snapshotCount").GetInt32())); // the second tells its packs as a difference to the first
        cli.Run("verify").Expect(22);
        cli.Run("log", "prove", "latest", "--out", cli["proof"]).Expect(22);
        Assert.Contains("OBJECT MISSING", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        foreach (var call in new string[][] { ["expire"], ["expire", "--dry-run"], ["expire", "--quiet"] })
            Assert.Contains("may need anything", cli.Run(call).Expect(22).Error, StringComparison.Ordinal);
        Assert.True(Json(cli.Run("expire", "--json").Expect(22)).GetProperty("blocked").GetBoolean());
        cli.Run("attest", "--full", "--older-than", "1s").Expect(22);
        var attest = cli.Run("attest", "latest", "--full").Expect(22);
        Assert.Contains($"missing or damaged object {first}", attest.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("break-in", attest.Error, StringComparison.Ordinal);

        var bytes = File.ReadAllBytes(cli["kept"]);
        bytes[^1] ^= 1;
        File.WriteAllBytes(path, bytes);
        cli.Run("status").Expect(23);
        cli.Run("verify").Expect(23);
        cli.Run("expire").Expect(23);

        File.Delete(path);
        File.Move(cli["kept"], path);
        cli.Run("verify").Expect(0);
        cli.Run("expire").Expect(0);
        cli.Run("attest").Expect(0);
        cli.Run("status").Expect(0);
    }

    [Fact]
    public void A_forged_expiry_is_told_by_every_command_and_hides_no_loss()
    {
        using var cli = Sample();
        var pack = LargestPack(cli);
        using (var vault = Holdfast.Core.Vault.Open(cli["vault"]))
        {
            // As whoever has the log's key can.
            Assert.True(Holdfast.Core.Hash32.TryParse(Path.GetFileName(pack), out var name));
            var list = new Holdfast.Core.Keeper.ExpiryList(vault.Id, Holdfast.Core.Hash32.None, [(Holdfast.Core.Storage.StoreKind.Pack, name)]).ToArray();
            vault.Keeper.Record(Holdfast.Core.Keeper.LeafType.Expiry, Holdfast.Core.Id16.New(), Holdfast.Core.Id16.None, vault.Keeper.Clock.Now, 0, 1, list);
        }
        var status = cli.Run("status").Expect(44);
        Assert.Contains("1 leaf of the log is NOT BELIEVED", status.Out, StringComparison.Ordinal);
        Assert.Contains("break-in", status.Error, StringComparison.Ordinal);
        Assert.Contains("NOT BELIEVED: it gives up 1 name whose locks were not over", cli.Run("log", "entries").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("NOT BELIEVED", Json(cli.Run("log", "entries", "--json")).GetProperty("entries").EnumerateArray().Single(e => e.TryGetProperty("refused", out _)).GetProperty("refused").GetString(), StringComparison.Ordinal);
        cli.Run("verify").Expect(44);
        cli.Run("attest").Expect(44);
        cli.Run("restore", "latest", cli["r"]).Expect(0);

        File.Delete(pack);
        var problems = Json(cli.Run("status", "--json").Expect(20)).GetProperty("problems").EnumerateArray().ToList();
        Assert.Equal(["PackMissing", "LeafRefused"], problems.Select(p => p.GetProperty("code").GetString()));
        Assert.Equal(2, problems[0].GetProperty("snapshotCount").GetInt32());
        Assert.Equal((1, 2), (problems[1].GetProperty("leaves").GetArrayLength(), problems[1].GetProperty("snapshotCount").GetInt32()));
        cli.Run("verify").Expect(20);
    }

    [Fact]
    public void Attest_says_what_is_healed_elsewhere()
    {
        using var cli = Sample();
        var pack = LargestPack(cli);
        var sound = File.ReadAllBytes(pack);
        Spoil(pack, "flipped");
        cli.Run("verify").Expect(21);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var attest = cli.Run("attest", "--full", "latest~2").Expect(0);
        Assert.Equal("", attest.Error);
        Assert.DoesNotContain("signed by", attest.Out, StringComparison.Ordinal);
        Assert.Contains("healed elsewhere", attest.Out, StringComparison.Ordinal);
        cli.Run("restore", "latest~2", cli["r"]).Expect(0);

        Assert.Contains("1 snapshot needs it", cli.Run("status").Expect(21).Out, StringComparison.Ordinal); // the other was not looked at
        cli.Run("attest", "--full", "latest~3").Expect(0);
        cli.Run("attest").Expect(0); // the two that were never attested, and no healed one again
        var status = cli.Run("status").Expect(0);
        Assert.DoesNotContain("PROBLEMS", status.Out, StringComparison.Ordinal);
        Assert.Contains($"2 snapshots: sound again since {DateTimeOffset.UtcNow:yyyy-MM-dd}", status.Out, StringComparison.Ordinal);
        Assert.Equal(2, Json(cli.Run("status", "--json").Expect(0)).GetProperty("healed").GetArrayLength());
        Assert.Contains($"healed {DateTimeOffset.UtcNow:yyyy-MM-dd}, all", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("no snapshot loses data by it", cli.Run("verify").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("read from other packs", cli.Run("log", "prove", "latest~2").Expect(0).Error, StringComparison.Ordinal);

        File.WriteAllBytes(pack, sound); // nothing needs it any more, and it does no harm
        cli.Run("verify").Expect(0);
        Assert.Contains("these are there again", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        Spoil(LargestPack(cli), "missing"); // what the healed ones live on, or the damaged one itself
        Spoil(LargestPack(cli), "missing");
        cli.Run("status").Expect(20);
    }

    /// <summary>The first is read before the loss of the second is in the log; one run is enough all the same.</summary>
    [Theory]
    [InlineData("--full")]
    [InlineData("--quiet")]
    public void One_attestation_settles_what_was_lost_twice(string how)
    {
        using var cli = new Cli().Init();
        cli.Write("scan.dcm", Cli.Noise(1, 900_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Spoil(LargestPack(cli), "missing");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("attest");
        Spoil(LargestPack(cli), "missing");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("attest", how);
        cli.Run("attest").Expect(0);
        cli.Run("status").Expect(0);
    }

    [Fact]
    public void An_attestation_of_a_source_looks_at_no_other()
    {
        using var cli = Sample();
        cli.Run("backup", cli["source/notes"], "--name", "office").Expect(0);
        Assert.Contains("of that source", cli.Run("attest", "--name", "ward").Expect(0).Out, StringComparison.Ordinal);
        Assert.Single(Json(cli.Run("attest", "--name", "office", "--json").Expect(0)).GetProperty("attestations").EnumerateArray());
        cli.Run("attest", "--name", "nosuch").Expect(27);
        cli.Run("attest", "--full", "--name", "nosuch").Expect(27);
    }

    [Fact]
    public void A_lock_that_ends_a_healing_says_so_and_status_says_what_is_lost()
    {
        using var cli = Sample();
        Spoil(LargestPack(cli), "missing");
        cli.Run("verify").Expect(20);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("attest", "--full", "latest~2").Expect(0);
        cli.Run("attest", "--full", "latest~3").Expect(0);
        cli.Run("status").Expect(0);
        var scope = cli.Run("key", "scope", "--class", "tree", "--name", "ward", "--out", cli["tree.key"]).Expect(0); // not held up by what others hold
        Assert.Contains("1 pack of this source is missing or damaged", scope.Error, StringComparison.Ordinal);
        cli.Run("ls", "latest", "--scoped-key", cli["tree.key"]).Expect(0);

        var id = Json(cli.Run("snapshots", "--json").Expect(0)).GetProperty("snapshots")[0].GetProperty("id").GetString()!;
        var locked = cli.Run("lock", id, "--until", $"{DateTimeOffset.UtcNow.AddDays(9):yyyy-MM-dd}").Expect(0).Error;
        Assert.Contains($"attest --full {id[..8]}`", locked, StringComparison.Ordinal);
        Assert.DoesNotContain("what to do", cli.Run("lock", "latest", "--until", $"{DateTimeOffset.UtcNow.AddDays(9):yyyy-MM-dd}").Expect(0).Error, StringComparison.Ordinal);
        var status = cli.Run("status").Expect(20).Out;
        Assert.Contains("read from other packs than the 1 pack lost or damaged", status, StringComparison.Ordinal);
        Assert.DoesNotContain("these are there again", status, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_sample_found_lost_is_told_with_the_attestation_that_may_heal_it()
    {
        using var cli = Sample();
        Spoil(LargestPack(cli), "flipped");
        cli.Run("verify").Expect(21);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var id = Json(cli.Run("snapshots", "--json").Expect(0)).GetProperty("snapshots")[0].GetProperty("id").GetString()![..8];
        Assert.Contains($"attest --full {id}`", cli.Run("attest", id).Expect(21).Error, StringComparison.Ordinal);
        cli.Run("attest", "--full", id).Expect(0);
        // A restore of what is lost is no matter of who runs it.
        using var other = Sample();
        Spoil(LargestPack(other), "missing");
        var restore = other.Run("restore", "latest", other["r"]).Expect(55).Error;
        Assert.Contains("`holdfast status` does not count it.", restore.Replace(Path.Combine(Cli.Root, "holdfast"), "holdfast", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain("run as root", restore, StringComparison.Ordinal);
    }

    [Fact]
    public void Attest_takes_what_was_attested_longer_ago_than_it_is_told()
    {
        using var cli = Sample();
        Assert.Contains("attested already", cli.Run("attest").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("attested already", cli.Run("attest", "--older-than", "1h").Expect(0).Out, StringComparison.Ordinal);
        Thread.Sleep(TimeSpan.FromSeconds(3)); // vault time has whole seconds
        Assert.Equal(2, Json(cli.Run("attest", "--older-than", "1s", "--json").Expect(0)).GetProperty("attestations").GetArrayLength());
        cli.Run("attest", "--older-than", "soon").Expect(2);
        cli.Run("attest", "latest", "--older-than", "1s").Expect(2);
    }

    [Fact]
    public void Verify_says_how_much_it_read_and_what_its_key_opened()
    {
        using var cli = Sample();
        foreach (var sample in new[] { "0", "-5", "101", "NaN", "Infinity" })
            cli.Run("verify", $"--sample={sample}").Expect(2);
        var part = Json(cli.Run("verify", "--sample", "1", "--json").Expect(0));
        Assert.Equal(1, part.GetProperty("packs").GetInt32());
        Assert.Matches(@"Read 1 of \d+ packs \(\d+(\.\d)? %\)", cli.Run("verify", "--sample", "1").Expect(0).Out);
        Assert.Contains("Intact: all bytes read open", cli.Run("verify", "--full").Expect(0).Out, StringComparison.Ordinal);

        cli.Run("key", "scope", "--class", "tree", "--out", cli["tree.key"]).Expect(0);
        var scoped = cli.Run("verify", "--full", "--scoped-key", cli["tree.key"]).Expect(0).Out;
        Assert.Contains("Intact in part", scoped, StringComparison.Ordinal);
        Assert.DoesNotContain("all bytes read open", scoped, StringComparison.Ordinal);
        var last = Json(cli.Run("log", "entries", "--json")).GetProperty("entries").EnumerateArray().Last(e => e.GetProperty("type").GetString() == "Verify");
        Assert.Equal(3, last.GetProperty("a").GetInt32());
    }

    [Fact]
    public void What_was_shown_of_a_snapshot_stands_side_by_side()
    {
        using var cli = Sample();
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Run("attest", "latest").Expect(0); // a sample hides no earlier look at everything
        Assert.Contains($"intact, all; restored {DateTimeOffset.UtcNow:yyyy-MM-dd}", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Status_shows_a_vault_whatever_key_folder_the_environment_names()
    {
        using var cli = Sample();
        var pack = LargestPack(cli);
        cli.Run("init", cli["other"], "--keys", cli["other-keys"], "--lock", "1d").Expect(0);
        cli.Environment["HOLDFAST_KEYS"] = cli["other-keys"];
        var seen = File.ReadAllText(cli["other-keys/checkpoint"]);
        var status = cli.Run("status").Expect(0);
        Assert.Contains("HOLDFAST_KEYS names the key folder of another vault", status.Error, StringComparison.Ordinal);
        Assert.Contains("Snapshots    2", status.Out, StringComparison.Ordinal);
        Assert.Equal(seen, File.ReadAllText(cli["other-keys/checkpoint"])); // another would keep those keys from their own vault
        Assert.True(Json(cli.Run("status", "--json").Expect(0)).TryGetProperty("warning", out _));
        cli.Run("status", "--keys", cli["other-keys"]).Expect(13);
        // What says that the log is sound must not end well where it was not compared.
        var leaves = Json(cli.Run("status", "--json")).GetProperty("logSize").GetInt64();
        Assert.Contains("What was read is sound; but HOLDFAST_KEYS names the key folder of another vault", cli.Run("verify").Expect(13).Error, StringComparison.Ordinal);
        Assert.Equal("WrongVault", Json(cli.Run("verify", "--json").Expect(13)).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(leaves, Json(cli.Run("status", "--json")).GetProperty("logSize").GetInt64());
        cli.Environment["HOLDFAST_KEYS"] = "";
        cli.Run("verify").Expect(0);
        cli.Environment["HOLDFAST_KEYS"] = cli["other-keys"];
        File.Delete(pack);
        cli.Run("verify").Expect(20);
    }

    [Fact]
    public void What_several_problems_want_done_is_said_once()
    {
        using var cli = Sample();
        var objects = Json(cli.Run("log", "entries", "--json")).GetProperty("entries").EnumerateArray().Where(e => e.GetProperty("type").GetString() == "Commit")
            .Select(e => e.GetProperty("payload").GetString()!).Select(n => cli[$"vault/objects/{n[..2]}/{n}"]).ToList();
        File.Delete(objects[0]);
        Spoil(objects[1], "flipped");
        var status = cli.Run("status").Out;
        Assert.Contains("MISSING", status, StringComparison.Ordinal);
        Assert.Contains("DAMAGED", status, StringComparison.Ordinal);
        Assert.Equal(2, status.Split("Bring the files (objects/XX/NAME").Length);
    }

    [Fact]
    public void Status_says_what_would_stop_the_next_backup()
    {
        using var cli = Sample();
        File.Move(cli["vault/keeper/log.key"], cli["log.key"]);
        var status = cli.Run("status").Expect(17);
        Assert.Contains("THE NEXT BACKUP WOULD FAIL", status.Out, StringComparison.Ordinal);
        var problem = Assert.Single(Json(cli.Run("status", "--json").Expect(17)).GetProperty("problems").EnumerateArray());
        Assert.Equal("KeyFileBad", problem.GetProperty("code").GetString());
        cli.Run("backup", cli["source"], "--name", "ward").Expect(17);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        File.Move(cli["log.key"], cli["vault/keeper/log.key"]);
        cli.Run("status").Expect(0);
    }

    [Fact]
    public void Status_sums_up_the_days_that_it_does_not_list()
    {
        using var cli = Sample();
        for (var i = 1; i <= 7; i++)
        {
            cli.Write("extra.bin", Cli.Noise(100 + i, 50_000));
            cli.Run("backup", cli["source"], "--name", $"s{i}").Expect(0);
            cli.Run("lock", "latest", "--name", $"s{i}", "--until", DateTimeOffset.UtcNow.AddDays(4 + 2 * i).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)).Expect(0);
        }
        var days = Json(cli.Run("status", "--json").Expect(0)).GetProperty("freedByDay").EnumerateArray().ToList();
        Assert.True(days.Count > 6);
        var text = cli.Run("status").Expect(0).Out;
        Assert.Contains($"and on {days.Count - 5} more days: ", text, StringComparison.Ordinal);
        Assert.Contains($"the last of it from {days[^1].GetProperty("day").GetString()}", text, StringComparison.Ordinal);
        Assert.Contains("holdfast recovery-kit --out kit.pdf", text, StringComparison.Ordinal);
    }

    [Fact]
    public void No_backup_builds_on_a_pack_that_was_cut_short()
    {
        using var cli = Sample();
        using (var pack = File.OpenWrite(LargestPack(cli)))
            pack.SetLength(65_536);
        cli.Run("status").Expect(21);
        cli.Shell("touch source/*; find source -type f -exec touch {} +");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(12)] // of the vault's id
    [InlineData(200)] // of the signature
    public void A_checkpoint_that_cannot_be_read_is_not_taken_for_none(int flipped)
    {
        using var cli = Sample();
        var bytes = flipped < 0 ? [] : File.ReadAllBytes(cli["keys/checkpoint"]);
        if (flipped >= 0)
            bytes[flipped] ^= 1;
        File.WriteAllBytes(cli["keys/checkpoint"], bytes);
        Assert.Contains("log accept", cli.Run("snapshots").Expect(17).Error, StringComparison.Ordinal);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(17);
        Assert.Contains("cannot be told", cli.Run("log", "accept").Expect(36).Error, StringComparison.Ordinal); // which log it is, a person decides
        Assert.Equal(bytes, File.ReadAllBytes(cli["keys/checkpoint"]));
        cli.Shell("mkdir reading; cp keys/opening.* reading/");
        cli.Run("restore", "latest", cli["r"], "--keys", cli["reading"]).Expect(0); // as it says
        var id = File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("id ", StringComparison.Ordinal))[3..11];
        Assert.Equal(bytes, File.ReadAllBytes(Json(cli.Run("log", "accept", "--confirm", id, "--json").Expect(0)).GetProperty("earlierCheckpoint").GetString()!));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
    }

    /// <summary>Whoever puts the vault back takes it away too.</summary>
    [Fact]
    public void Keys_that_lost_their_checkpoint_accept_nothing_unasked()
    {
        using var cli = Sample();
        cli.Shell("cp -a vault older");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("rm -r vault; mv older vault; rm keys/checkpoint");
        Assert.Contains("damaged or gone", cli.Run("log", "accept").Expect(36).Error, StringComparison.Ordinal);
        Assert.False(File.Exists(cli["keys/checkpoint"]));
    }

    [Fact]
    public void A_pipe_in_the_cache_hangs_nobody()
    {
        using var cli = Sample();
        cli.Shell("rm -f vault/cache/index/*/run-*; for d in vault/cache/index/*; do mkfifo $d/run-00; done; rm -f vault/keeper/reads; mkfifo vault/keeper/reads");
        Result AtOnce(params string[] call) => Cli.Finish(cli.StartProgram("timeout", null, ["--signal=KILL", "60", Path.Combine(Cli.Root, "holdfast"), .. call])).Expect(0);
        Assert.Contains("notes", AtOnce("ls", "latest").Out, StringComparison.Ordinal);
        Assert.Contains("NEVER READ BACK", AtOnce("status").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_restore_found_damaged_status_shows()
    {
        using var cli = Sample();
        var pack = LargestPack(cli);
        var bytes = File.ReadAllBytes(pack);
        for (var at = 4_096; at < bytes.Length - 300_000; at += 50_000)
            bytes[at] ^= 1;
        File.WriteAllBytes(pack, bytes);
        cli.Run("status").Expect(0);
        Assert.StartsWith("NOT COMPLETE", cli.Run("restore", "latest", cli["r"]).Expect(55).Out, StringComparison.Ordinal);
        Assert.Contains(Path.GetFileName(pack), cli.Run("status").Expect(21).Out, StringComparison.Ordinal);
    }

    /// <summary>Each command that adds to the log leaves the keys with what it came to, so that they have the checkpoint where the vault's own is spoilt; an older one is not to take its place.</summary>
    [Fact]
    public void The_keys_have_the_checkpoint_of_the_last_command_and_an_older_one_is_told_apart()
    {
        using var cli = Sample();
        string Own() => File.ReadAllText(cli["vault/log/checkpoint"]);
        string Kept() => File.ReadAllText(cli["keys/checkpoint"]);
        cli.Shell("cp -a keys older");
        foreach (var command in (string[][])[["verify", "--full"], ["attest", "--full", "latest"], ["restore", "latest", cli["r"]], ["lock", "latest", "--until", DateTime.UtcNow.AddDays(20).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)], ["policy", "set", "--lock", "2d"]])
        {
            var before = Own();
            cli.Run(command).Expect(0);
            Assert.NotEqual(before, Own());
            Assert.Equal(Own(), Kept());
        }
        var bytes = File.ReadAllBytes(cli["vault/log/checkpoint"]);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(cli["vault/log/checkpoint"], bytes);
        Assert.Contains("Leave `log/checkpoint` as it is", cli.Run("status", "--keys", cli["older"]).Expect(41).Out.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("Copy the file `checkpoint` of the key folder", cli.Run("status").Expect(41).Out.ReplaceLineEndings(" "), StringComparison.Ordinal);
        cli.Shell("cp keys/checkpoint vault/log/checkpoint");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
    }

    [Fact]
    public void Status_forecasts_nothing_from_a_few_days_and_shows_what_is_kept_free()
    {
        using var cli = Sample();
        var status = cli.Run("status").Expect(0).Out;
        Assert.Contains("no forecast yet: that takes 7 days of backups", status, StringComparison.Ordinal);
        Assert.Contains("64 MiB more are kept free, so that locks can be extended on a full disk: intact", status, StringComparison.Ordinal);
        using (var reserve = File.OpenWrite(cli["vault/keeper/reserve"]))
            reserve.SetLength(0);
        Assert.Contains("NOT INTACT", cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
        Assert.False(Json(cli.Run("status", "--json").Expect(0)).GetProperty("reserve").GetProperty("intact").GetBoolean());
        cli.Run("attest", "latest").Expect(0); // any change makes it whole
        Assert.True(Json(cli.Run("status", "--json").Expect(0)).GetProperty("reserve").GetProperty("intact").GetBoolean());
    }
}
