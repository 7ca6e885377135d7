using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What others say of the time: it holds an expiry up, and ends no lock.</summary>
public sealed class TimeTests : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly List<Ed25519Signer> _signers = [.. Enumerable.Range(1, 2).Select(n => new Ed25519Signer(SHA256.HashData([(byte)n, 7])))];
    readonly List<TestVault> _tests = [];

    public void Dispose()
    {
        _tests.ForEach(t => t.Dispose());
        _signers.ForEach(s => s.Dispose());
        _people.ForEach(p => p.Dispose());
    }

    CosignerKey Key(int witness) => new($"witness.example/w{witness}", _signers[witness].PublicKey.ToArray());

    TestVault Make(int witnesses)
    {
        var test = new TestVault(witnesses: [.. Enumerable.Range(0, witnesses).Select(Key)]);
        _tests.Add(test);
        return test;
    }

    static ulong Now(TestVault test) => test.Machine.Wall / 1_000;

    /// <summary>A witness cosigns the log as it is, and says that it is so late.</summary>
    void Cosign(TestVault test, int witness, ulong time)
    {
        using var vault = test.Open();
        vault.Keeper.Cosigned.Keep(vault.Keeper.Log.Checkpoint!.Cosign(Key(witness), _signers[witness], time));
    }

    static int Expire(TestVault test)
    {
        using var vault = test.Open();
        return vault.Keeper.Expire(dryRun: false).Names.Count;
    }

    static VaultTime Time(TestVault test)
    {
        using var vault = test.Open();
        return vault.Keeper.Time();
    }

    [Fact]
    public void A_witness_that_is_silent_or_behind_stops_expiry_and_no_backup()
    {
        var test = Make(2);
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(100 * Day);
        Assert.Equal(0, Expire(test)); // neither has ever said anything
        Assert.Equal(TimeState.Frozen, Time(test).State);

        Cosign(test, 0, Now(test));
        Assert.Equal(0, Expire(test)); // one has
        Assert.Equal(Key(1).Name, Assert.Single(Time(test).Silent).Name);

        Cosign(test, 1, 1_800_000_000 + 30 * Day); // the lock is over by it, and the margin is not
        Assert.Equal(0, Expire(test));
        test.WriteSome(2);
        Assert.Equal(30UL, (test.BackUp().Receipt.Expiry - Now(test)) / Day); // backups go on

        Cosign(test, 1, Now(test));
        Assert.Equal(TimeState.Sure, Time(test).State);
        Assert.True(Expire(test) > 0);
    }

    [Fact]
    public void Of_a_keeper_elsewhere_nothing_is_said_to_be_sure()
    {
        var time = new VaultTime(0, 0, [new TimeSource(TimeSourceKind.Wall, "", 5 * Day), new TimeSource(TimeSourceKind.Counted, "", 5 * Day)]);
        Assert.Equal((TimeState.Sure, TimeState.Unknown), (time.State, (time with { IsElsewhere = true }).State));
        Assert.StartsWith("unknown here", Holdfast.Cli.Commands.TimeReport.Lines(time with { IsElsewhere = true }).First(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_witness_that_is_ahead_is_told_with_what_to_do()
    {
        var test = Make(1);
        test.WriteSome();
        test.BackUp();
        Cosign(test, 0, Now(test));
        using var vault = test.Open();
        Assert.Null(Holdfast.Cli.Commands.TimeReport.Advice(vault.Keeper.Time(), vault));
        Cosign(test, 0, Now(test) + 3 * Day);
        var time = vault.Keeper.Time();
        Assert.Equal(TimeState.Doubted, time.State);
        Assert.Contains(Key(0).Name, Holdfast.Cli.Commands.TimeReport.Advice(time, vault)!, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_witness_that_lies_ahead_ends_no_lock()
    {
        var test = Make(1);
        test.WriteSome();
        test.BackUp();
        Cosign(test, 0, LockRules.LastEnd + 5);
        Assert.Equal(0, Expire(test));
        Assert.Equal((TimeState.Doubted, Now(test)), (Time(test).State, Time(test).Certain));
        Assert.Equal(30UL, (test.BackUp().Receipt.Expiry - Now(test)) / Day); // and makes none longer
        test.Machine.Wall += 400 * Day * 1_000; // somebody sets this machine's clock forward besides
        Assert.Equal(0, Expire(test));
    }

    [Fact]
    public void An_expiry_says_by_which_time_it_was_judged()
    {
        var test = Make(1);
        test.WriteSome();
        test.BackUp();
        var said = Now(test) + 60 * Day;
        test.Machine.Pass(100 * Day);
        Cosign(test, 0, said);
        Assert.True(Expire(test) > 0);
        using var vault = test.Open();
        Assert.True(Leaf.TryParse(vault.Keeper.Log.Leaf(vault.Keeper.Log.Size - 1), out var leaf));
        Assert.Equal((LeafType.Expiry, said), (leaf.Type, leaf.A));
    }

    [Fact]
    public void A_cosignature_of_another_log_or_by_another_key_says_nothing()
    {
        var (test, other) = (Make(1), Make(1));
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(100 * Day);
        Cosign(other, 0, Now(test));
        File.WriteAllBytes(Path.Combine(test.Folder, "log/cosigned"), File.ReadAllBytes(Path.Combine(other.Folder, "log/cosigned")));
        Directory.CreateDirectory(Path.Combine(test.Folder, "log/cosigned.by"));
        foreach (var file in Directory.GetFiles(Path.Combine(other.Folder, "log/cosigned.by")))
            File.Copy(file, Path.Combine(test.Folder, "log/cosigned.by", Path.GetFileName(file)), overwrite: true);
        Assert.Equal(0UL, Time(test).Certain);
        using (var vault = test.Open())
        {
            vault.Keeper.Cosigned.Keep(vault.Keeper.Log.Checkpoint!.Cosign(Key(0), _signers[1], Now(test)));
            vault.Keeper.Cosigned.Keep(vault.Keeper.Log.Checkpoint!.Cosign(Key(1), _signers[1], Now(test)));
        }
        Assert.Equal(0UL, Time(test).Certain);
        Assert.Equal(0, Expire(test));
    }

    /// <summary>Whoever owns the vault, with the log's key, gives up all when its time has come by this machine, and takes away what the witness said: the guard waits for that itself.</summary>
    [Fact]
    public void The_guard_waits_for_the_witness_whatever_the_log_gives_up()
    {
        var test = Make(1);
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        test.Machine.Pass(100 * Day);
        using (var vault = test.Open())
        {
            var names = vault.Keeper.Store.List(StoreKind.Pack).Select(p => (StoreKind.Pack, p.Name)).ToList();
            using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
            var list = vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, new Hash32(SHA256.HashData([1])), names).ToArray());
            MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([new Leaf(LeafType.Expiry, Now(test), Id16.New(), Id16.None, Now(test), 1, 1, list).ToArray()], signer);
        }
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.Equal(Verdict.Kept, judge.Judge(StoreKind.Pack, p)));
        Cosign(test, 0, Now(test));
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.Equal(Verdict.Free, judge.Judge(StoreKind.Pack, p)));
        File.Delete(Assert.Single(Directory.GetFiles(Path.Combine(test.Folder, "log/cosigned.by"))));
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.Equal(Verdict.Kept, judge.Judge(StoreKind.Pack, p)));
    }

    static List<Hash32> Packs(TestVault test)
    {
        using var vault = test.Open();
        return [.. vault.Keeper.Store.List(StoreKind.Pack).Select(p => p.Name)];
    }

    static GuardJudge Judge(TestVault test, Disk? disk = null) => new(test.Folder, VaultFile.Read(test.Folder), 1, test["guard"], test.Machine, disk ?? Disk.Real, GuardMemory.MaxSize);

    [Fact]
    public void A_store_whose_clock_is_behind_or_that_does_not_tell_stops_expiry()
    {
        using var folder = new TempFolder();
        var store = new LockingFolder(folder["store"]);
        using var test = new TestVault(stores: store);
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(100 * Day);
        foreach (var says in new ulong[] { 0, Now(test) - 60 * Day })
        {
            store.Says = says;
            Assert.Equal(0, Expire(test));
            Assert.Equal(TimeState.Frozen, Time(test).State);
        }
        store.Says = store.Now = Now(test);
        Assert.True(Expire(test) > 0);
    }

    const ulong Off = 60 * Day;

    readonly List<Ed25519Signer> _people = [.. Enumerable.Range(1, 3).Select(n => new Ed25519Signer(SHA256.HashData([(byte)n, 9])))];

    TestVault MakeApproved(RetentionPolicy? policy = null, IObjectStores? stores = null)
    {
        var test = new TestVault(policy, stores: stores, approvers: ApproverSet.Of(2, _people.Select(p => p.PublicKey.ToArray())));
        _tests.Add(test);
        return test;
    }

    ApprovalObject Signed(ApprovalRequest asked, params int[] who) =>
        who.Aggregate(new RequestFile(asked.ToArray(), null, []), (file, w) => file.Sign(Decision.Approved, _people[w])).All(Decision.Approved) ?? ApprovalObject.Of(asked.ToArray(), Decision.Approved, []);

    static ApprovalRequest.Time Ask(TestVault test, Vault vault, ulong open = Day, ulong? now = null) =>
        new(vault.Keeper.NewRequest(Id16.None, open, null), vault.State.SetForward, vault.Keeper.Clock.Passed, now ?? Now(test));

    /// <summary>The machine is off for so long, and starts again.</summary>
    static void PowerOff(TestVault test, ulong seconds = Off)
    {
        test.Machine.Wall += seconds * 1_000;
        test.Machine.SinceBoot = 60_000;
        test.Machine.BootId = $"boot-{Id16.New()}";
    }

    static ErrorCode Refused(Action act) => Assert.Throws<HoldfastException>(act).Code;

    /// <summary>Seconds from what has passed for certain to the end of each lock.</summary>
    static List<ulong> Left(TestVault test)
    {
        using var vault = test.Open();
        return [.. vault.State.Snapshots.Where(s => !s.IsRemoved).Select(s => s.Expiry - vault.Keeper.Clock.Passed)];
    }

    [Fact]
    public void Approvers_set_the_clock_right_and_no_lock_is_shorter_by_it()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp(); // by a clock that is right
        test.Machine.Pass(5 * Day);
        test.BackUp();
        PowerOff(test);
        test.WriteSome(2);
        var second = test.BackUp(); // by one that is behind
        Assert.Equal(TimeState.Doubted, Time(test).State);
        var before = Left(test);
        using (var vault = test.Open())
        {
            var record = vault.Keeper.Decide(Signed(Ask(test, vault), 0, 2));
            Assert.True(record.InForce >= Now(test));
            Assert.InRange(vault.Keeper.Clock.Now, Now(test) - 1, Now(test) + 1);
        }
        Assert.Equal(TimeState.Sure, Time(test).State);
        Assert.All(Left(test).Zip(before), l => Assert.InRange(l.First, l.Second, l.Second + 2));
        using (var after = test.Open())
        {
            Assert.Empty(after.State.Refused);
            Assert.True(after.State.Find(second.Snapshot)!.Expiry >= Now(test) + 30 * Day);
            Assert.InRange(after.State.SetForward, Off - 100, Off + 200);
        }
        Assert.Equal(30UL, (test.BackUp().Receipt.Expiry - Now(test)) / Day);
        test.Machine.Pass(38 * Day);
        Assert.Equal(0, Expire(test)); // the first one's lock has 25 days left, and 14 of margin
        test.Machine.Pass(60 * Day);
        Assert.True(Expire(test) > 0);
    }

    [Fact]
    public void Holds_waiting_approvals_and_open_places_move_with_the_clock()
    {
        var test = MakeApproved(new RetentionPolicy(30 * Day, 5, 0, 0, 0, 0));
        test.WriteSome();
        var first = test.BackUp().Snapshot;
        using (var vault = test.Open())
        {
            vault.Keeper.Hold([first], HoldChange.Set, 0, Id16.None);
            var policy = vault.State.PolicyFor(Id16.None);
            vault.Keeper.Decide(Signed(new ApprovalRequest.Policy(vault.Keeper.NewRequest(Id16.None, Day, null), Id16.None, policy, policy with { Weeks = 0 }), 0, 1));
        }
        PowerOff(test, 4 * Day);
        ulong held, from;
        using (var vault = test.Open())
        {
            (held, from) = (vault.State.Find(first)!.HeldUntil, vault.State.Requests[0].From);
            vault.Keeper.Decide(Signed(Ask(test, vault), 1, 2));
            var step = vault.State.SetForward;
            Assert.InRange(step, 4 * Day - 100, 4 * Day + 100);
            Assert.Equal((held + step, from + step), (vault.State.Find(first)!.HeldUntil, vault.State.Requests[0].From));
            vault.Keeper.SetPolicy(new Id16(new byte[15].Append((byte)1).ToArray()), new PolicyChange(Base: 40 * Day), Id16.None);
            Assert.Equal(0UL, vault.State.Requests[0].InForce); // its three days are not over
            Assert.Equal(4 * Day, vault.State.Find(first)!.Moved / Day * Day + (vault.State.Find(first)!.Moved % Day > Day / 2 ? Day : 0));
        }
        test.Machine.Pass(3 * Day + 200);
        test.WriteSome(2);
        test.BackUp();
        using var after = test.Open();
        Assert.True(after.State.Requests[0].InForce > 0);
        Assert.Empty(after.State.Refused);
    }

    [Fact]
    public void A_lock_that_moved_with_the_clock_takes_no_place_from_a_later_one()
    {
        var test = MakeApproved(new RetentionPolicy(30 * Day, 5, 0, 0, 0, 0)); // a week's place is 35 days
        test.Machine.Wall = 1_800_000_000_000;
        test.WriteSome();
        var first = test.BackUp();
        Assert.Equal(35UL, (first.Receipt.Expiry - first.Receipt.Committed) / Day);
        var small = test.BackUp(); // of the same day: the place is taken
        Assert.Equal(30UL, (small.Receipt.Expiry - small.Receipt.Committed) / Day);
        PowerOff(test, 6 * Day);
        using (var vault = test.Open())
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
        using var after = test.Open();
        var record = after.State.Find(small.Snapshot)!;
        Assert.Equal(30UL, (record.Expiry - record.Moved - record.Committed) / Day);
    }

    [Theory]
    [InlineData("one")]
    [InlineData("one twice")]
    [InlineData("a bit that flipped")]
    public void A_quorum_short_sets_no_clock(string what)
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        var passed = judge.Passed;
        PowerOff(test);
        using var vault = test.Open();
        var asked = Ask(test, vault);
        var one = Signed(asked, 0).Signatures;
        var other = Signed(asked, 1).Signatures[0];
        other.Bytes[9] ^= 1;
        var sent = new ApprovalObject(asked.ToArray(), Decision.Approved, [.. (what switch { "one" => one, "one twice" => [one[0], one[0]], _ => [.. one, other] }).OrderBy(s => s.Approver)]);
        var size = vault.Keeper.Log.Size;
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(sent)));
        Assert.Equal(size, vault.Keeper.Log.Size);

        // With the log's key besides: nobody takes it for approved, and a guard goes on by its own clock.
        var name = vault.Keeper.Store.PutObject(sent.ToArray());
        Append(test, vault, new Leaf(LeafType.Approval, vault.Keeper.Clock.Now, asked.Head.Id, Id16.None, 2, vault.Keeper.Clock.Now, (ulong)sent.Signatures.Count, name),
            new Leaf(LeafType.InForce, asked.Now, asked.Head.Id, Id16.None, 2, asked.Forward, asked.Counted, Hash32.None));
        using var after = test.Open();
        Assert.Equal(0UL, after.State.SetForward);
        Assert.Null(judge.Follow());
        Assert.InRange(judge.Passed, passed, passed + 60); // since it was started again
    }

    static void Append(TestVault test, Vault vault, params Leaf[] leaves)
    {
        using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key).Append([.. leaves.Select(l => l.ToArray())], signer);
    }

    [Fact]
    public void A_time_that_was_approved_once_sets_no_clock_again_and_none_late()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        PowerOff(test);
        using var vault = test.Open();
        var (first, second) = (Ask(test, vault), Ask(test, vault));
        var late = Signed(Ask(test, vault), 0, 1);
        vault.Keeper.Decide(Signed(first, 0, 1));
        var (passed, size) = (vault.Keeper.Clock.Passed, vault.Keeper.Log.Size);
        vault.Keeper.Decide(Signed(first, 0, 1)); // sent again
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.NotEqual(ErrorCode.DiskFull, Refused(() => vault.Keeper.Decide(Signed(second, 0, 1)))); // by what was so before the first
        PowerOff(test);
        Assert.Equal(ErrorCode.QuorumMissing, Refused(() => vault.Keeper.Decide(late)));
        Assert.InRange(vault.Keeper.Clock.Passed, passed, passed + 200);

        // With the log's key: put in force again, or the second with no step between.
        var name = vault.Keeper.Store.PutObject(Signed(second, 0, 1).ToArray());
        Append(test, vault, new Leaf(LeafType.InForce, vault.Keeper.Clock.Now, first.Head.Id, Id16.None, 2, first.Forward, first.Counted, Hash32.None),
            new Leaf(LeafType.Approval, first.Counted, second.Head.Id, Id16.None, 2, first.Counted, 2, name),
            new Leaf(LeafType.InForce, vault.Keeper.Clock.Now, second.Head.Id, Id16.None, 2, second.Forward, second.Counted, Hash32.None));
        using var after = test.Open();
        Assert.Equal(first.Forward, after.State.SetForward);
        Assert.NotEmpty(after.State.Refused);
    }

    /// <summary>A step that is shorter than a request's own life: two were made of one moment, and with the log's key both are put in force.</summary>
    [Fact]
    public void Of_two_requests_of_one_moment_one_counts()
    {
        var test = MakeApproved();
        PowerOff(test, 6 * 3_600);
        using var vault = test.Open();
        var (first, second) = (Ask(test, vault), Ask(test, vault));
        vault.Keeper.Decide(Signed(first, 0, 1));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(second, 1, 2))));
        var (now, name) = (vault.Keeper.Clock.Now, vault.Keeper.Store.PutObject(Signed(second, 1, 2).ToArray()));
        Append(test, vault, new Leaf(LeafType.Approval, now, second.Head.Id, Id16.None, 2, now, 2, name), new Leaf(LeafType.InForce, now + 1, second.Head.Id, Id16.None, 2, second.Forward, second.Counted, Hash32.None));
        using var after = test.Open();
        Assert.Equal(first.Forward, after.State.SetForward);
        Assert.Equal(LeafFault.NotApproved, Assert.Single(after.State.Refused).Fault);
    }

    /// <summary>The log decides: neither the clock's file nor the wall clock takes back what was approved.</summary>
    [Fact]
    public void A_clock_that_was_set_right_stays_so_though_its_file_and_the_wall_clock_are_put_back()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        var file = Path.Combine(test.Folder, "keeper/clock");
        var old = File.ReadAllBytes(file);
        PowerOff(test);
        ulong now;
        using (var vault = test.Open())
        {
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
            now = vault.Keeper.Clock.Passed;
        }
        var before = Left(test)[0];
        File.WriteAllBytes(file, old);
        test.Machine.Wall = 1_800_000_000_000;
        using (var again = test.Open())
        {
            Assert.InRange(again.Keeper.Clock.Passed, now - 120, now + 1);
            Assert.InRange(again.Keeper.Clock.Now, now - 1, now + 1);
            Assert.InRange(Left(test)[0], before - 1, before + 120);
        }
        // Without a note of its own what leaves say has passed only as far as the wall clock says so too: locks last the longer.
        File.Delete(file);
        using (var again = test.Open())
            Assert.True(again.Keeper.Clock.Passed < now && again.Keeper.Clock.Now >= now - 1 && Left(test)[0] >= before);
        test.Machine.Wall = 1_000 * now;
        using (var again = test.Open())
            Assert.InRange(again.Keeper.Clock.Passed, now - 1, now + 1);
    }

    [Fact]
    public void Approvers_set_no_clock_ahead_of_the_machines_nor_without_bound()
    {
        var test = MakeApproved();
        PowerOff(test);
        using var vault = test.Open();
        Assert.Equal(ErrorCode.ClockInDoubt, Refused(() => vault.Keeper.Decide(Signed(Ask(test, vault, now: Now(test) + 3_600), 0, 1))));
        var asked = Ask(test, vault);
        foreach (var wrong in new[]
        {
            asked with { Now = asked.Counted }, asked with { Now = asked.Counted + ApprovalRequest.MostForward + 1 }, asked with { Before = ApprovalRequest.MostForward - asked.Forward + 1 }, asked with { Before = ulong.MaxValue },
            asked with { Now = LockRules.LastEnd + 1 }, asked with { Counted = ulong.MaxValue }, asked with { Head = asked.Head with { Until = asked.Head.Made + Day + 1 } },
        })
            Assert.False(ApprovalRequest.TryParse(wrong.ToArray(), out _));
        Assert.True(ApprovalRequest.TryParse((asked with { Before = ApprovalRequest.MostForward - asked.Forward }).ToArray(), out _));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(asked with { Before = 1 }, 0, 1))));
    }

    /// <summary>Quorum and machine lie together, again and again: they use up what there is, and no lock is over by it.</summary>
    [Fact]
    public void A_quorum_that_lies_ends_no_lock()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        var before = Left(test)[0];
        for (var i = 0; i < 4; i++)
        {
            using var vault = test.Open();
            test.Machine.Wall += 1_000 * Day * 1_000;
            if (vault.State.SetForward + 1_000 * Day > ApprovalRequest.MostForward)
                Assert.False(ApprovalRequest.TryParse(Ask(test, vault, now: vault.Keeper.Clock.Passed + 1_000 * Day).ToArray(), out _));
            else
                vault.Keeper.Decide(Signed(Ask(test, vault, now: vault.Keeper.Clock.Passed + 1_000 * Day), 0, 1));
        }
        Assert.InRange(Left(test)[0], before, before + 10);
        Assert.Equal(0, Expire(test));
        // By the log's key all is given up: a guard whose clock went along keeps it.
        using (var vault = test.Open())
        {
            var list = vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, new Hash32(SHA256.HashData([1])), [.. Packs(test).Order().Select(p => (StoreKind.Pack, p))]).ToArray());
            Append(test, vault, new Leaf(LeafType.Expiry, Now(test), Id16.New(), Id16.None, Now(test), 1, 1, list));
        }
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.NotEqual(Verdict.Free, judge.Judge(StoreKind.Pack, p)));
    }

    [Fact]
    public void The_guard_goes_by_an_approved_time_and_holds_for_as_long()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        judge.Save();
        PowerOff(test);
        using (var vault = test.Open())
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
        Assert.Null(judge.Follow());
        Assert.InRange(judge.Passed, Now(test) - 1, Now(test) + 1);
        judge.Save();
        judge = Judge(test);
        Assert.Null(judge.Follow());
        test.Machine.Pass(40 * Day);
        Assert.Equal(0, Expire(test)); // 30 days and the margin
        test.Machine.Pass(15 * Day);
        Assert.True(Planned(test) > 0);
        // Given up, and not yet removed: what the guard says of it.
        using (var vault = test.Open())
        {
            var list = vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, new Hash32(SHA256.HashData([1])), [.. Packs(test).Order().Select(p => (StoreKind.Pack, p))]).ToArray());
            Append(test, vault, new Leaf(LeafType.Expiry, Now(test), Id16.New(), Id16.None, Now(test), 1, 1, list));
        }
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.Equal(Verdict.Free, judge.Judge(StoreKind.Pack, p)));
    }

    static int Planned(TestVault test)
    {
        using var vault = test.Open();
        return vault.Keeper.Expire(dryRun: true).Names.Count;
    }

    [Fact]
    public void A_medium_holds_all_for_as_much_longer_before_the_clock_goes_forward()
    {
        using var folder = new TempFolder();
        var store = new LockingFolder(folder["store"]);
        var test = MakeApproved(stores: store);
        test.WriteSome();
        test.BackUp();
        test.BackUp();
        PowerOff(test);
        var before = store.Locks.ToDictionary();
        using (var vault = test.Open())
        {
            store.FailsAt = store.Calls + 3;
            Refused(() => vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1)));
            Assert.Equal(0UL, vault.State.SetForward); // and nothing was promised
            store.FailsAt = 0;
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
            var named = vault.State.NamedPacks().Packs;
            Assert.NotEmpty(named);
            Assert.All(named, p => Assert.True(store.Locks[(StoreKind.Pack, p.Key)] >= p.Value.LockEnd && p.Value.LockEnd >= before[(StoreKind.Pack, p.Key)] + Off - 10));
            Assert.Empty(vault.Keeper.AuditLocks(CancellationToken.None)!.Again);
        }
    }

    /// <summary>Whoever has the log's key dates a weakening that people approved so far ahead that the step would lead it past the end of all numbers.</summary>
    [Fact]
    public void No_step_leads_a_waiting_approval_round_to_an_earlier_time()
    {
        var test = MakeApproved();
        using var vault = test.Open();
        var policy = vault.State.PolicyFor(Id16.None);
        var asked = new ApprovalRequest.Policy(vault.Keeper.NewRequest(Id16.None, Day, null), Id16.None, policy, policy with { Base = 5 * Day });
        var name = vault.Keeper.Store.PutObject(Signed(asked, 0, 1).ToArray());
        Append(test, vault, new Leaf(LeafType.Approval, vault.Keeper.Clock.Now, asked.Head.Id, Id16.None, 1, ulong.MaxValue - Day, 2, name));
        PowerOff(test);
        using var after = test.Open();
        after.Keeper.Decide(Signed(Ask(test, after), 0, 1));
        Assert.True(after.State.SetForward > 0);
        Assert.Equal(ulong.MaxValue, after.State.Request(asked.Head.Id)!.From);
        Append(test, after, new Leaf(LeafType.InForce, Now(test), asked.Head.Id, Id16.None, 1, 0, 0, Hash32.None));
        after.Keeper.Refresh();
        Assert.Equal(30 * Day, after.State.PolicyFor(Id16.None).Base);
    }

    /// <summary>Where the approval's object is lost, the clock stands on it all the same: locks stay lengthened.</summary>
    [Fact]
    public void A_lost_approval_of_a_time_shortens_no_lock()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        PowerOff(test);
        Hash32 name;
        using (var vault = test.Open())
        {
            var sent = Signed(Ask(test, vault), 0, 1);
            name = new Hash32(SHA256.HashData(sent.ToArray()));
            vault.Keeper.Decide(sent);
        }
        var before = Left(test)[0];
        test.Lose(name);
        Assert.InRange(Left(test)[0], before, before + 5);
        using (var vault = test.Open()) // nor by what is said of another
            Append(test, vault, new Leaf(LeafType.InForce, Now(test), vault.State.Snapshots[0].Snapshot, Id16.None, 2, Day, 0, Hash32.None));
        Assert.InRange(Left(test)[0], before - 5, before + Day + 5);
        test.Machine.Pass(20 * Day);
        Assert.Equal(0, Expire(test));
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    public void A_clock_that_is_set_right_and_dies_anywhere_is_as_before_or_after(int kind)
    {
        var calls = 0;
        for (var hasFailed = true; hasFailed; calls++)
        {
            using var test = new TestVault(approvers: ApproverSet.Of(2, _people.Select(p => p.PublicKey.ToArray())));
            test.Write("one", "one");
            test.BackUp();
            PowerOff(test);
            ApprovalObject approval;
            using (var vault = test.Open())
                approval = Signed(Ask(test, vault), 0, 1);
            var before = Left(test)[0];
            var disk = new FaultyDisk(calls, (Fault)kind);
            try
            {
                using var vault = test.Open(disk);
                vault.Keeper.Decide(approval);
            }
            catch (HoldfastException)
            {
                // As a crash.
            }
            hasFailed = disk.HasFailed;
            for (var again = 0; again < 2; again++)
            {
                using var after = test.Open();
                var (isIn, passed) = (after.State.SetForward > 0, after.Keeper.Clock.Passed);
                Assert.True(isIn ? passed >= Now(test) - 1 : passed <= Now(test) - Off + 200, "neither before nor after");
                Assert.InRange(after.State.Snapshots[0].Expiry - passed, before - 1, before + 2);
                after.Keeper.Decide(approval);
            }
            Assert.Equal(TimeState.Sure, Time(test).State);
            Assert.InRange(Left(test)[0], before, before + 2);
        }
        Assert.InRange(calls, 10, 300);
    }

    /// <summary>The guard's own writing of it: however often it dies in the middle, it holds no shorter.</summary>
    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    public void A_guard_that_dies_while_it_goes_forward_holds_no_shorter(int kind)
    {
        var test = MakeApproved();
        test.Write("one", "one");
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        judge.Save();
        var kept = test["kept"];
        Copy(test["guard"], kept);
        PowerOff(test);
        using (var vault = test.Open())
        {
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
            var list = vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, new Hash32(SHA256.HashData([1])), [.. Packs(test).Order().Select(p => (StoreKind.Pack, p))]).ToArray());
            Append(test, vault, new Leaf(LeafType.Expiry, Now(test), Id16.New(), Id16.None, Now(test), 1, 1, list));
        }
        var calls = 0;
        for (var hasFailed = true; hasFailed; calls++)
        {
            Directory.Delete(test["guard"], recursive: true);
            Copy(kept, test["guard"]);
            var disk = new FaultyDisk(calls, (Fault)kind);
            try
            {
                Judge(test, disk).Follow();
            }
            catch (HoldfastException)
            {
                // As a crash.
            }
            hasFailed = disk.HasFailed;
            judge = Judge(test);
            Assert.Null(judge.Follow());
            Assert.True(judge.Passed >= Now(test) - 1);
            var memory = GuardMemory.Load(Path.Combine(test["guard"], VaultFile.Read(test.Folder).Vault.ToString(), GuardMemory.Name))!;
            Assert.All(Packs(test), p => Assert.True(memory.TryEnd(p, out var end) && end >= Now(test) + 30 * Day - 200, "its own memory of a lock is shorter by the step"));
            Assert.All(Packs(test), p => Assert.NotEqual(Verdict.Free, judge.Judge(StoreKind.Pack, p)));
            test.Machine.Pass(40 * Day);
            Assert.Null(judge.Follow());
            Assert.All(Packs(test), p => Assert.NotEqual(Verdict.Free, judge.Judge(StoreKind.Pack, p))); // 30 days and the margin
            test.Machine.Wall -= 40 * Day * 1_000;
            test.Machine.SinceBoot -= 40 * Day * 1_000;
        }
        Assert.InRange(calls, 3, 300);
    }

    /// <summary>An approval before it is lost, and so the later one is not believed any more; the clock stands on it all the same.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_lost_approval_before_a_time_shortens_no_lock(bool isTime)
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        Hash32 name;
        using (var vault = test.Open())
        {
            PowerOff(test, Day);
            var policy = vault.State.PolicyFor(Id16.None);
            var first = Signed(isTime ? Ask(test, vault) : new ApprovalRequest.Policy(vault.Keeper.NewRequest(Id16.None, Day, null), Id16.None, policy, policy with { Base = 29 * Day }), 0, 1);
            vault.Keeper.Decide(first);
            name = new Hash32(SHA256.HashData(first.ToArray()));
        }
        PowerOff(test);
        using (var vault = test.Open())
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
        var before = Left(test)[0];
        test.Lose(name);
        using (var vault = test.Open())
            Assert.Equal((0UL, true), (vault.State.SetForward, vault.State.IsApprovalLost));
        Assert.InRange(Left(test)[0], before, before + 5);
        test.Machine.Pass(20 * Day);
        Assert.Equal(0, Expire(test));
    }

    /// <summary>Whoever has the log's key writes leaves that set no clock: each request lengthens locks once, by the most that was said of it; and of too many nothing can be told, and nothing ends.</summary>
    [Fact]
    public void Leaves_without_approval_lengthen_locks_up_to_a_number_and_then_stop_expiry()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        ulong end;
        var one = Id16.New();
        using (var vault = test.Open())
        {
            end = vault.State.Snapshots[0].Expiry;
            Append(test, vault, [.. Enumerable.Range(0, Projection.MostDoubtedSteps + 10).SelectMany(_ => new[] { Step(one, 7), Step(Id16.New(), 0), Step(Id16.New(), ApprovalRequest.MostForward + 1) })]);
        }
        using (var vault = test.Open())
        {
            Assert.Equal((end + 7, false), (vault.State.Snapshots[0].Expiry, vault.State.IsTimeUntold));
            Append(test, vault, Step(one, 9));
        }
        using (var vault = test.Open())
        {
            Assert.Equal(end + 9, vault.State.Snapshots[0].Expiry);
            Append(test, vault, [.. Enumerable.Range(0, Projection.MostDoubtedSteps + 10).Select(_ => Step(Id16.New(), 1))]);
        }
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        test.Machine.Pass(100 * Day);
        using (var vault = test.Open())
        {
            Assert.True(vault.State.IsTimeUntold && vault.State.Snapshots[0].Expiry < end + 2 * Projection.MostDoubtedSteps);
            Assert.True(vault.Keeper.Expire(dryRun: false).IsBlocked);
            GiveUpAll(test, vault, Now(test));
        }
        using (var vault = test.Open())
            Assert.All(Packs(test), p => Assert.False(vault.State.WasRemoved(StoreKind.Pack, p)));
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.NotEqual(Verdict.Free, judge.Judge(StoreKind.Pack, p)));

        Leaf Step(Id16 request, ulong seconds) => new(LeafType.InForce, Now(test), request, Id16.None, 2, seconds, Now(test), Hash32.None);
    }

    /// <summary>With the log's key: an expiry of all packs.</summary>
    static void GiveUpAll(TestVault test, Vault vault, ulong judged, ulong? time = null)
    {
        var list = vault.Keeper.Store.PutObject(new ExpiryList(vault.Id, new Hash32(SHA256.HashData([1])), [.. vault.Keeper.Store.List(StoreKind.Pack).Select(p => p.Name).Order().Select(p => (StoreKind.Pack, p))]).ToArray());
        Append(test, vault, new Leaf(LeafType.Expiry, time ?? judged, Id16.New(), Id16.None, judged, 1, 1, list));
    }

    [Fact]
    public void Where_expiry_runs_daily_the_clock_can_be_set_and_what_is_gone_stays_so()
    {
        var test = MakeApproved(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0)); // ends of packs' locks are rounded by two days
        for (var day = 0; day < 40; day++)
        {
            test.Write("today", $"{day}");
            test.BackUp();
            test.Machine.Pass(Day);
            Expire(test);
        }
        List<Hash32> gone;
        using (var vault = test.Open())
            gone = [.. vault.State.NamedPacks().Packs.Keys.Where(p => vault.State.WasRemoved(StoreKind.Pack, p))];
        Assert.NotEmpty(gone);
        foreach (var off in new[] { Day / 2, Off }) // more than once
        {
            PowerOff(test, off);
            List<Id16> removed;
            using (var vault = test.Open())
            {
                removed = [.. vault.State.Snapshots.Where(s => s.IsRemoved).Select(s => s.Snapshot)];
                Assert.NotEmpty(removed);
                vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
            }
            using var after = test.Open();
            Assert.Equal(removed, after.State.Snapshots.Where(s => s.IsRemoved).Select(s => s.Snapshot));
            Assert.Empty(after.State.Overtaken());
            Assert.Empty(after.State.Refused);
            Assert.All(gone, p => Assert.True(after.State.WasRemoved(StoreKind.Pack, p)));
            var there = Packs(test).ToHashSet();
            Assert.All(after.State.NamedPacks().Packs.Keys, p => Assert.NotEqual(there.Contains(p), after.State.WasRemoved(StoreKind.Pack, p)));
        }
        Expire(test); // of what is over, a pack may go whose end was rounded up to a later moment before
        using (var after = test.Open())
            Assert.All(after.State.Snapshots.Where(s => s.IsRemoved), s => Assert.True(s.Expiry + LockRules.Margin < Now(test)));
        test.Machine.Pass(5 * Day);
        Assert.True(Expire(test) > 0);
    }

    /// <summary>An expiry between request and approval: what it gave up is gone, and would be locked again.</summary>
    [Fact]
    public void A_clock_is_not_set_where_something_was_given_up_since_it_was_asked_for()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(52 * Day);
        using (var before = test.Open())
            before.Keeper.Clock.Save();
        PowerOff(test);
        using var vault = test.Open();
        var asked = Ask(test, vault);
        test.Machine.Pass(3_600);
        Assert.True(Expire(test) > 0);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => vault.Keeper.Decide(Signed(asked, 0, 1))));
        vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
        Assert.True(vault.State.SetForward > 0);
    }

    /// <summary>Approvers, with the log's key, sign that next century was counted, and one second more: the clock goes forward by that second, as the locks do.</summary>
    [Fact]
    public void A_clock_goes_forward_by_no_more_than_locks_do_wherever_it_is_said_to_be()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        PowerOff(test, 100);
        var (before, passed) = (Left(test)[0], judge.Passed);
        const ulong far = 4_102_444_800;
        using (var vault = test.Open())
        {
            var asked = new ApprovalRequest.Time(vault.Keeper.NewRequest(Id16.None, Day, null), 0, far, far + 1);
            asked = asked with { Head = asked.Head with { Made = far, Until = far + Day } };
            var approval = Signed(asked, 0, 1);
            Append(test, vault, new Leaf(LeafType.Approval, far, asked.Head.Id, Id16.None, 2, far, 2, vault.Keeper.Store.PutObject(approval.ToArray())),
                new Leaf(LeafType.InForce, far + 1, asked.Head.Id, Id16.None, 2, 1, far, Hash32.None));
        }
        using (var vault = test.Open())
        {
            Assert.Equal(1UL, vault.State.SetForward); // they signed it
            Assert.InRange(vault.Keeper.Clock.Passed, 1_800_000_000UL, Now(test) + 70);
            Assert.InRange(vault.Keeper.Clock.Now, 1_800_000_000UL, Now(test) + 70);
        }
        Assert.InRange(Left(test)[0], before - 2, before + 2);
        Assert.Null(judge.Follow());
        Assert.InRange(judge.Passed, passed, passed + 100);
        File.Delete(Path.Combine(test.Folder, "keeper/clock"));
        using var without = test.Open();
        Assert.InRange(without.Keeper.Clock.Passed, 1_800_000_000UL, Now(test) + 70);
    }

    /// <summary>A thief's leaf gives up what is over by this machine; the sound keeper waits for the witness before it removes a file.</summary>
    [Fact]
    public void No_file_goes_by_an_expiry_in_the_log_that_a_witness_does_not_bear_out()
    {
        var test = Make(1);
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(100 * Day);
        using (var vault = test.Open())
            GiveUpAll(test, vault, Now(test));
        var packs = Packs(test).Count;
        Assert.Equal(0, Expire(test));
        Assert.Equal(packs, Packs(test).Count);
        Cosign(test, 0, Now(test) - 3 * Day);
        Expire(test);
        Assert.Equal(packs, Packs(test).Count);
        Cosign(test, 0, Now(test));
        Expire(test);
        Assert.Empty(Packs(test));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_guard_goes_by_other_witnesses_when_their_time_has_come_and_nobody_objected(bool isObjected)
    {
        var test = new TestVault(approvers: ApproverSet.Of(2, _people.Select(p => p.PublicKey.ToArray())), witnesses: [Key(0)]);
        _tests.Add(test);
        test.WriteSome();
        test.BackUp();
        var judge = Judge(test);
        Assert.Null(judge.Follow());
        test.Machine.Pass(100 * Day);
        using (var vault = test.Open())
        {
            var asked = new ApprovalRequest.Witnesses(vault.Keeper.NewRequest(Id16.None, Day, null), ApprovalRequest.WitnessDigest(vault.State.Witnesses), []);
            var from = vault.Keeper.Decide(Signed(asked, 0, 1)).From;
            // With the log's key: it is in force before its time, and all is given up.
            Append(test, vault, new Leaf(LeafType.InForce, from, asked.Head.Id, Id16.None, (ulong)RequestKind.Witnesses, 0, 0, Hash32.None));
            GiveUpAll(test, vault, Now(test), from);
            Assert.Null(judge.Follow());
            Assert.All(Packs(test), p => Assert.Equal(Verdict.Kept, judge.Judge(StoreKind.Pack, p)));
            if (isObjected)
                vault.Keeper.Decide(new RequestFile(asked.ToArray(), null, []).Sign(Decision.Objected, _people[2]).All(Decision.Objected)!);
        }
        test.Machine.Pass(5 * Day);
        Assert.Null(judge.Follow());
        Assert.All(Packs(test), p => Assert.Equal(isObjected ? Verdict.Kept : Verdict.Free, judge.Judge(StoreKind.Pack, p)));
    }

    [Fact]
    public void A_medium_holds_too_what_was_given_up_by_a_time_after_the_count()
    {
        using var folder = new TempFolder();
        var store = new LockingFolder(folder["store"]);
        using var test = new TestVault(stores: store);
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(Off);
        using (var vault = test.Open())
            GiveUpAll(test, vault, Now(test));
        using var after = test.Open();
        var (named, before) = (after.State.NamedPacks().Packs, store.Locks.ToDictionary());
        Assert.All(named.Keys, p => Assert.True(after.State.WasRemoved(StoreKind.Pack, p)));
        var locks = new MediumLocks(store, after.State, Now(test));
        locks.HoldAll(Off, Now(test), new Dictionary<(StoreKind, Hash32), ulong>()); // given up by then: it stays so
        Assert.All(named.Keys, p => Assert.Equal(before[(StoreKind.Pack, p)], store.Locks[(StoreKind.Pack, p)]));
        var held = locks.HoldAll(Off, Now(test) - 1, new Dictionary<(StoreKind, Hash32), ulong>());
        Assert.All(named, p => Assert.True(store.Locks[(StoreKind.Pack, p.Key)] >= p.Value.LockEnd + Off));
        Assert.All(after.State.Objects, o => Assert.True(store.Locks[(StoreKind.Object, o)] >= after.State.Snapshots[0].Expiry + Off));
        var calls = store.Calls;
        locks.HoldAll(Off, Now(test) - 1, held);
        Assert.Equal(calls, store.Calls); // once
    }

    [Fact]
    public void The_vault_is_not_busy_while_the_medium_lengthens_what_is_there()
    {
        using var folder = new TempFolder();
        var store = new LockingFolder(folder["store"]);
        var test = MakeApproved(stores: store);
        test.WriteSome();
        test.BackUp();
        PowerOff(test);
        using var vault = test.Open();
        var isTaken = false;
        store.BeforeLock = () =>
        {
            using var taken = KeeperLock.Take(Path.Combine(test.Folder, "keeper/lock"));
            isTaken = true;
        };
        vault.Keeper.Decide(Signed(Ask(test, vault), 0, 1));
        Assert.True(isTaken);
    }

    [Fact]
    public void A_store_that_stops_answering_after_the_leaf_is_told_with_what_was_given_up()
    {
        using var folder = new TempFolder();
        var store = new LockingFolder(folder["store"]);
        using var test = new TestVault(stores: store);
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(100 * Day);
        store.Now = Now(test);
        var asked = 0;
        store.Tells = () => ++asked == 1 ? Now(test) : throw new HoldfastException(ErrorCode.StoreUnavailable, "It does not answer (a test).", "none");
        using var vault = test.Open();
        var result = vault.Keeper.Expire(dryRun: false);
        Assert.Equal((ErrorCode.StoreUnavailable, result.Names.Count), (result.Fault!.Code, result.Stuck));
        Assert.NotEmpty(result.Names);
    }

    /// <summary>A log that was put back to before the clock went forward tells of no lock that was lengthened with it.</summary>
    [Fact]
    public void Where_the_log_was_put_back_to_before_the_clock_was_set_nothing_expires()
    {
        var test = MakeApproved();
        test.WriteSome();
        test.BackUp();
        PowerOff(test);
        test.WriteSome(2);
        test.BackUp();
        var log = Path.Combine(test.Folder, "log");
        Copy(log, test["before"]);
        using (var vault = test.Open())
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 2));
        Directory.Delete(log, recursive: true);
        Copy(test["before"], log);
        test.Machine.Pass(60 * Day);
        using var after = test.Open();
        Assert.Equal(0UL, after.State.SetForward);
        var result = after.Keeper.Expire(dryRun: false);
        Assert.True(result.IsBlocked && after.Keeper.IsTimeUntold);
        Assert.Empty(result.Names);
    }

    /// <summary>A file of a build that knew of no such steps had what leaves tell: the step is not gone forward by twice.</summary>
    [Fact]
    public void A_clock_file_without_the_number_goes_forward_once()
    {
        var test = MakeApproved();
        PowerOff(test);
        using (var vault = test.Open())
            vault.Keeper.Decide(Signed(Ask(test, vault), 0, 2));
        var path = Path.Combine(test.Folder, "keeper/clock");
        var lines = File.ReadAllText(path).Split('\n');
        lines[1] = string.Join(' ', lines[1].Split(' ')[..2]);
        var text = string.Join('\n', lines[..^2]) + "\n";
        File.WriteAllText(path, $"{text}{NoteCheck.Of(text)}\n");
        using var after = test.Open();
        Assert.InRange(after.Keeper.Clock.Now, Now(test) - 1, Now(test) + 1);
    }

    static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(folder.Replace(from, to, StringComparison.Ordinal));
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal));
    }
}
