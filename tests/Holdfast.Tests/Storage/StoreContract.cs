using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Storage;

/// <summary>What every store does. A new one is done when its few lines below this are green.</summary>
public abstract class StoreContract
{
    /// <summary>An empty store.</summary>
    protected abstract IStore NewStore();

    /// <summary>The same store as another process finds it later, perhaps on another machine.</summary>
    protected abstract IStore Again(IStore store);

    /// <summary>Puts something where packs lie, that is none.</summary>
    /// <param name="store">There.</param>
    /// <param name="path">Below the packs.</param>
    protected abstract void PutForeign(IStore store, string path);

    protected static byte[] Noise(int seed, int size)
    {
        var bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    protected static Hash32 NameOf(byte[] bytes) => new(SHA256.HashData(bytes));

    protected static IStaged Staged(IStore store, byte[] bytes)
    {
        var staged = store.Stage(large: bytes.Length > 100_000);
        foreach (var piece in bytes.Chunk(70_000))
            staged.Append(piece);
        return staged;
    }

    protected static bool Enter(IStore store, byte[] bytes, StoreKind kind = StoreKind.Pack)
    {
        using var staged = Staged(store, bytes);
        return store.Enter(staged, kind, NameOf(bytes));
    }

    protected static byte[]? Read(IStore store, Hash32 name, StoreKind kind = StoreKind.Pack, int copy = 0)
    {
        using var item = store.Open(kind, name, copy);
        if (item is null)
            return null;
        var bytes = new byte[item.Size];
        item.Read(0, bytes);
        return bytes;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(3_000_000)]
    public void What_is_entered_is_read_as_it_was(int size)
    {
        var store = NewStore();
        var bytes = Noise(size, size);
        using (var staged = Staged(store, bytes))
        {
            Assert.Equal(size, staged.Length);
            Assert.True(store.Enter(staged, StoreKind.Pack, NameOf(bytes)));
        }
        Assert.Equal(bytes, Read(store, NameOf(bytes)));
        Assert.Equal(bytes, Read(Again(store), NameOf(bytes)));
        Assert.True(store.Exists(StoreKind.Pack, NameOf(bytes)));
        Assert.False(store.Exists(StoreKind.Object, NameOf(bytes)));
        Assert.Null(store.Open(StoreKind.Pack, NameOf(bytes), copy: 1));
    }

    [Fact]
    public void Parts_are_read_in_any_order_by_several_threads_at_once()
    {
        var store = NewStore();
        var bytes = Noise(1, 9_000_000);
        Enter(store, bytes);
        using var item = store.Open(StoreKind.Pack, NameOf(bytes))!;
        Parallel.For(0, 4, thread =>
        {
            var random = new Random(thread);
            for (long at = 0, i = 0; i < 12; i++)
            {
                var part = new byte[random.Next(1, 900_000)];
                at = i % 3 == 0 || at + part.Length > bytes.Length ? random.Next(bytes.Length - part.Length) : at;
                item.Read(at, part);
                Assert.True(bytes.AsSpan((int)at, part.Length).SequenceEqual(part));
                at += part.Length;
            }
        });
        item.Forget();
        var end = new byte[10];
        item.Read(bytes.Length - 10, end);
        Assert.Equal(bytes[^10..], end);
        Assert.Equal(ErrorCode.Truncated, Assert.Throws<HoldfastException>(() => item.Read(bytes.Length - 9, end)).Code);
        Assert.Equal(ErrorCode.Truncated, Assert.Throws<HoldfastException>(() => item.Read(bytes.Length + 100, end)).Code);
    }

    [Fact]
    public void A_name_that_is_there_stays_as_it_is()
    {
        var store = NewStore();
        var bytes = Noise(1, 200_000);
        Assert.True(Enter(store, bytes));
        Assert.False(Enter(store, bytes));
        Assert.False(Enter(Again(store), bytes));
        Assert.Equal(bytes, Read(store, NameOf(bytes)));
        Assert.Equal([new StoredName(StoreKind.Pack, NameOf(bytes), 0, bytes.Length)], store.List(StoreKind.Pack));
    }

    [Fact]
    public void What_was_staged_and_not_entered_is_nowhere()
    {
        var store = NewStore();
        var bytes = Noise(1, 2_000_000);
        Staged(store, bytes).Dispose();
        Assert.Null(store.Open(StoreKind.Pack, NameOf(bytes)));
        Assert.Empty(store.List(StoreKind.Pack));
        Assert.Empty(store.List(StoreKind.Object));
    }

    [Fact]
    public void A_further_copy_lies_beside_the_one_that_is_there()
    {
        var store = NewStore();
        var bytes = Noise(1, 10_000);
        Enter(store, bytes, StoreKind.Object);
        using (var staged = Staged(store, bytes))
            store.EnterCopy(staged, StoreKind.Object, NameOf(bytes));
        foreach (var one in new[] { store, Again(store) })
        {
            Assert.Equal(bytes, Read(one, NameOf(bytes), StoreKind.Object));
            Assert.Equal(bytes, Read(one, NameOf(bytes), StoreKind.Object, copy: 1));
            Assert.Null(one.Open(StoreKind.Object, NameOf(bytes), copy: 2));
            Assert.Equal([0, 1], one.List(StoreKind.Object).Select(n => n.Copy).Order());
            Assert.Equal(bytes, one.ReadObject(NameOf(bytes)));
        }
    }

    [Fact]
    public void All_names_are_listed_with_their_sizes_and_what_does_not_belong_is_told()
    {
        var store = NewStore();
        var packs = Enumerable.Range(1, 5).Select(i => Noise(i, i * 1_000)).ToList();
        packs.ForEach(p => Enter(store, p));
        var made = store.PutObject(Noise(9, 70));
        var name = NameOf(packs[0]).ToString();
        string[] foreign = [$"{name[..2]}/readme.txt", $"{name[..2]}/{name.ToUpperInvariant()}", $"{(name[0] == '0' ? "1" : "0")}{name[1]}/{name}", $"{name[..2]}/{name}0"];
        foreach (var path in foreign)
            PutForeign(store, path);
        var all = store.List(StoreKind.Pack).ToList();
        Assert.Equal(packs.Select(p => (NameOf(p), (long)p.Length)).Order(), all.Where(n => !n.Name.IsNone).Select(n => (n.Name, n.Size)).Order());
        Assert.Equal(foreign.Order(StringComparer.Ordinal), all.Where(n => n.Name.IsNone).Select(n => string.Join('/', n.Path!.Split('/')[^2..])).Order(StringComparer.Ordinal));
        Assert.Equal([made], store.List(StoreKind.Object).Select(n => n.Name));
    }

    [Fact]
    public void Many_threads_enter_at_once_and_a_name_only_once()
    {
        var store = NewStore();
        var packs = Enumerable.Range(1, 8).Select(i => Noise(i, 50_000)).ToList();
        var entered = 0;
        Parallel.For(0, 24, i =>
        {
            if (Enter(store, packs[i % 8]))
                Interlocked.Increment(ref entered);
        });
        Assert.Equal(8, entered);
        Assert.Equal(packs.Select(NameOf).Order(), store.List(StoreKind.Pack).Select(n => n.Name).Order());
        Assert.All(packs, p => Assert.Equal(p, Read(store, NameOf(p))));
    }
}

public sealed class FolderStoreTests : StoreContract, IDisposable
{
    readonly TempFolder _folder = new();

    protected override IStore NewStore()
    {
        FolderStore.Create(_folder["store"], Disk.Real);
        return new FolderStore([_folder["store"]]);
    }

    protected override IStore Again(IStore store) => new FolderStore([_folder["store"]]);

    protected override void PutForeign(IStore store, string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder["store/packs/" + path])!);
        File.WriteAllText(_folder["store/packs/" + path], "x");
    }

    public void Dispose() => _folder.Dispose();
}
