using System.Security.Cryptography;
using System.Text;
using Holdfast.Cli.Commands;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What a source marked as sensitive holds comes into isolation alone, and out of it with several people or a recorded word.</summary>
public sealed class SensitiveTests : IDisposable
{
    readonly List<Ed25519Signer> _people = [.. Enumerable.Range(1, 4).Select(n => new Ed25519Signer(SHA256.HashData([(byte)n])))];
    readonly TestVault _test;

    public SensitiveTests()
    {
        _test = new TestVault(approvers: Set(1, 0, 1, 2)); // the smallest quorum: two are needed all the same
        _test.Write("notes", "psychiatric");
        _test.BackUp(name: "ward");
        _test.BackUp(name: "notes");
    }

    public void Dispose()
    {
        _test.Dispose();
        _people.ForEach(p => p.Dispose());
    }

    ApproverSet Set(int quorum, params int[] who) => ApproverSet.Of(quorum, who.Select(w => _people[w].PublicKey.ToArray()))!;

    Id16 Id(int who) => Approver.Of(_people[who].PublicKey).Id;

    static readonly Hash32 Secret = new(SHA256.HashData("secret"u8));
    static readonly Hash32 Commitment = new(SHA256.HashData(Secret.ToArray()));

    /// <summary>The snapshots, by the order of their backups.</summary>
    static SnapshotRecord Ward(Vault vault) => vault.State.Snapshots[0];
    static SnapshotRecord Notes(Vault vault) => vault.State.Snapshots[1];

    static EmergencyObject Step(Vault vault, EmergencyStep step, EmergencyObject? of = null, Id16 approver = default) =>
        vault.Emergency(step, of?.Emergency ?? Id16.New(), of?.Place ?? Id16.New(), of?.Snapshot ?? Notes(vault).Snapshot, step == EmergencyStep.Begun ? Commitment : Secret, approver, "Dr Who", "the ward has no charts", "into /srv/place", 1_800_000_000);

    static EmergencyObject Begin(Vault vault, Id16 approver = default)
    {
        var begun = Step(vault, EmergencyStep.Begun, approver: approver);
        vault.Keeper.Enter(begun);
        return begun;
    }

    static ApprovalRequest.Release Asks(Vault vault, EmergencyObject begun) => new(vault.Keeper.NewRequest(default, TestVault.Day, null), begun.Emergency, begun.Snapshot, begun.Place, begun.Approver);

    static ApprovalRequest.Unmark AsksToUnmark(Vault vault, Id16 source) => new(vault.Keeper.NewRequest(default, 7 * TestVault.Day, null), source, vault.State.Sensitive[source]);

    ApprovalObject Signed(ApprovalRequest asked, params int[] who) =>
        who.Aggregate(new RequestFile(asked.ToArray(), null, []), (file, w) => file.Sign(Decision.Approved, _people[w])).All(Decision.Approved)!;

    static HoldfastException Refused(Action act) => Assert.Throws<HoldfastException>(act);

    void Append(Vault vault, params Leaf[] leaves) => Append(_test, vault, leaves);

    /// <summary>As whoever has the log's key does.</summary>
    static void Append(TestVault test, Vault vault, params Leaf[] leaves)
    {
        using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([.. leaves.Select(l => l.ToArray())], signer);
        vault.Keeper.Refresh();
    }

    void Restore(Vault vault, SnapshotRecord record, bool isIsolated)
    {
        var target = _test[$"restored-{Id16.New()}"];
        using var keys = vault.Unlock(_test.Seed);
        vault.RequireRestorable(record, keys, isIsolated);
        using var writer = FileTarget.Create(target, new FileTargetOptions());
        vault.Restore(record, keys, writer, new PathFilter(null), new RestoreProgress(), 1, CancellationToken.None, isIsolated: isIsolated);
        Assert.Equal("psychiatric", File.ReadAllText(Path.Combine(target, "notes")));
    }

    string Cat(Vault vault, SnapshotRecord record, bool isReleased = false)
    {
        using var keys = vault.Unlock(_test.Seed);
        using var output = new MemoryStream();
        vault.Cat(record, keys, "notes"u8.ToArray(), output, CancellationToken.None, isReleased: isReleased);
        return Encoding.UTF8.GetString(output.ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_marked_source_holds_is_brought_into_isolation_alone(bool areAll)
    {
        using var vault = _test.Open();
        Restore(vault, Notes(vault), isIsolated: false);
        Assert.True(vault.Keeper.MarkSensitive(areAll ? Id16.None : Notes(vault).Source, Id16.None));
        Assert.False(vault.Keeper.MarkSensitive(areAll ? Id16.None : Notes(vault).Source, Id16.None)); // no second leaf
        var refused = Refused(() => Restore(vault, Notes(vault), isIsolated: false));
        Assert.Equal(ErrorCode.SensitiveSource, refused.Code);
        Assert.Contains($"holdfast restore {Notes(vault).Snapshot} PLACE --isolated --reason", refused.Guidance, StringComparison.Ordinal);
        using (var keys = vault.Unlock(_test.Seed))
        using (var writer = FileTarget.Create(_test["unasked"], new FileTargetOptions()))
            Assert.Equal(ErrorCode.SensitiveSource, Refused(() => vault.Restore(Notes(vault), keys, writer, new PathFilter(null), new RestoreProgress(), 1, CancellationToken.None)).Code); // though nobody asked before
        Assert.Equal(ErrorCode.SensitiveSource, Refused(() => Cat(vault, Notes(vault))).Code);
        Assert.Contains("--clinical-emergency", Refused(() => Cat(vault, Notes(vault))).Guidance, StringComparison.Ordinal);
        Assert.Equal("psychiatric", Cat(vault, Notes(vault), isReleased: true));
        Restore(vault, Notes(vault), isIsolated: true);
        if (areAll)
            Assert.Equal(ErrorCode.SensitiveSource, Refused(() => Restore(vault, Ward(vault), isIsolated: false)).Code);
        else
        {
            Restore(vault, Ward(vault), isIsolated: false);
            Assert.Equal("psychiatric", Cat(vault, Ward(vault)));
        }
        _test.BackUp(name: "notes");
        using var after = _test.Open();
        Assert.Equal(ErrorCode.SensitiveSource, Refused(() => Restore(after, after.Find("latest"), isIsolated: false)).Code); // of later backups too
        Assert.Contains(GovernanceReport.Lines(after), l => l.Title == "Sensitive");
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_release_takes_two_people_whatever_the_quorum_or_the_recorded_word()
    {
        using var vault = _test.Open();
        vault.Keeper.MarkSensitive(Notes(vault).Source, Id16.None);
        var begun = Begin(vault, Id(0));
        Assert.Equal(2, vault.State.Needs(Asks(vault, begun)));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 1))).Code);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 0, 1))).Code); // who began it does not count
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun))).Code);
        vault.Keeper.Decide(Signed(Asks(vault, begun), 1, 2));
        vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun));
        var other = Begin(vault);
        vault.Keeper.Enter(Step(vault, EmergencyStep.Overridden, other)); // care waits for nobody
        using var after = _test.Open();
        Assert.Equal([EmergencyStep.Released, EmergencyStep.Overridden], after.State.Emergencies.Select(e => e.End!.Step));
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_larger_quorum_is_the_number_that_it_takes()
    {
        using var three = new TestVault(approvers: Set(3, 0, 1, 2, 3));
        three.Write("notes", "psychiatric");
        three.BackUp();
        using var vault = three.Open();
        vault.Keeper.MarkSensitive(Ward(vault).Source, Id16.None);
        var begun = vault.Emergency(EmergencyStep.Begun, Id16.New(), Id16.New(), Ward(vault).Snapshot, Commitment, Id16.None, "Dr Who", "reason", "", 1);
        vault.Keeper.Enter(begun);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(Asks(vault, begun), 0, 1))).Code);
        Assert.True(vault.Keeper.Decide(Signed(Asks(vault, begun), 0, 1, 3)).InForce > 0);
        Assert.True(vault.State.IsReleaseApproved(vault.State.Emergencies[0]));
    }

    /// <summary>One who approved before does not let out what was marked since.</summary>
    [Fact]
    public void A_mark_counts_for_a_release_that_was_approved_before_it()
    {
        using var vault = _test.Open();
        var begun = Begin(vault);
        vault.Keeper.Decide(Signed(Asks(vault, begun), 1));
        Assert.True(vault.State.IsReleaseApproved(vault.State.Emergencies[0]));
        vault.Keeper.MarkSensitive(Notes(vault).Source, Id16.None);
        Assert.False(vault.State.IsReleaseApproved(vault.State.Emergencies[0]));
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun))).Code);
        vault.Keeper.Decide(Signed(Asks(vault, begun), 0, 2));
        vault.Keeper.Enter(Step(vault, EmergencyStep.Released, begun));
        using var after = _test.Open();
        Assert.False(after.State.Emergencies[0].IsOpen);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_mark_is_taken_back_by_two_people_after_three_days_and_by_nobody_alone()
    {
        using var vault = _test.Open();
        var source = Notes(vault).Source;
        vault.Keeper.MarkSensitive(source, Id16.None);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(Signed(AsksToUnmark(vault, source), 1))).Code);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(AsksToUnmark(vault, source) with { Marked = 1 }, 1, 2))).Code);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(AsksToUnmark(vault, source) with { Source = Id16.None }, 1, 2))).Code);
        var old = Signed(AsksToUnmark(vault, source), 0, 2);
        Assert.Equal(0UL, vault.Keeper.Decide(Signed(AsksToUnmark(vault, source), 1, 2)).InForce);
        _test.Machine.Pass(3 * TestVault.Day - 60);
        vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);
        Assert.True(vault.State.IsSensitive(source));
        _test.Machine.Pass(120);
        vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);
        Assert.False(vault.State.IsSensitive(source));
        Restore(vault, Notes(vault), isIsolated: false);
        Assert.True(vault.Keeper.MarkSensitive(source, Id16.None));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(old)).Code); // what was signed for the first mark does nothing to the second
        using var after = _test.Open();
        Assert.True(after.State.IsSensitive(source));
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void The_logs_key_takes_no_mark_back_and_releases_nothing()
    {
        using var vault = _test.Open();
        var (source, now) = (Notes(vault).Source, vault.Keeper.Clock.Now);
        vault.Keeper.MarkSensitive(source, Id16.None);
        var begun = Begin(vault);
        var alone = Signed(Asks(vault, begun), 1);
        var unmark = Signed(AsksToUnmark(vault, source), 1);
        Leaf Of(ApprovalObject approval, ulong from) => new(LeafType.Approval, now, approval.Asked.Head.Id, Id16.None, (ulong)approval.Asked.Kind, from, (ulong)approval.Signatures.Count, vault.Keeper.Store.PutObject(approval.ToArray()));
        Append(vault,
            new Leaf(LeafType.Sensitive, now, source, Id16.None, 2, 0, 0, Hash32.None), // of no kind that there is
            new Leaf(LeafType.InForce, now, Id16.New(), Id16.None, (ulong)RequestKind.Unmark, 0, 0, Hash32.None),
            Of(alone, now), new Leaf(LeafType.InForce, now, alone.Asked.Head.Id, Id16.None, (ulong)RequestKind.Release, 0, 0, Hash32.None),
            Of(unmark, now + 3 * TestVault.Day), new Leaf(LeafType.InForce, now + 3 * TestVault.Day, unmark.Asked.Head.Id, Id16.None, (ulong)RequestKind.Unmark, 0, 0, Hash32.None),
            new Leaf(LeafType.Emergency, now, begun.Emergency, begun.Place, (ulong)EmergencyStep.Released, 0, 0, vault.Keeper.Store.PutObject(Step(vault, EmergencyStep.Released, begun).ToArray())));
        Assert.True(vault.State.IsSensitive(source));
        Assert.True(vault.State.Emergencies[0].IsOpen);
        Assert.Equal(6, vault.State.Refused.Count);
        Assert.All(vault.State.Refused, r => Assert.Equal(LeafFault.NotApproved, r.Fault));
    }

    /// <summary>Of which source it was, its object said: who lets something out takes it for a sensitive one, and nobody is accused of what was done while it could be told.</summary>
    [Fact]
    public void A_snapshot_that_cannot_be_read_may_be_of_a_marked_source()
    {
        EmergencyObject ward, notes;
        using (var vault = _test.Open())
        {
            vault.Keeper.MarkSensitive(Notes(vault).Source, Id16.None);
            ward = vault.Emergency(EmergencyStep.Begun, Id16.New(), Id16.New(), Ward(vault).Snapshot, Commitment, Id16.None, "Dr Who", "reason", "", 1);
            vault.Keeper.Enter(ward);
            vault.Keeper.Decide(Signed(Asks(vault, ward), 1));
            vault.Keeper.Enter(Step(vault, EmergencyStep.Released, ward));
            notes = Begin(vault);
            vault.Keeper.Decide(Signed(Asks(vault, notes), 1, 2));
            _test.Lose(Ward(vault).Name);
            _test.Lose(Notes(vault).Name);
        }
        using var after = _test.Open();
        Assert.Empty(after.State.Refused);
        Assert.False(after.State.Emergencies[0].IsOpen);
        Assert.Equal(ErrorCode.SensitiveSource, Refused(() => after.RequireNotSensitive(Ward(after))).Code);
        Assert.DoesNotContain("SENSITIVE", EmergencyCommand.Words(after.State, after.State.Emergencies[0]), StringComparison.Ordinal); // what is told accuses nobody
        var again = after.Emergency(EmergencyStep.Begun, Id16.New(), Id16.New(), Ward(after).Snapshot, Commitment, Id16.None, "Dr Who", "reason", "", 1);
        after.Keeper.Enter(again);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => after.Keeper.Decide(Signed(Asks(after, again), 1))).Code);
        after.Keeper.Enter(Step(after, EmergencyStep.Released, notes));
        Assert.Empty(after.State.Refused);
    }

    /// <summary>A mark that nobody could take back, with no way out but one person's word, is not made.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Nothing_is_marked_where_fewer_than_two_approve(int people)
    {
        using var alone = new TestVault(approvers: people == 0 ? null : Set(1, 0));
        using var vault = alone.Open();
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.MarkSensitive(Id16.None, Id16.None)).Code);
        Assert.Empty(vault.State.Sensitive);
    }

    /// <summary>Else one leaf has every restore of a small vault end in isolation, for as long as there is that vault.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Nor_is_a_mark_believed_there_that_the_logs_key_made(int people)
    {
        using var alone = new TestVault(approvers: people == 0 ? null : Set(1, 0));
        alone.Write("notes", "psychiatric");
        alone.BackUp();
        using var vault = alone.Open();
        Append(alone, vault, new Leaf(LeafType.Sensitive, vault.Keeper.Clock.Now, Id16.None, Id16.None, 1, 0, 0, Hash32.None), new Leaf(LeafType.Sensitive, vault.Keeper.Clock.Now, Ward(vault).Source, Id16.None, 1, 0, 0, Hash32.None));
        foreach (var state in new[] { vault, alone.Open() })
        {
            using (state)
            {
                Assert.Empty(state.State.Sensitive);
                state.RequireNotSensitive(Ward(state));
                Assert.Equal([LeafFault.NotApproved, LeafFault.NotApproved], state.State.Refused.Select(r => r.Fault));
            }
        }
    }

    [Fact]
    public void Marks_do_not_fill_the_log()
    {
        using var vault = _test.Open();
        Append(vault, [.. Enumerable.Range(0, VaultKeeper.MostSensitive).Select(_ => new Leaf(LeafType.Sensitive, vault.Keeper.Clock.Now, Id16.New(), Id16.None, 1, 0, 0, Hash32.None))]);
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => vault.Keeper.MarkSensitive(Notes(vault).Source, Id16.None)).Code);
        Assert.True(vault.Keeper.MarkSensitive(Id16.None, Id16.None)); // who needs more has all
        Assert.True(vault.State.IsSensitive(Notes(vault).Source));
    }

    /// <summary>What the log's key marked has no name to be asked for by.</summary>
    [Fact]
    public void A_mark_is_taken_back_by_the_id_of_its_source()
    {
        using var vault = _test.Open();
        var junk = Id16.New();
        Append(vault, new Leaf(LeafType.Sensitive, vault.Keeper.Clock.Now, junk, Id16.None, 1, 0, 0, Hash32.None));
        Assert.Null(ApprovalRequests.IdOf(Id16.None.ToString()));
        Assert.Null(ApprovalRequests.IdOf($"{junk}0"));
        vault.Keeper.Decide(Signed(AsksToUnmark(vault, ApprovalRequests.IdOf(junk.ToString())!.Value), 1, 2));
        _test.Machine.Pass(3 * TestVault.Day + 60);
        vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);
        Assert.Empty(vault.State.Sensitive);
    }

    /// <summary>Who may only read, or back up, does not have all restores of others refused.</summary>
    [Fact]
    public void Only_who_may_manage_a_vault_marks_from_afar()
    {
        using var vault = _test.Open();
        var (desk, request) = (new KeeperDesk(vault.Keeper), new KeeperRequest.Mark(Notes(vault).Source, Id16.New())); // as another
        foreach (var role in Enum.GetValues<KeeperRole>().Where(r => r != KeeperRole.Manage))
            Assert.Equal(ErrorCode.NoPermission, Refused(() => desk.Answer(new KeeperClient($"{role}", role, ""), request)).Code);
        var admin = new KeeperClient("admin", KeeperRole.Manage, Secret.ToString());
        Assert.Equal([1], desk.Answer(admin, request));
        Assert.Equal([0], desk.Answer(admin, request));
        Assert.True(vault.State.IsSensitive(Notes(vault).Source));
        Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 1), out var leaf));
        Assert.Equal(admin.Identity, leaf.Actor);
        Assert.Contains($"by the keeper's client {admin.Identity.ToString()[..8]}", LeafWords.Of(leaf), StringComparison.Ordinal);
    }
}
