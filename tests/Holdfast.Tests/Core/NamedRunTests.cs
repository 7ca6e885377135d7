using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;
using Holdfast.Sources.Streams;

namespace Holdfast.Tests.Core;

/// <summary>`backup --run`: of all that are begun under one name, one is committed, and the keeper says which.</summary>
public sealed class NamedRunTests : IDisposable
{
    readonly TestVault _test = new();

    public NamedRunTests() => _test.WriteSome();

    public void Dispose() => _test.Dispose();

    BackupResult BackUp(string? run, string name = "source", string state = "state")
    {
        using var source = FileSource.Open(_test.Source, new FileSourceOptions());
        return BackUp(source, run, name, state);
    }

    BackupResult BackUp(ISource source, string? run, string name, string state)
    {
        using var vault = _test.Open();
        return vault.BackUp(source, new BackupRequest(System.Text.Encoding.UTF8.GetBytes(name), "host"u8.ToArray(), "root"u8.ToArray(), _test[state]) { Run = run }, _test.Keys.Put, _test.Keys.Agent, new BackupProgress(), CancellationToken.None);
    }

    [Fact]
    public void A_second_begin_is_refused_before_it_reads_and_names_the_snapshot()
    {
        var first = BackUp("nightly-1");
        var refused = Assert.Throws<HoldfastException>(() => BackUp("nightly-1"));
        Assert.Equal(ErrorCode.RunDone, refused.Code);
        Assert.Contains(first.Snapshot.ToString(), refused.Message, StringComparison.Ordinal);
        Assert.NotEqual(first.Snapshot, BackUp("nightly-2").Snapshot);
        Assert.NotEqual(first.Snapshot, BackUp("nightly-1", name: "other").Snapshot); // another source's run of that name is another
        using var vault = _test.Open();
        Assert.Equal(3, vault.State.Snapshots.Count);
    }

    /// <summary>A process that is killed between its commit and its report says nothing of what was left out: whoever begins the run again does, where it can know it.</summary>
    [Fact]
    public void What_was_left_out_of_a_run_that_was_done_is_remembered()
    {
        var request = new BackupRequest("source"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), _test["state"]) { Run = "nightly-1" };
        using (var source = FileSource.Open(_test.Source, new FileSourceOptions()))
        {
            source.Report(new SourceProblem(ProblemKind.ReadFailed, "a"u8.ToArray(), ""));
            using var vault = _test.Open();
            vault.BackUp(source, request, _test.Keys.Put, _test.Keys.Agent, new BackupProgress(), CancellationToken.None);
        }
        var done = Assert.Throws<HoldfastException>(() => BackUp("nightly-1")).Done!;
        Assert.True(request.WasIncomplete(_test.Keys.Agent, done));
        Assert.False((request with { StateFolder = _test["elsewhere"] }).WasIncomplete(_test.Keys.Agent, done));
        BackUp("nightly-2");
        done = Assert.Throws<HoldfastException>(() => BackUp("nightly-2")).Done!;
        Assert.False((request with { Run = "nightly-2" }).WasIncomplete(_test.Keys.Agent, done));
    }

    /// <summary>Bytes in whose midst something else is done.</summary>
    sealed class Interrupted(byte[] bytes, Action once) : MemoryStream(bytes)
    {
        bool _isDone;

        public override int Read(byte[] buffer, int offset, int count) // which reading into a span comes to as well
        {
            if (!_isDone && Position > 0)
            {
                _isDone = true;
                once();
            }
            return base.Read(buffer, offset, Math.Min(count, 100_000));
        }
    }

    /// <summary>A process that stood still in the middle of its run, was thought dead, and goes on: what it has open does not know of the other's commit yet.</summary>
    [Fact]
    public void Of_two_at_once_one_is_committed()
    {
        BackupResult? quick = null;
        BackupResult BackUpDump(Action once, string state)
        {
            using var stream = new Interrupted(TestVault.Noise(9, 3_000_000), once);
            using var source = new StreamSource(stream, "dump"u8.ToArray(), TimeProvider.System);
            return BackUp(source, "nightly-1", "dump", state);
        }

        var refused = Assert.Throws<HoldfastException>(() => BackUpDump(() => quick = BackUpDump(() => { }, "elsewhere"), "state"));
        Assert.Equal(ErrorCode.RunDone, refused.Code);
        Assert.NotNull(quick);
        using var vault = _test.Open();
        Assert.Equal(quick.Snapshot, Assert.Single(vault.State.Snapshots).Snapshot);
        Assert.Empty(vault.State.Refused);
        Assert.Equal(TestVault.Noise(9, 3_000_000), File.ReadAllBytes(Path.Combine(_test.Restore(), "dump")));
        Assert.True(_test.Verify(full: true).IsSound);
    }

    [Fact]
    public void Many_at_once_make_one_commit()
    {
        var outcomes = new System.Collections.Concurrent.ConcurrentBag<ErrorCode>();
        Parallel.For(0, 6, new ParallelOptions { MaxDegreeOfParallelism = 6 }, i =>
        {
            try
            {
                BackUp("nightly-1", state: $"state-{i}");
                outcomes.Add(ErrorCode.None);
            }
            catch (HoldfastException e)
            {
                outcomes.Add(e.Code);
            }
        });
        Assert.Equal(1, outcomes.Count(o => o == ErrorCode.None));
        Assert.All(outcomes, o => Assert.True(o is ErrorCode.None or ErrorCode.RunDone, o.ToString()));
        using var vault = _test.Open();
        Assert.Single(vault.State.Snapshots);
        Assert.Empty(vault.State.Refused);
    }

    [Fact]
    public void A_commit_that_is_asked_for_twice_is_answered_twice_and_one_of_another_source_is_refused()
    {
        BackUp("nightly-1");
        using var vault = _test.Open();
        var record = vault.State.Snapshots.Single();
        var whole = vault.State.Whole(record)!;
        Assert.Equal((long)record.Ordinal, vault.Keeper.Commit(whole).Ordinal);
        Assert.Equal(ErrorCode.RunDone, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(whole with { ClientTime = 1 })).Code);
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(whole with { Source = Id16.New() })).Code);
        Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(whole with { Agent = Id16.New() })).Code);
        vault.Keeper.Refresh();
        Assert.Single(vault.State.Snapshots);
    }

    /// <summary>Else whoever knows when a job runs could commit something of its own under the id first.</summary>
    [Fact]
    public void The_id_follows_from_the_agents_own_key()
    {
        var request = new BackupRequest("source"u8.ToArray(), [], [], null) { Run = "nightly-1" };
        using var other = Holdfast.Core.Keys.AgentKey.Create(_test.Keys.Agent.Vault);
        Assert.Equal(request.SnapshotId(_test.Keys.Agent), request.SnapshotId(_test.Keys.Agent));
        Assert.NotEqual(request.SnapshotId(_test.Keys.Agent), request.SnapshotId(other));
        Assert.NotEqual(request.SnapshotId(_test.Keys.Agent), (request with { Run = "nightly-2" }).SnapshotId(_test.Keys.Agent));
        Assert.NotEqual((request with { SourceName = "ab"u8.ToArray(), Run = "c" }).SnapshotId(other), (request with { SourceName = "a"u8.ToArray(), Run = "bc" }).SnapshotId(other));
        Assert.NotEqual((request with { Run = null }).SnapshotId(other), (request with { Run = null }).SnapshotId(other));
    }
}
