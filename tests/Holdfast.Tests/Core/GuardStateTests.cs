using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What a guard keeps of its own: full, of an earlier version, or half written when the machine died.</summary>
public sealed class GuardStateTests
{
    const ulong Day = TestVault.Day;
    const int MostCalls = 500; // far above what a look takes

    static GuardedVault Start()
    {
        var test = new GuardedVault();
        test.Vault.WriteSome();
        test.Vault.BackUp();
        test.Begin();
        return test;
    }

    static string Own(GuardedVault test) => Directory.GetDirectories(test.State).Single();

    static Hash32 NameOf(string path) => Hash32.TryParse(Path.GetFileName(path), out var name) ? name : throw new InvalidOperationException();

    static GuardMemory Memory(GuardedVault test)
    {
        var memory = GuardMemory.Load(Path.Combine(Own(test), GuardMemory.Name));
        Assert.NotNull(memory);
        return memory;
    }

    static List<ulong> Ends(GuardedVault test, IEnumerable<string> packs)
    {
        var memory = Memory(test);
        return [.. packs.Select(p => memory.TryEnd(NameOf(p), out var end) ? end : 0)];
    }

    static bool IsImmutable(string path) => FileFlags.IsImmutable(path);

    static void Forge(GuardedVault test, IEnumerable<string> packs)
    {
        using var vault = test.Vault.Open();
        var names = packs.Select(p => (StoreKind.Pack, NameOf(p))).ToList();
        vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Now, 0, (ulong)names.Count, new ExpiryList(vault.Id, Hash32.None, names).ToArray());
    }

    static void Copy(string from, string to)
    {
        if (Directory.Exists(to))
            Directory.Delete(to, recursive: true);
        Directory.CreateDirectory(to);
        foreach (var folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(folder.Replace(from, to, StringComparison.Ordinal));
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal));
    }

    /// <summary>The machine starts again, seconds after it died.</summary>
    static void Reboot(GuardedVault test)
    {
        test.Vault.Machine.BootId = $"boot-{Id16.New()}";
        test.Vault.Machine.SinceBoot = 2_000;
        test.Vault.Machine.Wall += 10_000;
    }

    /// <summary>The state as guards had it before they had a memory of locks: a checkpoint, a clock, and since when packs were known that no commit names.</summary>
    static void MakeEarlier(GuardedVault test, string unclaimed = "")
    {
        var own = Own(test);
        File.Copy(test["log/checkpoint"], Path.Combine(own, "checkpoint"));
        File.WriteAllText(Path.Combine(own, "unclaimed"), unclaimed);
        File.Delete(Path.Combine(own, GuardMemory.Name));
        File.Delete(Path.Combine(test.State, GuardPins.Name));
        LockTests.MakeEarlier(Path.Combine(own, "clock"));
        Directory.Delete(Path.Combine(own, "log"), recursive: true);
    }

    [Fact]
    public void A_memory_that_is_full_lets_nothing_go_forgets_nothing_and_says_so()
    {
        using var test = Start();
        var old = test.Files("packs");
        var limit = (int)new FileInfo(Path.Combine(Own(test), GuardMemory.Name)).Length + 40;
        var guard = new FlagGuard(test.Vault.Folder, test.State, test.Vault.Machine, Disk.Real, limit);
        test.Vault.WriteSome(7);
        test.Vault.BackUp();
        Assert.Equal(ErrorCode.GuardStateFull, Assert.Throws<HoldfastException>(() => guard.Look()).Code);
        Assert.All(test.Files("packs"), p => Assert.True(IsImmutable(p)));
        test.Vault.Machine.Pass(60 * Day);
        using (var vault = test.Vault.Open())
            Assert.True(vault.Keeper.Expire(false).Stuck > 0);
        // Neither it nor one that is started anew lets anything go, though the locks are over.
        Assert.Equal(ErrorCode.GuardStateFull, Assert.Throws<HoldfastException>(() => guard.Look()).Code);
        Assert.Equal(ErrorCode.GuardStateFull, Assert.Throws<HoldfastException>(() => new FlagGuard(test.Vault.Folder, test.State, test.Vault.Machine, Disk.Real, limit).Look()).Code);
        Assert.All(old, p => Assert.True(IsImmutable(p)));
        Assert.True(test.Look().Cleared > 0); // with room it goes on where it was
    }

    /// <summary>Commits something new from a machine that was off for so long, so that what it says of the time is as old.</summary>
    /// <param name="test">Its guard's machine ran all the time.</param>
    /// <param name="days">So long.</param>
    /// <param name="meanwhile">What the guard does.</param>
    /// <returns>The new packs.</returns>
    static List<string> CommitFromBehind(GuardedVault test, ulong days, Action meanwhile)
    {
        var before = test.Files("packs");
        var committer = new FakeMachine { MachineId = "machine-2", BootId = "boot-2", SinceBoot = 1, Wall = test.Vault.Machine.Wall };
        meanwhile();
        committer.Wall += days * Day * 1_000;
        test.Vault.WriteSome(2);
        using (var vault = Vault.Open(test.Vault.Folder, null, committer))
            test.Vault.BackUp(vault);
        return [.. test.Files("packs").Except(before)];
    }

    static void AssertHeldFromNow(GuardedVault test, List<string> fresh, ulong earlier = 0)
    {
        Assert.NotEmpty(fresh);
        var end = test.Vault.Machine.Wall / 1_000 + 30 * Day - VaultClock.MostMissed;
        Assert.All(Ends(test, fresh), e => Assert.InRange(e, end - earlier, end + 6 * Day)); // rounded up by a fifth
    }

    [Fact]
    public void A_lock_that_began_by_a_clock_months_behind_is_as_long_for_the_guard_as_it_says()
    {
        using var test = Start();
        FlagGuard? guard = null;
        var fresh = CommitFromBehind(test, 100, () =>
        {
            test.Vault.Machine.Pass(100 * Day);
            guard = test.Open();
            guard.Look();
        });
        guard!.Look();
        AssertHeldFromNow(test, fresh);
    }

    /// <summary>Its object comes into place after the leaf: a disk was away, or whoever has the log's key wants it forgotten.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void So_it_is_where_the_guard_could_not_read_at_first_what_it_locks(bool isStartedAnew)
    {
        using var test = Start();
        using var aside = new TempFolder();
        FlagGuard? guard = null;
        var objects = test.Files("objects");
        var fresh = CommitFromBehind(test, 100, () =>
        {
            test.Vault.Machine.Pass(100 * Day);
            guard = test.Open();
            guard.Look();
        });
        test.Unflag(test["objects"]);
        var hidden = test.Files("objects").Except(objects).ToList();
        hidden.ForEach(o => File.Move(o, aside[Path.GetFileName(o)]));
        guard!.Look();
        Assert.All(Ends(test, fresh), e => Assert.Equal(0u, e)); // it does not know yet what they are for
        test.Unflag(test["objects"]);
        hidden.ForEach(o => File.Move(aside[Path.GetFileName(o)], o));
        if (isStartedAnew)
            guard = test.Open();
        guard.Look();
        AssertHeldFromNow(test, fresh);
    }

    /// <summary>That it looked is remembered, to within a day, even where there was nothing new to remember.</summary>
    [Fact]
    public void So_it_is_for_a_guard_that_was_started_anew_after_months_with_nothing_new()
    {
        using var test = Start();
        var fresh = CommitFromBehind(test, 100, () =>
        {
            var guard = test.Open();
            for (var day = 0; day < 100; day++)
            {
                test.Vault.Machine.Pass(Day);
                guard.Look();
            }
        });
        test.Look();
        AssertHeldFromNow(test, fresh, earlier: Day);
    }

    [Fact]
    public void What_an_earlier_version_remembered_of_untold_commits_is_read()
    {
        using var folder = new TempFolder();
        var memory = new GuardMemory();
        memory.Doubt(7, 0);
        memory.Doubt(9, 5);
        memory.Doubt(9, 3); // the latest end counts
        memory.Save(folder[GuardMemory.Name], Disk.Real, 1);
        Assert.Equal(new Dictionary<ulong, ulong> { [7] = 0, [9] = 5 }, GuardMemory.Load(folder[GuardMemory.Name])!.Untold.ToDictionary());
        var writer = new ByteWriter();
        writer.Raw("holdfast guard v1\n"u8);
        writer.U64(1); // clock
        writer.U64(12); // leaves
        writer.Var(2);
        writer.U64(7);
        writer.U64(9);
        writer.Var(0);
        writer.Var(0);
        writer.Raw(SHA256.HashData(writer.Span));
        File.WriteAllBytes(folder["earlier"], writer.ToArray());
        var earlier = GuardMemory.Load(folder["earlier"]);
        Assert.NotNull(earlier);
        Assert.Equal(12u, earlier.Seen);
        Assert.Equal(new Dictionary<ulong, ulong> { [7] = 0, [9] = 0 }, earlier.Untold.ToDictionary());
    }

    /// <summary>What it met was there before it, however late its first look comes to its end.</summary>
    [Fact]
    public void A_guard_that_died_before_its_first_look_holds_nothing_longer_than_its_lock()
    {
        using var test = new GuardedVault();
        test.Vault.WriteSome();
        test.Vault.BackUp();
        var end = test.Vault.Machine.Wall / 1_000 + 36 * Day;
        test.Vault.Machine.Pass(100 * Day);
        try
        {
            _ = test.Open();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.NoPermission)
        {
            // Begin says so.
        }
        test.Begin();
        Assert.All(Ends(test, test.Files("packs")), e => Assert.InRange(e, 1UL, end));
    }

    [Fact]
    public void Names_that_no_commit_has_never_crowd_out_a_lock()
    {
        using var folder = new TempFolder();
        var path = folder[GuardMemory.Name];
        const int limit = 1_000;
        var memory = new GuardMemory(limit);
        var names = Enumerable.Range(0, 40).Select(i => new Hash32(TestVault.Noise(i, Hash32.Size))).ToList();
        for (var i = 0; i < 10; i++)
            memory.Lengthen(names[i], 1_000);
        memory.Note(names.Skip(10).Select((n, i) => (n, i)).ToDictionary(p => p.n, p => 500UL - (ulong)p.i));
        memory.Save(path, Disk.Real, 0);
        for (var i = 10; i < 15; i++)
            memory.Lengthen(names[i], 2_000);
        memory.Save(path, Disk.Real, 0);
        Assert.InRange(new FileInfo(path).Length, 600, limit);
        var read = GuardMemory.Load(path, limit);
        Assert.NotNull(read);
        Assert.All(names.Take(15), n => Assert.True(read.TryEnd(n, out _)));
        Assert.Equal(471UL, read.FirstSeen(names[39], 9_999)); // known for longest
        Assert.Equal(9_999UL, read.FirstSeen(names[20], 9_999)); // as if it were seen now: kept longer, never shorter
    }

    [Fact]
    public void The_state_of_an_earlier_guard_is_taken_over()
    {
        using var test = Start();
        var packs = test.Files("packs");
        var stray = test["packs/cc/" + new string('c', 64)];
        File.WriteAllText(stray, "unfinished");
        test.Look();
        MakeEarlier(test, $"{new string('c', 64)} {test.Vault.Machine.Wall / 1_000 - 20 * Day}\n");
        Forge(test, [.. packs, stray]);
        test.Vault.Machine.Wall += 365 * Day * 1_000; // by its old clock no time has passed
        Assert.Equal(0, test.Look().Cleared);
        Assert.All(packs, p => Assert.True(IsImmutable(p)));
        Assert.Equal(0, test.Look().Cleared); // and it is not taken over a second time
        test.Vault.Machine.Pass(5 * Day);
        Assert.Equal(1, test.Look().Cleared); // 25 days after the earlier guard saw it first
        Assert.False(IsImmutable(stray));
    }

    [Fact]
    public void An_earlier_guard_that_saw_another_log_lets_nothing_go_and_guards_on()
    {
        using var test = Start();
        var (log, old) = (test["log"], test.Vault["old-log"]);
        Copy(log, old);
        test.Vault.Write("more", "x");
        test.Vault.BackUp();
        test.Look();
        MakeEarlier(test);
        test.Unflag(test.Vault.Folder);
        test.Run("chattr", "+i", test["vault"]);
        Copy(old, log);
        Assert.Equal(ErrorCode.LogForked, test.Refusal());
        Assert.Equal(ErrorCode.LogForked, test.Refusal());
        Assert.All(test.Files("packs"), p => Assert.True(IsImmutable(p)));
    }

    [Fact]
    public void The_memory_of_a_newer_guard_is_not_called_damaged()
    {
        using var test = Start();
        var path = Path.Combine(Own(test), GuardMemory.Name);
        var bytes = File.ReadAllBytes(path);
        bytes["holdfast guard v".Length] = (byte)'9';
        File.WriteAllBytes(path, bytes);
        test.Unflag(test["packs"]);
        Assert.Equal(ErrorCode.FormatNewer, test.Refusal());
        Assert.All(test.Files("packs"), p => Assert.True(IsImmutable(p)));
        Assert.Equal(bytes, File.ReadAllBytes(path));
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    [InlineData((int)Fault.Full)]
    public void A_look_that_dies_anywhere_shortens_no_lock(int kind)
    {
        using var test = Start();
        var packs = test.Files("packs");
        var before = Ends(test, packs);
        using (var vault = test.Vault.Open())
            vault.Keeper.Extend(vault.State.Snapshots[0].Snapshot, vault.State.Snapshots[0].Expiry + 60 * Day, Id16.None);
        test.Vault.Write("new", TestVault.Noise(5, 400_000));
        test.Vault.BackUp();
        File.WriteAllText(test["packs/cc/" + new string('c', 64)], "unfinished");
        Dies(test, kind, least: 12, died =>
        {
            Assert.All(Ends(test, packs).Zip(before), e => Assert.True(e.First >= e.Second, "a lock is shorter"));
            Assert.All(packs, p => Assert.True(IsImmutable(p)));
        }, () => Assert.All(Ends(test, packs).Zip(before), e => Assert.True(e.First >= e.Second + 50 * Day, "the longer lock was lost")));
        Forge(test, packs);
        test.Vault.Machine.Pass(70 * Day); // past what the lock was before, with quantum and margin
        Assert.Equal(0, test.Look().Cleared);
        Assert.All(packs, p => Assert.True(IsImmutable(p)));
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Full)]
    public void A_first_look_that_dies_anywhere_begins_anew(int kind)
    {
        using var test = Start();
        var packs = test.Files("packs");
        var ends = Ends(test, packs);
        test.Unflag(test.Outer);
        Directory.Delete(test.State, recursive: true);
        Directory.CreateDirectory(test.State);
        Dies(test, kind, least: 15, _ => test.Unflag(test.Outer), () =>
        {
            Assert.Equal(ends, Ends(test, packs));
            Assert.All(packs, p => Assert.True(IsImmutable(p)));
            test.Unflag(test.Outer);
        });
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Full)]
    public void A_takeover_of_an_earlier_state_that_dies_anywhere_goes_on(int kind)
    {
        using var test = Start();
        var packs = test.Files("packs");
        var ends = Ends(test, packs);
        MakeEarlier(test, $"{new string('c', 64)} 5\n");
        Dies(test, kind, least: 15, _ => Assert.All(packs, p => Assert.True(IsImmutable(p))), () =>
        {
            Assert.Equal(ends, Ends(test, packs));
            Assert.All(packs, p => Assert.True(IsImmutable(p)));
            Assert.False(File.Exists(Path.Combine(Own(test), "checkpoint")), "it could be taken over once more");
        });
    }

    /// <summary>A look from the same state once for each call that it makes of the disk, which fails at that call; then one that does not fail.</summary>
    /// <param name="test">The vault and the state to begin with.</param>
    /// <param name="kind">How it fails.</param>
    /// <param name="least">Calls that there are at least.</param>
    /// <param name="died">Looks at what is left.</param>
    /// <param name="recovered">Looks at what there is after the next guard's first look.</param>
    static void Dies(GuardedVault test, int kind, int least, Action<HoldfastException?> died, Action recovered)
    {
        var kept = test.Vault["kept"];
        Copy(test.State, kept);
        var calls = 0;
        for (; calls < MostCalls; calls++)
        {
            Copy(kept, test.State);
            test.Vault.Machine.Pass(10);
            var disk = new FaultyDisk(calls, (Fault)kind);
            FlagGuard? guard = null;
            HoldfastException? fault = null;
            try
            {
                guard = new FlagGuard(test.Vault.Folder, test.State, test.Vault.Machine, disk);
                guard.Look();
            }
            catch (HoldfastException e)
            {
                fault = e;
            }
            died(fault);
            if ((Fault)kind == Fault.Full)
            {
                disk.Free(); // the same process goes on
                test.Vault.Machine.Pass(10);
                guard?.Look();
            }
            Reboot(test);
            test.Look();
            recovered();
            if (!disk.HasFailed)
                break;
        }
        Assert.InRange(calls, least, MostCalls - 1);
    }
}
