using Holdfast.Core;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What reading a pack costs is bounded by what storing it cost (docs/format.md, section 14).</summary>
public sealed class PackExpansionTests
{
    const int Size = 160 << 20; // bytes that nearly vanish

    [Fact]
    public void A_pack_is_as_long_as_what_is_in_it_asks_for_and_a_shorter_one_is_not_read()
    {
        using var test = new TestVault();
        using (var file = File.Create(Path.Combine(test.Source, "image")))
        {
            var run = new byte[1 << 20];
            for (var i = 0; i < Size >> 20; i++)
            {
                run.AsSpan().Fill((byte)i);
                file.Write(run);
            }
        }
        test.BackUp();
        var packs = Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories);
        Assert.InRange(packs.Sum(p => new FileInfo(p).Length), Size / PackFormat.MaxExpansion, 4 * Size / PackFormat.MaxExpansion);
        Assert.True(test.Verify(full: true).Defects.Count == 0);
        TestVault.AssertSame(test.Source, test.Restore());

        var forged = packs.Select(p => Shorten(test, p)).Where(n => n is not null).ToList();
        Assert.NotEmpty(forged);
        var store = new FolderStore([test.Folder], Disk.Real);
        foreach (var name in forged)
        {
            var refused = Assert.Throws<HoldfastException>(() => PackReader.OpenFooter(store, name!.Value, test.Keys.Put.Vault, test.Keys.Put.Domain));
            Assert.Equal(ErrorCode.PackDamaged, refused.Code);
            Assert.Contains("256 times", refused.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>The same frames in a pack without the zeros that its payload asks for: what a thief of a put key could write. Null where it has none.</summary>
    static Hash32? Shorten(TestVault test, string file)
    {
        using var pack = new RawPack(test, file);
        var used = pack.Footer.AsSpan().TrimEnd((byte)0).Length + 1;
        var start = pack.HeaderAndFrames.Length;
        var size = (start + used + 32 + PackFormat.Quantum - 1) / PackFormat.Quantum * PackFormat.Quantum;
        return size == pack.Size ? null : pack.Write([], [.. pack.Footer.AsSpan(0, size - start - 32)]);
    }
}
