using Holdfast.Cli.Commands;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What may be said of a snapshot, and what takes a word back.</summary>
public sealed class ProofTests
{
    const ulong Day = RetentionPolicy.Day;

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static string PathOf(Vault vault, Hash32 pack) => vault.Keeper.FolderStore!.Find(StoreKind.Pack, pack, 0)!;

    static Hash32 PackOf(BackupResult result, KeyClass keyClass) => result.Archive.Written.First(w => w.Class == keyClass).Name;

    static AttestationObject Attest(TestVault test, bool full, string which = "latest")
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        return vault.Attest(vault.Find(which), keys, full, Id16.None, Ct);
    }

    static SnapshotRecord Latest(TestVault test)
    {
        using var vault = test.Open();
        return vault.Find("latest");
    }

    static void Flip(string path)
    {
        var bytes = File.ReadAllBytes(path);
        for (var i = 1_300; i < bytes.Length - 1_000; i += 500)
            bytes[i] ^= 1;
        File.Delete(path);
        File.WriteAllBytes(path, bytes);
    }

    [Fact]
    public void A_sample_names_every_pack_that_is_gone_and_does_not_blame_the_writer()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var pack = PackOf(test.BackUp(), KeyClass.Content);
        using (var vault = test.Open())
            File.Delete(PathOf(vault, pack));
        var found = Attest(test, full: false);
        Assert.Equal([(AttestationDefect.PackMissing, pack)], found.Defects);
        Assert.True(found.RootMatches);
        Assert.False(found.PackSetMatches);
    }

    [Fact]
    public void A_damaged_tree_is_told_as_damage_not_as_a_forged_root()
    {
        using var test = new TestVault();
        test.WriteSome();
        var pack = PackOf(test.BackUp(), KeyClass.Tree);
        using (var vault = test.Open())
            Flip(PathOf(vault, pack));
        var found = Attest(test, full: false);
        Assert.Equal([(AttestationDefect.PackDamaged, pack)], found.Defects);
        Assert.False(found.RootMatches);
        using var later = test.Open();
        Assert.True(later.LastReads().Damaged.ContainsKey(pack));
    }

    [Fact]
    public void A_pack_set_that_cannot_be_told_accuses_nobody()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.Write("more", "x");
        test.BackUp();
        Hash32 first;
        using (var vault = test.Open())
            first = vault.State.Snapshots[0].Name;
        var path = Path.Combine(test.Folder, "objects", first.ToString()[..2], first.ToString());
        File.Move(path, test["kept"]);
        var found = Attest(test, full: true);
        Assert.Equal([(AttestationDefect.ObjectMissing, first)], found.Defects);
        Assert.True(found is { RootMatches: true, SampleMatches: true, PackSetMatches: false });
        File.Move(test["kept"], path);
        Assert.True(Attest(test, full: true).IsGood);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_was_stored_anew_after_a_damage_accuses_nobody(bool missing)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 600_000));
        var first = test.BackUp();
        var pack = PackOf(first, KeyClass.Content);
        using (var vault = test.Open())
        {
            File.Copy(PathOf(vault, pack), test["kept"]);
            if (missing)
                File.Delete(PathOf(vault, pack));
            else
                Flip(PathOf(vault, pack));
        }
        test.Verify(full: false);
        test.Write("g", "y");
        test.BackUp(useState: false); // heals it: the data lies in another pack too
        TestVault.AssertSame(test.Source, test.Restore());
        var old = first.Snapshot.ToString();
        var found = Attest(test, full: true, old);
        Assert.Equal([(missing ? AttestationDefect.PackMissing : AttestationDefect.PackDamaged, pack)], found.Defects);
        Assert.True(found is { RootMatches: true, SampleMatches: true });
        Assert.NotEmpty(Directory.EnumerateFiles(test.Restore(old)));
        using (var vault = test.Open())
        {
            var path = Path.Combine(test.Folder, "packs", pack.ToString()[..2], pack.ToString());
            File.Delete(path);
            File.Copy(test["kept"], path);
        }
        Assert.True(Attest(test, full: true, old).IsGood); // it lies in two places, and the first found is not its own
    }

    /// <summary>What it had lost is back and was read: another snapshot's loss says nothing of it.</summary>
    [Fact]
    public void A_healed_snapshot_that_has_its_own_again_is_not_called_defective_for_what_others_lose()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 600_000));
        var (old, pack) = test.BackUp() is var result ? (result.Snapshot.ToString(), PackOf(result, KeyClass.Content)) : default;
        using (var vault = test.Open())
            File.Move(PathOf(vault, pack), test["kept"]);
        test.Verify(full: false);
        var anew = PackOf(test.BackUp(useState: false), KeyClass.Content);
        Assert.True(Attest(test, full: true, old).IsHealed);
        using (var vault = test.Open())
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(test.Folder, "packs", pack.ToString()[..2], pack.ToString()))!);
            File.Copy(test["kept"], Path.Combine(test.Folder, "packs", pack.ToString()[..2], pack.ToString()));
            File.Delete(PathOf(vault, anew));
        }
        Assert.Contains(HealthOf(test).Problems, p => p.Code == ErrorCode.SnapshotDefective); // nobody has read it since
        test.Verify(full: false);
        Assert.DoesNotContain(HealthOf(test).Problems, p => p.Code == ErrorCode.SnapshotDefective);
    }

    [Theory]
    [InlineData("missing", "loss")]
    [InlineData("damaged", "loss")]
    [InlineData("damaged", "expiry")]
    public void What_was_read_from_other_packs_is_healed_until_more_is_lost_or_expires(string first, string then)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 600_000));
        var (old, pack) = test.BackUp() is var result ? (result.Snapshot.ToString(), PackOf(result, KeyClass.Content)) : default;
        using (var vault = test.Open())
        {
            if (first == "missing")
                File.Delete(PathOf(vault, pack));
            else
                Flip(PathOf(vault, pack));
        }
        test.Verify(full: false);
        var anew = PackOf(test.BackUp(useState: false), KeyClass.Content);
        Assert.Single(Health().Problems);
        Assert.True(Attest(test, full: true, old).IsHealed);
        var healed = Health();
        Assert.Empty(healed.Problems);
        Assert.Equal((old, pack), (Assert.Single(healed.Healed).Snapshot.ToString(), Assert.Single(healed.MadeGood)));
        using (var vault = test.Open())
        {
            if (then == "loss")
                File.Delete(PathOf(vault, anew));
            else
                vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Now, 0, 0, new ExpiryList(vault.Id, Hash32.None, []).ToArray());
        }
        Assert.Empty(Health().Healed);
        Assert.Contains(Health().Problems, p => p.Code == ErrorCode.SnapshotDefective);
        Assert.Equal(then == "expiry", Attest(test, full: true, old).IsHealed);
        Assert.Equal(then == "expiry", Health().Problems.Count == 0);

        VaultHealth Health()
        {
            using var vault = test.Open();
            return vault.Health();
        }
    }

    static VaultHealth HealthOf(TestVault test)
    {
        using var vault = test.Open();
        return vault.Health();
    }

    static void Extend(TestVault test, string snapshot, uint days)
    {
        using var vault = test.Open();
        vault.Keeper.Extend(vault.Find(snapshot).Snapshot, vault.Keeper.Clock.Now + days * Day, Id16.None);
    }

    static (string Snapshot, Hash32 Pack) BackUpAndLose(TestVault test)
    {
        test.Write("f", TestVault.Noise(1, 600_000));
        var result = test.BackUp();
        var pack = PackOf(result, KeyClass.Content);
        using (var vault = test.Open())
            File.Delete(PathOf(vault, pack));
        test.Verify(full: false);
        return (result.Snapshot.ToString(), pack);
    }

    [Fact]
    public void What_no_commit_names_heals_nothing()
    {
        using var test = new TestVault();
        var (old, pack) = BackUpAndLose(test);
        Copy(Path.Combine(test.Folder, "log"), test["log"]);
        var anew = PackOf(test.BackUp(useState: false), KeyClass.Content);
        Directory.Delete(Path.Combine(test.Folder, "log"), recursive: true); // it was killed before its commit
        Copy(test["log"], Path.Combine(test.Folder, "log"));
        var found = Attest(test, full: true, old);
        Assert.True(found is { IsHealed: false, RootMatches: true, SampleMatches: true });
        Assert.Contains((AttestationDefect.PackMissing, pack), found.Defects);
        Assert.Empty(HealthOf(test).Healed);
        Assert.NotEmpty(HealthOf(test).Problems);

        test.BackUp(useState: false); // takes what lies there into its set
        Assert.True(Attest(test, full: true, old).IsHealed);
        Assert.Empty(HealthOf(test).Problems);
        using (var vault = test.Open())
            File.Delete(PathOf(vault, anew));
        Assert.Empty(HealthOf(test).Healed);
        Assert.NotEmpty(HealthOf(test).Problems);
    }

    [Fact]
    public void What_is_locked_for_less_long_heals_nothing()
    {
        using var test = new TestVault();
        var (old, _) = BackUpAndLose(test);
        Extend(test, old, 140);
        test.BackUp(useState: false);
        Assert.True(Attest(test, full: true, old) is { IsHealed: false, RootMatches: true, SampleMatches: true });
        Assert.NotEmpty(HealthOf(test).Problems);

        Extend(test, "latest", 140);
        Assert.True(Attest(test, full: true, old).IsHealed);
        Assert.Empty(HealthOf(test).Problems);
    }

    [Fact]
    public void A_healed_snapshot_that_is_locked_longer_than_what_healed_it_is_healed_no_more()
    {
        using var test = new TestVault();
        var (old, _) = BackUpAndLose(test);
        test.BackUp(useState: false);
        Assert.True(Attest(test, full: true, old).IsHealed);
        test.Write("g", "y");
        test.BackUp();
        Assert.Single(HealthOf(test).Healed);
        Extend(test, old, 140);
        Assert.Empty(HealthOf(test).Healed);
        Assert.NotEmpty(HealthOf(test).Problems);
        Extend(test, "latest", 150); // committed after the look at it: says nothing of what was read then
        Assert.Empty(HealthOf(test).Healed);
        Extend(test, "latest~1", 140);
        Assert.Single(HealthOf(test).Healed);
    }

    [Fact]
    public void What_was_lost_and_came_back_heals_once_it_was_attested()
    {
        using var test = new TestVault();
        var (old, _) = BackUpAndLose(test);
        var anew = PackOf(test.BackUp(useState: false), KeyClass.Content);
        string path;
        using (var vault = test.Open())
            path = PathOf(vault, anew);
        File.Move(path, test["kept"]);
        Assert.False(Attest(test, full: true).IsGood);
        File.Move(test["kept"], path);
        Assert.False(Attest(test, full: true, old).IsHealed); // its next loss would not be told from that one
        Assert.True(Attest(test, full: true).IsGood);
        Assert.True(Attest(test, full: true, old).IsHealed);
        File.Delete(path);
        Assert.Empty(HealthOf(test).Healed);
    }

    [Fact]
    public void What_a_damaged_pack_alone_still_gives_is_not_healed()
    {
        using var test = new TestVault();
        test.Write("a", TestVault.Noise(1, 3_000_000));
        test.Write("b", TestVault.Noise(2, 3_000_000));
        string old, path;
        using (var vault = test.Open())
        {
            var result = test.BackUp(vault, new ArchiveOptions { Threads = 1 });
            (old, path) = (result.Snapshot.ToString(), PathOf(vault, PackOf(result, KeyClass.Content)));
        }
        var bytes = File.ReadAllBytes(path);
        bytes[20_000] ^= 1; // in the one file; the other still reads right
        File.Delete(path);
        File.WriteAllBytes(path, bytes);
        File.Delete(Path.Combine(test.Source, "b"));
        test.Verify(full: false);
        test.BackUp(useState: false);
        test.Restore(old); // nothing failed
        var found = Attest(test, full: true, old);
        Assert.False(found.IsHealed);
        Assert.Contains((AttestationDefect.PackMissing, Hash32.None), found.Defects);
        test.Write("b", TestVault.Noise(2, 3_000_000));
        test.BackUp(useState: false);
        Assert.True(Attest(test, full: true, old).IsHealed);
    }

    [Theory]
    [InlineData("subject")]
    [InlineData("parent")]
    [InlineData("count")]
    public void What_a_restore_refuses_is_not_attested(string what)
    {
        using var test = new TestVault();
        test.WriteSome();
        Copy(Path.Combine(test.Folder, "log"), test["log"]);
        test.BackUp();
        Holdfast.Core.Snapshots.SnapshotObject snapshot;
        using (var vault = test.Open())
            snapshot = vault.State.Whole(vault.State.Snapshots[0])!;
        Directory.Delete(Path.Combine(test.Folder, "log"), recursive: true); // the keeper never saw it
        Copy(test["log"], Path.Combine(test.Folder, "log"));
        using (var vault = test.Open())
        {
            if (what == "parent")
                snapshot = snapshot with { Parent = new Hash32(TestVault.Noise(2, 32)) };
            vault.Keeper.Record(LeafType.Commit, what == "subject" ? Id16.New() : snapshot.Snapshot, snapshot.Agent, vault.Keeper.Clock.Now + 30 * Day, 0,
                (ulong)snapshot.Packs.Count + (what == "count" ? 1u : 0), snapshot.ToArray());
        }
        Assert.Equal(ErrorCode.SnapshotRefused, Assert.Throws<HoldfastException>(() => test.Restore()).Code);
        var found = Attest(test, full: true);
        Assert.Equal([(AttestationDefect.RecordWrong, Latest(test).Name)], found.Defects);
        Assert.Equal(1u, Latest(test).Defects);
    }

    static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    /// <summary>Makes the index anew, as who has the index key can: the chunks of each pack stand under the name of the other.</summary>
    /// <param name="rightToo">Each place that is right is there as well.</param>
    static void Swap(TestVault test, Hash32 one, Hash32 other, bool rightToo)
    {
        using var vault = test.Open();
        var domain = test.Keys.Put.Domain;
        vault.ForgetIndex();
        using var index = ChunkIndex.Open(Path.Combine(test.Folder, "cache", "index", domain.Domain.ToString()), vault.Id, domain);
        index.Add([(new(one, KeyClass.Content, Id16.None), Forged(one, other)), (new(other, KeyClass.Content, Id16.None), Forged(other, one))]);

        Hash32[] Forged(Hash32 right, Hash32 wrong) => rightToo ? [.. Ids(right), .. Ids(wrong)] : Ids(wrong);

        Hash32[] Ids(Hash32 name)
        {
            using var pack = PackReader.OpenFooter(vault.Keeper.Store, name, vault.Id, domain);
            return pack.Footer.Ids;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_index_that_names_a_chunk_in_the_wrong_pack_accuses_no_pack_and_is_mended_by_a_rebuild(bool rightToo)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var one = PackOf(test.BackUp(), KeyClass.Content);
        test.Write("g", TestVault.Noise(2, 60_000));
        var other = PackOf(test.BackUp(), KeyClass.Content);
        Swap(test, one, other, rightToo);
        if (rightToo)
        {
            TestVault.AssertSame(test.Source, test.Restore()); // found elsewhere
            Assert.True(Attest(test, full: true).IsGood);
            return;
        }
        var found = Attest(test, full: true);
        Assert.Equal([(AttestationDefect.PackMissing, Hash32.None)], found.Defects);
        Assert.True(found is { RootMatches: true, SampleMatches: false });
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            Assert.Empty(vault.LastReads().Damaged);
            using var output = new MemoryStream();
            Assert.Equal(ErrorCode.ChunkMissing, Assert.Throws<HoldfastException>(() => vault.Cat(vault.Find("latest"), keys, "f"u8.ToArray(), output, Ct)).Code);
            vault.ForgetIndex(); // verify --rebuild-index
        }
        Assert.True(Attest(test, full: true).IsGood);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void Content_that_was_written_wrong_is_told_apart_from_damage_and_has_a_writer()
    {
        using var test = new TestVault();
        HostileTreeTests.Plant(test, rows => rows.Digest[HostileTreeTests.File(rows, "f"u8, 1)] = HostileTreeTests.OneDigest, null, [43], []);
        var found = Attest(test, full: false);
        var (_, pack) = Assert.Single(found.Defects, d => d.Kind == AttestationDefect.ContentWrong);
        Assert.DoesNotContain(found.Defects, d => d.Kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged);
        Assert.False(found.SampleMatches);
        using var vault = test.Open();
        Assert.Equal((test.Keys.Put.Writer, 1u), vault.WriterOf(pack));
        Assert.True(vault.LastReads().Damaged[pack].IsContent);
    }

    [Fact]
    public void Only_a_look_at_everything_clears_defects()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Attest(test, full: true);
        Assert.True(Latest(test).IsFullyAttested);
        using (var vault = test.Open())
            vault.Keeper.Record(LeafType.Attestation, vault.Find("latest").Snapshot, Id16.None, 1, 10, 2);
        Assert.Equal((2u, 0u, false), (Latest(test).Defects, Latest(test).Attested, Latest(test).IsFullyAttested));
        Attest(test, full: false);
        Assert.Equal((2u, 0u), (Latest(test).Defects, Latest(test).Attested)); // a sample may miss what another hit
        Attest(test, full: true);
        Assert.Equal((0u, true), (Latest(test).Defects, Latest(test).IsFullyAttested));
        var full = Latest(test).FullyAttested;
        test.Machine.Pass(Day);
        Attest(test, full: false);
        Assert.Equal(full, Latest(test).FullyAttested); // a weaker fact hides no stronger one
        Assert.True(Latest(test).Attested > full);
    }

    [Fact]
    public void What_an_agent_signed_before_it_was_revoked_is_still_as_signed()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
            vault.Keeper.Record(LeafType.AgentEnrolled, test.Keys.Agent.Agent, Id16.None, 2, 0, 0);
        Assert.Throws<HoldfastException>(() => test.BackUp(useState: false));
        Assert.True(Attest(test, full: true).IsGood);
    }

    [Fact]
    public void A_look_at_everything_counts_as_read_and_a_sample_does_not()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.Write("large.bin", TestVault.Noise(5, 30_000_000));
        var result = test.BackUp();
        Attest(test, full: false);
        using (var vault = test.Open())
            Assert.DoesNotContain(PackOf(result, KeyClass.Content), vault.LastReads().Times.Keys);
        Attest(test, full: true);
        using var later = test.Open();
        Assert.Superset(result.Archive.Written.Select(w => w.Name).ToHashSet(), later.LastReads().Times.Keys.ToHashSet());
    }

    [Fact]
    public void A_pack_is_missed_until_expiry_may_take_it_and_not_after()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var pack = PackOf(test.BackUp(), KeyClass.Content);
        test.Write("f", TestVault.Noise(2, 60_000));
        test.Machine.Pass(Day);
        test.BackUp();
        using (var vault = test.Open())
        {
            Assert.Empty(vault.Health().Problems);
            File.Delete(PathOf(vault, pack));
            var problem = Assert.Single(vault.Health().Problems);
            Assert.Equal(ErrorCode.PackMissing, problem.Code);
            Assert.Equal([pack], problem.Names);
            Assert.Equal(vault.State.Snapshots[..1], problem.Snapshots); // the second does not need it
            Assert.Contains(test.Verify(full: false).Defects, d => d.Kind == DefectKind.Missing && d.Name == pack);
        }
        test.Machine.Pass(60 * Day);
        using (var vault = test.Open())
            Assert.Empty(vault.Health().Problems);
        Assert.True(test.Verify(full: false).IsSound);
    }

    [Fact]
    public void What_expiry_gave_up_is_not_missed()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        test.BackUp();
        test.Machine.Pass(60 * Day);
        test.Write("f", TestVault.Noise(2, 60_000));
        test.BackUp();
        using var vault = test.Open();
        Assert.NotEmpty(vault.Keeper.Expire(dryRun: false).Names);
        Assert.Empty(vault.Health().Problems);
    }

    [Fact]
    public void A_keyring_that_is_gone_hits_every_snapshot()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        test.Lose(vault.State.Keyring);
        var problem = Assert.Single(vault.Health().Problems);
        Assert.Equal((ErrorCode.ObjectMissing, vault.State.Keyring), (problem.Code, Assert.Single(problem.Names)));
        Assert.Equal(vault.State.Snapshots, problem.Snapshots);
    }

    [Fact]
    public async Task A_verify_that_is_interrupted_keeps_what_it_found()
    {
        using var test = new TestVault();
        test.Write("large", TestVault.Noise(1, 60_000_000));
        test.BackUp();
        test.Write("small", TestVault.Noise(2, 60_000));
        var small = test.BackUp().Archive.Written.Select(w => w.Name).Min();
        using var vault = test.Open();
        Flip(PathOf(vault, small));
        using var stop = new CancellationTokenSource();
        var progress = new VerifyProgress();
        var stopper = Task.Run(() =>
        {
            SpinWait.SpinUntil(() => progress.Bytes > 0);
            stop.Cancel();
        }, Ct);
        try
        {
            vault.Verify(null, name => name.CompareTo(small) >= 0, progress, 1, stop.Token); // in order of names: the damaged one first
        }
        catch (OperationCanceledException)
        {
            // As a person would have it; where the machine was quicker, the verify came to its end.
        }
        await stopper;
        Assert.True(vault.LastReads().Damaged.ContainsKey(small));
    }

    [Fact]
    public void A_further_copy_without_a_first_one_is_read_like_any()
    {
        using var test = new TestVault();
        test.WriteSome();
        var pack = PackOf(test.BackUp(), KeyClass.Content);
        using var vault = test.Open();
        var path = PathOf(vault, pack);
        File.Move(path, path + ".1");
        Assert.True(test.Verify(full: true).IsSound);
        Assert.Contains(pack, vault.LastReads().Times.Keys);
        Flip(path + ".1");
        Assert.Equal((DefectKind.Damaged, pack), test.Verify(full: true).Defects.Select(d => (d.Kind, d.Name)).Single());
    }

    [Fact]
    public void Packs_added_up_from_differences_are_those_of_the_whole_sets()
    {
        using var test = new TestVault();
        var random = new Random(5);
        for (var round = 0; round < 73; round++) // a set is told whole every 64
        {
            test.Write($"f{random.Next(4)}", TestVault.Noise(round, 40_000));
            if (round % 9 == 8)
                File.Delete(Path.Combine(test.Source, $"f{random.Next(4)}"));
            test.Machine.Pass(Day / 2);
            test.BackUp(name: round % 12 == 5 ? "other" : "source");
        }
        using (var vault = test.Open())
            vault.Keeper.Extend(vault.State.Snapshots[20].Snapshot, vault.Keeper.Clock.Now + 200 * Day, Id16.None);
        test.Machine.Pass(40 * Day);
        using (var vault = test.Open())
            vault.Keeper.Expire(dryRun: false);
        using var opened = test.Open();
        Assert.Contains(opened.State.Snapshots, s => s.IsRemoved);
        Assert.Empty(opened.State.Refused);
        Assert.Contains(opened.State.Snapshots, s => s.Object is { Packs.IsWhole: true, Parent.IsNone: false });
        var named = opened.State.NamedPacks();
        Assert.Empty(named.Untold);
        Assert.Equal(opened.State.PackLocks().OrderBy(p => p.Key), named.Packs.Select(p => KeyValuePair.Create(p.Key, p.Value.LockEnd)).OrderBy(p => p.Key));
        var needed = opened.State.Snapshots.Where(s => !s.IsRemoved).SelectMany(s => opened.State.PacksOf(s)!.ToList()).ToHashSet();
        Assert.Equal(needed.OrderBy(p => p.Name), named.Packs.Where(p => p.Value.IsNeeded).Select(p => new PackRef(p.Key, p.Value.Size)).OrderBy(p => p.Name));
    }

    [Fact]
    public void Space_is_forecast_from_a_week_of_backups_on()
    {
        using var test = new TestVault(new RetentionPolicy(300 * Day, 0, 0, 0, 0, 0));
        for (var day = 0; day < 9; day++)
        {
            test.Write("f", TestVault.Noise(day, 200_000));
            test.BackUp();
            test.Machine.Pass(Day);
            using var vault = test.Open();
            var forecast = SpaceForecast.Of(vault.State.Snapshots, vault.Keeper.Clock.Now, 2_000_000, []);
            Assert.Equal(day + 1, forecast.Days);
            Assert.Equal(day + 1 >= SpaceForecast.MinDays, forecast.FullOn is not null);
        }
    }
}
