using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>Commits that a sound keeper would have refused, as who has the log's key can write them: no reader takes them (docs/format.md, section 11.6).</summary>
public sealed class ForgedSnapshotTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static TestVault Sample(ulong lockedQuota = 0)
    {
        var test = new TestVault(new RetentionPolicy(30 * TestVault.Day, 0, 0, 0, 0, lockedQuota));
        test.Write("f", "bed 3");
        test.Write("d/g", "bed 4");
        test.BackUp();
        return test;
    }

    static SnapshotObject Signed(SnapshotObject snapshot, AgentKey agent) => snapshot with
    {
        Signatures = [new SnapshotSignature(SnapshotSignature.Agent, agent.Agent, SnapshotSignature.Ed25519, agent.Signer.Sign(snapshot.SignedBytes()))],
    };

    static SnapshotObject First(Vault vault) => vault.State.Whole(vault.State.Snapshots[0])!;

    /// <summary>Puts an object and its leaf into the vault past the keeper's eyes.</summary>
    static SnapshotRecord Commit(Vault vault, SnapshotObject snapshot, Id16? subject = null, Id16? actor = null)
    {
        vault.Keeper.Record(LeafType.Commit, subject ?? snapshot.Snapshot, actor ?? snapshot.Agent, vault.State.Snapshots[0].Expiry, 0, (ulong)snapshot.Packs.Count, snapshot.ToArray());
        // A second commit of one snapshot is none: what it would be is looked at all the same.
        return vault.State.Refused is [.., { Leaf: var leaf } second] && second.Ordinal + 1 == (ulong)vault.Keeper.Log.Size
            ? new SnapshotRecord { Ordinal = second.Ordinal, Snapshot = leaf.Subject, Name = leaf.Payload, Agent = leaf.Actor, Committed = leaf.VaultTime, Expiry = leaf.A, PackCount = leaf.C, Object = snapshot.Head, Signer = vault.State.Agent(leaf.Actor) }
            : vault.State.Snapshots[^1];
    }

    /// <summary>A lost file is no break-in: each says which object it is, the log gets no defect, and the keeper counts no refusal.</summary>
    [Fact]
    public void Where_the_enrolment_of_an_agent_is_lost_that_is_told_and_nobody_is_accused()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Hash32 name;
        using (var vault = test.Open())
            name = Enumerable.Range(0, (int)vault.Keeper.Log.Size).Select(i => Leaf.TryParse(vault.Keeper.Log.Leaf(i), out var leaf) && leaf.Type == LeafType.AgentEnrolled ? leaf.Payload : default).First(n => !n.IsNone);
        var path = Path.Combine(test.Folder, "objects", name.ToString()[..2], name.ToString());
        File.Move(path, test["away"]);
        test.Lose(name);
        using (var vault = test.Open())
        {
            using var keys = vault.Unlock(test.Seed);
            var size = vault.Keeper.Log.Size;
            Assert.Contains(name.ToString(), Assert.Throws<HoldfastException>(() => test.Restore()).Message, StringComparison.Ordinal);
            foreach (var fault in new[] { Assert.Throws<HoldfastException>(() => vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, Ct)), Assert.Throws<HoldfastException>(() => test.BackUp()) })
            {
                Assert.Equal(ErrorCode.ObjectMissing, fault.Code);
                Assert.Contains(name.ToString(), fault.Message, StringComparison.Ordinal);
            }
            vault.Keeper.Refresh();
            Assert.Equal(size, vault.Keeper.Log.Size);
        }
        File.Move(test["away"], path);
        test.BackUp();
        TestVault.AssertSame(test.Source, test.Restore());
        using var after = test.Open();
        using var opened = after.Unlock(test.Seed);
        Assert.True(after.Attest(after.State.Snapshots[0], opened, full: true, Id16.None, Ct).IsGood);
        Assert.Equal(0ul, after.State.Refusals);
    }

    static void Read(Vault vault, ReadingKeys keys, SnapshotRecord record, string how, string target)
    {
        if (how == "ls")
        {
            Assert.Equal(4, vault.Rows(record, keys, Ct).Sum(r => r.Count));
        }
        else if (how == "cat")
        {
            using var output = new MemoryStream();
            vault.Cat(record, keys, "f"u8.ToArray(), output, Ct);
            Assert.Equal("bed 3"u8.ToArray(), output.ToArray());
        }
        else
        {
            using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = ExistingFiles.KeepEqual });
            Assert.True(vault.Restore(record, keys, writer, new PathFilter(null), new RestoreProgress(), 2, Ct).IsWhole);
        }
    }

    static void AssertRefused(TestVault test, Func<Vault, SnapshotRecord> forge, bool isReadable = true)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var record = forge(vault);
        foreach (var how in new[] { "ls", "cat", "restore" })
        {
            vault.Unverified = null;
            Assert.Equal((how, ErrorCode.SnapshotRefused), (how, Assert.Throws<HoldfastException>(() => Read(vault, keys, record, how, test["r"])).Code));
            if (!isReadable)
                continue;
            var told = new List<string>();
            vault.Unverified = told.Add;
            Read(vault, keys, record, how, test["r"]);
            Assert.Single(told);
        }
    }

    [Fact]
    public void What_nobody_signed_is_refused()
    {
        using var test = Sample();
        AssertRefused(test, vault => Commit(vault, First(vault) with { Signatures = [] }));
    }

    [Fact]
    public void What_another_signed_in_the_agents_name_is_refused()
    {
        using var test = Sample();
        using var other = AgentKey.Create(test.Keys.Agent.Vault);
        AssertRefused(test, vault =>
        {
            var snapshot = First(vault);
            return Commit(vault, snapshot with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, snapshot.Agent, SnapshotSignature.Ed25519, other.Signer.Sign(snapshot.SignedBytes()))] });
        });
    }

    [Fact]
    public void What_an_agent_signed_that_was_never_enrolled_is_refused()
    {
        using var test = Sample();
        using var other = AgentKey.Create(test.Keys.Agent.Vault);
        AssertRefused(test, vault => Commit(vault, Signed(First(vault) with { Agent = other.Agent }, other)));
    }

    [Fact]
    public void A_signature_that_is_of_other_numbers_is_refused()
    {
        using var test = Sample();
        AssertRefused(test, vault => Commit(vault, First(vault) with { ClientTime = 42 }));
    }

    [Fact]
    public void A_tree_that_is_not_the_signed_one_is_refused()
    {
        using var test = Sample();
        AssertRefused(test, vault => Commit(vault, Signed(First(vault) with { ContentRoot = new Hash32(TestVault.Noise(1, 32)) }, test.Keys.Agent)));
    }

    /// <summary>Who has a put key and an agent's key may seal a tree to nobody, or store anything in its place: that is a defect of that snapshot, and the others are attested all the same.</summary>
    [Theory]
    [InlineData("key")]
    [InlineData("epoch")]
    [InlineData("ciphertext")]
    [InlineData("bytes")]
    [InlineData("none")]
    public void A_tree_section_that_nobody_opens_is_a_defect_of_its_snapshot(string wrong)
    {
        using var test = Sample();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var snapshot = First(vault);
        var tree = snapshot.Section(SnapshotSection.Tree)!;
        SnapshotSection[] made = wrong switch
        {
            "key" or "epoch" => [tree with { SealingKeyId = Id16.New() }],
            "ciphertext" => [tree with { Ciphertext = TestVault.Noise(1, tree.Ciphertext.Length) }],
            "bytes" => [tree with { Sealed = TestVault.Noise(1, tree.Sealed.Length) }],
            _ => [],
        };
        var forged = Commit(vault, test.Again(snapshot with { KeyEpoch = wrong == "epoch" ? 0 : snapshot.KeyEpoch, Sections = [.. made, .. snapshot.Sections.Where(s => s != tree)] }));
        var found = vault.State.Snapshots.ToList().ConvertAll(s => vault.Attest(s, keys, full: true, Id16.None, Ct));
        Assert.Equal([true, false], found.Select(f => f.IsGood));
        Assert.Contains((AttestationDefect.RootWrong, forged.Name), found[1].Defects);
    }

    /// <summary>What a newer key opens is nobody's fault.</summary>
    [Fact]
    public void A_tree_section_of_a_later_key_epoch_is_no_defect_for_an_older_key()
    {
        using var test = Sample();
        using var vault = test.Open();
        using var old = vault.Unlock(test.Seed);
        Holdfast.Core.Crypto.SecretBytes? seed = null;
        var (_, put) = vault.Rotate(old, test.Keys.Put, (s, _) => seed = new(s.Span));
        using var source = FileSource.Open(test.Source, new FileSourceOptions());
        vault.BackUp(source, new Holdfast.Core.Backup.BackupRequest("later"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test.State), put!, test.Keys.Agent, new Holdfast.Core.Backup.BackupProgress(), Ct);
        Assert.Equal(ErrorCode.KeyTooNarrow, Assert.Throws<HoldfastException>(() => vault.Attest(vault.Find("latest"), old, full: true, Id16.None, Ct)).Code);
        seed!.Dispose();
    }

    [Fact]
    public void A_leaf_that_names_another_snapshot_or_agent_is_refused()
    {
        using var test = Sample();
        AssertRefused(test, vault => Commit(vault, First(vault), subject: Id16.New()));
        AssertRefused(test, vault => Commit(vault, First(vault), actor: Id16.New()));
    }

    [Fact]
    public void A_parent_that_is_not_one_is_refused()
    {
        using var test = Sample();
        AssertRefused(test, vault => Commit(vault, First(vault) with { Parent = new Hash32(TestVault.Noise(2, 32)) }));
        // There, and of the same source, but with another content root than the agent was told.
        AssertRefused(test, vault => Commit(vault, First(vault) with { Parent = vault.State.Snapshots[0].Name }));
    }

    [Fact]
    public void An_agent_revoked_signs_nothing_more_and_what_it_signed_before_stays()
    {
        using var test = Sample();
        using (var vault = test.Open())
            vault.Keeper.Record(LeafType.AgentEnrolled, test.Keys.Agent.Agent, Id16.None, 2, 0, 0);
        AssertRefused(test, vault => Commit(vault, First(vault)));
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            foreach (var how in new[] { "ls", "cat", "restore" })
                Read(vault, keys, vault.State.Snapshots[0], how, test["r"]);
        }
    }

    [Fact]
    public void A_pack_set_that_does_not_add_up_is_refused_by_a_restore_and_one_that_cannot_be_told_is_not()
    {
        using var test = Sample();
        test.Write("more", "x");
        test.BackUp();
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var snapshot = First(vault);
            var wrong = Commit(vault, snapshot with { Packs = snapshot.Packs with { Bytes = snapshot.Packs.Bytes + 65_536 } });
            Read(vault, keys, wrong, "ls", ""); // says nothing of names and contents
            Assert.Equal(ErrorCode.SnapshotRefused, Assert.Throws<HoldfastException>(() => Read(vault, keys, wrong, "restore", test["r"])).Code);
            var name = vault.State.Snapshots[0].Name.ToString();
            File.Delete(Path.Combine(test.Folder, "objects", name[..2], name));
        }
        using var again = test.Open();
        using var opened = again.Unlock(test.Seed);
        Assert.Null(again.State.PacksOf(again.State.Snapshots[1]));
        using var writer = FileTarget.Create(test["r2"], new FileTargetOptions());
        Assert.True(again.Restore(again.State.Snapshots[1], opened, writer, new PathFilter(null), new RestoreProgress(), 2, Ct).IsWhole);
        TestVault.AssertSame(test.Source, test["r2"]);
    }

    /// <summary>A snapshot that follows another and gives its packs sizes of its own, all of them told.</summary>
    static SnapshotObject Resized(TestVault test, Vault vault, SnapshotRecord parent, Func<int, long, long> size)
    {
        var snapshot = vault.State.Whole(parent)!;
        var packs = new PackSet(vault.State.PacksOf(parent)!.ToList().Select((p, i) => p with { Size = size(i, p.Size) })).Whole();
        return test.Again(snapshot with { Parent = parent.Name, ParentContentRoot = snapshot.ContentRoot, Packs = packs });
    }

    static string Copy(string from, string to)
    {
        foreach (var path in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories).Prepend(from))
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, path)));
        foreach (var path in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(path, Path.Combine(to, Path.GetRelativePath(from, path)), overwrite: true);
        return to;
    }

    [Theory]
    [InlineData(128 << 20)]
    [InlineData(65_536)]
    public void The_keeper_takes_no_other_size_of_a_pack_that_is_held_already(long size)
    {
        using var test = Sample();
        using var vault = test.Open();
        var parent = vault.State.Snapshots[0];
        Assert.Contains("size", Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(Resized(test, vault, parent, (_, real) => real == size ? 2 * size : size))).Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(Resized(test, vault, parent, (i, real) => i == 0 ? real + 65_536 : real))).Code);
        vault.Keeper.Commit(Resized(test, vault, parent, (_, real) => real));
        Assert.Equal(2, vault.State.Snapshots.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sizes_that_a_forged_commit_gives_make_no_pack_damaged_fill_no_quota_and_end_no_lock(bool isSwapped)
    {
        using var test = new TestVault(new RetentionPolicy(30 * TestVault.Day, 0, 0, 0, 0, 100_000_000));
        test.WriteSome();
        var honest = test.BackUp();
        var sizes = honest.Archive.Packs.ToList().Select(p => p.Size).ToList();
        Assert.True(sizes.Distinct().Count() > 1);
        SnapshotRecord forged;
        var until = honest.Receipt.Expiry + 300 * TestVault.Day;
        SnapshotObject snapshot;
        PackSet set;
        using (var copy = Vault.Open(Copy(test.Folder, test["copy"]), null, test.Machine))
        {
            test.BackUp(copy, useState: false);
            (snapshot, set) = (copy.State.Whole(copy.Find("latest"))!, copy.State.PacksOf(copy.Find("latest"))!);
            Copy(Path.Combine(test["copy"], "packs"), Path.Combine(test.Folder, "packs"));
        }
        using (var vault = test.Open())
        {
            // The agent's signature does not cover sizes, and swapped ones add up to what the real ones do.
            var swapped = honest.Archive.Packs.ToList().Select((p, i) => (p.Name, Size: sizes[(i + 1) % sizes.Count])).ToDictionary(p => p.Name, p => p.Size);
            snapshot = snapshot with { Packs = new PackSet(set.ToList().Select(p => p with { Size = !swapped.TryGetValue(p.Name, out var size) ? p.Size : isSwapped ? size : 128 << 20 })).Whole() };
            vault.Keeper.Record(LeafType.Commit, snapshot.Snapshot, snapshot.Agent, until, 0, (ulong)snapshot.Packs.Count, snapshot.ToArray());
            forged = vault.State.Snapshots[^1];
        }
        var added = test.BackUp(useState: false);
        Assert.Equal(sizes, added.Archive.Packs.ToList().Where(p => honest.Archive.Packs.Contains(p.Name)).Select(p => p.Size));
        Assert.InRange(added.Archive.NewBytes, 0UL, 1_000_000UL); // nothing but its tree: no pack looks damaged
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var problem = Assert.Single(vault.Health().Problems);
            Assert.Equal((ErrorCode.ObjectDamaged, forged.Snapshot), (problem.Code, Assert.Single(problem.Snapshots).Snapshot));
            Assert.Equal([true, false, true], vault.State.Snapshots.ToList().ConvertAll(s => vault.Attest(s, keys, full: true, Id16.None, Ct).IsGood));
            Assert.Equal([ErrorCode.ObjectDamaged, ErrorCode.SnapshotDefective], vault.Health().Problems.Select(p => p.Code).Order());
            Assert.All(vault.Health().Problems, p => Assert.Equal(forged.Snapshot, Assert.Single(p.Snapshots).Snapshot));
            foreach (var pack in honest.Archive.Packs.ToList())
            {
                var named = vault.State.NamedPacks().Packs[pack.Name];
                Assert.Equal((pack.Size, named.LockEnd), (named.Size, vault.State.PackLocks()[pack.Name]));
                Assert.InRange(named.LockEnd, until, ulong.MaxValue);
            }
        }
        TestVault.AssertSame(test.Source, test.Restore(honest.Snapshot.ToString()));
        TestVault.AssertSame(test.Source, test.Restore());
        test.Machine.Pass(60 * TestVault.Day);
        using var later = test.Open();
        Assert.DoesNotContain(later.Keeper.Expire(dryRun: true).Names, n => honest.Archive.Packs.Contains(n.Name));
    }

    /// <summary>A snapshot that follows another and tells the same pack set as a difference to it.</summary>
    static SnapshotObject Difference(TestVault test, Vault vault, SnapshotRecord parent)
    {
        var snapshot = vault.State.Whole(parent)!;
        var set = vault.State.PacksOf(vault.State.Snapshots[0])!;
        return test.Again(snapshot with { Parent = parent.Name, ParentContentRoot = snapshot.ContentRoot, Packs = set.DeltaFrom(set) });
    }

    [Fact]
    public void The_keeper_takes_no_longer_row_of_differences_than_readers_follow()
    {
        using var test = Sample();
        using (var vault = test.Open())
        {
            for (var i = 0; i < 63; i++)
                vault.Keeper.Commit(Difference(test, vault, vault.State.Snapshots[^1]));
            Assert.Contains("in a row", Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(Difference(test, vault, vault.State.Snapshots[^1]))).Message, StringComparison.Ordinal);
        }
        using var again = test.Open();
        Assert.All(again.State.Snapshots, s => Assert.NotNull(again.State.PacksOf(s)));
        test.Machine.Pass(100 * TestVault.Day);
        using var later = test.Open();
        Assert.False(later.Keeper.Expire(dryRun: true).IsBlocked);
    }

    /// <summary>What a commit takes does not grow with the commits of its day times their packs: who floods a source's day would hold up the vault's lock for it.</summary>
    /// <param name="quota">For locked bytes; 0 for none.</param>
    [Theory]
    [InlineData(0)]
    [InlineData(1UL << 40)]
    public void A_commit_and_an_expiry_add_up_no_pack_sets_of_those_before_them(ulong quota)
    {
        using var test = Sample(quota);
        using var vault = test.Open();
        var snapshot = First(vault);
        var packs = vault.State.PacksOf(vault.State.Snapshots[0])!.ToList().ToList();
        foreach (var name in Enumerable.Range(0, 2_000).Select(i => new Hash32(TestVault.Noise(i, 32))))
        {
            var shelf = Directory.CreateDirectory(Path.Combine(test.Folder, "packs", name.ToString()[..2]));
            using var file = File.Create(Path.Combine(shelf.FullName, name.ToString()));
            file.SetLength(65_536);
            packs.Add(new PackRef(name, 65_536));
        }
        var set = new PackSet(packs);
        var before = 0L;
        for (var i = 0; i < 100; i++)
        {
            var parent = vault.State.Snapshots[^1];
            before = GC.GetAllocatedBytesForCurrentThread();
            vault.Keeper.Commit(test.Again(snapshot with { Parent = parent.Name, ParentContentRoot = snapshot.ContentRoot, Packs = i % 50 == 0 ? set.Whole() : set.DeltaFrom(set) }));
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Empty(vault.Keeper.Expire(dryRun: true).Names);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
    }

    [Fact]
    public void The_keeper_takes_no_difference_to_what_cannot_be_told()
    {
        using var test = Sample();
        test.BackUp();
        using (var vault = test.Open())
        {
            Assert.False(vault.State.Snapshots[1].Object!.Packs.IsWhole);
            var name = vault.State.Snapshots[0].Name.ToString();
            File.Move(Path.Combine(test.Folder, "objects", name[..2], name), test["away"]);
        }
        using var damaged = test.Open();
        var parent = damaged.State.Snapshots[1];
        Assert.Null(damaged.State.PacksOf(parent));
        var snapshot = damaged.State.Whole(parent)!;
        var forged = test.Again(snapshot with { Parent = parent.Name, ParentContentRoot = snapshot.ContentRoot, Packs = PackSet.Empty.DeltaFrom(PackSet.Empty) });
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => damaged.Keeper.Commit(forged)).Code);
    }

    [Fact]
    public void What_follows_a_snapshot_of_other_sizes_is_told_whole()
    {
        using var test = Sample();
        using (var vault = test.Open())
        {
            var snapshot = Resized(test, vault, vault.State.Snapshots[0], (_, real) => real + 65_536);
            vault.Keeper.Record(LeafType.Commit, snapshot.Snapshot, snapshot.Agent, vault.State.Snapshots[0].Expiry, 0, (ulong)snapshot.Packs.Count, snapshot.ToArray());
        }
        test.BackUp();
        test.BackUp();
        using var after = test.Open();
        Assert.Equal([true, false], after.State.Snapshots.Skip(2).Select(s => s.Object!.Packs.IsWhole));
        Assert.All(after.State.Snapshots, s => Assert.Equal(s.Ordinal == after.State.Snapshots[1].Ordinal, after.State.HasOtherSizes(s)));
    }

    /// <summary>Whoever has the log's key alone has no agent's. While the first commit's object is there it says how long a pack is; when it has expired, who signed does.</summary>
    [Theory]
    [InlineData(false)] // the signature is of nobody
    [InlineData(true)] // of the first snapshot: it covers neither the salt nor the packs
    public void A_size_that_nobody_signed_is_not_believed_when_the_first_commit_has_gone(bool isReplayed)
    {
        using var test = Sample();
        Hash32 first;
        using (var vault = test.Open())
        {
            first = vault.State.Snapshots[0].Name;
            var snapshot = Resized(test, vault, vault.State.Snapshots[0], (_, real) => real + 65_536);
            var id = snapshot.Snapshot;
            snapshot = isReplayed ? First(vault) with { Salt = VaultKeeper.Salt(), Packs = snapshot.Packs } : snapshot with { Signatures = [snapshot.Signatures[0] with { Signature = new byte[64] }] };
            vault.Keeper.Record(LeafType.Commit, id, snapshot.Agent, vault.State.Snapshots[0].Expiry, 0, (ulong)snapshot.Packs.Count, snapshot.ToArray());
        }
        test.BackUp();
        foreach (var lost in new[] { false, true })
        {
            if (lost)
                test.Lose(first);
            using var after = test.Open();
            Assert.Equal([false, true, false], after.State.Snapshots.Select(after.State.HasOtherSizes));
            Assert.DoesNotContain(after.Health().Problems, p => p.Code == ErrorCode.PackDamaged);
        }
    }

    [Fact]
    public void A_number_of_entries_that_the_tree_has_not_is_damage()
    {
        using var test = Sample();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var record = Commit(vault, Signed(First(vault) with { Entries = 5 }, test.Keys.Agent));
        Assert.Equal(ErrorCode.ObjectDamaged, Assert.Throws<HoldfastException>(() => Read(vault, keys, record, "ls", "")).Code);
    }
}
