using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public class PrimitivesTests
{
    // RFC 8032, section 7.1, tests 1 and 3.
    [Theory]
    [InlineData(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")]
    [InlineData(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")]
    public void Ed25519_gives_the_published_signature(string seed, string publicKey, string message, string signature)
    {
        using var signer = new Ed25519Signer(Convert.FromHexString(seed));
        var bytes = Convert.FromHexString(message);
        Assert.Equal(publicKey, Convert.ToHexStringLower(signer.PublicKey));
        Assert.Equal(signature, Convert.ToHexStringLower(signer.Sign(bytes)));
        Assert.True(Ed25519Signer.Verify(signer.PublicKey, bytes, Convert.FromHexString(signature)));
    }

    [Fact]
    public void Ed25519_refuses_any_flipped_bit_and_any_size()
    {
        using var signer = new Ed25519Signer(new byte[32]);
        var signature = signer.Sign("leaf"u8);
        var publicKey = signer.PublicKey.ToArray();
        for (var bit = 0; bit < signature.Length * 8; bit++)
        {
            signature[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(Ed25519Signer.Verify(publicKey, "leaf"u8, signature), $"bit {bit}");
            signature[bit / 8] ^= (byte)(1 << (bit % 8));
        }
        Assert.True(Ed25519Signer.Verify(publicKey, "leaf"u8, signature));
        Assert.False(Ed25519Signer.Verify(publicKey, "leaves"u8, signature));
        Assert.False(Ed25519Signer.Verify(publicKey.AsSpan(1), "leaf"u8, signature));
        Assert.False(Ed25519Signer.Verify(publicKey, "leaf"u8, signature.AsSpan(1)));
        Assert.False(Ed25519Signer.Verify(new byte[32], "leaf"u8, new byte[64]));
    }

    [Fact] // RFC 5869, A.1, whose key is 22 bytes; its salt stands in for the label.
    public void Kdf_is_Hkdf_with_the_label_as_salt()
    {
        var output = new byte[42];
        Kdf.Derive(
            Convert.FromHexString("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
            Convert.FromHexString("000102030405060708090a0b0c"), Convert.FromHexString("f0f1f2f3f4f5f6f7f8f9"), output);
        Assert.Equal(
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", Convert.ToHexStringLower(output));
    }

    [Fact]
    public void Kdf_refuses_a_short_key_an_empty_label_and_an_illegal_length()
    {
        Assert.Throws<ArgumentException>(() => Kdf.Derive(new byte[15], "l"u8, [], new byte[32]));
        Assert.Throws<ArgumentException>(() => Kdf.Derive(new byte[32], [], [], new byte[32]));
        Assert.Throws<ArgumentException>(() => Kdf.Derive(new byte[32], "l"u8, [], []));
        Assert.Throws<ArgumentException>(() => Kdf.Derive(new byte[32], "l"u8, [], new byte[Kdf.MaxOutput + 1]));
    }

    [Fact] // RFC 9106, section 5.3, has four lanes, a secret and data, which libsodium has not: so it is checked by way of another implementation.
    public void Argon2id_agrees_with_one_that_gives_the_published_tag()
    {
        Assert.Equal("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659", Convert.ToHexStringLower(Other(Repeat(1, 32), Repeat(2, 16), 32, 3, 4, Repeat(3, 8), Repeat(4, 12))));

        var salt = Repeat(7, 16);
        foreach (var passphrase in new byte[][] { "x"u8.ToArray(), "correct horse battery staple"u8.ToArray(), Repeat(0, 200) })
        {
            using var secret = new Argon2Cost(Argon2Cost.MinMemoryKiB, 2).Derive(passphrase, salt);
            Assert.Equal(Other(passphrase, salt, (int)Argon2Cost.MinMemoryKiB, 2, 1, [], []), secret.Span.ToArray());
        }

        static byte[] Repeat(byte value, int count) => [.. Enumerable.Repeat(value, count)];
        static byte[] Other(byte[] passphrase, byte[] salt, int memoryKiB, int passes, int lanes, byte[] secret, byte[] data)
        {
            var argon2 = new Org.BouncyCastle.Crypto.Generators.Argon2BytesGenerator();
            argon2.Init(new Org.BouncyCastle.Crypto.Parameters.Argon2Parameters.Builder(Org.BouncyCastle.Crypto.Parameters.Argon2Parameters.Argon2id).WithVersion(0x13).WithSalt(salt).WithMemoryAsKB(memoryKiB)
                .WithIterations(passes).WithParallelism(lanes).WithSecret(secret).WithAdditional(data).Build());
            var tag = new byte[32];
            argon2.GenerateBytes(passphrase, tag);
            return tag;
        }
    }

    [Fact] // The GCM specification's test case 16 (McGrew and Viega, 2005).
    public void Aead_gives_the_published_bytes()
    {
        var key = Convert.FromHexString("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        var nonce = Convert.FromHexString("cafebabefacedbaddecaf888");
        var aad = Convert.FromHexString("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        var plain = Convert.FromHexString(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
        var sealedBytes = new byte[plain.Length + Aead.TagSize];
        Aead.Seal(key, nonce, plain, sealedBytes, aad);
        Assert.Equal(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
            "76fc6ece0f4e1768cddf8853bb2d551b", Convert.ToHexStringLower(sealedBytes));

        using var pooled = new AeadKey(key);
        var again = new byte[sealedBytes.Length];
        pooled.Seal(nonce, plain, again, aad);
        Assert.Equal(sealedBytes, again);
    }

    [Fact]
    public void A_pooled_key_serves_many_threads_at_once()
    {
        using var key = new AeadKey(RandomNumberGenerator.GetBytes(32));
        Parallel.For(0, 2000, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            var nonce = new byte[12];
            BitConverter.TryWriteBytes(nonce, i);
            var plain = new byte[i % 257];
            Array.Fill(plain, (byte)i);
            var sealedBytes = new byte[plain.Length + Aead.TagSize];
            key.Seal(nonce, plain, sealedBytes, []);
            var opened = new byte[plain.Length];
            Assert.True(key.TryOpen(nonce, sealedBytes, opened, []));
            Assert.Equal(plain, opened);
            sealedBytes[i % sealedBytes.Length] ^= 1;
            Assert.False(key.TryOpen(nonce, sealedBytes, opened, []));
            Assert.All(opened, b => Assert.Equal(0, b)); // nothing unauthenticated leaves
        });
    }

    [Fact]
    public void A_disposed_key_seals_nothing()
    {
        var key = new AeadKey(new byte[32]);
        key.Seal(new byte[12], [], new byte[16], []); // so that a context lies idle
        key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => key.Seal(new byte[12], [], new byte[16], []));
        Assert.False(Aead.TryOpen(new byte[32], new byte[12], new byte[15], [], []));
    }

    [Fact]
    public void A_disposed_secret_is_zeroed_and_gone()
    {
        var secret = new SecretBytes("swordfish"u8);
        var span = secret.Span;
        Assert.True(secret.FixedTimeEquals("swordfish"u8));
        Assert.DoesNotContain("swordfish", $"{secret}");
        secret.Dispose();
        Assert.Equal(new byte[9], span.ToArray());
        Assert.Throws<ObjectDisposedException>(() => secret.Length);
        secret.Dispose(); // twice is fine
    }

    [Fact]
    public void Labels_are_distinct_and_all_those_of_the_format()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Holdfast.slnx")))
            folder = folder.Parent;
        Assert.NotNull(folder);
        var source = File.ReadAllText(Path.Combine(folder.FullName, "src", "Holdfast.Core", "Crypto", "Labels.cs"));
        var labels = Regex.Matches(source, "\"([^\"]*)\"u8").Select(m => m.Groups[1].Value).ToArray();

        Assert.True(labels.Length >= 20);
        Assert.All(labels, label => Assert.Matches("^holdfast/v1/[a-z0-9-]{3,50}$", label));
        Assert.Equal(labels.Length, labels.Distinct().Count());

        var format = File.ReadAllText(Path.Combine(folder.FullName, "docs", "format.md"));
        var documented = Regex.Match(format, "### 5.6 Labels(.*?)## 6", RegexOptions.Singleline).Value;
        var words = Regex.Matches(documented, @"`([a-z0-9-]+)`").Select(m => m.Groups[1].Value).ToArray();
        Assert.Contains("chunk-id", words);
        Assert.All(words, word => Assert.Contains($"holdfast/v1/{word}", labels));
    }
}
