using Holdfast.Core.Packs;
using Holdfast.Core.Restore;

namespace Holdfast.Tests.Core;

/// <summary>A later version may keep parity in its packs: this one reads what is whole without it (docs/format.md, section 7.4).</summary>
public sealed class ParityTests
{
    [Fact]
    public void A_pack_with_parity_is_read_like_any_other()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var packs = Directory.GetFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories);
        foreach (var pack in packs)
        {
            AddParity(test, pack);
            File.Delete(pack);
        }
        using (var vault = test.Open())
            vault.ForgetIndex();
        TestVault.AssertSame(test.Source, test.Restore());
        var verified = test.Verify(full: true);
        Assert.Equal(packs.Length, verified.Packs);
        Assert.DoesNotContain(verified.Defects, d => d.Kind != DefectKind.Missing); // under their old names
    }

    static void AddParity(TestVault test, string file)
    {
        using var pack = new RawPack(test, file);
        pack.HeaderAndFrames[16] |= 1; // read-only feature: parity in packs
        pack.Write(TestVault.Noise(7, PackFormat.Quantum), pack.Footer);
    }
}
