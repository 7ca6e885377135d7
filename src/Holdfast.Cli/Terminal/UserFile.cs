using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Terminal;

/// <summary>Reads a small file that the user named: a key, a passphrase, a proof, a list of patterns. Pipes and /dev/stdin will do as well.</summary>
/// <remarks>Every failure says which file by what it is for, never by its path: messages end up in logs and mails.</remarks>
static class UserFile
{
    public const int KeyLimit = 16 << 20; // bytes
    public const int TextLimit = 1 << 20; // bytes

    /// <param name="path">As the user wrote it.</param>
    /// <param name="what">Starts a sentence: "The proof file".</param>
    /// <param name="bad">The code where it is missing, a folder or too large.</param>
    /// <param name="limit">Bytes; a larger file is something else.</param>
    /// <param name="whereItIs">What to do where it is missing, if there is more to say than to check the path.</param>
    /// <exception cref="HoldfastException"><paramref name="bad"/>, <c>NoPermission</c>, <c>StoreUnavailable</c>.</exception>
    /// <exception cref="OperationCanceledException">A person's wish: a pipe may wait for whoever writes to it, and a disk may not answer.</exception>
    public static byte[] Bytes(string path, string what, ErrorCode bad = ErrorCode.Usage, int limit = TextLimit, string? whereItIs = null)
    {
        if (Directory.Exists(path))
            throw new HoldfastException(bad, $"{what} is a folder.", "Name the file itself.");
        if (path is "/dev/stdin" or "/dev/fd/0" or "/proc/self/fd/0" && !StandardInput.IsOpen)
            throw new HoldfastException(bad, $"{what} is standard input, which is closed.", "Pipe it in, or name a file.");
        return Translated(what, bad, whereItIs, () => Awaited(() =>
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            return ReadAll(file, what, bad, limit);
        }));
    }

    static byte[] ReadAll(Stream file, string what, ErrorCode bad, int limit)
    {
        using var bytes = new MemoryStream();
        var buffer = new byte[1 << 16];
        while (file.Read(buffer) is var count and > 0)
        {
            if (bytes.Length + count > limit)
                throw new HoldfastException(bad, $"{what} is too large: it holds something else.", "Check the path; another file may have been meant.");
            bytes.Write(buffer, 0, count);
        }
        return bytes.ToArray();
    }

    /// <summary>What comes from standard input, to its end.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: it is closed, or too much.</exception>
    /// <exception cref="OperationCanceledException">A person's wish.</exception>
    public static string InputText(CancellationToken stop, int limit = TextLimit)
    {
        using var input = StandardInput.Open(stop);
        return Decoded(Translated("Standard input", ErrorCode.Usage, null, () => ReadAll(input, "Standard input", ErrorCode.Usage, limit)));
    }

    /// <summary>On a thread of its own, since nothing calls the opening of a pipe back, or a read. One that is left waiting ends with the process.</summary>
    static byte[] Awaited(Func<byte[]> read)
    {
        var reading = Task.Factory.StartNew(read, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Task.WaitAny([reading], Interrupt.Token);
        return reading.GetAwaiter().GetResult();
    }

    static byte[] Translated(string what, ErrorCode bad, string? whereItIs, Func<byte[]> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or PathTooLongException or ArgumentException)
        {
            throw new HoldfastException(bad, $"{what} does not exist.", whereItIs ?? "Check the path, and that the disk or share it is on is mounted.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new HoldfastException(ErrorCode.NoPermission, $"{what} may not be read by this user.", "Run as its owner, or have access granted (chown, chmod or setfacl).", e);
        }
        catch (IOException e)
        {
            if (DiskFault.Of(e) is { Code: ErrorCode.SystemLimit } limit)
                throw limit;
            throw new HoldfastException(ErrorCode.StoreUnavailable, $"{what} cannot be read: the system reports error {e.HResult & 0xFFFF}.", "Look at the disk, share or card it is on (dmesg shows what the system saw), or take another copy.", e);
        }
    }

    /// <summary>The same of a file in the key folder: nobody typed its name, so what stands there is read with care (<see cref="KeptFile"/>).</summary>
    public static byte[] Kept(string path, string what, int limit = TextLimit, string? whereItIs = null) => Translated(what, ErrorCode.KeyFileBad, whereItIs, () =>
        KeptFile.ReadAll(path, limit) ?? throw new HoldfastException(ErrorCode.KeyFileBad, $"{what} is no plain file, or too large: it holds something else.", "See what stands there, and put the file back from a copy."));

    public static string Text(string path, string what, ErrorCode bad = ErrorCode.Usage, int limit = TextLimit) => Decoded(Bytes(path, what, bad, limit));

    /// <summary>Text of a file in the key folder.</summary>
    public static string KeptText(string path, string what, int limit = TextLimit) => Decoded(Kept(path, what, limit));

    static string Decoded(byte[] bytes)
    {
        using var reader = new StreamReader(new MemoryStream(bytes), Encoding.UTF8);
        return reader.ReadToEnd();
    }

    public static IReadOnlyList<string> Lines(string path, string what, ErrorCode bad = ErrorCode.Usage, int limit = KeyLimit)
    {
        using var reader = new StringReader(Text(path, what, bad, limit));
        var lines = new List<string>();
        while (reader.ReadLine() is { } line)
            lines.Add(line);
        return lines;
    }

    /// <summary>The first line, which may not be empty.</summary>
    public static string FirstLine(string path, string what, ErrorCode bad = ErrorCode.Usage) =>
        Lines(path, what, bad, TextLimit) is [{ Length: > 0 } line, ..] ? line
            : throw new HoldfastException(bad, $"{what} has nothing in its first line.", "Write it as the file's first line.");
}
