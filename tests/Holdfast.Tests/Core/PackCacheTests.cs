using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Index;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What reading chunk by chunk keeps of packs, and what it remembers of those that do not open.</summary>
public sealed class PackCacheTests
{
    const int Chunks = 200;

    /// <summary>Counts what is read, and refuses at first.</summary>
    sealed class Counting(IStore store, int refusals = 0) : IStore
    {
        public int Opened { get; private set; }
        public int Reads { get; private set; }

        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
        {
            if (copy == 0 && Opened++ < refusals)
                throw new HoldfastException(ErrorCode.StoreUnavailable, "no (a test)", "none");
            return store.Open(kind, name, copy) is { } item ? new Item(this, item) : null;
        }

        public IStaged Stage(bool large = false) => throw new NotSupportedException();
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public IEnumerable<StoredName> List(StoreKind kind) => store.List(kind);

        sealed class Item(Counting counting, IStoredItem item) : IStoredItem
        {
            public long Size => item.Size;

            public void Read(long offset, Span<byte> destination)
            {
                counting.Reads++;
                item.Read(offset, destination);
            }

            public void Dispose() => item.Dispose();
        }
    }

    static byte[] Chunk(int number) => TestVault.Noise(number, 500);

    /// <summary>A pack of many chunks in one frame, damaged at an offset once the index knows it; each of them is asked for.</summary>
    /// <param name="at">Negative: from the end; null: nowhere.</param>
    /// <param name="refusals">How often the disk refuses at first.</param>
    static (Counting Store, int Read) ReadEach(int? at, int refusals)
    {
        using var test = new TestVault();
        var name = PoisonedPackTests.Plant(test, [.. Enumerable.Range(0, Chunks).Select(i => (Chunk(i), PoisonedPackTests.IdOf(test, Chunk(i))))]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = ChunkIndex.Open(test["index"], vault.Id, domain);
        Assert.Empty(index.AddMissing(vault.Keeper.Store, [name], null, TestContext.Current.CancellationToken));
        if (at is { } offset)
        {
            var file = PoisonedPackTests.PathOf(test, name);
            var bytes = File.ReadAllBytes(file);
            bytes[offset < 0 ? bytes.Length + offset : offset] ^= 0x40;
            File.WriteAllBytes(file, bytes);
        }
        var store = new Counting(vault.Keeper.Store, refusals);
        using var reader = new ChunkReader(store, index, keys, domain);
        var read = 0;
        for (var i = 0; i < Chunks; i++)
        {
            try
            {
                Assert.True(reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(Chunk(i))), 500)).SequenceEqual(Chunk(i)));
                read++;
            }
            catch (HoldfastException e)
            {
                Assert.Equal(at is null ? ErrorCode.StoreUnavailable : ErrorCode.PackDamaged, e.Code);
            }
        }
        return (store, read);
    }

    [Theory]
    [InlineData(8)] // format version: what else it may be is looked up once
    [InlineData(30)] // vault
    [InlineData(50)] // domain
    [InlineData(100)]
    [InlineData(-100)] // footer
    [InlineData(-1)] // trailer
    [InlineData(PackFormat.HeaderSize + 9)] // a frame
    public void What_does_not_open_is_read_once_and_not_for_each_of_its_chunks(int at)
    {
        var (store, read) = ReadEach(at, 0);
        Assert.Equal(0, read);
        Assert.InRange(store.Opened, 1, 2);
        Assert.InRange(store.Reads, 1, 8);
    }

    [Fact]
    public void A_disk_that_does_not_answer_is_asked_some_times_more()
    {
        var (store, read) = ReadEach(null, 3);
        Assert.Equal(Chunks - 3, read);
        Assert.Equal(4, store.Opened);
        (store, read) = ReadEach(null, int.MaxValue);
        Assert.Equal(0, read);
        Assert.InRange(store.Opened, 4, 10); // more where the test takes seconds
    }

    /// <summary>Has the disk refuse a copy for as long as a test likes.</summary>
    sealed class Refusing(IStore store, int refused) : IStore
    {
        public bool IsOpening { get; set; }
        public bool IsReading { get; set; }
        public int Opened { get; private set; }

        static HoldfastException No() => new(ErrorCode.StoreUnavailable, "no (a test)", "none");

        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
        {
            if (copy == 0)
                Opened++;
            if (copy == refused && IsOpening)
                throw No();
            return store.Open(kind, name, copy) is { } item ? copy == refused ? new Item(this, item) : item : null;
        }

        public IStaged Stage(bool large = false) => throw new NotSupportedException();
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public IEnumerable<StoredName> List(StoreKind kind) => store.List(kind);

        sealed class Item(Refusing disk, IStoredItem item) : IStoredItem
        {
            public long Size => item.Size;

            public void Read(long offset, Span<byte> destination)
            {
                if (disk.IsReading)
                    throw No();
                item.Read(offset, destination);
            }

            public void Dispose() => item.Dispose();
        }
    }

    /// <summary>However often it was asked in vain, for a moment that costs little: the sound copy is read once its disk answers. Till then it is the disk that is to blame, not the pack.</summary>
    /// <param name="damaged">Offset in the first of two copies, from the end where it is negative; 0: there is one copy, and it is sound.</param>
    /// <param name="opens">Whether the disk opens the sound copy, and then does not read it.</param>
    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(30, false)]
    [InlineData(30, true)]
    [InlineData(-100, false)]
    [InlineData(-100, true)]
    [InlineData(PackFormat.HeaderSize + 9, false)]
    [InlineData(PackFormat.HeaderSize + 9, true)]
    [InlineData(200, false)] // the key
    public void A_disk_that_answers_again_is_read_again(int damaged, bool opens)
    {
        using var test = new TestVault();
        var name = PoisonedPackTests.Plant(test, Chunk(0), PoisonedPackTests.IdOf(test, Chunk(0)));
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, [name], null, TestContext.Current.CancellationToken);
        if (damaged != 0)
        {
            var file = PoisonedPackTests.PathOf(test, name);
            var bytes = File.ReadAllBytes(file);
            File.WriteAllBytes($"{file}.1", bytes);
            bytes[damaged < 0 ? bytes.Length + damaged : damaged] ^= 0x40;
            File.WriteAllBytes(file, bytes);
        }
        var store = new Refusing(vault.Keeper.Store, damaged == 0 ? 0 : 1) { IsOpening = !opens, IsReading = opens };
        using var reader = new ChunkReader(store, index, keys, domain);
        for (var i = 0; i < Chunks; i++)
            Assert.Equal(ErrorCode.StoreUnavailable, Try());
        Assert.InRange(store.Opened, 1, 10);
        Assert.DoesNotContain(true, reader.Failed.Values);
        store.IsOpening = store.IsReading = false;
        var code = Try();
        for (var i = 0; i < 100 && code != ErrorCode.None; i++, code = Try())
            Thread.Sleep(100);
        Assert.Equal(ErrorCode.None, code);

        ErrorCode Try()
        {
            try
            {
                return reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(Chunk(0))), 500)).SequenceEqual(Chunk(0)) ? ErrorCode.None : ErrorCode.ChunkMissing;
            }
            catch (HoldfastException e)
            {
                return e.Code;
            }
        }
    }

    /// <summary>A newer program's pack sends for a newer program, and an altered byte does not.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_newer_format_is_told_where_the_bytes_give_the_name(bool isWritten)
    {
        using var test = new TestVault();
        var name = PoisonedPackTests.Plant(test, Chunk(0), PoisonedPackTests.IdOf(test, Chunk(0)));
        if (isWritten)
        {
            name = PoisonedPackTests.Alter(test, name, header => header[8] = 2);
        }
        else
        {
            var bytes = File.ReadAllBytes(PoisonedPackTests.PathOf(test, name));
            bytes[8] = 2;
            File.WriteAllBytes(PoisonedPackTests.PathOf(test, name), bytes);
        }
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = ChunkIndex.Open(test["index"], vault.Id, domain);
        index.Add([(new IndexedPack(name, KeyClass.Content, Id16.None), [PoisonedPackTests.IdOf(test, Chunk(0))])]);
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain);
        var fault = Assert.Throws<HoldfastException>(() => reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(Chunk(0))), 500)).Length);
        Assert.Equal(isWritten ? ErrorCode.FormatNewer : ErrorCode.PackDamaged, fault.Code);
    }

    /// <summary>A footer may have a million ids: what is kept open is bounded by what it takes, not only by its number.</summary>
    [Fact]
    public void Packs_that_are_kept_open_take_so_much_memory_and_no_more()
    {
        using var test = new TestVault();
        var packs = Enumerable.Range(0, 6).Select(p => PoisonedPackTests.Plant(test, [.. Enumerable.Range(0, 100).Select(i => (Chunk(i), PoisonedPackTests.IdOf(test, Chunk(p * 100 + i))))])).ToList();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        long one;
        using (var pack = PackReader.Open(vault.Keeper.Store, packs[0], keys))
            one = pack.Footer.Resident;
        Assert.InRange(one, 100 * 36, 100 * 36 + 100);
        foreach (var room in new[] { 0, 1, 3, 100 })
        {
            var store = new Counting(vault.Keeper.Store);
            using var cache = new PackCache(store, keys, room * one);
            foreach (var name in packs.Concat(packs.AsEnumerable().Reverse()))
            {
                Assert.Equal(name, cache.Open(name).Name);
                Assert.InRange(cache.Resident, one, Math.Max(1, room) * one);
            }
            Assert.Equal(packs.Count + Math.Max(0, packs.Count - Math.Max(1, room)), store.Opened);
        }
    }
}
