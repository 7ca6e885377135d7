using System.Globalization;
using System.Numerics;

namespace Holdfast.Tests.Vectors;

/// <summary>Encodes fields as docs/format.md, section 2, says, without the encoder of the program: so that the two can be compared.</summary>
static class Fields
{
    public static byte[] Encode(IEnumerable<string> fields)
    {
        var bytes = new List<byte>();
        foreach (var field in fields)
        {
            var parts = field.Split(' ', 3);
            bytes.AddRange(parts[0] switch
            {
                "raw" => Hex(parts[1]),
                "bytes" => [.. Var(Hex(parts[1]).Length), .. Hex(parts[1])],
                "var" => Var(Number(parts[1])),
                "svar" => Var(Number(parts[1]) is var n && n < 0 ? -2 * n - 1 : 2 * n),
                "u8" => Fixed(Number(parts[1]), 1),
                "u16" => Fixed(Number(parts[1]), 2),
                "u16be" => Fixed(Number(parts[1]), 2).Reverse(),
                "u32" => Fixed(Number(parts[1]), 4),
                "u64" => Fixed(Number(parts[1]), 8),
                "i64" => Fixed(Number(parts[1]), 8),
                _ => throw new ArgumentException(field),
            });
        }
        return [.. bytes];
    }

    public static string Raw(ReadOnlySpan<byte> bytes, string name) => $"raw {Hex(bytes)} {name}";

    public static string Bytes(ReadOnlySpan<byte> bytes, string name) => $"bytes {Hex(bytes)} {name}";

    static string Hex(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? "-" : Convert.ToHexStringLower(bytes);

    static byte[] Hex(string text) => text == "-" ? [] : Convert.FromHexString(text);

    static BigInteger Number(string text) => BigInteger.Parse(text, CultureInfo.InvariantCulture);

    static byte[] Fixed(BigInteger value, int size) => [.. Enumerable.Range(0, size).Select(i => (byte)(value >> 8 * i & 0xFF))];

    static byte[] Var(BigInteger value)
    {
        var bytes = new List<byte>();
        for (; value >= 128; value >>= 7)
            bytes.Add((byte)(value & 127 | 128));
        bytes.Add((byte)value);
        return [.. bytes];
    }
}
