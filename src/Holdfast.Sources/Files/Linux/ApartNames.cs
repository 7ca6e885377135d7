using System.Globalization;
using System.Security.Cryptography;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Names of a restore's own: of files until they are whole, and of those that a file system is tried out with. Safe for concurrent use.</summary>
sealed class ApartNames
{
    const string Prefix = ".holdfast-restoring-"; // then a number of the run, and one of the file
    const int RunDigits = 16;
    const int CountDigits = 12;

    /// <summary>Bytes.</summary>
    public const int Length = 20 + RunDigits + CountDigits;

    readonly string _run = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(RunDigits / 2));
    long _count;

    static ReadOnlySpan<byte> PrefixBytes => ".holdfast-restoring-"u8;

    public byte[] Next() => System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Prefix}{_run}{Interlocked.Increment(ref _count):x12}"));

    /// <summary>True of those of any run.</summary>
    public static bool IsApart(ReadOnlySpan<byte> name)
    {
        if (name.Length != Length || !name.StartsWith(PrefixBytes))
            return false;
        foreach (var digit in name[PrefixBytes.Length..])
        {
            if (!char.IsAsciiHexDigitLower((char)digit))
                return false;
        }
        return true;
    }
}
