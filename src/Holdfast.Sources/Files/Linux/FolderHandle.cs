namespace Holdfast.Sources.Files.Linux;

/// <summary>Opens folders below a root without ever following a symlink or leaving the root. One of these per thread; it remembers the last folder.</summary>
/// <param name="root">A handle on it.</param>
/// <param name="isRight">Says of a folder that was opened whether it is the one that its path is to lead to; null for any.</param>
sealed unsafe class FolderHandle(int root, FolderHandle.Judge? isRight = null) : IDisposable
{
    const int Piece = 4_000; // bytes: below the system's limit for one call

    /// <param name="path">Below the root.</param>
    /// <param name="folder">What it led to.</param>
    public delegate bool Judge(ReadOnlySpan<byte> path, int folder);

    byte[] _path = [];
    int _handle = -1;

    /// <summary>A handle on the folder with this path, valid until the next call; -1 with the error set.</summary>
    public int Open(ReadOnlySpan<byte> path)
    {
        if (path.IsEmpty)
            return root;
        if (_handle >= 0 && path.SequenceEqual(_path))
            return _handle;
        var handle = Walk(path);
        if (handle < 0)
            return -1;
        if (isRight is not null && !isRight(path, handle))
        {
            _ = Native.Close(handle);
            System.Runtime.InteropServices.Marshal.SetLastPInvokeError(Native.EXDev); // as where a link led out
            return -1;
        }
        if (_handle >= 0)
            _ = Native.Close(_handle);
        _handle = handle;
        _path = path.ToArray();
        return handle;
    }

    /// <summary>Forgets the folder at hand: it may be another one by now.</summary>
    public void Forget()
    {
        if (_handle >= 0)
            _ = Native.Close(_handle);
        _handle = -1;
        _path = [];
    }

    int Walk(ReadOnlySpan<byte> path)
    {
        var at = root;
        while (true)
        {
            var piece = path;
            if (path.Length > Piece)
            {
                var cut = path[..Piece].LastIndexOf((byte)'/');
                if (cut < 0)
                    cut = path.IndexOf((byte)'/');
                if (cut > 0)
                    piece = path[..cut];
            }
            var next = Step(at, piece);
            if (at != root)
                CloseQuietly(at);
            if (next < 0 || piece.Length == path.Length)
                return next;
            at = next;
            path = path[(piece.Length + 1)..];
        }
    }

    static volatile bool _hasOpenAt2 = true;

    static int Step(int folder, ReadOnlySpan<byte> piece)
    {
        var flags = Native.PathOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec;
        if (_hasOpenAt2)
        {
            var buffer = stackalloc byte[Piece + 1 + 1024];
            Terminate(piece, buffer);
            var handle = Native.OpenAt2(folder, buffer, new OpenHow { Flags = (ulong)flags, Resolve = Native.BeneathNoLinks });
            if (handle >= 0 || Native.Error is not (Native.ENoSys or Native.EPerm))
                return handle;
            _hasOpenAt2 = false; // an old kernel, or a sandbox that does not know the call
        }
        return ByComponents(folder, piece, flags);
    }

    static int ByComponents(int folder, ReadOnlySpan<byte> piece, int flags)
    {
        var name = stackalloc byte[1025];
        var at = folder;
        while (true)
        {
            var end = piece.IndexOf((byte)'/');
            Terminate(end < 0 ? piece : piece[..end], name);
            var next = Native.OpenAt(at, name, flags, 0);
            if (at != folder)
                CloseQuietly(at);
            if (next < 0 || end < 0)
                return next;
            at = next;
            piece = piece[(end + 1)..];
        }
    }

    /// <summary>Leaves the error of the call before as it is.</summary>
    static void CloseQuietly(int handle)
    {
        var error = Native.Error;
        _ = Native.Close(handle);
        System.Runtime.InteropServices.Marshal.SetLastPInvokeError(error);
    }

    /// <summary>Copies a name and ends it with NUL, as the system wants it.</summary>
    public static void Terminate(ReadOnlySpan<byte> name, byte* buffer)
    {
        name.CopyTo(new Span<byte>(buffer, name.Length));
        buffer[name.Length] = 0;
    }

    /// <summary>The name under which the system finds what a handle is open on.</summary>
    public static byte[] ProcPath(int handle) => System.Text.Encoding.ASCII.GetBytes(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/self/fd/{handle}\0"));

    public void Dispose() => Forget();
}
