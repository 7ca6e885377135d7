using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Holdfast.Core.Crypto;

/// <summary>The secret of a raw-key slot, as it stands in a file of its own: for machines that open a vault with nobody there.</summary>
/// <remarks>One line of ASCII: <c>holdfast-raw-key-1 </c>, the vault id in 32 hex digits, a space, the key in 64 hex digits,
/// a line feed.</remarks>
public sealed class RawKey : IDisposable
{
    public const int FileSize = 19 + 2 * Id16.Size + 1 + 2 * OpeningKeyFile.RawKeySize + 1; // 117 bytes

    static ReadOnlySpan<byte> Magic => "holdfast-raw-key-1 "u8;

    RawKey(Id16 vaultId, SecretBytes secret) => (VaultId, Secret) = (vaultId, secret);

    /// <summary>A fresh random key.</summary>
    public static RawKey Create(Id16 vaultId) => new(vaultId, SecretBytes.Random(OpeningKeyFile.RawKeySize));

    public Id16 VaultId { get; }

    /// <summary>32 bytes; disposed of with this.</summary>
    public SecretBytes Secret { get; }

    /// <summary>The file's bytes; the caller clears them.</summary>
    public byte[] ToArray()
    {
        var line = new byte[FileSize];
        Magic.CopyTo(line);
        Convert.TryToHexStringLower(VaultId.ToArray(), line.AsSpan(Magic.Length), out var written);
        var at = Magic.Length + written;
        line[at++] = (byte)' ';
        Convert.TryToHexStringLower(Secret.Span, line.AsSpan(at), out _);
        line[^1] = (byte)'\n';
        return line;
    }

    /// <summary>Total on hostile bytes. The last line feed may be missing; nothing else may differ but the case of hex digits.</summary>
    public static bool TryParse(ReadOnlySpan<byte> file, [NotNullWhen(true)] out RawKey? key)
    {
        key = null;
        if (file.Length == FileSize && file[^1] == '\n')
            file = file[..^1];
        Span<byte> vaultId = stackalloc byte[Id16.Size];
        var space = Magic.Length + 2 * vaultId.Length;
        if (file.Length != FileSize - 1 || !file.StartsWith(Magic) || file[space] != ' ' || !TryHex(file[Magic.Length..space], vaultId))
            return false;
        var secret = new SecretBytes(OpeningKeyFile.RawKeySize);
        if (!TryHex(file[(space + 1)..], secret.Span))
        {
            secret.Dispose();
            return false;
        }
        key = new RawKey(new Id16(vaultId), secret);
        return true;
    }

    /// <summary>Writes a new file that only its owner can read (mode 0600), and flushes it to the disk.</summary>
    /// <exception cref="IOException">It exists already: a key is never overwritten.</exception>
    public void WriteNew(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0 };
        if (!OperatingSystem.IsWindows()) // where the folder's access list decides
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(path, options);
        var line = ToArray();
        try
        {
            stream.Write(line);
            stream.Flush(flushToDisk: true);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(line);
        }
    }

    public void Dispose() => Secret.Dispose();

    static bool TryHex(ReadOnlySpan<byte> digits, Span<byte> bytes)
    {
        Span<char> chars = stackalloc char[digits.Length];
        try
        {
            return Encoding.Latin1.GetChars(digits, chars) == digits.Length
                && Convert.FromHexString(chars, bytes, out _, out var written) is OperationStatus.Done && written == bytes.Length;
        }
        finally
        {
            chars.Clear();
        }
    }
}
