using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What a thief of a put key may store: packs whose chunks are not what their ids say, and snapshots that claim more than can be read in years.</summary>
public sealed class PoisonedPackTests
{
    internal static Hash32 Plant(TestVault test, byte[] bytes, Hash32 id) => Plant(test, (bytes, id));

    internal static Hash32 Plant(TestVault test, params (byte[] Bytes, Hash32 Id)[] chunks) => Plant(test, DigestKind.Whole, chunks);

    internal static Hash32 Plant(TestVault test, KeyClass keyClass, params (byte[] Bytes, Hash32 Id)[] chunks) => Plant(test, DigestKind.Whole, keyClass, chunks);

    static Hash32 Plant(TestVault test, DigestKind kind, params (byte[] Bytes, Hash32 Id)[] chunks) => Plant(test, kind, KeyClass.Content, chunks);

    static Hash32 Plant(TestVault test, DigestKind kind, KeyClass keyClass, (byte[] Bytes, Hash32 Id)[] chunks)
    {
        using var vault = test.Open();
        var put = test.Keys.Put;
        var name = Hash32.None;
        using var session = new PackSession(vault.Id, put, put.Domain.SourceId("hostile"u8), vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            name = pack.Name;
            staged.Dispose();
        }, TimeProvider.System);
        using var writer = new PackWriter(session, keyClass, 1);
        foreach (var (bytes, id) in chunks)
            writer.Add(bytes, id, kind);
        writer.Finish();
        return name;
    }

    /// <summary>Backups take the planted chunk for theirs; whoever reads finds out whose fault it is, and the next run stores its own.</summary>
    /// <param name="flipped">The byte of the id that is another; none: the whole id is the right one.</param>
    [Theory]
    [InlineData(-1)]
    [InlineData(16)]
    [InlineData(31)]
    public void A_planted_chunk_is_told_by_an_attestation_and_stored_anew(int flipped)
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var id = test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content))).ToArray();
        if (flipped >= 0)
            id[flipped] ^= 1;
        var planted = Plant(test, TestVault.Noise(5, 5_000), new Hash32(id));
        test.Write("f", content);
        test.BackUp();
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
            Assert.Contains((AttestationDefect.ContentWrong, planted), found.Defects);
            Assert.Contains(planted, vault.LastReads().Damaged.Keys);
        }
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    /// <summary>Anybody who writes to the vault's folder writes it, and a bit of it flips unseen.</summary>
    /// <param name="isWhole">All of the snapshot is attested, not a sample.</param>
    /// <param name="mark">After a pack's name, instead of when it was read.</param>
    [Theory]
    [InlineData(true, "!764547200")]
    [InlineData(false, "!content 1764547200")]
    [InlineData(true, "!content 1764547200")]
    [InlineData(true, "!bytes 1764547200")]
    public void A_note_that_a_sound_pack_is_wrong_accuses_nobody_and_goes(bool isWhole, string mark)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        Assert.True(test.Verify(full: true).IsSound);
        var reads = Path.Combine(test.Folder, "keeper", "reads");
        File.WriteAllLines(reads, File.ReadAllLines(reads).Select(l => $"{l[..64]} {mark}"));
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var found = vault.Attest(vault.Find("latest"), keys, isWhole, Id16.None, TestContext.Current.CancellationToken);
        Assert.Empty(found.Defects);
        Assert.True(found.IsGood);
        var packs = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).Select(Path.GetFileName).ToHashSet();
        Assert.DoesNotContain(vault.LastReads().Damaged.Keys, d => packs.Contains($"{d}"));
    }

    [Fact]
    public void A_note_that_a_pack_is_wrong_stays_where_it_is_so()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var planted = Plant(test, TestVault.Noise(5, 5_000), IdOf(test, content));
        test.Write("f", content);
        test.BackUp();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        File.WriteAllText(Path.Combine(test.Folder, "keeper", "reads"), $"{planted} !content 1764547200\n");
        for (var i = 0; i < 2; i++)
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken);
            Assert.Contains((AttestationDefect.ContentWrong, planted), found.Defects);
            Assert.Equal(new KnownDamage(IsContent: true, 1764547200), vault.LastReads().Damaged[planted]);
        }
    }

    /// <summary>Puts a sound pack back in the place of a damaged one as another is opened.</summary>
    sealed class MendingDisk(string other, Action mend) : Disk
    {
        public override Microsoft.Win32.SafeHandles.SafeFileHandle? OpenStored(string path)
        {
            if (path == other)
                mend();
            return base.OpenStored(path);
        }
    }

    /// <summary>Its frame did not open when it was read; that it was damage, and no fault of its writer's, its bytes tell no more once they are mended.</summary>
    [Fact]
    public void A_pack_that_was_mended_since_it_was_read_accuses_nobody()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 60_000);
        test.Write("f", content);
        var pack = test.BackUp().Archive.Written.Single(w => w.Class == KeyClass.Content).Name;
        var other = Plant(test, content, IdOf(test, content));
        var sound = File.ReadAllBytes(PathOf(test, pack));
        Put([.. sound.Select((b, i) => i is > 1_300 and < 30_000 ? (byte)(b ^ 0x55) : b)]);
        using (var vault = test.Open(new MendingDisk(PathOf(test, other), () => Put(sound))))
        using (var keys = vault.Unlock(test.Seed))
        {
            using (var index = vault.OpenIndex(test.Keys.Put.Domain, CancellationToken.None))
                Put([.. sound.Select((b, i) => i is > 1_300 and < 30_000 ? (byte)(b ^ 0x55) : b)]); // taking in the other's footer has opened it
            var fault = Assert.Throws<HoldfastException>(() => vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken));
            Assert.Equal(ErrorCode.StoreUnavailable, fault.Code);
            Assert.True(fault.IsTransient);
            Assert.Equal(sound, File.ReadAllBytes(PathOf(test, pack))); // the test is of what it says
            Assert.Empty(vault.LastReads().Damaged);
            Assert.True(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood);
        }

        void Put(byte[] bytes)
        {
            File.Delete(PathOf(test, pack));
            File.WriteAllBytes(PathOf(test, pack), bytes);
        }
    }

    /// <summary>The same of a chunk that a row lists, whose digest and id are over its blocks.</summary>
    [Fact]
    public void A_planted_chunk_of_blocks_is_told_by_an_attestation_and_stored_anew()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 3_000_000);
        using var cutter = new Cutter(test.Keys.Put.Domain.Cutter.Span);
        var first = content[..cutter.Next(content, true)];
        var id = test.Keys.Put.Domain.ChunkId(KeyClass.Content, ChunkRef.DigestOf(first, DigestKind.Blocks), DigestKind.Blocks);
        var planted = Plant(test, DigestKind.Blocks, (TestVault.Noise(5, first.Length), id));
        test.Write("f", content);
        test.BackUp();
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken);
            Assert.Equal([(AttestationDefect.ContentWrong, planted), (AttestationDefect.SampleWrong, Hash32.None)], found.Defects);
            Assert.Contains(planted, vault.LastReads().Damaged.Keys);
        }
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
        TestVault.AssertSame(test.Source, test.Restore("latest~1")); // which names the planted one alone
    }

    internal static Hash32 IdOf(TestVault test, byte[] bytes) => test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(bytes)));

    /// <summary>A restore reads the packs of the snapshot, whatever others name its chunks.</summary>
    [Fact]
    public void A_restore_reads_no_planted_chunk_where_its_snapshot_has_a_sound_one()
    {
        using var test = new TestVault();
        var contents = Enumerable.Range(0, 8).Select(i => TestVault.Noise(i, 5_000)).ToList();
        for (var i = 0; i < contents.Count; i++)
            test.Write($"f{i}", contents[i]);
        test.BackUp();
        for (var pack = 0; pack < 10; pack++)
            Plant(test, [.. contents.Select((c, i) => (TestVault.Noise(100 + 8 * pack + i, 5_000), IdOf(test, c)))]);
        TestVault.AssertSame(test.Source, test.Restore());
        using var vault = test.Open();
        Assert.Empty(vault.LastReads().Damaged); // what was read and was wrong would be noted
    }

    /// <summary>Also where it is not known which packs a snapshot needs.</summary>
    [Fact]
    public void A_planted_pack_is_asked_last_once_it_was_wrong_some_times()
    {
        const int chunks = 12, packs = 10, length = 1_000_000;
        using var test = new TestVault();
        var contents = Enumerable.Range(1, chunks).Select(i => Enumerable.Repeat((byte)i, length).ToArray()).ToList();
        var planted = Enumerable.Range(0, packs).Select(pack => Plant(test, [.. contents.Select(c => (Enumerable.Repeat((byte)(100 + pack), length).ToArray(), IdOf(test, c)))])).ToList();
        var honest = Plant(test, [.. contents.Select(c => (c, IdOf(test, c)))]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = Holdfast.Core.Index.ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, planted, null, TestContext.Current.CancellationToken);
        index.AddMissing(vault.Keeper.Store, [honest], null, TestContext.Current.CancellationToken);
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain);
        foreach (var content in contents)
            Assert.True(reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(content)), length)).SequenceEqual(content));
        Assert.Equal(packs, reader.Failed.Count); // the test is of what it says
        Assert.InRange(reader.BytesRead, chunks * length, (chunks + 4 * packs) * (long)length);
    }

    /// <summary>A pack of the snapshot's own set that is lost, whose data was stored anew elsewhere: reading does not begin with it, chunk by chunk.</summary>
    [Fact]
    public void A_pack_that_is_gone_is_asked_last_though_the_snapshot_names_it()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(3, 5_000);
        var chunk = new ChunkRef(new Hash32(SHA256.HashData(content)), content.Length);
        var gone = Plant(test, [(content, IdOf(test, content))]);
        var there = Plant(test, [(content, IdOf(test, content))]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = Holdfast.Core.Index.ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, [gone, there], null, TestContext.Current.CancellationToken);
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain) { Prefer = pack => pack == gone };
        Assert.True(reader.TryFind(KeyClass.Content, chunk, out var place));
        Assert.Equal(gone, index.Pack(place.Pack).Name);
        index.Drop([gone]);
        Assert.True(reader.TryFind(KeyClass.Content, chunk, out place));
        Assert.Equal(there, index.Pack(place.Pack).Name);
        Assert.True(reader.Read(KeyClass.Content, chunk).SequenceEqual(content));
        Assert.Equal([there], reader.PacksRead);
    }

    internal static string PathOf(TestVault test, Hash32 pack) => Path.Combine(test.Folder, "packs", $"{pack}"[..2], $"{pack}");

    /// <summary>Puts a pack with another header in the place of one: its footer opens, as who has the index key can have it.</summary>
    internal static Hash32 Alter(TestVault test, Hash32 pack, Action<byte[]> alter)
    {
        using var raw = new RawPack(test, PathOf(test, pack));
        alter(raw.HeaderAndFrames);
        File.Delete(PathOf(test, pack));
        return raw.Write([], raw.Footer);
    }

    /// <param name="test">The vault.</param>
    /// <param name="pack">A pack of class content.</param>
    /// <param name="lie">Which key its header says it is sealed to: none that there is; that of another class; one of an epoch that there is not.</param>
    static Hash32 Close(TestVault test, Hash32 pack, string lie) => Alter(test, pack, header =>
    {
        if (lie == "later")
            BitConverter.GetBytes(7).CopyTo(header, 68);
        var id = lie == "tree" ? test.Keys.Put.SealingKeyFor(KeyClass.Tree, Id16.None).KeyId : Id16.New();
        id.ToArray().CopyTo(header, 128);
    });

    static RestoreResult Restore(TestVault test, ReadingKeys keys, string snapshot, string target)
    {
        using var vault = test.Open();
        using var writer = FileTarget.Create(test[target], new FileTargetOptions());
        return vault.Restore(vault.Find(snapshot), keys, writer, new PathFilter(null), new RestoreProgress(), 2, CancellationToken.None);
    }

    static OpeningKeys Unlock(TestVault test)
    {
        using var vault = test.Open();
        return vault.Unlock(test.Seed);
    }

    /// <summary>Backups ask of a pack its footer, and build on one whose frames nobody opens. It costs what it names, until somebody reads.</summary>
    [Theory]
    [InlineData("none")]
    [InlineData("tree")]
    [InlineData("later")]
    public void A_pack_that_is_sealed_to_nobody_is_told_and_its_chunks_are_stored_anew(string lie)
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var planted = Close(test, Plant(test, content, IdOf(test, content)), lie);
        test.Write("f", content);
        test.Write("g", TestVault.Noise(78, 6_000));
        test.BackUp();
        using var keys = Unlock(test);
        using (var vault = test.Open())
        {
            var verified = vault.Verify(keys, null, new VerifyProgress(), 2, CancellationToken.None);
            Assert.Equal(lie == "later" ? [] : [(DefectKind.ContentWrong, planted)], verified.Defects.Select(d => (d.Kind, d.Name)));
            Assert.Equal(lie == "later" ? 1 : 0, verified.ClosedPacks); // a key of that epoch may yet be made
        }
        var restored = Restore(test, keys, "latest", "r");
        Assert.Equal(1, restored.Failed);
        Assert.Equal(File.ReadAllBytes(Path.Combine(test.Source, "g")), File.ReadAllBytes(test["r/g"]));
        using (var vault = test.Open())
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
            Assert.Equal([(AttestationDefect.ContentWrong, planted), (AttestationDefect.SampleWrong, Hash32.None)], found.Defects);
            Assert.True(vault.LastReads().Damaged[planted].IsContent);
            using var scoped = vault.CutKey(keys, KeyClass.Content, test.Keys.Put.Domain.SourceId("source"u8), 0); // of what there is to open
        }
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
        TestVault.AssertSame(test.Source, test.Restore("latest~1")); // whose set has the planted pack alone
    }

    /// <summary>One that any key opens, and whose frames are sealed under another.</summary>
    [Fact]
    public void A_pack_as_it_was_written_whose_frames_do_not_open_stays_told_when_its_bytes_are_read_again()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var planted = Alter(test, Plant(test, content, IdOf(test, content)), bytes => bytes[PackFormat.HeaderSize + 9] ^= 1);
        Assert.Equal((DefectKind.ContentWrong, planted), test.Verify(full: true).Defects.Select(d => (d.Kind, d.Name)).Single());
        Assert.Empty(test.Verify(full: false).Defects);
        using var vault = test.Open();
        Assert.True(vault.LastReads().Damaged[planted].IsContent);
    }

    [Fact]
    public void A_pack_of_a_dedup_generation_that_is_not_there_is_wrong_and_no_crash()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var planted = Alter(test, Plant(test, content, IdOf(test, content)), header => header[92] = 7);
        Assert.Equal((DefectKind.ContentWrong, planted), test.Verify(full: true).Defects.Select(d => (d.Kind, d.Name)).Single());
    }

    /// <summary>A key for one source opens some packs and others not: what one place keeps closed another may give.</summary>
    [Fact]
    public void A_narrow_key_reads_a_chunk_from_the_place_it_opens_and_says_so_where_it_opens_none()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(3, 5_000);
        var chunk = new ChunkRef(new Hash32(SHA256.HashData(content)), content.Length);
        var closed = Plant(test, content, IdOf(test, content));
        var open = Plant(test, content, IdOf(test, content));
        var damaged = Alter(test, Plant(test, content, IdOf(test, content)), bytes => bytes[PackFormat.HeaderSize + 9] ^= 1);
        using var vault = test.Open();
        using var keys = Unlock(test);
        foreach (var (opened, places, expected) in new (Hash32[], Hash32[], ErrorCode)[]
        {
            ([open], [closed, open], ErrorCode.None),
            ([], [closed, open], ErrorCode.KeyTooNarrow),
            ([], [closed], ErrorCode.KeyTooNarrow),
            ([damaged], [closed, damaged], ErrorCode.PackDamaged),
        })
        {
            var objects = opened.Select(o =>
            {
                using var pack = PackReader.Open(vault.Keeper.Store, o, keys);
                return (pack.Header.Salt, Key: keys.PackKey(pack.Header.Seal, pack.Header.Salt)!);
            }).ToDictionary(o => o.Salt, o => o.Key);
            using var scoped = new ScopedKeys(vault.Id, Id16.New(), KeyClass.Content, 0, [Copy(test.Keys.Put.Domain)], new Dictionary<Id16, SecretBytes>(), objects);
            var domain = scoped.Domains.Single();
            using var index = ChunkIndex.Open(test[$"index-{Id16.New()}"], vault.Id, domain);
            index.AddMissing(vault.Keeper.Store, places, null, TestContext.Current.CancellationToken);
            using var reader = new ChunkReader(vault.Keeper.Store, index, scoped, domain) { Prefer = pack => pack == closed };
            try
            {
                Assert.True(reader.Read(KeyClass.Content, chunk).SequenceEqual(content));
                Assert.Equal(ErrorCode.None, expected);
            }
            catch (HoldfastException e)
            {
                Assert.Equal(expected, e.Code);
            }
        }
    }

    static DomainKeys Copy(DomainKeys domain)
    {
        var bytes = new ByteWriter();
        domain.Write(bytes);
        var reader = new ByteReader(bytes.Span);
        Assert.True(DomainKeys.TryRead(ref reader, out var copy));
        return copy!;
    }

    /// <summary>What an old put key stores builds on packs of a newer epoch too: then a newer key is what helps, and no pack is at fault.</summary>
    [Fact]
    public void A_restore_with_a_key_that_is_too_narrow_says_which_is_needed_and_accuses_no_pack()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(3, 5_000));
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var (_, put) = vault.Rotate(keys, test.Keys.Put, (_, _) => { });
            using var source = FileSource.Open(test.Source, new FileSourceOptions());
            vault.BackUp(source, new Holdfast.Core.Backup.BackupRequest("newer"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test.State), put!, test.Keys.Agent, new Holdfast.Core.Backup.BackupProgress(), CancellationToken.None);
        }
        File.WriteAllText(Path.Combine(test.Source, "g"), "another tree");
        test.BackUp(); // sealed to the old epoch
        using var old = Unlock(test);
        Assert.Equal(ErrorCode.KeyTooNarrow, Assert.Throws<HoldfastException>(() => Restore(test, old, "latest", "r")).Code);
        using (var vault = test.Open())
        {
            Assert.Equal(ErrorCode.KeyTooNarrow, Assert.Throws<HoldfastException>(() => vault.Attest(vault.Find("latest"), old, full: true, Id16.None, TestContext.Current.CancellationToken)).Code);
            Assert.Empty(vault.Verify(old, null, new VerifyProgress(), 2, CancellationToken.None).Defects);
            Assert.Empty(vault.LastReads().Damaged);
        }
        using var fresh = new TestVault();
        fresh.Write("f", "content");
        fresh.BackUp();
        using var whole = Unlock(fresh);
        ScopedKeys tree;
        using (var vault = fresh.Open())
            tree = vault.CutKey(whole, KeyClass.Tree, null, 0);
        using (tree)
            Assert.Equal(ErrorCode.KeyTooNarrow, Assert.Throws<HoldfastException>(() => Restore(fresh, tree, "latest", "r")).Code);
    }

    /// <summary>Each look-up goes through all places of a chunk: of one pack there is one.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_pack_that_names_one_chunk_very_often_has_one_place_for_it(bool halfOnly)
    {
        using var test = new TestVault();
        var content = TestVault.Noise(3, 50);
        var id = IdOf(test, content);
        var ids = Enumerable.Range(0, 2_000).Select(i =>
        {
            var bytes = id.ToArray();
            if (halfOnly && i > 0)
                BitConverter.GetBytes(i).CopyTo(bytes, 16);
            return new Hash32(bytes);
        });
        var planted = Plant(test, [.. ids.Select(i => (content, i))]);
        var other = Plant(test, content, id);
        using var vault = test.Open();
        using var keys = Unlock(test);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, [planted, other], null, TestContext.Current.CancellationToken);
        Assert.Equal(2, index.Chunks);
        Assert.Equal([planted, other], index.FindAll(id).Select(p => index.Pack(p.Pack).Name).OrderBy(n => n == other));
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain);
        Assert.True(reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(content)), content.Length)).SequenceEqual(content));
    }

    /// <summary>Who has the index key can make runs of the index, and number a chunk as no pack does.</summary>
    [Theory]
    [InlineData(0x8000_0001)]
    [InlineData(uint.MaxValue)]
    public void A_chunk_of_a_number_that_no_pack_has_is_read_where_it_is(uint number)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 60_000));
        var other = Content(test.BackUp());
        test.Write("g", TestVault.Noise(2, 60_000));
        test.Write("h", TestVault.Noise(3, 6_000_000)); // of several chunks
        var options = new Holdfast.Core.Backup.ArchiveOptions { Threads = 1 };
        Hash32 holder;
        using (var vault = test.Open())
        {
            holder = Content(test.BackUp(vault, options));
            var domain = test.Keys.Put.Domain;
            vault.ForgetIndex();
            using var right = PackReader.OpenFooter(vault.Keeper.Store, holder, vault.Id, domain);
            using var first = PackReader.OpenFooter(vault.Keeper.Store, other, vault.Id, domain);
            var entries = right.Footer.Ids.SelectMany((id, i) => new IndexEntry[] { new(id.Prefix, 0, number), new(id.Prefix, 1, (uint)i) })
                .Concat(first.Footer.Ids.Select((id, i) => new IndexEntry(id.Prefix, 0, (uint)i))).Order().ToList();
            using var file = File.OpenHandle(Path.Combine(test.Folder, "cache", "index", domain.Domain.ToString(), "run-00"), FileMode.Create, FileAccess.ReadWrite);
            using var writer = new IndexRunWriter(file, vault.Id, domain, [new(other, KeyClass.Content, Id16.None), new(holder, KeyClass.Content, Id16.None)], entries.Count);
            entries.ForEach(writer.Add);
            writer.Finish();
        }
        TestVault.AssertSame(test.Source, test.Restore());
        using (var vault = test.Open())
            Assert.Empty(vault.LastReads().Damaged);

        static Hash32 Content(Holdfast.Core.Backup.BackupResult result) => result.Archive.Written.Single(p => p.Class == KeyClass.Content).Name;
    }

    /// <summary>A row of 64 million chunks of 4 MiB, in a vault of 200 KB.</summary>
    [Fact]
    public void A_sample_of_a_file_without_end_ends()
    {
        const int items = 16_384;
        using var test = new TestVault();
        var zeros = new byte[4 << 20];
        var digest = new Hash32(SHA256.HashData(zeros));
        Plant(test, zeros, test.Keys.Put.Domain.ChunkId(KeyClass.Content, digest));
        var list = new ByteWriter();
        for (var i = 0; i < items; i++)
        {
            list.Var(4 << 20);
            list.Hash(digest);
        }
        var snapshot = HostileTreeTests.Plant(test, rows =>
        {
            var row = HostileTreeTests.File(rows, "f"u8, (long)items * 64 * (4 << 20));
            rows.ChunkLists[row] = [.. Enumerable.Repeat(new ChunkRef(new Hash32(SHA256.HashData(list.Span)), list.Length), 64)];
            rows.ListedChunks[row] = items * 64;
        }, null, [42], [list.ToArray()]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var found = vault.Attest(vault.Find(snapshot.ToString()), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
        Assert.True(found.BytesRead < 1UL << 32);
        // All of it would take years: it can be stopped.
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        Assert.ThrowsAny<OperationCanceledException>(() => vault.Attest(vault.Find(snapshot.ToString()), keys, full: true, Id16.None, stop.Token));
    }

    /// <summary>Rows that name 64 million chunks each, of which there are two: all their places together are looked up in no time.</summary>
    [Fact]
    public void Rows_that_name_the_same_lists_again_and_again_are_attested()
    {
        const int items = 100_000, lists = 600, files = 150;
        using var test = new TestVault();
        byte[][] contents = [new byte[4 << 20], Enumerable.Repeat((byte)1, 4 << 20).ToArray()];
        Plant(test, [.. contents.Select(c => (c, IdOf(test, c)))]);
        byte[] List(Hash32[] digests)
        {
            var list = new ByteWriter();
            for (var i = 0; i < items; i++)
            {
                list.Var(4 << 20);
                list.Hash(digests[i % digests.Length]);
            }
            return list.ToArray();
        }
        var list = List([.. contents.Select(c => new Hash32(SHA256.HashData(c)))]);
        Id16 PlantRows(int more) => HostileTreeTests.Plant(test, rows =>
        {
            for (var i = 0; i < files; i++)
            {
                var row = HostileTreeTests.File(rows, System.Text.Encoding.ASCII.GetBytes($"{i:d4}"), (long)items * lists * (4 << 20));
                rows.ChunkLists[row] = [.. Enumerable.Repeat(new ChunkRef(new Hash32(SHA256.HashData(list)), list.Length), lists + (i == files - 1 ? more : 0))];
                rows.ListedChunks[row] = items * lists;
            }
        }, null, [42], [list]);
        foreach (var (more, isSound) in new[] { (0, true), (1, false), (-1, false) })
        {
            var snapshot = PlantRows(more);
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            var found = vault.Attest(vault.Find(snapshot.ToString()), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
            Assert.Equal((more, isSound), (more, found.RootMatches));
            if (isSound)
                Assert.Equal((ulong)files * items * lists, found.Chunks);
        }
    }

    [Fact]
    public void A_pack_without_end_is_damaged_and_not_read()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).First();
        using (var handle = File.OpenHandle(pack, FileMode.Open, FileAccess.Write))
            RandomAccess.SetLength(handle, 2L << 40); // holes: hashing them would take an hour
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.Contains(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).Defects, d => d.Kind == AttestationDefect.PackDamaged);
    }

    /// <summary>Whoever may write to the state folder keeps no backup from its end.</summary>
    [Theory]
    [InlineData("rm $f && mkfifo $f")]
    [InlineData("rm $f && ln -s /dev/zero $f")]
    [InlineData("rm $f && truncate -s 2T $f")]
    [InlineData("truncate -s 2T $f")]
    public void A_state_without_end_is_none(string damage)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes and devices of Linux");
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var state = Directory.EnumerateFiles(test.State, "*.state", SearchOption.AllDirectories).Single();
        using var shell = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("sh", ["-ec", damage]) { Environment = { ["f"] = state } })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
        Assert.False(test.BackUp().IsCompared);
        TestVault.AssertSame(test.Source, test.Restore());
    }
}
