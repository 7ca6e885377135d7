using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>Commits that a sound keeper would have refused, as who has the log's key can write them: no reader takes them (docs/format.md, section 11.6).</summary>
public sealed class ForgedSnapshotTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static TestVault Sample()
    {
        var test = new TestVault();
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
        return vault.State.Refused is [.., { Record: { } second }] && second.Ordinal + 1 == (ulong)vault.Keeper.Log.Size ? second : vault.State.Snapshots[^1];
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
