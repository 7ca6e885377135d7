using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public class RecoverySharesTests
{
    static readonly byte[] Seed = RandomNumberGenerator.GetBytes(32);
    static readonly Id16 Vault = Id16.New();

    public static TheoryData<int, int> Sizes
    {
        get
        {
            var sizes = new TheoryData<int, int>();
            for (var n = 1; n <= 5; n++)
                for (var m = 1; m <= n; m++)
                    sizes.Add(m, n);
            return sizes;
        }
    }

    [Theory, MemberData(nameof(Sizes))]
    public void Every_choice_of_enough_shares_gives_the_seed_and_every_smaller_one_is_refused(int m, int n)
    {
        var shares = RecoveryShares.Split(Seed, Vault, 3, m, n);
        for (var subset = 1; subset < 1 << n; subset++)
        {
            var chosen = shares.Where((_, i) => (subset >> i & 1) == 1).Reverse().ToArray();
            if (chosen.Length >= m)
            {
                using var seed = RecoveryShares.Combine(chosen, out var unfit);
                Assert.Equal(Seed, seed.Span.ToArray());
                Assert.Empty(unfit);
            }
            else
            {
                var e = Assert.Throws<HoldfastException>(() => RecoveryShares.Combine(chosen));
                Assert.Equal(ErrorCode.SharesTooFew, e.Code);
                Assert.Contains($"{m} different shares are needed, and {chosen.Length} {(chosen.Length == 1 ? "is" : "are")} here", e.Message);
            }
        }
    }

    // For m - 1 shares and any value v of a secret byte there is exactly one value of a further share that makes the secret v: by
    // construction, over all 256 values, the map from further share to secret is a bijection. So m - 1 shares exclude no secret.
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void Fewer_shares_than_the_threshold_exclude_no_secret(int m)
    {
        var xs = Enumerable.Range(1, m).Select(x => (byte)x).ToArray();
        var ys = xs.Select(_ => SecretBytes.Random(1)).ToArray();
        var secrets = new HashSet<byte>();
        Span<byte> secret = stackalloc byte[1];
        for (var v = 0; v < 256; v++)
        {
            ys[^1].Span[0] = (byte)v;
            Shamir.Interpolate(xs, ys, 0, secret);
            secrets.Add(secret[0]);
        }
        Assert.Equal(256, secrets.Count);
    }

    // ... and the splitter draws those values evenly: chi-squared over 256 cells of each share's first byte, the seed being fixed.
    // 255 degrees of freedom; above 400 has a chance of about 1 in 10^8.
    [Fact]
    public void A_single_share_of_a_fixed_seed_is_evenly_spread()
    {
        var counts = new int[3, 256];
        SecretBytes[] payloads = [new(1), new(1), new(1)];
        const int rounds = 51_200; // 200 a cell
        for (var i = 0; i < rounds; i++)
        {
            Shamir.Split([0x42], 2, payloads);
            for (var s = 0; s < 3; s++)
                counts[s, payloads[s].Span[0]]++;
        }
        for (var s = 0; s < 3; s++)
        {
            var squares = Enumerable.Range(0, 256).Sum(v => Math.Pow(counts[s, v] - rounds / 256, 2));
            Assert.True(squares / (rounds / 256) < 400, $"share {s + 1}");
        }
    }

    [Fact]
    public void The_field_is_that_of_AES()
    {
        Assert.Equal(0xC1, Shamir.Multiply(0x57, 0x83)); // FIPS 197, section 4.2
        Assert.Equal(0xFE, Shamir.Multiply(0x57, 0x13));
        for (var a = 1; a < 256; a++)
            Assert.Equal(1, Shamir.Multiply((byte)a, Shamir.Invert((byte)a)));
        Assert.Equal(0, Shamir.Invert(0));
    }

    [Fact]
    public void The_shares_lie_on_a_polynomial_as_documented()
    {
        // m = 2: share x = secret + x * term, so share 1 + share 3 = 2 * term, and secret = share 1 + term.
        var shares = RecoveryShares.Split(Seed, Vault, 1, 2, 3);
        for (var i = 0; i < 32; i++)
        {
            var term = Shamir.Multiply((byte)(shares[0].Payload.Span[i] ^ shares[2].Payload.Span[i]), Shamir.Invert(2));
            Assert.Equal(Seed[i], (byte)(shares[0].Payload.Span[i] ^ term));
        }
    }

    [Fact]
    public void An_altered_share_is_found_and_outvoted_where_there_is_one_to_spare()
    {
        var shares = RecoveryShares.Split(Seed, Vault, 1, 3, 5);
        var bad = Altered(shares[1]);

        var e = Assert.Throws<HoldfastException>(() => RecoveryShares.Combine([shares[0], bad, shares[2]]));
        Assert.Equal(ErrorCode.ShareBad, e.Code);
        Assert.Contains("1, 2, 3", e.Message);

        using var seed = RecoveryShares.Combine([shares[0], bad, shares[2], shares[4]], out var unfit);
        Assert.Equal(Seed, seed.Span.ToArray());
        Assert.Equal([bad], unfit);

        using var again = RecoveryShares.Combine([bad, shares[1], shares[0], shares[0], shares[4]], out unfit); // good and bad share 2
        Assert.Equal(Seed, again.Span.ToArray());
        Assert.Equal([bad], unfit);
    }

    [Fact]
    public void Shares_of_other_sets_are_named()
    {
        var ours = RecoveryShares.Split(Seed, Vault, 1, 3, 5);
        var resplit = RecoveryShares.Split(Seed, Vault, 1, 3, 5);
        var e = Assert.Throws<HoldfastException>(() => RecoveryShares.Combine([ours[0], ours[1], resplit[3]]));
        Assert.Equal(ErrorCode.ShareBad, e.Code);
        Assert.Contains("share 4 of 5", e.Message);

        using var seed = RecoveryShares.Combine([resplit[3], ours[0], ours[1], ours[4]], out var unfit);
        Assert.Equal(Seed, seed.Span.ToArray());
        Assert.Equal([resplit[3]], unfit);
    }

    [Fact]
    public void The_same_share_twice_counts_once()
    {
        var shares = RecoveryShares.Split(Seed, Vault, 1, 2, 3);
        var e = Assert.Throws<HoldfastException>(() => RecoveryShares.Combine([shares[2], shares[2]]));
        Assert.Equal(ErrorCode.SharesTooFew, e.Code);
        Assert.Contains("1 more of shares 1, 2", e.Guidance);
        Assert.Equal(ErrorCode.SharesTooFew, Assert.Throws<HoldfastException>(() => RecoveryShares.Combine([])).Code);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(3, 2)]
    [InlineData(1, 256)]
    public void Impossible_numbers_are_refused(int m, int n) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => RecoveryShares.Split(Seed, Vault, 1, m, n));

    [Fact]
    public void The_largest_set_works()
    {
        var shares = RecoveryShares.Split(Seed, Vault, 1, 20, 255);
        using var seed = RecoveryShares.Combine([.. shares.Skip(235)]);
        Assert.Equal(Seed, seed.Span.ToArray());
    }

    // With its checks made right again: what a malicious holder would hand in.
    static RecoveryShare Altered(RecoveryShare share)
    {
        var payload = share.Payload.Span.ToArray();
        payload[5] ^= 1;
        return RecoveryShare.Create(
            share.VaultId, share.Epoch, share.SetId, share.Threshold, share.Index, share.Total, share.SeedCheck, payload);
    }
}
