using System.Security.Cryptography;
using CsCheck;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public sealed class SealedBoxTests : IDisposable
{
    readonly XWingPrivateKey _key = new(RandomNumberGenerator.GetBytes(32));

    public void Dispose() => _key.Dispose();

    [Fact]
    public void Opens_to_what_was_sealed() => Gen.Byte.Array[0, 300].Select(Gen.Byte.Array[0, 40]).Sample((plain, context) =>
    {
        var box = SealedBox.Seal(_key.PublicKey, Labels.Payload, context, plain);
        Assert.Equal(plain.Length + SealedBox.Overhead, box.Length);
        Assert.True(SealedBox.TryOpen(_key, Labels.Payload, context, box, out var opened));
        Assert.Equal(plain, opened.Span.ToArray());
    }, iter: 50);

    [Fact]
    public void Any_altered_byte_is_found()
    {
        var box = SealedBox.Seal(_key.PublicKey, Labels.Payload, "vault"u8, "seed"u8);
        for (var i = 0; i < box.Length; i += i < XWing.CiphertextSize - 40 ? 37 : 1)
        {
            box[i] ^= 0x40;
            Assert.False(SealedBox.TryOpen(_key, Labels.Payload, "vault"u8, box, out _), $"byte {i}");
            box[i] ^= 0x40;
        }
        Assert.True(SealedBox.TryOpen(_key, Labels.Payload, "vault"u8, box, out _));
    }

    [Fact]
    public void Wrong_key_label_context_and_short_boxes_do_not_open()
    {
        using var other = new XWingPrivateKey(RandomNumberGenerator.GetBytes(32));
        var box = SealedBox.Seal(_key.PublicKey, Labels.Payload, "vault"u8, "seed"u8);
        Assert.False(SealedBox.TryOpen(other, Labels.Payload, "vault"u8, box, out _));
        Assert.False(SealedBox.TryOpen(_key, Labels.Payload, "valut"u8, box, out _));
        Assert.False(SealedBox.TryOpen(_key, Labels.Keyring, "vault"u8, box, out _));
        Assert.False(SealedBox.TryOpen(_key, Labels.Payload, "vault"u8, [], out _));
        Assert.False(SealedBox.TryOpen(_key, Labels.Payload, "vault"u8, box.AsSpan(0, SealedBox.Overhead - 1), out _));
        Assert.False(SealedBox.TryOpen(_key, Labels.Payload, "vault"u8, box.AsSpan(0, box.Length - 1), out _));
    }

    [Fact]
    public void The_layout_is_the_documented_one()
    {
        var box = SealedBox.Seal(_key.PublicKey, Labels.Payload, "vault"u8, "seed"u8);
        using var shared = _key.Decapsulate(box.AsSpan(0, 1120));
        var key = HKDF.DeriveKey(HashAlgorithmName.SHA256, shared.Span.ToArray(), 32,
            salt: "holdfast/v1/payload"u8.ToArray(), info: "vault"u8.ToArray());
        using var gcm = new AesGcm(key, 16);
        var plain = new byte[4];
        gcm.Decrypt(new byte[12], box.AsSpan(1120, 4), box.AsSpan(1124), plain, "holdfast/v1/payloadvault"u8);
        Assert.Equal("seed"u8.ToArray(), plain);
    }
}
