using System.Security.Cryptography;
using System.Text;

namespace Holdfast.Core.Keys;

/// <summary>The text form of key files: a first line that says what it is, then base64 of the body and its check, 76 characters a line
/// (docs/format.md, section 13.1).</summary>
static class KeyText
{
    const int CheckSize = 8; // bytes of SHA-256(first line ‖ body)
    const int LineLength = 76;

    public static byte[] Write(string firstLine, ReadOnlySpan<byte> body)
    {
        var whole = new byte[body.Length + CheckSize];
        body.CopyTo(whole);
        Check(firstLine, body).AsSpan(0, CheckSize).CopyTo(whole.AsSpan(body.Length));
        var base64 = Convert.ToBase64String(whole);
        CryptographicOperations.ZeroMemory(whole);
        var text = new StringBuilder(firstLine).Append('\n');
        for (var i = 0; i < base64.Length; i += LineLength)
            text.Append(base64.AsSpan(i, Math.Min(LineLength, base64.Length - i))).Append('\n');
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static byte[] Read(string firstLine, ReadOnlySpan<byte> text)
    {
        var end = text.IndexOf((byte)'\n');
        if (end < 0 || !text[..end].TrimEnd((byte)'\r').SequenceEqual(Encoding.ASCII.GetBytes(firstLine)))
            throw Bad($"This is not a \"{firstLine}\" file.");
        byte[] whole;
        try
        {
            whole = Convert.FromBase64String(Encoding.ASCII.GetString(text[(end + 1)..]));
        }
        catch (FormatException)
        {
            throw Bad($"The \"{firstLine}\" file is damaged.");
        }
        if (whole.Length < CheckSize)
            throw Bad($"The \"{firstLine}\" file is cut short.");
        var body = whole.AsSpan(0, whole.Length - CheckSize);
        if (!Check(firstLine, body).AsSpan(0, CheckSize).SequenceEqual(whole.AsSpan(body.Length)))
            throw Bad($"The \"{firstLine}\" file is damaged.");
        return body.ToArray();
    }

    public static HoldfastException Bad(string message) => new(ErrorCode.KeyFileBad, message,
        "Take another copy of the file. Without any, new ones are made with the opening key: put and agent keys by `holdfast key issue`, scoped keys by `holdfast key scope`. The log's key (keeper/log.key) is made once, with the vault.");

    static byte[] Check(string firstLine, ReadOnlySpan<byte> body)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Encoding.ASCII.GetBytes(firstLine));
        sha.AppendData(body);
        return sha.GetHashAndReset();
    }
}
