using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Nothing locked goes before its time, whatever the clocks say; no lock is born short.</summary>
public sealed class LockTests
{
    const ulong Day = RetentionPolicy.Day;

    static long PackCount(TestVault test)
    {
        using var vault = test.Open();
        return vault.Keeper.Store.List(StoreKind.Pack).Count();
    }

    static long Expire(TestVault test)
    {
        using var vault = test.Open();
        return vault.Keeper.Expire(dryRun: false).Names.Count;
    }

    [Fact]
    public void Nothing_goes_before_lock_and_margin_are_over_and_then_it_does()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        test.BackUp();
        var before = PackCount(test);
        for (var day = 0; day < 44; day++)
        {
            Assert.Equal(0, Expire(test));
            test.Machine.Pass(Day);
        }
        Assert.Equal(before, PackCount(test));
        test.Machine.Pass(8 * Day); // ends are rounded up by a fifth of the retention at most
        Assert.True(Expire(test) > 0);
        Assert.Equal(0, PackCount(test));
        using var vault = test.Open();
        Assert.True(vault.State.Snapshots[0].IsRemoved);
        test.BackUp(vault);
        Assert.Equal(2, vault.State.Snapshots.Count);
    }

    /// <summary>One source's backups stopped, another's go on: the last copy of the first stays, with all it was read from, until somebody says that it may go.</summary>
    [Fact]
    public void The_last_snapshot_of_a_source_stays_where_it_is_held()
    {
        using var test = new TestVault(new RetentionPolicy(Day, 0, 0, 0, 0, 0));
        test.WriteSome(1);
        test.BackUp(name: "lab");
        test.WriteSome(2);
        test.BackUp(name: "lab"); // its pack set is told as a difference to the first's
        var lab = test.Source;
        for (var day = 0; day < 60; day += 15)
        {
            test.Machine.Pass(15 * Day);
            test.Write("ward", $"{day}");
            test.BackUp(name: "ward");
            using var vault = test.Open();
            var held = vault.Lasts().Select(s => s.Snapshot).ToList();
            Assert.Equal(2, held.Count);
            var dry = vault.Keeper.Expire(dryRun: true, held);
            var result = vault.Keeper.Expire(dryRun: false, held);
            Assert.Equal(dry.Names.Order(), result.Names.Order());
            Assert.Equal(dry.Held, result.Held);
            Assert.Equal(day >= 15, result.Held.Any()); // from then on its lock is over, and it would have gone
        }
        using (var vault = test.Open())
        {
            var last = vault.Lasts()[0];
            Assert.Equal(1, vault.State.Snapshots.IndexOf(last)); // the second; the first is gone, but for its object
            Assert.True(vault.State.Snapshots[0].IsRemoved);
            Assert.True(test.Verify(full: true).IsSound);
            var restored = test.Restore($"{last.Snapshot}");
            Assert.Equal(File.ReadAllBytes(Path.Combine(lab, "large.bin")), File.ReadAllBytes(Path.Combine(restored, "large.bin")));
            var gone = vault.Keeper.Expire(dryRun: false, [.. vault.Lasts().Skip(1).Select(s => s.Snapshot)]);
            Assert.Empty(gone.Held);
            Assert.True(vault.State.Find(last.Snapshot)!.IsRemoved);
        }
        Assert.True(test.Verify(full: true).IsSound);
    }

    /// <summary>What it needs cannot be told, and may be told again once a disk is back; where none is away, others are not held up by it, and no pack counts as one that nobody named.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_last_snapshot_whose_object_is_lost_holds_up_an_expiry_only_while_a_folder_is_away(bool isAway)
    {
        using var test = new TestVault(new RetentionPolicy(Day, 0, 0, 0, 0, 0));
        if (isAway)
        {
            using var vault = test.Open();
            vault.Keeper.AddFolder(test["second"]);
        }
        test.WriteSome(1);
        test.BackUp(name: "lab");
        Hash32 lost;
        using (var vault = test.Open())
            lost = vault.State.Snapshots[0].Name;
        for (var day = 0; day < 60; day += 15)
        {
            test.Machine.Pass(15 * Day);
            test.Write("ward", $"{day}");
            test.BackUp(name: "ward");
        }
        foreach (var folder in new[] { test.Folder, test["second"] }.Where(f => Directory.Exists(Path.Combine(f, "objects", $"{lost}"[..2]))))
        {
            foreach (var path in Directory.EnumerateFiles(Path.Combine(folder, "objects", $"{lost}"[..2]), $"{lost}*").ToList())
                File.Delete(path);
        }
        if (isAway)
            Directory.Move(test["second"], test["elsewhere"]);
        using var later = test.Open();
        Assert.Contains(later.Lasts(), s => s.Object is null);
        var result = later.Keeper.Expire(dryRun: true, [.. later.Lasts().Select(s => s.Snapshot)]);
        Assert.Equal(isAway, result.IsBlocked);
        Assert.Equal(isAway, result.Names.Count == 0);
    }

    /// <summary>The log's checkpoint is gone, or its disk full, once the leaf of an expiry is written.</summary>
    sealed class FailingLater(string folder, bool isFull) : Disk
    {
        bool _isOver;

        public override DiskFile Create(string path) => _isOver && isFull ? throw DiskFault.OfErrno(28) : base.Create(path);

        public override bool Rename(string from, string name, bool replace)
        {
            var isNamed = base.Rename(from, name, replace);
            if (name != Path.Combine(folder, "log", "checkpoint") || _isOver)
                return isNamed;
            _isOver = true;
            if (isFull) // a refusal that is to be told, and cannot be
                new RefusalTally(Path.Combine(folder, "keeper/refusals"), Real).Write(new() { [new RefusalKey(Id16.New(), RefusedRequest.Commit, 3_600)] = 1 });
            else
                File.Move(name, name + ".aside");
            return isNamed;
        }
    }

    [Theory]
    [InlineData(ErrorCode.DiskFull)]
    [InlineData(ErrorCode.LogDamaged)]
    public void What_was_given_up_is_told_whatever_keeps_its_files(ErrorCode code)
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        test.Machine.Pass(50 * Day);
        using var vault = test.Open(new FailingLater(test.Folder, code == ErrorCode.DiskFull));
        vault.Keeper.RemovedAtOnce = 2;
        var expired = vault.Keeper.Expire(dryRun: false);
        Assert.Superset(result.Archive.Packs.ToList().Select(p => p.Name).ToHashSet(), expired.Names.Select(n => n.Name).ToHashSet());
        Assert.Equal(expired.Names.Count, expired.Stuck);
        Assert.Equal(code, expired.Fault?.Code);
    }

    [Fact]
    public void A_pack_that_a_later_snapshot_needs_stays()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        test.BackUp();
        test.Machine.Pass(25 * Day);
        test.BackUp();
        test.Machine.Pass(28 * Day);
        Expire(test);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void A_wall_clock_set_forward_expires_nothing_and_makes_no_lock_short()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.Machine.Wall += 3650 * Day * 1_000; // the boot clock knows better
        Assert.Equal(0, Expire(test));
        var late = test.BackUp();
        Assert.InRange(late.Receipt.Expiry, 1_800_000_000 + 30 * Day, 1_800_000_000 + 31 * Day); // not ten years on either
        test.Machine.Wall -= 3650 * Day * 1_000;
        Assert.Equal(0, Expire(test));
    }

    [Fact]
    public void A_wall_clock_set_back_expires_nothing_and_makes_no_lock_short()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.Machine.Pass(10 * Day);
        using (var vault = test.Open())
            vault.Keeper.Clock.Save();
        test.Machine.Wall -= 400 * Day * 1_000;
        var result = test.BackUp();
        Assert.True(result.Receipt.Expiry >= 1_800_000_000 + 40 * Day - 60);
        test.Machine.SinceBoot += 100 * Day * 1_000;
        Assert.Equal(0, Expire(test)); // the wall clock says it is too early
    }

    [Fact]
    public void Clock_games_of_any_order_never_free_a_locked_pack()
    {
        var random = new Random(42);
        for (var game = 0; game < 30; game++)
        {
            using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
            test.Write("f", TestVault.Noise(game, 1_000));
            test.BackUp();
            ulong ran = 0; // seconds that really passed while the machine ran
            var clock = Path.Combine(test.Folder, "keeper", "clock");
            var first = File.ReadAllBytes(clock);
            while (ran < 23 * Day)
            {
                switch (random.Next(6))
                {
                    case 0:
                        test.Machine.Wall = (ulong)Math.Max(1, (long)test.Machine.Wall + random.NextInt64(-500, 500) * (long)Day * 1_000);
                        break;
                    case 1: // powered off: the wall clock goes on, nobody knows by how much
                        test.Machine.BootId = $"boot-{random.Next()}";
                        test.Machine.SinceBoot = 1_000;
                        test.Machine.Wall += (ulong)random.Next(100) * Day * 1_000;
                        break;
                    case 2:
                        File.Delete(clock); // its note of time is lost
                        break;
                    case 3:
                        File.WriteAllBytes(clock, first); // or an older one is put back
                        break;
                    default:
                        var step = (ulong)random.Next(1, 3) * Day / 2;
                        ran += step;
                        test.Machine.Pass(step);
                        break;
                }
                if (ran < 23 * Day)
                    Assert.Equal(0, Expire(test));
            }
        }
    }

    [Fact]
    public void Time_asleep_counts_and_time_powered_off_does_not()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        var clock = VaultClock.Create(folder["clock"], Disk.Real, machine);
        var start = clock.Now;
        machine.Pass(3 * Day); // CLOCK_BOOTTIME runs on in suspend
        Assert.InRange(clock.Now - start, 3 * Day, 3 * Day + 200);
        clock.Save();
        machine.Wall += 90 * Day * 1_000;
        machine.SinceBoot = 5_000;
        machine.BootId = "boot-2";
        var again = VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0);
        Assert.InRange(again.Now - start, 3 * Day, 3 * Day + 300);
        machine.Pass(Day);
        Assert.InRange(again.Now - start, 4 * Day, 4 * Day + 400);
    }

    [Fact]
    public void Frequent_looks_at_the_clock_lose_no_time()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        var clock = VaultClock.Create(folder["clock"], Disk.Real, machine);
        var start = clock.Now;
        for (var i = 0; i < 100_000; i++)
        {
            machine.Wall += 10;
            machine.SinceBoot += 10;
            _ = clock.Now;
        }
        Assert.InRange(clock.Now - start, 999UL, 1_002UL);
    }

    [Fact]
    public void After_a_long_power_off_a_new_lock_counts_from_the_later_clock()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        test.Machine.Wall += 20 * Day * 1_000;
        test.Machine.BootId = "boot-2";
        test.Machine.SinceBoot = 60_000;
        Assert.True(test.BackUp().Receipt.Expiry >= 1_800_000_000 + 50 * Day);
    }

    const ulong NextCentury = 4_133_980_800; // 2101-01-01

    /// <summary>Puts leaves with these vault times into the log past the keeper's eyes.</summary>
    static void Forge(TestVault test, params IEnumerable<ulong> times)
    {
        using var vault = test.Open();
        using var signer = LogKeyFile.Read(Path.Combine(test.Folder, "keeper/log.key"), vault.Id);
        MerkleLog.Open(Path.Combine(test.Folder, "log"), Disk.Real, vault.Keeper.Log.Key)
            .Append([.. times.Select(t => new Leaf(LeafType.Verify, t, Id16.New(), Id16.None, 1, 0, 0, Hash32.None).ToArray())], signer);
    }

    [Theory]
    [InlineData(NextCentury)]
    [InlineData(ulong.MaxValue)]
    public void A_leaf_of_next_century_ends_no_lock_and_makes_none_that_long(ulong time)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Forge(test, time);
        var late = test.BackUp();
        Assert.InRange(late.Receipt.Expiry, 1_800_000_000 + 30 * Day, 1_800_000_000 + 31 * Day);
        test.Machine.Wall += 100 * Day * 1_000; // the boot clock knows better
        Assert.Equal(0, Expire(test));
        test.Machine.Wall -= 100 * Day * 1_000;
        Assert.Equal(0, Expire(test));
        test.Machine.Pass(53 * Day);
        Assert.NotEqual(0, Expire(test)); // nothing stands still for it either
    }

    [Fact]
    public void A_leaf_of_next_century_and_a_lost_clock_stop_no_backup()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Forge(test, LockRules.LastEnd);
        File.Delete(Path.Combine(test.Folder, "keeper", "clock"));
        Assert.InRange(test.BackUp().Receipt.Expiry, 1_800_000_000 + 30 * Day, 1_800_000_000 + 31 * Day);
        // Nor where the wall clock is before all leaves, and there is nothing but them to go by.
        File.Delete(Path.Combine(test.Folder, "keeper", "clock"));
        test.Machine.Wall = 1_000;
        Assert.Equal(LockRules.LastEnd, test.BackUp().Receipt.Expiry);
        using var vault = test.Open();
        Assert.True(vault.Keeper.Clock.Unseen > 60 * 365 * Day);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.SetPolicy(Id16.None, default, Id16.None)).Code);
    }

    [Fact]
    public void Leaves_that_lead_to_next_century_step_by_step_end_no_lock()
    {
        using var test = new TestVault();
        test.WriteSome();
        var first = test.BackUp();
        Forge(test, Enumerable.Range(1, 900).Select(i => 1_800_000_000 + (ulong)i * 30 * Day));
        test.WriteSome(2); // packs of its own
        Assert.True(test.BackUp().Receipt.Expiry >= first.Receipt.Expiry);
        test.Machine.Wall += 100 * Day * 1_000;
        Assert.Equal(0, Expire(test));
        using var vault = test.Open();
        Assert.All(vault.State.PackLocks(), l => Assert.False(vault.Keeper.Clock.HasPassed(l.Value)));
    }

    [Fact]
    public void A_leaf_that_is_right_makes_no_lock_short_where_clock_and_wall_are_behind()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var clock = Path.Combine(test.Folder, "keeper", "clock");
        var old = File.ReadAllBytes(clock);
        for (var day = 0; day < 60; day += 20)
        {
            test.Machine.Pass(20 * Day);
            test.BackUp();
        }
        // Its note is put back, and the machine comes up with a clock that was reset.
        File.WriteAllBytes(clock, old);
        test.Machine.Wall = 1_500_000_000_000;
        test.Machine.BootId = "boot-2";
        test.Machine.SinceBoot = 5_000;
        var now = 1_800_000_000 + 60 * Day;
        Assert.True(test.BackUp().Receipt.Expiry >= now + 30 * Day);
        test.Machine.Pass(10 * Day);
        Assert.True(test.BackUp().Receipt.Expiry >= now + 40 * Day); // it goes on from there
        test.Machine.Wall = (now + 60 * Day) * 1_000; // set right
        Assert.Equal(0, Expire(test)); // what nobody saw pass is not over
        File.Delete(clock);
        Assert.True(test.BackUp().Receipt.Expiry >= now + 40 * Day);
    }

    /// <summary>As with the folder `keeper` of another copy: the wall clock says what the log says, so nothing is unseen.</summary>
    [Fact]
    public void A_clock_that_is_put_back_is_set_right_by_leaves_and_wall_clock_together()
    {
        using var test = new TestVault();
        test.WriteSome();
        var clock = Path.Combine(test.Folder, "keeper", "clock");
        var old = File.ReadAllBytes(clock);
        for (var day = 0; day < 60; day += 10)
        {
            test.Machine.Pass(10 * Day);
            test.BackUp();
        }
        File.WriteAllBytes(clock, old);
        test.Machine.BootId = "boot-2";
        test.Machine.SinceBoot = 60_000;
        using var vault = test.Open();
        Assert.Equal(0UL, vault.Keeper.Clock.Unseen);
        Assert.InRange(vault.Keeper.Clock.WallOffset, -3_600, 3_600);
        test.BackUp(vault);
        Assert.Equal(0UL, vault.Keeper.Clock.Unseen);
    }

    /// <summary>The clock begins at the leaves then, as where there is no file.</summary>
    [Fact]
    public void A_flip_anywhere_in_the_clocks_file_is_no_other_time()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        machine.Pass(100 * Day);
        VaultClock.Create(folder["clock"], Disk.Real, machine);
        machine.Pass(10 * Day);
        ulong now;
        {
            var clock = VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0);
            clock.Save();
            now = clock.Now;
        }
        var whole = File.ReadAllBytes(folder["clock"]);
        for (var at = 0; at < whole.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var bytes = whole.ToArray();
                bytes[at] ^= (byte)(1 << bit);
                File.WriteAllBytes(folder["clock"], bytes);
                var clock = VaultClock.Open(folder["clock"], Disk.Real, machine, _ => now - Day);
                Assert.Equal((now - Day, 0UL), (clock.Now, clock.Unseen));
            }
        }
        File.WriteAllBytes(folder["clock"], whole);
        Assert.Equal(now, VaultClock.Open(folder["clock"], Disk.Real, machine, _ => now - Day).Now);
    }

    /// <summary>Rewrites a clock's file as builds before the sights had it.</summary>
    internal static void MakeEarlier(string clock)
    {
        var lines = File.ReadAllLines(clock);
        var (time, sight) = (lines[1].Split(' '), lines[^2].Split(' '));
        var text = $"holdfast clock v1\n{ulong.Parse(time[0]) + ulong.Parse(time[1])} {sight[2]} {sight[3]} {sight[4]} {time[1]} ";
        File.WriteAllText(clock, $"{text}{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(text)).AsSpan(0, 8))}\n");
    }

    [Fact]
    public void A_clock_as_earlier_builds_wrote_it_goes_on()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        VaultClock.Create(folder["clock"], Disk.Real, machine);
        MakeEarlier(folder["clock"]);
        machine.Pass(3 * Day);
        Assert.InRange(VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Now, 1_800_000_000 + 3 * Day, 1_800_000_000 + 3 * Day + 200);
        (machine.BootId, machine.SinceBoot) = ("boot-2", Day * 1_000);
        machine.Wall += 2 * Day * 1_000;
        var whole = File.ReadAllText(folder["clock"]);
        File.WriteAllText(folder["clock"], whole.Replace("\n1", "\n3", StringComparison.Ordinal));
        Assert.Equal(0UL, VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Now); // a flipped bit is no time
        File.WriteAllText(folder["clock"], whole);
        Assert.Equal(1_800_000_000UL, VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Now); // which machine it was, it did not say
    }

    /// <summary>A copy of a machine that runs (its memory of 50 days ago), and one of its disk that was started with a wall clock long past: neither makes time for the other.</summary>
    [Fact]
    public void Copies_of_a_machine_make_no_time()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        machine.Pass(300 * Day);
        VaultClock.Create(folder["clock"], Disk.Real, machine);
        var now = machine.Wall / 1_000;
        void Look(FakeMachine who) => VaultClock.Open(folder["clock"], Disk.Real, who, _ => 0).Save();
        for (var turn = 0; turn < 3; turn++)
        {
            Look(new FakeMachine { BootId = machine.BootId, SinceBoot = machine.SinceBoot - 50 * Day * 1_000, Wall = machine.Wall - 50 * Day * 1_000 });
            Look(machine);
            Look(new FakeMachine { BootId = $"disk-{turn}", SinceBoot = 60_000, Wall = 1_600_000_000_000 });
            Look(new FakeMachine { BootId = "other", SinceBoot = 299 * Day * 1_000, Wall = machine.Wall });
        }
        Assert.Equal(now, VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Passed);
        machine.Pass(Day);
        Assert.InRange(VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Passed, now + Day, now + Day + 60);
    }

    [Fact]
    public void Machines_without_a_boot_id_push_nobody_out()
    {
        var (machine, without) = (new FakeMachine(), new FakeMachine { MachineId = "" });
        using var folder = new TempFolder();
        VaultClock.Create(folder["clock"], Disk.Real, machine);
        for (var run = 0; run < 40; run++)
        {
            without.BootId = MachineTime.UnknownBoot + run;
            VaultClock.Open(folder["clock"], Disk.Real, without, _ => 0).Save();
        }
        machine.Pass(Day);
        Assert.InRange(VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 0).Now, 1_800_000_000 + Day, 1_800_000_000 + Day + 60);
    }

    /// <summary>It has run for months, and its wall clock is wrong: how long it ran says nothing of what has passed since the vault came to it.</summary>
    [Theory]
    [InlineData("machine-2")]
    [InlineData("")]
    public void A_machine_that_meets_the_vault_adds_nothing_to_its_time(string machine)
    {
        using var test = new TestVault(new RetentionPolicy(10 * Day, 0, 0, 0, 0, 0));
        test.WriteSome();
        test.BackUp();
        (test.Machine.MachineId, test.Machine.BootId) = (machine, "boot-2");
        test.Machine.SinceBoot = 60 * Day * 1_000;
        test.Machine.Wall += 70 * Day * 1_000;
        Assert.Equal(0, Expire(test));
        test.Machine.Pass(23 * Day);
        Assert.Equal(0, Expire(test));
        test.Machine.Pass(3 * Day);
        Assert.NotEqual(0, Expire(test)); // what it saw itself does count
    }

    static void Become(FakeMachine machine, string name, ulong sinceBoot)
    {
        (machine.MachineId, machine.BootId) = (name, $"boot-of-{name}");
        machine.SinceBoot = sinceBoot * 1_000;
    }

    /// <summary>Nobody looked for months; then a machine that was just started commits, by a clock that is behind, and one that never slept looks again: what it says has passed was before that commit.</summary>
    /// <param name="wallOff">Seconds that the committing machine's wall clock is behind.</param>
    [Theory]
    [InlineData(0)]
    [InlineData(60 * Day)]
    [InlineData(40 * Day)]
    public void What_passed_before_a_commit_ends_no_lock_that_began_with_it(ulong wallOff)
    {
        using var test = new TestVault();
        Become(test.Machine, "awake", 100 * Day);
        Assert.Equal(0, Expire(test));
        Become(test.Machine, "awake-too", 100 * Day);
        Assert.Equal(0, Expire(test));
        test.Machine.Pass(60 * Day);
        test.Machine.Wall -= wallOff * 1_000;
        Become(test.Machine, "started", 3_600);
        test.WriteSome();
        test.BackUp();
        test.Machine.Wall += wallOff * 1_000;
        for (var half = 0; half < 2 * 30; half++)
        {
            foreach (var machine in new[] { "awake", "awake-too" })
            {
                Become(test.Machine, machine, 160 * Day + (ulong)half * Day / 2);
                Assert.Equal(0, Expire(test));
            }
            test.Machine.Wall += Day / 2 * 1_000;
        }
        var packs = PackCount(test);
        Become(test.Machine, "awake", 205 * Day);
        test.Machine.Wall += 15 * Day * 1_000;
        var gone = Expire(test);
        test.Machine.Pass(32 * Day); // the ends of packs are rounded up by six days
        Assert.NotEqual(0, gone + Expire(test)); // and in the end it goes
        Assert.True(PackCount(test) < packs);
    }

    static void AssertBehind(TestVault test)
    {
        using var vault = test.Open();
        Assert.InRange(vault.Keeper.Clock.Now, 1_800_000_000UL, 1_800_000_000 + 14 * Day - 1);
    }

    /// <summary>Each of them saw the vault first when the one before had gone; none of them alone makes up for much.</summary>
    [Theory]
    [InlineData(7 * Day)]
    [InlineData(7 * Day - 60)]
    [InlineData(Day / 2)]
    public void Machines_that_looked_one_after_the_other_end_no_lock_together(ulong apart)
    {
        const int machines = 14;
        using var test = new TestVault();
        for (var i = 0; i < machines; i++)
        {
            Become(test.Machine, $"m{i}", 1_000 * Day + (ulong)i * apart);
            Assert.Equal(0, Expire(test));
            test.Machine.Wall += apart * 1_000;
        }
        Become(test.Machine, "started", 3_600);
        test.Machine.Wall -= machines * apart * 1_000; // and says that nothing has passed
        test.WriteSome();
        test.BackUp();
        test.Machine.Wall += machines * apart * 1_000;
        for (var i = machines - 1; i >= 0; i--)
        {
            Become(test.Machine, $"m{i}", 1_000 * Day + machines * apart);
            Assert.Equal(0, Expire(test));
        }
        AssertBehind(test);
    }

    /// <summary>A virtual machine that was put back to an earlier state of the same start is given no sight, and what others saw ends no lock that it begins.</summary>
    [Fact]
    public void A_machine_that_was_put_back_commits_and_no_other_makes_up_for_what_was_before()
    {
        using var test = new TestVault();
        Become(test.Machine, "vm", 10 * Day);
        Assert.Equal(0, Expire(test));
        Become(test.Machine, "awake", 100 * Day);
        Assert.Equal(0, Expire(test));
        test.Machine.Wall += 60 * Day * 1_000;
        Become(test.Machine, "vm", 9 * Day);
        test.WriteSome();
        test.BackUp();
        Become(test.Machine, "awake", 160 * Day);
        Assert.Equal(0, Expire(test));
        AssertBehind(test);
    }

    /// <summary>Takes down which machine the clock's file says looked last when a leaf is signed.</summary>
    sealed class ClockDisk(string clock) : Disk
    {
        public string Last { get; private set; } = "";

        public override bool Rename(string from, string name, bool replace)
        {
            if (name.EndsWith("log/checkpoint", StringComparison.Ordinal))
                Last = File.ReadAllLines(clock)[^2];
            return base.Rename(from, name, replace);
        }
    }

    [Fact]
    public void The_clock_knows_of_a_machine_before_the_log_has_a_commit_by_it()
    {
        using var test = new TestVault();
        Become(test.Machine, "other", 3_600);
        test.WriteSome();
        var disk = new ClockDisk(Path.Combine(test.Folder, "keeper/clock"));
        using var vault = test.Open(disk);
        test.BackUp(vault);
        Assert.StartsWith("other ", disk.Last, StringComparison.Ordinal);
    }

    [Fact]
    public void Machines_that_share_a_vault_by_turns_lose_no_time_and_make_none()
    {
        FakeMachine[] machines = [.. Enumerable.Range(1, 16).Select(i => new FakeMachine { MachineId = $"machine-{i}", BootId = $"boot-{i}", SinceBoot = (ulong)i * 300 * Day * 1_000 })];
        using var folder = new TempFolder();
        VaultClock.Create(folder["clock"], Disk.Real, machines[0]);
        for (var hour = 1UL; hour <= 24 * 60; hour++)
        {
            foreach (var machine in machines)
                machine.Pass(3_600);
            var looks = machines[hour * 7 % 16];
            var clock = VaultClock.Open(folder["clock"], Disk.Real, looks, _ => 0);
            clock.Save();
            // Of the first turn only the first machine knows how long it was, so the others are behind by a turn, and no more.
            Assert.InRange(clock.Now, 1_800_000_000 + 3_600 * (hour - Math.Min(hour, 16)), 1_800_000_000 + 3_600 * hour);
        }
        foreach (var machine in machines)
            machine.Wall += 900 * Day * 1_000; // all of them lie
        var now = VaultClock.Open(folder["clock"], Disk.Real, machines[3], _ => 0).Now;
        Assert.InRange(now, 1_800_000_000 + 60 * Day - 16 * 3_600, 1_800_000_000 + 60 * Day);
    }

    [Fact]
    public void A_machine_that_is_never_switched_off_stays_in_step_with_the_wall_clock()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        var clock = VaultClock.Create(folder["clock"], Disk.Real, machine);
        for (var hour = 0; hour < 6 * 365 * 24; hour++)
        {
            machine.Pass(3_600);
            Assert.InRange(clock.WallOffset, -1, 1);
        }
        // A boot clock that is slow is made up for.
        for (var hour = 0; hour < 365 * 24; hour++)
        {
            machine.Pass(3_600);
            machine.SinceBoot -= 1_000;
        }
        Assert.InRange(clock.WallOffset, -1, 1);
    }

    [Fact]
    public void Time_that_a_leaf_has_counted_is_not_counted_again()
    {
        var machine = new FakeMachine();
        using var folder = new TempFolder();
        VaultClock.Create(folder["clock"], Disk.Real, machine);
        machine.Pass(10 * Day); // a run wrote a leaf, and was killed before the clock was saved
        var again = VaultClock.Open(folder["clock"], Disk.Real, machine, _ => 1_800_000_000 + 10 * Day);
        Assert.InRange(again.Now, 1_800_000_000 + 10 * Day, 1_800_000_000 + 10 * Day + 600);
    }

    [Fact]
    public void A_lock_is_lengthened_and_never_shortened()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        using var vault = test.Open();
        vault.Keeper.Extend(result.Snapshot, result.Receipt.Expiry + 10 * Day, Id16.None);
        var refused = Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(result.Snapshot, result.Receipt.Expiry, Id16.None));
        Assert.Equal(ErrorCode.LockRefused, refused.Code);
        Assert.Equal(result.Receipt.Expiry + 10 * Day, vault.State.Snapshots[0].Expiry);
        Assert.Equal(1UL, vault.Keeper.Refusals);
        Assert.Equal(ErrorCode.LockTooLong, Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(result.Snapshot, LockRules.LastEnd, Id16.None)).Code);
    }

    static List<Leaf> Refusals(TestVault test)
    {
        using var vault = test.Open();
        return [.. Enumerable.Range(0, (int)vault.Keeper.Log.Size).Select(i => Leaf.TryParse(vault.Keeper.Log.Leaf(i), out var leaf) ? leaf : default).Where(l => l.Type == LeafType.Refusals)];
    }

    static void AskForLess(TestVault test, Id16 actor)
    {
        using var vault = test.Open(); // as another process would
        var record = vault.State.Snapshots[0];
        Assert.Equal(ErrorCode.LockRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(record.Snapshot, record.Expiry - 1, actor)).Code);
    }

    [Fact]
    public void Refusals_of_an_hour_are_one_leaf_for_each_who_asked_and_none_is_lost()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        var (one, two) = (Id16.New(), Id16.New());
        var begun = test.Machine.Wall / 1_000 / 3_600 * 3_600;
        for (var i = 0; i < 5; i++)
            AskForLess(test, one);
        AskForLess(test, two);
        using (var vault = test.Open())
        {
            vault.Keeper.Extend(result.Snapshot, result.Receipt.Expiry + 1, one); // a change of the same hour
            Assert.Equal(6UL, vault.Keeper.Refusals);
        }
        Assert.Empty(Refusals(test));
        var noted = File.ReadAllText(Path.Combine(test.Folder, "keeper/refusals"));
        test.Machine.Pass(3_600);
        AskForLess(test, one);
        Assert.Equal([(one, 1UL, begun, 5UL), (two, 1UL, begun, 1UL)], Refusals(test).Select(l => (l.Subject, l.A, l.B, l.C)).OrderByDescending(l => l.C));
        // Killed between the leaves and its own note, it tells nothing twice.
        File.WriteAllText(Path.Combine(test.Folder, "keeper/refusals"), noted + File.ReadAllText(Path.Combine(test.Folder, "keeper/refusals")));
        using (var vault = test.Open())
            Assert.Equal(7UL, vault.Keeper.Refusals);
        test.Machine.Pass(3_600);
        using (var vault = test.Open())
        {
            vault.Keeper.Extend(result.Snapshot, result.Receipt.Expiry + 2, one);
            Assert.Equal((7UL, 7UL), (vault.State.Refusals, vault.Keeper.Refusals));
        }
        Assert.Equal(3, Refusals(test).Count);
    }

    [Fact]
    public void A_flip_anywhere_in_the_tally_counts_nothing_against_anybody()
    {
        using var folder = new TempFolder();
        var tally = new RefusalTally(folder["refusals"], Disk.Real);
        var (one, two) = (new RefusalKey(Id16.New(), RefusedRequest.Quota, 1_764_547_200), new RefusalKey(Id16.New(), RefusedRequest.ShorterLock, 1_764_547_200));
        tally.Add(one);
        tally.Add(two);
        tally.Add(two);
        var written = File.ReadAllBytes(folder["refusals"]);
        for (var bit = 0; bit < 8 * written.Length; bit++)
        {
            var flipped = (byte[])written.Clone();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            File.WriteAllBytes(folder["refusals"], flipped);
            var read = tally.Read();
            Assert.True(read.All(r => (r.Key == one && r.Value == 1) || (r.Key == two && r.Value == 2)), $"bit {bit}");
            Assert.InRange(read.Count, written[bit / 8] == '\n' ? 0 : 1, 2); // the other line stands
        }
    }

    /// <summary>Counts how often the log's checkpoint is written anew.</summary>
    sealed class CheckpointDisk : Disk
    {
        public int Count { get; private set; }

        public override bool Rename(string from, string name, bool replace)
        {
            Count += name.EndsWith("log/checkpoint", StringComparison.Ordinal) ? 1 : 0;
            return base.Rename(from, name, replace);
        }
    }

    [Fact]
    public void Many_who_were_refused_are_told_at_once()
    {
        using var test = new TestVault();
        var hour = test.Machine.Wall / 1_000 / RefusalKey.Length * RefusalKey.Length;
        new RefusalTally(Path.Combine(test.Folder, "keeper/refusals"), Disk.Real).Write(Enumerable.Range(0, 500).ToDictionary(_ => new RefusalKey(Id16.New(), RefusedRequest.Commit, hour), _ => 3UL));
        test.Machine.Pass(RefusalKey.Length);
        var disk = new CheckpointDisk();
        using (var vault = test.Open(disk))
            vault.Keeper.Record(LeafType.RecoveryKit, Id16.New(), Id16.None, 3, 5, 1);
        Assert.Equal(2, disk.Count);
        Assert.Equal(500, Refusals(test).Count);
        Assert.Equal(1_500, Refusals(test).Sum(l => (long)l.C));
    }

    [Fact]
    public void Counts_of_refusals_do_not_wrap()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        for (var i = 0; i < 3; i++)
            vault.Keeper.Record(LeafType.Refusals, Id16.New(), Id16.None, (ulong)RefusedRequest.Quota, 1_764_547_200, ulong.MaxValue - 7);
        new RefusalTally(Path.Combine(test.Folder, "keeper/refusals"), Disk.Real).Write(new() { [new RefusalKey(Id16.None, RefusedRequest.Quota, test.Machine.Wall / 1_000)] = ulong.MaxValue });
        Assert.Equal((long.MaxValue, long.MaxValue), ((long)vault.Keeper.Refusals, (long)vault.Keeper.OverQuota));
    }

    [Fact]
    public void Refused_commits_are_counted_and_ids_that_were_made_up_are_not_told_apart()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using (var vault = test.Open())
        {
            var snapshot = vault.State.Whole(vault.State.Snapshots[0])!;
            for (var i = 0; i < 20; i++)
                Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(snapshot with { Snapshot = Id16.New(), Agent = Id16.New() })).Code);
            Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Commit(snapshot with { Snapshot = Id16.New() })).Code);
        }
        test.Machine.Pass(3_600);
        test.BackUp();
        Assert.Equal([(Id16.None, 2UL, 20UL), (test.Keys.Agent.Agent, 2UL, 1UL)], Refusals(test).Select(l => (l.Subject, l.A, l.C)).OrderByDescending(l => l.Item3));
    }

    /// <summary>Seconds pass at each look that makes a name durable, as on a hard disk.</summary>
    sealed class SlowDisk(FakeMachine machine) : Disk
    {
        public override void SyncFolder(string path)
        {
            machine.Pass(2);
            base.SyncFolder(path);
        }
    }

    [Fact]
    public void A_commit_that_takes_its_time_has_all_of_its_lock_and_takes_its_place()
    {
        using var test = new TestVault(new RetentionPolicy(30 * TestVault.Day, 0, 0, 7, 0, 0));
        for (var day = 0; day < 3; day++)
        {
            test.WriteSome(day);
            var receipt = test.BackUp(new SlowDisk(test.Machine)).Receipt;
            Assert.Equal(day == 0 ? 7 * 366 * TestVault.Day : 30 * TestVault.Day, receipt.Expiry - receipt.Committed);
        }
    }

    [Fact]
    public void Junk_first_of_the_month_does_not_take_the_months_place()
    {
        using var test = new TestVault(new RetentionPolicy(7 * Day, 0, 6, 0, 0, 0));
        // To the first of a month.
        var now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);
        var first = new DateTimeOffset(now.Year, now.Month, 1, 0, 10, 0, TimeSpan.Zero).AddMonths(1);
        test.Machine.Pass((ulong)(first - now).TotalSeconds);
        test.Write("junk", "an attacker's snapshot");
        var junk = test.BackUp();
        test.Machine.Pass(Day);
        test.WriteSome();
        var real = test.BackUp();
        Assert.True(real.Receipt.Expiry - real.Receipt.Committed >= 6 * 31 * Day, "the place was open still");
        Assert.True(junk.Receipt.Expiry - junk.Receipt.Committed >= 6 * 31 * Day);
        // The same day, a flood gets the base only.
        var flood = test.BackUp();
        Assert.InRange(flood.Receipt.Expiry - flood.Receipt.Committed, 7 * Day - 60, 7 * Day + 60);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
            vault.Attest(vault.Find(real.Snapshot.ToString()), keys, full: true, Id16.None, CancellationToken.None);
        test.Machine.Pass(Day);
        var after = test.BackUp();
        Assert.InRange(after.Receipt.Expiry - after.Receipt.Committed, 7 * Day - 60, 7 * Day + 60); // attested: the place is closed
    }

    static ulong Days(Holdfast.Core.Backup.BackupResult result) => (result.Receipt.Expiry - result.Receipt.Committed) / Day;

    /// <summary>A vault that keeps a month's snapshot for long, on the first of a month, a little after midnight.</summary>
    static TestVault Monthly()
    {
        var test = new TestVault(new RetentionPolicy(7 * Day, 0, 6, 0, 0, 0));
        var now = DateTimeOffset.FromUnixTimeSeconds((long)(test.Machine.Wall / 1_000));
        test.Machine.Pass((ulong)(new DateTimeOffset(now.Year, now.Month, 1, 0, 10, 0, TimeSpan.Zero).AddMonths(1) - now).TotalSeconds);
        return test;
    }

    [Fact]
    public void Junk_first_of_each_day_takes_no_day_of_the_month()
    {
        using var test = Monthly();
        test.WriteSome();
        for (var day = 0; day < 3; day++)
        {
            Directory.Move(test.Source, test["kept"]);
            Directory.CreateDirectory(test.Source);
            test.BackUp();
            Directory.Delete(test.Source);
            Directory.Move(test["kept"], test.Source);
            Assert.InRange(Days(test.BackUp()), 6 * 31UL, 6 * 31UL + 1);
            Assert.InRange(Days(test.BackUp()), 6UL, 7UL); // of those alike one a day
            test.Machine.Pass(Day);
        }
    }

    [Fact]
    public void A_place_that_came_of_a_smaller_one_that_day_keeps_no_later_one_from_its_own()
    {
        using var test = Monthly();
        test.Write("small", "x");
        test.BackUp();
        test.WriteSome();
        Assert.InRange(Days(test.BackUp()), 6 * 31UL, 6 * 31UL + 1);
        Attest();
        test.Machine.Pass(Day);
        Assert.InRange(Days(test.BackUp()), 6 * 31UL, 6 * 31UL + 1); // as if the second had had no place
        Attest();
        test.Machine.Pass(Day);
        Assert.InRange(Days(test.BackUp()), 6UL, 7UL);

        void Attest()
        {
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            Assert.True(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, CancellationToken.None).IsGood);
        }
    }

    [Fact]
    public void A_flood_ends_at_the_quota_and_displaces_nothing()
    {
        using var test = new TestVault(new RetentionPolicy(30 * Day, 0, 0, 0, 3_000_000, 0));
        test.Write("real", "data");
        var real = test.BackUp();
        test.Write("flood", TestVault.Noise(1, 2_000_000));
        test.BackUp();
        test.Write("flood", TestVault.Noise(2, 2_000_000));
        Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => test.BackUp()).Code);
        using (var vault = test.Open())
            Assert.Equal(real.Receipt.Expiry, vault.State.Snapshots[0].Expiry);
        test.Machine.Pass(Day + 60);
        test.BackUp();
    }

    [Fact]
    public void Packs_of_a_session_that_never_committed_wait_for_a_session_and_the_margin()
    {
        using var test = new TestVault();
        test.Write("a", "a");
        test.BackUp();
        using (var vault = test.Open())
        {
            // A pack that no commit names, as an interrupted backup leaves it.
            var bytes = TestVault.Noise(1, 65_536);
            using var staged = vault.Keeper.Store.Stage();
            staged.Append(bytes);
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, new Hash32(System.Security.Cryptography.SHA256.HashData(bytes)));
        }
        var before = PackCount(test);
        Expire(test); // seen for the first time
        test.Machine.Pass(23 * Day);
        Expire(test);
        Assert.Equal(before, PackCount(test));
        test.Machine.Pass(2 * Day);
        Expire(test);
        Assert.Equal(before - 1, PackCount(test));
    }

    [Fact]
    public void Where_a_snapshot_cannot_say_what_it_needs_nothing_expires()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        test.BackUp();
        test.Machine.Pass(40 * Day);
        test.WriteSome(2);
        var second = test.BackUp();
        using (var vault = test.Open())
        {
            var name = vault.Find(second.Snapshot.ToString()).Name.ToString();
            File.Delete(Path.Combine(test.Folder, "objects", name[..2], name));
        }
        test.Machine.Pass(12 * Day); // the first one's time is over
        Assert.Equal(0, Expire(test));
    }

    [Theory]
    [InlineData(86_400UL)]
    [InlineData(30 * 86_400UL)]
    [InlineData(3_650 * 86_400UL)]
    public void Ends_of_pack_locks_are_never_early_and_at_most_a_quantum_late(ulong retention)
    {
        var quantum = LockRules.Quantum(retention);
        Assert.True(quantum <= 28 * Day);
        var random = new Random(1);
        for (var i = 0; i < 10_000; i++)
        {
            var name = new byte[32];
            random.NextBytes(name);
            var expiry = (ulong)random.NextInt64(1_700_000_000, 4_000_000_000);
            var end = LockRules.PackEnd(new Hash32(name), expiry, quantum);
            Assert.InRange(end, expiry, expiry + quantum - 1);
            Assert.Equal(end, LockRules.PackEnd(new Hash32(name), end, quantum));
        }
        Assert.Equal(LockRules.LastEnd, LockRules.PackEnd(Hash32.None, ulong.MaxValue, quantum));
    }

    [Fact]
    public void Weeks_begin_on_monday_in_utc()
    {
        var monday = (ulong)new DateTimeOffset(2026, 11, 23, 0, 0, 0, TimeSpan.Zero).ToUnixTimeSeconds();
        Assert.NotEqual(Places.Period(Places.Kind.Week, monday - 1), Places.Period(Places.Kind.Week, monday));
        Assert.Equal(Places.Period(Places.Kind.Week, monday), Places.Period(Places.Kind.Week, monday + 7 * Day - 1));
    }
}
