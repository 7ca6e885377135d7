using System.Diagnostics;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Immutable flags: set on what is stored, cleared only where the guard itself finds the lock to be over. They need a privilege; without it the tests are
/// skipped, and say so.</summary>
public sealed class GuardTests
{
    const ulong Day = TestVault.Day;

    /// <summary>The file systems that have the flags: the one of temporary folders, and two on disks of their own.</summary>
    public static TheoryData<string?> FileSystems => new((string?)null, "xfs", "btrfs");

    static GuardedVault Start(string? fileSystem = null)
    {
        var guarded = new GuardedVault(fileSystem);
        guarded.Vault.WriteSome();
        guarded.Vault.BackUp();
        guarded.Begin();
        return guarded;
    }

    static bool CanRemove(string path)
    {
        try
        {
            File.Delete(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    static bool CanChange(string path)
    {
        try
        {
            using var file = File.OpenWrite(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void What_is_stored_can_be_removed_changed_and_renamed_by_nobody(string? fileSystem)
    {
        using var test = Start(fileSystem);
        foreach (var path in test.Files("packs").Concat(test.Files("objects")).Append(Path.Combine(test.Vault.Folder, "vault")).Append(Path.Combine(test.Vault.Folder, "format.md")))
        {
            Assert.False(CanChange(path), "changed");
            Assert.False(CanRemove(path), "removed");
            Assert.ThrowsAny<Exception>(() => File.Move(path, path + ".x"));
        }
        using var vault = test.Vault.Open();
        Assert.True(vault.Keeper.IsGuarded);
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void Backup_restore_and_verify_go_on_in_a_guarded_vault(string? fileSystem)
    {
        using var test = Start(fileSystem);
        for (var i = 2; i < 5; i++)
        {
            test.Vault.WriteSome(i);
            test.Vault.BackUp();
            test.Look();
        }
        TestVault.AssertSame(test.Vault.Source, test.Vault.Restore());
        Assert.True(test.Vault.Verify(full: true).IsSound);
        Assert.All(test.Files("packs"), p => Assert.False(CanRemove(p)));
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void Whole_tiles_of_the_log_are_immutable_and_the_log_grows_on(string? fileSystem)
    {
        using var test = Start(fileSystem);
        using (var vault = test.Vault.Open())
        {
            for (var i = 0; i < 300; i++)
                vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);
        }
        test.Look();
        Assert.False(CanRemove(Path.Combine(test.Vault.Folder, "log/tile/entries/000")));
        Assert.False(CanRemove(Path.Combine(test.Vault.Folder, "log/tile/0/000")));
        using (var vault = test.Vault.Open())
        {
            for (var i = 0; i < 300; i++)
                vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);
        }
        test.Look();
        Assert.False(CanRemove(Path.Combine(test.Vault.Folder, "log/tile/entries/001")));
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void What_expired_goes_once_the_guard_finds_it_to_be_over_too(string? fileSystem)
    {
        using var test = Start(fileSystem);
        var old = test.Files("packs");
        for (var day = 0; day < 60; day++)
            test.Vault.Machine.Pass(Day);
        test.Vault.Write("a/small.txt", "another");
        File.Delete(Path.Combine(test.Vault.Source, "large.bin"));
        using (var vault = test.Vault.Open())
        {
            var expired = vault.Keeper.Expire(false);
            Assert.NotEmpty(expired.Names);
            Assert.True(expired.Stuck > 0, "nothing held the files");
        }
        Assert.Contains(old, File.Exists);
        Assert.True(test.Look().Cleared > 0);
        using (var vault = test.Vault.Open())
            Assert.Equal(0, vault.Keeper.Expire(false).Stuck);
        Assert.DoesNotContain(old, File.Exists);
        Assert.Equal(0, test.Look().Refused);
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void A_keeper_that_gives_up_what_is_locked_is_not_believed(string? fileSystem)
    {
        using var test = Start(fileSystem);
        var packs = test.Files("packs");
        using (var vault = test.Vault.Open())
        {
            // Whoever holds the log's key can sign an expiry of anything.
            var names = packs.Select(p => (StoreKind.Pack, Hash32.TryParse(Path.GetFileName(p), out var name) ? name : throw new InvalidOperationException())).ToList();
            var list = new ExpiryList(vault.Id, Hash32.None, names).ToArray();
            vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Now, 0, (ulong)names.Count, list);
        }
        var look = test.Look();
        Assert.Equal(packs.Count, look.Refused);
        Assert.Equal(0, look.Cleared);
        using (var vault = test.Vault.Open())
            Assert.Equal(0, vault.Keeper.Expire(false).Stuck); // a sound keeper does not even try
        Assert.All(packs, p => Assert.False(CanRemove(p)));
    }

    [Fact]
    public void A_keeper_whose_clock_was_set_forward_is_not_believed()
    {
        using var test = Start();
        var packs = test.Files("packs");
        // The keeper's clock is a file of its user: it says that a year has passed. The guard has a clock of its own.
        var clock = Path.Combine(test.Vault.Folder, "keeper/clock");
        var ahead = test.Vault.Machine.Wall + 365 * Day * 1_000;
        test.Vault.Machine.Wall = ahead;
        VaultClock.Create(clock, Disk.Real, test.Vault.Machine);
        using (var vault = test.Vault.Open())
            vault.Keeper.Expire(false);
        test.Look();
        using (var vault = test.Vault.Open())
            vault.Keeper.Expire(false);
        Assert.All(packs, p => Assert.True(File.Exists(p)));
        Assert.All(packs, p => Assert.False(CanRemove(p)));
    }

    [Theory]
    [MemberData(nameof(FileSystems))]
    public void What_is_locked_is_not_let_go_under_the_name_of_what_is_not(string? fileSystem)
    {
        using var test = new GuardedVault(fileSystem);
        test.Vault.WriteSome();
        test.Vault.BackUp();
        var old = test.Files("packs");
        for (var day = 0; day < 60; day++)
            test.Vault.Machine.Pass(Day);
        test.Vault.Write("new", TestVault.Noise(9, 500_000));
        test.Vault.BackUp();
        var locked = test.Files("packs").Except(old).ToList();
        // Before the guard comes by, the vault's user gives a locked pack the name of one that has expired, as a further copy of it.
        foreach (var path in locked)
            Process.Start("ln", [path, old[locked.IndexOf(path) % old.Count] + ".1"])!.WaitForExit();
        test.Begin();
        using (var vault = test.Vault.Open())
            vault.Keeper.Expire(false);
        test.Look();
        using (var vault = test.Vault.Open())
            vault.Keeper.Expire(false);
        Assert.All(locked, p => Assert.False(CanRemove(p), "a locked pack was let go"));
    }

    [Fact]
    public void A_log_that_was_put_back_frees_nothing()
    {
        using var test = Start();
        var log = Path.Combine(test.Vault.Folder, "log");
        var old = test.Vault["old-log"];
        Process.Start("cp", ["-a", log, old])!.WaitForExit();
        test.Vault.Write("more", "x");
        test.Vault.BackUp();
        test.Look();
        test.Unflag(test.Vault.Folder);
        Directory.Delete(log, recursive: true); // fewer than 256 leaves: no whole tile holds it
        Process.Start("cp", ["-a", old, log])!.WaitForExit();
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => test.Look()).Code);
    }

    [Fact]
    public void Files_of_others_and_what_links_lead_to_stay_as_they_are()
    {
        using var test = Start();
        var outside = test.Vault["outside"];
        Directory.CreateDirectory(outside);
        var name = new string('a', 64);
        File.WriteAllText(Path.Combine(outside, name), "not the vault's");
        var shelf = Path.Combine(test.Vault.Folder, "packs/aa");
        // A link in the place of a file, and one in the place of a shelf.
        File.CreateSymbolicLink(Path.Combine(test.Vault.Folder, "packs/bb", new string('b', 64)), Path.Combine(outside, name));
        test.Unflag(Path.Combine(test.Vault.Folder, "packs"));
        Directory.Move(shelf, shelf + ".away");
        Directory.CreateSymbolicLink(shelf, outside);
        // A store folder that the keeper's user put into the list, and that is no vault's.
        var foreign = test.Vault["foreign"];
        Directory.CreateDirectory(Path.Combine(foreign, "packs/cc"));
        var victim = Path.Combine(foreign, "packs/cc", new string('c', 64));
        File.WriteAllText(victim, "not the vault's either");
        File.AppendAllText(Path.Combine(test.Vault.Folder, "keeper/folders"), foreign + "\n");
        test.Look();
        Assert.True(CanChange(Path.Combine(outside, name)));
        Assert.True(CanRemove(Path.Combine(outside, name)));
        Assert.True(CanRemove(victim));
    }

    [Fact]
    public void A_trial_is_not_guarded()
    {
        using var folder = new TempFolder();
        (var vault, var keys) = Vault.Create(folder["vault"], new NewVault(VaultKind.Trial, new(Day, 0, 0, 0, 0, 0), Day, Day, 0), _ => { }, null, new FakeMachine());
        vault.Dispose();
        keys.Dispose();
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => new FlagGuard(folder["vault"], folder["guard"], new FakeMachine())).Code);
    }

    [Fact]
    public void A_folder_that_knows_no_flags_leaves_those_after_it_guarded_and_is_named()
    {
        using var test = Start();
        var (without, with) = (test.Vault["without"], test.Vault["with"]);
        Directory.CreateDirectory(without);
        Assert.SkipUnless(test.Run("mount", "-t", "ramfs", "none", without) == 0, "needs root, to mount a file system without flags");
        try
        {
            using (var vault = test.Vault.Open())
            {
                vault.Keeper.AddFolder(without);
                vault.Keeper.AddFolder(with);
            }
            var look = test.Look();
            var fault = Assert.Single(look.Faults);
            Assert.Equal((without, ErrorCode.StoreUnavailable), (fault.Folder, fault.Fault.Code));
            Assert.False(CanRemove(Path.Combine(with, "vault")), "the folder after it is not guarded");
        }
        finally
        {
            test.Run("umount", without);
        }
    }

    [Fact]
    public void A_vault_none_of_whose_folders_knows_flags_is_refused()
    {
        using var folder = new TempFolder();
        using var run = Process.Start("mount", ["-t", "ramfs", "none", folder.Path])!;
        run.WaitForExit();
        Assert.SkipUnless(run.ExitCode == 0, "needs root, to mount a file system without flags");
        try
        {
            using var test = new TestVault(parent: folder.Path);
            using var state = new TempFolder();
            Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => new FlagGuard(test.Folder, state["state"], test.Machine).Look()).Code);
        }
        finally
        {
            Process.Start("umount", [folder.Path]).WaitForExit();
        }
    }
}
