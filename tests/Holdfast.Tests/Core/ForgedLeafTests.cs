using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Leaves that a sound keeper does not write, as who has the log's key can: they hide nothing, and are told (docs/format.md, section 12.5).</summary>
public sealed class ForgedLeafTests
{
    const ulong Day = RetentionPolicy.Day;

    static List<(StoreKind Kind, Hash32 Name)> All(Vault vault, BackupResult result) =>
        [.. vault.State.PacksOf(vault.Find(result.Snapshot.ToString()))!.ToList().Select(p => (StoreKind.Pack, p.Name)), (StoreKind.Object, vault.Find(result.Snapshot.ToString()).Name)];

    static void GiveUp(Vault vault, List<(StoreKind Kind, Hash32 Name)> names) => vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Certain, 0,
        (ulong)names.Count, new ExpiryList(vault.Id, VaultKeeper.Salt(), names).ToArray());

    static void Remove(TestVault test, IEnumerable<(StoreKind Kind, Hash32 Name)> names)
    {
        foreach (var (kind, name) in names)
            test.Lose(name, kind == StoreKind.Pack ? "packs" : "objects");
    }

    static VaultProblem? Problem(Vault vault, ErrorCode code) => vault.Health().Problems.Find(p => p.Code == code);

    /// <summary>Each would have had every command that opens keys look for four thousand million files, or ended rotation for good.</summary>
    [Theory]
    [InlineData(uint.MaxValue, false)]
    [InlineData(3u, false)]
    [InlineData(1u, false)]
    [InlineData(0u, false)]
    [InlineData(3u, true)]
    [InlineData(uint.MaxValue, true)]
    public void A_key_epoch_that_cannot_begin_begins_nothing(uint epoch, bool isKeyringGone)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
        {
            using var keys = vault.Unlock(test.Seed);
            vault.Keeper.Record(LeafType.KeyEpoch, Id16.New(), Id16.None, epoch, 0, 0, isKeyringGone ? "gone"u8.ToArray() : vault.Keeper.Store.ReadObject(vault.State.Keyring));
        }
        if (isKeyringGone)
        {
            using var vault = test.Open();
            Remove(test, [(StoreKind.Object, vault.State.Refused[^1].Leaf.Payload)]);
        }
        using var after = test.Open();
        Assert.Equal(1ul, after.State.KeyEpoch);
        Assert.Equal(isKeyringGone ? LeafFault.EpochWrong : LeafFault.Repeated, Assert.Single(after.State.Refused).Fault);
        Assert.NotNull(Problem(after, ErrorCode.LeafRefused));
        using var opened = after.Unlock(test.Seed);
        Assert.Equal(2u, after.Rotate(opened, null, (_, _) => { }).Epoch);
        Assert.Equal(2ul, after.State.KeyEpoch);
    }

    [Fact]
    public void An_expiry_of_locked_packs_hides_no_loss()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> packs;
        using (var vault = test.Open())
        {
            packs = [.. All(vault, result).Where(n => n.Kind == StoreKind.Pack)];
            GiveUp(vault, packs);
            var refused = Assert.Single(vault.State.Refused);
            Assert.Equal((LeafFault.ExpiryOfLocked, packs.Count), (refused.Fault, refused.Names.Count));
            Assert.All(packs, p => Assert.False(vault.State.WasRemoved(p.Kind, p.Name)));
            Assert.False(vault.Find("latest").IsRemoved);
            Assert.Equal([vault.Find("latest")], Problem(vault, ErrorCode.LeafRefused)!.Snapshots);
            Assert.Equal([refused.Ordinal], Problem(vault, ErrorCode.LeafRefused)!.Leaves);
            Assert.Null(Problem(vault, ErrorCode.PackMissing));
            vault.Keeper.Expire(dryRun: false); // a sound keeper does not carry it out
        }
        TestVault.AssertSame(test.Source, test.Restore());
        Remove(test, packs);
        using var after = test.Open();
        Assert.Equal(packs.Select(p => p.Name).Order(), Problem(after, ErrorCode.PackMissing)!.Names);
        Assert.Equal([after.Find("latest")], Problem(after, ErrorCode.PackMissing)!.Snapshots);
        Assert.Equal(packs.Count, test.Verify(full: false).Defects.Count(d => d.Kind == DefectKind.Missing));
        using var keys = after.Unlock(test.Seed);
        Assert.Contains(after.Attest(after.Find("latest"), keys, full: false, Id16.None, TestContext.Current.CancellationToken).Defects, d => d.Kind == AttestationDefect.PackMissing);
    }

    [Fact]
    public void An_expiry_of_a_locked_object_hides_no_loss_though_nothing_tells_any_more_what_it_named()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> names;
        using (var vault = test.Open())
            names = All(vault, result);
        Remove(test, names);
        using (var vault = test.Open())
            GiveUp(vault, names);
        using var after = test.Open();
        Assert.Single(after.State.Refused);
        var lost = Problem(after, ErrorCode.ObjectMissing)!;
        Assert.Equal([names[^1].Name], lost.Names);
        Assert.Equal(after.State.Snapshots, lost.Snapshots);
        Assert.NotNull(Problem(after, ErrorCode.LeafRefused));
    }

    [Fact]
    public void A_key_object_that_the_log_names_is_never_given_up()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        GiveUp(vault, [(StoreKind.Object, vault.State.Keyring)]);
        Remove(test, [(StoreKind.Object, vault.State.Keyring)]);
        Assert.Single(vault.State.Refused);
        Assert.Equal([vault.State.Keyring], Problem(vault, ErrorCode.ObjectMissing)!.Names);
    }

    [Fact]
    public void An_expiry_in_the_name_of_next_century_hides_no_loss()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        var (wall, boot) = (test.Machine.Wall, test.Machine.SinceBoot);
        List<(StoreKind Kind, Hash32 Name)> names;
        using (var vault = test.Open())
            names = All(vault, result);
        test.Machine.Pass(70 * 365 * Day);
        using (var vault = test.Open())
            GiveUp(vault, names);
        (test.Machine.Wall, test.Machine.SinceBoot) = (wall, boot);
        using (var vault = test.Open())
        {
            vault.Keeper.Expire(dryRun: false);
            Assert.All(names, n => Assert.NotNull(vault.Keeper.FolderStore!.Find(n.Kind, n.Name, 0)));
        }
        Remove(test, names.Where(n => n.Kind == StoreKind.Pack));
        using var after = test.Open();
        Assert.Equal([LeafFault.ExpiryInFuture], VaultHealth.RefusedLeaves(after.Keeper).Select(l => l.Fault));
        Assert.NotNull(Problem(after, ErrorCode.LeafRefused));
        Assert.Equal(names.Count - 1, Problem(after, ErrorCode.PackMissing)!.Names.Count);
    }

    [Fact]
    public void A_later_leaf_of_an_earlier_time_shows_that_an_expiry_lied()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        List<(StoreKind Kind, Hash32 Name)> names;
        ulong now;
        using (var vault = test.Open())
            (names, now) = (All(vault, result), vault.Keeper.Clock.Now);
        test.Machine.Pass(70 * 365 * Day);
        using (var vault = test.Open())
        {
            GiveUp(vault, names);
            Assert.Empty(vault.State.Refused); // by the log so far it could be
            Assert.True(vault.State.Snapshots[0].IsRemoved);
            using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
            var log = MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key);
            log.Append([new Leaf(LeafType.Verify, now + 60, Id16.New(), Id16.None, 1, 0, 0, Hash32.None).ToArray()], signer);
            vault.Keeper.Refresh();
            Assert.Equal(names.Count, Assert.Single(vault.State.Refused).Names.Count); // whether it was open meanwhile
            Assert.False(vault.State.Snapshots[0].IsRemoved);
        }
        using var after = test.Open();
        Assert.Equal(names.Count, Assert.Single(after.State.Refused).Names.Count); // or is opened anew
        Assert.False(after.State.Snapshots[0].IsRemoved);
    }

    [Fact]
    public void Of_what_an_expiry_names_only_what_was_locked_stays()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 50_000));
        var old = test.BackUp();
        test.Machine.Pass(60 * Day);
        test.Write("f", TestVault.Noise(2, 50_000));
        var young = test.BackUp(name: "other");
        using var vault = test.Open();
        var (over, locked) = (All(vault, old), All(vault, young).Except(All(vault, old)).ToList());
        GiveUp(vault, [.. over.Concat(locked).Order()]);
        Assert.True(vault.State.Find(old.Snapshot) is { IsRemoved: true });
        Assert.True(vault.State.Find(young.Snapshot) is { IsRemoved: false });
        Assert.Equal(locked.Select(n => n.Name).Order(), Assert.Single(vault.State.Refused).Names.Order());
    }

    [Fact]
    public void A_lock_that_was_lengthened_counts_and_one_that_ends_later_is_over_then()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        test.Machine.Pass(20 * Day);
        using (var vault = test.Open())
            vault.Keeper.Extend(result.Snapshot, vault.Keeper.Clock.Now + 100 * Day, Id16.None);
        test.Machine.Pass(60 * Day);
        using (var vault = test.Open())
        {
            var names = All(vault, result);
            GiveUp(vault, names);
            Assert.Equal(names.Count, Assert.Single(vault.State.Refused).Names.Count);
        }
        test.Machine.Pass(70 * Day);
        using (var vault = test.Open())
        {
            Assert.NotEmpty(vault.Keeper.Expire(dryRun: false).Names);
            Assert.True(vault.State.Snapshots[0].IsRemoved);
            Assert.Single(vault.State.Refused); // the forged one is told for good
            Assert.Empty(vault.Keeper.Store.List(StoreKind.Pack));
        }
    }

    [Fact]
    public void A_sound_keepers_expiries_are_believed_whatever_is_lost_and_comes_back()
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 4, 0, 0, 0, 0));
        var random = new Random(3);
        var away = new List<string>();
        Hash32 genesis;
        using (var vault = test.Open())
            genesis = vault.Keeper.File.Genesis; // without it there is no vault
        for (var day = 0; day < 90; day++)
        {
            test.Write($"f{random.Next(5)}", TestVault.Noise(day, 20_000));
            try
            {
                test.BackUp(name: random.Next(3) == 0 ? "other" : "source", useState: false);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.CommitRefused or ErrorCode.PackMissing or ErrorCode.ObjectMissing)
            {
                // An object or pack is away.
            }
            if (day % 10 == 4)
            {
                away.AddRange(Directory.EnumerateFiles(Path.Combine(test.Folder, "objects"), "*", SearchOption.AllDirectories).Where(p => !Path.HasExtension(p) && random.Next(25) == 0 && Path.GetFileName(p) != genesis.ToString()).Take(2).SelectMany(p => new[] { p, p + ".1" }).Where(File.Exists));
                foreach (var path in away)
                    File.Move(path, path + ".away");
            }
            if (day % 10 == 8)
            {
                foreach (var path in away.Where(p => File.Exists(p + ".away")))
                    File.Move(path + ".away", path, overwrite: true);
                away.Clear();
            }
            test.Machine.Pass(Day);
            if (day % 3 == 0)
            {
                using var vault = test.Open();
                vault.Keeper.Expire(dryRun: false);
            }
        }
        foreach (var path in away)
            File.Move(path + ".away", path, overwrite: true);
        using var after = test.Open();
        Assert.Contains(after.State.Snapshots, s => s.IsRemoved);
        Assert.NotEmpty(after.State.Expiries);
        Assert.Empty(after.State.Refused);
        Assert.Empty(VaultHealth.RefusedLeaves(after.Keeper));
        var locked = after.State.Snapshots.Where(s => s.Expiry > after.Keeper.Clock.Now).ToList();
        Assert.NotEmpty(locked);
        Assert.All(locked, s => test.Restore(s.Snapshot.ToString()));
    }

    [Fact]
    public void A_second_commit_of_a_snapshot_changes_nothing_and_is_told()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        using var vault = test.Open();
        var first = vault.State.Find(result.Snapshot)!;
        var (expiry, name, whole) = (first.Expiry, first.Name, vault.State.Whole(first)!);
        // The same object with a lock that is over, under its own id and another; another object under its id.
        vault.Keeper.Record(LeafType.Commit, first.Snapshot, first.Agent, 1, 0, 0, whole.ToArray());
        vault.Keeper.Record(LeafType.Commit, Id16.New(), first.Agent, 1, 0, 0, whole.ToArray());
        vault.Keeper.Record(LeafType.Commit, first.Snapshot, first.Agent, 1, 0, 0, (whole with { ClientTime = 7 }).ToArray());
        Assert.Equal([first], vault.State.Snapshots);
        Assert.Same(first, vault.State.Find(first.Snapshot));
        Assert.Same(first, vault.State.Find(name));
        Assert.Equal((expiry, name), (first.Expiry, first.Name));
        Assert.All(vault.State.Refused, r => Assert.Equal(LeafFault.SecondCommit, r.Fault));
        Assert.Equal(3, Problem(vault, ErrorCode.LeafRefused)!.Leaves.Count);
        Assert.Equal([first], Problem(vault, ErrorCode.LeafRefused)!.Snapshots);
        test.Machine.Pass(29 * Day);
        Assert.Empty(vault.Keeper.Expire(dryRun: true).Names);
        TestVault.AssertSame(test.Source, test.Restore());
    }
}
