using System.Runtime.InteropServices;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Tests.Core;

/// <summary>What somebody tries who has the password of the user that owns the vault's folder, and with it the log's key. The attacks run as such a user: these tests need root,
/// and say so where they are skipped.</summary>
public sealed partial class GuardAttackTests
{
    const ulong Day = TestVault.Day;

    /// <summary>A vault that nobody owns, guarded, with one backup in it.</summary>
    static GuardedVault Start(string? fileSystem = null)
    {
        var test = new GuardedVault(fileSystem);
        test.Vault.WriteSome();
        test.Vault.BackUp();
        test.GiveAway();
        test.Begin();
        return test;
    }

    [Fact]
    public void A_list_of_folders_that_makes_no_sense_is_told_and_the_vault_is_guarded_all_the_same()
    {
        using var test = Start();
        File.WriteAllText(Path.Combine(test.Vault.Folder, "keeper", "folders"), "/x\0y\nno path\n" + string.Concat(Enumerable.Range(0, 5_000).Select(i => $"{test.Outer}/q/{i}\n")));
        test.Vault.Write("later", TestVault.Noise(3, 100_000));
        test.Vault.BackUp();
        GuardLook? look = null;
        Assert.Null(LookInTime(test, l => look = l));
        Assert.Contains(look!.Faults, f => f.Fault.Code == ErrorCode.StoreUnavailable);
        Assert.All(Directory.EnumerateFiles(Path.Combine(test.Vault.Folder, "packs"), "*", SearchOption.AllDirectories), p => Assert.True(IsImmutable(p), p));
    }

    static void Pass(GuardedVault test, int days)
    {
        for (var day = 0; day < days; day++)
            test.Vault.Machine.Pass(Day);
    }

    static Hash32 NameOf(string path) => Hash32.TryParse(Path.GetFileName(path).AsSpan(0, 64), out var name) ? name : throw new InvalidOperationException();

    /// <summary>Whoever holds the log's key can sign an expiry of anything.</summary>
    static void Forge(GuardedVault test, IEnumerable<string> packs, IEnumerable<string> objects)
    {
        using var vault = test.Vault.Open();
        var names = packs.Select(p => (StoreKind.Pack, NameOf(p))).Concat(objects.Select(o => (StoreKind.Object, NameOf(o)))).Distinct().ToList(); // objects that lie there twice are named once
        vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Now, 0, (ulong)names.Count, new ExpiryList(vault.Id, Hash32.None, names).ToArray());
    }

    /// <summary>Even for root.</summary>
    static bool IsImmutable(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Write);
            return false;
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException and not FileNotFoundException)
        {
            return true;
        }
    }

    /// <summary>A guard that hangs would hang the test too.</summary>
    static Exception? LookInTime(GuardedVault test, Action<GuardLook>? seen = null)
    {
        var look = Task.Run(() => Record.Exception(() =>
        {
            var look = test.Look();
            seen?.Invoke(look);
        }), TestContext.Current.CancellationToken);
        Assert.True(look.Wait(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken), "the guard hangs");
        return look.Result;
    }

    [Theory]
    [InlineData(null)]
    [InlineData("xfs")]
    [InlineData("btrfs")]
    public void The_owner_moves_and_removes_no_part_of_a_guarded_vault(string? fileSystem)
    {
        using var test = Start(fileSystem);
        var before = test.Files("packs").Concat(test.Files("objects")).Order().ToList();
        Assert.True(test.OwnerCan("test -O vault && test -w ."), "this is not the owner");
        foreach (var command in new[]
        {
            "mv vault vault.away",
            "mv vault/packs vault/packs.away",
            "mv vault/objects objects.away",
            "mv vault/packs/00 vault/packs/gone",
            "rmdir vault/packs/*",
            "mv vault/log vault/log.away",
            "mv vault/log/tile vault/log/away",
            "mv vault/vault vault/vault.away",
            "rm -f vault/packs/*/*",
            "echo x | tee -a vault/packs/*/*",
            "chattr -R -i -a vault",
        })
        {
            test.OwnerCan(command);
            Assert.True(before.SequenceEqual(test.Files("packs").Concat(test.Files("objects")).Order()), command);
            Assert.False(Path.Exists(Path.Combine(test.Outer, "vault.away")), command);
            Assert.True(Directory.GetDirectories(test["packs"]).Length == 256 && Directory.Exists(test["packs/00"]) && Directory.Exists(test["log/tile"]), command);
        }
        Assert.True(test.Vault.Verify(full: true).IsSound);
    }

    [Fact]
    public void A_folder_moved_away_from_above_and_another_vault_in_its_place_are_refused()
    {
        using var test = Start();
        using var other = new TestVault();
        var away = test.Outer + ".away";
        test.Run("chmod", "-R", "a+rX", Path.GetDirectoryName(other.Folder)!);
        // The folder above is the owner's too: it goes, with all that cannot be moved in it.
        Assert.True(test.OwnerCan($"cd / && mv {test.Outer} {away} && mkdir {test.Outer} && cp -R {other.Folder} {test.Outer}/vault"));
        try
        {
            Assert.Equal(ErrorCode.WrongVault, test.Refusal());
            // The same vault's id, in a folder that is another one.
            Assert.True(test.OwnerCan($"cd / && rm -rf {test.Outer}/vault && cp -R {away}/vault {test.Outer}/vault"));
            Assert.Equal(ErrorCode.WrongVault, test.Refusal());
        }
        finally
        {
            test.Unflag(test.Outer);
            Directory.Delete(test.Outer, recursive: true);
            Directory.Move(away, test.Outer);
        }
        test.Look();
    }

    [Fact]
    public void A_known_vault_with_another_log_key_is_refused_wherever_it_lies()
    {
        using var test = Start();
        var copy = Path.Combine(test.Outer, "copy");
        Assert.True(test.OwnerCan("mkdir copy"));
        // Whoever knows a vault's id can make a log for it, sound in itself, with a key of their own.
        using (var vault = test.Vault.Open())
            VaultKeeper.Create(copy, vault.Keeper.State.Genesis!, vault.Keeper.Store.ReadObject(vault.Keeper.State.Keyring), [], "forged"u8, _ => { }, Disk.Real, test.Vault.Machine).Dispose();
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => new FlagGuard(copy, test.State, test.Vault.Machine)).Code);
    }

    [Fact]
    public void A_snapshot_whose_object_is_hidden_while_the_guard_starts_keeps_its_packs()
    {
        using var test = Start();
        var old = test.Files("packs").Concat(test.Files("objects")).ToList();
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        var commit = test.Vault.BackUp();
        test.GiveAway();
        var packs = test.Files("packs").Except(old).ToList();
        string hidden;
        using (var vault = test.Vault.Open())
            hidden = vault.Keeper.State.Find(commit.Snapshot)!.Name.ToString();
        Forge(test, packs, [hidden]);
        test.GiveAway();
        // It is not immutable yet, but its folder takes no name away: only its bytes can go.
        Assert.False(test.OwnerCan($"mv vault/objects/{hidden[..2]}/{hidden} hidden"));
        Assert.True(test.OwnerCan($"chmod u+w vault/objects/{hidden[..2]}/{hidden} && : > vault/objects/{hidden[..2]}/{hidden}"));
        test.Look();
        Pass(test, 25); // longer than what no commit names is kept, shorter than the lock
        Assert.Equal(0, test.Look().Cleared);
        Assert.All(packs, p => Assert.True(IsImmutable(p)));
    }

    [Fact]
    public void A_lock_once_seen_is_remembered_whatever_becomes_of_the_object_that_told_it()
    {
        using var test = Start();
        var (packs, objects) = (test.Files("packs"), test.Files("objects"));
        Forge(test, packs, objects);
        using (var vault = test.Vault.Open())
        {
            var snapshot = vault.Keeper.State.Snapshots.Single().Name.ToString();
            var path = test[$"objects/{snapshot[..2]}/{snapshot}"];
            test.Unflag(test["objects"]);
            File.Move(path, Path.Combine(test.Outer, "lost"));
        }
        test.Look();
        Pass(test, 25);
        Assert.Equal(0, test.Look().Cleared);
        Assert.All(packs, p => Assert.True(IsImmutable(p)));
        Pass(test, 30); // 55 days: 30 of the lock, its rounding, 14 of margin
        Assert.True(test.Look().Cleared > 0, "a lock that is over holds still");
    }

    [Theory]
    [InlineData("log/checkpoint", "mkfifo")]
    [InlineData("keeper/folders", "mkfifo")]
    [InlineData("keeper/reserve", "mkfifo")]
    [InlineData("objects/00/0000000000000000000000000000000000000000000000000000000000000000", "mkfifo")]
    [InlineData("packs/00/0000000000000000000000000000000000000000000000000000000000000000", "mkfifo")]
    [InlineData("log/checkpoint", "truncate -s 3T")]
    [InlineData("keeper/folders", "truncate -s 3T")]
    [InlineData("log/checkpoint", "ln -s /dev/zero")]
    [InlineData("keeper/folders", "ln -s /dev/zero")]
    public void What_is_no_plain_file_does_not_keep_the_guard_from_its_work(string name, string command)
    {
        using var test = Start();
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        test.Vault.BackUp();
        test.GiveAway();
        Assert.True(test.OwnerCan($"rm -f vault/{name} && {command} vault/{name}"));
        LookInTime(test);
        Assert.All(test.Files("packs").Where(p => !p.Contains("/0000", StringComparison.Ordinal)), p => Assert.True(IsImmutable(p)));
    }

    [Fact]
    public void A_pipe_in_place_of_a_leaf_or_an_object_hangs_nobody()
    {
        using var test = Start();
        test.Vault.Write("new", "x");
        var commit = test.Vault.BackUp();
        test.GiveAway();
        string name;
        using (var vault = test.Vault.Open())
            name = vault.Keeper.State.Find(commit.Snapshot)!.Name.ToString();
        test.Unflag(test["objects"]); // as it was before the first look
        Assert.True(test.OwnerCan($"rm -f vault/objects/{name[..2]}/{name} && mkfifo vault/objects/{name[..2]}/{name}"));
        LookInTime(test);
        Assert.True(test.OwnerCan("for f in vault/log/tile/entries/*.p/*; do rm $f && mkfifo $f; done"));
        Assert.Equal(ErrorCode.LogDamaged, Assert.IsType<HoldfastException>(LookInTime(test)).Code);
    }

    [Fact]
    public void A_short_log_that_was_removed_is_in_the_guards_own_folder_and_frees_nothing()
    {
        using var test = Start();
        var packs = test.Files("packs");
        Assert.True(test.OwnerCan("find vault/log -type f -delete"));
        Assert.False(File.Exists(test["log/checkpoint"]));
        Pass(test, 90);
        Assert.Equal(ErrorCode.LogDamaged, test.Refusal());
        Assert.All(packs, p => Assert.True(IsImmutable(p)));
        // The guard's copy is a log as it stands.
        var copy = Path.Combine(Directory.GetDirectories(test.State).Single(), "log");
        test.Run("cp", "-R", copy + "/.", test["log"]);
        test.GiveAway();
        test.Look();
        Assert.True(test.Vault.Verify(full: false).IsSound);
    }

    [Theory]
    [InlineData("rm -rf STATE")]
    [InlineData("rm -rf STATE/*/memory")]
    [InlineData("rm -rf STATE/*/clock")]
    [InlineData("rm -rf STATE/*/log")]
    [InlineData("rm -rf STATE/pins")]
    [InlineData("for f in STATE/*/memory; do printf X | dd of=$f bs=1 seek=60 conv=notrunc; done")]
    [InlineData("for f in STATE/*/memory; do : > $f; done")]
    [InlineData("for f in STATE/*/clock; do : > $f; done")]
    public void A_guard_that_lost_its_memory_lets_nothing_go(string loss)
    {
        using var test = Start();
        var old = test.Files("packs");
        Pass(test, 60);
        test.Vault.Write("a/small.txt", "another");
        File.Delete(Path.Combine(test.Vault.Source, "large.bin"));
        using (var vault = test.Vault.Open())
            Assert.True(vault.Keeper.Expire(false).Stuck > 0);
        Assert.Equal(0, test.Run("sh", "-c", loss.Replace("STATE", test.State, StringComparison.Ordinal)));
        Assert.Equal(ErrorCode.GuardStateDamaged, test.Refusal());
        Assert.Equal(ErrorCode.GuardStateDamaged, test.Refusal());
        Assert.All(old, p => Assert.True(IsImmutable(p)));
    }

    [Fact]
    public void Root_can_have_a_guard_that_lost_everything_begin_anew()
    {
        using var test = Start();
        Directory.Delete(test.State, recursive: true);
        Assert.Equal(ErrorCode.GuardStateDamaged, test.Refusal());
        Assert.False(test.OwnerCan("chattr -i vault/vault"));
        Assert.Equal(0, test.Run("chattr", "-i", test["vault"]));
        test.Look();
        Assert.True(IsImmutable(test["vault"]));
    }

    [Fact]
    public void What_no_commit_names_is_kept_from_when_the_guard_saw_it_first()
    {
        using var test = Start();
        var name = new string('c', 64);
        Assert.True(test.OwnerCan($"echo unfinished > vault/packs/cc/{name}"));
        Forge(test, [name], []);
        Pass(test, 20);
        test.Look();
        Pass(test, 20); // 40 days after it was written, 20 after the guard saw it
        Assert.Equal(0, test.Look().Cleared);
        Assert.True(IsImmutable(test[$"packs/cc/{name}"]));
        Pass(test, 5);
        Assert.Equal(1, test.Look().Cleared);
    }

    [Fact]
    public void A_list_of_folders_leads_nowhere_but_to_the_vaults_own()
    {
        using var test = Start();
        var victim = Path.Combine(test.State, "victim");
        Directory.CreateDirectory(victim);
        var name = Path.Combine(victim, "packs", "dd", new string('d', 64));
        Directory.CreateDirectory(Path.GetDirectoryName(name)!);
        File.WriteAllText(name, "root's");
        // A folder that says it is of this vault, and is made of links to another user's.
        Assert.True(test.OwnerCan($"mkdir extra && cp vault/vault extra/vault && ln -s {victim}/packs extra/packs && mkdir -p extra/objects && ln -s {victim}/packs/dd extra/objects/dd && printf '%s/extra\\n' $PWD > vault/keeper/folders"));
        test.Look();
        Assert.False(IsImmutable(name));
        File.Delete(name);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("xfs")]
    [InlineData("btrfs")]
    public void A_file_that_was_opened_for_writing_before_it_was_immutable_counts_until_it_is_closed(string? fileSystem)
    {
        using var test = Start(fileSystem);
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        var old = test.Files("packs");
        test.Vault.BackUp();
        test.GiveAway();
        var guard = test.Open();
        using (new FileStream(test.Files("packs").Except(old).First(), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            Assert.Equal(1, guard.Look().Written);
            Assert.Equal(1, guard.Look().Written); // still
        }
        Assert.Equal(0, guard.Look().Written);
    }

    [Fact]
    public void A_lease_on_the_file_that_says_what_vault_it_is_keeps_no_guard_from_its_work()
    {
        using var test = Start();
        var guard = test.Open();
        guard.Look();
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        test.Vault.BackUp();
        test.GiveAway();
        // A lease needs no right to write. Whoever opens the file then waits, or does without.
        using var lease = Lease(test["vault"]);
        guard.Look();
        Assert.All(test.Files("packs"), p => Assert.True(IsImmutable(p)));
    }

    [Theory]
    [InlineData("lease")]
    [InlineData("owner")]
    [InlineData("gone")]
    public void A_locked_file_that_is_kept_from_the_guard_is_told(string attack)
    {
        using var test = Start();
        var guard = test.Open();
        var old = test.Files("packs");
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        test.Vault.BackUp();
        test.GiveAway();
        var pack = test.Files("packs").Except(old).First();
        SafeFileHandle? lease = null;
        if (attack == "lease")
            lease = Lease(pack);
        else if (attack == "owner")
            test.Run("chown", "12345", pack); // as a user does who has further user ids (subuid(5))
        else
            test.Run("sh", "-c", $"chattr -a {Path.GetDirectoryName(pack)} && mv {pack} gone");
        Assert.Equal(1, guard.Look().Missing);
        lease?.Dispose();
        test.Run("sh", "-c", $"chown 65534 {pack}; test -e gone && mv gone {pack}");
        Assert.Equal(0, guard.Look().Missing);
        Assert.All(test.Files("packs"), p => Assert.True(IsImmutable(p)));
    }

    [Theory]
    [InlineData("rm vault/keeper/folders")]
    [InlineData("rm vault/keeper/folders && mkfifo vault/keeper/folders")]
    public void A_folder_that_was_taken_off_the_list_is_guarded_on(string command)
    {
        using var test = new GuardedVault();
        test.Vault.WriteSome();
        test.Vault.BackUp();
        var extra = Path.Combine(test.Outer, "extra");
        using (var vault = test.Vault.Open())
            vault.Keeper.AddFolder(extra);
        test.GiveAway();
        test.Begin();
        var guard = test.Open();
        guard.Look();
        var name = new string('c', 64);
        Assert.True(test.OwnerCan($"echo new > extra/packs/cc/{name} && {command}"));
        Record.Exception(() => guard.Look());
        Assert.True(IsImmutable(Path.Combine(extra, "packs/cc", name)));
    }

    [Fact]
    public void A_further_folder_that_was_swapped_from_above_is_told_and_what_is_there_now_is_guarded()
    {
        using var test = new GuardedVault();
        test.Vault.WriteSome();
        test.Vault.BackUp();
        var extra = Path.Combine(test.Outer, "mnt", "disk2");
        Directory.CreateDirectory(Path.GetDirectoryName(extra)!);
        using (var vault = test.Vault.Open())
            vault.Keeper.AddFolder(extra);
        var pack = Path.Combine(extra, "packs/cc", new string('c', 64));
        File.WriteAllText(pack, "stored");
        test.GiveAway();
        test.Begin();
        var guard = test.Open();
        Assert.Empty(guard.Look().Faults);
        Assert.True(IsImmutable(pack));
        Assert.True(test.OwnerCan("mv mnt mnt.hidden && mkdir mnt && cp -r mnt.hidden/disk2 mnt/disk2"));
        Assert.False(IsImmutable(pack));
        for (var look = 0; look < 2; look++) // and it does not get used to it
        {
            var fault = Assert.Single(guard.Look().Faults);
            Assert.Equal((extra, ErrorCode.WrongVault), (fault.Folder, fault.Fault.Code));
            Assert.True(IsImmutable(pack));
            Assert.False(test.OwnerCan("mv mnt/disk2/packs/cc mnt/gone"));
        }
        // What was there is back, with what was written beside it meanwhile.
        var other = Path.Combine(extra, "packs/cc", new string('d', 64));
        Assert.True(test.OwnerCan($"mv mnt mnt.copy && mv mnt.hidden mnt && echo new > {other}"));
        Assert.Empty(guard.Look().Faults);
        Assert.True(IsImmutable(other));
    }

    /// <summary>A write lease (fcntl(2), F_SETLEASE) on a file that this process has open for reading alone.</summary>
    static SafeFileHandle Lease(string path)
    {
        const int setSignal = 10, windowChange = 28, setLease = 1024, write = 1;
        var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        FileLock(file, 8); // LOCK_UN
        Assert.Equal(0, Control(file, setSignal, windowChange)); // and not one that ends this process when somebody else opens the file
        Assert.Equal(0, Control(file, setLease, write));
        return file;
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Control(SafeFileHandle file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "flock")]
    private static partial int FileLock(SafeFileHandle file, int operation);

    [Fact]
    public void Without_the_privilege_the_guard_says_what_it_needs()
    {
        using var test = new GuardedVault();
        test.Vault.WriteSome();
        test.Vault.BackUp();
        test.GiveAway();
        Exception? fault = null;
        // Privileges are a thread's own; this one does not need them afterwards.
        var thread = new Thread(() =>
        {
            var header = new[] { 0x20080522, 0 };
            var sets = new uint[6];
            Assert.Equal(0, GetPrivileges(header, sets));
            sets[0] &= ~(1u << 9); // CAP_LINUX_IMMUTABLE, effective
            Assert.Equal(0, SetPrivileges(header, sets));
            fault = Record.Exception(() => test.Look());
        });
        thread.Start();
        thread.Join();
        var refused = Assert.IsType<HoldfastException>(fault);
        Assert.Equal(ErrorCode.NoPermission, refused.Code);
        Assert.Contains("CAP_LINUX_IMMUTABLE", refused.Message, StringComparison.Ordinal);
        Assert.False(IsImmutable(test["vault"]));
    }

    [LibraryImport("libc", EntryPoint = "capget")]
    private static partial int GetPrivileges(int[] header, [In, Out] uint[] sets);

    [LibraryImport("libc", EntryPoint = "capset")]
    private static partial int SetPrivileges(int[] header, uint[] sets);
}
