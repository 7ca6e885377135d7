using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What an unattended clean room reads with keys of its own, what it finds, and whom it accuses.</summary>
public sealed class CleanRoomTests
{
    static readonly Id16 Actor = Id16.New();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    static CleanRoomKeys Cut(TestVault test, SecretBytes? seed = null)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(seed ?? test.Seed);
        var room = CleanRoomKeys.Of(vault.CutKey(keys, KeyClass.Tree, null, 5), vault.CutKey(keys, KeyClass.Content, null, 7));
        vault.TellEpoch(room);
        return room;
    }

    static AttestationObject Attest(TestVault test, CleanRoomKeys keys, string snapshot = "latest", AttestationDepth depth = AttestationDepth.SampleAndPacks)
    {
        using var vault = test.Open();
        return vault.Attest(vault.Find(snapshot), keys, depth, Actor, Ct);
    }

    static List<Hash32> ContentPacks(TestVault test, Holdfast.Core.Backup.BackupResult backup) => [.. backup.Archive.Written.Where(w => w.Class == KeyClass.Content).Select(w => w.Name)];

    [Fact]
    public void Its_keys_open_names_and_contents_and_make_no_keys()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var keys = Cut(test);
        Assert.True(keys.IsNewest);
        Assert.Equal(5ul, keys.Expiry);
        using var vault = test.Open();
        var record = vault.Find("latest");
        Assert.NotNull(vault.Describe(record, keys));
        Assert.Equal(ErrorCode.KeyTooNarrow, Assert.Throws<HoldfastException>(() => vault.Statistics(record, keys)).Code); // the features class
        Assert.Null(keys.ErasureKey(record.Object!.Domain, 1, record.Source));
        var found = Attest(test, keys);
        Assert.True(found.IsGood);
        Assert.Equal(AttestationDepth.SampleAndPacks, found.Depth);
        vault.Keeper.Refresh();
        record = vault.Find("latest");
        Assert.True(record is { Attested: > 0, Opened: > 0, FullyAttested: 0 });
        Assert.Equal(Actor, vault.State.CleanRoom.Id);
        Assert.True(Attest(test, keys, depth: AttestationDepth.FullAndPacks).IsFull);
    }

    [Fact]
    public void Keys_of_one_class_or_one_source_are_none_of_a_clean_room()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var other = new TestVault();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var elsewhere = other.Open();
        using var theirs = elsewhere.Unlock(other.Seed);
        ScopedKeys Whole(KeyClass keyClass) => vault.CutKey(keys, keyClass, null, 0);
        Assert.Equal(ErrorCode.KeyTooNarrow, Refused(() => CleanRoomKeys.Of(Whole(KeyClass.Content), Whole(KeyClass.Tree))));
        Assert.Equal(ErrorCode.KeyTooNarrow, Refused(() => CleanRoomKeys.Of(Whole(KeyClass.Tree), Whole(KeyClass.Features))));
        Assert.Equal(ErrorCode.KeyTooNarrow, Refused(() => CleanRoomKeys.Of(Whole(KeyClass.Tree), vault.CutKey(keys, KeyClass.Content, test.Keys.Put.Domain.SourceId("source"u8), 0))));
        Assert.Equal(ErrorCode.WrongVault, Refused(() => CleanRoomKeys.Of(Whole(KeyClass.Tree), elsewhere.CutKey(theirs, KeyClass.Content, null, 0))));
    }

    static ErrorCode? Refused(Action act) => (Record.Exception(act) as HoldfastException)?.Code;

    /// <summary>What was sealed to keys that it does not have it cannot open; a person with the opening key would say the same only where nobody can.</summary>
    [Fact]
    public void A_newer_epoch_is_no_defect_but_a_key_that_is_too_old()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var old = Cut(test);
        using var fresh = new SecretBytes(32);
        PutKey put;
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            put = vault.Rotate(keys, test.Keys.Put, (seed, _) => seed.Span.CopyTo(fresh.Span)).Put!;
            test.Write("later", TestVault.Noise(9, 3_000_000));
            using var source = Holdfast.Sources.Files.FileSource.Open(test.Source, new());
            vault.BackUp(source, new("source"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test["second"]), put, test.Keys.Agent, new(), Ct);
        }
        Assert.Equal(ErrorCode.KeyTooNarrow, Refused(() => Attest(test, old)));
        Assert.Equal(ErrorCode.KeyTooNarrow, Refused(() => Attest(test, old, depth: AttestationDepth.Sample)));
        Assert.False(old.IsNewest);
        Assert.True(Attest(test, old, "latest~1").IsGood); // what it opens it attests
        using (var vault = test.Open())
        {
            Assert.All(vault.State.Snapshots, s => Assert.Equal(0ul, s.Defects));
            Assert.Empty(vault.LastReads().Damaged);
        }
        using var again = Cut(test, fresh);
        Assert.True(Attest(test, again).IsGood);
        Assert.True(again.IsNewest);
    }

    /// <summary>Of a thousand files a sample reads 64: the pack that one of the others lies in is opened all the same.</summary>
    [Fact]
    public void Junk_in_a_file_that_no_sample_reads_is_found_and_its_writer_named()
    {
        using var test = new TestVault();
        for (var i = 0; i < 1_000; i++)
            test.Write($"f{i:d4}", TestVault.Noise(i, 3_000));
        var hit = new byte[3_000];
        TestVault.Noise(777, 3_000).CopyTo(hit, 0);
        var planted = PoisonedPackTests.Plant(test, TestVault.Noise(5, 3_000), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(hit))));
        test.BackUp();
        using var keys = Cut(test);
        var found = Attest(test, keys);
        Assert.Contains((AttestationDefect.ContentWrong, planted), found.Defects);
        using var vault = test.Open();
        Assert.Equal((test.Keys.Put.Writer, test.Keys.Put.WriterEpoch), vault.WriterOf(planted));
        Assert.True(vault.Find("latest").Defects > 0);
    }

    [Fact]
    public void Damage_that_no_sample_comes_to_is_found()
    {
        using var test = new TestVault();
        for (var i = 0; i < 1_000; i++)
            test.Write($"f{i:d4}", TestVault.Noise(i, 3_000));
        var pack = test.BackUp().Archive.Written.Where(w => w.Class == KeyClass.Content).MaxBy(w => w.Size)!.Name;
        using (var vault = test.Open())
        {
            using var file = File.Open(vault.Keeper.FolderStore!.Find(StoreKind.Pack, pack, 0)!, FileMode.Open);
            file.Position = 1_000_000;
            var was = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)(was ^ 1));
        }
        using var keys = Cut(test);
        Assert.Contains((AttestationDefect.PackDamaged, pack), Attest(test, keys).Defects);
    }

    /// <summary>Stored by a writer before it was found out: what a clean room has opened stays, by the log or by its note; all else is stored anew.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_writer_stored_that_was_found_out_leaves_deduplication_until_it_was_opened(bool isNoteLost)
    {
        using var test = new TestVault();
        test.Write("opened", TestVault.Noise(1, 2_000_000));
        var first = test.BackUp();
        using var keys = Cut(test);
        Assert.True(Attest(test, keys).IsGood);
        var content = TestVault.Noise(77, 5_000);
        var planted = PoisonedPackTests.Plant(test, TestVault.Noise(5, 5_000), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content))));
        test.Write("hit", content);
        test.Write("unopened", TestVault.Noise(2, 2_000_000));
        var second = test.BackUp(useState: false);
        Assert.DoesNotContain(ContentPacks(test, second), p => p == planted);
        Assert.Contains((AttestationDefect.ContentWrong, planted), Attest(test, keys).Defects);
        if (isNoteLost)
            File.Delete(Path.Combine(test.Folder, "keeper", "reads"));
        var third = test.BackUp(useState: false);
        var stored = third.Archive.Written.Where(w => w.Class == KeyClass.Content).Sum(w => w.Size);
        Assert.InRange(stored, isNoteLost ? 2_000_000 : 1, isNoteLost ? 3_900_000 : 500_000); // `hit`, where nobody knows that it was opened `unopened` too, and not `opened`
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.True(Attest(test, keys).IsGood);
        var fourth = test.BackUp(useState: false);
        Assert.InRange(fourth.Archive.Written.Where(w => w.Class == KeyClass.Content).Sum(w => w.Size), 0, 500_000); // what was stored anew was opened meanwhile
        using var vault = test.Open();
        Assert.All(ContentPacks(test, first), p => Assert.True(vault.State.IsIn(vault.Find("latest"), p)));
    }

    /// <summary>Stops what reads as so many packs have been opened.</summary>
    sealed class StoppingDisk(CancellationTokenSource stop, int after) : Disk
    {
        int _opened;

        public override Microsoft.Win32.SafeHandles.SafeFileHandle? OpenStored(string path)
        {
            if (path.Contains("/packs/", StringComparison.Ordinal) && Interlocked.Increment(ref _opened) == after)
                stop.Cancel();
            return base.OpenStored(path);
        }
    }

    /// <summary>A clean room that was killed goes on: what it had opened it does not open again.</summary>
    [Fact]
    public void What_was_opened_before_it_was_cut_off_is_not_opened_again()
    {
        using var test = new TestVault();
        for (var i = 0; i < 36; i++)
        {
            test.Write("f", TestVault.Noise(i, 200_000));
            PoisonedPackTests.Plant(test, TestVault.Noise(1_000 + i, 100_000), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(TestVault.Noise(1_000 + i, 100_000)))));
            test.Write($"g{i}", TestVault.Noise(1_000 + i, 100_000));
        }
        test.BackUp(); // over 36 packs
        using var keys = Cut(test);
        int packs, noted;
        using (var vault = test.Open())
            packs = vault.State.PacksOf(vault.Find("latest"))!.Count;
        Assert.True(packs > 36);
        using var stop = new CancellationTokenSource();
        using (var vault = test.Open(new StoppingDisk(stop, after: 60))) // each is opened twice or three times
        {
            vault.ForgetIndex(); // made anew, it opens them once more
            Assert.IsAssignableFrom<OperationCanceledException>(Record.Exception(() => vault.Attest(vault.Find("latest"), keys, AttestationDepth.SampleAndPacks, Actor, stop.Token)));
            noted = vault.LastReads().Opened.Count;
        }
        Assert.InRange(noted, 1, packs - 1);
        var rest = new VerifyProgress();
        using (var vault = test.Open())
        {
            Assert.True(vault.Attest(vault.Find("latest"), keys, AttestationDepth.SampleAndPacks, Actor, Ct, rest).IsGood);
            Assert.Equal(packs, vault.LastReads().Opened.Count);
        }
        Assert.InRange(rest.Bytes, 1, (packs - noted + 1) * 140_000);
    }

    /// <summary>A leaf that was not opened does not count as such, whatever came before.</summary>
    [Fact]
    public void Only_an_attestation_that_opened_the_packs_says_so_and_a_defect_takes_it_back()
    {
        using var test = new TestVault();
        test.WriteSome();
        var pack = ContentPacks(test, test.BackUp())[0];
        using var keys = Cut(test);
        Attest(test, keys, depth: AttestationDepth.Full);
        using (var vault = test.Open())
            Assert.True(vault.Find("latest") is { Opened: 0, FullyAttested: > 0 });
        Attest(test, keys);
        using (var vault = test.Open())
            Assert.True(vault.Find("latest").Opened > 0);
        test.Lose(pack, "packs");
        Attest(test, keys);
        using (var vault = test.Open())
            Assert.True(vault.Find("latest") is { Opened: 0, Defects: > 0 });
    }

    /// <summary>A person's attestation, or a backup's own, is none of a clean room's, whoever it is by: nobody is told to look after what there is not.</summary>
    [Fact]
    public void Without_a_clean_room_nothing_is_late_and_a_wrong_pack_alone_leaves_deduplication()
    {
        using var test = new TestVault();
        test.Write("unopened", TestVault.Noise(1, 2_000_000));
        test.BackUp();
        var content = TestVault.Noise(77, 5_000);
        var planted = PoisonedPackTests.Plant(test, TestVault.Noise(5, 5_000), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content))));
        test.Write("hit", content);
        test.BackUp(useState: false);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            Assert.Contains((AttestationDefect.ContentWrong, planted), vault.Attest(vault.Find("latest"), keys, full: true, Actor, Ct).Defects);
            Assert.Equal(0ul, vault.State.CleanRoom.Last);
        }
        File.Delete(Path.Combine(test.Folder, "keeper", "reads"));
        var third = test.BackUp(useState: false);
        Assert.InRange(third.Archive.Written.Where(w => w.Class == KeyClass.Content).Sum(w => w.Size), 1, 500_000);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>Gives no pack for its first openings, as a disk that is mounted a moment later.</summary>
    sealed class LateDisk(string name, int missing) : Disk
    {
        int _asked;

        public override Microsoft.Win32.SafeHandles.SafeFileHandle? OpenStored(string path) => path.EndsWith(name, StringComparison.Ordinal) && Interlocked.Increment(ref _asked) <= missing ? null : base.OpenStored(path);
    }

    /// <summary>What was away when it was to be opened, and is there when the attestation looks, was not opened: nothing is said of it.</summary>
    [Fact]
    public void Packs_that_could_not_be_opened_are_not_said_to_be()
    {
        using var test = new TestVault();
        for (var i = 0; i < 300; i++)
            test.Write($"f{i:d4}", TestVault.Noise(i, 3_000));
        var pack = test.BackUp().Archive.Written.Where(w => w.Class == KeyClass.Content).MaxBy(w => w.Size)!.Name;
        using var keys = Cut(test);
        using (var vault = test.Open(new LateDisk($"{pack}", 1)))
        {
            var size = vault.Keeper.Log.Size;
            Assert.Equal(ErrorCode.StoreUnavailable, Refused(() => vault.Attest(vault.Find("latest"), keys, AttestationDepth.SampleAndPacks, Actor, Ct)));
            Assert.Equal(size, vault.Keeper.Log.Size);
            Assert.True(vault.Attest(vault.Find("latest"), keys, AttestationDepth.SampleAndPacks, Actor, Ct).IsGood);
        }
    }

    /// <summary>Junk under good names in a pack that says it holds statistics, which no clean room's key opens: it holds nothing up.</summary>
    [Fact]
    public void A_pack_of_a_class_that_no_backup_needs_is_found_wrong_and_its_writer_named()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var planted = PoisonedPackTests.Plant(test, KeyClass.Features, (TestVault.Noise(5, 5_000), test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content)))));
        test.Write("hit", content);
        test.BackUp();
        using (var vault = test.Open())
        {
            Assert.True(vault.State.IsIn(vault.Find("latest"), planted)); // it was built on
        }
        using var keys = Cut(test);
        Assert.Contains((AttestationDefect.ContentWrong, planted), Attest(test, keys).Defects);
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
    }
}
