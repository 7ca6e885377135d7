using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What is wrong with one copy of a pack is of that copy alone: neither its other copies nor the other packs of its session suffer from it.</summary>
public sealed class PackCopyTests
{
    const int InCiphertext = 200; // an offset that the footer's seal does not cover

    static string PathOf(TestVault test, Hash32 name) => Path.Combine(test.Folder, "packs", $"{name}"[..2], $"{name}");

    static void Flip(string file, int at, byte mask = 1)
    {
        var bytes = File.ReadAllBytes(file);
        bytes[at] ^= mask;
        File.WriteAllBytes(file, bytes);
    }

    /// <summary>Packs of one session and class, each of one chunk.</summary>
    static List<Hash32> Packs(TestVault test, int count)
    {
        using var vault = test.Open();
        var put = test.Keys.Put;
        var names = new List<Hash32>();
        using var session = new PackSession(vault.Id, put, Id16.New(), vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            names.Add(pack.Name);
            staged.Dispose();
        }, TimeProvider.System);
        using var writer = new PackWriter(session, KeyClass.Content, 1);
        for (var i = 0; i < count; i++)
        {
            var chunk = TestVault.Noise(i, 5_000);
            writer.Add(chunk, put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(chunk))));
            writer.Finish();
        }
        return names;
    }

    static ErrorCode Read(IStore store, Hash32 name, ReadingKeys keys)
    {
        using var buffer = new FrameBuffer();
        try
        {
            using var pack = PackReader.Open(store, name, keys);
            pack.ReadFrame(0, buffer);
            return ErrorCode.None;
        }
        catch (HoldfastException e)
        {
            return e.Code;
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_header_that_is_damaged_in_its_ciphertext_closes_no_other_pack_of_its_session(int damaged)
    {
        using var test = new TestVault();
        var packs = Packs(test, 2);
        Flip(PathOf(test, packs[damaged]), InCiphertext);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.Equal(ErrorCode.PackDamaged, Read(vault.Keeper.Store, packs[damaged], keys));
        Assert.Equal(ErrorCode.None, Read(vault.Keeper.Store, packs[1 - damaged], keys));
        var defect = Assert.Single(vault.Verify(keys, null, new VerifyProgress(), 1, CancellationToken.None).Defects);
        Assert.Equal((DefectKind.Damaged, packs[damaged]), (defect.Kind, defect.Name));
    }

    /// <summary>Session id and the beginning of the ciphertext are there for everybody to see.</summary>
    [Fact]
    public void A_pack_whose_seal_begins_like_that_of_an_honest_session_closes_none_of_its_packs()
    {
        using var test = new TestVault();
        var packs = Packs(test, 2);
        Hash32 planted;
        using (var raw = new RawPack(test, PathOf(test, packs[0])))
        {
            RandomNumberGenerator.Fill(raw.HeaderAndFrames.AsSpan(128, 16)); // sealing key id
            RandomNumberGenerator.Fill(raw.HeaderAndFrames.AsSpan(144 + 32, 1_120 - 32));
            planted = raw.Write([], raw.Footer);
        }
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.Equal(ErrorCode.PackDamaged, Read(vault.Keeper.Store, planted, keys));
        Assert.Equal(ErrorCode.None, Read(vault.Keeper.Store, packs[0], keys));
        Assert.Equal(ErrorCode.None, Read(vault.Keeper.Store, packs[1], keys));
    }

    /// <summary>Whoever may store packs can have each name a session of its own.</summary>
    [Fact]
    public void Keys_of_very_many_sessions_do_not_stay_in_memory_and_each_is_found_again()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var key = test.Keys.Put.SealingKeyFor(KeyClass.Content, Id16.None);
        var (seal, session) = SessionSeal.Create(vault.Id, key, Id16.New());
        var salt = Id16.New();
        using var right = SessionSeal.PackKey(session, salt);
        Parallel.For(0, ReadingKeys.MaxSessions + 50, i =>
        {
            var bytes = seal.Ciphertext.ToArray();
            BitConverter.GetBytes(i).CopyTo(bytes, 1_000);
            using var other = keys.PackKey(seal with { Ciphertext = bytes }, salt);
            Assert.False(other!.FixedTimeEquals(right.Span));
            using var same = keys.PackKey(seal, salt);
            Assert.True(same!.FixedTimeEquals(right.Span));
        });
        Assert.InRange(keys.Sessions, 1, ReadingKeys.MaxSessions);
        session.Dispose();
    }

    /// <summary>Each copy damaged in another place: what one of them has is read.</summary>
    [Theory]
    [InlineData(new[] { InCiphertext }, new int[0], true)]
    [InlineData(new int[0], new[] { InCiphertext }, true)]
    [InlineData(new[] { InCiphertext }, new[] { 1_300 }, true)] // a frame
    [InlineData(new[] { 1_300 }, new[] { InCiphertext }, true)]
    [InlineData(new[] { 30 }, new[] { 1_300 }, true)] // the vault's id
    [InlineData(new[] { 30 }, new[] { InCiphertext }, false)] // no copy has the key
    [InlineData(new[] { InCiphertext }, new[] { 30 }, false)]
    public void What_one_of_two_copies_has_is_read(int[] first, int[] second, bool isThere)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        foreach (var file in Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories))
        {
            File.Copy(file, $"{file}.1");
            foreach (var at in first)
                Flip(file, at);
            foreach (var at in second)
                Flip($"{file}.1", at);
        }
        if (isThere)
            TestVault.AssertSame(test.Source, test.Restore());
        else
            Assert.Equal(ErrorCode.PackDamaged, Assert.Throws<HoldfastException>(() => test.Restore()).Code);
        using var vault = test.Open();
        Assert.Equal(isThere, vault.LastReads().Damaged.Count == 0);
    }

    /// <summary>What a restore found is known from then on, whatever it came to.</summary>
    [Fact]
    public void A_restore_that_comes_to_no_end_leaves_a_note_of_what_it_found_damaged()
    {
        using var test = new TestVault();
        test.WriteSome();
        List<WrittenPack> written;
        using (var vault = test.Open())
            written = [.. test.BackUp(vault, new ArchiveOptions { Threads = 1 }).Archive.Written];
        var tree = written.Single(p => p.Class == KeyClass.Tree).Name;
        Flip(PathOf(test, tree), PackFormat.HeaderSize + 20);
        Assert.Equal(ErrorCode.PackDamaged, Assert.Throws<HoldfastException>(() => Restore(test, "r")).Code);
        using var after = test.Open();
        Assert.Equal([tree], after.LastReads().Damaged.Keys);
    }

    public static TheoryData<int> Fields => [.. Enumerable.Range(8, 4).Concat(Enumerable.Range(20, 36))]; // version, suite, type; incompatible features, vault, domain

    /// <summary>The index knows the packs already: nobody looks at a header before a chunk is asked for.</summary>
    [Theory]
    [MemberData(nameof(Fields))]
    public void A_header_that_says_something_else_costs_what_no_other_copy_has(int at)
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 5_000));
        test.BackUp(); // a pack that nothing happens to
        test.Write("g", TestVault.Noise(2, 5_000));
        test.Write("h", TestVault.Noise(3, 3_000_000)); // of several chunks
        List<WrittenPack> second;
        using (var vault = test.Open())
            second = [.. test.BackUp(vault, new ArchiveOptions { Threads = 1 }).Archive.Written];
        var mask = (byte)(at % 2 == 0 ? 0x03 : 0x40); // such as another version, suite or type
        var file = PathOf(test, second.Single(p => p.Class == KeyClass.Content).Name);
        var whole = File.ReadAllBytes(file);
        File.WriteAllBytes($"{file}.1", whole);
        Flip(file, at, mask);
        TestVault.AssertSame(test.Source, test.Restore());
        File.Delete($"{file}.1");
        var (result, target) = Restore(test, "r");
        Assert.Equal(2, result.Failed);
        Assert.Equal(File.ReadAllBytes(Path.Combine(test.Source, "f")), File.ReadAllBytes(Path.Combine(target, "f")));
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken);
            Assert.Contains((AttestationDefect.PackDamaged, second.Single(p => p.Class == KeyClass.Content).Name), found.Defects);
        }
        File.WriteAllBytes(file, whole);

        var tree = PathOf(test, second.Single(p => p.Class == KeyClass.Tree).Name);
        var sound = File.ReadAllBytes(tree);
        Flip(tree, at, mask);
        Assert.Equal(ErrorCode.PackDamaged, Assert.Throws<HoldfastException>(() => Restore(test, "none")).Code);
        File.WriteAllBytes($"{tree}.1", sound);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    static (RestoreResult Result, string Target) Restore(TestVault test, string name)
    {
        var target = test[name];
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions());
        return (vault.Restore(vault.Find("latest"), keys, writer, new PathFilter(null), new RestoreProgress(), 2, CancellationToken.None), target);
    }

    /// <summary>Has the disk refuse a copy.</summary>
    sealed class Refusing(IStore store, int refused, ErrorCode code) : IStore
    {
        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0) =>
            copy == refused ? throw new HoldfastException(code, "no (a test)", "none") : store.Open(kind, name, copy);
        public IStaged Stage(bool large = false) => throw new NotSupportedException();
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public IEnumerable<StoredName> List(StoreKind kind) => store.List(kind);
    }

    [Theory]
    [InlineData(0, ErrorCode.StoreUnavailable)]
    [InlineData(1, ErrorCode.StoreUnavailable)]
    [InlineData(0, ErrorCode.NoPermission)]
    [InlineData(1, ErrorCode.NoPermission)]
    public void A_copy_that_the_disk_refuses_leaves_the_other(int refused, ErrorCode code)
    {
        using var test = new TestVault();
        var name = Packs(test, 1)[0];
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var store = new Refusing(vault.Keeper.Store, refused, code);
        Assert.Equal(refused == 0 ? code : ErrorCode.None, Read(store, name, keys)); // there is one copy
        File.Copy(PathOf(test, name), $"{PathOf(test, name)}.1");
        Assert.Equal(ErrorCode.None, Read(store, name, keys));
    }
    /// <summary>Counts what is open of a store.</summary>
    sealed class Counting(IStore store) : IStore
    {
        public int Held { get; private set; }

        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
        {
            if (store.Open(kind, name, copy) is not { } item)
                return null;
            Held++;
            return new Item(this, item);
        }

        public IStaged Stage(bool large = false) => throw new NotSupportedException();
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public IEnumerable<StoredName> List(StoreKind kind) => store.List(kind);

        sealed class Item(Counting counting, IStoredItem item) : IStoredItem
        {
            public long Size => item.Size;
            public void Read(long offset, Span<byte> destination) => item.Read(offset, destination);

            public void Dispose()
            {
                counting.Held--;
                item.Dispose();
            }
        }
    }

    /// <summary>All that read packs look at as many copies.</summary>
    [Fact]
    public void A_sound_copy_after_many_that_are_junk_is_read_by_all_and_none_of_these_is_held_open()
    {
        using var test = new TestVault();
        test.WriteSome();
        using (var vault = test.Open())
            vault.Keeper.AddFolder(test["second"]);
        test.BackUp();
        var packs = new[] { test.Folder, test["second"] }.SelectMany(f => Directory.GetFiles(Path.Combine(f, "packs"), "*", SearchOption.AllDirectories)).ToList();
        foreach (var file in packs)
        {
            var name = Path.GetFileName(file);
            File.Move(file, test["sound"]);
            for (var i = 0; i < 2 * FolderStore.MaxCopies - 1; i++)
                File.WriteAllBytes(CopyOf(name, i), TestVault.Noise(i, PackFormat.Quantum));
            File.Move(test["sound"], CopyOf(name, 2 * FolderStore.MaxCopies - 1));
        }
        TestVault.AssertSame(test.Source, test.Restore());
        Assert.True(test.Verify(full: true).IsSound);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            Assert.True(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood);
            var store = new Counting(vault.Keeper.Store);
            using (PackReader.Open(store, new Hash32(Convert.FromHexString(Path.GetFileName(packs[0]))), keys))
                Assert.Equal(1, store.Held);
            Assert.Equal(0, store.Held);
        }

        string CopyOf(string name, int number)
        {
            var (folder, copy) = (number % 2 == 0 ? test.Folder : test["second"], number / 2);
            var path = Path.Combine(folder, "packs", name[..2], copy == 0 ? name : $"{name}.{copy}");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            return path;
        }
    }
}
