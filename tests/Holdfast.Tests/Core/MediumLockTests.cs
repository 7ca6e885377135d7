using Holdfast.Core;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What the log promises, the medium holds: before the leaf is written, and however often it fails.</summary>
public sealed class MediumLockTests : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly TempFolder _folder = new();
    LockingFolder _medium;

    public MediumLockTests() => _medium = Medium("bucket");

    LockingFolder Medium(string name) => new(_folder[name]) { Now = 1_800_000_000 };

    public void Dispose() => _folder.Dispose();

    TestVault Made(RetentionPolicy? policy = null) => new(policy, stores: _medium);

    void Pass(TestVault test, ulong seconds)
    {
        test.Machine.Pass(seconds);
        _medium.Now += seconds;
    }

    /// <summary>Every pack, and every object that a leaf names, is locked by the medium for as long as the log says that something needs it.</summary>
    void AssertHeld(Vault vault)
    {
        foreach (var (name, pack) in vault.State.NamedPacks().Packs)
            Assert.True(_medium.LockedUntil(StoreKind.Pack, name) >= pack.LockEnd, "pack");
        foreach (var (name, end) in vault.State.ObjectLocks())
            Assert.True(_medium.LockedUntil(StoreKind.Object, name) >= end, "snapshot");
        var last = vault.State.Snapshots.Max(s => s.Expiry);
        Assert.All(vault.State.Objects, name => Assert.True(_medium.LockedUntil(StoreKind.Object, name) >= last, "object"));
    }

    [Fact]
    public void A_commit_is_held_by_the_medium_and_comes_back_whole()
    {
        using var test = Made();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
            AssertHeld(vault);
        Assert.False(Directory.Exists(Path.Combine(test.Folder, "packs")));
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.Empty(test.Verify(full: true).Defects);
    }

    [Fact]
    public void What_is_stored_is_locked_from_its_birth_for_as_long_as_a_session_lives()
    {
        using var test = Made();
        test.WriteSome();
        using var vault = test.Open();
        vault.Keeper.BeginSession();
        Assert.Equal(vault.Keeper.Clock.LockFrom + LockRules.SessionLife + LockRules.Margin, _medium.EntryLock);
        Assert.All(_medium.Locks.Values, end => Assert.True(end >= vault.State.Genesis!.Created + 30 * Day)); // genesis, keyring, enrolments
    }

    [Fact]
    public void Wherever_the_medium_fails_there_is_no_leaf_that_it_does_not_hold()
    {
        var failed = 0;
        for (var at = 1; ; at++)
        {
            _medium = Medium($"bucket-{at}");
            using var test = Made();
            test.WriteSome();
            test.BackUp();
            test.WriteSome(2);
            Pass(test, 20 * Day); // locks of the first one have to be lengthened too
            _medium.FailsAt = _medium.Calls + at;
            using var vault = test.Open();
            var size = vault.Keeper.Log.Size;
            try
            {
                test.BackUp(vault);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.StoreUnavailable)
            {
                failed++;
                Assert.Equal(size, vault.Keeper.Log.Size);
                AssertHeld(vault);
                test.BackUp(vault); // the next one goes through
            }
            Assert.Equal(size + 1, vault.Keeper.Log.Size);
            AssertHeld(vault);
            if (_medium.Calls < _medium.FailsAt)
                break;
        }
        Assert.True(failed > 3);
    }

    [Fact]
    public void A_longer_lock_is_the_mediums_before_it_is_the_logs()
    {
        using var test = Made();
        test.WriteSome();
        var snapshot = test.BackUp().Snapshot;
        using var vault = test.Open();
        var end = vault.Find(snapshot.ToString()).Expiry + 400 * Day;
        _medium.FailsAt = _medium.Calls + 2;
        Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(snapshot, end, Id16.None));
        Assert.True(vault.Find(snapshot.ToString()).Expiry < end);
        vault.Keeper.Extend(snapshot, end, Id16.None);
        Assert.Equal(end, vault.Find(snapshot.ToString()).Expiry);
        AssertHeld(vault);
    }

    [Fact]
    public void Most_commits_lengthen_few_locks()
    {
        using var test = Made(new RetentionPolicy(100 * Day, 0, 0, 0, 0, 0));
        for (var i = 0; i < 8; i++)
            test.Write($"large{i}", TestVault.Noise(i, 3_000_000));
        var most = 0;
        var all = 0;
        for (var day = 0; day < 60; day++)
        {
            test.Write("daily", $"day {day}");
            var before = _medium.Calls;
            test.BackUp();
            if (day > 0)
                most = Math.Max(most, _medium.Calls - before);
            all += _medium.Calls - before;
            Pass(test, Day);
        }
        using var vault = test.Open();
        AssertHeld(vault);
        var names = _medium.Locks.Count;
        Assert.True(names > 100, $"{names}");
        Assert.True(all < 5 * names, $"{all} of {names}"); // each about once in a quantum of 20 days
        Assert.True(most < names / 2, $"{most} of {names}");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_no_lock_holds_goes_where_there_is_a_right_to_remove_and_else_stays_and_is_told(bool hasRemover)
    {
        using var test = Made();
        test.WriteSome();
        test.BackUp();
        Pass(test, 90 * Day);
        test.WriteSome(2);
        test.BackUp();
        _medium.HasRemover = hasRemover;
        using var vault = test.Open();
        var there = _medium.List(StoreKind.Pack).Count();
        var result = vault.Keeper.Expire(dryRun: false);
        Assert.NotEmpty(result.Names);
        Assert.Equal(hasRemover ? 0 : result.Names.Count, result.Stuck);
        Assert.Equal(hasRemover, _medium.List(StoreKind.Pack).Count() < there);
        TestVault.AssertSame(test.Source, test.Restore());
        AssertKept(vault);
    }

    void AssertKept(Vault vault) => Assert.All(vault.State.PacksOf(vault.Find("latest"))!.ToList(), p => Assert.True(_medium.LockedUntil(StoreKind.Pack, p.Name) >= vault.Find("latest").Expiry));

    [Fact]
    public void What_the_medium_does_not_hold_as_the_log_says_is_told_and_held_again()
    {
        using var test = Made();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        var whole = vault.Keeper.AuditLocks(CancellationToken.None)!;
        Assert.Empty(whole.Short);
        Assert.True(whole.Names >= 6);
        foreach (var (kind, name) in _medium.Locks.Keys.ToList())
        {
            _medium.Loosen(kind, name);
            var audit = vault.Keeper.AuditLocks(CancellationToken.None)!;
            Assert.Equal([(kind, name)], audit.Again);
            Assert.Empty(audit.Short);
        }
        AssertHeld(vault);
        _medium.Forget(vault.State.NamedPacks().Packs.Keys.First());
        Assert.Single(vault.Keeper.AuditLocks(CancellationToken.None)!.Short);
        Pass(test, 400 * Day);
        Assert.Equal(0, test.Open().Keeper.AuditLocks(CancellationToken.None)!.Names); // all locks are over
    }

    [Fact]
    public void A_vault_clock_that_lags_by_months_asks_for_no_lock_that_is_over()
    {
        using var test = Made();
        test.WriteSome();
        test.BackUp();
        test.Machine.Wall += 120 * Day * 1_000; // the machine was off: its clock counts nothing of it
        (test.Machine.SinceBoot, test.Machine.BootId) = (1_000, "boot-2");
        _medium.Now += 120 * Day;
        test.Write("new", "one more"); // the rest lies in packs that the log says are locked
        test.BackUp();
        using var vault = test.Open();
        Assert.All(vault.State.PacksOf(vault.Find("latest"))!.ToList(), p => Assert.True(_medium.LockedUntil(StoreKind.Pack, p.Name) > _medium.Now));
        Assert.True(_medium.LockedUntil(StoreKind.Object, vault.Find("latest").Name) > _medium.Now);
    }

    [Fact]
    public void What_a_long_session_stores_late_is_locked_as_long_as_what_it_stored_first()
    {
        using var test = Made();
        using var vault = test.Open();
        vault.Keeper.BeginSession();
        Pass(test, 25 * Day);
        vault.Keeper.RenewBirthLock();
        Assert.Equal(_medium.Now + LockRules.SessionLife + LockRules.Margin, _medium.EntryLock);
        Pass(test, 60);
        vault.Keeper.RenewBirthLock();
        Assert.Equal(_medium.Now - 60 + LockRules.SessionLife + LockRules.Margin, _medium.EntryLock); // not with every pack
    }

    [Fact]
    public void A_lost_object_that_the_snapshot_can_do_without_stops_no_backup()
    {
        using var test = Made();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
            _medium.Forget(vault.State.Objects.First(o => o != vault.State.Keyring && o != vault.Keeper.File.Genesis));
        Pass(test, 10 * Day);
        test.WriteSome(2);
        test.BackUp();
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void A_program_that_knows_no_object_store_says_so()
    {
        using var test = Made();
        Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => Vault.Open(test.Folder)).Code);
    }

    [Fact]
    public void Folders_are_not_added_to_an_object_store()
    {
        using var test = Made();
        using var vault = test.Open();
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(_folder["more"])).Code);
        Assert.False(Directory.Exists(_folder["more"]));
    }
}
