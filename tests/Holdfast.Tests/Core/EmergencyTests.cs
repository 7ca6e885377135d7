using System.Security.Cryptography;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Emergencies;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>One person begins an emergency restore; another lets it out of isolation, or a recorded word does; and all see it.</summary>
public sealed class EmergencyTests : IDisposable
{
    readonly List<Ed25519Signer> _people = [.. Enumerable.Range(1, 4).Select(n => new Ed25519Signer(SHA256.HashData([(byte)n])))];
    readonly TestVault _test;

    public EmergencyTests()
    {
        _test = new TestVault(approvers: ApproverSet.Of(3, _people.Take(3).Select(p => p.PublicKey.ToArray())));
        _test.Write("a", "text");
        _test.BackUp();
    }

    public void Dispose()
    {
        _test.Dispose();
        _people.ForEach(p => p.Dispose());
    }

    Id16 Id(int who) => Approver.Of(_people[who].PublicKey).Id;

    static readonly Hash32 Secret = new(SHA256.HashData("secret"u8));
    static readonly Hash32 Commitment = new(SHA256.HashData(Secret.ToArray()));

    static EmergencyObject Step(Vault vault, EmergencyStep step, EmergencyObject? of = null, Id16 approver = default) =>
        vault.Emergency(step, of?.Emergency ?? Id16.New(), of?.Place ?? Id16.New(), of?.Snapshot ?? vault.Find("latest").Snapshot, step == EmergencyStep.Begun ? Commitment : Secret, approver, "Dr Who", "the ward has no charts", "into /srv/place", 1_800_000_000);

    static EmergencyObject Begin(Vault vault, Id16 approver = default)
    {
        var begun = Step(vault, EmergencyStep.Begun, approver: approver);
        vault.Keeper.Enter(begun);
        return begun;
    }

    static ApprovalRequest.Release Asks(Vault vault, EmergencyObject begun, Id16 requester = default) =>
        new(vault.Keeper.NewRequest(requester, TestVault.Day, null), begun.Emergency, begun.Snapshot, begun.Place, begun.Approver);

    ApprovalObject Signed(ApprovalRequest asked, params int[] who) =>
        who.Aggregate(new RequestFile(asked.ToArray(), null, []), (file, w) => file.Sign(Decision.Approved, _people[w])).All(Decision.Approved) ?? ApprovalObject.Of(asked.ToArray(), Decision.Approved, []);

    static ErrorCode Refused(Action act) => Assert.Throws<HoldfastException>(act).Code;

    void Append(Vault vault, params Leaf[] leaves)
    {
        using var signer = LogKeyFile.Read(Path.Combine(_test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(_test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([.. leaves.Select(l => l.ToArray())], signer);
        vault.Keeper.Refresh();
    }

    /// <summary>One user's release of what another restored, entered first: that the log does not know the emergency yet is no reason to give the record up.</summary>
    [Fact]
    public void A_step_that_the_log_may_take_later_is_not_given_up()
    {
        using var vault = _test.Open();
        var begun = Step(vault, EmergencyStep.Begun);
        var word = Step(vault, EmergencyStep.Overridden, begun);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(word)));
        Assert.False(EmergencyRecords.IsFinal(vault.State, word));
        vault.Keeper.Enter(begun);
        Assert.True(EmergencyRecords.IsFinal(vault.State, Step(vault, EmergencyStep.Begun, begun))); // a second beginning
        vault.Keeper.Enter(word);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Closed, begun))));
        Assert.True(EmergencyRecords.IsFinal(vault.State, Step(vault, EmergencyStep.Closed, begun)));
    }

    [Fact]
    public void One_person_begins_and_one_other_lets_it_out_at_once_whatever_the_quorum()
    {
        using var vault = _test.Open();
        var begun = Begin(vault, Id(0));
        Assert.True(Assert.Single(vault.State.Emergencies).IsOpen);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun))));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun)))));       // nobody
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 0))));    // who began it
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 3))));    // a stranger
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun, Id(1)), 1)))); // who asks
        Assert.Equal(0UL, vault.State.Emergencies[0].Approved);
        Assert.True(vault.Keeper.Decide(Signed(Asks(vault, begun), 1)).InForce > 0);
        Assert.True(vault.State.Emergencies[0].Approved > 0);
        vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun));
        using var after = _test.Open();
        Assert.Equal(EmergencyStep.Released, Assert.Single(after.State.Emergencies).End!.Step);
        Assert.Empty(after.State.Refused);
    }

    /// <summary>An approval is of this emergency, place and snapshot, as the log has them.</summary>
    [Fact]
    public void An_approval_of_one_emergency_lets_no_other_out()
    {
        using var vault = _test.Open();
        var (one, two) = (Begin(vault), Begin(vault));
        foreach (var wrong in new[]
        {
            Asks(vault, one) with { Place = two.Place }, Asks(vault, one) with { Snapshot = Id16.New() }, Asks(vault, one) with { Emergency = Id16.New() }, Asks(vault, one) with { BegunBy = Id(0) },
        })
            Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(wrong, 1))));
        vault.Keeper.Decide(Signed(Asks(vault, one), 1));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, two))));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, one with { Place = two.Place }))));
        vault.Keeper.Enter(Step(vault, EmergencyStep.Released, one));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, one), 1)))); // it is over
    }

    [Fact]
    public void One_persons_word_is_enough_in_a_clinical_emergency_and_stays_seen()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        vault.Keeper.Enter(Step(vault, EmergencyStep.Overridden, begun));
        Assert.Equal(EmergencyStep.Overridden, vault.State.Emergencies[0].End!.Step);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Closed, begun))));
    }

    /// <summary>Whoever closes an emergency does not keep a patient waiting.</summary>
    [Fact]
    public void After_it_was_closed_one_persons_word_lets_it_out_all_the_same_and_stays_seen()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        vault.Keeper.Enter(Step(vault, EmergencyStep.Closed, begun));
        Assert.Single(GovernanceReport.Shown(vault)); // closed, and seen for a month more
        vault.Keeper.Enter(Step(vault, EmergencyStep.Overridden, begun));
        Assert.Equal(EmergencyStep.Overridden, vault.State.Emergencies[0].End!.Step);
        Assert.Single(GovernanceReport.Shown(vault));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Overridden, begun) with { At = 1 })));
        using var after = _test.Open();
        Assert.Equal(EmergencyStep.Overridden, after.State.Emergencies[0].End!.Step);
        Assert.Empty(after.State.Refused);
    }

    /// <summary>Where its object is lost, or the log cannot be told, a step is made all the same.</summary>
    [Fact]
    public void A_step_needs_no_object_of_the_snapshot()
    {
        EmergencyObject begun;
        using (var vault = _test.Open())
        {
            begun = Begin(vault);
            _test.Lose(vault.State.Find(begun.Snapshot)!.Name);
        }
        using var after = _test.Open();
        Assert.Null(after.State.Find(begun.Snapshot)!.Object);
        after.Keeper.Enter(Step(after, EmergencyStep.Closed, begun));
        after.Keeper.Enter(Step(after, EmergencyStep.Overridden, begun));
        using var keys = after.Unlock(_test.Seed);
        Assert.Equal("Dr Who", Vault.Words(keys, after.State.Emergencies[0].End!)!.Value.Person);
    }

    [Fact]
    public void A_client_that_only_reads_ends_no_emergency_whose_place_it_has_not()
    {
        using var vault = _test.Open();
        var desk = new KeeperDesk(vault.Keeper);
        void Ask(EmergencyObject step, KeeperRole role = KeeperRole.Read) => desk.Answer(new KeeperClient($"{role}", role, ""), new KeeperRequest.EnterEmergency(step.ToArray()));
        var begun = Step(vault, EmergencyStep.Begun);
        Ask(begun);
        foreach (var step in new[] { EmergencyStep.Closed, EmergencyStep.Overridden })
        {
            foreach (var guess in new[] { Hash32.None, begun.Proof })
                Assert.Equal(ErrorCode.CommitRefused, Refused(() => Ask(Step(vault, step, begun) with { Proof = guess })));
        }
        Assert.True(Assert.Single(vault.State.Emergencies).IsOpen);
        Ask(Step(vault, EmergencyStep.Closed, begun) with { Proof = Hash32.None }, KeeperRole.Manage);
        Ask(Step(vault, EmergencyStep.Overridden, begun));
        Assert.Equal(EmergencyStep.Overridden, Assert.Single(vault.State.Emergencies).End!.Step);
    }

    /// <summary>Each client has a share of its own, and what has begun is always gone on with.</summary>
    [Fact]
    public void A_client_that_floods_the_log_keeps_no_other_out()
    {
        using var vault = _test.Open();
        var desk = new KeeperDesk(vault.Keeper);
        void Ask(string client, EmergencyObject step) => desk.Answer(new KeeperClient(client, KeeperRole.Read, ""), new KeeperRequest.EnterEmergency(step.ToArray()));
        var first = Step(vault, EmergencyStep.Begun);
        Ask("ward", first);
        for (var i = 1; i < 100; i++)
            Ask("ward", first with { Emergency = Id16.New() });
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => Ask("ward", first with { Emergency = Id16.New() })));
        Ask("ward", first); // sent twice
        Ask("other", first with { Emergency = Id16.New() });
        Ask("ward", Step(vault, EmergencyStep.Overridden, first));
        Assert.Equal(101, vault.State.Emergencies.Count);
    }

    [Fact]
    public void A_record_that_comes_twice_or_late_is_taken_once()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        var size = vault.Keeper.Log.Size;
        vault.Keeper.Enter(begun);
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(begun with { At = 1 })));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Closed))));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(begun with { Emergency = Id16.New(), Snapshot = Id16.New() })));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Enter(begun with { Emergency = Id16.New(), Words = [1, 2, 3] })));
    }

    /// <summary>Whoever has the log's key writes that it was released, and nobody believes it.</summary>
    [Fact]
    public void The_logs_key_alone_releases_nothing_as_approved()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        var forged = Step(vault, EmergencyStep.Released, begun);
        var name = vault.Keeper.Store.PutObject(forged.ToArray());
        Append(vault, new Leaf(LeafType.Emergency, vault.Keeper.Clock.Now, begun.Emergency, begun.Place, (ulong)EmergencyStep.Released, 0, 0, name));
        Assert.True(vault.State.Emergencies[0].IsOpen);
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);
    }

    /// <summary>That another emergency's step cannot be read hides nothing of this one.</summary>
    [Fact]
    public void A_lost_step_of_another_emergency_hides_no_forged_release()
    {
        using (var vault = _test.Open())
        {
            _test.Lose(new Hash32(SHA256.HashData(Begin(vault).ToArray())));
            var begun = Begin(vault);
            var forged = Step(vault, EmergencyStep.Released, begun);
            Append(vault, new Leaf(LeafType.Emergency, vault.Keeper.Clock.Now, begun.Emergency, begun.Place, (ulong)EmergencyStep.Released, 0, 0, vault.Keeper.Store.PutObject(forged.ToArray())));
        }
        using var after = _test.Open();
        Assert.Single(after.State.LostEmergencies);
        Assert.Equal(LeafFault.NotApproved, Assert.Single(after.State.Refused).Fault);
        Assert.True(Assert.Single(after.State.Emergencies).IsOpen);
    }

    [Theory]
    [InlineData(null, "drwho", "drwho")]
    [InlineData("Dr Who", "root", "Dr Who")]
    [InlineData("", "root", null)]
    [InlineData("a\nb", "root", null)]
    public void Who_has_no_name_on_this_machine_is_told_by_number(string? typed, string user, string? person)
    {
        if (person is null)
            Assert.Contains("--person", Assert.Throws<HoldfastException>(() => EmergencyCommand.Person(typed, user)).Message, StringComparison.Ordinal);
        else
            Assert.Equal(person, EmergencyCommand.Person(typed, user));
        if (OperatingSystem.IsLinux())
            Assert.StartsWith("uid ", EmergencyCommand.Person(null, ""), StringComparison.Ordinal);
    }

    [Fact]
    public void The_longest_words_are_taken_and_what_is_brought_is_cut()
    {
        using var vault = _test.Open();
        var step = vault.Emergency(EmergencyStep.Begun, Id16.New(), Id16.New(), vault.Find("latest").Snapshot, Commitment, Id16.None, new string('\u20ac', 200), new string('\u20ac', 2_000), new string('x', 100_000), 1);
        vault.Keeper.Enter(step);
        using var keys = vault.Unlock(_test.Seed);
        var (person, reason, where) = Vault.Words(keys, vault.State.Emergencies[0].Begun)!.Value;
        Assert.Equal((200, 2_000), (person.Length, reason.Length));
        Assert.StartsWith("xxx", where, StringComparison.Ordinal);
    }

    [Fact]
    public void No_name_and_no_reason_stand_in_the_vault_and_the_opening_key_tells_both()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        foreach (var file in new[] { "log", "objects", "keeper" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(_test.Folder, f), "*", SearchOption.AllDirectories)))
        {
            var text = System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(file));
            Assert.DoesNotContain("Dr Who", text, StringComparison.Ordinal);
            Assert.DoesNotContain("charts", text, StringComparison.Ordinal);
        }
        using var keys = vault.Unlock(_test.Seed);
        Assert.Equal(("Dr Who", "the ward has no charts", "into /srv/place"), Vault.Words(keys, begun));
        Assert.NotEqual(ApprovalRequest.ReasonHash(begun.Salt, "Dr Who"), begun.Proof); // else whoever has the storage tries names
    }

    [Fact]
    public void Without_approvers_the_recorded_word_is_the_only_way_out()
    {
        using var alone = new TestVault();
        alone.Write("a", "text");
        alone.BackUp();
        using var vault = alone.Open();
        var begun = Begin(vault);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 1))));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun))));
        vault.Keeper.Enter(Step(vault, EmergencyStep.Overridden, begun));
        Assert.False(vault.State.Emergencies[0].IsOpen);
    }

    [Fact]
    public void A_step_that_cannot_be_read_is_told_and_accuses_nobody()
    {
        using (var vault = _test.Open())
        {
            var begun = Begin(vault);
            vault.Keeper.Decide(Signed(Asks(vault, begun), 1));
            vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun));
            _test.Lose(new Hash32(SHA256.HashData(begun.ToArray())));
        }
        using var after = _test.Open();
        var lost = Assert.Single(after.State.LostEmergencies);
        Assert.Equal((EmergencyStep.Begun, 1_800_000_000UL), (lost.Step, lost.At));
        Assert.Contains(GovernanceReport.Lines(after), l => l.Text.Contains("CANNOT BE READ", StringComparison.Ordinal));
        Assert.Empty(after.State.Emergencies);
        Assert.Empty(after.State.Refused);
    }
}
