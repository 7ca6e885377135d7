using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;

namespace Holdfast.Tests.Core;

public sealed class ScopedKeyTests
{
    /// <summary>Two sources share one file; the second's key opens the pack that holds it, and no other pack of the session that wrote it.</summary>
    [Fact]
    public void A_key_of_one_source_opens_the_packs_it_needs_and_no_others()
    {
        using var test = new TestVault();
        test.Write("shared", TestVault.Noise(1, 5_000));
        for (var i = 0; i < 10; i++)
            test.Write($"secret-{i}", TestVault.Noise(2 + i, 15_000_000));
        var other = test.BackUp(name: "other", useState: false);
        for (var i = 0; i < 10; i++)
            File.Delete(Path.Combine(test.Source, $"secret-{i}"));
        test.Write("own", "own");
        test.BackUp(name: "ward", useState: false);

        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var scoped = vault.CutKey(keys, KeyClass.Content, test.Keys.Put.Domain.SourceId("ward"u8), 0);
        var needed = vault.State.PacksOf(vault.State.Snapshots[1])!;
        var content = other.Archive.Written.Where(p => p.Class == KeyClass.Content).ToList();
        Assert.True(content.Count > 1);
        Assert.Contains(content, p => needed.Contains(p.Name));
        foreach (var written in content)
        {
            using var pack = PackReader.Open(vault.Keeper.Store, written.Name, scoped);
            Assert.Equal(needed.Contains(written.Name), pack.IsReadable);
        }
        Assert.Equal(2ul, vault.State.ScopedKeys[^1].Packs); // the shared pack and the source's own: as many as were told to the log
        using var whole = vault.CutKey(keys, KeyClass.Content, null, 0);
        Assert.Equal(ScopedKeyRecord.AllPacks, vault.State.ScopedKeys[^1].Packs);
    }

    /// <summary>Copy 0 has lost its key, and the key that is cut is that of a sound copy: nothing but a frame shows which.</summary>
    [Theory]
    [InlineData(200)] // in the ciphertext, which the footer's seal does not cover
    [InlineData(30)] // the vault's id
    public void A_key_is_cut_from_a_copy_whose_header_is_sound(int damaged)
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp(name: "ward");
        foreach (var file in Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories))
        {
            var bytes = File.ReadAllBytes(file);
            File.WriteAllBytes($"{file}.1", bytes);
            bytes[damaged] ^= 1;
            File.WriteAllBytes(file, bytes);
        }
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var scoped = vault.CutKey(keys, KeyClass.Content, test.Keys.Put.Domain.SourceId("ward"u8), 0);
        using var buffer = new FrameBuffer();
        var read = 0;
        foreach (var name in vault.State.PacksOf(vault.Find("latest"))!.ToList().Select(p => p.Name))
        {
            using var pack = PackReader.Open(vault.Keeper.Store, name, scoped);
            if (pack.Header.Seal.Class != KeyClass.Content)
                continue;
            Assert.False(pack.ReadFrame(0, buffer).IsEmpty);
            read++;
        }
        Assert.NotEqual(0, read);
    }

    [Fact]
    public void What_a_damaged_vault_keeps_from_a_key_is_told()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp(name: "ward");
        test.Write("more", TestVault.Noise(3, 9_000));
        var second = test.BackUp(name: "ward");
        Hash32 lostObject, lostPack;
        using (var vault = test.Open())
        {
            lostObject = vault.State.Snapshots[1].Name;
            lostPack = vault.State.PacksOf(vault.State.Snapshots[0])!.ToList()[0].Name;
        }
        foreach (var (part, name) in new[] { ("objects", lostObject), ("packs", lostPack) })
        {
            var copies = Directory.GetFiles(Path.Combine(test.Folder, part), $"{name}*", SearchOption.AllDirectories);
            Assert.NotEmpty(copies);
            Array.ForEach(copies, File.Delete);
        }
        using var damaged = test.Open();
        using var keys = damaged.Unlock(test.Seed);
        var (packs, snapshots) = (new List<Hash32>(), new List<Id16>());
        using var scoped = damaged.CutKey(keys, KeyClass.Content, test.Keys.Put.Domain.SourceId("ward"u8), 0, packs.Add, snapshots.Add);
        Assert.Equal([lostPack], packs);
        Assert.Equal([second.Snapshot], snapshots);
    }
}
