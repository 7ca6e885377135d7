using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;

namespace Holdfast.Tests;

/// <summary>A pack taken apart, to be put together as no sound writer does.</summary>
sealed class RawPack : IDisposable
{
    readonly string _packs;
    readonly Holdfast.Core.Crypto.AeadKey _footerKey;

    public RawPack(TestVault test, string file)
    {
        _packs = Path.Combine(test.Folder, "packs");
        var bytes = File.ReadAllBytes(file);
        Size = bytes.Length;
        Assert.True(PackHeader.TryParse(bytes, out var header));
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(bytes.Length - PackFormat.TrailerSize));
        HeaderAndFrames = bytes[..^(PackFormat.TrailerSize + length)];
        _footerKey = SessionSeal.FooterKey(test.Keys.Put.Domain, header!.Salt);
        Footer = new byte[length - 16];
        Assert.True(_footerKey.TryOpen(new byte[12], bytes.AsSpan(HeaderAndFrames.Length, length), Footer, Aad));
    }

    public int Size { get; }
    public byte[] HeaderAndFrames { get; }

    /// <summary>Opened, with the zeros at its end.</summary>
    public byte[] Footer { get; }

    byte[] Aad => PackWriter.FooterAad(HeaderAndFrames.AsSpan(0, PackFormat.BoundHeaderSize));

    /// <summary>Writes a pack of this header and these frames beside the others, and returns its name.</summary>
    public Hash32 Write(byte[] parity, byte[] footer)
    {
        var sealedFooter = new byte[footer.Length + 16];
        _footerKey.Seal(new byte[12], footer, sealedFooter, Aad);
        var trailer = new byte[PackFormat.TrailerSize];
        BinaryPrimitives.WriteInt32LittleEndian(trailer, sealedFooter.Length);
        BinaryPrimitives.WriteInt32LittleEndian(trailer.AsSpan(4), parity.Length);
        PackFormat.EndMagic.CopyTo(trailer.AsSpan(8));
        byte[] whole = [.. HeaderAndFrames, .. parity, .. sealedFooter, .. trailer];
        var name = new Hash32(SHA256.HashData(whole));
        var path = Path.Combine(_packs, name.ToString()[..2], name.ToString());
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, whole);
        return name;
    }

    public void Dispose() => _footerKey.Dispose();
}
