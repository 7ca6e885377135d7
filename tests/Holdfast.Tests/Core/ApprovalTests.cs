using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What weakens protection takes several people, by their own signatures; the keeper checks them, and so does every reader of the log.</summary>
public sealed class ApprovalTests : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly List<Ed25519Signer> _people = [.. Enumerable.Range(1, 4).Select(n => new Ed25519Signer(SHA256.HashData([(byte)n])))];
    readonly TestVault _test;
    readonly TestVault _alone = new();

    public ApprovalTests() => _test = new TestVault(new RetentionPolicy(30 * Day, 0, 0, 0, 0, 0), approvers: Set(2, 0, 1, 2));

    public void Dispose()
    {
        _test.Dispose();
        _alone.Dispose();
        _people.ForEach(p => p.Dispose());
    }

    ApproverSet Set(int quorum, params int[] who) => ApproverSet.Of(quorum, who.Select(w => _people[w].PublicKey.ToArray()))!;

    Id16 Id(int who) => Approver.Of(_people[who].PublicKey).Id;

    ApprovalObject Signed(ApprovalRequest asked, Decision decision, params int[] who) =>
        who.Aggregate(new RequestFile(asked.ToArray(), null, []), (file, w) => file.Sign(decision, _people[w])).All(decision) ?? ApprovalObject.Of(asked.ToArray(), decision, []);

    static ApprovalRequest.Policy Weaker(Vault vault, ulong days = 5, Id16 requester = default, ulong open = 7 * Day, Id16 source = default)
    {
        var before = vault.State.PolicyFor(source);
        return new ApprovalRequest.Policy(vault.Keeper.NewRequest(requester, open, null), source, before, before with { Base = days * Day });
    }

    static ulong Kept(Holdfast.Core.Backup.BackupResult result) => (result.Receipt.Expiry - result.Receipt.Committed) / Day;

    static ErrorCode Refused(Action act) => Assert.Throws<HoldfastException>(act).Code;

    static void Append(TestVault test, Vault vault, params Leaf[] leaves)
    {
        using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([.. leaves.Select(l => l.ToArray())], signer);
        vault.Keeper.Refresh();
    }

    [Fact]
    public void A_weaker_policy_that_two_of_three_approved_holds_after_three_days_for_later_backups_alone()
    {
        _test.WriteSome();
        var first = _test.BackUp();
        using (var vault = _test.Open())
        {
            var record = vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 2));
            Assert.Equal((0UL, record.Approved + 3 * Day), (record.InForce, record.From));
            Assert.Equal([.. new[] { Id(0), Id(2) }.Order()], record.By);
        }
        _test.Machine.Pass(3 * Day - 60);
        Assert.Equal(30UL, Kept(_test.BackUp()));
        _test.Machine.Pass(60);
        Assert.Equal(5UL, Kept(_test.BackUp()));
        using var after = _test.Open();
        Assert.Equal(first.Receipt.Expiry, after.State.Snapshots[0].Expiry);
        Assert.Empty(after.State.Refused);
        Assert.True(after.State.Requests[0].InForce > 0);
    }

    static ApprovalObject Inherited(Vault vault, TestVault of, ApproverSet after, ulong open = 7 * Day)
    {
        using var signer = SuccessionKey.Of(of.Seed, vault.Id);
        var asked = new ApprovalRequest.Succession(vault.Keeper.NewRequest(default, open, null), vault.State.Approvers.Digest, after);
        return new RequestFile(asked.ToArray(), null, []).Sign(Decision.Approved, signer).All(Decision.Approved)!;
    }

    /// <summary>A quorum that lost its keys is replaced at the word of whoever has the opening seed, a month later.</summary>
    [Fact]
    public void Whoever_has_the_opening_seed_replaces_a_lost_quorum_after_thirty_days()
    {
        using var vault = _test.Open();
        var record = vault.Keeper.Decide(Inherited(vault, _test, Set(1, 3)));
        Assert.Equal((0UL, record.Approved + 30 * Day), (record.InForce, record.From));
        vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1)); // those there are approve as before
        _test.Machine.Pass(30 * Day - 60);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 60 * Day), Id16.None);
        Assert.Equal(2, vault.State.Approvers.Quorum);
        var waiting = Signed(Weaker(vault, days: 4), Decision.Approved, 0, 1);
        var caught = vault.Keeper.Decide(waiting);
        _test.Machine.Pass(60);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 61 * Day), Id16.None);
        Assert.Equal([Id(3)], vault.State.Approvers.People.Select(p => p.Id));
        Assert.True(vault.State.Request(caught.Id)!.IsLapsed);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1))));
        Assert.True(vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 3)).Approved > 0);
        using var anew = _test.Open();
        Assert.Equal([Id(3)], anew.State.Approvers.People.Select(p => p.Id));
        Assert.Empty(anew.State.Refused);
    }

    [Fact]
    public void One_approver_who_still_has_a_key_stops_a_succession_until_its_last_day()
    {
        using var vault = _test.Open();
        var word = Inherited(vault, _test, Set(1, 3));
        vault.Keeper.Decide(word);
        _test.Machine.Pass(30 * Day - 120);
        vault.Keeper.Decide(Signed(word.Asked, Decision.Objected, 1));
        _test.Machine.Pass(2 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 61 * Day), Id16.None);
        Assert.Equal(3, vault.State.Approvers.People.Count);
        Assert.Equal((Id(1), 0UL), (vault.State.Requests[0].Objector, vault.Keeper.Decide(word).InForce)); // sent again, too

        // Nor is that one voice worn down: the next is not taken for a month, nor two at once; whoever writes them with the log's key is not believed.
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Inherited(vault, _test, Set(1, 3)))));
        _test.Machine.Pass(29 * Day);
        vault.Keeper.Decide(Inherited(vault, _test, Set(1, 3)));
        var second = Inherited(vault, _test, Set(1, 3));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(second)));
        var now = vault.Keeper.Clock.Now;
        Append(_test, vault, new Leaf(LeafType.Approval, now, second.Asked.Head.Id, Id16.None, (ulong)RequestKind.Succession, now + 30 * Day, 1, vault.Keeper.Store.PutObject(second.ToArray())));
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);
    }

    /// <summary>An approval that is dated back is no approval, also where the log was silent for longer than a clock may be ahead.</summary>
    [Fact]
    public void The_logs_key_dates_nothing_back_after_a_long_silence()
    {
        using var vault = _test.Open();
        _test.Machine.Pass(50 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 60 * Day), Id16.None);
        _test.Machine.Pass(Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 61 * Day), Id16.None);
        var now = vault.Keeper.Clock.Now;
        using var signer = SuccessionKey.Of(_test.Seed, vault.Id);
        var asked = new ApprovalRequest.Succession(vault.Keeper.NewRequest(default, Day, null) with { Made = now - 31 * Day, Until = now - 29 * Day }, vault.State.Approvers.Digest, Set(1, 3));
        var word = new RequestFile(asked.ToArray(), null, []).Sign(Decision.Approved, signer).All(Decision.Approved)!;
        Append(_test, vault,
            new Leaf(LeafType.Approval, now - 30 * Day, asked.Head.Id, Id16.None, (ulong)RequestKind.Succession, now, 1, vault.Keeper.Store.PutObject(word.ToArray())),
            new Leaf(LeafType.InForce, now, asked.Head.Id, Id16.None, (ulong)RequestKind.Succession, 0, 0, Hash32.None));
        Assert.Equal(3, vault.State.Approvers.People.Count);
        Assert.Equal(2, vault.State.Refused.Count);
    }

    public static TheoryData<string> NoHeir => ["a quorum", "the seed of another vault", "nobody", "an approver", "a request for something else"];

    [Theory]
    [MemberData(nameof(NoHeir))]
    public void Nobody_but_the_opening_seed_names_a_successor_and_the_seed_approves_of_nothing_else(string who)
    {
        using var vault = _test.Open();
        var right = Inherited(vault, _test, Set(1, 3));
        using var heir = SuccessionKey.Of(_test.Seed, vault.Id);
        var sent = who switch
        {
            "a quorum" => Signed(right.Asked, Decision.Approved, 0, 1, 2),
            "the seed of another vault" => Inherited(vault, _alone, Set(1, 3)),
            "nobody" => right with { Signatures = [] },
            "an approver" => Signed(right.Asked, Decision.Approved, 0),
            _ => new RequestFile(Weaker(vault).ToArray(), null, []).Sign(Decision.Approved, heir).Sign(Decision.Approved, _people[0]).All(Decision.Approved)!,
        };
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(sent)));

        // With the log's key besides it is written all the same, and nobody believes it, now or when its time has come.
        var (name, now, asked) = (vault.Keeper.Store.PutObject(sent.ToArray()), vault.Keeper.Clock.Now, sent.Asked);
        Append(_test, vault,
            new Leaf(LeafType.Approval, now, asked.Head.Id, Id16.None, (ulong)asked.Kind, now + 30 * Day, (ulong)sent.Signatures.Count, name),
            new Leaf(LeafType.InForce, now + 30 * Day, asked.Head.Id, Id16.None, (ulong)asked.Kind, 0, 0, Hash32.None));
        _test.Machine.Pass(31 * Day);
        using var later = _test.Open();
        Assert.Equal(3, later.State.Approvers.People.Count);
        Assert.All(later.State.Refused, r => Assert.Equal(LeafFault.NotApproved, r.Fault));
        Assert.NotEmpty(later.State.Refused);
    }

    /// <summary>One that was asked rightly is put in force no sooner than after 30 days: not by the log's key, and not by an approval that says so itself.</summary>
    [Theory]
    [InlineData(3, 3)]
    [InlineData(30, 29)]
    public void The_logs_key_shortens_no_succession(int approvedFor, int putInForceAfter)
    {
        using var vault = _test.Open();
        var word = Inherited(vault, _test, Set(1, 3));
        var (name, now, id) = (vault.Keeper.Store.PutObject(word.ToArray()), vault.Keeper.Clock.Now, word.Asked.Head.Id);
        Append(_test, vault,
            new Leaf(LeafType.Approval, now, id, Id16.None, (ulong)RequestKind.Succession, now + (ulong)approvedFor * Day, 1, name),
            new Leaf(LeafType.InForce, now + (ulong)putInForceAfter * Day, id, Id16.None, (ulong)RequestKind.Succession, 0, 0, Hash32.None));
        _test.Machine.Pass(29 * Day + 60);
        using var later = _test.Open();
        Assert.Equal(3, later.State.Approvers.People.Count);
        Assert.NotEmpty(later.State.Refused);
    }

    [Fact]
    public void A_vault_without_approvers_gets_none_by_its_opening_seed()
    {
        using var vault = _alone.Open();
        Assert.Null(vault.State.Genesis!.SuccessionKey);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Inherited(vault, _alone, Set(1, 3)))));
    }

    public static TheoryData<string> Short => ["nobody", "one", "one twice", "one and the requester", "one and a stranger", "one and a signature of another request", "one and an objection as an approval", "one and a bit that flipped"];

    [Theory]
    [MemberData(nameof(Short))]
    public void One_approver_short_of_the_quorum_changes_nothing_and_is_counted(string what)
    {
        using var vault = _test.Open();
        var asked = Weaker(vault, requester: what == "one and the requester" ? Id(1) : default);
        var one = Signed(asked, Decision.Approved, 0).Signatures;
        var another = Weaker(vault);
        var flipped = Signed(asked, Decision.Approved, 1).Signatures[0];
        flipped.Bytes[20] ^= 1;
        var signatures = what switch
        {
            "nobody" => [],
            "one" => one,
            "one twice" => [one[0], one[0]],
            "one and the requester" => Signed(asked, Decision.Approved, 0, 1).Signatures,
            "one and a stranger" => Signed(asked, Decision.Approved, 0, 3).Signatures,
            "one and a signature of another request" => [.. one, .. Signed(another, Decision.Approved, 1).Signatures],
            "one and an objection as an approval" => [.. one, .. Signed(asked, Decision.Objected, 1).Signatures],
            _ => [.. one, flipped],
        };
        var size = vault.Keeper.Log.Size;
        var sent = new ApprovalObject(asked.ToArray(), Decision.Approved, [.. signatures.OrderBy(s => s.Approver)]);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(sent)));
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Equal(1UL, vault.Keeper.Refusals);
        Assert.Empty(vault.State.Requests);

        // Whoever has the log's key besides writes it all the same, and nobody believes it.
        var name = vault.Keeper.Store.PutObject(sent.ToArray());
        var now = vault.Keeper.Clock.Now;
        Append(_test, vault, new Leaf(LeafType.Approval, now, asked.Head.Id, Id16.None, 1, now + 3 * Day, (ulong)signatures.Count, name), new Leaf(LeafType.InForce, now + 4 * Day, asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        // One that names a person twice is no approval object at all: told as one that cannot be read.
        Assert.All(vault.State.Refused, r => Assert.Equal(LeafFault.NotApproved, r.Fault));
        Assert.True(what == "one twice" ? vault.State.Unreadable.Contains(name) : vault.State.Refused.Count == 2);
    }

    [Fact]
    public void An_approval_is_for_one_request_one_vault_and_its_time()
    {
        using var vault = _test.Open();
        using var other = new TestVault(approvers: Set(2, 0, 1, 2));
        using var elsewhere = other.Open();
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(elsewhere), Decision.Approved, 0, 1))));

        var late = Signed(Weaker(vault, open: Day), Decision.Approved, 0, 1);
        _test.Machine.Pass(Day + 60);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(late)));

        var asked = Weaker(vault);
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1));
        var size = vault.Keeper.Log.Size;
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1)); // sent twice
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(asked with { After = asked.After with { Base = Day } }, Decision.Approved, 0, 1))));

        // Once it was in force it is not again, though the policy is as it was before.
        _test.Machine.Pass(3 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 30 * Day), Id16.None);
        Assert.True(vault.State.Requests[0].InForce > 0);
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        Append(_test, vault, new Leaf(LeafType.InForce, vault.Keeper.Clock.Now, asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal((30 * Day, LeafFault.NotApproved), (vault.State.PolicyFor(Id16.None).Base, Assert.Single(vault.State.Refused).Fault));
    }

    [Fact]
    public void One_approver_who_objects_stops_it_before_or_after_the_approval()
    {
        using var vault = _test.Open();
        var asked = Weaker(vault);
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1));
        Assert.Equal(Id(2), vault.Keeper.Decide(Signed(asked, Decision.Objected, 2)).Objector);
        var second = Weaker(vault, days: 6);
        vault.Keeper.Decide(Signed(second, Decision.Objected, 2));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(second, Decision.Approved, 0, 1))));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Objected, 3)))); // a stranger
        _test.Machine.Pass(10 * Day);
        _test.WriteSome();
        Assert.Equal(30UL, Kept(_test.BackUp(vault)));
        Append(_test, vault, new Leaf(LeafType.InForce, vault.Keeper.Clock.Now, asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal((30 * Day, LeafFault.NotApproved), (vault.State.PolicyFor(Id16.None).Base, Assert.Single(vault.State.Refused).Fault));
    }

    [Fact]
    public void What_was_approved_for_one_state_does_nothing_in_another()
    {
        using var vault = _test.Open();
        var asked = Weaker(vault);
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1));
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 365 * Day), Id16.None); // an attack was seen
        _test.Machine.Pass(5 * Day);
        _test.WriteSome();
        Assert.Equal(365UL, Kept(_test.BackUp(vault)));
        Append(_test, vault, new Leaf(LeafType.InForce, vault.Keeper.Clock.Now, asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal(365 * Day, vault.State.PolicyFor(Id16.None).Base);
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);
    }

    [Fact]
    public void The_logs_key_shortens_no_cooling_off_time()
    {
        using var vault = _test.Open();
        var asked = Weaker(vault);
        var approval = Signed(asked, Decision.Approved, 0, 1);
        var (now, name) = (vault.Keeper.Clock.Now, vault.Keeper.Store.PutObject(approval.ToArray()));
        Append(_test, vault, new Leaf(LeafType.Approval, now, asked.Head.Id, Id16.None, 1, now, 2, name)); // in force at once
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);

        var second = Weaker(vault, days: 6);
        vault.Keeper.Decide(Signed(second, Decision.Approved, 0, 1));
        Append(_test, vault, new Leaf(LeafType.InForce, now + 3 * Day - 60, second.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        _test.Machine.Pass(4 * Day);
        vault.Keeper.Refresh();
        Assert.Equal((30 * Day, 2), (vault.State.PolicyFor(Id16.None).Base, vault.State.Refused.Count));
    }

    /// <summary>The log's key dates the leaf that puts a request in force to when it may be: written ahead of an objection.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_written_before_its_time_comes_first_before_no_objection(bool isLater)
    {
        using var vault = _test.Open();
        var asked = Weaker(vault);
        var from = vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1)).From;
        Append(_test, vault, new Leaf(LeafType.InForce, from + 60, asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        Assert.Empty(vault.State.Refused); // a clock that is ahead does that too
        if (isLater)
        {
            _test.Machine.Pass(2 * Day + 3_600);
            vault.Keeper.Refresh();
            Assert.Equal(5 * Day, vault.State.PolicyFor(Id16.None).Base); // within a day, by the wall clock
        }
        Assert.Equal(Id(2), vault.Keeper.Decide(Signed(asked, Decision.Objected, 2)).Objector);
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        _test.Machine.Pass(9 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 1), Id16.None);
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);
        using var again = _test.Open();
        Assert.Equal(30 * Day, again.State.PolicyFor(Id16.None).Base);
    }

    /// <summary>The log's key and one approver's, even of one who was replaced, do not bring back what others have changed since.</summary>
    [Fact]
    public void An_objection_long_after_undoes_nothing()
    {
        using var vault = _test.Open();
        var asked = new ApprovalRequest.Approvers(vault.Keeper.NewRequest(Id16.None, Day, null), vault.State.Approvers.Digest, Set(2, 1, 2, 3));
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 1, 2));
        _test.Machine.Pass(4 * Day);
        var revoked = vault.Keeper.Decide(Signed(new ApprovalRequest.Revoke(vault.Keeper.NewRequest(Id16.None, Day, null), _test.Keys.Agent.Agent), Decision.Approved, 2, 3)).Asked;
        Assert.Null(vault.State.Agent(_test.Keys.Agent.Agent));
        foreach (var request in new[] { asked, revoked })
            Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(request, Decision.Objected, 2))));
        _test.Machine.Pass(40 * Day);
        Leaf Objection(ApprovalRequest to, int who) => new(LeafType.Approval, vault.Keeper.Clock.Now, to.Head.Id, Id16.None, (ulong)to.Kind, 0, 1, vault.Keeper.Store.PutObject(Signed(to, Decision.Objected, who).ToArray()));
        Append(_test, vault, Objection(asked, 0), Objection(revoked, 2));
        Assert.NotNull(vault.State.Approvers.Find(Id(3)));
        Assert.Null(vault.State.Agent(_test.Keys.Agent.Agent));
        Assert.Equal(2, vault.State.Refused.Count);
    }

    [Fact]
    public void A_wall_clock_that_is_set_back_brings_nothing_back_and_accuses_nobody()
    {
        using (var vault = _test.Open())
        {
            vault.Keeper.Decide(Signed(new ApprovalRequest.Approvers(vault.Keeper.NewRequest(Id16.None, Day, null), vault.State.Approvers.Digest, Set(2, 1, 2, 3)), Decision.Approved, 1, 2));
            _test.Machine.Pass(4 * Day);
            vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 2, 3));
            _test.Machine.Pass(4 * Day);
            vault.Keeper.Decide(Signed(new ApprovalRequest.Revoke(vault.Keeper.NewRequest(Id16.None, Day, null), _test.Keys.Agent.Agent), Decision.Approved, 2, 3));
            Assert.Equal(5 * Day, vault.State.PolicyFor(Id16.None).Base);
        }
        _test.Machine.Wall -= 20 * Day * 1_000;
        using var after = _test.Open();
        Assert.Null(after.State.Agent(_test.Keys.Agent.Agent));
        Assert.NotNull(after.State.Approvers.Find(Id(3)));
        Assert.Equal(5 * Day, after.State.PolicyFor(Id16.None).Base);
        Assert.Empty(after.State.Refused);
        after.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 6 * Day), Id16.None);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_leaf_of_next_year_takes_no_approval_back_when_its_time_comes()
    {
        using (var vault = _test.Open())
        {
            Append(_test, vault, new Leaf(LeafType.Verify, vault.Keeper.Clock.Now + 400 * Day, Id16.New(), Id16.None, 1, 0, 0, Hash32.None));
            vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1));
            _test.Machine.Pass(4 * Day);
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 1), Id16.None);
            Assert.Equal(5 * Day, vault.State.PolicyFor(Id16.None).Base);
        }
        _test.Machine.Pass(405 * Day);
        using var after = _test.Open();
        Assert.Equal(5 * Day, after.State.PolicyFor(Id16.None).Base);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_damaged_approval_is_put_back_beside_what_is_damaged()
    {
        ApprovalObject approval;
        using (var vault = _test.Open())
        {
            approval = Signed(Weaker(vault), Decision.Approved, 0, 1);
            vault.Keeper.Decide(approval);
        }
        var name = new Hash32(SHA256.HashData(approval.ToArray()));
        foreach (var path in Directory.EnumerateFiles(Path.Combine(_test.Folder, "objects", name.ToString()[..2]), $"{name}*").ToList())
            File.WriteAllBytes(path, [.. File.ReadAllBytes(path).Select(b => (byte)(b ^ 1))]);
        using var other = _test.Open();
        Assert.True(other.State.IsApprovalLost);
        using (var after = _test.Open())
            Assert.True(after.Keeper.Decide(approval).IsWaiting);
        other.Keeper.Refresh(); // one that was open all the while
        Assert.True(other.State.Requests[0].IsWaiting);
    }

    [Fact]
    public void Losing_an_objection_does_not_undo_it()
    {
        Hash32 name;
        using (var vault = _test.Open())
        {
            var asked = Weaker(vault);
            vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1));
            vault.Keeper.Decide(Signed(asked, Decision.Objected, 2));
            Assert.Equal(Id(2), vault.Keeper.Decide(Signed(asked, Decision.Objected, 2)).Objector); // sent twice
            Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 1), out var leaf));
            name = leaf.Payload;
        }
        _test.Lose(name);
        _test.Machine.Pass(4 * Day);
        using var after = _test.Open();
        after.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 1), Id16.None);
        Assert.Equal(30 * Day, after.State.PolicyFor(Id16.None).Base);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void An_approval_that_was_lost_is_put_back_by_submitting_it_again()
    {
        ApprovalObject approval;
        using (var vault = _test.Open())
        {
            approval = Signed(Weaker(vault), Decision.Approved, 0, 1);
            vault.Keeper.Decide(approval);
            _test.Machine.Pass(4 * Day);
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 1), Id16.None);
            Assert.Equal((5 * Day, 1U), (vault.State.PolicyFor(Id16.None).Base, vault.State.PolicyFor(Id16.None).Weeks));
        }
        _test.Lose(new Hash32(SHA256.HashData(approval.ToArray())));
        using var after = _test.Open();
        Assert.Equal(30 * Day, after.State.PolicyFor(Id16.None).Base);
        Assert.Empty(after.State.Refused); // a policy that is weaker than the one before may be stronger than the one that is lost
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => after.Keeper.Decide(Signed(Weaker(after), Decision.Approved, 0, 1)))); // of what it is weaker, nobody knows
        Assert.True(after.Keeper.Decide(approval).InForce > 0);
        Assert.Equal((5 * Day, 1U), (after.State.PolicyFor(Id16.None).Base, after.State.PolicyFor(Id16.None).Weeks));
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void What_was_overtaken_does_not_wake_when_all_is_as_it_was()
    {
        using var vault = _test.Open();
        vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1)); // 30 to 5
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 365 * Day), Id16.None);
        vault.Keeper.Decide(Signed(Weaker(vault, days: 30), Decision.Approved, 0, 1));
        for (var i = 0; i < 3; i++)
        {
            _test.Machine.Pass(3 * Day + 60);
            vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: (uint)i), Id16.None);
        }
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
        Assert.True(vault.State.Requests[0].IsLapsed);
    }

    [Fact]
    public void What_people_approved_who_do_not_approve_any_more_lapses()
    {
        using var vault = _test.Open();
        vault.Keeper.Decide(Signed(new ApprovalRequest.Approvers(vault.Keeper.NewRequest(Id16.None, Day, null), vault.State.Approvers.Digest, Set(1, 2, 3)), Decision.Approved, 1, 2));
        _test.Machine.Pass(Day);
        vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1)); // with the last of their keys
        for (var i = 1; i < 4; i++)
        {
            _test.Machine.Pass(2 * Day);
            vault.Keeper.SetPolicy(_test.Keys.Put.Domain.SourceId("x"u8), new PolicyChange(Weeks: (uint)i), Id16.None); // of another source: what was asked for is as it was
        }
        Assert.Equal(1, vault.State.Approvers.Quorum);
        Assert.Equal(30 * Day, vault.State.PolicyFor(Id16.None).Base);
    }

    [Fact]
    public void No_key_takes_the_place_of_an_agents_where_revoking_takes_approvals()
    {
        using var vault = _test.Open();
        var agent = _test.Keys.Agent.Agent;
        var other = new Enrolment(vault.Id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent, 1, _people[3].PublicKey.ToArray(), vault.State.Agent(agent)!.Domain);
        Append(_test, vault, new Leaf(LeafType.AgentEnrolled, vault.Keeper.Clock.Now, agent, Id16.None, 1, 0, 0, vault.Keeper.Store.PutObject(other.ToArray())), new Leaf(LeafType.AgentEnrolled, vault.Keeper.Clock.Now, agent, Id16.None, 3, 0, 0, Hash32.None));
        Assert.Equal(_test.Keys.Agent.Signer.PublicKey.ToArray(), vault.State.Agent(agent)!.PublicKey);
        Assert.Equal([LeafFault.NotApproved, LeafFault.NotApproved], vault.State.Refused.Select(r => r.Fault));
    }

    [Fact]
    public void A_request_that_says_it_was_made_later_or_long_ago_is_bound_to_its_thirty_days()
    {
        using var vault = _test.Open();
        var head = vault.Keeper.NewRequest(Id16.None, Day, null);
        var before = vault.State.PolicyFor(Id16.None);
        foreach (var made in new[] { head.Made + 2 * Day, head.Made + 1_000 * Day, ulong.MaxValue - 5, 0UL })
            Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(new ApprovalRequest.Policy(head with { Made = made, Until = made }, Id16.None, before, before with { Base = 5 * Day }), Decision.Approved, 0, 1))));
        // Objections to requests of long ago are counted by when they came.
        for (var i = 0; i < 100; i++)
            vault.Keeper.Decide(Signed(new ApprovalRequest.Policy(vault.Keeper.NewRequest(Id16.None, Day, null) with { Made = 0, Until = 0 }, Id16.None, before, before with { Base = 5 * Day }), Decision.Objected, 0));
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => vault.Keeper.Decide(Signed(new ApprovalRequest.Policy(vault.Keeper.NewRequest(Id16.None, Day, null) with { Made = 0, Until = 0 }, Id16.None, before, before with { Base = 5 * Day }), Decision.Objected, 0))));
    }

    [Fact]
    public void What_is_shown_to_who_signs_is_one_line()
    {
        using var vault = _test.Open();
        var asked = Weaker(vault);
        foreach (var reason in new[] { "x\ny", "x\u001b[2J", "x\u2028y", "\u202Ex", new string('x', 2_001), "" })
        {
            var head = asked.Head with { Reason = ApprovalRequest.ReasonHash(asked.Head.Salt, reason) };
            Assert.False(RequestFile.TryParse(new RequestFile((asked with { Head = head }).ToArray(), reason, []).ToString(), out _));
        }
        var plain = asked.Head with { Reason = ApprovalRequest.ReasonHash(asked.Head.Salt, "the disk is full") };
        Assert.True(RequestFile.TryParse(new RequestFile((asked with { Head = plain }).ToArray(), "the disk is full", []).ToString(), out _));
        Assert.False(RequestFile.TryParse(new RequestFile((asked with { Head = plain }).ToArray(), "the disk is not full", []).ToString(), out _));
        Assert.False(ApprovalRequest.TryParse(new ApprovalRequest.Witnesses(asked.Head, default, ["a\nb"]).ToArray(), out _));
    }

    [Fact]
    public void A_keepers_clock_that_runs_ahead_shortens_no_cooling_off_time()
    {
        using (var vault = _test.Open())
            vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1));
        _test.Machine.Wall += 4 * Day * 1_000; // and not its boot clock
        _test.WriteSome();
        Assert.Equal(30UL, Kept(_test.BackUp()) - 4); // born by the wall clock, which is within reason
        using var after = _test.Open();
        Assert.True(after.State.Requests[0].IsWaiting);
    }

    [Fact]
    public void Who_approves_is_changed_by_those_who_do_and_they_go_on_until_it_is_in_force()
    {
        using var vault = _test.Open();
        var asked = new ApprovalRequest.Approvers(vault.Keeper.NewRequest(Id16.None, Day, null), vault.State.Approvers.Digest, Set(1, 2, 3));
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 0, 1));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 3))));
        _test.Machine.Pass(3 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 31 * Day), Id16.None);
        Assert.Equal((1, 2), (vault.State.Approvers.Quorum, vault.State.Approvers.People.Count));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1)))); // no more
        vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 3));

        // One who asks for the same of a set that is not there any more.
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(asked with { Head = vault.Keeper.NewRequest(Id16.None, Day, null) }, Decision.Approved, 3))));
        Assert.Empty(vault.State.Refused);
    }

    [Fact]
    public void Witnesses_are_changed_by_approval()
    {
        using var witness = new Ed25519Signer(SHA256.HashData("w"u8));
        var key = new CosignerKey("w.example/1", witness.PublicKey.ToArray()).ToString();
        using var vault = _test.Open();
        ApprovalRequest.Witnesses Ask(params string[] keys) => new(vault.Keeper.NewRequest(Id16.None, Day, null), ApprovalRequest.WitnessDigest(vault.State.Witnesses), keys);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(Ask("nokey"), Decision.Approved, 0, 1))));
        vault.Keeper.Decide(Signed(Ask(key), Decision.Approved, 0, 1));
        Assert.Empty(vault.Keeper.Witnesses);
        _test.Machine.Pass(3 * Day);
        vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Base: 31 * Day), Id16.None);
        Assert.Equal(key, Assert.Single(vault.Keeper.Witnesses).ToString());
        using var again = _test.Open();
        Assert.Equal(key, Assert.Single(again.Keeper.Witnesses).ToString());
    }

    [Fact]
    public void An_agent_is_revoked_by_approval_and_by_nobody_alone()
    {
        _test.WriteSome();
        _test.BackUp();
        using var vault = _test.Open();
        var agent = _test.Keys.Agent.Agent;
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.RevokeAgent(agent)));
        Append(_test, vault, new Leaf(LeafType.AgentEnrolled, vault.Keeper.Clock.Now, agent, Id16.None, 2, 0, 0, Hash32.None));
        Assert.NotNull(vault.State.Agent(agent));
        Assert.Equal(LeafFault.NotApproved, Assert.Single(vault.State.Refused).Fault);
        Assert.True(vault.Keeper.Decide(Signed(new ApprovalRequest.Revoke(vault.Keeper.NewRequest(Id16.None, Day, null), agent), Decision.Approved, 0, 1)).InForce > 0);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => _test.BackUp(vault)));
    }

    [Fact]
    public void One_person_holds_for_thirty_days_and_renewing_and_lifting_takes_several()
    {
        using var test = new TestVault(new RetentionPolicy(2 * Day, 0, 0, 0, 0, 0), approvers: Set(2, 0, 1, 2));
        test.WriteSome();
        var id = test.BackUp().Snapshot;
        using var vault = test.Open();
        var record = vault.State.Snapshots[0];
        vault.Keeper.Hold([id], HoldChange.Set, 0, Id16.None);
        var until = vault.Keeper.Clock.Now + 30 * Day;
        Assert.InRange(record.HeldUntil, until - 5, until);
        Assert.Equal(record.HeldUntil, record.Expiry);
        foreach (var change in Enum.GetValues<HoldChange>())
            Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Hold([id], change, until + Day, Id16.None)));
        Append(test, vault, new Leaf(LeafType.Hold, vault.Keeper.Clock.Now, id, Id16.None, 0, 0, (ulong)HoldChange.Lifted, Hash32.None), new Leaf(LeafType.Hold, vault.Keeper.Clock.Now, id, Id16.None, until + Day, 0, (ulong)HoldChange.Set, Hash32.None));
        Assert.InRange(vault.State.Snapshots[0].HeldUntil, until - 5, until);
        Assert.Equal([LeafFault.NotApproved, LeafFault.NotApproved], vault.State.Refused.Select(r => r.Fault));

        vault.Keeper.Decide(Signed(new ApprovalRequest.HoldLonger(vault.Keeper.NewRequest(Id16.None, Day, null), until + 60 * Day, [id]), Decision.Approved, 0, 1));
        record = vault.State.Snapshots[0];
        Assert.Equal((until + 60 * Day, until + 60 * Day), (record.HeldUntil, record.Expiry));
        test.Machine.Pass(70 * Day);
        vault.Keeper.Expire(dryRun: false);
        Assert.False(vault.State.Snapshots[0].IsRemoved);

        vault.Keeper.Decide(Signed(new ApprovalRequest.HoldLifted(vault.Keeper.NewRequest(Id16.None, Day, null), [id]), Decision.Approved, 1, 2));
        record = vault.State.Snapshots[0];
        Assert.Equal((0UL, until + 60 * Day), (record.HeldUntil, record.Expiry));
    }

    [Fact]
    public void One_person_holds_no_more_than_a_hundred_snapshots_in_thirty_days()
    {
        _test.Write("a", "a");
        using var vault = _test.Open();
        var ids = Enumerable.Range(0, 3).Select(n => _test.BackUp(vault, $"s{n}").Snapshot).ToList();
        var (now, last) = (vault.Keeper.Clock.Now, vault.State.Whole(vault.State.Snapshots[^1])!);
        for (var i = 0; i < VaultKeeper.MostHeldAlone; i++)
            vault.Keeper.Commit(_test.Again(last));
        vault.Keeper.Hold([.. vault.State.Snapshots.Skip(3).Select(s => s.Snapshot)], HoldChange.Set, 0, Id16.None);
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => vault.Keeper.Hold(ids, HoldChange.Set, 0, Id16.None)));
        _test.Machine.Pass(30 * Day + 60);
        Assert.Equal(ErrorCode.LockRefused, Refused(() => { vault.Keeper.Expire(dryRun: false); _test.Machine.Pass(60 * Day); vault.Keeper.Expire(dryRun: false); vault.Keeper.Hold(ids, HoldChange.Set, 0, Id16.None); }));
    }

    [Fact]
    public void Where_there_are_no_approvers_nothing_is_weakened_and_one_administrator_does_the_rest()
    {
        _alone.WriteSome();
        var id = _alone.BackUp().Snapshot;
        using var vault = _alone.Open();
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1))));
        vault.Keeper.Hold([id], HoldChange.Set, 0, Id16.None);
        var until = vault.Keeper.Clock.Now + 60 * Day;
        vault.Keeper.Hold([id], HoldChange.Longer, until, Id16.None);
        Assert.Equal((until, until), (vault.State.Snapshots[0].HeldUntil, vault.State.Snapshots[0].Expiry));
        vault.Keeper.Hold([id], HoldChange.Lifted, 0, Id16.None);
        Assert.Equal((0UL, until), (vault.State.Snapshots[0].HeldUntil, vault.State.Snapshots[0].Expiry));
        vault.Keeper.RevokeAgent(_alone.Keys.Agent.Agent);
        Assert.Null(vault.State.Agent(_alone.Keys.Agent.Agent));
        Assert.Empty(vault.State.Refused);
    }

    [Fact]
    public void Where_an_approval_is_lost_what_protects_longer_stays_and_nobody_is_accused()
    {
        Hash32 name;
        using (var vault = _test.Open())
        {
            vault.Keeper.Decide(Signed(Weaker(vault), Decision.Approved, 0, 1));
            Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 1), out var leaf));
            name = leaf.Payload;
            _test.Machine.Pass(4 * Day);
            vault.Keeper.SetPolicy(_test.Keys.Put.Domain.SourceId("x"u8), new PolicyChange(Base: 40 * Day), Id16.None);
            Assert.Equal(5 * Day, vault.State.PolicyFor(Id16.None).Base);
        }
        _test.Lose(name);
        using var after = _test.Open();
        Assert.Equal(30 * Day, after.State.PolicyFor(Id16.None).Base);
        Assert.Contains(name, after.State.Unreadable);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_policy_that_locks_for_less_than_the_vault_allows_or_more_is_not_taken()
    {
        using var vault = _test.Open();
        var short_ = Weaker(vault) with { After = vault.State.PolicyFor(Id16.None) with { Base = Day - 1 } };
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(short_, Decision.Approved, 0, 1))));
        var long_ = Weaker(vault) with { After = vault.State.PolicyFor(Id16.None) with { Base = 4_000 * Day } };
        Assert.Equal(ErrorCode.LockTooLong, Refused(() => vault.Keeper.Decide(Signed(long_, Decision.Approved, 0, 1))));
        Assert.Empty(vault.State.Requests);
    }

    [Fact]
    public void An_approval_that_dies_anywhere_is_there_or_not_and_comes_into_force_once()
    {
        var calls = 0;
        for (var hasFailed = true; hasFailed; calls++)
        {
            using var test = new TestVault(new RetentionPolicy(30 * Day, 0, 0, 0, 0, 0), approvers: Set(2, 0, 1, 2));
            ApprovalObject approval;
            using (var vault = test.Open())
                approval = Signed(Weaker(vault), Decision.Approved, 0, 1);
            var disk = new FaultyDisk(calls, Fault.Stop);
            var isTaken = false;
            try
            {
                using var vault = test.Open(disk);
                vault.Keeper.Decide(approval);
                isTaken = true;
                test.Machine.Pass(3 * Day + 60);
                vault.Keeper.SetPolicy(new Id16(new byte[15].Append((byte)1).ToArray()), new PolicyChange(Base: 40 * Day), Id16.None);
            }
            catch (HoldfastException)
            {
                // As after a power cut: what counts is what is there now.
            }
            hasFailed = disk.HasFailed;
            test.Machine.Pass(4 * Day);
            using var after = test.Open();
            Assert.True(after.State.Requests.Count == 1 || !isTaken);
            after.Keeper.Decide(approval); // again, if need be
            test.Machine.Pass(4 * Day);
            after.Keeper.SetPolicy(new Id16(new byte[15].Append((byte)2).ToArray()), new PolicyChange(Base: 41 * Day), Id16.None);
            Assert.Equal((5 * Day, 1), (after.State.PolicyFor(Id16.None).Base, after.State.Requests.Count));
            Assert.Equal(1, Enumerable.Range(0, (int)after.Keeper.Log.Size).Count(i => Leaf.TryParse(after.Keeper.Log.Leaf(i), out var leaf) && leaf.Type == LeafType.InForce));
            Assert.Empty(after.State.Refused);
        }
        Assert.InRange(calls, 20, 500);
    }

    [Fact]
    public void Objecting_does_not_fill_the_log()
    {
        using var vault = _test.Open();
        for (var i = 0; i < 100; i++)
            vault.Keeper.Decide(Signed(Weaker(vault), Decision.Objected, 0));
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => vault.Keeper.Decide(Signed(Weaker(vault), Decision.Objected, 0))));
        var asked = Weaker(vault);
        vault.Keeper.Decide(Signed(asked, Decision.Approved, 1, 2));
        Assert.Equal(Id(0), vault.Keeper.Decide(Signed(asked, Decision.Objected, 0)).Objector); // what was approved can always be stopped
    }
}
