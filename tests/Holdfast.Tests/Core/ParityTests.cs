using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Keys;
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
        var bytes = File.ReadAllBytes(file);
        Assert.True(PackHeader.TryParse(bytes, out var header));
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(bytes.Length - 16));
        var end = bytes.Length - 16 - length;
        using var key = SessionSeal.FooterKey(test.Keys.Put.Domain, header!.Salt);
        var plaintext = new byte[length - 16];
        Assert.True(key.TryOpen(new byte[12], bytes.AsSpan(end, length), plaintext, PackWriter.FooterAad(bytes.AsSpan(0, PackFormat.BoundHeaderSize))));
        bytes[16] |= 1; // read-only feature: parity in packs
        var footer = new byte[length];
        key.Seal(new byte[12], plaintext, footer, PackWriter.FooterAad(bytes.AsSpan(0, PackFormat.BoundHeaderSize)));
        var trailer = bytes.AsSpan(bytes.Length - 16).ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(trailer.AsSpan(4), PackFormat.Quantum);
        byte[] whole = [.. bytes.AsSpan(0, end), .. TestVault.Noise(7, PackFormat.Quantum), .. footer, .. trailer];
        var name = Convert.ToHexStringLower(SHA256.HashData(whole));
        File.WriteAllBytes(Path.Combine(test.Folder, "packs", name[..2], name), whole);
    }
}
