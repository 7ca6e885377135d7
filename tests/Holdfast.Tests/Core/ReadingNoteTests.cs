using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Tests.Core;

/// <summary>Whatever reads a snapshot leaves a note of the packs that it found damaged, and of no others.</summary>
public sealed class ReadingNoteTests
{
    static readonly byte[] Content = TestVault.Noise(1, 60_000);

    public static TheoryData<string, KeyClass> Ways => new() { { "cat", KeyClass.Content }, { "cat", KeyClass.Tree }, { "ls", KeyClass.Tree }, { "restore", KeyClass.Content }, { "restore", KeyClass.Tree } };

    /// <summary>A vault with one file, and its pack of that class.</summary>
    static TestVault Small(KeyClass keyClass, out string pack)
    {
        var test = new TestVault();
        test.Write("f", Content);
        using var vault = test.Open();
        var name = test.BackUp(vault, new ArchiveOptions { Threads = 1 }).Archive.Written.Single(p => p.Class == keyClass).Name;
        pack = PoisonedPackTests.PathOf(test, name);
        return test;
    }

    static void Flip(string file)
    {
        var bytes = File.ReadAllBytes(file);
        bytes[PackFormat.HeaderSize + 20] ^= 1; // in the first frame
        File.WriteAllBytes(file, bytes);
    }

    /// <returns>False where something that was asked for could not be read.</returns>
    static bool Read(TestVault test, string way)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var latest = vault.Find("latest");
        try
        {
            switch (way)
            {
                case "cat":
                    vault.Cat(latest, keys, "f"u8.ToArray(), Stream.Null, CancellationToken.None);
                    return true;
                case "backup":
                    test.BackUp(vault);
                    return true;
                case "ls":
                    return vault.Rows(latest, keys, CancellationToken.None).Any();
                default:
                    using (var writer = FileTarget.Create(test[$"{Id16.New()}"], new FileTargetOptions()))
                        return vault.Restore(latest, keys, writer, new PathFilter(null), new RestoreProgress(), 1, CancellationToken.None).IsWhole;
            }
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.PackDamaged or ErrorCode.PackMissing or ErrorCode.ChunkMissing)
        {
            return false;
        }
    }

    static ReadTimes Notes(TestVault test)
    {
        using var vault = test.Open();
        return vault.LastReads();
    }

    static IEnumerable<ErrorCode> Problems(TestVault test)
    {
        using var vault = test.Open();
        return [.. vault.Health().Problems.Select(p => p.Code)];
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_is_damaged_is_known_from_then_on(string way, KeyClass keyClass)
    {
        using var test = Small(keyClass, out var pack);
        Flip(pack);
        Assert.Empty(Problems(test)); // nobody has read it yet
        Assert.False(Read(test, way));
        var (name, damage) = Assert.Single(Notes(test).Damaged);
        Assert.Equal((Path.GetFileName(pack), false), ($"{name}", damage.IsContent));
        Assert.Equal([ErrorCode.PackDamaged], Problems(test));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_pack_with_one_good_copy_is_not_damaged(string way, KeyClass keyClass)
    {
        using var test = Small(keyClass, out var pack);
        File.Copy(pack, $"{pack}.1");
        Flip(pack);
        Assert.True(Read(test, way));
        Assert.Empty(Notes(test).Damaged);
    }

    static void FlipFooter(string file)
    {
        var bytes = File.ReadAllBytes(file);
        bytes[^(PackFormat.TrailerSize + 5)] ^= 1;
        File.WriteAllBytes(file, bytes);
    }

    /// <summary>An index that was made without a pack leads nobody to it.</summary>
    [Theory]
    [InlineData("backup", KeyClass.Content)]
    [InlineData("backup", KeyClass.Tree)]
    [MemberData(nameof(Ways))]
    public void A_damaged_footer_is_known_though_the_index_was_made_anew(string way, KeyClass keyClass)
    {
        using var test = Small(keyClass, out var pack);
        FlipFooter(pack);
        using (var vault = test.Open())
            vault.ForgetIndex();
        Assert.Equal(way == "backup", Read(test, way));
        var (name, damage) = Assert.Single(Notes(test).Damaged);
        Assert.Equal((Path.GetFileName(pack), false), ($"{name}", damage.IsContent));
        Assert.Contains(ErrorCode.PackDamaged, Problems(test));
    }

    /// <summary>No snapshot needs it: a run that was cut off, or somebody, left it there.</summary>
    [Fact]
    public void A_footer_that_no_snapshot_needs_is_not_noted()
    {
        using var test = Small(KeyClass.Content, out var pack);
        var other = Path.Combine(Path.GetDirectoryName(pack)!, $"{new Hash32(SHA256.HashData("other"u8))}");
        File.Copy(pack, other);
        FlipFooter(other);
        Assert.True(Read(test, "restore"));
        Assert.Empty(Notes(test).Damaged);
    }

    [Fact]
    public void A_footer_that_one_copy_has_is_not_damaged()
    {
        using var test = Small(KeyClass.Content, out var pack);
        File.Copy(pack, $"{pack}.1");
        FlipFooter(pack);
        using (var vault = test.Open())
            vault.ForgetIndex();
        Assert.True(Read(test, "restore"));
        Assert.Empty(Notes(test).Damaged);
    }

    /// <summary>Whoever has the index key may store a pack whose name is right and whose footer is not; a disk that gave a sound footer wrong for a moment accuses nobody.</summary>
    [Fact]
    public void A_footer_that_was_written_wrong_is_known_as_that()
    {
        using var test = Small(KeyClass.Content, out var pack);
        using var vault = test.Open();
        var domain = test.Keys.Put.Domain;
        ReadFindings Judge(Hash32 name) => FailedPacks.JudgeFooters([name], vault.Keeper.Store, vault.Id, domain, CancellationToken.None);
        Assert.Equivalent(new ReadFindings(), Judge(NameOf(pack)));
        FlipFooter(pack);
        var name = new Hash32(SHA256.HashData(File.ReadAllBytes(pack)));
        Directory.CreateDirectory(Path.Combine(test.Folder, "packs", $"{name}"[..2]));
        File.Move(pack, PoisonedPackTests.PathOf(test, name));
        var found = Judge(name);
        Assert.Equal([name], found.ContentWrong);
        Assert.Empty(found.Damaged);
    }

    [Fact]
    public void Who_interrupts_does_not_wait_for_the_note()
    {
        using var folder = new TempFolder();
        using var taken = KeeperLock.Take(folder["lock"], TimeSpan.Zero, CancellationToken.None);
        Assert.Equal(ErrorCode.VaultBusy, ReadTimes.TryUpdate(folder["reads"], new ReadFindings { Damaged = [Hash32.None] }, 1, null, new CancellationToken(canceled: true))?.Code);
        Assert.Equal(ErrorCode.VaultBusy, ReadTimes.TryUpdate(folder["reads"], new ReadFindings { Damaged = [Hash32.None] }, 1, TimeSpan.Zero, CancellationToken.None)?.Code);
    }

    /// <summary>A listing shows it; that it was read once counts no longer.</summary>
    [Theory]
    [InlineData("cat", KeyClass.Content)]
    [InlineData("cat", KeyClass.Tree)]
    [InlineData("ls", KeyClass.Tree)]
    public void What_is_missing_counts_as_never_read(string way, KeyClass keyClass)
    {
        using var test = Small(keyClass, out var pack);
        Assert.True(test.Verify(full: false).IsSound);
        Assert.Contains(NameOf(pack), Notes(test).Times.Keys);
        File.Delete(pack);
        Assert.False(Read(test, way));
        Assert.DoesNotContain(NameOf(pack), Notes(test).Times.Keys);
        Assert.Empty(Notes(test).Damaged);
        Assert.Equal([ErrorCode.PackMissing], Problems(test));
    }

    /// <summary>Its bytes give its name: it was written so, and reading its bytes alone does not clear it.</summary>
    [Theory]
    [InlineData("cat")]
    [InlineData("restore")]
    public void What_was_written_wrong_is_known_as_that(string way)
    {
        using var test = new TestVault();
        var planted = PoisonedPackTests.Plant(test, TestVault.Noise(5, Content.Length), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(Content))));
        test.Write("f", Content);
        test.BackUp();
        Assert.False(Read(test, way));
        var (name, damage) = Assert.Single(Notes(test).Damaged);
        Assert.Equal((planted, true), (name, damage.IsContent));
    }

    /// <summary>A disk may give something wrong for a moment.</summary>
    [Fact]
    public void What_is_sound_when_it_is_read_again_is_not_accused()
    {
        using var test = Small(KeyClass.Content, out var pack);
        Assert.Empty(Judged(test, NameOf(pack), isStopped: false).Damaged);
        Assert.Equal([NameOf(pack)], Judged(test, NameOf(pack), isStopped: true).Damaged); // nobody waits for that
    }

    /// <summary>A file that cannot be opened.</summary>
    sealed class Away(string path, int error, int times) : Disk
    {
        int _left = times;

        public override SafeFileHandle? OpenStored(string opened) => opened == path && Interlocked.Decrement(ref _left) >= 0 ? throw DiskFault.OfErrno(error) : base.OpenStored(opened);
    }

    [Theory]
    [InlineData(116, 1, true)] // ESTALE
    [InlineData(116, int.MaxValue, false)]
    [InlineData(23, 1, true)] // ENFILE
    public void What_does_not_answer_is_not_accused(int error, int times, bool isSound)
    {
        using var test = Small(KeyClass.Content, out var pack);
        using (var vault = test.Open(new Away(pack, error, times)))
        {
            var result = vault.Verify(null, null, new VerifyProgress(), 1, CancellationToken.None);
            Assert.Equal(isSound, result.IsSound);
            Assert.Equal(isSound ? [] : [DefectKind.Unread], result.Defects.Select(d => d.Kind));
        }
        Assert.Empty(Notes(test).Damaged);
        Assert.Empty(Problems(test));
    }

    /// <summary>The disk is gone, and memory still has the ends of its files.</summary>
    [Fact]
    public void What_memory_has_of_a_disk_that_is_gone_accuses_nothing()
    {
        using var disk = LoopDisk.TryMake("ext4");
        Assert.SkipWhen(disk is null, "needs root to mount a disk of its own");
        using var test = new TestVault(parent: disk.Path);
        test.Write("image", TestVault.Noise(1, 4 << 20));
        test.BackUp();
        var packs = Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories);
        using var vault = test.Open();
        Assert.True(LoopDisk.Run("sync", ["-f", test.Folder]));
        foreach (var pack in packs)
        {
            using var file = File.OpenHandle(pack);
            Assert.Equal(0, Libc.Advise(file, 0, 0, Libc.DontNeed));
            RandomAccess.Read(file, new byte[1], 0);
            RandomAccess.Read(file, new byte[1], RandomAccess.GetLength(file) - 1);
        }
        disk.Break();
        var result = vault.Verify(null, null, new VerifyProgress(), 1, CancellationToken.None);
        var defects = result.Defects.Where(d => d.Store == StoreKind.Pack).ToList();
        Assert.Equal(packs.Length, defects.Count);
        Assert.All(defects, d => Assert.Equal(DefectKind.Unread, d.Kind));
    }

    /// <summary>Once, however many snapshots come to it, and not where it stands in the note already.</summary>
    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0)]
    public void What_cannot_be_noted_is_told_once(bool isKnown, int told)
    {
        using var test = Small(KeyClass.Content, out var pack);
        test.BackUp();
        Flip(pack);
        if (isKnown)
            Assert.False(test.Verify(full: false).IsSound);
        using var held = KeeperLock.Take(Path.Combine(test.Folder, "keeper", "lock"), TimeSpan.Zero, CancellationToken.None); // so that nothing is noted
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var faults = new List<HoldfastException>();
        vault.NotNoted = faults.Add;
        foreach (var record in vault.State.Snapshots)
            Assert.Throws<HoldfastException>(() => vault.Cat(record, keys, "f"u8.ToArray(), Stream.Null, CancellationToken.None));
        Assert.Equal(told, faults.Count);
    }

    /// <summary>The log has what an attestation found.</summary>
    [Fact]
    public void What_an_attestation_found_damaged_is_not_built_on_though_the_note_of_it_is_gone()
    {
        using var test = Small(KeyClass.Content, out var pack);
        Flip(pack);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
            Assert.False(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, CancellationToken.None).IsGood);
        File.Delete(Path.Combine(test.Folder, "keeper", "reads"));
        using (var vault = test.Open())
            Assert.NotEmpty(test.BackUp(vault, new ArchiveOptions { Threads = 1, UseState = false }).Archive.Written);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    static Hash32 NameOf(string pack) => Hash32.TryParse(Path.GetFileName(pack), out var name) ? name : throw new ArgumentException(pack);

    /// <summary>What is noted of a pack that gave something wrong when it was asked.</summary>
    static ReadFindings Judged(TestVault test, Hash32 pack, bool isStopped)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = vault.OpenIndex(domain, CancellationToken.None);
        using var chunks = new ChunkReader(vault.Keeper.Store, index, keys, domain);
        chunks.Failed[pack] = true;
        return FailedPacks.Judge(chunks, vault.Keeper.Store, keys, new HashSet<Hash32>(), new CancellationToken(isStopped));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Where_nothing_can_be_noted_what_is_read_is_told_all_the_same(string way, KeyClass keyClass)
    {
        using var test = Small(keyClass, out var pack);
        Flip(pack);
        Directory.Move(Path.Combine(test.Folder, "keeper"), test["keeper"]);
        Assert.False(Read(test, way));
        Assert.False(Directory.Exists(Path.Combine(test.Folder, "keeper")));
    }
}
