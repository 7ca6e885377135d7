using System.Security.Cryptography;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public class XWingTests
{
    static readonly byte[] Seed = XWingVectors.All[0].Seed;

    public static TheoryData<int> Vectors => [.. Enumerable.Range(0, XWingVectors.All.Length)];

    [Theory, MemberData(nameof(Vectors))]
    public void A_published_vector_gives_its_public_key(int i)
    {
        var vector = XWingVectors.All[i];
        Assert.Equal(vector.PublicKey, XWing.PublicKeyFromSeed(vector.Seed));
    }

    [Theory, MemberData(nameof(Vectors))]
    public void A_published_vector_encapsulates_to_its_ciphertext_and_secret(int i)
    {
        var vector = XWingVectors.All[i];
        var (ciphertext, shared) = XWing.EncapsulateDerand(vector.PublicKey, vector.EncapsulationSeed);
        using (shared)
        {
            Assert.Equal(vector.Ciphertext, ciphertext);
            Assert.Equal(vector.SharedSecret, shared.Span.ToArray());
        }
    }

    [Theory, MemberData(nameof(Vectors))]
    public void A_published_vector_decapsulates_to_its_secret(int i)
    {
        var vector = XWingVectors.All[i];
        using var shared = XWing.Decapsulate(vector.Seed, vector.Ciphertext);
        Assert.Equal(vector.SharedSecret, shared.Span.ToArray());
    }

    [Fact]
    public void Both_sides_get_the_same_secret_and_each_encapsulation_another()
    {
        using var key = new XWingPrivateKey(RandomNumberGenerator.GetBytes(XWing.SeedSize));
        var (first, firstSecret) = XWing.Encapsulate(key.PublicKey);
        var (second, secondSecret) = XWing.Encapsulate(key.PublicKey);
        Assert.Equal(firstSecret.Span.ToArray(), key.Decapsulate(first).Span.ToArray());
        Assert.Equal(secondSecret.Span.ToArray(), key.Decapsulate(second).Span.ToArray());
        Assert.NotEqual(firstSecret.Span.ToArray(), secondSecret.Span.ToArray());
    }

    [Theory]
    [InlineData(0)] // ML-KEM half
    [InlineData(XWing.MLKemCiphertextSize)] // X25519 half
    public void An_altered_ciphertext_gives_another_secret_and_no_exception(int at)
    {
        var vector = XWingVectors.All[0];
        var altered = vector.Ciphertext.ToArray();
        altered[at] ^= 1;
        using var shared = XWing.Decapsulate(vector.Seed, altered);
        Assert.NotEqual(vector.SharedSecret, shared.Span.ToArray());
    }

    [Fact]
    public void A_point_of_small_order_is_no_exception()
    {
        var ciphertext = XWingVectors.All[0].Ciphertext.ToArray();
        ciphertext.AsSpan(XWing.MLKemCiphertextSize).Clear();
        using var shared = XWing.Decapsulate(Seed, ciphertext);

        // The draft's combiner with an X25519 secret of zero; the ML-KEM half is the vector's, whose secret is not published.
        Assert.NotEqual(new byte[32], shared.Span.ToArray());

        var publicKey = XWing.PublicKeyFromSeed(Seed);
        publicKey.AsSpan(XWing.MLKemPublicKeySize).Clear();
        var (toZero, secret) = XWing.Encapsulate(publicKey);
        Assert.Equal((XWing.CiphertextSize, XWing.SharedSecretSize), (toZero.Length, secret.Length));
    }

    [Fact]
    public void Bytes_that_are_no_public_key_are_refused()
    {
        var good = XWing.PublicKeyFromSeed(Seed);
        Assert.True(XWing.IsPublicKey(good));
        Assert.False(XWing.IsPublicKey(good.AsSpan(1)));
        Assert.False(XWing.IsPublicKey([]));

        var outOfRange = good.ToArray();
        outOfRange.AsSpan(0, 3).Fill(0xFF); // two coefficients of 4095, where q = 3329
        Assert.False(XWing.IsPublicKey(outOfRange));
        Assert.Throws<ArgumentException>(() => XWing.Encapsulate(outOfRange));
    }

    [Fact]
    public void A_disposed_key_opens_nothing()
    {
        var key = new XWingPrivateKey(Seed);
        key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => key.Decapsulate(XWingVectors.All[0].Ciphertext));
    }
}
