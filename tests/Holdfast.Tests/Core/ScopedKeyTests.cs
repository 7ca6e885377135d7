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
}
