using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Which folders a vault may spread to, and what happens while one of them is away.</summary>
public sealed class StoreFolderTests
{
    static ErrorCode Refusal(TestVault test, string folder)
    {
        using var vault = test.Open();
        var size = vault.Keeper.Log.Size;
        var fault = Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(folder));
        Assert.Equal(size, vault.Keeper.Log.Size);
        Assert.Single(vault.Keeper.Folders);
        return fault.Code;
    }

    [Fact]
    public void What_is_no_place_for_packs_is_refused_and_left_as_it_is()
    {
        using var test = new TestVault();
        using var other = new TestVault();
        File.WriteAllText(test["file"], "x");
        Directory.CreateDirectory(test["theirs"]);
        File.WriteAllText(test["theirs/letter.txt"], "x");
        Directory.CreateDirectory(test["lookalike/packs/00"]);
        File.WriteAllText(test["lookalike/packs/00/letter.txt"], "x");
        Directory.CreateSymbolicLink(test["link"], test.Folder);
        Assert.Equal(ErrorCode.Usage, Refusal(test, test.Folder));
        Assert.Equal(ErrorCode.Usage, Refusal(test, test.Folder + "/"));
        Assert.Equal(ErrorCode.Usage, Refusal(test, test["link"]));
        Assert.Equal(ErrorCode.Usage, Refusal(test, Path.Combine(test["link"], "packs", "more")));
        Assert.Equal(ErrorCode.Usage, Refusal(test, Path.Combine(test.Folder, "more")));
        Assert.Equal(ErrorCode.Usage, Refusal(test, Path.GetDirectoryName(test.Folder)!));
        Assert.Equal(ErrorCode.Usage, Refusal(test, test["file"]));
        Assert.Equal(ErrorCode.Usage, Refusal(test, test["two\nlines"]));
        Assert.Equal(ErrorCode.TargetNotEmpty, Refusal(test, test["theirs"]));
        Assert.Equal(ErrorCode.TargetNotEmpty, Refusal(test, test["lookalike"]));
        Assert.Equal(ErrorCode.WrongVault, Refusal(test, other.Folder));
        Assert.Equal(["letter.txt"], Directory.EnumerateFileSystemEntries(test["theirs"]).Select(Path.GetFileName));
        Assert.False(Directory.Exists(test["two\nlines"]));
    }

    /// <summary>A disk on which nothing can be made: mounted read-only after an error, or full.</summary>
    sealed class NoWrites(string below, int error) : Disk
    {
        public override DiskFile Create(string path) => path.StartsWith(below, StringComparison.Ordinal) ? throw DiskFault.OfErrno(error) : base.Create(path);
        public override DiskFile CreateLarge(string path) => path.StartsWith(below, StringComparison.Ordinal) ? throw DiskFault.OfErrno(error) : base.CreateLarge(path);
    }

    [Theory]
    [InlineData(30)] // EROFS
    [InlineData(28)] // ENOSPC
    [InlineData(13)] // EACCES
    [InlineData(5)] // EIO
    public void A_disk_that_takes_no_writes_leaves_them_to_the_others(int error)
    {
        using var test = new TestVault();
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        var bad = Path.Combine(test.Folder, "staging"); // both have the same room, and then the first one is tried first
        test.BackUp(new NoWrites(bad, error));
        Assert.NotEmpty(Directory.EnumerateFiles(test["second/packs"], "*", SearchOption.AllDirectories));
        TestVault.AssertSame(test.Source, test.Restore());

        // Where none takes any, which was tried first is told.
        Directory.Move(test["second"], test["away"]);
        test.WriteSome(2);
        var fault = Assert.Throws<HoldfastException>(() => test.BackUp(new NoWrites(bad, error)));
        Assert.Contains(test.Folder, fault.Message, StringComparison.Ordinal);
    }

    /// <summary>The commit stands in the log by then: to call it failed would have its receipt lost.</summary>
    [Fact]
    public void A_clock_that_cannot_be_saved_undoes_nothing_that_is_in_the_log()
    {
        using var test = new TestVault();
        test.WriteSome();
        var receipt = test.BackUp(new NoWrites(Path.Combine(test.Folder, "keeper", "clock"), 28)).Receipt;
        test.Machine.Pass(60);
        test.WriteSome(2);
        Assert.True(test.BackUp().Receipt.Committed >= receipt.Committed + 60);
    }

    [Fact]
    public void Lines_of_the_list_that_can_be_no_folder_keep_nobody_from_reading()
    {
        using var test = new TestVault();
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        test.BackUp();
        var list = Path.Combine(test.Folder, "keeper", "folders");
        var sound = File.ReadAllText(list);
        foreach (var (line, bad) in new[] { ("/x\0y", 1), ("relative/path", 1), ("/x\u001b[2J\u0007", 1), ("/" + new string('n', 5_000), 1), (string.Join('\n', Enumerable.Range(0, 20_000).Select(i => test[$"q/{i}"])), 20_001 - 64) })
        {
            File.WriteAllText(list, sound + line + "\n");
            using var vault = test.Open();
            Assert.Equal(test["second"], vault.Keeper.Folders[1]);
            Assert.InRange(vault.Keeper.Folders.Count, 2, 65);
            Assert.Contains($"{bad} lines", vault.Keeper.FolderListFault!.Message, StringComparison.Ordinal);
            TestVault.AssertSame(test.Source, test.Restore());
        }
    }

    [Fact]
    public void A_new_disk_and_what_an_addition_cut_short_left_are_taken()
    {
        using var test = new TestVault();
        Directory.CreateDirectory(test["disk/lost+found"]);
        Directory.CreateDirectory(test["half/packs/00"]);
        Directory.CreateDirectory(test["half/staging"]);
        using (var vault = test.Open())
        {
            vault.Keeper.AddFolder(test["disk"]);
            vault.Keeper.AddFolder(test["half"]);
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(test["disk"])).Code);
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(test["disk/inside"])).Code);
        }
        using var again = test.Open();
        Assert.Equal([test.Folder, test["disk"], test["half"]], again.Keeper.Folders);
        Assert.Empty(again.Keeper.Away);
        File.AppendAllText(Path.Combine(test.Folder, "keeper", "folders"), string.Concat(Enumerable.Range(0, 62).Select(i => test[$"away/{i}"] + "\n")));
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => again.Keeper.AddFolder(test["one too many"])).Code);
    }

    [Fact]
    public void While_a_disk_is_away_backups_go_on_beside_it_and_with_it_back_all_is_whole()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        var first = test.BackUp();
        var before = test.Restore();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        foreach (var pack in Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).ToList())
            File.Move(pack, pack.Replace(test.Folder, test["second"], StringComparison.Ordinal));
        Directory.Move(test["second"], test["unplugged"]);
        Directory.CreateDirectory(test["second"]); // where it is mounted, without it
        using (var vault = test.Open())
            Assert.Equal([test["second"]], vault.Keeper.Away);
        test.BackUp();
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.Empty(Directory.EnumerateFileSystemEntries(test["second"]));

        Directory.Delete(test["second"]);
        Directory.Move(test["unplugged"], test["second"]);
        TestVault.AssertSame(before, test.Restore(first.Snapshot.ToString()));
        Assert.True(test.Verify(full: true).IsSound);
    }

    [Fact]
    public void A_folder_that_another_process_adds_is_taken_up_by_one_that_is_running()
    {
        using var test = new TestVault();
        test.WriteSome(1);
        test.BackUp();
        using var running = test.Open();
        using (var other = test.Open())
            other.Keeper.AddFolder(test["second"]);
        using (running.Keeper.Store.Stage())
            Assert.Equal([test.Folder, test["second"]], running.Keeper.Folders);
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).First();
        using (var other = test.Open())
            other.Keeper.AddFolder(test["third"]);
        File.Move(pack, pack.Replace(test.Folder, test["third"], StringComparison.Ordinal));
        Assert.True(Hash32.TryParse(Path.GetFileName(pack), out var name));
        using (var item = running.Keeper.Store.Open(Holdfast.Core.Storage.StoreKind.Pack, name))
            Assert.NotNull(item);
        Assert.Empty(running.Health().Problems);
    }

    /// <summary>A copy of the right size says nothing of its bytes, and the sound one would be left behind.</summary>
    [Fact]
    public void A_folder_is_not_left_for_copies_that_rotted()
    {
        using var test = InASecondFolder();
        var pack = Directory.EnumerateFiles(test["third/packs"], "*", SearchOption.AllDirectories).First();
        var whole = File.ReadAllBytes(pack);
        Flip(pack);
        using (var vault = test.Open())
        {
            Assert.Equal(ErrorCode.PackMissing, Assert.Throws<HoldfastException>(() => vault.MoveFolder(test["second"], test["third"], TestContext.Current.CancellationToken)).Code);
            Assert.Equal(test["second"], vault.Keeper.Folders[1]);
        }
        // Where the old one is no better, nothing is lost by it.
        var old = pack.Replace(test["third"], test["second"], StringComparison.Ordinal);
        Flip(old);
        using (var vault = test.Open())
            Assert.False(vault.MoveFolder(test["second"], test["third"], TestContext.Current.CancellationToken));
        File.WriteAllBytes(pack, whole);
        TestVault.AssertSame(test.Source, test.Restore());

        static void Flip(string path)
        {
            var bytes = File.ReadAllBytes(path);
            bytes[^1] ^= 1;
            File.WriteAllBytes(path, bytes);
        }
    }

    /// <summary>Notes which folders' names were made durable; the disk is full where the log's checkpoint is replaced, once.</summary>
    sealed class FullOnce(string path, Action? before = null) : Disk
    {
        bool _isDone;

        public List<string> Synced { get; } = [];

        public override void SyncFolder(string path)
        {
            Synced.Add(path);
            base.SyncFolder(path);
        }

        public override bool Rename(string from, string name, bool replace)
        {
            if (name != path || _isDone)
                return base.Rename(from, name, replace);
            _isDone = true;
            before?.Invoke();
            throw DiskFault.OfErrno(28);
        }
    }

    [Fact]
    public void An_addition_that_finds_the_disk_full_on_its_way_is_ended_with_the_reserve()
    {
        using var test = new TestVault(reserve: 1 << 20);
        var disk = new FullOnce(Path.Combine(test.Folder, "log", "checkpoint"));
        using (var vault = test.Open(disk))
        {
            var size = vault.Keeper.Log.Size;
            vault.Keeper.AddFolder(test["far/away/second"]);
            Assert.Equal(size + 1, vault.Keeper.Log.Size);
        }
        Assert.Superset(new HashSet<string> { test["far/away"], test["far"], Path.GetDirectoryName(test["far"])! }, disk.Synced.ToHashSet());
        using var again = test.Open();
        Assert.Equal([test.Folder, test["far/away/second"]], again.Keeper.Folders);
    }

    /// <summary>A disk that does not take the log's checkpoint, once.</summary>
    sealed class NoLeafOnce(string folder) : Disk
    {
        bool _isDone;

        public override bool Rename(string from, string name, bool replace)
        {
            if (_isDone || name != Path.Combine(folder, "log", "checkpoint"))
                return base.Rename(from, name, replace);
            _isDone = true;
            throw DiskFault.OfErrno(5);
        }
    }

    [Fact]
    public void A_folder_that_the_log_does_not_tell_of_is_told_of_by_the_next_addition()
    {
        using var test = new TestVault();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["first"]);
        using (var vault = test.Open(new NoLeafOnce(test.Folder)))
            Assert.Equal(ErrorCode.StoreUnavailable, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(test["second"])).Code);
        using var again = test.Open();
        var size = again.Keeper.Log.Size;
        again.Keeper.AddFolder(test["second"]);
        Assert.Equal(size + 1, again.Keeper.Log.Size);
        Assert.Equal([test.Folder, test["first"], test["second"]], again.Keeper.Folders);
        foreach (var told in new[] { "first", "second" })
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => again.Keeper.AddFolder(test[told])).Code);
        Assert.Equal(size + 1, again.Keeper.Log.Size);
    }

    /// <summary>Acts once, when it is asked while the vault's lock is held.</summary>
    sealed class UnderTheLock(IMachineTime machine, string vault, Action act) : IMachineTime
    {
        public bool HasActed { get; private set; }
        public ulong SinceBoot => machine.SinceBoot;
        public string BootId => machine.BootId;
        public string MachineId => machine.MachineId;

        public ulong Wall
        {
            get
            {
                try
                {
                    PlainFile.Take(Path.Combine(vault, "keeper", "lock")).Dispose();
                }
                catch (IOException)
                {
                    if (!HasActed)
                        act();
                    HasActed = true;
                }
                return machine.Wall;
            }
        }
    }

    static void MoveAll(TestVault test, string to)
    {
        foreach (var part in new[] { "packs", "objects" })
        {
            foreach (var file in Directory.EnumerateFiles(Path.Combine(test.Folder, part), "*", SearchOption.AllDirectories).ToList())
                File.Move(file, file.Replace(test.Folder, test[to], StringComparison.Ordinal), overwrite: true);
        }
    }

    static void Copy(string from, string to)
    {
        using var copy = System.Diagnostics.Process.Start("cp", ["-a", from, to])!;
        copy.WaitForExit();
    }

    static TestVault InASecondFolder()
    {
        var test = new TestVault();
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        test.BackUp();
        MoveAll(test, "second");
        Copy(test["second"], test["third"]);
        return test;
    }

    /// <summary>Looking for each takes minutes on a network's disk, and nobody commits meanwhile. What goes at that moment shows whether it is looked for.</summary>
    [Fact]
    public void Under_the_lock_a_move_looks_for_nothing_that_it_has_looked_for()
    {
        using var test = InASecondFolder();
        var pack = Directory.EnumerateFiles(test["third/packs"], "*", SearchOption.AllDirectories).First();
        var machine = new UnderTheLock(test.Machine, test.Folder, () => File.Move(pack, test["kept"]));
        using (var vault = Vault.Open(test.Folder, machine: machine))
            vault.MoveFolder(test["second"], test["third"], TestContext.Current.CancellationToken);
        Assert.True(machine.HasActed); // the test is of what it says
        File.Move(test["kept"], pack);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    [Fact]
    public void What_is_committed_while_a_move_looks_is_looked_for_too()
    {
        using var test = InASecondFolder();
        using var vault = test.Open();
        test.Write("later", TestVault.Noise(9, 90_000));
        test.BackUp();
        MoveAll(test, "second");
        Assert.Equal(ErrorCode.PackMissing, Assert.Throws<HoldfastException>(() => vault.MoveFolder(test["second"], test["third"], TestContext.Current.CancellationToken)).Code);
    }

    [Fact]
    public void A_log_that_could_not_be_read_after_a_failure_is_opened_anew_and_called_no_fork()
    {
        using var test = new TestVault();
        var checkpoint = Path.Combine(test.Folder, "log", "checkpoint");
        using var vault = test.Open(new FullOnce(checkpoint, () => File.Move(checkpoint, test["aside"])));
        var size = vault.Keeper.Log.Size;
        Assert.Equal(ErrorCode.DiskFull, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(test["second"])).Code);
        File.Move(test["aside"], checkpoint);
        vault.Keeper.AddFolder(test["third"]);
        Assert.Equal(size + 1, vault.Keeper.Log.Size);
    }

    /// <summary>A file system that compresses keeps no room for zeros.</summary>
    [Fact]
    public void The_reserve_takes_the_room_that_it_is_to_keep()
    {
        using var test = new TestVault(reserve: 3 << 20);
        var reserve = Path.Combine(test.Folder, "keeper", "reserve");
        Assert.InRange(Packed(), 3 << 20, 4 << 20);
        File.WriteAllBytes(reserve, new byte[3 << 20]); // as earlier versions made it
        test.Write("f", "bed 3");
        test.BackUp();
        Assert.InRange(Packed(), 3 << 20, 4 << 20);

        long Packed()
        {
            using var packed = new MemoryStream();
            using (var into = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true))
                into.Write(File.ReadAllBytes(reserve));
            return packed.Length;
        }
    }
}
