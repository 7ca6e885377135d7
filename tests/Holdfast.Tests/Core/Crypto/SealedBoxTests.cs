using System.Security.Cryptography;
using CsCheck;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public sealed class SealedBoxTests : IDisposable
{
    readonly XWingPrivateKey _key = new(RandomNumberGenerator.GetBytes(32));

    public void Dispose() => _key.Dispose();

    [Fact]
    public void Opens_to_what_was_sealed() => Gen.Byte.Array[0, 300].Select(Gen.Byte.Array[0, 40]).Sample((plain, aad) =>
    {
        var box = SealedBox.Seal(_key.PublicKey, plain, aad);
        Assert.Equal(plain.Length + SealedBox.Overhead, box.Length);
        Assert.True(SealedBox.TryOpen(_key, box, aad, out var opened));
        Assert.Equal(plain, opened.Span.ToArray());
    }, iter: 50);

    [Fact]
    public void Any_altered_byte_is_found()
    {
        var box = SealedBox.Seal(_key.PublicKey, "seed"u8, "aad"u8);
        for (var i = 0; i < box.Length; i += i < XWing.CiphertextSize - 40 ? 37 : 1)
        {
            box[i] ^= 0x40;
            Assert.False(SealedBox.TryOpen(_key, box, "aad"u8, out _), $"byte {i}");
            box[i] ^= 0x40;
        }
        Assert.True(SealedBox.TryOpen(_key, box, "aad"u8, out _));
    }

    [Fact]
    public void Wrong_key_wrong_aad_and_short_boxes_do_not_open()
    {
        using var other = new XWingPrivateKey(RandomNumberGenerator.GetBytes(32));
        var box = SealedBox.Seal(_key.PublicKey, "seed"u8, "aad"u8);
        Assert.False(SealedBox.TryOpen(other, box, "aad"u8, out _));
        Assert.False(SealedBox.TryOpen(_key, box, "aae"u8, out _));
        Assert.False(SealedBox.TryOpen(_key, [], "aad"u8, out _));
        Assert.False(SealedBox.TryOpen(_key, box.AsSpan(0, SealedBox.Overhead - 1), "aad"u8, out _));
        Assert.False(SealedBox.TryOpen(_key, box.AsSpan(0, box.Length - 1), "aad"u8, out _));
    }

    [Fact]
    public void The_layout_is_the_documented_one()
    {
        var box = SealedBox.Seal(_key.PublicKey, "seed"u8, "aad"u8);
        using var shared = _key.Decapsulate(box.AsSpan(0, 1120));
        var key = HKDF.DeriveKey(HashAlgorithmName.SHA256, shared.Span.ToArray(), 32,
            salt: "holdfast/v1/sealed-box"u8.ToArray(), info: SHA256.HashData([.. _key.PublicKey, .. box[..1120]]));
        using var gcm = new AesGcm(key, 16);
        var plain = new byte[4];
        gcm.Decrypt(new byte[12], box.AsSpan(1120, 4), box.AsSpan(1124), plain, "aad"u8);
        Assert.Equal("seed"u8.ToArray(), plain);
    }
}
