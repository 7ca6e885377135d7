namespace Holdfast.Core.Crypto;

/// <summary>Shamir's secret sharing, byte by byte, over GF(2^8) with the AES polynomial x^8 + x^4 + x^3 + x + 1.</summary>
/// <remarks>For each byte of the secret a polynomial of degree m - 1 with that byte as its constant term and random other terms; share x is
/// its value at x, 1 to 255. No branch and no table look-up depends on a secret.</remarks>
static class Shamir
{
    /// <summary>Fills <c>shares[i]</c>, as long as the secret, with the value at i + 1.</summary>
    public static void Split(ReadOnlySpan<byte> secret, int threshold, ReadOnlySpan<SecretBytes> shares)
    {
        using var terms = SecretBytes.Random((threshold - 1) * secret.Length);
        for (var s = 0; s < shares.Length; s++)
        {
            var value = shares[s].Span;
            value.Clear();
            for (var t = threshold - 2; t >= 0; t--) // Horner, highest term first
                for (var i = 0; i < secret.Length; i++)
                    value[i] = Multiply((byte)(value[i] ^ terms.Span[t * secret.Length + i]), (byte)(s + 1));
            for (var i = 0; i < secret.Length; i++)
                value[i] ^= secret[i];
        }
    }

    /// <summary>The value at <paramref name="at"/> of the one polynomial of least degree through the given points;
    /// at 0 it is the secret.</summary>
    /// <param name="xs">Distinct.</param>
    /// <param name="ys">One for each x, as long as <paramref name="value"/>.</param>
    /// <param name="at">Where to evaluate.</param>
    /// <param name="value">Filled.</param>
    public static void Interpolate(ReadOnlySpan<byte> xs, ReadOnlySpan<SecretBytes> ys, byte at, Span<byte> value)
    {
        value.Clear();
        for (var j = 0; j < xs.Length; j++)
        {
            byte above = 1, below = 1;
            for (var k = 0; k < xs.Length; k++)
            {
                if (k == j)
                    continue;
                above = Multiply(above, (byte)(at ^ xs[k]));
                below = Multiply(below, (byte)(xs[j] ^ xs[k]));
            }
            var weight = Multiply(above, Invert(below)); // public: depends on which shares, not on what they hold
            for (var i = 0; i < value.Length; i++)
                value[i] ^= Multiply(weight, ys[j].Span[i]);
        }
    }

    internal static byte Multiply(byte a, byte b)
    {
        int product = 0, x = a, y = b;
        for (var bit = 0; bit < 8; bit++)
        {
            product ^= x & -(y & 1);
            x = (x << 1) ^ (0x11B & -(x >> 7));
            y >>= 1;
        }
        return (byte)product;
    }

    internal static byte Invert(byte a)
    {
        // a^254 = a^2 * a^4 * ... * a^128
        byte power = a, product = 1;
        for (var i = 0; i < 7; i++)
        {
            power = Multiply(power, power);
            product = Multiply(product, power);
        }
        return product;
    }
}
