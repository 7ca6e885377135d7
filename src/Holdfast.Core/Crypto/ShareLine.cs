namespace Holdfast.Core.Crypto;

/// <summary>One typed line of a share: 10 bytes as 16 characters, and 4 check characters, so that a person learns which line is
/// wrong.</summary>
/// <remarks>
/// Characters are 5-bit symbols, highest bits first, in the alphabet of Crockford's base 32. The check is a Reed-Solomon code over GF(32)
/// (x^5 + x^2 + 1, generator 2) with roots 2^1 to 2^4; its word is the line number (1 to 7), the 16 data symbols, the 4 check symbols, the
/// first being the highest power. The line number is not written. Distance 5: up to four wrong characters, or a line in another's
/// place with up to three wrong, are always found, and a single one can be pointed at.
/// </remarks>
static class ShareLine
{
    public const int Bytes = 10;
    public const int DataSymbols = 16;
    public const int CheckSymbols = 4;
    public const int Symbols = DataSymbols + CheckSymbols; // 20
    public const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    static readonly byte[] Exp = Powers(); // 2^i for i = 0 to 61, so that a sum of two logarithms needs no reduction
    static readonly byte[] Log = Logarithms(Exp);
    static readonly byte[] Generator = GeneratorPolynomial(); // x^4 + g[0] x^3 + g[1] x^2 + g[2] x + g[3]

    /// <param name="line">1 to 7.</param>
    /// <param name="data">10 bytes.</param>
    /// <param name="symbols">20 symbols, filled.</param>
    public static void Encode(int line, ReadOnlySpan<byte> data, Span<byte> symbols)
    {
        for (var i = 0; i < DataSymbols; i++)
        {
            var bit = 5 * i;
            var window = data[bit / 8] << 8 | (bit / 8 + 1 < Bytes ? data[bit / 8 + 1] : 0);
            symbols[i] = (byte)(window >> (11 - bit % 8) & 31);
        }
        Span<byte> remainder = stackalloc byte[CheckSymbols];
        Divide((byte)line, remainder);
        foreach (var symbol in symbols[..DataSymbols])
            Divide(symbol, remainder);
        remainder.CopyTo(symbols[DataSymbols..]);
    }

    /// <summary>True where the check holds; then <paramref name="data"/> (10 bytes) is filled.</summary>
    /// <param name="line">1 to 7.</param>
    /// <param name="symbols">20 symbols, each below 32.</param>
    /// <param name="data">10 bytes, filled.</param>
    /// <param name="suspect">Where it does not hold: the one character (1 to 20) whose change would mend the line; 0 where
    /// none would.</param>
    /// <param name="belongsAt">Where it does not hold: the line (1 to 7) that this one is, whole, or 0.</param>
    public static bool TryDecode(int line, ReadOnlySpan<byte> symbols, Span<byte> data, out int suspect, out int belongsAt)
    {
        (suspect, belongsAt) = (0, 0);
        Span<byte> syndromes = stackalloc byte[CheckSymbols];
        for (var j = 0; j < CheckSymbols; j++)
        {
            var sum = (byte)line;
            foreach (var symbol in symbols)
                sum = (byte)(Multiply(sum, Exp[j + 1]) ^ symbol);
            syndromes[j] = sum;
        }
        if (syndromes.ContainsAnyExcept((byte)0))
        {
            Locate(line, syndromes, out suspect, out belongsAt);
            return false;
        }
        data.Clear();
        for (var i = 0; i < DataSymbols; i++)
            for (var b = 0; b < 5; b++)
                data[(5 * i + b) / 8] |= (byte)((symbols[i] >> (4 - b) & 1) << (7 - (5 * i + b) % 8));
        return true;
    }

    // One wrong symbol e at power k gives syndromes e * 2^(jk): a geometric row.
    static void Locate(int line, ReadOnlySpan<byte> syndromes, out int suspect, out int belongsAt)
    {
        (suspect, belongsAt) = (0, 0);
        if (syndromes.Contains((byte)0))
            return;
        var power = (Log[syndromes[1]] - Log[syndromes[0]] + 31) % 31;
        for (var j = 1; j < CheckSymbols; j++)
            if (Multiply(syndromes[j - 1], Exp[power]) != syndromes[j])
                return;
        if (power < Symbols)
            suspect = Symbols - power;
        else if (power == Symbols) // the number of the line itself
        {
            var number = line ^ Exp[(Log[syndromes[0]] - power + 31) % 31];
            belongsAt = number is >= 1 and <= RecoveryShare.Lines ? number : 0;
        }
    }

    static void Divide(byte symbol, Span<byte> remainder)
    {
        var lead = (byte)(remainder[0] ^ symbol);
        for (var i = 0; i < CheckSymbols; i++)
            remainder[i] = (byte)((i + 1 < CheckSymbols ? remainder[i + 1] : 0) ^ Multiply(lead, Generator[i]));
    }

    static byte Multiply(byte a, byte b) => a == 0 || b == 0 ? (byte)0 : Exp[Log[a] + Log[b]];

    static byte[] Powers()
    {
        var exp = new byte[62];
        for (int i = 0, x = 1; i < exp.Length; i++)
        {
            exp[i] = (byte)x;
            x = (x << 1) ^ ((x & 16) != 0 ? 0x25 : 0);
        }
        return exp;
    }

    static byte[] Logarithms(byte[] exp)
    {
        var log = new byte[32];
        for (var i = 0; i < 31; i++)
            log[exp[i]] = (byte)i;
        return log;
    }

    static byte[] GeneratorPolynomial()
    {
        byte[] product = [1]; // highest power first
        for (var root = 1; root <= CheckSymbols; root++)
        {
            byte[] next = [.. product, 0];
            for (var i = 0; i < product.Length; i++)
                next[i + 1] ^= Multiply(product[i], Exp[root]);
            product = next;
        }
        return product[1..];
    }
}
