using System.Net.Sockets;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Where the guard is asked to look: a Unix socket in the vault's folder <c>keeper</c>. A connection is the whole request; one byte is the answer.</summary>
static class GuardSocket
{
    const byte Looked = 1;

    static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    static string PathIn(string vault) => Path.Combine(vault, "keeper", "guard.sock");

    /// <summary>Listens until it is stopped; looks when asked, and at least every <paramref name="interval"/>.</summary>
    public static void Serve(string vault, TimeSpan interval, Func<bool> look, CancellationToken ct)
    {
        var path = PathIn(vault);
        using var folder = new ShortPath(Path.GetDirectoryName(path)!);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        Disk.Real.Discard(path); // of a guard that was killed
        listener.Bind(new UnixDomainSocketEndPoint(folder[Path.GetFileName(path)]));
        try
        {
            // All that can be asked is that it looks; the folder decides who comes near.
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, (UnixFileMode)0x1B6); // rw for all
            listener.Listen(16);
            while (!ct.IsCancellationRequested)
            {
                using var asked = Accept(listener, interval, ct);
                var isDone = look();
                if (asked is null)
                    continue;
                try
                {
                    asked.Send([isDone ? Looked : (byte)0]);
                }
                catch (SocketException)
                {
                    // It has gone.
                }
            }
        }
        finally
        {
            Disk.Real.Discard(path);
        }
    }

    static Socket? Accept(Socket listener, TimeSpan interval, CancellationToken ct)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (!ct.IsCancellationRequested && TimeProvider.System.GetElapsedTime(since) < interval)
        {
            if (listener.Poll(200_000, SelectMode.SelectRead))
                return listener.Accept();
        }
        return null;
    }

    /// <summary>Asks the guard of a vault to look.</summary>
    /// <param name="vault">The vault's folder.</param>
    /// <param name="wait">Wait until it has.</param>
    /// <returns>False where none is running, or it failed.</returns>
    public static bool Ask(string vault, bool wait)
    {
        var path = PathIn(vault);
        if (!OperatingSystem.IsLinux() || !File.Exists(path))
            return false;
        try
        {
            using var folder = new ShortPath(Path.GetDirectoryName(path)!);
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.TotalMilliseconds };
            socket.Connect(new UnixDomainSocketEndPoint(folder[Path.GetFileName(path)]));
            var answer = new byte[1];
            return !wait || (socket.Receive(answer) == 1 && answer[0] == Looked);
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>A socket's path has 107 bytes at most; through an open folder any path is short.</summary>
    sealed class ShortPath : IDisposable
    {
        readonly string _folder;
        readonly int _handle = -1;

        public ShortPath(string folder)
        {
            _folder = folder;
            if (folder.Length > 60 && (_handle = Libc.Open(folder, Libc.OpenFolder)) >= 0)
                _folder = $"/proc/self/fd/{_handle}";
        }

        public string this[string name] => Path.Combine(_folder, name);

        public void Dispose()
        {
            if (_handle >= 0)
                _ = Libc.Close(_handle);
        }
    }
}
