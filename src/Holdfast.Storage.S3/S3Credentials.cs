using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>The access key id and the secret access key of the keeper's own user of the object store.</summary>
/// <remarks>Neither is printed: <see cref="ToString"/> tells nothing.</remarks>
public sealed class S3Credentials
{
    const int MaxFile = 4096; // bytes
    const UnixFileMode OfOthers = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    public S3Credentials(string accessKey, string secretKey)
    {
        if (!IsKey(accessKey) || !IsKey(secretKey))
            throw new HoldfastException(ErrorCode.KeyFileBad, "These are no S3 credentials: an access key id and a secret access key are words of printable letters, without spaces.", "Take them from the object store's own administration.");
        (AccessKey, SecretKey) = (accessKey, secretKey);
    }

    internal string AccessKey { get; }
    internal string SecretKey { get; }

    static bool IsKey(string text) => text.Length is > 0 and <= 1024 && text.All(c => c is > ' ' and < '\x7F');

    /// <summary>Reads a file of two lines: the access key id, then the secret access key. Its owner alone may read it (mode 0600).</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    public static S3Credentials Read(string path)
    {
        byte[]? bytes;
        try
        {
            bytes = KeptFile.ReadAll(path, MaxFile);
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & OfOthers) != 0)
                throw new HoldfastException(ErrorCode.KeyFileBad, "The file with the S3 credentials can be read, or changed, by others than its owner.", "Take it away from them (chmod 600 FILE). If they may have read it, make new credentials.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HoldfastException(ErrorCode.KeyFileBad, "The file with the S3 credentials is not there.", TwoLines, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
        return Parse(bytes ?? []);
    }

    /// <summary>What stands in such a file.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static S3Credentials Parse(ReadOnlySpan<byte> file)
    {
        var lines = Encoding.Latin1.GetString(file).TrimEnd('\r', '\n').Split('\n');
        return lines is [var access, var secret] && IsKey(access.TrimEnd('\r')) && IsKey(secret.TrimEnd('\r'))
            ? new S3Credentials(access.TrimEnd('\r'), secret.TrimEnd('\r'))
            : throw new HoldfastException(ErrorCode.KeyFileBad, "The file with the S3 credentials does not have the two lines it should have.", TwoLines);
    }

    const string TwoLines = "Make a file with two lines, the access key id and the secret access key, that its owner alone may read (chmod 600).";

    public override string ToString() => "S3 credentials";
}
