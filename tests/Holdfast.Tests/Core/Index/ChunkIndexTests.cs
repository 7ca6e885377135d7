using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core.Index;

public sealed class ChunkIndexTests : IDisposable
{
    readonly TempFolder _folder = new();
    readonly DomainKeys _domain = DomainKeys.Create();
    readonly Id16 _vault = Id16.New();

    static Hash32 Id(int pack, int chunk) => new(SHA256.HashData(BitConverter.GetBytes((long)pack << 32 | (uint)chunk)));
    static (IndexedPack, Hash32[]) Pack(int number, int chunks = 300) => (new(Id(number, -1), KeyClass.Content, Id16.None), [.. Enumerable.Range(0, chunks).Select(c => Id(number, c))]);

    ChunkIndex Open(long ceiling = ChunkIndex.DefaultCeiling) => ChunkIndex.Open(_folder.Path, _vault, _domain, ceiling);

    static void AssertHas(ChunkIndex index, int packs)
    {
        for (var p = 0; p < packs; p++)
        {
            for (var c = 0; c < 300; c += 7)
            {
                Assert.True(index.TryFind(Id(p, c), out var place));
                Assert.Equal(Id(p, -1), index.Pack(place.Pack).Name);
                Assert.Equal((uint)c, place.Number);
            }
        }
        Assert.False(index.TryFind(Id(packs + 1_000, 0), out _));
    }

    [Theory]
    [InlineData(ChunkIndex.DefaultCeiling)]
    [InlineData(0)]
    public void What_was_added_is_found_through_many_merges(long ceiling)
    {
        for (var p = 0; p < 60; p++)
        {
            using var index = Open(ceiling);
            index.Add([Pack(p)]);
        }
        using var all = Open(ceiling);
        AssertHas(all, 60);
        Assert.Equal(60 * 300, all.Chunks);
    }

    [Fact]
    public void Very_many_packs_are_added_in_groups_and_merged_once()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        var put = test.Keys.Put;
        using (var session = new PackSession(vault.Id, put, Id16.New(), vault.Keeper.Store, (staged, pack) => vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name), TimeProvider.System))
        {
            using var writer = new PackWriter(session, KeyClass.Content, 1);
            for (var p = 0; p < 64 * Environment.ProcessorCount + 40; p++)
            {
                for (var c = 0; c < 9; c++)
                    writer.Add([1], Id(p, c));
                writer.Finish();
            }
        }
        var packs = vault.Keeper.Store.List(StoreKind.Pack).Select(p => p.Name).ToList();
        for (var again = 0; again < 2; again++)
        {
            using var index = ChunkIndex.Open(test["index"], vault.Id, put.Domain);
            var told = new List<(int, int)>();
            Assert.Empty(index.AddMissing(vault.Keeper.Store, packs, new Told(told), CancellationToken.None, groupChunks: 1));
            Assert.Equal(again == 0 ? packs.Count : 0, told.Count);
            Assert.Equal(packs.Count * 9, index.Chunks);
            Assert.True(Directory.EnumerateFiles(test["index"], "run-*").Count(f => new FileInfo(f).Length > 0) < 8, "merged");
            for (var p = 0; p < packs.Count; p++)
            {
                for (var c = 0; c < 9; c++)
                    Assert.True(index.TryFind(Id(p, c), out var place) && place.Number == c);
            }
        }
    }

    /// <summary>Notes how many packs were opened, at most, before the index had what was read before them.</summary>
    sealed class Ahead(IStore store) : IStore
    {
        int _opened;
        public ChunkIndex? Index { get; set; }
        public long Most { get; private set; }

        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
        {
            lock (store)
            {
                _opened += copy == 0 ? 1 : 0;
                Most = Math.Max(Most, _opened - Index!.Chunks);
            }
            return store.Open(kind, name, copy);
        }

        public IStaged Stage(bool large = false) => store.Stage(large);
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => store.Enter(staged, kind, name);
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => store.EnterCopy(staged, kind, name);
        public IEnumerable<StoredName> List(StoreKind kind) => store.List(kind);
    }

    /// <summary>Each footer may have a million ids: what is read ahead of the runs is few footers, not a batch of them.</summary>
    [Fact]
    public void Few_footers_are_in_memory_at_once()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        var put = test.Keys.Put;
        using (var session = new PackSession(vault.Id, put, Id16.New(), vault.Keeper.Store, (staged, pack) => vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name), TimeProvider.System))
        {
            using var writer = new PackWriter(session, KeyClass.Content, 1);
            for (var p = 0; p < 24 * Environment.ProcessorCount; p++)
            {
                writer.Add([1], Id(p, 0));
                writer.Finish();
            }
        }
        var packs = vault.Keeper.Store.List(StoreKind.Pack).Select(p => p.Name).ToList();
        using var index = ChunkIndex.Open(test["index"], vault.Id, put.Domain);
        var store = new Ahead(vault.Keeper.Store) { Index = index };
        Assert.Empty(index.AddMissing(store, packs, null, CancellationToken.None, groupChunks: 1));
        Assert.Equal(packs.Count, index.Chunks);
        Assert.InRange(store.Most, 1, 3 * Math.Min(2 * Environment.ProcessorCount, 8)); // a group that becomes a run, one that is read, and one that waits
    }

    sealed class Told(List<(int, int)> told) : IProgress<(int Done, int All)>
    {
        public void Report((int Done, int All) value)
        {
            lock (told)
                told.Add(value);
        }
    }

    /// <summary>Keys of the same domain with another index key: what someone has who can write the cache, and read all of docs/format.md, but holds no key.</summary>
    static DomainKeys WithoutIndexKey(DomainKeys domain)
    {
        var writer = new ByteWriter();
        domain.Write(writer);
        var bytes = writer.ToArray();
        bytes.AsSpan(Id16.Size, 32).Fill(7);
        var reader = new ByteReader(bytes);
        Assert.True(DomainKeys.TryRead(ref reader, out var keys));
        return keys!;
    }

    [Fact]
    public void A_run_made_without_the_index_key_is_no_run()
    {
        using var stranger = WithoutIndexKey(_domain);
        using (var forged = ChunkIndex.Open(_folder.Path, _vault, stranger))
        {
            forged.Add([Pack(0)]);
            AssertHas(forged, 1);
        }
        using (var index = Open())
        {
            Assert.False(index.TryFind(Id(0, 0), out _));
            Assert.False(index.Knows(Id(0, -1)));
            index.Add([Pack(1)]);
            Assert.True(index.TryFind(Id(1, 0), out _));
        }
        // One forged block in a sound run, its blocks in memory and on disk.
        var run = Directory.EnumerateFiles(_folder.Path, "run-*").First(f => new FileInfo(f).Length > 8_192);
        var bytes = File.ReadAllBytes(run);
        bytes[^4096] ^= 1;
        File.WriteAllBytes(run, bytes);
        using (var index = Open())
            Assert.False(index.TryFind(Id(1, 0), out _));
        using (var index = Open(ceiling: 0))
            Assert.Equal(ErrorCode.IndexDamaged, Assert.Throws<HoldfastException>(() => Enumerable.Range(0, 300).Any(c => !index.TryFind(Id(1, c), out _))).Code);
    }

    [Fact]
    public void Sizes_that_nobody_vouches_for_take_no_memory()
    {
        using (var index = Open())
            index.Add([Pack(0)]);
        var run = Directory.EnumerateFiles(_folder.Path, "run-*").First(f => new FileInfo(f).Length > 0);
        using (var file = File.OpenHandle(run, FileMode.Open, FileAccess.ReadWrite))
        {
            const long packs = 30_000_000;
            RandomAccess.Write(file, BitConverter.GetBytes((uint)packs), ObjectHeader.Size);
            RandomAccess.SetLength(file, RunLength(packs)); // holes
        }
        var before = GC.GetTotalAllocatedBytes();
        using (var index = Open())
            Assert.False(index.Knows(Id(0, -1)));
        Assert.Empty(ChunkIndex.Ends(_folder.Path, _vault, _domain));
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 10_000_000);

        static long RunLength(long packs) => (144 + packs * 56 + 384 + 16 + 16 + 4_095) / 4_096 * 4_096 + 2 * 4_096; // 300 chunks: filter and two fences
    }

    /// <summary>Who may write to the cache puts links there, for somebody else to write through.</summary>
    [Fact]
    public void Nothing_is_written_through_a_link()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links of Linux");
        using var outside = new TempFolder();
        var victim = Path.Combine(outside.Path, "victim");
        File.WriteAllText(victim, "kept");
        for (var slot = 0; slot < 64; slot++)
            File.CreateSymbolicLink(Path.Combine(_folder.Path, $"run-{slot:d2}.new"), victim);
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "run-00"), victim);
        using (var index = Open())
        {
            index.Add([Pack(0)]);
            AssertHas(index, 1);
        }
        Assert.Equal("kept", File.ReadAllText(victim));
        File.Delete(Path.Combine(_folder.Path, "lock"));
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "lock"), Path.Combine(outside.Path, "made"));
        using (var index = Open())
            Assert.Throws<IOException>(() => index.Add([Pack(1)]));
        Assert.False(File.Exists(Path.Combine(outside.Path, "made")));
    }

    [Fact]
    public void A_run_left_over_by_a_crash_in_a_merge_does_no_harm()
    {
        for (var p = 0; p < 7; p++)
        {
            using var index = Open();
            index.Add([Pack(p)]);
        }
        // The merged run is there and one of its parts was not emptied yet: the same pack in two runs.
        var run = Directory.EnumerateFiles(_folder.Path, "run-*").First(f => new FileInfo(f).Length > 10_000);
        File.Copy(run, Path.Combine(_folder.Path, "run-60"));
        for (var p = 7; p < 30; p++)
        {
            using var index = Open();
            index.Add([Pack(p)]);
        }
        using var all = Open();
        AssertHas(all, 30);
        Assert.True(all.Chunks <= 31 * 300);
    }

    [Fact]
    public void A_chunk_in_two_packs_outlives_a_crash_in_a_merge()
    {
        // Pack 5 has the chunks of pack 0 too: two sessions stored them side by side.
        (IndexedPack, Hash32[]) twin = (new(Id(5, -1), KeyClass.Content, Id16.None), Pack(0).Item2);
        for (var p = 0; p < 6; p++)
        {
            using var index = Open();
            index.Add([p == 5 ? twin : Pack(p)]);
        }
        var run = Directory.EnumerateFiles(_folder.Path, "run-*").Single(f => File.ReadAllBytes(f).AsSpan().IndexOf(Id(0, -1).ToArray()) >= 0);
        File.Copy(run, Path.Combine(_folder.Path, "kept"));
        for (var p = 6; p < 9; p++)
        {
            using var index = Open();
            index.Add([Pack(p)]);
        }
        File.Copy(Path.Combine(_folder.Path, "kept"), Path.Combine(_folder.Path, "run-60")); // merged already, and not emptied yet
        for (var p = 9; p < 40; p++)
        {
            using var index = Open();
            index.Add([Pack(p)]);
        }
        using var all = Open();
        Assert.Equal(40 * 300, all.Chunks);
        Assert.Equal(2, all.FindAll(Id(0, 7)).Count);
    }

    [Fact]
    public void Dropped_packs_are_not_found()
    {
        using var index = Open();
        index.Add([Pack(0), Pack(1)]);
        index.Drop([Id(0, -1)]);
        Assert.False(index.TryFind(Id(0, 5), out _));
        Assert.True(index.TryFind(Id(1, 5), out _));
        Assert.False(index.Knows(Id(0, -1)));
    }

    [Fact]
    public void A_chunk_in_two_packs_is_found_in_the_other_when_one_is_dropped()
    {
        using var index = Open();
        index.Add([Pack(0)]);
        index.Add([(new(Id(9, -1), KeyClass.Content, Id16.None), [Id(0, 5)])]);
        Assert.Equal(2, index.FindAll(Id(0, 5)).Count);
        index.Drop([Id(0, -1)]);
        Assert.True(index.TryFind(Id(0, 5), out var place));
        Assert.Equal(Id(9, -1), index.Pack(place.Pack).Name);
    }

    /// <summary>Where the folder takes no writes, a run that is damaged must be told before it is used: it cannot be made anew there.</summary>
    [Fact]
    public void A_damaged_block_above_the_ceiling_is_met_at_opening_where_that_is_asked_for()
    {
        using (var index = Open())
            index.Add([Pack(0)]);
        var run = Directory.GetFiles(_folder.Path, "run-*").Single(f => new FileInfo(f).Length > 0);
        var bytes = File.ReadAllBytes(run);
        bytes[^4096] ^= 1; // in its last block
        File.WriteAllBytes(run, bytes);
        using (var index = Open(ceiling: 0))
            Assert.Equal(ErrorCode.IndexDamaged, Assert.Throws<HoldfastException>(() => Enumerable.Range(0, 300).Count(c => index.TryFind(Id(0, c), out _))).Code);
        using var all = ChunkIndex.Open(_folder.Path, _vault, _domain, ceiling: 0, checksAll: true);
        Assert.Empty(all.Packs());
        bytes[^4096] ^= 1;
        File.WriteAllBytes(run, bytes);
        using var sound = ChunkIndex.Open(_folder.Path, _vault, _domain, ceiling: 0, checksAll: true);
        AssertHas(sound, 1);
    }

    [Fact]
    public void Another_domain_or_vault_sees_nothing()
    {
        using (var index = Open())
            index.Add([Pack(0)]);
        using var other = DomainKeys.Create();
        using var wrongDomain = ChunkIndex.Open(_folder.Path, _vault, other);
        using var wrongVault = ChunkIndex.Open(_folder.Path, Id16.New(), _domain);
        Assert.Empty(wrongDomain.Packs());
        Assert.Empty(wrongVault.Packs());
    }

    public void Dispose()
    {
        _domain.Dispose();
        _folder.Dispose();
    }
}
