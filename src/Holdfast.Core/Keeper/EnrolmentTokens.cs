using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Tokens that enrol one agent each: the file <c>keeper/tokens</c>, a line each, `SHA256 EXPIRES NAME`. What stands there does not tell the token.</summary>
public static class EnrolmentTokens
{
    public const int Size = 16; // bytes
    const int MaxTokens = 4_096;
    const int MaxFile = 1 << 20; // bytes

    sealed record Line(string Digest, ulong Expires, string Name);

    static string At(string vault) => Path.Combine(vault, "keeper", "tokens");

    /// <summary>A token as it is carried by people.</summary>
    public static string Written(ReadOnlySpan<byte> token) => string.Join('-', Convert.ToHexStringLower(token).Chunk(8).Select(c => new string(c)));

    /// <summary>The same read; blanks and hyphens are nothing.</summary>
    public static bool TryRead(string text, out byte[] token)
    {
        token = [];
        var digits = string.Concat(text.Where(c => c is not ('-' or ' ' or '\t' or '\r' or '\n')));
        if (digits.Length != 2 * Size || !digits.All(char.IsAsciiHexDigit))
            return false;
        token = Convert.FromHexString(digits);
        return true;
    }

    /// <summary>Makes one.</summary>
    /// <param name="vault">The vault's folder.</param>
    /// <param name="name">For people, as a client's.</param>
    /// <param name="now">Seconds since 1970.</param>
    /// <param name="expires">When it is worth nothing any more.</param>
    /// <param name="disk">Where changes go.</param>
    /// <exception cref="HoldfastException"><c>QuotaExceeded</c>, <c>KeyFileBad</c>, <c>NoPermission</c>, <c>DiskFull</c>.</exception>
    public static byte[] Make(string vault, string name, ulong now, ulong expires, Disk disk)
    {
        using var alone = KeeperLock.Take(Path.Combine(vault, "keeper", "lock")); // one that is used meanwhile does not come back
        var token = RandomNumberGenerator.GetBytes(Size);
        var lines = Read(vault).Where(l => l.Expires > now).ToList();
        if (lines.Count >= MaxTokens)
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"There are {MaxTokens} tokens that nobody has used yet.", "Wait until some have expired, or take lines away from keeper/tokens.");
        Write(vault, [.. lines, new Line(Digest(token), expires, name)], disk);
        return token;
    }

    /// <summary>True where there is one such.</summary>
    internal static bool IsGood(string vault, ReadOnlySpan<byte> token, ulong now)
    {
        var digest = Digest(token);
        return Read(vault).Exists(l => l.Digest == digest && l.Expires > now);
    }

    /// <summary>Takes one away. Under the vault's lock.</summary>
    /// <returns>False where there is none such, or no longer.</returns>
    internal static bool Use(string vault, ReadOnlySpan<byte> token, ulong now, Disk disk)
    {
        var digest = Digest(token);
        var lines = Read(vault);
        if (!lines.Exists(l => l.Digest == digest && l.Expires > now))
            return false;
        Write(vault, lines.Where(l => l.Digest != digest && l.Expires > now), disk);
        return true;
    }

    static string Digest(ReadOnlySpan<byte> token) => Convert.ToHexStringLower(SHA256.HashData(token));

    static List<Line> Read(string vault)
    {
        byte[]? bytes;
        try
        {
            bytes = PlainFile.ReadAll(At(vault), MaxFile);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
        var lines = new List<Line>();
        foreach (var text in Encoding.UTF8.GetString(bytes ?? throw Bad()).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (text.Split(' ') is not [{ Length: 2 * Hash32.Size } digest, var expires, var name] || !ulong.TryParse(expires, NumberStyles.None, CultureInfo.InvariantCulture, out var at))
                throw Bad();
            lines.Add(new Line(digest, at, name));
        }
        return lines;
    }

    static HoldfastException Bad() => new(ErrorCode.KeyFileBad, "The list of enrolment tokens (keeper/tokens) makes no sense: no agent is enrolled by one.", "Take the file away; tokens that were not used yet are then worth nothing, and `holdfast keeper token` makes others.");

    static void Write(string vault, IEnumerable<Line> lines, Disk disk) =>
        disk.Replace(At(vault), Encoding.UTF8.GetBytes(string.Concat(lines.Select(l => string.Create(CultureInfo.InvariantCulture, $"{l.Digest} {l.Expires} {l.Name}\n")))));
}
